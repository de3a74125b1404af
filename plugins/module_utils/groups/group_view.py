# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what all host clusters say of one cluster group."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from ..common import well_known
from ..common.errors import NestedClustersError, OptionError
from ..k8s.client import parallel
from ..k8s.host_clusters import ONLY, HostCluster, ask_apart
from ..k8s.objects import path
from ..virtual_cluster import membership
from ..virtual_cluster.membership import Allocation
from . import group_records
from .group_lock import LockTarget
from .model import Group


@dataclass(frozen=True)
class HostView:
    """What one host cluster says: the records of groups, which member of them it is, and what is allocated on it."""

    host: HostCluster
    groups: Mapping[str, Group]
    names: Mapping[str, str]  # by group: its own name there
    allocations: tuple[Allocation, ...]


@dataclass
class GroupView:
    """What all given host clusters say of one group."""

    group: Group
    views: dict[str, HostView]  # by the name of the member
    others: list[HostView]  # host clusters that are no members: what owners have there counts as well
    failed: dict[str, NestedClustersError]  # members that did not answer, by name
    known: Mapping[str, Group] = field(default_factory=dict)  # every group there is a record of
    silent: Mapping[str, NestedClustersError] = field(default_factory=dict)  # all that did not answer, by name

    @property
    def allocations(self) -> list[Allocation]:
        return [item for host_view in [*self.views.values(), *self.others] for item in host_view.allocations]

    def uncounted(self) -> list[str]:
        """Return what the owner quota does not count, one sentence for each host cluster that does not answer."""
        if not self.group.owner_quota.limits:
            return []
        return [
            f"host cluster {name} does not answer, so the owner quota does not count what is there: {error}"
            for name, error in sorted(self.silent.items())
        ]

    def with_allocation(self, new: Allocation) -> GroupView:
        """Return the view after a virtual cluster of the group got what was decided."""
        own, same = new.host_cluster, (new.name, new.group)
        kept = [item for item in self.views[own].allocations if (item.name, item.group) != same]
        return replace(self, views={**self.views, own: replace(self.views[own], allocations=(*kept, new))})

    def without(self, names: Collection[str]) -> GroupView:
        """Return the view without these virtual clusters of the group."""

        def left(host_view: HostView) -> HostView:
            gone = {(name, self.group.name) for name in names}
            kept = [item for item in host_view.allocations if (item.name, item.group) not in gone]
            return replace(host_view, allocations=tuple(kept))

        views = {own: left(host_view) for own, host_view in self.views.items()}
        return replace(self, views=views, others=[left(host_view) for host_view in self.others])

    @property
    def exempt(self) -> set[str]:
        return {name for name, group in self.known.items() if group.owner_quota.exempt}

    def of(self, name: str) -> Allocation | None:
        """Return the virtual cluster of this name in the group.

        Raises NestedClustersError where there are two, or where its host cluster has no record of the group.
        """
        found = [item for item in self.allocations if (item.name, item.group) == (name, self.group.name)]
        if len(found) > 1:
            locations = ", ".join(f"{item.host_cluster} (namespace {item.namespace})" for item in found)
            raise NestedClustersError(
                f"group {self.group.name} has two virtual clusters {name}: on {locations}; delete one of them with a "
                "task without group, for its host cluster and namespace"
            )
        if found and found[0].host_cluster not in self.views:
            raise NestedClustersError(
                f"virtual cluster {name} lives on host cluster {found[0].host_cluster}, which has no record of group "
                f"{self.group.name}: run the group's vcluster_group task again"
            )
        return found[0] if found else None


class ClusterInGroup(NamedTuple):
    """A group, and what one virtual cluster of it has; None where it is on no host cluster."""

    view: GroupView
    allocation: Allocation | None


# --- reading ----------------------------------------------------------------------------------------------


def look(host: HostCluster) -> HostView:
    """Return one host cluster's records and allocations: two LISTs, whatever it holds."""
    records, namespaces = parallel(
        [
            partial(
                host.kubernetes.list, path("v1", "configmaps", well_known.NAMESPACE), labels=well_known.RECORD_LABEL
            ),
            partial(host.kubernetes.list, path("v1", "namespaces"), labels=well_known.GROUP_LABEL),
        ]
    )
    found = [(group_records.load(record), record["metadata"]["labels"]) for record in records]
    allocations = [membership.allocation(namespace, host.name) for namespace in namespaces]
    return HostView(
        host,
        {group.name: group for group, _labels in found},
        {group.name: labels.get(well_known.HOST_LABEL, "") for group, labels in found},
        tuple(item for item in allocations if item),
    )


def picture(given: Iterable[HostCluster], name: str) -> GroupView:
    """Return the view of group ``name`` on the given host clusters.

    Raises OptionError where no record of it is found, NestedClustersError where records differ.
    """
    answers = ask_apart(given, look)
    known = {group.name: group for host_view in answers.given.values() for group in host_view.groups.values()}
    members = [host_view for host_view in answers.given.values() if name in host_view.groups]
    records = {host_view.host.name: host_view.groups[name] for host_view in members}
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
    for host_view in answers.given.values():
        own = host_view.names.get(name)
        if own is None:
            continue
        if host_view.host.name not in (own, ONLY):
            message = f"{host_view.host.name} is member {own} of group {name}; use the name {own}"
            raise OptionError("host_clusters.name", host_view.host.name, own, message=message)
        if own in views:
            message = f"{own} is listed twice; list each host cluster once"
            raise OptionError("host_clusters", own, "each host cluster once", message=message)
        named = tuple(replace(item, host_cluster=own) for item in host_view.allocations)
        views[own] = replace(host_view, allocations=named)
    return GroupView(
        group,
        views,
        [host_view for host_view in answers.given.values() if name not in host_view.groups],
        {host: error for host, error in answers.failed.items() if group.member(host)},
        known,
        answers.failed,
    )


def lock_order(view: GroupView) -> list[LockTarget]:
    """Return the host clusters to lock: those of other groups as well, where owners may have something."""
    found = {}
    for host_view in [*view.views.values(), *view.others]:
        for group, own in host_view.names.items():
            member = host_view.groups[group].member(own)
            if member:
                found[member.id] = host_view.host.kubernetes
    return [LockTarget(*item) for item in found.items()]


def find(given: list[HostCluster], name: str, group: str) -> ClusterInGroup:
    """Return where a virtual cluster of a group is.

    Raises NestedClustersError where it may be on one that does not answer.
    """
    view = picture(given, group)
    current = view.of(name)
    if current is None and view.failed:
        reasons = "; ".join(f"{host}: {error}" for host, error in sorted(view.failed.items()))
        raise NestedClustersError(
            f"virtual cluster {name} is on none of the host clusters that answer, but may be on another: {reasons}",
            failed_host_clusters=sorted(view.failed),
        )
    return ClusterInGroup(view, current)
