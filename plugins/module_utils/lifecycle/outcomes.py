# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe in a module's result the virtual cluster that a task made or changed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ..virtual_cluster import description
from ..virtual_cluster.cluster_state import Outcome


def describe(outcome: Outcome, name: str) -> dict[str, Any]:
    """Return the virtual cluster as the task leaves it; empty if there is none."""
    workload = outcome.state.workload(name)
    if workload is None:
        return {}
    services = [live for key, live in outcome.state.live.items() if key[1] == "Service"]
    routes = [live for key, live in outcome.state.live.items() if key[1] in description.ROUTE_KINDS]
    release = outcome.state.release
    return description.describe(
        workload,
        description.RelatedObjects(services=services, routes=routes),
        datetime.now(timezone.utc),
        values=release.values if release else None,
    )
