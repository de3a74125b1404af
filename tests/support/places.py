# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of virtual clusters for a test, and no trace of them afterwards."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from host_api import Host, is_ready, root
from waiting import eventually

# Values of a control plane whose pod finds no node, so that it costs nothing, for tests of the module alone.
IDLE: dict[str, Any] = {
    "controlPlane": {"statefulSet": {"scheduling": {"nodeSelector": {"no": "such-node"}}}}
}


@dataclass
class Place:
    """A virtual cluster's name and namespace, and the paths of what it has on the host."""

    name: str
    namespace: str

    def path(self, plural: str, name: str | None = None, version: str = "v1") -> str:
        base = f"{root(version)}/namespaces/{self.namespace}/{plural}"
        return f"{base}/{name}" if name else base

    @property
    def workload(self) -> str:
        return self.path("statefulsets", self.name, "apps/v1")

    @property
    def options(self) -> dict[str, Any]:
        return {"name": self.name, "namespace": self.namespace}


@contextmanager
def place(host: Host, word: str, made_by_user: bool = False, beside: Place | None = None) -> Iterator[Place]:
    """A name that nobody has, and afterwards no trace of it. ``beside`` another it begins with the other's name."""
    name = f"{beside.name}-b" if beside else f"it-{word}-{uuid.uuid4().hex[:5]}"
    where = Place(name, f"vcluster-{name}")
    if made_by_user:
        host.namespace(where.namespace)
    try:
        yield where
    finally:
        tidy(host, where)


def tidy(host: Host, where: Place) -> None:
    """Ask for the deletion of all that a virtual cluster has, whatever became of it; ``host`` waits in the end."""
    space = f"/api/v1/namespaces/{where.namespace}"
    if host.get(space):
        for thing in host.items(where.path("configmaps")):
            if thing["metadata"].get("finalizers"):
                patch = {"metadata": {"finalizers": None}}
                host.patch(where.path("configmaps", thing["metadata"]["name"]), patch)
        host.delete(space)
        host.leaving.append(where.namespace)
    for plural in ("clusterrolebindings", "clusterroles"):
        host.delete(f"/apis/rbac.authorization.k8s.io/v1/{plural}/vc-{where.name}-v-{where.namespace}")


def settled(host: Host, where: Place, real_nodes: bool = False) -> None:
    """Wait until a running virtual cluster has made on its host all that each one makes by itself.

    Ready comes some seconds before that. What compares check mode with a later run, or contents before and
    after, waits for this first: check mode speaks of what is there. ``real_nodes``: it syncs the host's nodes,
    and so makes no Service for each.
    """
    missing: list[str] = []

    def is_settled() -> bool:
        missing[:] = unsettled(host, where, real_nodes)
        return not missing

    eventually(lambda: f"{where.name} has made its {', '.join(missing)}", is_settled)


def unsettled(host: Host, where: Place, real_nodes: bool) -> list[str]:
    """What a virtual cluster has not made on its host yet of what each one makes by itself, in words."""

    def names(plural: str) -> set[str]:
        return {item["metadata"]["name"] for item in host.items(where.path(plural))}

    services, synced = names("services"), f"x-kube-system-x-{where.name}"
    made = {
        "Secret with the kubeconfig": f"vc-{where.name}" in names("secrets"),
        "ConfigMaps": {f"coredns-{synced}", f"kube-root-ca.crt-{synced}"} <= names("configmaps"),
        "Service for DNS": f"kube-dns-{synced}" in services,
        "Service for a node": real_nodes or any(name.startswith(f"{where.name}-node-") for name in services),
        "ready pod for DNS": any(
            pod["metadata"]["name"].startswith("coredns-") and is_ready(pod)
            for pod in host.items(where.path("pods"))
        ),
    }
    return [what for what, there in made.items() if not there]


def secret_values(host: Host, where: Place) -> list[str]:
    """What may never be shown: each entry of the kubeconfig Secret, encoded and in clear."""
    # Ready comes first, the kubeconfig some seconds later.
    path = where.path("secrets", f"vc-{where.name}")
    secret = eventually(f"kubeconfig of {where.name}", lambda: host.get(path))
    hidden = []
    for encoded in secret["data"].values():
        hidden += [encoded, base64.b64decode(encoded).decode()]
    hidden = [text for text in hidden if text]  # there is no token in it
    assert hidden, f"virtual cluster {where.name} has no kubeconfig to keep secret"
    return hidden
