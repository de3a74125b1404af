# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads, pods and events of virtual cluster team-a, in the states that a diagnosis tells apart."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import Object

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=timezone.utc)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def workload(
    kind: str = "StatefulSet",
    replicas: int | None = 1,
    status: Object | None = None,
    image: str = "ghcr.io/loft-sh/vcluster-oss:0.36.1",
    init: list[tuple[str, str]] | None = None,
    **metadata: Any,
) -> Object:
    template = {
        "containers": [{"name": "syncer", "image": image}],
        "initContainers": [
            {"name": name, "image": tag}
            for name, tag in init or [("kubernetes", "ghcr.io/loft-sh/kubernetes:v1.35.4")]
        ],
    }
    found: Object = {
        "kind": kind,
        "metadata": {
            "name": "team-a",
            "namespace": "team-a-ns",
            "creationTimestamp": ago(3600),
            "generation": 2,
            "labels": {
                "app": "vcluster",
                "chart": "vcluster-0.36.1",
                "release": "team-a",
                "heritage": "Helm",
            },
            **metadata,
        },
        "spec": {"replicas": replicas, "template": {"spec": template}},
        "status": {"observedGeneration": 2, **(status or {})},
    }
    if replicas is None:
        del found["spec"]["replicas"]
    return found


def pod(name: str = "team-a-0", app: str = "vcluster", labels: Object | None = None, **parts: Any) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": "team-a-ns",
            "labels": {"app": app, "release": "team-a", **(labels or {})},
            "creationTimestamp": parts.pop("created", ago(60)),
            **parts.pop("metadata", {}),
        },
        "spec": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-team-a-0"}}]},
        "status": {"phase": "Pending", **parts},
    }


def waiting(reason: str, message: str = "", restarts: int = 0, container: str = "syncer") -> Object:
    return {
        "name": container,
        "image": "loft-sh/vcluster-oss:0.36.1",
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
    }


def unscheduled(seconds: float = 60, reason: str = "Unschedulable") -> Object:
    return {
        "type": "PodScheduled",
        "status": "False",
        "reason": reason,
        "message": "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available.",
        "lastTransitionTime": ago(seconds),
    }


def event(reason: str, kind: str, name: str, message: str = "", seconds: float = 1) -> Object:
    return {
        "type": "Normal" if reason == "TriggeredScaleUp" else "Warning",
        "reason": reason,
        "message": message,
        "involvedObject": {"kind": kind, "name": name},
        "lastTimestamp": ago(seconds),
    }


PULL = 'failed to pull and unpack image "registry.example/vcluster-oss:0.36.999": failed to resolve reference'
SETTLED = {
    "replicas": 1,
    "readyReplicas": 1,
    "updatedReplicas": 1,
    "currentRevision": "r1",
    "updateRevision": "r1",
}
