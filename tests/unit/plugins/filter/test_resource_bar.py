# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bars of host clusters: what they show, in how many characters, and what cannot be drawn."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.nested.clusters.plugins.filter import resource_bar as module
from ansible_collections.nested.clusters.plugins.filter import resource_shares as shares_module
from ansible_collections.nested.clusters.plugins.plugin_utils.resource_bars import text
from hypothesis import assume, given
from hypothesis import strategies as st

resource_bar = module.FilterModule().filters()["resource_bar"]
resource_shares = shares_module.FilterModule().filters()["resource_shares"]

GI = 1024**3


def host(limit: Any, allocated: Any, used: Any, resource: str = "cpu") -> dict[str, Any]:
    return {
        "limit": {resource: limit},
        "allocated": {resource: allocated},
        "used": {resource: used},
        "available": {resource: "7"},  # not looked at
    }


@pytest.mark.parametrize(
    ("limit", "allocated", "used", "line"),
    [
        ("10", "8", "2", "####============....  used 2, allocated 8, available 2 of 10 cores"),
        ("9600m", "8", "350m", "#================...  used 0.35, allocated 8, available 1.6 of 9.6 cores"),
        ("10", "0", "0", "....................  used 0, allocated 0, available 10 of 10 cores"),
        ("10", "10", "10", "####################  used 10, allocated 10, available 0 of 10 cores"),
        (10, 5, 5, "##########..........  used 5, allocated 5, available 5 of 10 cores"),
        # Too little to be seen, and seen all the same.
        ("1000", "1m", "0", "=...................  used 0, allocated 0.001, available 999.999 of 1000 cores"),
        ("1000", "999", "1m", "#==================.  used 0.001, allocated 999, available 1 of 1000 cores"),
        ("1000", "1000", "999", "###################=  used 999, allocated 1000, available 0 of 1000 cores"),
        # More than there is.
        ("8", "10", "1", "##=============|====  used 1, allocated 10 of 8 cores; over-allocated by 2"),
        ("8", "8.01", "8.01", "##################|#  used 8.01, allocated 8.01 of 8 cores; over-allocated by 0.01"),
        ("8", "3", "4", "##########..........  used 4, allocated 3, available 5 of 8 cores; uses 1 unallocated"),
        ("4", "4", "5", "###############|####  used 5, allocated 4, available 0 of 4 cores; uses 1 unallocated"),
        # A limit of zero.
        ("0", "4", "1", "|#####==============  used 1, allocated 4 of 0 cores; over-allocated by 4"),
        ("0", "0", "0", "|                     used 0, allocated 0, available 0 of 0 cores"),
        # No limit.
        (None, "4", "1", "#####==============>  used 1, allocated 4 cores, no limit known"),
        (None, "0", "0", "...................>  used 0, allocated 0 cores, no limit known"),
        # Not known.
        ("10", "5", None, "==========..........  use not known, allocated 5, available 5 of 10 cores"),
        ("10", None, "5", "##########??????????  used 5, allocation not known of 10 cores"),
        ("4", None, "5", "###############|####  used 5, allocation not known of 4 cores; used beyond the limit by 1"),
        (None, None, "5", "###################>  used 5 cores, allocation not known, no limit known"),
        (None, None, None, "????????????????????  not known"),
    ],
)
def test_bar_of_a_resource_is_one_line(limit: Any, allocated: Any, used: Any, line: str) -> None:
    assert resource_bar(host(limit, allocated, used), "cpu", width=20, ascii_only=True) == line


def test_bar_without_a_style_has_blocks() -> None:
    line = resource_bar(host("10", "8", "2"), "cpu", width=10)
    assert line == "██▒▒▒▒▒▒··  used 2, allocated 8, available 2 of 10 cores"


def test_bar_without_a_width_has_40_characters() -> None:
    assert resource_bar(host("10", "8", "2"), "cpu").index("  ") == 40


def test_bar_of_bytes_has_their_unit() -> None:
    line = resource_bar(host("16Gi", "8Gi", "900Mi", "memory"), "memory", width=10, ascii_only=True)
    assert line == "#====.....  used 900Mi, allocated 8Gi, available 8Gi of 16Gi"


@pytest.mark.parametrize("missing", [None, {}, {"memory": "1Gi"}])
def test_resource_that_is_not_mentioned_is_not_limited(missing: Any) -> None:
    one = {**host("10", "4", "1"), "limit": missing}
    assert resource_bar(one, "cpu", width=5, ascii_only=True) == "#===>  used 1, allocated 4 cores, no limit known"


def test_bar_of_an_unreachable_host_cluster_is_unknown() -> None:
    gone = {"reachable": False, "limit": None, "allocated": None, "used": None}
    assert resource_bar(gone, "memory", width=6) == "??????  unreachable"


