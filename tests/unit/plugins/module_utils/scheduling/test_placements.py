# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of placement: which host cluster is chosen, that none gets more than its limit, and what a refusal says."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES, Size
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.capacities import total
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.placements import (
    STRATEGIES,
    Candidate,
    Placement,
    place,
    room,
)
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import (
    AdmissionDenied,
    OwnerQuota,
    SizeRequest,
    check_owner_quota,
    check_size,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.membership import Allocation
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from test_size import size, sizes

ASKED = size(4, "4Gi", "2Gi")
LIMIT = size(8, "16Gi", "100Gi")
EMPTY = Candidate("host-a", LIMIT, Size.zero())
HALF = Candidate("host-b", LIMIT, size(4, "4Gi", "2Gi"))
FULL = Candidate("host-c", LIMIT, size(7, "14Gi", "10Gi"))
CORDONED = Candidate("host-d", LIMIT, Size.zero(), "all 3 nodes are cordoned")


def outcome(placement: Placement) -> dict[str, tuple[bool, bool, str]]:
    return {item.name: (item.fits, item.chosen, item.reason) for item in placement.considered}


@pytest.mark.parametrize(("strategy", "host"), [("spread", "host-a"), ("pack", "host-b")])
def test_a_strategy_chooses_among_those_that_fit(strategy: str, host: str) -> None:
    placement = place(ASKED, [CORDONED, FULL, HALF, EMPTY], strategy)
    assert placement.host == host
    assert placement.why_not() == ""
    assert outcome(placement) == {
        "host-a": (True, host == "host-a", "has room"),
        "host-b": (True, host == "host-b", "has room"),
        "host-c": (False, False, "1 of 8 cpu left, 2Gi of 16Gi memory left"),
        "host-d": (False, False, "all 3 nodes are cordoned"),
    }


def test_a_placement_is_plain_data() -> None:
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
def test_the_score_is_the_smallest_fraction_left(limit: Size, allocated: Size, asked: Size, score: float) -> None:
    assert place(asked, [Candidate("host-a", limit, allocated)]).considered[0].score == score


def test_the_scarcest_resource_decides() -> None:
    much_cpu = Candidate("much-cpu", size(100, "10Gi", "10Gi"), Size.zero())
    balanced = Candidate("balanced", size(12, "16Gi", "20Gi"), Size.zero())
    assert place(ASKED, [much_cpu, balanced]).host == "balanced"
    assert place(ASKED, [much_cpu, balanced], "pack").host == "much-cpu"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_of_equals_the_first_by_name_is_chosen(strategy: str) -> None:
    # The same fraction, of other amounts of another resource.
    one = Candidate("host-c", size(6, "6Gi", "6Gi"), size(0, "4Gi", 0))
    other = Candidate("host-b", size(12, "12Gi", "12Gi"), size(6, 0, 0))
    placement = place(size(2, 0, 0), [one, other], strategy)
    assert [item.score for item in placement.considered] == [1 / 3, 1 / 3]
    assert placement.host == "host-b"


@pytest.mark.parametrize("resource", RESOURCES)
def test_the_last_unit_is_given_and_no_more(resource: str) -> None:
    unit = size(**{resource: "1m" if resource == "cpu" else 1}).filled(Size.zero())
    rest = LIMIT - ASKED
    placement = place(rest, [HALF])
    assert placement.host == "host-b"
    assert placement.considered[0].left == Size.zero()
    assert place(rest + unit, [HALF]).host is None
    assert place(rest + unit, [replace(HALF, limit=LIMIT + unit)]).host == "host-b"


def test_where_too_much_is_allocated_only_nothing_fits() -> None:
    over = Candidate("host-a", LIMIT, LIMIT + size(1, 0, 0) - size(0, "4Gi", "4Gi"))
    assert place(size("1m", 0, 0), [over]).host is None
    assert place(size(0, "4Gi", "4Gi"), [over]).host == "host-a"
    assert place(Size.zero(), [over]).host == "host-a"


def test_a_pinned_host_cluster_is_the_only_one_considered() -> None:
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


def test_a_pinned_host_cluster_has_to_exist() -> None:
    with pytest.raises(OptionError, match=r"^host_cluster: 'host-x' is not usable; allowed: host-a, host-b$"):
        place(ASKED, [HALF, EMPTY], pinned="host-x")
    with pytest.raises(OptionError, match="there is no host cluster"):
        place(ASKED, [], pinned="host-x")


def test_a_strategy_has_to_exist() -> None:
    with pytest.raises(OptionError, match=r"^strategy: 'random' is not usable; allowed: spread, pack$"):
        place(ASKED, [EMPTY], "random")


def test_a_refusal_has_the_numbers_of_every_host_cluster() -> None:
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


def test_without_host_clusters_there_is_no_room() -> None:
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


def candidates(limited: bool = False) -> st.SearchStrategy[list[Candidate]]:
    return st.lists(
        st.builds(
            Candidate,
            st.sampled_from([f"host-{letter}" for letter in "abcdef"]),
            sizes(limited=limited, most=100),
            sizes(limited=True, most=100),
            st.sampled_from(["", "", "", "no node is Ready"]),
        ),
        max_size=6,
        unique_by=lambda candidate: candidate.name,
    )


small = sizes(limited=True, most=50)
strategies = st.sampled_from(STRATEGIES)


class TestLaws:
    @given(small, candidates(), strategies)
    def test_no_limit_is_exceeded_and_none_with_room_is_overlooked(
        self, asked: Size, hosts: list[Candidate], strategy: str
    ) -> None:
        placement = place(asked, hosts, strategy)
        by_name = {host.name: host for host in hosts}
        fitting = {
            host.name
            for host in hosts
            if not host.unavailable
            and all(
                getattr(host.limit, name) is None
                or getattr(asked, name) == 0
                or getattr(host.allocated, name) + getattr(asked, name) <= getattr(host.limit, name)
                for name in RESOURCES
            )
        }
        assert {item.name for item in placement.considered if item.fits} == fitting
        assert (placement.host in fitting) if fitting else (placement.host is None)
        assert [item.name for item in placement.considered if item.chosen] == ([placement.host] if fitting else [])
        assert bool(placement.why_not()) == (not fitting)
        for item in placement.considered:
            before = by_name[item.name].limit - by_name[item.name].allocated
            assert item.left == (before - asked if item.fits else before)
            assert (item.score is not None) == item.fits

    @given(small, candidates(), strategies)
    def test_the_chosen_one_has_the_best_score(self, asked: Size, hosts: list[Candidate], strategy: str) -> None:
        placement = place(asked, hosts, strategy)
        scores = {item.name: item.score for item in placement.considered if item.score is not None}
        if placement.host is not None:
            sign = 1 if strategy == "spread" else -1
            best = max(sign * score for score in scores.values())
            assert placement.host == min(name for name, score in scores.items() if sign * score == best)

    @given(small, candidates(), strategies, st.data())
    def test_the_order_of_candidates_does_not_matter(
        self, asked: Size, hosts: list[Candidate], strategy: str, data: st.DataObject
    ) -> None:
        shuffled = data.draw(st.permutations(hosts))
        assert place(asked, shuffled, strategy) == place(asked, hosts, strategy)
        names = [item.name for item in place(asked, shuffled, strategy).considered]
        assert names == sorted(names)

    @given(small, candidates(), candidates(), strategies)
    def test_a_further_host_cluster_never_makes_a_request_fail(
        self, asked: Size, hosts: list[Candidate], more: list[Candidate], strategy: str
    ) -> None:
        further = [replace(host, name=f"{host.name}-2") for host in more]
        if place(asked, hosts, strategy).host is not None:
            assert place(asked, hosts + further, strategy).host is not None

    @given(small, small, candidates())
    def test_a_resize_needs_room_only_for_what_grows(self, current: Size, asked: Size, hosts: list[Candidate]) -> None:
        for host in hosts:
            holding = replace(host, allocated=host.allocated + current)
            grows = {
                name: getattr(asked, name) - getattr(current, name)
                for name in RESOURCES
                if getattr(asked, name) > getattr(current, name)
            }
            has_room = all(
                getattr(host.limit, name) is None
                or getattr(holding.allocated, name) + more <= getattr(host.limit, name)
                for name, more in grows.items()
            )
            placement = room(asked, current, holding)
            assert (placement.host == host.name) == (not grows or (has_room and not host.unavailable))
            if placement.host:
                assert placement.considered[0].left == host.limit - (host.allocated + asked)


class Life(RuleBasedStateMachine):
    """Create, resize and delete in any order, as tasks do, with host clusters that lose and gain nodes.

    The model is what the host clusters would hold: a request that is accepted is allocated. No resource of a host
    cluster is ever raised above its limit, nor an owner's above the quota; what is refused had a reason.
    """

    LIMITS = (
        ("host-a", size(16, "32Gi", "100Gi")),
        ("host-b", size(8, "16Gi")),
        ("host-c", size(24, "8Gi", "20Gi")),
    )
    QUOTA = OwnerQuota(3, size(20, "32Gi", "60Gi"), False)
    MINIMUM, MAXIMUM = size(1, "1Gi", 0), size(12, "16Gi", "40Gi")

    created = Bundle("created")
    owners = st.sampled_from(["alice", "bob", "carol"])
    requests = st.builds(
        lambda cpu, memory, storage: size(cpu, f"{memory}Gi", f"{storage}Gi"),
        st.integers(0, 14),
        st.integers(0, 18),
        st.integers(0, 44),
    )

    def __init__(self) -> None:
        super().__init__()
        self.limits = dict(self.LIMITS)
        self.held: dict[str, Allocation] = {}
        self.count = 0

    def candidates(self) -> list[Candidate]:
        return [Candidate(name, most, self.allocated(name)) for name, most in self.limits.items()]

    def allocated(self, host: str) -> Size:
        return total(item for item in self.held.values() if item.host_cluster == host)

    def owned(self, owner: str) -> Size:
        return total(item for item in self.held.values() if item.owner == owner)

    def refused(self, name: str, owner: str, asked: Size, current: Size | None) -> AdmissionDenied | None:
        try:
            check_owner_quota(SizeRequest(owner, name, "dev", asked, current), self.QUOTA, self.held.values())
            check_size(asked, self.MINIMUM, self.MAXIMUM)
        except AdmissionDenied as refused:
            return refused
        return None

    def allocate(self, name: str, owner: str, host: str, asked: Size) -> None:
        """Record it, and hold what grows by it to the limits."""
        before, owned = self.allocated(host), self.owned(owner)
        self.held[name] = Allocation(name, f"vcluster-{name}", host, "dev", owner, asked, {}, False)
        for had, has, most in (
            (before, self.allocated(host), self.limits[host]),
            (owned, self.owned(owner), self.QUOTA.size),
        ):
            for resource in RESOURCES:
                amount, bound = getattr(has, resource), getattr(most, resource)
                assert bound is None or amount <= bound or amount <= getattr(had, resource)

    @rule(target=created, owner=owners, asked=requests, strategy=strategies)
    def create(self, owner: str, asked: Size, strategy: str) -> str:
        self.count += 1
        name = f"vc-{self.count}"
        refused = self.refused(name, owner, asked, None)
        if refused:
            owned = [item for item in self.held.values() if item.owner == owner]
            assert (
                len(owned) == self.QUOTA.virtual_clusters
                or (self.owned(owner) + asked).fits_in(self.QUOTA.size)
                or asked.fits_in(self.MAXIMUM)
                or self.MINIMUM.fits_in(asked)
            )
            return name
        hosts = self.candidates()
        placement = place(asked, hosts, strategy)
        if placement.host is None:
            assert all(asked.fits_in(host.limit - host.allocated) for host in hosts)
        else:
            self.allocate(name, owner, placement.host, asked)
        return name

    @rule(name=created, asked=requests)
    def resize(self, name: str, asked: Size) -> None:
        item = self.held.get(name)
        if item is None or self.refused(name, item.owner, asked, item.size):
            return
        host = item.host_cluster
        placement = room(asked, item.size, Candidate(host, self.limits[host], self.allocated(host)))
        if placement.host is not None:
            self.allocate(name, item.owner, host, asked)
        else:
            assert asked.fits_in(item.size)

    @rule(name=consumes(created))
    def delete(self, name: str) -> None:
        self.held.pop(name, None)

    @rule(host=st.sampled_from([name for name, _most in LIMITS]), percent=st.sampled_from([0, 50, 100, 150]))
    def change_nodes(self, host: str, percent: int) -> None:
        most = dict(self.LIMITS)[host]
        share = Decimal(percent) / 100
        self.limits[host] = Size(*(None if amount is None else amount * share for _name, amount in most.items()))

    @invariant()
    def owners_keep_their_quota(self) -> None:
        for owner in {item.owner for item in self.held.values()}:
            assert not self.owned(owner).fits_in(self.QUOTA.size)
            counted = [item for item in self.held.values() if item.owner == owner]
            assert len(counted) <= (self.QUOTA.virtual_clusters or 0)


class SteadyLife(Life):
    """The same while no node comes or goes: then no host cluster is ever above its limit."""

    change_nodes = None  # type: ignore[assignment]

    @invariant()
    def no_host_cluster_is_oversold(self) -> None:
        for host, most in self.limits.items():
            assert not self.allocated(host).fits_in(most)


TestLife = Life.TestCase
TestSteadyLife = SteadyLife.TestCase
