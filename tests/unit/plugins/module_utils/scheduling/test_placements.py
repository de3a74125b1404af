# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of placements: which host cluster is chosen, and what a refusal says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES, Size
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.placements import (
    STRATEGIES,
    Candidate,
    Placement,
    place,
    room,
)
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import (
    AdmissionDenied,
)
from sizes import size

ASKED = size(4, "4Gi", "2Gi")
LIMIT = size(8, "16Gi", "100Gi")
EMPTY = Candidate("host-a", LIMIT, Size.zero())
HALF = Candidate("host-b", LIMIT, size(4, "4Gi", "2Gi"))
FULL = Candidate("host-c", LIMIT, size(7, "14Gi", "10Gi"))
CORDONED = Candidate("host-d", LIMIT, Size.zero(), "all 3 nodes are cordoned")


def outcome(placement: Placement) -> dict[str, tuple[bool, bool, str]]:
    return {item.name: (item.fits, item.chosen, item.reason) for item in placement.considered}


@pytest.mark.parametrize(("strategy", "host"), [("spread", "host-a"), ("pack", "host-b")])
def test_place_with_a_strategy_chooses_among_those_that_fit(strategy: str, host: str) -> None:
    placement = place(ASKED, [CORDONED, FULL, HALF, EMPTY], strategy)
    assert placement.host == host
    assert placement.why_not() == ""
    assert outcome(placement) == {
        "host-a": (True, host == "host-a", "has room"),
        "host-b": (True, host == "host-b", "has room"),
        "host-c": (False, False, "1 of 8 cpu left, 2Gi of 16Gi memory left"),
        "host-d": (False, False, "all 3 nodes are cordoned"),
    }


def test_placement_as_a_dictionary_is_plain_data() -> None:
    candidates = [replace(FULL, limit=size(3, "16Gi")), replace(EMPTY, limit=size(12, "30Gi"))]
    assert json.loads(json.dumps(place(ASKED, candidates).as_dict())) == {
        "host": "host-a",
        "strategy": "spread",
        "considered": [
            {
                "name": "host-a",
                "fits": True,
                "chosen": True,
                "reason": "has room",
                "left": {"cpu": "8", "memory": "26Gi", "storage": None},
                "score": 0.6667,
            },
            {
                "name": "host-c",
                "fits": False,
                "chosen": False,
                "reason": "-4 of 3 cpu left, 2Gi of 16Gi memory left",
                "left": {"cpu": "-4", "memory": "2Gi", "storage": None},
                "score": None,
            },
        ],
    }


@pytest.mark.parametrize(
    ("limit", "allocated", "asked", "score"),
    [
        (size(8, "8Gi", "8Gi"), Size.zero(), size(1, "2Gi", "4Gi"), 0.5),
        (size(8, "8Gi", "8Gi"), size(4, 0, 0), size(2, "2Gi", "4Gi"), 0.25),
        (size(8, "8Gi", "8Gi"), size(4, 0, 0), size(4, 0, 0), 0.0),
        (size(8, None, None), Size.zero(), size(2, "100Gi", "1Ti"), 0.75),
        (Size(None, None, None), Size.zero(), ASKED, 1.0),
        (size(8, "8Gi", 0), Size.zero(), size(2, "2Gi", 0), 0.75),
        # More is allocated than the limit, of what is not asked for.
        (size(8, "8Gi", "8Gi"), size(0, 0, "10Gi"), size(2, "2Gi", 0), -0.25),
    ],
)
def test_score_of_a_candidate_is_the_smallest_fraction_left(
    limit: Size, allocated: Size, asked: Size, score: float
) -> None:
    assert place(asked, [Candidate("host-a", limit, allocated)]).considered[0].score == score


def test_place_by_score_lets_the_scarcest_resource_decide() -> None:
    much_cpu = Candidate("much-cpu", size(100, "10Gi", "10Gi"), Size.zero())
    balanced = Candidate("balanced", size(12, "16Gi", "20Gi"), Size.zero())
    assert place(ASKED, [much_cpu, balanced]).host == "balanced"
    assert place(ASKED, [much_cpu, balanced], "pack").host == "much-cpu"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_place_among_equals_chooses_the_first_by_name(strategy: str) -> None:
    # The same fraction, of other amounts of another resource.
    one = Candidate("host-c", size(6, "6Gi", "6Gi"), size(0, "4Gi", 0))
    other = Candidate("host-b", size(12, "12Gi", "12Gi"), size(6, 0, 0))
    placement = place(size(2, 0, 0), [one, other], strategy)
    assert [item.score for item in placement.considered] == [1 / 3, 1 / 3]
    assert placement.host == "host-b"


@pytest.mark.parametrize("resource", RESOURCES)
def test_place_of_the_last_unit_fits_and_one_more_does_not(resource: str) -> None:
    unit = size(**{resource: "1m" if resource == "cpu" else 1}).filled(Size.zero())
    rest = LIMIT - ASKED
    placement = place(rest, [HALF])
    assert placement.host == "host-b"
    assert placement.considered[0].left == Size.zero()
    assert place(rest + unit, [HALF]).host is None
    assert place(rest + unit, [replace(HALF, limit=LIMIT + unit)]).host == "host-b"


