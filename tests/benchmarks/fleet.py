# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand virtual clusters: real objects of the real chart, fake pods on fake nodes."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from api import PREFIX, Api
from host import Host
from report import BenchError

NAME, NAMESPACE = "placeholder-name", "placeholder-home"
MARK = "nested-bench"  # label and taint of the fake nodes, annotation by which our kwok knows them
NODES = 2
READY_SECONDS = 900
Kwok = subprocess.Popen[bytes]
STATEFUL_SETS = "/apis/apps/v1/statefulsets?labelSelector=app%3Dvcluster"


def render(host: Host, resources: dict[str, Any] | None = None) -> list[str]:
    """A namespace and the chart's objects in it as JSON, for pods that run on the fake nodes."""
    values = {
        "controlPlane": {
            "statefulSet": {
                "resources": resources or {},
                "image": {"repository": "loft-sh/vcluster-oss"},
                "scheduling": {
                    "nodeSelector": {MARK: "fake"},
                    "tolerations": [{"key": MARK, "operator": "Exists"}],
                },
            }
        }
    }
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "values.json")
        file.write_text(json.dumps(values), encoding="utf-8")
        text = host.run("helm", "template", NAME, host.chart, "--namespace", NAMESPACE, "--values", str(file))
    objects: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}]
    objects += [thing for thing in yaml.safe_load_all(text) if thing]
    for thing in objects:
        if thing["kind"] == "StatefulSet":  # no provisioner has a volume for a node that does not exist
            del thing["spec"]["volumeClaimTemplates"]
            thing["spec"]["template"]["spec"]["volumes"].append({"name": "data", "emptyDir": {}})
    return [json.dumps(thing) for thing in objects]


def collection(thing: dict[str, Any]) -> str:
    """The path that an object of the chart is created below."""
    version = thing["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    if thing["kind"] == "Namespace":
        return f"{root}/namespaces"
    return f"{root}/namespaces/{thing['metadata']['namespace']}/{thing['kind'].lower()}s"


def create_one(api: Api, objects: list[str], number: int) -> None:
    """One virtual cluster: its namespace and what is in it."""
    name = f"fleet-{number:04}"
    for text in objects:
        thing = json.loads(text.replace(NAMESPACE, PREFIX + name).replace(NAME, name))
        api.create(collection(thing), thing)


def create(api: Api, kwok: Kwok, objects: list[str], numbers: range) -> None:
    """Create virtual clusters and wait until all are ready."""
    api.parallel(lambda number: create_one(api, objects, number), list(numbers))
    print(f"    {len(numbers) * len(objects)} objects created", flush=True)
    deadline = time.monotonic() + READY_SECONDS
    while (ready := count_ready(api)) < numbers.stop:
        if kwok.poll() is not None:
            raise BenchError(f"kwok ended with exit status {kwok.returncode}")
        if time.monotonic() > deadline:
            raise BenchError(f"only {ready} of {numbers.stop} fake virtual clusters are ready")
        time.sleep(2)


def count_ready(api: Api) -> int:
    """How many of the fleet have a ready pod."""
    return sum(
        item["metadata"]["namespace"].startswith(PREFIX) and item["status"].get("readyReplicas") == 1
        for item in api.get(STATEFUL_SETS)["items"]
    )


def fake_node(number: int) -> dict[str, Any]:
    """A large node that no other pod comes to."""
    size = {"cpu": "1000", "memory": "4Ti", "ephemeral-storage": "64Ti", "pods": "4000"}
    return {
        "metadata": {
            "name": f"{PREFIX}{number}",
            "labels": {MARK: "fake", "kubernetes.io/os": "linux"},
            "annotations": {MARK: "fake"},
        },
        "spec": {"taints": [{"key": MARK, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"capacity": size, "allocatable": size},
    }


@contextmanager
def fake_nodes(host: Host) -> Iterator[Kwok]:
    """Have nodes whose pods a kwok of ours pretends to run; one that the cluster has is not disturbed."""
    for number in range(NODES):
        host.api.create("/api/v1/nodes", fake_node(number))
    kwok = subprocess.Popen(
        [
            str(host.binaries / "kwok"),
            f"--kubeconfig={host.kubeconfig}",
            f"--config={host.binaries.parent}/kwok-stages.yaml",
            f"--manage-nodes-with-annotation-selector={MARK}=fake",
            "--node-lease-duration-seconds=40",
            "--cidr=10.204.0.0/16",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield kwok
    finally:
        kwok.terminate()
        kwok.wait()
