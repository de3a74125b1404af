# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of snapshot: the answers are those of the host cluster, from one LIST a kind."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import Unreachable
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.k8s.snapshot import Snapshot, live
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import cluster_state
from fake_api import FakeCluster
from virtual_clusters import have_virtual_cluster


@pytest.fixture
def cluster() -> FakeCluster:
    result = FakeCluster()
    for name in ("red", "green", "blue"):
        have_virtual_cluster(result, name)
    return result


@pytest.fixture
def host(cluster: FakeCluster) -> Kubernetes:
    return cluster.client()


def names(items: list[dict[str, Any]]) -> list[str]:
    return sorted(item["metadata"]["name"] for item in items)


@pytest.mark.parametrize(
    ("where", "labels"),
    [
        (path("v1", "secrets", "vcluster-red"), "owner=helm,name=red"),
        (path("v1", "secrets", "vcluster-red"), "owner=helm,name=green"),
        (path("v1", "secrets", "vcluster-red"), "app=vcluster,!vcluster-name"),
        (path("v1", "services", "vcluster-green"), cluster_state.NOT_SYNCED),
        (path("apps/v1", "statefulsets", "vcluster-blue"), cluster_state.NOT_SYNCED),
        (path("v1", "namespaces"), "nested-clusters/group"),
        (path("v1", "namespaces"), ""),
    ],
)
def test_list_of_a_snapshot_is_that_of_the_host_cluster(host: Kubernetes, where: str, labels: str) -> None:
    expected = host.list(where, labels)
    assert sorted(Snapshot(host).list(where, labels), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize(
    "where",
    [
        path("v1", "services", "vcluster-red", "red"),
        path("v1", "secrets", "vcluster-red", "vc-red"),
        path("v1", "namespaces", None, "vcluster-red"),
        path("rbac.authorization.k8s.io/v1", "clusterroles", None, "vc-red-v-vcluster-red"),
        path("v1", "services", "vcluster-red", "other"),
        path("v1", "services", "nowhere", "red"),
    ],
)
def test_get_of_a_snapshot_is_that_of_the_host_cluster(host: Kubernetes, where: str) -> None:
    """But for its kind, which items of a LIST do not tell."""
    expected, found = host.get(where), Snapshot(host, kubeconfigs=True).get(where)
    untyped = expected and {name: part for name, part in expected.items() if name not in ("kind", "apiVersion")}
    assert found == untyped


def test_requests_for_many_are_one_list_a_kind(cluster: FakeCluster, host: Kubernetes) -> None:
    snapshot = Snapshot(host)
    snapshot.prefetch()
    lists = cluster.sent()
    for name in ("red", "green", "blue"):
        snapshot.list(path("v1", "secrets", f"vcluster-{name}"), cluster_state.NOT_SYNCED)
        snapshot.get(path("apps/v1", "statefulsets", f"vcluster-{name}", name))
    assert cluster.sent() == lists
    assert lists.count("list /api/v1/secrets") == 2, "by the chart's labels, and by Helm's"
    assert len(set(lists)) == len(lists) - 1


def test_kubeconfigs_are_read_only_where_they_are_wanted(host: Kubernetes) -> None:
    where = path("v1", "secrets", "vcluster-red", "vc-red")
    assert Snapshot(host).get(where) is None
    assert Snapshot(host, kubeconfigs=True).get(where) is not None


def test_namespace_that_is_read_again_shows_what_changed(host: Kubernetes) -> None:
    snapshot = Snapshot(host)
    where = path("v1", "services", "vcluster-red", "red")
    assert snapshot.get(where)
    host.delete(where)
    assert snapshot.get(where)
    snapshot.look_again("vcluster-red")
    assert snapshot.get(where) is None
    assert snapshot.get(path("v1", "services", "vcluster-green", "green"))


def test_list_without_permission_in_all_namespaces_is_made_in_each() -> None:
    cluster = FakeCluster()
    cluster.have("Service", "red", namespace="vcluster-red", labels={"release": "red"})
    cluster.deny("list", "services", allowed_in=["vcluster-red"])
    snapshot = Snapshot(cluster.client())
    assert snapshot.get(path("v1", "services", "vcluster-red", "red"))
    assert names(snapshot.list(path("v1", "services", "vcluster-red"))) == ["red"]
    assert cluster.sent("list").count("list /api/v1/services") == 1


def test_host_cluster_that_is_down_is_asked_once() -> None:
    cluster = FakeCluster()
    cluster.down = True
    client = cluster.client()
    snapshot = Snapshot(client)
    for _each in range(3):
        with pytest.raises(Unreachable):
            snapshot.list(path("v1", "services", "vcluster-red"))
    assert client.requests == 1


def test_write_to_a_snapshot_is_an_error(host: Kubernetes) -> None:
    snapshot = Snapshot(host)
    with pytest.raises(AssertionError):
        snapshot.patch(path("v1", "namespaces", None, "vcluster-red"), {})
    assert live(snapshot) is host
    assert live(snapshot.live) is host
