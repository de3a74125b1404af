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
from ..k8s.host_clusters import HostCluster
from ..virtual_cluster.change import diff_entries
from . import eligibility, group_lock, group_pending, group_records, group_settings, record_reader, record_writer
from .group_lock import LockTarget
from .model import NO_SIZE, Group, Member
from .record_reader import StoredRecord, check_empty

Entries = list[tuple[HostCluster, Mapping[str, Any]]]  # host clusters of a task, with the options of each


@dataclass(frozen=True)
class GroupChange:
    """What is to be done, and on which host cluster."""

    before: Group | None
    after: Group | None  # None: the group is deleted
    steps: Mapping[str, list[str]] = field(default_factory=dict)  # by host cluster
    diff: list[dict[str, str]] = field(default_factory=list)
    pending: Mapping[str, list[str]] = field(default_factory=dict)  # by virtual cluster: what it lacks of the group
    pending_upgrade: list[str] = field(default_factory=list)  # virtual clusters that do not run the locked version
    warnings: list[str] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """Return every step, host cluster by host cluster."""
        return [step for name in sorted(self.steps) for step in self.steps[name]]


# --- create and change ------------------------------------------------------------------------------------


def present(entries: Entries, params: Mapping[str, Any], check: bool, lost: Collection[str] = ()) -> GroupChange:
    """Bring a group to what the task says; ``entries`` are its host clusters with the options of each.

    ``lost`` are the names of those that do not exist any more. Raises OptionError before anything is changed, and
    NestedClustersError that says which host clusters are done and which are not.
    """
    name = params["name"]
    group_settings.check_name(name)
    answers = host_clusters.ask([host for host, _options in entries], partial(record_reader.read, name))
    stored = answers.given
    before = record_reader.newest(stored)
    record_reader.check_names(stored, name)
    members = [
        _member(host.name, options, stored.get(host.name), before, answers.failed.get(host.name))
        for host, options in entries
        if options["state"] == "present"
    ]
    if not members:
        raise OptionError(
            "host_clusters",
            [],
            "at least one host cluster with state present; state absent deletes the group",
            message="the group would have no host cluster; list at least one with state: present, or set state: absent "
            "to delete the group",
        )
    after = group_settings.desired(params, members, before)
    states = {**{host.name: options["state"] for host, options in entries}, **dict.fromkeys(lost, host_clusters.LOST)}
    _check_removed(states, stored, answers.failed, before)
    _check_eligibility(entries, stored, before, after)
    change = _plan(states, stored, before, after)
    if not check:
        _carry_out(change, entries, stored)
    if answers.failed:
        raise _unfinished(change, answers.failed, check)
    return change


def _plan(
    states: Mapping[str, str], stored: Mapping[str, StoredRecord], before: Group | None, after: Group
) -> GroupChange:
    """Return the change of a group from ``before`` to ``after``; ``states`` has all host clusters of the task."""
    steps = {
        member.name: words
        for member in after.members
        if member.name in stored and (words := _write_steps(after, member, stored[member.name]))
    }
    for host, state in states.items():
        if state == "absent" and host in stored and stored[host].record:
            steps[host] = [_delete_step(after.name, host)]
    shown = _shown(before) if before else ""
    return GroupChange(
        before,
        after,
        steps,
        diff_entries(shown, _shown(after), f"group {after.name}") if before != after else [],
        _pending(after, stored),
        group_pending.waiting_for_upgrade(after, [item for one in stored.values() for item in one.view.allocations]),
        [
            f"host cluster {host} is removed without being read; its virtual clusters are no longer managed"
            for host, state in states.items()
            if state == host_clusters.LOST and before and before.member(host)
        ],
    )


def _member(
    name: str,
    options: Mapping[str, Any],
    stored: StoredRecord | None,
    before: Group | None,
    error: NestedClustersError | None,
) -> Member:
    known = before.member(name) if before else None
    if stored is None and known is None:
        raise NestedClustersError(
            f"nothing was changed, because host cluster {name}, which would become a member, does not answer: {error}",
            failed_host_clusters=[name],
        )
    if stored and known and known.id and known.id != stored.id:
        raise OptionError(
            "host_clusters",
            name,
            "the host cluster of that name in the group's record, or another name",
            message=f"{name} is not the host cluster of that name in the group's record (the UID of namespace "
            "kube-system differs); connect to that one, or use another name",
        )
    return Member(
        name=name,
        id=stored.id if stored else known.id if known else "",
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
    stored: Mapping[str, StoredRecord],
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
                message=f"{member.name} is a member of group {before.name} but not in the list; list every host "
                f"cluster of the group, {member.name} with state: absent to remove it or state: lost if it no longer "
                "exists",
            )
        if states[member.name] != "absent":
            continue
        if member.name in failed:
            raise NestedClustersError(
                f"nothing was changed, because host cluster {member.name}, which would be removed, does not answer, "
                f"and its virtual clusters are unknown: {failed[member.name]}"
            )
        check_empty(
            stored[member.name], before.name, f"host cluster {member.name} was not removed from group {before.name}"
        )


