# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of provenance: nothing is installed where a control plane is, and its manager is named."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import namespaces, provenance, readiness
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.provenance import Workload
from clock import Clock
from demo_host import DemoHost
from fake_api import Request
from fake_helm import CHART, NAMESPACE_PATH, WORKLOAD, FakeHelm, have_release
from helm_releases import NAME, NAMESPACE, release_secret
from lifecycle_runs import checked, refused

Object = dict[str, Any]

LABELS = {"app": "vcluster", "release": NAME, "chart": "vcluster-0.35.1", "app.kubernetes.io/managed-by": "Helm"}
OF_HELM = {"meta.helm.sh/release-name": NAME, "meta.helm.sh/release-namespace": NAMESPACE}
FLUX = {"helm.toolkit.fluxcd.io/name": "tenant", "helm.toolkit.fluxcd.io/namespace": "flux-system"}
UID = "uid of its owner"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    fake = Clock()
    for module in (namespaces, reconcile, readiness):
        monkeypatch.setattr(module, "time", fake)
    yield fake
    assert fake.now < 2000, "something waits for ever"


@pytest.fixture
def host() -> DemoHost:
    result = DemoHost()
    result.have("Namespace", NAMESPACE)
    return result


@pytest.fixture
def helm(host: DemoHost) -> FakeHelm:
    return FakeHelm(host)


def control_plane(host: DemoHost, kind: str = "StatefulSet", name: str = NAME, **meta: Any) -> Object:
    """Have a control plane as Helm makes it, without Helm's record."""
    labels = {**LABELS, "release": name, **meta.pop("labels", {})}
    annotations = {**OF_HELM, **meta.pop("annotations", {})}
    return host.have_inside(kind, name, labels=labels, annotations=annotations, spec={"replicas": 1}, **meta)


# --- nothing is installed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["StatefulSet", "Deployment"])
def test_install_over_a_control_plane_is_refused(host: DemoHost, helm: FakeHelm, kind: str) -> None:
    """Of the kind that the values ask for, which Helm would overwrite, and of the other, which it would not see."""
    control_plane(host, kind)
    tasks: list[Object] = [{"labels": {"a": "b"}}, {}, {"values": {"sync": {}}}, {"vcluster_version": "0.36.1"}]
    for asked in tasks:
        message = str(refused(host, helm, **asked))
        assert f"nothing was changed, because {kind} {NAME} exists" in message
        assert helm.runs == []


def test_install_over_a_control_plane_at_rest_is_refused(host: DemoHost, helm: FakeHelm) -> None:
    control_plane(host)
    host.change(WORKLOAD, {"spec": {"replicas": 0}})
    assert f"StatefulSet {NAME} exists" in str(refused(host, helm))


def test_install_over_an_etcd_is_refused(host: DemoHost, helm: FakeHelm) -> None:
    """It has the data of a virtual cluster."""
    host.have_inside("StatefulSet", f"{NAME}-etcd", labels={**LABELS, "app": "vcluster-etcd"}, spec={})
    assert f"StatefulSet {NAME}-etcd exists" in str(refused(host, helm))


def test_install_beside_other_objects_is_done(host: DemoHost, helm: FakeHelm) -> None:
    """Others' workloads, what a virtual cluster synced, and what a deleted one has left."""
    host.have_inside("StatefulSet", "db", labels={"app": "postgres", "release": NAME}, spec={})
    host.have_inside("Pod", "db-0", labels={"app": "postgres", "release": NAME})
    synced = {well_known.SYNCED_LABEL: "other", "app": "vcluster", "release": "nested"}
    host.have_inside("StatefulSet", "nested-x-default-x-other", labels=synced, spec={})
    host.have_inside("Pod", "nested-0-x-default-x-other", labels=synced)
    host.have_inside("PersistentVolumeClaim", f"data-{NAME}-0", labels={"app": "vcluster", "release": NAME})
    host.have_inside("Secret", f"vc-{NAME}", labels={"app": "vcluster", "vcluster-name": NAME})
    host.have_inside("Service", NAME, labels=LABELS, annotations=OF_HELM)
    assert any("install release" in step for step in checked(host, helm).plan.steps)


