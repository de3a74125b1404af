# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of apply: the requests that carry out a plan come in the order of its changes."""

from __future__ import annotations

from announcements import announced, request_of, without_repetitions
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import ChangeKind
from fake_api import FakeCluster
from fake_helm import NAMESPACE_PATH, WORKLOAD, FakeHelm
from helm_releases import NAME, NAMESPACE
from lifecycle_runs import present
from upgrades import calls_of


def test_apply_creation_sends_changes_in_order(cluster: FakeCluster, helm: FakeHelm) -> None:
    plan = present(cluster, helm, labels={"env": "test"}).plan
    expected = [f"create {NAMESPACE_PATH}", "helm apply", f"patch {WORKLOAD}"]
    assert announced(plan) == without_repetitions(helm.writes()) == expected


def test_apply_values_and_labels_sends_changes_in_order(running: FakeCluster, helm: FakeHelm) -> None:
    helm.forget()
    plan = present(running, helm, values={"sync": {}}, labels={"env": "test"}, annotations={"a": "b"}).plan
    assert [change.kind for change in plan.changes] == [ChangeKind.CHANGE_VALUES, *[ChangeKind.SET_METADATA] * 2]
    assert announced(plan) == without_repetitions(helm.writes()) == ["helm apply", f"patch {WORKLOAD}"]


def test_apply_kept_claims_are_marked_after_helm_and_before_workload(cluster: FakeCluster, helm: FakeHelm) -> None:
    """A task that is ended in between leaves the workload unmarked, so that the next one looks for more to do."""
    cluster.have("Namespace", NAMESPACE)
    kept = {well_known.KEPT: "true"}
    labels = {"app": "vcluster", "release": NAME}
    cluster.have("PersistentVolumeClaim", f"data-{NAME}-0", namespace=NAMESPACE, labels=labels, annotations=kept)
    own = path("v1", "persistentvolumeclaims", NAMESPACE, f"data-{NAME}-0")
    plan = present(cluster, helm).plan
    assert announced(plan) == without_repetitions(helm.writes()) == ["helm apply", f"patch {own}", f"patch {WORKLOAD}"]


def test_apply_two_stages_sends_one_after_the_other(old: FakeCluster, helm: FakeHelm) -> None:
    plan = present(old, helm, vcluster_version="0.36.1", labels={"env": "test"}).plan
    assert [change.details.get("after") for change in plan.changes] == ["0.35.3", "0.36.1", None]
    assert helm.versions == ["0.35.3", "0.36.1"]
    assert [request_of(change) for change in plan.changes] == helm.writes()
    assert helm.writes() == ["helm apply", "helm apply", f"patch {WORKLOAD}"]


def test_apply_upgrade_with_rollback_does_changes_in_order(old: FakeCluster, helm: FakeHelm, backup: list[str]) -> None:
    plan = present(old, helm, vcluster_version="0.36.1", rollback=True).plan
    # "look" and "start" are those of health checks; the copy is taken with the control plane stopped.
    calls = [call.split()[0] for call in calls_of(backup) if call not in ("look", "start")]
    doing = {ChangeKind.STOP: "take", ChangeKind.COPY_NOTHING: "take", ChangeKind.UPGRADE: "apply"}
    expected = [doing.get(change.kind, "leave") for change in plan.changes]
    stages = [change for change in plan.changes if change.kind is ChangeKind.UPGRADE]
    assert without_repetitions(expected[:2]) + expected[2:] == calls == ["take", *["apply"] * len(stages), "leave"]
