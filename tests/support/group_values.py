# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of groups for tests that place many virtual clusters on a host cluster."""

from __future__ import annotations

from typing import Any

SMALL = {"cpu": "1", "memory": "1Gi", "storage": "1Gi"}
CAPACITY = {"cpu": "20", "memory": "40Gi", "storage": "100Gi"}
# One that asks for little and never runs: placing it is all that a test wants.
NOWHERE: dict[str, Any] = {
    "controlPlane": {
        "coredns": {"enabled": False},
        "statefulSet": {
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "128Mi"}},
            "scheduling": {"nodeSelector": {"it": "nowhere"}},
        },
    }
}
