# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of decision_rules: the size of a virtual cluster that exists, or whose volumes were kept."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import AdmissionDenied
from group_world import DEFAULT, LARGEST, NODE, World, size
from helm_releases import NAME, NAMESPACE


def test_resize_kept_volumes_are_used_again(world: World) -> None:
    world.reserve("b", "other", cpu=10)
    world.reserve("b", NAME, cpu=0, memory=0, storage="30Gi", owner="alice", namespace="own")
    decision = world.decide()
    assert (decision.member.name, decision.namespace, decision.owner) == ("b", "own", "alice")
    assert decision.size.as_dict() == {**DEFAULT, "storage": "30Gi"}
    error = world.refusal(size=size(5, "5Gi", "10Gi"))
    assert "size.storage: the kept volumes of virtual cluster" in str(error)
    assert "have 30Gi; set at least 30Gi, or force: true" in str(error)
    assert error.data["allowed"] == "30Gi or more, or force: true"
    assert world.decide(size=size(5, "5Gi", "10Gi"), force=True).size.as_dict()["storage"] == "10Gi"
    assert world.decide(size=size(5, "5Gi", "30Gi")).size.as_dict() == {"cpu": "5", "memory": "5Gi", "storage": "30Gi"}
    world.reserve("b", "other", cpu=18)
    assert "to go from 0 cpu, 0 memory, 30Gi storage" in str(world.refusal())


def test_resize_kept_volumes_count_as_storage_only(world: World) -> None:
    world.change(owner_quota={"virtual_clusters": 1, "storage": "31Gi"})
    world.reserve("a", "kept", cpu=0, memory=0, storage="30Gi", owner="alice")
    error = world.refusal(owner="alice")
    assert (error.data["resource"], error.data["in_use"]) == ("storage", "30Gi")
    world.change(owner_quota={"virtual_clusters": 1, "storage": "32Gi"})
    assert world.decide(owner="alice").owner == "alice"


def use(world: World, host: str = "a", **used: str) -> None:
    world.hosts[host].have("ResourceQuota", f"nested-clusters-{NAME}", namespace=NAMESPACE, status={"used": used})


def test_resize_unchanged_size_is_not_checked(world: World) -> None:
    world.reserve("a", NAME, owner="alice", cpu=99)  # outside of all bounds by now
    world.change(size={"maximum": LARGEST}, owner_quota={"cpu": "1"})
    for options in ({}, {"owner": "alice"}, {"size": size(99)}, {"owner": "alice", "size": size(99, "4Gi", "2Gi")}):
        decision = world.decide(**options)
        assert (decision.placement, decision.takes_more) == (None, False)
        assert decision.placement_dict() == {"host": "a", "strategy": None, "considered": []}


def test_resize_partial_size_keeps_the_rest(world: World) -> None:
    world.reserve("a", NAME, cpu=5, memory="6Gi", storage="7Gi")
    assert str(world.decide(size=size(storage="8Gi")).size) == "5 cpu, 6Gi memory, 8Gi storage"
    assert str(world.decide("ab", {"name": "new", "namespace": "new"}, size=size(5)).size) == (
        "5 cpu, 4Gi memory, 2Gi storage"
    )


def test_resize_larger_needs_room_for_difference(world: World) -> None:
    world.reserve("a", NAME, cpu=15)
    world.reserve("a", "other", cpu=4)
    assert world.decide(size=size("15200m")).takes_more
    error = world.refusal(size=size("15201m"))
    assert error.data["check"] == "capacity"
    assert "200m of 19200m cpu left" in str(error)
    assert "to go from 15 cpu, 4Gi memory, 2Gi storage to 15201m cpu" in str(error)


