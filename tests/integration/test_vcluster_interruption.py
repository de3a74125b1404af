# SPDX-License-Identifier: GPL-3.0-or-later
"""A task that is killed at any moment is finished by running it again; two at once corrupt nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Host, Module, Place, Proxy, eventually, root


def kill(process: subprocess.Popen[str]) -> None:
    """Kill the module and its helm, as the end of a machine does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def kill_at(vcluster: Module, proxy: Proxy, options: dict[str, Any], moment: Callable[[str], bool]) -> bool:
    """Run a task through the proxy and kill it at the first request that is the moment, which is not answered."""
    process = vcluster.start({**options, **proxy.options})
    hit = False

    def fault(method: str, path: str) -> int:
        nonlocal hit
        if not hit and moment(f"{method} {path}"):
            hit = True
            kill(process)
        return -1 if hit else 0

    proxy.fault = fault
    if not hit:
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
            process.communicate(timeout=120)
    kill(process)
    proxy.fault = lambda method, path: 0
    return hit


class Nth:
    """True at the nth request that has all of these words."""

    def __init__(self, *words: str, nth: int = 1) -> None:
        self.words, self.left = words, nth

    def __call__(self, request: str) -> bool:
        self.left -= all(word in request for word in self.words)
        return self.left == 0


CREATE_MOMENTS = {
    "before the namespace": lambda: Nth("POST", "/api/v1/namespaces"),
    "helm starts": lambda: Nth("POST", "/secrets"),
    "helm's first object": lambda: Nth("/serviceaccounts"),
    "helm's workload": lambda: Nth("/statefulsets", nth=2),
    "helm's end": lambda: Nth("PUT", "/secrets/sh.helm.release"),
    "metadata": lambda: Nth("PATCH", "/statefulsets/", "merge"),
    "waiting": lambda: Nth("GET", "/pods"),
}


@pytest.mark.parametrize("moment", CREATE_MOMENTS)
def test_create_is_killed(
    host: Host, vcluster: Module, new: Callable[..., Place], proxy: Proxy, moment: str
) -> None:
    """Killed at this moment of a creation, the same task finishes it, and a further run is unchanged."""
    where = new("kill")
    kill_at(vcluster, proxy, {"name": where.name}, CREATE_MOMENTS[moment]())
    result = vcluster(name=where.name, wait=False)
    assert result["virtual_cluster"]["managed"]
    assert result["virtual_cluster"]["annotations"]["nested-clusters/managed"] == "true"
    assert vcluster(name=where.name, wait=False)["steps"] == []
    releases = host.call(
        "helm", "list", "-n", where.namespace, "--all" if False else "--deployed", "-q"
    ).stdout
    assert releases.split() == [where.name]
    gone = vcluster(name=where.name, state="absent")
    assert gone["steps"][-1] == f"delete namespace {where.namespace}"
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None


DELETE_MOMENTS = {
    "before helm": lambda: Nth("PUT", "/secrets/sh.helm.release"),
    "helm deletes": lambda: Nth("DELETE", "/services"),
    "helm ends": lambda: Nth("DELETE", "/secrets/sh.helm.release"),
    "sweeping": lambda: Nth("DELETE", "/api/v1/namespaces/vcluster-it-kill"),
}


@pytest.mark.parametrize("again", ["absent", "present"])
@pytest.mark.parametrize("moment", DELETE_MOMENTS)
def test_delete_is_killed(
    host: Host, vcluster: Module, new: Callable[..., Place], proxy: Proxy, moment: str, again: str
) -> None:
    """Killed at this moment of a deletion, either task can follow: it is deleted, or whole again."""
    where = new("kill")
    vcluster(name=where.name, wait=False)
    kill_at(vcluster, proxy, {"name": where.name, "state": "absent"}, DELETE_MOMENTS[moment]())
    if again == "present":
        vcluster(name=where.name, wait=False)
        assert vcluster(name=where.name, wait=False)["steps"] == []
        assert host.get(where.workload)
    vcluster(name=where.name, state="absent")
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None
    assert vcluster(name=where.name, state="absent")["steps"] == []


@pytest.mark.parametrize("status", ["pending-install", "pending-upgrade", "pending-rollback", "failed"])
def test_unfinished_release_is_cleared(
    host: Host, vcluster: Module, new: Callable[..., Place], status: str
) -> None:
    """A release that helm left unfinished is said, cleared and carried out again."""
    where = new("pending")
    vcluster(name=where.name, wait=False)
    if status != "pending-install":
        vcluster(name=where.name, values={"sync": {"toHost": {"ingresses": {"enabled": True}}}}, wait=False)
    set_status(host, where, status)
    check = vcluster(check=True, name=where.name, wait=False)
    assert check["changed"]
    assert status in " ".join(check["steps"])
    started = time.monotonic()
    assert vcluster(name=where.name, wait=False)["changed"]
    assert time.monotonic() - started < 60
    assert vcluster(name=where.name, wait=False)["steps"] == []
    assert host.call("helm", "list", "-n", where.namespace, "--deployed", "-q").stdout.split() == [where.name]


def set_status(host: Host, where: Place, status: str) -> None:
    """Write another status into the newest revision of the release, as a killed helm leaves it."""
    import base64
    import gzip
    import json

    prefix = f"sh.helm.release.v1.{where.name}.v"
    secrets = [s for s in host.items(where.path("secrets")) if s["metadata"]["name"].startswith(prefix)]
    newest = max(secrets, key=lambda secret: int(secret["metadata"]["labels"]["version"]))
    release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(newest["data"]["release"]))))
    release["info"]["status"] = status
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode()))).decode()
    patch = {"data": {"release": packed}, "metadata": {"labels": {"status": status}}}
    host.patch(where.path("secrets", newest["metadata"]["name"]), patch)


def test_two_creations_at_once(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
    """One of two equal tasks may be told to come again; a further run is unchanged and it runs."""
    where = new("twice")
    processes = [vcluster.start({"name": where.name}) for _ in range(2)]
    results = [vcluster.finish(process) for process in processes]
    failed = [result for result in results if result.get("failed")]
    assert len(failed) < 2, failed
    for result in failed:
        assert "run again" in result["msg"], result["msg"]
    after = vcluster(name=where.name)
    assert after["steps"] == []
    assert after["virtual_cluster"]["phase"] == "running"


def test_creation_and_deletion_at_once(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
    """Opposite tasks at the same time leave something that each of them can finish."""
    where = new("versus")
    vcluster(name=where.name, wait=False)
    change = {
        "name": where.name,
        "values": {"sync": {"toHost": {"ingresses": {"enabled": True}}}},
        "wait": False,
    }
    processes = [vcluster.start(change), vcluster.start({"name": where.name, "state": "absent"})]
    for process in processes:
        result = vcluster.finish(process)
        assert "Traceback" not in str(result)
    vcluster(name=where.name, wait=False)
    assert vcluster(name=where.name, wait=False)["steps"] == []
    vcluster(name=where.name, state="absent")
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None
    assert eventually("roles gone", lambda: not rest(host, where))


def rest(host: Host, where: Place) -> list[str]:
    """Cluster-scoped roles of a virtual cluster."""
    path = f"{root('rbac.authorization.k8s.io/v1')}/clusterroles"
    return [item["metadata"]["name"] for item in host.items(path) if where.name in item["metadata"]["name"]]
