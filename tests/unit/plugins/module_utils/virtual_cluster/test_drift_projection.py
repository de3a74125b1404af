# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of drift.project: which difference between a live object and a manifest counts."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import drift as virtual_cluster_drift
from release_objects import (
    random_objects,
)

Path = tuple[Any, ...]
SAME: list[tuple[str, Any, Any]] = [
    ("a default of the API server", {"a": 1, "clusterIP": "10.0.0.1"}, {"a": 1}),
    ("a default deeper down", {"spec": {"a": 1, "b": {"c": 2}}, "status": {}}, {"spec": {"a": 1}}),
    ("a default in an item", {"ports": [{"port": 1, "protocol": "TCP"}]}, {"ports": [{"port": 1}]}),
    ("null asks for the default", {"a": 30}, {"a": None}),
    ("null and nothing", {}, {"a": None}),
    ("null below nothing", {}, {"annotations": {"a": None}}),
    ("node port of the API server's choice", {"ports": [{"nodePort": 31234}]}, {"ports": [{"nodePort": 0}]}),
    ("empty text", {}, {"a": ""}),
    ("empty dictionary", {}, {"a": {}}),
    ("empty dictionary, defaults in it", {"a": {"b": 1}}, {"a": {}}),
    ("empty list", {}, {"a": []}),
    ("false", {}, {"a": False}),
    ("empty below empty", {}, {"a": {"b": {"c": []}}}),
    ("cpu", {"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}),
    ("cpu as a number", {"limits": {"cpu": "2"}}, {"limits": {"cpu": 2}}),
    ("memory", {"resources": {"requests": {"storage": "5Gi"}}}, {"resources": {"requests": {"storage": 5368709120}}}),
    ("quota", {"hard": {"limits.cpu": "20", "services": "20"}}, {"hard": {"limits.cpu": 20, "services": "20"}}),
    ("size limit", {"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1024Mi"}}),
]
DIFFERENT: list[tuple[str, Any, Any]] = [
    ("another text", {"a": "x"}, {"a": "y"}),
    ("nothing", {}, {"a": 1}),
    ("nothing below nothing", {}, {"a": {"b": 1}}),
    ("true and nothing", {}, {"a": True}),
    ("false and true", {"a": True}, {"a": False}),
    ("text and nothing", {"a": "x"}, {"a": ""}),
    ("a node port that is asked for", {"nodePort": 31234}, {"nodePort": 30000}),
    ("longer list", {"a": [1, 2]}, {"a": [1]}),
    ("shorter list", {"a": [1]}, {"a": [1, 2]}),
    ("entries and none", {"a": [1]}, {"a": []}),
    ("other order", {"a": [1, 2]}, {"a": [2, 1]}),
    ("an item changed", {"a": [{"name": "x", "b": 1}]}, {"a": [{"name": "x", "b": 2}]}),
    ("another size", {"limits": {"cpu": "2"}}, {"limits": {"cpu": "1000m"}}),
    ("a version is no size", {"labels": {"version": "1.1"}}, {"labels": {"version": "1.10"}}),
    ("an environment variable is no size", {"env": [{"value": "1000"}]}, {"env": [{"value": "1e3"}]}),
    ("another shape", {"a": {"b": 1}}, {"a": "b"}),
    ("a text and a dictionary", {"a": "b"}, {"a": {"b": 1}}),
]


@pytest.mark.parametrize(("live", "wanted"), [pytest.param(*pair, id=name) for name, *pair in SAME])
def test_project_of_what_differs_in_nothing_that_counts_is_the_manifest(live: Any, wanted: Any) -> None:
    assert virtual_cluster_drift.project(live, wanted) == wanted


@pytest.mark.parametrize(("live", "wanted"), [pytest.param(*pair, id=name) for name, *pair in DIFFERENT])
def test_project_of_what_differs_is_not_the_manifest(live: Any, wanted: Any) -> None:
    assert virtual_cluster_drift.project(live, wanted) != wanted


@pytest.mark.parametrize(("_name", "live", "wanted"), [*SAME, *DIFFERENT])
def test_project_of_any_pair_changes_no_argument(_name: str, live: Any, wanted: Any) -> None:
    before = copy.deepcopy((live, wanted))
    virtual_cluster_drift.project(live, wanted)
    assert (live, wanted) == before


def dictionaries(data: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary in there, but in empty ones nothing is wanted, and fields below null are the server's."""
    if isinstance(data, dict):
        yield data
    for item in data.values() if isinstance(data, dict) else data if isinstance(data, list) else []:
        yield from dictionaries(item)


def paths(data: Any, at: Path = ()) -> Iterator[Path]:
    """Where the leaves are that are neither null nor a node port of 0."""
    if isinstance(data, (dict, list)) and data:
        for name, item in data.items() if isinstance(data, dict) else enumerate(data):
            yield from paths(item, (*at, name))
    elif data is not None and data != {} and not (at[-1] == "nodePort" and not data):
        yield at


def replaced(data: Any, at: Path, value: Any) -> Any:
    result = copy.deepcopy(data)
    node = result
    for step in at[:-1]:
        node = node[step]
    node[at[-1]] = value
    return result


def test_project_of_an_object_on_itself_is_that_object() -> None:
    for _source, thing in random_objects():
        assert virtual_cluster_drift.project(thing, thing) == thing


def test_project_done_twice_is_project_done_once() -> None:
    things = [thing for _source, thing in random_objects()]
    for live, wanted in itertools.pairwise(things):
        once = virtual_cluster_drift.project(live, wanted)
        assert virtual_cluster_drift.project(once, wanted) == once


def test_project_with_added_fields_is_the_manifest() -> None:
    for source, wanted in random_objects():
        live = copy.deepcopy(wanted)
        for node in list(dictionaries(live)):
            node[f"added-{source.randint(1, 3)}"] = source.choice(["x", 1, {"y": [2]}, []])
        assert virtual_cluster_drift.project(live, wanted) == wanted


def test_project_with_a_changed_leaf_is_not_the_manifest() -> None:
    seen = 0
    for source, wanted in random_objects():
        for where in paths(wanted):
            before = wanted
            for step in where:
                before = before[step]
            value = source.choice(["another", 12345, ["z"], {"z": 1}])
            live = replaced(wanted, where, value)
            assert virtual_cluster_drift.project(live, wanted) != wanted, (where, before, value)
            seen += 1
    assert seen > 1000


def test_project_without_a_leaf_is_the_manifest_only_if_it_was_empty() -> None:
    for _source, wanted in random_objects(200):
        for where in paths(wanted):
            *parents, last = where
            live = copy.deepcopy(wanted)
            node, value = live, wanted
            for step in parents:
                node = node[step]
            for step in where:
                value = value[step]
            del node[last]
            empty = isinstance(last, str) and value in ("", [], False, 0)
            assert (virtual_cluster_drift.project(live, wanted) == wanted) == empty, (where, value)
