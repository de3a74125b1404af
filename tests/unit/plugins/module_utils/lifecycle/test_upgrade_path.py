# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of upgrade paths: which changes of versions are refused, and what lies between two versions."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import semver
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import upgrade_path
from ansible_collections.nested.clusters.plugins.module_utils.values import support_matrix
from hypothesis import given
from hypothesis import strategies as st
from values_builders import ASCENDING, RELEASES, V, refusal, values


@pytest.mark.parametrize("text", [*ASCENDING, "0.19.3"])
def test_check_change_same_version_is_allowed(text: str) -> None:
    upgrade_path.check_change(V(text), V(text))
    upgrade_path.check_kubernetes_change(V(text), V(text))


@pytest.mark.parametrize(
    ("deployed", "desired"),
    [
        ("0.36.0", "0.36.1"),
        ("0.35.1", "0.36.0"),
        ("0.35.1", "0.36.9"),
        ("0.37.0-rc.1", "0.37.0"),
        ("0.36.1", "0.37.0-rc.1"),
        ("0.28.0", "0.29.0"),
    ],
)
def test_check_change_next_minor_is_allowed(deployed: str, desired: str) -> None:
    upgrade_path.check_change(V(deployed), V(desired))
    error = refusal(upgrade_path.check_change, V(desired), V(deployed))
    assert "downgrade" in str(error)
    assert error.data["option"] == "vcluster_version"


@pytest.mark.parametrize(
    ("deployed", "desired", "words"),
    [
        ("0.34.0", "0.36.1", ["0.35", "skip", "0.34.0 is deployed"]),
        ("0.30.0", "0.34.0", ["0.31, 0.32, 0.33"]),
        ("0.24.1", "0.29.0", ["0.25, 0.26, 0.27, 0.28", "0.24.2", "etcd 3.6"]),
        ("0.36.1", "1.0.0", ["skip"]),
        ("0.19.3", "0.20.0", ["migration"]),
    ],
)
def test_check_change_downgrade_or_skip_is_refused(deployed: str, desired: str, words: list[str]) -> None:
    message = str(refusal(upgrade_path.check_change, V(deployed), V(desired)))
    assert message.startswith("vcluster_version: ")
    assert [word for word in words if word not in message] == []


def test_check_change_without_etcd_stop_does_not_name_it() -> None:
    assert "etcd" not in str(refusal(upgrade_path.check_change, V("0.24.2"), V("0.29.0")))
    assert "etcd" not in str(refusal(upgrade_path.check_change, V("0.22.0"), V("0.28.0")))


@pytest.mark.parametrize(
    ("deployed", "desired"),
    [
        (None, None),
        (None, "1.36.0"),
        ("1.36.0", None),
        ("1.35.4", "1.36.0"),
        ("1.32.8", "1.32.1"),
        ("1.35.0-k3s1", "1.35.0"),
    ],
)
def test_check_kubernetes_change_next_minor_is_allowed(deployed: str | None, desired: str | None) -> None:
    upgrade_path.check_kubernetes_change(V(deployed) if deployed else None, V(desired) if desired else None)


@pytest.mark.parametrize(
    ("deployed", "desired", "word"),
    [("1.36.0", "1.35.9", "go back"), ("1.33.4", "1.36.0", "first 1.34, 1.35"), ("1.36.0", "2.0.0", "skip")],
)
def test_check_kubernetes_change_downgrade_or_skip_is_refused(deployed: str, desired: str, word: str) -> None:
    error = refusal(upgrade_path.check_kubernetes_change, V(deployed), V(desired))
    assert error.data["option"] == "kubernetes_version"
    assert word in str(error)


NEWEST = [V(text) for text in upgrade_path._NEWEST_RELEASES]


@st.composite
def releases(draw: st.DrawFn) -> semver.Version:
    """A release of a minor that is known, with any patch; some are pre-releases."""
    suffix = draw(st.sampled_from(["", "", "-rc.1"]))
    return V(f"0.{draw(st.integers(20, 36))}.{draw(st.integers(0, 12))}{suffix}")


