# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of decision_rules: the limits that a virtual cluster of a group has to keep, and the order of their checks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_change
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import AdmissionDenied
from group_world import DEFAULT, LARGEST, NODE, World, size
from helm_releases import NAME

Object = dict[str, Any]
QUOTA_OF = {"virtual_clusters": 3, "cpu": "20", "memory": "40Gi", "storage": "50Gi"}


def test_decide_many_violations_are_reported_in_order(world: World) -> None:
    world.change(owner_quota=QUOTA_OF, size={"maximum": LARGEST})
    for number, host in enumerate("ab"):
        world.reserve(host, f"other-{number}", cpu=18)
    world.reserve("a", "mine", owner="alice", cpu=1)
    wrong: Object = {"owner": "alice", "size": size(9, "1Gi", "50Gi")}
    error = world.refusal(**wrong)
    assert (error.data["check"], error.data["resource"]) == ("owner_quota", "storage")
    world.change(owner_quota={})
    error = world.refusal(**wrong)
    assert (error.data["check"], error.data["resource"]) == ("maximum", "cpu")
    wrong["size"] = size(8, "1Gi", "40Gi")
    error = world.refusal(**wrong)
    assert (error.data["check"], error.data["resource"]) == ("minimum", "memory")
    wrong["size"] = size(8, "4Gi", "40Gi")
    error = world.refusal(**wrong)
    assert error.data["check"] == "capacity"
    wrong["size"] = size(4, "4Gi", "2Gi")
    world.hosts["b"].change(NODE, {"status": {"allocatable": {"cpu": "19"}}})
    assert world.decide(**wrong).member.name == "b"


def test_decide_exceeded_quota_has_figures(world: World) -> None:
    world.change(owner_quota=QUOTA_OF)
    world.reserve("a", "mine", owner="alice", cpu=15)
    world.reserve("b", "hers", owner="bob", cpu=10)
    error = world.refusal(owner="alice", size=size(6))
    assert error.data == {
        "check": "owner_quota",
        "resource": "cpu",
        "asked": "6",
        "allowed": "20",
        "in_use": "15",
        "by": ["mine"],
    }
    for word in ("alice", "6 cpu", "20", "15", "mine in group dev: 15"):
        assert word in str(error)
    assert world.decide(owner="alice", size=size(5)).owner == "alice"


def test_decide_quota_counts_all_groups_but_exempt_ones(world: World) -> None:
    """On all given host clusters, in all groups that are not exempt."""
    world.change(owner_quota={"virtual_clusters": 2})
    group_change.present(world.entries(["c"]), {"name": "gift", "owner_quota": {"exempt": True}}, False)
    group_change.present(world.entries({"a": {}}), {"name": "prod"}, False)
    for host, name, group in (("c", "gift-1", "gift"), ("c", "gift-2", "gift"), ("a", "mine", "prod")):
        world.reserve(host, name, group, owner="alice")
    assert world.decide("abc", owner="alice").owner == "alice"
    world.reserve("c", "other", "unknown", owner="alice")
    error = world.refusal("abc", owner="alice")
    assert (error.data["resource"], error.data["in_use"], error.data["by"]) == (
        "virtual_clusters",
        2,
        ["mine", "other"],
    )
    # Those on host clusters that are not given are not known.
    assert world.decide("ab", owner="alice").owner == "alice"


def test_decide_quota_without_owner_is_refused(world: World) -> None:
    world.change(owner_quota=QUOTA_OF)
    for owner in (None, ""):
        error = world.refusal(owner=owner)
        assert (error.data["option"], "group dev has an owner quota" in str(error)) == ("owner", True)
    world.change(owner_quota={})
    assert world.decide().owner == ""


def test_decide_size_out_of_bounds_has_figures(world: World) -> None:
    world.change(size={"maximum": LARGEST})
    for resource, amount, check, allowed in (
        ("cpu", "8001m", "maximum", "8"),
        ("memory", "17Gi", "maximum", "16Gi"),
        ("storage", "41Gi", "maximum", "40Gi"),
        ("cpu", "3999m", "minimum", "4"),
        ("memory", "3Gi", "minimum", "4Gi"),
        ("storage", "1Gi", "minimum", "2Gi"),
    ):
        error = world.refusal(size=size(**{resource: amount}))
        assert isinstance(error, AdmissionDenied)
        assert {key: error.data[key] for key in ("check", "resource", "asked", "allowed")} == {
            "check": check,
            "resource": resource,
            "asked": amount,
            "allowed": allowed,
        }
        assert f"size.{resource}: {amount} is asked for" in str(error)
        assert allowed in str(error)


