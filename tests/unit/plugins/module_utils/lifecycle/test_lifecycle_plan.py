# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the plan for a virtual cluster that exists: what changes, what is repaired, what is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import plan as lifecycle_plan
from ansible_collections.nested.clusters.plugins.module_utils.values import accessors, tree
from ansible_collections.nested.clusters.plugins.module_utils.values.endpoint import Endpoint
from fake_api import FakeCluster
from fake_helm import SERVICE, WORKLOAD, FakeHelm, have_release, manifest
from helm_releases import NAME, NAMESPACE
from lifecycle_runs import checked, present


def test_plan_without_options_changes_nothing(running: FakeCluster, helm: FakeHelm) -> None:
    outcome = checked(running, helm)
    assert outcome.plan.steps == []
    assert outcome.state.release is not None
    assert outcome.state.release.chart_version == "0.35.0"
    meta = running.at(WORKLOAD)["metadata"]
    assert (meta["labels"]["env"], meta["annotations"][well_known.PROTECTED]) == ("prod", "true")


CHANGES: dict[str, tuple[dict[str, Any], list[str], bool]] = {
    "version": (
        {"vcluster_version": "0.36.1"},
        ["upgrade release demo from vCluster 0.35.0 to 0.36.1"],
        True,
    ),
    "same version": ({"vcluster_version": "v0.35.0"}, [], False),
    "values": ({"values": {"sync": {"toHost": {"ingresses": {"enabled": True}}}}}, ["change values"], True),
    "nulls": ({"values": {"sync": None}}, [], False),
    "built-in values": ({"values": {}}, [], False),
    "Kubernetes": ({"kubernetes_version": "v1.37.0"}, ["change values of release demo"], True),
    "label": ({"labels": {"env": "test"}}, ["set labels of virtual cluster demo: env"], False),
    "no label": ({"labels": {"env": None}}, ["set labels of virtual cluster demo: env"], False),
    "protection": ({"protected": False}, [f"set annotations of virtual cluster demo: {well_known.PROTECTED}"], False),
    "protected already": ({"protected": True, "labels": {"env": "prod"}}, [], False),
    "annotations": ({"annotations": {"b": "1", "a": "2"}}, ["set annotations of virtual cluster demo: a, b"], False),
}


@pytest.mark.parametrize(("asked", "steps", "by_helm"), CHANGES.values(), ids=CHANGES)
def test_plan_changed_option_has_its_steps(
    asked: dict[str, Any], steps: list[str], by_helm: bool, running: FakeCluster, helm: FakeHelm
) -> None:
    outcome = present(running, helm, check=True, **asked)
    assert helm.runs == (["render"] if by_helm else [])
    assert [said.startswith(step) for said, step in zip(outcome.plan.steps, steps, strict=True)] == [True] * len(steps)
    assert checked(running, helm, **asked).plan.needs_helm is by_helm
    assert bool(outcome.plan.diff) == bool(steps)


def test_plan_changed_endpoint_type_has_note_for_clients(running: FakeCluster, helm: FakeHelm) -> None:
    """In check mode as well; of the first endpoint, and where nothing changes, there is nothing to tell."""
    first, second = (Endpoint.of({"type": kind, "cluster": "a.example.com"}) for kind in ("node_port", "cluster_ip"))
    assert checked(running, helm, endpoint=first).plan.notes == []
    (said,) = present(running, helm, check=True, endpoint=second).plan.notes
    assert said.startswith(f"the endpoint of virtual cluster {NAME} changes from node_port to cluster_ip: ")
    assert present(running, helm, endpoint=second).plan.notes == [said]
    assert present(running, helm, endpoint=second).plan.notes == []


def edit_service(cluster: FakeCluster) -> None:
    cluster.change(SERVICE, {"spec": {"ports": [{"port": 444}]}})


def edit_secret(cluster: FakeCluster) -> None:
    at = path("v1", "secrets", NAMESPACE, f"vc-config-{NAME}")
    cluster.change(at, {"data": {"config.yaml": "aHVudGVyMg=="}})


def add_an_entry(cluster: FakeCluster) -> None:
    cluster.change(SERVICE, {"spec": {"ports": [{"port": 443}, {"port": 22, "name": "x"}]}})


def delete_role(cluster: FakeCluster) -> None:
    cluster.vanish(path("rbac.authorization.k8s.io/v1", "clusterroles", None, f"vc-{NAME}"))


def delete_workload(cluster: FakeCluster) -> None:
    cluster.vanish(WORKLOAD)


EDITS: dict[str, tuple[Callable[[FakeCluster], None], str]] = {
    "Service": (edit_service, "repair Service demo"),
    "Secret": (edit_secret, "repair Secret vc-config-demo"),
    "an entry more": (add_an_entry, "repair Service demo"),
    "ClusterRole": (delete_role, "restore ClusterRole vc-demo"),
    "StatefulSet": (delete_workload, "restore StatefulSet demo"),
}


@pytest.mark.parametrize(("edit", "step"), EDITS.values(), ids=EDITS)
def test_plan_edited_object_is_repaired(
    edit: Callable[[FakeCluster], None], step: str, running: FakeCluster, helm: FakeHelm
) -> None:
    edit(running)
    outcome = checked(running, helm)
    assert outcome.plan.steps[0] == step
    assert "aHVudGVyMg==" not in json.dumps(outcome.plan.diff)
    assert any(entry["before_header"] == f"manifests of {NAME}" for entry in outcome.plan.diff)


def test_plan_added_fields_are_left(running: FakeCluster, helm: FakeHelm) -> None:
    restarted = {"annotations": {"kubectl.kubernetes.io/restartedAt": "today"}}
    running.change(WORKLOAD, {"metadata": restarted, "spec": {"revisionHistoryLimit": 10}})
    helm.start()
    assert checked(running, helm).plan.steps == []


def test_plan_adopted_cluster_changes_nothing(adopted: FakeCluster, helm: FakeHelm) -> None:
    before = adopted.state()
    assert checked(adopted, helm).plan.steps == []
    assert adopted.state() == before


def test_plan_adopted_cluster_keeps_values_under_the_tasks(adopted: FakeCluster, helm: FakeHelm) -> None:
    asked = {"sync": {"toHost": {"ingresses": {"enabled": True}}}}
    outcome = checked(adopted, helm, values=asked)
    assert outcome.state.release is not None
    assert outcome.state.release.values == tree.merge({"sync": {"fromHost": {"nodes": {"enabled": True}}}}, asked)
    assert not outcome.state.ours


def test_plan_failed_release_is_repeated(running: FakeCluster, helm: FakeHelm) -> None:
    given = accessors.BUILT_IN
    have_release(
        running,
        2,
        {well_known.MANAGED: "true"},
        info={"status": "failed"},
        config=given,
        manifest=manifest("0.35.0", given),
        chart={"metadata": {"name": "vcluster", "version": "0.35.0"}},
    )
    assert checked(running, helm).plan.steps == [f"repeat release {NAME}, which is failed"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"a": None}, {}),
        ({"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": {"b": None}}, {"a": {}}),
        ([None], [None]),
        (None, None),
        ({"a": False, "b": 0, "c": ""}, {"a": False, "b": 0, "c": ""}),
    ],
)
def test_without_nulls_drops_none_in_dictionaries(data: Any, expected: Any) -> None:
    assert lifecycle_plan.without_nulls(data) == expected
