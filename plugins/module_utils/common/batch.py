# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Define what tasks for many virtual clusters have in common: options, jobs and results."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from . import progress
from .errors import OptionError

NAMES_SHOWN = 10  # in a message
NOT_BEGUN = "not begun, because so many others had failed (max_failures)"


@dataclass(frozen=True)
class BatchOptions:
    """What a task asks for; ``timeout`` is in seconds and for each virtual cluster."""

    state: str
    check: bool = False
    wait: bool = True
    timeout: float = 300
    at_once: int = 200
    max_failures: int | None = None
    accept_data_loss: bool = False
    keep_volumes: bool = False  # of those to delete
    trust_kubelet: bool = False  # whether its word that one is ready counts, and no API is asked
    max_selected: int | None = None  # with more of them, nothing is begun

    def check_selected(self, names: Sequence[str]) -> None:
        """Raise OptionError where more are selected than the task allows."""
        if self.max_selected is None or len(names) <= self.max_selected:
            return
        shown = [*names[:NAMES_SHOWN], f"and {len(names) - NAMES_SHOWN} more"] if len(names) > NAMES_SHOWN else names
        raise OptionError(
            "max_selected",
            self.max_selected,
            f"{len(names)} or more, or a selection of fewer",
            reason=f"{len(names)} virtual clusters are selected, and none was changed: {', '.join(shown)}",
        )


@dataclass(kw_only=True)
class BatchJob:
    """A job among many. ``error`` says why it failed, ``begun`` whether it was its turn at all."""

    error: str = ""
    begun: bool = True
    started: float = 0.0
    last: str = "nothing was seen yet"

    def late(self, order: BatchOptions) -> str:
        """Return the error of a job that has had its time."""
        raise NotImplementedError


def report_progress(host: str, left: Sequence[tuple[str, BatchJob]], total: int) -> None:
    """Report how many virtual clusters of a host cluster are left, and what the first of them waits for.

    ``left`` are their names and jobs.
    """
    waiting = [(name, job.last) for name, job in left if job.last != BatchJob.last]
    if not waiting:
        return
    name, last = waiting[0]
    if total == 1:
        progress.report(f"virtual cluster {name}", last)
    else:
        progress.report(f"host cluster {host}", f"{len(left)} of {total} virtual clusters left; {name}: {last}")


AnyJob = TypeVar("AnyJob", bound=BatchJob)


class Reported(Protocol):
    """The part of a job that every result has."""

    def describe(self, order: BatchOptions) -> dict[str, Any]:
        """Return the part of the result that is about it."""

    def diff(self, order: BatchOptions) -> dict[str, str]:
        """Return what changed, for ``--diff``."""


@dataclass
class BatchResult:
    """The results of all of them. ``unread`` are host clusters that could not be read, and why."""

    jobs: Sequence[Reported]
    unread: dict[str, str]
    warnings: list[str]


class Budget:
    """The number of jobs that may run on all host clusters together, and of those that may fail."""

    def __init__(self, at_once: int, max_failures: int | None, failed: int = 0) -> None:
        self._free = at_once
        self._failures_left = float("inf") if max_failures is None else max_failures - failed
        self._lock = threading.Lock()

    @property
    def spent(self) -> bool:
        """Return whether so many have failed that no further one is begun."""
        return self._failures_left <= 0

    def begin(self, queue: deque[AnyJob]) -> list[AnyJob]:
        """Return the jobs of the queue to begin now; drop all others once too many have failed."""
        begun = []
        while queue and self._take():
            job = queue.popleft()
            job.started = time.monotonic()
            begun.append(job)
        if self.spent:
            for job in queue:
                job.begun = False
            queue.clear()
        return begun

    def has_ended(self, job: BatchJob, reached: bool, order: BatchOptions) -> bool:
        """Return whether a job has reached its state, failed, or has had its time."""
        if time.monotonic() - job.started > order.timeout and not (reached or job.error):
            job.error = job.late(order)
        ended = reached or bool(job.error)
        if ended:
            self._give(bool(job.error))
        return ended

    def _take(self) -> bool:
        with self._lock:
            if self._free < 1 or self.spent:
                return False
            self._free -= 1
            return True

    def _give(self, failed: bool) -> None:
        with self._lock:
            self._free += 1
            self._failures_left -= failed
