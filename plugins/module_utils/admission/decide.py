# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual cluster in a cluster group: find it or place it, reserve what it asks for, then as any other.

What host clusters say is read first and decided on without a lock, so that a refusal costs nothing. Only who is
about to take more than it has decides once more under the locks of all host clusters, and writes at once: the
namespace with its size is the reservation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from functools import partial
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils import (
    capacity,
    compatibility,
    hosts,
    layers,
    ledger,
    lifecycle,
    membership,
    placement,
    values,
)
from ansible_collections.nested.clusters.plugins.module_utils import group as groups
from ansible_collections.nested.clusters.plugins.module_utils import plan as planning
from ansible_collections.nested.clusters.plugins.module_utils._helm import Helm, decode_release, newest_releases
from ansible_collections.nested.clusters.plugins.module_utils._kubernetes import (
    Kubernetes,
    parallel,
    path,
)
from ansible_collections.nested.clusters.plugins.module_utils.control_plane import ControlPlane, kubernetes_version_at
from ansible_collections.nested.clusters.plugins.module_utils.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.group import Group, Member
from ansible_collections.nested.clusters.plugins.module_utils.hosts import HostCluster
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import Outcome, Request
from ansible_collections.nested.clusters.plugins.module_utils.membership import Allocation, Asked, Membership
from ansible_collections.nested.clusters.plugins.module_utils.placement import Candidate, Placement
from ansible_collections.nested.clusters.plugins.module_utils.plan import Plan
from ansible_collections.nested.clusters.plugins.module_utils.size import Size, quantity
from ansible_collections.nested.clusters.plugins.module_utils.snapshot import Snapshot, live

ATTEMPTS = 50  # each is lost only to somebody who got what was left


@dataclass(frozen=True)
class View:
    """What one host cluster says: the records of groups, which member of them it is, and what is allocated on it."""

    host: HostCluster
    groups: Mapping[str, Group]
    names: Mapping[str, str]  # by group: its own name there
    allocations: tuple[Allocation, ...]


@dataclass
class Picture:
    """What all given host clusters say of one group."""

    group: Group
    views: dict[str, View]  # by the name of the member
    others: list[View]  # host clusters that are no members: what owners have there counts as well
    failed: dict[str, NestedClustersError]  # members that did not answer, by name
    known: Mapping[str, Group] = field(default_factory=dict)  # every group there is a record of
    silent: Mapping[str, NestedClustersError] = field(default_factory=dict)  # all that did not answer, by name

    @property
    def allocations(self) -> list[Allocation]:
        return [item for view in [*self.views.values(), *self.others] for item in view.allocations]

    def uncounted(self) -> list[str]:
        """What the owner quota cannot know, one sentence for each host cluster that does not answer."""
        if not self.group.owner_quota.limits:
            return []
        return [
            f"host cluster {name} does not answer, so the owner quota does not count what is there: {error}"
            for name, error in sorted(self.silent.items())
        ]

    def having(self, name: str, decision: Decision, applied: Mapping[str, Any]) -> Picture:
        """What it will be once a virtual cluster has what was decided."""
        own, group = decision.member.name, self.group.name
        new = Allocation(name, decision.namespace, own, group, decision.owner, decision.size, dict(applied), False)
        kept = [item for item in self.views[own].allocations if (item.name, item.group) != (name, group)]
        return replace(self, views={**self.views, own: replace(self.views[own], allocations=(*kept, new))})

    def without(self, names: Collection[str]) -> Picture:
        """What it will be without virtual clusters of the group."""

        def left(view: View) -> View:
            gone = {(name, self.group.name) for name in names}
            return replace(view, allocations=tuple(i for i in view.allocations if (i.name, i.group) not in gone))

        views = {own: left(view) for own, view in self.views.items()}
        return replace(self, views=views, others=[left(view) for view in self.others])

    @property
    def exempt(self) -> set[str]:
        return {name for name, group in self.known.items() if group.owner_quota.exempt}

    def of(self, name: str) -> Allocation | None:
        """The virtual cluster of this name in the group.

        Raises NestedClustersError where there are two, or where its host cluster has no record of the group.
        """
        found = [item for item in self.allocations if (item.name, item.group) == (name, self.group.name)]
        if len(found) > 1:
            places = ", ".join(f"{item.host_cluster} (namespace {item.namespace})" for item in found)
            raise NestedClustersError(
                f"group {self.group.name} has two virtual clusters {name}: on {places}; delete one of them with a task "
                "without group, for its host cluster and namespace"
            )
        if found and found[0].host_cluster not in self.views:
            raise NestedClustersError(
                f"virtual cluster {name} lives on host cluster {found[0].host_cluster}, which has no record of group "
                f"{self.group.name}: run the group's vcluster_group task again"
            )
        return found[0] if found else None


