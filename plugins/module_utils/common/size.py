# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes quantities (``500m`` cpu, ``2Gi`` memory), and sizes made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Any, TypeAlias

from .errors import OptionError

RESOURCES = ("cpu", "memory", "storage")

# Kubernetes' own syntax. parse_quantity takes more: 1_000, 1e3Gi, " 4", and digits of any script.
_QUANTITY = re.compile(r"[+-]?([0-9]{1,19}(\.[0-9]{0,9})?|\.[0-9]{1,9})([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,3})?")
_UNITS = {
    **{unit: Decimal(1000) ** power for unit, power in zip("numkMGTPE", (-3, -2, -1, 1, 2, 3, 4, 5, 6), strict=True)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}
_BINARY_UNITS = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki")
# Kubernetes counts bytes and thousandths of a CPU in 64 bits.
_MOST = {"cpu": Decimal(2**63 - 1) / 1000, "memory": Decimal(2**63 - 1), "storage": Decimal(2**63 - 1)}
_QUANTITY_EXAMPLES = {"cpu": '4 or "500m"', "memory": '"4Gi" or "512Mi"', "storage": '"10Gi" or "512Mi"'}

Amount: TypeAlias = "Decimal | None"


def quantity(value: Any) -> Decimal | None:
    """Return the number a quantity stands for (cores, bytes), or None when it is none."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    if isinstance(value, str) and (match := _QUANTITY.fullmatch(value)):
        unit = match[3] or ""
        return Decimal(value[: -len(unit)]) * _UNITS[unit] if unit in _UNITS else Decimal(value)
    # Here, because importing the library takes longer than most tasks, and few have other quantities than these.
    from kubernetes.utils.quantity import parse_quantity

    try:
        return parse_quantity(value)
    except (ValueError, ArithmeticError):
        return None


@dataclass(frozen=True)
class Size:
    """An amount of cpu (CPUs, to the thousandth), memory and storage (whole bytes).

    None is not limited, and so more than any number, in every operation here; in an option that may say a part
    only, it is what was not said (see ``filled``). Differences may be negative.
    """

    cpu: Amount
    memory: Amount
    storage: Amount

    @classmethod
    def zero(cls) -> Size:
        """Return a size of 0 in every resource."""
        return cls(Decimal(0), Decimal(0), Decimal(0))

    @classmethod
    def parse(
        cls,
        mapping: Mapping[str, Any] | None,
        option: str,
        *,
        positive: Collection[str] = (),
        partial: bool = False,
    ) -> Size:
        """Return a size from ``{cpu: 4, memory: 4Gi, storage: 2Gi}``; ``option`` is what errors call the mapping.

        All three are required unless ``partial``, where what is absent or null becomes None. Zero is refused for
        the resources in ``positive``. Raises OptionError for the first field, in the order of RESOURCES, that
        cannot be used.
        """
        if mapping is None and partial:
            return cls(None, None, None)
        if not isinstance(mapping, Mapping):
            raise OptionError(option, mapping, f"a mapping with {', '.join(RESOURCES)}")
        for key in mapping:
            if key not in RESOURCES:
                raise OptionError(f"{option}.{key}", mapping[key], ", ".join(RESOURCES), reason="there is no such key")
        amounts: dict[str, Amount] = {}
        for resource in RESOURCES:
            value = mapping.get(resource)
            if value is None and partial:
                amounts[resource] = None
                continue
            some = resource in positive
            amount, reason = _amount(resource, value, some)
            if reason:
                raise OptionError(f"{option}.{resource}", value, _allowed(resource, some), reason=reason)
            amounts[resource] = amount
        return cls(**amounts)

    @classmethod
    def changed(
        cls, mapping: Mapping[str, Any] | None, option: str, before: Size, *, positive: Collection[str] = ()
    ) -> Size:
        """Return ``before``, with what an option says; an empty string takes a limit away.

        Raises OptionError as ``parse`` does.
        """
        said = dict(mapping or {})
        lifted = {key for key in said if key in RESOURCES and said[key] == ""}
        kept = {key: value for key, value in said.items() if key not in lifted}
        filled = cls.parse(kept, option, positive=positive, partial=True).filled(before)
        return cls(**{resource: None if resource in lifted else amount for resource, amount in filled.items()})

    def as_dict(self) -> dict[str, str | None]:
        """Return canonical quantities by resource, which ``parse`` reads back; None stays None."""
        return {resource: None if amount is None else _canonical(resource, amount) for resource, amount in self.items()}

    @property
    def only_storage(self) -> bool:
        """Return whether volumes are all that it has room for."""
        return self.cpu == 0 and self.memory == 0

    def items(self) -> list[tuple[str, Amount]]:
        """Return (resource, amount), in the order of RESOURCES."""
        return [("cpu", self.cpu), ("memory", self.memory), ("storage", self.storage)]

    def __str__(self) -> str:
        """Return ``4 cpu, 4Gi memory, unlimited storage``."""
        return ", ".join(f"{amount or 'unlimited'} {resource}" for resource, amount in self.as_dict().items())

    def __add__(self, other: Size) -> Size:
        """Return the sum; what is not limited in either is not limited in it."""
        return self._each(other, lambda left, right: None if left is None or right is None else left + right)

    def __sub__(self, other: Size) -> Size:
        """Return the difference; what is not limited stays so, whatever is taken from it.

        Raises ValueError where something unlimited is taken from a number: no number says what is left.
        """
        return self._each(other, _difference)

    def maximum(self, other: Size) -> Size:
        """Return the larger amount of each resource; unlimited is the largest."""
        return self._each(other, lambda left, right: None if left is None or right is None else max(left, right))

    def filled(self, other: Size) -> Size:
        """Return this size, with resources that are None taken from ``other``."""
        return self._each(other, lambda left, right: right if left is None else left)

    def fits_in(self, available: Size) -> list[str]:
        """Return the resources of which more is asked than available; empty when it fits.

        Zero fits everywhere, also where less than nothing is left; unlimited fits only in unlimited.
        """
        return [
            resource
            for (resource, asked), (_same, left) in zip(self.items(), available.items(), strict=True)
            if asked != 0 and left is not None and (asked is None or asked > left)
        ]

    def _each(self, other: Size, operation: Callable[[Amount, Amount], Amount]) -> Size:
        return Size(
            operation(self.cpu, other.cpu),
            operation(self.memory, other.memory),
            operation(self.storage, other.storage),
        )


def rounded(resource: str, amount: Amount) -> str:
    """Return an amount for people, such as ``31.3Gi`` where a node says 32829000Ki; never more than there is."""
    if amount is None:
        return "unlimited"
    exact = _canonical(resource, amount)
    if resource == "cpu" or len(exact) <= 6:
        return exact
    power = next(power for power in range(6, -1, -1) if abs(amount) >= 1024**power)
    return f"{(amount / 1024**power).quantize(Decimal('0.1'), ROUND_FLOOR)}{(*_BINARY_UNITS, '')[6 - power]}"


def _difference(left: Amount, right: Amount) -> Amount:
    if left is None:
        return None
    if right is None:
        raise ValueError("an unlimited amount cannot be taken from a limited one")
    return left - right


def _amount(resource: str, value: Any, positive: bool) -> tuple[Amount, str]:
    """Return (the amount, why it cannot be used or "")."""
    if value is None:
        return None, "cpu, memory and storage are required"
    text = str(value)
    usable = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    # As text also where YAML read a number: the float 0.1 is not exactly a tenth.
    amount = quantity(text) if usable and _QUANTITY.fullmatch(text) else None
    if amount is None:
        return None, "it is not a quantity"
    if amount < 0:
        return None, "it is negative"
    if amount > _MOST[resource]:
        return None, "it is too large"
    if positive and amount == 0:
        return None, "it is zero"
    if resource == "cpu" and amount * 1000 % 1:
        return None, "it is not a whole number of thousandths of a CPU"
    if resource != "cpu" and amount % 1:
        return None, "it is not a whole number of bytes"
    return amount, ""


def _allowed(resource: str, positive: bool) -> str:
    unit = "CPUs" if resource == "cpu" else "bytes with a unit"
    return f"a number of {unit}, such as {_QUANTITY_EXAMPLES[resource]}" + (", more than 0" if positive else "")


def _canonical(resource: str, amount: Decimal) -> str:
    if resource == "cpu":
        thousandths = int(amount * 1000)
        return f"{thousandths}m" if thousandths % 1000 else str(thousandths // 1000)
    number = int(amount)
    for power, unit in zip(range(6, 0, -1), _BINARY_UNITS, strict=True):
        if number and number % 1024**power == 0:
            return f"{number // 1024**power}{unit}"
    return str(number)
