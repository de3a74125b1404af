# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of what fails in vcluster_state, how long it waits, and how many requests it sends."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import batch
from ansible_collections.nested.clusters.plugins.module_utils.power import power_batch, power_steps
from ansible_collections.nested.clusters.plugins.modules import vcluster_state
from fake_api import ANSWER_LOST, Request
from fake_api.messages import Fault
from power_cases import (
    MARKED,
    crash,
    many,
    refuse,
)
from simulated_host import SimulatedHost, Ticking
from tasks_on_hosts import Task, names, of, replace_time, task_on


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    found = Ticking(SimulatedHost())
    replace_time(monkeypatch, found, (power_batch, batch))
    return found


@pytest.fixture
def host(clock: Ticking) -> SimulatedHost:
    """The host cluster of the task."""
    return clock.hosts[0]


@pytest.fixture
def task(clock: Ticking, run_module: Task, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Run the module on all hosts of the clock."""
    return task_on(clock.hosts, vcluster_state, run_module, monkeypatch)


@pytest.mark.parametrize("state", ["paused", "running"])
def test_requests_for_unchanged_clusters_do_not_grow(state: str, task: Task, host: SimulatedHost) -> None:
    counts = []
    for number in range(12):
        host.have_cluster(f"v{number}", etcd=number % 2, labels={"env": "ci"})
        task(state=state, label_selectors=["env=ci"])
        host.requests.clear()
        result = task(state=state, label_selectors=["env=ci"])
        assert (len(names(result)), result["changed"]) == (number + 1, False)
        counts.append(len(host.requests))
    assert len(set(counts)) == 1
    assert counts[0] == {"paused": 6, "running": 4}[state]


def test_requests_for_many_are_few_for_each(task: Task, host: SimulatedHost) -> None:
    """Two requests for each to pause it, one to resume it and one whether it answers; the rest are LISTs."""
    for number in range(20):
        host.have_cluster(f"v{number}")
    for state, each in (("paused", 2), ("running", 2)):
        host.requests.clear()
        assert len(names(task(state=state, label_selectors=["app"]))) == 20
        lists = host.sent("list")
        assert len(host.requests) - len(lists) == 20 * each
        assert len(lists) < 40


def test_requests_for_few_select_them_by_name(task: Task, host: SimulatedHost) -> None:
    """Not to read the pods of a thousand virtual clusters because of one."""
    for name in "abc":
        host.have_cluster(name)
    host.requests.clear()
    task(state="paused", names=["c", "a"])
    lists = [request for request in host.requests if request.method == "GET" and request.path.endswith("/pods")]
    assert all("in (a,c)" in request.query["labelSelector"] for request in lists)
    host.requests.clear()
    task(state="running", names=[f"{name}" for name in "ab"], wait=False)
    task(state="paused", name="b")
    assert "list /api/v1/namespaces/vcluster-b/pods" in host.sent("list")


def test_failure_of_one_does_not_stop_the_others(task: Task, host: SimulatedHost) -> None:
    many(host)
    host.intercept = refuse("v2")
    result = task(label_selectors=["env=ci"], state="paused", diff=True)
    assert result["failed"]
    patch = f"PATCH /apis/apps/v1/namespaces/vcluster-v2/statefulsets/v2 on host cluster {host.host}"
    message = f"{patch}: 403 v2 is forbidden"
    assert result["msg"] == f"1 of 6 virtual clusters are not paused: v2: {message}"
    assert result["failures"] == [{"name": "v2", "namespace": "vcluster-v2", "host_cluster": None, "msg": message}]
    assert [one["after"] for one in result["virtual_clusters"]] == ["paused"] * 2 + ["running"] + ["paused"] * 3
    assert (of(result, "v2")["changed"], of(result, "v2")["steps"], result["changed"]) == (False, [], True)
    assert len(result["diff"]) == 5


def test_failures_up_to_max_failures_begin_no_more(task: Task, host: SimulatedHost) -> None:
    many(host)
    host.intercept = refuse("v1")
    result = task(label_selectors=["env=ci"], state="paused", max_failures=1, at_once=1)
    assert [one["after"] for one in result["virtual_clusters"]] == ["paused"] + ["running"] * 5
    assert [one["failed"] for one in result["virtual_clusters"]] == [False, True] + [False] * 4
    assert {one["msg"] for one in result["virtual_clusters"][2:]} == {batch.NOT_BEGUN}
    assert "(4 more were not begun)" in result["msg"]
    host.intercept = lambda request: None
    assert not task(label_selectors=["env=ci"], state="paused", max_failures=1).get("failed")


def test_failure_before_the_begin_counts(task: Task, host: SimulatedHost) -> None:
    many(host, 3)
    host.change_workload("v1", {"metadata": {"finalizers": ["example.com/hold"]}})
    host.delete("/apis/apps/v1/namespaces/vcluster-v1/statefulsets/v1")
    results = [
        task(label_selectors=["env=ci"], state="paused", max_failures=1, check_mode=check) for check in (True, False)
    ]
    assert results[0] == results[1]
    assert [one["changed"] for one in results[0]["virtual_clusters"]] == [False] * 3
    assert not results[0]["changed"]


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_clusters_at_once_are_no_more_than_at_once(at_once: int, task: Task, host: SimulatedHost) -> None:
    many(host)
    under_way: list[int] = []

    def watch(_request: Request) -> None:
        running = [number for number in range(6) if host.workload_of(f"v{number}")["spec"]["replicas"]]
        ended = [number for number in range(6) if number not in running and not host.pods(f"v{number}")]
        under_way.append(6 - len(running) - len(ended))

    host.intercept = watch
    assert not task(label_selectors=["env=ci"], state="paused", at_once=at_once).get("failed")
    assert max(under_way) == at_once


@pytest.mark.parametrize("option", ["at_once", "max_failures", "wait_timeout"])
def test_number_of_zero_is_refused(option: str, task: Task) -> None:
    result = task(name="a", state="paused", **{option: 0})
    assert f"{option}: 0 is not usable" in result["msg"]


def test_pods_that_do_not_end_fail_in_time(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    host.have_cluster("a")
    host.stuck.add("user-1-x-a")
    result = task(name="a", state="paused", wait_timeout=20)
    message = result["failures"][0]["msg"]
    assert message.startswith("not paused after 20 s (wait_timeout): pods that have not ended yet: user-1-x-a")
    assert 1020 <= clock.now < 1023
    assert of(result, "a")["after"] == "paused"
    assert of(result, "a")["steps"] == ["scale StatefulSet a from 1 to 0 replicas", "delete 2 synced pods"]


def test_cluster_that_does_not_become_ready_fails_in_time(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    host.have_cluster("a", replicas=0, annotations=MARKED)
    host.never_ready.add("a")
    result = task(name="a", state="running", wait_timeout=20)
    assert "not running after 20 s (wait_timeout): 0 of 2 replicas ready" in result["msg"]
    assert of(result, "a")["after"] == "pending"


@pytest.mark.parametrize("which", ["a", "a-etcd"])
def test_cluster_that_crashes_fails_early_with_its_log(
    which: str, task: Task, host: SimulatedHost, clock: Ticking
) -> None:
    host.have_cluster("a", replicas=0, annotations=MARKED, etcd=1)
    host.scale("a", 0, "vcluster-etcd")
    host.never_ready.add(which)
    host.api.pod_answer = lambda request: "out of sorts" if request.path.endswith("/log") else "ok"
    tick = host.tick

    def and_crash(seconds: float = 0) -> None:
        tick(seconds)
        crash(host, which)

    host.tick = and_crash  # type: ignore[method-assign]
    result = task(name="a", state="running", wait_timeout=100)
    assert f"container syncer of pod {which}-0 keeps ending" in result["msg"]
    assert "out of sorts" in result["msg"]
    assert clock.now < 1020


def test_etcd_that_waits_for_the_control_plane_is_resumed(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    """Never started: etcd becomes ready only once the control plane has written its certificates."""
    host.have_cluster("a", replicas=0, annotations=MARKED, etcd=1)
    host.scale("a", 0, "vcluster-etcd")
    host.never_ready.add("a-etcd")
    host.intercept = lambda request: host.never_ready.clear() if request.path.endswith("statefulsets/a") else None
    result = task(name="a", state="running")
    assert of(result, "a")["after"] == "running"
    assert 1000 + power_steps.ETCD_PATIENCE < clock.now < 1010 + power_steps.ETCD_PATIENCE


def test_api_server_that_restarts_is_waited_for(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    host.have_cluster("a")
    host.intercept = lambda request: 503 if 1000.2 < clock.now < 1020 else None
    result = task(name="a", state="paused")
    assert of(result, "a")["after"] == "paused"
    assert 1020 <= clock.now < 1030


def test_answer_that_is_lost_counts_as_a_change(task: Task, host: SimulatedHost) -> None:
    """It was done, but nobody said so: the result says that something was changed."""
    host.have_cluster("a")

    def lose(request: Request) -> Fault | None:
        if request.method != "PATCH":
            return None
        host.intercept = lambda request: None
        return ANSWER_LOST

    host.intercept = lose
    result = task(name="a", state="paused")
    assert of(result, "a")["steps"] == ["scale StatefulSet a from 1 to 0 replicas", "delete 2 synced pods"]


def test_answer_that_asks_to_try_again_is_tried_again(task: Task, host: SimulatedHost) -> None:
    """It was not done; a step that is sent twice is told once."""
    host.have_cluster("a")
    left = [1, 1, 1]
    host.intercept = lambda request: 429 if request.method == "PATCH" and left and left.pop() else None
    result = task(name="a", state="paused")
    assert of(result, "a")["steps"] == ["scale StatefulSet a from 1 to 0 replicas", "delete 2 synced pods"]


def test_failures_on_several_hosts_are_counted_together(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    clock.hosts.append(SimulatedHost())
    for one in clock.hosts:
        many(one, 4)
        one.intercept = refuse("v")
    result = task(state="paused", label_selectors=["env=ci"], at_once=1, max_failures=2)
    assert sum(one["failed"] for one in result["virtual_clusters"]) == 2
    assert sum(one["msg"] == batch.NOT_BEGUN for one in result["virtual_clusters"]) == 6
