# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of control_plane: options of distribution, replicas and backing store as values, and what is refused."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import semver
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.values import (
    accessors,
    control_plane,
    immutability,
    tree,
    validation,
)
from ansible_collections.nested.clusters.plugins.module_utils.values.backing_store import (
    DEPLOYED_ETCD,
    BackingStore,
    store_of,
)
from ansible_collections.nested.clusters.plugins.module_utils.values.control_plane import ControlPlane

VERSION = control_plane.kubernetes_version_at("k8s")
ETCD = ControlPlane.of({"replicas": 3, "backing_store": {"type": "deployed_etcd", "replicas": 3, "endpoint": None}})
EXTERNAL = ControlPlane.of(
    {"backing_store": {"type": "external_etcd", "endpoint": "etcd.example.com:2379", "tls_secret": "etcd-login"}}
)
DATABASE = ControlPlane.of(
    {"backing_store": {"type": "external_database", "data_source": "mysql://user:hunter2@tcp(db:3306)/one"}}
)


def kubernetes(text: str | None) -> semver.Version | None:
    return semver.parse_kubernetes_version(text) if text else None


def at(path: str, value: Any) -> dict[str, Any]:
    return tree.at(tuple(path.split(".")), value)


def get(data: dict[str, Any], path: str) -> Any:
    return tree.get(data, tuple(path.split(".")))


def version(text: str) -> semver.Version:
    return semver.parse_version(text)


def store(**options: Any) -> ControlPlane:
    return ControlPlane.of({"backing_store": options})


def random_values(source: random.Random, depth: int = 3) -> dict[str, Any]:
    """A dict with few keys, so that two of them meet in many places."""
    return {
        name: random_values(source, depth - 1) if depth and source.random() < 0.5 else source.choice([None, 0, "x", []])
        for name in ("a", "b", "c")
        if source.random() < 0.7
    }


def pairs(count: int = 100) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    source = random.Random(20)
    for _each in range(count):
        yield random_values(source), random_values(source)


def containers(data: Any) -> set[int]:
    """Which dicts and lists are in there."""
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else []
    own = {id(data)} if isinstance(data, (dict, list)) else set()
    return own.union(*(containers(item) for item in inner))


# --- desired ----------------------------------------------------------------------------------------------

OWN_IMAGE = {"controlPlane": {"statefulSet": {"image": {"repository": "loft-sh/vcluster-pro"}}}}
INGRESSES = {"sync": {"toHost": {"ingresses": {"enabled": True}}}}
NODES = {"sync": {"fromHost": {"nodes": {"enabled": True}}}}


def versioned(version: str, *others: dict[str, Any]) -> dict[str, Any]:
    result = tree.at(VERSION, version)
    for other in others:
        result = tree.merge(result, other)
    return result


@pytest.mark.parametrize(
    ("asked", "kubernetes_version", "deployed", "ours", "expected"),
    [
        pytest.param(None, None, None, False, accessors.BUILT_IN, id="new"),
        pytest.param(INGRESSES, None, None, False, tree.merge(accessors.BUILT_IN, INGRESSES), id="new with values"),
        pytest.param(OWN_IMAGE, None, None, False, OWN_IMAGE, id="new with its own image"),
        pytest.param(
            None, "v1.36.0", None, False, versioned("v1.36.0", accessors.BUILT_IN), id="new with a Kubernetes version"
        ),
        pytest.param(
            versioned("v1.35.0"),
            "v1.36.0",
            None,
            False,
            versioned("v1.36.0", accessors.BUILT_IN),
            id="the option wins over the value",
        ),
        pytest.param(None, None, INGRESSES, True, INGRESSES, id="ours, not spoken of"),
        pytest.param(None, None, INGRESSES, False, INGRESSES, id="adopted, not spoken of"),
        pytest.param(
            None,
            "v1.36.0",
            versioned("v1.35.0", NODES),
            False,
            versioned("v1.36.0", NODES),
            id="adopted, only Kubernetes is spoken of",
        ),
        pytest.param(
            INGRESSES, None, NODES, True, tree.merge(accessors.BUILT_IN, INGRESSES), id="ours, the whole is said"
        ),
        pytest.param({}, None, NODES, True, accessors.BUILT_IN, id="ours, back to the defaults"),
        pytest.param(
            INGRESSES,
            None,
            versioned("v1.35.0", NODES),
            True,
            versioned("v1.35.0", accessors.BUILT_IN, INGRESSES),
            id="ours, leaving Kubernetes out does not change it",
        ),
        pytest.param(
            versioned("v1.36.0"),
            None,
            versioned("v1.35.0"),
            True,
            versioned("v1.36.0", accessors.BUILT_IN),
            id="ours, Kubernetes changed by value",
        ),
        pytest.param(INGRESSES, None, NODES, False, tree.merge(NODES, INGRESSES), id="adopted, laid on its own"),
        pytest.param({}, None, NODES, False, NODES, id="adopted, nothing laid on its own"),
    ],
)
def test_control_plane_of_options_and_group(
    asked: Any, kubernetes_version: Any, deployed: Any, ours: bool, expected: Any
) -> None:
    arguments = copy.deepcopy((asked, deployed, accessors.BUILT_IN))
    result = control_plane.desired(asked, ControlPlane(), kubernetes(kubernetes_version), deployed, ours)
    assert result == expected
    assert not containers(result) & (containers(asked) | containers(deployed) | containers(accessors.BUILT_IN))
    assert (asked, deployed, accessors.BUILT_IN) == arguments


