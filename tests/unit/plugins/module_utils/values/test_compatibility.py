# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of compatibility: tables of what passes and what is refused, and the laws that hold for all."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import semver
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import upgrade_path
from ansible_collections.nested.clusters.plugins.module_utils.values import (
    immutability,
    licensed_features,
    support_matrix,
    validation,
)
from ansible_collections.nested.clusters.plugins.module_utils.values.backing_store import store_of
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import cluster_names
from hypothesis import given
from hypothesis import strategies as st

V = semver.parse_version


def values(*settings: tuple[str, Any]) -> dict[str, Any]:
    """A nested dict from (dotted path, value) pairs."""
    result: dict[str, Any] = {}
    for path, value in settings:
        *parents, last = path.split(".")
        functools.reduce(lambda node, key: node.setdefault(key, {}), parents, result)[last] = value
    return result


def refusal(function: Any, *args: Any) -> OptionError:
    with pytest.raises(OptionError) as caught:
        function(*args)
    assert isinstance(caught.value, NestedClustersError)
    return caught.value


# --- versions ---------------------------------------------------------------------------------------------

# The example of semver.org, section 11, and vCluster's own kinds of tags.
ASCENDING = [
    "0.20.0",
    "0.24.2",
    "0.36.0-alpha",
    "0.36.0-alpha.1",
    "0.36.0-alpha.beta",
    "0.36.0-beta",
    "0.36.0-beta.2",
    "0.36.0-beta.11",
    "0.36.0-rc.1",
    "0.36.0",
    "0.36.1",
    "0.36.10",
    "0.37.0-next.internal.9",
    "0.37.0-rc.1",
    "0.37.0",
    "1.0.0",
]


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
def test_parse_version(text: str, expected: str) -> None:
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
def test_parse_version_refuses(text: Any) -> None:
    error = refusal(semver.parse_version, text, "vcluster_version")
    assert error.data["option"] == "vcluster_version"
    assert error.data["value"] == text
    assert refusal(semver.parse_version, text, "other").data["option"] == "other"


def test_order_is_total_and_is_semvers() -> None:
    parsed = [V(text) for text in ASCENDING]
    for (i, left), (j, right) in itertools.product(enumerate(parsed), repeat=2):
        assert [left < right, left == right, left > right] == [i < j, i == j, i > j]
    for shift in range(len(parsed)):
        assert sorted(parsed[shift:] + parsed[:shift]) == parsed


@pytest.mark.parametrize("text", ASCENDING)
def test_text_of_a_version_is_a_version(text: str) -> None:
    assert str(V(text)) == text
    assert V(str(V(f"v{text}"))) == V(text)


def test_build_metadata_has_no_precedence() -> None:
    assert V("1.2.3+a") == V("1.2.3+b") == V("1.2.3")
    assert len({V("1.2.3+a"), V("1.2.3")}) == 1


@pytest.mark.parametrize("text", ["v1.36.3", "1.36.3"])
def test_parse_kubernetes_version(text: str) -> None:
    assert semver.parse_kubernetes_version(text) == semver.Version(1, 36, 3)


@pytest.mark.parametrize("text", ["1.36", "v1.36", "0.36.1", "latest", ""])
def test_parse_kubernetes_version_refuses(text: str) -> None:
    assert refusal(semver.parse_kubernetes_version, text).data["option"] == "kubernetes_version"


@pytest.mark.parametrize(
    "text", [support_matrix.OLDEST_VCLUSTER_VERSION, support_matrix.DEFAULT_VCLUSTER_VERSION, "0.37.0-rc.1", "1.0.0"]
)
def test_check_vcluster_version(text: str) -> None:
    assert support_matrix.check_vcluster_version(text) == V(text) == support_matrix.check_vcluster_version(V(text))


@pytest.mark.parametrize("text", ["0.19.9", "0.20.0-beta.1", "0.36", "latest"])
def test_check_vcluster_version_refuses(text: str) -> None:
    assert refusal(support_matrix.check_vcluster_version, text).data["option"] == "vcluster_version"


