# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of group_settings: what a task makes of a group."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES, Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_records
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import NO_SIZE, Group, Member
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import OwnerQuota
from ansible_collections.nested.clusters.plugins.module_utils.values.endpoint import Endpoint
from ansible_collections.nested.clusters.plugins.module_utils.values.oidc import Oidc
from group_builders import EVERYTHING, A, B, desired


def test_settings_few_options_have_defaults() -> None:
    group = desired()
    assert (group.name, group.members, group.generation) == ("dev", (A, B), 1)
    assert (group.distribution, group.oversubscription, group.placement) == ("k8s", 120, "spread")
    assert (group.endpoint, group.endpoint.as_dict()) == (Endpoint(), {"type": "cluster_ip"})
    assert group.default == Size.parse({"cpu": 4, "memory": "4Gi", "storage": "2Gi"}, "x")
    assert group.minimum == Size.parse({"cpu": 4, "memory": "4Gi", "storage": "2Gi"}, "x")
    assert group.maximum == Size(None, None, None)
    assert not group.owner_quota.limits
    assert not group.owner_quota.exempt
    assert (group.values, group.oidc, group.tags, group.description) == ({}, None, {}, "")
    assert (group.vcluster_version, group.kubernetes_version) == (None, None)


def test_settings_minimum_depends_on_distribution() -> None:
    group = desired(distribution="k3s", vcluster_version="0.32.0")
    assert group.minimum == Size.parse({"cpu": 4, "memory": "3Gi", "storage": 0}, "x")
    assert group.default == Size.parse({"cpu": 4, "memory": "4Gi", "storage": "2Gi"}, "x")


def test_settings_all_options_are_used() -> None:
    group = desired(**EVERYTHING)
    assert group.endpoint.as_dict() == {"type": "ingress", "ingress_class": "nginx", "annotations": {"a/b": "c"}}
    assert (group.vcluster_version, group.kubernetes_version) == ("0.36.1", "v1.35.4")
    assert str(group.default) == "2 cpu, 3Gi memory, 5Gi storage"
    assert str(group.minimum) == "500m cpu, 1Gi memory, 0 storage"
    assert str(group.maximum) == "8 cpu, 16Gi memory, unlimited storage"
    assert group.owner_quota == OwnerQuota.parse({"virtual_clusters": 4, "cpu": 20, "storage": "60Gi"}, "x")
    assert group.oidc == Oidc("https://id.example.com", "kube")


def test_settings_omitted_option_stays() -> None:
    before = desired(**EVERYTHING)
    assert desired(before) == before
    assert desired(before).generation == before.generation
    null = dict.fromkeys(EVERYTHING)
    assert desired(before, **null) == before
    assert desired(before, size=dict.fromkeys(("default", "minimum", "maximum"))) == before
    assert desired(before, size={"default": dict.fromkeys(RESOURCES)}) == before


@pytest.mark.parametrize("option", EVERYTHING)
def test_settings_each_option_changes_one_field(option: str) -> None:
    before = desired()
    after = desired(before, **{option: EVERYTHING[option]})
    fields = {name for name in Group.__dataclass_fields__ if getattr(before, name) != getattr(after, name)} - {
        "generation"
    }
    expected = {"size": {"default", "minimum", "maximum"}, "distribution": set()}.get(option, {option})
    assert fields == expected
    assert after.generation == (2 if fields else 1)


def test_settings_partial_size_keeps_the_rest() -> None:
    before = desired(**EVERYTHING)
    after = desired(before, size={"maximum": {"memory": "8Gi", "cpu": None, "storage": "1Ti"}})
    assert str(after.maximum) == "8 cpu, 8Gi memory, 1Ti storage"
    assert (after.default, after.minimum) == (before.default, before.minimum)


def test_settings_quota_replaces_the_old_one() -> None:
    before = desired(owner_quota={"virtual_clusters": 4, "cpu": 20})
    assert desired(before, owner_quota={"cpu": 10}).owner_quota == OwnerQuota.parse({"cpu": 10}, "x")
    assert not desired(before, owner_quota={}).owner_quota.limits


def test_settings_empty_option_is_removed() -> None:
    before = desired(**EVERYTHING)
    after = desired(before, vcluster_version="", kubernetes_version="", oidc={}, tags={}, description="", values={})
    assert (after.vcluster_version, after.kubernetes_version) == (None, None)
    assert (after.oidc, after.tags, after.description, after.values) == (None, {}, "", {})


def test_settings_order_of_hosts_is_ignored() -> None:
    before = desired(members=(A, B))
    after = desired(before, members=(B, A))
    assert (after, after.generation) == (before, 1)
    assert group_records.config_map(desired(members=(B, A)), "host-a") == group_records.config_map(before, "host-a")


def test_settings_spelling_of_version_is_ignored() -> None:
    before = desired(vcluster_version="0.36.1", kubernetes_version="v1.36.0")
    assert desired(before, vcluster_version="v0.36.1", kubernetes_version="1.36.0").generation == 1


def test_settings_members_are_added_and_removed() -> None:
    group = desired()
    assert group.member("host-b") == B
    assert group.member("host-c") is None
    assert A.host_name("team") == "team.a.example.com"
    assert Member("x").host_name("team") is None


def test_settings_maximum_can_be_removed() -> None:
    nothing = {"storage": 0}
    before = desired(size={"maximum": {"cpu": 8, "storage": "0"}, "minimum": nothing, "default": nothing})
    assert before.maximum.as_dict() == {"cpu": "8", "memory": None, "storage": "0"}
    assert desired(before, size={"maximum": {"cpu": "", "storage": ""}}).maximum == NO_SIZE
