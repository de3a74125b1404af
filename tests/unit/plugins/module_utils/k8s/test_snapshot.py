# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of snapshot: the answers are those of the host cluster, from one LIST a kind."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError, Unreachable
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.k8s.snapshot import Snapshot, live
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import cluster_state
from populated import Host
from test_lock import Host as StrictHost


@pytest.fixture
def host() -> Host:
    found = Host()
    for name in ("red", "green", "blue"):
        found.cluster(name)
    return found


def snapshot(host: Any, kubeconfigs: bool = False) -> Snapshot:
    return Snapshot(host, kubeconfigs)


def names(things: list[dict[str, Any]]) -> list[str]:
    return sorted(thing["metadata"]["name"] for thing in things)


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
def test_a_list_is_what_the_host_cluster_says(host: Host, where: str, labels: str) -> None:
    assert names(snapshot(host).list(where, labels)) == names(host.list(where, labels))


def test_a_get_is_what_the_host_cluster_says(host: Host) -> None:
    seen = snapshot(host, kubeconfigs=True)
    for where in (
        path("v1", "services", "vcluster-red", "red"),
        path("v1", "secrets", "vcluster-red", "vc-red"),
        path("v1", "namespaces", None, "vcluster-red"),
        path("rbac.authorization.k8s.io/v1", "clusterroles", None, "vc-red-v-vcluster-red"),
        path("v1", "services", "vcluster-red", "other"),
        path("v1", "services", "nowhere", "red"),
    ):
        expected, got = host.get(where), seen.get(where)
        assert (got and got["metadata"]) == (expected and expected["metadata"]), where


def test_many_questions_are_one_list_a_kind(host: Host) -> None:
    seen = snapshot(host)
    seen.prefetch()
    host.lists.clear()
    for name in ("red", "green", "blue"):
        seen.list(path("v1", "secrets", f"vcluster-{name}"), cluster_state.NOT_SYNCED)
        seen.get(path("apps/v1", "statefulsets", f"vcluster-{name}", name))
    assert host.lists == []


def test_kubeconfigs_are_read_only_where_they_are_wanted(host: Host) -> None:
    where = path("v1", "secrets", "vcluster-red", "vc-red")
    assert snapshot(host).get(where) is None
    assert snapshot(host, kubeconfigs=True).get(where) is not None


def test_one_namespace_is_looked_into_again(host: Host) -> None:
    seen = snapshot(host)
    where = path("v1", "services", "vcluster-red", "red")
    assert seen.get(where)
    host.delete(where)
    assert seen.get(where)
    seen.look_again("vcluster-red")
    assert seen.get(where) is None
    assert seen.get(path("v1", "services", "vcluster-green", "green"))


def test_what_may_not_be_listed_everywhere_is_asked_for_in_each_namespace() -> None:
    host = StrictHost()
    host.have("Service", "red", namespace="vcluster-red", labels={"release": "red"})
    real = host.list

    def refusing(where: str, *rest: Any, **more: Any) -> list[dict[str, Any]]:
        if where == path("v1", "services"):
            raise KubernetesError("no permission", 403, "Forbidden")
        return real(where, *rest, **more)

    host.list = refusing  # type: ignore[method-assign]
    seen = snapshot(host)
    assert seen.get(path("v1", "services", "vcluster-red", "red"))
    assert names(seen.list(path("v1", "services", "vcluster-red"))) == ["red"]


def test_a_host_cluster_that_is_down_is_asked_once() -> None:
    host = StrictHost()
    host.down = True
    seen = snapshot(host)
    for _each in range(3):
        with pytest.raises(Unreachable):
            seen.list(path("v1", "services", "vcluster-red"))
    assert len(host.asked) == 1


def test_it_does_not_write(host: Host) -> None:
    seen = snapshot(host)
    with pytest.raises(AssertionError):
        seen.patch(path("v1", "namespaces", None, "vcluster-red"), {})
    assert id(live(seen)) == id(host)
    assert id(live(seen.live)) == id(host)
