# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of what the diff of a release shows: secrets are masked, and values say where they come from."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import Release
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import drift as virtual_cluster_drift
from release_objects import (
    NAMESPACE,
    SECRET,
    STATEFUL_SET,
    encoded,
    stateful_set,
)


def secret(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vc-config-demo"}, "data": data}


def test_show_of_a_secret_masks_values_and_marks_differences() -> None:
    before = {SECRET: secret(same=encoded("hunter2"), other=encoded("hunter3"), gone=encoded("hunter4"))}
    after = {SECRET: secret(same=encoded("hunter2"), other=encoded("hunter5"), new=encoded("hunter6"))}
    assert yaml.safe_load(virtual_cluster_drift.show(before, after, "before"))["data"] == {
        "same": "***",
        "other": "*** (before)",
        "gone": "*** (before)",
    }
    assert yaml.safe_load(virtual_cluster_drift.show(after, before, "after"))["data"] == {
        "same": "***",
        "other": "*** (after)",
        "new": "*** (after)",
    }


@pytest.mark.parametrize("part", ["data", "stringData"])
def test_release_diff_of_secrets_shows_none_of_their_values(part: str) -> None:
    source = random.Random(5)
    for _each in range(50):
        words = [f"hunter{source.randint(10**6, 10**7)}" for _word in range(4)]
        before, after = (
            {SECRET: {**secret(), "data": None, part: {name: source.choice(words) for name in "abc"}}}
            for _side in range(2)
        )
        release = Release("demo", NAMESPACE, 1, "deployed", "vcluster", "0.36.1", {"password": words[0]}, "")
        entries = virtual_cluster_drift.release_diff(release, {"password": words[1]}, before, after, "demo")
        text = "".join(entry["before"] + entry["after"] for entry in entries)
        assert not [word for word in words if word in text]
        # Hidden, but not unseen.
        assert any("manifests" in entry["before_header"] for entry in entries) == (before != after)


def test_show_of_a_config_map_shows_its_values() -> None:
    thing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"b": "shown"}}
    assert "shown" in virtual_cluster_drift.show({("v1", "ConfigMap", NAMESPACE, "a"): thing}, {}, "before")


def test_show_of_several_objects_is_sorted() -> None:
    things = {("v1", "Service", NAMESPACE, name): {"metadata": {"name": name}} for name in "cab"}
    backwards = dict(reversed(things.items()))
    assert virtual_cluster_drift.show(things, {}, "before") == virtual_cluster_drift.show(backwards, {}, "before")


def test_release_diff_of_a_new_release_begins_with_nothing() -> None:
    entries = virtual_cluster_drift.release_diff(None, {"a": 1}, {}, {STATEFUL_SET: stateful_set()}, "demo")
    assert [entry["before"] for entry in entries] == ["", ""]
    assert [entry["before_header"] for entry in entries] == ["values of demo", "manifests of demo"]


ORIGINS = {("a", "b"): "group", ("c",): "request", ("password",): "built-in"}


def values_of(deployed: dict[str, Any], wanted: dict[str, Any]) -> tuple[str, str]:
    """The values before and after, with ORIGINS."""
    release = Release("demo", NAMESPACE, 1, "deployed", "vcluster", "0.36.1", deployed, "")
    entries = virtual_cluster_drift.release_diff(release, wanted, {}, {}, "demo", ORIGINS)
    return (entries[0]["before"], entries[0]["after"]) if entries else ("", "")


def test_release_diff_of_changed_values_names_their_origins() -> None:
    before, after = values_of({"c": 1}, {"a": {"b": 1}, "c": 2})
    assert before == "c: 1\n"
    assert after == "a:\n  b: 1  # group\nc: 2  # request\n"


def test_release_diff_of_equal_values_marks_none_as_changed() -> None:
    before, after = values_of({"a": {"b": 1}, "c": 1, "old": 0}, {"a": {"b": 1}, "c": 2})
    assert before == "a:\n  b: 1  # group\nc: 1\nold: 0\n"
    assert after == "a:\n  b: 1  # group\nc: 2  # request\n"
    assert values_of({"a": {"b": 1}}, {"a": {"b": 1}}) == ("", "")


def test_release_diff_of_a_credential_names_its_origin_and_hides_it() -> None:
    before, after = values_of({"password": "hunter2"}, {"password": "hunter3"})
    assert (before, after) == ("password: VALUE_HIDDEN\n", "password: VALUE_HIDDEN  # built-in\n")
    assert values_of({"password": "hunter2"}, {"password": "hunter2"}) == ("", "")


def test_release_diff_of_new_and_removed_values_names_origins() -> None:
    assert values_of({}, {"c": 1}) == ("", "c: 1  # request\n")
    assert values_of({"c": 1}, {}) == ("c: 1\n", "")
    (entry,) = virtual_cluster_drift.release_diff(None, {"c": 1}, {}, {}, "demo", ORIGINS)
    assert (entry["before"], entry["after"]) == ("", "c: 1  # request\n")
