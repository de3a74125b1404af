# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for something in a test."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest


def eventually(
    what: str | Callable[[], str], question: Callable[[], Any], seconds: float = 120, pause: float = 0.2
) -> Any:
    """The first true answer to a question; fails the test, saying what was missed, when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > deadline:
            pytest.fail(f"not seen within {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(pause)
    return answer
