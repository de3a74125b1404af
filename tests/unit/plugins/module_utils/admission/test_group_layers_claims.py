# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of group_layers: what a control plane itself needs of the size of its virtual cluster."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.admission import group_layers
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.values import tree
from layer_builders import Object, at, get, group, merged, size


def test_own_claims_of_built_in_values() -> None:
    assert group_layers.own_claims(merged(group())) == size(2, 2218 * 2**20, "1Gi")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (at("controlPlane.coredns.enabled", False), size(1, "2Gi", "1Gi")),
        (at("controlPlane.statefulSet.resources.limits", {"cpu": 2, "memory": None}), size(3, "170Mi", "1Gi")),
        (at("controlPlane.statefulSet.persistence.volumeClaim.size", "20Gi"), size(2, "2218Mi", "20Gi")),
        (at("controlPlane.statefulSet.persistence.volumeClaim.enabled", False), size(2, "2218Mi", 0)),
        (at("controlPlane.backingStore.etcd.deploy.enabled", True), size(3, "3242Mi", "1Gi")),
        (at("controlPlane.statefulSet.highAvailability.replicas", 3), size(4, "6314Mi", "3Gi")),
        (
            {
                "controlPlane": {
                    "backingStore": {
                        "etcd": {
                            "deploy": {
                                "enabled": True,
                                "statefulSet": {
                                    "highAvailability": {"replicas": 3},
                                    "persistence": {"volumeClaim": {"size": "2Gi"}},
                                },
                            }
                        }
                    }
                }
            },
            size(5, "5290Mi", "6Gi"),
        ),
    ],
)
def test_own_claims_depend_on_values(asked: Object, expected: Size) -> None:
    assert group_layers.own_claims(merged(group(), asked)) == expected


def test_own_claims_without_volume_claim_have_no_storage() -> None:
    store = "controlPlane.backingStore.etcd.deploy"
    asked = tree.merge(
        at(f"{store}.enabled", True), at(f"{store}.statefulSet.persistence.volumeClaim.enabled", False)
    )
    assert group_layers.own_claims(merged(group(), asked)).storage == 0


def test_own_claims_without_values_are_those_of_chart() -> None:
    assert group_layers.own_claims({}) == size(1, "170Mi", "5Gi")


@pytest.mark.parametrize(
    "where",
    [
        "controlPlane",
        "controlPlane.statefulSet",
        "controlPlane.statefulSet.resources",
        "controlPlane.statefulSet.resources.limits",
        "controlPlane.statefulSet.persistence",
        "controlPlane.statefulSet.highAvailability",
        "controlPlane.statefulSet.highAvailability.replicas",
        "controlPlane.coredns",
        "controlPlane.backingStore",
    ],
)
@pytest.mark.parametrize("rubbish", ["two", None, [], {}, True, 1.5])
def test_own_claims_invalid_values_do_not_fail(where: str, rubbish: Any) -> None:
    """No crash: helm says what its schema has against it."""
    assert group_layers.own_claims(at(where, rubbish)).cpu is not None


@pytest.mark.parametrize(("resource", "amount"), [("cpu", "much"), ("memory", "-1Gi")])
def test_own_claims_invalid_quantity_is_refused(resource: str, amount: str) -> None:
    with pytest.raises(OptionError, match=rf"^values\.controlPlane\.statefulSet\.{resource}: '{amount}'"):
        group_layers.own_claims(at(f"controlPlane.statefulSet.resources.limits.{resource}", amount))


@pytest.mark.parametrize(
    ("short", "resource", "needs"),
    [
        (size(cpu="1999m"), "cpu", "2"),
        (size(memory="2217Mi"), "memory", "2218Mi"),
        (size(storage="1023Mi"), "storage", "1Gi"),
        (size(storage=0), "storage", "1Gi"),
    ],
)
def test_check_room_size_below_control_plane_is_refused(short: Size, resource: str, needs: str) -> None:
    with pytest.raises(OptionError) as caught:
        group_layers.check_room(merged(group()), short)
    assert caught.value.data["option"] == f"size.{resource}"
    assert caught.value.data["value"] == short.as_dict()[resource]
    assert f"the control plane alone claims {needs}" in str(caught.value)
    group_layers.check_room(merged(group()), size(2, "2218Mi", "1Gi"))


def test_check_room_default_and_minimum_suffice() -> None:
    """The product's own rules do not refuse each other."""
    group_layers.check_room(merged(group()), size())
    group_layers.check_room(merged(group(), at("controlPlane.backingStore.etcd.deploy.enabled", True)), size())
    of = group(distribution="k3s", vcluster_version="0.32.0")
    group_layers.check_room(merged(of), of.default)
    without_claim = at("controlPlane.statefulSet.persistence.volumeClaim.enabled", False)
    group_layers.check_room(merged(of, without_claim), of.minimum)


def test_with_claims_joining_cluster_keeps_claims() -> None:
    where = "controlPlane.statefulSet.persistence.volumeClaim.size"
    assert get(group_layers.with_claims({"a": 1}), where) == "5Gi"
    assert group_layers.with_claims(at(where, "9Gi")) == at(where, "9Gi")
    etcd = group_layers.with_claims(at("controlPlane.backingStore.etcd.deploy.enabled", True))
    assert get(etcd, "controlPlane.backingStore.etcd.deploy.statefulSet.persistence.volumeClaim.size") == "5Gi"
    assert get(merged(group(), group_layers.with_claims({})), where) == "5Gi"
