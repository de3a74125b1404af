# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time that a test lets pass, and that passes at once."""

from __future__ import annotations

from typing import Any


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
