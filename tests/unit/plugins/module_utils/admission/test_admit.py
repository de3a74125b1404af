# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of admit: a new virtual cluster in a group."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_change, group_pending, group_view
from ansible_collections.nested.clusters.plugins.module_utils.groups.group_view import GroupView
from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart
from ansible_collections.nested.clusters.plugins.module_utils.values import support_matrix, tree
from ansible_collections.nested.clusters.plugins.module_utils.values.control_plane import kubernetes_version_at
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership
from clock import Clock
from fake_helm import NAMESPACE_PATH, WORKLOAD, mark_deleted, vanish_namespace
from group_world import DEFAULT, LARGEST, LIMITS, QUOTA, SECRET, World, size
from helm_releases import NAME, NAMESPACE


def test_present_in_group_new_cluster_has_reservation_and_release(world: World) -> None:
    world.reserve("a", "other")
    outcome, decision = world.checked(owner="alice", request={"values": {"a": 1}})
    assert decision.member.name == "b"
    assert outcome.plan.steps == [
        f"create namespace {NAMESPACE}",
        f"create Secret nested-clusters-{NAME}",
        f"create ResourceQuota nested-clusters-{NAME}",
        f"create LimitRange nested-clusters-{NAME}",
        f"install release {NAME} with vCluster {support_matrix.DEFAULT_VCLUSTER_VERSION}",
        f"set annotations of virtual cluster {NAME}: nested-clusters/managed",
    ]
    found = world.allocation("b")
    assert found is not None
    assert (found.name, found.group, found.owner, found.size.as_dict()) == (NAME, "dev", "alice", DEFAULT)
    group = world.view().group
    assert found.applied == group_pending.applied(group, decision.member)
    assert world.request("b") == {"values": {"a": 1}, "kubernetes_version": None}
    assert world.hosts["b"].at(QUOTA)["spec"]["hard"]["limits.cpu"] == "4"
    assert world.values(outcome)["a"] == 1
    assert outcome.state.release is not None
    assert outcome.state.release.labels[well_known.GROUP_LABEL] == "dev"
    assert not [at for at in world.hosts["a"].paths() if NAMESPACE in at]


def test_present_in_group_new_cluster_holds_all_locks(world: World) -> None:
    world.run("abc")
    assert world.locked() == ["a", "b"]
    world.forget()
    group_change.present(world.entries(["c"]), {"name": "prod"}, False)
    world.run("abc", size=size(5))
    assert world.locked() == ["a", "b", "c"]  # owners may have something in other groups


def test_present_in_group_diff_names_origin_of_values(world: World) -> None:
    world.change(values={"g": {"x": 1}}, kubernetes_version="v1.35.0")
    outcome, _decision = world.run(check=True, request={"values": {"r": {"password": "hunter2"}}})
    (entry,) = [entry for entry in outcome.plan.diff if entry["before_header"] == f"values of {NAME}"]
    lines = {line.strip() for line in entry["after"].splitlines()}
    assert {"x: 1  # group", "password: VALUE_HIDDEN  # request", "memory: 2Gi  # built-in"} <= lines
    assert "version: v1.35.0  # group" in lines
    assert "hunter2" not in str(outcome.plan.diff)


def test_present_in_group_uses_versions_of_group(world: World) -> None:
    world.change(vcluster_version="0.35.0", kubernetes_version="v1.35.0")
    outcome, _decision = world.run()
    assert outcome.state.release is not None
    assert outcome.state.release.chart_version == "0.35.0"
    assert tree.get(world.values(outcome), kubernetes_version_at("k8s")) == "v1.35.0"


def test_present_in_group_version_other_than_locked_is_refused(world: World) -> None:
    world.change(vcluster_version="0.36.1")
    error = world.refused(request={"vcluster_version": "0.35.0"})
    assert error.data == {"option": "vcluster_version", "value": "0.35.0", "allowed": "0.36.1"}
    assert world.run(request={"vcluster_version": "v0.36.1"})[0].plan.changed


def test_present_in_group_version_ahead_is_allowed_with_option(world: World) -> None:
    world.change(vcluster_version="0.35.0")
    world.run()
    asked = {"vcluster_version": "0.36.1"}
    assert world.refused(request=asked).data["option"] == "vcluster_version"
    outcome, _decision = world.checked(request=asked, ahead=True)
    assert f"upgrade release {NAME} from vCluster 0.35.0 to 0.36.1" in outcome.plan.steps


def test_present_in_group_own_kubernetes_version_stays(world: World) -> None:
    world.change(kubernetes_version="v1.34.0")
    outcome, _decision = world.checked(request={"kubernetes_version": "v1.35.0"})
    assert tree.get(world.values(outcome), kubernetes_version_at("k8s")) == "v1.35.0"
    world.checked()  # and it stays its own
    world.change(kubernetes_version="v1.36.0")
    assert world.run(check=True)[0].plan.steps == [f"set annotations of namespace {NAMESPACE}: nested-clusters/applied"]


