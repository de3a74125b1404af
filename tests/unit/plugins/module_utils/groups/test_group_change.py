# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of changes of a group: its options, its members, its records, and what its virtual clusters lack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.common.well_known import NAMESPACE
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_change, group_pending, group_records
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from clock import Clock
from group_site import NAMESPACE_PATH, RECORD, Site, checked, new_host, refused, run_clock, with_group


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    yield from run_clock(monkeypatch)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def made(site: Site) -> Site:
    return with_group(site)


# --- changes ----------------------------------------------------------------------------------------------


def test_group_with_another_option_is_changed_on_each_member(made: Site) -> None:
    change = checked(made, lambda check: made.present(check=check, description="after", oversubscription=200))
    assert change.sentences() == [f"change the record of group dev on host cluster {name}" for name in "ab"]
    assert made.record("a") == made.record("b")
    assert (made.record("a").description, made.record("a").generation) == ("after", 2)  # type: ignore[union-attr]
    (entry,) = change.diff
    assert "description: before" in entry["before"]
    assert "description: after" in entry["after"]


def test_option_that_is_left_out_stays(made: Site) -> None:
    for entries in (["a", "b"], ["b", "a"]):
        assert made.present(entries).sentences() == []
    made.present({"b": {"dns_pattern": "*.b.example.com", "capacity": {"storage": "1Ti"}}, "a": {}})
    made.forget()
    assert made.present(["b", "a"], description="before").sentences() == []
    assert made.written() == {}
    member = made.record("a").member("b")  # type: ignore[union-attr]
    assert member is not None
    assert (member.dns_pattern, str(member.capacity)) == (
        "*.b.example.com",
        "unlimited cpu, unlimited memory, 1Ti storage",
    )


def test_node_selector_of_a_member_is_replaced_as_a_whole(made: Site) -> None:
    for selector in ({"a": "b", "c": "d"}, {"a": "b"}, {}):
        made.present({"a": {"node_selector": selector}, "b": {}})
        member = made.record("a").member("a")  # type: ignore[union-attr]
        assert member is not None
        assert member.node_selector == selector


def test_capacity_of_a_member_is_changed_part_by_part(made: Site) -> None:
    for part in ({"storage": "1Ti"}, {"cpu": "8", "memory": None, "storage": None}):
        made.present({"a": {"capacity": part}, "b": {}})
    member = made.record("a").member("a")  # type: ignore[union-attr]
    assert member is not None
    assert str(member.capacity) == "8 cpu, unlimited memory, 1Ti storage"


def test_member_that_is_new_gets_the_record(made: Site) -> None:
    change = checked(made, lambda check: made.present(["a", "b", "c"], check))
    assert change.sentences() == [
        "change the record of group dev on host cluster a",
        "change the record of group dev on host cluster b",
        "create namespace nested-clusters on host cluster c",
        "write the record of group dev on host cluster c",
    ]
    assert made.record("a") == made.record("b") == made.record("c")


def test_member_that_is_removed_loses_the_record_and_the_namespace(made: Site) -> None:
    change = checked(made, lambda check: made.present({"a": {}, "b": {"state": "absent"}}, check))
    assert change.sentences() == [
        "change the record of group dev on host cluster a",
        "delete the record of group dev on host cluster b",
    ]
    assert [member.name for member in made.record("a").members] == ["a"]  # type: ignore[union-attr]
    assert NAMESPACE_PATH not in made.hosts["b"]


def test_namespace_with_an_object_in_it_stays(made: Site) -> None:
    group_change.present(made.entries(["b"]), {"name": "prod"}, False)
    made.present({"a": {}, "b": {"state": "absent"}})
    assert made.hosts["b"].paths(NAMESPACE) == [path("v1", "configmaps", NAMESPACE, "vcluster-group-prod")]


def test_namespace_with_a_secret_in_it_stays(made: Site) -> None:
    made.hosts["b"].have("Secret", "mine", namespace=NAMESPACE)
    made.present({"a": {}, "b": {"state": "absent"}})
    assert NAMESPACE_PATH in made.hosts["b"]


def test_namespace_with_what_every_namespace_has_goes(made: Site) -> None:
    made.hosts["b"].have("ConfigMap", "kube-root-ca.crt", namespace=NAMESPACE)
    made.present({"a": {}, "b": {"state": "absent"}})
    assert NAMESPACE_PATH not in made.hosts["b"]


def test_namespace_of_another_tool_stays(site: Site) -> None:
    site.hosts["a"].have("Namespace", NAMESPACE)
    site.present(["a"])
    site.absent(["a"])
    assert NAMESPACE_PATH in site.hosts["a"]
    assert site.record("a") is None


def test_absent_host_cluster_that_was_no_member_is_left_alone(made: Site) -> None:
    assert made.present({"a": {}, "b": {}, "c": {"state": "absent"}}).sentences() == []
    assert made.written() == {}


def test_record_without_its_labels_is_found_and_repaired(made: Site) -> None:
    """Nothing of the group is forgotten, and others find it again."""
    for name in "ab":
        labels = dict.fromkeys(made.hosts[name].at(RECORD)["metadata"]["labels"])
        made.hosts[name].change(RECORD, {"metadata": {"labels": {**labels, "team": "x"}}})
    change = checked(made, lambda check: made.present(check=check))
    assert change.sentences() == [f"change the record of group dev on host cluster {name}" for name in "ab"]
    assert change.after.description == "before"  # type: ignore[union-attr]
    labels = made.hosts["a"].at(RECORD)["metadata"]["labels"]
    assert (labels[group_records.RECORD_LABEL], labels[group_records.HOST_LABEL], labels["team"]) == ("dev", "a", "x")


