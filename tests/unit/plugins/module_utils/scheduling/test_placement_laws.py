# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws of placements: no host cluster gets more than its limit, whatever tasks do in any order."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES, Size
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.capacities import total
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.placements import (
    STRATEGIES,
    Candidate,
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
from sizes import size, sizes


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
