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
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError, Unreachable
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import HostCluster
from ansible_collections.nested.clusters.plugins.module_utils.listing import observed
from ansible_collections.nested.clusters.plugins.module_utils.power import batch as power_batch
from ansible_collections.nested.clusters.plugins.module_utils.power import steps as power_steps
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import phases, workloads
from ansible_collections.nested.clusters.plugins.modules import vcluster_state
from clock import Clock
from simulation import SYNCED, Host, workload

Result = dict[str, Any]
Task = Callable[..., Result]


class Ticking(Clock):
    """Time that passes by sleeping; meanwhile controllers work."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts: list[Host] = []

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        for host in self.hosts:
            host.tick()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    fake = Ticking()
    monkeypatch.setattr(power_batch, "time", fake)
    monkeypatch.setattr(batch, "time", fake)
    return fake


@pytest.fixture
def host(clock: Ticking) -> Host:
    """The host cluster of the task."""
    clock.hosts.append(Host())
    return clock.hosts[0]


@pytest.fixture
def task(clock: Ticking, host: Host, run_module: Task, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Run the module on all hosts of the clock, the first called default and others h1, h2 ..."""

    def open_hosts(_module: object) -> list[HostCluster]:
        names = [host_clusters.ONLY, *(f"h{number}" for number in range(1, len(clock.hosts)))]
        return [HostCluster(name, one) for name, one in zip(names, clock.hosts, strict=True)]

    monkeypatch.setattr(host_clusters, "open_hosts", open_hosts)
    return lambda **options: run_module(vcluster_state, **options)


def of(result: Result, name: str) -> Result:
    """What a result says of one virtual cluster."""
    return next(cluster for cluster in result["virtual_clusters"] if cluster["name"] == name)


def names(result: Result) -> list[str]:
    return [cluster["name"] for cluster in result["virtual_clusters"]]


def checked(task: Task, *of_hosts: Host, **options: Any) -> Result:
    """Check mode, which changes nothing; the real run, which does just that; and again, which does nothing."""
    before = [copy.deepcopy(one.objects) for one in of_hosts]
    foreseen = task(check_mode=True, diff=True, **options)
    assert [one.objects for one in of_hosts] == before
    result = task(diff=True, **options)
    assert foreseen == result
    if options["state"] != "restarted":
        again = task(diff=True, **options)
        assert (again["changed"], again["diff"]) == (False, [])
    assert not result.get("failed"), result["msg"]
    return result


# --- one --------------------------------------------------------------------------------------------------


def test_pause_and_resume(task: Task, host: Host) -> None:
    host.cluster("a", replicas=2, etcd=3)
    host.cluster("b")
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
    assert (host.pods("a"), host.of("a")["spec"]["replicas"]) == ([], 0)
    assert len(host.pods("b")) == 3
    assert phases.phase(host.of("a")) == "paused"
    result = checked(task, host, name="a", state="running")
    assert (of(result, "a")["before"], of(result, "a")["after"]) == ("paused", "running")
    assert of(result, "a")["steps"] == [
        "scale etcd StatefulSet a-etcd from 0 to 3 replicas",
        "scale StatefulSet a from 0 to 2 replicas",
    ]
    assert [host.of("a", app)["spec"]["replicas"] for app in ("vcluster", "vcluster-etcd")] == [2, 3]
    assert not any("annotations" in host.of("a", app)["metadata"] for app in ("vcluster", "vcluster-etcd"))
    host.tick()
    assert len(host.pods("a")) == 7


def test_the_diff_names_what_happens(task: Task, host: Host) -> None:
    host.cluster("a")
    (entry,) = checked(task, host, name="a", state="paused")["diff"]
    assert entry["before_header"] == "virtual cluster a (namespace vcluster-a)"
    assert entry["before"] == "phase: running\nsynced pod: user-0-x-a\nsynced pod: user-1-x-a\n"
    assert entry["after"] == (
        "phase: paused\nstep: scale StatefulSet a from 1 to 0 replicas\nstep: delete 2 synced pods\n"
    )