@pytest.mark.parametrize("resource", ["cpu", "memory"])
def test_decide_size_zero_is_refused(resource: str, world: World) -> None:
    world.change(size={"minimum": {"cpu": "0", "memory": "0", "storage": "0"}})
    error = world.refusal(size=size(**{resource: "0"}))
    assert (error.data["option"], error.data["value"], error.data["allowed"]) == (
        f"size.{resource}",
        "0",
        "more than 0",
    )
    assert world.decide(size=size(storage="0")).size.storage == 0


def test_decide_without_room_has_figures_of_each_host(world: World) -> None:
    world.reserve("a", "one", cpu=18)
    world.reserve("b", "two", memory="36Gi")
    error = world.refusal(size=size(4, "4Gi"))
    assert error.data["asked"] == DEFAULT
    considered = {item["name"]: item for item in error.data["placement"]["considered"]}
    assert considered["a"]["reason"] == "1200m of 19200m cpu left"
    assert considered["b"]["reason"] == "2.3Gi of 38.3Gi memory left"
    for word in ("a: 1200m of 19200m cpu left", "b: 2.3Gi of 38.3Gi memory left", "4 cpu, 4Gi memory, 2Gi storage"):
        assert word in str(error)


def test_decide_oversubscription_makes_room(world: World) -> None:
    world.reserve("a", "one", cpu=18)
    world.reserve("b", "two", cpu=18)
    assert world.refusal().data["check"] == "capacity"
    world.change(oversubscription=140)
    assert world.decide().member.name == "a"


def test_decide_allocations_of_other_groups_count(world: World) -> None:
    world.reserve("a", "one", group="prod", cpu=18)
    assert world.decide().member.name == "b"


def test_decide_declared_capacity_and_node_selector_limit_room(world: World) -> None:
    world.present({"a": {"capacity": {"cpu": "3"}}, "b": {"node_selector": {"pool": "x"}}})
    considered = {item["name"]: item for item in world.refusal().data["placement"]["considered"]}
    assert considered["a"]["reason"] == "3600m of 3600m cpu left"
    assert considered["b"]["reason"] == "no node matches pool=x"


@pytest.mark.parametrize(("strategy", "chosen"), [("spread", "b"), ("pack", "a")])
def test_decide_strategy_of_group_chooses_host(strategy: str, chosen: str, world: World) -> None:
    world.change(placement=strategy)
    world.reserve("a", "one")
    decision = world.decide()
    assert decision.member.name == chosen
    shown = decision.placement_dict()
    assert (shown["host"], shown["strategy"]) == (chosen, strategy)
    assert [item["name"] for item in shown["considered"]] == ["a", "b"]


def test_decide_new_cluster_while_upgrade_is_pending_is_refused(world: World) -> None:
    world.change(vcluster_version="0.36.1")
    world.reserve("a", "behind", applied={"vcluster_version": "0.35.0"})
    world.reserve("b", "never", applied={})
    world.reserve("b", "done", applied={"vcluster_version": "0.36.1"})
    world.reserve("b", "going", applied={}, deleting=True)
    world.reserve("b", "kept", applied={}, cpu=0, memory=0)
    world.reserve("b", "foreign", "prod", applied={})
    error = world.refusal()
    assert error.data == {"pending_upgrade": ["behind", "never"]}
    assert "group dev is locked to vCluster 0.36.1, and behind, never run another version" in str(error)
    world.reserve("a", NAME, applied={})
    assert world.decide(size=size(5)).size.cpu == 5  # those that are there are not held up


def test_decide_kept_volumes_are_no_pending_upgrade(world: World) -> None:
    world.change(vcluster_version="0.36.1")
    world.reserve("a", NAME, cpu=0, memory=0)
    assert world.decide().member.name == "a"
    world.reserve("b", "behind", applied={})
    assert world.refusal().data == {"pending_upgrade": ["behind"]}


def test_decision_description_depends_on_check_mode(running: World) -> None:
    decision = running.decide(owner="bob", size=size(5))
    assert decision.describe(check=True) == {"host_cluster": "a", "owner": "alice", "size": DEFAULT}
    assert decision.describe(check=False) == {"host_cluster": "a", "owner": "bob", "size": {**DEFAULT, "cpu": "5"}}
    new = running.decide("ab", {"name": "new", "namespace": "new"})
    assert new.describe(check=True) == {}
    assert copy.copy(new).describe(check=False)["host_cluster"] == "b"
