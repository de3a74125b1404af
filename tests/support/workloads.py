# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of virtual clusters as a host cluster has them: workloads, pods, events and namespaces."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

Object = dict[str, Any]
CREATED = "2026-11-20T12:00:00Z"


def metadata(name: str, namespace: str, **parts: Any) -> Object:
    """Return the metadata of what the chart makes for virtual cluster NAME."""
    return {
        "name": name,
        "namespace": namespace,
        "creationTimestamp": CREATED,
        "generation": 1,
        "labels": {"app": "vcluster", "release": name, "chart": "vcluster-0.36.1"},
        **parts,
    }


def workload(
    name: str = "team-a",
    namespace: str = "ns",
    ready: int = 1,
    replicas: int = 1,
    kind: str = "StatefulSet",
    **parts: Any,
) -> Object:
    """Return a control plane of which so many replicas are ready; ``parts`` are metadata."""
    template = {
        "containers": [{"name": "syncer", "image": "vcluster-oss:0.36.1"}],
        "initContainers": [{"name": "kubernetes", "image": "kubernetes:v1.35.4"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": metadata(name, namespace, **parts),
        "spec": {"replicas": replicas, "template": {"spec": template}},
        "status": {
            "observedGeneration": 1,
            "replicas": ready,
            "readyReplicas": ready,
            "updatedReplicas": replicas,
        },
    }


def pod(name: str = "team-a-0", release: str = "team-a", **status: Any) -> Object:
    """Return a pod of a control plane in namespace ns."""
    of_pod = metadata(name, "ns")
    of_pod["labels"]["release"] = release
    return {"apiVersion": "v1", "kind": "Pod", "metadata": of_pod, "spec": {}, "status": status}


def event(reason: str, kind: str, name: str, message: str) -> Object:
    """Return an event of now about an object in namespace ns."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "ns"},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "involvedObject": {"kind": kind, "name": name},
        "lastTimestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
