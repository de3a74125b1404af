# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the module vcluster_state, on host clusters in memory whose controllers work."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.nested.clusters.plugins.doc_fragments.host_clusters import ModuleDocFragment
from ansible_collections.nested.clusters.plugins.module_utils.common import batch
from ansible_collections.nested.clusters.plugins.module_utils.k8s import host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import HostCluster
from ansible_collections.nested.clusters.plugins.module_utils.listing import observed
from ansible_collections.nested.clusters.plugins.module_utils.power import batch as power_batch
from ansible_collections.nested.clusters.plugins.module_utils.power import steps as power_steps
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import phases, workloads
from ansible_collections.nested.clusters.plugins.modules import vcluster_state
from fake_api import ANSWER_LOST, Request, Response, refusal
from fake_api.messages import Fault
from fake_clock import replace_time
from tasks_on_hosts import Result, Task, checked, names, of, task_on
from simulated_host import SYNCED, SimulatedHost, Ticking, workload

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


# --- one --------------------------------------------------------------------------------------------------


def test_pause_and_resume(task: Task, host: SimulatedHost) -> None:
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


def test_the_diff_names_what_happens(task: Task, host: SimulatedHost) -> None:
    host.have_cluster("a")
    (entry,) = checked(task, host, name="a", state="paused")["diff"]
    assert entry["before_header"] == "virtual cluster a (namespace vcluster-a)"
    assert entry["before"] == "phase: running\nsynced pod: user-0-x-a\nsynced pod: user-1-x-a\n"
    assert entry["after"] == (
        "phase: paused\nstep: scale StatefulSet a from 1 to 0 replicas\nstep: delete 2 synced pods\n"
    )


@pytest.mark.parametrize("replicas", [1, 3])
def test_restart(replicas: int, task: Task, host: SimulatedHost) -> None:
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


def test_a_deployment_without_replicas_of_its_own(task: Task, host: SimulatedHost) -> None:
    host.have_cluster("a", kind="Deployment", etcd=1)
    assert of(checked(task, host, name="a", state="paused"), "a")["steps"][0] == (
        "scale Deployment a from 1 to 0 replicas"
    )
    checked(task, host, name="a", state="running")


def test_without_waiting(task: Task, host: SimulatedHost, clock: Ticking) -> None:
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


