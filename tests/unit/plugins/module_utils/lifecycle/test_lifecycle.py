# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of lifecycle: what is planned, that it is what is done, and that it is then done."""

from __future__ import annotations

import base64
import copy
import itertools
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from announcements import announced, record_helm, request_of, without_repetitions
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import (
    NestedClustersError,
    OptionError,
    WaitError,
)
from ansible_collections.nested.clusters.plugins.module_utils.helm import post_renderer
from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart
from ansible_collections.nested.clusters.plugins.module_utils.helm.cli import PausedWorkloads, ReleaseSpec
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import HelmError, Release, decode_release
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError, Unreachable
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
    namespaces,
    readiness,
    workloads,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import ChangeKind
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome
from clock import Clock
from fake_api import Response, refusal
from fakes import FakeKubernetes, merge_patch
from helm_releases import NAME, NAMESPACE, release_secret
from kubeconfig_secrets import kubeconfig_secret

CHART = Chart("vcluster", "https://charts.loft.sh", None)
WORKLOAD = path("apps/v1", "statefulsets", NAMESPACE, NAME)
KUBECONFIG = path("v1", "secrets", NAMESPACE, f"vc-{NAME}")
PLACE = path("v1", "namespaces", None, NAMESPACE)
DEFAULT = support_matrix.DEFAULT_VCLUSTER_VERSION

READY = {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}


def manifest(version: str, given: dict[str, Any]) -> str:
    """A release that is small, and has what matters: a Secret with the values, a set, an object in no namespace."""
    image = tree.get(given, kubernetes_version_at("k8s")) or "v1.36.0"
    documents = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"vc-config-{NAME}", "namespace": NAMESPACE},
            "data": {"config.yaml": base64.b64encode(json.dumps(given).encode()).decode()},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": {"ports": [{"port": 443}]}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": f"vc-{NAME}"},
            "rules": [],
        },
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {
                "name": NAME,
                "namespace": NAMESPACE,
                "labels": {"app": "vcluster", "release": NAME, "chart": f"vcluster-{version}"},
            },
            "spec": {
                "replicas": 1,
                "serviceName": f"{NAME}-headless",
                "template": {
                    "spec": {
                        "initContainers": [{"name": "kubernetes", "image": f"kubernetes:{image}"}],
                        "containers": [{"name": "syncer", "image": f"vcluster-oss:{version}"}],
                    }
                },
            },
        },
    ]
    return "---\n".join(yaml.safe_dump(document) for document in documents)


OF_HELM = {  # what helm writes on everything that it makes
    "labels": well_known.MANAGED_BY_HELM,
    "annotations": {well_known.RELEASE_NAME: NAME, well_known.RELEASE_NAMESPACE: NAMESPACE},
}


class FakeHelm:
    """helm on a host cluster in memory, which refuses what helm refuses. ``ready``: the control plane comes up."""

    def __init__(self, host: FakeKubernetes) -> None:
        self.host = host
        self.runs: list[str] = []
        self.ready = True
        self.chart_name = "vcluster"
        self.seconds = itertools.count()
        self.made: list[str] = []  # versions

    def open(self) -> FakeHelm:
        return self

    def render(self, spec: ReleaseSpec, unfinished: bool = False) -> Release:
        self.runs.append("render")
        if not unfinished:  # else it is `helm install`, of which a dry run does not ask
            self._refuse_pending()
        return self._release(spec.chart, spec.values)

    def apply(
        self,
        spec: ReleaseSpec,
        deployed: Release | None,
        labels: dict[str, str],
        at_rest: PausedWorkloads | None = None,
    ) -> Release:
        self.runs.append("apply")
        self._refuse_pending()
        if PLACE not in self.host.objects:
            raise HelmError(f'helm upgrade: create: failed to create: namespaces "{spec.namespace}" not found')
        release = self._release(spec.chart, spec.values)
        self.made.append(release.chart_version)
        if at_rest:
            manifest = post_renderer.at_rest(release.manifest, at_rest.names, at_rest.annotations)
            release = replace(release, manifest=manifest)
        self._store(release, labels if deployed is None else {**deployed.labels, **labels})
        for thing in yaml.safe_load_all(release.manifest):
            plural, namespaced = self.host.resource(thing["apiVersion"], thing["kind"])
            at = path(thing["apiVersion"], plural, spec.namespace if namespaced else None, thing["metadata"]["name"])
            before = self.host.objects.get(at, {})
            after = merge_patch(before, {**thing, **self._defaults(thing["kind"])})
            after = merge_patch(after, {"metadata": OF_HELM})
            ports = after.get("spec", {}).get("ports")
            if ports:  # a list with keys: what somebody added to it survives
                ports += [port for port in before.get("spec", {}).get("ports", []) if port["port"] == 22]
            self.host.put(after, at)
        if self.ready and not at_rest:
            self.start()
        elif not self.ready:
            workload = self.host.objects[WORKLOAD]
            workload["status"] = {"observedGeneration": workload["metadata"]["generation"]}
        return release

    def rollback(self, name: str, namespace: str, revision: int, deployed: Release | None) -> None:
        self.runs.append(f"rollback {revision}")

    def start(self) -> None:
        """Let the control plane become ready."""
        self.host.objects[WORKLOAD]["status"] = dict(READY)
        self.host.have("Secret", f"vc-{NAME}", data=kubeconfig_secret(NAME, NAMESPACE)["data"])

    def _defaults(self, kind: str) -> dict[str, Any]:
        return {"status": {}} if kind == "StatefulSet" else {"immutable": False}

    def _release(self, chart: Chart, given: dict[str, Any]) -> Release:
        assert chart.version is not None
        return Release(
            name=NAME,
            namespace=NAMESPACE,
            revision=len([at for at in self.host.objects if "sh.helm" in at]) + 1,
            status="deployed",
            chart_name=self.chart_name,
            chart_version=chart.version,
            values=copy.deepcopy(given),
            manifest=manifest(chart.version, given),
        )

    def _store(self, release: Release, labels: dict[str, str]) -> None:
        for at, thing in self.host.objects.items():
            if "sh.helm" in at and thing["metadata"]["labels"]["name"] == NAME:
                thing["metadata"]["labels"]["status"] = "superseded"
        stored(
            self.host,
            release.revision,
            extra={
                name: value
                for name, value in labels.items()
                if name not in ("name", "version", "status") and value != "null"
            },
            config=release.values,
            manifest=release.manifest,
            chart={"metadata": {"name": release.chart_name, "version": release.chart_version}},
        )

    def _refuse_pending(self) -> None:
        for at, thing in self.host.objects.items():
            if "sh.helm" in at and str(thing["metadata"]["labels"].get("status")).startswith("pending"):
                raise HelmError("helm upgrade: UPGRADE FAILED: another operation is in progress")


def stored(host: FakeKubernetes, revision: int = 1, extra: dict[str, str] | None = None, **changes: Any) -> None:
    """Have a release Secret."""
    secret = release_secret(revision, **changes)
    status = (changes.get("info") or {}).get("status", "deployed")
    secret["metadata"]["labels"].update({"status": status, **(extra or {})})
    host.put({"apiVersion": "v1", "kind": "Secret", **secret})


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    fake = Clock()
    monkeypatch.setattr(namespaces, "time", fake)
    monkeypatch.setattr(lifecycle, "time", fake)
    monkeypatch.setattr(readiness, "time", fake)
    yield fake
    assert fake.now < 2000, "something waits for ever"


@pytest.fixture
def host() -> FakeKubernetes:
    return FakeKubernetes()


@pytest.fixture
def helm(host: FakeKubernetes) -> FakeHelm:
    return FakeHelm(host)


def present(
    host: FakeKubernetes, helm: FakeHelm, check: bool = False, wait: float | None = 60, **asked: Any
) -> Outcome:
    request = Request(**{"name": NAME, "namespace": NAMESPACE, "chart": CHART, **asked})
    run = RunOptions(check, wait, kubeconfig=True)
    return lifecycle.present(host, helm.open, request, run)  # type: ignore[arg-type]


