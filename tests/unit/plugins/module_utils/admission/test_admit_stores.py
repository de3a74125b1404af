# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of admission: the backing store of a group is for new virtual clusters."""

from __future__ import annotations

from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.values import backing_store, tree
from ansible_collections.nested.clusters.plugins.module_utils.values.control_plane import ControlPlane
from group_world import World
from helm_releases import NAME

LARGE = {"cpu": 10, "memory": "12Gi", "storage": "10Gi"}
ETCD_OF_THREE = {"type": "deployed_etcd", "replicas": 3}


def store_of(world: World, outcome: Any) -> str:
    return backing_store.store_of(world.values(outcome)).name


def test_store_new_cluster_has_that_of_group(world: World) -> None:
    world.change(replicas=3, backing_store=ETCD_OF_THREE, size={"default": LARGE})
    outcome, _decision = world.checked()
    assert store_of(world, outcome) == "deployed_etcd"
    assert tree.get(world.values(outcome), ("controlPlane", "statefulSet", "highAvailability", "replicas")) == 3
    world.checked()  # unchanged


def test_store_existing_cluster_keeps_its_own(world: World) -> None:
    """The data is in it. The group's is for new ones, and nothing is pending for the others."""
    world.checked()
    world.change(backing_store=ETCD_OF_THREE, size={"default": LARGE})
    outcome, _decision = world.run()
    assert outcome.plan.steps == []
    assert store_of(world, outcome) == "embedded_sqlite"


def test_store_cluster_keeps_former_one_of_group(world: World) -> None:
    world.change(backing_store=ETCD_OF_THREE, size={"default": LARGE})
    world.checked()
    world.change(backing_store={})
    outcome, _decision = world.run()
    assert outcome.plan.steps == []
    assert store_of(world, outcome) == "deployed_etcd"


def test_store_of_task_replaces_that_of_group(world: World) -> None:
    world.change(backing_store=ETCD_OF_THREE)
    own = ControlPlane.of({"backing_store": {"type": "embedded_sqlite"}})
    outcome, _decision = world.checked(request={"control_plane": own})
    assert store_of(world, outcome) == "embedded_sqlite"
    world.checked()  # and that stays its own


def test_store_external_etcd_has_name_of_cluster(world: World) -> None:
    world.change(backing_store={"type": "external_etcd", "endpoint": "etcd-*.stores.svc:2379"})
    outcome, _decision = world.checked()
    where = ("controlPlane", "backingStore", "etcd", "external", "endpoint")
    assert tree.get(world.values(outcome), where) == f"etcd-{NAME}.stores.svc:2379"
