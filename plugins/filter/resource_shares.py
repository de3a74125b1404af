# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host cluster's resource as the numbers that a drawing of it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.plugin_utils.resource_bars import (
    figures,
    percentages,
    remarks,
    shares,
    text,
)


def resource_shares(host: Any, resource: str) -> dict[str, Any]:
    """Return amounts, their texts and their percentages. Raises AnsibleFilterError."""
    try:
        of = shares(host, resource)
    except OptionError as error:
        raise AnsibleFilterError(f"nested.clusters.resource_shares: {error}") from error
    amounts = {
        "limit": of.limit,
        "allocated": of.allocated,
        "used": of.used,
        "available": of.available,
    }
    known = {key: amount for key, amount in amounts.items() if amount is not None}
    return {
        "known": of.known,
        "amounts": {key: float(known[key]) if key in known else None for key in amounts},
        "texts": {key: text(known[key], resource) if key in known else None for key in amounts},
        "percent": percentages(of),
        "figures": figures(of),
        "remarks": remarks(of),
    }


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"resource_shares": resource_shares}