def test_record_that_was_deleted_is_written_again(made: Site) -> None:
    before = made.record("a")
    made.hosts["b"].vanish(RECORD)
    change = checked(made, lambda check: made.present(check=check))
    assert change.sentences() == ["write the record of group dev on host cluster b"]
    assert made.record("b") == before


def test_record_that_is_broken_is_named(made: Site) -> None:
    made.hosts["b"].change(RECORD, {"data": {"group.yaml": "{"}})
    with pytest.raises(NestedClustersError, match="ConfigMap nested-clusters/vcluster-group-dev"):
        made.present()


# --- what may not be --------------------------------------------------------------------------------------


def test_member_that_is_left_out_is_refused(made: Site) -> None:
    for entries in (["a"], ["a", "c"], {"a": {}, "c": {"state": "absent"}}):
        error = refused(made, lambda check, entries=entries: made.present(entries, check), "b with state: absent")  # type: ignore[misc]
        assert error.data["option"] == "host_clusters"
        assert "state: lost" in str(error)
        assert "b is a member of group dev" in str(error)


def test_group_without_a_member_is_refused(made: Site) -> None:
    for entries, lost in (({"a": {"state": "absent"}, "b": {"state": "absent"}}, ()), ({}, ("a", "b"))):
        error = refused(made, lambda check, e=entries, lost=lost: made.present(e, check, lost), "to delete the group")  # type: ignore[misc]
        assert error.data["option"] == "host_clusters"


def test_member_with_virtual_clusters_is_not_removed(made: Site) -> None:
    for name in ("team-b", "team-a"):
        made.have_virtual_cluster("b", name)
    made.have_virtual_cluster("b", "other", group="prod")
    made.have_virtual_cluster("a", "here")
    error = refused(
        made,
        lambda check: made.present({"a": {}, "b": {"state": "absent"}}, check),
        "host cluster b was not removed from group dev",
        "it has virtual clusters team-a, team-b; delete them first",
    )
    assert error.data == {"virtual_clusters": ["team-a", "team-b"]}


def test_member_with_kept_volumes_is_not_removed(made: Site) -> None:
    made.have_virtual_cluster("b", "team-a", cpu="0", memory="0")
    refused(made, lambda check: made.present({"a": {}, "b": {"state": "absent"}}, check), "team-a")


def test_host_cluster_under_two_names_is_refused(site: Site) -> None:
    error = refused(site, lambda check: site.present(["a", "a2"], check), "kube-system", "a and a2 are")
    assert error.data["option"] == "host_clusters"


def test_member_under_another_name_is_refused(made: Site) -> None:
    for entries in (["a", "b2"], ["a", "b", "a2"], {"a": {}, "b": {}, "a2": {"state": "absent"}}):
        error = refused(made, lambda check, entries=entries: made.present(entries, check))  # type: ignore[misc]
        assert error.data["option"] == "host_clusters.name"
        assert error.data["allowed"] == error.data["value"][0]
        assert f"member {error.data['allowed']} of group dev" in str(error)


def test_host_cluster_under_the_name_of_another_member_is_refused(made: Site) -> None:
    """Such as one that was made anew: what was there is gone, and somebody should know."""
    made.hosts["b"] = new_host("new")
    error = refused(made, lambda check: made.present(check=check), "b is not the host cluster of that name")
    assert (error.data["option"], error.data["value"]) == ("host_clusters", "b")


# --- what virtual clusters do not have yet ----------------------------------------------------------------


def test_pending_of_a_changed_group_names_each_virtual_cluster(made: Site) -> None:
    group = made.record("a")
    assert group is not None
    has = group_pending.applied(group, group.members[0])
    made.have_virtual_cluster("a", "team-b", applied=has)
    made.have_virtual_cluster("b", "team-a", applied=group_pending.applied(group, group.members[1]))
    made.have_virtual_cluster("a", "kept", cpu="0", memory="0")
    made.have_virtual_cluster("a", "foreign", group="prod")
    assert made.present(check=True).pending == {}
    change = made.present(values={"a": 1}, vcluster_version="0.36.1")
    reasons = ["vcluster_version: its own applied, 0.36.1 in the group", "values: changed in the group"]
    assert change.pending == {"team-a": reasons, "team-b": reasons}
    assert list(change.pending) == ["team-a", "team-b"]
    assert change.pending_upgrade == ["team-a", "team-b"]
    assert made.present(vcluster_version="").pending_upgrade == []


def test_pending_of_a_changed_member_names_its_virtual_clusters(made: Site) -> None:
    group = made.record("a")
    assert group is not None
    for host, name, member in (("a", "team-a", group.members[0]), ("b", "team-b", group.members[1])):
        made.have_virtual_cluster(host, name, applied=group_pending.applied(group, member))
    change = made.present({"a": {"node_selector": {"x": "y"}}, "b": {}})
    assert change.pending == {"team-a": ["node_selector: changed in the group"]}