@pytest.mark.parametrize("replicas", [1, 3])
def test_restart(replicas: int, task: Task, host: Host) -> None:
    """One pod at a time: the others are ready while it is replaced."""
    host.cluster("a", replicas=replicas, etcd=1)
    before = {where: thing["metadata"]["uid"] for where, thing in host.objects.items() if "/pods/a-" in where}
    ready: list[int] = []
    host.before = lambda request: ready.append(host.of("a")["status"]["readyReplicas"]) if "DELETE" in request else None
    result = checked(task, host, name="a", state="restarted")
    assert ready == [replicas] * replicas
    assert of(result, "a")["steps"] == [f"delete pod a-{number}" for number in reversed(range(replicas))]
    for where, uid in before.items():
        assert (host.objects[where]["metadata"]["uid"] == uid) == ("etcd" in where)
    assert of(result, "a")["after"] == "running"


def test_a_deployment_without_replicas_of_its_own(task: Task, host: Host) -> None:
    host.cluster("a", kind="Deployment", etcd=1)
    assert of(checked(task, host, name="a", state="paused"), "a")["steps"][0] == (
        "scale Deployment a from 1 to 0 replicas"
    )
    checked(task, host, name="a", state="running")


def test_without_waiting(task: Task, host: Host, clock: Ticking) -> None:
    """The steps are all done; what they lead to is not waited for."""
    host.cluster("a", etcd=1)
    host.never_ready.add("a")
    paused = task(name="a", state="paused", wait=False)
    assert (of(paused, "a")["after"], host.of("a", "vcluster-etcd")["spec"]["replicas"]) == ("paused", 0)
    result = task(name="a", state="running", wait=False)
    assert (of(result, "a")["after"], host.of("a")["spec"]["replicas"]) == ("pending", 1)
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
def test_something_has_to_be_selected(options: Result, words: list[str], state: str, task: Task, fleet: Host) -> None:
    """A group, a phase or a namespace alone would be everything in it. Nothing is even asked."""
    for check_mode in (True, False):
        result = task(state=state, check_mode=check_mode, **options)
        assert result["failed"]
        for word in (*words, "at least one of them, or all: true for all there are"):
            assert word in result["msg"]
        assert result["option"] == "name, names, owner, label_selectors"
    assert fleet.sent == []


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
def test_what_is_given_and_empty_is_refused(empty: Result, others: Result, task: Task, fleet: Host) -> None:
    """A template that came out empty must not select more than what it would have."""
    (option,) = empty
    result = task(state="paused", **{**others, **empty})
    assert "it is empty, so it selects nothing" in result["msg"]
    assert result["option"] == option
    assert fleet.sent == []


def test_names_and_all_contradict_each_other(task: Task, fleet: Host) -> None:
    for options in ({"name": "a"}, {"names": ["a"]}):
        result = task(state="paused", all=True, **options)
        assert "says which, and all: true says every one" in result["msg"]
    assert fleet.sent == []


@pytest.mark.parametrize("state", ["paused", "running", "restarted"])
@pytest.mark.parametrize("options", [{"all": True}, {"names": ["a", "b", "c", "d"]}], ids=str)
def test_no_more_are_changed_than_the_task_allows(state: str, options: Result, task: Task, fleet: Host) -> None:
    for check_mode in (True, False):
        result = task(state=state, check_mode=check_mode, max_selected=4, **options)
        assert result["failed"]
        assert "max_selected: 4 is not usable: 5 virtual clusters are selected, and none was changed: " in result["msg"]
        assert "; allowed: 5 or more, or a selection of fewer" in result["msg"]
    assert not [request for request in fleet.sent if "LIST" not in request]
    assert len(task(state=state, max_selected=5, **options)["virtual_clusters"]) == 5


def test_most_selected_is_a_number_that_allows_something(task: Task, fleet: Host) -> None:
    assert "max_selected: 0 is not usable" in task(state="paused", name="a", max_selected=0)["msg"]


def test_not_all_of_too_many_are_named(task: Task, host: Host) -> None:
    for number in range(12):
        host.cluster(f"v{number:02}")
    assert "v08, v09, and 2 more; allowed: 12 or more" in task(state="paused", all=True, max_selected=3)["msg"]


def grouped(group: str, owner: str = "", name: str = "") -> Result:
    annotations = {"nested-clusters/owner": owner} if owner else {}
    annotations["nested-clusters/size"] = "broken"  # which is of no interest here
    if name:
        annotations["nested-clusters/virtual-cluster"] = name
    return {"labels": {"nested-clusters/group": group}, "annotations": annotations}


