# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the deletion of one virtual cluster: what it has outside of its namespace, and what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import removal
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import namespaces, readiness
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import (
    Change,
    ChangeKind,
    ChangeTarget,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome
from clock import Clock
from demo_host import DemoHost
from fake_api import GATEWAY_API
from helm_releases import NAME, NAMESPACE
from single_deletions import (
    CHART,
    DEMO_NAMESPACE,
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


@pytest.mark.parametrize("there", [True, False])
def test_absent_keeps_what_may_be_of_another_cluster(there: bool, host: DemoHost, helm: Uninstaller) -> None:
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
def test_absent_removes_cluster_roles_but_not_those_of_a_namesake(left: str, host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    roles(host)
    vanish(host, {"everything": "nothing", "no release": "sh.helm", "no namespace": f"/{NAMESPACE}"}[left])
    assert f"delete clusterroles/vc-{NAME}-v-{NAMESPACE}" in checked(host, helm).plan.steps
    assert host.names("ClusterRole") == ["vc-copy", "vc-theirs"]


def test_absent_plans_what_helm_deletes_elsewhere(host: DemoHost, helm: Uninstaller) -> None:
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


def test_absent_without_permission_outside_removes_the_rest(
    host: DemoHost, helm: Uninstaller
) -> None:
    virtual_cluster(host)
    for plural in ("persistentvolumes", "priorityclasses", "storageclasses", "clusterroles"):
        host.deny("list", plural)
    assert absent(host, helm, wait=None).plan.changed
    assert contents(host, NAMESPACE) == set()


@pytest.mark.parametrize("plural", ["leases", "priorityclasses"])
def test_absent_with_a_list_that_fails_is_an_error(plural: str, host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    host.intercept = lambda request: 500 if request.path.endswith(f"/{plural}") else None
    with pytest.raises(KubernetesError, match=r"500 .*interceptor"):
        absent(host, helm)
    assert (host.writes(), helm.runs) == ([], 0)


def test_absent_sends_what_it_announces(host: DemoHost, helm: Uninstaller) -> None:
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


def test_absent_with_keep_volumes_marks_them_first_and_leaves_the_group_last(
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
