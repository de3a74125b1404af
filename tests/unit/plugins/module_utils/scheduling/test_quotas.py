# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of quotas: what owners and groups allow, and the sizes within them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from allocations import (
    MEDIUM,
    NO_QUOTA,
    NOTHING_SAID,
    QUOTA,
    SMALL,
    allocated,
    refusal,
)
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES, Size
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import (
    AdmissionDenied,
    OwnerQuota,
    check_size,
)
from hypothesis import given
from hypothesis import strategies as st
from sizes import size, sizes


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
        assert "virtual clusters without an owner may have 20 in all" in str(refused)

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
