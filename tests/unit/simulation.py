# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host cluster in memory whose controllers work: workloads make pods, and a virtual cluster syncs some."""

from __future__ import annotations

import base64
import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NoReturn

from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from fake_api import FakeCluster, Request
from fakes import Objects

Object = dict[str, Any]
SYNCED = "vcluster.loft.sh/managed-by"
_numbers = itertools.count()
CLAIM = [{"metadata": {"name": "data"}}]
ETCD_COMMAND = "--initial-cluster=" + ",".join(f"e-{number}=https://e-{number}:2380" for number in range(3))


def workload(name: str, app: str = "vcluster", kind: str = "StatefulSet", **changes: Any) -> Object:
    """A control plane, or with ``app`` an etcd; ``changes`` are replicas, labels, annotations, claim, namespace."""
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


class Host(Kubernetes):
    """The client of a host cluster in memory whose controllers work. One ``tick`` is what they do in a moment.

    ``sent`` are the requests that came, ``fault`` may answer one with an error, ``before`` is called ahead of each.
    """

    def __init__(self) -> None:
        self.fake = FakeCluster()
        super().__init__(self.fake.client().connection)
        self.fake.have("Namespace", "kube-system", uid=f"uid {next(_numbers)}")  # two of them are not the same
        self.fake.intercept = self._came
        self.fake.api.pod_answer = lambda request: self.answer(request.path)
        self.objects = Objects(self.fake)
        self.sent: list[str] = []
        self.fault: Callable[[str], KubernetesError | None] = lambda request: None
        self.before: Callable[[str], None] = lambda request: None
        self.never_ready: set[str] = set()  # names of workloads
        self.stuck: set[str] = set()  # names of pods that do not end
        self.answer: Callable[[str], str] = lambda where: "ok"
        self._synced: dict[tuple[str, str], int] = {}  # how many pods, by namespace and virtual cluster

    # --- what there is ---

    def have(self, thing: Object, plural: str = "statefulsets") -> None:
        """Have an object, as if somebody else had made it."""
        api_version = "apps/v1" if plural in ("statefulsets", "deployments") else "v1"
        kind = next(kind for kind in self.fake.kinds() if (kind.api_version, kind.plural) == (api_version, plural))
        self.objects.settle()
        self.fake.add({"apiVersion": api_version, "kind": kind.kind, **thing})

    def cluster(self, name: str, synced: int = 2, etcd: int = 0, **changes: Any) -> None:
        """Have a virtual cluster as it is some time after it was made."""
        kind = changes.get("kind", "StatefulSet")
        self.have(workload(name, **changes), "deployments" if kind == "Deployment" else "statefulsets")
        namespace = changes.get("namespace", f"vcluster-{name}")
        if etcd:
            self.have(workload(name, "vcluster-etcd", replicas=etcd, namespace=namespace))
        self.have({"metadata": {"name": namespace, **changes.get("of_namespace", {})}}, "namespaces")
        config = {"controlPlane": {"statefulSet": {"highAvailability": {"replicas": 2}}}, **changes.get("values", {})}
        data = {"config.yaml": base64.b64encode(json.dumps(config).encode()).decode()}
        self.have({"metadata": {"name": f"vc-config-{name}", "namespace": namespace}, "data": data}, "secrets")
        self._synced[(namespace, name)] = synced
        for _moment in range(4):
            self.tick()

    def of(self, name: str, app: str = "vcluster") -> Object:
        """The workload of a virtual cluster."""
        label = {"app": app, "release": name}
        return next(self.objects[where] for where, thing in self._workloads() if _has(thing, label))

    def pods(self, name: str) -> list[str]:
        """Names of all pods that a virtual cluster has on the host cluster."""
        labels = [(pod["metadata"]["name"], pod["metadata"].get("labels", {})) for pod in self.fake.stored("Pod")]
        return sorted(pod for pod, label in labels if name in (label.get("release"), label.get(SYNCED)))

    # --- what controllers do ---

    def tick(self, seconds: float = 0) -> None:
        """Let a moment pass."""
        with self.fake.api.lock:
            self.objects.settle()
            pods: dict[str, list[Object]] = defaultdict(list)
            for pod in self.fake.stored("Pod"):
                for owner in pod["metadata"].get("ownerReferences") or []:
                    if owner.get("controller"):
                        pods[owner["uid"]].append(pod)
            for where, thing in self._workloads():
                self._control(where, thing, pods[thing["metadata"]["uid"]])
            for pod in self.fake.stored("Pod"):
                if pod["metadata"].get("deletionTimestamp") and pod["metadata"]["name"] not in self.stuck:
                    self.fake.delete(_path(pod), gracePeriodSeconds=0)
            for (namespace, name), count in self._synced.items():
                self._sync(namespace, name, count)

    def _workloads(self) -> list[tuple[str, Object]]:
        found = [("statefulsets", thing) for thing in self.fake.stored("StatefulSet")]
        found += [("deployments", thing) for thing in self.fake.stored("Deployment")]
        return [(_path(thing, plural, "apps/v1"), thing) for plural, thing in found]

    def _control(self, where: str, thing: Object, mine: list[Object]) -> None:
        meta, wanted = thing["metadata"], thing["spec"]["replicas"]
        ready = meta["name"] not in self.never_ready and self._has_etcd(thing)
        alive = [pod for pod in mine if not pod["metadata"].get("deletionTimestamp")]
        for pod in alive[wanted:]:
            self.fake.delete(_path(pod))
        of_pod = {"conditions": [{"type": "Ready", "status": str(ready)}]}
        for pod in alive[:wanted]:
            if pod["status"] != of_pod:
                self.fake.change(_path(pod), {"status": of_pod})
        names = {pod["metadata"]["name"] for pod in mine}
        for number in range(wanted if len(alive) < wanted else 0):
            name = f"{meta['name']}-{number}"
            if name not in names:
                self._pod(name, meta["namespace"], {**meta["labels"], "controller-revision-hash": "r"}, thing)
        total = min(wanted, len(alive))
        status = {
            "observedGeneration": meta["generation"],
            "replicas": total,
            "readyReplicas": total if ready else 0,
            "updatedReplicas": total,
            "updateRevision": "r",
            "currentRevision": "r",
        }
        if thing["status"] != status:
            self.fake.change(where, {"status": status})

    def _has_etcd(self, thing: Object) -> bool:
        labels = thing["metadata"]["labels"]
        if labels["app"] != "vcluster":
            return True
        of_etcd = {"app": "vcluster-etcd", "release": labels["release"]}
        etcd = [other for _where, other in self._workloads() if _has(other, of_etcd)]
        return all(other["status"].get("readyReplicas") for other in etcd)

    def _sync(self, namespace: str, name: str, count: int) -> None:
        """A running control plane makes the pods of its users; one that ends does so until the last moment."""
        own = {"app": "vcluster", "release": name}
        pods = [pod for pod in self.fake.stored("Pod") if pod["metadata"]["namespace"] == namespace]
        if any(_has(pod, own) for pod in pods):
            for number in range(count):
                self._pod(f"user-{number}-x-{name}", namespace, {SYNCED: name})

    def _pod(self, name: str, namespace: str, labels: dict[str, str], owner: Object | None = None) -> None:
        where = f"/api/v1/namespaces/{namespace}/pods/{name}"
        if where in self.fake:
            return
        of_owner = [{"uid": owner["metadata"]["uid"], "controller": True}] if owner else []
        meta = {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": of_owner}
        status = {"conditions": [{"type": "Ready", "status": "False"}]}
        self.have({"metadata": meta, "spec": {"nodeName": "node"}, "status": status}, "pods")

    def _came(self, request: Request) -> None:
        query = request.query
        text = f"{request.method} {request.path}"
        if self.fake.verb(request) == "list":
            text = f"LIST {request.path} {query.get('labelSelector', '')} {query.get('fieldSelector', '')}".strip()
        elif "labelSelector" in query:
            text = f"{text} {query['labelSelector']}"
        self.before(text)
        self.sent.append(text)
        if error := self.fault(text):
            refuse(error)
        self.objects.settle()


def _path(thing: Object, plural: str = "pods", api_version: str = "v1") -> str:
    return path(api_version, plural, thing["metadata"]["namespace"], thing["metadata"]["name"])


def refuse(error: KubernetesError) -> NoReturn:
    """Answer with an error."""
    raise error


def _has(thing: Object, labels: dict[str, str]) -> bool:
    own = (thing.get("metadata") or {}).get("labels") or {}
    return all(own.get(name) == value for name, value in labels.items())