# --- names ------------------------------------------------------------------------------------------------


def test_name_length_is_what_the_etcd_pods_leave() -> None:
    assert cluster_names.NAME_LENGTH == 47
    assert len("n" * cluster_names.NAME_LENGTH + "-etcd-" + "5" * 10) == 63


@pytest.mark.parametrize(
    ("name", "namespace"),
    [("a", "vcluster-a"), ("team-1", "default"), ("a" * 47, "n" * 63), ("b", "1st"), ("b", "kube-system")],
)
def test_check_names(name: str, namespace: str) -> None:
    cluster_names.check_names(name, namespace)


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "A", "a.b", "a_b", "a\n", "a" * 48, None])
def test_check_names_refuses_name(name: Any) -> None:
    assert refusal(cluster_names.check_names, name, "x").data["option"] == "name"


@pytest.mark.parametrize("namespace", ["", "-a", "a-", "A", "a.b", "a" * 64, None])
def test_check_names_refuses_namespace(namespace: Any) -> None:
    assert refusal(cluster_names.check_names, "x", namespace).data["option"] == "namespace"


@pytest.mark.parametrize("name", ["a-x-b", "x-b", "a-x-x-b", "x-x-x"])
@pytest.mark.parametrize("namespace", ["team", "vcluster-a"])
def test_a_name_that_makes_the_marker_ambiguous_is_refused(name: str, namespace: str) -> None:
    assert cluster_names.is_ambiguous(name, namespace)
    error = refusal(cluster_names.check_names, name, namespace)
    assert error.data["option"] == "name"
    assert "another virtual cluster could have the same mark" in str(error)


@pytest.mark.parametrize("namespace", ["team-x-a", "team-x", "x-x"])
def test_a_namespace_that_makes_the_marker_ambiguous_is_refused(namespace: str) -> None:
    assert cluster_names.is_ambiguous("b", namespace)
    assert refusal(cluster_names.check_names, "b", namespace).data["option"] == "namespace"


@pytest.mark.parametrize(("name", "namespace"), [("ax-b", "team"), ("b-x", "team"), ("x", "x"), ("b", "x-team")])
def test_other_markers_have_one_reading(name: str, namespace: str) -> None:
    cluster_names.check_names(name, namespace)
    assert cluster_names.readings(f"{namespace}-x-{name}") == [(namespace, name)]


def test_readings_of_a_marker() -> None:
    assert cluster_names.readings("team-x-a-x-b") == [("team", "a-x-b"), ("team-x-a", "b")]
    assert cluster_names.readings("team-x-x-b") == [("team", "x-b"), ("team-x", "b")]
    assert cluster_names.readings("high") == []


# --- changes of version -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [*ASCENDING, "0.19.3"])
def test_no_change_is_never_refused(text: str) -> None:
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
def test_check_change(deployed: str, desired: str) -> None:
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
def test_check_change_refuses(deployed: str, desired: str, words: list[str]) -> None:
    message = str(refusal(upgrade_path.check_change, V(deployed), V(desired)))
    assert message.startswith("vcluster_version: ")
    assert [word for word in words if word not in message] == []


def test_the_etcd_stop_is_not_named_without_need() -> None:
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
def test_check_kubernetes_change(deployed: str | None, desired: str | None) -> None:
    upgrade_path.check_kubernetes_change(V(deployed) if deployed else None, V(desired) if desired else None)


@pytest.mark.parametrize(
    ("deployed", "desired", "word"),
    [("1.36.0", "1.35.9", "go back"), ("1.33.4", "1.36.0", "first 1.34, 1.35"), ("1.36.0", "2.0.0", "skip")],
)
def test_check_kubernetes_change_refuses(deployed: str, desired: str, word: str) -> None:
    error = refusal(upgrade_path.check_kubernetes_change, V(deployed), V(desired))
    assert error.data["option"] == "kubernetes_version"
    assert word in str(error)