@dataclass(frozen=True)
class Decision:
    """Where a virtual cluster goes or is, and what it shall have there."""

    member: Member
    kubernetes: Kubernetes
    namespace: str
    owner: str
    size: Size
    current: Allocation | None
    placement: Placement | None  # None where nothing had to be placed

    def describe(self, check: bool) -> dict[str, Any]:
        """What a group adds to the description of a virtual cluster; with ``check`` what it has now."""
        if not check:
            return {"host_cluster": self.member.name, "owner": self.owner, "size": self.size.as_dict()}
        if self.current is None:
            return {}
        now = self.current
        return {"host_cluster": now.host_cluster, "owner": now.owner, "size": now.size.as_dict()}

    def placement_dict(self) -> dict[str, Any]:
        """The placement as plain data; nothing was considered where it stays where it is."""
        if self.placement:
            return self.placement.as_dict()
        return {"host": self.member.name, "strategy": None, "considered": []}

    @property
    def what(self) -> tuple[Member, str, str, Size]:
        """What a plan is made for."""
        return self.member, self.namespace, self.owner, self.size

    @property
    def takes_more(self) -> bool:
        """Whether somebody else could be taking the same at this moment."""
        return self.placement is not None


class Elsewhere(NestedClustersError):
    """Under the lock something else was decided than what the plan was made for."""


# --- reading ----------------------------------------------------------------------------------------------


def look(host: HostCluster) -> View:
    """One host cluster's records and allocations: two LISTs, whatever it holds."""
    records, namespaces = parallel(
        [
            partial(host.kubernetes.list, path("v1", "configmaps", groups.NAMESPACE), labels=groups.RECORD_LABEL),
            partial(host.kubernetes.list, path("v1", "namespaces"), labels=membership.GROUP_LABEL),
        ]
    )
    found = [(groups.load(record), record["metadata"]["labels"]) for record in records]
    allocations = [membership.allocation(namespace, host.name) for namespace in namespaces]
    return View(
        host,
        {group.name: group for group, _labels in found},
        {group.name: labels.get(groups.HOST_LABEL, "") for group, labels in found},
        tuple(item for item in allocations if item),
    )


def picture(given: Iterable[HostCluster], name: str) -> Picture:
    """What the given host clusters say of group ``name``.

    Raises OptionError where no record of it is found, NestedClustersError where records differ.
    """
    answers = hosts.ask_apart(given, look)
    known = {group.name: group for view in answers.given.values() for group in view.groups.values()}
    records = {view.host.name: view.groups[name] for view in answers.given.values() if name in view.groups}
    if not records:
        answers.all()
        raise OptionError("group", name, ", ".join(sorted(known)) or "none: no group is defined on these host clusters")
    if any(record != next(iter(records.values())) for record in records.values()):
        raise NestedClustersError(
            f"the records of group {name} differ between host clusters {', '.join(sorted(records))}: a change of the "
            "group was not finished; run its vcluster_group task again"
        )
    group = next(iter(records.values()))
    views = {}
    for view in answers.given.values():
        own = view.names.get(name)
        if own is None:
            continue
        if view.host.name not in (own, hosts.ONLY):
            raise OptionError(
                "host_clusters.name", view.host.name, own, reason=f"this host cluster is member {own} of group {name}"
            )
        if own in views:
            raise OptionError("host_clusters", own, "each host cluster once", reason="it is given twice")
        named = tuple(replace(item, host_cluster=own) for item in view.allocations)
        views[own] = replace(view, allocations=named)
    return Picture(
        group,
        views,
        [view for view in answers.given.values() if name not in view.groups],
        {host: error for host, error in answers.failed.items() if group.member(host)},
        known,
        answers.failed,
    )