def checked(host: FakeKubernetes, helm: FakeHelm, **asked: Any) -> Outcome:
    """Check mode, which changes nothing; the real run, which does just that; a second run, which does nothing."""
    before = copy.deepcopy(host.objects)
    host.written, helm.runs = [], []
    foreseen = present(host, helm, check=True, **asked)
    assert (host.objects, host.written) == (before, [])
    assert "apply" not in helm.runs
    outcome = present(host, helm, **asked)
    assert foreseen.plan == outcome.plan
    assert foreseen.plan.diff == outcome.plan.diff
    host.written, helm.runs = [], []
    for check in (False, True):
        again = present(host, helm, check=check, **asked)
        assert (again.plan.steps, again.plan.diff, host.written, helm.runs) == ([], [], [], [])
    return outcome


def refused(host: FakeKubernetes, helm: FakeHelm, **asked: Any) -> NestedClustersError:
    """The refusal, the same in check mode, with nothing changed."""
    before = copy.deepcopy(host.objects)
    messages = []
    for check in (True, False):
        with pytest.raises(NestedClustersError) as caught:
            present(host, helm, check=check, **asked)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert (host.objects, host.written) == (before, [])
    assert "apply" not in helm.runs
    return caught.value


# --- new --------------------------------------------------------------------------------------------------


def forge(host: FakeKubernetes, revision: int, *documents: dict[str, Any], **labels: str) -> None:
    """Write objects into Helm's record of a revision, as a tenant can."""
    at = path("v1", "secrets", NAMESPACE, f"sh.helm.release.v1.{NAME}.v{revision}")
    there = host.objects[at]["metadata"]["labels"] if at in host.objects else {}
    changed = "---\n".join([manifest("0.35.0", {}), *(yaml.safe_dump(document) for document in documents)])
    stored(host, revision, {**there, **labels}, manifest=changed, chart={"metadata": VCLUSTER_35})


VCLUSTER_35 = {"name": "vcluster", "version": "0.35.0"}
COREDNS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "coredns", "namespace": "kube-system"}}
VIEW = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "view"}}


@pytest.mark.parametrize(
    "asked",
    [{}, {"values": {"a": "b"}}, {"vcluster_version": "0.36.1"}, {"vcluster_version": "0.36.1", "rollback": True}],
    ids=["nothing else", "values", "version", "with a way back"],
)
def test_what_a_tenant_wrote_into_helms_record_stays(
    asked: dict[str, Any], running: FakeKubernetes, helm: FakeHelm
) -> None:
    running.put(COREDNS)
    running.put(VIEW)
    forge(running, 1, COREDNS, VIEW)
    error = refused(running, helm, **asked)
    assert "ClusterRole view (of no Helm release)" in str(error)
    assert "ConfigMap coredns in namespace kube-system (of no Helm release)" in str(error)


def test_a_record_that_is_hidden_is_found_by_helm(host: FakeKubernetes, helm: FakeHelm) -> None:
    """What is labeled as superseded is not looked at as a release, but Helm would upgrade it."""
    host.have("Namespace", NAMESPACE)
    host.put(COREDNS)
    forge(host, 1, COREDNS, status="superseded")
    assert "ConfigMap coredns in namespace kube-system" in str(refused(host, helm))


def test_a_record_is_read_once_more_before_helm_runs(running: FakeKubernetes, helm: FakeHelm) -> None:
    running.put(COREDNS)
    render = helm.render

    def and_forge(*arguments: Any, **options: Any) -> Release:
        forge(running, 1, COREDNS)
        return render(*arguments, **options)

    helm.render = and_forge  # type: ignore[method-assign]
    with pytest.raises(NestedClustersError, match="names what is not its own"):
        present(running, helm, values={"a": "b"})
    assert "apply" not in helm.runs


def test_what_somebody_writes_into_the_new_record_is_not_repaired(running: FakeKubernetes, helm: FakeHelm) -> None:
    """What helm leaves is patched by what helm says that it made."""
    running.put({**COREDNS, "data": {"Corefile": "as it is"}})
    service = path("v1", "services", NAMESPACE, NAME)
    running.objects[service]["spec"]["ports"].append({"port": 22})
    apply = helm.apply

    def and_forge(*arguments: Any, **options: Any) -> Release:
        made = apply(*arguments, **options)
        running.objects[service]["spec"]["ports"].append({"port": 22})
        marks = merge_patch(COREDNS, {"metadata": OF_HELM})
        running.put({**marks, "data": {"Corefile": "as it is"}})  # even where it seems to be of the release
        forge(running, made.revision, {**COREDNS, "data": {"Corefile": "forged"}})
        return made

    helm.apply = and_forge  # type: ignore[method-assign]
    present(running, helm)
    where = path("v1", "configmaps", "kube-system", "coredns")
    assert running.objects[where]["data"] == {"Corefile": "as it is"}
    assert running.objects[service]["spec"]["ports"] == [{"port": 443}]


def test_a_workload_of_this_name_elsewhere_is_not_labeled(running: FakeKubernetes, helm: FakeHelm) -> None:
    """The first of this name in the record was taken for the control plane."""
    elsewhere = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": NAME, "namespace": "prod"}}
    there = running.put(merge_patch(elsewhere, {"metadata": OF_HELM, "spec": {"replicas": 1}, "status": {}}))
    secret = running.objects[path("v1", "secrets", NAMESPACE, f"sh.helm.release.v1.{NAME}.v1")]
    whole = "---\n".join([yaml.safe_dump(elsewhere), manifest("0.35.0", accessors.BUILT_IN)])
    labels = secret["metadata"]["labels"]
    stored(running, 1, labels, manifest=whole, config=accessors.BUILT_IN, chart={"metadata": VCLUSTER_35})
    present(running, helm, labels={"team": "a"})
    assert running.objects[path("apps/v1", "statefulsets", "prod", NAME)] == there
    assert running.objects[WORKLOAD]["metadata"]["labels"]["team"] == "a"


def test_a_way_back_that_was_begun_is_refused_as_well(old: FakeKubernetes, helm: FakeHelm, place: list[str]) -> None:
    """Rolling back makes what an old record names."""
    marked(old, copied=True, returning=True)
    old.put(COREDNS)
    forge(old, 1, COREDNS)
    error = refused(old, helm, vcluster_version="0.35.3")
    assert "ConfigMap coredns in namespace kube-system" in str(error)
    assert calls_of(place) == []


def test_nothing_is_stopped_for_a_way_back_that_is_refused(
    old: FakeKubernetes, helm: FakeHelm, place: list[str]
) -> None:
    """Somebody has written the record of before while the upgrade ran."""
    old.put(COREDNS)
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


