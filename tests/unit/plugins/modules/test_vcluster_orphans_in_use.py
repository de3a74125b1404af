# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of what is no orphan: it belongs to a virtual cluster, to somebody else, or is in use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import orphan_removal
from clock import Clock
from helm_releases import release_secret
from orphan_hosts import (
    BOTH_WAYS,
    MADE,
    SPACE,
    OrphanHost,
    checked,
    have_pod,
    have_record,
    orphan_task,
    reason,
    recently,
    states_of,
)
from populated_host import member
from tasks_on_hosts import Task, contents, replace_time


@pytest.fixture
def all_hosts() -> list[OrphanHost]:
    return [OrphanHost()]


@pytest.fixture
def host(all_hosts: list[OrphanHost]) -> OrphanHost:
    return all_hosts[0]


@pytest.fixture(params=BOTH_WAYS)
def task(
    all_hosts: list[OrphanHost], run_module: Task, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Task]:
    clock = Clock()
    replace_time(monkeypatch, clock, (orphan_removal,))
    yield orphan_task(request.param, all_hosts, run_module, monkeypatch)
    assert clock.now < 3000, "something waits for ever"


def test_orphans_of_a_running_cluster_are_none(task: Task, host: OrphanHost) -> None:
    host.have_cluster("b")
    host.have_cluster("grouped", space=member("grouped"))
    assert checked(task, host, older_than=0)["orphans"] == []


def test_orphans_of_a_cluster_without_a_workload_but_a_release_are_none(task: Task, host: OrphanHost) -> None:
    """Somebody deleted the control plane; the next vcluster task makes it anew, with its volume."""
    space = host.have_cluster("b")
    host.vanish(f"/apis/apps/v1/namespaces/{space}/statefulsets/b")
    assert task()["orphans"] == []


def test_orphans_that_are_young_are_none(task: Task, host: OrphanHost) -> None:
    """A task may be making it, or deleting it, at this moment."""
    for key in ("creationTimestamp", "deletionTimestamp"):
        host.have_left("PersistentVolumeClaim", "data-a-0")
        host.have_left("Secret", "vc-config-a", **{key: recently()})
        assert task()["orphans"] == []
        assert len(task(older_than=10)["orphans"]) == 2


def test_labels_on_a_synced_object_say_nothing(task: Task, host: OrphanHost) -> None:
    """A synced object has labels that a user of the virtual cluster wrote: they say nothing."""
    space = host.have_cluster("b")
    labels = {well_known.SYNCED_LABEL: "b", "app": "vcluster", "release": "a", well_known.REQUESTED: "a"}
    host.have("Secret", "evil-x-default-x-b", namespace=space, labels=labels)
    assert task()["orphans"] == []


@pytest.mark.parametrize("inside", ["team", SPACE])
def test_copies_of_a_nested_cluster_are_no_orphans(inside: str, task: Task, host: OrphanHost) -> None:
    """What a tenant makes with vCluster's chart is synced with Helm's annotations, of a namespace that is not here."""
    host.have_cluster("b")
    copies = host.have_nested("a", inside, of="b")
    host.have_left("PersistentVolumeClaim", "data-a-0")  # of a namesake on the host, which is gone
    assert states_of(checked(task, host, older_than=0)) == {"persistentvolumeclaims/data-a-0": "orphan"}
    assert set(copies) <= set(host.paths())


def test_record_that_is_synced_is_no_release(task: Task, host: OrphanHost) -> None:
    """A tenant's copy of a record that says "deployed" makes none that is there of one that is gone."""
    space = host.have_cluster("b")
    host.have_nested("b", "team", of="b")
    host.vanish(f"/apis/apps/v1/namespaces/{space}/statefulsets/b")  # its pods go with it
    record = f"/api/v1/namespaces/{space}/secrets/sh.helm.release.v1.b.v1"
    host.change(record, {"metadata": {"labels": {"status": "failed"}}})
    assert states_of(task())["persistentvolumeclaims/data-b-0-x-team-x-b"] == "orphan"


