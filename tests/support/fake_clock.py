# SPDX-License-Identifier: GPL-3.0-or-later
"""Time that passes by sleeping only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


class Clock:
    """Time that passes by sleeping only; ``then`` is done at the first sleep after its time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events: list[tuple[float, Any]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for event in [event for event in self.events if self.now >= 1000 + event[0]]:
            self.events.remove(event)
            event[1]()

    def after(self, seconds: float, then: Any) -> None:
        self.events.append((seconds, then))


def replace_time(monkeypatch: pytest.MonkeyPatch, clock: Clock, modules: Sequence[Any]) -> None:
    """Replace the clocks of modules that wait."""
    for module in modules:
        monkeypatch.setattr(module, "time", clock)
