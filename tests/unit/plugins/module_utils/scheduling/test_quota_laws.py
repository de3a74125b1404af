# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws of owner quotas, for any allocations."""

from __future__ import annotations

from decimal import Decimal

from allocations import (
    allocated,
    refusal,
)
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES, Size
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import (
    OwnerQuota,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.membership import Allocation
from hypothesis import given
from hypothesis import strategies as st
from sizes import sizes

names = st.sampled_from("abcde")
allocations = st.lists(
    st.builds(
        allocated,
        name=names,
        held=sizes(limited=True, most=100),
        owner=st.sampled_from(["alice", "bob"]),
        group=st.sampled_from(["dev", "ci", "gifts"]),
        deleting=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda item: (item.name, item.group),
)
# About as often large enough as too small.
bounds = st.one_of(st.none(), st.integers(50, 400).map(Decimal))
quotas = st.builds(
    OwnerQuota,
    st.one_of(st.none(), st.integers(1, 9)),
    st.builds(
        Size, st.one_of(st.none(), st.integers(50, 400).map(lambda number: Decimal(number) / 1000)), bounds, bounds
    ),
    st.just(False),
)


class TestLawsOfOwnerQuota:
    @given(names, sizes(limited=True, most=100), quotas, allocations, st.data())
    def test_the_order_of_allocations_does_not_matter(
        self, name: str, asked: Size, quota: OwnerQuota, held: list[Allocation], data: st.DataObject
    ) -> None:
        one = refusal(name, asked, held, quota, ["gifts"])
        two = refusal(name, asked, data.draw(st.permutations(held)), quota, ["gifts"])
        assert str(one) == str(two)
        assert (one and one.data) == (two and two.data)

    @given(names, sizes(limited=True, most=100), quotas, allocations, st.data())
    def test_having_less_never_makes_a_request_fail(
        self, name: str, asked: Size, quota: OwnerQuota, held: list[Allocation], data: st.DataObject
    ) -> None:
        fewer = data.draw(st.lists(st.sampled_from(held), unique_by=id)) if held else []
        if refusal(name, asked, held, quota, ["gifts"]) is None:
            assert refusal(name, asked, fewer, quota, ["gifts"]) is None

    @given(names, sizes(limited=True, most=100), sizes(limited=True, most=100), quotas, allocations)
    def test_asking_for_less_never_makes_a_request_fail(
        self, name: str, asked: Size, less: Size, quota: OwnerQuota, held: list[Allocation]
    ) -> None:
        smaller = Size(*(min(getattr(asked, resource), getattr(less, resource)) for resource in RESOURCES))
        if refusal(name, asked, held, quota, ["gifts"]) is None:
            assert refusal(name, smaller, held, quota, ["gifts"]) is None

    @given(names, sizes(limited=True, most=100), quotas, allocations)
    def test_what_passes_keeps_the_quota_and_what_does_not_would_break_it(
        self, name: str, asked: Size, quota: OwnerQuota, held: list[Allocation]
    ) -> None:
        # Counted in another way: the whole picture after it, and only what the request adds to it.
        after = [item for item in held if (item.name, item.group) != (name, "dev")]
        after = [item for item in [*after, allocated(name, asked)] if item.owner == "alice" and item.group != "gifts"]
        count = len([item for item in after if item.size.cpu or item.size.memory])
        adds = bool(asked.cpu or asked.memory)
        over = set()
        if adds and quota.virtual_clusters is not None and count > quota.virtual_clusters:
            over.add("virtual_clusters")
        for resource in RESOURCES:
            most, wanted = getattr(quota.size, resource), getattr(asked, resource)
            if most is not None and wanted and sum(getattr(item.size, resource) for item in after) > most:
                over.add(resource)
        refused = refusal(name, asked, held, quota, ["gifts"])
        assert (refused is None) == (not over)
        assert refused is None or refused.data["resource"] in over

    @given(names, sizes(limited=True, most=100), sizes(limited=True, most=100), quotas, allocations)
    def test_a_resize_is_refused_only_for_what_grows(
        self, name: str, current: Size, asked: Size, quota: OwnerQuota, held: list[Allocation]
    ) -> None:
        held = [item for item in held if (item.name, item.group) != (name, "dev")] + [allocated(name, current)]
        refused = refusal(name, asked, held, quota, ["gifts"], current=current)
        if refused and refused.data["resource"] == "virtual_clusters":
            assert current.cpu == current.memory == 0
        elif refused:
            assert getattr(asked, refused.data["resource"]) > getattr(current, refused.data["resource"])
        assert refusal(name, current, held, quota, ["gifts"], current=current) is None
