# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the support matrix: vCluster versions, and the Kubernetes versions of each."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import semver
from ansible_collections.nested.clusters.plugins.module_utils.values import support_matrix
from values_builders import RELEASES, V, refusal


def check(text: str) -> None:
    support_matrix.check_vcluster_version(V(text))


@pytest.mark.parametrize(
    "text", [support_matrix.OLDEST_VCLUSTER_VERSION, support_matrix.DEFAULT_VCLUSTER_VERSION, "0.37.0-rc.1", "1.0.0"]
)
def test_check_vcluster_version_supported_is_allowed(text: str) -> None:
    check(text)


@pytest.mark.parametrize("text", ["0.19.9", "0.20.0-beta.1", "0.36", "latest"])
def test_check_vcluster_version_too_old_is_refused(text: str) -> None:
    error = refusal(check, text)
    assert (error.data["option"], error.data["value"]) == ("vcluster_version", text)


@pytest.mark.parametrize(
    ("version", "distribution", "expected"),
    [
        ("0.36.1", "k8s", "1.36.0"),
        ("0.36.99", "k8s", "1.36.0"),
        ("0.25.1", "k8s", "1.32.1"),
        ("0.25.2", "k8s", "1.32.8"),
        ("0.26.0", "k8s", "1.32.1"),
        ("0.30.5", "k3s", "1.34.1"),
        ("0.33.0", "k3s", None),
        ("0.25.0", "k0s", "1.30.2"),
        ("0.26.0", "k0s", None),
        ("0.99.0", "k8s", None),
    ],
)
def test_kubernetes_versions_default_is_that_of_chart(version: str, distribution: str, expected: str | None) -> None:
    default = support_matrix.kubernetes_versions(V(version), distribution).default
    assert (str(default) if default else None) == expected


@pytest.mark.parametrize("version", RELEASES)
def test_kubernetes_versions_default_is_documented(version: semver.Version) -> None:
    known = support_matrix.kubernetes_versions(version)
    assert known.default is not None
    assert f"{known.default.major}.{known.default.minor}" in known.documented


def test_kubernetes_versions_unknown_vcluster_has_none() -> None:
    assert support_matrix.kubernetes_versions(V("0.99.0")) == support_matrix.KubernetesVersions(None, ())