def test_install_beside_what_is_being_deleted_is_done(host: DemoHost, helm: FakeHelm) -> None:
    control_plane(host, "Deployment", deletionTimestamp="2026-01-01T00:00:00Z")
    host.have_inside("Pod", f"{NAME}-0", labels=LABELS, deletionTimestamp="2026-01-01T00:00:00Z")
    assert any("install release" in step for step in checked(host, helm).plan.steps)


def owner(kind: str, uid: str = UID) -> list[Object]:
    return [{"kind": kind, "name": NAME, "uid": uid, "apiVersion": "apps/v1", "controller": True}]


@pytest.mark.parametrize("kind", ["StatefulSet", "ReplicaSet"])
def test_install_beside_a_pod_without_its_workload_is_done(host: DemoHost, helm: FakeHelm, kind: str) -> None:
    """Kubernetes deletes it some moments after a task that was killed, or did not wait."""
    host.have_inside("Pod", f"{NAME}-0", labels=LABELS, ownerReferences=owner(kind))
    if kind == "ReplicaSet":  # it goes with its Deployment
        host.have_inside("ReplicaSet", f"{NAME}-1", labels=LABELS, uid=UID, ownerReferences=owner("Deployment", "gone"))
    assert any("install release" in step for step in checked(host, helm).plan.steps)


def test_install_over_a_pod_without_an_owner_is_refused(host: DemoHost, helm: FakeHelm) -> None:
    """kubectl delete --cascade=orphan takes the owner off what a workload has made."""
    host.have_inside("Pod", f"{NAME}-0", labels=LABELS, status={"phase": "Running"})
    assert f"Pod {NAME}-0 exists" in str(refused(host, helm))
    host.have_inside("Pod", f"{NAME}-0", labels=LABELS, status={"phase": "Failed"})
    checked(host, helm)


def test_install_over_a_pod_of_a_replica_set_is_refused(host: DemoHost, helm: FakeHelm) -> None:
    host.have_inside("ReplicaSet", f"{NAME}-1", labels=LABELS, uid=UID)
    host.have_inside("Pod", f"{NAME}-1-a", labels=LABELS, ownerReferences=owner("ReplicaSet"))
    assert f"Pod {NAME}-1-a exists" in str(refused(host, helm))


@pytest.mark.parametrize("labels", [{}, FLUX])
def test_install_beside_another_cluster_is_refused(host: DemoHost, helm: FakeHelm, labels: Object) -> None:
    """vCluster allows one; Flux, for example, calls its release NAMESPACE-NAME."""
    control_plane(host, name="other", labels=labels)
    error = refused(host, helm)
    assert error.data["option"] == "namespace"
    assert "already contains virtual cluster other, which has no Helm record there (StatefulSet other" in str(error)
    assert ("HelmRelease flux-system/tenant" in str(error)) is bool(labels)


def test_install_over_a_control_plane_with_an_uninstalled_record_is_refused(host: DemoHost, helm: FakeHelm) -> None:
    """helm uninstall --keep-history; then another tool has made it anew."""
    have_release(host, info={"status": "uninstalled"}, manifest="")
    control_plane(host, labels=FLUX)
    assert "HelmRelease flux-system/tenant" in str(refused(host, helm))


