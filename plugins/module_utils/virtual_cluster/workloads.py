# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the StatefulSet or Deployment of a control plane, and its pods. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from ..common.well_known import SYNCED_LABEL
from ..k8s.objects import Object

API_PORT = 8443  # of a pod of the control plane

# The init container that brings Kubernetes: since chart 0.25 and before it; k3s and k0s.
_KUBERNETES_CONTAINERS = ("kubernetes", "kube-apiserver", "vcluster")
_KUBERNETES_TAG = re.compile(r"v?(\d+\.\d+\.\d+)(?:$|[-_.])")
_CHART_VERSION = re.compile(r"-(\d.*)$")


def workload_ready(workload: Object) -> bool:
    """Return whether every replica that is asked for runs the current declaration and is ready."""
    status = workload.get("status") or {}
    wanted = replicas(workload)
    if wanted < 1 or not is_observed(workload) or status.get("readyReplicas", 0) != wanted:
        return False
    # A Deployment's old pod that still serves counts as ready beside a new one that is not.
    if status.get("replicas", 0) != wanted:
        return False
    rolled_out = "updateRevision" in status and status.get("currentRevision") == status["updateRevision"]
    return rolled_out or status.get("updatedReplicas", 0) == wanted


def replicas(workload: Object) -> int:
    """Return the number of replicas that is asked for; Kubernetes' default is 1."""
    count = (workload.get("spec") or {}).get("replicas")
    return 1 if count is None else int(count)


def cluster_name(workload: Object) -> str:
    """Return the virtual cluster's name: that of the Helm release."""
    metadata = workload["metadata"]
    return (metadata.get("labels") or {}).get("release") or metadata["name"]


def kind(workload: Object) -> str:
    """Return StatefulSet or Deployment, by fields that only the first has: an item of a LIST has no kind."""
    stateful = {"serviceName", "podManagementPolicy", "volumeClaimTemplates"} & workload["spec"].keys()
    return workload.get("kind") or ("StatefulSet" if stateful else "Deployment")


def kubernetes_version(workload: Object) -> str | None:
    """Return the version of the virtual cluster's Kubernetes (``v1.35.4``); None where no image's tag says it."""
    for container in _KUBERNETES_CONTAINERS:
        match = _KUBERNETES_TAG.match(container_tag(workload, "initContainers", container) or "")
        if match:
            return f"v{match[1]}"
    return None


def chart_version(workload: Object) -> str | None:
    """Return the version in the label ``chart`` (``vcluster-0.36.1``), or None."""
    match = _CHART_VERSION.search((workload["metadata"].get("labels") or {}).get("chart", ""))
    return match[1].replace("_", "+") if match else None


def image_tag(image: str) -> str | None:
    """Return the tag of an image reference, or None: ``registry:5000/vcluster:0.36.1@sha256:…`` has ``0.36.1``."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2] or None


def timestamp(text: str) -> datetime:
    """Return a time as Kubernetes writes it (RFC 3339, UTC)."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def pod_ready(pod: Object) -> bool:
    """Return whether a pod passes its readiness probes."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def current_pods(workload: Object, pods: Iterable[Object]) -> list[Object]:
    """Return pods that the workload's current declaration has made and that are not terminating; etcd's too.

    A StatefulSet says which revision that is. A Deployment does not: there it is the newest pod's.
    """
    alive = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp") and not label_of(pod, SYNCED_LABEL)]
    etcd = [pod for pod in alive if label_of(pod, "app") == "vcluster-etcd"]
    own = [pod for pod in alive if label_of(pod, "app") != "vcluster-etcd"]
    status = workload.get("status") or {}
    if kind(workload) == "StatefulSet":
        revision = status.get("updateRevision")
        if not revision:
            return alive
        return [pod for pod in own if label_of(pod, "controller-revision-hash") == revision] + etcd
    if not own or not status.get("updatedReplicas"):
        return etcd
    newest = max(own, key=lambda pod: pod["metadata"].get("creationTimestamp", ""))
    template = label_of(newest, "pod-template-hash")
    return [pod for pod in own if label_of(pod, "pod-template-hash") == template] + etcd


def is_observed(workload: Object) -> bool:
    generation = workload["metadata"].get("generation", 0)
    return (workload.get("status") or {}).get("observedGeneration", 0) >= generation


def label_of(item: Object, key: str) -> str:
    return (item["metadata"].get("labels") or {}).get(key, "")


def container_tag(workload: Object, where: str, container: str) -> str | None:
    for candidate in workload["spec"]["template"]["spec"].get(where) or []:
        if candidate["name"] == container:
            return image_tag(candidate.get("image", ""))
    return None
