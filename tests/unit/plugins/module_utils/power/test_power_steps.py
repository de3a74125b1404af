# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of steps: which ones a pause, a resume and a restart take, and in which order."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.listing.observed import ObservedCluster
from ansible_collections.nested.clusters.plugins.module_utils.power import power_steps
from ansible_collections.nested.clusters.plugins.module_utils.power.power_steps import PowerStep
from observed_clusters import (
    DATE,
    MARKED,
    Object,
    control,
    etcd,
    pod,
    synced,
)


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
def test_steps_of_a_pause_follow_from_what_was_read(seen: ObservedCluster, expected: list[str]) -> None:
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
            "remove the pause mark from etcd StatefulSet a-etcd",
            "remove the pause mark from StatefulSet a",
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
def test_steps_of_a_resume_follow_from_what_was_read(seen: ObservedCluster, expected: list[str]) -> None:
    assert texts(power_steps.steps(seen, "running", DATE)) == expected


def test_steps_of_a_pause_write_the_annotations_of_the_cli() -> None:
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


def test_steps_of_a_woken_cluster_keep_its_replicas() -> None:
    (step,) = power_steps.steps(ObservedCluster(control(2, annotations=MARKED)), "running", DATE)
    assert step.body["spec"] == {"replicas": 2}


def test_steps_after_a_wait_do_not_wait_for_etcd() -> None:
    """Where neither has ever started, etcd waits for certificates that the control plane writes."""
    _etcd, step = power_steps.steps(ObservedCluster(control(0), etcd(0)), "running", DATE)
    assert step.patience == power_steps.ETCD_PATIENCE
    first, second = power_steps.steps(ObservedCluster(control(), etcd(), (pod("a-0"),)), "paused", DATE)
    assert (first.patience, second.patience) == (float("inf"), float("inf"))


def test_steps_of_a_pause_delete_synced_pods_by_label() -> None:
    (step,) = power_steps.steps(
        ObservedCluster(control(0, annotations=MARKED), None, (), (synced("x"),)), "paused", DATE
    )
    assert (step.verb, step.where, step.labels) == (
        "delete_all",
        "/api/v1/namespaces/vcluster-a/pods",
        "vcluster.loft.sh/managed-by=a",
    )


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
def test_steps_of_a_restart_replace_pods_one_by_one(
    replicas: int, pods: tuple[Object, ...], expected: list[str]
) -> None:
    old = {*OLD, "uid of a-etcd-0"}
    steps = texts(power_steps.steps(ObservedCluster(control(replicas), None, pods), "restarted", DATE, old))
    assert steps[: len(expected) or None] == expected


def test_steps_of_a_restart_delete_the_pods_that_were_read() -> None:
    (step,) = power_steps.steps(ObservedCluster(control(), None, (pod("a-0"),)), "restarted", DATE, OLD)
    assert (step.verb, step.where) == ("delete", "/api/v1/namespaces/vcluster-a/pods/a-0")
    assert step.body == {"uid": "uid of a-0"}


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
def test_waiting_of_a_cluster_says_for_what(seen: ObservedCluster, state: str, word: str) -> None:
    awaited = power_steps.awaited(seen, state, {"uid of a-0"})
    assert bool(awaited) == bool(word)
    assert word in awaited
