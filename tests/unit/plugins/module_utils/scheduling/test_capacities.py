# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of capacity: what host clusters can take, what is allocated, and who may have how much."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES, Size
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.capacities import (
    HostLoad,
    capacity,
    limit,
    total,
    why_no_nodes,
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
from test_size import size, sizes

NOTHING_SAID = Size(None, None, None)
NO_QUOTA = OwnerQuota(None, NOTHING_SAID, False)
CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


def node(
    name: str = "node-a",
    cpu: str = "4",
    memory: str = "8Gi",
    labels: dict[str, str] | None = None,
    cordoned: bool = False,
    ready: str | None = "True",
    taints: Sequence[dict[str, str]] = (),
) -> dict[str, Any]:
    """A Node object, with the taints that Kubernetes itself puts on one that is cordoned or not ready."""
    taints = [*taints]
    if cordoned:
        taints.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
    if ready != "True":
        taints.append({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"})
    conditions = [{"type": "MemoryPressure", "status": "False"}]
    if ready is not None:
        conditions.append({"type": "Ready", "status": ready})
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {**({"unschedulable": True} if cordoned else {}), **({"taints": taints} if taints else {})},
        "status": {
            "capacity": {"cpu": "64", "memory": "256Gi"},
            "allocatable": {"cpu": cpu, "memory": memory, "pods": "110"},
            "conditions": conditions,
        },
    }


def allocated(
    name: str,
    held: Size,
    owner: str = "alice",
    group: str = "dev",
    host_cluster: str = "host-a",
    deleting: bool = False,
) -> Allocation:
    return Allocation(name, f"vcluster-{name}", host_cluster, group, owner, held, {}, deleting)


class TestCapacity:
    def test_nodes_add_up_and_storage_is_not_known(self) -> None:
        nodes = [node(cpu="3920m", memory="8Gi"), node(cpu="2", memory="1000Ki")]
        assert capacity(nodes, NOTHING_SAID, {}) == size("5920m", 8 * 1024**3 + 1000 * 1024)

    def test_what_is_declared_wins_one_by_one(self) -> None:
        assert capacity([node()], size(storage="2Ti"), {}) == size(4, "8Gi", "2Ti")
        assert capacity([node()], size(cpu=100), {}) == size(100, "8Gi")
        assert capacity([node()], size(0, 0, 0), {}) == Size.zero()

    @pytest.mark.parametrize(
        "unusable",
        [
            node(cordoned=True),
            node(ready="False"),
            node(ready="Unknown"),
            node(ready=None),
            node(taints=[CONTROL_PLANE]),
            node(taints=[{"key": "gpu", "value": "yes", "effect": "NoExecute"}]),
            {"metadata": {"name": "new"}},
        ],
    )
    def test_a_node_that_takes_no_pod_does_not_count(self, unusable: dict[str, Any]) -> None:
        assert capacity([unusable, node()], NOTHING_SAID, {}) == size(4, "8Gi")
        assert capacity([unusable], NOTHING_SAID, {}) == size(0, 0)

    def test_a_node_that_is_only_avoided_counts(self) -> None:
        assert capacity([node(taints=[{"key": "a", "effect": "PreferNoSchedule"}])], NOTHING_SAID, {}).cpu == 4

    def test_only_nodes_that_match_every_label_count(self) -> None:
        nodes = [node(labels={"pool": "x", "zone": "1"}), node(labels={"pool": "x"}, cpu="8"), node(cpu="16")]
        assert capacity(nodes, NOTHING_SAID, {"pool": "x"}).cpu == 12
        assert capacity(nodes, NOTHING_SAID, {"pool": "x", "zone": "1"}).cpu == 4
        assert capacity(nodes, NOTHING_SAID, {"pool": "y"}).cpu == 0

    def test_parts_of_a_unit_are_not_counted(self) -> None:
        assert capacity([node(cpu="1999999999n", memory="1500m")], NOTHING_SAID, {}) == size("1999m", 1)

    def test_a_node_may_have_nothing_to_give(self) -> None:
        assert capacity([node(cpu="0", memory="0")], NOTHING_SAID, {}) == size(0, 0)

    @pytest.mark.parametrize("broken", [{"cpu": "four"}, {"memory": "-1"}, {"memory": "NaN"}])
    def test_a_node_that_cannot_be_read_is_named(self, broken: dict[str, Any]) -> None:
        with pytest.raises(NestedClustersError, match=rf"^node broken: allocatable {next(iter(broken))} "):
            capacity([node(), node("broken", **broken)], NOTHING_SAID, {})
        assert capacity([node(ready="False", **broken)], NOTHING_SAID, {}) == size(0, 0)

    @given(st.permutations([node(cpu="1"), node(cpu="3"), node(cordoned=True), node(labels={"pool": "x"})]))
    def test_the_order_of_nodes_does_not_matter(self, nodes: list[dict[str, Any]]) -> None:
        assert capacity(nodes, NOTHING_SAID, {}) == size(8, "24Gi")

    @given(
        st.lists(
            st.builds(
                node,
                cordoned=st.booleans(),
                ready=st.sampled_from(["True", "False", None]),
                taints=st.sampled_from([(), (CONTROL_PLANE,)]),
                labels=st.sampled_from([{}, {"pool": "x"}]),
            )
        ),
        st.sampled_from([{}, {"pool": "x"}]),
    )
    def test_there_is_a_reason_exactly_where_no_node_counts(
        self, nodes: list[dict[str, Any]], node_selector: dict[str, str]
    ) -> None:
        none_counts = capacity(nodes, NOTHING_SAID, node_selector).cpu == 0
        assert bool(why_no_nodes(nodes, node_selector)) == none_counts


class TestWhyNoNodes:
    @pytest.mark.parametrize(
        ("nodes", "why"),
        [
            ([], "it has no node"),
            ([node()], ""),
            ([node(cordoned=True), node()], ""),
            ([node(cordoned=True)] * 3, "all 3 nodes are cordoned"),
            ([node(cordoned=True)], "the only node is cordoned"),
            ([node(ready="False"), node(ready=None)], "no node is Ready"),
            # Cordoned nodes are often down as well: what an administrator did says more.
            ([node(cordoned=True, ready="Unknown")] * 2, "all 2 nodes are cordoned"),
            ([node(taints=[CONTROL_PLANE])] * 2, "every node has a taint (NoSchedule or NoExecute)"),
            (
                [node(taints=[CONTROL_PLANE]), node(ready="False"), node(cordoned=True), node(ready="False")],
                "no node can be used: 1 cordoned, 2 not Ready, 1 with a taint",
            ),
        ],
    )
    def test_without_a_node_selector(self, nodes: list[dict[str, Any]], why: str) -> None:
        assert why_no_nodes(nodes, {}) == why

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ([], "no node matches pool=x,zone=1"),
            ([{}], ""),
            ([{"cordoned": True}], "the only node that matches pool=x,zone=1 is cordoned"),
            ([{"cordoned": True}] * 2, "all 2 nodes that match pool=x,zone=1 are cordoned"),
            ([{"ready": None}], "no node that matches pool=x,zone=1 is Ready"),
            (
                [{"taints": [CONTROL_PLANE]}],
                "every node that matches pool=x,zone=1 has a taint (NoSchedule or NoExecute)",
            ),
            (
                [{"cordoned": True}, {"ready": "False"}],
                "no node that matches pool=x,zone=1 can be used: 1 cordoned, 1 not Ready",
            ),
        ],
    )
    def test_with_a_node_selector(self, changes: list[dict[str, Any]], why: str) -> None:
        pool = {"zone": "1", "pool": "x"}
        nodes = [node(), *(node(labels=pool, **change) for change in changes)]
        assert why_no_nodes(nodes, pool) == why


