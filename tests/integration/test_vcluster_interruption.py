# SPDX-License-Identifier: GPL-3.0-or-later
"""A task that is killed at any moment is finished by running it again; two at once corrupt nothing."""

from __future__ import annotations

import base64
import gzip
import json
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from conftest import IDLE, Host, Module, Place, Proxy, eventually, place, root, serve_proxy

pytestmark = pytest.mark.fault("killed at a chosen request, or left unfinished by helm")

MORE: dict[str, Any] = {**IDLE, "sync": {"toHost": {"ingresses": {"enabled": True}}}}


def kill_at(vcluster: Module, proxy: Proxy, options: dict[str, Any], moment: Callable[[str], bool]) -> None:
    """Kill a task and its helm, as the end of a machine does, at the first request that is the moment.

    The request does not reach the host cluster.
    """
    process = vcluster.start({**options, **proxy.options})
    hit = threading.Event()

    def fault(method: str, path: str) -> int:
        if not hit.is_set() and moment(f"{method} {path}"):
            hit.set()
            os.killpg(process.pid, signal.SIGKILL)
        return -1 if hit.is_set() else 0

    proxy.fault = fault
    output = process.communicate(timeout=120)
    proxy.fault = lambda method, path: 0
    assert hit.is_set(), f"the moment never came: {output}\n" + "\n".join(proxy.seen)
    assert process.returncode == -signal.SIGKILL


def request_has(*words: str, without: str = "\n") -> Callable[[str], bool]:
    """True for a request that has all of these words, and not the other."""
    return lambda request: all(word in request for word in words) and without not in request


CREATE_MOMENTS = {
    "before the namespace": request_has("POST /api/v1/namespaces"),
    "before helm's record": request_has("POST", "/secrets"),
    "first object": request_has("PATCH", "/serviceaccounts/"),
    "middle object": request_has("PATCH", "/rolebindings/"),
    "workload": request_has("PATCH", "/statefulsets/", "fieldManager"),
    "end of helm": request_has("PUT", "/secrets/sh.helm.release"),
    "metadata": request_has("PATCH", "/statefulsets/", without="?"),
    "waiting": request_has("GET", "/pods?"),
}
CHANGE_MOMENTS = {
    "before helm's record": request_has("POST", "/secrets"),
    "first object": request_has("PATCH", "/secrets/vc-config"),
    "end of helm": request_has("PUT", "/secrets/sh.helm.release"),
}
DELETE_MOMENTS = {
    "before helm": request_has("PUT", "/secrets/sh.helm.release"),
    "first object": request_has("DELETE", "/services/"),
    "workload": request_has("DELETE", "/statefulsets/"),
    "last object": request_has("DELETE", "/serviceaccounts/"),
    "end of helm": request_has("DELETE", "/secrets/sh.helm.release"),
    "namespace": lambda request: request.startswith("DELETE /api/v1/namespaces/") and request.count("/") == 4,
}


def check_whole(host: Host, vcluster: Module, where: Place, values: dict[str, Any]) -> None:
    """A virtual cluster is as its task says, for the module and for helm; then it is deleted completely."""
    workload = host.get(where.workload)
    assert workload["metadata"]["annotations"]["nested-clusters/managed"] == "true"
    assert vcluster(name=where.name, values=values, wait=False)["steps"] == []
    assert host.call("helm", "list", "-n", where.namespace, "--deployed", "-q").stdout.split() == [where.name]
    gone = vcluster(name=where.name, state="absent")
    assert gone["steps"][-1] == f"delete namespace {where.namespace}"
    check_gone(host, vcluster, where)


def check_gone(host: Host, vcluster: Module, where: Place) -> None:
    """Nothing is left, in the namespace and outside."""
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None
    assert vcluster(name=where.name, state="absent")["steps"] == []
    roles = host.items(f"{root('rbac.authorization.k8s.io/v1')}/clusterroles")
    assert not [role for role in roles if where.name in role["metadata"]["name"]]


def create_is_killed(host: Host, vcluster: Module, moment: str) -> None:
    with place(host, "kill") as where, serve_proxy(host) as proxy:
        asked: dict[str, Any] = {"name": where.name, "values": IDLE}
        kill_at(vcluster, proxy, asked, CREATE_MOMENTS[moment])
        result = vcluster(**asked, wait=False)
        assert result["virtual_cluster"]["managed"]
        check_whole(host, vcluster, where, IDLE)