@pytest.mark.parametrize(
    ("amount", "resource", "shown"),
    [
        ("0", "memory", "0"),
        ("1", "memory", "1"),
        ("1024", "storage", "1Ki"),
        (str(900 * 1024**2), "memory", "900Mi"),
        ("32829000000", "memory", "30.5Gi"),
        (str(-2 * GI), "memory", "-2Gi"),
        ("0", "cpu", "0"),
        ("0.001", "cpu", "0.001"),
        ("9.60", "cpu", "9.6"),
        ("1E+3", "cpu", "1000"),
    ],
)
def test_amount_of_a_bar_is_readable(amount: str, resource: str, shown: str) -> None:
    assert text(Decimal(amount), resource) == shown


@pytest.mark.parametrize(
    ("value", "arguments", "said"),
    [
        (None, ("cpu",), r"host: no value is set; allowed: a mapping with limit, allocated, used"),
        (["host-a"], ("cpu",), r"host: \['host-a'\] is not usable"),
        ({"limit": {}, "used": {}}, ("cpu",), r"host: \['limit', 'used'\] is not usable: allocated is missing"),
        (host("10", "8", "2"), ("gpu",), r"resource: 'gpu' is not usable; allowed: cpu, memory, storage"),
        ({**host("1", "1", "1"), "used": "1"}, ("cpu",), r"used: '1' is not usable; allowed: null, or quantities"),
        ({**host("1", "1", "1"), "reachable": "no"}, ("cpu",), r"reachable: 'no' is not usable"),
        (host("ten", "8", "2"), ("cpu",), r"limit.cpu: 'ten' is not usable: it is not a quantity"),
        (host("10", "-8", "2"), ("cpu",), r"allocated.cpu: '-8' is not usable: it is negative"),
        (host("10", "8", True), ("cpu",), r"used.cpu: True is not usable"),
        (host("10", "8", "2"), ("cpu", 2), r"width: 2 is not usable; allowed: a whole number, 3 or more"),
        (host("10", "8", "2"), ("cpu", "40"), r"width: '40' is not usable"),
        (host("10", "8", "2"), ("cpu", True), r"width: True is not usable"),
        (host("10", "8", "2"), ("cpu", 40, "yes"), r"ascii_only: 'yes' is not usable; allowed: true or false"),
    ],
)
def test_wrong_input_of_a_bar_is_named(value: Any, arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"nested.clusters.resource_bar: {said}"):
        resource_bar(value, *arguments)


def test_wrong_input_of_one_resource_leaves_the_others() -> None:
    one = {key: {"cpu": "1", "memory": "a lot"} for key in ("limit", "allocated", "used")}
    assert resource_bar(one, "cpu", width=3, ascii_only=True).startswith("###  ")
    with pytest.raises(AnsibleFilterError, match=r"limit\.memory"):
        resource_bar(one, "memory")


def test_numbers_of_a_drawing_are_its_parts() -> None:
    assert resource_shares(host("9600m", "8", "350m"), "cpu") == {
        "known": True,
        "amounts": {"limit": 9.6, "allocated": 8.0, "used": 0.35, "available": 1.6},
        "texts": {"limit": "9.6", "allocated": "8", "used": "0.35", "available": "1.6"},
        "percent": {"used": 3.65, "allocated": 79.69, "available": 16.67, "limit": None},
        "figures": "used 0.35, allocated 8, available 1.6 of 9.6 cores",
        "remarks": [],
    }


def test_numbers_of_an_over_allocated_host_mark_the_limit() -> None:
    found = resource_shares(host("8Gi", "10Gi", "1Gi", "memory"), "memory")
    assert found["amounts"]["available"] == -2 * GI
    assert found["texts"]["available"] == "-2Gi"
    assert found["percent"] == {"used": 10.0, "allocated": 90.0, "available": 0.0, "limit": 80.0}
    assert found["remarks"] == ["over-allocated by 2Gi"]


def test_numbers_of_an_unreachable_host_are_unknown() -> None:
    found = resource_shares({"reachable": False}, "cpu")
    assert not found["known"]
    assert set(found["amounts"].values()) == set(found["texts"].values()) == {None}
    assert found["percent"] == {"used": 0.0, "allocated": 0.0, "available": 0.0, "limit": None}


def test_resource_that_is_not_known_is_not_available() -> None:
    assert resource_shares(host("10", None, "5"), "cpu")["percent"]["available"] == 0.0


def test_wrong_input_of_numbers_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match=r"nested.clusters.resource_shares: used.cpu: 'x' is not usable"):
        resource_shares(host("1", "1", "x"), "cpu")


