# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of reconcile.present: a new virtual cluster, and its namespace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import WaitError
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import decode_release
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import Request, RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.values import accessors, support_matrix, tree
from ansible_collections.nested.clusters.plugins.module_utils.values.control_plane import kubernetes_version_at
from clock import Clock
from fake_api import FakeCluster
from fake_helm import (
    CHART,
    NAMESPACE_PATH,
    OF_HELM,
    WORKLOAD,
    FakeHelm,
    have_release,
    mark_deleted,
    record,
    vanish_namespace,
)
from helm_releases import NAME, NAMESPACE
from lifecycle_runs import checked, present

DEFAULT = support_matrix.DEFAULT_VCLUSTER_VERSION


def test_present_new_cluster_creates_namespace_and_release(cluster: FakeCluster, helm: FakeHelm) -> None:
    outcome = checked(cluster, helm)
    assert outcome.plan.steps == [
        f"create namespace {NAMESPACE}",
        f"install release {NAME} with vCluster {DEFAULT}",
        f"set annotations of virtual cluster {NAME}: {well_known.MANAGED}",
    ]
    assert cluster.at(NAMESPACE_PATH)["metadata"]["annotations"] == {
        well_known.CREATED: "true",
        well_known.NAME_ANNOTATION: NAME,
    }
    release = outcome.state.release
    assert release is not None
    assert (release.chart_version, release.values) == (DEFAULT, accessors.BUILT_IN)
    assert outcome.state.ours
    shown = [entry["before_header"] for entry in outcome.plan.diff]
    assert shown == [
        f"namespace {NAMESPACE}",
        f"values of {NAME}",
        f"manifests of {NAME}",
        f"annotations of virtual cluster {NAME}",
    ]


def test_present_existing_namespace_is_left_unchanged(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE, labels={"team": "a"})
    before = cluster.at(NAMESPACE_PATH)
    assert f"create namespace {NAMESPACE}" not in checked(cluster, helm).plan.steps
    assert cluster.at(NAMESPACE_PATH) == before


