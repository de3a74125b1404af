# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the order in which no worker has all the long tests."""

from __future__ import annotations

import pytest
from worker_parts import in_parts


def test_long_tests_are_shared_out_to_the_beginnings_of_parts() -> None:
    assert in_parts(["A", "B", "C"], list("defghij"), 2) == ["A", "C", "d", "e", "f", "B", "g", "h", "i", "j"]


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(("long", "others"), [(0, 5), (1, 0), (5, 2), (3, 40), (0, 0)])
def test_part_of_each_worker_has_its_long_tests_first(workers: int, long: int, others: int) -> None:
    names = [f"long {number}" for number in range(long)]
    ordered = in_parts(names, [str(number) for number in range(others)], workers)
    assert sorted(ordered) == sorted([*names, *map(str, range(others))])
    if long >= workers > 1 and others > 2 * long:
        size = len(ordered) // workers
        assert all(ordered[worker * size].startswith("long") for worker in range(workers))
