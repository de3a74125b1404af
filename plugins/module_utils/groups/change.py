# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create, change and delete a cluster group: the same record on each of its host clusters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..common import well_known, yaml_io
from ..common.errors import NestedClustersError, OptionError
from ..common.size import Size
from ..k8s import host_clusters
from ..k8s.client import Kubernetes
from ..k8s.errors import KubernetesError
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import path
from ..listing import contents
from ..virtual_cluster import namespaces
from ..virtual_cluster.change import diff_entries
from ..virtual_cluster.metadata import metadata_patch
from . import eligibility
from . import lock as group_lock
from . import pending as group_pending
from . import record as group_records
from . import settings as group_settings
from . import view as group_view
from .model import NO_SIZE, Group, Member

CONFIG_MAPS = path("v1", "configmaps", well_known.NAMESPACE)
PLACE = path("v1", "namespaces", None, well_known.NAMESPACE)


@dataclass(frozen=True)
class Seen:
    """What one host cluster says before a group is changed."""

    view: group_view.HostView
    id: str
    record: dict[str, Any] | None  # the ConfigMap, as it is stored
    namespace: bool  # whether namespace nested-clusters is there


@dataclass
class GroupChange:
    """What is to be done, and on which host cluster."""

    before: Group | None
    after: Group | None  # None: the group is deleted
    steps: dict[str, list[str]] = field(default_factory=dict)  # by host cluster
    diff: list[dict[str, str]] = field(default_factory=list)
    pending: dict[str, list[str]] = field(default_factory=dict)  # by virtual cluster: what it has not yet of the group
    pending_upgrade: list[str] = field(default_factory=list)  # virtual clusters that do not run the locked version
    warnings: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """Every step, host cluster by host cluster."""
        return [step for name in sorted(self.steps) for step in self.steps[name]]


def _look(name: str, host: HostCluster) -> Seen:
    view = group_view.look(host)
    system = host.kubernetes.get(host_clusters.SYSTEM)
    place = host.kubernetes.get(PLACE)
    if place and place["metadata"].get("deletionTimestamp"):
        place = None  # with what is in it; see _write
    record = host.kubernetes.get(f"{CONFIG_MAPS}/{group_records.PREFIX}{name}") if place else None
    return Seen(view, system["metadata"]["uid"] if system else "", record, place is not None)


def present(
    entries: list[tuple[HostCluster, Mapping[str, Any]]],
    params: Mapping[str, Any],
    check: bool,
    lost: Collection[str] = (),
) -> GroupChange:
    """Bring a group to what the task says; ``entries`` are its host clusters with the options of each.

    ``lost`` are the names of those that do not exist any more. Raises OptionError before anything is changed, and
    NestedClustersError that says which host clusters are done and which are not.
    """
    name = params["name"]
    group_settings.check_name(name)
    answers = host_clusters.ask([host for host, _options in entries], partial(_look, name))
    seen = answers.given
    before = _newest(seen)
    _check_names(seen, name)
    members = [
        _member(host.name, options, seen.get(host.name), before, answers.failed.get(host.name))
        for host, options in entries
        if options["state"] == "present"
    ]
    if not members:
        raise OptionError(
            "host_clusters", [], "at least one host cluster with state present; state absent deletes the group"
        )
    after = group_settings.desired(params, members, before)
    states = {**{host.name: options["state"] for host, options in entries}, **dict.fromkeys(lost, host_clusters.LOST)}
    _check_removed(states, seen, answers.failed, before)
    change = GroupChange(before, after)
    for member in after.members:
        if member.name in seen:
            _plan_write(change, after, member, seen[member.name])
    for host, options in entries:
        if options["state"] == "absent" and host.name in seen and seen[host.name].record:
            change.steps[host.name] = [f"delete the record of group {name} on host cluster {host.name}"]
    if before and before != after:
        change.diff += diff_entries(_shown(before), _shown(after), f"group {name}")
    elif before is None:
        change.diff += diff_entries("", _shown(after), f"group {name}")
    _check_fitness(entries, seen, after, change)
    change.pending = _pending(after, seen)
    allocations = [item for one in seen.values() for item in one.view.allocations]
    change.pending_upgrade = group_pending.waiting_for_upgrade(after, allocations)
    change.warnings = [
        f"host cluster {host} is taken off the record without being asked: what ran there is not managed any more"
        for host in lost
        if before and before.member(host)
    ]
    if not check:
        _carry_out(change, entries, seen, name)
    if answers.failed:
        raise _unfinished(change, answers.failed, check)
    return change


def _newest(seen: Mapping[str, Seen]) -> Group | None:
    # By the name of the ConfigMap: somebody may have taken off the labels that others find it by.
    records = {host: group_records.load(item.record) for host, item in seen.items() if item.record}
    newest = max(records, key=lambda host: records[host].generation, default=None)
    if newest is None:
        return None
    others = {host: group for host, group in records.items() if host != newest}
    strangers = sorted(host for host, group in others.items() if not group.has_member_of(records[newest]))
    if strangers:
        raise OptionError(
            "host_clusters",
            sorted(records),
            "the host clusters of one of these groups",
            reason=f"{', '.join(strangers)} and {newest} have different groups called {records[newest].name}: no host "
            "cluster is a member of both (by the UID of namespace kube-system)",
        )
    return records[newest]


