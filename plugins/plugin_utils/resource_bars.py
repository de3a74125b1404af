# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a resource of a host cluster is shared out, as a bar: in use, allocated but not in use, available."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES, Amount, Size, rounded

SHORTEST_BAR = 3  # a cell for each of three parts, or for two and the mark of the limit

_KEYS = ("limit", "allocated", "used")
_LEAST_PERCENT = Decimal("0.01")


@dataclass(frozen=True)
class Symbols:
    """What a bar is drawn with, a character each."""

    used: str
    allocated: str
    available: str
    unknown: str = "?"
    limit: str = "|"  # where the limit lies, if there is something beyond it
    open_end: str = ">"  # there is no limit


BLOCKS = Symbols("\u2588", "\u2592", "\u00b7")
ASCII = Symbols("#", "=", ".")


@dataclass(frozen=True)
class Shares:
    """One resource: cores of cpu, bytes of memory or storage.

    None in ``limit`` is no limit, or none that is known; None in ``allocated`` and ``used`` is not known.
    """

    resource: str
    limit: Amount
    allocated: Amount
    used: Amount
    reachable: bool = True

    @property
    def known(self) -> bool:
        """Return whether there is anything to draw."""
        return self.reachable and any(amount is not None for amount in (self.limit, self.allocated, self.used))

    @property
    def available(self) -> Amount:
        """Return what is left to allocate; negative if more than the limit is allocated."""
        return None if self.limit is None or self.allocated is None else self.limit - self.allocated

    @property
    def taken(self) -> Decimal:
        """Return where the unavailable part ends: what is allocated, or in use if that is more."""
        return max(self.allocated or Decimal(0), self.used or Decimal(0))

    @property
    def whole(self) -> Decimal:
        """Return the amount that the length of a bar stands for."""
        return max(self.limit or Decimal(0), self.taken)

    @property
    def beyond(self) -> bool:
        """Return whether something lies beyond the limit."""
        return self.limit is not None and self.taken > self.limit


def shares(host: Any, resource: str) -> Shares:
    """Return the shares of a host cluster as ``vcluster_group_info`` returns it, or of any mapping of the same form.

    That form is ``limit``, ``allocated`` and ``used``, each null or quantities by resource. ``available`` is worked
    out, so that it cannot contradict the bar. Raises OptionError.
    """
    if resource not in RESOURCES:
        raise OptionError("resource", resource, ", ".join(RESOURCES))
    if not isinstance(host, Mapping):
        raise OptionError("host", host, f"a mapping with {', '.join(_KEYS)}")
    reachable = host.get("reachable", True)
    if not isinstance(reachable, bool):
        raise OptionError("reachable", reachable, "true or false")
    if not reachable:
        return Shares(resource, None, None, None, reachable=False)
    limit, allocated, used = (_amount(host, key, resource) for key in _KEYS)
    return Shares(resource, limit, allocated, used)


def draw(of: Shares, width: int, symbols: Symbols = BLOCKS) -> str:
    """Return ``width`` characters, at least SHORTEST_BAR; every part that is not zero has one at least."""
    if not of.known:
        return symbols.unknown * width
    if of.limit is None:
        return _cells(of, width - 1, symbols) + symbols.open_end
    if not of.whole:
        return symbols.limit.ljust(width)
    if not of.beyond:
        return _cells(of, width, symbols)
    cells = _cells(of, width - 1, symbols)
    at = _between(int(bool(of.limit)), _scaled(of.limit, of.whole, len(cells)), len(cells) - 1)
    return cells[:at] + symbols.limit + cells[at:]