def test_present_in_group_size_below_control_plane_is_refused(world: World) -> None:
    asked_for = tree.at(("controlPlane", "statefulSet", "resources", "limits", "memory"), "4Gi")
    error = world.refused(request={"values": asked_for})
    assert (error.data["option"], error.data["value"]) == ("size.memory", "4Gi")


def test_present_in_group_chart_with_limit_range_has_none_of_ours(world: World) -> None:
    world.run(request={"values": {"policies": {"limitRange": {"enabled": True}}}})
    host = next(host for host in world.hosts.values() if QUOTA in host)
    assert LIMITS not in host


def test_present_in_group_existing_namespace_joins(world: World) -> None:
    world.hosts["a"].have("Namespace", NAMESPACE, labels={"team": "x"}, annotations={"team": "x"})
    _outcome, decision = world.checked(host_cluster="a", owner="alice")
    assert decision.member.name == "a"
    metadata = world.hosts["a"].at(NAMESPACE_PATH)["metadata"]
    assert (metadata["labels"]["team"], metadata["annotations"]["team"]) == ("x", "x")
    assert world.allocation("a") is not None


def test_present_in_group_namespace_being_deleted_is_made_again(world: World, clock: Clock) -> None:
    """What is in it goes with it, and is made anew."""
    host = world.hosts["a"]
    host.have("Namespace", NAMESPACE, deletionTimestamp="2026-01-01T00:00:00Z")
    of = membership.Membership("dev", "", size(4, "4Gi", "2Gi"), {}, {"values": {}, "kubernetes_version": None})
    for thing in of.objects(NAME, NAMESPACE):
        host.add(thing)
    clock.after(20, lambda: vanish_namespace(host, NAMESPACE))
    outcome, _decision = world.run(host_cluster="a")
    assert f"create ResourceQuota nested-clusters-{NAME}" in outcome.plan.steps
    assert {SECRET, QUOTA, LIMITS, NAMESPACE_PATH} <= set(host.paths())
    assert clock.now >= 1020


def going(world: World, clock: Clock) -> None:
    """Have the namespace of a virtual cluster that runs go, for 20 seconds."""
    host = world.hosts["a"]
    mark_deleted(host, NAMESPACE_PATH)
    clock.after(20, lambda: vanish_namespace(host, NAMESPACE))


def test_present_in_group_terminating_cluster_reserves_again(world: World, clock: Clock) -> None:
    """Between the end of its namespace and the new one somebody else could take it."""
    world.run(host_cluster="a", owner="alice", size=size(8), request={"values": {"own": 1}})
    going(world, clock)
    world.forget()
    foreseen, _decision = world.run(check=True, owner="bob")
    outcome, decision = world.run(owner="bob")
    assert foreseen.plan.steps == outcome.plan.steps
    assert clock.now >= 1020
    assert outcome.plan.steps[0] == f"create namespace {NAMESPACE}"
    assert world.locked() == ["a", "b"]
    assert decision.member.name == "a"
    share = world.allocation("a")
    assert share is not None
    assert (share.deleting, share.owner, share.size) == (False, "bob", size(4, "4Gi", "2Gi"))
    assert world.request("a")["values"] == {}, "what the old one had is gone"


def test_present_in_group_namespace_deleted_meanwhile_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run(host_cluster="a")
    host, look = world.hosts["a"], group_view.picture

    def meanwhile(*given: Any) -> GroupView:
        seen = look(*given)
        mark_deleted(host, NAMESPACE_PATH)
        return seen

    monkeypatch.setattr(group_view, "picture", meanwhile)
    with pytest.raises(NestedClustersError, match="was deleted while the task ran; run the task again to create it"):
        world.run()


def test_present_in_group_terminating_cluster_moves_if_room_is_taken(world: World, clock: Clock) -> None:
    world.run(host_cluster="a", owner="alice")
    going(world, clock)
    clock.after(20, lambda: world.reserve("a", "faster", cpu=18))
    _outcome, decision = world.run()
    assert decision.member.name == "b"
    assert world.allocation("a") is None


def test_present_in_group_refusal_writes_nothing(world: World) -> None:
    world.change(owner_quota={"cpu": "1"})
    assert world.refused(owner="alice").data["check"] == "owner_quota"
    assert world.refused().data["option"] == "owner"
    world.change(owner_quota={}, size={"maximum": LARGEST})
    assert world.refused(size=size(9)).data["check"] == "maximum"
    for host in "ab":
        world.reserve(host, "other", cpu=18)
    assert world.refused().data["check"] == "capacity"
    assert world.locked() == []


def test_present_in_group_uses_chart_of_task(world: World) -> None:
    outcome, _decision = world.run(request={"chart": Chart("vcluster", "https://other.example.com", None)})
    assert WORKLOAD in {at for host in world.hosts.values() for at in host.paths()}
    assert outcome.plan.changed
