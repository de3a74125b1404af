# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the module vcluster_state: pause, resume and restart, on host clusters in memory whose controllers work."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.nested.clusters.plugins.doc_fragments.host_clusters import ModuleDocFragment
from ansible_collections.nested.clusters.plugins.module_utils.common import batch
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.listing import observed
from ansible_collections.nested.clusters.plugins.module_utils.power import power_batch
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import phases, workloads
from ansible_collections.nested.clusters.plugins.modules import vcluster_state
from fake_api import Request, refusal
from power_cases import (
    MARKED,
)
from simulated_host import SYNCED, SimulatedHost, Ticking, workload
from tasks_on_hosts import Task, checked, of, replace_time, task_on


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


def test_cluster_paused_and_resumed_is_as_before(task: Task, host: SimulatedHost) -> None:
    host.have_cluster("a", replicas=2, etcd=3)
    host.have_cluster("b")
    result = checked(task, host, name="a", state="paused")
    assert of(result, "a") == {
        "name": "a",
        "namespace": "vcluster-a",
        "host_cluster": None,
        "group": None,
        "owner": None,
        "before": "running",
        "after": "paused",
        "changed": True,
        "steps": [
            "scale StatefulSet a from 2 to 0 replicas",
            "delete 2 synced pods",
            "scale etcd StatefulSet a-etcd from 3 to 0 replicas",
        ],
        "note": "",
        "failed": False,
        "msg": "",
    }
    assert (host.pods("a"), host.workload_of("a")["spec"]["replicas"]) == ([], 0)
    assert len(host.pods("b")) == 3
    assert phases.phase(host.workload_of("a")) == "paused"
    result = checked(task, host, name="a", state="running")
    assert (of(result, "a")["before"], of(result, "a")["after"]) == ("paused", "running")
    assert of(result, "a")["steps"] == [
        "scale etcd StatefulSet a-etcd from 0 to 3 replicas",
        "scale StatefulSet a from 0 to 2 replicas",
    ]
    assert host.replicas("a") == [2, 3]
    assert not any("annotations" in host.workload_of("a", app)["metadata"] for app in ("vcluster", "vcluster-etcd"))
    host.tick()
    assert len(host.pods("a")) == 7


def test_diff_of_a_pause_names_what_happens(task: Task, host: SimulatedHost) -> None:
    host.have_cluster("a")
    (entry,) = checked(task, host, name="a", state="paused")["diff"]
    assert entry["before_header"] == "virtual cluster a (namespace vcluster-a)"
    assert entry["before"] == "phase: running\nsynced pod: user-0-x-a\nsynced pod: user-1-x-a\n"
    assert entry["after"] == (
        "phase: paused\nstep: scale StatefulSet a from 1 to 0 replicas\nstep: delete 2 synced pods\n"
    )


@pytest.mark.parametrize("replicas", [1, 3])
def test_cluster_restarted_replaces_one_pod_at_a_time(replicas: int, task: Task, host: SimulatedHost) -> None:
    """One pod at a time: the others are ready while it is replaced."""
    host.have_cluster("a", replicas=replicas, etcd=1)
    before = {at: pod["metadata"]["uid"] for at, pod in host.state().items() if "/pods/a-" in at}
    ready: list[int] = []

    def watch(request: Request) -> None:
        if request.method == "DELETE":
            ready.append(host.workload_of("a")["status"]["readyReplicas"])

    host.intercept = watch
    result = checked(task, host, name="a", state="restarted")
    assert ready == [replicas] * replicas
    assert of(result, "a")["steps"] == [f"delete pod a-{number}" for number in reversed(range(replicas))]
    for at, uid in before.items():
        assert (host.at(at)["metadata"]["uid"] == uid) == ("etcd" in at)
    assert of(result, "a")["after"] == "running"


def test_deployment_paused_and_resumed_is_as_before(task: Task, host: SimulatedHost) -> None:
    host.have_cluster("a", kind="Deployment", etcd=1)
    assert of(checked(task, host, name="a", state="paused"), "a")["steps"][0] == (
        "scale Deployment a from 1 to 0 replicas"
    )
    checked(task, host, name="a", state="running")


