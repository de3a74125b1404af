# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the modules that find and remove orphans, on host clusters in memory that delete as Kubernetes does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.doc_fragments import orphans as orphans_fragment
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import orphan_removal, orphans
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_records
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group, Member
from ansible_collections.nested.clusters.plugins.modules import vcluster_orphan, vcluster_orphan_info, vcluster_orphans
from fake_api import Request
from fake_clock import Clock, replace_time
from populated_host import OF_EVERY_HOST, PopulatedHost, member
from release_records import release_secret
from tasks_on_hosts import Result, Task, contents, task_on

CHART = {"app": "vcluster", "release": "a"}
SPACE = "vcluster-a"
CERTIFICATES = dict.fromkeys(("ca.crt", "ca.key", "apiserver.crt", "apiserver.key"), "")
MADE = {well_known.CREATED: "true", "nested-clusters/virtual-cluster": "a"}


class OrphanHost(PopulatedHost):
    """A host cluster with what is left over."""

    def have_left(self, kind: str, name: str, **others: Any) -> None:
        """Have something of virtual cluster a, which is gone."""
        self.have(kind, name, **{"namespace": SPACE, "labels": CHART, **others})


BOTH_WAYS = ["two modules", "deprecated module"]


def orphan_task(way: str, hosts: list[OrphanHost], run_module: Task, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Return a function that runs the deprecated module on all hosts, or those that do its work.

    Of these, state absent is for the one that removes.
    """
    deprecated, removal, report = (
        task_on(hosts, module, run_module, monkeypatch)
        for module in (vcluster_orphans, vcluster_orphan, vcluster_orphan_info)
    )
    if way == BOTH_WAYS[1]:
        return deprecated
    return lambda state="reported", **options: removal(**options) if state == "absent" else report(**options)


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


def states_of(result: Result) -> dict[str, str]:
    """RESOURCE/NAME to the state of what was found."""
    return {f"{one['resource']}/{one['name']}": one["state"] for one in result["orphans"]}


def reason(result: Result, name: str) -> str:
    return str(next(one["reason"] for one in result["orphans"] if one["name"] == name))


def checked(task: Task, *of_hosts: OrphanHost, **options: Any) -> Result:
    """Report and check mode, which change nothing; the removal of just that; and again, which does nothing."""
    before = [one.state() for one in of_hosts]
    report = task(**options)
    foreseen = task(check_mode=True, diff=True, state="absent", **options)
    assert [one.state() for one in of_hosts] == before
    assert states_of(report) == states_of(foreseen)
    assert not report["changed"]
    result = task(diff=True, state="absent", **options)
    assert not result.get("failed"), result.get("msg")
    assert foreseen == result
    again = task(diff=True, state="absent", **options)
    assert (again["changed"], again["diff"]) == (False, [])
    return result


def recently() -> str:
    return (datetime.now(timezone.utc) - timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- what is in use ---------------------------------------------------------------------------------------


def test_nothing_of_one_that_is_there(task: Task, host: OrphanHost) -> None:
    host.have_cluster("b")
    host.have_cluster("grouped", space=member("grouped"))
    assert checked(task, host, older_than=0)["orphans"] == []


def test_one_that_is_only_deployed(task: Task, host: OrphanHost) -> None:
    """Somebody deleted the control plane; the next vcluster task makes it anew, with its volume."""
    space = host.have_cluster("b")
    host.vanish(f"/apis/apps/v1/namespaces/{space}/statefulsets/b")
    assert task()["orphans"] == []


def test_what_is_young(task: Task, host: OrphanHost) -> None:
    """A task may be making it, or deleting it, at this moment."""
    for key in ("creationTimestamp", "deletionTimestamp"):
        host.have_left("PersistentVolumeClaim", "data-a-0")
        host.have_left("Secret", "vc-config-a", **{key: recently()})
        assert task()["orphans"] == []
        assert len(task(older_than=10)["orphans"]) == 2


def test_what_tenants_write(task: Task, host: OrphanHost) -> None:
    """A synced object has labels that a user of the virtual cluster wrote: they say nothing."""
    space = host.have_cluster("b")
    labels = {well_known.SYNCED_LABEL: "b", "app": "vcluster", "release": "a", well_known.REQUESTED: "a"}
    host.have("Secret", "evil-x-default-x-b", namespace=space, labels=labels)
    assert task()["orphans"] == []


@pytest.mark.parametrize("inside", ["team", SPACE])
def test_a_virtual_cluster_inside_a_virtual_cluster(inside: str, task: Task, host: OrphanHost) -> None:
    """What a tenant makes with vCluster's chart is synced with Helm's annotations, of a namespace that is not here."""
    host.have_cluster("b")
    copies = host.have_nested("a", inside, of="b")
    host.have_left("PersistentVolumeClaim", "data-a-0")  # of a namesake on the host, which is gone
    assert states_of(checked(task, host, older_than=0)) == {"persistentvolumeclaims/data-a-0": "orphan"}
    assert set(copies) <= set(host.paths())


def test_a_synced_record_is_no_release(task: Task, host: OrphanHost) -> None:
    """A tenant's copy of a record that says "deployed" makes none that is there of one that is gone."""
    space = host.have_cluster("b")
    host.have_nested("b", "team", of="b")
    host.vanish(f"/apis/apps/v1/namespaces/{space}/statefulsets/b")  # its pods go with it
    record = f"/api/v1/namespaces/{space}/secrets/sh.helm.release.v1.b.v1"
    host.change(record, {"metadata": {"labels": {"status": "failed"}}})
    assert states_of(task())["persistentvolumeclaims/data-b-0-x-team-x-b"] == "orphan"


def test_lookalikes(task: Task, host: OrphanHost) -> None:
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
def test_other_apps_with_the_beginning_of_its_name(labels: dict[str, str], task: Task, host: OrphanHost) -> None:
    """Labels app and release are many charts'. Only those of vCluster's mean a virtual cluster."""
    host.have("Namespace", "prod")
    for kind in ("Deployment", "Service", "PersistentVolumeClaim", "Secret"):
        host.have(kind, "dashboard", namespace="prod", labels={"release": "prod", "vcluster-name": "prod", **labels})
    host.have("Namespace", "leaving", deletionTimestamp="2026-01-01T00:00:00Z")
    host.have("Secret", "held", namespace="leaving", labels={"release": "prod", **labels}, finalizers=["example.com/x"])
    assert task(older_than=0)["orphans"] == []


@pytest.mark.parametrize("chart", ["vcluster-platform", "vcluster-dashboard", "vclusters"])
def test_a_record_of_another_chart(chart: str, task: Task, host: OrphanHost) -> None:
    host.have("Namespace", "prod")
    secret = release_secret(1, "prod", chart={"metadata": {"name": chart}}, info={"status": "failed"})
    secret["metadata"].update(namespace="prod", labels={**secret["metadata"]["labels"], "status": "failed"})
    host.add({"apiVersion": "v1", "kind": "Secret", **secret})
    assert task(older_than=0)["orphans"] == []


def test_a_kubeconfig_that_is_exported_to_another_namespace(task: Task, host: OrphanHost) -> None:
    """exportKubeConfig.additionalSecrets: the virtual cluster runs, and keeps a Secret where somebody needs it."""
    host.have_cluster("b")
    host.have("Namespace", "argocd")
    host.have("Secret", "b-for-argocd", namespace="argocd", labels={"app": "vcluster", well_known.NAME_LABEL: "b"})
    assert checked(task, host)["orphans"] == []


@pytest.mark.parametrize("status", ["failed", "pending-install"])
def test_a_release_of_another_chart_with_its_name(status: str, task: Task, host: OrphanHost) -> None:
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


def test_a_claim_that_a_pod_mounts(task: Task, host: OrphanHost) -> None:
    host.have_left("PersistentVolumeClaim", "data-a-0")
    volumes = [{"persistentVolumeClaim": {"claimName": "data-a-0"}}]
    host.have("Pod", "rescue", namespace=SPACE, spec={"volumes": volumes}, status={"phase": "Running"})
    result = checked(task, host)
    assert states_of(result) == {"persistentvolumeclaims/data-a-0": "in_use"}
    assert "mounted by pod rescue" in reason(result, "data-a-0")
    host.change(f"/api/v1/namespaces/{SPACE}/pods/rescue", {"status": {"phase": "Succeeded"}})
    assert states_of(task()) == {"persistentvolumeclaims/data-a-0": "orphan"}


def have_record(host: OrphanHost, stored_in: str, namespace: str, status: str, revision: int = 1) -> str:
    """Have the record of a release of virtual cluster a in one namespace, which lives in another. Gives its name."""
    secret = release_secret(revision, "a", namespace=namespace, info={"status": status})
    labels = {"owner": "helm", "name": "a", "version": str(revision), "status": status}
    secret["metadata"].update(namespace=stored_in, labels=labels)
    host.add({"apiVersion": "v1", "kind": "Secret", **secret})
    return str(secret["metadata"]["name"])


def have_pod(host: OrphanHost, name: str, **labels: str) -> str:
    """Have a pod that mounts a claim, and return its path."""
    claim = {"persistentVolumeClaim": {"claimName": f"data-{name}"}}
    host.have_left("PersistentVolumeClaim", f"data-{name}", labels=labels)
    host.have_left("Pod", name, labels=labels, spec={"volumes": [claim]}, status={"phase": "Running"})
    return f"/api/v1/namespaces/{SPACE}/pods/{name}"


@pytest.mark.parametrize(("pod", "app"), [("a-0", "vcluster"), ("a-etcd-0", "vcluster-etcd")])
@pytest.mark.parametrize("record", ["failed", "uninstalled"])
def test_pods_that_outlived_their_workload(pod: str, app: str, record: str, task: Task, host: OrphanHost) -> None:
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


def test_a_tenants_pod_is_no_control_plane(task: Task, host: OrphanHost) -> None:
    have_pod(host, "web", app="vcluster", **{well_known.SYNCED_LABEL: "a"})
    assert states_of(task()) == {"persistentvolumeclaims/data-web": "in_use", "pods/web": "orphan"}


def test_what_a_pod_that_is_left_over_mounts(task: Task, host: OrphanHost) -> None:
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
def test_what_cannot_be_judged(plural: str, task: Task, host: OrphanHost) -> None:
    """Without permission to see what is in use, everything would seem to be left over."""
    host.have_cluster("b")
    host.have_left("PersistentVolumeClaim", "data-a-0")
    host.deny("list", plural)
    before = host.state()
    assert task(state="absent")["msg"] == f"no permission to list {plural}: what is in use is not known"
    assert host.state() == before


# --- what is left over ------------------------------------------------------------------------------------


def test_after_helm_uninstall(task: Task, host: OrphanHost) -> None:
    """Claims of every ordinal, and what vCluster wrote. The namespace was made for it, and goes as well."""
    host.have("Namespace", SPACE, annotations=MADE)
    for name in ("data-a-0", "data-a-2"):
        host.have_left("PersistentVolumeClaim", name)
    host.have_left("PersistentVolumeClaim", "data-a-etcd-1", labels={"app": "vcluster-etcd", "release": "a"})
    host.have_left("Secret", "vc-a", labels={"app": "vcluster", "vcluster-name": "a"})
    host.have_left("Secret", "a-certs", labels={}, type="Opaque", data=CERTIFICATES)
    held = {"finalizers": ["vcluster.loft.sh/snapshot"]}
    host.have_left("ConfigMap", "a-snapshot", labels={well_known.REQUESTED: "a"}, **held)
    host.have_left("Service", "web-x-default-x-a", labels={well_known.SYNCED_LABEL: "a"})
    host.have_cluster("b")
    others = {path: one for path, one in host.state().items() if "-b" in path}
    result = checked(task, host)
    assert set(states_of(result).values()) == {"orphan"}
    assert len(result["orphans"]) == 8
    assert "no control plane and no Helm release; it holds its data" in reason(result, "data-a-2")
    assert "nothing else is in it" in reason(result, SPACE)
    assert {path: one for path, one in host.state().items() if path not in OF_EVERY_HOST} == others


@pytest.mark.parametrize("status", ["failed", "uninstalling", "pending-install"])
def test_releases_that_were_not_finished(status: str, task: Task, host: OrphanHost) -> None:
    """Also where nothing else speaks of a virtual cluster, as helm makes its record first."""
    host.have("Namespace", SPACE)
    secret = release_secret(2, "a", info={"status": status})
    secret["metadata"].update(namespace=SPACE, labels={"owner": "helm", "name": "a", "version": "2", "status": status})
    host.add({"apiVersion": "v1", "kind": "Secret", **secret})
    result = checked(task, host)
    (one,) = result["orphans"]
    assert (one["kind"], one["virtual_cluster"]) == ("releases", "a")
    assert f"whose Helm release is {status}" in one["reason"]


FLUX = "flux-system"


@pytest.fixture
def flux(host: OrphanHost) -> OrphanHost:
    """A host cluster with a namespace in which Flux keeps records, and others keep what has names like vCluster's."""
    host.have("Namespace", FLUX)
    host.have("Secret", "a-certs", namespace=FLUX)
    host.have("Namespace", SPACE)
    return host


@pytest.mark.parametrize("alive", ["workload", "pod"])
def test_a_record_that_is_kept_elsewhere(alive: str, task: Task, flux: OrphanHost) -> None:
    """It is left over only if its release's own namespace has no control plane."""
    record = have_record(flux, FLUX, SPACE, "failed")
    if alive == "workload":
        flux.have("StatefulSet", "a", namespace=SPACE, labels=CHART)
    else:
        have_pod(flux, "a-0", **CHART)
    assert task(older_than=0)["orphans"] == []
    flux.vanish_with(f"/{SPACE}/")
    found = checked(task, flux)
    assert states_of(found) == {f"secrets/{record}": "orphan"}
    assert found["orphans"][0]["virtual_cluster"] == "a"
    assert f"of virtual cluster a in namespace {SPACE}, which has no control plane there" in reason(found, record)
    assert contents(flux, FLUX) == {"secrets/a-certs"}


def test_one_that_is_only_deployed_and_recorded_elsewhere(task: Task, flux: OrphanHost) -> None:
    """Somebody deleted the control plane; Flux makes it anew, with its volume."""
    have_record(flux, FLUX, SPACE, "deployed")
    flux.have_left("PersistentVolumeClaim", "data-a-0")
    of_a = {"meta.helm.sh/release-name": "a", "meta.helm.sh/release-namespace": SPACE}
    flux.have("ClusterRole", "vc-a", labels=CHART, annotations=of_a)
    assert task(older_than=0)["orphans"] == []
    have_record(flux, FLUX, "another", "deployed")
    assert states_of(task()) == {"persistentvolumeclaims/data-a-0": "orphan", "clusterroles/vc-a": "orphan"}


def test_requests_do_not_grow_with_records(task: Task, host: OrphanHost) -> None:
    """Those of other releases are not opened, nor those beside their control planes."""
    opened = []

    def watch(request: Request) -> None:
        if request.method == "GET" and "sh.helm" in request.path:
            opened.append(request.path)

    host.intercept = watch
    host.have_left("PersistentVolumeClaim", "data-a-0")
    for name in "bcd":
        host.have_cluster(name)
        host.have("Namespace", f"apps-{name}")
        labels, of_helm = {"owner": "helm", "name": name, "status": "deployed"}, "helm.sh/release.v1"
        host.have("Secret", f"sh.helm.release.v1.{name}.v1", namespace=f"apps-{name}", labels=labels, type=of_helm)
    assert states_of(task()) == {"persistentvolumeclaims/data-a-0": "orphan"}
    assert opened == []


def test_a_release_after_a_failed_upgrade(task: Task, host: OrphanHost) -> None:
    """The revision before is still the one that is deployed."""
    host.have_left("PersistentVolumeClaim", "data-a-0")
    have_record(host, SPACE, SPACE, "deployed", 1)
    have_record(host, SPACE, SPACE, "failed", 2)
    assert task()["orphans"] == []
    have_record(host, SPACE, SPACE, "uninstalling", 3)
    assert set(states_of(task()).values()) == {"orphan"}


def test_a_release_that_helm_keeps_in_config_maps(task: Task, host: OrphanHost) -> None:
    host.have_left("PersistentVolumeClaim", "data-a-0")
    labels = {"owner": "helm", "name": "a", "version": "1", "status": "deployed"}
    host.have_left("ConfigMap", "sh.helm.release.v1.a.v1", labels=labels)
    assert task()["orphans"] == []


def test_somebody_elses_objects(task: Task, host: OrphanHost) -> None:
    """They keep the namespace, and stay."""
    host.have("Namespace", SPACE, annotations=MADE)
    host.have_left("Secret", "vc-a", labels={"app": "vcluster", "vcluster-name": "a"})
    host.have("ConfigMap", "precious", namespace=SPACE)
    assert states_of(checked(task, host)) == {"secrets/vc-a": "orphan"}
    assert contents(host, SPACE) == {"configmaps/precious"}


def test_an_empty_namespace(task: Task, host: OrphanHost) -> None:
    host.have("Namespace", SPACE, annotations=MADE)
    host.have("Namespace", "vcluster-cli", annotations={well_known.CREATED: "true"})
    host.have("Namespace", "vcluster-mine")
    assert states_of(checked(task, host)) == {f"namespaces/{SPACE}": "orphan", "namespaces/vcluster-cli": "orphan"}
    assert "/api/v1/namespaces/vcluster-mine" in host


def test_volumes_that_were_kept(task: Task, host: OrphanHost) -> None:
    host.have("Namespace", SPACE, annotations=MADE)
    host.have_left("PersistentVolumeClaim", "data-a-0", annotations={well_known.KEPT: "true"})
    assert states_of(checked(task, host)) == {"persistentvolumeclaims/data-a-0": "kept"}
    assert contents(host, SPACE)
    result = checked(task, host, kept_volumes=True)
    assert states_of(result) == {"persistentvolumeclaims/data-a-0": "kept", f"namespaces/{SPACE}": "orphan"}
    assert f"/api/v1/namespaces/{SPACE}" not in host


def test_shares_of_groups(task: Task, host: OrphanHost) -> None:
    """What a killed task reserved, what keeps storage on purpose, and what claims more than the volumes it has."""
    host.have("Namespace", "vcluster-r", **member("r"))
    host.have("Namespace", "vcluster-k", **member("k", cpu="0"))
    host.have("PersistentVolumeClaim", "data-k-0", namespace="vcluster-k", labels={"app": "vcluster", "release": "k"})
    host.have("Namespace", SPACE, **member("a"))
    host.have_left("PersistentVolumeClaim", "data-a-0", annotations={well_known.KEPT: "true"})
    result = checked(task, host)
    assert states_of(result) == {
        "namespaces/vcluster-r": "orphan",
        "namespaces/vcluster-a": "orphan",
        "persistentvolumeclaims/data-k-0": "kept",
        "persistentvolumeclaims/data-a-0": "kept",
    }
    assert "a share of group dev for virtual cluster r" in reason(result, "vcluster-r")
    labels = host.at("/api/v1/namespaces/vcluster-r")["metadata"]["labels"]
    assert labels == {"kubernetes.io/metadata.name": "vcluster-r"}
    size = host.at("/api/v1/namespaces/vcluster-a")["metadata"]["annotations"]["nested-clusters/size"]
    assert json.loads(size)["cpu"] == "0"


def test_a_kind_that_is_not_meant_keeps_the_namespace(task: Task, host: OrphanHost) -> None:
    """Deleting the namespace would delete the claims in it."""
    host.have("Namespace", SPACE, annotations=MADE)
    host.have_left("PersistentVolumeClaim", "data-a-0")
    assert checked(task, host, kinds=["namespaces", "objects"])["orphans"] == []
    assert contents(host, SPACE) == {"persistentvolumeclaims/data-a-0"}


def test_outside_of_namespaces(task: Task, host: OrphanHost) -> None:
    host.have_cluster("b")
    of_a = {"meta.helm.sh/release-name": "a", "meta.helm.sh/release-namespace": SPACE}
    host.have("ClusterRole", "vc-a", labels=CHART, annotations=of_a)
    host.have("PriorityClass", "high-x-a", labels={well_known.SYNCED_LABEL: f"{SPACE}-x-a"})
    host.have("ClusterRole", "theirs", labels={**CHART, "chart": "vcluster-dashboard-1.2.3"}, annotations=of_a)
    assert states_of(checked(task, host)) == {"clusterroles/vc-a": "orphan", "priorityclasses/high-x-a": "orphan"}
    assert "/apis/rbac.authorization.k8s.io/v1/clusterroles/vc-b-v-vcluster-b" in host


def test_copies_of_what_helm_made_in_other_namespaces(task: Task, host: OrphanHost) -> None:
    """Whoever may write there can have made them. The chart has nothing with these labels in another namespace."""
    of_a = {"meta.helm.sh/release-name": "a", "meta.helm.sh/release-namespace": SPACE}
    helm = {**CHART, "app.kubernetes.io/managed-by": "Helm"}
    host.have("Namespace", "somebodys")
    for kind in ("Secret", "ConfigMap", "PersistentVolumeClaim"):
        host.have(kind, "copy", namespace="somebodys", labels=helm, annotations=of_a)
    assert checked(task, host, kinds=["cluster_objects"])["orphans"] == []


def test_a_marker_of_two(task: Task, host: OrphanHost) -> None:
    """It is left over only once none is there that can have it, and then nobody knows of which one."""
    host.have("PriorityClass", "high", labels={well_known.SYNCED_LABEL: "h4team-x-a-x-b"})
    host.have("Namespace", "h4team")
    host.have("StatefulSet", "a-x-b", namespace="h4team", labels={"app": "vcluster", "release": "a-x-b"})
    assert task()["orphans"] == []
    host.vanish("/apis/apps/v1/namespaces/h4team/statefulsets/a-x-b")
    assert task(names=["b"])["orphans"] == []
    (one,) = task()["orphans"]
    assert (one["name"], one["virtual_cluster"]) == ("high", None)


def test_volumes(task: Task, host: OrphanHost) -> None:
    host.have_cluster("b")
    host.have("Namespace", SPACE, annotations=MADE)
    host.have("ConfigMap", "precious", namespace=SPACE)
    have_volume(host, "store", SPACE, "data-a-0")
    have_volume(host, "etcd", SPACE, "data-a-etcd-2", "Failed")
    have_volume(host, "users", SPACE, "notes-x-default-x-a")
    have_volume(host, "bound", SPACE, "data-a-1", "Bound")
    have_volume(host, "of-b", "vcluster-b", "notes-x-default-x-b")
    have_volume(host, "somebodys", SPACE, "data-postgres-0")
    result = checked(task, host)
    assert states_of(result) == {f"persistentvolumes/{name}": "orphan" for name in ("store", "etcd", "users")}
    assert "with reclaim policy Retain" in reason(result, "store")
    assert host.names("PersistentVolume") == ["bound", "of-b", "somebodys"]


def have_volume(
    host: OrphanHost, name: str, namespace: str, claim: str, phase: str = "Released", uid: str = "of a claim"
) -> None:
    """Have a PersistentVolume whose claim is gone."""
    of_claim = {"namespace": namespace, "name": claim, "uid": uid}
    spec = {"claimRef": of_claim, "persistentVolumeReclaimPolicy": "Retain"}
    host.have("PersistentVolume", name, spec=spec, status={"phase": phase})


def test_a_namespace_goes_after_the_volumes_that_it_proves(task: Task, host: OrphanHost) -> None:
    """Also where the volume's deletion is refused at first, because it was changed at the same moment."""
    host.have("Namespace", SPACE, annotations=MADE)
    have_volume(host, "store", SPACE, "data-a-0")
    deleted = change_at_the_first_deletion(host, "/api/v1/persistentvolumes/store")
    result = task(state="absent")
    assert (states_of(result), result.get("msg")) == (
        {"persistentvolumes/store": "orphan", f"namespaces/{SPACE}": "orphan"},
        None,
    )
    assert [path.rsplit("/", 1)[1] for path in deleted] == ["store", "store", SPACE]


def change_at_the_first_deletion(host: OrphanHost, path: str) -> list[str]:
    """Change an object right before the first deletion. Return where the paths of deletions are written."""
    deleted: list[str] = []

    def intercept(request: Request) -> None:
        if request.method == "DELETE":
            deleted.append(request.path)
            if len(deleted) == 1:
                host.change(path, {"metadata": {"labels": {"changed": "true"}}})

    host.intercept = intercept
    return deleted


@pytest.mark.parametrize("evidence", ["none", "labels of somebody in the namespace", "a namespace of another one"])
def test_volumes_whose_claims_only_have_such_names(evidence: str, task: Task, host: OrphanHost) -> None:
    """Labels are what anybody in the namespace writes, and a Retain volume outlives everything that proves more."""
    if evidence.startswith("labels"):
        host.have_left("ConfigMap", "x", labels=CHART)
    elif evidence.startswith("a namespace"):
        host.have("Namespace", SPACE, annotations={**MADE, "nested-clusters/virtual-cluster": "other"})
        host.have("ConfigMap", "precious", namespace=SPACE)
    have_volume(host, "store", SPACE, "data-a-0")
    have_volume(host, "users", SPACE, "notes-x-default-x-a")
    result = checked(task, host, kinds=["volumes"])
    assert states_of(result) == {"persistentvolumes/store": "held", "persistentvolumes/users": "held"}
    assert "nothing but names says so; delete it yourself if it was" in reason(result, "store")
    assert "/api/v1/persistentvolumes/store" in host


def test_a_volume_whose_claim_is_there(task: Task, host: OrphanHost) -> None:
    """Whatever the phase says."""
    host.have("Namespace", SPACE, annotations=MADE)
    host.have_left("PersistentVolumeClaim", "data-a-0", annotations={well_known.KEPT: "true"}, uid="of the claim")
    have_volume(host, "store", SPACE, "data-a-0", uid="of the claim")
    assert states_of(task()) == {"persistentvolumeclaims/data-a-0": "kept"}


def test_a_namespace_that_is_held(task: Task, host: OrphanHost) -> None:
    """By vCluster's own finalizer, which nobody else takes off, and by somebody else's."""
    gone = {"deletionTimestamp": "2026-01-01T00:00:00Z", "annotations": MADE}
    host.have("Namespace", SPACE, **gone)
    hold = {"deletionTimestamp": "2026-01-01T00:00:00Z", "labels": CHART}
    host.have_left("ConfigMap", "request", finalizers=["vcluster.loft.sh/snapshot-controller"], **hold)
    host.have("Namespace", "other", deletionTimestamp="2026-01-01T00:00:00Z")
    host.have("ConfigMap", "x", namespace="other", finalizers=["example.com/x"])
    result = checked(task, host)
    assert states_of(result) == {f"namespaces/{SPACE}": "orphan"}
    assert "configmaps/request by finalizer vcluster.loft.sh/snapshot-controller" in reason(result, SPACE)
    assert f"/api/v1/namespaces/{SPACE}" not in host
    host.have("Namespace", SPACE, **gone)
    host.have_left("ConfigMap", "backup", finalizers=["example.com/hold"], **hold)
    result = checked(task, host)
    assert states_of(result) == {f"namespaces/{SPACE}": "held"}
    assert "who set these finalizers has to take them off" in reason(result, SPACE)


def test_a_secret_of_cert_manager(task: Task, host: OrphanHost) -> None:
    """It calls the Secret of a certificate NAME-certs as vCluster 0.20 does; in a namespace that both share."""
    tls = dict.fromkeys(("tls.crt", "tls.key", "ca.crt"), "")
    host.have("Namespace", "team")
    host.have_left("PersistentVolumeClaim", "data-a-0", namespace="team")
    host.have_left("Secret", "a-certs", namespace="team", labels={}, type="kubernetes.io/tls", data=tls)
    assert states_of(checked(task, host)) == {"persistentvolumeclaims/data-a-0": "orphan"}
    assert contents(host, "team") == {"secrets/a-certs"}


def test_a_namespace_that_a_virtual_cluster_made_for_what_it_syncs(task: Task, host: OrphanHost) -> None:
    """That one takes its finalizers off by itself; once it is gone, nobody does."""
    space = host.have_cluster("b")
    mark = {well_known.SYNCED_LABEL: f"{space}-x-b"}
    host.have("Namespace", "synced", labels=mark, deletionTimestamp="2026-01-01T00:00:00Z")
    ours = {"labels": {well_known.SYNCED_LABEL: "b"}, "finalizers": ["vcluster.loft.sh/x"]}
    host.have("ConfigMap", "x", namespace="synced", deletionTimestamp="2026-01-01T00:00:00Z", **ours)
    assert checked(task, host, older_than=0)["orphans"] == []
    host.vanish_with(f"/{space}/")
    assert states_of(task())["namespaces/synced"] == "orphan"


def test_a_lease(task: Task, host: OrphanHost) -> None:
    host.have("Namespace", well_known.NAMESPACE)
    spec = {"holderIdentity": "laptop-42", "renewTime": "2026-01-01T00:00:00.000000Z"}
    host.have("Lease", "allocation", namespace=well_known.NAMESPACE, spec=spec)
    result = checked(task, host)
    assert "held by laptop-42, which was last seen alive at 2026-01-01" in reason(result, "allocation")
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    host.have("Lease", "allocation", namespace=well_known.NAMESPACE, spec={**spec, "renewTime": now})
    assert task(older_than=0)["orphans"] == []


def have_group_record(host: OrphanHost, group: Group, name: str) -> None:
    made = group_records.config_map(group, name)
    host.add({"apiVersion": "v1", "kind": "ConfigMap", **made})


def test_records_of_groups(task: Task, host: OrphanHost, all_hosts: list[OrphanHost]) -> None:
    """One of a host cluster that left the group while it did not answer."""
    all_hosts.append(OrphanHost())
    for number, one in enumerate(all_hosts):
        one.have("Namespace", "kube-system", uid=f"id-{number}")
        one.have("Namespace", well_known.NAMESPACE)
    both = (Member("host-a", "id-0"), Member("host-b", "id-1"))
    have_group_record(host, Group("dev", both[:1], generation=2), "host-a")
    have_group_record(all_hosts[1], Group("dev", both, generation=1), "host-b")
    result = task()
    (one,) = result["orphans"]
    assert (one["host_cluster"], one["kind"]) == ("h1", "group_records")
    assert "no member that is this host cluster; its members are host-a" in one["reason"]
    all_hosts[1].have("Namespace", "vcluster-b", **member("b"))
    all_hosts[1].have_cluster("b", space=member("b"))
    assert states_of(task()) == {f"configmaps/{one['name']}": "in_use"}
    all_hosts[1].vanish_with("vcluster-b", "-x-b")
    checked(task, *all_hosts)
    assert all_hosts[1].names("ConfigMap") == []
    of_group = f"/api/v1/namespaces/{well_known.NAMESPACE}/configmaps/vcluster-group-dev"
    host.change(of_group, {"data": {"group.yaml": "["}})
    assert states_of(checked(task, *all_hosts)) == {"configmaps/vcluster-group-dev": "held"}


def test_another_group_of_the_same_name(task: Task, all_hosts: list[OrphanHost]) -> None:
    """On another host cluster, changed more often: the records have no member in common."""
    all_hosts.append(OrphanHost())
    for number, one in enumerate(all_hosts):
        one.have("Namespace", "kube-system", uid=f"id-{number}")
        one.have("Namespace", well_known.NAMESPACE)
    have_group_record(all_hosts[0], Group("dev", (Member("host-a", "id-0"),), generation=7), "host-a")
    have_group_record(all_hosts[1], Group("dev", (Member("host-a", "id-1"),), generation=2), "host-a")
    assert checked(task, *all_hosts)["orphans"] == []


def test_a_record_that_was_restored_from_a_backup(task: Task, host: OrphanHost) -> None:
    """On a new host cluster in place of its old one: no member says anything about it."""
    host.have("Namespace", "kube-system", uid="id-new")
    host.have("Namespace", well_known.NAMESPACE)
    have_group_record(host, Group("dev", (Member("host-a", "id-old"),), generation=2), "host-a")
    assert checked(task, host)["orphans"] == []


# --- removing ---------------------------------------------------------------------------------------------


def test_it_is_looked_at_again(task: Task, host: OrphanHost) -> None:
    """Made anew between the look and the deletion: nothing of it goes."""
    host.have("Namespace", SPACE, annotations=MADE)
    host.have_left("PersistentVolumeClaim", "data-a-0")
    reads = []

    def intercept(request: Request) -> None:
        if request.path == "/apis/apps/v1/statefulsets":
            reads.append(request)
            if len(reads) == 2:  # each read lists them once
                host.have("StatefulSet", "a", namespace=SPACE, labels=CHART)

    host.intercept = intercept
    result = task(state="absent")
    assert "it is not left over any more" in result["msg"]
    assert not result["changed"]
    assert "deletionTimestamp" not in host.at(f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims/data-a-0")["metadata"]


def test_what_changes_at_the_same_moment(task: Task, host: OrphanHost) -> None:
    """Another version is another look."""
    host.have_left("PersistentVolumeClaim", "data-a-0")
    deleted = change_at_the_first_deletion(host, f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims/data-a-0")
    assert task(state="absent")["changed"]
    assert len(deleted) == 2
    assert contents(host, SPACE) == set()


def test_what_does_not_go(task: Task, host: OrphanHost) -> None:
    host.have_left("PersistentVolumeClaim", "data-a-0", finalizers=["kubernetes.io/pvc-protection"])
    result = task(state="absent", wait_timeout=5)
    assert "held by finalizer kubernetes.io/pvc-protection" in result["msg"]
    host.deny("delete", "*")
    host.have_left("Secret", "vc-config-a")
    assert "2 of 2 leftovers are not gone" in task(state="absent", wait_timeout=5, older_than=0)["msg"]


def test_names_and_namespaces(task: Task, host: OrphanHost) -> None:
    for name in ("a", "c"):
        space = f"vcluster-{name}"
        host.have("Namespace", space)
        labels = {"app": "vcluster", "release": name}
        host.have("PersistentVolumeClaim", f"data-{name}-0", namespace=space, labels=labels)
    assert states_of(task(names=["a"])) == {"persistentvolumeclaims/data-a-0": "orphan"}
    assert states_of(task(namespaces=["vcluster-c"])) == {"persistentvolumeclaims/data-c-0": "orphan"}
    assert len(states_of(task())) == 2


@pytest.mark.parametrize("state", ["reported", "absent"])
@pytest.mark.parametrize("empty", [{"names": []}, {"names": ""}, {"namespaces": []}, {"kinds": []}], ids=str)
def test_a_list_that_came_out_empty_is_not_everything(empty: Result, state: str, task: Task, host: OrphanHost) -> None:
    host.have_left("PersistentVolumeClaim", "data-a-0")
    (option,) = empty
    result = task(state=state, **{"kinds": ["volume_claims"], **empty})
    assert (result["failed"], result["option"]) == (True, option)
    assert "it is empty, so it selects nothing" in result["msg"]
    assert states_of(task()) == {"persistentvolumeclaims/data-a-0": "orphan"}


def test_requests_do_not_grow(task: Task, host: OrphanHost) -> None:
    counts = []
    for number in range(5):
        name = f"v{number}"
        labels = {"app": "vcluster", "release": name}
        host.have("Namespace", name)
        host.have("PersistentVolumeClaim", f"data-{name}-0", namespace=name, labels=labels)
        host.requests.clear()
        assert len(task()["orphans"]) == number + 1
        counts.append(len(host.sent("list")))
    assert len(set(counts)) == 1


def test_a_host_cluster_that_does_not_answer(task: Task, host: OrphanHost, all_hosts: list[OrphanHost]) -> None:
    all_hosts.append(OrphanHost())
    all_hosts[1].have_left("PersistentVolumeClaim", "data-a-0")
    host.down = True
    result = task()
    assert result["failed_host_clusters"] == ["default"]
    assert f"host cluster {host.host} does not answer" in result["warnings"][0]
    assert len(result["orphans"]) == 1


@pytest.mark.parametrize(("option", "value"), [("older_than", -1), ("wait_timeout", 0)])
def test_bad_options(option: str, value: int, task: Task) -> None:
    assert f"{option}: {value} is not usable" in task(**{option: value}, state="absent")["msg"]


def test_what_is_found_is_found_again_by_all_modules(task: Task, host: OrphanHost, run_module: Task) -> None:
    """The three return the same entries, and the one that only finds leaves out what becomes of them."""
    host.have_left("PersistentVolumeClaim", "data-a-0")
    host.have_left("ConfigMap", "vc-coredns-a")
    found = run_module(vcluster_orphan_info)
    deprecated = run_module(vcluster_orphans)
    assert found["changed"] is deprecated["changed"] is False
    removal = run_module(vcluster_orphan, check_mode=True)
    assert removal["orphans"] == run_module(vcluster_orphans, check_mode=True, state="absent")["orphans"]
    of_removal = {"changed", "failed", "msg"}
    for result in (deprecated, removal):
        entries = [{key: one[key] for key in one.keys() - of_removal} for one in result["orphans"]]
        assert found["orphans"] == entries
    assert run_module(vcluster_orphan_info, check_mode=True, diff=True)["orphans"] == found["orphans"]


def test_the_module_that_finds_takes_no_options_of_a_removal(task: Task, run_module: Task) -> None:
    assert "state" not in vcluster_orphan_info.argument_spec()
    assert "Unsupported parameters" in run_module(vcluster_orphan_info, wait_timeout=5)["msg"]


# --- documentation ----------------------------------------------------------------------------------------


def test_kinds_are_documented_as_they_are() -> None:
    options = yaml.safe_load(orphans_fragment.ModuleDocFragment.DOCUMENTATION)["options"]
    kinds = " ".join(options["kinds"]["description"])
    assert all(f"V({kind})" in kinds for kind in orphans.KINDS)


def test_results_are_documented(task: Task, host: OrphanHost, run_module: Task) -> None:
    host.have_left("PersistentVolumeClaim", "data-a-0")
    for module in (vcluster_orphans, vcluster_orphan, vcluster_orphan_info):
        result = run_module(module, check_mode=True)
        contents = yaml.safe_load(module.RETURN)["orphans"]["contains"]
        assert contents.keys() == result["orphans"][0].keys()
