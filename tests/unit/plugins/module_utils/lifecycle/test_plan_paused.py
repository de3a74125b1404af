# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the plan for a paused virtual cluster, which stays paused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.helm import post_renderer
from ansible_collections.nested.clusters.plugins.module_utils.values import accessors
from clock import Clock
from fake_api import FakeCluster
from fake_helm import WORKLOAD, FakeHelm, have_release, manifest
from lifecycle_runs import checked, present, refused


def test_plan_paused_cluster_stays_paused(paused: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    assert checked(paused, helm).plan.steps == []
    assert checked(paused, helm, labels={"env": "test"}).plan.changed
    assert paused.at(WORKLOAD)["spec"]["replicas"] == 0
    assert clock.now == 1000


PAUSED_CHANGES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "version": ({"vcluster_version": "0.36.1"}, ["upgrade release demo from vCluster 0.35.0 to 0.36.1"]),
    "values": ({"values": {"sync": {"toHost": {"ingresses": {"enabled": True}}}}}, ["change values of release demo"]),
}


@pytest.mark.parametrize(("asked", "steps"), PAUSED_CHANGES.values(), ids=PAUSED_CHANGES)
def test_plan_paused_cluster_is_changed_without_start(
    asked: dict[str, Any], steps: list[str], paused: FakeCluster, helm: FakeHelm, clock: Clock
) -> None:
    outcome = checked(paused, helm, **asked)
    assert outcome.plan.steps == steps
    assert "replicas: 0" not in str(outcome.plan.diff)
    workload = paused.at(WORKLOAD)
    assert workload["spec"]["replicas"] == 0
    assert workload["metadata"]["annotations"][post_renderer.PAUSED_REPLICAS] == "1"
    assert clock.now == 1000
    # Resumed as the CLI does it, the release is as it should be; helm may then change it as any other.
    marks = dict.fromkeys((post_renderer.PAUSED, post_renderer.PAUSED_REPLICAS))
    paused.change(WORKLOAD, {"metadata": {"annotations": marks}, "spec": {"replicas": 1}})
    helm.start()
    assert checked(paused, helm, **asked).plan.steps == []
    checked(paused, helm, values={})
    assert paused.at(WORKLOAD)["spec"]["replicas"] == 1
    paused.change(WORKLOAD, {"spec": {"replicas": 2}})
    assert checked(paused, helm, values={}).plan.steps == ["repair StatefulSet demo"]


def test_plan_paused_cluster_upgrades_one_minor_version_from_last_run(paused: FakeCluster, helm: FakeHelm) -> None:
    """0.35 ran last; what it has stored must not be met by 0.37 without 0.36 in between."""
    checked(paused, helm, vcluster_version="0.36.1")
    checked(paused, helm, values={"sync": {}})  # and this does not let it forget
    error = refused(paused, helm, vcluster_version="0.37.0")
    assert "the virtual cluster is paused and last ran 0.35.0" in str(error)
    tomorrow = {"annotations": {well_known.PAUSED_DATE: "tomorrow"}}
    paused.change(WORKLOAD, {"metadata": tomorrow})  # it was resumed, and paused again
    checked(paused, helm, vcluster_version="0.37.0")


def test_plan_paused_cluster_skipping_minor_version_is_refused(paused: FakeCluster, helm: FakeHelm) -> None:
    text = manifest("0.34.0", accessors.BUILT_IN)
    have_release(paused, chart={"metadata": {"name": "vcluster", "version": "0.34.0"}}, manifest=text)
    error = refused(paused, helm, vcluster_version="0.36.1")
    assert "0.35.3, 0.36.1 one after another" in str(error)


def test_plan_paused_cluster_with_unfinished_change_is_cleared(paused: FakeCluster, helm: FakeHelm) -> None:
    have_release(paused, 2, info={"status": "pending-upgrade"})
    assert present(paused, helm).plan.steps == ["clear the unfinished Helm revision 2 (pending-upgrade)"]
    assert paused.at(WORKLOAD)["spec"]["replicas"] == 0
