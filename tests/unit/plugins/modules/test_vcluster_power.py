# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of vcluster with state paused, running and restarted, on a host cluster in memory; Helm is stood in for."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.admission import admit
from ansible_collections.nested.clusters.plugins.module_utils.common import batch
from ansible_collections.nested.clusters.plugins.module_utils.common.well_known import GROUP_LABEL
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.power import power_batch
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import cluster_state, phases
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import (
    Change,
    ChangeKind,
    ChangeTarget,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome, State
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.plan import Plan
from ansible_collections.nested.clusters.plugins.modules import vcluster
from kubeconfig_secrets import kubeconfig_secret
from simulated_host import SimulatedHost, Ticking

Object = dict[str, Any]
Run = Callable[..., Object]

NAME, NAMESPACE = "demo", "vcluster-demo"
RELEASE = ChangeTarget("release", NAME)
INSTALL = Change(ChangeKind.INSTALL, RELEASE, {"version": "0.36.1"})
CHANGE = Change(ChangeKind.CHANGE_VALUES, RELEASE)
START_FIRST = "pause it when it has started"
PAUSE = ["scale StatefulSet demo from 1 to 0 replicas", "delete 2 synced pods"]
RESUME = ["scale StatefulSet demo from 0 to 1 replica"]


class World:
    """A host cluster, and a Helm that installs the virtual cluster, or upgrades it with ``changes``."""

    def __init__(self) -> None:
        self.host = SimulatedHost()
        self.client = self.host.client()
        self.changes: list[Change] = []
        self.waits: list[float | None] = []

    def phase(self) -> str:
        return phases.phase(self.host.workload_of(NAME))

    def have(self, *states: str, run: Run, **changes: Any) -> None:
        """Have the virtual cluster, after it was brought to these states."""
        self.host.have_cluster(NAME, **changes)
        for state in states:
            assert run(state=state)["changed"]
        self.host.requests.clear()

    def read(self, _kubernetes: Any, name: str, namespace: str) -> State:
        where = f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}"
        if where not in self.host:
            return State(None, None, [], [], {}, {})
        live = {("apps/v1", "StatefulSet", namespace, name): self.host.at(where)}
        return State(None, None, [], [kubeconfig_secret(name, namespace)], {}, live)

    def present(self, kubernetes: Any, _open_helm: Any, request: Any, run: RunOptions) -> Outcome:
        self.waits.append(run.wait)
        state = self.read(kubernetes, request.name, request.namespace)
        changes = [*self.changes] if state.live else [INSTALL]
        if not run.check and not state.live:
            self.host.have_cluster(request.name)
            state = self.read(kubernetes, request.name, request.namespace)
        return Outcome(Plan(changes), state)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    monkeypatch.setattr(Kubernetes, "from_module", classmethod(lambda cls, module: found.client))
    monkeypatch.setattr(reconcile, "present", found.present)
    monkeypatch.setattr(cluster_state, "read", found.read)
    clock = Ticking(found.host)
    monkeypatch.setattr(power_batch, "time", clock)
    monkeypatch.setattr(batch, "time", clock)
    return found


@pytest.fixture
def run(run_module: Run, world: World) -> Run:
    def call(**options: Any) -> Object:
        return run_module(vcluster, **{"name": NAME, "diff": True, **options})

    return call


def checked(world: World, run: Run, **options: Any) -> Object:
    """Check mode, which changes nothing, and the real run, which does just that."""
    before = world.host.state()
    foreseen = run(check_mode=True, **options)
    assert world.host.state() == before
    result = run(**options)
    assert not result.get("failed"), result["msg"]
    for key in ("changed", "steps", "diff"):
        assert foreseen[key] == result[key], key
    return result


def phases_in(diff: list[Object]) -> list[tuple[str, str]]:
    """The phase before and after, of each part of a diff."""
    return [(part["before"].splitlines()[0], part["after"].splitlines()[0]) for part in diff]


def test_running_cluster_paused_is_paused(world: World, run: Run) -> None:
    world.have(run=run)
    result = checked(world, run, state="paused")
    assert (result["changed"], result["steps"]) == (True, PAUSE)
    assert result["virtual_cluster"]["phase"] == world.phase() == "paused"
    assert phases_in(result["diff"]) == [("phase: running", "phase: paused")]
    assert world.waits == [None, None], "what is about to be paused is not waited for"


def test_paused_cluster_paused_is_unchanged(world: World, run: Run) -> None:
    world.have("paused", run=run)
    result = checked(world, run, state="paused")
    assert (result["changed"], result["steps"], result["diff"]) == (False, [], [])
    assert {request.split()[0] for request in world.host.sent()} <= {"get", "list"}
    assert world.phase() == "paused"


def test_paused_cluster_paused_with_changes_is_not_woken(world: World, run: Run) -> None:
    world.have("paused", run=run)
    world.changes = [CHANGE]
    result = checked(world, run, state="paused")
    assert result["steps"] == [CHANGE.text]
    assert world.phase() == "paused"


def test_paused_cluster_running_is_resumed(world: World, run: Run) -> None:
    world.have("paused", run=run)
    result = checked(world, run, state="running")
    assert result["steps"] == RESUME
    assert result["virtual_cluster"]["phase"] == world.phase() == "running"
    assert phases_in(result["diff"]) == [("phase: paused", "phase: running")]
    again = run(state="running")
    assert (again["changed"], again["steps"]) == (False, [])


def test_paused_cluster_present_stays_paused(world: World, run: Run) -> None:
    world.have("paused", run=run)
    assert not checked(world, run, state="present")["changed"]
    assert world.phase() == "paused"
    assert world.host.requests == [], "state present asks nothing about pausing"


