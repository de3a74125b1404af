# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual cluster of the smallest size in a cluster group: its quota leaves room for work, and for no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from host_api import Host, connections, remove_namespaces, spaces_of
from modules import Module, same
from places import Place
from waiting import eventually

GROUP = "it-smallest"
CAPACITY = {"cpu": "60", "memory": "120Gi", "storage": "300Gi"}  # with room for the groups of tests beside this one


@pytest.fixture
def grouped(host: Host, vcluster: Module, vcluster_group: Module) -> Iterator[Module]:
    """The module vcluster, for a group of the first host cluster alone, with the sizes that every group has."""
    one = connections({"host-a": host})
    vcluster_group(name=GROUP, host_clusters=[{**one[0], "capacity": CAPACITY}], vcluster_version="0.36.1")
    yield vcluster.against(group=GROUP, host_clusters=one)
    remove_namespaces(host, *spaces_of(host, GROUP))
    vcluster_group(name=GROUP, host_clusters=one, state="absent")


def test_virtual_cluster_of_the_smallest_size_has_room_for_work(
    host: Host, grouped: Module, new: Callable[..., Place], tmp_path: Path
) -> None:
    """API server, CoreDNS and a workload without requests run inside of the quota."""
    where, file = new("real"), str(tmp_path / "kubeconfig")
    asked: dict[str, Any] = {"name": where.name, "owner": "alice@example.com", "export_kubeconfig": {"path": file}}
    check, run = grouped(check=True, **asked), grouped(**asked)
    same(check, run)
    assert run["virtual_cluster"]["phase"] == "running"
    service = host.get(where.path("services", where.name))["spec"]["clusterIP"]
    inside = ("kubectl", "--kubeconfig", file, "--server", f"https://{service}", "--tls-server-name", "localhost")
    # `wait` needs the API only, and so says what is missing when there is no room.
    host.call(*inside, "create", "deployment", "work", "--image=busybox:stable", "--", "sleep", "3600")
    host.call(*inside, "wait", "--for=condition=Available", "--timeout=120s", "deployment/work")
    host.call(*inside, "-n", "kube-system", "wait", "--for=condition=Available", "--timeout=120s", "deployment/coredns")
    limits = host.get(where.path("resourcequotas", f"nested-clusters-{where.name}"))["spec"]["hard"]
    assert limits["requests.cpu"] == limits["limits.cpu"] == "4"
    assert limits["requests.memory"] == limits["limits.memory"] == "4Gi"
    assert limits["requests.storage"] == "2Gi"
    host.call(*inside, "create", "deployment", "greedy", "--image=busybox:stable", "--replicas=40", "--", "sleep", "60")
    eventually("the quota refuses", lambda: "exceeded quota" in host.call(*inside, "get", "events").stdout, 90)