def test_present_namespace_being_deleted_is_waited_for(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    cluster.have("Namespace", NAMESPACE, deletionTimestamp="2026-01-01T00:00:00Z")
    clock.after(30, lambda: cluster.vanish(NAMESPACE_PATH))
    outcome = present(cluster, helm)
    assert outcome.plan.steps[0] == f"create namespace {NAMESPACE}"
    assert 1030 <= clock.now < 1032
    assert cluster.at(NAMESPACE_PATH)["metadata"]["annotations"][well_known.NAME_ANNOTATION] == NAME


def test_present_namespace_never_deleted_fails_with_reason(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    conditions = [{"status": "True", "message": "Some resources are remaining: pods"}]
    cluster.have("Namespace", NAMESPACE, deletionTimestamp="2026-01-01T00:00:00Z", status={"conditions": conditions})
    with pytest.raises(WaitError, match="still being deleted after 45 s: Some resources are remaining: pods"):
        present(cluster, helm, patience=45)
    assert 1045 <= clock.now < 1047
    assert "apply" not in helm.runs


def leave(cluster: FakeCluster, clock: Clock, *gone: str) -> None:
    """Have the namespace of one that runs go for 30 seconds, with something in it that goes last."""
    mark_deleted(cluster, NAMESPACE_PATH)
    for at in gone:
        cluster.vanish(at)
    clock.after(30, lambda: vanish_namespace(cluster, NAMESPACE))


@pytest.mark.parametrize("sign", ["an object is gone", "an object is going", "helm did not finish"])
def test_present_cluster_in_terminating_namespace_is_created_again(
    running: FakeCluster, helm: FakeHelm, clock: Clock, sign: str
) -> None:
    """Its release may be in there for some seconds more, and nothing can be made before it is gone."""
    leave(running, clock, *([WORKLOAD] if sign == "an object is gone" else []))
    if sign == "an object is going":
        mark_deleted(running, WORKLOAD)
    if sign == "helm did not finish":
        have_release(running, 2, info={"status": "pending-upgrade"})
    foreseen = present(running, helm, check=True)
    assert clock.now == 1000
    outcome = present(running, helm)
    assert 1030 <= clock.now < 1032
    assert outcome.plan == foreseen.plan
    assert outcome.plan.steps[:2] == [
        f"create namespace {NAMESPACE}",
        f"install release {NAME} with vCluster {DEFAULT}",
    ]
    assert outcome.state.release is not None
    assert outcome.state.release.revision == 1
    assert "deletionTimestamp" not in running.at(NAMESPACE_PATH)["metadata"]


def test_present_deleted_object_is_restored_in_its_namespace(running: FakeCluster, helm: FakeHelm) -> None:
    running.vanish(WORKLOAD)
    assert f"create namespace {NAMESPACE}" not in present(running, helm).plan.steps
    assert WORKLOAD in running


def claim(cluster: FakeCluster, name: str, **labels: str) -> str:
    """Have a volume claim that was kept, and return its path."""
    annotations = {well_known.KEPT: "true", "note": "x"}
    cluster.have("PersistentVolumeClaim", name, namespace=NAMESPACE, labels=labels, annotations=annotations)
    return path("v1", "persistentvolumeclaims", NAMESPACE, name)


def is_marked(cluster: FakeCluster, where: str) -> bool:
    annotations = cluster.at(where)["metadata"]["annotations"]
    assert annotations["note"] == "x"
    return well_known.KEPT in annotations


def test_present_kept_claims_are_used_again(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE)
    own = claim(cluster, f"data-{NAME}-0", app="vcluster", release=NAME)
    synced = claim(cluster, "web-x", **{well_known.SYNCED_LABEL: NAME})
    others = claim(cluster, "data-other-0", app="vcluster", release="other")
    outcome = checked(cluster, helm)
    names = (f"data-{NAME}-0", "web-x")
    assert outcome.plan.steps[-3:] == [
        *(f"mark volume claim {name} as used again" for name in names),
        f"set annotations of virtual cluster {NAME}: {well_known.MANAGED}",
    ]
    assert outcome.plan.diff[-2]["before_header"] == "annotations of volume claim web-x"
    assert well_known.KEPT in outcome.plan.diff[-2]["before"]
    assert well_known.KEPT not in outcome.plan.diff[-2]["after"]
    assert [is_marked(cluster, where) for where in (own, synced, others)] == [False, False, True]


def test_present_kept_mark_left_by_killed_task_is_removed(running: FakeCluster, helm: FakeHelm) -> None:
    own = claim(running, f"data-{NAME}-0", app="vcluster", release=NAME)
    assert checked(running, helm).plan.steps == []  # nothing is asked where nothing is to be done
    assert is_marked(running, own)
    running.change(WORKLOAD, {"metadata": {"annotations": {well_known.MANAGED: None}}})  # it was killed after Helm
    assert checked(running, helm).plan.steps == [
        f"mark volume claim data-{NAME}-0 as used again",
        f"set annotations of virtual cluster {NAME}: {well_known.MANAGED}",
    ]
    assert not is_marked(running, own)


def test_present_claims_that_cannot_be_listed_are_left(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE)
    own = claim(cluster, f"data-{NAME}-0", app="vcluster", release=NAME)
    cluster.deny("list", "persistentvolumeclaims")
    checked(cluster, helm)
    assert is_marked(cluster, own)


def test_present_all_options_are_applied(cluster: FakeCluster, helm: FakeHelm) -> None:
    asked = {
        "vcluster_version": "v0.35.0",
        "kubernetes_version": "v1.35.0",
        "values": {"sync": {"toHost": {"ingresses": {"enabled": True}}}},
        "labels": {"env": "prod", "absent": None},
        "annotations": {"note": "x"},
        "protected": True,
    }
    outcome = checked(cluster, helm, **asked)
    meta = cluster.at(WORKLOAD)["metadata"]
    assert meta["labels"]["env"] == "prod"
    assert "absent" not in meta["labels"]
    ours = {"note": "x", well_known.PROTECTED: "true", well_known.MANAGED: "true"}
    assert meta["annotations"] == {**OF_HELM["annotations"], **ours}
    assert outcome.state.release is not None
    assert outcome.state.release.chart_version == "0.35.0"
    assert tree.get(outcome.state.release.values, kubernetes_version_at("k8s")) == "v1.35.0"


def test_present_label_change_does_not_open_helm(running: FakeCluster) -> None:
    def no_helm() -> Any:
        raise AssertionError("helm was started")

    for check in (True, False):
        request = Request(NAME, NAMESPACE, CHART, labels={"env": f"{check}"})
        reconcile.present(running.client(), no_helm, request, RunOptions(check, 60))
    assert running.writes() == [f"patch {WORKLOAD}"]


@pytest.mark.parametrize("status", ["pending-upgrade", "pending-rollback"])
def test_present_unfinished_upgrade_is_cleared(status: str, running: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    have_release(running, 2, info={"status": status})
    outcome = checked(running, helm, vcluster_version="0.36.1")
    assert outcome.plan.steps == [
        f"clear the unfinished Helm revision 2 ({status})",
        f"upgrade release {NAME} from vCluster 0.35.0 to 0.36.1",
    ]
    assert clock.now >= 1000 + reconcile.SETTLE_SECONDS
    assert outcome.state.ours


def test_present_unfinished_installation_is_cleared(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE)
    have_release(cluster, 1, info={"status": "pending-install"})
    outcome = checked(cluster, helm)
    assert outcome.plan.steps[:2] == [
        "clear the unfinished Helm revision 1 (pending-install)",
        f"install release {NAME} with vCluster {DEFAULT}",
    ]


@pytest.mark.parametrize("status", ["pending-install", "uninstalling"])
def test_present_killed_after_clearing_installation_leaves_record(
    cluster: FakeCluster, helm: FakeHelm, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next would find a control plane of which no record speaks, and refuse to go on."""
    checked(cluster, helm)
    at = record(1)
    first = decode_release(cluster.at(at))
    have_release(cluster, 1, info={"status": status}, manifest=first.manifest, config=first.values)
    with monkeypatch.context() as patched:
        patched.setattr(helm, "apply", lambda *arguments: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception, match="killed"):
            present(cluster, helm)
    left = decode_release(cluster.at(at))
    assert (left.status, cluster.at(at)["metadata"]["labels"]["status"]) == ("failed", "failed")
    assert replace(left, labels={}, status="") == replace(first, labels={}, status="")
    checked(cluster, helm)


def test_present_check_mode_does_not_wait(running: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    have_release(running, 2, info={"status": "pending-upgrade"})
    assert present(running, helm, check=True).plan.changed
    assert clock.now == 1000


def test_present_upgrade_under_way_is_waited_for(running: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    have_release(running, 2, info={"status": "pending-upgrade"})
    clock.after(5, lambda: running.vanish(record(2)))
    assert present(running, helm).plan.steps == []
    assert 1005 <= clock.now < 1007
    assert helm.runs == []


def test_present_namespace_created_meanwhile_is_used(cluster: FakeCluster, helm: FakeHelm) -> None:
    def faster(request: Any) -> None:
        if request.method == "POST":
            cluster.have("Namespace", NAMESPACE)

    cluster.intercept = faster
    assert present(cluster, helm).plan.steps[0] == f"create namespace {NAMESPACE}"
    assert helm.runs == ["render", "apply"]


def test_present_namespace_forbidden_fails_before_helm(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.deny("create", "namespaces")
    with pytest.raises(KubernetesError, match="no permission"):
        present(cluster, helm)
    assert "apply" not in helm.runs
