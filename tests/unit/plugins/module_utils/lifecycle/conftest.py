# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One virtual cluster on a host cluster in memory, in the states that a task may find it in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, WaitError
from ansible_collections.nested.clusters.plugins.module_utils.helm import post_renderer
from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart
from ansible_collections.nested.clusters.plugins.module_utils.helm.cli import ReleaseSpec
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import upgrade_backup, upgrade_record
from ansible_collections.nested.clusters.plugins.module_utils.values import accessors, tree
from clock import Clock
from fake_api import FakeCluster
from fake_api.storage import merged
from fake_helm import READY, WORKLOAD, FakeHelm, documents_with_paths, have_release, manifest
from helm_releases import NAME, NAMESPACE
from lifecycle_runs import run_clock, run_demo


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    yield from run_clock(monkeypatch)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def helm(cluster: FakeCluster) -> FakeHelm:
    return FakeHelm(cluster)


@pytest.fixture
def running(cluster: FakeCluster, helm: FakeHelm) -> FakeCluster:
    """One that this collection made, of the version before the newest."""
    return run_demo(cluster, helm)


@pytest.fixture
def adopted(cluster: FakeCluster, helm: FakeHelm) -> FakeCluster:
    """One that `vcluster create` made."""
    cluster.have("Namespace", NAMESPACE, annotations={well_known.CREATED: "true"})
    given = {"sync": {"fromHost": {"nodes": {"enabled": True}}}}
    helm.apply(ReleaseSpec(NAME, NAMESPACE, Chart("vcluster", "", "0.35.0"), given), None, {})
    helm.forget()
    return cluster


@pytest.fixture
def paused(running: FakeCluster) -> FakeCluster:
    annotations = {post_renderer.PAUSED: "true", post_renderer.PAUSED_REPLICAS: "1", well_known.PAUSED_DATE: "today"}
    rest = {"spec": {"replicas": 0}, "status": {**dict.fromkeys(READY), "observedGeneration": 2}}
    running.change(WORKLOAD, {"metadata": {"annotations": annotations}, **rest})
    return running


@pytest.fixture
def old(running: FakeCluster, helm: FakeHelm) -> FakeCluster:
    """One on 0.34.0, with the Kubernetes of then."""
    helm.versions.clear()
    given = tree.merge(accessors.BUILT_IN, tree.at(("controlPlane", "distro", "k8s", "version"), "v1.35.0"))
    text = manifest("0.34.0", given)
    have_release(
        running,
        1,
        {well_known.MANAGED: "true"},
        config=accessors.BUILT_IN,
        manifest=text,
        chart={"metadata": {"name": "vcluster", "version": "0.34.0"}},
    )
    for at, document in documents_with_paths(running, text, NAMESPACE):
        before = running.at(at)
        after: Any = merged(before, document)
        after["metadata"]["annotations"] = before["metadata"].get("annotations", {})
        running.add({**after, "status": before["status"]} if "status" in before else after)
    return running


@pytest.fixture
def backup(monkeypatch: pytest.MonkeyPatch, helm: FakeHelm) -> list[str]:
    """Calls of the backup, in order, with what helm makes between them; what is in ``unhealthy`` fails."""
    calls: list[str] = []
    helm.runs = calls

    class Backup:
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
    Backup.failing = failing  # type: ignore[attr-defined]
    Backup.unhealthy = unhealthy  # type: ignore[attr-defined]
    monkeypatch.setattr(upgrade_backup, "UpgradeBackup", Backup)
    return calls
