# SPDX-License-Identifier: GPL-3.0-or-later
"""A host cluster without a kubelet for the API tier: a control plane of this process alone, and a node of kwok's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from host_api import Host, Object, is_ready, open_host
from modules import REPOSITORY
from namespace_deletion import NamespaceDeletion
from pod_network import PodNetwork
from virtual_control_planes import VirtualControlPlanes
from waiting import eventually

PROGRAM = REPOSITORY / "tests/host_cluster/control_plane.py"
STORAGE = REPOSITORY / "tests/host_cluster/manifests/storage.yaml"
NODE_SIZE = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "1000"}


@dataclass
class ApiHost(Host):
    """A host cluster of the API tier.

    pods: what answers where the API server asks a pod. planes: what does what virtual clusters do.
    """

    pods: PodNetwork = field(kw_only=True, repr=False)
    planes: VirtualControlPlanes = field(kw_only=True, repr=False)

    def reset(self) -> None:
        """Undo what a test has set."""
        self.pods.reset()
        self.planes.reset()


def node(name: str, size: dict[str, str] | None = None, **metadata: Any) -> Object:
    """Return a node that kwok runs pods on."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **metadata.pop("labels", {})}
    size = {**NODE_SIZE, **(size or {})}
    return {
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {"kwok.x-k8s.io/node": "fake", **metadata.pop("annotations", {})},
            **metadata,
        },
        "status": {"capacity": size, "allocatable": size},
    }


@contextmanager
def control_plane() -> Iterator[dict[str, Any]]:
    """Yield what tests/host_cluster/control_plane.py tells of a new control plane; it ends with this process."""
    process = subprocess.Popen(
        [sys.executable, "-B", str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # an interrupt is for the tests, which then end it
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    try:
        told = process.stdout.readline()
        if not told:
            pytest.fail(f"there is no control plane to test with: {process.stderr.read().strip()}", pytrace=False)
        yield json.loads(told)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@contextmanager
def api_host(name: str) -> Iterator[ApiHost]:
    """Yield a new host cluster with one ready node of this name, a storage class, and whatever makes it seem to run."""
    with control_plane() as told, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", told["programs"], prepend=os.pathsep)
        patch.setenv("KUBECACHEDIR", f"{told['state']}/cache")  # what helm and kubectl keep of each API server
        patch.setenv("GOGC", "400")  # helm is short, and spends a fifth of its time on collecting what it leaves
        host = open_host(told["kubeconfig"], os.environ.get("NESTED_CLUSTERS_CHART") or told["chart"])
        state = Path(told["state"])
        url = urlsplit(host.configuration.host)
        assert url.hostname == "127.0.0.1", "whatever KUBECONFIG says, this tier has clusters of its own"
        (storage, *_scripts) = yaml.safe_load(STORAGE.read_text())["items"]
        host.create("/apis/storage.k8s.io/v1/storageclasses", storage)
        host.create("/api/v1/nodes", node(name))
        eventually("a ready node", lambda: is_ready(host.get(f"/api/v1/nodes/{name}")), pause=0.05)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        eventually("the controllers at work", lambda: host.get(account), pause=0.05)
        pods, planes = PodNetwork(state / "pods", state / "pki"), VirtualControlPlanes(host, state / "pki")
        with pods, planes, NamespaceDeletion(host, state / "etcd"):
            yield ApiHost(**vars(host), pods=pods, planes=planes)
