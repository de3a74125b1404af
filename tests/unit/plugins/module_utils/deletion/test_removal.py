# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the deletion of one virtual cluster: what goes, what stays, and that a second run finds nothing to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import removal
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import namespaces, readiness
from clock import Clock
from demo_host import DemoHost
from fake_api import GATEWAY_API
from helm_releases import NAME, NAMESPACE
from single_deletions import (
    CERTIFICATES,
    CHART,
    DEMO_NAMESPACE,
    HELM,
    OURS,
    Uninstaller,
    absent,
    checked,
    release,
    vanish,
    virtual_cluster,
)
from tasks_on_hosts import contents, replace_time


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    found = Clock()
    replace_time(monkeypatch, found, (removal, namespaces, reconcile, readiness))
    yield found
    assert found.now < 2000, "something waits for ever"


@pytest.fixture
def host() -> DemoHost:
    return DemoHost(serves=GATEWAY_API)


@pytest.fixture
def helm(host: DemoHost) -> Uninstaller:
    return Uninstaller(host)


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
def test_absent_removes_what_vcluster_wrote_without_labels(name: str, host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    host.have(name=name, namespace=NAMESPACE, **WRITTEN[name])
    assert f"/{name}" in " ".join(checked(host, helm).plan.steps)
    assert contents(host, NAMESPACE) == set()


@pytest.mark.parametrize(("name", "other"), [(name, other) for name, others in OTHERS.items() for other in others])
def test_absent_keeps_what_others_gave_such_a_name(
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


def test_absent_without_permission_to_read_a_secret_keeps_it(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    host.intercept = lambda request: 403 if str(request).startswith(f"GET {CERTS}") else None
    absent(host, helm)
    assert contents(host, NAMESPACE) == {f"secrets/{NAME}-certs", "configmaps/kube-root-ca.crt"}


def test_absent_without_a_cluster_does_nothing(host: DemoHost, helm: Uninstaller) -> None:
    assert not checked(host, helm).plan.changed
    host.have("Namespace", NAMESPACE)
    host.have_inside("Secret", "somebody-elses")
    assert not checked(host, helm).plan.changed
    assert contents(host, NAMESPACE) == {"secrets/somebody-elses"}


def test_absent_of_a_cluster_removes_all_of_it(host: DemoHost, helm: Uninstaller) -> None:
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
def test_absent_keeps_a_namespace_that_was_not_made_for_it(
    namespace: dict[str, str], host: DemoHost, helm: Uninstaller
) -> None:
    virtual_cluster(host, namespace)
    outcome = checked(host, helm)
    assert not [step for step in outcome.plan.steps if "namespace" in step]
    assert path("v1", "namespaces", None, NAMESPACE) in host
    assert contents(host, NAMESPACE) == {"configmaps/kube-root-ca.crt"}


def test_absent_keeps_objects_of_somebody_else(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    host.have_inside("ConfigMap", "precious")
    host.have_inside("PersistentVolumeClaim", "data-web-0", labels={"app": "web"})
    checked(host, helm)
    assert contents(host, NAMESPACE) == {
        "configmaps/kube-root-ca.crt",
        "configmaps/precious",
        "persistentvolumeclaims/data-web-0",
    }


def test_absent_without_permission_to_list_keeps_the_namespace(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    host.deny("list", "leases")
    checked(host, helm)
    assert path("v1", "namespaces", None, NAMESPACE) in host


def test_absent_keeps_another_release(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    release(host, name="other", chart={"metadata": {"name": "postgresql"}})
    host.have_inside("Service", "db", annotations={**HELM, "meta.helm.sh/release-name": "other"})
    checked(host, helm)
    assert {"secrets/sh.helm.release.v1.other.v1", "services/db"} < contents(host, NAMESPACE)


def test_absent_with_keep_volumes_keeps_them(host: DemoHost, helm: Uninstaller) -> None:
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
def test_absent_after_an_interruption_finishes(
    namespace: dict[str, str], gone: tuple[str, ...], host: DemoHost, helm: Uninstaller
) -> None:
    virtual_cluster(host, namespace)
    vanish(host, *gone)
    checked(host, helm)
    assert contents(host, NAMESPACE) <= {"configmaps/kube-root-ca.crt"}
    assert not [at for at in host.paths() if "vcluster-high" in at]
    assert (DEMO_NAMESPACE in host) == (namespace == {} and DEMO_NAMESPACE not in gone)


def test_absent_ignores_protection_by_a_tenant(host: DemoHost, helm: Uninstaller) -> None:
    """What is synced carries annotations that users of the virtual cluster write."""
    virtual_cluster(host)
    host.have_inside(
        "Pod",
        "evil-x-default-x-demo",
        labels={well_known.SYNCED_LABEL: NAME},
        annotations={well_known.PROTECTED: "true"},
    )
    assert checked(host, helm).plan.changed


def test_absent_keeps_a_cluster_inside_another(host: DemoHost, helm: Uninstaller) -> None:
    """A virtual cluster inside another one, in a namespace of that: it is not the one of this name on the host."""
    copied = {well_known.SYNCED_LABEL: "outer", "app": "vcluster", "vcluster-name": NAME}
    virtual_cluster(host, {})
    host.have_inside("Secret", f"vc-{NAME}-x-in-x-outer", labels=copied, annotations=HELM)
    host.have_inside("Secret", "sh.helm-x-in-x-outer", labels={**copied, "name": NAME}, type="helm.sh/release.v1")
    host.have("ClusterRole", "x-x-outer", labels={**CHART, **copied}, annotations=HELM)
    assert not [step for step in checked(host, helm).plan.steps if "outer" in step]
    assert contents(host, NAMESPACE) >= {f"secrets/vc-{NAME}-x-in-x-outer", "secrets/sh.helm-x-in-x-outer"}
    assert "/apis/rbac.authorization.k8s.io/v1/clusterroles/x-x-outer" in host


def test_absent_removes_what_a_tenant_made_with_helm(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    inside = {"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "team"}
    host.have_inside("Service", f"web-x-team-x-{NAME}", labels={well_known.SYNCED_LABEL: NAME}, annotations=inside)
    assert f"delete services/web-x-team-x-{NAME}" in checked(host, helm).plan.steps
