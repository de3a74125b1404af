# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the deletion of one virtual cluster: what refuses it, by protection, by Helm's records, by other tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import (
    NestedClustersError,
    OptionError,
)
from ansible_collections.nested.clusters.plugins.module_utils.deletion import removal
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import namespaces, readiness
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_ref import ClusterRef
from clock import Clock
from demo_host import DemoHost
from fake_api import GATEWAY_API
from helm_releases import NAME, NAMESPACE
from single_deletions import (
    CHART,
    HELM,
    MANIFEST,
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


def test_absent_of_an_unfinished_installation_uninstalls_it(host: DemoHost, helm: Uninstaller) -> None:
    host.have("Namespace", NAMESPACE, annotations=OURS)
    release(host, info={"status": "pending-install"})
    host.have_inside("StatefulSet", NAME, labels=CHART, annotations=HELM)
    assert checked(host, helm).plan.steps[0] == f"uninstall release {NAME}"
    assert contents(host, NAMESPACE) == set()
    assert helm.runs == 1


@pytest.mark.parametrize("recorded", [True, False], ids=["with its release", "without"])
def test_absent_of_a_protected_cluster_is_refused(recorded: bool, host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host, None, **{well_known.PROTECTED: "true"})
    if not recorded:
        vanish(host, "sh.helm")
    before = host.state()
    for check in (True, False):
        with pytest.raises(NestedClustersError, match="protected: false") as caught:
            absent(host, helm, check=check)
        assert caught.value.data["protected"] is True
    assert (host.state(), helm.runs) == (before, 0)


def test_absent_of_a_release_of_another_chart_is_refused(host: DemoHost, helm: Uninstaller) -> None:
    host.have("Namespace", NAMESPACE)
    release(host, chart={"metadata": {"name": "postgresql"}})
    with pytest.raises(OptionError, match="postgresql") as caught:
        absent(host, helm)
    assert caught.value.data["option"] == "name"
    assert (host.writes(), helm.runs) == ([], 0)


def test_absent_with_a_record_of_a_release_elsewhere_is_refused(host: DemoHost, helm: Uninstaller) -> None:
    """Flux keeps records in a namespace of its own: helm would delete what has these names in there."""
    host.have("Namespace", NAMESPACE)
    release(host, namespace="team")
    for check in (True, False):
        with pytest.raises(NestedClustersError, match="contains release demo in namespace team"):
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
def test_absent_with_a_forged_record_is_refused(status: str, host: DemoHost, helm: Uninstaller) -> None:
    """Helm would delete what it names; check mode refuses that as well."""
    virtual_cluster(host)
    host.have("ClusterRole", "view")
    host.have_inside("ConfigMap", "coredns", namespace="kube-system")
    release(host, 2, manifest=FOREIGN, info={"status": status})
    record = path("v1", "secrets", NAMESPACE, f"sh.helm.release.v1.{NAME}.v2")
    host.change(record, {"metadata": {"labels": {"status": status}}})
    before = host.state()
    for check in (True, False):
        with pytest.raises(NestedClustersError, match="names objects of others") as caught:
            absent(host, helm, check=check)
        assert "ClusterRole view (of no Helm release)" in str(caught.value)
        assert "ConfigMap coredns in namespace kube-system (of no Helm release)" in str(caught.value)
    assert (host.state(), host.writes(), helm.runs) == (before, [], 0)


def test_absent_with_a_record_forged_meanwhile_is_refused(host: DemoHost, helm: Uninstaller) -> None:
    """Somebody writes it after the plan was made."""
    virtual_cluster(host)
    host.have("ClusterRole", "view")

    def open_helm() -> Uninstaller:
        release(host, manifest=FOREIGN)
        return helm

    with pytest.raises(NestedClustersError, match="names objects of others"):
        removal.absent(ClusterRef(host.client(), NAME, NAMESPACE), open_helm, check=False, keep_volumes=False, wait=60)  # type: ignore[arg-type]
    assert helm.runs == 0


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
def test_absent_of_a_cluster_of_another_tool_is_refused(
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
    assert owner.get(by, "a tool that keeps Helm records in namespace storage") in message
    assert "delete it there" in message


def test_absent_of_a_cluster_with_a_lost_record_removes_it(host: DemoHost, helm: Uninstaller) -> None:
    """Nobody else claims it, and all that it has is found without the record."""
    virtual_cluster(host)
    lose_record(host)
    checked(host, helm)
    assert contents(host, NAMESPACE) == set()


def test_absent_of_a_cluster_with_a_record_ignores_other_claims(host: DemoHost, helm: Uninstaller) -> None:
    """It can be made, changed and deleted as any other."""
    virtual_cluster(host)
    mark(host, **FLUX)
    checked(host, helm)


def test_absent_ignores_marks_on_synced_objects(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    lose_record(host)
    synced = {**CHART, well_known.SYNCED_LABEL: NAME, **FLUX}
    host.have_inside("StatefulSet", "nested-x-default-x-demo", labels=synced, spec={"replicas": 1})
    checked(host, helm)


def test_absent_with_a_record_of_another_namespace_is_refused(host: DemoHost, helm: Uninstaller) -> None:
    """Flux keeps it here for one that lives elsewhere: helm would delete that."""
    virtual_cluster(host)
    release(host, namespace="elsewhere")
    assert f"contains release {NAME} in namespace elsewhere" in refused_deletion(host, helm)
