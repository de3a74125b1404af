# SPDX-License-Identifier: GPL-3.0-or-later
"""A node on which kwok pretends to run pods, on a real host cluster."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from host_api import Host

FAKE = "it-soak"  # label and taint of the nodes, annotation by which our kwok knows them
ONE = {"cpu": "1", "memory": "1Gi", "storage": "1Gi"}
STATEFUL_SET = {
    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "128Mi"}},
    "scheduling": {"nodeSelector": {FAKE: "fake"}, "tolerations": [{"key": FAKE, "operator": "Exists"}]},
    "persistence": {"volumeClaim": {"enabled": False}},  # no provisioner has a volume for a node that does not exist
}


def fake_node(name: str) -> dict[str, Any]:
    """A node that no other pod comes to, and that counts for no group, because of its taint."""
    size = {"cpu": "100", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "400"}
    metadata = {"name": name, "labels": {FAKE: "fake", "kubernetes.io/os": "linux"}, "annotations": {FAKE: "fake"}}
    taint = {"key": FAKE, "value": "fake", "effect": "NoSchedule"}
    return {"metadata": metadata, "spec": {"taints": [taint]}, "status": {"capacity": size, "allocatable": size}}


@contextmanager
def fake_nodes(host: Host) -> Iterator[None]:
    """Have a node whose pods a kwok of ours pretends to run; where there is no kwok, pods find no node."""
    kwok = shutil.which("kwok")
    if not kwok:
        yield
        return
    host.create("/api/v1/nodes", fake_node(FAKE))
    process = subprocess.Popen(
        [
            kwok,
            f"--kubeconfig={host.kubeconfig}",
            f"--config={Path(kwok).parents[1]}/kwok-stages.yaml",
            f"--manage-nodes-with-annotation-selector={FAKE}=fake",
            "--node-lease-duration-seconds=40",
            "--cidr=10.204.0.0/16",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()
        host.delete(f"/api/v1/nodes/{FAKE}")
