# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host cluster in memory whose controllers work: workloads make pods, and a virtual cluster syncs some."""

from __future__ import annotations

import base64
import copy
import json
import re
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from fakes import merge_patch

Object = dict[str, Any]
SYNCED = "vcluster.loft.sh/managed-by"
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


class Host:
    """The API of the host cluster, as Kubernetes has it. One ``tick`` is what controllers do in a moment.

    ``requests`` are those that came, ``fault`` may answer one with an error, ``before`` is called ahead of each.
    """

    host = "https://host"

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.requests: list[str] = []
        self.fault: Callable[[str], KubernetesError | None] = lambda request: None
        self.before: Callable[[str], None] = lambda request: None
        self.never_ready: set[str] = set()  # names of workloads
        self.stuck: set[str] = set()  # names of pods that do not end
        self.answer: Callable[[str], str] = lambda where: "ok"
        self.versions = 1
        self.lock = threading.RLock()

    # --- what is there ---

    def have(self, thing: Object, plural: str = "statefulsets") -> None:
        meta = thing["metadata"]
        root = "/apis/apps/v1" if plural in ("statefulsets", "deployments") else "/api/v1"
        inside = f"/namespaces/{meta['namespace']}" if "namespace" in meta else ""
        self.objects[f"{root}{inside}/{plural}/{meta['name']}"] = thing

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
        self.objects[f"synced {namespace}/{name}"] = {"count": synced}
        for _moment in range(4):
            self.tick()

    def of(self, name: str, app: str = "vcluster") -> Object:
        """The workload of a virtual cluster."""
        label = {"app": app, "release": name}
        return next(thing for where, thing in self.objects.items() if "/apps/v1/" in where and _has(thing, label))

    def pods(self, name: str) -> list[str]:
        """Names of all pods that a virtual cluster has on the host cluster."""
        mine = [thing for where, thing in self.objects.items() if "/pods/" in where]
        labels = [(thing["metadata"]["name"], thing["metadata"]["labels"]) for thing in mine]
        return sorted(pod for pod, label in labels if name in (label.get("release"), label.get(SYNCED)))

    # --- what controllers do ---

    def tick(self, _seconds: float = 0) -> None:
        with self.lock:
            for where in [where for where in self.objects if "/apps/v1/" in where]:
                self._control(self.objects[where])
            for where, thing in list(self.objects.items()):
                ends = "/pods/" in where and thing["metadata"].get("deletionTimestamp")
                if ends and thing["metadata"]["name"] not in self.stuck:
                    del self.objects[where]
            for where in [where for where in self.objects if where.startswith("synced ")]:
                namespace, name = where.removeprefix("synced ").split("/")
                self._sync(namespace, name, self.objects[where]["count"])

    def _control(self, thing: Object) -> None:
        meta, wanted = thing["metadata"], thing["spec"]["replicas"]
        mine = {
            where: pod
            for where, pod in self.objects.items()
            if "/pods/" in where and pod["metadata"].get("owner") == meta["uid"]
        }
        alive = [pod for pod in mine.values() if not pod["metadata"].get("deletionTimestamp")]
        for pod in alive[wanted:]:
            pod["metadata"]["deletionTimestamp"] = "now"
        for pod in alive:
            ready = meta["name"] not in self.never_ready and self._has_etcd(thing)
            pod["status"] = {"conditions": [{"type": "Ready", "status": str(ready)}]}
        names = {pod["metadata"]["name"] for pod in mine.values()}
        for number in range(wanted):
            name = f"{meta['name']}-{number}"
            if name not in names and len(alive) + number < wanted + number:
                self._pod(name, meta["namespace"], {**meta["labels"], "controller-revision-hash": "r"}, meta["uid"])
        ready_now = sum(pod["status"]["conditions"][0]["status"] == "True" for pod in alive[:wanted])
        total = min(wanted, len(alive))
        before = thing["status"]
        thing["status"] = {
            "observedGeneration": meta["generation"],
            "replicas": total,
            "readyReplicas": ready_now,
            "updatedReplicas": total,
            "updateRevision": "r",
            "currentRevision": "r",
        }
        if thing["status"] != before:
            self._touch(thing)

    def _has_etcd(self, thing: Object) -> bool:
        labels = thing["metadata"]["labels"]
        if labels["app"] != "vcluster":
            return True
        etcd = [
            other
            for where, other in self.objects.items()
            if "/apps/v1/" in where and _has(other, {"app": "vcluster-etcd", "release": labels["release"]})
        ]
        return all(other["status"].get("readyReplicas") for other in etcd)

    def _sync(self, namespace: str, name: str, count: int) -> None:
        """A running control plane makes the pods of its users; one that ends does so until the last moment."""
        own = [
            thing
            for where, thing in self.objects.items()
            if f"/namespaces/{namespace}/pods/" in where and _has(thing, {"app": "vcluster", "release": name})
        ]
        if own:
            for number in range(count):
                self._pod(f"user-{number}-x-{name}", namespace, {SYNCED: name}, "")

    def _pod(self, name: str, namespace: str, labels: dict[str, str], owner: str) -> None:
        where = f"/api/v1/namespaces/{namespace}/pods/{name}"
        if where in self.objects:
            return
        self.versions += 1
        meta = {"name": name, "namespace": namespace, "labels": labels, "owner": owner, "uid": f"pod {self.versions}"}
        meta["creationTimestamp"] = "2026-01-01T00:00:00Z"
        status = {"conditions": [{"type": "Ready", "status": "False"}]}
        self.objects[where] = {"metadata": meta, "spec": {}, "status": status}

    def _touch(self, thing: Object) -> None:
        self.versions += 1
        thing["metadata"]["resourceVersion"] = str(self.versions)

    # --- the API ---

    def _came(self, request: str) -> None:
        self.before(request)
        self.requests.append(request)
        refusal = self.fault(request)
        if refusal:
            refuse(refusal)

    def get(self, where: str) -> Object | None:
        with self.lock:
            self._came(f"GET {where}")
            return copy.deepcopy(self.objects.get(where))

    def list(self, where: str, labels: str = "", fields: str = "", metadata_only: bool = False) -> list[Object]:
        with self.lock:
            self._came(f"LIST {where} {labels} {fields}".strip())
            place, plural = where.rsplit("/", 1)
            found = []
            for at, thing in self.objects.items():
                if f"/{plural}/" in at and at.startswith(place) and selected(thing, labels):
                    found.append({"metadata": thing["metadata"]} if metadata_only else thing)
            return copy.deepcopy(found)

    def patch(self, where: str, body: Object) -> Object:
        with self.lock:
            self._came(f"PATCH {where}")
            thing = self.objects.get(where)
            if thing is None:
                raise KubernetesError(f"{where} not found", 404, "NotFound")
            version = body["metadata"].get("resourceVersion")
            if version not in (None, thing["metadata"]["resourceVersion"]):
                raise KubernetesError(f"{where} has been modified", 409, "Conflict")
            changed = merge_patch(thing, body)
            changed["metadata"]["generation"] += changed["spec"] != thing["spec"]
            self._touch(changed)
            self.objects[where] = changed
            return copy.deepcopy(changed)

    def delete(self, where: str, only: dict[str, str] | None = None) -> bool:
        with self.lock:
            self._came(f"DELETE {where}")
            thing = self.objects.get(where)
            if thing is None or any(thing["metadata"][name] != value for name, value in (only or {}).items()):
                return False
            thing["metadata"]["deletionTimestamp"] = "now"
            return True

    def delete_all(self, where: str, labels: str) -> None:
        with self.lock:
            self._came(f"DELETE {where} {labels}")
            for at, thing in self.objects.items():
                if at.startswith(f"{where}/") and selected(thing, labels):
                    thing["metadata"]["deletionTimestamp"] = "now"

    def text(self, where: str, seconds: float = 60, **_query: Any) -> str:
        with self.lock:
            self._came(f"GET {where}")
            return self.answer(where)


def refuse(error: KubernetesError) -> NoReturn:
    """Answer with an error."""
    raise error


def _has(thing: Object, labels: dict[str, str]) -> bool:
    own = (thing.get("metadata") or {}).get("labels") or {}
    return all(own.get(name) == value for name, value in labels.items())


def selected(thing: Object, selector: str) -> bool:
    """Whether an object fits a label selector."""
    labels = thing.get("metadata", {}).get("labels") or {}
    for term in re.findall(r"[^,(]+(?:\([^)]*\))?", selector):
        among = re.fullmatch(r"(\S+) in \(([^)]*)\)", term)
        name, equals, value = term.partition("=")
        if among:
            fits = labels.get(among[1]) in among[2].split(",")
        elif equals:
            fits = (labels.get(name.removesuffix("!")) == value) != name.endswith("!")
        else:
            fits = (term.lstrip("!") in labels) != term.startswith("!")
        if not fits:
            return False
    return True
