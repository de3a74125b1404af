# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of grouped: where a virtual cluster goes, what keeps it from going there, and who was faster."""

from __future__ import annotations

import copy
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from announcements import announced, without_repetitions
from ansible_collections.nested.clusters.plugins.module_utils.admission import decide as decision_rules
from ansible_collections.nested.clusters.plugins.module_utils.admission import present as admission
from ansible_collections.nested.clusters.plugins.module_utils.admission import reserve as reservation
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.deletion import single as deletion
from ansible_collections.nested.clusters.plugins.module_utils.groups import (
    group_change,
    group_lock,
    group_pending,
    group_records,
    group_view,
)
from ansible_collections.nested.clusters.plugins.module_utils.groups.group_view import GroupView
from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import HelmError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import ONLY, SYSTEM, HostCluster
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import present as lifecycle
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import Request, RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.scheduling import capacities
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import AdmissionDenied
from ansible_collections.nested.clusters.plugins.module_utils.values import backing_store, support_matrix, tree
from ansible_collections.nested.clusters.plugins.module_utils.values.control_plane import (
    ControlPlane,
    kubernetes_version_at,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import (
    Change,
    ChangeKind,
    ChangeTarget,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.plan import Plan
from clock import Clock
from fake_api import FakeCluster
from fake_helm import CHART, NAMESPACE_PATH, WORKLOAD, FakeHelm, mark_deleted, vanish_namespace
from group_site import RECORD
from group_world import (
    DEFAULT,
    LIMITS,
    NODE,
    QUOTA,
    SECRET,
    World,
    admission_request,
    have_control_plane,
    made_before,
    run_world_clock,
    size,
)
from helm_releases import NAME, NAMESPACE
from leases import LEASE, have_lease
from meanwhile import before_each, forbid, once_before, pass_all

Object = dict[str, Any]

@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    yield from run_world_clock(monkeypatch)


@pytest.fixture
def world() -> World:
    return World()


# --- reading ----------------------------------------------------------------------------------------------


def test_a_look_is_two_lists(world: World) -> None:
    world.reserve("a", "team-a")
    world.reserve("a", "team-b")
    view = group_view.look(world.host_clusters("a")[0])
    assert len(world.hosts["a"].requests) == 2
    assert (list(view.groups), dict(view.names)) == (["dev"], {"dev": "a"})
    assert [item.name for item in view.allocations] == ["team-a", "team-b"]


def test_what_all_host_clusters_say(world: World) -> None:
    group_change.present(world.entries(["c"]), {"name": "gift", "owner_quota": {"exempt": True}}, False)
    world.reserve("b", "team-b")
    world.reserve("c", "team-c", group="gift")
    seen = world.view("abc")
    assert list(seen.views) == ["a", "b"]
    assert [view.host.name for view in seen.others] == ["c"]
    assert [(item.name, item.host_cluster) for item in seen.allocations] == [("team-b", "b"), ("team-c", "c")]
    assert (set(seen.known), seen.exempt, seen.failed) == ({"dev", "gift"}, {"gift"}, {})


def test_what_an_owner_quota_cannot_count_is_said(world: World) -> None:
    group_change.present(world.entries(["a", "b"]), {"name": "dev", "owner_quota": {"virtual_clusters": 4}}, False)
    assert world.view("abc").uncounted() == []
    world.hosts["c"].down = True  # no member, but an owner may have something there
    (said,) = world.view("abc").uncounted()
    assert said.startswith("host cluster c does not answer, so the owner quota does not count what is there")


def test_the_one_host_cluster_of_the_connection_options_may_have_a_name(world: World) -> None:
    world.reserve("a", "team-a")
    only = HostCluster(ONLY, world.clients["a"])
    seen = group_view.picture([only], "dev")
    assert [(item.name, item.host_cluster) for item in seen.allocations] == [("team-a", "a")]
    wanted = Request(NAME, NAMESPACE, CHART)
    assert decision_rules.decide(seen, wanted, admission_request()).member.name == "a"


def test_a_group_that_does_not_exist(world: World) -> None:
    group_change.present(world.entries(["a"]), {"name": "prod"}, False)
    with pytest.raises(OptionError) as caught:
        group_view.picture(world.host_clusters(), "dve")
    assert caught.value.data == {"option": "group", "value": "dve", "allowed": "dev, prod"}
    with pytest.raises(OptionError, match="none: no group is defined"):
        group_view.picture(world.host_clusters("c"), "dev")


def test_a_group_that_may_be_on_one_that_does_not_answer(world: World) -> None:
    world.hosts["b"].down = True
    with pytest.raises(NestedClustersError, match="b: host cluster https://b does not answer") as caught:
        group_view.picture(world.host_clusters("bc"), "dev")
    assert caught.value.data == {"failed_host_clusters": ["b"]}


def test_records_that_differ(world: World) -> None:
    world.hosts["b"].down = True
    with pytest.raises(NestedClustersError):
        world.change(description="other")
    world.hosts["b"].down = False
    error = world.refusal()
    assert "the records of group dev differ between host clusters a, b" in str(error)
    assert "run its vcluster_group task again" in str(error)
    # The count of changes alone is no difference.
    stored = group_records.load(world.hosts["a"].at(RECORD))
    data = group_records.config_map(replace(stored, generation=9), "b")["data"]
    world.hosts["b"].change(RECORD, {"data": data})
    assert world.view().group == stored


def test_host_clusters_by_other_names(world: World) -> None:
    for given, words in (
        ([HostCluster("b", world.clients["a"])], "this host cluster is member a of group dev"),
        ([*world.host_clusters("a"), HostCluster(ONLY, world.clients["a"])], "both are the same host cluster"),
    ):
        with pytest.raises(OptionError, match=words) as caught:
            group_view.picture(given, "dev")
        assert str(caught.value.data["option"]).startswith("host_clusters")


def test_a_member_that_is_given_twice_is_known_by_its_record(world: World) -> None:
    """Also by somebody who may not read kube-system, by which host clusters are told apart otherwise."""
    forbid(world.hosts["a"], "get", SYSTEM.rpartition("/")[2])
    with pytest.raises(OptionError, match="'a' is not usable: it is given twice"):
        group_view.picture([*world.host_clusters("a"), HostCluster(ONLY, world.clients["a"])], "dev")


def test_a_broken_share_is_named(world: World) -> None:
    """Counting it as nothing would give away twice what it has."""
    world.reserve("a", "team-a")
    broken = {"metadata": {"annotations": {well_known.SIZE_ANNOTATION: "{}"}}}
    world.hosts["a"].change(path("v1", "namespaces", None, "vcluster-team-a"), broken)
    error = world.refusal()
    assert "namespace vcluster-team-a on host cluster a" in str(error)


def test_two_of_one_name(world: World) -> None:
    world.reserve("a", NAME)
    world.reserve("b", NAME, namespace="other")
    error = world.refusal()
    assert f"group dev has two virtual clusters {NAME}: on a (namespace {NAMESPACE}), b (namespace other)" in str(error)


def test_one_on_a_host_cluster_without_a_record(world: World) -> None:
    world.reserve("c", NAME)
    for call in (lambda: world.decide("abc"), lambda: group_view.find(world.host_clusters("abc"), NAME, "dev")):
        with pytest.raises(NestedClustersError, match="lives on host cluster c, which has no record of group dev"):
            call()


# --- what is checked, and in which order ------------------------------------------------------------------

QUOTA_OF = {"virtual_clusters": 3, "cpu": "20", "memory": "40Gi", "storage": "50Gi"}
LARGEST = {"cpu": "8", "memory": "16Gi", "storage": "40Gi"}


def test_everything_is_wrong_and_is_said_in_order(world: World) -> None:
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


def test_the_figures_of_a_quota(world: World) -> None:
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


def test_a_quota_counts_everywhere_but_in_gifts(world: World) -> None:
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


def test_who_it_is_for_must_be_known_where_it_counts(world: World) -> None:
    world.change(owner_quota=QUOTA_OF)
    for owner in (None, ""):
        error = world.refusal(owner=owner)
        assert (error.data["option"], "group dev has a quota" in str(error)) == ("owner", True)
    world.change(owner_quota={})
    assert world.decide().owner == ""


def test_the_figures_of_the_largest_and_the_least(world: World) -> None:
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
def test_nothing_is_no_size(resource: str, world: World) -> None:
    world.change(size={"minimum": {"cpu": "0", "memory": "0", "storage": "0"}})
    error = world.refusal(size=size(**{resource: "0"}))
    assert (error.data["option"], error.data["value"], error.data["allowed"]) == (
        f"size.{resource}",
        "0",
        "more than 0",
    )
    assert world.decide(size=size(storage="0")).size.storage == 0


def test_the_figures_of_room(world: World) -> None:
    world.reserve("a", "one", cpu=18)
    world.reserve("b", "two", memory="36Gi")
    error = world.refusal(size=size(4, "4Gi"))
    assert error.data["asked"] == DEFAULT
    considered = {item["name"]: item for item in error.data["placement"]["considered"]}
    assert considered["a"]["reason"] == "1200m of 19200m cpu left"
    assert considered["b"]["reason"] == "2.3Gi of 38.3Gi memory left"
    for word in ("a: 1200m of 19200m cpu left", "b: 2.3Gi of 38.3Gi memory left", "4 cpu, 4Gi memory, 2Gi storage"):
        assert word in str(error)


def test_oversubscription_makes_room(world: World) -> None:
    world.reserve("a", "one", cpu=18)
    world.reserve("b", "two", cpu=18)
    assert world.refusal().data["check"] == "capacity"
    world.change(oversubscription=140)
    assert world.decide().member.name == "a"


def test_of_other_groups_counts_as_room_too(world: World) -> None:
    world.reserve("a", "one", group="prod", cpu=18)
    assert world.decide().member.name == "b"


def test_declared_capacity_and_nodes(world: World) -> None:
    world.present({"a": {"capacity": {"cpu": "3"}}, "b": {"node_selector": {"pool": "x"}}})
    considered = {item["name"]: item for item in world.refusal().data["placement"]["considered"]}
    assert considered["a"]["reason"] == "3600m of 3600m cpu left"
    assert considered["b"]["reason"] == "no node matches pool=x"


@pytest.mark.parametrize(("strategy", "chosen"), [("spread", "b"), ("pack", "a")])
def test_the_strategy_of_the_group(strategy: str, chosen: str, world: World) -> None:
    world.change(placement=strategy)
    world.reserve("a", "one")
    decision = world.decide()
    assert decision.member.name == chosen
    shown = decision.placement_dict()
    assert (shown["host"], shown["strategy"]) == (chosen, strategy)
    assert [item["name"] for item in shown["considered"]] == ["a", "b"]


# --- where it is to be ------------------------------------------------------------------------------------


def test_a_host_cluster_that_was_asked_for(world: World) -> None:
    world.reserve("b", "one", cpu=15)
    assert world.decide(host_cluster="b").member.name == "b"
    error = world.refusal(host_cluster="b", size=size(5))
    assert "host cluster b has no room" in str(error)
    error = world.refusal(host_cluster="c")
    assert error.data == {"option": "host_cluster", "value": "c", "allowed": "a, b"}


def test_a_member_that_is_not_given(world: World) -> None:
    decision = world.decide("a")
    assert decision.member.name == "a"
    considered = {item["name"]: item["reason"] for item in decision.placement_dict()["considered"]}
    assert considered["b"] == "is not among the task's host clusters"
    assert "is not among the task's host clusters" in str(world.refusal("a", host_cluster="b"))


def test_a_member_that_does_not_answer(world: World) -> None:
    world.hosts["b"].down = True
    error = world.refusal()
    assert "may be on b (b: host cluster https://b does not answer" in str(error)
    assert "host_cluster" in str(error)
    assert error.data == {"failed_host_clusters": ["b"]}
    assert world.decide(host_cluster="a").member.name == "a"
    assert "cannot be asked: host cluster https://b" in str(world.refusal(host_cluster="b"))


def test_a_host_cluster_of_other_groups_that_does_not_answer(world: World) -> None:
    world.hosts["c"].down = True
    assert world.decide("abc").member.name == "a"


def test_a_member_that_does_not_answer_matters_to_new_ones_only(world: World) -> None:
    world.reserve("a", NAME, owner="alice")
    world.hosts["b"].down = True
    assert world.decide().placement is None
    assert world.decide(size=size(5)).size.cpu == 5


def test_one_that_cannot_say_what_it_has(world: World) -> None:
    world.hosts["a"].deny("list", "nodes")
    decision = world.decide()
    assert decision.member.name == "b"
    assert "cannot be asked: no permission" in decision.placement_dict()["considered"][0]["reason"]


def test_it_does_not_move(world: World) -> None:
    world.reserve("a", NAME)
    assert world.decide(host_cluster="a").member.name == "a"
    error = world.refusal(host_cluster="b")
    assert (error.data["option"], error.data["allowed"]) == ("host_cluster", "a")
    assert "does not move to another host cluster" in str(error)


def test_it_does_not_change_its_group(world: World) -> None:
    world.reserve("a", "unrelated", group="prod", namespace=NAMESPACE)  # there is one a namespace on each host cluster
    world.reserve("b", NAME, group="prod")
    error = world.refusal()
    assert (error.data["option"], error.data["value"], error.data["allowed"]) == ("group", "dev", "prod")
    assert f"virtual cluster {NAME} is in group prod" in str(error)


def test_its_namespace_is_its_own(world: World) -> None:
    """Also where only volumes are left in it: else they would not be counted any more."""
    shares: list[Object] = [{}, {"cpu": 0, "memory": 0}]
    for amounts in shares:
        world.reserve("a", "other", namespace=NAMESPACE, **amounts)
        error = world.refusal(host_cluster="a")
        assert (error.data["option"], error.data["value"]) == ("namespace", NAMESPACE)
        assert "virtual cluster other of group dev has it on host cluster a" in str(error)
    assert world.decide(host_cluster="b").member.name == "b"


def test_one_that_is_there_keeps_its_namespace(world: World) -> None:
    world.reserve("b", NAME, namespace="elsewhere")
    assert world.decide().namespace == "elsewhere"
    assert world.decide(size=size(5)).namespace == "elsewhere"


# --- while the group waits for an upgrade -----------------------------------------------------------------


def test_a_group_that_waits_for_an_upgrade_takes_no_new_ones(world: World) -> None:
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


def test_volumes_alone_are_no_virtual_cluster_of_an_old_version(world: World) -> None:
    world.change(vcluster_version="0.36.1")
    world.reserve("a", NAME, cpu=0, memory=0)
    assert world.decide().member.name == "a"
    world.reserve("b", "behind", applied={})
    assert world.refusal().data == {"pending_upgrade": ["behind"]}


# --- kept volumes -----------------------------------------------------------------------------------------


def test_one_whose_volumes_were_kept_comes_back_to_them(world: World) -> None:
    world.reserve("b", "other", cpu=10)
    world.reserve("b", NAME, cpu=0, memory=0, storage="30Gi", owner="alice", namespace="own")
    decision = world.decide()
    assert (decision.member.name, decision.namespace, decision.owner) == ("b", "own", "alice")
    assert decision.size.as_dict() == {**DEFAULT, "storage": "30Gi"}
    error = world.refusal(size=size(5, "5Gi", "10Gi"))
    assert "size.storage: '10Gi' is not usable: the kept volumes of virtual cluster" in str(error)
    assert "allowed: 30Gi or more, or force: true" in str(error)
    assert world.decide(size=size(5, "5Gi", "10Gi"), force=True).size.as_dict()["storage"] == "10Gi"
    assert world.decide(size=size(5, "5Gi", "30Gi")).size.as_dict() == {"cpu": "5", "memory": "5Gi", "storage": "30Gi"}
    world.reserve("b", "other", cpu=18)
    assert "to go from 0 cpu, 0 memory, 30Gi storage" in str(world.refusal())


def test_kept_volumes_count_as_storage_only(world: World) -> None:
    world.change(owner_quota={"virtual_clusters": 1, "storage": "31Gi"})
    world.reserve("a", "kept", cpu=0, memory=0, storage="30Gi", owner="alice")
    error = world.refusal(owner="alice")
    assert (error.data["resource"], error.data["in_use"]) == ("storage", "30Gi")
    world.change(owner_quota={"virtual_clusters": 1, "storage": "32Gi"})
    assert world.decide(owner="alice").owner == "alice"


# --- resize -----------------------------------------------------------------------------------------------


def use(world: World, host: str = "a", **used: str) -> None:
    world.hosts[host].have("ResourceQuota", f"nested-clusters-{NAME}", namespace=NAMESPACE, status={"used": used})


def test_nothing_is_decided_where_nothing_changes(world: World) -> None:
    world.reserve("a", NAME, owner="alice", cpu=99)  # outside of all bounds by now
    world.change(size={"maximum": LARGEST}, owner_quota={"cpu": "1"})
    for options in ({}, {"owner": "alice"}, {"size": size(99)}, {"owner": "alice", "size": size(99, "4Gi", "2Gi")}):
        decision = world.decide(**options)
        assert (decision.placement, decision.takes_more) == (None, False)
        assert decision.placement_dict() == {"host": "a", "strategy": None, "considered": []}


def test_a_part_of_a_size(world: World) -> None:
    world.reserve("a", NAME, cpu=5, memory="6Gi", storage="7Gi")
    assert str(world.decide(size=size(storage="8Gi")).size) == "5 cpu, 6Gi memory, 8Gi storage"
    assert str(world.decide("ab", {"name": "new", "namespace": "new"}, size=size(5)).size) == (
        "5 cpu, 4Gi memory, 2Gi storage"
    )


def test_growing_needs_room_for_the_difference(world: World) -> None:
    world.reserve("a", NAME, cpu=15)
    world.reserve("a", "other", cpu=4)
    assert world.decide(size=size("15200m")).takes_more
    error = world.refusal(size=size("15201m"))
    assert error.data["check"] == "capacity"
    assert "200m of 19200m cpu left" in str(error)
    assert "to go from 15 cpu, 4Gi memory, 2Gi storage to 15201m cpu" in str(error)


def test_growing_counts_for_the_owner(world: World) -> None:
    world.change(owner_quota={"cpu": "12"})
    world.reserve("a", NAME, owner="alice", cpu=6)
    world.reserve("b", "other", owner="alice", cpu=6)
    error = world.refusal(size=size(7))
    assert (error.data["check"], error.data["asked"], error.data["in_use"]) == ("owner_quota", "7", "6")
    assert world.decide(size=size(5)).size.cpu == 5


def test_what_does_not_change_is_not_checked_again(world: World) -> None:
    world.reserve("a", NAME, cpu=9, memory="5Gi")
    world.change(size={"maximum": LARGEST, "minimum": {"storage": "3Gi"}, "default": {"storage": "3Gi"}})
    assert world.decide(size=size(memory="6Gi")).size.cpu == 9
    assert world.refusal(size=size(10)).data["check"] == "maximum"
    assert world.refusal(size=size(memory="3Gi")).data["check"] == "minimum"


def test_shrinking_needs_no_room(world: World) -> None:
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
def test_what_is_in_use_is_not_taken_away(used: dict[str, str], resource: str, amount: str, world: World) -> None:
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


def test_more_than_everything_is_in_use(world: World) -> None:
    """Of one that was shrunk by force; what grows again, or stays, is not refused for it."""
    world.reserve("a", NAME, cpu=4, memory="8Gi")
    use(world, **{"limits.cpu": "8", "limits.memory": "1Gi"})
    assert world.decide(size=size(5)).size.cpu == 5
    assert world.decide(size=size(5, "4Gi")).size.cpu == 5
    assert world.decide(size=size(memory="4Gi")).size.cpu == 4


def test_less_than_everything_is_in_use(world: World) -> None:
    world.reserve("a", NAME, cpu=8)
    assert world.decide(size=size(4)).size.cpu == 4  # nothing counts it yet
    use(world, **{"limits.cpu": "4", "requests.cpu": "100m"})
    assert world.decide(size=size(4)).size.cpu == 4
    assert world.decide(size=size(9)).size.cpu == 9


def test_another_owner(world: World) -> None:
    world.change(owner_quota={"virtual_clusters": 1})
    world.reserve("a", NAME, owner="alice")
    assert world.decide(owner="bob").owner == "bob"
    world.reserve("b", "hers", owner="bob")
    error = world.refusal(owner="bob")
    assert (error.data["check"], error.data["by"]) == ("owner_quota", ["hers"])


# --- those made without a group ---------------------------------------------------------------------------


def test_one_made_without_a_group_stays_where_it_is(world: World) -> None:
    world.reserve("b", "other", cpu=10)
    made_before(world, "b")
    assert world.decide().member.name == "b"
    error = world.refusal(host_cluster="a")
    assert (error.data["option"], error.data["allowed"]) == ("host_cluster", "b")
    assert "made without a group" in str(error)
    world.reserve("b", "other", cpu=18)
    assert world.refusal().data["check"] == "capacity"


def test_two_made_without_a_group(world: World) -> None:
    for host in "ab":
        made_before(world, host)
    error = world.refusal()
    assert (error.data["option"], error.data["value"], error.data["allowed"]) == ("host_cluster", None, "a, b")
    assert world.decide(host_cluster="b").member.name == "b"


# --- doing: a new one -------------------------------------------------------------------------------------


def test_a_new_one(world: World) -> None:
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


def test_whoever_takes_something_holds_all_locks(world: World) -> None:
    world.run("abc")
    assert world.locked() == ["a", "b"]
    world.forget()
    group_change.present(world.entries(["c"]), {"name": "prod"}, False)
    world.run("abc", size=size(5))
    assert world.locked() == ["a", "b", "c"]  # owners may have something in other groups


def test_the_order_of_locks_is_that_of_the_host_clusters_themselves(world: World) -> None:
    ids = [id_ for id_, _kubernetes in group_view.lock_order(world.view("ba"))]
    assert sorted(ids) == ["uid of https://a", "uid of https://b"]


def test_the_diff_says_where_values_come_from(world: World) -> None:
    world.change(values={"g": {"x": 1}}, kubernetes_version="v1.35.0")
    outcome, _decision = world.run(check=True, request={"values": {"r": {"password": "hunter2"}}})
    (entry,) = [entry for entry in outcome.plan.diff if entry["before_header"] == f"values of {NAME}"]
    lines = {line.strip() for line in entry["after"].splitlines()}
    assert {"x: 1  # group", "password: VALUE_HIDDEN  # request", "memory: 2Gi  # built-in"} <= lines
    assert "version: v1.35.0  # group" in lines
    assert "hunter2" not in str(outcome.plan.diff)


def test_the_versions_of_the_group(world: World) -> None:
    world.change(vcluster_version="0.35.0", kubernetes_version="v1.35.0")
    outcome, _decision = world.run()
    assert outcome.state.release is not None
    assert outcome.state.release.chart_version == "0.35.0"
    assert tree.get(world.values(outcome), kubernetes_version_at("k8s")) == "v1.35.0"


def test_a_version_beside_the_lock(world: World) -> None:
    world.change(vcluster_version="0.36.1")
    error = world.refused(request={"vcluster_version": "0.35.0"})
    assert error.data == {"option": "vcluster_version", "value": "0.35.0", "allowed": "0.36.1"}
    assert world.run(request={"vcluster_version": "v0.36.1"})[0].plan.changed


def test_a_version_ahead_of_the_lock(world: World) -> None:
    world.change(vcluster_version="0.35.0")
    world.run()
    asked = {"vcluster_version": "0.36.1"}
    assert world.refused(request=asked).data["option"] == "vcluster_version"
    outcome, _decision = world.checked(request=asked, ahead=True)
    assert f"upgrade release {NAME} from vCluster 0.35.0 to 0.36.1" in outcome.plan.steps


def test_its_own_version_of_kubernetes(world: World) -> None:
    world.change(kubernetes_version="v1.34.0")
    outcome, _decision = world.checked(request={"kubernetes_version": "v1.35.0"})
    assert tree.get(world.values(outcome), kubernetes_version_at("k8s")) == "v1.35.0"
    world.checked()  # and it stays its own
    world.change(kubernetes_version="v1.36.0")
    assert world.run(check=True)[0].plan.steps == [f"set annotations of namespace {NAMESPACE}: nested-clusters/applied"]


def test_a_size_without_room_for_the_control_plane(world: World) -> None:
    asked_for = tree.at(("controlPlane", "statefulSet", "resources", "limits", "memory"), "4Gi")
    error = world.refused(request={"values": asked_for})
    assert (error.data["option"], error.data["value"]) == ("size.memory", "4Gi")


def test_the_chart_may_limit_containers_itself(world: World) -> None:
    world.run(request={"values": {"policies": {"limitRange": {"enabled": True}}}})
    host = next(host for host in world.hosts.values() if QUOTA in host)
    assert LIMITS not in host


def test_a_namespace_that_is_there_joins(world: World) -> None:
    world.hosts["a"].have("Namespace", NAMESPACE, labels={"team": "x"}, annotations={"team": "x"})
    _outcome, decision = world.checked(host_cluster="a", owner="alice")
    assert decision.member.name == "a"
    metadata = world.hosts["a"].at(NAMESPACE_PATH)["metadata"]
    assert (metadata["labels"]["team"], metadata["annotations"]["team"]) == ("x", "x")
    assert world.allocation("a") is not None


def test_a_namespace_that_is_being_deleted(world: World, clock: Clock) -> None:
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


def test_one_whose_namespace_goes_takes_its_room_again_under_the_lock(world: World, clock: Clock) -> None:
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


def test_a_namespace_that_is_deleted_while_it_is_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run(host_cluster="a")
    host, look = world.hosts["a"], group_view.picture

    def meanwhile(*given: Any) -> GroupView:
        seen = look(*given)
        mark_deleted(host, NAMESPACE_PATH)
        return seen

    monkeypatch.setattr(group_view, "picture", meanwhile)
    with pytest.raises(NestedClustersError, match="run again, which makes it anew"):
        world.run()


def test_one_whose_namespace_goes_finds_its_room_taken(world: World, clock: Clock) -> None:
    world.run(host_cluster="a", owner="alice")
    going(world, clock)
    clock.after(20, lambda: world.reserve("a", "faster", cpu=18))
    _outcome, decision = world.run()
    assert decision.member.name == "b"
    assert world.allocation("a") is None


# --- doing: changes ---------------------------------------------------------------------------------------


@pytest.fixture
def running(world: World) -> World:
    """A world with a virtual cluster on host cluster a."""
    world.run(host_cluster="a", owner="alice", request={"values": {"own": 1}})
    world.forget()
    return world


def test_an_unchanged_one_holds_no_lock_and_starts_no_helm(running: World) -> None:
    running.helm["a"].runs = []
    outcome, _decision = running.checked()
    assert (outcome.plan.steps, running.locked(), running.helm["a"].runs) == ([], [], [])


@pytest.mark.parametrize(
    ("amounts", "steps"),
    [
        (size(6, "8Gi"), [f"change ResourceQuota nested-clusters-{NAME}"]),
        (size(storage="9Gi"), [f"change ResourceQuota nested-clusters-{NAME}"]),
    ],
)
def test_a_resize_restarts_nothing(amounts: Size, steps: list[str], running: World) -> None:
    running.helm["a"].runs = []
    outcome, _decision = running.checked(size=amounts)
    assert outcome.plan.steps == [*steps, f"set annotations of namespace {NAMESPACE}: nested-clusters/size"]
    assert running.helm["a"].runs == []
    found = running.allocation("a")
    assert found is not None
    assert found.size == amounts.filled(size(4, "4Gi", "2Gi"))
    assert running.hosts["a"].at(QUOTA)["spec"]["hard"] == membership.hard(found.size)


@pytest.mark.parametrize(("before", "after"), [("4", "6"), ("6", "4")])
def test_a_resize_that_fails_half_way_has_the_larger_share(before: str, after: str, running: World) -> None:
    """Nobody is given what it may still be using."""
    running.run(size=size(before))
    forbid(running.hosts["a"], "patch", f"nested-clusters-{NAME}")
    with pytest.raises(KubernetesError, match="no permission"):
        running.run(size=size(after))
    found = running.allocation("a")
    assert found is not None
    assert found.size.cpu == 6
    pass_all(running.hosts["a"])
    running.checked(size=size(after))
    found = running.allocation("a")
    assert found is not None
    assert found.size.as_dict()["cpu"] == after


def test_another_owner_is_written(running: World) -> None:
    outcome, _decision = running.checked(owner="bob")
    assert outcome.plan.steps == [f"set annotations of namespace {NAMESPACE}: nested-clusters/owner"]
    found = running.allocation("a")
    assert found is not None
    assert found.owner == "bob"


def test_what_its_group_changed_reaches_it_with_the_next_task(running: World) -> None:
    running.change(values={"of_group": 2})
    group = running.view().group
    found = running.allocation("a")
    assert found is not None
    assert group_pending.pending(group, group.members[0], found.applied) == ["values: changed in the group"]
    outcome, _decision = running.run(check=True)
    assert f"change values of release {NAME}" in outcome.plan.steps
    outcome, _decision = running.run()
    assert running.locked() == []  # it takes no more than it has
    running.checked()
    merged = running.values(outcome)
    assert (merged["own"], merged["of_group"]) == (1, 2)
    found = running.allocation("a")
    assert found is not None
    assert group_pending.pending(group, group.members[0], found.applied) == []


def test_its_values_are_those_of_the_last_task_that_named_some(running: World) -> None:
    outcome, _decision = running.checked(request={"values": {"other": 2}})
    assert "own" not in running.values(outcome)
    assert running.request("a")["values"] == {"other": 2}
    outcome, _decision = running.checked(request={"values": {}})
    assert "other" not in running.values(outcome)


def test_what_somebody_changed_is_repaired(running: World) -> None:
    host = running.hosts["a"]
    host.change(QUOTA, {"spec": {"hard": {"limits.cpu": "64"}}})
    host.vanish(LIMITS)
    host.change(NAMESPACE_PATH, {"metadata": {"annotations": {well_known.APPLIED_ANNOTATION: "broken"}}})
    outcome, _decision = running.checked()
    assert outcome.plan.steps == [
        f"change ResourceQuota nested-clusters-{NAME}",
        f"create LimitRange nested-clusters-{NAME}",
        f"set annotations of namespace {NAMESPACE}: nested-clusters/applied",
    ]


def test_a_request_that_somebody_broke(running: World) -> None:
    running.hosts["a"].change(SECRET, {"data": {"request": "x"}})
    error = running.refused()
    assert f"Secret {NAMESPACE}/nested-clusters-{NAME} does not hold the request" in str(error)


def test_a_task_without_the_group_is_refused(running: World) -> None:
    request = Request(NAME, NAMESPACE, CHART)
    with pytest.raises(OptionError) as caught:
        lifecycle.present(running.clients["a"], running.helm["a"].open, request, RunOptions(wait=60))  # type: ignore[arg-type]
    assert (caught.value.data["option"], caught.value.data["allowed"]) == ("group", "dev")


# --- doing: joining ---------------------------------------------------------------------------------------


def test_one_made_without_a_group_joins_with_its_values(world: World) -> None:
    made_before(world, "b", {"own": 1})
    outcome, decision = world.checked(owner="alice", size=size(storage="6Gi"))
    assert decision.member.name == "b"
    assert world.values(outcome)["own"] == 1
    assert world.request("b")["values"]["own"] == 1
    found = world.allocation("b")
    assert found is not None
    assert (found.owner, found.size.as_dict()) == ("alice", {**DEFAULT, "storage": "6Gi"})


def test_the_volume_of_one_that_joins_is_not_made_smaller(world: World) -> None:
    """It cannot be. So its size must have room for it."""
    made_before(world, "b")
    error = world.refused()
    assert (error.data["option"], error.data["value"]) == ("size.storage", "2Gi")
    assert "the control plane alone claims 5Gi" in str(error)


def test_one_that_was_interrupted_while_it_joined_keeps_its_values(world: World) -> None:
    made_before(world, "b", {"own": 1})
    host = world.hosts["b"]
    host.deny("create", "secrets")
    with pytest.raises(KubernetesError):
        world.run(size=size(storage="6Gi"))
    assert world.allocation("b") is not None  # it has its place
    assert SECRET not in host
    host.permit()
    outcome, _decision = world.run(size=size(storage="6Gi"))
    assert world.values(outcome)["own"] == 1


def test_one_whose_request_was_deleted_is_not_frozen_with_its_groups_values(running: World) -> None:
    running.change(values={"of_group": 2})
    running.run()
    running.hosts["a"].vanish(SECRET)
    outcome, _decision = running.run()
    assert running.request("a") == {"values": {}, "kubernetes_version": None}
    running.change(values={})
    outcome, _decision = running.run()
    assert "of_group" not in running.values(outcome)


# --- doing: failing ---------------------------------------------------------------------------------------


def test_what_failed_has_its_share_and_is_finished_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> Any:
        raise HelmError("no")

    with monkeypatch.context() as patch:
        patch.setattr(FakeHelm, "apply", fail)
        with pytest.raises(HelmError):
            world.run(host_cluster="b", owner="alice")
    assert world.allocation("b") is not None
    assert not [host for host in world.hosts.values() if LEASE in host]
    outcome, decision = world.run()  # without saying again where
    assert decision.member.name == "b"
    assert outcome.state.release is not None
    assert world.checked()[0].plan.steps == []


def test_what_was_not_applied_stays_pending(running: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> Any:
        raise HelmError("no")

    before = running.allocation("a")
    running.change(values={"of_group": 2})
    with monkeypatch.context() as patch:
        patch.setattr(FakeHelm, "apply", fail)
        with pytest.raises(HelmError):
            running.run(size=size(6))
    found = running.allocation("a")
    assert found is not None
    assert before is not None
    assert found.size.cpu == 6
    assert found.applied == before.applied
    running.run(size=size(6))
    found = running.allocation("a")
    assert found is not None
    assert found.applied != before.applied


def test_a_refusal_writes_nothing(world: World) -> None:
    world.change(owner_quota={"cpu": "1"})
    assert world.refused(owner="alice").data["check"] == "owner_quota"
    assert world.refused().data["option"] == "owner"
    world.change(owner_quota={}, size={"maximum": LARGEST})
    assert world.refused(size=size(9)).data["check"] == "maximum"
    for host in "ab":
        world.reserve(host, "other", cpu=18)
    assert world.refused().data["check"] == "capacity"
    assert world.locked() == []


# --- doing: somebody else was faster ----------------------------------------------------------------------


def test_somebody_takes_the_room_first(world: World) -> None:
    """Who loses it goes where there is still some."""
    once_before(world.hosts["a"], f"create {group_lock.LEASES}", lambda: world.reserve("a", "faster", cpu=18))
    _outcome, decision = world.run()
    assert decision.member.name == "b"
    assert (world.allocation("a"), world.allocation("b") is not None) == (None, True)


def test_somebody_takes_the_last_room(world: World) -> None:
    world.reserve("b", "other", cpu=18)
    once_before(world.hosts["a"], f"create {group_lock.LEASES}", lambda: world.reserve("a", "faster", cpu=18))
    with pytest.raises(AdmissionDenied, match="no host cluster has room"):
        world.run()
    assert (world.allocation("a"), world.allocation("b")) == (None, None)
    assert not [host for host in world.hosts.values() if LEASE in host]


def test_somebody_uses_up_the_quota(world: World) -> None:
    world.change(owner_quota={"virtual_clusters": 1})
    once_before(world.hosts["b"], f"create {group_lock.LEASES}", lambda: world.reserve("b", "faster", owner="alice"))
    with pytest.raises(AdmissionDenied, match="owner quota"):
        world.run(owner="alice")
    assert world.written() == {}


def test_somebody_makes_the_same_one(world: World) -> None:
    """It is there already, and becomes what the slower one asked for."""
    once_before(world.hosts["a"], f"create {group_lock.LEASES}", lambda: world.reserve("b", NAME, owner="bob"))
    _outcome, decision = world.run(owner="alice")
    assert decision.member.name == "b"
    found = world.allocation("b")
    assert found is not None
    assert found.owner == "alice"
    assert world.allocation("a") is None


def test_somebody_resizes_the_same_one(running: World) -> None:
    """What the plan was made for is not there any more: no quota of the old size is written."""

    def resize() -> None:
        larger = json.dumps({**DEFAULT, "memory": "6Gi"})
        annotations = {well_known.SIZE_ANNOTATION: larger}
        running.hosts["a"].change(NAMESPACE_PATH, {"metadata": {"annotations": annotations}})

    once_before(running.hosts["a"], f"create {group_lock.LEASES}", resize)
    running.run(size=size(6))
    found = running.allocation("a")
    assert found is not None
    assert str(found.size) == "6 cpu, 6Gi memory, 2Gi storage"
    assert running.hosts["a"].at(QUOTA)["spec"]["hard"] == membership.hard(found.size)


def test_the_group_changes_meanwhile(world: World) -> None:
    def change() -> None:
        world.present(["a", "b"], values={"new": 1})

    once_before(world.hosts["a"], f"create {group_lock.LEASES}", change)
    outcome, _decision = world.run()
    assert world.values(outcome)["new"] == 1


def test_the_turn_was_lost(world: World, clock: Clock) -> None:
    """What took too long is not written, but decided once more."""
    host = world.hosts["b"]
    slow = iter([6])

    def before(method: str, where: str) -> None:
        if method == "list" and LEASE in host:
            clock.now += next(slow, 0)

    before_each(host, before)
    world.run()
    assert host.sent("create").count(f"create {group_lock.LEASES}") == 2
    assert len([line for line in world.hosts["a"].writes() if line == f"create {NAMESPACE_PATH}"]) == 1


def test_a_turn_is_waited_for(world: World, clock: Clock) -> None:
    have_lease(world.hosts["a"])
    world.run()
    assert clock.now > 1000 + group_lock.LEASE_SECONDS


def test_somebody_is_always_faster(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "ATTEMPTS", 3)
    attempts = []

    def reserve(*arguments: Any) -> None:
        attempts.append(1)
        raise decision_rules.PlanOutdated("x")

    monkeypatch.setattr(reservation, "reserve_one", reserve)
    with pytest.raises(NestedClustersError, match="each of 3 times somebody else was faster; run the task again"):
        world.run()
    assert (len(attempts), world.written()) == (3, {})


@pytest.mark.parametrize(
    ("params", "fits"),
    # 19200m cpu on each of two host clusters; 38.4Gi of memory; two of an owner
    [({}, 8), ({"oversubscription": 50}, 4), ({"owner_quota": {"virtual_clusters": 3}}, 3)],
)
def test_many_at_once_get_what_there_is_and_no_more(
    params: Object, fits: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.change(**params)
    monkeypatch.setattr(group_lock, "time", time)
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.002)

    def take(kubernetes: Any, open_helm: Any, request: Request, run: RunOptions, reserve: Any) -> Outcome:
        reserve(Plan([Change(ChangeKind.CREATE, ChangeTarget("namespace", NAMESPACE))]))
        return deletion.nothing()

    monkeypatch.setattr(lifecycle, "present", take)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        name = f"team-{number}"
        try:
            world.run(request={"name": name, "namespace": name}, owner="alice")
        except BaseException as error:  # a thread's own would be lost
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [type(error) for error in errors] == [AdmissionDenied] * (10 - fits)
    seen = world.view()
    assert len(seen.allocations) == fits
    for view in seen.views.values():
        limit = capacities.limit(size(16, "32Gi"), seen.group.oversubscription)
        assert capacities.total(view.allocations).fits_in(limit) == []


# --- finding and deleting ---------------------------------------------------------------------------------


def test_where_one_is(running: World) -> None:
    seen, current = group_view.find(running.host_clusters(), NAME, "dev")
    assert current is not None
    assert (current.host_cluster, current.namespace) == ("a", NAMESPACE)
    assert seen.views["a"].host.kubernetes is running.clients["a"]
    assert group_view.find(running.host_clusters(), "other", "dev").allocation is None


def test_where_one_may_be(running: World) -> None:
    running.hosts["b"].down = True
    assert group_view.find(running.host_clusters(), NAME, "dev").allocation is not None
    with pytest.raises(NestedClustersError, match=r"on none of the host clusters that answer, .*: b: ") as caught:
        group_view.find(running.host_clusters(), "other", "dev")
    assert caught.value.data == {"failed_host_clusters": ["b"]}


def test_what_a_result_says(running: World) -> None:
    decision = running.decide(owner="bob", size=size(5))
    assert decision.describe(check=True) == {"host_cluster": "a", "owner": "alice", "size": DEFAULT}
    assert decision.describe(check=False) == {"host_cluster": "a", "owner": "bob", "size": {**DEFAULT, "cpu": "5"}}
    new = running.decide("ab", {"name": "new", "namespace": "new"})
    assert new.describe(check=True) == {}
    assert copy.copy(new).describe(check=False)["host_cluster"] == "b"


def test_the_chart_of_the_task_is_used(world: World) -> None:
    outcome, _decision = world.run(request={"chart": Chart("vcluster", "https://other.example.com", None)})
    assert WORKLOAD in {at for host in world.hosts.values() for at in host.paths()}
    assert outcome.plan.changed


# --- the backing store of a group -------------------------------------------------------------------------

LARGE = {"cpu": 10, "memory": "12Gi", "storage": "10Gi"}
ETCD_OF_THREE = {"type": "deployed_etcd", "replicas": 3}


def store_of(world: World, outcome: Any) -> str:
    return backing_store.store_of(world.values(outcome)).name


def test_a_new_one_has_the_groups_backing_store(world: World) -> None:
    world.change(replicas=3, backing_store=ETCD_OF_THREE, size={"default": LARGE})
    outcome, _decision = world.checked()
    assert store_of(world, outcome) == "deployed_etcd"
    assert tree.get(world.values(outcome), ("controlPlane", "statefulSet", "highAvailability", "replicas")) == 3
    world.checked()  # unchanged


def test_one_that_is_there_keeps_its_backing_store(world: World) -> None:
    """The data is in it. The group's is for new ones, and nothing is pending for the others."""
    world.checked()
    world.change(backing_store=ETCD_OF_THREE, size={"default": LARGE})
    outcome, _decision = world.run()
    assert outcome.plan.steps == []
    assert store_of(world, outcome) == "embedded_sqlite"


def test_one_with_the_groups_backing_store_keeps_it_when_the_group_has_another(world: World) -> None:
    world.change(backing_store=ETCD_OF_THREE, size={"default": LARGE})
    world.checked()
    world.change(backing_store={})
    outcome, _decision = world.run()
    assert outcome.plan.steps == []
    assert store_of(world, outcome) == "deployed_etcd"


def test_the_task_says_another_backing_store_than_the_group(world: World) -> None:
    world.change(backing_store=ETCD_OF_THREE)
    own = ControlPlane.of({"backing_store": {"type": "embedded_sqlite"}})
    outcome, _decision = world.checked(request={"control_plane": own})
    assert store_of(world, outcome) == "embedded_sqlite"
    world.checked()  # and that stays its own


def test_each_has_an_external_etcd_of_its_own(world: World) -> None:
    world.change(backing_store={"type": "external_etcd", "endpoint": "etcd-*.stores.svc:2379"})
    outcome, _decision = world.checked()
    where = ("controlPlane", "backingStore", "etcd", "external", "endpoint")
    assert tree.get(world.values(outcome), where) == f"etcd-{NAME}.stores.svc:2379"


# --- control planes without a Helm record -----------------------------------------------------------------

FLUX = {"helm.toolkit.fluxcd.io/name": "tenant", "helm.toolkit.fluxcd.io/namespace": "flux-system"}


@pytest.mark.parametrize("host", ["a", "b"])
def test_nothing_is_taken_for_one_that_another_tool_manages(world: World, host: str) -> None:
    """It lives on one of the host clusters, so it is not made on the other one either."""
    have_control_plane(world, host, **FLUX)
    error = world.refused()
    assert "It belongs to Flux's HelmRelease flux-system/tenant" in str(error)
    assert not world.locked()
    elsewhere = world.refused(host_cluster="b" if host == "a" else "a")
    assert (elsewhere.data["option"], elsewhere.data["allowed"]) == ("host_cluster", host)


@pytest.mark.parametrize("options", [{}, {"size": size(cpu="5")}, {"owner": "bob"}])
def test_one_of_the_group_whose_record_was_lost_is_left_as_it_is(world: World, options: Object) -> None:
    """What its task asked for is known, but neither its version nor which group settings it has."""
    world.run()
    (host,) = [host for host in world.hosts.values() if WORKLOAD in host]
    for at in [at for at in host.paths() if "sh.helm.release" in at]:
        host.vanish(at)
    assert "This collection made it" in str(world.refused(**options))


# --- how often host clusters are read ---------------------------------------------------------------------

READS = {
    "the records of groups": f"list {path('v1', 'configmaps', well_known.NAMESPACE)}",
    "what is allocated": f"list {path('v1', 'namespaces')}",
    "what nodes can allocate": f"list {path('v1', 'nodes')}",
    "a release of this name that is in no group": f"list {path('v1', 'secrets', NAMESPACE)}",
    "a control plane of this name without a release": f"list {path('apps/v1', 'deployments', NAMESPACE)}",
}


def counted(requests: list[str]) -> dict[str, int]:
    return {what: requests.count(read) for what, read in READS.items()}


def before_and_under_the_lock(host: FakeCluster) -> tuple[list[str], list[str]]:
    """The requests before a host cluster was locked, and until the lock was given back."""
    sent = host.sent()
    start, end = sent.index(f"create {group_lock.LEASES}"), sent.index(f"delete {LEASE}")
    return sent[:start], sent[start + 1 : end]


def test_creation_reads_each_host_cluster_once_before_and_once_under_the_lock(world: World) -> None:
    once_each = dict.fromkeys(READS, 1)
    world.run(host_cluster="b")
    before, locked = before_and_under_the_lock(world.hosts["a"])
    # Host cluster a could have been chosen: that is decided from what is read before, and again under the lock.
    assert (counted(before), counted(locked)) == (once_each, once_each)
    assert {len(before), len(locked)} == {len(READS) + 2}  # and its ID, to tell it apart, and StatefulSets
    before, locked = before_and_under_the_lock(world.hosts["b"])
    # What is there of the virtual cluster is read for the plan as well.
    assert {what: count for what, count in counted(before).items() if "release" not in what} == dict.fromkeys(
        list(READS)[:3], 1
    )
    assert counted(locked) == once_each


def test_resize_reads_no_more_than_creation(running: World) -> None:
    running.run(size=size(6))
    of_group = list(READS)[:2]
    for name, host in running.hosts.items():
        if name == "c":
            assert host.requests == []
            continue
        before, locked = before_and_under_the_lock(host)
        nodes = 1 if name == "a" else 0  # where it lives
        for requests in (before, locked):
            found = counted(requests)
            assert [found[what] for what in of_group] == [1, 1]
            assert found["what nodes can allocate"] == nodes


def test_one_that_is_deleted_after_it_was_looked_at_is_not_made_without_the_lock(running: World) -> None:
    """What it had may be somebody else's by now."""
    host = running.hosts["a"]

    def delete() -> None:
        vanish_namespace(host, NAMESPACE)

    once_before(host, f"get {SECRET}", delete)  # after the decision
    running.forget()
    outcome, _decision = running.run()
    assert outcome.plan.steps[0] == f"create namespace {NAMESPACE}"
    assert running.locked() == ["a", "b"]


def test_one_that_answers_again_is_locked_as_well(world: World) -> None:
    """What an owner has there counts by then."""
    world.hosts["b"].down = True

    def answer_again() -> None:
        world.hosts["b"].down = False

    once_before(world.hosts["a"], f"create {group_lock.LEASES}", answer_again)
    world.run(host_cluster="a")
    assert world.locked() == ["a", "b"]


# --- in the order in which it is announced -------------------------------------------------------------------


def sent(world: World) -> list[str]:
    """What was written on host cluster a, but for the lock."""
    return without_repetitions(line for line in world.helm["a"].writes() if "/leases" not in line)


def test_creation_in_a_group_sends_what_it_announces(world: World) -> None:
    plan = world.run(host_cluster="a")[0].plan
    assert announced(plan) == sent(world)
    assert announced(plan)[0] == f"create {NAMESPACE_PATH}"  # which is the reservation
    assert [line.split("/")[-2] for line in announced(plan)[1:4]] == ["secrets", "resourcequotas", "limitranges"]
    assert announced(plan)[4:] == ["helm apply", f"patch {WORKLOAD}"]


def test_one_that_joins_with_a_quota_says_so_on_its_namespace_last(world: World) -> None:
    host = world.hosts["a"]
    host.have("Namespace", NAMESPACE)
    plan = world.run(host_cluster="a")[0].plan
    assert announced(plan)[-1] == f"patch {NAMESPACE_PATH}"
    reservation, *rest = sent(world)
    assert reservation == f"patch {NAMESPACE_PATH}"  # under the lock
    assert rest == announced(plan)


def test_resize_says_so_on_the_namespace_last(world: World) -> None:
    world.run(host_cluster="a")
    for amount, reservations in (("6", [f"patch {NAMESPACE_PATH}"]), ("4", [])):  # who takes less reserves nothing
        world.forget()
        plan = world.run(size=size(cpu=amount))[0].plan
        quota = path("v1", "resourcequotas", NAMESPACE, f"nested-clusters-{NAME}")
        assert [request for request in announced(plan) if "secrets" not in request] == [
            f"patch {quota}",
            f"patch {NAMESPACE_PATH}",
        ]
        assert sent(world) == [*reservations, *announced(plan)]
