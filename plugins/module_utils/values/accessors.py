# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read single settings out of the values of a virtual cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# --- reading values ---------------------------------------------------------------------------------------

MISSING: Any = object()


def value_at(values: Mapping[str, Any], path: str, default: Any = None) -> Any:
    node: Any = values
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return default
        node = node[key]
    return node


def setting_at(values: Mapping[str, Any], path: str, default: Any) -> Any:
    """As value_at, but null too means the chart's default."""
    value = value_at(values, path)
    return default if value is None else value


def is_on(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


STORE_PATH = "controlPlane.backingStore"
# In the order in which vCluster decides (source: config/config.go, BackingStoreType).
STORE_SWITCHES = {
    "embedded-etcd": f"{STORE_PATH}.etcd.embedded.enabled",
    "external-etcd": f"{STORE_PATH}.etcd.external.enabled",
    "deployed-etcd": f"{STORE_PATH}.etcd.deploy.enabled",
    "embedded-sqlite": f"{STORE_PATH}.database.embedded.enabled",
    "external-database": f"{STORE_PATH}.database.external.enabled",
}
DISTRIBUTION_ORDER = ("k3s", "k0s", "k8s")


def backing_store(values: dict[str, Any]) -> str:
    """embedded-sqlite (the default), deployed-etcd, embedded-etcd, external-etcd or external-database."""
    for store, switch in STORE_SWITCHES.items():
        if is_on(value_at(values, switch)):
            return store
    return "embedded-sqlite"


def distribution_of(values: Mapping[str, Any]) -> str:
    """k8s unless another is enabled (source: config/config.go, Distro, up to 0.32)."""
    for name in DISTRIBUTION_ORDER:
        if is_on(value_at(values, f"controlPlane.distro.{name}.enabled")):
            return name
    return "k8s"


WORKLOAD_PATH = "controlPlane.statefulSet"


def claim_enabled(values: dict[str, Any]) -> bool:
    """Source: chart/templates/_persistence.tpl, vcluster.persistence.volumeClaim.enabled."""
    persistence = f"{WORKLOAD_PATH}.persistence"
    if value_at(values, f"{persistence}.volumeClaimTemplates"):
        return True
    enabled = setting_at(values, f"{persistence}.volumeClaim.enabled", "auto")
    if str(enabled) == "auto":
        return backing_store(values) in ("embedded-sqlite", "embedded-etcd")
    return is_on(enabled)


def is_stateful_set(values: dict[str, Any]) -> bool:
    """Source: chart/templates/_persistence.tpl, vcluster.kind (from 0.21 on)."""
    return claim_enabled(values) or backing_store(values) == "embedded-etcd"


OPEN_SOURCE_IMAGE = "loft-sh/vcluster-oss"
# The chart's own default image asks for a licence as soon as a licensed feature is switched on.
BUILT_IN: dict[str, Any] = {"controlPlane": {"statefulSet": {"image": {"repository": OPEN_SOURCE_IMAGE}}}}

GLOBAL_ANNOTATIONS = ("controlPlane", "advanced", "globalMetadata", "annotations")
IMAGE_REPOSITORY = ("controlPlane", "statefulSet", "image", "repository")
