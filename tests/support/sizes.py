# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes for tests: one that is said in full, and all that there can be."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from hypothesis import strategies as st


def size(cpu: Any = None, memory: Any = None, storage: Any = None) -> Size:
    """Return a size from quantities."""
    return Size.parse({"cpu": cpu, "memory": memory, "storage": storage}, "size", partial=True)


def sizes(limited: bool = False, most: int = 2**63 - 1) -> st.SearchStrategy[Size]:
    """Return sizes; ``limited`` ones have a number for everything.

    Round and small numbers are as likely as any other.
    """
    number = st.one_of(st.integers(0, min(20, most)), st.integers(0, most))
    round_number = st.builds(lambda count, power: min(count * 1024**power, most), st.integers(0, 64), st.integers(0, 6))
    byte_counts = st.one_of(number, round_number).map(Decimal)
    cpus = st.one_of(number, st.integers(0, min(64, most // 1000)).map(lambda count: count * 1000))
    no_limit = st.nothing() if limited else st.none()
    return st.builds(
        Size,
        st.one_of(cpus.map(lambda thousandths: Decimal(thousandths) / 1000), no_limit),
        st.one_of(byte_counts, no_limit),
        st.one_of(byte_counts, no_limit),
    )
