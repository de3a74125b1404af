# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of size: quantities as Kubernetes reads them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.size import quantity

SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


@pytest.mark.parametrize(("suffix", "factor"), SUFFIXES.items())
@pytest.mark.parametrize("number", ["0", "1", "1.5", "250"])
def test_a_suffix_is_a_factor(number: str, suffix: str, factor: Decimal) -> None:
    assert quantity(number + suffix) == Decimal(number) * factor


@pytest.mark.parametrize(
    ("one", "other"),
    [("1000m", "1"), ("1000m", 1), ("5Gi", "5368709120"), ("0.5", "500m"), (0.5, "500m"), ("1e3", 1000)],
)
def test_the_same_size_written_twice(one: Any, other: Any) -> None:
    assert quantity(one) is not None
    assert quantity(one) == quantity(other)


@pytest.mark.parametrize(
    "value",
    [None, True, False, [], {}, "", " ", "m", "Gi", "-", "vcluster", "1.2.3", "5Gib", "5 gigabytes", "0x10"],
)
def test_what_is_no_quantity(value: Any) -> None:
    assert quantity(value) is None