def test_install_in_a_namespace_that_is_being_deleted_waits_for_it(
    host: DemoHost, helm: FakeHelm, clock: Clock
) -> None:
    control_plane(host, labels=FLUX)
    namespace = host.at(NAMESPACE_PATH)
    namespace["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    host.add(namespace)
    clock.after(5, lambda: host.vanish(WORKLOAD))  # and so the namespace goes
    outcome = reconcile.present(
        host.client(),
        helm.open,  # type: ignore[arg-type]
        reconcile.Request(NAME, NAMESPACE, CHART),
        reconcile.RunOptions(wait=60),
    )
    assert outcome.plan.steps[0] == f"create namespace {NAMESPACE}"


def test_install_beside_another_installation_is_refused(host: DemoHost, helm: FakeHelm) -> None:
    """It has its record by the time that its workload is seen."""

    def create(request: Request) -> None:
        if request.path.endswith("/statefulsets"):
            control_plane(host)
            have_release(host, info={"status": "pending-install"})

    host.intercept = create
    with pytest.raises(Exception, match="another task or person is creating it; run the task again"):
        checked(host, helm)


def test_install_without_permission_to_list_is_refused(host: DemoHost, helm: FakeHelm) -> None:
    host.deny("list", "deployments")
    with pytest.raises(KubernetesError, match="no permission"):
        checked(host, helm)


# --- what it costs ----------------------------------------------------------------------------------------


def test_requests_for_provenance_are_sent_only_for_an_installation(host: DemoHost, helm: FakeHelm) -> None:
    host.vanish(NAMESPACE_PATH)
    checked(host, helm)
    for plural in ("deployments", "pods", "replicasets", "configmaps"):
        where = path("apps/v1" if plural[0] in "dr" else "v1", plural, NAMESPACE)
        assert f"list {where}" not in host.sent("list")
    host.requests.clear()
    checked(host, helm)
    assert f"list {path('apps/v1', 'deployments', NAMESPACE)}" not in host.sent("list")


# --- whose it is ------------------------------------------------------------------------------------------

MARKS: dict[str, tuple[Object, str, str]] = {
    "Flux": ({"labels": FLUX}, "Flux's HelmRelease flux-system/tenant", "labels helm.toolkit.fluxcd.io/name"),
    "a Kustomization": (
        {"labels": {"kustomize.toolkit.fluxcd.io/name": "a", "kustomize.toolkit.fluxcd.io/namespace": "b"}},
        "Flux's Kustomization b/a",
        "labels kustomize.toolkit.fluxcd.io/name",
    ),
    "Argo CD": (
        {"annotations": {"argocd.argoproj.io/tracking-id": "apps:apps/StatefulSet:x/y"}},
        "Argo CD's Application apps",
        "annotation argocd.argoproj.io/tracking-id",
    ),
    "Argo CD by label": (
        {"labels": {"argocd.argoproj.io/instance": "apps"}},
        "Argo CD's Application apps",
        "label argocd.argoproj.io/instance",
    ),
    "Argo CD by its label of before": (
        {"labels": {"app.kubernetes.io/instance": "apps"}, "annotations": dict.fromkeys(OF_HELM)},
        "apps, perhaps an Application of Argo CD",
        "label app.kubernetes.io/instance",
    ),
    "an owner": (
        {"ownerReferences": [{"kind": "VCluster", "name": "a", "apiVersion": "infrastructure.cluster.x-k8s.io/v1"}]},
        "VCluster a (infrastructure.cluster.x-k8s.io/v1)",
        "it is an owner of",
    ),
    "Cluster API": (
        {"labels": {"cluster.x-k8s.io/cluster-name": "a"}},
        "Cluster API's Cluster a",
        "label cluster.x-k8s.io/cluster-name",
    ),
    "something else": (
        {"labels": {"app.kubernetes.io/managed-by": "Sveltos"}},
        "Sveltos",
        "label app.kubernetes.io/managed-by",
    ),
}


@pytest.mark.parametrize("mark", MARKS)
def test_manager_of_a_control_plane_is_named_with_the_evidence(host: DemoHost, helm: FakeHelm, mark: str) -> None:
    meta, name, evidence = copy.deepcopy(MARKS[mark])
    control_plane(host, **meta)
    annotations = host.at(WORKLOAD)["metadata"]["annotations"]
    empty = {key: None for key, one in annotations.items() if not one}
    host.change(WORKLOAD, {"metadata": {"annotations": empty}})
    error = refused(host, helm)
    assert f"It belongs to {name} ({evidence}" in str(error)
    assert "change it there, or choose another namespace" in str(error)
    assert error.data["managed_by"] == name


def test_manager_by_the_label_of_an_instance_is_none_for_helm(host: DemoHost) -> None:
    control_plane(host, labels={"app.kubernetes.io/instance": "x"})
    workload = Workload("StatefulSet", host.at(WORKLOAD)["metadata"])
    assert provenance.manager(host.client(), workload, NAMESPACE) is None


def test_manager_with_a_long_name_is_one_short_line(host: DemoHost, helm: FakeHelm) -> None:
    control_plane(host, annotations={"argocd.argoproj.io/tracking-id": "\x1b[2J\nok: " + "x" * 5000})
    message = str(refused(host, helm))
    assert message.isprintable()
    assert len(message) < 800


def record_elsewhere(host: DemoHost, where: str, **release: Any) -> None:
    secret = release_secret(3, **release)
    secret["metadata"].update(namespace=where)
    secret["metadata"]["labels"]["status"] = "deployed"
    host.add({"apiVersion": "v1", "kind": "Secret", **secret})


def test_manager_with_a_record_in_another_namespace_is_named(host: DemoHost, helm: FakeHelm) -> None:
    """Of all records of this name, that which speaks of this namespace; broken ones are no evidence."""
    control_plane(host)
    record_elsewhere(host, "elsewhere", namespace="elsewhere")
    host.add(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "helm.sh/release.v1",
            "metadata": {"name": "x", "namespace": "broken", "labels": {"owner": "helm", "name": NAME}},
            "data": {"release": "bm90aGluZw=="},
        }
    )
    assert "elsewhere" not in str(refused(host, helm))
    record_elsewhere(host, "storage")
    message = str(refused(host, helm))
    assert "a tool that keeps Helm records in namespace storage" in message
    assert f"Secret sh.helm.release.v1.{NAME}.v3 in namespace storage" in message