# --- selecting --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["which virtual clusters; allowed"]),
        ({"all": False}, ["which virtual clusters; allowed"]),
        ({"names": None, "label_selectors": None}, ["which virtual clusters; allowed"]),
        ({"group": "dev"}, ["group alone selects nothing"]),
        ({"phases": ["running"]}, ["phases alone selects nothing"]),
        ({"group": "dev", "phases": ["running"]}, ["group and phases alone selects nothing"]),
        ({"namespace": "vcluster-a"}, ["namespace alone selects nothing"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("state", ["paused", "running", "restarted", "absent"])
def test_something_has_to_be_selected(
    options: Result, words: list[str], state: str, task: Task, fleet: SimulatedHost
) -> None:
    """A group, a phase or a namespace alone would be everything in it. Nothing is even asked."""
    for check_mode in (True, False):
        result = task(state=state, check_mode=check_mode, **options)
        assert result["failed"]
        for word in (*words, "at least one of them, or all: true for all there are"):
            assert word in result["msg"]
        assert result["option"] == "name, names, owner, label_selectors"
    assert fleet.requests == []


@pytest.mark.parametrize(
    "empty",
    [
        {"names": []},
        {"names": ["a", ""]},
        {"names": ""},
        {"name": " "},
        {"owner": ""},
        {"label_selectors": []},
        {"label_selectors": [""]},
        {"group": ""},
        {"phases": []},
        {"namespace": ""},
    ],
    ids=str,
)
@pytest.mark.parametrize("others", [{}, {"owner": "alice"}, {"all": True}], ids=str)
def test_what_is_given_and_empty_is_refused(empty: Result, others: Result, task: Task, fleet: SimulatedHost) -> None:
    """A template that came out empty must not select more than what it would have."""
    (option,) = empty
    result = task(state="paused", **{**others, **empty})
    assert "it is empty, so it selects nothing" in result["msg"]
    assert result["option"] == option
    assert fleet.requests == []


def test_names_and_all_contradict_each_other(task: Task, fleet: SimulatedHost) -> None:
    for options in ({"name": "a"}, {"names": ["a"]}):
        result = task(state="paused", all=True, **options)
        assert "says which, and all: true says every one" in result["msg"]
    assert fleet.requests == []


@pytest.mark.parametrize("state", ["paused", "running", "restarted"])
@pytest.mark.parametrize("options", [{"all": True}, {"names": ["a", "b", "c", "d"]}], ids=str)
def test_no_more_are_changed_than_the_task_allows(
    state: str, options: Result, task: Task, fleet: SimulatedHost
) -> None:
    for check_mode in (True, False):
        result = task(state=state, check_mode=check_mode, max_selected=4, **options)
        assert result["failed"]
        assert "max_selected: 4 is not usable: 5 virtual clusters are selected, and none was changed: " in result["msg"]
        assert "; allowed: 5 or more, or a selection of fewer" in result["msg"]
    assert not fleet.sent("create", "patch", "delete")
    assert len(task(state=state, max_selected=5, **options)["virtual_clusters"]) == 5


def test_most_selected_is_a_number_that_allows_something(task: Task, fleet: SimulatedHost) -> None:
    assert "max_selected: 0 is not usable" in task(state="paused", name="a", max_selected=0)["msg"]


def test_not_all_of_too_many_are_named(task: Task, host: SimulatedHost) -> None:
    for number in range(12):
        host.have_cluster(f"v{number:02}")
    assert "v08, v09, and 2 more; allowed: 12 or more" in task(state="paused", all=True, max_selected=3)["msg"]


def grouped(group: str, owner: str = "", name: str = "") -> Result:
    annotations = {"nested-clusters/owner": owner} if owner else {}
    annotations["nested-clusters/size"] = "broken"  # which is of no interest here
    if name:
        annotations["nested-clusters/virtual-cluster"] = name
    return {"labels": {"nested-clusters/group": group}, "annotations": annotations}


def have_five(host: SimulatedHost) -> SimulatedHost:
    """Five virtual clusters: two in group dev, one in prod, two in none, of which one has the name of another."""
    host.have_cluster("a", labels={"env": "ci"}, of_namespace=grouped("dev", "alice", "a"))
    host.have_cluster("b", of_namespace=grouped("dev", "bob", "b"))
    host.have_cluster("c", labels={"env": "ci"}, of_namespace=grouped("prod", "alice", "c"))
    host.have_cluster("d", namespace="other-d", labels={"env": "test"})
    host.have_cluster("a", namespace="other-a", of_namespace=grouped("prod", "carol", "x"))
    host.requests.clear()
    return host


@pytest.fixture
def fleet(host: SimulatedHost) -> SimulatedHost:
    return have_five(host)


EVERYTHING = {"vcluster-a", "vcluster-b", "vcluster-c", "other-d", "other-a"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"name": "b"}, {"vcluster-b"}),
        ({"name": "a"}, {"vcluster-a", "other-a"}),
        ({"name": "a", "names": ["b", "a"]}, {"vcluster-a", "vcluster-b", "other-a"}),
        ({"name": "a", "namespace": "other-a"}, {"other-a"}),
        ({"group": "dev", "all": True}, {"vcluster-a", "vcluster-b"}),
        ({"all": True}, EVERYTHING),
        ({"owner": "alice"}, {"vcluster-a", "vcluster-c"}),
        ({"owner": "carol"}, set()),  # the namespace is that of virtual cluster x
        ({"group": "dev", "owner": "alice"}, {"vcluster-a"}),
        ({"group": "dev", "names": ["c"]}, set()),
        ({"label_selectors": ["env=ci"]}, {"vcluster-a", "vcluster-c"}),
        ({"label_selectors": ["env in (ci,test)"], "name": "d"}, {"other-d"}),
        ({"label_selectors": ["env=ci"], "name": "d"}, set()),
        ({"owner": "alice", "all": True}, {"vcluster-a", "vcluster-c"}),
        ({"phases": ["running"], "all": True}, EVERYTHING),
        ({"phases": ["running"], "namespace": "other-d", "all": True}, {"other-d"}),
        ({"phases": ["paused", "pending"], "all": True}, set()),
        ({"group": "nobody", "all": True}, set()),
        ({"label_selectors": ["env=none"]}, set()),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_selections(options: Result, expected: set[str], task: Task, fleet: SimulatedHost) -> None:
    result = checked(task, fleet, state="paused", **options)
    assert {cluster["namespace"] for cluster in result["virtual_clusters"] if cluster["changed"]} == expected
    stateful_sets = fleet.objects("StatefulSet")
    asleep = {one["metadata"]["namespace"] for one in stateful_sets if one["spec"]["replicas"] == 0}
    assert asleep == expected
    assert result["changed"] == bool(expected)


def test_group_and_owner_are_reported(task: Task, fleet: SimulatedHost) -> None:
    result = task(state="paused", phases=["running"], all=True, check_mode=True)
    told = {one["namespace"]: (one["group"], one["owner"]) for one in result["virtual_clusters"]}
    assert told["vcluster-a"] == ("dev", "alice")
    assert told["other-d"] == told["other-a"] == (None, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "z"}, ["name: 'z'", "none of this name on the given host clusters"]),
        ({"names": ["a", "z", "y"]}, ["names: 'y, z'"]),
        ({"name": "b", "namespace": "other-a"}, ["name: 'b'", "in namespace other-a"]),
        ({"names": ["b,c", "a"]}, ["b,c"]),
        ({"name": "Not a name"}, ["Not a name"]),
    ],
)
def test_a_name_that_does_not_exist(options: Result, words: list[str], task: Task, fleet: SimulatedHost) -> None:
    for check_mode in (True, False):
        result = task(state="paused", check_mode=check_mode, **options)
        assert result["failed"]
        assert all(word in result["msg"] for word in words), result["msg"]
    assert not fleet.sent("patch")


