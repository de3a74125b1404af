# SPDX-License-Identifier: GPL-3.0-or-later
"""A task that is killed at any moment is finished by running it again; two at once corrupt nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from host_api import Host, root
from interruption import kill_at, request_has, set_status
from modules import Module
from places import IDLE, Place, place
from proxy import Proxy
from waiting import eventually

FAULT = "killed at a chosen request, or left unfinished by helm"
pytestmark = pytest.mark.fault(FAULT)

MORE: dict[str, Any] = {**IDLE, "sync": {"toHost": {"ingresses": {"enabled": True}}}}


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
UNFINISHED = ("pending-install", "pending-upgrade", "pending-rollback", "failed")


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


@pytest.fixture
def where(host: Host) -> Iterator[Place]:
    """Where one virtual cluster lives through all the moments of a test."""
    with place(host, "kill") as found:
        yield found


@pytest.mark.long
@pytest.mark.fault(FAULT, len(CREATE_MOMENTS))
def test_creation_killed_at_each_moment_goes_on(host: Host, impatient: Module, where: Place, proxy: Proxy) -> None:
    """Killed again and again, each time a little later, it goes on from what it finds."""
    asked: dict[str, Any] = {"name": where.name, "values": IDLE}
    for moment in CREATE_MOMENTS.values():
        kill_at(impatient, proxy, asked, moment)
    result = impatient(**asked, wait=False)
    assert result["virtual_cluster"]["managed"]
    check_whole(host, impatient, where, IDLE)


@pytest.mark.parametrize(
    ("moment", "module"),
    [
        ("first object", "impatient"),
        pytest.param("end of helm", "vcluster", marks=pytest.mark.long),  # with the real wait for what was killed
    ],
)
def test_creation_killed_once_is_finished_by_the_next(
    host: Host, where: Place, proxy: Proxy, request: pytest.FixtureRequest, moment: str, module: str
) -> None:
    """What one killed task leaves is enough for the next one to end as if nothing had been."""
    vcluster: Module = request.getfixturevalue(module)
    asked: dict[str, Any] = {"name": where.name, "values": IDLE}
    kill_at(vcluster, proxy, asked, CREATE_MOMENTS[moment])
    result = vcluster(**asked, wait=False)
    assert result["virtual_cluster"]["managed"]
    check_whole(host, vcluster, where, IDLE)


@pytest.mark.long
@pytest.mark.fault(FAULT, len(CHANGE_MOMENTS))
def test_change_killed_at_each_moment_is_finished_by_the_next(
    host: Host, impatient: Module, where: Place, proxy: Proxy
) -> None:
    """Each change is finished by the next task, and the next change is killed later."""
    impatient(name=where.name, values=IDLE, wait=False)
    wanted = IDLE
    for moment in CHANGE_MOMENTS.values():
        wanted = IDLE if wanted is MORE else MORE
        asked: dict[str, Any] = {"name": where.name, "values": wanted, "wait": False}
        kill_at(impatient, proxy, asked, moment)
        impatient(**asked)
        assert impatient(**asked)["steps"] == []
    check_whole(host, impatient, where, wanted)


@pytest.mark.fault(FAULT, len(DELETE_MOMENTS))
def test_deletion_killed_at_each_moment_deletes_the_rest(
    host: Host, impatient: Module, where: Place, proxy: Proxy
) -> None:
    """Killed again and again, each time a little later, it deletes the rest."""
    impatient(name=where.name, values=IDLE, wait=False)
    asked: dict[str, Any] = {"name": where.name, "state": "absent"}
    for moment in DELETE_MOMENTS.values():
        kill_at(impatient, proxy, asked, moment)
    impatient(**asked)
    check_gone(host, impatient, where)


@pytest.mark.long
@pytest.mark.fault(FAULT, len(DELETE_MOMENTS))
def test_deletion_killed_and_revoked_leaves_a_whole_virtual_cluster(
    host: Host, impatient: Module, where: Place, proxy: Proxy
) -> None:
    """However far a killed deletion came, the virtual cluster can be had again."""
    asked: dict[str, Any] = {"name": where.name, "values": IDLE, "wait": False}
    impatient(**asked)
    for moment in DELETE_MOMENTS.values():
        kill_at(impatient, proxy, {"name": where.name, "state": "absent"}, moment)
        impatient(**asked)
        assert impatient(**asked)["steps"] == []
    check_whole(host, impatient, where, IDLE)


@pytest.mark.long
@pytest.mark.fault(FAULT, len(UNFINISHED))
def test_release_left_unfinished_by_helm_is_finished(host: Host, impatient: Module, where: Place) -> None:
    """Whatever helm was doing, check mode names it, and the task ends as if nothing had been."""
    asked: dict[str, Any] = {"name": where.name, "values": IDLE, "wait": False}
    impatient(**asked)
    for status in UNFINISHED:
        if status == "pending-upgrade":
            asked = {**asked, "values": MORE}
            impatient(**asked)
        set_status(host, where, status)
        check = impatient(check=True, **asked)
        assert status in " ".join(check["steps"])
        run = impatient(**asked)
        assert run["steps"] == check["steps"]
        assert impatient(**asked)["steps"] == []
    check_whole(host, impatient, where, MORE)


def test_creations_at_once_make_one_that_runs(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
    """One of two equal tasks may be told to come again; a further run is unchanged and it runs."""
    where = new("twice")
    processes = [vcluster.start({"name": where.name}) for _twice in range(2)]
    results = [vcluster.finish(process) for process in processes]
    failed = [result for result in results if result.get("failed")]
    assert len(failed) < 2, failed
    for result in failed:
        assert "run the task again" in result["msg"], result["msg"]
    after = vcluster(name=where.name)
    assert after["steps"] == []
    assert after["virtual_cluster"]["phase"] == "running"


def test_change_and_deletion_at_once_leave_what_each_can_finish(
    host: Host, vcluster: Module, new: Callable[..., Place]
) -> None:
    """Opposite tasks at the same time leave something that each of them can finish."""
    where = new("versus")
    vcluster(name=where.name, values=IDLE, wait=False)
    change: dict[str, Any] = {"name": where.name, "values": MORE, "wait": False}
    processes = [vcluster.start(change), vcluster.start({"name": where.name, "state": "absent"})]
    for process in processes:
        assert "Traceback" not in str(vcluster.finish(process))
    vcluster(**change)
    check_whole(host, vcluster, where, MORE)


def test_deletion_during_creation_ends_its_wait(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
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
