# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of group_view: what all host clusters say of a group, and where a virtual cluster of it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.admission import decision_rules
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_change, group_records, group_view
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import ONLY, SYSTEM, HostCluster
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import Request
from clock import Clock
from fake_helm import CHART
from group_site import RECORD
from group_world import World, admission_request, run_world_clock, with_virtual_cluster
from helm_releases import NAME, NAMESPACE
from meanwhile import forbid


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    yield from run_world_clock(monkeypatch)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def running(world: World) -> World:
    """A world with a virtual cluster on host cluster a."""
    return with_virtual_cluster(world)


def test_look_at_host_cluster_sends_two_lists(world: World) -> None:
    world.reserve("a", "team-a")
    world.reserve("a", "team-b")
    view = group_view.look(world.host_clusters("a")[0])
    assert len(world.hosts["a"].requests) == 2
    assert (list(view.groups), dict(view.names)) == (["dev"], {"dev": "a"})
    assert [item.name for item in view.allocations] == ["team-a", "team-b"]


def test_view_all_host_clusters_has_members_and_others(world: World) -> None:
    group_change.present(world.entries(["c"]), {"name": "gift", "owner_quota": {"exempt": True}}, False)
    world.reserve("b", "team-b")
    world.reserve("c", "team-c", group="gift")
    seen = world.view("abc")
    assert list(seen.views) == ["a", "b"]
    assert [view.host.name for view in seen.others] == ["c"]
    assert [(item.name, item.host_cluster) for item in seen.allocations] == [("team-b", "b"), ("team-c", "c")]
    assert (set(seen.known), seen.exempt, seen.failed) == ({"dev", "gift"}, {"gift"}, {})


def test_view_unreachable_host_cluster_is_uncounted(world: World) -> None:
    group_change.present(world.entries(["a", "b"]), {"name": "dev", "owner_quota": {"virtual_clusters": 4}}, False)
    assert world.view("abc").uncounted() == []
    world.hosts["c"].down = True  # no member, but an owner may have something there
    (said,) = world.view("abc").uncounted()
    assert said.startswith("host cluster c does not answer, so the owner quota does not count what is there")


def test_view_single_connection_has_member_name(world: World) -> None:
    world.reserve("a", "team-a")
    only = HostCluster(ONLY, world.clients["a"])
    seen = group_view.picture([only], "dev")
    assert [(item.name, item.host_cluster) for item in seen.allocations] == [("team-a", "a")]
    wanted = Request(NAME, NAMESPACE, CHART)
    assert decision_rules.decide(seen, wanted, admission_request()).member.name == "a"


def test_view_unknown_group_is_refused(world: World) -> None:
    group_change.present(world.entries(["a"]), {"name": "prod"}, False)
    with pytest.raises(OptionError) as caught:
        group_view.picture(world.host_clusters(), "dve")
    assert caught.value.data == {"option": "group", "value": "dve", "allowed": "dev, prod"}
    with pytest.raises(OptionError, match="none: no group is defined"):
        group_view.picture(world.host_clusters("c"), "dev")


def test_view_group_on_unreachable_host_cluster_is_refused(world: World) -> None:
    world.hosts["b"].down = True
    with pytest.raises(NestedClustersError, match="b: host cluster https://b does not answer") as caught:
        group_view.picture(world.host_clusters("bc"), "dev")
    assert caught.value.data == {"failed_host_clusters": ["b"]}


def test_view_records_that_differ_are_refused(world: World) -> None:
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


def test_view_host_cluster_by_other_name_is_refused(world: World) -> None:
    for given, words in (
        ([HostCluster("b", world.clients["a"])], "b is member a of group dev; use the name a"),
        ([*world.host_clusters("a"), HostCluster(ONLY, world.clients["a"])], "are the same host cluster"),
    ):
        with pytest.raises(OptionError, match=words) as caught:
            group_view.picture(given, "dev")
        assert str(caught.value.data["option"]).startswith("host_clusters")


def test_view_member_twice_without_kube_system_is_refused(world: World) -> None:
    """Also by somebody who may not read kube-system, by which host clusters are told apart otherwise."""
    forbid(world.hosts["a"], "get", SYSTEM.rpartition("/")[2])
    with pytest.raises(OptionError, match="host_clusters: a is listed twice; list each host cluster once"):
        group_view.picture([*world.host_clusters("a"), HostCluster(ONLY, world.clients["a"])], "dev")


def test_view_broken_allocation_names_namespace(world: World) -> None:
    """Counting it as nothing would give away twice what it has."""
    world.reserve("a", "team-a")
    broken = {"metadata": {"annotations": {well_known.SIZE_ANNOTATION: "{}"}}}
    world.hosts["a"].change(path("v1", "namespaces", None, "vcluster-team-a"), broken)
    error = world.refusal()
    assert "namespace vcluster-team-a on host cluster a" in str(error)


def test_view_two_clusters_of_one_name_are_refused(world: World) -> None:
    world.reserve("a", NAME)
    world.reserve("b", NAME, namespace="other")
    error = world.refusal()
    assert f"group dev has two virtual clusters {NAME}: on a (namespace {NAMESPACE}), b (namespace other)" in str(error)


def test_view_cluster_on_host_without_record_is_refused(world: World) -> None:
    world.reserve("c", NAME)
    for call in (lambda: world.decide("abc"), lambda: group_view.find(world.host_clusters("abc"), NAME, "dev")):
        with pytest.raises(NestedClustersError, match="lives on host cluster c, which has no record of group dev"):
            call()


def test_lock_order_is_that_of_host_cluster_ids(world: World) -> None:
    ids = [id_ for id_, _kubernetes in group_view.lock_order(world.view("ba"))]
    assert sorted(ids) == ["uid of https://a", "uid of https://b"]


def test_find_existing_cluster_has_host_and_namespace(running: World) -> None:
    seen, current = group_view.find(running.host_clusters(), NAME, "dev")
    assert current is not None
    assert (current.host_cluster, current.namespace) == ("a", NAMESPACE)
    assert seen.views["a"].host.kubernetes is running.clients["a"]
    assert group_view.find(running.host_clusters(), "other", "dev").allocation is None


def test_find_with_unreachable_host_fails_for_unknown_cluster(running: World) -> None:
    running.hosts["b"].down = True
    assert group_view.find(running.host_clusters(), NAME, "dev").allocation is not None
    with pytest.raises(NestedClustersError, match=r"on none of the host clusters that answer, .*: b: ") as caught:
        group_view.find(running.host_clusters(), "other", "dev")
    assert caught.value.data == {"failed_host_clusters": ["b"]}
