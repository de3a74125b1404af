# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control planes without a Helm record in their namespace: which there are, and which tool seems to manage them.

A virtual cluster is found by its Helm record. Where that is kept elsewhere, or was lost, Helm would install another
one: over the first, or beside it behind the same Service, where the two delete each other's pods. So before Helm
installs anything, what runs counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..common.errors import NestedClustersError, OptionError
from ..common.well_known import (
    ARGO_CD_INSTANCE,
    ARGO_CD_TRACKING,
    CLUSTER_API_NAME,
    CONTROL_PLANE,
    ETCD,
    FLUX_HELM,
    FLUX_KUSTOMIZE,
    INSTANCE_LABEL,
    MANAGED,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    NAME_ANNOTATION,
    RELEASE_NAME,
    SYNCED_LABEL,
)
from ..helm.release import of_release, release_in
from ..k8s.client import Kubernetes, list_allowed, parallel
from ..k8s.objects import Object, path
from ..k8s.snapshot import live
from .membership import object_name
from .workloads import chart_version

_OF_CHART = f"release,!{SYNCED_LABEL}"
_WORKLOADS = {"StatefulSet": "statefulsets", "Deployment": "deployments"}
_FLUX = {FLUX_HELM: "Flux's HelmRelease", FLUX_KUSTOMIZE: "Flux's Kustomization"}
DELETE_THERE = "delete it there, or if that tool is gone, remove its marks and run the task again"
_LONGEST = 100  # characters of a quote: everyone who may edit in the namespace can have written it


@dataclass(frozen=True)
class Workload:
    """What shows that there is a control plane: a workload, or a pod that runs without one; or that of its etcd."""

    kind: str
    metadata: Mapping[str, Any]

    @property
    def release(self) -> str:
        """Return the name of its virtual cluster."""
        return str(_labels(self.metadata).get("release"))

    @property
    def is_control_plane(self) -> bool:
        return _labels(self.metadata).get("app") == CONTROL_PLANE

    def __str__(self) -> str:
        return f"{self.kind} {self.metadata['name']}"


@dataclass(frozen=True)
class Manager:
    """A tool that manages a control plane; ``evidence`` says how that is known."""

    name: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.name} ({self.evidence})"


# --- what there is ----------------------------------------------------------------------------------------


def control_planes(kubernetes: Kubernetes, namespace: str) -> list[Workload]:
    """Return the control planes of a namespace and their etcd, whatever Helm says of them; control planes come first.

    What is being deleted does not count, nor a pod whose workload is gone: that goes as well. A pod that was left
    behind on purpose (``kubectl delete --cascade=orphan``) does. So does a workload with 0 replicas.
    """
    kinds = [*_WORKLOADS.values(), "pods"]
    versions = [*(["apps/v1"] * len(_WORKLOADS)), "v1"]
    asked = [
        partial(kubernetes.list, path(version, plural, namespace), labels=_OF_CHART)
        for version, plural in zip(versions, kinds, strict=True)
    ]
    *workloads, pods = parallel(asked)
    found = [
        Workload(kind, item["metadata"])
        for kind, items in zip(_WORKLOADS, workloads, strict=True)
        for item in items
        if _is_of_virtual_cluster(item)
    ]
    found = found or [Workload("Pod", pod["metadata"]) for pod in _left_behind(kubernetes, namespace, pods)]
    return sorted(found, key=lambda one: (not one.is_control_plane, str(one)))


def _is_of_virtual_cluster(item: Object) -> bool:
    meta = item["metadata"]
    return _labels(meta).get("app") in (CONTROL_PLANE, ETCD) and not meta.get("deletionTimestamp")


def _left_behind(kubernetes: Kubernetes, namespace: str, pods: Iterable[Object]) -> list[Object]:
    """Return pods of virtual clusters that no workload owns, which nothing creates again or deletes."""
    ended = ("Succeeded", "Failed")
    there = [pod for pod in pods if _is_of_virtual_cluster(pod)]
    alive = [pod for pod in there if (pod.get("status") or {}).get("phase") not in ended]
    owners = {_controller(pod).get("uid") for pod in alive if _controller(pod).get("kind") == "ReplicaSet"}
    left: set[Any] = set()
    if owners:  # those of a Deployment; a ReplicaSet goes with it, unless it was left behind itself
        sets = kubernetes.list(path("apps/v1", "replicasets", namespace), labels=_OF_CHART)
        alone = [one["metadata"] for one in sets if not _controller(one)]
        left = {meta.get("uid") for meta in alone if not meta.get("deletionTimestamp")}
    return [pod for pod in alive if not _controller(pod) or _controller(pod).get("uid") in left]


