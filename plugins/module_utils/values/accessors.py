# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read single settings out of the values of a virtual cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import tree
from .backing_store import EMBEDDED_ETCD, store_of

DISTRIBUTION_ORDER = ("k3s", "k0s", "k8s")


def distribution_of(values: Mapping[str, Any]) -> str:
    """Return the enabled distribution, by default k8s (source: config/config.go, Distro, up to 0.32)."""
    for name in DISTRIBUTION_ORDER:
        if tree.is_on(tree.get(values, f"controlPlane.distro.{name}.enabled")):
            return name
    return "k8s"


WORKLOAD_PATH = "controlPlane.statefulSet"
REPLICAS_PATH = f"{WORKLOAD_PATH}.highAvailability.replicas"


def claim_enabled(values: dict[str, Any]) -> bool:
    """Return whether a claim is enabled (source: chart/templates/_persistence.tpl, ...volumeClaim.enabled)."""
    persistence = f"{WORKLOAD_PATH}.persistence"
    if tree.get(values, f"{persistence}.volumeClaimTemplates"):
        return True
    enabled = tree.setting(values, f"{persistence}.volumeClaim.enabled", "auto")
    if str(enabled) == "auto":
        return store_of(values).embedded
    return tree.is_on(enabled)


def is_stateful_set(values: dict[str, Any]) -> bool:
    """Return whether it is a StatefulSet (source: chart/templates/_persistence.tpl, vcluster.kind, from 0.21 on)."""
    return claim_enabled(values) or store_of(values) == EMBEDDED_ETCD


OPEN_SOURCE_IMAGE = "loft-sh/vcluster-oss"
# The chart's own default image asks for a license as soon as a licensed feature is switched on.
BUILT_IN: dict[str, Any] = {"controlPlane": {"statefulSet": {"image": {"repository": OPEN_SOURCE_IMAGE}}}}

GLOBAL_ANNOTATIONS = "controlPlane.advanced.globalMetadata.annotations"
IMAGE_REPOSITORY = f"{WORKLOAD_PATH}.image.repository"