# --- upgrades over several versions -----------------------------------------------------------------------

NEWEST = [V(text) for text in upgrade_path._NEWEST_RELEASES]


@st.composite
def releases(draw: st.DrawFn) -> semver.Version:
    """A release of a minor that is known, with any patch; some are pre-releases."""
    suffix = draw(st.sampled_from(["", "", "-rc.1"]))
    return V(f"0.{draw(st.integers(20, 36))}.{draw(st.integers(0, 12))}{suffix}")


def test_the_newest_releases_are_one_a_minor() -> None:
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
def test_upgrade_path(deployed: str, desired: str, expected: str) -> None:
    assert " ".join(map(str, upgrade_path.upgrade_path(V(deployed), V(desired)))) == expected


@pytest.mark.parametrize(
    ("deployed", "desired", "word"),
    [
        ("0.36.1", "0.35.3", "no downgrade"),
        ("0.36.1", "0.36.1-rc.1", "no downgrade"),
        ("0.19.3", "0.36.1", "migration"),
        ("0.36.1", "0.39.0", "no release of 0.37 is known"),
        ("0.36.1", "1.0.0", "skip"),
    ],
)
def test_upgrade_path_refuses(deployed: str, desired: str, word: str) -> None:
    error = refusal(upgrade_path.upgrade_path, V(deployed), V(desired))
    assert error.data["option"] == "vcluster_version"
    assert word in str(error)


@given(releases(), releases())
def test_each_step_of_a_path_is_allowed(deployed: semver.Version, desired: semver.Version) -> None:
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
def test_upgrade_steps(deployed: str, desired: str, running: str | None, asked: str | None, expected: str) -> None:
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
def test_upgrade_steps_refuses(desired: str, running: str, given: tuple[tuple[str, Any], ...], word: str) -> None:
    assert word in str(refusal(upgrade_path.upgrade_steps, [V(desired)], V(running), values(*given)))


def test_an_image_of_somebody_is_taken_as_it_is() -> None:
    given = values(("controlPlane.distro.k8s.image.tag", "mine"))
    assert upgrade_path.upgrade_steps([V("0.36.1")], V("1.33.0"), given) == [upgrade_path.UpgradeStep(V("0.36.1"))]