@pytest.fixture
def fleet(host: Host) -> Host:
    """Five virtual clusters: two in group dev, one in prod, two in none, of which one has the name of another."""
    host.cluster("a", labels={"env": "ci"}, of_namespace=grouped("dev", "alice", "a"))
    host.cluster("b", of_namespace=grouped("dev", "bob", "b"))
    host.cluster("c", labels={"env": "ci"}, of_namespace=grouped("prod", "alice", "c"))
    host.cluster("d", namespace="other-d", labels={"env": "test"})
    host.cluster("a", namespace="other-a", of_namespace=grouped("prod", "carol", "x"))
    host.sent.clear()
    return host


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
def test_selections(options: Result, expected: set[str], task: Task, fleet: Host) -> None:
    result = checked(task, fleet, state="paused", **options)
    assert {cluster["namespace"] for cluster in result["virtual_clusters"] if cluster["changed"]} == expected
    asleep = {
        thing["metadata"]["namespace"]
        for where, thing in fleet.objects.items()
        if "/statefulsets/" in where and thing["spec"]["replicas"] == 0
    }
    assert asleep == expected
    assert result["changed"] == bool(expected)


def test_group_and_owner_are_reported(task: Task, fleet: Host) -> None:
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
def test_a_name_that_does_not_exist(options: Result, words: list[str], task: Task, fleet: Host) -> None:
    for check_mode in (True, False):
        result = task(state="paused", check_mode=check_mode, **options)
        assert result["failed"]
        assert all(word in result["msg"] for word in words), result["msg"]
    assert not [request for request in fleet.sent if "PATCH" in request]


def test_without_permission_to_list_namespaces(task: Task, fleet: Host) -> None:
    def fault(request: str) -> KubernetesError | None:
        return KubernetesError("no permission", 403, "Forbidden") if "/api/v1/namespaces" in request[:25] else None

    fleet.fault = lambda request: fault(request) if "LIST" in request and "/pods" not in request else None
    result = task(state="paused", name="b")
    assert (of(result, "b")["group"], of(result, "b")["after"]) == (None, "paused")
    result = task(state="paused", group="dev", all=True)
    assert result["failed"]
    assert "no permission" in result["msg"]


def test_without_permission_for_all_namespaces(task: Task, fleet: Host) -> None:
    fleet.fault = lambda request: (
        KubernetesError("no permission", 403, "Forbidden") if "LIST /apis/apps/v1/stateful" in request else None
    )
    result = task(state="paused", name="b")
    assert "or give option namespace" in result["msg"]
    assert task(state="paused", name="b", namespace="vcluster-b")["changed"]


# --- numbers of requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["paused", "running"])
def test_requests_for_what_is_so_already_do_not_grow(state: str, task: Task, host: Host) -> None:
    counts = []
    for number in range(12):
        host.cluster(f"v{number}", etcd=number % 2, labels={"env": "ci"})
        task(state=state, label_selectors=["env=ci"])
        host.sent.clear()
        result = task(state=state, label_selectors=["env=ci"])
        assert (len(names(result)), result["changed"]) == (number + 1, False)
        counts.append(len(host.sent))
    assert len(set(counts)) == 1
    assert counts[0] == {"paused": 6, "running": 4}[state]


def test_requests_for_many(task: Task, host: Host) -> None:
    """Two requests for each to pause it, one to resume it and one whether it answers; the rest are LISTs."""
    for number in range(20):
        host.cluster(f"v{number}")
    for state, each in (("paused", 2), ("running", 2)):
        host.sent.clear()
        assert len(names(task(state=state, label_selectors=["app"]))) == 20
        lists = [request for request in host.sent if "LIST" in request]
        assert len(host.sent) - len(lists) == 20 * each
        assert len(lists) < 40


def test_few_are_asked_for_by_name(task: Task, host: Host) -> None:
    """Not to read the pods of a thousand virtual clusters because of one."""
    for name in "abc":
        host.cluster(name)
    host.sent.clear()
    task(state="paused", names=["c", "a"])
    lists = [request for request in host.sent if "/pods" in request and "LIST" in request]
    assert all("in (a,c)" in request for request in lists)
    host.sent.clear()
    task(state="running", names=[f"{name}" for name in "ab"], wait=False)
    task(state="paused", name="b")
    assert "LIST /api/v1/namespaces/vcluster-b/pods" in " ".join(host.sent)


# --- oddities ---------------------------------------------------------------------------------------------

MARKED = {"loft.sh/paused": "true", "loft.sh/paused-replicas": "2", "loft.sh/paused-date": "x"}


def scaled_by_hand(host: Host) -> None:
    host.cluster("a", replicas=0)


def woken_by_hand(host: Host) -> None:
    host.cluster("a", replicas=2, annotations=MARKED)