class TestLimit:
    def test_it_is_a_percentage(self) -> None:
        assert limit(size(8, "10Gi", "100Gi"), 120) == size("9600m", "12Gi", "120Gi")
        assert limit(size(8, "10Gi"), 50) == size(4, "5Gi")

    def test_it_is_rounded_down(self) -> None:
        assert limit(size("1m", 3, 1), 150) == size("1m", 4, 1)

    @given(sizes(), st.integers(1, 10_000), st.integers(0, 10_000))
    def test_it_grows_with_the_percentage_and_can_be_written(self, one: Size, percent: int, more: int) -> None:
        assert limit(one, 100) == one
        assert limit(one, percent).fits_in(limit(one, percent + more)) == []
        # In whole units: nothing is lost in writing it down.
        smaller = limit(one, percent % 101)
        assert Size.parse(smaller.as_dict(), "limit", partial=True) == smaller


def test_the_load_of_a_host_cluster() -> None:
    load = HostLoad(
        capacity=size(8, "16Gi"), limit=size(10, "20Gi"), allocated=size(12, "4Gi", "8Gi"), used=size(1, "2Gi")
    )
    assert load.available == size(10, "20Gi") - size(12, "4Gi", "8Gi")
    assert load.as_dict() == {
        "capacity": {"cpu": "8", "memory": "16Gi", "storage": None},
        "limit": {"cpu": "10", "memory": "20Gi", "storage": None},
        "allocated": {"cpu": "12", "memory": "4Gi", "storage": "8Gi"},
        "used": {"cpu": "1", "memory": "2Gi", "storage": None},
        "available": {"cpu": "-2", "memory": "16Gi", "storage": None},
    }