@given(releases(), releases(), st.integers(30, 36), st.one_of(st.none(), st.integers(30, 36)))
def test_kubernetes_never_skips_nor_goes_back(
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


# --- Kubernetes versions ----------------------------------------------------------------------------------

RELEASES = [V(text) for text in support_matrix.DEFAULT_KUBERNETES]


@pytest.mark.parametrize(
    ("version", "distribution", "expected"),
    [
        ("0.36.1", "k8s", "1.36.0"),
        ("0.36.99", "k8s", "1.36.0"),
        ("0.25.1", "k8s", "1.32.1"),
        ("0.25.2", "k8s", "1.32.8"),
        ("0.26.0", "k8s", "1.32.1"),
        ("0.30.5", "k3s", "1.34.1"),
        ("0.33.0", "k3s", None),
        ("0.25.0", "k0s", "1.30.2"),
        ("0.26.0", "k0s", None),
        ("0.99.0", "k8s", None),
    ],
)
def test_default_kubernetes(version: str, distribution: str, expected: str | None) -> None:
    default = support_matrix.kubernetes_versions(V(version), distribution).default
    assert (str(default) if default else None) == expected


def test_default_kubernetes_follows_every_upgrade() -> None:
    assert sorted(RELEASES) == RELEASES
    for deployed, desired in itertools.pairwise(RELEASES):
        for distribution in ("k8s", "k3s"):
            pair = [
                support_matrix.kubernetes_versions(version, distribution).default for version in (deployed, desired)
            ]
            upgrade_path.check_change(deployed, desired)
            upgrade_path.check_kubernetes_change(*pair)


@pytest.mark.parametrize("version", RELEASES)
def test_default_kubernetes_is_documented(version: semver.Version) -> None:
    known = support_matrix.kubernetes_versions(version)
    assert known.default is not None
    assert f"{known.default.major}.{known.default.minor}" in known.documented


def test_kubernetes_of_an_unknown_vcluster() -> None:
    assert support_matrix.kubernetes_versions(V("0.99.0")) == support_matrix.KubernetesVersions(None, ())


# --- values -----------------------------------------------------------------------------------------------

STORES = "controlPlane.backingStore"
EMBEDDED_ETCD = (f"{STORES}.etcd.embedded.enabled", True)
DEPLOYED_ETCD = (f"{STORES}.etcd.deploy.enabled", True)
EXTERNAL_ETCD = (f"{STORES}.etcd.external.enabled", True)
SQLITE = (f"{STORES}.database.embedded.enabled", True)
EXTERNAL_DATABASE = (f"{STORES}.database.external.enabled", True)
K3S = ("controlPlane.distro.k3s.enabled", True)
K0S = ("controlPlane.distro.k0s.enabled", True)
K8S = ("controlPlane.distro.k8s.enabled", True)
REPLICAS = "controlPlane.statefulSet.highAvailability.replicas"
IMAGE = "controlPlane.statefulSet.image.repository"
CLAIM = "controlPlane.statefulSet.persistence.volumeClaim"
ETCD = f"{STORES}.etcd.deploy.statefulSet"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], "embedded-sqlite"),
        ([SQLITE], "embedded-sqlite"),
        ([DEPLOYED_ETCD], "deployed-etcd"),
        ([EMBEDDED_ETCD], "embedded-etcd"),
        ([EXTERNAL_ETCD], "external-etcd"),
        ([EXTERNAL_DATABASE], "external-database"),
        ([(f"{STORES}.etcd.deploy.enabled", False)], "embedded-sqlite"),
        ([("controlPlane", None)], "embedded-sqlite"),
    ],
)
def test_backing_store(settings: list[tuple[str, Any]], expected: str) -> None:
    assert store_of(values(*settings)).vcluster_name == expected


@pytest.mark.parametrize(
    ("version", "setting", "path"),
    [
        ("0.36.1", EMBEDDED_ETCD, EMBEDDED_ETCD[0]),
        ("0.20.0", EMBEDDED_ETCD, EMBEDDED_ETCD[0]),
        ("0.36.1", EXTERNAL_DATABASE, EXTERNAL_DATABASE[0]),
        ("0.36.1", ("controlPlane.coredns.embedded", True), "controlPlane.coredns.embedded"),
        ("0.36.1", ("privateNodes.enabled", True), "privateNodes.enabled"),
        ("0.25.0", ("privateNodes.enabled", True), None),
        ("0.36.1", ("privateNodes.enabled", False), None),
        ("0.36.1", ("privateNodes.kubelet", {}), None),
        ("0.36.1", ("sync.toHost.namespaces.enabled", True), "sync.toHost.namespaces.enabled"),
        (
            "0.36.1",
            ("experimental.proxy.customResources", {"a.b/v1": {"enabled": False}}),
            "experimental.proxy.customResources",
        ),
        ("0.36.1", ("experimental.proxy.customResources", {}), None),
        (
            "0.27.0",
            ("experimental.isolatedControlPlane.enabled", True),
            "experimental.isolatedControlPlane.enabled",
        ),
        ("0.28.0", ("experimental.isolatedControlPlane.enabled", True), None),
        ("0.36.1", ("networking.resolveDNS", [{}]), "networking.resolveDNS"),
        ("0.36.1", ("networking.resolveDNS", []), None),
        (
            "0.36.1",
            ("sync.toHost.customResources", {"a.b.c": {"enabled": True}}),
            "sync.toHost.customResources.a.b.c",
        ),
        ("0.36.1", ("sync.toHost.customResources", {"a.b.c": {"enabled": False}}), None),
        ("0.36.1", ("sync.toHost.customResources", {"a.b.c": None}), None),
        ("0.36.1", ("sync.toHost.services.patches", [{"path": "x"}]), "sync.toHost.services.patches"),
        ("0.20.0", ("sync.toHost.services.patches", [{"path": "x"}]), None),
        ("0.36.1", ("sync.toHost.services", {"enabled": False, "patches": [{"path": "x"}]}), None),
        (
            "0.35.0",
            ("sync.toHost.gatewayApi.gateways.patches", [{}]),
            "sync.toHost.gatewayApi.gateways.patches",
        ),
        ("0.36.1", ("sleep.auto", {"afterInactivity": "1h"}), "sleep"),
        ("0.31.0", ("sleepMode.enabled", True), "sleepMode.enabled"),
        ("0.31.0", ("external.platform", {"apiKey": {}}), "external.platform"),
        ("0.36.1", ("platform", {}), None),
        ("0.36.1", ("sync.toHost.pods.enabled", True), None),
        ("0.36.1", DEPLOYED_ETCD, None),
        ("0.36.1", EXTERNAL_ETCD, None),
    ],
)
def test_licensed_keys(version: str, setting: tuple[str, Any], path: str | None) -> None:
    assert licensed_features.licensed_keys(values(setting), V(version)) == ([path] if path else [])