def _controller(item: Object) -> Mapping[str, Any]:
    owners = item["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), {})


# --- who manages it ---------------------------------------------------------------------------------------


def manager(kubernetes: Kubernetes, workload: Workload, namespace: str) -> Manager | None:
    """Return the tool other than this collection that manages a control plane without a Helm record.

    None if none is seen.
    """
    told = next(_told_by(workload), None)
    stored = _recorded_elsewhere(kubernetes, workload.release, namespace)
    if told and stored:
        return Manager(told.name, f"{told.evidence}; {stored.evidence}")
    return told or stored


def _told_by(workload: Workload) -> Iterator[Manager]:
    """Yield the tools that an object names, the one that decides first."""
    meta = workload.metadata
    labels, annotations = _labels(meta), meta.get("annotations") or {}
    for group, what in _FLUX.items():
        if name := labels.get(f"{group}/name"):
            where = labels.get(f"{group}/namespace") or "(unknown)"
            yield Manager(f"{what} {where}/{name}", f"labels {group}/name and {group}/namespace of {workload}")
    if tracked := annotations.get(ARGO_CD_TRACKING):
        name = f"Argo CD's Application {_shown(tracked.partition(':')[0])}"
        yield Manager(name, _says("annotation", ARGO_CD_TRACKING, workload))
    if name := labels.get(ARGO_CD_INSTANCE):
        yield Manager(f"Argo CD's Application {name}", _says("label", ARGO_CD_INSTANCE, workload))
    for owner in meta.get("ownerReferences") or []:
        name = f"{_shown(owner.get('kind'))} {_shown(owner.get('name'))} ({_shown(owner.get('apiVersion'))})"
        yield Manager(name, f"it is an owner of {workload}")
    if name := labels.get(CLUSTER_API_NAME):
        yield Manager(f"Cluster API's Cluster {name}", _says("label", CLUSTER_API_NAME, workload))
    by = labels.get(MANAGED_BY_LABEL)
    if by and by not in ("Helm", *MANAGED_BY.values()):
        yield Manager(by, _says("label", MANAGED_BY_LABEL, workload))
    if (name := labels.get(INSTANCE_LABEL)) and RELEASE_NAME not in annotations:  # Helm would have written that
        evidence = f"{_says('label', INSTANCE_LABEL, workload)}, and Helm has not made it"
        yield Manager(f"{name}, perhaps an Application of Argo CD", evidence)


def _says(what: str, key: str, workload: Workload) -> str:
    return f"{what} {key} of {workload}"


def _recorded_elsewhere(kubernetes: Kubernetes, name: str, namespace: str) -> Manager | None:
    """Return who keeps the Helm record of a release where this collection does not look; None where it is not found."""
    labels = of_release(name)
    maps, secrets = parallel(
        [
            partial(list_allowed, kubernetes, path("v1", "configmaps", namespace), labels=labels, metadata_only=True),
            partial(list_allowed, kubernetes, path("v1", "secrets"), labels=f"{labels},status!=superseded"),
        ]
    )
    if maps:
        shown = max(maps, key=lambda one: str(one["metadata"].get("creationTimestamp")))["metadata"]["name"]
        return Manager(
            "a user of helm with HELM_DRIVER=configmap",
            f"its Helm record is ConfigMap {_shown(shown)}, and this collection keeps records in Secrets",
        )
    for secret in secrets:
        where = secret["metadata"].get("namespace")
        release = release_in(secret) if where != namespace else None  # what nobody can read is no evidence
        if release and release.is_of(name, namespace):
            return Manager(
                f"a tool that keeps Helm records in namespace {where}",
                f"its Helm record is Secret {secret['metadata']['name']} in namespace {where}",
            )
    return None


# --- refusals ---------------------------------------------------------------------------------------------


def check_free(kubernetes: Kubernetes, name: str, namespace: str) -> None:
    """Refuse to install where a control plane is, for which Helm has no record in the namespace.

    Called only where something would be installed, in a namespace that is there. Raises OptionError where it is that
    of another virtual cluster, NestedClustersError with who manages it, how that is known, and what to do.
    """
    if not control_planes(kubernetes, namespace):
        return
    kubernetes = live(kubernetes)  # a snapshot is some moments old
    found = control_planes(kubernetes, namespace)
    if not found:
        return
    ours = [one for one in found if one.release == name]
    if not ours:
        _refuse_other(kubernetes, found[0], namespace)
    labels = f"{of_release(name)},status!=superseded,status!=uninstalled"
    if kubernetes.list(path("v1", "secrets", namespace), labels=labels, metadata_only=True):
        raise NestedClustersError(
            f"virtual cluster {name} in namespace {namespace}: another task or person is creating it; run the task "
            "again when that is done"
        )
    by = manager(kubernetes, ours[0], namespace)
    if by:
        whose = f"It belongs to {by}: change it there, or choose another namespace"
    else:
        whose = _lost(kubernetes, ours[0], namespace)
    raise NestedClustersError(
        f"virtual cluster {name} in namespace {namespace}: nothing was changed, because {ours[0]} exists without a "
        "Helm record in this namespace. Installing the virtual cluster would overwrite that control plane, or add a "
        f"second one. {whose}",
        managed_by=by.name if by else None,
    )


def check_removable(kubernetes: Kubernetes, workloads: Iterable[Workload], name: str, namespace: str) -> None:
    """Refuse to delete what another tool manages, where Helm has no record in the namespace.

    What that tool knows of it, and its Helm record, would stay, and it could create it again, empty. Where nobody else
    claims it, a lost record is no reason to keep it. Raises NestedClustersError.
    """
    by = next(filter(None, (manager(kubernetes, one, namespace) for one in workloads)), None)
    if by:
        raise NestedClustersError(
            f"virtual cluster {name} in namespace {namespace} was not deleted, because it has no Helm record in this "
            f"namespace and belongs to {by}: {DELETE_THERE}",
            managed_by=by.name,
        )


def _refuse_other(kubernetes: Kubernetes, other: Workload, namespace: str) -> None:
    by = manager(kubernetes, other, namespace)
    whose = f", and belongs to {by}" if by else ""
    raise OptionError(
        "namespace",
        namespace,
        "a namespace without another virtual cluster",
        message=f"{namespace} already contains virtual cluster {other.release}, which has no Helm record there "
        f"({other} exists{whose}), and vCluster supports one per namespace; choose another namespace",
    )


def _lost(kubernetes: Kubernetes, workload: Workload, namespace: str) -> str:
    """Return what to do about one that no tool claims."""
    name = workload.release
    mark = _own_mark(kubernetes, workload, namespace)
    if mark:
        whose = f"This collection created it ({mark}), and its Helm record was lost"
    else:
        whose = "No mark shows which tool created it, or its Helm record was lost"
    version = chart_version({"metadata": workload.metadata}) or "VERSION"
    return (
        f"{whose}. If another tool manages it, change it there. Otherwise restore Secret sh.helm.release.v1.{name}.v… "
        "from a backup, or let helm create a new record of the same chart and values: "
        f"`kubectl -n {namespace} get secret vc-config-{name} "
        "-o go-template='{{index .data \"config.yaml\" | base64decode}}' > values.yaml`, check that nobody has changed "
        "them (everyone who may write Secrets in the namespace can), then "
        f"`helm upgrade --install {name} vcluster --repo https://charts.loft.sh --version {version} "
        f"--namespace {namespace} --values values.yaml`, and run the task again"
    )


def _own_mark(kubernetes: Kubernetes, workload: Workload, namespace: str) -> str:
    """Return the mark that this collection made a control plane, "" if there is none."""
    if (workload.metadata.get("annotations") or {}).get(MANAGED) == "true":
        return f"annotation {MANAGED} of {workload}"
    name = workload.release
    namespace_object = kubernetes.get(path("v1", "namespaces", None, namespace)) or {"metadata": {}}
    if (namespace_object["metadata"].get("annotations") or {}).get(NAME_ANNOTATION) == name:
        return f"annotation {NAME_ANNOTATION} of the namespace"
    if kubernetes.get(path("v1", "secrets", namespace, object_name(name))):
        return f"Secret {object_name(name)} has the request of its task"
    return ""


def _labels(metadata: Mapping[str, Any]) -> Mapping[str, str]:
    return metadata.get("labels") or {}


def _shown(text: Any) -> str:
    """Return text of others as one short line."""
    line = "".join(letter if letter.isprintable() else "?" for letter in str(text))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