def test_the_total_counts_everything() -> None:
    held = [
        allocated("a", size(4, "4Gi", "2Gi")),
        allocated("b", size(2, "2Gi", "1Gi"), deleting=True),
        allocated("c", size(0, 0, "5Gi")),
    ]
    assert total(held) == size(6, "6Gi", "8Gi")
    assert total([]) == Size.zero()


class TestOwnerQuotaOption:
    def test_all_of_it(self) -> None:
        given_limits = {"virtual_clusters": 4, "cpu": 20, "memory": "32Gi", "storage": "60Gi"}
        quota = OwnerQuota.parse(given_limits, "owner_quota")
        assert quota == OwnerQuota(4, size(20, "32Gi", "60Gi"), False)
        assert quota.limits

    @pytest.mark.parametrize("mapping", [None, {}, {"cpu": None, "virtual_clusters": None, "exempt": None}])
    def test_nothing_is_limited(self, mapping: dict[str, Any] | None) -> None:
        quota = OwnerQuota.parse(mapping, "owner_quota")
        assert quota == NO_QUOTA
        assert not quota.limits

    @pytest.mark.parametrize("part", [{"virtual_clusters": 0}, {"cpu": 0}, {"memory": "1Gi"}, {"storage": "1Gi"}])
    def test_a_part_is_a_limit(self, part: dict[str, Any]) -> None:
        assert OwnerQuota.parse(part, "owner_quota").limits

    def test_exempt(self) -> None:
        assert OwnerQuota.parse({"exempt": True, "cpu": None}, "owner_quota") == OwnerQuota(None, NOTHING_SAID, True)

    @pytest.mark.parametrize(
        ("mapping", "option"),
        [
            ("exempt", "owner_quota"),
            ([], "owner_quota"),
            ({"virtual_clusters": -1}, "owner_quota.virtual_clusters"),
            ({"virtual_clusters": True}, "owner_quota.virtual_clusters"),
            ({"virtual_clusters": "4"}, "owner_quota.virtual_clusters"),
            ({"virtual_clusters": 1.5}, "owner_quota.virtual_clusters"),
            ({"cpu": "many"}, "owner_quota.cpu"),
            ({"memory": "-1Gi"}, "owner_quota.memory"),
            ({"exempt": "yes"}, "owner_quota.exempt"),
            ({"exempt": True, "cpu": 4}, "owner_quota.exempt"),
            ({"exempt": True, "virtual_clusters": 0}, "owner_quota.exempt"),
            ({"pods": 4}, "owner_quota.pods"),
        ],
    )
    def test_what_is_none(self, mapping: Any, option: str) -> None:
        with pytest.raises(OptionError) as refused:
            OwnerQuota.parse(mapping, "owner_quota")
        assert refused.value.data["option"] == option

    @given(st.one_of(st.none(), st.integers(0, 10**6)), sizes())
    def test_it_is_read_back_as_it_was_written(self, count: int | None, most: Size) -> None:
        quota = OwnerQuota(count, most, False)
        assert OwnerQuota.parse(json.loads(json.dumps(quota.as_dict())), "owner_quota") == quota


