# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of documents: YAML that says the same as the data, with comments that say where it comes from."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.common import yaml_io
from hypothesis import given
from hypothesis import strategies as st

Object = dict[str, Any]
Path = tuple[str, ...]

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
LEAVES |= st.text("ab \n:#'\"", min_size=90, max_size=200)  # longer than a line
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)
TREES = st.dictionaries(st.text() | st.text("ab: ", min_size=130, max_size=140), JSON, max_size=3)


def leaves(node: Any, path: Path = ()) -> dict[Path, Any]:
    if isinstance(node, dict) and node:
        return {where: value for key in node for where, value in leaves(node[key], (*path, key)).items()}
    return {path: node} if path else {}


@given(TREES)
def test_dump_with_comments_says_the_same(data: Object) -> None:
    comments = dict.fromkeys(leaves(data), "from somewhere")
    assert yaml.safe_load(yaml_io.dump_commented(data, comments)) == data
    assert yaml.safe_load(yaml_io.dump_commented(data, {})) == data


@given(TREES)
def test_dump_with_comments_has_each_on_a_line(data: Object) -> None:
    comments = {where: f"comment {number}" for number, where in enumerate(leaves(data))}
    lines = yaml_io.dump_commented(data, comments).splitlines()
    for comment in comments.values():
        assert len([line for line in lines if line.endswith(f"  # {comment}")]) == 1


def test_dump_of_anything_reads_as_any_yaml() -> None:
    data = {"b": {"list": [1, {"x": 2}], "none": None, "empty": {}}, "a": "1Gi"}
    assert yaml_io.dump_commented(data, {}) == yaml_io.dump(data)
    comments = {("a",): "group", ("b", "list"): "request", ("b", "empty"): "built-in"}
    assert yaml_io.dump_commented(data, comments) == (
        "a: 1Gi  # group\nb:\n  empty: {}  # built-in\n  list:  # request\n  - 1\n  - x: 2\n  none: null\n"
    )


@pytest.mark.parametrize("data", [{}, [], None, "x", [1]])
def test_dump_of_nothing_is_empty(data: Any) -> None:
    assert yaml_io.dump_commented(data, {}) == yaml_io.dump(data)


def test_dump_with_comments_on_missing_paths_leaves_them_out() -> None:
    assert yaml_io.dump_commented({"a": 1}, {("b",): "x", ("a", "c"): "y"}) == "a: 1\n"
