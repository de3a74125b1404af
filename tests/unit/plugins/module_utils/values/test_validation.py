# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of validation: values that a vCluster version does not know, or does not take."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import semver
from ansible_collections.nested.clusters.plugins.module_utils.values import immutability, licensed_features, validation
from values_builders import (
    DEPLOYED_ETCD,
    EXTERNAL_DATABASE,
    K0S,
    K3S,
    K8S,
    RELEASES,
    REPLICAS,
    SQLITE,
    STORES,
    V,
    refusal,
    values,
)


@pytest.mark.parametrize("version", RELEASES)
def test_check_values_defaults_pass_without_license(version: semver.Version) -> None:
    assert licensed_features.licensed_keys({}, version) == []
    validation.check_values({}, version)
    immutability.check_immutable({}, {}, version)


@pytest.mark.parametrize(
    ("version", "settings", "paths", "words"),
    [
        (
            "0.33.0",
            [K3S],
            ["controlPlane.distro.k3s"],
            ["removed in vCluster 0.33", "0.32 or earlier", "0.25 to 0.32"],
        ),
        ("0.26.0", [K0S], ["controlPlane.distro.k0s"], ["removed in vCluster 0.26", "0.25 or earlier"]),
        ("0.36.1", [("controlPlane.distro.k3s.enabled", False)], ["controlPlane.distro.k3s"], ["0.33"]),
        ("0.30.0", [K3S, K8S], [K3S[0], K8S[0]], ["one distribution"]),
        ("0.36.1", [SQLITE, DEPLOYED_ETCD], [DEPLOYED_ETCD[0], SQLITE[0]], ["one backing store"]),
        ("0.36.1", [(REPLICAS, 2)], [REPLICAS], ["SQLite"]),
        ("0.33.0", [("controlPlane.tlsRoute.enabled", True)], ["controlPlane.tlsRoute"], ["0.34"]),
        (
            "0.36.0",
            [("sync.toHost.volumeSnapshots.enabled", False)],
            ["sync.toHost.volumeSnapshots"],
            ["0.36"],
        ),
        (
            "0.36.0-rc.1",
            [("deploy.volumeSnapshotController", {})],
            ["deploy.volumeSnapshotController"],
            ["0.36"],
        ),
        (
            "0.31.0",
            [("policies.networkPolicy.outgoingConnections", {})],
            ["policies.networkPolicy.outgoingConnections"],
            ["policies.networkPolicy.workload.publicEgress"],
        ),
        ("0.30.0", [("policies.networkPolicy.workload", {})], ["policies.networkPolicy.workload"], ["0.31"]),
        ("0.32.0", [("sleepMode", {})], ["sleepMode"], ["or sleep"]),
        (
            "0.24.0",
            [("controlPlane.distro.k8s.image.tag", "v1.32.1")],
            ["controlPlane.distro.k8s.image"],
            ["0.25"],
        ),
    ],
)
def test_check_values_invalid_value_is_refused(
    version: str, settings: list[Any], paths: list[str], words: list[str]
) -> None:
    error = refusal(validation.check_values, values(*settings), V(version))
    assert error.data["option"] == "values"
    assert error.data["value"] == paths
    assert [word for word in [*words, *paths] if word not in str(error)] == []


def test_check_values_many_invalid_names_each_path() -> None:
    error = refusal(
        validation.check_values, values((REPLICAS, 3), ("privateNodes.enabled", True), ("external", {})), V("0.36.1")
    )
    assert error.data["value"] == ["external", REPLICAS, "privateNodes.enabled"]


@pytest.mark.parametrize(
    ("version", "settings"),
    [
        ("0.32.0", [K3S]),
        ("0.25.0", [K0S]),
        ("0.36.1", [K8S]),
        ("0.36.1", [(REPLICAS, 3), DEPLOYED_ETCD]),
        ("0.36.1", [(REPLICAS, 1)]),
        ("0.34.0", [("controlPlane.tlsRoute.enabled", True)]),
        ("0.35.1", [("sync.toHost.volumeSnapshots.enabled", True)]),
        ("0.36.1", [("controlPlane", None), ("sync", None)]),
    ],
)
def test_check_values_valid_ones_pass(version: str, settings: list[Any]) -> None:
    validation.check_values(values(*settings), V(version))


def test_check_values_refusal_has_no_secret() -> None:
    secret = [(f"{STORES}.database.external.dataSource", "mysql://u:hunter2@db"), EXTERNAL_DATABASE]
    assert "hunter2" not in str(refusal(validation.check_values, values(*secret), V("0.36.1")))
    embedded = values((f"{STORES}.database.embedded.dataSource", "mysql://u:hunter2@db"))
    assert "hunter2" not in str(refusal(immutability.check_immutable, {}, embedded))