def test_manager_with_a_label_and_a_record_names_both(host: DemoHost, helm: FakeHelm) -> None:
    control_plane(host, labels=FLUX)
    record_elsewhere(host, "storage")
    message = str(refused(host, helm))
    assert "It belongs to Flux's HelmRelease flux-system/tenant" in message
    assert "in namespace storage" in message


def test_manager_with_a_record_in_a_config_map_is_named(host: DemoHost, helm: FakeHelm) -> None:
    control_plane(host)
    host.have_inside("ConfigMap", f"sh.helm.release.v1.{NAME}.v1", labels={"owner": "helm", "name": NAME})
    message = str(refused(host, helm))
    assert "a user of helm with HELM_DRIVER=configmap" in message
    assert f"ConfigMap sh.helm.release.v1.{NAME}.v1" in message


@pytest.mark.parametrize("plural", ["secrets", "configmaps"])
def test_manager_without_permission_to_read_is_none(host: DemoHost, plural: str) -> None:
    control_plane(host)
    host.deny("list", plural)
    workload = Workload("StatefulSet", host.at(WORKLOAD)["metadata"])
    assert provenance.manager(host.client(), workload, NAMESPACE) is None


OWN_MARKS = ("the workload", "the namespace", "the request", "nothing")


@pytest.mark.parametrize("mark", OWN_MARKS)
def test_install_over_a_lost_record_says_how_to_restore_it(host: DemoHost, helm: FakeHelm, mark: str) -> None:
    """The values are known only with the chart's defaults, and the version by a label: the operator decides."""
    control_plane(host, annotations={well_known.MANAGED: "true"} if mark == "the workload" else {})
    if mark == "the namespace":
        host.change(NAMESPACE_PATH, {"metadata": {"annotations": {well_known.NAME_ANNOTATION: NAME}}})
    if mark == "the request":
        host.have_inside("Secret", f"nested-clusters-{NAME}", type="nested-clusters/request", data={"request": "e30="})
    message = str(refused(host, helm))
    assert ("This collection created it" in message) is (mark != "nothing")
    assert f"restore Secret sh.helm.release.v1.{NAME}.v" in message
    assert f"helm upgrade --install {NAME} vcluster" in message
    assert "--version 0.35.1" in message
    assert f"vc-config-{NAME}" in message


# --- records that are not what they seem ------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"namespace": "elsewhere"}, {"name": "other"}])
@pytest.mark.parametrize("status", ["deployed", "pending-upgrade"])
def test_install_with_a_record_of_another_release_is_refused(
    host: DemoHost, helm: FakeHelm, changes: Object, status: str
) -> None:
    """Helm would act on that one, as where Flux keeps its records for other namespaces."""
    other, where = changes.get("name", NAME), changes.get("namespace", NAMESPACE)
    have_release(host, labels={"name": NAME}, info={"status": status}, **changes)
    message = str(refused(host, helm, labels={"a": "b"}))
    assert f"contains release {other} in namespace {where}" in message


def test_install_beside_records_of_other_namespaces_is_done(host: DemoHost, helm: FakeHelm) -> None:
    have_release(host, name="other", namespace="elsewhere")
    assert any("install release" in step for step in checked(host, helm).plan.steps)
