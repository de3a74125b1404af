# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of which virtual clusters vcluster_state selects, and which selections it refuses."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import batch
from ansible_collections.nested.clusters.plugins.module_utils.power import power_batch
from ansible_collections.nested.clusters.plugins.modules import vcluster_state
from power_cases import (
    EVERYTHING,
    have_five,
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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["the task selects no virtual cluster; set"]),
        ({"all": False}, ["the task selects no virtual cluster; set"]),
        ({"names": None, "label_selectors": None}, ["the task selects no virtual cluster; set"]),
        ({"group": "dev"}, ["group alone selects nothing"]),
        ({"phases": ["running"]}, ["phases alone selects nothing"]),
        ({"group": "dev", "phases": ["running"]}, ["group and phases alone selects nothing"]),
        ({"namespace": "vcluster-a"}, ["namespace alone selects nothing"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("state", ["paused", "running", "restarted", "absent"])
def test_selection_of_nothing_is_refused_without_a_request(
    options: Result, words: list[str], state: str, task: Task, fleet: SimulatedHost
) -> None:
    """A group, a phase or a namespace alone would be everything in it. Nothing is even asked."""
    for check_mode in (True, False):
        result = task(state=state, check_mode=check_mode, **options)
        assert result["failed"]
        for word in (*words, "set one of these options, or all: true for every one"):
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
def test_selection_by_an_empty_option_is_refused(
    empty: Result, others: Result, task: Task, fleet: SimulatedHost
) -> None:
    """A template that came out empty must not select more than what it would have."""
    (option,) = empty
    result = task(state="paused", **{**others, **empty})
    assert "the value is empty and selects nothing" in result["msg"]
    assert result["option"] == option
    assert fleet.requests == []


def test_selection_by_names_and_all_is_refused(task: Task, fleet: SimulatedHost) -> None:
    for options in ({"name": "a"}, {"names": ["a"]}):
        result = task(state="paused", all=True, **options)
        assert "exclude each other; set only one of them" in result["msg"]
    assert fleet.requests == []


@pytest.mark.parametrize("state", ["paused", "running", "restarted"])
@pytest.mark.parametrize("options", [{"all": True}, {"names": ["a", "b", "c", "d"]}], ids=str)
def test_selection_of_more_than_max_selected_changes_nothing(
    state: str, options: Result, task: Task, fleet: SimulatedHost
) -> None:
    for check_mode in (True, False):
        result = task(state=state, check_mode=check_mode, max_selected=4, **options)
        assert result["failed"]
        assert "max_selected: 4 is not usable: 5 virtual clusters are selected, and none was changed: " in result["msg"]
        assert "; allowed: 5 or more, or a selection of fewer" in result["msg"]
    assert not fleet.sent("create", "patch", "delete")
    assert len(task(state=state, max_selected=5, **options)["virtual_clusters"]) == 5


def test_max_selected_of_zero_is_refused(task: Task, fleet: SimulatedHost) -> None:
    assert "max_selected: 0 is not usable" in task(state="paused", name="a", max_selected=0)["msg"]


def test_selection_of_too_many_names_the_first(task: Task, host: SimulatedHost) -> None:
    for number in range(12):
        host.have_cluster(f"v{number:02}")
    assert "v08, v09, and 2 more; allowed: 12 or more" in task(state="paused", all=True, max_selected=3)["msg"]


@pytest.fixture
def fleet(host: SimulatedHost) -> SimulatedHost:
    return have_five(host)


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
def test_selection_by_options_pauses_exactly_those(
    options: Result, expected: set[str], task: Task, fleet: SimulatedHost
) -> None:
    result = checked(task, fleet, state="paused", **options)
    assert {cluster["namespace"] for cluster in result["virtual_clusters"] if cluster["changed"]} == expected
    stateful_sets = fleet.objects("StatefulSet")
    asleep = {one["metadata"]["namespace"] for one in stateful_sets if one["spec"]["replicas"] == 0}
    assert asleep == expected
    assert result["changed"] == bool(expected)


def test_result_of_group_members_has_group_and_owner(task: Task, fleet: SimulatedHost) -> None:
    result = task(state="paused", phases=["running"], all=True, check_mode=True)
    told = {one["namespace"]: (one["group"], one["owner"]) for one in result["virtual_clusters"]}
    assert told["vcluster-a"] == ("dev", "alice")
    assert told["other-d"] == told["other-a"] == (None, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "z"}, ["name: virtual cluster z does not exist on the host clusters of the task"]),
        ({"names": ["a", "z", "y"]}, ["names: virtual cluster y, z does not exist"]),
        ({"name": "b", "namespace": "other-a"}, ["name: virtual cluster b does not exist in namespace other-a"]),
        ({"names": ["b,c", "a"]}, ["b,c"]),
        ({"name": "Not a name"}, ["Not a name"]),
    ],
)
def test_name_that_does_not_exist_is_refused(
    options: Result, words: list[str], task: Task, fleet: SimulatedHost
) -> None:
    for check_mode in (True, False):
        result = task(state="paused", check_mode=check_mode, **options)
        assert result["failed"]
        assert all(word in result["msg"] for word in words), result["msg"]
    assert not fleet.sent("patch")


def test_permission_to_list_namespaces_missing_fails_only_for_groups(task: Task, fleet: SimulatedHost) -> None:
    fleet.deny("list", "namespaces")
    result = task(state="paused", name="b")
    assert (of(result, "b")["group"], of(result, "b")["after"]) == (None, "paused")
    result = task(state="paused", group="dev", all=True)
    assert result["failed"]
    assert 'cannot list resource "namespaces"' in result["msg"]


def test_permission_for_all_namespaces_missing_suggests_one(task: Task, fleet: SimulatedHost) -> None:
    fleet.deny("list", "statefulsets", allowed_in=["vcluster-b"])
    result = task(state="paused", name="b")
    assert "or give option namespace" in result["msg"]
    assert task(state="paused", name="b", namespace="vcluster-b")["changed"]
