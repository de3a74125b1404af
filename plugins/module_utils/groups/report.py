# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cluster groups as they are: their host clusters in numbers, and their virtual clusters.

Each host cluster is read with a fixed number of requests, however many virtual clusters it has; the rest is pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from functools import partial
from typing import Any

from ..common import well_known
from ..common.errors import NestedClustersError, OptionError
from ..common.size import Amount, Size, quantity
from ..k8s import host_clusters
from ..k8s.client import Kubernetes, parallel
from ..k8s.errors import KubernetesError
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import Object, path
from ..listing import readers
from ..listing.observed import ClusterKey
from ..scheduling import capacity as capacities
from ..scheduling import placement
from ..scheduling.capacity import HostLoad
from ..scheduling.placement import Candidate
from ..virtual_cluster import membership
from ..virtual_cluster.membership import Allocation
from ..virtual_cluster.workloads import timestamp
from . import pending as group_pending
from . import record as group_records
from .model import Group, Member

RESERVED = "reserved"  # phase of a virtual cluster without a workload, beside those of ``phase.PHASES``
REQUESTS, METRICS = "requests", "metrics"  # where what is used is known from
UNKNOWN = Size(None, None, None)

_QUOTAS = ",".join(["app=vcluster", *(f"{key}={value}" for key, value in well_known.MANAGED_BY.items())])
_THOUSANDTH = Decimal("0.001")
_AT_ONCE = 4  # connections to a host cluster: most answers are short


@dataclass(frozen=True)
class AllocatedCluster:
    """What has a share of a host cluster: a virtual cluster of any group, or the volumes that one left.

    ``workload`` is the virtual cluster as ``description.describe`` gives it, None where none runs yet.
    """

    allocation: Allocation
    workload: Mapping[str, Any] | None
    created: str  # the namespace
    used: Size

    @property
    def phase(self) -> str:
        if self.allocation.deleting:
            return "deleting"
        return self.workload["phase"] if self.workload else RESERVED


@dataclass(frozen=True)
class HostFleet:
    """What one host cluster says."""

    name: str  # that the task gives it
    groups: Mapping[str, Group]
    names: Mapping[str, str]  # by group: its own name there
    nodes: list[Object] | None  # None: they may not be listed
    claimants: tuple[AllocatedCluster, ...]
    used_from: str | None
    uncounted: str  # why it is not known what is allocated; "" where it is
    warnings: tuple[str, ...]

    @property
    def allocated(self) -> Size:
        if self.uncounted:
            return UNKNOWN
        return capacities.total(item.allocation for item in self.claimants)

    @property
    def used(self) -> Size:
        return UNKNOWN if self.uncounted else sum((item.used for item in self.claimants), Size.zero())


# --- reading ----------------------------------------------------------------------------------------------


def read(given: Iterable[HostCluster], name: str | None, now: datetime) -> tuple[list[dict[str, Any]], list[str]]:
    """(the groups of the given host clusters, or the one of that name, as plain data; warnings).

    A host cluster that does not answer is in the result as such. Raises NestedClustersError where none answers, and
    OptionError where one is given twice.
    """
    with readers.garbage_collection_paused():
        answers = host_clusters.ask(given, partial(look, now=now))
        return report(answers.some(), answers.failed, name, now)


def look(host: HostCluster, now: datetime) -> HostFleet:
    """Everything that one host cluster says: a LIST of each kind.

    Pods and Events are asked for only while something is not running, claims of volumes only where there is no quota
    that counts them. Raises NestedClustersError where records, namespaces or workloads cannot be read.
    """
    kubernetes = host.kubernetes
    reader = readers.Reader(kubernetes, None, advice="")
    stateful_sets, deployments, namespaces, quotas, metrics, records, nodes = parallel(
        [
            *readers.ask_workloads(reader, readers.Selection()),
            partial(kubernetes.list, path("v1", "namespaces"), labels=well_known.GROUP_LABEL),
            partial(reader.optional, "v1", "resourcequotas", _QUOTAS),
            partial(_metrics, kubernetes),
            partial(kubernetes.list, path("v1", "configmaps", well_known.NAMESPACE), labels=well_known.RECORD_LABEL),
            partial(reader.optional, "v1", "nodes"),
        ],
        _AT_ONCE,
    )
    known, names, broken_records = _records(records)
    allocations, broken = _allocations(namespaces, host.name)
    keys = {(item.namespace, item.name) for item in allocations}
    workloads = [
        item for item in readers.of_lists(stateful_sets, deployments) if readers.key_of(item) in keys
    ]
    described = readers.describe_all(reader, readers.Selection(), workloads, now)
    counted = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in quotas}
    claims = _claims(kubernetes, reader, allocations, counted)
    measured = _measured(metrics, {item.namespace for item in allocations}) if metrics else None
    of_workload = {(item["namespace"], item["name"]): item for item in described}
    created = {item["metadata"]["name"]: item["metadata"]["creationTimestamp"] for item in namespaces}
    claimants = tuple(
        _claimant(
            item,
            of_workload.get((item.namespace, item.name)),
            created[item.namespace],
            counted.get((item.namespace, membership.object_name(item.name))),
            measured,
            claims,
        )
        for item in allocations
    )
    used_from = METRICS if metrics else None if "resourcequotas" in reader.refused else REQUESTS
    warnings = [*broken_records, *broken, *reader.warnings()]
    return HostFleet(
        name=host.name,
        groups=known,
        names=names,
        nodes=None if "nodes" in reader.refused else nodes,
        claimants=claimants,
        used_from=used_from,
        uncounted="; ".join(broken),
        warnings=(*warnings, *_without_quota(claimants, used_from)),
    )