def test_a_new_one(host: FakeKubernetes, helm: FakeHelm) -> None:
    outcome = checked(host, helm)
    assert outcome.plan.steps == [
        f"create namespace {NAMESPACE}",
        f"install release {NAME} with vCluster {DEFAULT}",
        f"set annotations of virtual cluster {NAME}: {well_known.MANAGED}",
    ]
    assert host.objects[PLACE]["metadata"]["annotations"] == {
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


def test_a_namespace_that_is_there_is_left_as_it_is(host: FakeKubernetes, helm: FakeHelm) -> None:
    host.have("Namespace", NAMESPACE, labels={"team": "a"})
    before = copy.deepcopy(host.objects[PLACE])
    assert f"create namespace {NAMESPACE}" not in checked(host, helm).plan.steps
    assert host.objects[PLACE] == before


def test_a_namespace_that_is_being_deleted_is_waited_for(host: FakeKubernetes, helm: FakeHelm, clock: Clock) -> None:
    host.have("Namespace", NAMESPACE, deletionTimestamp="2026-01-01T00:00:00Z")
    clock.after(30, lambda: host.objects.pop(PLACE))
    outcome = present(host, helm)
    assert outcome.plan.steps[0] == f"create namespace {NAMESPACE}"
    assert 1030 <= clock.now < 1032
    assert host.objects[PLACE]["metadata"]["annotations"][well_known.NAME_ANNOTATION] == NAME


def test_a_namespace_that_stays_says_why(host: FakeKubernetes, helm: FakeHelm, clock: Clock) -> None:
    conditions = [{"status": "True", "message": "Some resources are remaining: pods"}]
    host.have("Namespace", NAMESPACE, deletionTimestamp="2026-01-01T00:00:00Z", status={"conditions": conditions})
    with pytest.raises(WaitError, match="still there after 45 s: Some resources are remaining: pods"):
        present(host, helm, patience=45)
    assert 1045 <= clock.now < 1047
    assert "apply" not in helm.runs


def leave(host: FakeKubernetes, clock: Clock, *gone: str) -> None:
    """Have the namespace of one that runs go for 30 seconds, with something in it that goes last."""
    host.objects[PLACE]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    for where in gone:
        del host.objects[where]

    def end() -> None:
        for at in [at for at in host.objects if at.startswith(PLACE) or f"/namespaces/{NAMESPACE}/" in at]:
            del host.objects[at]

    clock.after(30, end)


@pytest.mark.parametrize("sign", ["an object is gone", "an object is going", "helm did not finish"])
def test_one_whose_namespace_goes_is_made_again(
    running: FakeKubernetes, helm: FakeHelm, clock: Clock, sign: str
) -> None:
    """Its release may be in there for some seconds more, and nothing can be made before it is gone."""
    leave(running, clock, *([WORKLOAD] if sign == "an object is gone" else []))
    if sign == "an object is going":
        running.objects[WORKLOAD]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    if sign == "helm did not finish":
        stored(running, 2, info={"status": "pending-upgrade"})
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
    assert "deletionTimestamp" not in running.objects[PLACE]["metadata"]


def test_an_object_that_somebody_deleted_is_no_end_of_the_namespace(running: FakeKubernetes, helm: FakeHelm) -> None:
    del running.objects[WORKLOAD]
    assert f"create namespace {NAMESPACE}" not in present(running, helm).plan.steps
    assert WORKLOAD in running.objects


# --- volumes that were kept -------------------------------------------------------------------------------


def claim(host: FakeKubernetes, name: str, **labels: str) -> str:
    """A volume claim that was kept; returns where it is."""
    host.have("PersistentVolumeClaim", name, labels=labels, annotations={well_known.KEPT: "true", "note": "x"})
    return path("v1", "persistentvolumeclaims", NAMESPACE, name)


def is_marked(host: FakeKubernetes, where: str) -> bool:
    annotations = host.objects[where]["metadata"]["annotations"]
    assert annotations["note"] == "x"
    return well_known.KEPT in annotations


def test_kept_volumes_are_used_again(host: FakeKubernetes, helm: FakeHelm) -> None:
    host.have("Namespace", NAMESPACE)
    own = claim(host, f"data-{NAME}-0", app="vcluster", release=NAME)
    synced = claim(host, "web-x", **{well_known.SYNCED_LABEL: NAME})
    others = claim(host, "data-other-0", app="vcluster", release="other")
    outcome = checked(host, helm)
    names = (f"data-{NAME}-0", "web-x")
    assert outcome.plan.steps[-3:] == [
        *(f"mark volume claim {name} as used again" for name in names),
        f"set annotations of virtual cluster {NAME}: {well_known.MANAGED}",
    ]
    assert outcome.plan.diff[-2]["before_header"] == "annotations of volume claim web-x"
    assert well_known.KEPT in outcome.plan.diff[-2]["before"]
    assert well_known.KEPT not in outcome.plan.diff[-2]["after"]
    assert [is_marked(host, where) for where in (own, synced, others)] == [False, False, True]


def test_a_mark_that_a_killed_task_left_goes_with_the_next(running: FakeKubernetes, helm: FakeHelm) -> None:
    own = claim(running, f"data-{NAME}-0", app="vcluster", release=NAME)
    assert checked(running, helm).plan.steps == []  # nothing is asked where nothing is to be done
    assert is_marked(running, own)
    del running.objects[WORKLOAD]["metadata"]["annotations"][well_known.MANAGED]  # it was killed after Helm
    assert checked(running, helm).plan.steps == [
        f"mark volume claim data-{NAME}-0 as used again",
        f"set annotations of virtual cluster {NAME}: {well_known.MANAGED}",
    ]
    assert not is_marked(running, own)


def test_claims_that_may_not_be_listed_are_left(host: FakeKubernetes, helm: FakeHelm) -> None:
    host.have("Namespace", NAMESPACE)
    own = claim(host, f"data-{NAME}-0", app="vcluster", release=NAME)
    host.forbidden.add("persistentvolumeclaims")
    checked(host, helm)
    assert is_marked(host, own)


def test_everything_that_can_be_said(host: FakeKubernetes, helm: FakeHelm) -> None:
    asked = {
        "vcluster_version": "v0.35.0",
        "kubernetes_version": "v1.35.0",
        "values": {"sync": {"toHost": {"ingresses": {"enabled": True}}}},
        "labels": {"env": "prod", "absent": None},
        "annotations": {"note": "x"},
        "protected": True,
    }
    outcome = checked(host, helm, **asked)
    meta = host.objects[WORKLOAD]["metadata"]
    assert meta["labels"]["env"] == "prod"
    assert "absent" not in meta["labels"]
    ours = {"note": "x", well_known.PROTECTED: "true", well_known.MANAGED: "true"}
    assert meta["annotations"] == {**OF_HELM["annotations"], **ours}
    assert outcome.state.release is not None
    assert outcome.state.release.chart_version == "0.35.0"
    assert tree.get(outcome.state.release.values, kubernetes_version_at("k8s")) == "v1.35.0"


# --- changes ----------------------------------------------------------------------------------------------


@pytest.fixture
def running(host: FakeKubernetes, helm: FakeHelm) -> FakeKubernetes:
    """One that this collection made, of the version before the newest."""
    present(host, helm, vcluster_version="0.35.0", labels={"env": "prod"}, protected=True)
    host.written, helm.runs = [], []
    return host


@pytest.fixture
def adopted(host: FakeKubernetes, helm: FakeHelm) -> FakeKubernetes:
    """One that `vcluster create` made."""
    host.have("Namespace", NAMESPACE, annotations={well_known.CREATED: "true"})
    given = {"sync": {"fromHost": {"nodes": {"enabled": True}}}}
    helm.apply(ReleaseSpec(NAME, NAMESPACE, Chart("vcluster", "", "0.35.0"), given), None, {})
    helm.runs = []
    return host


def test_what_is_not_spoken_of_stays(running: FakeKubernetes, helm: FakeHelm) -> None:
    outcome = checked(running, helm)
    assert outcome.plan.steps == []
    assert outcome.state.release is not None
    assert outcome.state.release.chart_version == "0.35.0"
    meta = running.objects[WORKLOAD]["metadata"]
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
    asked: dict[str, Any], steps: list[str], by_helm: bool, running: FakeKubernetes, helm: FakeHelm
) -> None:
    helm_runs = helm.runs
    outcome = present(running, helm, check=True, **asked)
    assert helm_runs == (["render"] if by_helm else [])
    assert [said.startswith(step) for said, step in zip(outcome.plan.steps, steps, strict=True)] == [True] * len(steps)
    assert checked(running, helm, **asked).plan.needs_helm is by_helm
    assert bool(outcome.plan.diff) == bool(steps)


def test_another_endpoint_tells_what_clients_have_to_change(running: FakeKubernetes, helm: FakeHelm) -> None:
    """In check mode as well; of the first endpoint, and where nothing changes, there is nothing to tell."""
    first, second = (Endpoint.of({"type": kind, "host": "a.example.com"}) for kind in ("node_port", "cluster_ip"))
    assert checked(running, helm, endpoint=first).plan.notes == []
    (said,) = present(running, helm, check=True, endpoint=second).plan.notes
    assert said.startswith(f"the endpoint of virtual cluster {NAME} changes from node_port to cluster_ip: ")
    assert present(running, helm, endpoint=second).plan.notes == [said]
    assert present(running, helm, endpoint=second).plan.notes == []


def test_helm_is_not_opened_when_nothing_changes(running: FakeKubernetes) -> None:
    def no_helm() -> Any:
        raise AssertionError("helm was started")

    for check in (True, False):
        request = Request(NAME, NAMESPACE, CHART, labels={"env": f"{check}"})
        lifecycle.present(running, no_helm, request, RunOptions(check, 60))
    assert running.written == [f"patch {WORKLOAD}"]