@pytest.mark.parametrize("version", RELEASES)
def test_default_values_need_no_licence_and_pass(version: semver.Version) -> None:
    assert licensed_features.licensed_keys({}, version) == []
    validation.check_values({}, version)
    immutability.check_immutable({}, {}, version)


def test_k3s_opens_an_external_database_without_licence() -> None:
    assert licensed_features.licensed_keys(values(K3S, EXTERNAL_DATABASE), V("0.30.0")) == []
    assert licensed_features.licensed_keys(values(K8S, EXTERNAL_DATABASE), V("0.30.0")) == [EXTERNAL_DATABASE[0]]


@pytest.mark.parametrize(
    ("settings", "repository", "refused"),
    [
        ([EMBEDDED_ETCD], None, True),
        ([EMBEDDED_ETCD, (IMAGE, "loft-sh/vcluster-oss")], None, True),
        ([EMBEDDED_ETCD, (IMAGE, "mirror/any/vcluster-oss")], None, True),
        ([EMBEDDED_ETCD, (IMAGE, "loft-sh/vcluster-pro")], None, False),
        ([EMBEDDED_ETCD], "loft-sh/vcluster-pro", False),
        ([EMBEDDED_ETCD, (IMAGE, "loft-sh/vcluster-pro")], "loft-sh/vcluster-oss", True),
    ],
)
def test_licence_depends_on_the_image(settings: list[tuple[str, Any]], repository: str | None, refused: bool) -> None:
    if refused:
        assert "licence" in str(refusal(validation.check_values, values(*settings), V("0.36.1"), repository))
    else:
        validation.check_values(values(*settings), V("0.36.1"), repository)


