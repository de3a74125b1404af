# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host cluster's resource as a line of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.plugin_utils.resource_bars import (
    ASCII,
    BLOCKS,
    SHORTEST_BAR,
    draw,
    figures,
    shares,
)


def resource_bar(host: Any, resource: str, width: int = 40, ascii_only: bool = False) -> str:
    """Return the bar, two spaces, and its figures. Raises AnsibleFilterError."""
    try:
        if isinstance(width, bool) or not isinstance(width, int) or width < SHORTEST_BAR:
            raise OptionError("width", width, f"a whole number, {SHORTEST_BAR} or more")
        if not isinstance(ascii_only, bool):
            raise OptionError("ascii_only", ascii_only, "true or false")
        of = shares(host, resource)
    except OptionError as error:
        raise AnsibleFilterError(f"nested.clusters.resource_bar: {error}") from error
    return f"{draw(of, width, ASCII if ascii_only else BLOCKS)}  {figures(of)}"


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"resource_bar": resource_bar}