def etcd_scaled_by_hand(host: Host) -> None:
    host.cluster("a", replicas=2, etcd=3)
    host.of("a", "vcluster-etcd")["spec"]["replicas"] = 0


def paused_by_the_cli(host: Host) -> None:
    host.cluster("a", replicas=0, annotations=MARKED, etcd=3)


def resumed_by_the_cli(host: Host) -> None:
    host.cluster("a", replicas=2, etcd=3)
    host.of("a", "vcluster-etcd")["spec"]["replicas"] = 0
    host.of("a", "vcluster-etcd")["metadata"]["annotations"] = {**MARKED, "loft.sh/paused-replicas": "3"}


ODDITIES: dict[Callable[[Host], None], tuple[str, str]] = {
    scaled_by_hand: ("pending", "scaled to 0 replicas, but not by a pause"),
    woken_by_hand: ("running", "marked as paused, but has 2 replicas"),
    etcd_scaled_by_hand: ("running", "etcd a-etcd has no replicas"),
    paused_by_the_cli: ("paused", "etcd a-etcd still runs"),
    resumed_by_the_cli: ("running", "etcd a-etcd has no replicas"),
}


@pytest.mark.parametrize("oddity", ODDITIES)
@pytest.mark.parametrize("state", ["paused", "running"])
def test_oddities_are_named_and_mended(oddity: Callable[[Host], None], state: str, task: Task, host: Host) -> None:
    oddity(host)
    before, words = ODDITIES[oddity]
    told = of(checked(task, host, name="a", state=state), "a")
    assert (told["before"], told["after"], told["changed"]) == (before, state, True)
    assert words in told["note"]
    checked(task, host, name="a", state="running")
    assert host.of("a")["spec"]["replicas"] == 2  # the number in the values, or in the annotation
    assert "annotations" not in host.of("a")["metadata"]
    if "etcd" in words:
        etcd = host.of("a", "vcluster-etcd")
        assert (etcd["spec"]["replicas"], "annotations" in etcd["metadata"]) == (3, False)
    assert of(task(name="a", state="running"), "a")["note"] == ""


@pytest.mark.parametrize("state", ["paused", "running"])
def test_from_whatever_state(state: str, clock: Ticking, task: Task) -> None:
    """However replicas and marks were left: one task foresees what it does, and then nothing is left to do or odd."""
    marks: list[Result] = [{}, MARKED, {"loft.sh/paused": "true"}, {"loft.sh/paused": "false"}]
    for replicas, of_control, etcd, of_etcd in itertools.product(range(3), marks, (None, 0, 1, 3), marks):
        host = clock.hosts[0] = Host()
        host.cluster("a", replicas=replicas, annotations=of_control, etcd=1 if etcd is not None else 0)
        if etcd is not None:
            host.of("a", "vcluster-etcd")["spec"]["replicas"] = etcd
            host.of("a", "vcluster-etcd")["metadata"]["annotations"] = dict(of_etcd)
        host.tick()
        told = of(checked(task, host, name="a", state=state), "a")
        assert told["after"] == state
        assert (
            power_steps.note(
                observed.ObservedCluster(host.of("a"), host.of("a", "vcluster-etcd") if etcd is not None else None)
            )
            == ""
        )
        assert bool(host.pods("a")) == (state == "running")


# --- interrupted, and at the same time --------------------------------------------------------------------


class Killed(BaseException):
    """What SIGKILL is to a process."""


def requests_of(task: Task, host: Host, state: str) -> int:
    host.sent.clear()
    task(name="a", state=state)
    return len(host.sent)