@pytest.mark.parametrize(
    ("version", "settings", "paths", "words"),
    [
        (
            "0.33.0",
            [K3S],
            ["controlPlane.distro.k3s"],
            ["removed in vCluster 0.33", "0.32 or earlier", "0.25 to 0.32"],
        ),
        ("0.26.0", [K0S], ["controlPlane.distro.k0s"], ["removed in vCluster 0.26", "0.25 or earlier"]),
        ("0.36.1", [("controlPlane.distro.k3s.enabled", False)], ["controlPlane.distro.k3s"], ["0.33"]),
        ("0.30.0", [K3S, K8S], [K3S[0], K8S[0]], ["one distribution"]),
        ("0.36.1", [SQLITE, DEPLOYED_ETCD], [DEPLOYED_ETCD[0], SQLITE[0]], ["one backing store"]),
        ("0.36.1", [(REPLICAS, 2)], [REPLICAS], ["SQLite"]),
        ("0.33.0", [("controlPlane.tlsRoute.enabled", True)], ["controlPlane.tlsRoute"], ["0.34"]),
        (
            "0.36.0",
            [("sync.toHost.volumeSnapshots.enabled", False)],
            ["sync.toHost.volumeSnapshots"],
            ["0.36"],
        ),
        (
            "0.36.0-rc.1",
            [("deploy.volumeSnapshotController", {})],
            ["deploy.volumeSnapshotController"],
            ["0.36"],
        ),
        (
            "0.31.0",
            [("policies.networkPolicy.outgoingConnections", {})],
            ["policies.networkPolicy.outgoingConnections"],
            ["policies.networkPolicy.workload.publicEgress"],
        ),
        ("0.30.0", [("policies.networkPolicy.workload", {})], ["policies.networkPolicy.workload"], ["0.31"]),
        ("0.32.0", [("sleepMode", {})], ["sleepMode"], ["or sleep"]),
        (
            "0.24.0",
            [("controlPlane.distro.k8s.image.tag", "v1.32.1")],
            ["controlPlane.distro.k8s.image"],
            ["0.25"],
        ),
    ],
)
def test_check_values_refuses(version: str, settings: list[Any], paths: list[str], words: list[str]) -> None:
    error = refusal(validation.check_values, values(*settings), V(version))
    assert error.data["option"] == "values"
    assert error.data["value"] == paths
    assert [word for word in [*words, *paths] if word not in str(error)] == []


def test_check_values_names_every_path() -> None:
    error = refusal(
        validation.check_values, values((REPLICAS, 3), ("privateNodes.enabled", True), ("external", {})), V("0.36.1")
    )
    assert error.data["value"] == ["external", REPLICAS, "privateNodes.enabled"]


@pytest.mark.parametrize(
    ("version", "settings"),
    [
        ("0.32.0", [K3S]),
        ("0.25.0", [K0S]),
        ("0.36.1", [K8S]),
        ("0.36.1", [(REPLICAS, 3), DEPLOYED_ETCD]),
        ("0.36.1", [(REPLICAS, 1)]),
        ("0.34.0", [("controlPlane.tlsRoute.enabled", True)]),
        ("0.35.1", [("sync.toHost.volumeSnapshots.enabled", True)]),
        ("0.36.1", [("controlPlane", None), ("sync", None)]),
    ],
)
def test_check_values(version: str, settings: list[Any]) -> None:
    validation.check_values(values(*settings), V(version))


def test_no_secret_in_a_refusal() -> None:
    secret = [(f"{STORES}.database.external.dataSource", "mysql://u:hunter2@db"), EXTERNAL_DATABASE]
    assert "hunter2" not in str(refusal(validation.check_values, values(*secret), V("0.36.1")))
    embedded = values((f"{STORES}.database.embedded.dataSource", "mysql://u:hunter2@db"))
    assert "hunter2" not in str(refusal(immutability.check_immutable, {}, embedded))


# --- changes of values ------------------------------------------------------------------------------------

