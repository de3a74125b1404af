# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of licensed features: which values need a license."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.values import licensed_features, validation
from values_builders import (
    DEPLOYED_ETCD,
    EMBEDDED_ETCD,
    EXTERNAL_DATABASE,
    EXTERNAL_ETCD,
    IMAGE,
    K3S,
    K8S,
    V,
    refusal,
    values,
)


@pytest.mark.parametrize(
    ("version", "setting", "path"),
    [
        ("0.36.1", EMBEDDED_ETCD, EMBEDDED_ETCD[0]),
        ("0.20.0", EMBEDDED_ETCD, EMBEDDED_ETCD[0]),
        ("0.36.1", EXTERNAL_DATABASE, EXTERNAL_DATABASE[0]),
        ("0.36.1", ("controlPlane.coredns.embedded", True), "controlPlane.coredns.embedded"),
        ("0.36.1", ("privateNodes.enabled", True), "privateNodes.enabled"),
        ("0.25.0", ("privateNodes.enabled", True), None),
        ("0.36.1", ("privateNodes.enabled", False), None),
        ("0.36.1", ("privateNodes.kubelet", {}), None),
        ("0.36.1", ("sync.toHost.namespaces.enabled", True), "sync.toHost.namespaces.enabled"),
        (
            "0.36.1",
            ("experimental.proxy.customResources", {"a.b/v1": {"enabled": False}}),
            "experimental.proxy.customResources",
        ),
        ("0.36.1", ("experimental.proxy.customResources", {}), None),
        (
            "0.27.0",
            ("experimental.isolatedControlPlane.enabled", True),
            "experimental.isolatedControlPlane.enabled",
        ),
        ("0.28.0", ("experimental.isolatedControlPlane.enabled", True), None),
        ("0.36.1", ("networking.resolveDNS", [{}]), "networking.resolveDNS"),
        ("0.36.1", ("networking.resolveDNS", []), None),
        (
            "0.36.1",
            ("sync.toHost.customResources", {"a.b.c": {"enabled": True}}),
            "sync.toHost.customResources.a.b.c",
        ),
        ("0.36.1", ("sync.toHost.customResources", {"a.b.c": {"enabled": False}}), None),
        ("0.36.1", ("sync.toHost.customResources", {"a.b.c": None}), None),
        ("0.36.1", ("sync.toHost.services.patches", [{"path": "x"}]), "sync.toHost.services.patches"),
        ("0.20.0", ("sync.toHost.services.patches", [{"path": "x"}]), None),
        ("0.36.1", ("sync.toHost.services", {"enabled": False, "patches": [{"path": "x"}]}), None),
        (
            "0.35.0",
            ("sync.toHost.gatewayApi.gateways.patches", [{}]),
            "sync.toHost.gatewayApi.gateways.patches",
        ),
        ("0.36.1", ("sleep.auto", {"afterInactivity": "1h"}), "sleep"),
        ("0.31.0", ("sleepMode.enabled", True), "sleepMode.enabled"),
        ("0.31.0", ("external.platform", {"apiKey": {}}), "external.platform"),
        ("0.36.1", ("platform", {}), None),
        ("0.36.1", ("sync.toHost.pods.enabled", True), None),
        ("0.36.1", DEPLOYED_ETCD, None),
        ("0.36.1", EXTERNAL_ETCD, None),
    ],
)
def test_licensed_keys_of_values_are_found(version: str, setting: tuple[str, Any], path: str | None) -> None:
    assert licensed_features.licensed_keys(values(setting), V(version)) == ([path] if path else [])


def test_licensed_keys_external_database_with_k3s_needs_none() -> None:
    assert licensed_features.licensed_keys(values(K3S, EXTERNAL_DATABASE), V("0.30.0")) == []
    assert licensed_features.licensed_keys(values(K8S, EXTERNAL_DATABASE), V("0.30.0")) == [EXTERNAL_DATABASE[0]]


@pytest.mark.parametrize(
    ("settings", "repository", "refused"),
    [
        ([EMBEDDED_ETCD], None, True),
        ([EMBEDDED_ETCD, (IMAGE, "loft-sh/vcluster-oss")], None, True),
        ([EMBEDDED_ETCD, (IMAGE, "mirror/any/vcluster-oss")], None, True),
        ([EMBEDDED_ETCD, (IMAGE, "loft-sh/vcluster-pro")], None, False),
        ([EMBEDDED_ETCD], "loft-sh/vcluster-pro", False),
        ([EMBEDDED_ETCD, (IMAGE, "loft-sh/vcluster-pro")], "loft-sh/vcluster-oss", True),
    ],
)
def test_license_depends_on_image(settings: list[tuple[str, Any]], repository: str | None, refused: bool) -> None:
    if refused:
        assert "license" in str(refusal(validation.check_values, values(*settings), V("0.36.1"), repository))
    else:
        validation.check_values(values(*settings), V("0.36.1"), repository)