def test_newest_releases_are_one_per_minor() -> None:
    assert sorted(NEWEST) == NEWEST
    for before, after in itertools.pairwise(NEWEST):
        assert (after.major, after.minor) == (before.major, before.minor + 1)
    assert NEWEST[-1] >= V(support_matrix.DEFAULT_VCLUSTER_VERSION)


@pytest.mark.parametrize(
    ("deployed", "desired", "expected"),
    [
        ("0.36.1", "0.36.1", ""),
        ("0.36.0", "0.36.1", "0.36.1"),
        ("0.35.1", "0.36.1", "0.36.1"),
        ("0.34.0", "0.36.1", "0.35.3 0.36.1"),
        ("0.23.0", "0.29.0", "0.24.2 0.25.2 0.26.5 0.27.3 0.28.2 0.29.0"),
        ("0.35.9", "0.37.0", "0.36.1 0.37.0"),
        ("0.37.0-rc.1", "0.37.0", "0.37.0"),
    ],
)
def test_upgrade_path_over_minors_has_newest_of_each(deployed: str, desired: str, expected: str) -> None:
    assert " ".join(map(str, upgrade_path.upgrade_path(V(deployed), V(desired)))) == expected


@pytest.mark.parametrize(
    ("deployed", "desired", "word"),
    [
        ("0.36.1", "0.35.3", "no downgrade"),
        ("0.36.1", "0.36.1-rc.1", "no downgrade"),
        ("0.19.3", "0.36.1", "migration"),
        ("0.36.1", "0.39.0", "knows no release of 0.37"),
        ("0.36.1", "1.0.0", "skip"),
    ],
)
def test_upgrade_path_unknown_release_is_refused(deployed: str, desired: str, word: str) -> None:
    error = refusal(upgrade_path.upgrade_path, V(deployed), V(desired))
    assert error.data["option"] == "vcluster_version"
    assert word in str(error)


@given(releases(), releases())
def test_upgrade_path_each_step_is_allowed(deployed: semver.Version, desired: semver.Version) -> None:
    if desired < deployed:
        refusal(upgrade_path.upgrade_path, deployed, desired)
        return
    way = [deployed, *upgrade_path.upgrade_path(deployed, desired)]
    assert way[-1] == desired
    for before, after in itertools.pairwise(way):
        assert before < after
        upgrade_path.check_change(before, after)
    if deployed < V("0.24.2") and desired.release >= (0, 29):
        assert any(V("0.24.2") <= version and version.release < (0, 29) for version in way)
    assert len({version.release for version in way[1:]}) == len(way) - 1


def kubernetes_on(way: list[upgrade_path.UpgradeStep], given: dict[str, Any]) -> list[semver.Version | None]:
    return [step.kubernetes or upgrade_path._kubernetes_of(given, step.vcluster) for step in way]


