# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several unit tests put in place of a host cluster, of helm's records and of time."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import threading
from collections.abc import Callable
from typing import Any

import yaml
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path

NAME, NAMESPACE = "demo", "vcluster-demo"


class FakeKubernetes:
    """A host cluster in memory: objects by path, and what was written, in order.

    Deletion is as on a real one: finalizers hold an object, an owner takes what it owns along, and a namespace
    what is in it.
    """

    KINDS: tuple[tuple[str, str, str, bool], ...] = (
        ("v1", "ConfigMap", "configmaps", True),
        ("v1", "Event", "events", True),
        ("v1", "Namespace", "namespaces", False),
        ("v1", "PersistentVolume", "persistentvolumes", False),
        ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", True),
        ("v1", "Pod", "pods", True),
        ("v1", "Secret", "secrets", True),
        ("v1", "Service", "services", True),
        ("apps/v1", "StatefulSet", "statefulsets", True),
        ("coordination.k8s.io/v1", "Lease", "leases", True),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", False),
        ("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", False),
    )

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.written: list[str] = []
        self.forbidden: set[str] = set()  # plurals
        self.broken: set[str] = set()  # plurals
        self.sticky: set[str] = set()  # paths of what does not go
        self._lock = threading.RLock()  # requests are sent from several threads

    def resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        for version, name, plural, namespaced in self.KINDS:
            if (version, name) == (api_version, kind):
                return plural, namespaced
        raise KubernetesError(f"does not serve {kind}", 404, "NotFound")

    def namespaced(self, api_version: str, kind: str) -> bool:
        return self.resource(api_version, kind)[1]

    def namespaced_resources(self) -> list[tuple[str, str]]:
        return [(version, plural) for version, _kind, plural, namespaced in self.KINDS if namespaced]

    def all_resources(self) -> list[tuple[tuple[str, str], bool]]:
        return [((version, plural), namespaced) for version, _kind, plural, namespaced in self.KINDS]

    def get(self, where: str) -> dict[str, Any] | None:
        with self._lock:
            return copy.deepcopy(self.objects.get(where))

    def list(self, where: str, labels: str = "", fields: str = "", metadata_only: bool = False) -> list[dict[str, Any]]:
        if where.rsplit("/", 1)[1] in self.forbidden:
            raise KubernetesError("no permission", 403, "Forbidden")
        if where.rsplit("/", 1)[1] in self.broken:
            raise KubernetesError("out of order", 500, "InternalError")
        found = [
            copy.deepcopy(thing)
            for at, thing in list(self.objects.items())
            if self._is_in(at, where) and self._selected(thing, labels) and self._has(thing, fields)
        ]
        if metadata_only:
            return [{"metadata": thing["metadata"]} for thing in found]
        # Items of a list do not say what they are.
        return [{name: value for name, value in thing.items() if name not in ("apiVersion", "kind")} for thing in found]

    @staticmethod
    def _is_in(at: str, where: str) -> bool:
        """Whether an object is in a collection: that of a namespace, or of all."""
        root, plural = where.rsplit("/", 1)
        return at.rsplit("/", 1)[0] == where or (at.startswith(f"{root}/namespaces/") and at.split("/")[-2] == plural)

    @staticmethod
    def _has(thing: dict[str, Any], fields: str) -> bool:
        """Of field selectors, a Secret's type alone counts; which Events there are is the test's business."""
        return not fields.startswith("type=helm") or thing.get("type") == fields.removeprefix("type=")

    @staticmethod
    def _selected(thing: dict[str, Any], selector: str) -> bool:
        labels = thing["metadata"].get("labels") or {}
        for term in filter(None, selector.split(",")):
            name, equals, value = term.replace("!=", "=").partition("=")
            if not equals and not term.startswith("!"):
                if name not in labels:
                    return False
                continue
            if term.startswith("!") and name[1:] in labels:
                return False
            if not term.startswith("!") and (labels.get(name) == value) == ("!=" in term):
                return False
        return True

    def create(self, where: str, body: dict[str, Any]) -> dict[str, Any]:
        at = f"{where}/{body['metadata']['name']}"
        if at in self.objects:
            raise KubernetesError("is there", 409, "AlreadyExists")
        self.written.append(f"create {at}")
        return self.put(body, at)

    def patch(self, where: str, body: dict[str, Any]) -> dict[str, Any]:
        if where not in self.objects:
            raise KubernetesError("not found", 404, "NotFound")
        self.written.append(f"patch {where}")
        self.objects[where] = merge_patch(self.objects[where], body)
        self._collect(where)
        return copy.deepcopy(self.objects.get(where, {}))

    def delete(self, where: str, only: dict[str, str] | None = None) -> bool:
        with self._lock:
            if where not in self.objects:
                return False
            meta = self.objects[where]["metadata"]
            if any(meta.get(name) != value for name, value in (only or {}).items()):
                return False
            self.written.append(f"delete {where}")
            self._mark(where)
            return True

    def _mark(self, where: str) -> None:
        thing = self.objects.get(where)
        if thing is None:
            return
        thing["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        if where.startswith("/api/v1/namespaces/") and where.count("/") == 4:
            for inner in [at for at in self.objects if f"/namespaces/{where.rsplit('/', 1)[1]}/" in at]:
                self._mark(inner)
        self._collect(where)

    def _collect(self, where: str) -> None:
        """Remove what is being deleted and held by nothing."""
        thing = self.objects.get(where)
        if thing is None:
            return
        meta = thing["metadata"]
        if not meta.get("deletionTimestamp") or meta.get("finalizers") or where in self.sticky:
            return
        inside = f"/namespaces/{meta['name']}/"
        if thing.get("kind") == "Namespace" and any(inside in at for at in self.objects):
            return
        del self.objects[where]
        for at, other in list(self.objects.items()):
            owners = [owner["uid"] for owner in other["metadata"].get("ownerReferences") or []]
            if at in self.objects and meta["uid"] in owners:
                self._mark(at)
        place = path("v1", "namespaces", None, meta.get("namespace", ""))
        if place in self.objects:
            self._collect(place)

    def put(self, thing: dict[str, Any], at: str = "") -> dict[str, Any]:
        """Have an object, as if somebody else had made it."""
        thing = copy.deepcopy(thing)
        meta = thing["metadata"]
        if not at:
            plural, namespaced = self.resource(thing["apiVersion"], thing["kind"])
            if namespaced:
                meta.setdefault("namespace", NAMESPACE)
            at = path(thing["apiVersion"], plural, meta.get("namespace"), meta["name"])
        meta.setdefault("uid", f"uid of {at}")
        meta.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        self.objects[at] = thing
        return copy.deepcopy(thing)

    def have(self, kind: str, name: str, **others: Any) -> dict[str, Any]:
        """Have an object of a kind; ``others`` are its metadata, or type and spec."""
        version = next(version for version, known, *_rest in self.KINDS if known == kind)
        parts = [part for part in ("type", "spec", "status", "data") if part in others]
        top: dict[str, Any] = {part: others.pop(part) for part in parts}
        return self.put({"apiVersion": version, "kind": kind, "metadata": {"name": name, **others}, **top})

    def names(self, namespace: str = NAMESPACE) -> set[str]:
        """PLURAL/NAME of what is in a namespace."""
        return {"/".join(at.rsplit("/", 2)[1:]) for at in self.objects if f"/namespaces/{namespace}/" in at}


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def release_json(revision: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "name": "demo",
        "namespace": "vcluster-demo",
        "version": revision,
        "info": {"status": "deployed"},
        "chart": {"metadata": {"name": "vcluster", "version": "0.36.1"}},
        "config": {"sync": {}},
        "manifest": "kind: Service\n",
        **changes,
    }


def release_secret(revision: int = 1, name: str = "demo", **changes: Any) -> dict[str, Any]:
    payload = base64.b64encode(gzip.compress(json.dumps(release_json(revision, name=name, **changes)).encode()))
    return raw_secret(payload, name, revision)


def raw_secret(payload: bytes, name: str = "demo", revision: Any = 1) -> dict[str, Any]:
    return {
        "type": "helm.sh/release.v1",
        "metadata": {
            "name": f"sh.helm.release.v1.{name}.v{revision}",
            "namespace": "vcluster-demo",
            "labels": {"owner": "helm", "name": name, "version": str(revision), "mine": "yes"},
        },
        "data": {"release": base64.b64encode(payload).decode()},
    }


class Clock:
    """Time that passes by sleeping only; ``then`` is done at the first sleep after its time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events: list[tuple[float, Any]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for event in [event for event in self.events if self.now >= 1000 + event[0]]:
            self.events.remove(event)
            event[1]()

    def after(self, seconds: float, then: Any) -> None:
        self.events.append((seconds, then))


def pem(label: str, content: bytes = b"\x30\x03any") -> str:
    """Base64 of a PEM block, as a kubeconfig has it; what is in it is of no kind."""
    body = base64.b64encode(content).decode()
    return base64.b64encode(f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n".encode()).decode()


def kubeconfig_secret(name: str, namespace: str, change: Callable[[dict[str, Any]], None] | None = None) -> Any:
    """Secret ``vc-NAME`` as vCluster writes it, with a change of its kubeconfig."""
    entries: dict[str, Any] = {
        "clusters": {"server": "https://localhost:8443", "certificate-authority-data": pem("CERTIFICATE")},
        "users": {"client-certificate-data": pem("CERTIFICATE"), "client-key-data": pem("RSA PRIVATE KEY")},
        "contexts": {"cluster": "my-vcluster", "user": "my-vcluster"},
    }
    config: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": "my-vcluster", "preferences": {}}
    for section, entry in entries.items():
        config[section] = [{"name": "my-vcluster", section[:-1]: entry}]
    if change:
        change(config)
    return {
        "metadata": {"name": f"vc-{name}", "namespace": namespace},
        "data": {"config": base64.b64encode(yaml.safe_dump(config).encode()).decode()},
    }
