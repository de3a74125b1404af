# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes quantities: ``500m`` cpu, ``2Gi`` memory."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def quantity(value: Any) -> Decimal | None:
    """The number a quantity stands for (cores, bytes), or None when it is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    # Here, because importing the library takes longer than most tasks, and few have to compare quantities.
    from kubernetes.utils.quantity import parse_quantity

    try:
        return parse_quantity(value)
    except (ValueError, ArithmeticError):
        return None