@pytest.mark.parametrize(
    ("deployed", "desired", "running", "asked", "expected"),
    [
        ("0.35.1", "0.36.1", "1.36.0", None, "0.36.1/1.36.0"),
        ("0.34.0", "0.36.1", "1.35.0", None, "0.35.3/1.36.0 0.36.1/1.36.0"),
        # Kubernetes follows, whatever was pinned before.
        ("0.34.0", "0.36.1", "1.34.0", "1.36.3", "0.35.3/1.35.0 0.36.1/1.36.3"),
        ("0.35.1", "0.36.1", "1.33.4", "1.36.3", "0.36.1/1.34.0 0.36.1/1.35.0 0.36.1/1.36.3"),
        # Not before the vCluster that knows it.
        ("0.31.0", "0.33.0", "1.34.0", "1.36.0", "0.32.3/1.35.0 0.33.0/1.36.0"),
        # A pinned one stays.
        ("0.33.0", "0.36.1", "1.35.0", "1.35.0", "0.34.7/1.35.0 0.35.3/1.35.0 0.36.1/1.35.0"),
        # One that is newer than the defaults in between does not go back.
        ("0.30.0", "0.32.0", "1.35.0", "1.35.0", "0.31.3/1.35.0 0.32.0/1.35.0"),
        ("0.36.1", "0.36.1", "1.34.0", "1.36.0", "0.36.1/1.35.0 0.36.1/1.36.0"),
        ("0.34.0", "0.36.1", None, None, "0.35.3/1.36.0 0.36.1/1.36.0"),
    ],
)
def test_upgrade_steps_have_kubernetes_of_each(
    deployed: str, desired: str, running: str | None, asked: str | None, expected: str
) -> None:
    given = values(("controlPlane.distro.k8s.version", f"v{asked}")) if asked else {}
    path = upgrade_path.upgrade_path(V(deployed), V(desired)) or [V(desired)]
    steps = upgrade_path.upgrade_steps(path, V(running) if running else None, given)
    shown = zip(steps, kubernetes_on(steps, given), strict=True)
    assert " ".join(f"{step.vcluster}/{version}" for step, version in shown) == expected
    assert steps[-1].kubernetes is None, "the last step has what was asked for"


@pytest.mark.parametrize(
    ("desired", "running", "given", "word"),
    [
        ("0.36.1", "1.36.0", (("controlPlane.distro.k8s.version", "v1.35.0"),), "go back"),
        ("0.34.0", "1.36.0", (), "go back"),
        ("0.36.1", "1.36.0", (("controlPlane.distro.k8s.version", "v1.38.0"),), "skip"),
        (
            "0.28.0",
            "1.30.2",
            (("controlPlane.distro.k3s.enabled", True), ("controlPlane.distro.k3s.image.tag", "v1.33.3-k3s1")),
            "skip",
        ),
    ],
)
def test_upgrade_steps_impossible_kubernetes_is_refused(
    desired: str, running: str, given: tuple[tuple[str, Any], ...], word: str
) -> None:
    assert word in str(refusal(upgrade_path.upgrade_steps, [V(desired)], V(running), values(*given)))


def test_upgrade_steps_custom_image_is_one_step() -> None:
    given = values(("controlPlane.distro.k8s.image.tag", "mine"))
    assert upgrade_path.upgrade_steps([V("0.36.1")], V("1.33.0"), given) == [upgrade_path.UpgradeStep(V("0.36.1"))]


@given(releases(), releases(), st.integers(30, 36), st.one_of(st.none(), st.integers(30, 36)))
def test_upgrade_steps_kubernetes_never_skips_nor_goes_back(
    deployed: semver.Version, desired: semver.Version, running: int, asked: int | None
) -> None:
    if desired < deployed:
        return
    given = values(("controlPlane.distro.k8s.version", f"v1.{asked}.0")) if asked else {}
    now = V(f"1.{running}.0")
    path = upgrade_path.upgrade_path(deployed, desired) or [desired]
    target = upgrade_path._kubernetes_of(given, desired)
    if target and target.release < now.release:
        assert "go back" in str(refusal(upgrade_path.upgrade_steps, path, now, given))
        return
    steps = upgrade_path.upgrade_steps(path, now, given)
    assert list(dict.fromkeys(step.vcluster for step in steps)) == path
    for version in kubernetes_on(steps, given):
        upgrade_path.check_kubernetes_change(now, version)
        now = version or now
    assert steps[-1].kubernetes is None


def test_upgrade_steps_default_kubernetes_follows_every_upgrade() -> None:
    assert sorted(RELEASES) == RELEASES
    for deployed, desired in itertools.pairwise(RELEASES):
        for distribution in ("k8s", "k3s"):
            pair = [
                support_matrix.kubernetes_versions(version, distribution).default for version in (deployed, desired)
            ]
            upgrade_path.check_change(deployed, desired)
            upgrade_path.check_kubernetes_change(*pair)
