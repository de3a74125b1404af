# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of pause: which steps follow from what is there, in which order, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.listing import observed
from ansible_collections.nested.clusters.plugins.module_utils.listing.observed import ObservedCluster
from ansible_collections.nested.clusters.plugins.module_utils.power import steps as power_steps
from ansible_collections.nested.clusters.plugins.module_utils.power.steps import PowerStep
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import workloads
from simulation import SYNCED, workload

DATE = "2026-11-21T06:43:23.000Z"
MARKED = {"loft.sh/paused": "true", "loft.sh/paused-replicas": "3", "loft.sh/paused-date": "2026-01-01T00:00:00.000Z"}
READY = {"observedGeneration": 1, "readyReplicas": 1, "replicas": 1, "updatedReplicas": 1}

Object = dict[str, Any]


def pod(name: str, app: str = "vcluster", ready: bool = True, ending: bool = False, **labels: str) -> Object:
    metadata: Object = {"name": name, "namespace": "vcluster-a", "uid": f"uid of {name}"}
    metadata["labels"] = {"app": app, "release": "a", **labels}
    if ending:
        metadata["deletionTimestamp"] = "now"
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}


def synced(name: str, namespace: str = "vcluster-a", ending: bool = False) -> Object:
    metadata = pod(name, ending=ending)["metadata"]
    return {"metadata": {**metadata, "namespace": namespace, "labels": {SYNCED: "a"}}}


def control(replicas: int = 1, ready: bool = True, **changes: Any) -> Object:
    thing = workload("a", replicas=replicas, **changes)
    if ready:
        thing["status"] = {**READY, "readyReplicas": replicas, "replicas": replicas, "updatedReplicas": replicas}
    return thing


def etcd(replicas: int = 3, ready: int | None = None, **changes: Any) -> Object:
    thing = workload("a", "vcluster-etcd", replicas=replicas, **changes)
    thing["status"] = {"readyReplicas": replicas if ready is None else ready}
    return thing


def texts(steps: list[PowerStep]) -> list[str]:
    """Steps as lines; what has to wait says for what."""
    return [step.text + (f" <- {step.after}" if step.after else "") for step in steps]


ENDED = "its pods have ended"
PAUSES: dict[str, tuple[ObservedCluster, list[str]]] = {
    "running": (
        ObservedCluster(control(), None, (pod("a-0"),), (synced("x"), synced("y"))),
        ["scale StatefulSet a from 1 to 0 replicas", f"delete 2 synced pods <- {ENDED}"],
    ),
    "deployment with etcd": (
        ObservedCluster(control(2, kind="Deployment"), etcd(), (pod("a-x"), pod("a-etcd-0", "vcluster-etcd"))),
        [
            "scale Deployment a from 2 to 0 replicas",
            f"scale etcd StatefulSet a-etcd from 3 to 0 replicas <- {ENDED}",
        ],
    ),
    "its pods still end": (
        ObservedCluster(control(0, annotations=MARKED), etcd(), (pod("a-0", ending=True),), (synced("x"),)),
        [f"delete 1 synced pod <- {ENDED}", f"scale etcd StatefulSet a-etcd from 3 to 0 replicas <- {ENDED}"],
    ),
    "killed before the synced pods": (
        ObservedCluster(
            control(0, annotations=MARKED), etcd(0, annotations=MARKED), (), (synced("x"), synced("y", ending=True))
        ),
        ["delete 1 synced pod"],
    ),
    "paused by the CLI, which leaves etcd": (
        ObservedCluster(control(0, annotations=MARKED), etcd(), (pod("a-etcd-0", "vcluster-etcd"),)),
        ["scale etcd StatefulSet a-etcd from 3 to 0 replicas"],
    ),
    "paused": (ObservedCluster(control(0, annotations=MARKED), etcd(0, annotations=MARKED)), []),
    "its synced pods end": (ObservedCluster(control(0, annotations=MARKED), None, (), (synced("x", ending=True),)), []),
    "scaled by hand": (ObservedCluster(control(0)), ["mark StatefulSet a as paused, with 1 replica to resume to"]),
    "scaled by hand, with values": (
        ObservedCluster(control(0), values={"controlPlane": {"statefulSet": {"highAvailability": {"replicas": 3}}}}),
        ["mark StatefulSet a as paused, with 3 replicas to resume to"],
    ),
    "woken by hand": (
        ObservedCluster(control(2, annotations=MARKED), None, (pod("a-0"),)),
        ["scale StatefulSet a from 2 to 0 replicas"],
    ),
    "etcd scaled by hand": (
        ObservedCluster(control(0, annotations=MARKED), etcd(0)),
        ["mark etcd StatefulSet a-etcd as paused, with 3 replicas to resume to"],
    ),
    "other namespaces": (
        ObservedCluster(
            control(0, annotations=MARKED), None, (), (synced("x"), synced("y", "more"), synced("z", "more"))
        ),
        ["delete 2 synced pods in more", "delete 1 synced pod"],
    ),
    "sleeping": (ObservedCluster(control(0, labels={"loft.sh/sleep-mode": "true"}), None, (), (synced("x"),)), []),
}