# --- deciding ---------------------------------------------------------------------------------------------


def decide(seen: Picture, request: Request, asked: Asked) -> Decision:
    """Where the virtual cluster goes or stays, and with what size.

    Checked in this order, each with its own error: the owner's quota, the group's maximum, its minimum, room on a
    host cluster. What does not grow is not checked again. Raises OptionError or capacity.Refused.
    """
    group, current = seen.group, seen.of(request.name)
    _check_identity(seen, request, asked, current)
    if asked.oidc and not group.oidc:
        raise OptionError("export_kubeconfig.user", "oidc", "admin", reason=f"group {group.name} has no oidc settings")
    stays = current is not None and not (current.kept or current.deleting)  # else it is made anew
    before = current.owner if current and not current.deleting else ""
    owner = asked.owner if asked.owner is not None else before
    size = asked.size.filled(_size_before(group, current))
    for resource in ("cpu", "memory"):
        if getattr(size, resource) == 0:  # what has neither counts as no virtual cluster
            raise OptionError(f"size.{resource}", "0", "more than 0", reason="a control plane needs some")
    if current and stays and (size, owner) == (current.size, current.owner):
        view = seen.views[current.host_cluster]
        member = group.member(current.host_cluster) or Member(current.host_cluster)
        return Decision(member, view.host.kubernetes, current.namespace, owner, size, current, None)
    if not stays:
        _check_open(seen, asked, owner)
    if current and current.kept and not (asked.force or current.deleting):
        _check_kept(current, size)
    held = current.size if current and current.owner == owner else None
    capacity.check_owner_quota(
        owner,
        request.name,
        size,
        group.owner_quota,
        seen.allocations,
        seen.exempt,
        group=group.name,
        current=held,
    )
    capacity.check_size(size, *_bounds(group, size, current))
    namespace = current.namespace if current else request.namespace
    place = _resize(seen, size, current) if current else _place(seen, request, asked, size)
    if place.host is None:
        raise place.refusal()
    view = seen.views[place.host]
    if current is None:
        _check_free(view, request)
    elif not (asked.force or current.deleting):
        check_in_use(view.host.kubernetes, request.name, current, size)
    chosen = next(member for member in group.members if member.name == place.host)
    return Decision(chosen, view.host.kubernetes, namespace, owner, size, current, place)


def _size_before(group: Group, current: Allocation | None) -> Size:
    """What a virtual cluster has where its task does not say: its own size, or the group's default."""
    if current is None or current.deleting:
        return group.default
    if current.kept:  # its volumes are what is left of it
        return replace(group.default, storage=group.default.maximum(current.size).storage)
    return current.size


def _check_kept(current: Allocation, size: Size) -> None:
    """Refuse a smaller share of storage than that of the volumes that were kept: they would not be counted."""
    if "storage" in current.size.fits_in(size):
        had, asked = current.size.as_dict()["storage"], size.as_dict()["storage"]
        raise OptionError(
            "size.storage",
            asked,
            f"{had} or more, or force: true",
            reason=f"the kept volumes of virtual cluster {current.name} have a share of {had}",
        )


