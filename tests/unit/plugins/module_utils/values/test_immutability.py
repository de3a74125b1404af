# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of immutability: changes of values that vCluster or Kubernetes do not allow."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.values import immutability
from values_builders import (
    CLAIM,
    DEPLOYED_ETCD,
    EMBEDDED_ETCD,
    ETCD,
    K0S,
    K3S,
    K8S,
    REPLICAS,
    SQLITE,
    STORES,
    V,
    refusal,
    values,
)

IMMUTABLE = [
    ([], [K3S], ["controlPlane.distro"]),
    ([K3S], [], ["controlPlane.distro"]),
    ([K0S], [K8S], ["controlPlane.distro"]),
    ([], [DEPLOYED_ETCD], [STORES]),
    ([], [EMBEDDED_ETCD], [STORES]),
    ([DEPLOYED_ETCD], [EMBEDDED_ETCD], [STORES]),
    ([DEPLOYED_ETCD], [], [STORES]),
    ([], [(f"{CLAIM}.size", "10Gi")], [f"{CLAIM}.size"]),
    ([], [(f"{CLAIM}.storageClass", "fast")], [f"{CLAIM}.storageClass"]),
    ([], [(f"{CLAIM}.accessModes", ["ReadWriteMany"])], [f"{CLAIM}.accessModes"]),
    ([], [(f"{CLAIM}.enabled", False)], [f"{CLAIM}.enabled"]),
    ([DEPLOYED_ETCD], [DEPLOYED_ETCD, (f"{CLAIM}.enabled", True)], [f"{CLAIM}.enabled"]),
    (
        [],
        [("controlPlane.statefulSet.scheduling.podManagementPolicy", "OrderedReady")],
        ["controlPlane.statefulSet.scheduling.podManagementPolicy"],
    ),
    (
        [],
        [("controlPlane.statefulSet.persistence.volumeClaimTemplates", [{"metadata": {"name": "data"}}])],
        ["controlPlane.statefulSet.persistence.volumeClaimTemplates"],
    ),
    (
        [DEPLOYED_ETCD],
        [DEPLOYED_ETCD, (f"{ETCD}.persistence.volumeClaim.size", "9Gi")],
        [f"{ETCD}.persistence.volumeClaim.size"],
    ),
    ([DEPLOYED_ETCD], [DEPLOYED_ETCD, (f"{ETCD}.enabled", False)], [f"{ETCD}.enabled"]),
    ([], [("sync.toHost.namespaces.enabled", True)], ["sync.toHost.namespaces.enabled"]),
    ([], [("privateNodes.vpn.enabled", True)], ["privateNodes.vpn.enabled"]),
]


@pytest.mark.parametrize(("deployed", "desired", "paths"), IMMUTABLE)
def test_check_immutable_changed_value_is_refused(deployed: list[Any], desired: list[Any], paths: list[str]) -> None:
    error = refusal(immutability.check_immutable, values(*deployed), values(*desired))
    assert error.data["option"] == "values"
    assert error.data["value"] == paths


@pytest.mark.parametrize("settings", [side for row in IMMUTABLE for side in row[:2]])
def test_check_immutable_unchanged_values_pass(settings: list[Any]) -> None:
    immutability.check_immutable(values(*settings), values(*settings))


@pytest.mark.parametrize(
    ("deployed", "desired"),
    [
        ([], [SQLITE]),
        ([], [K8S]),
        ([], [(f"{CLAIM}.enabled", "auto")]),
        ([], [(f"{CLAIM}.enabled", True)]),
        ([], [(f"{CLAIM}.size", "5120Mi")]),
        ([], [(f"{CLAIM}.size", None)]),
        ([], [(f"{CLAIM}.retentionPolicy", "Delete")]),
        ([], [("controlPlane.statefulSet.resources.limits.cpu", "2")]),
        ([DEPLOYED_ETCD], [DEPLOYED_ETCD, (REPLICAS, 3)]),
        ([DEPLOYED_ETCD], [DEPLOYED_ETCD, (f"{CLAIM}.size", "9Gi")]),
        ([DEPLOYED_ETCD], [EMBEDDED_ETCD, (f"{STORES}.etcd.embedded.migrateFromDeployedEtcd", True)]),
    ],
)
def test_check_immutable_equal_meaning_passes(deployed: list[Any], desired: list[Any]) -> None:
    immutability.check_immutable(values(*deployed), values(*desired))


@pytest.mark.parametrize(
    ("version", "refused"), [("0.24.2", True), ("0.25.0", False), ("0.32.3", False), ("0.33.0", True)]
)
def test_check_immutable_k3s_to_k8s_depends_on_version(version: str, refused: bool) -> None:
    if refused:
        assert "'k3s' is deployed, 'k8s' is asked for" in str(
            refusal(immutability.check_immutable, values(K3S), {}, V(version))
        )
    else:
        immutability.check_immutable(values(K3S), values(K8S), V(version))
        refusal(immutability.check_immutable, values(K8S), values(K3S), V(version))


def test_check_immutable_refusal_names_old_and_new() -> None:
    message = str(refusal(immutability.check_immutable, {}, values((f"{CLAIM}.size", "10Gi"))))
    assert "'5Gi' is deployed" in message
    assert "'10Gi' is asked for" in message


def test_check_immutable_sizes_without_quantity_are_compared_as_text() -> None:
    refusal(immutability.check_immutable, {}, values((f"{CLAIM}.size", "much")))
    refusal(immutability.check_immutable, {}, values((f"{CLAIM}.size", "5G")))