def _check_names(seen: Mapping[str, Seen], name: str) -> None:
    for host, item in seen.items():
        own = item.view.names.get(name)
        if own and own != host:
            raise OptionError(
                "host_clusters.name", host, own, reason=f"this host cluster is member {own} of group {name}"
            )


def _member(
    name: str, options: Mapping[str, Any], seen: Seen | None, before: Group | None, error: NestedClustersError | None
) -> Member:
    known = before.member(name) if before else None
    if seen is None and known is None:
        raise NestedClustersError(
            f"host cluster {name} is to become a member and does not answer, so nothing was changed: {error}",
            failed_host_clusters=[name],
        )
    if seen and known and known.id and known.id != seen.id:
        raise OptionError(
            "host_clusters",
            name,
            "the host cluster of that name in the group's record, or another name",
            reason="it is another one than the group's record says (the UID of namespace kube-system differs)",
        )
    return Member(
        name=name,
        id=seen.id if seen else known.id if known else "",
        dns_pattern=(known.dns_pattern if known else None)
        if options["dns_pattern"] is None
        else options["dns_pattern"] or None,
        capacity=Size.changed(options["capacity"], "host_clusters.capacity", known.capacity if known else NO_SIZE),
        node_selector=(known.node_selector if known else {})
        if options["node_selector"] is None
        else options["node_selector"],
    )


def _check_removed(
    states: Mapping[str, str],
    seen: Mapping[str, Seen],
    failed: Mapping[str, NestedClustersError],
    before: Group | None,
) -> None:
    """Refuse to lose a host cluster, or what lives there, by leaving something out."""
    if before is None:
        return
    for member in before.members:
        if member.name not in states:
            raise OptionError(
                "host_clusters",
                sorted(states),
                f"every host cluster of the group; {member.name} with state: absent to remove it, or with state: lost "
                "when it does not exist any more",
                reason=f"{member.name} is a member of group {before.name}, and is not there",
            )
        if states[member.name] != "absent":
            continue
        if member.name in failed:
            raise NestedClustersError(
                f"host cluster {member.name} is to be removed and does not answer, so nobody knows what lives there: "
                f"{failed[member.name]}; nothing was changed"
            )
        _check_empty(
            seen[member.name], before.name, f"host cluster {member.name} was not removed from group {before.name}"
        )


def _check_empty(seen: Seen, group: str, what: str) -> None:
    living = sorted(item.name for item in seen.view.allocations if item.group == group)
    if living:
        raise NestedClustersError(
            f"{what}: virtual clusters {', '.join(living)} live there; delete them first",
            virtual_clusters=living,
        )


def _plan_write(change: GroupChange, after: Group, member: Member, seen: Seen) -> None:
    wanted = group_records.config_map(after, member.name)
    if seen.record is None:
        steps = [] if seen.namespace else [f"create namespace {well_known.NAMESPACE} on host cluster {member.name}"]
        change.steps[member.name] = [*steps, f"write the record of group {after.name} on host cluster {member.name}"]
    elif seen.record.get("data") != wanted["data"] or _labels_patch(seen.record, wanted):
        change.steps[member.name] = [f"change the record of group {after.name} on host cluster {member.name}"]


