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
from fake_helm import CHART, WORKLOAD, FakeHelm, have_release
from fake_helm import NAMESPACE_PATH as PLACE
from fakes import FakeKubernetes
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


Site = FakeKubernetes  # a host cluster in memory


@pytest.fixture
def host() -> Site:
    result = FakeKubernetes()
    result.have("Namespace", NAMESPACE)
    return result


@pytest.fixture
def helm(host: Site) -> FakeHelm:
    return FakeHelm(host.fake)


def control_plane(host: Site, kind: str = "StatefulSet", name: str = NAME, **meta: Any) -> Object:
    """Have a control plane as Helm makes it, without Helm's record."""
    labels = {**LABELS, "release": name, **meta.pop("labels", {})}
    annotations = {**OF_HELM, **meta.pop("annotations", {})}
    return host.have(kind, name, labels=labels, annotations=annotations, spec={"replicas": 1}, **meta)


# --- nothing is installed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["StatefulSet", "Deployment"])
def test_nothing_is_installed_where_a_control_plane_is(host: Site, helm: FakeHelm, kind: str) -> None:
    """Of the kind that the values ask for, which Helm would overwrite, and of the other, which it would not see."""
    control_plane(host, kind)
    tasks: list[Object] = [{"labels": {"a": "b"}}, {}, {"values": {"sync": {}}}, {"vcluster_version": "0.36.1"}]
    for asked in tasks:
        message = str(refused(host.fake, helm, **asked))
        assert f"nothing was changed, because {kind} {NAME} is there" in message
        assert helm.runs == []


def test_one_at_rest_is_one(host: Site, helm: FakeHelm) -> None:
    control_plane(host)
    host.fake.change(WORKLOAD, {"spec": {"replicas": 0}})
    assert f"StatefulSet {NAME} is there" in str(refused(host.fake, helm))


def test_its_etcd_alone_is_one(host: Site, helm: FakeHelm) -> None:
    """It has the data of a virtual cluster."""
    host.have("StatefulSet", f"{NAME}-etcd", labels={**LABELS, "app": "vcluster-etcd"}, spec={})
    assert f"StatefulSet {NAME}-etcd is there" in str(refused(host.fake, helm))


def test_what_is_in_the_namespace_beside_does_not_count(host: Site, helm: FakeHelm) -> None:
    """Others' workloads, what a virtual cluster synced, and what a deleted one has left."""
    host.have("StatefulSet", "db", labels={"app": "postgres", "release": NAME}, spec={})
    host.have("Pod", "db-0", labels={"app": "postgres", "release": NAME})
    synced = {well_known.SYNCED_LABEL: "other", "app": "vcluster", "release": "nested"}
    host.have("StatefulSet", "nested-x-default-x-other", labels=synced, spec={})
    host.have("Pod", "nested-0-x-default-x-other", labels=synced)
    host.have("PersistentVolumeClaim", f"data-{NAME}-0", labels={"app": "vcluster", "release": NAME})
    host.have("Secret", f"vc-{NAME}", labels={"app": "vcluster", "vcluster-name": NAME})
    host.have("Service", NAME, labels=LABELS, annotations=OF_HELM)
    assert any("install release" in step for step in checked(host.fake, helm).plan.steps)


def test_one_that_is_being_deleted_does_not_count(host: Site, helm: FakeHelm) -> None:
    control_plane(host, "Deployment", deletionTimestamp="2026-01-01T00:00:00Z")
    host.have("Pod", f"{NAME}-0", labels=LABELS, deletionTimestamp="2026-01-01T00:00:00Z")
    assert any("install release" in step for step in checked(host.fake, helm).plan.steps)


def owner(kind: str, uid: str = UID) -> list[Object]:
    return [{"kind": kind, "name": NAME, "uid": uid, "apiVersion": "apps/v1", "controller": True}]


@pytest.mark.parametrize("kind", ["StatefulSet", "ReplicaSet"])
def test_a_pod_whose_workload_is_gone_goes_as_well(host: Site, helm: FakeHelm, kind: str) -> None:
    """Kubernetes deletes it some moments after a task that was killed, or did not wait."""
    host.have("Pod", f"{NAME}-0", labels=LABELS, ownerReferences=owner(kind))
    if kind == "ReplicaSet":  # it goes with its Deployment
        host.have("ReplicaSet", f"{NAME}-1", labels=LABELS, uid=UID, ownerReferences=owner("Deployment", "gone"))
    assert any("install release" in step for step in checked(host.fake, helm).plan.steps)