def test_control_plane_of_itself_is_the_same() -> None:
    """The same task again finds what it wants: no second change."""
    for asked, deployed in pairs():
        for ours in (True, False):
            for version, options in ((None, ControlPlane()), (kubernetes("v1.36.0"), ETCD)):
                if not isinstance(tree.get(asked, ("controlPlane",)) or {}, dict):
                    continue
                once = control_plane.desired(asked, options, version, deployed, ours)
                assert control_plane.desired(asked, options, version, once, ours) == once


# --- options as values ------------------------------------------------------------------------------------


def test_control_plane_options_become_values() -> None:
    result = ETCD.layer({})
    assert get(result, "controlPlane.statefulSet.highAvailability.replicas") == 3
    assert get(result, "controlPlane.backingStore.etcd.deploy.enabled") is True
    assert get(result, "controlPlane.backingStore.etcd.deploy.statefulSet.highAvailability.replicas") == 3
    assert store_of(result) == DEPLOYED_ETCD


def test_control_plane_without_options_has_no_values() -> None:
    assert ControlPlane().layer(at("sync.toHost.ingresses.enabled", True)) == {}
    assert ControlPlane.of({"distribution": "k8s", "backing_store": {"type": "embedded_sqlite"}}).layer({}) == {}


@pytest.mark.parametrize("options", [ETCD, EXTERNAL, DATABASE, ControlPlane("k3s"), ControlPlane("k0s")])
def test_control_plane_values_have_no_duplicates(options: ControlPlane) -> None:
    once = options.layer({})
    assert tree.merge(once, options.layer(once)) == once


@pytest.mark.parametrize(
    ("distribution", "given", "path", "tag"),
    [
        ("k8s", "v1.36.0", "controlPlane.distro.k8s.version", "v1.36.0"),
        ("k3s", "1.32.1", "controlPlane.distro.k3s.image.tag", "v1.32.1-k3s1"),
        ("k3s", "v1.32.1+k3s2", "controlPlane.distro.k3s.image.tag", "v1.32.1-k3s2"),
        ("k3s", "v1.32.1-k3s2", "controlPlane.distro.k3s.image.tag", "v1.32.1-k3s2"),
        ("k0s", "v1.30.2", "controlPlane.distro.k0s.image.tag", "v1.30.2-k0s.0"),
        ("k0s", "v1.30.2-k0s.1", "controlPlane.distro.k0s.image.tag", "v1.30.2-k0s.1"),
    ],
)
def test_kubernetes_version_path_depends_on_distribution(distribution: str, given: str, path: str, tag: str) -> None:
    result = control_plane.desired(None, ControlPlane(distribution), kubernetes(given), None, True)
    assert get(result, path) == tag
    # Leaving it out of a later task, which says everything else, is no order to change it.
    again = control_plane.desired(
        at(f"controlPlane.distro.{distribution}.enabled", True), ControlPlane(), None, result, True
    )
    assert get(again, path) == tag


def test_control_plane_k3s_to_k8s_leaves_no_k3s() -> None:
    """Not even switched off: from 0.33 on, the chart's schema refuses the key."""
    deployed = control_plane.desired(None, ControlPlane("k3s"), kubernetes("1.32.1"), None, True)
    result = control_plane.desired(None, ControlPlane("k8s"), None, deployed, True)
    assert "k3s" not in get(result, "controlPlane.distro")
    assert accessors.distribution_of(result) == "k8s"
    immutability.check_immutable(deployed, result, version("0.30.0"))
    with pytest.raises(OptionError, match=r"only vCluster 0\.25 to 0\.32 turn k3s into k8s"):
        immutability.check_immutable(deployed, result, version("0.24.0"))