def test_without_permission_to_list_namespaces(task: Task, fleet: SimulatedHost) -> None:
    fleet.deny("list", "namespaces")
    result = task(state="paused", name="b")
    assert (of(result, "b")["group"], of(result, "b")["after"]) == (None, "paused")
    result = task(state="paused", group="dev", all=True)
    assert result["failed"]
    assert 'cannot list resource "namespaces"' in result["msg"]


def test_without_permission_for_all_namespaces(task: Task, fleet: SimulatedHost) -> None:
    fleet.deny("list", "statefulsets", allowed_in=["vcluster-b"])
    result = task(state="paused", name="b")
    assert "or give option namespace" in result["msg"]
    assert task(state="paused", name="b", namespace="vcluster-b")["changed"]


# --- numbers of requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["paused", "running"])
def test_requests_for_what_is_so_already_do_not_grow(state: str, task: Task, host: SimulatedHost) -> None:
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


def test_requests_for_many(task: Task, host: SimulatedHost) -> None:
    """Two requests for each to pause it, one to resume it and one whether it answers; the rest are LISTs."""
    for number in range(20):
        host.have_cluster(f"v{number}")
    for state, each in (("paused", 2), ("running", 2)):
        host.requests.clear()
        assert len(names(task(state=state, label_selectors=["app"]))) == 20
        lists = host.sent("list")
        assert len(host.requests) - len(lists) == 20 * each
        assert len(lists) < 40