def test_a_pod_that_was_left_behind_is_a_control_plane(host: Site, helm: FakeHelm) -> None:
    """kubectl delete --cascade=orphan takes the owner off what a workload has made."""
    host.have("Pod", f"{NAME}-0", labels=LABELS, status={"phase": "Running"})
    assert f"Pod {NAME}-0 is there" in str(refused(host.fake, helm))
    host.have("Pod", f"{NAME}-0", labels=LABELS, status={"phase": "Failed"})
    checked(host.fake, helm)


def test_a_pod_of_a_replica_set_that_was_left_behind_is_one(host: Site, helm: FakeHelm) -> None:
    host.have("ReplicaSet", f"{NAME}-1", labels=LABELS, uid=UID)
    host.have("Pod", f"{NAME}-1-a", labels=LABELS, ownerReferences=owner("ReplicaSet"))
    assert f"Pod {NAME}-1-a is there" in str(refused(host.fake, helm))


@pytest.mark.parametrize("labels", [{}, FLUX])
def test_another_virtual_cluster_in_the_namespace(host: Site, helm: FakeHelm, labels: Object) -> None:
    """vCluster allows one; Flux, for example, calls its release NAMESPACE-NAME."""
    control_plane(host, name="other", labels=labels)
    error = refused(host.fake, helm)
    assert error.data["option"] == "namespace"
    assert "virtual cluster other lives there without a Helm record (StatefulSet other is there" in str(error)
    assert ("HelmRelease flux-system/tenant" in str(error)) is bool(labels)


def test_a_record_of_what_was_uninstalled_says_nothing_of_what_runs(host: Site, helm: FakeHelm) -> None:
    """helm uninstall --keep-history; then another tool has made it anew."""
    have_release(host.fake, info={"status": "uninstalled"}, manifest="")
    control_plane(host, labels=FLUX)
    assert "HelmRelease flux-system/tenant" in str(refused(host.fake, helm))


def test_a_namespace_that_goes_takes_its_control_plane_along(host: Site, helm: FakeHelm, clock: Clock) -> None:
    control_plane(host, labels=FLUX)
    host.objects[PLACE]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    clock.after(5, lambda: [host.objects.pop(at) for at in (PLACE, WORKLOAD)])
    outcome = reconcile.present(
        host,
        helm.open,  # type: ignore[arg-type]
        reconcile.Request(NAME, NAMESPACE, CHART),
        reconcile.RunOptions(wait=60),
    )
    assert outcome.plan.steps[0] == f"create namespace {NAMESPACE}"


def test_one_that_somebody_is_creating(host: Site, helm: FakeHelm) -> None:
    """It has its record by the time that its workload is seen."""

    def create(_verb: str, where: str) -> None:
        if where.endswith("/statefulsets"):
            control_plane(host)
            have_release(host.fake, info={"status": "pending-install"})

    host.before = create
    with pytest.raises(Exception, match="another task or person is creating it at this moment: run again"):
        checked(host.fake, helm)


def test_what_may_not_be_listed_may_be_there(host: Site, helm: FakeHelm) -> None:
    host.forbidden.add("deployments")
    with pytest.raises(KubernetesError, match="no permission"):
        checked(host.fake, helm)


# --- what it costs ----------------------------------------------------------------------------------------


def test_it_costs_requests_only_where_something_is_installed_in_a_namespace(host: Site, helm: FakeHelm) -> None:
    del host.objects[PLACE]
    checked(host.fake, helm)
    for plural in ("deployments", "pods", "replicasets", "configmaps"):
        where = path("apps/v1" if plural[0] in "dr" else "v1", plural, NAMESPACE)
        assert f"list {where}" not in host.asked
    host.asked = []
    checked(host.fake, helm)
    assert f"list {path('apps/v1', 'deployments', NAMESPACE)}" not in host.asked


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
def test_the_manager_is_named_with_the_evidence(host: Site, helm: FakeHelm, mark: str) -> None:
    meta, name, evidence = copy.deepcopy(MARKS[mark])
    control_plane(host, **meta)
    annotations = host.objects[WORKLOAD]["metadata"]["annotations"]
    empty = {key: None for key, one in annotations.items() if not one}
    host.fake.change(WORKLOAD, {"metadata": {"annotations": empty}})
    error = refused(host.fake, helm)
    assert f"It belongs to {name} ({evidence}" in str(error)
    assert "change it there, or choose another namespace" in str(error)
    assert error.data["managed_by"] == name


def test_the_label_of_an_instance_says_nothing_of_what_helm_made(host: Site) -> None:
    control_plane(host, labels={"app.kubernetes.io/instance": "x"})
    workload = Workload("StatefulSet", host.objects[WORKLOAD]["metadata"])
    assert provenance.manager(host, workload, NAMESPACE) is None