@pytest.mark.parametrize(("seen", "expected"), PAUSES.values(), ids=PAUSES)
def test_pause(seen: ObservedCluster, expected: list[str]) -> None:
    assert texts(power_steps.steps(seen, "paused", DATE)) == expected


RESUMES: dict[str, tuple[ObservedCluster, list[str]]] = {
    "paused": (ObservedCluster(control(0, annotations=MARKED)), ["scale StatefulSet a from 0 to 3 replicas"]),
    "with etcd": (
        ObservedCluster(control(0, annotations=MARKED), etcd(0, annotations=MARKED)),
        [
            "scale etcd StatefulSet a-etcd from 0 to 3 replicas",
            "scale StatefulSet a from 0 to 3 replicas <- etcd is ready",
        ],
    ),
    "etcd starts": (
        ObservedCluster(control(0, annotations=MARKED), etcd(3, ready=1)),
        ["scale StatefulSet a from 0 to 3 replicas <- etcd is ready"],
    ),
    "etcd has a quorum": (
        ObservedCluster(control(0, annotations=MARKED), etcd(3, ready=2)),
        ["scale StatefulSet a from 0 to 3 replicas"],
    ),
    "resumed by the CLI, which leaves etcd": (
        ObservedCluster(control(1), etcd(0, annotations={**MARKED, "loft.sh/paused-replicas": "1"})),
        ["scale etcd StatefulSet a-etcd from 0 to 1 replica"],
    ),
    "etcd scaled by hand": (
        ObservedCluster(control(1), etcd(0)),
        ["scale etcd StatefulSet a-etcd from 0 to 3 replicas"],
    ),
    "running": (ObservedCluster(control(), etcd()), []),
    "woken by hand": (
        ObservedCluster(control(1, annotations=MARKED), etcd(1, annotations=MARKED)),
        [
            "take the mark of a pause from etcd StatefulSet a-etcd",
            "take the mark of a pause from StatefulSet a",
        ],
    ),
    "scaled by hand": (ObservedCluster(control(0)), ["scale StatefulSet a from 0 to 1 replica"]),
    "without a number": (
        ObservedCluster(control(0, annotations={"loft.sh/paused": "true", "loft.sh/paused-replicas": "many"})),
        ["scale StatefulSet a from 0 to 1 replica"],
    ),
    "of nothing": (
        ObservedCluster(control(0, annotations={**MARKED, "loft.sh/paused-replicas": "0"})),
        ["scale StatefulSet a from 0 to 1 replica"],
    ),
}


@pytest.mark.parametrize(("seen", "expected"), RESUMES.values(), ids=RESUMES)
def test_resume(seen: ObservedCluster, expected: list[str]) -> None:
    assert texts(power_steps.steps(seen, "running", DATE)) == expected


