# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the deletion of many while something else happens: changes, failures, restarts, and kills."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import batch, well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import deletion_batch
from ansible_collections.nested.clusters.plugins.module_utils.power import power_batch
from ansible_collections.nested.clusters.plugins.modules import vcluster_state
from clock import Clock
from fake_api import Request, refusal
from populated_host import PopulatedHost
from tasks_on_hosts import Task, of, replace_time, task_on


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    found = Clock()
    replace_time(monkeypatch, found, (deletion_batch, power_batch, batch))
    yield found
    assert found.now < 3000, "something waits for ever"


@pytest.fixture
def all_hosts(clock: Clock) -> list[PopulatedHost]:
    return [PopulatedHost()]


@pytest.fixture
def host(all_hosts: list[PopulatedHost]) -> PopulatedHost:
    return all_hosts[0]


@pytest.fixture
def task(all_hosts: list[PopulatedHost], run_module: Task, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Run the module on all hosts."""
    return task_on(all_hosts, vcluster_state, run_module, monkeypatch, state="absent")


def test_cluster_protected_meanwhile_stays(task: Task, host: PopulatedHost) -> None:
    """Of many, the later ones are begun some time after the look that the plan was made from."""
    host.have_cluster("a")
    host.have_cluster("b")

    def protect(request: Request) -> None:
        if str(request) == "DELETE /api/v1/namespaces/vcluster-a":
            protected = {"metadata": {"annotations": {well_known.PROTECTED: "true"}}}
            host.change("/apis/apps/v1/namespaces/vcluster-b/statefulsets/b", protected)

    host.intercept = protect
    result = task(names=["a", "b"], at_once=1)
    assert of(result, "b")["msg"] == "it was protected meanwhile"
    assert (of(result, "a")["after"], of(result, "b")["changed"]) == ("absent", False)
    assert "/api/v1/namespaces/vcluster-b/persistentvolumeclaims/data-b-0" in host


def test_failure_of_one_deletion_keeps_no_other(task: Task, host: PopulatedHost) -> None:
    for name in "abc":
        host.have_cluster(name)
    refused = "DELETE /api/v1/namespaces/vcluster-b"
    host.intercept = lambda request: refusal(403, "no") if str(request) == refused else None
    result = task(names=["a", "b", "c"])
    message = f"{refused} on host cluster {host.host}: 403 no"
    assert of(result, "b")["msg"].startswith(message)
    assert result["msg"] == f"1 of 3 virtual clusters are not absent: b: {of(result, 'b')['msg']}"
    assert host.paths_with("vcluster-a") == host.paths_with("vcluster-c") == []
    assert of(result, "b")["after"] == "deleting"


def test_failures_of_deletions_up_to_max_failures_begin_no_more(task: Task, host: PopulatedHost) -> None:
    for name in "abc":
        host.have_cluster(name)
    host.deny("delete", "*")
    result = task(names=["a", "b", "c"], at_once=1, max_failures=1)
    assert [one["failed"] for one in result["virtual_clusters"]] == [True, False, False]
    assert "(2 more were not begun)" in result["msg"]


@pytest.mark.parametrize("number", range(1, 16))
def test_deletion_killed_at_any_request_is_finished_by_the_next(number: int, task: Task, host: PopulatedHost) -> None:
    """The next task finds what is left, also in a namespace of somebody's, and removes it."""
    host.have_cluster("a", made=False)
    host.have_cluster("b")
    deletions = []

    class Killed(BaseException):
        pass

    def kill(request: Request) -> None:
        if request.method == "DELETE":
            deletions.append(request)
            if len(deletions) == number:
                raise Killed

    host.intercept = kill
    with contextlib.suppress(Killed):
        task(names=["a", "b"], at_once=1)
    host.intercept = lambda request: None
    task(names=["a", "b"])
    assert [path for path in host.paths() if "/vcluster-a/" in path or "vcluster-b" in path or "-x-a" in path] == []


def test_namespace_that_does_not_go_fails_in_time(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("a")
    host.have_cluster("b")
    why = {"conditions": [{"status": "True", "message": "Some content has finalizers"}]}
    held = {"metadata": {"finalizers": ["example.com/hold"]}, "status": why}
    host.change("/api/v1/namespaces/vcluster-a", held)
    result = task(names=["a", "b"], wait_timeout=20)
    assert of(result, "b")["after"] == "absent"
    assert of(result, "a")["msg"] == (
        "not gone after 20 s (wait_timeout): namespace vcluster-a: Some content has finalizers; run the task again"
    )
    assert of(task(names=["a"], wait=False), "a")["failed"] is False


def test_deletion_without_waiting_ends_at_once(task: Task, host: PopulatedHost, clock: Clock) -> None:
    for name, made in (("a", True), ("b", False)):
        host.have_cluster(name, made=made)
    result = task(names=["a", "b"], wait=False)
    assert {one["after"] for one in result["virtual_clusters"]} == {"deleting"}
    assert clock.now == 1000


def test_volumes_with_reclaim_policy_delete_are_waited_for(task: Task, host: PopulatedHost, clock: Clock) -> None:
    host.have_cluster("a")
    spec = {"claimRef": {"namespace": "vcluster-a", "name": "data-a-0"}, "persistentVolumeReclaimPolicy": "Delete"}
    host.have("PersistentVolume", "ours", spec=spec)
    clock.after(20, lambda: host.vanish("/api/v1/persistentvolumes/ours"))
    task(name="a")
    assert 1020 <= clock.now < 1025


def test_host_cluster_that_does_not_answer_keeps_no_other(
    task: Task, host: PopulatedHost, all_hosts: list[PopulatedHost]
) -> None:
    all_hosts.append(PopulatedHost())
    host.have_cluster("a")
    all_hosts[1].down = True
    result = task(name="a")
    (failure,) = result["failures"]
    assert failure["msg"].startswith(f"host cluster {all_hosts[1].host} does not answer: ")
    assert result["msg"] == f"1 of 1 virtual clusters are not absent: host cluster h1: {failure['msg']}"
    assert host.paths_with("vcluster-a") == []


def test_api_server_that_restarts_during_a_deletion_is_waited_for(
    task: Task, host: PopulatedHost, clock: Clock
) -> None:
    host.have_cluster("a")
    began = []

    def restart(request: Request) -> int | None:
        if request.method == "DELETE":
            began.append(clock.now)
        return 503 if began and clock.now - began[0] < 10 else None

    host.intercept = restart
    assert of(task(name="a"), "a")["after"] == "absent"
    assert clock.now >= 1010


def test_namespace_that_is_being_deleted_is_waited_for(task: Task, host: PopulatedHost, clock: Clock) -> None:
    host.have_cluster("a")
    namespace = host.at("/api/v1/namespaces/vcluster-a")
    namespace["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    host.add(namespace)
    clock.after(10, lambda: host.vanish_with("/vcluster-a"))
    result = task(name="a")
    assert of(result, "a")["before"] == "deleting"
    assert of(result, "a")["steps"] == ["delete clusterroles/vc-a-v-vcluster-a", "delete priorityclasses/high-x-a"]
    assert clock.now >= 1010


def test_cluster_made_again_meanwhile_stays(task: Task, host: PopulatedHost, clock: Clock) -> None:
    """Made again as soon as the namespace was gone."""
    host.have_cluster("a")
    host.change("/api/v1/namespaces/vcluster-a", {"metadata": {"finalizers": ["example.com/hold"]}})

    def again() -> None:
        host.vanish_with("vcluster-a")
        host.have_cluster("a")

    clock.after(5, again)
    assert of(task(name="a"), "a")["after"] == "absent"
    assert "deletionTimestamp" not in host.at("/api/v1/namespaces/vcluster-a")["metadata"]