def test_cluster_without_waiting_is_done_with_its_steps(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    """The steps are all done; what they lead to is not waited for."""
    host.have_cluster("a", etcd=1)
    host.never_ready.add("a")
    paused = task(name="a", state="paused", wait=False)
    assert (of(paused, "a")["after"], host.workload_of("a", "vcluster-etcd")["spec"]["replicas"]) == ("paused", 0)
    result = task(name="a", state="running", wait=False)
    assert (of(result, "a")["after"], host.workload_of("a")["spec"]["replicas"]) == ("pending", 1)
    assert len(of(result, "a")["steps"]) == 2
    assert of(task(name="a", state="running", wait=False), "a")["after"] == "pending"
    assert clock.now < 1030


@pytest.mark.parametrize("state", ["paused", "restarted"])
def test_store_without_a_claim_is_refused(state: str, task: Task, host: SimulatedHost) -> None:
    host.have_cluster("a", kind="Deployment")
    for check in (True, False):
        result = task(name="a", state=state, check_mode=check)
        assert "everything in it would be lost: set accept_data_loss" in result["msg"]
    assert not host.sent("patch", "delete")
    assert task(name="a", state=state, accept_data_loss=True)["changed"]


def test_store_elsewhere_is_no_data_loss(task: Task, host: SimulatedHost) -> None:
    database = {"controlPlane": {"backingStore": {"database": {"external": {"enabled": True}}}}}
    host.have_cluster("a", kind="Deployment", values=database)
    checked(task, host, name="a", state="paused")


@pytest.mark.parametrize("broken", ["forbidden", "missing", "no config", "no values"])
def test_values_that_cannot_be_read_count_as_data_loss(broken: str, task: Task, host: SimulatedHost) -> None:
    """What is not known to survive does not."""
    host.have_cluster("a", kind="Deployment")
    where = "/api/v1/namespaces/vcluster-a/secrets/vc-config-a"
    if broken == "forbidden":
        host.deny("get", "secrets")
    elif broken == "missing":
        host.vanish(where)
    else:
        host.change(where, {"data": {"config.yaml": None if broken == "no config" else "Ig=="}})
    assert "accept_data_loss" in task(name="a", state="paused")["msg"]


def test_api_of_a_resumed_cluster_is_asked_until_ready(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    host.have_cluster("a", replicas=0, annotations={**MARKED, "loft.sh/paused-replicas": "1"})
    answers = iter(["[-]etcd failed", "ok"])
    host.api.pod_answer = lambda request: next(answers)
    task(name="a", state="running")
    asked = [str(request) for request in host.requests if "proxy" in request.path]
    assert asked == ["GET /api/v1/namespaces/vcluster-a/pods/https%3Aa-0%3A8443/proxy/readyz"] * 2


@pytest.mark.parametrize(("status", "seconds", "word"), [(403, 0, "pods/proxy"), (503, 5, "does not reach")])
def test_api_that_cannot_be_asked_is_a_warning(
    status: int, seconds: float, word: str, task: Task, host: SimulatedHost, clock: Ticking
) -> None:
    """Then the kubelet's word counts, and a warning says so."""
    for name in "abc":
        host.have_cluster(name, replicas=0, annotations=MARKED)

    host.api.pod_answer = lambda request: refusal(status, "cannot", "")
    result = task(names=["a", "b", "c"], state="running", at_once=1)
    assert {one["after"] for one in result["virtual_clusters"]} == {"running"}
    (warning,) = result["warnings"]
    assert word in warning
    # It is found out once, and not for each.
    assert 1000 + seconds <= clock.now < 1010 + seconds


def test_clusters_of_several_hosts_are_all_paused(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    clock.hosts.append(SimulatedHost())
    for one in clock.hosts:
        one.have_cluster("a")
    clock.hosts[1].have_cluster("b")
    result = checked(task, *clock.hosts, names=["a", "b"], state="paused")
    assert [(one["host_cluster"], one["name"]) for one in result["virtual_clusters"]] == [
        (None, "a"),
        ("h1", "a"),
        ("h1", "b"),
    ]
    assert result["diff"][2]["before_header"] == "virtual cluster b (namespace vcluster-b, host cluster h1)"
    checked(task, *clock.hosts, names=["a", "b"], state="running")


def test_host_cluster_that_does_not_answer_fails_in_the_end(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    """The others are worked on; the task fails in the end. A name may be there, so nothing is changed."""
    clock.hosts.append(SimulatedHost())
    host.have_cluster("a")
    clock.hosts[1].down = True
    result = task(state="paused", phases=["running"], all=True)
    (failure,) = result["failures"]
    assert failure == {"name": None, "namespace": None, "host_cluster": "h1", "msg": failure["msg"]}
    assert failure["msg"].startswith(f"host cluster {clock.hosts[1].host} does not answer: ")
    assert result["msg"] == f"1 of 1 virtual clusters are not paused: host cluster h1: {failure['msg']}"
    assert of(result, "a")["after"] == "paused"
    result = task(state="running", names=["a", "z"])
    assert f"host cluster h1 could not be read: {failure['msg']}" in result["msg"]
    assert host.workload_of("a")["spec"]["replicas"] == 0


def test_synced_pods_in_synced_namespaces_are_deleted(task: Task, host: SimulatedHost) -> None:
    host.have_cluster("a")
    host.have_cluster("b", namespace="other")
    for number, owner in enumerate(("a", "b")):
        mark = observed.marker(owner, "vcluster-a" if owner == "a" else "other")
        host.have("Namespace", f"made-{number}", labels={SYNCED: mark})
        host.have("Pod", "p", namespace=f"made-{number}", labels={SYNCED: "a"})
    result = checked(task, host, name="a", state="paused")
    assert of(result, "a")["steps"] == [
        "scale StatefulSet a from 1 to 0 replicas",
        "delete 1 synced pod in made-0",
        "delete 2 synced pods",
    ]
    assert "/api/v1/namespaces/made-0/pods/p" not in host
    assert "/api/v1/namespaces/made-1/pods/p" in host


DOCUMENTATION = yaml.safe_load(vcluster_state.DOCUMENTATION)


def test_options_of_vcluster_state_are_documented() -> None:
    spec = vcluster_state.argument_spec()
    fragment = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    own = {name: option for name, option in spec.items() if name not in auth_argument_spec()}
    assert own.keys() == DOCUMENTATION["options"].keys() | fragment.keys()
    for name, told in DOCUMENTATION["options"].items():
        for what in ("type", "choices", "default", "required", "elements"):
            assert told.get(what) == own[name].get(what), (name, what)


def test_examples_of_vcluster_state_are_valid_tasks() -> None:
    tasks = yaml.safe_load(vcluster_state.EXAMPLES)
    validator = ArgumentSpecValidator(vcluster_state.argument_spec())
    for one in tasks:
        options = one["nested.clusters.vcluster_state"]
        assert validator.validate(options).error_messages == []


def test_results_of_vcluster_state_are_documented(task: Task, host: SimulatedHost) -> None:
    host.have_cluster("a")
    result = task(name="a", state="paused")
    told = yaml.safe_load(vcluster_state.RETURN)
    assert told.keys() == result.keys() - {"changed", "invocation", "warnings", "diff"}
    assert told["virtual_clusters"]["contains"].keys() == of(result, "a").keys()
    json.dumps(result)


def test_simulated_host_with_a_cluster_runs_it(host: SimulatedHost) -> None:
    """What the tests above stand on: it is running when its pods are ready, and paused as the CLI has it."""
    host.have_cluster("a", replicas=2, etcd=3)
    assert phases.phase(host.workload_of("a")) == "running"
    assert workloads.kind(workload("a")) == "StatefulSet"
    assert workloads.kind(workload("a", kind="Deployment")) == "Deployment"
    assert host.pods("a") == ["a-0", "a-1", "a-etcd-0", "a-etcd-1", "a-etcd-2", "user-0-x-a", "user-1-x-a"]