QUOTA = OwnerQuota(4, size(20, "32Gi", "60Gi"), False)
MEDIUM = size(8, "12Gi", "20Gi")
SMALL = size(4, "4Gi", "2Gi")


def refusal(
    name: str,
    asked: Size,
    held: Sequence[Allocation],
    quota: OwnerQuota = QUOTA,
    exempt_groups: Sequence[str] = (),
    group: str = "dev",
    owner: str = "alice",
    current: Size | None = None,
) -> AdmissionDenied | None:
    """Why the owner's quota does not allow it, or None."""
    try:
        check_owner_quota(SizeRequest(owner, name, group, asked, current), quota, held, exempt_groups)
    except AdmissionDenied as refused:
        return refused
    return None


class TestOwnerQuota:
    def test_an_owner_with_one_may_take_another(self) -> None:
        assert refusal("b", MEDIUM, [allocated("a", MEDIUM)]) is None

    def test_but_not_a_third_of_that_size(self) -> None:
        refused = refusal("c", MEDIUM, [allocated("b", MEDIUM), allocated("a", MEDIUM)])
        assert refused is not None
        assert str(refused) == (
            "the owner quota does not allow virtual cluster c 8 cpu: owner alice may have 20 in all, and has 16 in use "
            "(a in group dev: 8; b in group dev: 8); ask for less, delete or resize another, or have the quota raised"
        )
        assert refused.data == {
            "check": "owner_quota",
            "resource": "cpu",
            "asked": "8",
            "allowed": "20",
            "in_use": "16",
            "by": ["a", "b"],
        }

    def test_an_owner_with_four_may_not_take_a_fifth(self) -> None:
        held = [allocated(name, size("1m", 1, 0)) for name in "dcba"]
        refused = refusal("e", size("1m", 1, 0), held)
        assert refused is not None
        assert str(refused) == (
            "the owner quota does not allow virtual cluster e: owner alice may have 4 virtual clusters in all, and has "
            "4 (a in group dev; b in group dev; c in group dev; d in group dev); delete one, or have the quota raised"
        )
        assert refused.data == {
            "check": "owner_quota",
            "resource": "virtual_clusters",
            "asked": 1,
            "allowed": 4,
            "in_use": 4,
            "by": ["a", "b", "c", "d"],
        }
        assert refusal("e", size("1m", 1, 0), held[1:]) is None

    @pytest.mark.parametrize("resource", RESOURCES)
    def test_the_last_unit_may_be_taken_and_no_more(self, resource: str) -> None:
        unit = size(**{resource: "1m" if resource == "cpu" else 1}).filled(Size.zero())
        held = [allocated("a", MEDIUM)]
        rest = QUOTA.size - MEDIUM
        assert refusal("b", rest, held) is None
        refused = refusal("b", rest + unit, held)
        assert refused is not None
        assert refused.data["resource"] == resource

    def test_an_exempt_group_ignores_the_owner_quota(self) -> None:
        held = [allocated(name, MEDIUM) for name in "abcd"]
        assert refusal("e", MEDIUM, held, OwnerQuota(None, NOTHING_SAID, True)) is None
        assert refusal("e", MEDIUM, held, QUOTA, exempt_groups=["gifts"], group="gifts") is None

    def test_what_is_in_an_exempt_group_does_not_count_for_others(self) -> None:
        held = [allocated(name, MEDIUM, group="gifts") for name in "abcd"]
        assert refusal("e", MEDIUM, held, exempt_groups=["gifts"]) is None
        assert refusal("e", MEDIUM, held) is not None

    def test_it_counts_in_every_group_and_on_every_host_cluster(self) -> None:
        held = [allocated("a", MEDIUM, group="ci"), allocated("a", MEDIUM, host_cluster="host-b", group="test")]
        refused = refusal("a", MEDIUM, held)
        assert refused is not None
        assert "a in group ci: 8; a in group test: 8" in str(refused)

    def test_it_counts_for_one_owner(self) -> None:
        held = [allocated(name, MEDIUM, owner="bob") for name in "abcd"]
        assert refusal("e", MEDIUM, held) is None

    def test_what_has_no_owner_counts_together(self) -> None:
        held = [allocated(name, MEDIUM, owner="") for name in "ab"]
        refused = refusal("c", MEDIUM, held, owner="")
        assert refused is not None
        assert "whoever has no owner name may have 20 in all" in str(refused)

    def test_what_is_being_deleted_counts_until_it_is_gone(self) -> None:
        going = [allocated(name, SMALL, deleting=True) for name in "abcd"]
        refused = refusal("e", SMALL, going)
        assert refused is not None
        assert "a in group dev, being deleted" in str(refused)
        assert refused.data["in_use"] == 4

    def test_volumes_that_are_left_count_as_storage_only(self) -> None:
        kept = [allocated(name, size(0, 0, "15Gi")) for name in "abcd"]
        refused = refusal("e", SMALL, kept)
        assert refused is not None
        assert refused.data["resource"] == "storage"
        assert "a in group dev, only volumes: 15Gi" in str(refused)
        assert refusal("e", size(4, "4Gi", 0), kept) is None
        # Deleting all but the volumes, and taking them up again.
        full = [allocated(name, SMALL) for name in "abcd"]
        assert refusal("d", size(0, 0, "2Gi"), full, current=SMALL) is None
        kept_one = allocated("e", size(0, 0, "2Gi"))
        refused = refusal("e", SMALL, [*full, kept_one], current=kept_one.size)
        assert refused is not None
        assert refused.data["resource"] == "virtual_clusters"

    def test_a_resize_counts_only_the_difference(self) -> None:
        held = [allocated("a", MEDIUM), allocated("b", MEDIUM)]
        assert refusal("b", size(12, "20Gi", "40Gi"), held, current=MEDIUM) is None
        refused = refusal("b", size(13, "20Gi", "40Gi"), held, current=MEDIUM)
        assert refused is not None
        assert (refused.data["asked"], refused.data["in_use"], refused.data["by"]) == ("13", "8", ["a"])

    def test_a_resize_is_no_further_virtual_cluster(self) -> None:
        held = [allocated(name, SMALL) for name in "abcde"]  # one more than allowed
        assert refusal("e", SMALL, held, OwnerQuota(4, NOTHING_SAID, False), current=SMALL) is None

    def test_what_does_not_grow_is_never_refused(self) -> None:
        held = [allocated("a", size(40, "12Gi", "20Gi")), allocated("b", MEDIUM)]
        assert refusal("b", MEDIUM, held, current=MEDIUM) is None
        assert refusal("b", size(7, "12Gi", "20Gi"), held, current=MEDIUM) is None
        assert refusal("b", size(8, "13Gi", "20Gi"), held, current=MEDIUM) is None
        assert refusal("b", size(9, "1Gi", "1Gi"), held, current=MEDIUM) is not None

    def test_taking_over_from_another_owner_is_new_to_this_one(self) -> None:
        held = [*(allocated(name, SMALL) for name in "abcd"), allocated("e", SMALL, owner="bob")]
        assert refusal("e", SMALL, held) is not None

    def test_a_quota_of_nothing(self) -> None:
        refused = refusal("a", SMALL, [], OwnerQuota(0, NOTHING_SAID, False))
        assert refused is not None
        assert "may have 0 virtual clusters in all, and has none" in str(refused)
        refused = refusal("a", SMALL, [], OwnerQuota(1, size(3), False))
        assert refused is not None
        assert "4 cpu: owner alice may have 3 in all, and has none in use" in str(refused)
        refused = refusal("b", SMALL, [allocated("a", SMALL)], OwnerQuota(1, NOTHING_SAID, False))
        assert refused is not None
        assert "may have 1 virtual cluster in all, and has 1 (a in group dev)" in str(refused)

    def test_a_sentence_lists_the_largest_few_and_the_data_all(self) -> None:
        held = [allocated(f"c{number}", size(number, 0, 0)) for number in range(1, 9)]
        refused = refusal("c9", size(1, 0, 0), held, OwnerQuota(None, size(36), False))
        assert refused is not None
        assert "(c8 in group dev: 8; " in str(refused)
        assert "c4 in group dev: 4; and 3 more)" in str(refused)
        assert refused.data["by"] == [f"c{number}" for number in range(8, 0, -1)]
        refused = refusal("c9", size(1, 0, 0), held[:5], OwnerQuota(None, size(15), False))
        assert refused is not None
        assert "; c1 in group dev: 1);" in str(refused)

    def test_without_a_size_nothing_but_no_limit_is_enough(self) -> None:
        assert refusal("a", size(4, "4Gi", None), [], OwnerQuota(None, size(cpu=4), False)) is None
        refused = refusal("a", size(4, "4Gi", None), [], OwnerQuota(None, size(storage="1Gi"), False))
        assert refused is not None
        assert refused.data["asked"] is None


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


