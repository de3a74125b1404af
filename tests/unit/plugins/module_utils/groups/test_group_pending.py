# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of group_pending: what of its group a virtual cluster does not have yet."""

from __future__ import annotations

import json

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_pending, group_records
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group, Member
from group_builders import A, Object, desired
from group_strategies import groups
from hypothesis import given

# --- what virtual clusters have of it ---------------------------------------------------------------------

CHANGES: dict[str, tuple[Object, list[str]]] = {
    "a lock": ({"vcluster_version": "0.36.1"}, ["vcluster_version: its own applied, 0.36.1 in the group"]),
    "kubernetes": ({"kubernetes_version": "v1.36.0"}, ["kubernetes_version: its own applied, v1.36.0 in the group"]),
    "values": ({"values": {"a": 1}}, ["values: changed in the group"]),
    "endpoint": ({"endpoint": {"type": "node_port"}}, ["endpoint: changed in the group"]),
    "oidc": ({"oidc": {"issuer_url": "https://x", "client_id": "y"}}, ["oidc: changed in the group"]),
    "what is for new ones": ({"size": {"maximum": {"cpu": "99"}}, "placement": "pack", "oversubscription": 1}, []),
    "what is for people": ({"description": "x", "tags": {"a": "b"}}, []),
    "a quota": ({"owner_quota": {"cpu": "1"}}, []),
}


@pytest.mark.parametrize("what", CHANGES)
def test_pending_of_a_changed_group_says_what_changed(what: str) -> None:
    params, expected = CHANGES[what]
    before = desired()
    has = json.loads(json.dumps(group_pending.applied(before, A)))
    assert group_pending.pending(before, A, has) == []
    assert group_pending.pending(desired(before, **params), A, has) == expected


def test_pending_of_a_version_lock_names_both_versions() -> None:
    has = group_pending.applied(desired(vcluster_version="0.35.0"), A)
    assert group_pending.pending(desired(vcluster_version="0.36.1"), A, has) == [
        "vcluster_version: 0.35.0 applied, 0.36.1 in the group"
    ]
    assert group_pending.pending(desired(), A, has) == []  # to take it away changes nothing


def test_pending_of_a_changed_member_says_what_changed() -> None:
    group = desired()
    has = group_pending.applied(group, A)
    assert group_pending.pending(group, Member("host-a", "uid-a", "*.other.example.com"), has) == [
        "endpoint: changed in the group"
    ]
    moved = Member("host-a", "uid-a", A.dns_pattern, node_selector={"a": "b"})
    assert group_pending.pending(group, moved, has) == ["node_selector: changed in the group"]
    assert group_pending.pending(group, Member("host-a", "uid-a", A.dns_pattern, Size.zero()), has) == []


def test_pending_of_an_unknown_state_is_everything() -> None:
    assert len(group_pending.pending(desired(vcluster_version="0.36.1"), A, {})) == 6


@given(groups())
def test_pending_of_what_was_applied_is_nothing(group: Group) -> None:
    for member in group.members:
        kept = json.loads(
            json.dumps(group_pending.applied(group_records.load(group_records.config_map(group, "x")), member))
        )
        assert group_pending.pending(group, member, kept) == []