def change_is_killed(host: Host, vcluster: Module, moment: str) -> None:
    with place(host, "kill") as where, serve_proxy(host) as proxy:
        vcluster(name=where.name, values=IDLE, wait=False)
        asked: dict[str, Any] = {"name": where.name, "values": MORE, "wait": False}
        kill_at(vcluster, proxy, asked, CHANGE_MOMENTS[moment])
        vcluster(**asked)
        check_whole(host, vcluster, where, MORE)


def delete_is_killed(host: Host, vcluster: Module, moment: str) -> None:
    with place(host, "kill") as where, serve_proxy(host) as proxy:
        vcluster(name=where.name, values=IDLE, wait=False)
        asked: dict[str, Any] = {"name": where.name, "state": "absent"}
        kill_at(vcluster, proxy, asked, DELETE_MOMENTS[moment])
        vcluster(**asked)
        check_gone(host, vcluster, where)


def delete_is_killed_and_revoked(host: Host, vcluster: Module, moment: str) -> None:
    with place(host, "kill") as where, serve_proxy(host) as proxy:
        vcluster(name=where.name, values=IDLE, wait=False)
        kill_at(vcluster, proxy, {"name": where.name, "state": "absent"}, DELETE_MOMENTS[moment])
        vcluster(name=where.name, values=IDLE, wait=False)
        check_whole(host, vcluster, where, IDLE)


def is_unfinished(host: Host, vcluster: Module, status: str) -> None:
    with place(host, "unfinished") as where:
        asked: dict[str, Any] = {"name": where.name, "values": IDLE, "wait": False}
        vcluster(**asked)
        if status != "pending-install":
            asked = {**asked, "values": MORE}
            vcluster(**asked)
        set_status(host, where, status)
        check = vcluster(check=True, **asked)
        assert status in " ".join(check["steps"])
        run = vcluster(**asked)
        assert run["steps"] == check["steps"]
        check_whole(host, vcluster, where, asked["values"])


SCENARIOS: dict[Callable[[Host, Module, str], None], list[str]] = {
    create_is_killed: list(CREATE_MOMENTS),
    change_is_killed: list(CHANGE_MOMENTS),
    delete_is_killed: list(DELETE_MOMENTS),
    delete_is_killed_and_revoked: list(DELETE_MOMENTS),
    is_unfinished: ["pending-install", "pending-upgrade", "pending-rollback", "failed"],
}


@pytest.mark.parametrize(
    ("scenario", "moment"),
    [(scenario, moment) for scenario, moments in SCENARIOS.items() for moment in moments],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_again(
    host: Host, vcluster: Module, scenario: Callable[[Host, Module, str], None], moment: str
) -> None:
    """Killed before this request, or left unfinished by helm: the next task ends as if nothing had been."""
    scenario(host, vcluster, moment)


def set_status(host: Host, where: Place, status: str) -> None:
    """Write another status into the newest revision of the release, as a killed helm leaves it."""
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
    processes = [vcluster.start({"name": where.name}) for _twice in range(2)]
    results = [vcluster.finish(process) for process in processes]
    failed = [result for result in results if result.get("failed")]
    assert len(failed) < 2, failed
    for result in failed:
        assert "run again" in result["msg"], result["msg"]
    after = vcluster(name=where.name)
    assert after["steps"] == []
    assert after["virtual_cluster"]["phase"] == "running"


def test_change_and_deletion_at_once(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
    """Opposite tasks at the same time leave something that each of them can finish."""
    where = new("versus")
    vcluster(name=where.name, values=IDLE, wait=False)
    change: dict[str, Any] = {"name": where.name, "values": MORE, "wait": False}
    processes = [vcluster.start(change), vcluster.start({"name": where.name, "state": "absent"})]
    for process in processes:
        assert "Traceback" not in str(vcluster.finish(process))
    vcluster(**change)
    check_whole(host, vcluster, where, MORE)


def test_deletion_of_what_is_being_created(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
    """A creation that waits ends when somebody deletes the virtual cluster, and does not wait to its end."""
    where = new("short")
    process = vcluster.start({"name": where.name, "values": IDLE, "wait_timeout": 300})
    eventually("workload", lambda: host.get(where.workload))
    eventually("metadata", lambda: "nested-clusters/managed" in str(host.get(where.workload)))
    vcluster(name=where.name, state="absent")
    result = vcluster.finish(process)
    assert result.get("failed")
    assert "wait_timeout" not in result["msg"]
    check_gone(host, vcluster, where)
