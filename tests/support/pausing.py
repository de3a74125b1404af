# SPDX-License-Identifier: GPL-3.0-or-later
"""Values, selections and comparisons of the tests of pausing and resuming."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from host_api import Host
from modules import Module
from places import Place
from waiting import eventually

MARKS = ("loft.sh/paused", "loft.sh/paused-replicas", "loft.sh/paused-date")
ETCD = {"controlPlane": {"backingStore": {"etcd": {"deploy": {"enabled": True}}}}}
EXTERNAL_ETCD = {
    "controlPlane": {"backingStore": {"etcd": {"external": {"enabled": True, "endpoint": "etcd.example.com:2379"}}}}
}
THREE = {"controlPlane": {"statefulSet": {"highAvailability": {"replicas": 3}}}}
INGRESSES = {"sync": {"toHost": {"ingresses": {"enabled": True}}}}
NODES = {"sync": {"fromHost": {"nodes": {"enabled": True}}}}


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Values of several layers."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def stateful_set(**values: Any) -> dict[str, Any]:
    """Values of the control plane's workload."""
    return {"controlPlane": {"statefulSet": values}}


def only(result: dict[str, Any]) -> dict[str, Any]:
    """The one virtual cluster of a result."""
    (found,) = result["virtual_clusters"]
    return dict(found)


def checked(task: Module, **options: Any) -> dict[str, Any]:
    """Check mode, the run, which does the same, and a second one, which does nothing; the one virtual cluster."""
    foreseen, done = task(check=True, **options), task(**options)
    assert foreseen["virtual_clusters"] == done["virtual_clusters"]
    assert foreseen["diff"] == done["diff"]
    again = task(**options)
    assert (again["changed"], again["diff"]) == (False, [])
    return only(done)


def workload(host: Host, where: Place, name: str | None = None) -> dict[str, Any]:
    """The control plane, or the workload of another name."""
    for plural in ("statefulsets", "deployments"):
        found = host.get(where.path(plural, name or where.name, "apps/v1"))
        if found:
            return dict(found)
    pytest.fail(f"{where.name} has no workload {name or where.name}")


def replicas(host: Host, where: Place) -> dict[str, int]:
    """Replicas that are asked for, by the name of the workload."""
    items = [*host.items(where.path("statefulsets", version="apps/v1"))]
    items += host.items(where.path("deployments", version="apps/v1"))
    return {item["metadata"]["name"]: item["spec"]["replicas"] for item in items}


def marks(host: Host, where: Place, name: str | None = None) -> dict[str, str]:
    """The annotations of a pause on a workload."""
    annotations = workload(host, where, name)["metadata"].get("annotations") or {}
    return {mark: annotations[mark] for mark in MARKS if mark in annotations}


@contextmanager
def pods_made(host: Host, where: Place) -> Iterator[list[str]]:
    """Names of the pods that are created in a namespace while the context lasts."""
    made: list[str] = []
    path, last = where.path("pods"), f"last-{uuid.uuid4().hex[:5]}"
    version = host.get(path)["metadata"]["resourceVersion"]
    answer = host.pool.request(
        "GET",
        f"{host.configuration.host}{path}?watch=true&resourceVersion={version}&timeoutSeconds=300",
        headers=host.headers,
        preload_content=False,
    )

    def read() -> None:
        for line in answer:
            event = json.loads(line)
            name = event["object"]["metadata"]["name"]
            if name == last:
                return
            if event["type"] == "ADDED":
                made.append(name)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield made
        # The watch is not behind: a pod that is made now is seen.
        spec = {"nodeName": "no-such-node", "containers": [{"name": "x", "image": "x"}]}
        host.create(path, {"metadata": {"name": last}, "spec": spec})
        eventually("the end of the watch", lambda: not thread.is_alive())
        host.request("DELETE", f"{path}/{last}", {"gracePeriodSeconds": 0})
    finally:
        answer.close()


def releases(host: Host, where: Place) -> list[tuple[str, str]]:
    """(revision, status) of the releases in a namespace, as helm lists them."""
    listed = json.loads(host.call("helm", "list", "-n", where.namespace, "--output", "json").stdout)
    return [(one["revision"], one["status"]) for one in listed]


def names_of(where: Place) -> tuple[str, str]:
    """The names of the control plane and of the etcd beside it."""
    return where.name, f"{where.name}-etcd"


def resumed(state: Module, where: Place) -> dict[str, Any]:
    """Resume without waiting for pods that never come."""
    return only(state(name=where.name, state="running", wait=False))