def test_what_somebody_wrote_is_one_short_line(host: Site, helm: FakeHelm) -> None:
    control_plane(host, annotations={"argocd.argoproj.io/tracking-id": "\x1b[2J\nok: " + "x" * 5000})
    message = str(refused(host.fake, helm))
    assert message.isprintable()
    assert len(message) < 800


def record_elsewhere(host: Site, where: str, **release: Any) -> None:
    secret = release_secret(3, **release)
    secret["metadata"].update(namespace=where)
    secret["metadata"]["labels"]["status"] = "deployed"
    host.put({"apiVersion": "v1", "kind": "Secret", **secret})


def test_a_record_in_another_namespace(host: Site, helm: FakeHelm) -> None:
    """Of all records of this name, that which speaks of this namespace; broken ones are no evidence."""
    control_plane(host)
    record_elsewhere(host, "elsewhere", namespace="elsewhere")
    host.put(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "helm.sh/release.v1",
            "metadata": {"name": "x", "namespace": "broken", "labels": {"owner": "helm", "name": NAME}},
            "data": {"release": "bm90aGluZw=="},
        }
    )
    assert "elsewhere" not in str(refused(host.fake, helm))
    record_elsewhere(host, "storage")
    message = str(refused(host.fake, helm))
    assert "whoever keeps Helm records in namespace storage" in message
    assert f"Secret sh.helm.release.v1.{NAME}.v3 in namespace storage" in message


def test_a_label_and_a_record_are_both_evidence(host: Site, helm: FakeHelm) -> None:
    control_plane(host, labels=FLUX)
    record_elsewhere(host, "storage")
    message = str(refused(host.fake, helm))
    assert "It belongs to Flux's HelmRelease flux-system/tenant" in message
    assert "in namespace storage" in message


def test_a_record_in_a_config_map(host: Site, helm: FakeHelm) -> None:
    control_plane(host)
    host.have("ConfigMap", f"sh.helm.release.v1.{NAME}.v1", labels={"owner": "helm", "name": NAME})
    message = str(refused(host.fake, helm))
    assert "whoever runs helm with HELM_DRIVER=configmap" in message
    assert f"ConfigMap sh.helm.release.v1.{NAME}.v1" in message


@pytest.mark.parametrize("plural", ["secrets", "configmaps"])
def test_what_may_not_be_read_is_no_evidence(host: Site, plural: str) -> None:
    control_plane(host)
    host.forbidden.add(plural)
    workload = Workload("StatefulSet", host.objects[WORKLOAD]["metadata"])
    assert provenance.manager(host, workload, NAMESPACE) is None


OWN_MARKS = ("the workload", "the namespace", "the request", "nothing")


@pytest.mark.parametrize("mark", OWN_MARKS)
def test_a_lost_record_is_not_guessed(host: Site, helm: FakeHelm, mark: str) -> None:
    """The values are known only with the chart's defaults, and the version by a label: the operator decides."""
    control_plane(host, annotations={well_known.MANAGED: "true"} if mark == "the workload" else {})
    if mark == "the namespace":
        host.fake.change(PLACE, {"metadata": {"annotations": {well_known.NAME_ANNOTATION: NAME}}})
    if mark == "the request":
        host.have("Secret", f"nested-clusters-{NAME}", type="nested-clusters/request", data={"request": "e30="})
    message = str(refused(host.fake, helm))
    assert ("This collection made it" in message) is (mark != "nothing")
    assert f"restore Secret sh.helm.release.v1.{NAME}.v" in message
    assert f"helm upgrade --install {NAME} vcluster" in message
    assert "--version 0.35.1" in message
    assert f"vc-config-{NAME}" in message


# --- records that are not what they seem ------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"namespace": "elsewhere"}, {"name": "other"}])
@pytest.mark.parametrize("status", ["deployed", "pending-upgrade"])
def test_a_record_that_speaks_of_another_release(host: Site, helm: FakeHelm, changes: Object, status: str) -> None:
    """Helm would act on that one, as where Flux keeps its records for other namespaces."""
    other, where = changes.get("name", NAME), changes.get("namespace", NAMESPACE)
    have_release(host.fake, labels={"name": NAME}, info={"status": status}, **changes)
    message = str(refused(host.fake, helm, labels={"a": "b"}))
    assert f"holds that of release {other} in namespace {where}" in message


def test_records_of_other_namespaces_are_no_neighbors(host: Site, helm: FakeHelm) -> None:
    have_release(host.fake, name="other", namespace="elsewhere")
    assert any("install release" in step for step in checked(host.fake, helm).plan.steps)
