# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of group_layers: laws of merging, with the origin of each value."""

from __future__ import annotations

import copy
from typing import Any

import yaml
from ansible_collections.nested.clusters.plugins.module_utils.admission import group_layers
from ansible_collections.nested.clusters.plugins.module_utils.common import yaml_io
from hypothesis import assume, given
from hypothesis import strategies as st
from layer_builders import Object

Path = tuple[str, ...]
KEYS = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers(0, 3)
LEAVES: st.SearchStrategy[Any] = st.none() | st.booleans() | NUMBERS | st.lists(NUMBERS, max_size=2) | st.just({})
TREES = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=3), lambda inner: st.dictionaries(KEYS, LEAVES | inner, max_size=3)
)
STACKS = st.lists(st.tuples(st.sampled_from(["built-in", "group", "request"]), TREES), max_size=4)


def leaves(node: Any, path: Path = ()) -> dict[Path, Any]:
    """What stands in a tree, by path; an empty mapping stands for itself."""
    if isinstance(node, dict) and node:
        return {where: value for key in node for where, value in leaves(node[key], (*path, key)).items()}
    return {path: node} if path else {}


@given(STACKS)
def test_origins_are_those_of_all_values_and_no_others(stack: list[group_layers.Layer]) -> None:
    assert group_layers.origins(stack).keys() == leaves(group_layers.merge(stack)).keys()


@given(STACKS)
def test_merge_each_value_is_of_a_layer_of_its_origin(stack: list[group_layers.Layer]) -> None:
    found = leaves(group_layers.merge(stack))
    for where, origin in group_layers.origins(stack).items():
        assert any(name == origin and leaves(layer).get(where, "nothing") == found[where] for name, layer in stack)


@given(STACKS, TREES)
def test_merge_last_layer_wins(stack: list[group_layers.Layer], last: Object) -> None:
    together = [*stack, ("the last", last)]
    result, origins = leaves(group_layers.merge(together)), group_layers.origins(together)
    for where, value in leaves(last).items():
        if value == {} and where not in result:
            assert any(known[: len(where)] == where for known in result)  # merged into what was there
            continue
        assert result[where] == value
        assert origins[where] == "the last" or value == {}


@given(STACKS)
def test_merge_leaves_layers_unchanged(stack: list[group_layers.Layer]) -> None:
    before = copy.deepcopy(stack)
    result = group_layers.merge(stack)
    for node in [result, *[value for value in result.values() if isinstance(value, dict)]]:
        node["changed"] = True
    assert stack == before


def mappings(node: Any, path: Path = ()) -> dict[Path, bool]:
    """Whether each path of a tree is a mapping."""
    below = [mappings(value, (*path, key)) for key, value in node.items()] if isinstance(node, dict) else []
    return {path: isinstance(node, dict), **{where: one for found in below for where, one in found.items()}}


@given(STACKS)
def test_merge_where_no_value_replaces_a_mapping_is_associative(stack: list[group_layers.Layer]) -> None:
    """A value between two mappings drops the first of them, or not, depending on what is merged first."""
    kinds = [item for _origin, tree in stack for item in mappings(tree).items()]
    assume(len(set(kinds)) == len(dict(kinds)))
    half = len(stack) // 2
    parts = [("x", group_layers.merge(stack[:half])), ("y", group_layers.merge(stack[half:]))]
    assert group_layers.merge(parts) == group_layers.merge(stack)


@given(STACKS)
def test_diff_shows_values_with_origins(stack: list[group_layers.Layer]) -> None:
    data, origins = group_layers.merge(stack), group_layers.origins(stack)
    text = yaml_io.dump_commented(data, origins)
    assert yaml.safe_load(text) == data
    assert text.count("  # ") == len(origins)
