# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of lifecycle: what is planned, that it is what is done, and that it is then done."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from announcements import announced, request_of, without_repetitions
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import (
    NestedClustersError,
    OptionError,
    WaitError,
)
from ansible_collections.nested.clusters.plugins.module_utils.helm import post_renderer
from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart
from ansible_collections.nested.clusters.plugins.module_utils.helm.cli import ReleaseSpec
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import Release, decode_release
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import plan as lifecycle_plan
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import present as lifecycle
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import (
    upgrade_backup,
    upgrade_record,
    upgrade_stages,
)
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import Request, RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.values import accessors, support_matrix, tree
from ansible_collections.nested.clusters.plugins.module_utils.values.control_plane import kubernetes_version_at
from ansible_collections.nested.clusters.plugins.module_utils.values.endpoint import Endpoint
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import (
    cluster_state,
    diagnosis,
    drift,
    readiness,
    workloads,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import ChangeKind
from clock import Clock
from fake_api import FakeCluster, Response, refusal
from fake_api.storage import merged
from fake_helm import (
    CHART,
    NAMESPACE_PATH,
    OF_HELM,
    READY,
    WORKLOAD,
    FakeHelm,
    documents_with_paths,
    have_release,
    manifest,
    mark_deleted,
    record,
    vanish_namespace,
)
from helm_releases import NAME, NAMESPACE, release_secret
from kubeconfig_secrets import kubeconfig_secret
from lifecycle_runs import checked, present, refused, run_clock

SERVICE = path("v1", "services", NAMESPACE, NAME)
KUBECONFIG = path("v1", "secrets", NAMESPACE, f"vc-{NAME}")
DEFAULT = support_matrix.DEFAULT_VCLUSTER_VERSION


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    yield from run_clock(monkeypatch)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def helm(cluster: FakeCluster) -> FakeHelm:
    return FakeHelm(cluster)


# --- new --------------------------------------------------------------------------------------------------


def forge(cluster: FakeCluster, revision: int, *documents: dict[str, Any], **labels: str) -> None:
    """Write objects into Helm's record of a revision, as a tenant can."""
    at = record(revision)
    before = cluster.at(at)["metadata"]["labels"] if at in cluster else {}
    changed = "---\n".join([manifest("0.35.0", {}), *(yaml.safe_dump(document) for document in documents)])
    have_release(cluster, revision, {**before, **labels}, manifest=changed, chart={"metadata": VCLUSTER_35})


VCLUSTER_35 = {"name": "vcluster", "version": "0.35.0"}
COREDNS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "coredns", "namespace": "kube-system"}}
VIEW = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "view"}}


@pytest.mark.parametrize(
    "asked",
    [{}, {"values": {"a": "b"}}, {"vcluster_version": "0.36.1"}, {"vcluster_version": "0.36.1", "rollback": True}],
    ids=["nothing else", "values", "version", "with a way back"],
)
def test_what_a_tenant_wrote_into_helms_record_stays(
    asked: dict[str, Any], running: FakeCluster, helm: FakeHelm
) -> None:
    running.add(COREDNS)
    running.add(VIEW)
    forge(running, 1, COREDNS, VIEW)
    error = refused(running, helm, **asked)
    assert "ClusterRole view (of no Helm release)" in str(error)
    assert "ConfigMap coredns in namespace kube-system (of no Helm release)" in str(error)


def test_a_record_that_is_hidden_is_found_by_helm(cluster: FakeCluster, helm: FakeHelm) -> None:
    """What is labeled as superseded is not looked at as a release, but Helm would upgrade it."""
    cluster.have("Namespace", NAMESPACE)
    cluster.add(COREDNS)
    forge(cluster, 1, COREDNS, status="superseded")
    assert "ConfigMap coredns in namespace kube-system" in str(refused(cluster, helm))


def test_a_record_is_read_once_more_before_helm_runs(running: FakeCluster, helm: FakeHelm) -> None:
    running.add(COREDNS)
    render = helm.render

    def and_forge(*arguments: Any, **options: Any) -> Release:
        forge(running, 1, COREDNS)
        return render(*arguments, **options)

    helm.render = and_forge  # type: ignore[method-assign]
    with pytest.raises(NestedClustersError, match="names what is not its own"):
        present(running, helm, values={"a": "b"})
    assert "apply" not in helm.runs


def test_what_somebody_writes_into_the_new_record_is_not_repaired(running: FakeCluster, helm: FakeHelm) -> None:
    """What helm leaves is patched by what helm says that it made."""
    running.add({**COREDNS, "data": {"Corefile": "as it is"}})
    running.change(SERVICE, {"spec": {"ports": [{"port": 443}, {"port": 22}]}})
    apply = helm.apply

    def and_forge(*arguments: Any, **options: Any) -> Release:
        made = apply(*arguments, **options)
        running.change(SERVICE, {"spec": {"ports": [{"port": 443}, {"port": 22}]}})
        marks = {"metadata": {**COREDNS["metadata"], **OF_HELM}}
        running.add({**COREDNS, **marks, "data": {"Corefile": "as it is"}})  # even where it seems to be of the release
        forge(running, made.revision, {**COREDNS, "data": {"Corefile": "forged"}})
        return made

    helm.apply = and_forge  # type: ignore[method-assign]
    present(running, helm)
    where = path("v1", "configmaps", "kube-system", "coredns")
    assert running.at(where)["data"] == {"Corefile": "as it is"}
    assert running.at(SERVICE)["spec"]["ports"] == [{"port": 443}]


def test_a_workload_of_this_name_elsewhere_is_not_labeled(running: FakeCluster, helm: FakeHelm) -> None:
    """The first of this name in the record was taken for the control plane."""
    of_prod = {"name": NAME, "namespace": "prod"}
    elsewhere = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": of_prod}
    other = {"metadata": {**of_prod, **OF_HELM}, "spec": {"replicas": 1}, "status": {}}
    before = running.add({**elsewhere, **other})
    secret = running.at(record(1))
    whole = "---\n".join([yaml.safe_dump(elsewhere), manifest("0.35.0", accessors.BUILT_IN)])
    labels = secret["metadata"]["labels"]
    have_release(running, 1, labels, manifest=whole, config=accessors.BUILT_IN, chart={"metadata": VCLUSTER_35})
    present(running, helm, labels={"team": "a"})
    assert running.at(path("apps/v1", "statefulsets", "prod", NAME)) == before
    assert running.at(WORKLOAD)["metadata"]["labels"]["team"] == "a"


def test_a_way_back_that_was_begun_is_refused_as_well(old: FakeCluster, helm: FakeHelm, place: list[str]) -> None:
    """Rolling back makes what an old record names."""
    marked(old, copied=True, returning=True)
    old.add(COREDNS)
    forge(old, 1, COREDNS)
    error = refused(old, helm, vcluster_version="0.35.3")
    assert "ConfigMap coredns in namespace kube-system" in str(error)
    assert calls_of(place) == []