def _metrics(kubernetes: Kubernetes) -> list[Object]:
    """What pods use now; none where nobody measures it, where that does not work, or where it may not be read."""
    try:
        return kubernetes.list(path("metrics.k8s.io/v1beta1", "pods"))
    except KubernetesError:  # of an API beside the API server, which answers the other questions
        return []


def _records(records: Iterable[Object]) -> tuple[dict[str, Group], dict[str, str], list[str]]:
    """(groups; their names for this host cluster; what cannot be read)."""
    known, names, broken = {}, {}, []
    for record in records:
        try:
            group = group_records.load(record)
        except NestedClustersError as error:
            broken.append(str(error))
            continue
        known[group.name] = group
        names[group.name] = record["metadata"]["labels"].get(well_known.HOST_LABEL, "")
    return known, names, broken


def _allocations(namespaces: Iterable[Object], host: str) -> tuple[list[Allocation], list[str]]:
    """(what can be counted, what cannot)."""
    found, broken = [], []
    for namespace in namespaces:
        try:
            allocation = membership.allocation(namespace, host)
        except NestedClustersError as error:
            broken.append(str(error))
            continue
        if allocation:
            found.append(allocation)
    return found, broken


def _claims(
    kubernetes: Kubernetes,
    reader: readers.Reader,
    allocations: Iterable[Allocation],
    counted: Mapping[ClusterKey, Object],
) -> dict[str, Decimal] | None:
    """Storage claimed in namespaces that have no quota which counts it; None where it may not be read."""
    open_ones = {
        item.namespace for item in allocations if (item.namespace, membership.object_name(item.name)) not in counted
    }
    if not open_ones:
        return {}
    only = readers.Reader(kubernetes, next(iter(open_ones)) if len(open_ones) == 1 else None)
    found: dict[str, Decimal] = defaultdict(Decimal)
    for claim in only.optional("v1", "persistentvolumeclaims"):
        requests = ((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}
        found[claim["metadata"]["namespace"]] += quantity(requests.get("storage")) or 0
    reader.refused |= only.refused
    return None if only.refused else found


# --- what is used -----------------------------------------------------------------------------------------


def _claimant(
    item: Allocation,
    workload: Mapping[str, Any] | None,
    created: str,
    quota: Object | None,
    measured: Mapping[str, Size] | None,
    claims: Mapping[str, Decimal] | None,
) -> AllocatedCluster:
    found = AllocatedCluster(item, workload, created, UNKNOWN)
    usage = None if measured is None else measured.get(item.namespace, Size.zero())
    claimed = None if claims is None else claims.get(item.namespace, Decimal(0))
    return AllocatedCluster(item, workload, created, used(found.phase, quota, usage, claimed))


def used(phase: str, quota: Object | None, usage: Size | None, claimed: Amount) -> Size:
    """What a virtual cluster in this phase uses: CPU and memory of its pods, and the storage that it claims.

    CPU and memory are ``usage``, what is measured, else what pods request by ``quota``. The quota counts claims;
    ``claimed`` are they where there is none. None is what nobody knows.
    """
    requested = None
    if quota:
        counts = (quota.get("status") or {}).get("used") or {}  # none: it is so new that nothing has been counted
        amounts = [quantity(counts.get(f"requests.{name}", "0")) for name in ("cpu", "memory", "storage")]
        requested = Size(*amounts)
    running = usage or requested
    if phase in ("paused", RESERVED) or (phase == "deleting" and running is None):
        running = Size.zero()
    running = running or UNKNOWN
    return Size(running.cpu, running.memory, requested.storage if requested else claimed)


def _measured(metrics: Iterable[Object], namespaces: set[str]) -> dict[str, Size]:
    """CPU (to the next thousandth) and memory of all pods in namespaces."""
    cpu: dict[str, Decimal] = defaultdict(Decimal)
    memory: dict[str, Decimal] = defaultdict(Decimal)
    for pod in metrics:
        namespace = pod["metadata"]["namespace"]
        if namespace in namespaces:
            for container in pod.get("containers") or []:
                usage = container.get("usage") or {}
                cpu[namespace] += quantity(usage.get("cpu")) or 0
                memory[namespace] += quantity(usage.get("memory")) or 0
    return {
        namespace: Size(cpu[namespace].quantize(_THOUSANDTH, ROUND_CEILING), memory[namespace], None)
        for namespace in cpu
    }


def _without_quota(claimants: Iterable[AllocatedCluster], used_from: str | None) -> list[str]:
    missing = sorted(item.allocation.name for item in claimants if item.used.cpu is None)
    if not missing or used_from is None:
        return []
    return [
        f"nothing counts what {', '.join(missing)} {'uses' if len(missing) == 1 else 'use'}: ResourceQuota "
        f"{membership.object_name('NAME')} of the namespace is gone; the vcluster task makes it anew"
    ]


# --- summing up -------------------------------------------------------------------------------------------


def report(
    fleets: Mapping[str, HostFleet], failed: Mapping[str, NestedClustersError], name: str | None, now: datetime
) -> tuple[list[dict[str, Any]], list[str]]:
    """(groups as plain data, sorted by name; warnings), from what host clusters say and why others do not."""
    warnings = [f"host cluster {host}: {error}" for host, error in sorted(failed.items())]
    warnings += [f"host cluster {host}: {text}" for host, found in sorted(fleets.items()) for text in found.warnings]
    records: dict[str, list[Group]] = defaultdict(list)
    for found in fleets.values():
        for group in found.groups.values():
            records[group.name].append(group)
    described = []
    for own, versions in sorted(records.items()):
        if name in (None, own):
            newest = max(versions, key=lambda group: group.generation)
            members = _members(newest, fleets)
            described.append(_group(newest, members, fleets, failed, now))
            warnings += _group_warnings(newest, versions, members, failed)
    return described, warnings + _homeless(fleets, records, name)


def _members(group: Group, fleets: Mapping[str, HostFleet]) -> dict[str, HostFleet]:
    """The host clusters of a group that answered, by the name that the group gives them."""
    members: dict[str, HostFleet] = {}
    for found in fleets.values():
        own = found.names.get(group.name)
        if own in members:
            raise OptionError("host_clusters", own, "each host cluster once", reason="it is given twice")
        if own:
            members[own] = found
    known = {found.name for found in members.values()}
    for member in group.members:  # one that has no record yet, or no more
        if member.name in fleets.keys() - known:
            members.setdefault(member.name, fleets[member.name])
    return members


def _group_warnings(
    group: Group, versions: list[Group], members: Mapping[str, HostFleet], failed: Mapping[str, NestedClustersError]
) -> list[str]:
    warnings = []
    if any(other != group for other in versions):
        warnings.append(
            f"the records of group {group.name} differ between host clusters, and the newest one is shown: a change "
            "of the group was not finished; run its vcluster_group task again"
        )
    absent = sorted(member.name for member in group.members if member.name not in members and member.name not in failed)
    if absent:
        warnings.append(f"group {group.name}: {', '.join(absent)} not asked, not being among the task's host clusters")
    return warnings


def _homeless(fleets: Mapping[str, HostFleet], records: Mapping[str, Any], name: str | None) -> list[str]:
    """A warning for each group that is gone, with virtual clusters left in it."""
    left: dict[str, list[str]] = defaultdict(list)
    for found in fleets.values():
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
    members: Mapping[str, HostFleet],
    fleets: Mapping[str, HostFleet],
    failed: Mapping[str, NestedClustersError],
    now: datetime,
) -> dict[str, Any]:
    names = {found.name: own for own, found in members.items()}
    living = [
        (names.get(found.name, found.name), item)
        for found in fleets.values()
        for item in found.claimants
        if item.allocation.group == group.name
    ]
    behind = group_pending.waiting_for_upgrade(group, [item.allocation for _host, item in living])
    loads = {
        member.name: _load(group, member, members[member.name]) for member in group.members if member.name in members
    }
    quota, pending = group.owner_quota, _pending(group)
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


