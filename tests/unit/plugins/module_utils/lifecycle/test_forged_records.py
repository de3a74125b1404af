# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of what a tenant writes into Helm's record: it is refused, and nothing of it is done."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import Release
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import upgrade_backup
from ansible_collections.nested.clusters.plugins.module_utils.values import accessors
from fake_api import FakeCluster
from fake_helm import OF_HELM, SERVICE, WORKLOAD, FakeHelm, have_release, manifest, record
from helm_releases import NAME, NAMESPACE
from lifecycle_runs import present, refused
from upgrades import calls_of, marked


def forge(cluster: FakeCluster, revision: int, *documents: dict[str, Any], **labels: str) -> None:
    """Write objects into Helm's record of a revision, as a tenant can."""
    at = record(revision)
    before = cluster.at(at)["metadata"]["labels"] if at in cluster else {}
    changed = "---\n".join([manifest("0.35.0", {}), *(yaml.safe_dump(document) for document in documents)])
    have_release(cluster, revision, {**before, **labels}, manifest=changed, chart={"metadata": VCLUSTER_35})


VCLUSTER_35 = {"name": "vcluster", "version": "0.35.0"}
COREDNS: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "coredns", "namespace": "kube-system"},
}
VIEW = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "view"}}


@pytest.mark.parametrize(
    "asked",
    [{}, {"values": {"a": "b"}}, {"vcluster_version": "0.36.1"}, {"vcluster_version": "0.36.1", "rollback": True}],
    ids=["nothing else", "values", "version", "with a way back"],
)
def test_forged_record_names_objects_of_others_is_refused(
    asked: dict[str, Any], running: FakeCluster, helm: FakeHelm
) -> None:
    running.add(COREDNS)
    running.add(VIEW)
    forge(running, 1, COREDNS, VIEW)
    error = refused(running, helm, **asked)
    assert "ClusterRole view (of no Helm release)" in str(error)
    assert "ConfigMap coredns in namespace kube-system (of no Helm release)" in str(error)


def test_forged_record_labeled_superseded_is_refused(cluster: FakeCluster, helm: FakeHelm) -> None:
    """What is labeled as superseded is not looked at as a release, but Helm would upgrade it."""
    cluster.have("Namespace", NAMESPACE)
    cluster.add(COREDNS)
    forge(cluster, 1, COREDNS, status="superseded")
    assert "ConfigMap coredns in namespace kube-system" in str(refused(cluster, helm))


def test_forged_record_written_after_rendering_is_refused(running: FakeCluster, helm: FakeHelm) -> None:
    running.add(COREDNS)
    render = helm.render

    def and_forge(*arguments: Any, **options: Any) -> Release:
        forge(running, 1, COREDNS)
        return render(*arguments, **options)

    helm.render = and_forge  # type: ignore[method-assign]
    with pytest.raises(NestedClustersError, match="names objects of others"):
        present(running, helm, values={"a": "b"})
    assert "apply" not in helm.runs


def test_forged_record_written_after_helm_is_not_repaired(running: FakeCluster, helm: FakeHelm) -> None:
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


def test_forged_record_names_workload_elsewhere_labels_own_one(running: FakeCluster, helm: FakeHelm) -> None:
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


def test_forged_record_when_rollback_was_begun_is_refused(old: FakeCluster, helm: FakeHelm, backup: list[str]) -> None:
    """Rolling back makes what an old record names."""
    marked(old, copied=True, returning=True)
    old.add(COREDNS)
    forge(old, 1, COREDNS)
    error = refused(old, helm, vcluster_version="0.35.3")
    assert "ConfigMap coredns in namespace kube-system" in str(error)
    assert calls_of(backup) == []


def test_forged_record_written_during_upgrade_stops_nothing(
    old: FakeCluster, helm: FakeHelm, backup: list[str]
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
    with pytest.raises(NestedClustersError, match=r"the rollback failed: .*ConfigMap coredns") as caught:
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert caught.value.data["rolled_back"] is False
    assert not [call for call in backup if call.startswith(("restore", "rollback"))]
