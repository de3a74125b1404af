# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as a tree: merge two, and look up or build a path.

A path is written with dots, as in the documentation of vCluster. It is a tuple where keys may hold dots themselves.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeAlias

Path: TypeAlias = "str | tuple[str, ...]"
MISSING: Any = object()  # a default that no value is


def merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return ``over`` laid on ``under``: dictionaries are merged, everything else is replaced, as Helm does."""
    result = copy.deepcopy(under)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def get(values: Any, path: Path, default: Any = None) -> Any:
    """Return the value at a path, ``default`` where there is none."""
    for key in keys_of(path):
        if not isinstance(values, Mapping) or key not in values:
            return default
        values = values[key]
    return values


def setting(values: Mapping[str, Any], path: Path, default: Any) -> Any:
    """Return the value at a path; null too means the chart's default."""
    value = get(values, path, default)
    return default if value is None else value


def at(path: Path, value: Any) -> dict[str, Any]:
    """Return values that hold one value at a path."""
    for key in reversed(keys_of(path)):
        value = {key: value}
    return value


def keys_of(path: Path) -> tuple[str, ...]:
    """Return the keys that lead to a path."""
    return tuple(path.split(".")) if isinstance(path, str) else path


def is_on(value: Any) -> bool:
    """Return whether a switch is on: the chart's templates take text for it as well."""
    return value is True or (isinstance(value, str) and value.lower() == "true")
