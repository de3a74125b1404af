# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured: progress on the terminal, the table, build/bench.json."""

from __future__ import annotations

import contextlib
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BenchError(Exception):
    """Why nothing could be measured, in one sentence."""


@dataclass(frozen=True)
class Result:
    """A ratio of medians, ours to a peer's, measured in the same run, and its limit."""

    name: str
    ours: Sequence[float]
    peer: Sequence[float]
    limit: float
    unit: str = "s"

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.peer)

    @property
    def verdict(self) -> str:
        return "over" if self.ratio > self.limit else "ok"

    def as_json(self) -> dict[str, Any]:
        """The entry in bench.json; unit is that of the samples."""
        return {
            "name": self.name,
            "ratio": round(self.ratio, 4),
            "limit": self.limit,
            "unit": self.unit,
            "samples": {
                "ours": [round(value, 3) for value in self.ours],
                "peer": [round(value, 3) for value in self.peer],
            },
        }


@contextlib.contextmanager
def stage(text: str, expected: str) -> Iterator[None]:
    """Show what is being done, how long it should take and how long it took."""
    print(f"  {text} (about {expected}) ...", flush=True)
    start = time.monotonic()
    yield
    print(f"  {text}: {time.monotonic() - start:.1f} s", flush=True)


def in_short(samples: Sequence[float]) -> str:
    """The smallest, the median and the largest, or the only one."""
    if len(set(samples)) == 1:
        return f"{samples[0]:.3g}"
    parts = (min(samples), statistics.median(samples), max(samples))
    return "/".join(f"{value:.3g}" for value in parts) + f" ({len(samples)})"


def table(results: Sequence[Result]) -> str:
    """All results for the eye."""
    head = ("name", "ratio", "limit", "", "unit", "ours min/median/max (n)", "peer")
    rows = [head] + [
        (
            result.name,
            f"{result.ratio:.4g}",
            f"{result.limit:g}",
            result.verdict,
            result.unit,
            in_short(result.ours),
            in_short(result.peer),
        )
        for result in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [[f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def save(results: Sequence[Result], target: Path) -> None:
    """Write the results for programs."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps([result.as_json() for result in results], indent=2) + "\n", encoding="utf-8")
