# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of vCluster for tests, by the paths of their settings."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import semver
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.values import support_matrix

V = semver.parse_version


def values(*settings: tuple[str, Any]) -> dict[str, Any]:
    """A nested dict from (dotted path, value) pairs."""
    result: dict[str, Any] = {}
    for path, value in settings:
        *parents, last = path.split(".")
        functools.reduce(lambda node, key: node.setdefault(key, {}), parents, result)[last] = value
    return result


def refusal(function: Any, *args: Any) -> OptionError:
    with pytest.raises(OptionError) as caught:
        function(*args)
    assert isinstance(caught.value, NestedClustersError)
    return caught.value


# The example of semver.org, section 11, and vCluster's own kinds of tags.
ASCENDING = [
    "0.20.0",
    "0.24.2",
    "0.36.0-alpha",
    "0.36.0-alpha.1",
    "0.36.0-alpha.beta",
    "0.36.0-beta",
    "0.36.0-beta.2",
    "0.36.0-beta.11",
    "0.36.0-rc.1",
    "0.36.0",
    "0.36.1",
    "0.36.10",
    "0.37.0-next.internal.9",
    "0.37.0-rc.1",
    "0.37.0",
    "1.0.0",
]
RELEASES = [V(text) for text in support_matrix.DEFAULT_KUBERNETES]
STORES = "controlPlane.backingStore"
EMBEDDED_ETCD = (f"{STORES}.etcd.embedded.enabled", True)
DEPLOYED_ETCD = (f"{STORES}.etcd.deploy.enabled", True)
EXTERNAL_ETCD = (f"{STORES}.etcd.external.enabled", True)
SQLITE = (f"{STORES}.database.embedded.enabled", True)
EXTERNAL_DATABASE = (f"{STORES}.database.external.enabled", True)
K3S = ("controlPlane.distro.k3s.enabled", True)
K0S = ("controlPlane.distro.k0s.enabled", True)
K8S = ("controlPlane.distro.k8s.enabled", True)
REPLICAS = "controlPlane.statefulSet.highAvailability.replicas"
IMAGE = "controlPlane.statefulSet.image.repository"
CLAIM = "controlPlane.statefulSet.persistence.volumeClaim"
ETCD = f"{STORES}.etcd.deploy.statefulSet"
