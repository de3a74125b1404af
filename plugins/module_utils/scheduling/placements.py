# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the host cluster of a virtual cluster, and say why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..common.errors import OptionError
from ..common.size import RESOURCES, Amount, Size, rounded
from .quotas import AdmissionDenied

STRATEGIES = ("spread", "pack")


@dataclass(frozen=True)
class Candidate:
    """A host cluster: what may be allocated, what is, and why nothing can be placed there ("" where it can)."""

    name: str
    limit: Size
    allocated: Size
    unavailable: str = ""

    @property
    def available(self) -> Size:
        """Return what is left to allocate; negative if more than the limit is allocated."""
        return self.limit - self.allocated


@dataclass(frozen=True)
class Considered:
    """What became of a candidate: ``left`` is what would remain on it, or remains where it does not fit.

    ``score`` is None where it does not fit; see ``place``.
    """

    name: str
    fits: bool
    chosen: bool
    reason: str
    left: Size
    score: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, the score to four places."""
        return {
            "name": self.name,
            "fits": self.fits,
            "chosen": self.chosen,
            "reason": self.reason,
            "left": self.left.as_dict(),
            "score": None if self.score is None else round(self.score, 4),
        }


@dataclass(frozen=True)
class Placement:
    """The host cluster that takes what is ``asked`` (None: none does), and all that were considered, by name.

    ``pinned`` and ``current`` are those of ``place``.
    """

    asked: Size
    host: str | None
    strategy: str
    considered: tuple[Considered, ...]
    pinned: str | None = None
    current: Size | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "host": self.host,
            "strategy": self.strategy,
            "considered": [item.as_dict() for item in self.considered],
        }

    def why_not(self) -> str:
        """Return one sentence that says why no host cluster was chosen; "" where one was."""
        if self.host is not None:
            return ""
        wanted = f"for {self.asked}" if self.current is None else f"to go from {self.current} to {self.asked}"
        reasons = {item.name: item.reason for item in self.considered}
        if self.pinned is not None:
            return f"host cluster {self.pinned} has no room {wanted}: {reasons[self.pinned]}"
        listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        return f"no host cluster has room {wanted}: {listed or 'there is none'}"

    def refusal(self) -> AdmissionDenied:
        """Return the error where no host cluster was chosen; its data has this placement."""
        return AdmissionDenied(
            f"{self.why_not()}; ask for less, or delete or resize another virtual cluster, or add nodes or a host "
            "cluster",
            check="capacity",
            asked=self.asked.as_dict(),
            placement=self.as_dict(),
        )


def place(
    requested: Size,
    candidates: Iterable[Candidate],
    strategy: str = "spread",
    pinned: str | None = None,
    current: Size | None = None,
) -> Placement:
    """Choose a host cluster with room for ``asked``.

    The score of a candidate is the smallest fraction of its limit, over the three resources, that would be left
    (unlimited counts as 1, and so does nothing asked of a limit of 0). ``spread`` takes the largest score, ``pack``
    the smallest; of equals, the name that sorts first. ``pinned`` is the only host cluster to consider. ``current``
    is what the virtual cluster has there already, if it is resized: see ``room``.

    Raises OptionError for a strategy or a pinned host cluster that does not exist.
    """
    if strategy not in STRATEGIES:
        raise OptionError("strategy", strategy, ", ".join(STRATEGIES))
    ordered = sorted(candidates, key=lambda candidate: candidate.name)
    if pinned is not None and pinned not in [candidate.name for candidate in ordered]:
        names = ", ".join(candidate.name for candidate in ordered)
        raise OptionError("host_cluster", pinned, names or "none, as there is no host cluster")
    held = current if pinned is not None and current is not None else Size.zero()
    considered = [
        _consider(requested, candidate, held)
        if pinned in (None, candidate.name)
        else Considered(candidate.name, False, False, "not asked for", candidate.available, None)
        for candidate in ordered
    ]
    scores = [item.score for item in considered if item.score is not None]
    best = None if not scores else max(scores) if strategy == "spread" else min(scores)
    host = next((item.name for item in considered if best is not None and item.score == best), None)
    return Placement(
        requested,
        host,
        strategy,
        tuple(replace(item, chosen=True) if item.name == host else item for item in considered),
        pinned,
        current,
    )


def room(requested: Size, current: Size, candidate: Candidate) -> Placement:
    """Return whether a virtual cluster that has ``current`` on a host cluster may have ``asked`` there.

    Only the difference counts, and what does not grow is never refused: neither for room, nor because the host
    cluster is unavailable where nothing grows.
    """
    return place(requested, [candidate], pinned=candidate.name, current=current)


def _consider(requested: Size, candidate: Candidate, current: Size) -> Considered:
    available = candidate.available
    difference = requested - current
    growth = difference.maximum(Size.zero())
    if candidate.unavailable and (growth != Size.zero() or current == Size.zero()):
        return Considered(candidate.name, False, False, candidate.unavailable, available, None)
    short = growth.fits_in(available)
    if short:
        return Considered(candidate.name, False, False, _left(short, candidate), available, None)
    left = available - difference
    return Considered(candidate.name, True, False, "has room", left, _score(requested, left, candidate.limit))


def _left(short: Iterable[str], candidate: Candidate) -> str:
    """Return ``1 of 8 cpu left, 2Gi of 31.3Gi memory left``, of what is short."""
    return ", ".join(
        f"{rounded(resource, getattr(candidate.available, resource))} of "
        f"{rounded(resource, getattr(candidate.limit, resource))} {resource} left"
        for resource in short
    )


def _score(requested: Size, left: Size, limit: Size) -> float:
    return min(
        _fraction(getattr(requested, resource), getattr(left, resource), getattr(limit, resource))
        for resource in RESOURCES
    )


def _fraction(requested: Amount, left: Amount, limit: Amount) -> float:
    if left is None or not limit:
        # A limit of 0 holds something only where it was lowered below what is allocated.
        return 0.0 if requested and limit == 0 else 1.0
    return float(left / limit)