def test_the_annotations_are_those_of_the_cli() -> None:
    (step,) = power_steps.steps(ObservedCluster(control(3)), "paused", DATE)
    assert (step.verb, step.where) == ("patch", "/apis/apps/v1/namespaces/vcluster-a/statefulsets/a")
    assert step.body == {
        "metadata": {
            "resourceVersion": "1",
            "annotations": {
                "loft.sh/paused": "true",
                "loft.sh/paused-replicas": "3",
                "loft.sh/paused-date": DATE,
            },
        },
        "spec": {"replicas": 0},
    }
    (step,) = power_steps.steps(ObservedCluster(control(0, annotations=MARKED, kind="Deployment")), "running", DATE)
    assert step.where == "/apis/apps/v1/namespaces/vcluster-a/deployments/a"
    annotations = {"loft.sh/paused": None, "loft.sh/paused-replicas": None, "loft.sh/paused-date": None}
    assert step.body == {"metadata": {"resourceVersion": "1", "annotations": annotations}, "spec": {"replicas": 3}}


def test_what_was_woken_keeps_the_replicas_it_has() -> None:
    (step,) = power_steps.steps(ObservedCluster(control(2, annotations=MARKED)), "running", DATE)
    assert step.body["spec"] == {"replicas": 2}


def test_a_control_plane_does_not_wait_for_its_etcd_for_ever() -> None:
    """Where neither has ever started, etcd waits for certificates that the control plane writes."""
    _etcd, step = power_steps.steps(ObservedCluster(control(0), etcd(0)), "running", DATE)
    assert step.patience == power_steps.ETCD_PATIENCE
    first, second = power_steps.steps(ObservedCluster(control(), etcd(), (pod("a-0"),)), "paused", DATE)
    assert (first.patience, second.patience) == (float("inf"), float("inf"))


def test_synced_pods_are_deleted_by_their_label() -> None:
    (step,) = power_steps.steps(
        ObservedCluster(control(0, annotations=MARKED), None, (), (synced("x"),)), "paused", DATE
    )
    assert (step.verb, step.where, step.labels) == (
        "delete_all",
        "/api/v1/namespaces/vcluster-a/pods",
        "vcluster.loft.sh/managed-by=a",
    )


# --- restart ----------------------------------------------------------------------------------------------

ALL = tuple(pod(f"a-{number}") for number in range(11))
OLD = {one["metadata"]["uid"] for one in ALL}
OTHERS = "the other pods are ready"


@pytest.mark.parametrize(
    ("replicas", "pods", "expected"),
    [
        pytest.param(1, ALL[:1], ["delete pod a-0"], id="one"),
        pytest.param(
            3,
            ALL[:3],
            ["delete pod a-2", f"delete pod a-1 <- {OTHERS}", f"delete pod a-0 <- {OTHERS}"],
            id="the last first",
        ),
        pytest.param(11, (ALL[9], ALL[10], *ALL[:9]), ["delete pod a-10", f"delete pod a-9 <- {OTHERS}"], id="numbers"),
        pytest.param(
            2,
            (pod("a-0", ready=False), pod("a-1")),
            ["delete pod a-0", f"delete pod a-1 <- {OTHERS}"],
            id="what is broken first",
        ),
        pytest.param(2, (pod("a-0"), pod("a-1", ending=True)), [f"delete pod a-0 <- {OTHERS}"], id="one ends"),
        pytest.param(2, (pod("a-0"),), [f"delete pod a-0 <- {OTHERS}"], id="one is gone"),
        pytest.param(
            2,
            (pod("a-0"), {**pod("a-1", ready=False), "metadata": {**pod("a-1")["metadata"], "uid": "new"}}),
            [f"delete pod a-0 <- {OTHERS}"],
            id="one is new",
        ),
        pytest.param(1, (pod("a-etcd-0", "vcluster-etcd"),), [], id="not etcd"),
    ],
)
def test_restart(replicas: int, pods: tuple[Object, ...], expected: list[str]) -> None:
    old = {*OLD, "uid of a-etcd-0"}
    steps = texts(power_steps.steps(ObservedCluster(control(replicas), None, pods), "restarted", DATE, old))
    assert steps[: len(expected) or None] == expected


def test_a_restart_deletes_the_pods_that_it_saw() -> None:
    (step,) = power_steps.steps(ObservedCluster(control(), None, (pod("a-0"),)), "restarted", DATE, OLD)
    assert (step.verb, step.where) == ("delete", "/api/v1/namespaces/vcluster-a/pods/a-0")
    assert step.body == {"uid": "uid of a-0"}