def _labels_patch(record: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    return metadata_patch(record, wanted["metadata"]["labels"], {})


def _shown(group: Group) -> str:
    data = group_records.record(group)
    return yaml_io.dump({key: value for key, value in data.items() if key not in ("schema", "generation")})


def _check_fitness(
    entries: list[tuple[HostCluster, Mapping[str, Any]]], seen: Mapping[str, Seen], after: Group, change: GroupChange
) -> None:
    """Ask host clusters that are new to the group, or all where the endpoint changes, whether they can do it."""
    same = change.before is not None and change.before.endpoint == after.endpoint
    asked = [
        host
        for host, options in entries
        if options["state"] == "present" and host.name in seen and (seen[host.name].record is None or not same)
    ]
    named = {member.name: member.host_name("team-a") for member in after.members}
    found = host_clusters.ask(
        asked, lambda host: eligibility.problems(host.kubernetes, after, named.get(host.name))
    ).all()
    unfit = {name: reasons for name, reasons in found.items() if reasons}
    if unfit:
        reasons = "; ".join(f"{name}: {', '.join(why)}" for name, why in sorted(unfit.items()))
        raise OptionError("host_clusters", sorted(unfit), "host clusters that can be members", reason=reasons)


def _pending(group: Group, seen: Mapping[str, Seen]) -> dict[str, list[str]]:
    waiting = {}
    for name, item in seen.items():
        member = group.member(name)
        for allocation in item.view.allocations:
            if member and allocation.group == group.name and not allocation.kept:
                reasons = group_pending.pending(group, member, allocation.applied)
                if reasons:
                    waiting[allocation.name] = reasons
    return dict(sorted(waiting.items()))


def _carry_out(
    change: GroupChange, entries: list[tuple[HostCluster, Mapping[str, Any]]], seen: Mapping[str, Seen], name: str
) -> None:
    work = [host for host, _options in entries if host.name in change.steps]
    removed = [host for host, options in entries if options["state"] == "absent" and host.name in change.steps]

    def act(host: HostCluster) -> None:
        if host in removed:
            with group_lock.locked([(seen[host.name].id, host.kubernetes)]) as lock:  # nobody is placing anything there
                why = f"host cluster {host.name} was not removed from group {name}"
                _check_empty(_look(name, host), name, why)
                lock.check()
                _delete_record(host, name)
            _tidy(host)
        elif change.after:
            _write(host.kubernetes, change.after, host.name, seen[host.name])

    answers = host_clusters.ask(work, act)
    if answers.failed:
        raise _unfinished(change, answers.failed, check=False)


def _unfinished(change: GroupChange, failed: Mapping[str, NestedClustersError], check: bool) -> NestedClustersError:
    name = (change.after or change.before or Group("", ())).name
    done = sorted(host for host in change.steps if host not in failed)
    words = "would be done" if check else "done"
    reasons = "; ".join(f"{host}: {error}" for host, error in sorted(failed.items()))
    return NestedClustersError(
        f"group {name}: {words} on {', '.join(done) or 'no host cluster'}, not done on {reasons}; run the task again "
        "when they answer, and it completes the rest",
        done_host_clusters=done,
        failed_host_clusters=sorted(failed),
    )


def _write(kubernetes: Kubernetes, group: Group, host: str, seen: Seen) -> None:
    wanted = group_records.config_map(group, host)
    if seen.record is None:
        if not seen.namespace:
            namespaces.wait_until_free(kubernetes, well_known.NAMESPACE)
            _create(kubernetes, path("v1", "namespaces"), _namespace())
        _create(kubernetes, CONFIG_MAPS, wanted)
        return
    # Only onto what was read: two administrators at once shall notice each other.
    metadata = {"resourceVersion": seen.record["metadata"]["resourceVersion"], **_labels_patch(seen.record, wanted)}
    try:
        kubernetes.patch(f"{CONFIG_MAPS}/{wanted['metadata']['name']}", {"metadata": metadata, "data": wanted["data"]})
    except KubernetesError as error:
        if error.status == 409:
            raise NestedClustersError("the record was changed by somebody else meanwhile") from error
        raise


def _create(kubernetes: Kubernetes, where: str, thing: dict[str, Any]) -> None:
    try:
        kubernetes.create(where, thing)
    except KubernetesError as error:
        if error.reason != "AlreadyExists" or thing["kind"] != "Namespace":
            raise


def _namespace() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": well_known.NAMESPACE, "labels": well_known.MANAGED_BY},
    }


def absent(hosts_given: list[HostCluster], name: str, check: bool, lost: Collection[str] = ()) -> GroupChange:
    """Delete a group that no virtual cluster is in. One that is on none of the host clusters changes nothing.

    ``lost`` are the names of host clusters that do not exist any more.
    """
    answers = host_clusters.ask(hosts_given, partial(_look, name))
    seen = answers.given
    before = _newest(seen)
    change = GroupChange(before, None)
    if before is None:
        answers.all()
        return change
    _check_names(seen, name)
    missing = sorted(member.name for member in before.members if member.name not in {*seen, *answers.failed, *lost})
    if missing:
        raise OptionError(
            "host_clusters",
            sorted(seen),
            f"all members of the group: {', '.join(missing)} as well",
            reason=f"group {name} can only be deleted on all of its host clusters",
        )
    answers.all()
    for host, item in seen.items():
        _check_empty(item, name, f"group {name} was not deleted (host cluster {host})")
    change.steps = {
        host: [f"delete the record of group {name} on host cluster {host}"]
        for host, item in seen.items()
        if item.record
    }
    change.diff += diff_entries(_shown(before), "", f"group {name}")
    if check:
        return change
    work = [host for host in hosts_given if host.name in change.steps]
    with group_lock.locked([(seen[host.name].id, host.kubernetes) for host in work]) as lock:
        for host, item in (
            host_clusters.ask(work, partial(_look, name)).all().items()
        ):  # somebody may have placed something
            _check_empty(item, name, f"group {name} was not deleted (host cluster {host})")
        lock.check()
        failed = host_clusters.ask(work, lambda host: _delete_record(host, name)).failed
    if failed:
        raise _unfinished(change, failed, check=False)
    host_clusters.ask(work, _tidy)
    return change


def _delete_record(host: HostCluster, name: str) -> None:
    host.kubernetes.delete(f"{CONFIG_MAPS}/{group_records.PREFIX}{name}")


def _tidy(host: HostCluster) -> None:
    """Delete namespace nested-clusters where this collection made it and nothing is in it any more."""
    place = host.kubernetes.get(PLACE)
    if place is None or not well_known.MANAGED_BY.items() <= (place["metadata"].get("labels") or {}).items():
        return
    if not contents.list_objects(host.kubernetes, well_known.NAMESPACE):  # of whatever kind: it may be somebody's
        host.kubernetes.delete(PLACE)
