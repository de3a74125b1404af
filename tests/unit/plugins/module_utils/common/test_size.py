# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of size: quantities as Kubernetes reads them, and the laws of sizes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES, Size, quantity, rounded
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity
from sizes import (
    size,
    sizes,
)

SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


@pytest.mark.parametrize(("suffix", "factor"), SUFFIXES.items())
@pytest.mark.parametrize("number", ["0", "1", "1.5", "250"])
def test_quantity_with_a_suffix_is_multiplied(number: str, suffix: str, factor: Decimal) -> None:
    assert quantity(number + suffix) == Decimal(number) * factor


@pytest.mark.parametrize(
    ("one", "other"),
    [("1000m", "1"), ("1000m", 1), ("5Gi", "5368709120"), ("0.5", "500m"), (0.5, "500m"), ("1e3", 1000)],
)
def test_quantity_written_in_two_ways_is_one(one: Any, other: Any) -> None:
    assert quantity(one) is not None
    assert quantity(one) == quantity(other)


@given(
    st.from_regex(r"[+-]?([0-9]{1,19}(\.[0-9]{0,9})?|\.[0-9]{1,9})", fullmatch=True),
    st.sampled_from([*SUFFIXES, "e3", "E-2", "e+12"]),
)
def test_quantity_of_any_text_is_what_the_library_reads(number: str, suffix: str) -> None:
    """What is parsed here, without the library, is what the library makes of it."""
    assert quantity(number + suffix) == parse_quantity(number + suffix)


def test_quantity_of_ordinary_text_needs_no_library() -> None:
    """Importing it takes longer than most tasks."""
    code = (
        "import sys; from ansible_collections.nested.clusters.plugins.module_utils.common.size import quantity; "
        "assert quantity('250m') and quantity('4') and quantity('1.5Gi') and quantity('1e3'); "
        "sys.exit('kubernetes' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "value",
    [None, True, False, [], {}, "", " ", "m", "Gi", "-", "vcluster", "1.2.3", "5Gib", "5 gigabytes", "0x10"],
)
def test_quantity_of_other_text_is_an_error(value: Any) -> None:
    assert quantity(value) is None


@pytest.mark.parametrize(
    ("resource", "value", "canonical"),
    [
        ("cpu", 6, "6"),
        ("cpu", "6000m", "6"),
        ("cpu", 0.1, "100m"),
        ("cpu", "1.5", "1500m"),
        ("cpu", "1k", "1000"),
        ("cpu", "0", "0"),
        ("cpu", "-0", "0"),
        ("cpu", "0e999", "0"),
        ("memory", "8Gi", "8Gi"),
        ("memory", 8 * 1024**3, "8Gi"),
        ("memory", 8.0 * 1024**3, "8Gi"),
        ("memory", "8192Mi", "8Gi"),
        ("memory", "1.5Gi", "1536Mi"),
        ("memory", "1G", "1000000000"),
        ("memory", "1.024k", "1Ki"),
        ("memory", "1000m", "1"),
        ("storage", "1023", "1023"),
        ("storage", "2e3", "2000"),
        ("storage", ".5Ki", "512"),
        ("storage", "7Ei", "7Ei"),
        ("storage", 2**63 - 1, "9223372036854775807"),
        ("cpu", "9223372036854775.807", "9223372036854775807m"),
    ],
)
def test_size_as_text_has_the_largest_exact_unit(resource: str, value: Any, canonical: str) -> None:
    assert size(**{resource: value}).as_dict()[resource] == canonical


NO_NUMBERS: tuple[Any, ...] = (True, False, [], {}, ["4"], b"4", Decimal(4))


@pytest.mark.parametrize(
    ("resource", "value", "reason"),
    [
        *(("memory", value, "it is not a quantity") for value in ("", " ", "4 Gi", " 4Gi", "4Gi\n", "4gi", "4GB")),
        *(("memory", value, "it is not a quantity") for value in ("4K", "1_000", "1e3Gi", "\u0664Gi", "0x10", "four")),
        ("memory", "1" * 20, "it is not a quantity"),
        *(("cpu", value, "it is not a quantity") for value in NO_NUMBERS),
        *(("cpu", value, "it is not a quantity") for value in ("nan", "inf", "-Infinity", float("nan"), float("inf"))),
        ("cpu", "-1", "it is negative"),
        ("cpu", -0.5, "it is negative"),
        ("memory", "-4Gi", "it is negative"),
        ("cpu", "0.5m", "it is not a whole number of thousandths of a CPU"),
        ("cpu", 0.0001, "it is not a whole number of thousandths of a CPU"),
        ("cpu", "1e-999", "it is not a whole number of thousandths of a CPU"),
        ("memory", "1.5", "it is not a whole number of bytes"),
        ("memory", "100m", "it is not a whole number of bytes"),
        ("storage", "0.3Gi", "it is not a whole number of bytes"),
        ("storage", "7.999999999Ki", "it is not a whole number of bytes"),
        ("memory", "8Ei", "it is too large"),
        ("memory", "9223372036854775808", "it is too large"),
        ("storage", 2**63, "it is too large"),
        ("cpu", "9223372036854775.808", "it is too large"),
        ("memory", "1e999", "it is too large"),
        ("memory", 1e300, "it is too large"),
        ("cpu", "10P", "it is too large"),
    ],
)
def test_size_of_invalid_data_is_an_option_error(resource: str, value: Any, reason: str) -> None:
    mapping = {"cpu": 4, "memory": "4Gi", "storage": "2Gi", resource: value}
    with pytest.raises(OptionError) as refused:
        Size.parse(mapping, "size.default")
    assert str(refused.value).startswith(f"size.default.{resource}: {value!r} is not usable: {reason}; allowed: ")
    assert refused.value.data["option"] == f"size.default.{resource}"
    assert refused.value.data["value"] is value


