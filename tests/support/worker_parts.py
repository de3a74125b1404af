# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of tests in which no worker of pytest-xdist has all the long ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def in_parts(long: Sequence[Item], others: Sequence[Item], workers: int) -> list[Item]:
    """Return all tests, with the long ones shared out to the beginnings of the parts of the workers.

    ``--dist=worksteal`` cuts the list into equal parts, one for each worker, and one that is done with its own takes
    from the end of another's. With all long ones in front, the first worker would do them one after the other.
    """
    left, remaining = iter(others), len(long) + len(others)
    ordered: list[Item] = []
    for worker in range(workers):
        own = long[worker::workers]
        size = remaining // (workers - worker)
        ordered += [*own, *itertools.islice(left, max(size - len(own), 0))]
        remaining -= size
    return [*ordered, *left]