def test_control_plane_upper_options_hide_lower_ones() -> None:
    etcd = BackingStore(DEPLOYED_ETCD, replicas=3)
    group = ControlPlane("k8s", 3, etcd)
    request = ControlPlane(replicas=1)
    assert request.over(group) == ControlPlane("k8s", 1, etcd)
    assert group.without(request) == ControlPlane("k8s", None, etcd)
    assert ControlPlane().over(group) == group
    assert group.without(ControlPlane()) == group


# --- what is refused --------------------------------------------------------------------------------------


def test_control_plane_without_a_replica_is_refused() -> None:
    with pytest.raises(OptionError, match="replicas: 0 is not usable; allowed: 1 or more"):
        ControlPlane(replicas=0).check_form()


@pytest.mark.parametrize(
    ("options", "asked", "message"),
    [
        (ETCD, at("controlPlane.statefulSet.highAvailability.replicas", 5), "replicas: values set .*replicas to 5"),
        (
            ETCD,
            at("controlPlane.backingStore.etcd.external.enabled", True),
            "backing_store.type: values enable external_etcd, not deployed_etcd",
        ),
        (ControlPlane("k8s"), at("controlPlane.distro.k3s.enabled", True), "distribution: values enable k3s, not k8s"),
        (
            EXTERNAL,
            at("controlPlane.backingStore.etcd.external.endpoint", "b:1"),
            "backing_store.endpoint: values set .* to 'b:1'",
        ),
    ],
)
def test_control_plane_values_that_contradict_are_refused(
    options: ControlPlane, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        options.check_values(asked)


def test_control_plane_values_that_agree_are_allowed() -> None:
    for options in (ETCD, EXTERNAL, DATABASE, ControlPlane("k3s")):
        options.check_values(options.layer({}))


@pytest.mark.parametrize(
    ("options", "vcluster", "message"),
    [
        (EXTERNAL, "0.24.2", "backing_store.type: 'external_etcd' .* 0.25 or later"),
        (store(type="external_etcd"), "0.36.1", "backing_store.endpoint: no value is set; allowed: the address"),
        (store(type="external_database"), "0.36.1", "backing_store.data_source: no value is set; allowed: how to"),
        (DATABASE, "0.36.1", "backing_store.type: 'external_database' .* an image that has a license"),
        (DATABASE.over(ControlPlane("k3s")), "0.33.0", "distribution: 'k3s' .* before 0.33"),
        (ControlPlane("k0s"), "0.26.0", "distribution: 'k0s' .* before 0.26"),
        (ControlPlane(replicas=3), "0.36.1", "replicas: 3 .* one replica; allowed: 1, or a backing_store"),
    ],
)
def test_control_plane_unsupported_by_version_is_refused(options: ControlPlane, vcluster: str, message: str) -> None:
    with pytest.raises(OptionError, match=message) as error:
        options.check(options.layer({}), version(vcluster), None)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "vcluster", "image"),
    [
        (EXTERNAL, "0.25.0", None),
        (EXTERNAL, "0.36.1", None),
        (DATABASE, "0.36.1", "loft-sh/vcluster-pro"),
        (DATABASE.over(ControlPlane("k3s")), "0.32.0", None),
        (DATABASE.over(ControlPlane("k0s")), "0.25.0", None),
        (ETCD, "0.20.0", None),
        (ETCD.over(ControlPlane("k3s")), "0.20.0", None),
    ],
)
def test_control_plane_supported_by_version_is_allowed(options: ControlPlane, vcluster: str, image: str | None) -> None:
    merged = options.layer({})
    options.check_form()
    options.check(merged, version(vcluster), image)
    validation.check_values(merged, version(vcluster), image)


def test_control_plane_changed_backing_store_is_refused() -> None:
    ETCD.check_given(None, ETCD.layer({}))
    ControlPlane(replicas=3).check_given(None, ETCD.layer({}))
    with pytest.raises(OptionError, match=r"backing_store.type: .* deployed_etcd, .*; set embedded_sqlite"):
        ETCD.check_given(None, {})


def test_control_plane_changed_etcd_replicas_are_refused() -> None:
    more = store(type="deployed_etcd", replicas=5).layer({})
    with pytest.raises(OptionError, match="the members of an etcd are fixed when it first starts"):
        immutability.check_immutable(ETCD.layer({}), more, version("0.36.1"))