# --- waiting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "state", "word"),
    [
        (ObservedCluster(control(0, annotations=MARKED)), "paused", ""),
        (ObservedCluster(control(0, annotations=MARKED), None, (pod("a-0", ending=True),)), "paused", "a-0"),
        (ObservedCluster(control(0, annotations=MARKED), None, (), (synced("x", ending=True),)), "paused", "x"),
        (
            ObservedCluster(control(0, annotations=MARKED), None, (), tuple(synced(f"p{n}") for n in range(8))),
            "paused",
            "and 3 more",
        ),
        (ObservedCluster(control(0, labels={"loft.sh/sleep-mode": "true"}), None, (), (synced("x"),)), "paused", ""),
        (ObservedCluster(control()), "running", ""),
        (ObservedCluster(control(ready=False)), "running", "0 of 1 replicas ready"),
        (ObservedCluster(control(), None, (pod("a-0"),)), "restarted", "1 of 1 replicas ready"),  # it is the old one
        (ObservedCluster(control(), None, ()), "restarted", "1 of 1 replicas ready"),  # what the set says is old
        (ObservedCluster(control(), None, (pod("a-9"),)), "restarted", ""),
    ],
)
def test_what_is_awaited(seen: ObservedCluster, state: str, word: str) -> None:
    awaited = power_steps.awaited(seen, state, {"uid of a-0"})
    assert bool(awaited) == bool(word)
    assert word in awaited


# --- oddities and refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (ObservedCluster(control()), []),
        (ObservedCluster(control(), etcd()), []),
        (ObservedCluster(control(0, annotations=MARKED), etcd(0, annotations=MARKED)), []),
        (ObservedCluster(control(0, annotations={"loft.sh/restoring": "true"})), []),
        (ObservedCluster(control(0, labels={"loft.sh/sleep-mode": "true"})), []),
        (ObservedCluster(control(0)), ["StatefulSet a was scaled to 0 replicas, but not by a pause"]),
        (ObservedCluster(control(1, annotations=MARKED)), ["StatefulSet a is marked as paused, but has 1 replica"]),
        (ObservedCluster(control(1), etcd(0)), ["etcd a-etcd has no replicas, and the control plane waits for it"]),
        (
            ObservedCluster(control(1), etcd(3, annotations=MARKED)),
            ["etcd a-etcd is marked as paused, but has 3 replicas"],
        ),
        (ObservedCluster(control(0, annotations=MARKED), etcd(3)), ["etcd a-etcd still runs"]),
        (
            ObservedCluster(control(0, annotations=MARKED), etcd(0)),
            ["etcd a-etcd was scaled to 0 replicas, but not by a pause"],
        ),
        (
            ObservedCluster(control(2, annotations=MARKED), etcd(0, annotations=MARKED)),
            ["StatefulSet a is marked as paused, but has 2 replicas", "etcd a-etcd has no replicas"],
        ),
    ],
)
def test_what_is_odd_is_named(seen: ObservedCluster, words: list[str]) -> None:
    note = power_steps.note(seen)
    assert bool(note) == bool(words)
    assert all(word in note for word in words)


def deleting() -> Object:
    thing = control()
    thing["metadata"]["deletionTimestamp"] = "now"
    return thing