def _cells(of: Shares, width: int, symbols: Symbols) -> str:
    rest = symbols.unknown if of.allocated is None and of.limit is not None else symbols.available
    if not of.whole:
        return rest * width
    used = of.used or Decimal(0)
    # Where a part ends is rounded, not how long it is: the parts then add up to the width.
    has_allocated, has_rest = int(of.taken > used), int(of.whole > of.taken)
    first = _between(int(used > 0), _scaled(used, of.whole, width), width - has_allocated - has_rest)
    second = _between(first + has_allocated, _scaled(of.taken, of.whole, width), width - has_rest)
    return symbols.used * first + symbols.allocated * (second - first) + rest * (width - second)


def _scaled(amount: Decimal, whole: Decimal, width: int) -> int:
    return int((amount * width / whole).to_integral_value(ROUND_HALF_UP))


def _between(least: int, number: int, most: int) -> int:
    return max(least, min(number, most))


def percentages(of: Shares) -> dict[str, float | None]:
    """Return the percentages of a bar for ``used``, ``allocated`` (but not in use), ``available`` and ``limit``.

    ``limit`` is where the limit lies, None unless something lies beyond it. What is not zero is 0.01 at least; what
    is not known is zero.
    """
    used, available = of.used or Decimal(0), of.available or Decimal(0)
    return {
        "used": _percent(used, of.whole),
        "allocated": _percent(of.taken - used, of.whole),
        "available": _percent(of.whole - of.taken if available > 0 else Decimal(0), of.whole),
        "limit": _percent(of.limit, of.whole) if of.beyond and of.limit is not None else None,
    }


def _percent(amount: Decimal, whole: Decimal) -> float:
    if not amount:
        return 0.0
    return float(max(_LEAST_PERCENT, round(100 * amount / whole, 2)))


def figures(of: Shares) -> str:
    """Return the amounts in words, such as ``used 0.35, allocated 8, available 1.6 of 9.6 cores``."""
    if not of.reachable:
        return "unreachable"
    if not of.known:
        return "not known"
    unit = " cores" if of.resource == "cpu" else ""
    used = "use not known" if of.used is None else f"used {text(of.used, of.resource)}"
    allocated = "allocation not known" if of.allocated is None else f"allocated {text(of.allocated, of.resource)}"
    if of.limit is None:
        said = f"{used}, {allocated}{unit}" if of.allocated is not None else f"{used}{unit}, {allocated}"
        said += ", no limit known"
    elif of.available is None or of.available < 0:
        said = f"{used}, {allocated} of {text(of.limit, of.resource)}{unit}"
    else:
        available = text(of.available, of.resource)
        said = f"{used}, {allocated}, available {available} of {text(of.limit, of.resource)}{unit}"
    return "; ".join([said, *remarks(of)])


def remarks(of: Shares) -> list[str]:
    """Return remarks, such as ``over-allocated by 2``."""
    found = []
    if of.available is not None and of.available < 0:
        found.append(f"over-allocated by {text(-of.available, of.resource)}")
    if of.used is not None and of.allocated is not None and of.used > of.allocated:
        found.append(f"uses {text(of.used - of.allocated, of.resource)} unallocated")
    elif of.beyond and of.allocated is None:
        found.append(f"used beyond the limit by {text(of.taken - (of.limit or 0), of.resource)}")
    return found


def text(amount: Decimal, resource: str) -> str:
    """Return an amount as people read it: ``0.35`` (cores), ``900Mi``. What is not zero is never ``0``."""
    return f"{amount.normalize():f}" if resource == "cpu" else rounded(resource, amount)


def _amount(host: Mapping[str, Any], key: str, resource: str) -> Amount:
    if key not in host:
        raise OptionError("host", sorted(host), f"a mapping with {', '.join(_KEYS)}", reason=f"{key} is missing")
    amounts = host[key]
    if amounts is not None and not isinstance(amounts, Mapping):
        raise OptionError(key, amounts, "null, or quantities by resource")
    # Only the resource that is asked for, so that what is wrong with another one spoils its own bar alone.
    one = {resource: (amounts or {}).get(resource)}
    return dict(Size.parse(one, key, partial=True).items())[resource]
