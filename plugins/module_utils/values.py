# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into vcluster.yaml: the collection's own defaults under what the request says."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.compatibility import OPEN_SOURCE_IMAGE

# The chart's own default image asks for a licence as soon as a licensed feature is switched on.
BUILT_IN: dict[str, Any] = {"controlPlane": {"statefulSet": {"image": {"repository": OPEN_SOURCE_IMAGE}}}}

KUBERNETES_VERSION = ("controlPlane", "distro", "k8s", "version")
IMAGE_REPOSITORY = ("controlPlane", "statefulSet", "image", "repository")

SECRET_WORDS = ("password", "token", "secret", "datasource", "credential", "accesskey", "privatekey", "license")
MASK = "VALUE_HIDDEN"


def merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``under``: dictionaries are merged, everything else is replaced, as Helm does."""
    result = copy.deepcopy(under)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def get(values: dict[str, Any], where: tuple[str, ...]) -> Any:
    """The value at a path, or None."""
    for key in where:
        if not isinstance(values, dict):
            return None
        values = values.get(key)  # type: ignore[assignment]
    return values


def at(where: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Values that hold one value at a path."""
    for key in reversed(where):
        value = {key: value}
    return value


def desired(
    asked: dict[str, Any] | None, kubernetes_version: str | None, deployed: dict[str, Any] | None, ours: bool
) -> dict[str, Any]:
    """The values that the release shall have.

    ``asked`` is None when the task does not speak of values: what is deployed stays. A release that this
    collection made has exactly the built-in values and those of the task. One that somebody else made keeps its
    own values under those of the task, so that taking it over restarts nothing.
    """
    if deployed is None:
        result = merge(BUILT_IN, asked or {})
    elif asked is None:
        result = copy.deepcopy(deployed)
    elif ours:
        result = merge(BUILT_IN, asked)
        kept = get(deployed, KUBERNETES_VERSION)
        if kept and get(asked, KUBERNETES_VERSION) is None:  # leaving it out is no order to change Kubernetes
            result = merge(result, at(KUBERNETES_VERSION, kept))
    else:
        result = merge(deployed, asked)
    if kubernetes_version:
        result = merge(result, at(KUBERNETES_VERSION, kubernetes_version))
    return result


def masked(values: Any, name: str = "") -> Any:
    """Values that can be shown: whatever sits under a name that speaks of a secret is hidden."""
    if isinstance(values, dict):
        return {key: masked(value, str(key)) for key, value in values.items()}
    if isinstance(values, list):
        return [masked(item, name) for item in values]
    plain = name.lower().replace("-", "").replace("_", "")
    if isinstance(values, str) and values and any(word in plain for word in SECRET_WORDS):
        return MASK
    return values