NO_CLAIM = control(kind="Deployment")
ON_A_DISK = control(kind="Deployment")
ON_A_DISK["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "mine"}}]
IN_MEMORY = control(claim=False)
IN_MEMORY["spec"]["template"]["spec"]["volumes"] = [{"name": "other", "hostPath": {}}, {"name": "data", "emptyDir": {}}]
DATABASE = {"controlPlane": {"backingStore": {"database": {"external": {"enabled": True}}}}}
ETCD_ELSEWHERE = {"controlPlane": {"backingStore": {"etcd": {"external": {"enabled": True}}}}}
OWN = {"controlPlane": {"backingStore": {"database": {"external": {"enabled": False}}, "etcd": None}}}
LOST = "its store has no volume claim"


@pytest.mark.parametrize(
    ("seen", "refused"),
    [
        (ObservedCluster(control()), {}),
        (ObservedCluster(deleting()), dict.fromkeys(power_steps.POWER_STATES, "being deleted")),
        (
            ObservedCluster(control(0, annotations={"loft.sh/restoring": "true"})),
            dict.fromkeys(power_steps.POWER_STATES, "snapshot is being restored"),
        ),
        (
            ObservedCluster(control(0, labels={"loft.sh/sleep-mode": "true"})),
            dict.fromkeys(("running", "restarted"), "platform put it to sleep"),
        ),
        (ObservedCluster(control(0, annotations=MARKED)), {"restarted": "it is paused: use state running"}),
        (ObservedCluster(control(0)), {"restarted": "it is scaled to 0 replicas: use state running"}),
        (ObservedCluster(NO_CLAIM), {"paused": LOST, "restarted": LOST}),
        (ObservedCluster(NO_CLAIM, values=OWN), {"paused": LOST, "restarted": LOST}),
        (ObservedCluster(IN_MEMORY), {"paused": LOST, "restarted": LOST}),
        (ObservedCluster(NO_CLAIM, values=DATABASE), {}),
        (ObservedCluster(NO_CLAIM, values=ETCD_ELSEWHERE), {}),
        (ObservedCluster(ON_A_DISK), {}),
        (ObservedCluster(NO_CLAIM, etcd()), {}),
        (ObservedCluster(NO_CLAIM, etcd(claim=False)), {"paused": "the store of etcd a-etcd has no volume claim"}),
        (ObservedCluster(control(), etcd(claim=False)), {"paused": "the store of etcd a-etcd has no volume claim"}),
        # What does not run has nothing to lose.
        (ObservedCluster(NO_CLAIM, etcd(0, claim=False)), {}),
        (ObservedCluster(control(0, kind="Deployment", annotations=MARKED)), {"restarted": "it is paused"}),
    ],
)
def test_what_is_refused(seen: ObservedCluster, refused: dict[str, str]) -> None:
    for state in power_steps.POWER_STATES:
        message = power_steps.refusal(seen, state, False)
        assert bool(message) == (state in refused), (state, message)
        assert refused.get(state, "") in message
        accepted = power_steps.refusal(seen, state, True)
        assert accepted == ("" if "volume claim" in message else message)
        assert ("accept_data_loss" in message) == ("volume claim" in message)


@pytest.mark.parametrize(
    ("seen", "needed"),
    [
        (ObservedCluster(control()), ()),
        (ObservedCluster(control(0, annotations=MARKED)), ()),
        (ObservedCluster(control(0)), power_steps.POWER_STATES),
        (ObservedCluster(control(0, annotations={"loft.sh/paused": "true"})), power_steps.POWER_STATES),
        (ObservedCluster(NO_CLAIM), ("paused", "restarted")),
        (ObservedCluster(NO_CLAIM, etcd()), ()),
    ],
)
def test_values_are_read_only_where_they_decide(seen: ObservedCluster, needed: tuple[str, ...]) -> None:
    assert tuple(state for state in power_steps.POWER_STATES if power_steps.needs_values(seen, state, False)) == needed
    accepted = tuple(state for state in power_steps.POWER_STATES if power_steps.needs_values(seen, state, True))
    assert accepted == (needed if workloads.replicas(seen.control_plane) == 0 else ())


# --- what a virtual cluster synced ------------------------------------------------------------------------


def test_what_it_synced() -> None:
    seen = ObservedCluster(control())
    foreign = {"metadata": {**synced("f")["metadata"], "labels": {SYNCED: "b"}}}
    pods = [synced("x"), synced("y", "more"), synced("z", "elsewhere"), foreign]
    assert [one["metadata"]["name"] for one in observed.synced_by(seen, pods)] == ["x"]
    assert [one["metadata"]["name"] for one in observed.synced_by(seen, pods, ["more"])] == ["x", "y"]


def test_the_marker_of_its_namespaces() -> None:
    """As vCluster writes it: longer ones end in the first ten digits of a SHA-256."""
    assert observed.marker("a", "vcluster-a") == "vcluster-a-x-a"
    long = observed.marker("n" * 40, "vcluster-" + "n" * 40)
    assert long == "vcluster-" + "n" * 40 + "-x-" + "-2d824a1423"
