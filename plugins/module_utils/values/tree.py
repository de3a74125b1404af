# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as a tree: merge two, and look up or build a path."""

from __future__ import annotations

import copy
from typing import Any


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