def _write_steps(after: Group, member: Member, stored: StoredRecord) -> list[str]:
    """Return the steps that bring the record on a member to a group; none if it is the same."""
    wanted = group_records.config_map(after, member.name)
    if stored.record is None:
        steps = [] if stored.namespace else [f"create namespace {well_known.NAMESPACE} on host cluster {member.name}"]
        return [*steps, f"write the record of group {after.name} on host cluster {member.name}"]
    if stored.record.get("data") != wanted["data"] or record_writer.labels_patch(stored.record, wanted):
        return [f"change the record of group {after.name} on host cluster {member.name}"]
    return []


def _delete_step(group: str, host: str) -> str:
    return f"delete the record of group {group} on host cluster {host}"


def _shown(group: Group) -> str:
    data = group_records.record(group)
    return yaml_io.dump({key: value for key, value in data.items() if key not in ("schema", "generation")})


def _check_eligibility(
    entries: Entries, stored: Mapping[str, StoredRecord], before: Group | None, after: Group
) -> None:
    """Ask host clusters that are new to the group, or all where the endpoint changes, whether they can do it."""
    same = before is not None and before.endpoint == after.endpoint
    reads = [
        host
        for host, options in entries
        if options["state"] == "present" and host.name in stored and (stored[host.name].record is None or not same)
    ]
    named = {member.name: member.host_name("team-a") for member in after.members}
    found = host_clusters.ask(
        reads, lambda host: eligibility.problems(host.kubernetes, after, named.get(host.name))
    ).all()
    unfit = {name: reasons for name, reasons in found.items() if reasons}
    if unfit:
        reasons = "; ".join(f"{name}: {', '.join(why)}" for name, why in sorted(unfit.items()))
        message = f"{reasons}; correct this, or omit {' and '.join(sorted(unfit))}"
        raise OptionError("host_clusters", sorted(unfit), "host clusters that can be members", message=message)


def _pending(group: Group, stored: Mapping[str, StoredRecord]) -> dict[str, list[str]]:
    waiting = {}
    for name, item in stored.items():
        member = group.member(name)
        for allocation in item.view.allocations:
            if member and allocation.group == group.name and not allocation.kept:
                reasons = group_pending.pending(group, member, allocation.applied)
                if reasons:
                    waiting[allocation.name] = reasons
    return dict(sorted(waiting.items()))


def _carry_out(change: GroupChange, entries: Entries, stored: Mapping[str, StoredRecord]) -> None:
    work = [host for host, _options in entries if host.name in change.steps]
    removed = [host for host, options in entries if options["state"] == "absent" and host.name in change.steps]

    def act(host: HostCluster) -> None:
        if change.after is None:
            return
        name = change.after.name
        if host not in removed:
            record_writer.write(host.kubernetes, change.after, host.name, stored[host.name])
            return
        target = LockTarget(stored[host.name].id, host.kubernetes)
        with group_lock.locked([target]) as lock:  # nobody is placing anything there
            why = f"host cluster {host.name} was not removed from group {name}"
            check_empty(record_reader.read(name, host), name, why)
            lock.check()
            record_writer.delete(host, name)
        record_writer.delete_empty_namespace(host)

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
        "when these host clusters answer, to complete the rest",
        done_host_clusters=done,
        failed_host_clusters=sorted(failed),
    )


# --- delete -----------------------------------------------------------------------------------------------


def absent(hosts: list[HostCluster], name: str, check: bool, lost: Collection[str] = ()) -> GroupChange:
    """Delete a group that no virtual cluster is in. One that is on none of the host clusters changes nothing.

    ``lost`` are the names of host clusters that do not exist any more. Raises OptionError where a member is missing,
    and NestedClustersError where one does not answer or where virtual clusters live there.
    """
    answers = host_clusters.ask(hosts, partial(record_reader.read, name))
    stored = answers.given
    before = record_reader.newest(stored)
    if before is None:
        answers.all()
        return GroupChange(None, None)
    record_reader.check_names(stored, name)
    missing = sorted(member.name for member in before.members if member.name not in {*stored, *answers.failed, *lost})
    if missing:
        raise OptionError(
            "host_clusters",
            sorted(stored),
            f"all members of the group: {', '.join(missing)} as well",
            message=f"group {name} can only be deleted on all of its host clusters; add {', '.join(missing)}",
        )
    answers.all()
    _check_all_empty(stored, name)
    steps = {host: [_delete_step(name, host)] for host, item in stored.items() if item.record}
    change = GroupChange(before, None, steps, diff_entries(_shown(before), "", f"group {name}"))
    if not check:
        _delete([host for host in hosts if host.name in steps], change, stored)
    return change


def _check_all_empty(stored: Mapping[str, StoredRecord], name: str) -> None:
    for host, item in stored.items():
        check_empty(item, name, f"group {name} was not deleted (host cluster {host})")


def _delete(hosts: list[HostCluster], change: GroupChange, stored: Mapping[str, StoredRecord]) -> None:
    if change.before is None:
        return
    name = change.before.name
    with group_lock.locked([LockTarget(stored[host.name].id, host.kubernetes) for host in hosts]) as lock:
        # Somebody may have placed something meanwhile.
        _check_all_empty(host_clusters.ask(hosts, partial(record_reader.read, name)).all(), name)
        lock.check()
        failed = host_clusters.ask(hosts, lambda host: record_writer.delete(host, name)).failed
    if failed:
        raise _unfinished(change, failed, check=False)
    host_clusters.ask(hosts, record_writer.delete_empty_namespace)
