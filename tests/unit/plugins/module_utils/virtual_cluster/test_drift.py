# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of drift: what is restored and repaired, also beside a pause, and with which patch."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.helm import post_renderer
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import Release
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import drift as virtual_cluster_drift
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import manifests
from release_objects import (
    NAMESPACE,
    SECRET,
    STATEFUL_SET,
    drift_steps,
    from_a_list,
    merge_patch,
    namespaced,
    random_objects,
    stateful_set,
)


def drift(live: dict[str, Any] | None, wanted: dict[str, Any] | None = None) -> list[str]:
    manifest = {STATEFUL_SET: wanted or stateful_set()}
    found = virtual_cluster_drift.as_found(manifest, {STATEFUL_SET: live} if live else {})
    return drift_steps(found, manifest)


def test_drift_of_what_the_release_made_is_none() -> None:
    assert drift(from_a_list(stateful_set())) == []


def test_drift_of_what_was_edited_is_a_repair() -> None:
    assert drift(from_a_list(stateful_set(replicas=3))) == ["repair StatefulSet demo"]


def test_drift_of_what_was_deleted_is_a_restoration() -> None:
    assert drift(None) == ["restore StatefulSet demo"]


PAUSED = {post_renderer.PAUSED: "true", post_renderer.PAUSED_REPLICAS: "1"}
CONTROL_PLANE = {"app": "vcluster"}
ETCD = ("apps/v1", "StatefulSet", NAMESPACE, "demo-etcd")
RELEASE = Release("demo", NAMESPACE, 1, "deployed", "vcluster", "0.36.1", {}, "")


def etcd(replicas: int = 1, **metadata: Any) -> dict[str, Any]:
    return stateful_set(replicas, **{"name": "demo-etcd", "labels": {"app": "vcluster-etcd"}, **metadata})


def test_drift_of_a_paused_workload_ignores_only_its_replicas() -> None:
    paused = stateful_set(replicas=0, annotations=PAUSED, labels=CONTROL_PLANE)
    assert drift(from_a_list(paused)) == []
    paused["spec"]["serviceName"] = "other"
    assert drift(from_a_list(paused)) == ["repair StatefulSet demo"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": CONTROL_PLANE},
        {"labels": CONTROL_PLANE, "annotations": {post_renderer.PAUSED: "false"}},
        {"labels": {"app": "other"}, "annotations": PAUSED},
        {"annotations": PAUSED},
    ],
)
def test_drift_of_replicas_without_a_pause_is_a_repair(metadata: dict[str, Any]) -> None:
    assert drift(from_a_list(stateful_set(replicas=0, **metadata))) == ["repair StatefulSet demo"]


@pytest.mark.parametrize(
    ("control_plane", "etcd_replicas", "steps", "at_rest"),
    [
        (0, 0, [], ["demo", "demo-etcd"]),
        (0, 1, [], ["demo"]),  # as the CLI leaves it
        (1, 0, ["repair StatefulSet demo-etcd"], None),  # resumed by the CLI, which does not know of etcd
    ],
)
def test_drift_of_etcd_beside_a_paused_workload_ignores_its_replicas(
    control_plane: int, etcd_replicas: int, steps: list[str], at_rest: list[str] | None
) -> None:
    manifest = {STATEFUL_SET: stateful_set(), ETCD: etcd()}
    annotations = {} if control_plane else PAUSED
    live = {
        STATEFUL_SET: from_a_list(stateful_set(control_plane, labels=CONTROL_PLANE, annotations=annotations)),
        ETCD: from_a_list(etcd(etcd_replicas, annotations=PAUSED)),
        ("v1", "Service", NAMESPACE, "demo"): {"metadata": {"labels": CONTROL_PLANE}},
    }
    assert drift_steps(virtual_cluster_drift.as_found(manifest, live), manifest) == steps
    found = manifests.at_rest(RELEASE, live, manifest)
    assert (found.names if found else None) == at_rest


def test_drift_beside_another_paused_workload_is_a_repair() -> None:
    """Before vCluster 0.25 there could be several in one."""
    other = stateful_set(0, name="other", labels=CONTROL_PLANE, annotations=PAUSED)
    live = {
        STATEFUL_SET: from_a_list(stateful_set(0, labels=CONTROL_PLANE)),
        (*STATEFUL_SET[:3], "other"): from_a_list(other),
    }
    manifest = {STATEFUL_SET: stateful_set()}
    assert drift_steps(virtual_cluster_drift.as_found(manifest, live), manifest) == [
        "repair StatefulSet demo"
    ]
    assert manifests.at_rest(RELEASE, live, manifest) is None


def test_as_found_of_other_objects_is_empty() -> None:
    other = ("v1", "Service", NAMESPACE, "other")
    assert virtual_cluster_drift.as_found({}, {other: {"metadata": {}}}) == {}


def test_drift_of_several_objects_is_sorted() -> None:
    keys = [("v1", "Service", NAMESPACE, name) for name in "bca"]
    wanted = {k: {"kind": "Service"} for k in keys}
    assert drift_steps({}, wanted) == [f"restore Service {name}" for name in "abc"]


def test_repair_patch_applied_leaves_no_drift() -> None:
    """Whatever somebody did to an object: the merge patch makes it what the release wants, and holds no more."""
    things = [thing for _source, thing in random_objects()]
    repaired = 0
    for edited, wanted in itertools.pairwise(things):
        # What Helm has merged: another object, in which some fields are as wanted.
        live = {**edited, "metadata": wanted["metadata"], "status": {"phase": "x"}}
        found = virtual_cluster_drift.project(live, wanted)
        patch = virtual_cluster_drift.repair_patch(found, wanted)
        assert "metadata" not in patch
        assert virtual_cluster_drift.project(merge_patch(live, patch), wanted) == wanted
        assert bool(patch) <= (found != wanted)
        repaired += bool(patch)
    assert repaired > 100


@pytest.mark.parametrize(
    ("found", "wanted", "patch"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": None}, {}),
        ({}, {"a": 1}, {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": "text"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
    ],
)
def test_repair_patch_of_a_difference_holds_only_that(found: Any, wanted: Any, patch: Any) -> None:
    assert virtual_cluster_drift.repair_patch(found, wanted) == patch


def test_drift_of_string_data_compares_what_is_stored() -> None:
    manifest = "apiVersion: v1\nkind: Secret\nmetadata: {name: vc-config-demo}\nstringData: {a: hunter2, b: 7}\n"
    wanted = manifests.objects(manifest, NAMESPACE, namespaced)
    stored = {"metadata": {"name": "vc-config-demo"}, "data": {"a": "aHVudGVyMg==", "b": "Nw=="}}
    assert drift_steps(virtual_cluster_drift.as_found(wanted, {SECRET: stored}), wanted) == []
    stored["data"]["a"] = "aHVudGVyMw=="
    assert drift_steps(virtual_cluster_drift.as_found(wanted, {SECRET: stored}), wanted) == [
        "repair Secret vc-config-demo"
    ]