def edit_service(host: FakeKubernetes) -> None:
    host.objects[path("v1", "services", NAMESPACE, NAME)]["spec"]["ports"][0]["port"] = 444


def edit_secret(host: FakeKubernetes) -> None:
    host.objects[path("v1", "secrets", NAMESPACE, f"vc-config-{NAME}")]["data"]["config.yaml"] = "aHVudGVyMg=="


def add_an_entry(host: FakeKubernetes) -> None:
    host.objects[path("v1", "services", NAMESPACE, NAME)]["spec"]["ports"].append({"port": 22, "name": "x"})


def delete_role(host: FakeKubernetes) -> None:
    del host.objects[path("rbac.authorization.k8s.io/v1", "clusterroles", None, f"vc-{NAME}")]


def delete_workload(host: FakeKubernetes) -> None:
    del host.objects[WORKLOAD]


EDITS: dict[str, tuple[Callable[[FakeKubernetes], None], str]] = {
    "Service": (edit_service, "repair Service demo"),
    "Secret": (edit_secret, "repair Secret vc-config-demo"),
    "an entry more": (add_an_entry, "repair Service demo"),
    "ClusterRole": (delete_role, "restore ClusterRole vc-demo"),
    "StatefulSet": (delete_workload, "restore StatefulSet demo"),
}


@pytest.mark.parametrize(("edit", "step"), EDITS.values(), ids=EDITS)
def test_what_somebody_changed_is_repaired(
    edit: Callable[[FakeKubernetes], None], step: str, running: FakeKubernetes, helm: FakeHelm
) -> None:
    edit(running)
    outcome = checked(running, helm)
    assert outcome.plan.steps[0] == step
    assert "aHVudGVyMg==" not in json.dumps(outcome.plan.diff)
    assert any(entry["before_header"] == f"manifests of {NAME}" for entry in outcome.plan.diff)


def test_what_somebody_added_elsewhere_is_left_alone(running: FakeKubernetes, helm: FakeHelm) -> None:
    running.objects[WORKLOAD]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "today"
    running.objects[WORKLOAD]["spec"]["revisionHistoryLimit"] = 10
    assert checked(running, helm).plan.steps == []


def test_one_that_was_made_elsewhere_is_taken_over_as_it_is(adopted: FakeKubernetes, helm: FakeHelm) -> None:
    before = copy.deepcopy(adopted.objects)
    assert checked(adopted, helm).plan.steps == []
    assert adopted.objects == before


def test_its_values_stay_under_those_of_the_task(adopted: FakeKubernetes, helm: FakeHelm) -> None:
    asked = {"sync": {"toHost": {"ingresses": {"enabled": True}}}}
    outcome = checked(adopted, helm, values=asked)
    assert outcome.state.release is not None
    assert outcome.state.release.values == tree.merge({"sync": {"fromHost": {"nodes": {"enabled": True}}}}, asked)
    assert not outcome.state.ours


