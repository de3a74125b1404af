# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in a cluster group a virtual cluster goes, and who may have how many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from group_values import CAPACITY, NOWHERE, SMALL
from host_api import Host, connections, remove_namespaces, spaces_of
from modules import Module


@pytest.fixture
def placed(members: dict[str, Host], vcluster: Module, vcluster_group: Module) -> Iterator[Module]:
    """The module vcluster for a group of two host clusters, whose virtual clusters never run."""
    name = "it-placing"
    capacity = {"host-a": {**CAPACITY, "cpu": "8"}, "host-b": {**CAPACITY, "cpu": "6"}}
    given = [{**entry, "capacity": capacity[entry["name"]]} for entry in connections(members)]
    vcluster_group(
        name=name,
        host_clusters=given,
        oversubscription=100,
        size={"minimum": SMALL, "default": SMALL, "maximum": {"cpu": "4"}},
        values=NOWHERE,
        owner_quota={"virtual_clusters": 4},
    )
    yield vcluster.against(group=name, host_clusters=connections(members), wait=False, owner="alice")
    for member in members.values():
        remove_namespaces(member, *spaces_of(member, name))
    vcluster_group(name=name, state="absent")


def test_placement_of_a_virtual_cluster_spreads_unless_pinned(placed: Module) -> None:
    """The emptier host cluster is chosen, unless one is named; where it is, it stays."""
    first = placed(name="it-p1")["placement"]
    assert first["host"] == "host-a"  # 7 of 8 left, against 5 of 6
    assert [item["score"] for item in first["considered"]] == [0.875, 0.8333]
    assert placed(name="it-p2", check=True)["placement"]["host"] == "host-b"  # 6 of 8, against 5 of 6
    second = placed(name="it-p2", host_cluster="host-a")["placement"]
    assert (second["host"], second["considered"][1]["reason"]) == ("host-a", "not asked for")
    assert not placed(name="it-p2")["changed"]
    assert "cannot move to another host cluster" in placed.refused(name="it-p2", host_cluster="host-b")


def test_placement_beyond_the_quota_of_an_owner_is_refused(placed: Module) -> None:
    """An owner with four virtual clusters may not take a fifth; another owner may."""
    for number in range(4):
        placed(name=f"it-q{number}")
    message = placed.refused(name="it-q4")
    assert "alice" in message
    assert "4 virtual clusters" in message
    assert "it-q0" in message
    assert placed(name="it-q4", owner="bob", check=True)["changed"]
    assert "at most 4" in placed.refused(name="it-q0", size={"cpu": "5"})


def test_placement_with_a_cordoned_host_cluster_avoids_it(members: dict[str, Host], placed: Module) -> None:
    """One whose nodes are all cordoned takes nothing new, and the result says so."""
    placed(name="it-c0", host_cluster="host-a")
    assert placed(name="it-c1", check=True)["placement"]["host"] == "host-b"
    (node,) = [item["metadata"]["name"] for item in members["host-b"].items("/api/v1/nodes")]
    members["host-b"].patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": True}})
    try:
        placement = placed(name="it-c1", check=True)["placement"]
        assert placement["host"] == "host-a"
        assert "cordoned" in next(item["reason"] for item in placement["considered"] if item["name"] == "host-b")
        assert "cordoned" in placed.refused(name="it-c1", host_cluster="host-b")
    finally:
        members["host-b"].patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": None}})


def test_placement_with_an_unreachable_host_cluster_needs_a_pin(members: dict[str, Host], placed: Module) -> None:
    """What may live on one that does not answer is not made anew elsewhere, unless the task says where."""
    first = connections(members)[0]
    dead = [first, {"name": "host-b", "host": "https://127.0.0.1:1", "api_key": "x"}]
    message = placed.refused(name="it-u1", host_clusters=dead)
    assert "may be on host-b" in message
    assert "host_cluster" in message
    assert placed(name="it-u1", host_clusters=dead, host_cluster="host-a")["changed"]
    assert not placed(name="it-u1", host_clusters=dead)["changed"]


def test_placement_in_another_group_is_refused(vcluster_group: Module, placed: Module) -> None:
    """A virtual cluster does not move from one group to another."""
    placed(name="it-m1")
    vcluster_group(name="it-other")
    try:
        message = placed.refused(name="it-m1", group="it-other")
        assert "it-placing" in message
        assert "cannot move to another group" in message
    finally:
        vcluster_group(name="it-other", state="absent")
