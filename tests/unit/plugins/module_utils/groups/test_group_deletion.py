# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of deletions of a group."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from clock import Clock
from group_site import NAMESPACE_PATH, Site, checked, refused, run_clock, with_group
from leases import LEASE
from meanwhile import forbid, pass_all


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    yield from run_clock(monkeypatch)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def made(site: Site) -> Site:
    return with_group(site)


# --- deletion ---------------------------------------------------------------------------------------------


def test_deletion_of_a_group_removes_all_records(made: Site) -> None:
    change = checked(made, lambda check: made.absent(check=check))
    assert change.sentences() == [f"delete the record of group dev on host cluster {name}" for name in "ab"]
    assert change.after is None
    (entry,) = change.diff
    assert ("description: before" in entry["before"], entry["after"]) == (True, "")
    for name in "ab":
        assert NAMESPACE_PATH not in made.hosts[name]


def test_deletion_of_one_of_two_groups_of_a_name_is_refused(site: Site) -> None:
    """Each on a host cluster of its own: neither a change nor the deletion takes one for the other."""
    site.present(["a"])
    site.present(["b"], description="another")
    words = ("b and a have different groups called dev", "no host cluster is a member of both")
    refused(site, lambda check: site.present(check=check), *words)
    refused(site, lambda check: site.absent(check=check), *words)
    refused(site, lambda check: site.present({"a": {}, "b": {"state": "absent"}}, check), *words)
    assert checked(site, lambda check: site.absent(["a"], check)).sentences()
    assert site.record("b")


def test_deletion_of_a_group_that_does_not_exist_changes_nothing(site: Site) -> None:
    assert checked(site, lambda check: site.absent(check=check)).sentences() == []


def test_deletion_while_a_host_cluster_does_not_answer_is_an_error(site: Site) -> None:
    site.hosts["b"].down = True
    refused(site, lambda check: site.absent(check=check), "b: host cluster https://b does not answer")


def test_deletion_of_a_group_in_use_is_an_error(made: Site) -> None:
    made.have_virtual_cluster("b", "team-a")
    error = refused(
        made, lambda check: made.absent(check=check), "group dev was not deleted (host cluster b)", "team-a"
    )
    assert error.data == {"virtual_clusters": ["team-a"]}


def test_deletion_beside_virtual_clusters_of_other_groups_happens(made: Site) -> None:
    made.have_virtual_cluster("b", "team-a", group="prod")
    assert made.absent().sentences()


def test_deletion_without_all_members_is_refused(made: Site) -> None:
    error = refused(made, lambda check: made.absent(["a"], check), "add b")
    assert error.data["option"] == "host_clusters"
    made.hosts["b"].down = True
    refused(made, lambda check: made.absent(check=check), "b: ", "does not answer")
    # One that does not exist any more is none of them.
    assert made.absent(["a"], lost=["b"]).sentences() == ["delete the record of group dev on host cluster a"]


def test_deletion_with_a_member_under_another_name_is_refused(made: Site) -> None:
    error = refused(made, lambda check: made.absent(["a", "b2"], check))
    assert error.data["option"] == "host_clusters.name"


def test_deletion_that_was_interrupted_is_finished_by_the_next_task(made: Site) -> None:
    host = made.hosts["b"]
    forbid(host, "delete", "vcluster-group-dev")
    with pytest.raises(NestedClustersError, match="group dev: done on a, not done on b: no permission"):
        made.absent()
    assert made.record("a") is None
    assert not [one for one in made.hosts.values() if LEASE in one]
    pass_all(host)
    change = checked(made, lambda check: made.absent(check=check))
    assert change.sentences() == ["delete the record of group dev on host cluster b"]