def test_few_are_asked_for_by_name(task: Task, host: SimulatedHost) -> None:
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


# --- oddities ---------------------------------------------------------------------------------------------

MARKED = {"loft.sh/paused": "true", "loft.sh/paused-replicas": "2", "loft.sh/paused-date": "x"}


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
def test_oddities_are_named_and_mended(
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
def test_from_whatever_state(state: str, clock: Ticking, task: Task) -> None:
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


# --- interrupted, and at the same time --------------------------------------------------------------------


class Killed(BaseException):
    """What SIGKILL is to a process."""


@pytest.mark.parametrize("state", ["paused", "running", "restarted"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_at_any_request(state: str, done: bool, clock: Ticking, task: Task) -> None:
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


def kill(host: SimulatedHost, number: int, done: bool, work: Callable[[], Any]) -> bool:
    """Do something until its n-th request; whether it came to that."""
    count = itertools.count(1)
    dead = []

    def intercept(request: Request) -> None:
        now = next(count)
        if now > number or (now == number and not done):
            dead.append(request)
            raise Killed

    host.intercept = intercept
    with contextlib.suppress(Killed):
        work()
    host.intercept = lambda request: None
    return bool(dead)


@pytest.mark.parametrize("state", ["paused", "running"])
def test_somebody_else_does_the_same_at_any_moment(state: str, clock: Ticking, task: Task, run_module: Task) -> None:
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


def test_somebody_else_undoes_it(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    """Two opposite tasks do not fight for ever."""
    host.have_cluster("a")

    def undo() -> None:
        for step in power_steps.steps(observed.ObservedCluster(host.workload_of("a")), "running", "then"):
            host.change(step.where, dict(step.body))

    clock.after(0.1, undo)
    result = task(name="a", state="paused")
    assert "somebody else undid it" in result["failures"][0]["msg"]
    assert clock.now < 1010


def test_deleted_meanwhile(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    host.have_cluster("a")

    def delete() -> None:
        for at in [at for at in host.paths() if "/statefulsets/" in at]:
            host.vanish(at)

    clock.after(0.1, delete)
    assert "deleted by somebody else" in task(name="a", state="paused")["failures"][0]["msg"]


# --- failures ---------------------------------------------------------------------------------------------


def many(host: SimulatedHost, count: int = 6) -> None:
    for number in range(count):
        host.have_cluster(f"v{number}", labels={"env": "ci"})


def refuse(name: str) -> Callable[[Request], Response | None]:
    """Return an interceptor that refuses to change the workloads whose names begin with this."""
    return lambda request: (
        refusal(403, f"{name} is forbidden")
        if request.method == "PATCH" and request.path.rpartition("/")[2].startswith(name)
        else None
    )


def test_one_that_fails_does_not_stop_the_others(task: Task, host: SimulatedHost) -> None:
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


def test_max_failures(task: Task, host: SimulatedHost) -> None:
    many(host)
    host.intercept = refuse("v1")
    result = task(label_selectors=["env=ci"], state="paused", max_failures=1, at_once=1)
    assert [one["after"] for one in result["virtual_clusters"]] == ["paused"] + ["running"] * 5
    assert [one["failed"] for one in result["virtual_clusters"]] == [False, True] + [False] * 4
    assert {one["msg"] for one in result["virtual_clusters"][2:]} == {batch.NOT_BEGUN}
    assert "(4 more were not begun)" in result["msg"]
    host.intercept = lambda request: None
    assert not task(label_selectors=["env=ci"], state="paused", max_failures=1).get("failed")


def test_what_cannot_be_begun_counts_as_a_failure(task: Task, host: SimulatedHost) -> None:
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
def test_only_so_many_at_once(at_once: int, task: Task, host: SimulatedHost) -> None:
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
def test_numbers_that_would_do_nothing(option: str, task: Task) -> None:
    result = task(name="a", state="paused", **{option: 0})
    assert f"{option}: 0 is not usable" in result["msg"]


def test_pods_that_do_not_end(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    host.have_cluster("a")
    host.stuck.add("user-1-x-a")
    result = task(name="a", state="paused", wait_timeout=20)
    message = result["failures"][0]["msg"]
    assert message.startswith("not paused after 20 s (wait_timeout): pods that have not ended yet: user-1-x-a")
    assert 1020 <= clock.now < 1023
    assert of(result, "a")["after"] == "paused"
    assert of(result, "a")["steps"] == ["scale StatefulSet a from 1 to 0 replicas", "delete 2 synced pods"]


def test_one_that_does_not_become_ready(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    host.have_cluster("a", replicas=0, annotations=MARKED)
    host.never_ready.add("a")
    result = task(name="a", state="running", wait_timeout=20)
    assert "not running after 20 s (wait_timeout): 0 of 2 replicas ready" in result["msg"]
    assert of(result, "a")["after"] == "pending"


def crash(host: SimulatedHost, name: str) -> None:
    """Have the first pod of a workload crash."""
    last = {"terminated": {"exitCode": 1}}
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    containers = [{"name": "syncer", "restartCount": 3, "state": state, "lastState": last}]
    for at in [at for at in host.paths() if at.endswith(f"/pods/{name}-0")]:
        host.change(at, {"status": {"containerStatuses": containers}})


@pytest.mark.parametrize("which", ["a", "a-etcd"])
def test_waiting_ends_early_where_it_is_in_vain(which: str, task: Task, host: SimulatedHost, clock: Ticking) -> None:
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


def test_etcd_that_waits_for_the_control_plane(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    """Never started: etcd becomes ready only once the control plane has written its certificates."""
    host.have_cluster("a", replicas=0, annotations=MARKED, etcd=1)
    host.scale("a", 0, "vcluster-etcd")
    host.never_ready.add("a-etcd")
    host.intercept = lambda request: host.never_ready.clear() if request.path.endswith("statefulsets/a") else None
    result = task(name="a", state="running")
    assert of(result, "a")["after"] == "running"
    assert 1000 + power_steps.ETCD_PATIENCE < clock.now < 1010 + power_steps.ETCD_PATIENCE


def test_an_api_server_that_restarts(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    host.have_cluster("a")
    host.intercept = lambda request: 503 if 1000.2 < clock.now < 1020 else None
    result = task(name="a", state="paused")
    assert of(result, "a")["after"] == "paused"
    assert 1020 <= clock.now < 1030


def test_an_answer_that_is_lost(task: Task, host: SimulatedHost) -> None:
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


def test_an_answer_that_says_come_again(task: Task, host: SimulatedHost) -> None:
    """It was not done; a step that is sent twice is told once."""
    host.have_cluster("a")
    left = [1, 1, 1]
    host.intercept = lambda request: 429 if request.method == "PATCH" and left and left.pop() else None
    result = task(name="a", state="paused")
    assert of(result, "a")["steps"] == ["scale StatefulSet a from 1 to 0 replicas", "delete 2 synced pods"]


# --- data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["paused", "restarted"])
def test_a_store_without_a_claim(state: str, task: Task, host: SimulatedHost) -> None:
    host.have_cluster("a", kind="Deployment")
    for check in (True, False):
        result = task(name="a", state=state, check_mode=check)
        assert "everything in it would be lost: set accept_data_loss" in result["msg"]
    assert not host.sent("patch", "delete")
    assert task(name="a", state=state, accept_data_loss=True)["changed"]


def test_a_store_elsewhere(task: Task, host: SimulatedHost) -> None:
    database = {"controlPlane": {"backingStore": {"database": {"external": {"enabled": True}}}}}
    host.have_cluster("a", kind="Deployment", values=database)
    checked(task, host, name="a", state="paused")


@pytest.mark.parametrize("broken", ["forbidden", "missing", "no config", "no values"])
def test_values_that_cannot_be_read(broken: str, task: Task, host: SimulatedHost) -> None:
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


# --- the virtual cluster's own API ------------------------------------------------------------------------


def test_its_own_api_is_asked(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    host.have_cluster("a", replicas=0, annotations={**MARKED, "loft.sh/paused-replicas": "1"})
    answers = iter(["[-]etcd failed", "ok"])
    host.api.pod_answer = lambda request: next(answers)
    task(name="a", state="running")
    asked = [str(request) for request in host.requests if "proxy" in request.path]
    assert asked == ["GET /api/v1/namespaces/vcluster-a/pods/https%3Aa-0%3A8443/proxy/readyz"] * 2


@pytest.mark.parametrize(("status", "seconds", "word"), [(403, 0, "pods/proxy"), (503, 5, "does not reach")])
def test_its_own_api_cannot_be_asked(
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


# --- several host clusters --------------------------------------------------------------------------------


def test_several_host_clusters(task: Task, host: SimulatedHost, clock: Ticking) -> None:
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


def test_a_host_cluster_that_does_not_answer(task: Task, host: SimulatedHost, clock: Ticking) -> None:
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


def test_no_more_are_begun_anywhere(task: Task, host: SimulatedHost, clock: Ticking) -> None:
    clock.hosts.append(SimulatedHost())
    for one in clock.hosts:
        many(one, 4)
        one.intercept = refuse("v")
    result = task(state="paused", label_selectors=["env=ci"], at_once=1, max_failures=2)
    assert sum(one["failed"] for one in result["virtual_clusters"]) == 2
    assert sum(one["msg"] == batch.NOT_BEGUN for one in result["virtual_clusters"]) == 6


# --- in other namespaces ----------------------------------------------------------------------------------


def test_pods_in_namespaces_that_it_made(task: Task, host: SimulatedHost) -> None:
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


# --- documentation ----------------------------------------------------------------------------------------

DOCUMENTATION = yaml.safe_load(vcluster_state.DOCUMENTATION)


def test_options_are_documented_as_they_are() -> None:
    spec = vcluster_state.argument_spec()
    fragment = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    own = {name: option for name, option in spec.items() if name not in auth_argument_spec()}
    assert own.keys() == DOCUMENTATION["options"].keys() | fragment.keys()
    for name, told in DOCUMENTATION["options"].items():
        for what in ("type", "choices", "default", "required", "elements"):
            assert told.get(what) == own[name].get(what), (name, what)


def test_examples_are_tasks_that_the_module_takes() -> None:
    tasks = yaml.safe_load(vcluster_state.EXAMPLES)
    validator = ArgumentSpecValidator(vcluster_state.argument_spec())
    for one in tasks:
        options = one["nested.clusters.vcluster_state"]
        assert validator.validate(options).error_messages == []


def test_results_are_documented(task: Task, host: SimulatedHost) -> None:
    host.have_cluster("a")
    result = task(name="a", state="paused")
    told = yaml.safe_load(vcluster_state.RETURN)
    assert told.keys() == result.keys() - {"changed", "invocation", "warnings", "diff"}
    assert told["virtual_clusters"]["contains"].keys() == of(result, "a").keys()
    json.dumps(result)


def test_a_workload_of_the_simulation_is_one(host: SimulatedHost) -> None:
    """What the tests above stand on: it is running when its pods are ready, and paused as the CLI has it."""
    host.have_cluster("a", replicas=2, etcd=3)
    assert phases.phase(host.workload_of("a")) == "running"
    assert workloads.kind(workload("a")) == "StatefulSet"
    assert workloads.kind(workload("a", kind="Deployment")) == "Deployment"
    assert host.pods("a") == ["a-0", "a-1", "a-etcd-0", "a-etcd-1", "a-etcd-2", "user-0-x-a", "user-1-x-a"]