def test_place_on_an_oversold_host_fits_only_nothing() -> None:
    over = Candidate("host-a", LIMIT, LIMIT + size(1, 0, 0) - size(0, "4Gi", "4Gi"))
    assert place(size("1m", 0, 0), [over]).host is None
    assert place(size(0, "4Gi", "4Gi"), [over]).host == "host-a"
    assert place(Size.zero(), [over]).host == "host-a"


def test_place_on_a_pinned_host_considers_no_other() -> None:
    placement = place(ASKED, [EMPTY, HALF, FULL], pinned="host-b")
    assert placement.host == "host-b"
    assert outcome(placement) == {
        "host-a": (False, False, "not asked for"),
        "host-b": (True, True, "has room"),
        "host-c": (False, False, "not asked for"),
    }
    assert placement.considered[0].left == LIMIT
    refused = place(ASKED, [EMPTY, HALF, FULL], pinned="host-c")
    assert refused.host is None
    assert refused.why_not() == (
        "host cluster host-c has no room for 4 cpu, 4Gi memory, 2Gi storage: 1 of 8 cpu left, 2Gi of 16Gi memory left"
    )


def test_place_on_an_unknown_host_is_refused() -> None:
    with pytest.raises(OptionError, match=r"^host_cluster: 'host-x' is not usable; allowed: host-a, host-b$"):
        place(ASKED, [HALF, EMPTY], pinned="host-x")
    with pytest.raises(OptionError, match="there is no host cluster"):
        place(ASKED, [], pinned="host-x")


def test_place_with_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(OptionError, match=r"^strategy: 'random' is not usable; allowed: spread, pack$"):
        place(ASKED, [EMPTY], "random")


def test_why_not_without_room_has_the_numbers_of_every_host() -> None:
    odd = Candidate("host-e", size(2, 32829000 * 1024, "1Gi"), Size.zero())
    placement = place(size(16, "32Gi", "2Gi"), [odd, CORDONED, FULL])
    assert placement.why_not() == (
        "no host cluster has room for 16 cpu, 32Gi memory, 2Gi storage: "
        "host-c: 1 of 8 cpu left, 2Gi of 16Gi memory left; "
        "host-d: all 3 nodes are cordoned; "
        "host-e: 2 of 2 cpu left, 31.3Gi of 31.3Gi memory left, 1Gi of 1Gi storage left"
    )
    refused = placement.refusal()
    assert isinstance(refused, AdmissionDenied)
    assert str(refused).startswith(placement.why_not())
    assert refused.data["check"] == "capacity"
    assert refused.data["asked"] == {"cpu": "16", "memory": "32Gi", "storage": "2Gi"}
    assert refused.data["placement"] == placement.as_dict()


def test_place_without_hosts_has_no_room() -> None:
    placement = place(ASKED, [])
    assert placement.host is None
    assert placement.why_not() == "no host cluster has room for 4 cpu, 4Gi memory, 2Gi storage: there is none"


class TestRoom:
    def test_only_the_difference_counts(self) -> None:
        held = size(4, "4Gi", "2Gi")
        placement = room(size(8, "16Gi", "100Gi"), held, HALF)
        assert placement.host == "host-b"
        assert placement.considered[0].left == Size.zero()
        refused = room(size(9, "4Gi", "2Gi"), held, HALF)
        assert refused.host is None
        assert refused.why_not() == (
            "host cluster host-b has no room to go from 4 cpu, 4Gi memory, 2Gi storage to 9 cpu, 4Gi memory, "
            "2Gi storage: 4 of 8 cpu left"
        )

    def test_what_does_not_grow_is_never_refused(self) -> None:
        held = size(8, "4Gi", "2Gi")
        over = Candidate("host-a", size(4, "16Gi", 0), held)
        assert room(held, held, over).host == "host-a"
        assert room(size(7, "8Gi", "1Gi"), held, over).considered[0].left == size(0, "8Gi", 0) - size(3, 0, "1Gi")
        assert room(size(7, "8Gi", "3Gi"), held, over).host is None
        nothing = replace(over, limit=Size.zero())
        assert room(held, held, nothing).host == "host-a"
        assert room(held, held, nothing).considered[0].score == 0

    def test_only_growth_needs_a_host_cluster_that_is_available(self) -> None:
        cordoned = replace(HALF, unavailable="all 3 nodes are cordoned")
        held = HALF.allocated
        assert room(held, held, cordoned).host == "host-b"
        assert room(size(1, "1Gi", "1Gi"), held, cordoned).host == "host-b"
        refused = room(held + size("1m", 0, 0), held, cordoned)
        assert refused.host is None
        assert refused.why_not().endswith(": all 3 nodes are cordoned")

    def test_what_a_virtual_cluster_has_counts_only_where_it_is(self) -> None:
        # Without a host cluster to stay on, it is placed as a whole.
        assert place(size(8, "4Gi", "2Gi"), [HALF], current=HALF.allocated).host is None
        assert place(size(8, "4Gi", "2Gi"), [HALF], pinned="host-b", current=HALF.allocated).host == "host-b"
