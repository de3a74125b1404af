# SPDX-License-Identifier: GPL-3.0-or-later
"""A shared virtual cluster that a test has broken fails the next test in its setup, with the name of the one before."""

from __future__ import annotations

from typing import Any, cast

import pool
import pytest
from host_api import Host
from modules import Module
from places import Place
from pool import Shared, problems_of_release, problems_of_running, problems_of_use

Object = dict[str, Any]
WHERE = Place("team", "vcluster-team")


class Objects:
    """A host cluster that has these objects, by a part of their path."""

    def __init__(self, workload: Object | None = None, names: tuple[str, ...] = ()) -> None:
        self.workload, self.names = workload, names

    def get(self, _path: str) -> Object | None:
        return self.workload

    def items(self, _path: str) -> list[Object]:
        return [{"metadata": {"name": name}} for name in self.names]


class Task:
    """A module that returns one result."""

    def __init__(self, **result: Any) -> None:
        self.result = {"steps": [], "virtual_cluster": {"phase": "running"}, **result}

    def raw(self, check: bool, name: str) -> Object:
        assert (check, name) == (True, WHERE.name)
        return self.result


def workload(replicas: int = 1, ready: int = 1, observed: int = 1, annotation: str = "") -> Object:
    return {
        "metadata": {"generation": 1, "annotations": {annotation: "true"} if annotation else None},
        "spec": {"replicas": replicas},
        "status": {"readyReplicas": ready, "observedGeneration": observed},
    }


def problems(found: Object | None, **result: Any) -> str:
    return "; ".join(problems_of_running(cast(Host, Objects(found)), cast(Module, Task(**result)), WHERE))


def test_hand_out_of_one_as_promised_remembers_the_test() -> None:
    shared = Shared(WHERE, {}, {})
    assert shared.hand_out(lambda: [], "test_first") is WHERE
    assert shared.user == "test_first"


def test_hand_out_of_a_broken_one_names_the_test_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SECONDS_TO_SETTLE", 0)
    shared = Shared(WHERE, {}, {}, user="test_first")
    with pytest.raises(pytest.fail.Exception, match="team of the pool, which test_first had before: it is paused"):
        shared.hand_out(lambda: ["it is paused"], "test_second")


def test_hand_out_of_one_that_settles_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SECONDS_BETWEEN", 0)
    answers = [["0 of 1 replicas are ready"], []]
    assert Shared(WHERE, {}, {}).hand_out(lambda: answers.pop(0), "test_second") is WHERE


def test_problems_of_one_that_runs_are_none() -> None:
    assert problems(workload()) == ""


@pytest.mark.parametrize(
    ("found", "result", "problem"),
    [
        (None, {}, "it has no control plane"),
        (workload(0, 0, annotation="loft.sh/paused"), {}, "has loft.sh/paused; 0 of 0 replicas are ready"),
        (workload(annotation="loft.sh/non-deletable"), {}, "its control plane has loft.sh/non-deletable"),
        (workload(2, 1), {}, "1 of 2 replicas are ready"),
        (workload(observed=0), {}, "its control plane is being changed"),
        (workload(), {"steps": ["repair Service team"]}, "does not leave it as it is: ['repair Service team']"),
        (workload(), {"failed": True, "msg": "refused"}, "does not leave it as it is: refused"),
        (workload(), {"virtual_cluster": {"phase": "pending"}}, "its phase is pending"),
    ],
)
def test_problems_of_a_broken_one_are_named(found: Object | None, result: Object, problem: str) -> None:
    assert problem in problems(found, **result)


def test_problems_of_a_changed_release_name_its_revisions() -> None:
    first, second = (f"sh.helm.release.v1.team.v{number}" for number in (1, 2))
    assert problems_of_release(cast(Host, Objects(names=(first,))), WHERE) == []
    assert problems_of_release(cast(Host, Objects(names=(second, first))), WHERE) == [
        f"its release was changed: {first}, {second}"
    ]


def test_problems_of_use_are_pods_that_are_gone() -> None:
    assert problems_of_use(cast(Host, Objects(names=("writer-x1",))), WHERE) == []
    assert problems_of_use(cast(Host, Objects(names=("other",))), WHERE) == ["its user's pod is gone"]
