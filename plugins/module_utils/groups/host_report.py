# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read everything that one host cluster says of cluster groups and their virtual clusters, for the report.

A fixed number of requests, however many virtual clusters it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from ..common import well_known
from ..common.errors import NestedClustersError
from ..common.size import Size, quantity
from ..k8s.client import Kubernetes, parallel
from ..k8s.errors import KubernetesError
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import Object, path
from ..listing import readers
from ..listing.observed import ClusterKey
from ..scheduling import capacities
from ..virtual_cluster import membership
from ..virtual_cluster.membership import Allocation
from . import group_records
from .model import Group
from .usage import METRICS, NOT_KNOWN, REQUESTS, AllocatedCluster, Counts, measured, without_quota

_QUOTAS = ",".join(["app=vcluster", *(f"{key}={value}" for key, value in well_known.MANAGED_BY.items())])
_AT_ONCE = 4  # connections to a host cluster: most answers are short


@dataclass(frozen=True)
class HostReport:
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
        """Return what all of them may claim; None where that is not known."""
        if self.uncounted:
            return NOT_KNOWN
        return capacities.total(item.allocation for item in self.claimants)

    @property
    def used(self) -> Size:
        """Return what all of them use; None where that is not known."""
        return NOT_KNOWN if self.uncounted else sum((item.used for item in self.claimants), Size.zero())


class _Records(NamedTuple):
    groups: dict[str, Group]
    names: dict[str, str]  # by group: the host cluster's name there
    broken: list[str]  # what cannot be read


class _Allocations(NamedTuple):
    counted: list[Allocation]
    broken: list[str]  # what cannot be counted


class _Claims(NamedTuple):
    by_namespace: dict[str, Decimal] | None  # None where they may not be read
    refused: set[str]  # kinds that may not be read


def look(host: HostCluster, now: datetime) -> HostReport:
    """Return everything that one host cluster says: a LIST of each kind.

    Pods and Events are asked for only while something is not running, claims of volumes only where there is no quota
    that counts them. Raises NestedClustersError where records, namespaces or workloads cannot be read.
    """
    kubernetes = host.kubernetes
    reader = readers.Reader(kubernetes, None, advice="")
    stateful_sets, deployments, namespaces, quotas, metrics, config_maps, nodes = parallel(
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
    records, allocations = _records(config_maps), _allocations(namespaces, host.name)
    keys = {(item.namespace, item.name) for item in allocations.counted}
    workloads = [item for item in readers.of_lists(stateful_sets, deployments) if readers.key_of(item) in keys]
    described = readers.describe_all(reader, readers.Selection(), workloads, now)
    counted = {(item["metadata"]["namespace"], item["metadata"]["name"]): item for item in quotas}
    claims = _claims(kubernetes, allocations.counted, counted)
    reader.refused |= claims.refused
    usage = measured(metrics, {item.namespace for item in allocations.counted}) if metrics else None
    counts = Counts(counted, usage, claims.by_namespace)
    of_workload = {(item["namespace"], item["name"]): item for item in described}
    created = {item["metadata"]["name"]: item["metadata"]["creationTimestamp"] for item in namespaces}
    claimants = tuple(
        counts.cluster(item, of_workload.get((item.namespace, item.name)), created[item.namespace])
        for item in allocations.counted
    )
    used_from = METRICS if metrics else None if "resourcequotas" in reader.refused else REQUESTS
    warnings = [*records.broken, *allocations.broken, *reader.warnings()]
    return HostReport(
        name=host.name,
        groups=records.groups,
        names=records.names,
        nodes=None if "nodes" in reader.refused else nodes,
        claimants=claimants,
        used_from=used_from,
        uncounted="; ".join(allocations.broken),
        warnings=(*warnings, *without_quota(claimants, used_from)),
    )


def _metrics(kubernetes: Kubernetes) -> list[Object]:
    """Return what pods use now; nothing if that is not measured, does not work, or may not be read."""
    try:
        return kubernetes.list(path("metrics.k8s.io/v1beta1", "pods"))
    except KubernetesError:  # of an API beside the API server, which answers the other questions
        return []


def _records(config_maps: Iterable[Object]) -> _Records:
    found = _Records({}, {}, [])
    for record in config_maps:
        try:
            group = group_records.load(record)
        except NestedClustersError as error:
            found.broken.append(str(error))
            continue
        found.groups[group.name] = group
        found.names[group.name] = record["metadata"]["labels"].get(well_known.HOST_LABEL, "")
    return found


def _allocations(namespaces: Iterable[Object], host: str) -> _Allocations:
    found = _Allocations([], [])
    for namespace in namespaces:
        try:
            allocation = membership.allocation(namespace, host)
        except NestedClustersError as error:
            found.broken.append(str(error))
            continue
        if allocation:
            found.counted.append(allocation)
    return found


def _claims(
    kubernetes: Kubernetes, allocations: Iterable[Allocation], counted: Mapping[ClusterKey, Object]
) -> _Claims:
    """Return the storage claimed in namespaces without a quota that counts it."""
    open_ones = {
        item.namespace for item in allocations if (item.namespace, membership.object_name(item.name)) not in counted
    }
    if not open_ones:
        return _Claims({}, set())
    only = readers.Reader(kubernetes, next(iter(open_ones)) if len(open_ones) == 1 else None)
    found: dict[str, Decimal] = defaultdict(Decimal)
    for claim in only.optional("v1", "persistentvolumeclaims"):
        requests = ((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}
        found[claim["metadata"]["namespace"]] += quantity(requests.get("storage")) or 0
    return _Claims(None if only.refused else found, set(only.refused))
