# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of values: the laws of merging, whose values win, what is shown of them."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.values import accessors, masking, tree

KEYS = ("a", "b", "c", "d")
LEAVES: tuple[Any, ...] = (None, True, False, 0, 1, "", "x", [], [1, 2], {})


def random_values(source: random.Random, depth: int = 3) -> dict[str, Any]:
    """A dict with few keys, so that two of them meet in many places and in many shapes."""
    return {
        name: random_values(source, depth - 1) if depth and source.random() < 0.5 else source.choice(LEAVES)
        for name in KEYS
        if source.random() < 0.7
    }


def pairs(count: int = 200) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    source = random.Random(20)
    for _each in range(count):
        yield copy.deepcopy(random_values(source)), copy.deepcopy(random_values(source))


def leaves(data: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of everything that merging replaces as a whole."""
    if isinstance(data, dict) and data:
        for name, value in data.items():
            yield from leaves(value, (*at, name))
    elif at:
        yield at, data


def containers(data: Any) -> set[int]:
    """Which dicts and lists are in there."""
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else []
    own = {id(data)} if isinstance(data, (dict, list)) else set()
    return own.union(*(containers(item) for item in inner))


# --- merge ------------------------------------------------------------------------------------------------


def test_merge_with_nothing_changes_nothing() -> None:
    for one, _other in pairs():
        assert tree.merge(one, {}) == one
        assert tree.merge({}, one) == one
        assert tree.merge(one, one) == one


def test_merge_upper_value_wins() -> None:
    for under, over in pairs():
        merged = tree.merge(under, over)
        for where, value in leaves(over):
            if value != {}:  # an empty dictionary has nothing to say
                assert tree.get(merged, where) == value


def test_merge_twice_is_merge_once() -> None:
    for under, over in pairs():
        merged = tree.merge(under, over)
        assert tree.merge(merged, over) == merged


def test_merge_keeps_values_missing_in_upper() -> None:
    for under, over in pairs():
        merged = tree.merge(under, over)
        assert merged.keys() == under.keys() | over.keys()
        assert all(merged[name] == under[name] for name in under.keys() - over.keys())


def test_merge_shares_nothing_with_arguments() -> None:
    for under, over in pairs():
        before = copy.deepcopy((under, over))
        merged = tree.merge(under, over)
        assert (under, over) == before
        assert not containers(merged) & (containers(under) | containers(over))


@pytest.mark.parametrize(
    ("under", "over", "expected"),
    [
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {"b": None}}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
    ],
)
def test_merge_replaces_all_but_dictionaries(under: Any, over: Any, expected: Any) -> None:
    assert tree.merge(under, over) == expected


def test_at_and_get_are_inverse() -> None:
    assert tree.at(("a", "b"), 1) == {"a": {"b": 1}}
    assert tree.get(tree.at(accessors.IMAGE_REPOSITORY, "vcluster"), accessors.IMAGE_REPOSITORY) == "vcluster"
    assert tree.get({"a": "text"}, ("a", "b")) is None
    assert tree.get({}, ("a",)) is None


def test_path_with_dots_is_the_same_as_its_keys() -> None:
    values = {"a": {"b": None, "c.d": 1}}
    assert tree.at("a.b", 1) == tree.at(("a", "b"), 1)
    assert tree.get(values, "a.b", 7) is None
    assert (tree.get(values, "a.c.d"), tree.get(values, ("a", "c.d"))) == (None, 1)
    assert tree.get(values, "a.c", tree.MISSING) is tree.MISSING


def test_setting_that_is_null_is_the_default() -> None:
    assert tree.setting({"a": None}, "a", 7) == tree.setting({}, "a", 7) == 7
    assert tree.setting({"a": False}, "a", 7) is False


# --- masked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"password": "hunter2"}, {"password": masking.MASK}),
        ({"dataSource": "postgres://u:hunter2@db"}, {"dataSource": masking.MASK}),
        ({"access-key": "hunter2"}, {"access-key": masking.MASK}),
        ({"PRIVATE_KEY": "hunter2"}, {"PRIVATE_KEY": masking.MASK}),
        ({"tokens": ["hunter2", "hunter3"]}, {"tokens": [masking.MASK, masking.MASK]}),
        ({"list": [{"apiToken": "hunter2"}]}, {"list": [{"apiToken": masking.MASK}]}),
        ({"password": ""}, {"password": ""}),
        ({"password": None}, {"password": None}),
        ({"password": 12345}, {"password": masking.MASK}),
        ({"secretData": {"key": "hunter2"}}, {"secretData": {"key": masking.MASK}}),
        (
            {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "LEVEL", "value": "debug"}]},
            {"env": [{"name": "DB_PASSWORD", "value": masking.MASK}, {"name": "LEVEL", "value": "debug"}]},
        ),
        # Switches are no secrets: the diff would be useless.
        ({"sync": {"toHost": {"secrets": {"enabled": True}}}}, {"sync": {"toHost": {"secrets": {"enabled": True}}}}),
        ({"image": {"repository": "vcluster"}, "replicas": 3}, {"image": {"repository": "vcluster"}, "replicas": 3}),
    ],
)
def test_masked_values_hide_secrets(data: Any, shown: Any) -> None:
    before = copy.deepcopy(data)
    assert masking.masked(data) == shown
    assert data == before


def test_masked_twice_is_masked_once() -> None:
    data = {"a": [{"password": "hunter2", "secret": {"x": ["y"]}}], "env": [{"name": "TOKEN", "value": "hunter2"}]}
    once = masking.masked(data)
    assert masking.masked(once) == once
    assert "hunter2" not in json.dumps(once)


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ([{"name": "DB_PASSWORD", "value": "hunter2"}], [{"name": "DB_PASSWORD", "value": masking.MASK}]),
        ([{"name": "LEVEL", "value": "debug"}], [{"name": "LEVEL", "value": "debug"}]),
        ({"env": [{"name": "TOKEN"}]}, {"env": [{"name": "TOKEN"}]}),
        # A manifest names Secrets everywhere; what they hold is hidden elsewhere.
        ({"secretName": "vc-demo", "name": "token"}, {"secretName": "vc-demo", "name": "token"}),
        ("text", "text"),
    ],
)
def test_masked_environment_variables_are_hidden(data: Any, shown: Any) -> None:
    before = copy.deepcopy(data)
    assert masking.masked_environment(data) == shown
    assert data == before