@pytest.mark.parametrize(
    ("resource", "allowed", "examples"),
    [
        ("cpu", 'a number of CPUs, such as 4 or "500m"', ["4", "500m"]),
        ("memory", 'a number of bytes with a unit, such as "4Gi" or "512Mi"', ["4Gi", "512Mi"]),
        ("storage", 'a number of bytes with a unit, such as "10Gi" or "512Mi"', ["10Gi", "512Mi"]),
    ],
)
def test_size_error_names_examples_that_are_allowed(resource: str, allowed: str, examples: list[str]) -> None:
    with pytest.raises(OptionError) as refused:
        Size.parse({resource: "x"}, "size", partial=True)
    assert refused.value.data["allowed"] == allowed
    for example in examples:
        assert size(**{resource: example}).as_dict()[resource] == example


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("zero", [0, "0", "0Gi", 0.0, "-0"])
def test_size_of_zero_is_refused_only_where_it_must_be_positive(resource: str, zero: Any) -> None:
    mapping = {"cpu": 4, "memory": "4Gi", "storage": "2Gi", resource: zero}
    assert getattr(Size.parse(mapping, "size"), resource) == 0
    with pytest.raises(OptionError, match=rf"^size\.{resource}: .* it is zero; .*, more than 0$"):
        Size.parse(mapping, "size", positive=[resource])
    others = [other for other in RESOURCES if other != resource]
    assert getattr(Size.parse(mapping, "size", positive=others), resource) == 0


def test_size_changed_in_parts_keeps_the_rest() -> None:
    before = Size.parse({"cpu": 4, "memory": "4Gi", "storage": "2Gi"}, "size")
    assert Size.changed(None, "size", before) == Size.changed({"cpu": None}, "size", before) == before
    after = Size.changed({"cpu": "", "memory": "8Gi"}, "size", before)
    assert after.as_dict() == {"cpu": None, "memory": "8Gi", "storage": "2Gi"}
    with pytest.raises(OptionError, match=r"size\.cpus: "):
        Size.changed({"cpus": ""}, "size", before)


@pytest.mark.parametrize("resource", RESOURCES)
def test_size_without_a_resource_is_refused_unless_partial(resource: str) -> None:
    complete = {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}
    for mapping in ({**complete, resource: None}, {key: complete[key] for key in RESOURCES if key != resource}):
        with pytest.raises(OptionError, match=rf"^size\.{resource}: no value is set: cpu, memory and storage are"):
            Size.parse(mapping, "size")
        assert Size.parse(mapping, "size", partial=True).as_dict() == {**complete, resource: None}


@pytest.mark.parametrize("value", [None, "4", 4, ["cpu"], True])
def test_size_of_no_mapping_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match=r"^size\.maximum: .*; allowed: a mapping with cpu, memory, storage$"):
        Size.parse(value, "size.maximum")


def test_size_of_nothing_is_a_partial_size() -> None:
    assert Size.parse(None, "size", partial=True) == Size.parse({}, "size", partial=True) == Size(None, None, None)


@pytest.mark.parametrize("partial", [False, True])
def test_size_with_an_unknown_key_is_refused_by_name(partial: bool) -> None:
    mapping = {"cpu": 4, "memory": "4Gi", "storage": "2Gi", "disk": "1Gi"}
    with pytest.raises(OptionError, match=r"^size\.disk: '1Gi' is not usable: there is no such key; allowed: cpu"):
        Size.parse(mapping, "size", partial=partial)


def test_size_as_a_sentence_has_units() -> None:
    assert str(size(4, "4Gi")) == "4 cpu, 4Gi memory, unlimited storage"


@pytest.mark.parametrize(
    ("resource", "value", "text"),
    [
        ("cpu", "7930m", "7930m"),
        ("memory", "32829000Ki", "31.3Gi"),
        ("memory", "1536Mi", "1536Mi"),
        ("memory", 2**30 + 1, "1.0Gi"),
        ("memory", 2**40 - 1, "1023.9Gi"),
        ("memory", 1234567, "1.1Mi"),
        ("memory", "0", "0"),
        ("memory", None, "unlimited"),
    ],
)
def test_amount_for_people_is_short(resource: str, value: Any, text: str) -> None:
    assert rounded(resource, getattr(size(**{resource: value}), resource)) == text