IMMUTABLE = [
    ([], [K3S], ["controlPlane.distro"]),
    ([K3S], [], ["controlPlane.distro"]),
    ([K0S], [K8S], ["controlPlane.distro"]),
    ([], [DEPLOYED_ETCD], [STORES]),
    ([], [EMBEDDED_ETCD], [STORES]),
    ([DEPLOYED_ETCD], [EMBEDDED_ETCD], [STORES]),
    ([DEPLOYED_ETCD], [], [STORES]),
    ([], [(f"{CLAIM}.size", "10Gi")], [f"{CLAIM}.size"]),
    ([], [(f"{CLAIM}.storageClass", "fast")], [f"{CLAIM}.storageClass"]),
    ([], [(f"{CLAIM}.accessModes", ["ReadWriteMany"])], [f"{CLAIM}.accessModes"]),
    ([], [(f"{CLAIM}.enabled", False)], [f"{CLAIM}.enabled"]),
    ([DEPLOYED_ETCD], [DEPLOYED_ETCD, (f"{CLAIM}.enabled", True)], [f"{CLAIM}.enabled"]),
    (
        [],
        [("controlPlane.statefulSet.scheduling.podManagementPolicy", "OrderedReady")],
        ["controlPlane.statefulSet.scheduling.podManagementPolicy"],
    ),
    (
        [],
        [("controlPlane.statefulSet.persistence.volumeClaimTemplates", [{"metadata": {"name": "data"}}])],
        ["controlPlane.statefulSet.persistence.volumeClaimTemplates"],
    ),
    (
        [DEPLOYED_ETCD],
        [DEPLOYED_ETCD, (f"{ETCD}.persistence.volumeClaim.size", "9Gi")],
        [f"{ETCD}.persistence.volumeClaim.size"],
    ),
    ([DEPLOYED_ETCD], [DEPLOYED_ETCD, (f"{ETCD}.enabled", False)], [f"{ETCD}.enabled"]),
    ([], [("sync.toHost.namespaces.enabled", True)], ["sync.toHost.namespaces.enabled"]),
    ([], [("privateNodes.vpn.enabled", True)], ["privateNodes.vpn.enabled"]),
]


@pytest.mark.parametrize(("deployed", "desired", "paths"), IMMUTABLE)
def test_check_immutable_refuses(deployed: list[Any], desired: list[Any], paths: list[str]) -> None:
    error = refusal(immutability.check_immutable, values(*deployed), values(*desired))
    assert error.data["option"] == "values"
    assert error.data["value"] == paths


@pytest.mark.parametrize("settings", [side for row in IMMUTABLE for side in row[:2]])
def test_unchanged_values_are_never_refused(settings: list[Any]) -> None:
    immutability.check_immutable(values(*settings), values(*settings))


@pytest.mark.parametrize(
    ("deployed", "desired"),
    [
        ([], [SQLITE]),
        ([], [K8S]),
        ([], [(f"{CLAIM}.enabled", "auto")]),
        ([], [(f"{CLAIM}.enabled", True)]),
        ([], [(f"{CLAIM}.size", "5120Mi")]),
        ([], [(f"{CLAIM}.size", None)]),
        ([], [(f"{CLAIM}.retentionPolicy", "Delete")]),
        ([], [("controlPlane.statefulSet.resources.limits.cpu", "2")]),
        ([DEPLOYED_ETCD], [DEPLOYED_ETCD, (REPLICAS, 3)]),
        ([DEPLOYED_ETCD], [DEPLOYED_ETCD, (f"{CLAIM}.size", "9Gi")]),
        ([DEPLOYED_ETCD], [EMBEDDED_ETCD, (f"{STORES}.etcd.embedded.migrateFromDeployedEtcd", True)]),
    ],
)
def test_check_immutable(deployed: list[Any], desired: list[Any]) -> None:
    immutability.check_immutable(values(*deployed), values(*desired))


@pytest.mark.parametrize(
    ("version", "refused"), [("0.24.2", True), ("0.25.0", False), ("0.32.3", False), ("0.33.0", True)]
)
def test_k3s_becomes_k8s_in_some_versions(version: str, refused: bool) -> None:
    if refused:
        assert "'k3s' is deployed, 'k8s' is asked for" in str(
            refusal(immutability.check_immutable, values(K3S), {}, V(version))
        )
    else:
        immutability.check_immutable(values(K3S), values(K8S), V(version))
        refusal(immutability.check_immutable, values(K8S), values(K3S), V(version))


def test_a_refused_change_names_old_and_new() -> None:
    message = str(refusal(immutability.check_immutable, {}, values((f"{CLAIM}.size", "10Gi"))))
    assert "'5Gi' is deployed" in message
    assert "'10Gi' is asked for" in message


def test_sizes_that_are_no_quantity_are_compared_as_text() -> None:
    refusal(immutability.check_immutable, {}, values((f"{CLAIM}.size", "much")))
    refusal(immutability.check_immutable, {}, values((f"{CLAIM}.size", "5G")))