def _bounds(group: Group, size: Size, current: Allocation | None) -> tuple[Size, Size]:
    """(minimum, maximum) for what changes: what a virtual cluster has already may be outside of newer bounds."""
    if current is None or current.kept or current.deleting:
        return group.minimum, group.maximum
    same = {name for name, amount in size.items() if amount == getattr(current.size, name)}
    minimum, maximum = (
        Size(**{name: None if name in same else amount for name, amount in bound.items()})
        for bound in (group.minimum, group.maximum)
    )
    return minimum, maximum


def _check_identity(seen: Picture, request: Request, asked: Asked, current: Allocation | None) -> None:
    """Refuse what would be another virtual cluster than the one that is there."""
    if current is None:
        same = (request.name, request.namespace)
        other = next((item for item in seen.allocations if (item.name, item.namespace) == same), None)
        if other:
            raise OptionError(
                "group",
                asked.group,
                other.group,
                reason=f"virtual cluster {request.name} is in group {other.group}, and does not move to another",
            )
        if seen.failed and asked.host_cluster is None:
            names = ", ".join(sorted(seen.failed))
            reasons = "; ".join(f"{name}: {error}" for name, error in sorted(seen.failed.items()))
            raise NestedClustersError(
                f"virtual cluster {request.name} is on none of the host clusters that answer, but may be on {names} "
                f"({reasons}); to make it anew on another one in any case, name that with host_cluster",
                failed_host_clusters=sorted(seen.failed),
            )
        return
    check_host_cluster(asked.host_cluster, current)


def check_host_cluster(asked: str | None, current: Allocation) -> None:
    """Refuse another host cluster than the one that a virtual cluster is on."""
    if asked not in (None, current.host_cluster):
        raise OptionError(
            "host_cluster",
            asked,
            current.host_cluster,
            reason=f"virtual cluster {current.name} lives there, and does not move to another host cluster",
        )


def _check_free(view: View, request: Request) -> None:
    """Refuse a namespace in which another virtual cluster, or its volumes, have their share."""
    for item in view.allocations:
        if item.namespace == request.namespace:
            raise OptionError(
                "namespace",
                request.namespace,
                "a namespace without another virtual cluster",
                reason=f"virtual cluster {item.name} of group {item.group} has it on host cluster {item.host_cluster}",
            )


def _check_open(seen: Picture, asked: Asked, owner: str) -> None:
    """Refuse a new virtual cluster where the group takes none."""
    group = seen.group
    if asked.host_cluster is not None and group.member(asked.host_cluster) is None:
        names = ", ".join(sorted(member.name for member in group.members))
        raise OptionError("host_cluster", asked.host_cluster, names, reason=f"it is no member of group {group.name}")
    if not owner and group.owner_quota.limits:
        raise OptionError("owner", None, "who the virtual cluster is for", reason=f"group {group.name} has a quota")
    behind = groups.waiting_for_upgrade(group, seen.allocations)
    if behind:
        raise NestedClustersError(
            f"group {group.name} is locked to vCluster {group.vcluster_version}, and {', '.join(behind)} "
            f"{'runs' if len(behind) == 1 else 'run'} another version: upgrade them first (playbook "
            "nested.clusters.upgrade, or their vcluster tasks), or set the lock back; new virtual clusters are refused "
            "until then",
            pending_upgrade=behind,
        )


def _candidate(member: Member, group: Group, view: View, nodes: list[dict[str, Any]]) -> Candidate:
    usable = capacity.capacity(nodes, member.capacity, member.node_selector)
    return Candidate(
        member.name,
        capacity.limit(usable, group.oversubscription),
        capacity.total(view.allocations),
        capacity.why_no_nodes(nodes, member.node_selector),
    )


def _resize(seen: Picture, size: Size, current: Allocation) -> Placement:
    member = next(member for member in seen.group.members if member.name == current.host_cluster)
    view = seen.views[current.host_cluster]
    nodes = view.host.kubernetes.list(path("v1", "nodes"))
    return placement.room(size, current.size, _candidate(member, seen.group, view, nodes))


