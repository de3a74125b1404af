# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hide what is secret in values before they are shown."""

from __future__ import annotations

import re
from typing import Any

# Names that speak of a secret; "secrets" is the kind that is synced.
SECRET_NAME = re.compile(
    r"passw|passphrase|token|secret(?!s$)|datasource|credential|apikey|accesskey|privatekey|licen[cs]e"
)
MASK = "VALUE_HIDDEN"


def masked_environment(data: Any) -> Any:
    """Objects that can be shown: values of environment variables whose names speak of a secret are hidden."""
    if isinstance(data, dict):
        if "value" in data and _speaks_of_a_secret(str(data.get("name", ""))):
            return {**data, "value": MASK}
        return {key: masked_environment(value) for key, value in data.items()}
    if isinstance(data, list):
        return [masked_environment(item) for item in data]
    return data


def _speaks_of_a_secret(name: str) -> bool:
    return bool(SECRET_NAME.search(re.sub("[-_.]", "", name.lower())))


def masked(values: Any, name: str = "", hide: bool = False) -> Any:
    """Values that can be shown.

    Hidden is all below a name that speaks of a secret, the value of an environment variable with such a name,
    and text that holds a manifest of a Secret.
    """
    hide = hide or _speaks_of_a_secret(name)
    if isinstance(values, dict):
        named = str(values.get("name", "")) if "value" in values else ""  # {name: DB_PASSWORD, value: ...}
        return {
            key: masked(value, named if key == "value" and named else str(key), hide) for key, value in values.items()
        }
    if isinstance(values, list):
        return [masked(item, "", hide) for item in values]
    if isinstance(values, bool) or values in (None, ""):
        return values
    if hide or (isinstance(values, str) and re.search(r"kind:\s*[\"']?Secret\b", values)):
        return MASK
    return values
