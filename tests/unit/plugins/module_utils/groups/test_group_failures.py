# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of changes of a group whose host clusters do not answer, or that others change at the same time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.common.well_known import NAMESPACE
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_change, group_lock
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from clock import Clock
from fake_api import DROPPED
from group_site import RECORD, Site, checked, refused, run_clock, with_group
from leases import LEASE, have_lease
from meanwhile import before_each, forbid, pass_all


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    yield from run_clock(monkeypatch)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def made(site: Site) -> Site:
    return with_group(site)


# --- host clusters that do not answer ---------------------------------------------------------------------


def test_new_member_that_does_not_answer_is_an_error(made: Site) -> None:
    made.hosts["c"].down = True
    error = refused(
        made,
        lambda check: made.present(["a", "b", "c"], check, description="after"),
        "nothing was changed, because host cluster c, which would become a member, does not answer",
        "Connection refused",
    )
    assert error.data == {"failed_host_clusters": ["c"]}


def test_member_that_does_not_answer_is_named_and_completed_later(made: Site) -> None:
    made.hosts["b"].down = True
    for check, words in ((True, "would be done on a"), (False, "done on a")):
        with pytest.raises(NestedClustersError) as caught:
            made.present(check=check, description="after")
        message = str(caught.value)
        assert f"group dev: {words}, not done on b: " in message
        assert "run the task again when these host clusters answer" in message
        assert caught.value.data == {"done_host_clusters": ["a"], "failed_host_clusters": ["b"]}
        assert bool(made.written()) is not check
    made.hosts["b"].down = False
    assert (made.record("a").description, made.record("b").description) == ("after", "before")  # type: ignore[union-attr]
    change = checked(made, lambda check: made.present(check=check, description="after"))
    assert change.sentences() == ["change the record of group dev on host cluster b"]
    assert made.record("a") == made.record("b")


def test_records_that_differ_are_replaced_by_the_newest(made: Site) -> None:
    """Also for a task that says nothing of what the unfinished one changed."""
    made.hosts["a"].down = True
    with pytest.raises(NestedClustersError):
        made.present(description="after")
    made.hosts["a"].down = False
    made.present()
    for name in "ab":
        assert made.record(name).description == "after"  # type: ignore[union-attr]


def test_group_of_which_no_host_cluster_answers_is_an_error(made: Site) -> None:
    for name in "ab":
        made.hosts[name].down = True
    with pytest.raises(NestedClustersError, match="does not answer") as caught:
        made.present()
    assert "failed_host_clusters" in caught.value.data


def test_member_to_remove_that_does_not_answer_is_an_error(made: Site) -> None:
    made.hosts["b"].down = True
    refused(
        made,
        lambda check: made.present({"a": {}, "b": {"state": "absent"}}, check),
        "host cluster b, which would be removed, does not answer",
        "nothing was changed",
    )


def test_lost_member_is_removed_without_a_request(made: Site) -> None:
    made.have_virtual_cluster("b", "team-a")
    made.hosts["b"].intercept = lambda request: DROPPED
    change = checked(made, lambda check: made.present(["a"], check, ["b"]))
    assert change.sentences() == ["change the record of group dev on host cluster a"]
    assert [member.name for member in made.record("a").members] == ["a"]  # type: ignore[union-attr]
    assert made.hosts["b"].requests == []


def test_lost_member_is_a_warning(made: Site) -> None:
    (warning,) = made.present(["a"], True, ["b", "c"]).warnings
    assert "host cluster b is removed without being read" in warning
    made.present(["a"], False, ["b"])
    assert made.present(["a"], False, ["b"]).warnings == []


def test_record_that_cannot_be_written_on_one_member_is_an_error(made: Site) -> None:
    forbid(made.hosts["b"], "patch", "vcluster-group-dev")
    with pytest.raises(NestedClustersError, match="done on a, not done on b: no permission") as caught:
        made.present(description="after")
    assert caught.value.data == {"done_host_clusters": ["a"], "failed_host_clusters": ["b"]}
    pass_all(made.hosts["b"])
    assert made.present(description="after").sentences() == ["change the record of group dev on host cluster b"]


# --- two at once ------------------------------------------------------------------------------------------


def test_record_that_another_task_changes_meanwhile_is_an_error(made: Site) -> None:
    """What one wrote is not overwritten by who did not see it."""
    host = made.hosts["b"]

    def faster(method: str, where: str) -> None:
        if (method, where) == ("patch", RECORD):
            pass_all(host)
            group_change.present(made.entries(["b"]), {"name": "dev", "description": "faster"}, False, ["a"])

    before_each(host, faster)
    with pytest.raises(NestedClustersError, match="not done on b: another task changed the record meanwhile") as caught:
        made.present(description="slower")
    assert caught.value.data == {"done_host_clusters": ["a"], "failed_host_clusters": ["b"]}
    assert made.record("b").description == "faster"  # type: ignore[union-attr]


def test_record_that_another_task_creates_meanwhile_is_an_error(site: Site) -> None:
    host = site.hosts["a"]

    def faster(method: str, where: str) -> None:
        if (method, where) == ("create", path("v1", "configmaps", NAMESPACE)):
            pass_all(host)
            site.present(["a"], description="faster")

    before_each(host, faster)
    with pytest.raises(NestedClustersError, match="not done on a"):
        site.present(["a"], description="slower")
    assert site.record("a").description == "faster"  # type: ignore[union-attr]


@pytest.mark.parametrize("deleting", [False, True])
def test_removal_while_a_virtual_cluster_is_created_does_not_happen(deleting: bool, made: Site) -> None:
    """Whoever places one holds the lock; who removes the host cluster looks again when it has it."""
    host = made.hosts["b"]

    def placing(method: str, where: str) -> None:
        if (method, where) == ("create", group_lock.LEASES):
            pass_all(host)
            made.have_virtual_cluster("b", "team-a")

    before_each(host, placing)
    with pytest.raises(NestedClustersError, match="team-a"):
        made.absent() if deleting else made.present({"a": {}, "b": {"state": "absent"}})
    assert made.record("b")
    assert LEASE not in host


def test_removal_while_another_task_has_the_lock_waits(made: Site, clock: Clock) -> None:
    have_lease(made.hosts["b"])
    clock.after(5, lambda: made.hosts["b"].delete(LEASE))
    made.present({"a": {}, "b": {"state": "absent"}})
    assert clock.now >= 1005
    assert made.record("b") is None


@pytest.mark.parametrize("deleting", [False, True])
def test_removal_that_took_too_long_does_not_happen(deleting: bool, made: Site, clock: Clock) -> None:
    host = made.hosts["b"]

    def slow(method: str, where: str) -> None:
        if LEASE in host and method == "get":
            clock.now += 2

    before_each(host, slow)
    with pytest.raises(NestedClustersError, match="run the task again"):
        made.absent() if deleting else made.present({"a": {}, "b": {"state": "absent"}})
    assert made.record("b")


def test_removal_that_was_interrupted_is_finished_by_the_next_task(made: Site) -> None:
    host = made.hosts["b"]
    forbid(host, "delete", "vcluster-group-dev")
    with pytest.raises(NestedClustersError, match="not done on b"):
        made.present({"a": {}, "b": {"state": "absent"}})
    pass_all(host)
    change = checked(made, lambda check: made.present({"a": {}, "b": {"state": "absent"}}, check))
    assert change.sentences() == ["delete the record of group dev on host cluster b"]