def _place(seen: Picture, request: Request, asked: Asked, size: Size) -> Placement:
    """Choose among all members; one that holds this virtual cluster already, made without a group, keeps it."""
    answers = hosts.ask(
        [HostCluster(name, view.host.kubernetes) for name, view in seen.views.items()],
        lambda host: (host.kubernetes.list(path("v1", "nodes")), _made_before(host.kubernetes, request)),
    )
    candidates = []
    failed = {**seen.failed, **answers.failed}
    for member in seen.group.members:
        if member.name in answers.given:
            nodes, _there = answers.given[member.name]
            candidates.append(_candidate(member, seen.group, seen.views[member.name], nodes))
            continue
        why = (
            f"cannot be asked: {failed[member.name]}"
            if member.name in failed
            else "is not among the task's host clusters"
        )
        candidates.append(Candidate(member.name, Size.zero(), Size.zero(), why))
    there = [name for name, (_nodes, made) in answers.given.items() if made]
    pinned = asked.host_cluster or (there[0] if len(there) == 1 else None)
    if there and pinned not in there:
        raise OptionError(
            "host_cluster",
            asked.host_cluster,
            ", ".join(there),
            reason=f"virtual cluster {request.name} lives there, made without a group",
        )
    return placement.place(size, candidates, seen.group.placement, pinned)


def _made_before(kubernetes: Kubernetes, request: Request) -> bool:
    """Whether a virtual cluster of this name is there that is in no group."""
    release = f"owner=helm,name={request.name}"
    return bool(kubernetes.list(path("v1", "secrets", request.namespace), labels=release, metadata_only=True))


def check_in_use(kubernetes: Kubernetes, name: str, current: Allocation, size: Size) -> None:
    """Refuse to shrink below what is in use. Raises capacity.Refused with the figures."""
    shrinking = current.size.fits_in(size)
    if not shrinking:
        return
    used = used_by(kubernetes.get(path("v1", "resourcequotas", current.namespace, membership.object_name(name))))
    for resource in [resource for resource in used.fits_in(size) if resource in shrinking]:
        in_use, wanted = used.as_dict()[resource], size.as_dict()[resource]
        raise capacity.Refused(
            f"size.{resource}: {wanted} is asked for, and virtual cluster {name} uses {in_use}: make it use less, or "
            "shrink it all the same with force: true (what runs goes on; what starts anew may find no room)",
            check="in_use",
            resource=resource,
            asked=wanted,
            in_use=in_use,
            by=[name],
        )


def used_by(quota: Mapping[str, Any] | None) -> Size:
    """What a virtual cluster's ResourceQuota counts: the larger of requests and limits; nothing where there is none."""
    used = ((quota or {}).get("status") or {}).get("used") or {}
    amounts = {}
    for resource, keys in membership.QUOTA_KEYS.items():
        counted = [quantity(used.get(key)) or Decimal(0) for key in keys]
        unit = Decimal("0.001") if resource == "cpu" else Decimal(1)
        amounts[resource] = max(counted).quantize(unit, ROUND_CEILING)  # a container may ask for a part of a byte
    return Size(**amounts)


# --- doing ------------------------------------------------------------------------------------------------


def present(
    given: list[HostCluster],
    open_helm: Callable[[Kubernetes], Helm],
    request: Request,
    asked: Asked,
    *,
    check: bool,
    wait: float | None,
    kubeconfig: bool = False,
    first: Picture | None = None,
) -> tuple[Outcome, Decision, Picture]:
    """Bring a virtual cluster of a group to what the request, the group and its size say.

    ``first`` is a picture that the caller has just taken. Raises what ``lifecycle.present`` does, capacity.Refused, and
    OptionError; all of them before anything is changed, except where waiting or Helm fails.
    """
    for attempt in range(ATTEMPTS):
        seen = first if first and not attempt else picture(given, asked.group)
        decision = decide(seen, request, asked)
        full = complete(request, seen.group, decision, asked.ahead)
        try:
            outcome = lifecycle.present(
                decision.kubernetes,
                partial(open_helm, decision.kubernetes),
                full,
                check=check,
                wait=wait,
                kubeconfig=kubeconfig,
                reserve=partial(_reserve, given, request, asked, decision, full, seen.group)
                if decision.takes_more
                else None,
            )
        except (Elsewhere, ledger.TooLate):
            continue
        return outcome, decision, seen
    raise NestedClustersError(
        f"virtual cluster {request.name}: each of {ATTEMPTS} times somebody else was faster; run the task again"
    )