def test_amount_that_is_lacking_is_not_rounded_to_less() -> None:
    assert rounded("memory", Decimal(-32829000 * 1024)) == "-31.4Gi"
    assert rounded("memory", Decimal(-(2**30))) == "-1Gi"


@given(st.integers(0, 2**63 - 1).map(Decimal))
def test_amount_for_people_is_never_more_than_exists(amount: Decimal) -> None:
    shown = quantity(rounded("memory", amount))
    assert shown is not None
    assert amount * Decimal("0.9") - 1 <= shown <= amount


@given(sizes())
def test_size_written_and_read_is_the_same(one: Size) -> None:
    assert Size.parse(one.as_dict(), "size", partial=True) == one


@given(sizes())
def test_size_written_from_equal_sizes_is_equal(one: Size) -> None:
    written = one.as_dict()
    assert Size.parse(written, "size", partial=True).as_dict() == written


@given(
    st.sampled_from(RESOURCES),
    st.one_of(
        st.text(), st.floats(), st.integers(), st.from_regex(r"[+-]?[0-9.]{1,25}([eE]-?[0-9]{1,4}|[a-zA-Z]{1,2})?")
    ),
)
def test_size_of_anything_is_a_size_or_an_option_error(resource: str, value: Any) -> None:
    parsed = None
    with contextlib.suppress(OptionError):  # any other error fails the test
        parsed = Size.parse({resource: value}, "size", partial=True)
    if parsed:
        amount = getattr(parsed, resource)
        assert amount == quantity(str(value))
        assert amount >= 0
        assert Size.parse(parsed.as_dict(), "size", partial=True) == parsed


@given(sizes(), sizes(), sizes())
def test_sum_of_sizes_obeys_the_laws_of_addition(one: Size, two: Size, three: Size) -> None:
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)
    assert one + Size.zero() == one
    for resource in RESOURCES:
        unlimited = getattr(one, resource) is None or getattr(two, resource) is None
        assert (getattr(one + two, resource) is None) == unlimited


@given(sizes(), sizes(limited=True))
def test_difference_after_a_sum_is_the_first_size(one: Size, two: Size) -> None:
    assert (one + two) - two == one
    assert (one - two) + two == one
    assert one - Size.zero() == one


def test_difference_with_an_unlimited_size_is_an_error() -> None:
    assert size(cpu=None) - size(cpu=None) == Size(None, None, None)
    with pytest.raises(ValueError, match="unlimited"):
        size(cpu=4) - size(cpu=None)


@given(sizes(), sizes(), sizes())
def test_maximum_of_sizes_is_the_largest_of_each_resource(one: Size, two: Size, three: Size) -> None:
    both = one.maximum(two)
    assert both == two.maximum(one)
    assert both.maximum(three) == one.maximum(two.maximum(three))
    assert one.maximum(one) == one
    assert one.maximum(Size.zero()) == one
    assert one.fits_in(both) == two.fits_in(both) == []
    assert all(getattr(both, name) in (getattr(one, name), getattr(two, name)) for name in RESOURCES)


@given(sizes(), sizes())
def test_size_filled_takes_what_it_lacks(one: Size, two: Size) -> None:
    for resource in RESOURCES:
        said = getattr(one, resource)
        assert getattr(one.filled(two), resource) == (getattr(two, resource) if said is None else said)


@given(sizes(), sizes(), sizes())
def test_fits_in_is_an_order(one: Size, two: Size, three: Size) -> None:
    assert one.fits_in(one) == []
    if not one.fits_in(two) and not two.fits_in(three):
        assert not one.fits_in(three)
    if not one.fits_in(two) and not two.fits_in(one):
        assert one == two


@given(sizes(limited=True), sizes(limited=True))
def test_fits_in_without_problems_leaves_nothing_negative(asked: Size, available: Size) -> None:
    left = available - asked
    short = [resource for resource, amount in left.items() if amount is not None and amount < 0]
    assert asked.fits_in(available) == short


def test_fits_in_with_too_much_names_the_resources() -> None:
    assert size(4, "4Gi", "2Gi").fits_in(size(4, "4Gi", "2Gi")) == []
    assert size(5, "4Gi", "3Gi").fits_in(size(4, "4Gi", "2Gi")) == ["cpu", "storage"]
    assert size(5, "4Gi", "3Gi").fits_in(size(4)) == ["cpu"]
    assert size(None, 0, 0).fits_in(size(4)) == ["cpu"]
    # Where more is allocated than there is, nothing fits but nothing.
    lacking = Size.zero() - size("1m", 1, 1)
    assert Size.zero().fits_in(lacking) == []
    assert size("1m", 0, 1).fits_in(lacking) == ["cpu", "storage"]
