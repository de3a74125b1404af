# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hide what is secret in values before they are shown."""

from __future__ import annotations

import re
from typing import Any

from ..common.redaction import MASK, redacted, speaks_of_a_secret


def masked_environment(data: Any) -> Any:
    """Return objects that can be shown: values of environment variables whose names speak of a secret are hidden."""
    if isinstance(data, dict):
        if "value" in data and speaks_of_a_secret(str(data.get("name", ""))):
            return {**data, "value": MASK}
        return {key: masked_environment(value) for key, value in data.items()}
    if isinstance(data, list):
        return [masked_environment(item) for item in data]
    return data


def masked(values: Any, name: str = "") -> Any:
    """Return values that can be shown.

    Hidden is all below a name that speaks of a secret, the value of an environment variable with such a name,
    and text that holds a manifest of a Secret.
    """
    return redacted(values, name, text=_without_a_secret)


def _without_a_secret(text: str) -> str:
    return MASK if re.search(r"kind:\s*[\"']?Secret\b", text) else text
