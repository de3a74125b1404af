# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of semver: what a version is, and which of two is newer."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import semver
from values_builders import ASCENDING, V, refusal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.36.1", "0.36.1"),
        ("v0.36.1", "0.36.1"),
        ("0.37.0-rc.1", "0.37.0-rc.1"),
        ("v1.35.0+k3s1", "1.35.0+k3s1"),
        ("1.0.0-x.7.z-92+001.b", "1.0.0-x.7.z-92+001.b"),
    ],
)
def test_parse_version_valid_text_has_its_parts(text: str, expected: str) -> None:
    assert str(V(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "latest",
        "0.36",
        "0.36.1.0",
        "00.1.2",
        "1.02.3",
        "1.2.3-01",
        "1.2.3-",
        "V1.2.3",
        "1.2.3\n",
        "1.2.٣",
        None,
    ],
)
def test_parse_version_invalid_text_is_refused(text: Any) -> None:
    error = refusal(semver.parse_version, text, "vcluster_version")
    assert error.data["option"] == "vcluster_version"
    assert error.data["value"] == text
    assert refusal(semver.parse_version, text, "other").data["option"] == "other"


def test_version_order_is_total_and_that_of_semver() -> None:
    parsed = [V(text) for text in ASCENDING]
    for (i, left), (j, right) in itertools.product(enumerate(parsed), repeat=2):
        assert [left < right, left == right, left > right] == [i < j, i == j, i > j]
    for shift in range(len(parsed)):
        assert sorted(parsed[shift:] + parsed[:shift]) == parsed


@pytest.mark.parametrize("text", ASCENDING)
def test_version_text_is_parsed_again_to_the_same(text: str) -> None:
    assert str(V(text)) == text
    assert V(str(V(f"v{text}"))) == V(text)


def test_version_build_metadata_has_no_precedence() -> None:
    assert V("1.2.3+a") == V("1.2.3+b") == V("1.2.3")
    assert len({V("1.2.3+a"), V("1.2.3")}) == 1


@pytest.mark.parametrize("text", ["v1.36.3", "1.36.3"])
def test_parse_kubernetes_version_valid_text_has_its_parts(text: str) -> None:
    assert semver.parse_kubernetes_version(text) == semver.Version(1, 36, 3)


@pytest.mark.parametrize("text", ["1.36", "v1.36", "0.36.1", "latest", ""])
def test_parse_kubernetes_version_invalid_text_is_refused(text: str) -> None:
    assert refusal(semver.parse_kubernetes_version, text).data["option"] == "kubernetes_version"


@pytest.mark.parametrize("text", ["v0.36.1", "0.36.1", "0.37.0-rc.1+build.5"])
def test_version_text_is_kept_as_it_was_written(text: str) -> None:
    assert V(text).text == text
    assert V(text).normalized.text == text.removeprefix("v")
    assert V(text).with_v().text == f"v{text.removeprefix('v')}"
    assert V(text).normalized == V(text) == V(text).with_v()