@pytest.mark.parametrize(("plugin", "options"), [(module, {"ascii_only": True}), (shares_module, {})])
def test_documentation_describes_the_filter(plugin: Any, options: dict[str, Any]) -> None:
    page = yaml.safe_load(Path(plugin.__file__).with_suffix(".yml").read_text(encoding="utf-8"))
    (name,) = plugin.FilterModule().filters()
    sample = page["RETURN"]["_value"].get("sample") or {
        key: value.get("sample") for key, value in page["RETURN"]["_value"]["contains"].items()
    }
    assert page["DOCUMENTATION"]["name"] == name
    assert sample == plugin.FilterModule().filters()[name](host("9600m", "8", "350m"), "cpu", **options)


# Thousandths of a core, from nothing to more than any host has.
milli = st.integers(0, 10**9)
amounts = st.one_of(st.none(), milli)
widths = st.integers(3, 200)


def cpu(number: int | None) -> str | None:
    return None if number is None else f"{number}m"


def drawn(limit: int | None, allocated: int | None, used: int | None, width: int) -> str:
    line: str = resource_bar(host(cpu(limit), cpu(allocated), cpu(used)), "cpu", width, ascii_only=True)
    assert line[width : width + 2] == "  "
    assert line[width + 2] != " "
    return line[:width]


@given(amounts, amounts, amounts, widths)
def test_bar_has_its_width_and_only_ascii_where_chosen(
    limit: int | None, allocated: int | None, used: int | None, width: int
) -> None:
    assert set(drawn(limit, allocated, used, width)) <= set("#=.?|> ")
    line = resource_bar(host(cpu(limit), cpu(allocated), cpu(used)), "cpu", width, ascii_only=True)
    assert line.isascii()


@given(amounts, milli, milli, widths)
def test_part_of_a_bar_is_drawn_exactly_if_it_is_not_zero(
    limit: int | None, allocated: int, used: int, width: int
) -> None:
    cells = drawn(limit, allocated, used, width)
    taken = max(allocated, used)
    assert ("#" in cells) == (used > 0)
    assert ("=" in cells) == (allocated > used)
    if limit is not None:
        assert ("." in cells) == (limit > taken)
        assert ("|" in cells) == (taken > limit or not limit)


@given(st.integers(1, 10**9), milli, milli, widths)
def test_limit_of_a_bar_is_marked_at_its_position(limit: int, more: int, used: int, width: int) -> None:
    taken = limit + more
    assume(more)
    cells = drawn(limit, taken, used, width)
    before, after = cells.split("|")
    assert before
    assert after
    if width >= 10:
        assert abs(len(before) / (width - 1) - limit / max(taken, used)) <= 1.5 / (width - 1)


@given(milli, milli, milli, milli, widths)
def test_bar_with_more_in_use_is_never_shorter(limit: int, allocated: int, one: int, other: int, width: int) -> None:
    less, more = sorted((one, other))
    assume(more <= limit)
    assume(allocated <= limit)
    assert drawn(limit, allocated, less, width).count("#") <= drawn(limit, allocated, more, width).count("#")


@given(milli, milli, milli, milli, widths)
def test_bar_with_more_allocated_never_has_more_available(
    limit: int, used: int, one: int, other: int, width: int
) -> None:
    less, more = sorted((one, other))
    assume(more <= limit)
    assume(used <= limit)
    assert drawn(limit, less, used, width).count(".") >= drawn(limit, more, used, width).count(".")


@given(st.integers(1, 10**9), milli, milli, widths)
def test_parts_of_a_bar_are_in_proportion(limit: int, allocated: int, used: int, width: int) -> None:
    assume(used <= allocated <= limit)
    cells = drawn(limit, allocated, used, width)
    # Half a cell of rounding at each end, and at most two cells given to others so that they are seen.
    for symbol, amount in (("#", used), ("=", allocated - used), (".", limit - allocated)):
        assert abs(cells.count(symbol) - width * amount / limit) <= 3
    assert cells == "#" * cells.count("#") + "=" * cells.count("=") + "." * cells.count(".")


@given(amounts, milli, milli)
def test_percentages_of_a_bar_add_up(limit: int | None, allocated: int, used: int) -> None:
    percent = resource_shares(host(cpu(limit), cpu(allocated), cpu(used)), "cpu")["percent"]
    whole = max(limit or 0, allocated, used)
    total = percent["used"] + percent["allocated"] + percent["available"]
    assert total == pytest.approx(100 if whole else 0, abs=0.05)
    assert (percent["used"] > 0) == (used > 0)
    assert (percent["limit"] is not None) == (limit is not None and max(allocated, used) > limit)
