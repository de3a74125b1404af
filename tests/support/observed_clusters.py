# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual clusters as they were read before a pause or a resume."""

from __future__ import annotations

from typing import Any

from simulated_host import SYNCED, workload

DATE = "2026-11-21T06:43:23.000Z"
MARKED = {"loft.sh/paused": "true", "loft.sh/paused-replicas": "3", "loft.sh/paused-date": "2026-01-01T00:00:00.000Z"}
READY = {"observedGeneration": 1, "readyReplicas": 1, "replicas": 1, "updatedReplicas": 1}
Object = dict[str, Any]


def pod(name: str, app: str = "vcluster", ready: bool = True, ending: bool = False, **labels: str) -> Object:
    metadata: Object = {"name": name, "namespace": "vcluster-a", "uid": f"uid of {name}"}
    metadata["labels"] = {"app": app, "release": "a", **labels}
    if ending:
        metadata["deletionTimestamp"] = "now"
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}


def synced(name: str, namespace: str = "vcluster-a", ending: bool = False) -> Object:
    metadata = pod(name, ending=ending)["metadata"]
    return {"metadata": {**metadata, "namespace": namespace, "labels": {SYNCED: "a"}}}


def control(replicas: int = 1, ready: bool = True, **changes: Any) -> Object:
    thing = workload("a", replicas=replicas, **changes)
    if ready:
        thing["status"] = {**READY, "readyReplicas": replicas, "replicas": replicas, "updatedReplicas": replicas}
    return thing


def etcd(replicas: int = 3, ready: int | None = None, **changes: Any) -> Object:
    thing = workload("a", "vcluster-etcd", replicas=replicas, **changes)
    thing["status"] = {"readyReplicas": replicas if ready is None else ready}
    return thing
