# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of decision_rules: the host cluster and the namespace of a virtual cluster."""

from __future__ import annotations

from typing import Any

import pytest
from fake_helm import WORKLOAD
from group_world import World, have_control_plane, made_before, size
from helm_releases import NAME, NAMESPACE

Object = dict[str, Any]


def test_decide_requested_host_is_used(world: World) -> None:
    world.reserve("b", "one", cpu=15)
    assert world.decide(host_cluster="b").member.name == "b"
    error = world.refusal(host_cluster="b", size=size(5))
    assert "host cluster b has no room" in str(error)
    error = world.refusal(host_cluster="c")
    assert error.data == {"option": "host_cluster", "value": "c", "allowed": "a, b"}


def test_decide_member_not_in_task_is_no_candidate(world: World) -> None:
    decision = world.decide("a")
    assert decision.member.name == "a"
    considered = {item["name"]: item["reason"] for item in decision.placement_dict()["considered"]}
    assert considered["b"] == "is not among the task's host clusters"
    assert "is not among the task's host clusters" in str(world.refusal("a", host_cluster="b"))


def test_decide_unreachable_member_refuses_new_cluster(world: World) -> None:
    world.hosts["b"].down = True
    error = world.refusal()
    assert "may be on b (b: host cluster https://b does not answer" in str(error)
    assert "host_cluster" in str(error)
    assert error.data == {"failed_host_clusters": ["b"]}
    assert world.decide(host_cluster="a").member.name == "a"
    assert "cannot be asked: host cluster https://b" in str(world.refusal(host_cluster="b"))


def test_decide_unreachable_host_of_other_groups_is_ignored(world: World) -> None:
    world.hosts["c"].down = True
    assert world.decide("abc").member.name == "a"


def test_decide_unreachable_member_allows_existing_cluster(world: World) -> None:
    world.reserve("a", NAME, owner="alice")
    world.hosts["b"].down = True
    assert world.decide().placement is None
    assert world.decide(size=size(5)).size.cpu == 5


def test_decide_host_with_unreadable_nodes_is_skipped(world: World) -> None:
    world.hosts["a"].deny("list", "nodes")
    decision = world.decide()
    assert decision.member.name == "b"
    assert "cannot be asked: no permission" in decision.placement_dict()["considered"][0]["reason"]


def test_decide_existing_cluster_does_not_move(world: World) -> None:
    world.reserve("a", NAME)
    assert world.decide(host_cluster="a").member.name == "a"
    error = world.refusal(host_cluster="b")
    assert (error.data["option"], error.data["allowed"]) == ("host_cluster", "a")
    assert "runs on a and cannot move to another host cluster" in str(error)


def test_decide_existing_cluster_does_not_change_group(world: World) -> None:
    world.reserve("a", "unrelated", group="prod", namespace=NAMESPACE)  # there is one a namespace on each host cluster
    world.reserve("b", NAME, group="prod")
    error = world.refusal()
    assert (error.data["option"], error.data["value"], error.data["allowed"]) == ("group", "dev", "prod")
    assert f"virtual cluster {NAME} is in group prod" in str(error)


def test_decide_namespace_of_other_cluster_is_refused(world: World) -> None:
    """Also where only volumes are left in it: else they would not be counted any more."""
    shares: list[Object] = [{}, {"cpu": 0, "memory": 0}]
    for amounts in shares:
        world.reserve("a", "other", namespace=NAMESPACE, **amounts)
        error = world.refusal(host_cluster="a")
        assert (error.data["option"], error.data["value"]) == ("namespace", NAMESPACE)
        assert "on host cluster a already contains virtual cluster other of group dev" in str(error)
    assert world.decide(host_cluster="b").member.name == "b"


def test_decide_existing_cluster_keeps_namespace(world: World) -> None:
    world.reserve("b", NAME, namespace="elsewhere")
    assert world.decide().namespace == "elsewhere"
    assert world.decide(size=size(5)).namespace == "elsewhere"


def test_decide_cluster_without_group_stays_on_host(world: World) -> None:
    world.reserve("b", "other", cpu=10)
    made_before(world, "b")
    assert world.decide().member.name == "b"
    error = world.refusal(host_cluster="a")
    assert (error.data["option"], error.data["allowed"]) == ("host_cluster", "b")
    assert "created without a group" in str(error)
    world.reserve("b", "other", cpu=18)
    assert world.refusal().data["check"] == "capacity"


def test_decide_two_clusters_without_group_need_host(world: World) -> None:
    for host in "ab":
        made_before(world, host)
    error = world.refusal()
    assert (error.data["option"], error.data["value"], error.data["allowed"]) == ("host_cluster", None, "a, b")
    assert world.decide(host_cluster="b").member.name == "b"


FLUX = {"helm.toolkit.fluxcd.io/name": "tenant", "helm.toolkit.fluxcd.io/namespace": "flux-system"}


@pytest.mark.parametrize("host", ["a", "b"])
def test_decide_cluster_of_other_tool_is_refused(world: World, host: str) -> None:
    """It lives on one of the host clusters, so it is not made on the other one either."""
    have_control_plane(world, host, **FLUX)
    error = world.refused()
    assert "It belongs to Flux's HelmRelease flux-system/tenant" in str(error)
    assert not world.locked()
    elsewhere = world.refused(host_cluster="b" if host == "a" else "a")
    assert (elsewhere.data["option"], elsewhere.data["allowed"]) == ("host_cluster", host)


@pytest.mark.parametrize("options", [{}, {"size": size(cpu="5")}, {"owner": "bob"}])
def test_decide_cluster_with_lost_record_is_refused(world: World, options: Object) -> None:
    """What its task asked for is known, but neither its version nor which group settings it has."""
    world.run()
    (host,) = [host for host in world.hosts.values() if WORKLOAD in host]
    for at in [at for at in host.paths() if "sh.helm.release" in at]:
        host.vanish(at)
    assert "This collection created it" in str(world.refused(**options))
