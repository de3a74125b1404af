# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of removal: what goes, what stays, and that a second run finds nothing to do."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import (
    NestedClustersError,
    OptionError,
    WaitError,
)
from ansible_collections.nested.clusters.plugins.module_utils.deletion import ownership
from ansible_collections.nested.clusters.plugins.module_utils.deletion import single as deletion
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import HelmError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.listing.contents import ObjectRef
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership, namespaces, readiness
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import (
    Change,
    ChangeKind,
    ChangeTarget,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_ref import ClusterRef
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome
from demo_host import NAME, NAMESPACE, DemoHost
from fake_api import GATEWAY_API
from fake_clock import Clock, replace_time
from release_records import release_secret
from tasks_on_hosts import contents


class Uninstaller:
    """helm, as far as uninstalling goes: releases and what their annotation says belongs to them."""

    def __init__(self, host: DemoHost) -> None:
        self.host = host
        self.runs = 0
        self.writes_before: list[str] = []  # those that were done before it ran
        self.elsewhere: list[str] = []  # paths of what the manifest names outside of the namespace

    def uninstall(self, name: str, namespace: str) -> None:
        self.runs += 1
        self.writes_before = self.host.writes()
        for at, found in self.host.state().items():
            meta = found["metadata"]
            note = meta.get("annotations") or {}
            if well_known.SYNCED_LABEL in (meta.get("labels") or {}):
                continue  # a copy is in no manifest of its
            of_release = (note.get("meta.helm.sh/release-name"), note.get("meta.helm.sh/release-namespace"))
            is_record = found.get("type") == "helm.sh/release.v1" and meta["labels"]["name"] == name
            in_namespace = meta.get("namespace") == namespace
            goes = at in self.elsewhere or (in_namespace and (is_record or of_release == (name, namespace)))
            if goes and at in self.host:  # it did not go with another one
                self.host.delete(at)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    found = Clock()
    replace_time(monkeypatch, found, (deletion, namespaces, lifecycle, readiness))
    yield found
    assert found.now < 2000, "something waits for ever"


@pytest.fixture
def host() -> DemoHost:
    return DemoHost(serves=GATEWAY_API)


@pytest.fixture
def helm(host: DemoHost) -> Uninstaller:
    return Uninstaller(host)


OURS = {well_known.CREATED: "true", well_known.NAME_ANNOTATION: NAME}
HELM = {"meta.helm.sh/release-name": NAME, "meta.helm.sh/release-namespace": NAMESPACE}
CHART = {"app": "vcluster", "release": NAME}
MANIFEST = f"""
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {NAME}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {NAME}}}
"""


def release(host: DemoHost, revision: int = 1, **changes: Any) -> None:
    secret = release_secret(revision, **{"manifest": MANIFEST, **changes})
    host.add({"apiVersion": "v1", "kind": "Secret", **secret})


def virtual_cluster(host: DemoHost, namespace: dict[str, str] | None = None, **annotations: str) -> None:
    """What a virtual cluster that has run for a while leaves on its host cluster."""
    host.have("Namespace", NAMESPACE, annotations=OURS if namespace is None else namespace)
    host.have_inside("ConfigMap", "kube-root-ca.crt")
    release(host)
    of_workload = {"labels": CHART, "annotations": {**HELM, **annotations}}
    workload = host.have_inside("StatefulSet", NAME, spec={"replicas": 1}, **of_workload)
    owner = {"uid": workload["metadata"]["uid"], "kind": "StatefulSet", "name": NAME}
    service = host.have_inside("Service", NAME, labels=CHART, annotations=HELM)
    host.have_inside("Pod", f"{NAME}-0", labels=CHART, ownerReferences=[{**owner, "controller": True}])
    host.have_inside("PersistentVolumeClaim", f"data-{NAME}-0", labels=CHART)
    host.have_inside("Secret", f"vc-{NAME}", labels={"app": "vcluster", "vcluster-name": NAME})
    host.have_inside("Secret", f"{NAME}-certs", type="Opaque", data=CERTIFICATES)
    host.have_inside(
        "Pod",
        "web-x-default-x-demo",
        labels={well_known.SYNCED_LABEL: NAME},
        finalizers=["vcluster.loft.sh/hold"],
        ownerReferences=[{"uid": service["metadata"]["uid"], "kind": "Service", "name": NAME}],
    )
    host.have("PriorityClass", "vcluster-high-x-demo", labels={well_known.SYNCED_LABEL: f"{NAMESPACE}-x-{NAME}"})
    host.have("PriorityClass", "somebody-elses", labels={well_known.SYNCED_LABEL: f"other-x-{NAME}"})


def absent(
    host: DemoHost, helm: Uninstaller, name: str = NAME, namespace: str = NAMESPACE, **options: Any
) -> Outcome:
    arguments = {"check": False, "keep_volumes": False, "wait": 60.0, **options}
    return deletion.absent(ClusterRef(host.client(), name, namespace), lambda: helm, **arguments)  # type: ignore[arg-type,return-value]


def checked(host: DemoHost, helm: Uninstaller, **options: Any) -> Outcome:
    """Check mode, which writes nothing; then the real run, which does what was said, and a second one, nothing."""
    before = host.state()
    host.requests.clear()
    foreseen = absent(host, helm, check=True, **options)
    assert (host.state(), host.writes(), helm.runs) == (before, [], 0)
    outcome = absent(host, helm, **options)
    assert (outcome.plan.steps, outcome.plan.diff) == (foreseen.plan.steps, foreseen.plan.diff)
    runs = helm.runs
    host.requests.clear()
    again = absent(host, helm, **options)
    assert (again.plan.steps, again.plan.diff, host.writes(), helm.runs) == ([], [], [], runs)
    return outcome


# --- whose it is ------------------------------------------------------------------------------------------


def thing(plural: str, name: str, secret_type: str = "", **meta: Any) -> ObjectRef:
    return ObjectRef("v1", plural, {"name": name, "namespace": NAMESPACE, "uid": name, **meta}, secret_type)


DEMO_NAMESPACE = path("v1", "namespaces", None, NAMESPACE)
HELD = {"metadata": {"finalizers": ["example.com/hold"]}}
CERTAIN = thing("statefulsets", "demo", labels=CHART)


@pytest.mark.parametrize(
    "candidate",
    [
        thing("pods", "a", labels={"vcluster.loft.sh/managed-by": "demo"}),
        thing("services", "a", labels={"vcluster.loft.sh/belongs-to": "demo"}),
        thing("statefulsets", "demo", labels=CHART),
        thing("persistentvolumeclaims", "data-demo-etcd-0", labels={"app": "vcluster-etcd", "release": "demo"}),
        thing("secrets", "vc-demo", labels={"app": "vcluster", "vcluster-name": "demo"}),
        thing("services", "a", labels={**CHART, "chart": "vcluster-0.36.1"}),
        thing("services", "a", labels={"app": "vcluster-api", "release": "demo", "chart": "vcluster-k8s-0.15.7"}),
        thing("services", "a", annotations=HELM),
        thing("secrets", "sh.helm.release.v1.demo.v1", "helm.sh/release.v1", labels={"name": "demo"}),
    ],
    ids=str,
)
def test_what_a_virtual_cluster_made(candidate: ObjectRef) -> None:
    assert ownership.belongs(candidate, "demo")
    assert not ownership.belongs(candidate, "other")


@pytest.mark.parametrize(
    "candidate",
    [
        thing("pods", "demo-0"),
        thing("pods", "a", labels=None, annotations=None),
        thing("pods", "a", labels={"release": "demo", "app": "web"}),
        thing("pods", "a", labels={"release": "demo"}),
        thing("deployments", "a", labels={"release": "demo", "app": "vcluster-dashboard"}),
        thing("secrets", "a", labels={"vcluster-name": "demo", "app": "vcluster-dashboard"}),
        thing("services", "a", labels={**CHART, "chart": "vcluster-dashboard-1.2.3"}),
        thing("persistentvolumeclaims", "data-demo-0", labels={"app": "web"}),
        thing("services", "a", annotations={**HELM, "meta.helm.sh/release-namespace": "elsewhere"}),
        thing("secrets", "a", labels=CHART, annotations={**HELM, "meta.helm.sh/release-namespace": "elsewhere"}),
        thing("secrets", "a", "helm.sh/release.v1", labels={"name": "web", "app": "vcluster", "release": "demo"}),
        thing("secrets", "demo-certs"),
        thing("leases", "demo"),
        thing("configmaps", "demo-config-vcluster-x"),
        *(
            thing("secrets", "vc-demo", labels={"vcluster.loft.sh/managed-by": "outer", **labels}, annotations=HELM)
            for labels in (CHART, {"app": "vcluster", "vcluster-name": "demo"}, {well_known.REQUESTED: "demo"})
        ),
    ],
    ids=str,
)
def test_what_it_did_not(candidate: ObjectRef) -> None:
    assert ownership.sort_out([candidate], "demo") == ([], [candidate])


def test_what_is_not_labelled_counts_where_it_is_certain_that_there_was_one() -> None:
    candidate = dataclasses.replace(thing("secrets", "demo-certs"), written_for="demo")
    assert ownership.sort_out([candidate], "demo") == ([], [candidate])
    assert ownership.sort_out([candidate], "demo", known=True) == ([candidate], [])
    assert ownership.sort_out([candidate, CERTAIN], "demo")[1] == []
    assert ownership.sort_out([candidate], "other", known=True)[0] == []


CERTIFICATES = dict.fromkeys(("ca.crt", "ca.key", "apiserver.crt", "apiserver.key", "sa.pub"), "")
KUBECONFIG = dict.fromkeys(("config", "certificate-authority", "client-certificate", "client-key"), "")
LEASE = f"vcluster-{NAME}-controller"
# vCluster 0.20 labels none of these.
WRITTEN: dict[str, dict[str, Any]] = {
    f"{NAME}-certs": {"kind": "Secret", "type": "Opaque", "data": CERTIFICATES},
    f"vc-{NAME}": {"kind": "Secret", "type": "Opaque", "data": KUBECONFIG},
    f"vc-k3s-{NAME}": {"kind": "Secret", "type": "Opaque", "data": {"token": ""}},
    LEASE: {"kind": "Lease", "spec": {"holderIdentity": f"{NAME}-0-external-vcluster-controller"}},
    f"vcluster-{NAME}-cert-rotation": {"kind": "Lease", "spec": {"holderIdentity": f"{NAME}-0"}},
}
OTHERS: dict[str, list[dict[str, Any]]] = {
    f"{NAME}-certs": [
        {"kind": "Secret", "type": "kubernetes.io/tls", "data": dict.fromkeys(("tls.crt", "tls.key", "ca.crt"), "")},
        {"kind": "Secret", "type": "kubernetes.io/tls", "data": {**CERTIFICATES, "tls.crt": "", "tls.key": ""}},
        {"kind": "Secret", "type": "Opaque", "data": {"ca.crt": ""}},
        {"kind": "Secret", "type": "Opaque"},
        {"kind": "Secret", "type": "Opaque", "data": CERTIFICATES, "labels": {"app": "web", "release": NAME}},
    ],
    f"vc-{NAME}": [{"kind": "Secret", "type": "Opaque", "data": {"password": ""}}],
    f"vc-k3s-{NAME}": [{"kind": "Secret", "type": "Opaque", "data": {"token": "", "user": ""}}],
    f"configmap-{NAME}": [{"kind": "ConfigMap", "data": {"a": "b"}}],
    LEASE: [{"kind": "Lease", "spec": {"holderIdentity": "somebody"}}, {"kind": "Lease"}],
    f"vcluster-{NAME}-cert-rotation": [{"kind": "Lease", "spec": {"holderIdentity": "web-0"}}],
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_vcluster_wrote_without_labels_goes(name: str, host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    host.have(name=name, namespace=NAMESPACE, **WRITTEN[name])
    assert f"/{name}" in " ".join(checked(host, helm).plan.steps)
    assert contents(host, NAMESPACE) == set()


@pytest.mark.parametrize(("name", "other"), [(name, other) for name, others in OTHERS.items() for other in others])
def test_what_others_gave_such_a_name_stays(
    name: str, other: dict[str, Any], host: DemoHost, helm: Uninstaller
) -> None:
    """And with it the namespace."""
    virtual_cluster(host)
    for at in [at for at in host.paths() if at.endswith(f"/{name}")]:
        host.vanish(at)
    host.have(name=name, namespace=NAMESPACE, **other)
    steps = checked(host, helm).plan.steps
    assert not [step for step in steps if step.endswith((f"/{name}", f"namespace {NAMESPACE}"))]
    assert {at.split("/")[1] for at in contents(host, NAMESPACE)} == {name, "kube-root-ca.crt"}


CERTS = path("v1", "secrets", NAMESPACE, f"{NAME}-certs")


def test_what_may_not_be_read_may_be_somebodys_secret(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    host.intercept = lambda request: 403 if str(request).startswith(f"GET {CERTS}") else None
    absent(host, helm)
    assert contents(host, NAMESPACE) == {f"secrets/{NAME}-certs", "configmaps/kube-root-ca.crt"}


def test_owners_decide_for_what_they_own() -> None:
    def owned(name: str, *owners: str) -> ObjectRef:
        return thing("things", name, ownerReferences=[{"uid": uid} for uid in owners])

    chain = [owned("c", "b"), owned("b", "a"), owned("a", "demo"), owned("shared", "x", "a")]
    foreign = [owned("y", "x"), thing("things", "z"), ObjectRef("v1", "things", {"name": "(no permission to list)"})]
    mine, rest = ownership.sort_out([*chain, *foreign, CERTAIN], "demo")
    assert {candidate.name for candidate in mine} == {"demo", "a", "b", "c", "shared"}
    assert rest == foreign


@pytest.mark.parametrize(
    ("parts", "expected"),
    [  # What SafeConcatName of vCluster 0.36.1 (pkg/util/translate) gives.
        (("team", "x", "demo"), "team-x-demo"),
        (("n" * 58, "x", "d"), "n" * 58 + "-x-d"),
        (("n" * 60, "x", "d"), "n" * 52 + "-2e0f9fb5d3"),
        (("vcluster-" + "a" * 40, "x", "b" * 40), "vcluster-" + "a" * 40 + "-x--9a5005e8e1"),
        (("a." * 26 + "tail", "x", "demo-demo-demo"), "a." * 25 + "a-b0010da380"),
        (("a.-" * 22 + "tail",), "a-" * 17 + "a-e39d938df7"),
    ],
)
def test_names_are_shortened_as_vcluster_does(parts: tuple[str, ...], expected: str) -> None:
    assert well_known.safe_concat(*parts) == expected


@pytest.mark.parametrize(
    ("annotations", "namespace", "seen", "expected"),
    [
        (None, NAMESPACE, True, False),
        ({}, NAMESPACE, True, False),
        ({well_known.CREATED: "false"}, NAMESPACE, True, False),
        ({well_known.NAME_ANNOTATION: NAME}, NAMESPACE, True, False),
        (OURS, NAMESPACE, False, True),
        (OURS, "team", False, True),
        ({**OURS, well_known.NAME_ANNOTATION: "other"}, NAMESPACE, True, False),
        # The CLI's does not say for whom: the virtual cluster that is in it, or the name of the namespace.
        ({well_known.CREATED: "true"}, "team", True, True),
        ({well_known.CREATED: "true"}, NAMESPACE, False, True),
        ({well_known.CREATED: "true"}, "team", False, False),
    ],
)
def test_for_whom_a_namespace_was_made(
    annotations: dict[str, str] | None, namespace: str, seen: bool, expected: bool
) -> None:
    found = {"metadata": {"annotations": annotations}}
    assert ownership.made_for(found, NAME, namespace, seen) is expected


# --- absent -----------------------------------------------------------------------------------------------


def test_one_that_is_not_there(host: DemoHost, helm: Uninstaller) -> None:
    assert not checked(host, helm).plan.changed
    host.have("Namespace", NAMESPACE)
    host.have_inside("Secret", "somebody-elses")
    assert not checked(host, helm).plan.changed
    assert contents(host, NAMESPACE) == {"secrets/somebody-elses"}


def test_everything_goes(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    outcome = checked(host, helm)
    assert outcome.plan.steps[0] == f"uninstall release {NAME}"
    assert outcome.plan.steps[-1] == f"delete namespace {NAMESPACE}"
    assert f"delete persistentvolumeclaims/data-{NAME}-0" in outcome.plan.steps
    assert set(host.paths()) == {
        *(f"/api/v1/namespaces/{name}" for name in ("default", "kube-node-lease", "kube-public", "kube-system")),
        "/apis/scheduling.k8s.io/v1/priorityclasses/somebody-elses",
    }


@pytest.mark.parametrize("namespace", [{}, {**OURS, well_known.NAME_ANNOTATION: "other"}])
def test_a_namespace_that_was_not_made_for_it_stays(
    namespace: dict[str, str], host: DemoHost, helm: Uninstaller
) -> None:
    virtual_cluster(host, namespace)
    outcome = checked(host, helm)
    assert not [step for step in outcome.plan.steps if "namespace" in step]
    assert path("v1", "namespaces", None, NAMESPACE) in host
    assert contents(host, NAMESPACE) == {"configmaps/kube-root-ca.crt"}


def test_somebody_elses_objects_stay(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    host.have_inside("ConfigMap", "precious")
    host.have_inside("PersistentVolumeClaim", "data-web-0", labels={"app": "web"})
    checked(host, helm)
    assert contents(host, NAMESPACE) == {
        "configmaps/kube-root-ca.crt",
        "configmaps/precious",
        "persistentvolumeclaims/data-web-0",
    }


def test_what_may_not_be_seen_may_be_somebodys(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    host.deny("list", "leases")
    checked(host, helm)
    assert path("v1", "namespaces", None, NAMESPACE) in host


def test_another_release_stays(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    release(host, name="other", chart={"metadata": {"name": "postgresql"}})
    host.have_inside("Service", "db", annotations={**HELM, "meta.helm.sh/release-name": "other"})
    checked(host, helm)
    assert {"secrets/sh.helm.release.v1.other.v1", "services/db"} < contents(host, NAMESPACE)


def test_volumes_are_kept(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    checked(host, helm, keep_volumes=True)
    assert contents(host, NAMESPACE) == {"configmaps/kube-root-ca.crt", f"persistentvolumeclaims/data-{NAME}-0"}
    # Without asking for them again, they go, and so does the namespace.
    helm.runs = 0
    assert checked(host, helm).plan.steps == [
        f"delete persistentvolumeclaims/data-{NAME}-0",
        f"delete namespace {NAMESPACE}",
    ]
    assert path("v1", "namespaces", None, NAMESPACE) not in host


def vanish(host: DemoHost, *words: str) -> None:
    """Take away all that has one of these words in its path; what another one takes along as well."""
    for at in host.paths():
        if any(word in at for word in words) and at in host:
            host.vanish(at)


GONE_FIRST: dict[str, tuple[str, ...]] = {
    "the release": ("sh.helm.release",),
    "the release and its objects": ("sh.helm.release", "/statefulsets/", "/services/", "/pods/demo-0"),
    "all but the volume": ("/secrets/", "/statefulsets/", "/services/", "/pods/", "priorityclasses"),
    "all but what it synced": ("/secrets/", "/statefulsets/", "/services/", "/pods/demo-0", "persistentvolumeclaims"),
    "all but the namespace": ("/secrets/", "/statefulsets/", "/services/", "/pods/", "persistentvolumeclaims"),
    "all but what is outside": ("/api/v1/namespaces/vcluster-demo", "/namespaces/vcluster-demo/"),
}


@pytest.mark.parametrize("gone", GONE_FIRST.values(), ids=GONE_FIRST)
@pytest.mark.parametrize("namespace", [OURS, {}], ids=["our namespace", "another's namespace"])
def test_what_was_interrupted_is_finished(
    namespace: dict[str, str], gone: tuple[str, ...], host: DemoHost, helm: Uninstaller
) -> None:
    virtual_cluster(host, namespace)
    vanish(host, *gone)
    checked(host, helm)
    assert contents(host, NAMESPACE) <= {"configmaps/kube-root-ca.crt"}
    assert not [at for at in host.paths() if "vcluster-high" in at]
    assert (DEMO_NAMESPACE in host) == (namespace == {} and DEMO_NAMESPACE not in gone)


def test_two_deletions_at_once(host: DemoHost, helm: Uninstaller) -> None:
    """helm fails where somebody else purges the release at the same moment; any other failure of it is one."""
    virtual_cluster(host)
    uninstall = helm.uninstall

    def beaten(name: str, namespace: str) -> None:
        uninstall(name, namespace)
        raise HelmError("helm uninstall: Failed to purge the release: release: not found")

    def broken(name: str, namespace: str) -> None:
        raise HelmError("helm uninstall: it is broken")

    helm.uninstall = broken  # type: ignore[method-assign]
    with pytest.raises(HelmError, match="it is broken"):
        absent(host, helm)
    helm.uninstall = beaten  # type: ignore[method-assign]
    absent(host, helm)
    assert contents(host, NAMESPACE) == set()


def test_an_unfinished_installation_is_removed(host: DemoHost, helm: Uninstaller) -> None:
    host.have("Namespace", NAMESPACE, annotations=OURS)
    release(host, info={"status": "pending-install"})
    host.have_inside("StatefulSet", NAME, labels=CHART, annotations=HELM)
    assert checked(host, helm).plan.steps[0] == f"uninstall release {NAME}"
    assert contents(host, NAMESPACE) == set()
    assert helm.runs == 1


@pytest.mark.parametrize("recorded", [True, False], ids=["with its release", "without"])
def test_a_protected_one_stays(recorded: bool, host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host, None, **{well_known.PROTECTED: "true"})
    if not recorded:
        vanish(host, "sh.helm")
    before = host.state()
    for check in (True, False):
        with pytest.raises(NestedClustersError, match="protected: false") as caught:
            absent(host, helm, check=check)
        assert caught.value.data["protected"] is True
    assert (host.state(), helm.runs) == (before, 0)


def test_a_tenant_protects_nothing(host: DemoHost, helm: Uninstaller) -> None:
    """What is synced carries annotations that users of the virtual cluster write."""
    virtual_cluster(host)
    host.have_inside(
        "Pod",
        "evil-x-default-x-demo",
        labels={well_known.SYNCED_LABEL: NAME},
        annotations={well_known.PROTECTED: "true"},
    )
    assert checked(host, helm).plan.changed


def test_what_a_tenant_makes_with_the_chart_is_the_tenants(host: DemoHost, helm: Uninstaller) -> None:
    """A virtual cluster inside another one, in a namespace of that: it is not the one of this name on the host."""
    copied = {well_known.SYNCED_LABEL: "outer", "app": "vcluster", "vcluster-name": NAME}
    virtual_cluster(host, {})
    host.have_inside("Secret", f"vc-{NAME}-x-in-x-outer", labels=copied, annotations=HELM)
    host.have_inside("Secret", "sh.helm-x-in-x-outer", labels={**copied, "name": NAME}, type="helm.sh/release.v1")
    host.have("ClusterRole", "x-x-outer", labels={**CHART, **copied}, annotations=HELM)
    assert not [step for step in checked(host, helm).plan.steps if "outer" in step]
    assert contents(host, NAMESPACE) >= {f"secrets/vc-{NAME}-x-in-x-outer", "secrets/sh.helm-x-in-x-outer"}
    assert "/apis/rbac.authorization.k8s.io/v1/clusterroles/x-x-outer" in host


def test_what_a_tenant_made_with_helm_goes_and_is_told(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    inside = {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "team"}
    host.have_inside("Service", f"web-x-team-x-{NAME}", labels={well_known.SYNCED_LABEL: NAME}, annotations=inside)
    assert f"delete services/web-x-team-x-{NAME}" in checked(host, helm).plan.steps


def test_a_release_of_another_chart_is_refused(host: DemoHost, helm: Uninstaller) -> None:
    host.have("Namespace", NAMESPACE)
    release(host, chart={"metadata": {"name": "postgresql"}})
    with pytest.raises(OptionError, match="postgresql") as caught:
        absent(host, helm)
    assert caught.value.data["option"] == "name"
    assert (host.writes(), helm.runs) == ([], 0)


def test_a_record_of_a_release_elsewhere_is_refused(host: DemoHost, helm: Uninstaller) -> None:
    """Flux keeps records in a namespace of its own: helm would delete what has these names in there."""
    host.have("Namespace", NAMESPACE)
    release(host, namespace="team")
    for check in (True, False):
        with pytest.raises(NestedClustersError, match="holds that of release demo in namespace team"):
            absent(host, helm, check=check)
    assert (host.writes(), helm.runs) == ([], 0)


FOREIGN = f"""{MANIFEST}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: view}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: coredns, namespace: kube-system}}
"""


@pytest.mark.parametrize("status", ["deployed", "superseded", "pending-upgrade"])
def test_what_a_tenant_wrote_into_helms_record_stays(status: str, host: DemoHost, helm: Uninstaller) -> None:
    """Helm would delete what it names; check mode refuses that as well."""
    virtual_cluster(host)
    host.have("ClusterRole", "view")
    host.have_inside("ConfigMap", "coredns", namespace="kube-system")
    release(host, 2, manifest=FOREIGN, info={"status": status})
    record = path("v1", "secrets", NAMESPACE, f"sh.helm.release.v1.{NAME}.v2")
    host.change(record, {"metadata": {"labels": {"status": status}}})
    before = host.state()
    for check in (True, False):
        with pytest.raises(NestedClustersError, match="names what is not its own") as caught:
            absent(host, helm, check=check)
        assert "ClusterRole view (of no Helm release)" in str(caught.value)
        assert "ConfigMap coredns in namespace kube-system (of no Helm release)" in str(caught.value)
    assert (host.state(), host.writes(), helm.runs) == (before, [], 0)


def test_a_record_is_read_once_more_before_helm_runs(host: DemoHost, helm: Uninstaller) -> None:
    """Somebody writes it after the plan was made."""
    virtual_cluster(host)
    host.have("ClusterRole", "view")

    def open_helm() -> Uninstaller:
        release(host, manifest=FOREIGN)
        return helm

    with pytest.raises(NestedClustersError, match="names what is not its own"):
        deletion.absent(ClusterRef(host.client(), NAME, NAMESPACE), open_helm, check=False, keep_volumes=False, wait=60)  # type: ignore[arg-type]
    assert helm.runs == 0


def test_a_namespace_that_is_being_deleted_is_waited_for(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    host.have("Namespace", NAMESPACE, annotations=OURS, deletionTimestamp="2026-01-01T00:00:00Z")
    clock.after(10, lambda: host.vanish(DEMO_NAMESPACE))
    outcome = absent(host, helm)
    assert not outcome.plan.changed
    assert clock.now >= 1010
    assert (host.writes(), helm.runs) == ([], 0)


def test_not_waiting(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    virtual_cluster(host)
    host.change(path("v1", "pods", NAMESPACE, f"{NAME}-0"), HELD)
    assert absent(host, helm, wait=None).plan.changed
    assert clock.now == 1000
    # It is asked for all the same.
    assert f"delete {DEMO_NAMESPACE}" in host.writes()
    assert host.at(DEMO_NAMESPACE)["metadata"]["deletionTimestamp"]


def test_what_does_not_go_is_named(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    virtual_cluster(host, {})
    claim = path("v1", "persistentvolumeclaims", NAMESPACE, f"data-{NAME}-0")
    host.change(claim, {"metadata": {"finalizers": ["kubernetes.io/pvc-protection"]}})
    with pytest.raises(WaitError, match=rf"after 60 s.*persistentvolumeclaims/data-{NAME}-0") as caught:
        absent(host, helm)
    assert caught.value.data["phase"] == "deleting"
    assert 1060 <= clock.now < 1065


def test_a_namespace_that_does_not_go_says_why(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    conditions = [
        {"type": "A", "status": "False", "message": "all is well"},
        {"type": "B", "status": "True", "message": "Some content has finalizers"},
    ]
    host.change(DEMO_NAMESPACE, {**HELD, "status": {"conditions": conditions}})
    with pytest.raises(WaitError, match="Some content has finalizers") as caught:
        absent(host, helm)
    assert "all is well" not in str(caught.value)


def test_volumes_are_waited_for(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    def volume(name: str, policy: str, claim: str = f"data-{NAME}-0", namespace: str = NAMESPACE) -> None:
        spec = {
            "claimRef": {"namespace": namespace, "name": claim},
            "persistentVolumeReclaimPolicy": policy,
        }
        host.have("PersistentVolume", name, spec=spec)

    virtual_cluster(host)
    volume("ours", "Delete")
    volume("kept", "Retain")
    volume("others", "Delete", namespace="default")
    host.have("PersistentVolume", "unclaimed", spec={"persistentVolumeReclaimPolicy": "Delete"})
    clock.after(20, lambda: host.vanish(path("v1", "persistentvolumes", None, "ours")))
    absent(host, helm)
    assert 1020 <= clock.now < 1025


def test_what_a_dying_syncer_writes_goes_as_well(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    virtual_cluster(host, {})
    pod = path("v1", "pods", NAMESPACE, f"{NAME}-0")
    host.change(pod, HELD)

    def last_words() -> None:
        host.vanish(pod)
        host.have_inside("Service", "late-x-default-x-demo", labels={well_known.SYNCED_LABEL: NAME})

    clock.after(5, last_words)
    absent(host, helm)
    assert contents(host, NAMESPACE) == {"configmaps/kube-root-ca.crt"}


def test_a_namespace_that_somebody_moves_into_meanwhile_stays(
    host: DemoHost, helm: Uninstaller, clock: Clock
) -> None:
    virtual_cluster(host)
    uninstall = helm.uninstall

    def slow(name: str, namespace: str) -> None:
        uninstall(name, namespace)
        host.have_inside("ConfigMap", "precious")

    helm.uninstall = slow  # type: ignore[method-assign]
    absent(host, helm)
    assert contents(host, NAMESPACE) == {"configmaps/kube-root-ca.crt", "configmaps/precious"}
    assert clock.now < 1010


def test_a_namespace_that_is_being_deleted_needs_no_helm(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    virtual_cluster(host)
    namespace = host.at(DEMO_NAMESPACE)
    namespace["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    host.add(namespace)
    before = contents(host, NAMESPACE)
    clock.after(10, lambda: vanish(host, NAMESPACE))
    outcome = absent(host, helm)
    # What is outside of the namespace does not go with it, and is said.
    assert outcome.plan.steps == ["delete priorityclasses/vcluster-high-x-demo"]
    assert host.writes() == ["delete /apis/scheduling.k8s.io/v1/priorityclasses/vcluster-high-x-demo"]
    assert (helm.runs, bool(before)) == (0, True)
    assert clock.now >= 1010


@pytest.mark.parametrize("there", [True, False])
def test_what_may_be_anothers_stays(there: bool, host: DemoHost, helm: Uninstaller) -> None:
    """a-x-b in h4team and b in h4team-x-a have the same marker, whether the other one is there or not."""
    chart = {"app": "vcluster", "release": "a-x-b"}
    host.have("Namespace", "h4team")
    host.have_inside("StatefulSet", "a-x-b", namespace="h4team", labels=chart)
    if there:
        host.have("Namespace", "h4team-x-a")
        host.have_inside("StatefulSet", "b", namespace="h4team-x-a", labels={"app": "vcluster", "release": "b"})
    marker = {well_known.SYNCED_LABEL: "h4team-x-a-x-b"}
    for kind in ("PriorityClass", "PersistentVolume"):
        host.have(kind, "unclear", labels=marker, annotations={"vcluster.loft.sh/object-name": "x"}, spec={})
        host.have(kind, "ours", labels=marker, annotations={well_known.HOST_NAMESPACE: "h4team"}, spec={})
        host.have(kind, "theirs", labels=marker, annotations={well_known.HOST_NAMESPACE: "h4team-x-a"}, spec={})

    def task(check: bool) -> Outcome:
        return absent(host, helm, "a-x-b", "h4team", check=check, wait=None)

    foreseen, outcome = task(True), task(False)
    assert (foreseen.plan.steps, foreseen.plan.notes) == (outcome.plan.steps, outcome.plan.notes)
    assert outcome.plan.steps == [
        "delete persistentvolumes/ours",
        "delete priorityclasses/ours",
        "delete statefulsets/a-x-b",
    ]
    (note,) = outcome.plan.notes
    assert note.startswith("persistentvolumes/theirs, persistentvolumes/unclear, priorityclasses/theirs, priorityclass")
    assert "h4team-x-a-x-b can be that of virtual cluster a-x-b in namespace h4team or b in namespace h4team" in note
    assert host.names("PriorityClass") == ["theirs", "unclear"]
    again = task(False)
    assert (again.plan.steps, again.plan.notes) == ([], [])


def roles(host: DemoHost) -> None:
    """What the chart makes outside of the namespace, here and for a virtual cluster of this name elsewhere."""
    host.have("ClusterRole", f"vc-{NAME}-v-{NAMESPACE}", labels=CHART, annotations=HELM)
    host.have("ClusterRole", "vc-copy", labels=CHART, annotations=HELM)
    elsewhere = {**HELM, "meta.helm.sh/release-namespace": "elsewhere"}
    host.have("ClusterRole", "vc-theirs", labels=CHART, annotations=elsewhere)


@pytest.mark.parametrize("left", ["everything", "no release", "no namespace"])
def test_cluster_roles_go_and_those_of_a_namesake_stay(left: str, host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    roles(host)
    vanish(host, {"everything": "nothing", "no release": "sh.helm", "no namespace": f"/{NAMESPACE}"}[left])
    assert f"delete clusterroles/vc-{NAME}-v-{NAMESPACE}" in checked(host, helm).plan.steps
    assert host.names("ClusterRole") == ["vc-copy", "vc-theirs"]


def test_what_helm_deletes_elsewhere_is_in_the_plan(host: DemoHost, helm: Uninstaller) -> None:
    """And what is in the namespace, and only says that it is of the release: Helm leaves it, and we do not."""
    virtual_cluster(host, {})
    host.have_inside("ConfigMap", "ours", namespace="prod", labels=well_known.MANAGED_BY_HELM, annotations=HELM)
    host.have_inside("ConfigMap", "copy", namespace="prod", labels=well_known.MANAGED_BY_HELM, annotations=HELM)
    host.have_inside("Secret", f"vc-config-{NAME}-backup", labels=CHART, annotations=HELM)
    elsewhere = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: ours, namespace: prod}\n"
    release(host, manifest=MANIFEST + elsewhere)
    helm.elsewhere = [path("v1", "configmaps", "prod", "ours")]
    steps = checked(host, helm).plan.steps
    assert "delete configmaps/ours in namespace prod" in steps
    assert f"delete secrets/vc-config-{NAME}-backup" in steps
    assert contents(host, "prod") == {"configmaps/copy"}


def test_who_may_not_look_outside_of_the_namespace_can_delete_all_the_same(
    host: DemoHost, helm: Uninstaller
) -> None:
    virtual_cluster(host)
    for plural in ("persistentvolumes", "priorityclasses", "storageclasses", "clusterroles"):
        host.deny("list", plural)
    assert absent(host, helm, wait=None).plan.changed
    assert contents(host, NAMESPACE) == set()


@pytest.mark.parametrize("plural", ["leases", "priorityclasses"])
def test_what_cannot_be_read_is_an_error(plural: str, host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    host.intercept = lambda request: 500 if request.path.endswith(f"/{plural}") else None
    with pytest.raises(KubernetesError, match=r"500 .*interceptor"):
        absent(host, helm)
    assert (host.writes(), helm.runs) == ([], 0)


@pytest.mark.parametrize(("code", "waits"), [(503, True), (403, False)])
def test_an_api_server_that_restarts_is_waited_for(
    code: int, waits: bool, host: DemoHost, helm: Uninstaller, clock: Clock
) -> None:
    virtual_cluster(host)
    host.change(DEMO_NAMESPACE, HELD)
    host.intercept = lambda request: code if 1005 <= clock.now < 1015 else None
    clock.after(20, lambda: vanish(host, NAMESPACE))
    if waits:
        absent(host, helm)
        assert clock.now >= 1020
    else:
        with pytest.raises(KubernetesError, match="403 an interceptor answers"):
            absent(host, helm)


def test_what_is_named_after_it_goes_although_the_rest_went_first(
    host: DemoHost, helm: Uninstaller, clock: Clock
) -> None:
    """Once it is certain that there was one, it stays certain while its traces go one by one."""
    virtual_cluster(host, {})
    host.change(CERTS, HELD)
    clock.after(10, lambda: host.change(CERTS, {"metadata": {"finalizers": None}}))
    absent(host, helm)
    assert clock.now >= 1010
    assert CERTS not in host


# --- out of a group ---------------------------------------------------------------------------------------

SIZE = {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}


def of_group(host: DemoHost, name: str = NAME, **annotations: str) -> None:
    """Put the virtual cluster's namespace, which was not made for it, into a group."""
    recorded = {
        "team": "x",
        well_known.NAME_ANNOTATION: name,
        well_known.OWNER_ANNOTATION: "alice",
        well_known.SIZE_ANNOTATION: json.dumps(SIZE),
        well_known.APPLIED_ANNOTATION: "{}",
        **annotations,
    }
    host.have("Namespace", NAMESPACE, labels={well_known.GROUP_LABEL: "dev", "team": "x"}, annotations=recorded)


def counted(host: DemoHost) -> membership.Allocation | None:
    return membership.allocation(host.at(DEMO_NAMESPACE), "host-a")


def test_a_namespace_that_stays_has_no_share_any_more(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host, {})
    of_group(host)
    host.have_inside("ConfigMap", "somebody-elses")
    steps = checked(host, helm).plan.steps
    assert [step for step in steps if "namespace" in step] == [
        f"set labels of namespace {NAMESPACE}: {well_known.GROUP_LABEL}",
        f"set annotations of namespace {NAMESPACE}: " + ", ".join(sorted(well_known.OF_MEMBERS)),
    ]
    metadata = host.at(DEMO_NAMESPACE)["metadata"]
    of_every = {"kubernetes.io/metadata.name": NAMESPACE}
    assert (metadata["labels"], metadata["annotations"]) == ({"team": "x", **of_every}, {"team": "x"})
    assert counted(host) is None


def test_it_has_its_share_until_everything_is_gone(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    virtual_cluster(host, {})
    of_group(host)
    claim = path("v1", "persistentvolumeclaims", NAMESPACE, f"data-{NAME}-0")
    host.change(claim, HELD)
    has_share: list[bool] = []
    clock.after(5, lambda: has_share.append(counted(host) is not None))
    clock.after(6, lambda: host.vanish(claim))
    absent(host, helm)
    assert (has_share, counted(host)) == ([True], None)


def test_kept_volumes_keep_their_share(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host, {})
    of_group(host)
    checked(host, helm, keep_volumes=True)
    left = counted(host)
    assert left is not None
    assert (left.name, left.owner, left.kept) == (NAME, "alice", True)
    assert left.size.as_dict() == {"cpu": "0", "memory": "0", "storage": "2Gi"}
    helm.runs = 0
    checked(host, helm)  # until they go as well
    assert counted(host) is None


def test_a_namespace_that_goes_is_not_changed_first(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    of_group(host, **{well_known.CREATED: "true"})
    outcome = checked(host, helm)
    assert f"delete namespace {NAMESPACE}" in outcome.plan.steps
    assert not [step for step in outcome.plan.steps if step.startswith("set ")]


def test_the_share_of_another_stays(host: DemoHost, helm: Uninstaller) -> None:
    """Of one whose volumes are kept there, or who is about to come."""
    virtual_cluster(host, {})
    of_group(host, "other")
    before = counted(host)
    checked(host, helm)
    assert counted(host) == before


def test_a_broken_share_keeps_nothing_from_going(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host, {})
    of_group(host, **{well_known.SIZE_ANNOTATION: "broken"})
    checked(host, helm)
    assert counted(host) is None


def test_without_a_group_nothing_is_taken_off(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host, {"team": "x", well_known.NAME_ANNOTATION: NAME})
    before = host.at(DEMO_NAMESPACE)["metadata"]["annotations"]
    checked(host, helm, keep_volumes=True)
    assert host.at(DEMO_NAMESPACE)["metadata"]["annotations"] == before


# --- without a Helm record --------------------------------------------------------------------------------

FLUX = {"helm.toolkit.fluxcd.io/name": "tenant", "helm.toolkit.fluxcd.io/namespace": "flux-system"}


def lose_record(host: DemoHost) -> dict[str, Any]:
    """Take Helm's record away, and return it."""
    at = path("v1", "secrets", NAMESPACE, f"sh.helm.release.v1.{NAME}.v1")
    record = host.at(at)
    host.vanish(at)
    return record


def mark(host: DemoHost, **labels: str) -> None:
    host.change(path("apps/v1", "statefulsets", NAMESPACE, NAME), {"metadata": {"labels": labels}})


def refused_deletion(host: DemoHost, helm: Uninstaller) -> str:
    """The refusal, the same in check mode, with nothing deleted."""
    before, messages = host.state(), []
    for check in (True, False):
        with pytest.raises(NestedClustersError) as caught:
            absent(host, helm, check=check)
        messages.append(str(caught.value))
    assert (host.state(), host.writes(), helm.runs) == (before, [], 0)
    assert messages[0] == messages[1]
    return messages[0]


@pytest.mark.parametrize("by", ["Flux", "its record in another namespace", "its record in a ConfigMap"])
def test_what_another_tool_manages_with_its_own_record_is_not_deleted(
    host: DemoHost, helm: Uninstaller, by: str
) -> None:
    """That tool would make it anew, empty, or keep a record of what is gone."""
    virtual_cluster(host)
    record = lose_record(host)
    if by == "Flux":
        mark(host, **FLUX)
    elif "ConfigMap" in by:
        host.have_inside("ConfigMap", f"sh.helm.release.v1.{NAME}.v1", labels={"owner": "helm", "name": NAME})
    else:
        record["metadata"]["namespace"] = "storage"
        host.add(record)
    message = refused_deletion(host, helm)
    owner = {"Flux": "Flux's HelmRelease flux-system/tenant", "its record in a ConfigMap": "HELM_DRIVER=configmap"}
    assert owner.get(by, "whoever keeps Helm records in namespace storage") in message
    assert "delete it there" in message


def test_one_whose_record_was_lost_is_deleted(host: DemoHost, helm: Uninstaller) -> None:
    """Nobody else claims it, and all that it has is found without the record."""
    virtual_cluster(host)
    lose_record(host)
    checked(host, helm)
    assert contents(host, NAMESPACE) == set()


def test_one_with_a_record_is_deleted_whoever_else_claims_it(host: DemoHost, helm: Uninstaller) -> None:
    """It can be made, changed and deleted as any other."""
    virtual_cluster(host)
    mark(host, **FLUX)
    checked(host, helm)


def test_an_owner_of_what_is_synced_does_not_matter(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    lose_record(host)
    synced = {**CHART, well_known.SYNCED_LABEL: NAME, **FLUX}
    host.have_inside("StatefulSet", "nested-x-default-x-demo", labels=synced, spec={"replicas": 1})
    checked(host, helm)


def test_a_record_of_another_namespace_is_not_uninstalled(host: DemoHost, helm: Uninstaller) -> None:
    """Flux keeps it here for one that lives elsewhere: helm would delete that."""
    virtual_cluster(host)
    release(host, namespace="elsewhere")
    assert f"holds that of release {NAME} in namespace elsewhere" in refused_deletion(host, helm)


# --- in the order in which it is announced -------------------------------------------------------------------


def test_deletion_sends_what_it_announces(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    plan = absent(host, helm, wait=None).plan
    kinds = [change.kind for change in plan.changes]
    assert (kinds[0], kinds[-1]) == (ChangeKind.UNINSTALL, ChangeKind.DELETE)
    writes = [line for line in host.writes() if not line.startswith("patch ")]  # finalizers, before what they hold
    assert helm.writes_before == []
    assert writes == [
        f"delete {path('scheduling.k8s.io/v1', 'priorityclasses', None, 'vcluster-high-x-demo')}",
        f"delete {DEMO_NAMESPACE}",  # which takes along what is in it
    ]
    assert plan.changes[1] == Change(ChangeKind.SWEEP, ChangeTarget("priorityclasses", "vcluster-high-x-demo"))
    inside = [change for change in plan.changes[2:-1] if change.kind is ChangeKind.SWEEP]
    assert len(inside) == len(plan.changes) - 3


def test_deletion_that_keeps_volumes_marks_them_first_and_leaves_the_group_last(
    host: DemoHost, helm: Uninstaller
) -> None:
    share = {well_known.SIZE_ANNOTATION: '{"cpu": "1", "memory": "1Gi", "storage": "1Gi"}'}
    virtual_cluster(host, namespace={**OURS, **share})
    host.change(DEMO_NAMESPACE, {"metadata": {"labels": {well_known.GROUP_LABEL: "dev"}}})
    plan = absent(host, helm, keep_volumes=True).plan
    kinds = [change.kind for change in plan.changes]
    assert kinds[:2] == [ChangeKind.MARK_KEPT, ChangeKind.UNINSTALL]
    assert kinds[-1] is ChangeKind.SET_METADATA
    claim = path("v1", "persistentvolumeclaims", NAMESPACE, f"data-{NAME}-0")
    assert helm.writes_before == [f"patch {claim}"]
    assert host.writes()[-1] == f"patch {DEMO_NAMESPACE}"