def test_names_alone_are_no_evidence(task: Task, host: OrphanHost) -> None:
    """Names alone say nothing."""
    host.have("Namespace", "db")
    spec = {"claimRef": {"namespace": "db", "name": "data-postgres-0"}, "persistentVolumeReclaimPolicy": "Retain"}
    host.have("PersistentVolume", "theirs", spec=spec, status={"phase": "Released"})
    for kind, name in (("PersistentVolumeClaim", "data-db-0"), ("Secret", "vc-db"), ("Secret", "vc-config-db")):
        host.have(kind, name, namespace="db", labels={"app": "postgres", "release": "db"})
    postgres = release_secret(1, "db", chart={"metadata": {"name": "postgresql"}}, info={"status": "failed"})
    postgres["metadata"].update(namespace="db", labels={**postgres["metadata"]["labels"], "status": "failed"})
    host.add({"apiVersion": "v1", "kind": "Secret", **postgres})
    host.have("ClusterRole", "theirs", labels={"app": "web"}, annotations={"meta.helm.sh/release-name": "x"})
    assert task(older_than=0)["orphans"] == []


@pytest.mark.parametrize(
    "labels",
    [{"app": f"vcluster-{what}"} for what in ("dashboard", "platform", "snapshot", "")]
    + [{"app": "vclusters"}, {"app": "vcluster", "chart": "vcluster-dashboard-1.2.3"}],
    ids=str,
)
def test_labels_of_similar_apps_are_no_evidence(labels: dict[str, str], task: Task, host: OrphanHost) -> None:
    """Labels app and release are many charts'. Only those of vCluster's mean a virtual cluster."""
    host.have("Namespace", "prod")
    for kind in ("Deployment", "Service", "PersistentVolumeClaim", "Secret"):
        host.have(kind, "dashboard", namespace="prod", labels={"release": "prod", "vcluster-name": "prod", **labels})
    host.have("Namespace", "leaving", deletionTimestamp="2026-01-01T00:00:00Z")
    host.have("Secret", "held", namespace="leaving", labels={"release": "prod", **labels}, finalizers=["example.com/x"])
    assert task(older_than=0)["orphans"] == []


@pytest.mark.parametrize("chart", ["vcluster-platform", "vcluster-dashboard", "vclusters"])
def test_record_of_another_chart_is_no_orphan(chart: str, task: Task, host: OrphanHost) -> None:
    host.have("Namespace", "prod")
    secret = release_secret(1, "prod", chart={"metadata": {"name": chart}}, info={"status": "failed"})
    secret["metadata"].update(namespace="prod", labels={**secret["metadata"]["labels"], "status": "failed"})
    host.add({"apiVersion": "v1", "kind": "Secret", **secret})
    assert task(older_than=0)["orphans"] == []


def test_kubeconfig_exported_to_another_namespace_is_no_orphan(task: Task, host: OrphanHost) -> None:
    """exportKubeConfig.additionalSecrets: the virtual cluster runs, and keeps a Secret where somebody needs it."""
    host.have_cluster("b")
    host.have("Namespace", "argocd")
    host.have("Secret", "b-for-argocd", namespace="argocd", labels={"app": "vcluster", well_known.NAME_LABEL: "b"})
    assert checked(task, host)["orphans"] == []


@pytest.mark.parametrize("status", ["failed", "pending-install"])
def test_release_of_another_chart_with_its_name_is_no_orphan(status: str, task: Task, host: OrphanHost) -> None:
    """Its first installation ran into a timeout, and it runs; a claim of virtual cluster a is beside it."""
    chart = {"metadata": {"name": "nginx", "version": "1.0.0"}}
    secret = release_secret(1, "a", namespace=SPACE, info={"status": status}, chart=chart)
    secret["metadata"].update(namespace=SPACE, labels={**secret["metadata"]["labels"], "status": status})
    host.have_left("PersistentVolumeClaim", "data-a-0")
    host.add({"apiVersion": "v1", "kind": "Secret", **secret})
    made = {well_known.RELEASE_NAME: "a", well_known.RELEASE_NAMESPACE: SPACE}
    host.have_left("Deployment", "a-nginx", labels=well_known.MANAGED_BY_HELM, annotations=made)
    found = states_of(checked(task, host))
    assert not {"deployments/a-nginx", f"secrets/{secret['metadata']['name']}"} & found.keys()


