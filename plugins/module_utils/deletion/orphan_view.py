# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read all that tells what is left over on a host cluster, and which virtual clusters are there.

A virtual cluster is there while it has a control plane, pods of it or of its etcd, or a Helm release that is deployed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from ..common import well_known
from ..common.well_known import NOT_SYNCED, RELEASE_NAME, RELEASE_NAMESPACE
from ..groups import group_lock
from ..k8s.client import Kubernetes, list_allowed, parallel
from ..k8s.errors import KubernetesError
from ..k8s.objects import Object, path
from ..listing import contents, host_contents
from ..listing.contents import Contents, ObjectRef, ServedKinds
from ..listing.observed import ClusterKey
from ..listing.outside import CHART_CLUSTER_KINDS
from . import ownership, release_records

REQUIRED = {"statefulsets", "deployments", "secrets", "pods", "persistentvolumeclaims"}


@dataclass(frozen=True)
class View:
    """What one host cluster says. ``mounted`` are (namespace, claim) to the names of the pods that mount it."""

    held: Contents
    there: frozenset[ClusterKey]  # virtual clusters that are there, and Helm releases of other charts that may be
    outside: tuple[ObjectRef, ...]
    volumes: tuple[Object, ...]
    lease: Object | None
    records: tuple[Object, ...]  # ConfigMaps of groups
    mounted: Mapping[ClusterKey, tuple[str, ...]]
    # Of releases of vCluster's chart that are not deployed: where they are, by their records.
    homes: Mapping[ClusterKey, ClusterKey]
    identity: str  # UID of namespace kube-system


def read(kubernetes: Kubernetes, kinds: ServedKinds) -> View:
    """Read everything that judging needs: one LIST for each kind, and a few more for suspects."""
    host, chart, lease, records = parallel(
        [
            partial(host_contents.read_host, kubernetes, None, kinds),
            partial(_of_chart, kubernetes),
            partial(kubernetes.get, f"{group_lock.LEASES}/{group_lock.LEASE}"),
            partial(kubernetes.list, path("v1", "configmaps", well_known.NAMESPACE), labels=well_known.RECORD_LABEL),
        ]
    )
    held: Contents = host.inside
    unseen = {ref.plural for ref in held.unseen} & REQUIRED
    if unseen:  # or everything would seem to be left over
        raise KubernetesError(f"no permission to list {', '.join(sorted(unseen))}: what is in use is not known", 403)
    outside = {(ref.plural, ref.namespace, ref.name): ref for ref in [*host.outside, *chart]}
    there = alive(held)
    unfinished = {key: record for key, record in release_records.newest(held).items() if key not in there}
    homes, others = release_records.homes(kubernetes, unfinished)
    there |= others  # what they have may run, whatever their records say
    possible = (suspects(held, homes, there) | ownership.recorded(held)) - there
    there |= _elsewhere(kubernetes, held, possible, outside.values(), there)
    spaces = sorted({namespace for namespace, _name in possible if _has_pods_or_claims(held, namespace)})
    pods = kubernetes.list(path("v1", "pods", spaces[0] if len(spaces) == 1 else None)) if spaces else []
    return View(
        contents.examined(kubernetes, held, possible),
        frozenset(there | _running(pods)),
        tuple(outside.values()),
        tuple(host.volumes),
        lease,
        tuple(records),
        _mounted(pods),
        homes,
        held.namespaces.get("kube-system", {}).get("metadata", {}).get("uid", ""),
    )


def _has_pods_or_claims(held: Contents, namespace: str) -> bool:
    return any(ref.plural in ("pods", "persistentvolumeclaims") for ref in held.of(namespace))


def _of_chart(kubernetes: Kubernetes) -> list[ObjectRef]:
    """Return cluster-scoped objects of vCluster's chart, also if another tool than helm applied it."""
    labels = f"app=vcluster,release,{NOT_SYNCED}"
    return [
        ObjectRef(*kind, one["metadata"])
        for kind in CHART_CLUSTER_KINDS
        for one in list_allowed(kubernetes, path(*kind), labels=labels)
    ]


def _mounted(pods: Iterable[Object]) -> dict[ClusterKey, tuple[str, ...]]:
    found: dict[ClusterKey, tuple[str, ...]] = defaultdict(tuple)
    for pod in pods:
        meta = pod["metadata"]
        if _has_ended(pod):
            continue
        for volume in pod["spec"].get("volumes") or []:
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim:
                found[meta["namespace"], claim] += (meta["name"],)
    return found


def _running(pods: Iterable[Object]) -> frozenset[ClusterKey]:
    """Return virtual clusters by their pods, which may have outlived their workload.

    A pod that is being deleted makes none: its workload is gone for good, and it follows.
    """
    found = set[ClusterKey]()
    for pod in pods:
        ref = ObjectRef("v1", "pods", pod["metadata"])
        if ref.synced or ref.labels.get("app") not in well_known.APPS or ref.meta.get("deletionTimestamp"):
            continue
        if not _has_ended(pod):
            found |= {(ref.namespace or "", name) for name in ownership.named_by(ref)}
    return frozenset(found)


def _has_ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _elsewhere(
    kubernetes: Kubernetes,
    held: Contents,
    suspects: Collection[ClusterKey],
    outside: Iterable[ObjectRef],
    there: set[ClusterKey],
) -> set[ClusterKey]:
    """Return suspects, and virtual clusters with objects outside of namespaces, with a deployed release elsewhere."""
    speaking = {(ref.annotations.get(RELEASE_NAMESPACE), ref.annotations.get(RELEASE_NAME)) for ref in outside}
    names = {name for _namespace, name in {*suspects, *speaking} - there}
    at_home = ownership.control_planes(held)
    candidates = {
        key: record
        for key, record in release_records.newest(held).items()
        if key in there and key[1] in names and key not in at_home
    }
    return set(release_records.homes(kubernetes, candidates)[0].values())


def alive(held: Contents) -> set[ClusterKey]:
    """Return the virtual clusters that exist: with a control plane, or with a deployed release in their namespace."""
    return ownership.control_planes(held) | release_records.deployed(held)


def suspects(held: Contents, homes: Mapping[ClusterKey, ClusterKey], there: Collection[ClusterKey]) -> set[ClusterKey]:
    """Return every virtual cluster that objects in a namespace name, except for exports of an existing one."""
    found = {key for key, home in homes.items() if key == home}
    alive = {name for _namespace, name in there}
    for namespace, refs in held.inside.items():
        labels = (held.namespaces.get(namespace, {}).get("metadata") or {}).get("labels") or {}
        if well_known.SYNCED_LABEL in labels:  # a virtual cluster of another namespace made it, for what it syncs
            continue
        found |= {
            (namespace, name)
            for ref in refs
            for name in ownership.named_by(ref)
            if not (name in alive and _is_export(ref))
        }
    return found


def _is_export(ref: ObjectRef) -> bool:
    """Return whether it may be the kubeconfig that a virtual cluster keeps in another namespace, as its values say.

    The label with its name is all that vCluster writes on it (source: pkg/util/kubeconfig).
    """
    return ref.plural == "secrets" and well_known.NAME_LABEL in ref.labels and "release" not in ref.labels