def _load(group: Group, member: Member, found: HostFleet) -> tuple[HostLoad, str]:
    """(a host cluster in numbers, why it takes no new virtual clusters or "")."""
    why = found.uncounted
    if group.name not in found.groups:
        why = f"it has no record of group {group.name}: run the group's vcluster_group task again"
    there = member.capacity
    if found.nodes is not None:
        why = why or capacities.why_no_nodes(found.nodes, member.node_selector)
        try:
            there = capacities.capacity(found.nodes, member.capacity, member.node_selector)
        except NestedClustersError as error:
            why = why or str(error)
    load = HostLoad(there, capacities.limit(there, group.oversubscription), found.allocated, found.used)
    return load, why or _why_no_room(group, member, load)


def _why_no_room(group: Group, member: Member, load: HostLoad) -> str:
    """Why the smallest virtual cluster that the group allows has no room."""
    candidate = Candidate(member.name, load.limit, load.allocated)
    (considered,) = placement.place(group.minimum.filled(Size.zero()), [candidate]).considered
    return "" if considered.fits else considered.reason


def _host_cluster(
    group: Group,
    member: Member,
    found: HostFleet | None,
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


def _pending(group: Group) -> Callable[[str, Allocation], list[str]]:
    """What of a group a virtual cluster on a host cluster does not have yet; worked out once for all that are alike."""
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
