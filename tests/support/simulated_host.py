# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host cluster in memory whose controllers work: workloads make pods, and a virtual cluster syncs some."""

from __future__ import annotations

import base64
import itertools
import json
from collections import defaultdict
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from clock import Clock
from fake_api import FakeCluster

Object = dict[str, Any]
SYNCED = "vcluster.loft.sh/managed-by"
_numbers = itertools.count()
CLAIM = [{"metadata": {"name": "data"}}]
ETCD_COMMAND = "--initial-cluster=" + ",".join(f"e-{number}=https://e-{number}:2380" for number in range(3))


def workload(name: str, app: str = "vcluster", kind: str = "StatefulSet", **changes: Any) -> Object:
    """Return a control plane, or with ``app`` an etcd.

    ``changes`` are replicas, labels, annotations, claim, namespace.
    """
    replicas, namespace = changes.get("replicas", 1), changes.get("namespace", f"vcluster-{name}")
    set_name = name if app == "vcluster" else f"{name}-etcd"
    spec: Object = {"replicas": replicas, "template": {"spec": {"containers": []}}}
    if app != "vcluster":
        spec["template"]["spec"]["containers"] = [{"name": "etcd", "command": ["etcd", ETCD_COMMAND]}]
    if kind == "StatefulSet":
        spec["serviceName"] = f"{set_name}-headless"
        spec["volumeClaimTemplates"] = CLAIM if changes.get("claim", True) else []
    return {
        "metadata": {
            "name": set_name,
            "namespace": namespace,
            "labels": {"app": app, "release": name, **changes.get("labels", {})},
            "annotations": dict(changes.get("annotations", {})),
            "generation": 1,
            "resourceVersion": "1",
            "uid": f"uid of {set_name}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": spec,
        "status": {},
    }


class SimulatedHost(FakeCluster):
    """A host cluster whose controllers work. One ``tick`` is what they do in a moment."""

    def __init__(self) -> None:
        super().__init__(host=f"https://host-{next(_numbers)}")  # two of them are not the same
        self.never_ready: set[str] = set()  # names of workloads
        self.stuck: set[str] = set()  # names of pods that do not end
        self._synced: dict[tuple[str, str], int] = {}  # how many pods, by namespace and virtual cluster

    def have_cluster(self, name: str, synced: int = 2, etcd: int = 0, **changes: Any) -> None:
        """Have a virtual cluster as it is some time after it was made."""
        kind = changes.get("kind", "StatefulSet")
        self.add({"apiVersion": "apps/v1", "kind": kind, **workload(name, **changes)})
        namespace = changes.get("namespace", f"vcluster-{name}")
        if etcd:
            beside = workload(name, "vcluster-etcd", replicas=etcd, namespace=namespace)
            self.add({"apiVersion": "apps/v1", "kind": "StatefulSet", **beside})
        self.have("Namespace", namespace, **changes.get("of_namespace", {}))
        config = {"controlPlane": {"statefulSet": {"highAvailability": {"replicas": 2}}}, **changes.get("values", {})}
        data = {"config.yaml": base64.b64encode(json.dumps(config).encode()).decode()}
        self.have("Secret", f"vc-config-{name}", namespace=namespace, data=data)
        self._synced[(namespace, name)] = synced
        for _moment in range(4):
            self.tick()

    def workload_of(self, name: str, app: str = "vcluster") -> Object:
        """Return the workload of a virtual cluster."""
        return self.at(self._path_of(name, app))

    def change_workload(self, name: str, patch: Object, app: str = "vcluster") -> None:
        """Change the workload of a virtual cluster, as somebody else does."""
        self.change(self._path_of(name, app), patch)

    def scale(self, name: str, replicas: int, app: str = "vcluster") -> None:
        """Scale the workload of a virtual cluster, as somebody else does."""
        self.change_workload(name, {"spec": {"replicas": replicas}}, app)

    def replicas(self, name: str) -> list[int]:
        """Return the replicas of a control plane and of its etcd, as they are asked for."""
        return [self.workload_of(name, app)["spec"]["replicas"] for app in ("vcluster", "vcluster-etcd")]

    def _path_of(self, name: str, app: str) -> str:
        label = {"app": app, "release": name}
        return next(at for at, found in self._workloads() if _has(found, label))

    def pods(self, name: str) -> list[str]:
        """Return the names of all pods that a virtual cluster has on the host cluster."""
        labels = [(pod["metadata"]["name"], pod["metadata"].get("labels", {})) for pod in self.stored("Pod")]
        return sorted(pod for pod, label in labels if name in (label.get("release"), label.get(SYNCED)))

    # --- what controllers do ---

    def tick(self, seconds: float = 0) -> None:
        """Let a moment pass."""
        with self.api.lock:
            pods: dict[str, list[Object]] = defaultdict(list)
            for pod in self.stored("Pod"):
                for owner in pod["metadata"].get("ownerReferences") or []:
                    if owner.get("controller"):
                        pods[owner["uid"]].append(pod)
            for at, found in self._workloads():
                self._control(at, found, pods[found["metadata"]["uid"]])
            for pod in self.stored("Pod"):
                if pod["metadata"].get("deletionTimestamp") and pod["metadata"]["name"] not in self.stuck:
                    self.delete(_path(pod), gracePeriodSeconds=0)
            for (namespace, name), count in self._synced.items():
                self._sync(namespace, name, count)

    def _workloads(self) -> list[tuple[str, Object]]:
        found = [("statefulsets", one) for one in self.stored("StatefulSet")]
        found += [("deployments", one) for one in self.stored("Deployment")]
        return [(_path(one, plural, "apps/v1"), one) for plural, one in found]

    def _control(self, at: str, owner: Object, pods: list[Object]) -> None:
        meta, wanted = owner["metadata"], owner["spec"]["replicas"]
        ready = meta["name"] not in self.never_ready and self._has_etcd(owner)
        alive = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        for pod in alive[wanted:]:
            self.delete(_path(pod))
        for pod in alive[:wanted]:
            of_pod = {"type": "Ready", "status": str(ready)}
            if pod["status"].get("conditions") != [of_pod]:
                self.change(_path(pod), {"status": {"conditions": [of_pod]}})
        names = {pod["metadata"]["name"] for pod in pods}
        for number in range(wanted if len(alive) < wanted else 0):
            name = f"{meta['name']}-{number}"
            if name not in names:
                self._pod(name, meta["namespace"], {**meta["labels"], "controller-revision-hash": "r"}, owner)
        total = min(wanted, len(alive))
        status = {
            "observedGeneration": meta["generation"],
            "replicas": total,
            "readyReplicas": total if ready else 0,
            "updatedReplicas": total,
            "updateRevision": "r",
            "currentRevision": "r",
        }
        if owner["status"] != status:
            self.change(at, {"status": status})

    def _has_etcd(self, control_plane: Object) -> bool:
        labels = control_plane["metadata"]["labels"]
        if labels["app"] != "vcluster":
            return True
        of_etcd = {"app": "vcluster-etcd", "release": labels["release"]}
        etcd = [other for _at, other in self._workloads() if _has(other, of_etcd)]
        return all(other["status"].get("readyReplicas") for other in etcd)

    def _sync(self, namespace: str, name: str, count: int) -> None:
        """Make the pods of users, as a running control plane does; one that ends does so until the last moment."""
        own = {"app": "vcluster", "release": name}
        pods = [pod for pod in self.stored("Pod") if pod["metadata"]["namespace"] == namespace]
        if any(_has(pod, own) for pod in pods):
            for number in range(count):
                self._pod(f"user-{number}-x-{name}", namespace, {SYNCED: name})

    def _pod(self, name: str, namespace: str, labels: dict[str, str], owner: Object | None = None) -> None:
        if f"/api/v1/namespaces/{namespace}/pods/{name}" in self:
            return
        owners = [{"uid": owner["metadata"]["uid"], "controller": True}] if owner else []
        metadata: Object = {"namespace": namespace, "labels": labels, "ownerReferences": owners}
        status = {"conditions": [{"type": "Ready", "status": "False"}]}
        self.have("Pod", name, spec={"nodeName": "node"}, status=status, **metadata)


class Ticking(Clock):
    """Time in which the controllers of host clusters work."""

    def __init__(self, *hosts: SimulatedHost) -> None:
        super().__init__()
        self.hosts = list(hosts)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        for host in self.hosts:
            host.tick()


def _path(document: Object, plural: str = "pods", api_version: str = "v1") -> str:
    return path(api_version, plural, document["metadata"]["namespace"], document["metadata"]["name"])


def _has(document: Object, labels: dict[str, str]) -> bool:
    own = document["metadata"].get("labels") or {}
    return all(own.get(name) == value for name, value in labels.items())
