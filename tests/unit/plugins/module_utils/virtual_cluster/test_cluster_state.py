# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of cluster_state: what is read of one virtual cluster, and in how many requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import cluster_state, drift
from clock import Clock
from fake_api import FakeCluster
from fake_helm import FakeHelm
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
    return run_demo(cluster, helm)


def test_state_synced_objects_are_not_read(running: FakeCluster) -> None:
    synced = {"vcluster.loft.sh/managed-by": NAME}
    running.have("Secret", "db-x-default-x-demo", namespace=NAMESPACE, labels=synced)
    running.have("StatefulSet", "inner", namespace=NAMESPACE, labels={**synced, "app": "vcluster"}, spec={})
    state = cluster_state.read(running.client(), NAME, NAMESPACE)
    assert not [where for where in state.live if where[3] in ("inner", "db-x-default-x-demo")]


def test_state_read_sends_one_request_per_kind(running: FakeCluster) -> None:
    running.requests.clear()
    cluster_state.read(running.client(), NAME, NAMESPACE)
    assert sorted(running.sent()) == sorted(
        [
            f"list {path('v1', 'secrets', NAMESPACE)}",
            f"list {path('v1', 'services', NAMESPACE)}",
            f"list {path('apps/v1', 'statefulsets', NAMESPACE)}",
            f"get {path('rbac.authorization.k8s.io/v1', 'clusterroles', None, f'vc-{NAME}')}",
        ]
    )


def test_state_secret_by_name_is_found(running: FakeCluster) -> None:
    state = cluster_state.read(running.client(), NAME, NAMESPACE)
    assert len(state.secrets) > 2
    for name in (f"vc-{NAME}", f"vc-config-{NAME}"):
        assert (state.secret(name) or {})["metadata"]["name"] == name
    assert state.secret("other") is None


def test_state_kind_not_served_counts_as_gone(running: FakeCluster, helm: FakeHelm) -> None:
    """What was of it is gone, which is said, and the rest is read all the same."""
    running.serve(without=["ClusterRole"])
    state = cluster_state.read(running.client(), NAME, NAMESPACE)
    found = drift.as_found(state.manifest, state.live)
    assert [change.text for change in drift.drift(found, state.manifest)] == [f"restore ClusterRole vc-{NAME}"]
