# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of metadata: labels and annotations of a task, on the workload."""

from __future__ import annotations

import random
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.helm import post_renderer
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.metadata import (
    check_metadata,
    metadata_patch,
)
from release_objects import (
    merge_patch,
)


def test_metadata_patch_applied_leaves_nothing_to_patch() -> None:
    source = random.Random(3)

    def some(absent: bool) -> dict[str, Any]:
        return {name: source.choice(["1", "2", *([None] if absent else [])]) for name in source.sample("abcd", 2)}

    for _each in range(300):
        live = {"metadata": {"labels": some(False), "annotations": source.choice([some(False), None])}}
        labels, annotations = some(True), some(True)
        patch = metadata_patch(live, labels, annotations)
        after = merge_patch(live, {"metadata": patch})
        assert metadata_patch(after, labels, annotations) == {}
        for part, wanted in (("labels", labels), ("annotations", annotations)):
            before = live["metadata"][part] or {}
            kept = {name: value for name, value in before.items() if name not in wanted}
            asked = {name: value for name, value in wanted.items() if value is not None}
            assert (after["metadata"].get(part) or {}) == {**kept, **asked}
            # It holds what differs and no more.
            assert all(before.get(name) != value for name, value in patch.get(part, {}).items())


@pytest.mark.parametrize("live", [None, {}, {"metadata": {}}, {"metadata": {"labels": None}}])
def test_metadata_patch_of_an_object_without_metadata_sets_it(live: Any) -> None:
    assert metadata_patch(live, {"a": "1", "b": None}, {}) == {"labels": {"a": "1"}}
    assert metadata_patch(live, {}, {}) == {}


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ("labels", {"env": "prod"}),
        ("labels", {"example.com/env": "a.b_c-d"}),
        ("labels", {"env": ""}),
        ("labels", {"env": None}),
        ("labels", {"from-values": "same"}),
        ("annotations", {"note": "Any text, of any length: " + "x" * 100}),
    ],
)
def test_check_metadata_with_valid_metadata_passes(option: str, wanted: dict[str, Any]) -> None:
    check_metadata(option, wanted, {"from-values": "same"})


@pytest.mark.parametrize(
    ("option", "wanted", "word"),
    [
        ("labels", {"cost-center": 42}, "string"),
        ("labels", {"env": True}, "string"),
        ("annotations", {"owners": ["a"]}, "string"),
        ("labels", {"env": "a b"}, "letters"),
        ("labels", {"env": "-a"}, "letters"),
        ("labels", {"env": "a" * 64}, "63"),
        ("labels", {"a b": "c"}, "name"),
        ("labels", {"/a": "c"}, "name"),
        ("annotations", {"a/b/c": "c"}, "name"),
        ("labels", {"app": "x"}, "sets it"),
        ("labels", {"release": "x"}, "sets it"),
        ("annotations", {"meta.helm.sh/release-name": "x"}, "sets it"),
        ("annotations", {well_known.PROTECTED: "true"}, "sets it"),
        ("annotations", {post_renderer.PAUSED: "true"}, "sets it"),
        ("annotations", {well_known.MANAGED: None}, "sets it"),
        ("labels", {"from-values": "other"}, "values set"),
        ("labels", {"from-values": None}, "values set"),
    ],
)
def test_check_metadata_with_invalid_metadata_is_refused(option: str, wanted: dict[str, Any], word: str) -> None:
    with pytest.raises(OptionError) as caught:
        check_metadata(option, wanted, {"from-values": "same"})
    assert word in str(caught.value)
    assert str(caught.value).startswith(f"{option}: ")
    assert caught.value.data["option"] == option
