# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_group_info: what cannot be seen is null, with a warning that says why."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator

import pytest
from group_info_tools import CLAIMED, SIZE, Dev, amount, by_name, group_of_two, warnings
from host_api import Host, Object, connections
from modules import Module
from waiting import eventually

FIGURES = ("capacity", "limit", "allocated", "used", "available")


@pytest.fixture(scope="module")
def dev(host: Host, members: dict[str, Host], vcluster: Module) -> Iterator[Dev]:
    host.wait_for_leaving()  # what other tests had counts no more
    with group_of_two(members, vcluster, f"it-{uuid.uuid4().hex[:5]}") as found:
        claim = found.second.path("persistentvolumeclaims", f"data-{found.second.name}-0")
        eventually("a claim", lambda: members[found.last].get(claim))
        yield found


def test_host_cluster_that_does_not_answer_is_shown_with_a_warning(dev: Dev) -> None:
    """It is shown as such, with a warning, and the others as they are; only where none answers the task fails."""
    entries = connections(dev.members)
    silent = {"host": "https://127.0.0.1:9", "api_key": "unused", "kubeconfig": os.devnull}
    gone = [{**silent, "name": entry["name"]} for entry in entries]
    assert "does not answer" in dev.info.refused(name=dev.name, host_clusters=gone)
    result = dev.info(name=dev.name, host_clusters=[entries[0], gone[1]])
    assert warnings(result, "host cluster host-b: host cluster https://127.0.0.1:9 does not answer")
    found = result["groups"][0]
    there, missing = found["host_clusters"]
    assert there["reachable"] is True
    assert (missing["reachable"], [missing[figure] for figure in FIGURES]) == (False, [None] * len(FIGURES))
    assert missing["reason"].startswith("host cluster https://127.0.0.1:9 does not answer: ")
    assert list(by_name(found["virtual_clusters"])) == [dev.first.name]
    assert found["allocated"] == there["allocated"]


def test_virtual_cluster_without_quota_has_unknown_use(dev: Dev) -> None:
    """Nobody knows what it uses, but its storage; a warning says what to do."""
    host = dev.members[dev.last]
    where = dev.second.path("resourcequotas", f"nested-clusters-{dev.second.name}")
    quota = host.get(where)
    host.delete(where)
    try:
        result = dev.info(name=dev.name)
        found = by_name(result["groups"][0]["virtual_clusters"])[dev.second.name]
        assert found["used"] == {"cpu": None, "memory": None, "storage": CLAIMED}
        assert "nothing counts what" in warnings(result, dev.second.name)[0]
    finally:
        quota["metadata"] = {key: quota["metadata"][key] for key in ("name", "labels")}
        host.create(dev.second.path("resourcequotas"), quota)


@pytest.fixture
def reader(dev: Dev, host: Host) -> Iterator[Callable[..., list[Object]]]:
    """Makes connections to host-a that may list some kinds only."""
    name, rbac = f"{dev.name}-reader", "/apis/rbac.authorization.k8s.io/v1"
    account = {"kind": "ServiceAccount", "name": "default", "namespace": dev.first.namespace}

    def allow(**kinds: list[str]) -> list[Object]:
        groups = {"core": "", "apps": "apps"}
        rules = [
            {"apiGroups": [groups[key]], "resources": plurals, "verbs": ["list"]} for key, plurals in kinds.items()
        ]
        host.create(f"{rbac}/clusterroles", {"metadata": {"name": name}, "rules": rules})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
        binding = {"metadata": {"name": name}, "roleRef": role, "subjects": [account]}
        host.create(f"{rbac}/clusterrolebindings", binding)
        token = host.call("kubectl", "create", "token", "default", "-n", dev.first.namespace).stdout.strip()
        address = {"host": host.configuration.host, "ca_cert": host.configuration.ssl_ca_cert}
        return [{"name": "host-a", **address, "api_key": token, "kubeconfig": os.devnull}]

    try:
        yield allow
    finally:
        for plural in ("clusterrolebindings", "clusterroles"):
            host.delete(f"{rbac}/{plural}/{name}")


def test_kinds_that_may_not_be_listed_are_null_with_a_warning(dev: Dev, reader: Callable[..., list[Object]]) -> None:
    """Null, with a warning that names it; the rest is there."""
    entry = reader(core=["configmaps", "namespaces"], apps=["statefulsets", "deployments"])
    result = eventually("its permissions", lambda: permitted(dev.info.raw(name=dev.name, host_clusters=entry)))
    host = result["groups"][0]["host_clusters"][0]
    assert (host["reachable"], host["nodes"], host["used_from"]) == (True, None, None)
    assert host["capacity"] == host["limit"] == {"cpu": None, "memory": None, "storage": None}
    assert host["used"]["cpu"] is None
    assert amount(host["allocated"]["cpu"]) >= amount(SIZE["cpu"])
    (told,) = warnings(result, "no permission to list")
    assert all(kind in told for kind in ("nodes", "resourcequotas", "persistentvolumeclaims"))


def permitted(result: Object) -> Object | None:
    return None if result.get("failed") else result


def test_group_info_without_permission_for_workloads_is_refused(dev: Dev, reader: Callable[..., list[Object]]) -> None:
    """Without workloads there is nothing to say; the message names who may not do what."""
    entry = reader(core=["configmaps", "namespaces"])
    message = eventually("its permissions", lambda: workloads(dev.info.refused(name=dev.name, host_clusters=entry)))
    assert f"system:serviceaccount:{dev.first.namespace}:default" in message
    assert "option namespace" not in message


def workloads(message: str) -> str | None:
    return message if "statefulsets" in message else None
