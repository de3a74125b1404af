# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cluster groups as they are: their host clusters in numbers, and their virtual clusters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from ..common.errors import NestedClustersError, OptionError
from ..common.size import Size
from ..k8s import host_clusters
from ..k8s.host_clusters import HostCluster
from ..listing import readers
from ..scheduling import capacities, placements
from ..scheduling.capacities import HostLoad
from ..scheduling.placements import Candidate
from ..virtual_cluster.membership import Allocation
from ..virtual_cluster.workloads import timestamp
from . import group_pending, group_records
from .host_report import HostReport, look
from .model import Group, Member
from .usage import AllocatedCluster


class Report(NamedTuple):
    """What a module returns: groups as plain data, sorted by name, and warnings."""

    groups: list[dict[str, Any]]
    warnings: list[str]


def read(given: Iterable[HostCluster], name: str | None, now: datetime) -> Report:
    """Return the groups of the given host clusters, or the one of that name.

    A host cluster that does not answer is in the result as such. Raises NestedClustersError where none answers, and
    OptionError where one is given twice.
    """
    with readers.garbage_collection_paused():
        answers = host_clusters.ask(given, partial(look, now=now))
        return summarize(answers.some(), answers.failed, name, now)


def summarize(
    hosts: Mapping[str, HostReport], failed: Mapping[str, NestedClustersError], name: str | None, now: datetime
) -> Report:
    """Return all groups, or the one of a name, from what host clusters say and why others do not."""
    warnings = [f"host cluster {host}: {error}" for host, error in sorted(failed.items())]
    warnings += [f"host cluster {host}: {text}" for host, found in sorted(hosts.items()) for text in found.warnings]
    records: dict[str, list[Group]] = defaultdict(list)
    for found in hosts.values():
        for group in found.groups.values():
            records[group.name].append(group)
    described = []
    for own, versions in sorted(records.items()):
        if name in (None, own):
            newest = max(versions, key=lambda group: group.generation)
            members = _members(newest, hosts)
            described.append(_group(newest, members, hosts, failed, now))
            warnings += _group_warnings(newest, versions, members, failed)
    return Report(described, warnings + _homeless(hosts, records, name))


def _members(group: Group, hosts: Mapping[str, HostReport]) -> dict[str, HostReport]:
    """Return the host clusters of a group that answered, by the name that the group gives them."""
    members: dict[str, HostReport] = {}
    for found in hosts.values():
        own = found.names.get(group.name)
        if own in members:
            message = f"{own} is listed twice; list each host cluster once"
            raise OptionError("host_clusters", own, "each host cluster once", message=message)
        if own:
            members[own] = found
    known = {found.name for found in members.values()}
    for member in group.members:  # one that has no record yet, or no more
        if member.name in hosts.keys() - known:
            members.setdefault(member.name, hosts[member.name])
    return members


def _group_warnings(
    group: Group, versions: list[Group], members: Mapping[str, HostReport], failed: Mapping[str, NestedClustersError]
) -> list[str]:
    warnings = []
    if any(other != group for other in versions):
        warnings.append(
            f"the records of group {group.name} differ between host clusters, and the newest one is shown: a change "
            "of the group was not finished; run its vcluster_group task again"
        )
    absent = sorted(member.name for member in group.members if member.name not in members and member.name not in failed)
    if absent:
        warnings.append(f"group {group.name}: {', '.join(absent)} not read, because host_clusters lacks them")
    return warnings


def _homeless(hosts: Mapping[str, HostReport], records: Mapping[str, Any], name: str | None) -> list[str]:
    """Return a warning for each group that is gone, with virtual clusters left in it."""
    left: dict[str, list[str]] = defaultdict(list)
    for found in hosts.values():
        for item in found.claimants:
            if item.allocation.group not in records and name in (None, item.allocation.group):
                left[item.allocation.group].append(item.allocation.name)
    return [
        f"no host cluster that answers has a record of group {group}, which {', '.join(sorted(names))} "
        f"{'belongs' if len(names) == 1 else 'belong'} to: they are not shown"
        for group, names in sorted(left.items())
    ]