def test_changes_come_before_the_state_and_the_kubeconfig_is_of_what_runs(
    world: World, run: Run, tmp_path: Any
) -> None:
    world.have("paused", run=run)
    world.changes = [CHANGE]
    path = str(tmp_path / "config")
    result = checked(world, run, state="running", export_kubeconfig={"path": path})
    assert result["steps"] == [CHANGE.text, *RESUME, f"write kubeconfig {path}"]
    result = run(state="paused", export_kubeconfig={"path": f"{path}-2"})
    assert result["steps"] == [CHANGE.text, f"write kubeconfig {path}-2", *PAUSE]


def test_new_cluster_running_is_created(world: World, run: Run) -> None:
    result = checked(world, run, state="running")
    assert result["steps"] == [INSTALL.text]
    assert not run(state="running")["changed"]


def test_new_cluster_paused_starts_first(world: World, run: Run) -> None:
    before = world.host.state()
    foreseen = run(state="paused", check_mode=True)
    assert foreseen["steps"] == [INSTALL.text, START_FIRST]
    assert phases_in(foreseen["diff"]) == [("phase: absent", "phase: paused")]
    assert world.host.state() == before
    result = run(state="paused")
    assert result["steps"] == [INSTALL.text, *PAUSE]
    assert phases_in(result["diff"]) == phases_in(foreseen["diff"])
    assert result["virtual_cluster"]["phase"] == "paused"
    assert world.waits == [300, 300], "it is waited for until it has started"
    assert not run(state="paused")["changed"]


def uids_of_pods(world: World) -> set[str]:
    pods = world.host.objects("Pod")
    return {pod["metadata"]["uid"] for pod in pods if pod["metadata"]["name"].startswith(f"{NAME}-")}


def test_restarted_changes_every_time(world: World, run: Run) -> None:
    world.have(run=run)
    for _time in range(2):
        before = uids_of_pods(world)
        result = checked(world, run, state="restarted")
        assert result["steps"] == ["delete pod demo-0"]
        assert result["virtual_cluster"]["phase"] == "running"
        after = uids_of_pods(world)
        assert not before & after


def test_new_cluster_restarted_is_created(world: World, run: Run) -> None:
    assert checked(world, run, state="restarted")["steps"] == [INSTALL.text]


@pytest.mark.parametrize(
    ("changes", "state", "before", "message"),
    [
        ({"claim": False}, "paused", (), "its store has no volume claim, and everything in it would be lost"),
        ({}, "restarted", ("paused",), "it is paused: use state running to start it"),
    ],
    ids=["data would be lost", "restart of a paused one"],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_state_that_is_refused_changes_nothing(
    changes: Object, state: str, before: tuple[str, ...], message: str, check_mode: bool, world: World, run: Run
) -> None:
    world.have(*before, run=run, values={}, **changes)
    world.changes = [CHANGE]
    world.waits.clear()
    result = run(state=state, check_mode=check_mode)
    assert result["failed"]
    assert result["msg"].startswith(f"virtual cluster demo is not {state}: {message}")
    assert world.waits == [], "refused before anything is changed"


def test_data_loss_that_is_accepted_is_no_refusal(world: World, run: Run) -> None:
    world.have(run=run, claim=False)
    assert checked(world, run, state="paused", accept_data_loss=True)["steps"] == PAUSE


def test_cluster_that_does_not_start_fails_in_time(world: World, run: Run) -> None:
    world.have("paused", run=run)
    world.host.never_ready.add(NAME)
    result = run(state="running", wait_timeout=20)
    assert result["failed"]
    assert "virtual cluster demo is not running: not running after 20 s (wait_timeout)" in result["msg"]


def test_cluster_that_is_not_waited_for_is_resumed_all_the_same(world: World, run: Run) -> None:
    world.have("paused", run=run)
    world.host.never_ready.add(NAME)
    result = run(state="running", wait=False)
    assert result["steps"] == RESUME
    assert result["virtual_cluster"]["phase"] == "pending"


def test_other_clusters_of_the_namespace_and_the_host_are_left_alone(world: World, run: Run) -> None:
    world.have(run=run)
    world.host.have_cluster("other")
    world.host.have_cluster(NAME, namespace="elsewhere")
    run(state="paused")
    workloads = {where: thing for where, thing in world.host.state().items() if "/statefulsets/" in where}
    paused = [where for where, thing in workloads.items() if not thing["spec"]["replicas"]]
    assert paused == [f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/{NAME}"]


def test_cluster_of_a_group_is_found_in_it(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = SimpleNamespace(
        kubernetes=world.client,
        namespace=NAMESPACE,
        takes_more=False,
        describe=lambda check: {"host_cluster": "host-a"},
        placement_dict=lambda: {"host": "host-a"},
    )
    seen = SimpleNamespace(group=SimpleNamespace(oidc=None, endpoint=None), uncounted=list)

    def present(_given: Any, open_helm: Any, request: Any, _asked: Any, run: RunOptions) -> Any:
        return world.present(world.client, open_helm, request, run), decision, seen

    monkeypatch.setattr(admit, "present", present)
    world.have(run=run, of_namespace={"labels": {GROUP_LABEL: "dev"}})
    world.host.have_cluster(NAME, namespace="elsewhere")
    result = checked(world, run, state="paused", group="dev")
    assert result["steps"] == PAUSE
    assert result["virtual_cluster"]["host_cluster"] == result["placement"]["host"] == "host-a"
