# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions of vCluster and Kubernetes go together."""

from __future__ import annotations

from dataclasses import dataclass

from ..common.errors import OptionError
from ..common.semver import Minor, Version, parse_kubernetes_version, parse_version

DEFAULT_VCLUSTER_VERSION = "0.36.1"
# vcluster.yaml came with 0.20; older releases speak another values format (documentation: upgrade-version).
OLDEST_VCLUSTER_VERSION = "0.20.0"


def check_vcluster_version(version: Version) -> None:
    """Raise OptionError for a version below the oldest that is supported."""
    if version < parse_version(OLDEST_VCLUSTER_VERSION):
        raise OptionError(
            "vcluster_version",
            version.text,
            f"{OLDEST_VCLUSTER_VERSION} or later",
            reason=f"vcluster.yaml does not exist before {OLDEST_VCLUSTER_VERSION}",
        )


# --- Kubernetes versions ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class KubernetesVersions:
    """``default``: what the chart deploys when none is named, None where unknown.

    ``documented``: minors the documentation calls tested or likely compatible, newest first, the default's
    minor at least. Others are not known to fail.
    """

    default: Version | None
    documented: tuple[str, ...]


# Source: chart/values.yaml, controlPlane.distro.*.image.tag at every tag from v0.20.0 to v0.37.0-rc.1;
# a row holds from its version to the next row of the same minor. One column a distribution.
DEFAULT_KUBERNETES: dict[str, dict[str, str]] = {
    "0.20.0": {"k8s": "1.30.2", "k3s": "1.30.2", "k0s": "1.30.2"},
    "0.21.0": {"k8s": "1.31.1", "k3s": "1.31.1", "k0s": "1.30.2"},
    "0.22.0": {"k8s": "1.31.1", "k3s": "1.31.1", "k0s": "1.30.2"},
    "0.23.0": {"k8s": "1.32.1", "k3s": "1.32.1", "k0s": "1.30.2"},
    "0.24.0": {"k8s": "1.32.1", "k3s": "1.32.1", "k0s": "1.30.2"},
    "0.25.0": {"k8s": "1.32.1", "k3s": "1.32.1", "k0s": "1.30.2"},
    "0.25.2": {"k8s": "1.32.8", "k3s": "1.32.7", "k0s": "1.30.2"},
    "0.26.0": {"k8s": "1.32.1", "k3s": "1.32.1"},
    "0.26.1": {"k8s": "1.32.8", "k3s": "1.32.7"},
    "0.27.0": {"k8s": "1.33.1", "k3s": "1.33.1"},
    "0.27.1": {"k8s": "1.33.4", "k3s": "1.33.3"},
    "0.28.0": {"k8s": "1.33.4", "k3s": "1.33.3"},
    "0.29.0": {"k8s": "1.33.4", "k3s": "1.33.3"},
    "0.30.0": {"k8s": "1.34.0", "k3s": "1.34.1"},
    "0.31.0": {"k8s": "1.34.0", "k3s": "1.34.1"},
    "0.32.0": {"k8s": "1.35.0", "k3s": "1.35.0"},
    "0.33.0": {"k8s": "1.35.0"},
    "0.34.0": {"k8s": "1.35.0"},
    "0.35.0": {"k8s": "1.36.0"},
    "0.36.0": {"k8s": "1.36.0"},
    "0.37.0-rc.1": {"k8s": "1.36.0"},
}
# Documentation, static/api/k8s-compatibility.json: one matrix, for the vCluster that was newest then.
_DOCUMENTED_KUBERNETES: dict[Minor, tuple[str, ...]] = {
    (0, 36): ("1.36", "1.35", "1.34"),
    (0, 37): ("1.36", "1.35", "1.34"),
}


def kubernetes_versions(version: Version, distribution: str = "k8s") -> KubernetesVersions:
    """Return what is known of the Kubernetes versions that a vCluster version runs.

    vCluster enforces nothing, and its documentation lists no combination that does not work: versions out
    of upstream support "can still be used but are not guaranteed to work", newer ones are tested with the
    newest vCluster within 30 days (supported_versions). So no combination is refused.
    """
    default: Version | None = None
    for since, tags in DEFAULT_KUBERNETES.items():
        row = parse_version(since)
        if row.release == version.release and row <= version and distribution in tags:
            default = parse_kubernetes_version(tags[distribution])
    documented = _DOCUMENTED_KUBERNETES.get(version.release, ()) if distribution == "k8s" else ()
    if not documented and default is not None:
        documented = (f"{default.major}.{default.minor}",)
    return KubernetesVersions(default, documented)