def test_resize_larger_counts_for_owner(world: World) -> None:
    world.change(owner_quota={"cpu": "12"})
    world.reserve("a", NAME, owner="alice", cpu=6)
    world.reserve("b", "other", owner="alice", cpu=6)
    error = world.refusal(size=size(7))
    assert (error.data["check"], error.data["asked"], error.data["in_use"]) == ("owner_quota", "7", "6")
    assert world.decide(size=size(5)).size.cpu == 5


def test_resize_unchanged_resource_is_not_checked(world: World) -> None:
    world.reserve("a", NAME, cpu=9, memory="5Gi")
    world.change(size={"maximum": LARGEST, "minimum": {"storage": "3Gi"}, "default": {"storage": "3Gi"}})
    assert world.decide(size=size(memory="6Gi")).size.cpu == 9
    assert world.refusal(size=size(10)).data["check"] == "maximum"
    assert world.refusal(size=size(memory="3Gi")).data["check"] == "minimum"


def test_resize_smaller_needs_no_room(world: World) -> None:
    world.reserve("a", NAME, cpu=15)
    world.reserve("a", "other", cpu=15)
    world.hosts["a"].change(NODE, {"spec": {"unschedulable": True}})
    assert world.decide(size=size(14)).size.cpu == 14
    assert "the only node is cordoned" in str(world.refusal(size=size(16)))


@pytest.mark.parametrize(
    ("used", "resource", "amount"),
    [
        ({"requests.cpu": "4500m"}, "cpu", "4500m"),
        ({"requests.cpu": "1", "limits.cpu": "4500m"}, "cpu", "4500m"),
        ({"limits.memory": "5Gi", "requests.memory": "1Gi"}, "memory", "5Gi"),
        ({"requests.storage": "3Gi"}, "storage", "3Gi"),
    ],
)
def test_resize_below_use_is_refused(used: dict[str, str], resource: str, amount: str, world: World) -> None:
    world.reserve("a", NAME, cpu=8, memory="8Gi", storage="8Gi")
    use(world, **used)
    error = world.refusal(size=size(4, "4Gi", "2Gi"))
    assert isinstance(error, AdmissionDenied)
    assert error.data == {
        "check": "in_use",
        "resource": resource,
        "asked": DEFAULT[resource],
        "allowed": None,
        "in_use": amount,
        "by": [NAME],
    }
    assert f"virtual cluster {NAME} uses {amount}" in str(error)
    assert "force: true" in str(error)
    assert world.decide(size=size(4, "4Gi", "2Gi"), force=True).size.as_dict() == DEFAULT
    kept = {**DEFAULT, resource: "8" if resource == "cpu" else "8Gi"}
    assert world.decide(size=size(**kept)).size.as_dict() == kept


def test_resize_larger_while_overused_is_allowed(world: World) -> None:
    """Of one that was shrunk by force; what grows again, or stays, is not refused for it."""
    world.reserve("a", NAME, cpu=4, memory="8Gi")
    use(world, **{"limits.cpu": "8", "limits.memory": "1Gi"})
    assert world.decide(size=size(5)).size.cpu == 5
    assert world.decide(size=size(5, "4Gi")).size.cpu == 5
    assert world.decide(size=size(memory="4Gi")).size.cpu == 4


def test_resize_above_use_is_allowed(world: World) -> None:
    world.reserve("a", NAME, cpu=8)
    assert world.decide(size=size(4)).size.cpu == 4  # nothing counts it yet
    use(world, **{"limits.cpu": "4", "requests.cpu": "100m"})
    assert world.decide(size=size(4)).size.cpu == 4
    assert world.decide(size=size(9)).size.cpu == 9


def test_resize_other_owner_counts_for_the_new_one(world: World) -> None:
    world.change(owner_quota={"virtual_clusters": 1})
    world.reserve("a", NAME, owner="alice")
    assert world.decide(owner="bob").owner == "bob"
    world.reserve("b", "hers", owner="bob")
    error = world.refusal(owner="bob")
    assert (error.data["check"], error.data["by"]) == ("owner_quota", ["hers"])
