# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of validation: requests that are refused before anything is written."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.helm import post_renderer
from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from fake_api import FakeCluster
from fake_helm import FakeHelm, have_release
from helm_releases import NAME, NAMESPACE, release_secret
from kubeconfig_secrets import kubeconfig_secret
from lifecycle_runs import checked, present, refused

KUBECONFIG = path("v1", "secrets", NAMESPACE, f"vc-{NAME}")


@pytest.mark.parametrize(
    ("asked", "option", "word"),
    [
        ({"vcluster_version": "0.34.0"}, "vcluster_version", "downgrade"),
        ({"vcluster_version": "0.38.0"}, "vcluster_version", "knows no release of 0.37"),
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
def test_validate_invalid_option_is_refused(
    asked: dict[str, Any], option: str, word: str, running: FakeCluster, helm: FakeHelm
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
def test_validate_invalid_name_of_new_cluster_is_refused(
    asked: dict[str, str], option: str, cluster: FakeCluster, helm: FakeHelm
) -> None:
    error = refused(cluster, helm, **asked)
    assert isinstance(error, OptionError)
    assert error.data["option"] == option


def test_validate_second_cluster_in_namespace_is_refused(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE)
    have_release(cluster, name="other")
    error = refused(cluster, helm)
    assert isinstance(error, OptionError)
    assert error.data["option"] == "namespace"
    assert "other" in str(error)


def test_validate_releases_of_other_charts_are_allowed(cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE)
    have_release(cluster, name="db", chart={"metadata": {"name": "postgresql"}})
    broken = release_secret(1, name="broken")
    broken["data"] = {"release": "!"}
    cluster.add({"apiVersion": "v1", "kind": "Secret", **broken})
    assert checked(cluster, helm).plan.changed


@pytest.mark.parametrize("status", ["deployed", "pending-install"])
def test_validate_name_of_release_of_other_chart_is_refused(status: str, cluster: FakeCluster, helm: FakeHelm) -> None:
    cluster.have("Namespace", NAMESPACE)
    chart = {"metadata": {"name": "postgresql", "version": "1.0.0"}}
    have_release(cluster, chart=chart, info={"status": status}, manifest="")
    error = refused(cluster, helm)
    assert isinstance(error, OptionError)
    assert error.data["option"] == "name"
    assert "postgresql" in str(error)


def test_validate_chart_that_is_not_vcluster_is_refused(cluster: FakeCluster, helm: FakeHelm) -> None:
    helm.chart_name = "postgresql"
    error = refused(cluster, helm)
    assert isinstance(error, OptionError)
    assert error.data["option"] == "chart_ref"


def test_validate_local_chart_has_the_version_of_its_file(cluster: FakeCluster, helm: FakeHelm, tmp_path: Path) -> None:
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
        outcome = present(cluster, helm, check=True, chart=chart)
        assert f"install release {NAME} with vCluster 0.35.1" in outcome.plan.steps
        present(cluster, helm, check=True, chart=chart, vcluster_version="v0.35.1")
        error = refused(cluster, helm, chart=chart, vcluster_version="0.36.1")
        assert isinstance(error, OptionError)
        assert (error.data["option"], error.data["allowed"]) == ("vcluster_version", "0.35.1")


@pytest.mark.parametrize("text", [None, "", "[]", "name: vcluster\n", "a: [\n"])
def test_validate_broken_local_chart_is_refused(
    text: str | None, cluster: FakeCluster, helm: FakeHelm, tmp_path: Path
) -> None:
    directory = tmp_path / "chart"
    directory.mkdir()
    archive = tmp_path / "chart.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        if text is not None:
            (directory / "Chart.yaml").write_text(text)
            tar.add(directory / "Chart.yaml", "chart/Chart.yaml")
    (tmp_path / "text.tgz").write_text("no archive")
    for where in (directory, archive, tmp_path / "text.tgz"):
        error = refused(cluster, helm, chart=Chart(str(where), "", None))
        assert isinstance(error, OptionError)
        assert error.data["option"] == "chart_ref"


def run_a_command(config: dict[str, Any]) -> None:
    config["users"][0]["user"]["exec"] = {"command": "sh"}


@pytest.mark.parametrize("check", [False, True])
def test_validate_changed_kubeconfig_secret_is_refused(check: bool, cluster: FakeCluster, helm: FakeHelm) -> None:
    """It is refused before anything is changed, also where the task changes more than the file."""
    present(cluster, helm)
    cluster.change(KUBECONFIG, {"data": kubeconfig_secret(NAME, NAMESPACE, run_a_command)["data"]})
    before = cluster.state()
    helm.forget()
    with pytest.raises(NestedClustersError, match=r"users\[\]\.user\.exec"):
        present(cluster, helm, check=check, values={"sync": {"toHost": {"ingresses": {"enabled": True}}}})
    assert (cluster.state(), cluster.writes(), helm.runs) == (before, [], [])


def test_validate_changed_backing_store_is_refused(running: FakeCluster, helm: FakeHelm) -> None:
    asked = {"controlPlane": {"backingStore": {"etcd": {"deploy": {"enabled": True}}}}}
    error = refused(running, helm, values=asked)
    assert isinstance(error, OptionError)
    assert "backingStore" in str(error)


def test_validate_unknown_kubernetes_version_is_refused(cluster: FakeCluster, helm: FakeHelm) -> None:
    error = refused(cluster, helm, kubernetes_version="v2.0.0")
    assert isinstance(error, OptionError)
    assert error.data["option"] == "kubernetes_version"