@pytest.mark.parametrize("state", ["paused", "running", "restarted"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_killed_at_any_request(state: str, done: bool, clock: Ticking, task: Task) -> None:
    """Ended before or after any of its requests, a task is finished by the next one."""
    for number in itertools.count(1):
        host = clock.hosts[0] = Host()
        host.cluster("a", replicas=2, etcd=3)
        if state == "running":
            task(name="a", state="paused")
        killed = kill(host, number, done, lambda: task(name="a", state=state))
        host.tick()
        result = task(name="a", state=state)
        assert not result.get("failed"), (number, result)
        assert of(result, "a")["after"] == {"restarted": "running"}.get(state, state)
        replicas = [host.of("a", app)["spec"]["replicas"] for app in ("vcluster", "vcluster-etcd")]
        assert replicas == ([0, 0] if state == "paused" else [2, 3])
        if state == "paused":
            assert host.pods("a") == []
            task(name="a", state="running")
            replicas = [host.of("a", app)["spec"]["replicas"] for app in ("vcluster", "vcluster-etcd")]
            assert replicas == [2, 3]
        assert task(name="a", state="running")["changed"] is False
        if not killed:
            break
    assert number > 10


def kill(host: Host, number: int, done: bool, work: Callable[[], Any]) -> bool:
    """Do something until its n-th request; whether it came to that."""
    count = itertools.count(1)
    dead = []

    def before(request: str) -> None:
        now = next(count)
        if now > number or (now == number and not done):
            dead.append(request)
            raise Killed

    host.before = before
    with contextlib.suppress(Killed):
        work()
    host.before = lambda request: None
    return bool(dead)


@pytest.mark.parametrize("state", ["paused", "running"])
def test_somebody_else_does_the_same_at_any_moment(state: str, clock: Ticking, task: Task, run_module: Task) -> None:
    """Whichever of two equal tasks is first with a step, both end well, and replicas are not forgotten."""
    for number in range(1, 12):
        host = clock.hosts[0] = Host()
        host.cluster("a", replicas=2, etcd=3)
        if state == "running":
            task(name="a", state="paused")
        count = itertools.count(1)

        def before(_request: str, host: Host = host, count: Any = count, number: int = number) -> None:
            if next(count) == number:
                host.before = lambda request: None
                for app in ("vcluster", "vcluster-etcd"):
                    elsewhere(host, app, state)

        host.before = before
        result = task(name="a", state=state)
        assert not result.get("failed"), (number, result)
        task(name="a", state="running")
        assert [host.of("a", app)["spec"]["replicas"] for app in ("vcluster", "vcluster-etcd")] == [2, 3]


def elsewhere(host: Host, app: str, state: str) -> None:
    """Another task sends its step for one workload."""
    thing = host.of("a", app)
    seen = observed.ObservedCluster(thing)
    for step in power_steps.steps(seen, state, "then"):
        host.patch(step.where, dict(step.body))


def test_somebody_else_undoes_it(task: Task, host: Host, clock: Ticking) -> None:
    """Two opposite tasks do not fight for ever."""
    host.cluster("a")

    def undo() -> None:
        for step in power_steps.steps(observed.ObservedCluster(host.of("a")), "running", "then"):
            host.patch(step.where, dict(step.body))

    clock.after(0.1, undo)
    result = task(name="a", state="paused")
    assert "somebody else undid it" in result["failures"][0]["msg"]
    assert clock.now < 1010


def test_deleted_meanwhile(task: Task, host: Host, clock: Ticking) -> None:
    host.cluster("a")

    def delete() -> None:
        for where in [where for where in host.objects if "/statefulsets/" in where]:
            del host.objects[where]

    clock.after(0.1, delete)
    assert "deleted by somebody else" in task(name="a", state="paused")["failures"][0]["msg"]


# --- failures ---------------------------------------------------------------------------------------------


def many(host: Host, count: int = 6) -> None:
    for number in range(count):
        host.cluster(f"v{number}", labels={"env": "ci"})


def refuse(name: str) -> Callable[[str], KubernetesError | None]:
    return lambda request: (
        KubernetesError(f"{name} is forbidden", 403, "Forbidden")
        if request.startswith("PATCH") and request.rpartition("/")[2].startswith(name)
        else None
    )


def test_one_that_fails_does_not_stop_the_others(task: Task, host: Host) -> None:
    many(host)
    host.fault = refuse("v2")
    result = task(label_selectors=["env=ci"], state="paused", diff=True)
    assert result["failed"]
    assert result["msg"] == "1 of 6 virtual clusters are not paused: v2: v2 is forbidden"
    assert result["failures"] == [
        {"name": "v2", "namespace": "vcluster-v2", "host_cluster": None, "msg": "v2 is forbidden"}
    ]
    assert [one["after"] for one in result["virtual_clusters"]] == ["paused"] * 2 + ["running"] + ["paused"] * 3
    assert (of(result, "v2")["changed"], of(result, "v2")["steps"], result["changed"]) == (False, [], True)
    assert len(result["diff"]) == 5


def test_max_failures(task: Task, host: Host) -> None:
    many(host)
    host.fault = refuse("v1")
    result = task(label_selectors=["env=ci"], state="paused", max_failures=1, at_once=1)
    assert [one["after"] for one in result["virtual_clusters"]] == ["paused"] + ["running"] * 5
    assert [one["failed"] for one in result["virtual_clusters"]] == [False, True] + [False] * 4
    assert {one["msg"] for one in result["virtual_clusters"][2:]} == {batch.NOT_BEGUN}
    assert "(4 more were not begun)" in result["msg"]
    host.fault = lambda request: None
    assert not task(label_selectors=["env=ci"], state="paused", max_failures=1).get("failed")


def test_what_cannot_be_begun_counts_as_a_failure(task: Task, host: Host) -> None:
    many(host, 3)
    host.of("v1")["metadata"]["deletionTimestamp"] = "now"
    results = [
        task(label_selectors=["env=ci"], state="paused", max_failures=1, check_mode=check) for check in (True, False)
    ]
    assert results[0] == results[1]
    assert [one["changed"] for one in results[0]["virtual_clusters"]] == [False] * 3
    assert not results[0]["changed"]


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_only_so_many_at_once(at_once: int, task: Task, host: Host) -> None:
    many(host)
    under_way: list[int] = []

    def watch(_request: str) -> None:
        running = [number for number in range(6) if host.of(f"v{number}")["spec"]["replicas"]]
        ended = [number for number in range(6) if number not in running and not host.pods(f"v{number}")]
        under_way.append(6 - len(running) - len(ended))

    host.before = watch
    assert not task(label_selectors=["env=ci"], state="paused", at_once=at_once).get("failed")
    assert max(under_way) == at_once


@pytest.mark.parametrize("option", ["at_once", "max_failures", "wait_timeout"])
def test_numbers_that_would_do_nothing(option: str, task: Task) -> None:
    result = task(name="a", state="paused", **{option: 0})
    assert f"{option}: 0 is not usable" in result["msg"]


def test_pods_that_do_not_end(task: Task, host: Host, clock: Ticking) -> None:
    host.cluster("a")
    host.stuck.add("user-1-x-a")
    result = task(name="a", state="paused", wait_timeout=20)
    message = result["failures"][0]["msg"]
    assert message.startswith("not paused after 20 s (wait_timeout): pods that have not ended yet: user-1-x-a")
    assert 1020 <= clock.now < 1023
    assert of(result, "a")["after"] == "paused"
    assert of(result, "a")["steps"] == ["scale StatefulSet a from 1 to 0 replicas", "delete 2 synced pods"]


def test_one_that_does_not_become_ready(task: Task, host: Host, clock: Ticking) -> None:
    host.cluster("a", replicas=0, annotations=MARKED)
    host.never_ready.add("a")
    result = task(name="a", state="running", wait_timeout=20)
    assert "not running after 20 s (wait_timeout): 0 of 2 replicas ready" in result["msg"]
    assert of(result, "a")["after"] == "pending"


def crash(host: Host, name: str) -> None:
    for where, pod in host.objects.items():
        if f"/pods/{name}-0" in where:
            state = {"waiting": {"reason": "CrashLoopBackOff"}}
            pod["status"]["containerStatuses"] = [
                {"name": "syncer", "restartCount": 3, "state": state, "lastState": {"terminated": {"exitCode": 1}}}
            ]


@pytest.mark.parametrize("which", ["a", "a-etcd"])
def test_waiting_ends_early_where_it_is_in_vain(which: str, task: Task, host: Host, clock: Ticking) -> None:
    host.cluster("a", replicas=0, annotations=MARKED, etcd=1)
    host.of("a", "vcluster-etcd")["spec"]["replicas"] = 0
    host.never_ready.add(which)
    host.answer = lambda where: "out of sorts" if where.endswith("/log") else "ok"
    tick = host.tick

    def and_crash(seconds: float = 0) -> None:
        tick(seconds)
        for where, pod in host.objects.items():
            if f"/pods/{which}-0" in where:
                pod["status"] = {"conditions": pod["status"]["conditions"]}
                crash(host, which)

    host.tick = and_crash  # type: ignore[method-assign]
    result = task(name="a", state="running", wait_timeout=100)
    assert f"container syncer of pod {which}-0 keeps ending" in result["msg"]
    assert "out of sorts" in result["msg"]
    assert clock.now < 1020


def test_etcd_that_waits_for_the_control_plane(task: Task, host: Host, clock: Ticking) -> None:
    """Never started: etcd becomes ready only once the control plane has written its certificates."""
    host.cluster("a", replicas=0, annotations=MARKED, etcd=1)
    host.of("a", "vcluster-etcd")["spec"]["replicas"] = 0
    host.never_ready.add("a-etcd")
    host.before = lambda request: host.never_ready.clear() if request.endswith("statefulsets/a") else None
    result = task(name="a", state="running")
    assert of(result, "a")["after"] == "running"
    assert 1000 + power_steps.ETCD_PATIENCE < clock.now < 1010 + power_steps.ETCD_PATIENCE


def test_an_api_server_that_restarts(task: Task, host: Host, clock: Ticking) -> None:
    host.cluster("a")
    down = Unreachable("host cluster does not answer", 0)
    host.fault = lambda request: down if 1000.2 < clock.now < 1020 else None
    result = task(name="a", state="paused")
    assert of(result, "a")["after"] == "paused"
    assert 1020 <= clock.now < 1030


def test_an_answer_that_is_lost(task: Task, host: Host) -> None:
    """It was done, but nobody said so: the result says that something was changed."""
    host.cluster("a")
    patch = host.patch

    def lost(where: str, body: Any) -> Any:
        patch(where, body)
        host.patch = patch  # type: ignore[method-assign]
        raise Unreachable("no answer", 0)

    host.patch = lost  # type: ignore[method-assign]
    result = task(name="a", state="paused")
    assert of(result, "a")["steps"] == ["scale StatefulSet a from 1 to 0 replicas", "delete 2 synced pods"]


def test_an_answer_that_says_come_again(task: Task, host: Host) -> None:
    """It was not done; a step that is sent twice is told once."""
    host.cluster("a")
    left = [1, 1, 1]
    host.fault = lambda request: (
        KubernetesError("too many", 429, "TooManyRequests") if "PATCH" in request and left and left.pop() else None
    )
    result = task(name="a", state="paused")
    assert of(result, "a")["steps"] == ["scale StatefulSet a from 1 to 0 replicas", "delete 2 synced pods"]


# --- data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["paused", "restarted"])
def test_a_store_without_a_claim(state: str, task: Task, host: Host) -> None:
    host.cluster("a", kind="Deployment")
    for check in (True, False):
        result = task(name="a", state=state, check_mode=check)
        assert "everything in it would be lost: set accept_data_loss" in result["msg"]
    assert not [request for request in host.sent if request.split()[0] in ("PATCH", "DELETE")]
    assert task(name="a", state=state, accept_data_loss=True)["changed"]


def test_a_store_elsewhere(task: Task, host: Host) -> None:
    database = {"controlPlane": {"backingStore": {"database": {"external": {"enabled": True}}}}}
    host.cluster("a", kind="Deployment", values=database)
    checked(task, host, name="a", state="paused")


@pytest.mark.parametrize("broken", ["forbidden", "missing", "no config", "no values"])
def test_values_that_cannot_be_read(broken: str, task: Task, host: Host) -> None:
    """What is not known to survive does not."""
    host.cluster("a", kind="Deployment")
    where = "/api/v1/namespaces/vcluster-a/secrets/vc-config-a"
    if broken == "forbidden":
        host.fault = lambda request: KubernetesError("no", 403, "Forbidden") if "/secrets/" in request else None
    elif broken == "missing":
        del host.objects[where]
    else:
        host.objects[where]["data"] = {} if broken == "no config" else {"config.yaml": "Ig=="}
    assert "accept_data_loss" in task(name="a", state="paused")["msg"]


# --- the virtual cluster's own API ------------------------------------------------------------------------


def test_its_own_api_is_asked(task: Task, host: Host, clock: Ticking) -> None:
    host.cluster("a", replicas=0, annotations={**MARKED, "loft.sh/paused-replicas": "1"})
    answers = iter(["[-]etcd failed", "ok"])
    host.answer = lambda where: next(answers)
    task(name="a", state="running")
    asked = [request for request in host.sent if "proxy" in request]
    assert asked == ["GET /api/v1/namespaces/vcluster-a/pods/https%3Aa-0%3A8443/proxy/readyz"] * 2


@pytest.mark.parametrize(("status", "seconds", "word"), [(403, 0, "pods/proxy"), (503, 5, "does not reach")])
def test_its_own_api_cannot_be_asked(
    status: int, seconds: float, word: str, task: Task, host: Host, clock: Ticking
) -> None:
    """Then the kubelet's word counts, and a warning says so."""
    for name in "abc":
        host.cluster(name, replicas=0, annotations=MARKED)

    def answer(_where: str) -> str:
        raise KubernetesError("cannot", status, "")

    host.answer = answer
    result = task(names=["a", "b", "c"], state="running", at_once=1)
    assert {one["after"] for one in result["virtual_clusters"]} == {"running"}
    (warning,) = result["warnings"]
    assert word in warning
    # It is found out once, and not for each.
    assert 1000 + seconds <= clock.now < 1010 + seconds


# --- several host clusters --------------------------------------------------------------------------------


def test_several_host_clusters(task: Task, host: Host, clock: Ticking) -> None:
    clock.hosts.append(Host())
    for one in clock.hosts:
        one.cluster("a")
    clock.hosts[1].cluster("b")
    result = checked(task, *clock.hosts, names=["a", "b"], state="paused")
    assert [(one["host_cluster"], one["name"]) for one in result["virtual_clusters"]] == [
        (None, "a"),
        ("h1", "a"),
        ("h1", "b"),
    ]
    assert result["diff"][2]["before_header"] == "virtual cluster b (namespace vcluster-b, host cluster h1)"
    checked(task, *clock.hosts, names=["a", "b"], state="running")


def test_a_host_cluster_that_does_not_answer(task: Task, host: Host, clock: Ticking) -> None:
    """The others are worked on; the task fails in the end. A name may be there, so nothing is changed."""
    clock.hosts.append(Host())
    host.cluster("a")
    clock.hosts[1].fault = lambda request: Unreachable("no route", 0)
    result = task(state="paused", phases=["running"], all=True)
    assert result["msg"] == "1 of 1 virtual clusters are not paused: host cluster h1: no route"
    assert result["failures"] == [{"name": None, "namespace": None, "host_cluster": "h1", "msg": "no route"}]
    assert of(result, "a")["after"] == "paused"
    result = task(state="running", names=["a", "z"])
    assert "host cluster h1 could not be read: no route" in result["msg"]
    assert host.of("a")["spec"]["replicas"] == 0


def test_no_more_are_begun_anywhere(task: Task, host: Host, clock: Ticking) -> None:
    clock.hosts.append(Host())
    for one in clock.hosts:
        many(one, 4)
        one.fault = refuse("v")
    result = task(state="paused", label_selectors=["env=ci"], at_once=1, max_failures=2)
    assert sum(one["failed"] for one in result["virtual_clusters"]) == 2
    assert sum(one["msg"] == batch.NOT_BEGUN for one in result["virtual_clusters"]) == 6


# --- in other namespaces ----------------------------------------------------------------------------------


def test_pods_in_namespaces_that_it_made(task: Task, host: Host) -> None:
    host.cluster("a")
    host.cluster("b", namespace="other")
    for number, owner in enumerate(("a", "b")):
        place = f"made-{number}"
        mark = observed.marker(owner, "vcluster-a" if owner == "a" else "other")
        host.have({"metadata": {"name": place, "labels": {SYNCED: mark}}}, "namespaces")
        labels = {SYNCED: "a"}
        host.have({"metadata": {"name": "p", "namespace": place, "labels": labels, "uid": place}}, "pods")
    result = checked(task, host, name="a", state="paused")
    assert of(result, "a")["steps"] == [
        "scale StatefulSet a from 1 to 0 replicas",
        "delete 1 synced pod in made-0",
        "delete 2 synced pods",
    ]
    assert "/api/v1/namespaces/made-0/pods/p" not in host.objects
    assert "/api/v1/namespaces/made-1/pods/p" in host.objects


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


def test_results_are_documented(task: Task, host: Host) -> None:
    host.cluster("a")
    result = task(name="a", state="paused")
    told = yaml.safe_load(vcluster_state.RETURN)
    assert told.keys() == result.keys() - {"changed", "invocation", "warnings", "diff"}
    assert told["virtual_clusters"]["contains"].keys() == of(result, "a").keys()
    json.dumps(result)


def test_a_workload_of_the_simulation_is_one(host: Host) -> None:
    """What the tests above stand on: it is running when its pods are ready, and paused as the CLI has it."""
    host.cluster("a", replicas=2, etcd=3)
    assert phases.phase(host.of("a")) == "running"
    assert workloads.kind(workload("a")) == "StatefulSet"
    assert workloads.kind(workload("a", kind="Deployment")) == "Deployment"
    assert host.pods("a") == ["a-0", "a-1", "a-etcd-0", "a-etcd-1", "a-etcd-2", "user-0-x-a", "user-1-x-a"]