def complete(request: Request, group: Group, decision: Decision, ahead: bool = False) -> Request:
    """The request with all that its group and size add to it."""
    name, namespace = request.name, decision.namespace
    before = _request_before(decision, name)
    own = request.values if request.values is not None else before["values"]
    own_kubernetes = request.kubernetes_version or before["kubernetes_version"]
    own_options = request.control_plane.over(ControlPlane.of(before))
    if before["made"]:  # a backing store is for life: the group's is that of new virtual clusters
        group = replace(group, backing_store={})
    else:
        group = replace(group, backing_store=_for_name(group.backing_store, name))
    options = own_options.over(group.control_plane)
    chosen = replace(own_options, backing_store=options.backing_store)
    options.check_form()
    options.check_values(values.merge(dict(group.values), own))
    if (
        request.vcluster_version
        and group.vcluster_version
        and not ahead
        and not _same(request.vcluster_version, group.vcluster_version)
    ):
        raise OptionError(
            "vcluster_version",
            request.vcluster_version,
            group.vcluster_version,
            reason=f"group {group.name} is locked to this version",
        )
    found = layers.layers(group, decision.member, name, own, own_options)
    merged = layers.merge(found)
    layers.check_room(merged, decision.size)
    origins = layers.origins(found)
    kubernetes_version = own_kubernetes or group.kubernetes_version
    if kubernetes_version:  # laid over the values
        where = kubernetes_version_at(compatibility.distribution_of(merged))
        origins[where] = "request" if own_kubernetes else "group"
    return replace(
        request,
        namespace=namespace,
        vcluster_version=request.vcluster_version or group.vcluster_version,
        kubernetes_version=kubernetes_version,
        values=merged,
        control_plane=options,
        origins=origins,
        leaving=decision.current is not None and decision.current.deleting,
        membership=Membership(
            group=group.name,
            owner=decision.owner,
            size=decision.size,
            applied=groups.applied(group, decision.member),
            request={"values": own, "kubernetes_version": own_kubernetes, **chosen.as_dict()},
            limit_range=not layers.limits_containers(merged),
        ),
    )


def _request_before(decision: Decision, name: str) -> dict[str, Any]:
    """What earlier tasks asked for, and whether it was made; of one without a group, all its values."""
    if decision.current and decision.current.deleting:  # what is there goes, and it is made anew
        return {"values": {}, "kubernetes_version": None, "made": False}
    kubernetes, namespace = decision.kubernetes, decision.namespace
    stored = kubernetes.get(path("v1", "secrets", namespace, membership.object_name(name)))
    if stored:
        return {**membership.stored_request(stored), "made": True}
    secrets = kubernetes.list(path("v1", "secrets", namespace), labels=f"owner=helm,name={name}")
    newest = newest_releases(secrets).get(name)
    release = decode_release(newest) if newest else None
    # With the label, it has the group's values already, and nobody knows which are its own.
    without_group = release is not None and membership.GROUP_LABEL not in release.labels
    own = layers.with_claims(release.values) if release and without_group else {}
    return {"values": own, "kubernetes_version": None, "made": release is not None}


