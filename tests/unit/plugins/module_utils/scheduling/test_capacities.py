# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of capacities: what host clusters can take, and what is allocated on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from allocations import (
    NOTHING_SAID,
    allocated,
)
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.capacities import (
    HostLoad,
    capacity,
    limit,
    total,
    why_no_nodes,
)
from hypothesis import given
from hypothesis import strategies as st
from sizes import size, sizes

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


def test_host_load_as_a_dictionary_has_what_is_available() -> None:
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


def test_total_of_allocations_counts_all_of_them() -> None:
    held = [
        allocated("a", size(4, "4Gi", "2Gi")),
        allocated("b", size(2, "2Gi", "1Gi"), deleting=True),
        allocated("c", size(0, 0, "5Gi")),
    ]
    assert total(held) == size(6, "6Gi", "8Gi")
    assert total([]) == Size.zero()
