# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of vcluster_state on what is neither paused nor running, at the same time as others, and killed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import batch
from ansible_collections.nested.clusters.plugins.module_utils.listing import observed
from ansible_collections.nested.clusters.plugins.module_utils.power import power_batch, power_steps
from ansible_collections.nested.clusters.plugins.modules import vcluster_state
from fake_api import Request
from power_cases import (
    MARKED,
    kill,
)
from simulated_host import SimulatedHost, Ticking
from tasks_on_hosts import Result, Task, checked, of, replace_time, task_on


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


def scaled_by_hand(host: SimulatedHost) -> None:
    host.have_cluster("a", replicas=0)


def woken_by_hand(host: SimulatedHost) -> None:
    host.have_cluster("a", replicas=2, annotations=MARKED)


def etcd_scaled_by_hand(host: SimulatedHost) -> None:
    host.have_cluster("a", replicas=2, etcd=3)
    host.scale("a", 0, "vcluster-etcd")


def paused_by_the_cli(host: SimulatedHost) -> None:
    host.have_cluster("a", replicas=0, annotations=MARKED, etcd=3)


def resumed_by_the_cli(host: SimulatedHost) -> None:
    host.have_cluster("a", replicas=2, etcd=3)
    host.scale("a", 0, "vcluster-etcd")
    marks = {**MARKED, "loft.sh/paused-replicas": "3"}
    host.change_workload("a", {"metadata": {"annotations": marks}}, "vcluster-etcd")


ODDITIES: dict[Callable[[SimulatedHost], None], tuple[str, str]] = {
    scaled_by_hand: ("pending", "scaled to 0 replicas, but not by a pause"),
    woken_by_hand: ("running", "marked as paused, but has 2 replicas"),
    etcd_scaled_by_hand: ("running", "etcd a-etcd has no replicas"),
    paused_by_the_cli: ("paused", "etcd a-etcd still runs"),
    resumed_by_the_cli: ("running", "etcd a-etcd has no replicas"),
}


@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("state", ["paused", "running"])
def test_cluster_in_an_odd_state_is_mended(
    oddity: Callable[[SimulatedHost], None], state: str, task: Task, host: SimulatedHost
) -> None:
    oddity(host)
    before, words = ODDITIES[oddity]
    told = of(checked(task, host, name="a", state=state), "a")
    assert (told["before"], told["after"], told["changed"]) == (before, state, True)
    assert words in told["note"]
    checked(task, host, name="a", state="running")
    assert host.workload_of("a")["spec"]["replicas"] == 2  # the number in the values, or in the annotation
    assert "annotations" not in host.workload_of("a")["metadata"]
    if "etcd" in words:
        etcd = host.workload_of("a", "vcluster-etcd")
        assert (etcd["spec"]["replicas"], "annotations" in etcd["metadata"]) == (3, False)
    assert of(task(name="a", state="running"), "a")["note"] == ""


@pytest.mark.parametrize("state", ["paused", "running"])
def test_cluster_in_any_state_is_brought_to_the_one_that_is_wanted(state: str, clock: Ticking, task: Task) -> None:
    """However replicas and marks were left: one task foresees what it does, and then nothing is left to do or odd."""
    marks: list[Result] = [{}, MARKED, {"loft.sh/paused": "true"}, {"loft.sh/paused": "false"}]
    for replicas, of_control, etcd, of_etcd in itertools.product(range(3), marks, (None, 0, 1, 3), marks):
        host = clock.hosts[0] = SimulatedHost()
        host.have_cluster("a", replicas=replicas, annotations=of_control, etcd=1 if etcd is not None else 0)
        if etcd is not None:
            host.scale("a", etcd, "vcluster-etcd")
            host.change_workload("a", {"metadata": {"annotations": dict(of_etcd)}}, "vcluster-etcd")
        host.tick()
        told = of(checked(task, host, name="a", state=state), "a")
        assert told["after"] == state
        beside = host.workload_of("a", "vcluster-etcd") if etcd is not None else None
        assert power_steps.note(observed.ObservedCluster(host.workload_of("a"), beside)) == ""
        assert bool(host.pods("a")) == (state == "running")


@pytest.mark.parametrize("state", ["paused", "running", "restarted"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_task_killed_at_any_request_is_finished_by_the_next(state: str, done: bool, clock: Ticking, task: Task) -> None:
    """Ended before or after any of its requests, a task is finished by the next one."""
    for number in itertools.count(1):
        host = clock.hosts[0] = SimulatedHost()
        host.have_cluster("a", replicas=2, etcd=3)
        if state == "running":
            task(name="a", state="paused")
        killed = kill(host, number, done, lambda: task(name="a", state=state))
        host.tick()
        result = task(name="a", state=state)
        assert not result.get("failed"), (number, result)
        assert of(result, "a")["after"] == {"restarted": "running"}.get(state, state)
        assert host.replicas("a") == ([0, 0] if state == "paused" else [2, 3])
        if state == "paused":
            assert host.pods("a") == []
            task(name="a", state="running")
            assert host.replicas("a") == [2, 3]
        assert task(name="a", state="running")["changed"] is False
        if not killed:
            break
    assert number > 10


@pytest.mark.parametrize("state", ["paused", "running"])
def test_task_beside_an_equal_one_ends_well(state: str, clock: Ticking, task: Task, run_module: Task) -> None:
    """Whichever of two equal tasks is first with a step, both end well, and replicas are not forgotten."""
    for number in range(1, 12):
        host = clock.hosts[0] = SimulatedHost()
        host.have_cluster("a", replicas=2, etcd=3)
        if state == "running":
            task(name="a", state="paused")
        count = itertools.count(1)

        def intercept(_request: Request, host: SimulatedHost = host, count: Any = count, number: int = number) -> None:
            if next(count) == number:
                host.intercept = lambda request: None
                for app in ("vcluster", "vcluster-etcd"):
                    elsewhere(host, app, state)

        host.intercept = intercept
        result = task(name="a", state=state)
        assert not result.get("failed"), (number, result)
        task(name="a", state="running")
        assert host.replicas("a") == [2, 3]


def elsewhere(host: SimulatedHost, app: str, state: str) -> None:
    """Another task sends its step for one workload."""
    cluster = observed.ObservedCluster(host.workload_of("a", app))
    for step in power_steps.steps(cluster, state, "then"):
        host.change(step.where, dict(step.body))


def test_task_against_an_opposite_one_fails_soon(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    """Two opposite tasks do not fight for ever."""
    host.have_cluster("a")

    def undo() -> None:
        for step in power_steps.steps(observed.ObservedCluster(host.workload_of("a")), "running", "then"):
            host.change(step.where, dict(step.body))

    clock.after(0.1, undo)
    result = task(name="a", state="paused")
    assert "another client undid the change" in result["failures"][0]["msg"]
    assert clock.now < 1010


def test_cluster_deleted_meanwhile_fails(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    host.have_cluster("a")

    def delete() -> None:
        for at in [at for at in host.paths() if "/statefulsets/" in at]:
            host.vanish(at)

    clock.after(0.1, delete)
    assert "it was deleted meanwhile" in task(name="a", state="paused")["failures"][0]["msg"]
