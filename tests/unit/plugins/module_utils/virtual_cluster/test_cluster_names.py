# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the names of virtual clusters and of their namespaces."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import cluster_names
from values_builders import refusal


def test_name_length_is_what_etcd_pods_leave() -> None:
    assert cluster_names.NAME_LENGTH == 47
    assert len("n" * cluster_names.NAME_LENGTH + "-etcd-" + "5" * 10) == 63


@pytest.mark.parametrize(
    ("name", "namespace"),
    [("a", "vcluster-a"), ("team-1", "default"), ("a" * 47, "n" * 63), ("b", "1st"), ("b", "kube-system")],
)
def test_check_names_valid_ones_pass(name: str, namespace: str) -> None:
    cluster_names.check_names(name, namespace)


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "A", "a.b", "a_b", "a\n", "a" * 48, None])
def test_check_names_invalid_name_is_refused(name: Any) -> None:
    assert refusal(cluster_names.check_names, name, "x").data["option"] == "name"


@pytest.mark.parametrize("namespace", ["", "-a", "a-", "A", "a.b", "a" * 64, None])
def test_check_names_invalid_namespace_is_refused(namespace: Any) -> None:
    assert refusal(cluster_names.check_names, "x", namespace).data["option"] == "namespace"


@pytest.mark.parametrize("name", ["a-x-b", "x-b", "a-x-x-b", "x-x-x"])
@pytest.mark.parametrize("namespace", ["team", "vcluster-a"])
def test_check_names_ambiguous_name_is_refused(name: str, namespace: str) -> None:
    assert cluster_names.is_ambiguous(name, namespace)
    error = refusal(cluster_names.check_names, name, namespace)
    assert error.data["option"] == "name"
    assert "another virtual cluster could have the same mark" in str(error)


@pytest.mark.parametrize("namespace", ["team-x-a", "team-x", "x-x"])
def test_check_names_ambiguous_namespace_is_refused(namespace: str) -> None:
    assert cluster_names.is_ambiguous("b", namespace)
    assert refusal(cluster_names.check_names, "b", namespace).data["option"] == "namespace"


@pytest.mark.parametrize(("name", "namespace"), [("ax-b", "team"), ("b-x", "team"), ("x", "x"), ("b", "x-team")])
def test_check_names_unambiguous_marker_has_one_reading(name: str, namespace: str) -> None:
    cluster_names.check_names(name, namespace)
    assert cluster_names.readings(f"{namespace}-x-{name}") == [(namespace, name)]


def test_readings_ambiguous_marker_has_several() -> None:
    assert cluster_names.readings("team-x-a-x-b") == [("team", "a-x-b"), ("team-x-a", "b")]
    assert cluster_names.readings("team-x-x-b") == [("team", "x-b"), ("team-x", "b")]
    assert cluster_names.readings("high") == []
