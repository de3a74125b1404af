# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of changes and plans: how they compare, what they do together, and their sentences."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import (
    Change,
    ChangeKind,
    ChangeTarget,
    diff_entries,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.plan import Plan


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, None),
        ({"a": 1}, {"a": 1}, None),
        ("same", "same", None),
        ("", {"a": 1}, ("", "a: 1\n")),
        ({"b": 1, "a": 2}, {}, ("a: 2\nb: 1\n", "")),
        ("x", "y", ("x", "y")),
    ],
)
def test_diff_entries_of_two_values_are_what_differs(before: Any, after: Any, expected: tuple[str, str] | None) -> None:
    entries = diff_entries(before, after, "thing")
    assert [(entry["before"], entry["after"]) for entry in entries] == ([expected] if expected else [])
    assert all(entry["before_header"] == entry["after_header"] == "thing" for entry in entries)


def test_plan_with_a_change_is_changed() -> None:
    assert not Plan().changed
    assert Plan([Change(ChangeKind.INSTALL, ChangeTarget("release", "demo"), {"version": "0.36.1"})]).changed
    assert Plan(complete=False).changed, "Helm has something to do"


def test_change_equality_ignores_how_it_is_done() -> None:
    target = ChangeTarget("release", "demo")
    one = Change(ChangeKind.INSTALL, target, {"version": "0.36.1"}, ({"before": "a"},), lambda: None)
    assert one == Change(ChangeKind.INSTALL, target, {"version": "0.36.1"})
    assert one != Change(ChangeKind.INSTALL, target, {"version": "0.36.0"})
    assert one != Change(ChangeKind.UNINSTALL, target, {"version": "0.36.1"})
    assert one != Change(ChangeKind.INSTALL, ChangeTarget("release", "other"), {"version": "0.36.1"})


def test_plan_with_neighbors_that_share_work_does_it_once() -> None:
    done: list[str] = []

    def apply() -> None:
        done.append("both")

    target = ChangeTarget("virtual cluster", "demo")
    changes = [Change(ChangeKind.SET_METADATA, target, {"part": part}, apply=apply) for part in ("labels", "other")]
    alone = Change(ChangeKind.REUSE, ChangeTarget("volume claim", "x"), apply=lambda: done.append("alone"))
    Plan([Change(ChangeKind.GO_BACK, target), *changes, alone]).carry_out()
    assert done == ["both", "alone"]


@pytest.mark.parametrize("kind", ChangeKind)
def test_change_of_every_kind_has_a_sentence(kind: ChangeKind) -> None:
    details = dict.fromkeys(("part", "names", "version", "status", "revision", "kubernetes", "elsewhere"), "x")
    numbers = dict.fromkeys(("count", "replicas", "before", "after"), 1)
    text = Change(kind, ChangeTarget("object", "demo"), {**details, **numbers, "last": True}).text
    assert text
    assert "{" not in text