def test_claim_that_a_pod_mounts_is_in_use(task: Task, host: OrphanHost) -> None:
    host.have_left("PersistentVolumeClaim", "data-a-0")
    volumes = [{"persistentVolumeClaim": {"claimName": "data-a-0"}}]
    host.have("Pod", "rescue", namespace=SPACE, spec={"volumes": volumes}, status={"phase": "Running"})
    result = checked(task, host)
    assert states_of(result) == {"persistentvolumeclaims/data-a-0": "in_use"}
    assert "mounted by pod rescue" in reason(result, "data-a-0")
    host.change(f"/api/v1/namespaces/{SPACE}/pods/rescue", {"status": {"phase": "Succeeded"}})
    assert states_of(task()) == {"persistentvolumeclaims/data-a-0": "orphan"}


@pytest.mark.parametrize(("pod", "app"), [("a-0", "vcluster"), ("a-etcd-0", "vcluster-etcd")])
@pytest.mark.parametrize("record", ["failed", "uninstalled"])
def test_pods_that_outlived_their_workload_are_no_orphans(
    pod: str, app: str, record: str, task: Task, host: OrphanHost
) -> None:
    """After `kubectl delete statefulset --cascade=orphan`, with a release that is not deployed."""
    host.have("Namespace", SPACE, annotations=MADE)
    alive = have_pod(host, pod, app=app, release="a")
    host.have_left("Secret", "a-certs", labels={})
    if record == "failed":
        have_record(host, SPACE, SPACE, record)
    before = host.state()
    assert task(state="absent", older_than=0)["orphans"] == []
    assert host.state() == before
    host.change(alive, {"status": {"phase": "Failed"}})
    assert states_of(task())[f"persistentvolumeclaims/data-{pod}"] == "orphan"


def test_pod_of_a_tenant_is_no_control_plane(task: Task, host: OrphanHost) -> None:
    have_pod(host, "web", app="vcluster", **{well_known.SYNCED_LABEL: "a"})
    assert states_of(task()) == {"persistentvolumeclaims/data-web": "in_use", "pods/web": "orphan"}


def test_claim_that_an_orphaned_pod_mounts_goes_with_the_next_task(task: Task, host: OrphanHost) -> None:
    """It goes once nothing mounts it, with the next task."""
    host.have("Namespace", SPACE, annotations=MADE)
    have_pod(host, "web", **{well_known.SYNCED_LABEL: "a"})
    first = task(state="absent")
    assert states_of(first) == {"persistentvolumeclaims/data-web": "in_use", "pods/web": "orphan"}
    assert "mounted by pod web" in reason(first, "data-web")
    assert contents(host, SPACE) == {"persistentvolumeclaims/data-web"}
    found = {"persistentvolumeclaims/data-web": "orphan", f"namespaces/{SPACE}": "orphan"}
    assert states_of(checked(task, host)) == found


@pytest.mark.parametrize("plural", ["statefulsets", "secrets", "pods", "persistentvolumeclaims"])
def test_permission_to_list_what_is_in_use_missing_fails(plural: str, task: Task, host: OrphanHost) -> None:
    """Without permission to see what is in use, everything would seem to be left over."""
    host.have_cluster("b")
    host.have_left("PersistentVolumeClaim", "data-a-0")
    host.deny("list", plural)
    before = host.state()
    assert task(state="absent")["msg"] == f"no permission to list {plural}: what is in use is not known"
    assert host.state() == before


def test_objects_of_somebody_else_keep_the_namespace(task: Task, host: OrphanHost) -> None:
    """They keep the namespace, and stay."""
    host.have("Namespace", SPACE, annotations=MADE)
    host.have_left("Secret", "vc-a", labels={"app": "vcluster", "vcluster-name": "a"})
    host.have("ConfigMap", "precious", namespace=SPACE)
    assert states_of(checked(task, host)) == {"secrets/vc-a": "orphan"}
    assert contents(host, SPACE) == {"configmaps/precious"}