def _group(
    group: Group,
    members: Mapping[str, HostReport],
    hosts: Mapping[str, HostReport],
    failed: Mapping[str, NestedClustersError],
    now: datetime,
) -> dict[str, Any]:
    names = {found.name: own for own, found in members.items()}
    living = [
        (names.get(found.name, found.name), item)
        for found in hosts.values()
        for item in found.claimants
        if item.allocation.group == group.name
    ]
    behind = group_pending.waiting_for_upgrade(group, [item.allocation for _host, item in living])
    loads = {
        member.name: _load(group, member, members[member.name]) for member in group.members if member.name in members
    }
    quota, pending = group.owner_quota, _pending_of(group)
    return {
        **{key: value for key, value in group_records.record(group).items() if key in _FROM_RECORD},
        "owner_quota": quota.as_dict() if quota.limits or quota.exempt else None,
        "pending_upgrade": bool(behind),
        "pending_upgrade_virtual_clusters": behind,
        "host_clusters": [
            _host_cluster(group, member, members.get(member.name), loads.get(member.name), failed.get(member.name))
            for member in sorted(group.members, key=lambda member: member.name)
        ],
        **_figures(HostLoad.total([load for load, _why in loads.values()]) if loads else None),
        "virtual_clusters": [
            _virtual_cluster(host, item, pending(host, item.allocation), now)
            for host, item in sorted(living, key=lambda one: (one[1].allocation.name, one[0]))
            if not item.allocation.kept
        ],
    }


_FROM_RECORD = {
    "name",
    "description",
    "tags",
    "vcluster_version",
    "kubernetes_version",
    "distribution",
    "replicas",
    "backing_store",
    "endpoint",
    "oversubscription",
    "placement",
    "size",
    "oidc",
}


def _load(group: Group, member: Member, found: HostReport) -> tuple[HostLoad, str]:
    """Return (a host cluster in numbers, why it takes no new virtual clusters or "")."""
    why = found.uncounted
    if group.name not in found.groups:
        why = f"it has no record of group {group.name}: run the group's vcluster_group task again"
    capacity = member.capacity
    if found.nodes is not None:
        why = why or capacities.why_no_nodes(found.nodes, member.node_selector)
        try:
            capacity = capacities.capacity(found.nodes, member.capacity, member.node_selector)
        except NestedClustersError as error:
            why = why or str(error)
    load = HostLoad(capacity, capacities.limit(capacity, group.oversubscription), found.allocated, found.used)
    return load, why or _why_no_room(group, member, load)


def _why_no_room(group: Group, member: Member, load: HostLoad) -> str:
    """Return why the smallest virtual cluster of the group does not fit."""
    candidate = Candidate(member.name, load.limit, load.allocated)
    (considered,) = placements.place(group.minimum.filled(Size.zero()), [candidate]).considered
    return "" if considered.fits else considered.reason


def _host_cluster(
    group: Group,
    member: Member,
    found: HostReport | None,
    load: tuple[HostLoad, str] | None,
    error: NestedClustersError | None,
) -> dict[str, Any]:
    if found is None or load is None:
        return {
            "name": member.name,
            "reachable": False,
            "reason": str(error) if error else "it is not among the task's host clusters",
            "nodes": None,
            "dns_pattern": member.dns_pattern,
            "virtual_clusters": None,
            "used_from": None,
            **_figures(None),
        }
    of_group = [item.allocation for item in found.claimants if item.allocation.group == group.name]
    return {
        "name": member.name,
        "reachable": True,
        "reason": load[1],
        "nodes": None if found.nodes is None else len(capacities.usable(found.nodes, member.node_selector)),
        "dns_pattern": member.dns_pattern,
        "virtual_clusters": sum(not item.kept for item in of_group),
        "used_from": found.used_from,
        **_figures(load[0]),
    }


def _figures(load: HostLoad | None) -> dict[str, Any]:
    names = ("capacity", "limit", "allocated", "used", "available")
    return dict.fromkeys(names) if load is None else dict(load.as_dict())


def _pending_of(group: Group) -> Callable[[str, Allocation], list[str]]:
    """Return the group settings that a virtual cluster lacks; computed once for all that are alike."""
    known: dict[tuple[str, str], list[str]] = {}

    def pending(host: str, allocation: Allocation) -> list[str]:
        key, member = (host, str(allocation.applied)), group.member(host)
        if key not in known:
            known[key] = group_pending.pending(group, member, allocation.applied) if member else []
        return known[key]

    return pending


def _virtual_cluster(host: str, item: AllocatedCluster, pending: list[str], now: datetime) -> dict[str, Any]:
    allocation = item.allocation
    told = item.workload or {
        "created": item.created,
        "age": max(0, int((now - timestamp(item.created)).total_seconds())),
        "vcluster_version": None,
        "kubernetes_version": None,
    }
    return {
        "name": allocation.name,
        "namespace": allocation.namespace,
        "host_cluster": host,
        "phase": item.phase,
        "message": told.get("message", ""),
        "owner": allocation.owner,
        "size": allocation.size.as_dict(),
        "used": item.used.as_dict(),
        **{key: told[key] for key in ("created", "age", "vcluster_version", "kubernetes_version")},
        "pending": pending,
    }
