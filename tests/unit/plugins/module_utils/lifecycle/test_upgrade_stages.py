# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of upgrades over several versions: no minor version is skipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError, WaitError
from ansible_collections.nested.clusters.plugins.module_utils.common.semver import parse_version
from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import upgrade_stages
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import Request
from ansible_collections.nested.clusters.plugins.module_utils.values import accessors, tree
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import cluster_state, workloads
from clock import Clock
from fake_api import FakeCluster
from fake_helm import CHART, WORKLOAD, FakeHelm
from helm_releases import NAME, NAMESPACE
from lifecycle_runs import checked, present, refused
from upgrades import WAY


def test_stages_upgrade_over_two_minors_goes_through_each(old: FakeCluster, helm: FakeHelm) -> None:
    outcome = checked(old, helm, vcluster_version="0.36.1")
    assert outcome.plan.steps == [
        f"upgrade release {NAME} from vCluster 0.34.0 to 0.35.3, and wait until it is ready",
        f"upgrade release {NAME} from vCluster 0.35.3 to 0.36.1",
    ]
    shown = {entry["before_header"]: entry for entry in outcome.plan.diff}
    way = shown[f"vCluster versions of {NAME}, one after another"]
    assert (way["before"], way["after"]) == ("- 0.34.0\n", "- 0.35.3\n- 0.36.1\n")
    assert helm.versions == WAY
    assert outcome.state.release is not None
    assert well_known.BETWEEN not in outcome.state.release.labels


def test_stages_kubernetes_upgrade_goes_through_each_minor(old: FakeCluster, helm: FakeHelm) -> None:
    outcome = checked(old, helm, kubernetes_version="v1.37.0", vcluster_version="0.34.0")
    assert outcome.plan.steps[0] == f"upgrade release {NAME} to Kubernetes v1.36.0, and wait until it is ready"
    assert outcome.plan.steps[1:] == [
        f"upgrade release {NAME} to Kubernetes v1.37.0",
        f"change values of release {NAME}",
    ]
    assert workloads.kubernetes_version(old.at(WORKLOAD)) == "v1.37.0"


def test_stages_each_version_is_ready_before_the_next(old: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    with pytest.raises(WaitError):
        present(old, helm, wait=None, vcluster_version="0.36.1")
    assert helm.versions == ["0.35.3"]
    with pytest.raises(WaitError):  # what an earlier task made has to run as well
        present(old, helm, wait=None, vcluster_version="0.36.1")
    assert helm.versions == ["0.35.3"]
    clock.after(clock.now - 1000 + 30, helm.start)
    outcome = present(old, helm, wait=None, vcluster_version="0.36.1")
    assert outcome.plan.steps == [f"upgrade release {NAME} from vCluster 0.35.3 to 0.36.1"]
    assert helm.versions == WAY


def test_stages_failing_stage_can_be_changed(old: FakeCluster, helm: FakeHelm) -> None:
    helm.ready = False
    with pytest.raises(WaitError):
        present(old, helm, vcluster_version="0.36.1")
    broken = tree.at(("controlPlane", "statefulSet", "image", "tag"), "0.35.3-repaired")
    assert present(old, helm, wait=None, vcluster_version="0.35.3", values=broken).plan.changed


def test_stages_new_values_come_with_first_version_that_knows_them(old: FakeCluster, helm: FakeHelm) -> None:
    asked = {"sync": {"toHost": {"gatewayApi": {"enabled": True}}}}  # since 0.35
    given = tree.merge(accessors.BUILT_IN, asked)
    request = Request(NAME, NAMESPACE, CHART)
    state = cluster_state.read(old.client(), NAME, NAMESPACE)
    stages = upgrade_stages.plan_stages(request, replace_release(state, "0.33.0"), parse_version("0.36.1"), given)
    assert [(stage.version.text, stage.values == given) for stage in stages] == [
        ("0.34.7", False),
        ("0.35.3", True),
        ("0.36.1", True),
    ]


def test_stages_values_that_no_stage_takes_are_refused(old: FakeCluster, helm: FakeHelm) -> None:
    state = cluster_state.read(old.client(), NAME, NAMESPACE)
    state = replace_release(state, "0.30.0", {"policies": {"networkPolicy": {"outgoingConnections": {}}}})
    given = {"sync": {"toHost": {"gatewayApi": {"enabled": True}}}}
    with pytest.raises(OptionError, match=r"passes vCluster 0\.31\.3, which accepts neither"):
        upgrade_stages.plan_stages(Request(NAME, NAMESPACE, CHART), state, parse_version("0.36.1"), given)


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


def test_stages_single_local_chart_over_two_minors_is_refused(old: FakeCluster, helm: FakeHelm, tmp_path: Path) -> None:
    packaged(tmp_path, "0.36.1")
    error = refused(old, helm, chart=Chart(f"{tmp_path}/vcluster-0.36.1", "", None))
    assert error.data["option"] == "chart_ref"
    assert "passes 0.35.3" in str(error)
    assert "{version}" in str(error)


def test_stages_local_charts_by_version_are_used(old: FakeCluster, helm: FakeHelm, tmp_path: Path) -> None:
    chart = Chart(f"{tmp_path}/vcluster-{{version}}", "", None)
    packaged(tmp_path, "0.36.1")
    error = refused(old, helm, chart=chart, vcluster_version="0.36.1")
    assert f"{tmp_path}/vcluster-0.35.3" in str(error)
    packaged(tmp_path, "0.35.3")
    checked(old, helm, chart=chart, vcluster_version="0.36.1")
    assert helm.versions == WAY