def test_nothing_is_stopped_for_a_way_back_that_is_refused(
    old: FakeCluster, helm: FakeHelm, place: list[str]
) -> None:
    """Somebody has written the record of before while the upgrade ran."""
    old.add(COREDNS)
    apply = helm.apply

    def and_forge(*arguments: Any, **options: Any) -> Release:
        made = apply(*arguments, **options)
        forge(old, 1, COREDNS, status="superseded")
        return made

    helm.apply = and_forge  # type: ignore[method-assign]
    upgrade_backup.UpgradeBackup.unhealthy.update((2, 3))  # type: ignore[attr-defined]
    with pytest.raises(NestedClustersError, match=r"could not be taken back: .*ConfigMap coredns") as caught:
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert caught.value.data["rolled_back"] is False
    assert not [call for call in place if call.startswith(("restore", "rollback"))]


def test_a_new_one(cluster: FakeCluster, helm: FakeHelm) -> None:
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


def test_a_namespace_that_is_there_is_left_as_it_is(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE, labels={"team": "a"})
    before = cluster.at(NAMESPACE_PATH)
    assert f"create namespace {NAMESPACE}" not in checked(cluster, helm).plan.steps
    assert cluster.at(NAMESPACE_PATH) == before


def test_a_namespace_that_is_being_deleted_is_waited_for(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    cluster.have("Namespace", NAMESPACE, deletionTimestamp="2026-01-01T00:00:00Z")
    clock.after(30, lambda: cluster.vanish(NAMESPACE_PATH))
    outcome = present(cluster, helm)
    assert outcome.plan.steps[0] == f"create namespace {NAMESPACE}"
    assert 1030 <= clock.now < 1032
    assert cluster.at(NAMESPACE_PATH)["metadata"]["annotations"][well_known.NAME_ANNOTATION] == NAME


def test_a_namespace_that_stays_says_why(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    conditions = [{"status": "True", "message": "Some resources are remaining: pods"}]
    cluster.have("Namespace", NAMESPACE, deletionTimestamp="2026-01-01T00:00:00Z", status={"conditions": conditions})
    with pytest.raises(WaitError, match="still there after 45 s: Some resources are remaining: pods"):
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
def test_one_whose_namespace_goes_is_made_again(
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


def test_an_object_that_somebody_deleted_is_no_end_of_the_namespace(running: FakeCluster, helm: FakeHelm) -> None:
    running.vanish(WORKLOAD)
    assert f"create namespace {NAMESPACE}" not in present(running, helm).plan.steps
    assert WORKLOAD in running


# --- volumes that were kept -------------------------------------------------------------------------------


def claim(cluster: FakeCluster, name: str, **labels: str) -> str:
    """Have a volume claim that was kept, and return its path."""
    annotations = {well_known.KEPT: "true", "note": "x"}
    cluster.have("PersistentVolumeClaim", name, namespace=NAMESPACE, labels=labels, annotations=annotations)
    return path("v1", "persistentvolumeclaims", NAMESPACE, name)


def is_marked(cluster: FakeCluster, where: str) -> bool:
    annotations = cluster.at(where)["metadata"]["annotations"]
    assert annotations["note"] == "x"
    return well_known.KEPT in annotations


def test_kept_volumes_are_used_again(cluster: FakeCluster, helm: FakeHelm) -> None:
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


def test_a_mark_that_a_killed_task_left_goes_with_the_next(running: FakeCluster, helm: FakeHelm) -> None:
    own = claim(running, f"data-{NAME}-0", app="vcluster", release=NAME)
    assert checked(running, helm).plan.steps == []  # nothing is asked where nothing is to be done
    assert is_marked(running, own)
    running.change(WORKLOAD, {"metadata": {"annotations": {well_known.MANAGED: None}}})  # it was killed after Helm
    assert checked(running, helm).plan.steps == [
        f"mark volume claim data-{NAME}-0 as used again",
        f"set annotations of virtual cluster {NAME}: {well_known.MANAGED}",
    ]
    assert not is_marked(running, own)


def test_claims_that_may_not_be_listed_are_left(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE)
    own = claim(cluster, f"data-{NAME}-0", app="vcluster", release=NAME)
    cluster.deny("list", "persistentvolumeclaims")
    checked(cluster, helm)
    assert is_marked(cluster, own)


def test_everything_that_can_be_said(cluster: FakeCluster, helm: FakeHelm) -> None:
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


# --- changes ----------------------------------------------------------------------------------------------


@pytest.fixture
def running(cluster: FakeCluster, helm: FakeHelm) -> FakeCluster:
    """One that this collection made, of the version before the newest."""
    present(cluster, helm, vcluster_version="0.35.0", labels={"env": "prod"}, protected=True)
    helm.forget()
    return cluster


@pytest.fixture
def adopted(cluster: FakeCluster, helm: FakeHelm) -> FakeCluster:
    """One that `vcluster create` made."""
    cluster.have("Namespace", NAMESPACE, annotations={well_known.CREATED: "true"})
    given = {"sync": {"fromHost": {"nodes": {"enabled": True}}}}
    helm.apply(ReleaseSpec(NAME, NAMESPACE, Chart("vcluster", "", "0.35.0"), given), None, {})
    helm.forget()
    return cluster


def test_what_is_not_spoken_of_stays(running: FakeCluster, helm: FakeHelm) -> None:
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
def test_a_change(
    asked: dict[str, Any], steps: list[str], by_helm: bool, running: FakeCluster, helm: FakeHelm
) -> None:
    outcome = present(running, helm, check=True, **asked)
    assert helm.runs == (["render"] if by_helm else [])
    assert [said.startswith(step) for said, step in zip(outcome.plan.steps, steps, strict=True)] == [True] * len(steps)
    assert checked(running, helm, **asked).plan.needs_helm is by_helm
    assert bool(outcome.plan.diff) == bool(steps)


def test_another_endpoint_tells_what_clients_have_to_change(running: FakeCluster, helm: FakeHelm) -> None:
    """In check mode as well; of the first endpoint, and where nothing changes, there is nothing to tell."""
    first, second = (Endpoint.of({"type": kind, "cluster": "a.example.com"}) for kind in ("node_port", "cluster_ip"))
    assert checked(running, helm, endpoint=first).plan.notes == []
    (said,) = present(running, helm, check=True, endpoint=second).plan.notes
    assert said.startswith(f"the endpoint of virtual cluster {NAME} changes from node_port to cluster_ip: ")
    assert present(running, helm, endpoint=second).plan.notes == [said]
    assert present(running, helm, endpoint=second).plan.notes == []


def test_helm_is_not_opened_when_nothing_changes(running: FakeCluster) -> None:
    def no_helm() -> Any:
        raise AssertionError("helm was started")

    for check in (True, False):
        request = Request(NAME, NAMESPACE, CHART, labels={"env": f"{check}"})
        lifecycle.present(running.client(), no_helm, request, RunOptions(check, 60))
    assert running.writes() == [f"patch {WORKLOAD}"]


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
def test_what_somebody_changed_is_repaired(
    edit: Callable[[FakeCluster], None], step: str, running: FakeCluster, helm: FakeHelm
) -> None:
    edit(running)
    outcome = checked(running, helm)
    assert outcome.plan.steps[0] == step
    assert "aHVudGVyMg==" not in json.dumps(outcome.plan.diff)
    assert any(entry["before_header"] == f"manifests of {NAME}" for entry in outcome.plan.diff)


def test_what_somebody_added_elsewhere_is_left_alone(running: FakeCluster, helm: FakeHelm) -> None:
    restarted = {"annotations": {"kubectl.kubernetes.io/restartedAt": "today"}}
    running.change(WORKLOAD, {"metadata": restarted, "spec": {"revisionHistoryLimit": 10}})
    helm.start()
    assert checked(running, helm).plan.steps == []


def test_one_that_was_made_elsewhere_is_taken_over_as_it_is(adopted: FakeCluster, helm: FakeHelm) -> None:
    before = adopted.state()
    assert checked(adopted, helm).plan.steps == []
    assert adopted.state() == before


def test_its_values_stay_under_those_of_the_task(adopted: FakeCluster, helm: FakeHelm) -> None:
    asked = {"sync": {"toHost": {"ingresses": {"enabled": True}}}}
    outcome = checked(adopted, helm, values=asked)
    assert outcome.state.release is not None
    assert outcome.state.release.values == tree.merge({"sync": {"fromHost": {"nodes": {"enabled": True}}}}, asked)
    assert not outcome.state.ours


def test_a_failed_release_is_repeated(running: FakeCluster, helm: FakeHelm) -> None:
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


# --- unfinished -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["pending-upgrade", "pending-rollback"])
def test_an_unfinished_upgrade_is_cleared(status: str, running: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    have_release(running, 2, info={"status": status})
    outcome = checked(running, helm, vcluster_version="0.36.1")
    assert outcome.plan.steps == [
        f"clear the unfinished Helm revision 2 ({status})",
        f"upgrade release {NAME} from vCluster 0.35.0 to 0.36.1",
    ]
    assert clock.now >= 1000 + lifecycle.SETTLE_SECONDS
    assert outcome.state.ours


def test_an_unfinished_installation_is_cleared(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE)
    have_release(cluster, 1, info={"status": "pending-install"})
    outcome = checked(cluster, helm)
    assert outcome.plan.steps[:2] == [
        "clear the unfinished Helm revision 1 (pending-install)",
        f"install release {NAME} with vCluster {DEFAULT}",
    ]


@pytest.mark.parametrize("status", ["pending-install", "uninstalling"])
def test_a_task_that_is_killed_after_it_cleared_an_installation_leaves_a_record(
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


def test_check_mode_waits_for_nothing(running: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    have_release(running, 2, info={"status": "pending-upgrade"})
    assert present(running, helm, check=True).plan.changed
    assert clock.now == 1000


def test_an_upgrade_under_way_is_waited_for(running: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    have_release(running, 2, info={"status": "pending-upgrade"})
    clock.after(5, lambda: running.vanish(record(2)))
    assert present(running, helm).plan.steps == []
    assert 1005 <= clock.now < 1007
    assert helm.runs == []


# --- refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "option", "word"),
    [
        ({"vcluster_version": "0.34.0"}, "vcluster_version", "downgrade"),
        ({"vcluster_version": "0.38.0"}, "vcluster_version", "no release of 0.37 is known"),
        ({"vcluster_version": "0.36"}, "vcluster_version", "semantic version"),
        ({"vcluster_version": "0.19.0"}, "vcluster_version", "0.20.0"),
        ({"kubernetes_version": "v1.34.0"}, "kubernetes_version", "go back"),
        ({"kubernetes_version": "v1.38.0"}, "kubernetes_version", "skip"),
        ({"kubernetes_version": "latest"}, "kubernetes_version", "semantic version"),
        ({"values": {"privateNodes": {"enabled": True}}}, "values", "privateNodes"),
        ({"labels": {"count": 3}}, "labels", "string"),
        ({"labels": {"app": "x"}}, "labels", "sets it"),
        ({"annotations": {post_renderer.PAUSED: "true"}}, "annotations", "sets it"),
        ({"chart": Chart("/nowhere/vcluster.tgz", "", None)}, "chart_ref", "/nowhere/vcluster.tgz"),
    ],
)
def test_what_cannot_work_is_refused(
    asked: dict[str, Any], option: str, word: str, running: FakeCluster, helm: FakeHelm
) -> None:
    error = refused(running, helm, **asked)
    assert isinstance(error, OptionError)
    assert error.data["option"].partition(".")[0] == option
    assert word in str(error)


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        ({"name": "Demo"}, "name"),
        ({"name": "1st"}, "name"),
        ({"name": "d" * 48}, "name"),
        ({"namespace": "a_b"}, "namespace"),
        ({"namespace": "n" * 64}, "namespace"),
    ],
)
def test_names_of_new_ones(asked: dict[str, str], option: str, cluster: FakeCluster, helm: FakeHelm) -> None:
    error = refused(cluster, helm, **asked)
    assert isinstance(error, OptionError)
    assert error.data["option"] == option


def test_a_neighbour_is_refused(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE)
    have_release(cluster, name="other")
    error = refused(cluster, helm)
    assert isinstance(error, OptionError)
    assert error.data["option"] == "namespace"
    assert "other" in str(error)


def test_other_releases_are_no_neighbours(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE)
    have_release(cluster, name="db", chart={"metadata": {"name": "postgresql"}})
    broken = release_secret(1, name="broken")
    broken["data"] = {"release": "!"}
    cluster.add({"apiVersion": "v1", "kind": "Secret", **broken})
    assert checked(cluster, helm).plan.changed


@pytest.mark.parametrize("status", ["deployed", "pending-install"])
def test_a_release_of_another_chart_is_refused(status: str, cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE)
    chart = {"metadata": {"name": "postgresql", "version": "1.0.0"}}
    have_release(cluster, chart=chart, info={"status": status}, manifest="")
    error = refused(cluster, helm)
    assert isinstance(error, OptionError)
    assert error.data["option"] == "name"
    assert "postgresql" in str(error)


def test_a_chart_that_is_not_vcluster_is_refused(cluster: FakeCluster, helm: FakeHelm) -> None:
    helm.chart_name = "postgresql"
    error = refused(cluster, helm)
    assert isinstance(error, OptionError)
    assert error.data["option"] == "chart_ref"


@pytest.fixture
def paused(running: FakeCluster) -> FakeCluster:
    annotations = {post_renderer.PAUSED: "true", post_renderer.PAUSED_REPLICAS: "1", well_known.PAUSED_DATE: "today"}
    rest = {"spec": {"replicas": 0}, "status": {**dict.fromkeys(READY), "observedGeneration": 2}}
    running.change(WORKLOAD, {"metadata": {"annotations": annotations}, **rest})
    return running


def test_a_paused_one_is_left_paused(paused: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    assert checked(paused, helm).plan.steps == []
    assert checked(paused, helm, labels={"env": "test"}).plan.changed
    assert paused.at(WORKLOAD)["spec"]["replicas"] == 0
    assert clock.now == 1000


PAUSED_CHANGES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "version": ({"vcluster_version": "0.36.1"}, ["upgrade release demo from vCluster 0.35.0 to 0.36.1"]),
    "values": ({"values": {"sync": {"toHost": {"ingresses": {"enabled": True}}}}}, ["change values of release demo"]),
}


@pytest.mark.parametrize(("asked", "steps"), PAUSED_CHANGES.values(), ids=PAUSED_CHANGES)
def test_a_paused_one_is_changed_and_not_woken(
    asked: dict[str, Any], steps: list[str], paused: FakeCluster, helm: FakeHelm, clock: Clock
) -> None:
    outcome = checked(paused, helm, **asked)
    assert outcome.plan.steps == steps
    assert "replicas: 0" not in str(outcome.plan.diff)
    workload = paused.at(WORKLOAD)
    assert workload["spec"]["replicas"] == 0
    assert workload["metadata"]["annotations"][post_renderer.PAUSED_REPLICAS] == "1"
    assert clock.now == 1000
    # Resumed as the CLI does it, the release is as it should be; helm may then change it as any other.
    marks = dict.fromkeys((post_renderer.PAUSED, post_renderer.PAUSED_REPLICAS))
    paused.change(WORKLOAD, {"metadata": {"annotations": marks}, "spec": {"replicas": 1}})
    helm.start()
    assert checked(paused, helm, **asked).plan.steps == []
    checked(paused, helm, values={})
    assert paused.at(WORKLOAD)["spec"]["replicas"] == 1
    paused.change(WORKLOAD, {"spec": {"replicas": 2}})
    assert checked(paused, helm, values={}).plan.steps == ["repair StatefulSet demo"]


def test_a_paused_one_is_upgraded_only_as_far_as_a_running_one(paused: FakeCluster, helm: FakeHelm) -> None:
    """0.35 ran last; what it has stored must not be met by 0.37 without 0.36 in between."""
    checked(paused, helm, vcluster_version="0.36.1")
    checked(paused, helm, values={"sync": {}})  # and this does not let it forget
    error = refused(paused, helm, vcluster_version="0.37.0")
    assert "0.35.0 is what ran last" in str(error)
    tomorrow = {"annotations": {well_known.PAUSED_DATE: "tomorrow"}}
    paused.change(WORKLOAD, {"metadata": tomorrow})  # it was resumed, and paused again
    checked(paused, helm, vcluster_version="0.37.0")


def test_a_paused_one_does_not_go_past_a_minor_version(paused: FakeCluster, helm: FakeHelm) -> None:
    text = manifest("0.34.0", accessors.BUILT_IN)
    have_release(paused, chart={"metadata": {"name": "vcluster", "version": "0.34.0"}}, manifest=text)
    error = refused(paused, helm, vcluster_version="0.36.1")
    assert "0.35.3, 0.36.1 one after another" in str(error)


def test_an_unfinished_change_of_a_paused_one_is_cleared(paused: FakeCluster, helm: FakeHelm) -> None:
    have_release(paused, 2, info={"status": "pending-upgrade"})
    assert present(paused, helm).plan.steps == ["clear the unfinished Helm revision 2 (pending-upgrade)"]
    assert paused.at(WORKLOAD)["spec"]["replicas"] == 0


# --- the chart on this machine ----------------------------------------------------------------------------


def test_the_version_of_a_chart_on_this_machine(cluster: FakeCluster, helm: FakeHelm, tmp_path: Path) -> None:
    directory = tmp_path / "vcluster"
    (directory / "charts" / "sub").mkdir(parents=True)
    (directory / "Chart.yaml").write_text("name: vcluster\nversion: 0.35.1\n")
    (directory / "charts" / "sub" / "Chart.yaml").write_text("name: sub\nversion: 9.9.9\n")
    archive = tmp_path / "vcluster.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(directory / "charts", "vcluster/charts")
        tar.add(directory / "Chart.yaml", "vcluster/Chart.yaml")
    for where in (directory, archive):
        chart = Chart(str(where), "", None)
        outcome = present(cluster, helm, check=True, chart=chart)
        assert f"install release {NAME} with vCluster 0.35.1" in outcome.plan.steps
        present(cluster, helm, check=True, chart=chart, vcluster_version="v0.35.1")
        error = refused(cluster, helm, chart=chart, vcluster_version="0.36.1")
        assert isinstance(error, OptionError)
        assert (error.data["option"], error.data["allowed"]) == ("vcluster_version", "0.35.1")


@pytest.mark.parametrize("text", [None, "", "[]", "name: vcluster\n", "a: [\n"])
def test_what_is_no_chart(text: str | None, cluster: FakeCluster, helm: FakeHelm, tmp_path: Path) -> None:
    directory = tmp_path / "chart"
    directory.mkdir()
    archive = tmp_path / "chart.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        if text is not None:
            (directory / "Chart.yaml").write_text(text)
            tar.add(directory / "Chart.yaml", "chart/Chart.yaml")
    (tmp_path / "text.tgz").write_text("no archive")
    for where in (directory, archive, tmp_path / "text.tgz"):
        error = refused(cluster, helm, chart=Chart(str(where), "", None))
        assert isinstance(error, OptionError)
        assert error.data["option"] == "chart_ref"


def run_a_command(config: dict[str, Any]) -> None:
    config["users"][0]["user"]["exec"] = {"command": "sh"}


@pytest.mark.parametrize("check", [False, True])
def test_a_kubeconfig_that_somebody_has_changed(check: bool, cluster: FakeCluster, helm: FakeHelm) -> None:
    """It is refused before anything is changed, also where the task changes more than the file."""
    present(cluster, helm)
    cluster.change(KUBECONFIG, {"data": kubeconfig_secret(NAME, NAMESPACE, run_a_command)["data"]})
    before = cluster.state()
    helm.forget()
    with pytest.raises(NestedClustersError, match=r"users\[\]\.user\.exec"):
        present(cluster, helm, check=check, values={"sync": {"toHost": {"ingresses": {"enabled": True}}}})
    assert (cluster.state(), cluster.writes(), helm.runs) == (before, [], [])


# --- waiting ----------------------------------------------------------------------------------------------


def test_it_waits_until_it_is_ready(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(20, helm.start)
    outcome = present(cluster, helm)
    assert 1020 <= clock.now < 1022
    assert outcome.state.secret(f"vc-{NAME}") is not None
    assert (outcome.state.workload(NAME) or {})["status"] == READY


def test_it_does_not_wait_if_not_asked_to(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    assert present(cluster, helm, wait=None).plan.changed
    assert clock.now == 1000


def test_an_unchanged_one_that_is_not_ready_is_waited_for(
    running: FakeCluster, helm: FakeHelm, clock: Clock
) -> None:
    stop(running)
    clock.after(10, helm.start)
    assert present(running, helm).plan.steps == []
    assert clock.now >= 1010


def stop(cluster: FakeCluster) -> None:
    cluster.change(WORKLOAD, {"status": {**dict.fromkeys(READY), "observedGeneration": 1}})


def no_secret(cluster: FakeCluster) -> None:
    cluster.change(WORKLOAD, {"status": READY})


def not_ready(cluster: FakeCluster) -> None:
    cluster.change(WORKLOAD, {"status": {**dict.fromkeys(READY), "observedGeneration": 1, "replicas": 1}})


TIMEOUTS: dict[str, tuple[Callable[[FakeCluster], None], str]] = {
    "not ready": (not_ready, "0 of 1 replicas ready"),
    "no kubeconfig": (no_secret, f"Secret vc-{NAME}"),
}


@pytest.mark.parametrize(("then", "words"), TIMEOUTS.values(), ids=TIMEOUTS)
def test_the_last_state_is_said_when_time_is_up(
    then: Callable[[FakeCluster], None], words: str, cluster: FakeCluster, helm: FakeHelm, clock: Clock
) -> None:
    helm.ready = False
    clock.after(1, lambda: then(cluster))
    with pytest.raises(WaitError, match=rf"not ready after 60 s \(wait_timeout\): .*{words}") as caught:
        present(cluster, helm)
    assert caught.value.data["phase"] == "pending"
    assert 1060 <= clock.now < 1062


def test_one_that_is_deleted_meanwhile_is_given_up_early(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(5, lambda: delete_workload(cluster))
    with pytest.raises(WaitError, match=f"StatefulSet {NAME} is gone"):
        present(cluster, helm)
    assert clock.now < 1010


def crash_looping() -> dict[str, Any]:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}
    status = {"name": "syncer", "restartCount": 5, "ready": False, "state": {"waiting": waiting}}
    return {"phase": "Running", "containerStatuses": [status]}


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("no such cluster: db", "no such cluster: db"),
        ("unable to retrieve container logs for containerd://1", "(no log)"),  # the kubelet's, with status 200
        (None, "(no log)"),
    ],
)
def test_what_cannot_become_ready_is_given_up_early(
    log: str | None, words: str, cluster: FakeCluster, helm: FakeHelm, clock: Clock
) -> None:
    def answer(request: Any) -> str | Response:
        assert request.path.endswith(f"/pods/{NAME}-0/log")
        assert request.query["container"] == "syncer"
        if log is None or request.query["previous"] == "true":
            return refusal(400, "no previous container")
        return log

    cluster.api.pod_answer = answer
    helm.ready = False
    labels = {"app": "vcluster", "release": NAME}
    pod = {"namespace": NAMESPACE, "labels": labels, "status": crash_looping()}
    clock.after(3, lambda: cluster.have("Pod", f"{NAME}-0", **pod))
    with pytest.raises(WaitError, match="will not become ready") as caught:
        present(cluster, helm)
    assert caught.value.data == {"phase": "failed", "reason": "CrashLoopBackOff"}
    assert words in str(caught.value)
    assert clock.now < 1010


def test_an_api_server_that_restarts_is_waited_for(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(5, lambda: setattr(cluster, "down", True))
    clock.after(15, lambda: setattr(cluster, "down", False))
    clock.after(20, helm.start)
    present(cluster, helm)
    assert clock.now >= 1020


def test_an_api_server_that_stays_away(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(5, lambda: setattr(cluster, "down", True))
    with pytest.raises(WaitError, match="does not answer"):
        present(cluster, helm)


def test_one_that_is_ready_costs_no_request_to_wait_for(running: FakeCluster, clock: Clock) -> None:
    client = running.client()
    state = cluster_state.read(client, NAME, NAMESPACE)
    running.requests.clear()
    assert readiness.wait_ready(client, NAME, NAMESPACE, state, 60, kubeconfig=True) is state
    assert (running.requests, clock.now) == ([], 1000)


def test_a_kubeconfig_that_is_not_needed_is_not_waited_for(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(10, lambda: no_secret(cluster))
    request = Request(name=NAME, namespace=NAMESPACE, chart=CHART)
    outcome = lifecycle.present(cluster.client(), helm.open, request, RunOptions(wait=60))  # type: ignore[arg-type]
    assert 1010 <= clock.now < 1012
    assert outcome.state.secret(f"vc-{NAME}") is None


def test_why_it_is_not_ready_is_asked_now_and_then(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    requests: list[tuple[str, float]] = []

    def keep(request: Any) -> None:
        requests.append((str(request), round(clock.now - 1000, 6)))

    cluster.intercept = keep
    helm.ready = False
    clock.after(20, helm.start)
    present(cluster, helm)
    pods = [seconds for text, seconds in requests if text == f"GET {path('v1', 'pods', NAMESPACE)}"]
    events = [seconds for text, seconds in requests if text == f"GET {path('v1', 'events', NAMESPACE)}"]
    assert pods == [seconds for seconds in range(20) if seconds and seconds % readiness.LOOK_SECONDS == 0]
    assert events == [0, *pods]


def test_a_time_too_short_to_look_at_ends_with_a_look(cluster: FakeCluster, helm: FakeHelm) -> None:
    helm.ready = False
    with pytest.raises(WaitError, match="0 of 1 replicas ready"):
        present(cluster, helm, wait=readiness.LOOK_SECONDS / 2)


def have_refusal(cluster: FakeCluster, uid: str = "first", **parts: Any) -> None:
    """Have the Event of a pod that a quota does not allow, just now."""
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"refusal-{uid}", "namespace": NAMESPACE, "uid": uid},
        "involvedObject": {"kind": "StatefulSet", "name": NAME},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": f'create Pod {NAME}-0 failed error: pods "{NAME}-0" is forbidden: exceeded quota: small',
        "lastTimestamp": datetime.now(timezone.utc).isoformat(),
    }
    cluster.add({**event, **parts})


AGAIN: dict[str, Callable[[FakeCluster], None]] = {
    "a higher count": lambda cluster: have_refusal(cluster, count=4),
    "a longer series": lambda cluster: have_refusal(cluster, count=3, series={"count": 2}),
    "a new event": lambda cluster: have_refusal(cluster, "second", count=3),
}


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_what_was_refused_before_ends_the_wait_when_it_is_refused_again(
    again: Callable[[FakeCluster], None], running: FakeCluster, helm: FakeHelm, clock: Clock
) -> None:
    stop(running)
    have_refusal(running, count=3)
    clock.after(10, lambda: again(running))
    with pytest.raises(WaitError, match="exceeded quota: small; raise the ResourceQuota") as caught:
        present(running, helm)
    assert caught.value.data == {"phase": "failed", "reason": "FailedCreate"}
    assert 1010 <= clock.now <= 1010 + readiness.LOOK_SECONDS


def test_what_was_refused_before_ends_the_wait_where_nothing_comes_of_it(
    running: FakeCluster, helm: FakeHelm, clock: Clock
) -> None:
    stop(running)
    have_refusal(running, count=3)
    with pytest.raises(WaitError, match="exceeded quota"):
        present(running, helm)
    assert diagnosis.UNSCHEDULABLE_GRACE <= clock.now - 1000 <= diagnosis.UNSCHEDULABLE_GRACE + readiness.LOOK_SECONDS


def test_what_was_refused_before_and_put_right_since_is_waited_out(
    running: FakeCluster, helm: FakeHelm, clock: Clock
) -> None:
    stop(running)
    have_refusal(running, count=3)
    clock.after(diagnosis.UNSCHEDULABLE_GRACE - 1, helm.start)
    assert present(running, helm).plan.steps == []


def test_a_refusal_by_the_api_server_is_not_waited_out(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(5, lambda: cluster.deny("get", "statefulsets"))
    with pytest.raises(KubernetesError, match="no permission"):
        present(cluster, helm)
    assert clock.now < 1006


def test_a_release_without_a_workload_is_not_waited_for(running: FakeCluster) -> None:
    state = cluster_state.read(running.client(), NAME, NAMESPACE)
    for things in (state.live, state.manifest):
        del things["apps/v1", "StatefulSet", NAMESPACE, NAME]
    with pytest.raises(NestedClustersError, match="no StatefulSet or Deployment"):
        readiness.wait_ready(running.client(), NAME, NAMESPACE, state, 60, kubeconfig=False)


# --- reading ----------------------------------------------------------------------------------------------


def test_what_is_synced_is_not_read(running: FakeCluster) -> None:
    synced = {"vcluster.loft.sh/managed-by": NAME}
    running.have("Secret", "db-x-default-x-demo", namespace=NAMESPACE, labels=synced)
    running.have("StatefulSet", "inner", namespace=NAMESPACE, labels={**synced, "app": "vcluster"}, spec={})
    state = cluster_state.read(running.client(), NAME, NAMESPACE)
    assert not [where for where in state.live if where[3] in ("inner", "db-x-default-x-demo")]


def test_one_question_for_each_kind(running: FakeCluster) -> None:
    running.requests.clear()
    cluster_state.read(running.client(), NAME, NAMESPACE)
    assert sorted(running.sent()) == sorted(
        [
            f"list {path('v1', 'secrets', NAMESPACE)}",
            f"list {path('v1', 'services', NAMESPACE)}",
            f"list {path('apps/v1', 'statefulsets', NAMESPACE)}",
            f"get {path('rbac.authorization.k8s.io/v1', 'clusterroles', None, f'vc-{NAME}')}",
        ]
    )


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
def test_without_nulls(data: Any, expected: Any) -> None:
    assert lifecycle_plan.without_nulls(data) == expected


def test_what_the_database_of_the_control_plane_is_stays(running: FakeCluster, helm: FakeHelm) -> None:
    asked = {"controlPlane": {"backingStore": {"etcd": {"deploy": {"enabled": True}}}}}
    error = refused(running, helm, values=asked)
    assert isinstance(error, OptionError)
    assert "backingStore" in str(error)


def test_a_kubernetes_that_does_not_exist(cluster: FakeCluster, helm: FakeHelm) -> None:
    error = refused(cluster, helm, kubernetes_version="v2.0.0")
    assert isinstance(error, OptionError)
    assert error.data["option"] == "kubernetes_version"


def test_somebody_else_makes_the_namespace_at_the_same_time(cluster: FakeCluster, helm: FakeHelm) -> None:
    def faster(request: Any) -> None:
        if request.method == "POST":
            cluster.have("Namespace", NAMESPACE)

    cluster.intercept = faster
    assert present(cluster, helm).plan.steps[0] == f"create namespace {NAMESPACE}"
    assert helm.runs == ["render", "apply"]


def test_a_namespace_that_may_not_be_made(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.deny("create", "namespaces")
    with pytest.raises(KubernetesError, match="no permission"):
        present(cluster, helm)
    assert "apply" not in helm.runs


def test_secrets_by_name(running: FakeCluster) -> None:
    state = cluster_state.read(running.client(), NAME, NAMESPACE)
    assert len(state.secrets) > 2
    for name in (f"vc-{NAME}", f"vc-config-{NAME}"):
        assert (state.secret(name) or {})["metadata"]["name"] == name
    assert state.secret("other") is None


def test_a_kind_that_the_host_cluster_does_not_serve_any_more(
    running: FakeCluster, helm: FakeHelm
) -> None:
    """What was of it is gone, which is said, and the rest is read all the same."""
    running.serve(without=["ClusterRole"])
    state = cluster_state.read(running.client(), NAME, NAMESPACE)
    found = drift.as_found(state.manifest, state.live)
    assert [change.text for change in drift.drift(found, state.manifest)] == [f"restore ClusterRole vc-{NAME}"]


# --- upgrades over several versions -----------------------------------------------------------------------


@pytest.fixture
def old(running: FakeCluster, helm: FakeHelm) -> FakeCluster:
    """One on 0.34.0, with the Kubernetes of then."""
    helm.versions.clear()
    given = tree.merge(accessors.BUILT_IN, tree.at(("controlPlane", "distro", "k8s", "version"), "v1.35.0"))
    text = manifest("0.34.0", given)
    have_release(
        running,
        1,
        {well_known.MANAGED: "true"},
        config=accessors.BUILT_IN,
        manifest=text,
        chart={"metadata": {"name": "vcluster", "version": "0.34.0"}},
    )
    for at, document in documents_with_paths(running, text, NAMESPACE):
        before = running.at(at)
        after: Any = merged(before, document)
        after["metadata"]["annotations"] = before["metadata"].get("annotations", {})
        running.add({**after, "status": before["status"]} if "status" in before else after)
    return running


WAY = ["0.35.3", "0.36.1"]


def test_no_minor_version_is_skipped(old: FakeCluster, helm: FakeHelm) -> None:
    outcome = checked(old, helm, vcluster_version="0.36.1")
    assert outcome.plan.steps == [
        f"upgrade release {NAME} from vCluster 0.34.0 to 0.35.3, and wait until it is ready",
        f"upgrade release {NAME} from vCluster 0.35.3 to 0.36.1",
    ]
    shown = {entry["before_header"]: entry for entry in outcome.plan.diff}
    way = shown[f"vCluster versions of {NAME}, one after another"]
    assert (way["before"], way["after"]) == ("- 0.34.0\n", "- 0.35.3\n- 0.36.1\n")
    assert helm.versions == WAY
    assert outcome.state.release is not None
    assert well_known.BETWEEN not in outcome.state.release.labels


def test_kubernetes_goes_step_by_step(old: FakeCluster, helm: FakeHelm) -> None:
    outcome = checked(old, helm, kubernetes_version="v1.37.0", vcluster_version="0.34.0")
    assert outcome.plan.steps[0] == f"upgrade release {NAME} to Kubernetes v1.36.0, and wait until it is ready"
    assert outcome.plan.steps[1:] == [
        f"upgrade release {NAME} to Kubernetes v1.37.0",
        f"change values of release {NAME}",
    ]
    assert workloads.kubernetes_version(old.at(WORKLOAD)) == "v1.37.0"


def test_each_version_runs_before_the_next(old: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    with pytest.raises(WaitError):
        present(old, helm, wait=None, vcluster_version="0.36.1")
    assert helm.versions == ["0.35.3"]
    with pytest.raises(WaitError):  # what an earlier task made has to run as well
        present(old, helm, wait=None, vcluster_version="0.36.1")
    assert helm.versions == ["0.35.3"]
    clock.after(clock.now - 1000 + 30, helm.start)
    outcome = present(old, helm, wait=None, vcluster_version="0.36.1")
    assert outcome.plan.steps == [f"upgrade release {NAME} from vCluster 0.35.3 to 0.36.1"]
    assert helm.versions == WAY


def test_what_is_on_the_way_can_be_changed(old: FakeCluster, helm: FakeHelm) -> None:
    helm.ready = False
    with pytest.raises(WaitError):
        present(old, helm, vcluster_version="0.36.1")
    broken = tree.at(("controlPlane", "statefulSet", "image", "tag"), "0.35.3-repaired")
    assert present(old, helm, wait=None, vcluster_version="0.35.3", values=broken).plan.changed


def test_values_that_a_version_between_does_not_know_come_with_the_last(old: FakeCluster, helm: FakeHelm) -> None:
    asked = {"sync": {"toHost": {"gatewayApi": {"enabled": True}}}}  # since 0.35
    given = tree.merge(accessors.BUILT_IN, asked)
    request = Request(NAME, NAMESPACE, CHART)
    state = cluster_state.read(old.client(), NAME, NAMESPACE)
    stages = upgrade_stages.plan_stages(request, replace_release(state, "0.33.0"), "0.36.1", given)
    assert [(stage.version, stage.values == given) for stage in stages] == [
        ("0.34.7", False),
        ("0.35.3", True),
        ("0.36.1", True),
    ]


def test_values_that_no_version_between_takes_are_refused(old: FakeCluster, helm: FakeHelm) -> None:
    state = cluster_state.read(old.client(), NAME, NAMESPACE)
    state = replace_release(state, "0.30.0", {"policies": {"networkPolicy": {"outgoingConnections": {}}}})
    given = {"sync": {"toHost": {"gatewayApi": {"enabled": True}}}}
    with pytest.raises(OptionError, match=r"vCluster 0\.31\.3 comes in between, and takes neither"):
        upgrade_stages.plan_stages(Request(NAME, NAMESPACE, CHART), state, "0.36.1", given)


def replace_release(
    state: cluster_state.State, version: str, given: dict[str, Any] | None = None
) -> cluster_state.State:
    assert state.release is not None
    config = state.release.values if given is None else given
    return replace(state, release=replace(state.release, chart_version=version, values=config))


def packaged(directory: Path, *versions: str) -> None:
    for version in versions:
        chart = directory / f"vcluster-{version}"
        chart.mkdir()
        (chart / "Chart.yaml").write_text(f"name: vcluster\nversion: {version}\n")


def test_a_local_chart_leads_over_one_minor_version_only(old: FakeCluster, helm: FakeHelm, tmp_path: Path) -> None:
    packaged(tmp_path, "0.36.1")
    error = refused(old, helm, chart=Chart(f"{tmp_path}/vcluster-0.36.1", "", None))
    assert error.data["option"] == "chart_ref"
    assert "goes through 0.35.3" in str(error)
    assert "{version}" in str(error)


def test_local_charts_of_several_versions(old: FakeCluster, helm: FakeHelm, tmp_path: Path) -> None:
    chart = Chart(f"{tmp_path}/vcluster-{{version}}", "", None)
    packaged(tmp_path, "0.36.1")
    error = refused(old, helm, chart=chart, vcluster_version="0.36.1")
    assert f"{tmp_path}/vcluster-0.35.3" in str(error)
    packaged(tmp_path, "0.35.3")
    checked(old, helm, chart=chart, vcluster_version="0.36.1")
    assert helm.versions == WAY


# --- upgrades with a way back -----------------------------------------------------------------------------


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, helm: FakeHelm) -> list[str]:
    """Calls of the way back, in order, with what helm makes between them; what is in ``unhealthy`` fails."""
    calls: list[str] = []
    helm.runs = calls

    class Place:
        def __init__(self, *_where: Any) -> None:
            pass

        def check_healthy(self, _seconds: float = 0) -> None:
            calls.append("look")
            if calls.count("look") in unhealthy:
                raise WaitError("its CoreDNS does not run")

        def __getattr__(self, name: str) -> Callable[..., None]:
            def call(mark: upgrade_record.UpgradeRecord | None = None) -> None:
                stage = "" if mark is None else f" {mark.copied:d}{mark.returning:d}{mark.returned:d}"
                calls.append(f"{name}{stage}")
                if name in failing:
                    raise NestedClustersError("No space left on device")

            return call

    unhealthy: set[int] = set()
    failing: set[str] = set()
    Place.failing = failing  # type: ignore[attr-defined]
    Place.unhealthy = unhealthy  # type: ignore[attr-defined]
    monkeypatch.setattr(upgrade_backup, "UpgradeBackup", Place)
    return calls


def marked(cluster: FakeCluster, **mark: Any) -> None:
    text = json.dumps({"revision": 1, "version": "0.34.0", "paused": False, **mark})
    cluster.change(WORKLOAD, {"metadata": {"annotations": {well_known.WAY_BACK: text}}})


def pause(cluster: FakeCluster) -> None:
    annotations = {post_renderer.PAUSED: "true"}
    cluster.change(WORKLOAD, {"metadata": {"annotations": annotations}, "spec": {"replicas": 0}})


def calls_of(place: list[str]) -> list[str]:
    return [call for call in place if call != "render"]


def test_a_way_back_is_taken_first(old: FakeCluster, helm: FakeHelm, place: list[str]) -> None:
    outcome = present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert calls_of(place) == ["look", "take 000", "apply", "start", "look", "apply", "start", "look", "leave 100"]
    assert outcome.plan.steps[0] == f"stop the control plane of {NAME}"
    assert outcome.plan.steps[-1] == f"start {NAME}, and look whether it is healthy with vCluster 0.36.1"
    again = present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert again.plan.steps == []


def test_no_way_back_for_what_is_no_upgrade(old: FakeCluster, helm: FakeHelm, place: list[str]) -> None:
    present(old, helm, vcluster_version="0.34.0", values={"sync": {}}, rollback=True)
    assert calls_of(place) == ["apply"]


def test_what_is_not_healthy_before_is_left_alone(old: FakeCluster, helm: FakeHelm, place: list[str]) -> None:
    upgrade_backup.UpgradeBackup.unhealthy.add(1)  # type: ignore[attr-defined]
    with pytest.raises(WaitError):
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert calls_of(place) == ["look"]


def test_a_copy_that_fails_leaves_it_as_it_was(old: FakeCluster, helm: FakeHelm, place: list[str]) -> None:
    upgrade_backup.UpgradeBackup.failing.add("take")  # type: ignore[attr-defined]
    with pytest.raises(NestedClustersError, match="No space left"):
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert calls_of(place) == ["look", "take 000", "start", "leave 000"]


def test_a_paused_one_is_not_started_for_a_copy_that_fails(
    old: FakeCluster, helm: FakeHelm, place: list[str]
) -> None:
    pause(old)
    assert present(old, helm, check=True, vcluster_version="0.36.1", rollback=True).plan.steps[0].startswith("copy ")
    upgrade_backup.UpgradeBackup.failing.add("take")  # type: ignore[attr-defined]
    with pytest.raises(NestedClustersError, match="No space left"):
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert calls_of(place) == ["take 000", "leave 000"]


def test_the_way_back_is_gone(old: FakeCluster, helm: FakeHelm, place: list[str]) -> None:
    upgrade_backup.UpgradeBackup.unhealthy.add(3)  # type: ignore[attr-defined]
    with pytest.raises(NestedClustersError) as caught:
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert caught.value.data["rolled_back"] is True
    assert "its CoreDNS does not run; it is on 0.34.0 again" in str(caught.value)
    failed = calls_of(place).index("look", 6)
    back = ["write 110", "stop", "restore 110", "rollback 1", "write 111", "start", "look", "leave 111"]
    assert calls_of(place)[failed + 1 :] == back


def test_a_way_back_that_fails_says_so(old: FakeCluster, helm: FakeHelm, place: list[str]) -> None:
    upgrade_backup.UpgradeBackup.unhealthy.update((2, 3))  # type: ignore[attr-defined]
    with pytest.raises(NestedClustersError, match="could not be taken back") as caught:
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert caught.value.data["rolled_back"] is False
    assert not [call for call in place if call.startswith("leave")]


@pytest.mark.parametrize(
    ("mark", "resting", "expected"),
    [
        # Ended before the copy was whole; after it; after Helm.
        ({}, True, ["take 000", "apply", "start", "look", "apply", "start", "look", "leave 100"]),
        ({"copied": True}, True, ["apply", "start", "look", "apply", "start", "look", "leave 100"]),
        ({"copied": True, "revision": 0}, False, ["start", "look", "apply", "start", "look", "apply", "start", "look"]),
        # Somebody has started it since, and what it has written is not in the copy.
        ({"copied": True}, False, ["look", "take 000", "apply", "start", "look", "apply", "start", "look"]),
    ],
)
def test_what_was_begun_is_gone_on_with(
    mark: dict[str, Any], resting: bool, expected: list[str], old: FakeCluster, helm: FakeHelm, place: list[str]
) -> None:
    marked(old, **mark)
    if resting:
        pause(old)
    present(old, helm, vcluster_version="0.36.1")
    assert calls_of(place)[: len(expected)] == expected


def test_what_was_not_looked_into_is(old: FakeCluster, helm: FakeHelm, place: list[str]) -> None:
    marked(old, copied=True, revision=0, version="0.33.0")
    steps = present(old, helm, check=True).plan.steps
    assert steps == [f"start {NAME}, and look whether it is healthy with vCluster 0.34.0"]
    assert present(old, helm).plan.steps == steps
    assert calls_of(place) == ["start", "look", "leave 100"]


def test_what_is_back_is_not_taken_back_again(old: FakeCluster, helm: FakeHelm, place: list[str]) -> None:
    marked(old, copied=True, returning=True, returned=True)
    present(old, helm, vcluster_version="0.34.0")
    assert calls_of(place)[:3] == ["start", "look", "leave 111"]


def test_a_return_that_was_begun_comes_first(old: FakeCluster, helm: FakeHelm, place: list[str]) -> None:
    marked(old, copied=True, returning=True)
    foreseen = present(old, helm, check=True, vcluster_version="0.35.3")
    assert foreseen.plan.steps == ["go back to vCluster 0.34.0, which an earlier task did not finish"]
    assert calls_of(place) == []

    def leave(_self: Any, _mark: upgrade_record.UpgradeRecord) -> None:
        old.change(WORKLOAD, {"metadata": {"annotations": {well_known.WAY_BACK: None}}})

    upgrade_backup.UpgradeBackup.leave = leave  # type: ignore[assignment, method-assign]
    outcome = present(old, helm, vcluster_version="0.35.3")
    assert outcome.plan.steps == [
        *foreseen.plan.steps,
        f"upgrade release {NAME} from vCluster 0.34.0 to 0.35.3",
    ]
    assert calls_of(place) == [
        "write 110",
        "stop",
        "restore 110",
        "rollback 1",
        "write 111",
        "start",
        "look",
        "apply",
    ]


# --- in the order in which it is announced -------------------------------------------------------------------


def test_creation_sends_what_it_announces(cluster: FakeCluster, helm: FakeHelm) -> None:
    plan = present(cluster, helm, labels={"env": "test"}).plan
    expected = [f"create {NAMESPACE_PATH}", "helm apply", f"patch {WORKLOAD}"]
    assert announced(plan) == without_repetitions(helm.writes()) == expected


def test_change_of_values_and_labels_sends_what_it_announces(running: FakeCluster, helm: FakeHelm) -> None:
    helm.forget()
    plan = present(running, helm, values={"sync": {}}, labels={"env": "test"}, annotations={"a": "b"}).plan
    assert [change.kind for change in plan.changes] == [ChangeKind.CHANGE_VALUES, *[ChangeKind.SET_METADATA] * 2]
    assert announced(plan) == without_repetitions(helm.writes()) == ["helm apply", f"patch {WORKLOAD}"]


def test_reuse_of_kept_claims_is_announced_after_helm_and_before_the_mark_of_ours(
    cluster: FakeCluster, helm: FakeHelm
) -> None:
    """A task that is ended in between leaves the workload unmarked, so that the next one looks for more to do."""
    cluster.have("Namespace", NAMESPACE)
    kept = {well_known.KEPT: "true"}
    labels = {"app": "vcluster", "release": NAME}
    cluster.have("PersistentVolumeClaim", f"data-{NAME}-0", namespace=NAMESPACE, labels=labels, annotations=kept)
    own = path("v1", "persistentvolumeclaims", NAMESPACE, f"data-{NAME}-0")
    plan = present(cluster, helm).plan
    assert announced(plan) == without_repetitions(helm.writes()) == ["helm apply", f"patch {own}", f"patch {WORKLOAD}"]


def test_upgrade_over_two_stages_sends_one_after_the_other(old: FakeCluster, helm: FakeHelm) -> None:
    plan = present(old, helm, vcluster_version="0.36.1", labels={"env": "test"}).plan
    assert [change.details.get("after") for change in plan.changes] == ["0.35.3", "0.36.1", None]
    assert helm.versions == ["0.35.3", "0.36.1"]
    assert [request_of(change) for change in plan.changes] == helm.writes()
    assert helm.writes() == ["helm apply", "helm apply", f"patch {WORKLOAD}"]


def test_upgrade_with_rollback_does_what_it_announces(old: FakeCluster, helm: FakeHelm, place: list[str]) -> None:
    plan = present(old, helm, vcluster_version="0.36.1", rollback=True).plan
    # "look" and "start" are those of health checks; the copy is taken with the control plane stopped.
    calls = [call.split()[0] for call in calls_of(place) if call not in ("look", "start")]
    doing = {ChangeKind.STOP: "take", ChangeKind.COPY_NOTHING: "take", ChangeKind.UPGRADE: "apply"}
    expected = [doing.get(change.kind, "leave") for change in plan.changes]
    stages = [change for change in plan.changes if change.kind is ChangeKind.UPGRADE]
    assert without_repetitions(expected[:2]) + expected[2:] == calls == ["take", *["apply"] * len(stages), "leave"]