def _for_name(backing_store: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The backing store of a group for one of its virtual clusters."""
    endpoint = backing_store.get("endpoint")
    return {**backing_store, "endpoint": endpoint.replace("*", name)} if endpoint else dict(backing_store)


def _same(left: str, right: str) -> bool:
    return left.removeprefix("v") == right.removeprefix("v")


def _reserve(
    given: list[HostCluster], request: Request, asked: Asked, planned: Decision, full: Request, group: Group, plan: Plan
) -> None:
    """Take what the plan needs, under the locks of all host clusters, or raise what keeps it from being taken."""
    if plan.create_namespace:
        lifecycle.wait_until_free(planned.kubernetes, planned.namespace, request.patience)
    with ledger.locked(lock_order(picture(given, asked.group))) as lock:
        seen = picture(given, asked.group)
        decision = decide(seen, request, asked)
        if seen.group != group or decision.what != planned.what:
            raise Elsewhere(f"virtual cluster {request.name}: what is decided now is not what was planned")
        lock.check()
        if full.membership:  # as complete() gave it
            _write(planned.kubernetes, full, full.membership, decision)


def reserve(
    given: Sequence[HostCluster], group: str, wanted: Sequence[tuple[Request, Asked]]
) -> tuple[set[str], dict[str, NestedClustersError]]:
    """Take what several virtual clusters need, one after another under one hold of the locks.

    Returns the names of those whose namespaces were created, and why others cannot have what they ask for. Raises
    ledger.TooLate where somebody else may be writing by now: what is written stays, and the rest can be tried again.
    """
    new: set[str] = set()
    refused: dict[str, NestedClustersError] = {}
    with ledger.locked(lock_order(picture(given, group))) as lock:
        # Read once under the lock: nobody else takes anything meanwhile.
        seen = picture([HostCluster(host.name, Snapshot(host.kubernetes)) for host in given], group)
        for request, asked in wanted:
            try:
                decision = decide(seen, request, asked)
                full = complete(request, seen.group, decision, asked.ahead)
                if full.membership is None or not decision.takes_more:
                    continue
                lock.check()
                if _write(live(decision.kubernetes), full, full.membership, decision):
                    new.add(request.name)
                seen = seen.having(request.name, decision, full.membership.applied)
            except ledger.TooLate:
                raise
            except NestedClustersError as error:
                refused[request.name] = error
    return new, refused


def lock_order(seen: Picture) -> list[tuple[str, Kubernetes]]:
    """The host clusters to lock, with their IDs: those of other groups as well, where owners may have something."""
    found = {}
    for view in [*seen.views.values(), *seen.others]:
        for group, own in view.names.items():
            member = view.groups[group].member(own)
            if member:
                found[member.id] = view.host.kubernetes
    return list(found.items())


def _write(kubernetes: Kubernetes, full: Request, wanted: Membership, decision: Decision) -> bool:
    """The reservation: a namespace, or on the one that is there the most of what it has and what it shall have.

    Returns whether the namespace is new.
    """
    where = path("v1", "namespaces", None, full.namespace)
    there = kubernetes.get(where)
    if there is None:
        kubernetes.create(path("v1", "namespaces"), lifecycle.namespace_of(full))
        return True
    held = decision.current.size if decision.current else Size.zero()
    annotations = wanted.annotations(full.name)
    annotations[membership.SIZE_ANNOTATION] = json.dumps(held.maximum(decision.size).as_dict())
    if decision.current:
        annotations[membership.APPLIED_ANNOTATION] = json.dumps(dict(decision.current.applied), sort_keys=True)
    patch = planning.metadata_patch(there, wanted.labels(), annotations)
    if patch:
        kubernetes.patch(where, {"metadata": patch})
    return False


def find(given: list[HostCluster], name: str, group: str) -> tuple[Picture, Allocation | None]:
    """Where a virtual cluster of a group is; None where it is on no host cluster.

    Raises NestedClustersError where it may be on one that does not answer.
    """
    seen = picture(given, group)
    current = seen.of(name)
    if current is None and seen.failed:
        reasons = "; ".join(f"{host}: {error}" for host, error in sorted(seen.failed.items()))
        raise NestedClustersError(
            f"virtual cluster {name} is on none of the host clusters that answer, but may be on another: {reasons}",
            failed_host_clusters=sorted(seen.failed),
        )
    return seen, current