def test_a_failed_release_is_repeated(running: FakeKubernetes, helm: FakeHelm) -> None:
    given = accessors.BUILT_IN
    stored(
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
def test_an_unfinished_upgrade_is_cleared(status: str, running: FakeKubernetes, helm: FakeHelm, clock: Clock) -> None:
    stored(running, 2, info={"status": status})
    outcome = checked(running, helm, vcluster_version="0.36.1")
    assert outcome.plan.steps == [
        f"clear the unfinished Helm revision 2 ({status})",
        f"upgrade release {NAME} from vCluster 0.35.0 to 0.36.1",
    ]
    assert clock.now >= 1000 + lifecycle.SETTLE_SECONDS
    assert outcome.state.ours


def test_an_unfinished_installation_is_cleared(host: FakeKubernetes, helm: FakeHelm) -> None:
    host.have("Namespace", NAMESPACE)
    stored(host, 1, info={"status": "pending-install"})
    outcome = checked(host, helm)
    assert outcome.plan.steps[:2] == [
        "clear the unfinished Helm revision 1 (pending-install)",
        f"install release {NAME} with vCluster {DEFAULT}",
    ]


@pytest.mark.parametrize("status", ["pending-install", "uninstalling"])
def test_a_task_that_is_killed_after_it_cleared_an_installation_leaves_a_record(
    host: FakeKubernetes, helm: FakeHelm, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next would find a control plane of which no record speaks, and refuse to go on."""
    checked(host, helm)
    at = path("v1", "secrets", NAMESPACE, f"sh.helm.release.v1.{NAME}.v1")
    first = decode_release(host.objects[at])
    stored(host, 1, info={"status": status}, manifest=first.manifest, config=first.values)
    with monkeypatch.context() as patched:
        patched.setattr(helm, "apply", lambda *arguments: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception, match="killed"):
            present(host, helm)
    left = decode_release(host.objects[at])
    assert (left.status, host.objects[at]["metadata"]["labels"]["status"]) == ("failed", "failed")
    assert replace(left, labels={}, status="") == replace(first, labels={}, status="")
    checked(host, helm)


def test_check_mode_waits_for_nothing(running: FakeKubernetes, helm: FakeHelm, clock: Clock) -> None:
    stored(running, 2, info={"status": "pending-upgrade"})
    assert present(running, helm, check=True).plan.changed
    assert clock.now == 1000


def test_an_upgrade_under_way_is_waited_for(running: FakeKubernetes, helm: FakeHelm, clock: Clock) -> None:
    stored(running, 2, info={"status": "pending-upgrade"})
    clock.after(5, lambda: running.objects.pop(path("v1", "secrets", NAMESPACE, "sh.helm.release.v1.demo.v2")))
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
    asked: dict[str, Any], option: str, word: str, running: FakeKubernetes, helm: FakeHelm
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
def test_names_of_new_ones(asked: dict[str, str], option: str, host: FakeKubernetes, helm: FakeHelm) -> None:
    error = refused(host, helm, **asked)
    assert isinstance(error, OptionError)
    assert error.data["option"] == option


def test_a_neighbour_is_refused(host: FakeKubernetes, helm: FakeHelm) -> None:
    host.have("Namespace", NAMESPACE)
    stored(host, name="other")
    error = refused(host, helm)
    assert isinstance(error, OptionError)
    assert error.data["option"] == "namespace"
    assert "other" in str(error)


def test_other_releases_are_no_neighbours(host: FakeKubernetes, helm: FakeHelm) -> None:
    host.have("Namespace", NAMESPACE)
    stored(host, name="db", chart={"metadata": {"name": "postgresql"}})
    broken = release_secret(1, name="broken")
    broken["data"] = {"release": "!"}
    host.put({"apiVersion": "v1", "kind": "Secret", **broken})
    assert checked(host, helm).plan.changed


@pytest.mark.parametrize("status", ["deployed", "pending-install"])
def test_a_release_of_another_chart_is_refused(status: str, host: FakeKubernetes, helm: FakeHelm) -> None:
    host.have("Namespace", NAMESPACE)
    stored(host, chart={"metadata": {"name": "postgresql", "version": "1.0.0"}}, info={"status": status}, manifest="")
    error = refused(host, helm)
    assert isinstance(error, OptionError)
    assert error.data["option"] == "name"
    assert "postgresql" in str(error)


def test_a_chart_that_is_not_vcluster_is_refused(host: FakeKubernetes, helm: FakeHelm) -> None:
    helm.chart_name = "postgresql"
    error = refused(host, helm)
    assert isinstance(error, OptionError)
    assert error.data["option"] == "chart_ref"


@pytest.fixture
def paused(running: FakeKubernetes) -> FakeKubernetes:
    workload = running.objects[WORKLOAD]
    workload["spec"]["replicas"] = 0
    workload["metadata"]["annotations"] |= {
        post_renderer.PAUSED: "true",
        post_renderer.PAUSED_REPLICAS: "1",
        well_known.PAUSED_DATE: "today",
    }
    workload["status"] = {"observedGeneration": 1}
    return running


def test_a_paused_one_is_left_paused(paused: FakeKubernetes, helm: FakeHelm, clock: Clock) -> None:
    assert checked(paused, helm).plan.steps == []
    assert checked(paused, helm, labels={"env": "test"}).plan.changed
    assert paused.objects[WORKLOAD]["spec"]["replicas"] == 0
    assert clock.now == 1000


PAUSED_CHANGES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "version": ({"vcluster_version": "0.36.1"}, ["upgrade release demo from vCluster 0.35.0 to 0.36.1"]),
    "values": ({"values": {"sync": {"toHost": {"ingresses": {"enabled": True}}}}}, ["change values of release demo"]),
}


@pytest.mark.parametrize(("asked", "steps"), PAUSED_CHANGES.values(), ids=PAUSED_CHANGES)
def test_a_paused_one_is_changed_and_not_woken(
    asked: dict[str, Any], steps: list[str], paused: FakeKubernetes, helm: FakeHelm, clock: Clock
) -> None:
    outcome = checked(paused, helm, **asked)
    assert outcome.plan.steps == steps
    assert "replicas: 0" not in str(outcome.plan.diff)
    workload = paused.objects[WORKLOAD]
    assert workload["spec"]["replicas"] == 0
    assert workload["metadata"]["annotations"][post_renderer.PAUSED_REPLICAS] == "1"
    assert clock.now == 1000
    # Resumed as the CLI does it, the release is as it should be; helm may then change it as any other.
    workload["spec"]["replicas"] = 1
    for name in (post_renderer.PAUSED, post_renderer.PAUSED_REPLICAS):
        del workload["metadata"]["annotations"][name]
    helm.start()
    assert checked(paused, helm, **asked).plan.steps == []
    checked(paused, helm, values={})
    assert paused.objects[WORKLOAD]["spec"]["replicas"] == 1
    paused.objects[WORKLOAD]["spec"]["replicas"] = 2
    assert checked(paused, helm, values={}).plan.steps == ["repair StatefulSet demo"]


def test_a_paused_one_is_upgraded_only_as_far_as_a_running_one(paused: FakeKubernetes, helm: FakeHelm) -> None:
    """0.35 ran last; what it has stored must not be met by 0.37 without 0.36 in between."""
    checked(paused, helm, vcluster_version="0.36.1")
    checked(paused, helm, values={"sync": {}})  # and this does not let it forget
    error = refused(paused, helm, vcluster_version="0.37.0")
    assert "0.35.0 is what ran last" in str(error)
    workload = paused.objects[WORKLOAD]
    workload["metadata"]["annotations"][well_known.PAUSED_DATE] = "tomorrow"  # it was resumed, and paused again
    checked(paused, helm, vcluster_version="0.37.0")


def test_a_paused_one_does_not_go_past_a_minor_version(paused: FakeKubernetes, helm: FakeHelm) -> None:
    text = manifest("0.34.0", accessors.BUILT_IN)
    stored(paused, chart={"metadata": {"name": "vcluster", "version": "0.34.0"}}, manifest=text)
    error = refused(paused, helm, vcluster_version="0.36.1")
    assert "0.35.3, 0.36.1 one after another" in str(error)


def test_an_unfinished_change_of_a_paused_one_is_cleared(paused: FakeKubernetes, helm: FakeHelm) -> None:
    stored(paused, 2, info={"status": "pending-upgrade"})
    assert present(paused, helm).plan.steps == ["clear the unfinished Helm revision 2 (pending-upgrade)"]
    assert paused.objects[WORKLOAD]["spec"]["replicas"] == 0


# --- the chart on this machine ----------------------------------------------------------------------------


def test_the_version_of_a_chart_on_this_machine(host: FakeKubernetes, helm: FakeHelm, tmp_path: Path) -> None:
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
        outcome = present(host, helm, check=True, chart=chart)
        assert f"install release {NAME} with vCluster 0.35.1" in outcome.plan.steps
        present(host, helm, check=True, chart=chart, vcluster_version="v0.35.1")
        error = refused(host, helm, chart=chart, vcluster_version="0.36.1")
        assert isinstance(error, OptionError)
        assert (error.data["option"], error.data["allowed"]) == ("vcluster_version", "0.35.1")


@pytest.mark.parametrize("text", [None, "", "[]", "name: vcluster\n", "a: [\n"])
def test_what_is_no_chart(text: str | None, host: FakeKubernetes, helm: FakeHelm, tmp_path: Path) -> None:
    directory = tmp_path / "chart"
    directory.mkdir()
    archive = tmp_path / "chart.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        if text is not None:
            (directory / "Chart.yaml").write_text(text)
            tar.add(directory / "Chart.yaml", "chart/Chart.yaml")
    (tmp_path / "text.tgz").write_text("no archive")
    for where in (directory, archive, tmp_path / "text.tgz"):
        error = refused(host, helm, chart=Chart(str(where), "", None))
        assert isinstance(error, OptionError)
        assert error.data["option"] == "chart_ref"


def run_a_command(config: dict[str, Any]) -> None:
    config["users"][0]["user"]["exec"] = {"command": "sh"}


@pytest.mark.parametrize("check", [False, True])
def test_a_kubeconfig_that_somebody_has_changed(check: bool, host: FakeKubernetes, helm: FakeHelm) -> None:
    """It is refused before anything is changed, also where the task changes more than the file."""
    present(host, helm)
    host.objects[KUBECONFIG]["data"] = kubeconfig_secret(NAME, NAMESPACE, run_a_command)["data"]
    before = copy.deepcopy(host.objects)
    host.written, helm.runs = [], []
    with pytest.raises(NestedClustersError, match=r"users\[\]\.user\.exec"):
        present(host, helm, check=check, values={"sync": {"toHost": {"ingresses": {"enabled": True}}}})
    assert (host.objects, host.written, helm.runs) == (before, [], [])


# --- waiting ----------------------------------------------------------------------------------------------


def test_it_waits_until_it_is_ready(host: FakeKubernetes, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(20, helm.start)
    outcome = present(host, helm)
    assert 1020 <= clock.now < 1022
    assert outcome.state.secret(f"vc-{NAME}") is not None
    assert (outcome.state.workload(NAME) or {})["status"] == READY


def test_it_does_not_wait_if_not_asked_to(host: FakeKubernetes, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    assert present(host, helm, wait=None).plan.changed
    assert clock.now == 1000


def test_an_unchanged_one_that_is_not_ready_is_waited_for(
    running: FakeKubernetes, helm: FakeHelm, clock: Clock
) -> None:
    running.objects[WORKLOAD]["status"] = {"observedGeneration": 1}
    clock.after(10, helm.start)
    assert present(running, helm).plan.steps == []
    assert clock.now >= 1010


def no_secret(host: FakeKubernetes) -> None:
    host.objects[WORKLOAD]["status"] = dict(READY)


def not_ready(host: FakeKubernetes) -> None:
    host.objects[WORKLOAD]["status"] = {"observedGeneration": 1, "replicas": 1}


TIMEOUTS: dict[str, tuple[Callable[[FakeKubernetes], None], str]] = {
    "not ready": (not_ready, "0 of 1 replicas ready"),
    "no kubeconfig": (no_secret, f"Secret vc-{NAME}"),
}


@pytest.mark.parametrize(("then", "words"), TIMEOUTS.values(), ids=TIMEOUTS)
def test_the_last_state_is_said_when_time_is_up(
    then: Callable[[FakeKubernetes], None], words: str, host: FakeKubernetes, helm: FakeHelm, clock: Clock
) -> None:
    helm.ready = False
    clock.after(1, lambda: then(host))
    with pytest.raises(WaitError, match=rf"not ready after 60 s \(wait_timeout\): .*{words}") as caught:
        present(host, helm)
    assert caught.value.data["phase"] == "pending"
    assert 1060 <= clock.now < 1062


def test_one_that_is_deleted_meanwhile_is_given_up_early(host: FakeKubernetes, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(5, lambda: delete_workload(host))
    with pytest.raises(WaitError, match=f"StatefulSet {NAME} is gone"):
        present(host, helm)
    assert clock.now < 1010


def crash_looping() -> dict[str, Any]:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}
    status = {"name": "syncer", "restartCount": 5, "ready": False, "state": {"waiting": waiting}}
    return {"phase": "Running", "containerStatuses": [status]}


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("no such host: db", "no such host: db"),
        ("unable to retrieve container logs for containerd://1", "(no log)"),  # the kubelet's, with status 200
        (None, "(no log)"),
    ],
)
def test_what_cannot_become_ready_is_given_up_early(
    log: str | None, words: str, host: FakeKubernetes, helm: FakeHelm, clock: Clock
) -> None:
    def answer(request: Any) -> str | Response:
        assert request.path.endswith(f"/pods/{NAME}-0/log")
        assert request.query["container"] == "syncer"
        if log is None or request.query["previous"] == "true":
            return refusal(400, "no previous container")
        return log

    host.fake.api.pod_answer = answer
    helm.ready = False
    pod = {"labels": {"app": "vcluster", "release": NAME}, "status": crash_looping()}
    clock.after(3, lambda: host.have("Pod", f"{NAME}-0", **pod))
    with pytest.raises(WaitError, match="will not become ready") as caught:
        present(host, helm)
    assert caught.value.data == {"phase": "failed", "reason": "CrashLoopBackOff"}
    assert words in str(caught.value)
    assert clock.now < 1010


def test_an_api_server_that_restarts_is_waited_for(
    host: FakeKubernetes, helm: FakeHelm, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm.ready = False
    get = host.get

    def away(where: str) -> Any:
        if 1005 <= clock.now < 1015:
            raise Unreachable("host cluster https://x does not answer")
        return get(where)

    monkeypatch.setattr(host, "get", away)
    clock.after(20, helm.start)
    present(host, helm)
    assert clock.now >= 1020


def test_an_api_server_that_stays_away(
    host: FakeKubernetes, helm: FakeHelm, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm.ready = False
    get = host.get

    def away(where: str) -> Any:
        if clock.now >= 1005:
            raise Unreachable("host cluster https://x does not answer")
        return get(where)

    monkeypatch.setattr(host, "get", away)
    with pytest.raises(WaitError, match="does not answer"):
        present(host, helm)


def test_one_that_is_ready_costs_no_request_to_wait_for(
    running: FakeKubernetes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = cluster_state.read(running, NAME, NAMESPACE)
    for method in ("get", "list"):
        monkeypatch.setattr(running, method, lambda *_asked, **_rest: pytest.fail("asks"))
    assert readiness.wait_ready(running, NAME, NAMESPACE, state, 60, kubeconfig=True) is state
    assert clock.now == 1000


def test_a_kubeconfig_that_is_not_needed_is_not_waited_for(host: FakeKubernetes, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(10, lambda: no_secret(host))
    request = Request(name=NAME, namespace=NAMESPACE, chart=CHART)
    outcome = lifecycle.present(host, helm.open, request, RunOptions(wait=60))  # type: ignore[arg-type]
    assert 1010 <= clock.now < 1012
    assert outcome.state.secret(f"vc-{NAME}") is None


def test_why_it_is_not_ready_is_asked_now_and_then(
    host: FakeKubernetes, helm: FakeHelm, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float]] = []
    ask = host.list

    def counted(where: str, **rest: Any) -> Any:
        asked.append((where, round(clock.now - 1000, 6)))
        return ask(where, **rest)

    monkeypatch.setattr(host, "list", counted)
    helm.ready = False
    clock.after(20, helm.start)
    present(host, helm)
    pods = [seconds for where, seconds in asked if where == path("v1", "pods", NAMESPACE)]
    events = [seconds for where, seconds in asked if where == path("v1", "events", NAMESPACE)]
    assert pods == [seconds for seconds in range(20) if seconds and seconds % readiness.LOOK_SECONDS == 0]
    assert events == [0, *pods]


def test_a_time_too_short_to_look_at_ends_with_a_look(host: FakeKubernetes, helm: FakeHelm) -> None:
    helm.ready = False
    with pytest.raises(WaitError, match="0 of 1 replicas ready"):
        present(host, helm, wait=readiness.LOOK_SECONDS / 2)


def have_refusal(host: FakeKubernetes, uid: str = "first", **parts: Any) -> None:
    """Have the Event of a pod that a quota does not allow, just now."""
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"refusal-{uid}", "uid": uid},
        "involvedObject": {"kind": "StatefulSet", "name": NAME},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": f'create Pod {NAME}-0 failed error: pods "{NAME}-0" is forbidden: exceeded quota: small',
        "lastTimestamp": datetime.now(timezone.utc).isoformat(),
    }
    host.put({**event, **parts})


AGAIN: dict[str, Callable[[FakeKubernetes], None]] = {
    "a higher count": lambda host: have_refusal(host, count=4),
    "a longer series": lambda host: have_refusal(host, count=3, series={"count": 2}),
    "a new event": lambda host: have_refusal(host, "second", count=3),
}


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_what_was_refused_before_ends_the_wait_when_it_is_refused_again(
    again: Callable[[FakeKubernetes], None], running: FakeKubernetes, helm: FakeHelm, clock: Clock
) -> None:
    running.objects[WORKLOAD]["status"] = {"observedGeneration": 1}
    have_refusal(running, count=3)
    clock.after(10, lambda: again(running))
    with pytest.raises(WaitError, match="exceeded quota: small; raise the ResourceQuota") as caught:
        present(running, helm)
    assert caught.value.data == {"phase": "failed", "reason": "FailedCreate"}
    assert 1010 <= clock.now <= 1010 + readiness.LOOK_SECONDS


def test_what_was_refused_before_ends_the_wait_where_nothing_comes_of_it(
    running: FakeKubernetes, helm: FakeHelm, clock: Clock
) -> None:
    running.objects[WORKLOAD]["status"] = {"observedGeneration": 1}
    have_refusal(running, count=3)
    with pytest.raises(WaitError, match="exceeded quota"):
        present(running, helm)
    assert diagnosis.UNSCHEDULABLE_GRACE <= clock.now - 1000 <= diagnosis.UNSCHEDULABLE_GRACE + readiness.LOOK_SECONDS


def test_what_was_refused_before_and_put_right_since_is_waited_out(
    running: FakeKubernetes, helm: FakeHelm, clock: Clock
) -> None:
    running.objects[WORKLOAD]["status"] = {"observedGeneration": 1}
    have_refusal(running, count=3)
    clock.after(diagnosis.UNSCHEDULABLE_GRACE - 1, helm.start)
    assert present(running, helm).plan.steps == []


def test_a_refusal_by_the_api_server_is_not_waited_out(
    host: FakeKubernetes, helm: FakeHelm, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm.ready = False
    get = host.get

    def refuse(where: str) -> Any:
        if clock.now >= 1005:
            raise KubernetesError("no permission to get StatefulSets", 403, "Forbidden")
        return get(where)

    monkeypatch.setattr(host, "get", refuse)
    with pytest.raises(KubernetesError, match="no permission"):
        present(host, helm)
    assert clock.now < 1006


def test_a_release_without_a_workload_is_not_waited_for(running: FakeKubernetes) -> None:
    state = cluster_state.read(running, NAME, NAMESPACE)
    for things in (state.live, state.manifest):
        del things["apps/v1", "StatefulSet", NAMESPACE, NAME]
    with pytest.raises(NestedClustersError, match="no StatefulSet or Deployment"):
        readiness.wait_ready(running, NAME, NAMESPACE, state, 60, kubeconfig=False)


# --- reading ----------------------------------------------------------------------------------------------


def test_what_is_synced_is_not_read(running: FakeKubernetes) -> None:
    synced = {"vcluster.loft.sh/managed-by": NAME}
    running.have("Secret", "db-x-default-x-demo", labels=synced)
    running.have("StatefulSet", "inner", labels={**synced, "app": "vcluster"}, spec={})
    state = cluster_state.read(running, NAME, NAMESPACE)
    assert not [where for where in state.live if where[3] in ("inner", "db-x-default-x-demo")]


def test_one_question_for_each_kind(running: FakeKubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(ask: Callable[..., Any], where: str, **rest: Any) -> Any:
        asked.append(where)
        return ask(where, **rest)

    for method in ("list", "get"):
        monkeypatch.setattr(running, method, partial(counted, getattr(running, method)))
    cluster_state.read(running, NAME, NAMESPACE)
    assert sorted(asked) == sorted(
        [
            path("v1", "secrets", NAMESPACE),
            path("v1", "services", NAMESPACE),
            path("apps/v1", "statefulsets", NAMESPACE),
            path("rbac.authorization.k8s.io/v1", "clusterroles", None, f"vc-{NAME}"),
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


def test_what_the_database_of_the_control_plane_is_stays(running: FakeKubernetes, helm: FakeHelm) -> None:
    asked = {"controlPlane": {"backingStore": {"etcd": {"deploy": {"enabled": True}}}}}
    error = refused(running, helm, values=asked)
    assert isinstance(error, OptionError)
    assert "backingStore" in str(error)


def test_a_kubernetes_that_does_not_exist(host: FakeKubernetes, helm: FakeHelm) -> None:
    error = refused(host, helm, kubernetes_version="v2.0.0")
    assert isinstance(error, OptionError)
    assert error.data["option"] == "kubernetes_version"


def test_somebody_else_makes_the_namespace_at_the_same_time(
    host: FakeKubernetes, helm: FakeHelm, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = host.create

    def late(where: str, body: dict[str, Any]) -> Any:
        host.have("Namespace", NAMESPACE)
        return create(where, body)

    monkeypatch.setattr(host, "create", late)
    assert present(host, helm).plan.steps[0] == f"create namespace {NAMESPACE}"
    assert helm.runs == ["render", "apply"]


def test_a_namespace_that_may_not_be_made(
    host: FakeKubernetes, helm: FakeHelm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(where: str, body: dict[str, Any]) -> Any:
        raise KubernetesError("no permission", 403, "Forbidden")

    monkeypatch.setattr(host, "create", no)
    with pytest.raises(KubernetesError, match="no permission"):
        present(host, helm)
    assert "apply" not in helm.runs


def test_secrets_by_name(running: FakeKubernetes) -> None:
    state = cluster_state.read(running, NAME, NAMESPACE)
    assert len(state.secrets) > 2
    for name in (f"vc-{NAME}", f"vc-config-{NAME}"):
        assert (state.secret(name) or {})["metadata"]["name"] == name
    assert state.secret("other") is None


def test_a_kind_that_the_host_cluster_does_not_serve_any_more(
    running: FakeKubernetes, helm: FakeHelm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was of it is gone, which is said, and the rest is read all the same."""
    running.fake.serve(without=["ClusterRole"])
    state = cluster_state.read(running, NAME, NAMESPACE)
    found = drift.as_found(state.manifest, state.live)
    assert [change.text for change in drift.drift(found, state.manifest)] == [f"restore ClusterRole vc-{NAME}"]


# --- upgrades over several versions -----------------------------------------------------------------------


@pytest.fixture
def old(running: FakeKubernetes, helm: FakeHelm) -> FakeKubernetes:
    """One on 0.34.0, with the Kubernetes of then."""
    helm.made.clear()
    given = tree.merge(accessors.BUILT_IN, tree.at(("controlPlane", "distro", "k8s", "version"), "v1.35.0"))
    text = manifest("0.34.0", given)
    stored(
        running,
        1,
        {well_known.MANAGED: "true"},
        config=accessors.BUILT_IN,
        manifest=text,
        chart={"metadata": {"name": "vcluster", "version": "0.34.0"}},
    )
    for thing in yaml.safe_load_all(text):
        plural, namespaced = running.resource(thing["apiVersion"], thing["kind"])
        at = path(thing["apiVersion"], plural, NAMESPACE if namespaced else None, thing["metadata"]["name"])
        kept = {name: running.objects[at][name] for name in ("status",) if name in running.objects[at]}
        own = {"annotations": running.objects[at]["metadata"].get("annotations", {})}
        running.objects[at] = {**merge_patch(running.objects[at], thing), **kept}
        running.objects[at]["metadata"].update(own)
    return running


WAY = ["0.35.3", "0.36.1"]


def test_no_minor_version_is_skipped(old: FakeKubernetes, helm: FakeHelm) -> None:
    outcome = checked(old, helm, vcluster_version="0.36.1")
    assert outcome.plan.steps == [
        f"upgrade release {NAME} from vCluster 0.34.0 to 0.35.3, and wait until it is ready",
        f"upgrade release {NAME} from vCluster 0.35.3 to 0.36.1",
    ]
    shown = {entry["before_header"]: entry for entry in outcome.plan.diff}
    way = shown[f"vCluster versions of {NAME}, one after another"]
    assert (way["before"], way["after"]) == ("- 0.34.0\n", "- 0.35.3\n- 0.36.1\n")
    assert helm.made == WAY
    assert outcome.state.release is not None
    assert well_known.BETWEEN not in outcome.state.release.labels


def test_kubernetes_goes_step_by_step(old: FakeKubernetes, helm: FakeHelm) -> None:
    outcome = checked(old, helm, kubernetes_version="v1.37.0", vcluster_version="0.34.0")
    assert outcome.plan.steps[0] == f"upgrade release {NAME} to Kubernetes v1.36.0, and wait until it is ready"
    assert outcome.plan.steps[1:] == [
        f"upgrade release {NAME} to Kubernetes v1.37.0",
        f"change values of release {NAME}",
    ]
    assert workloads.kubernetes_version(old.objects[WORKLOAD]) == "v1.37.0"


def test_each_version_runs_before_the_next(old: FakeKubernetes, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    with pytest.raises(WaitError):
        present(old, helm, wait=None, vcluster_version="0.36.1")
    assert helm.made == ["0.35.3"]
    with pytest.raises(WaitError):  # what an earlier task made has to run as well
        present(old, helm, wait=None, vcluster_version="0.36.1")
    assert helm.made == ["0.35.3"]
    clock.after(clock.now - 1000 + 30, helm.start)
    outcome = present(old, helm, wait=None, vcluster_version="0.36.1")
    assert outcome.plan.steps == [f"upgrade release {NAME} from vCluster 0.35.3 to 0.36.1"]
    assert helm.made == WAY


def test_what_is_on_the_way_can_be_changed(old: FakeKubernetes, helm: FakeHelm) -> None:
    helm.ready = False
    with pytest.raises(WaitError):
        present(old, helm, vcluster_version="0.36.1")
    broken = tree.at(("controlPlane", "statefulSet", "image", "tag"), "0.35.3-repaired")
    assert present(old, helm, wait=None, vcluster_version="0.35.3", values=broken).plan.changed


def test_values_that_a_version_between_does_not_know_come_with_the_last(old: FakeKubernetes, helm: FakeHelm) -> None:
    asked = {"sync": {"toHost": {"gatewayApi": {"enabled": True}}}}  # since 0.35
    given = tree.merge(accessors.BUILT_IN, asked)
    request = Request(NAME, NAMESPACE, CHART)
    state = cluster_state.read(old, NAME, NAMESPACE)
    stages = upgrade_stages.plan_stages(request, replace_release(state, "0.33.0"), "0.36.1", given)
    assert [(stage.version, stage.values == given) for stage in stages] == [
        ("0.34.7", False),
        ("0.35.3", True),
        ("0.36.1", True),
    ]


def test_values_that_no_version_between_takes_are_refused(old: FakeKubernetes, helm: FakeHelm) -> None:
    state = cluster_state.read(old, NAME, NAMESPACE)
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


def test_a_local_chart_leads_over_one_minor_version_only(old: FakeKubernetes, helm: FakeHelm, tmp_path: Path) -> None:
    packaged(tmp_path, "0.36.1")
    error = refused(old, helm, chart=Chart(f"{tmp_path}/vcluster-0.36.1", "", None))
    assert error.data["option"] == "chart_ref"
    assert "goes through 0.35.3" in str(error)
    assert "{version}" in str(error)


def test_local_charts_of_several_versions(old: FakeKubernetes, helm: FakeHelm, tmp_path: Path) -> None:
    chart = Chart(f"{tmp_path}/vcluster-{{version}}", "", None)
    packaged(tmp_path, "0.36.1")
    error = refused(old, helm, chart=chart, vcluster_version="0.36.1")
    assert f"{tmp_path}/vcluster-0.35.3" in str(error)
    packaged(tmp_path, "0.35.3")
    checked(old, helm, chart=chart, vcluster_version="0.36.1")
    assert helm.made == WAY


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


def marked(host: FakeKubernetes, **mark: Any) -> None:
    text = json.dumps({"revision": 1, "version": "0.34.0", "paused": False, **mark})
    host.objects[WORKLOAD]["metadata"].setdefault("annotations", {})[well_known.WAY_BACK] = text


def calls_of(place: list[str]) -> list[str]:
    return [call for call in place if call != "render"]


def test_a_way_back_is_taken_first(old: FakeKubernetes, helm: FakeHelm, place: list[str]) -> None:
    outcome = present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert calls_of(place) == ["look", "take 000", "apply", "start", "look", "apply", "start", "look", "leave 100"]
    assert outcome.plan.steps[0] == f"stop the control plane of {NAME}"
    assert outcome.plan.steps[-1] == f"start {NAME}, and look whether it is healthy with vCluster 0.36.1"
    again = present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert again.plan.steps == []


def test_no_way_back_for_what_is_no_upgrade(old: FakeKubernetes, helm: FakeHelm, place: list[str]) -> None:
    present(old, helm, vcluster_version="0.34.0", values={"sync": {}}, rollback=True)
    assert calls_of(place) == ["apply"]


def test_what_is_not_healthy_before_is_left_alone(old: FakeKubernetes, helm: FakeHelm, place: list[str]) -> None:
    upgrade_backup.UpgradeBackup.unhealthy.add(1)  # type: ignore[attr-defined]
    with pytest.raises(WaitError):
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert calls_of(place) == ["look"]


def test_a_copy_that_fails_leaves_it_as_it_was(old: FakeKubernetes, helm: FakeHelm, place: list[str]) -> None:
    upgrade_backup.UpgradeBackup.failing.add("take")  # type: ignore[attr-defined]
    with pytest.raises(NestedClustersError, match="No space left"):
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert calls_of(place) == ["look", "take 000", "start", "leave 000"]


def test_a_paused_one_is_not_started_for_a_copy_that_fails(
    old: FakeKubernetes, helm: FakeHelm, place: list[str]
) -> None:
    old.objects[WORKLOAD]["spec"]["replicas"] = 0
    old.objects[WORKLOAD]["metadata"].setdefault("annotations", {})[post_renderer.PAUSED] = "true"
    assert present(old, helm, check=True, vcluster_version="0.36.1", rollback=True).plan.steps[0].startswith("copy ")
    upgrade_backup.UpgradeBackup.failing.add("take")  # type: ignore[attr-defined]
    with pytest.raises(NestedClustersError, match="No space left"):
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert calls_of(place) == ["take 000", "leave 000"]


def test_the_way_back_is_gone(old: FakeKubernetes, helm: FakeHelm, place: list[str]) -> None:
    upgrade_backup.UpgradeBackup.unhealthy.add(3)  # type: ignore[attr-defined]
    with pytest.raises(NestedClustersError) as caught:
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert caught.value.data["rolled_back"] is True
    assert "its CoreDNS does not run; it is on 0.34.0 again" in str(caught.value)
    failed = calls_of(place).index("look", 6)
    back = ["write 110", "stop", "restore 110", "rollback 1", "write 111", "start", "look", "leave 111"]
    assert calls_of(place)[failed + 1 :] == back


def test_a_way_back_that_fails_says_so(old: FakeKubernetes, helm: FakeHelm, place: list[str]) -> None:
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
    mark: dict[str, Any], resting: bool, expected: list[str], old: FakeKubernetes, helm: FakeHelm, place: list[str]
) -> None:
    marked(old, **mark)
    if resting:
        old.objects[WORKLOAD]["spec"]["replicas"] = 0
        old.objects[WORKLOAD]["metadata"]["annotations"][post_renderer.PAUSED] = "true"
    present(old, helm, vcluster_version="0.36.1")
    assert calls_of(place)[: len(expected)] == expected


def test_what_was_not_looked_into_is(old: FakeKubernetes, helm: FakeHelm, place: list[str]) -> None:
    marked(old, copied=True, revision=0, version="0.33.0")
    steps = present(old, helm, check=True).plan.steps
    assert steps == [f"start {NAME}, and look whether it is healthy with vCluster 0.34.0"]
    assert present(old, helm).plan.steps == steps
    assert calls_of(place) == ["start", "look", "leave 100"]


def test_what_is_back_is_not_taken_back_again(old: FakeKubernetes, helm: FakeHelm, place: list[str]) -> None:
    marked(old, copied=True, returning=True, returned=True)
    present(old, helm, vcluster_version="0.34.0")
    assert calls_of(place)[:3] == ["start", "look", "leave 111"]


def test_a_return_that_was_begun_comes_first(old: FakeKubernetes, helm: FakeHelm, place: list[str]) -> None:
    marked(old, copied=True, returning=True)
    foreseen = present(old, helm, check=True, vcluster_version="0.35.3")
    assert foreseen.plan.steps == ["go back to vCluster 0.34.0, which an earlier task did not finish"]
    assert calls_of(place) == []

    def leave(_self: Any, _mark: upgrade_record.UpgradeRecord) -> None:
        old.objects[WORKLOAD]["metadata"]["annotations"].pop(well_known.WAY_BACK, None)

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


def test_creation_sends_what_it_announces(host: FakeKubernetes, helm: FakeHelm) -> None:
    record_helm(host, helm, "apply")
    plan = present(host, helm, labels={"env": "test"}).plan
    expected = [f"create {PLACE}", "helm apply", f"patch {WORKLOAD}"]
    assert announced(plan) == without_repetitions(host.written) == expected


def test_change_of_values_and_labels_sends_what_it_announces(running: FakeKubernetes, helm: FakeHelm) -> None:
    running.written = []
    record_helm(running, helm, "apply")
    plan = present(running, helm, values={"sync": {}}, labels={"env": "test"}, annotations={"a": "b"}).plan
    assert [change.kind for change in plan.changes] == [ChangeKind.CHANGE_VALUES, *[ChangeKind.SET_METADATA] * 2]
    assert announced(plan) == without_repetitions(running.written) == ["helm apply", f"patch {WORKLOAD}"]


def test_reuse_of_kept_claims_is_announced_after_helm_and_before_the_mark_of_ours(
    host: FakeKubernetes, helm: FakeHelm
) -> None:
    """A task that is ended in between leaves the workload unmarked, so that the next one looks for more to do."""
    host.have("Namespace", NAMESPACE)
    kept = {well_known.KEPT: "true"}
    labels = {"app": "vcluster", "release": NAME}
    host.have("PersistentVolumeClaim", f"data-{NAME}-0", labels=labels, annotations=kept)
    own = path("v1", "persistentvolumeclaims", NAMESPACE, f"data-{NAME}-0")
    record_helm(host, helm, "apply")
    plan = present(host, helm).plan
    assert announced(plan) == without_repetitions(host.written) == ["helm apply", f"patch {own}", f"patch {WORKLOAD}"]


def test_upgrade_over_two_stages_sends_one_after_the_other(old: FakeKubernetes, helm: FakeHelm) -> None:
    record_helm(old, helm, "apply")
    plan = present(old, helm, vcluster_version="0.36.1", labels={"env": "test"}).plan
    assert [change.details.get("after") for change in plan.changes] == ["0.35.3", "0.36.1", None]
    assert helm.made == ["0.35.3", "0.36.1"]
    assert [request_of(change) for change in plan.changes] == old.written
    assert old.written == ["helm apply", "helm apply", f"patch {WORKLOAD}"]


def test_upgrade_with_rollback_does_what_it_announces(old: FakeKubernetes, helm: FakeHelm, place: list[str]) -> None:
    plan = present(old, helm, vcluster_version="0.36.1", rollback=True).plan
    # "look" and "start" are those of health checks; the copy is taken with the control plane stopped.
    calls = [call.split()[0] for call in calls_of(place) if call not in ("look", "start")]
    doing = {ChangeKind.STOP: "take", ChangeKind.COPY_NOTHING: "take", ChangeKind.UPGRADE: "apply"}
    expected = [doing.get(change.kind, "leave") for change in plan.changes]
    stages = [change for change in plan.changes if change.kind is ChangeKind.UPGRADE]
    assert without_repetitions(expected[:2]) + expected[2:] == calls == ["take", *["apply"] * len(stages), "leave"]