class TestSize:
    def test_the_bounds_are_within(self) -> None:
        check_size(SMALL, SMALL, SMALL)
        check_size(SMALL, NOTHING_SAID, NOTHING_SAID)
        check_size(size(4, "4Gi", None), SMALL, size(cpu=4))

    @pytest.mark.parametrize(
        ("asked", "check", "resource", "sentence"),
        [
            (
                size(9, "4Gi", "2Gi"),
                "maximum",
                "cpu",
                "size.cpu: 9 is asked for, and a virtual cluster of this group has at most 8",
            ),
            (
                size(4, "3Gi", "2Gi"),
                "minimum",
                "memory",
                "size.memory: 3Gi is asked for, and a virtual cluster of this group has at least 4Gi",
            ),
            (
                size(4, "4Gi", None),
                "maximum",
                "storage",
                "size.storage: unlimited is asked for, and a virtual cluster of this group has at most 20Gi",
            ),
        ],
    )
    def test_what_is_outside_is_refused_with_both_numbers(
        self, asked: Size, check: str, resource: str, sentence: str
    ) -> None:
        with pytest.raises(AdmissionDenied) as refused:
            check_size(asked, SMALL, MEDIUM)
        assert str(refused.value) == sentence
        assert refused.value.data == {
            "check": check,
            "resource": resource,
            "asked": asked.as_dict()[resource],
            "allowed": (MEDIUM if check == "maximum" else SMALL).as_dict()[resource],
            "in_use": None,
            "by": [],
        }

    def test_the_maximum_comes_before_the_minimum(self) -> None:
        with pytest.raises(AdmissionDenied) as refused:
            check_size(size(1, "4Gi", "21Gi"), SMALL, MEDIUM)
        assert (refused.value.data["check"], refused.value.data["resource"]) == ("maximum", "storage")
