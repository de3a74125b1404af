# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_group_info, through main(), on host clusters in memory: usage, room, and what cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_records
from ansible_collections.nested.clusters.plugins.modules import vcluster_group_info
from group_hosts import DEV, SIZE, A, GroupHost, claim, control_plane, node, pod_metrics, quota
from workloads import Object

POD_METRICS = "/apis/metrics.k8s.io/v1beta1/pods"
CLAIMS = "/api/v1/persistentvolumeclaims"
FIGURES = ("capacity", "limit", "allocated", "used", "available")
NOTHING = {"cpu": "0", "memory": "0", "storage": "0"}

Run = Callable[..., Object]
Hosts = dict[str, GroupHost]


@pytest.fixture
def hosts() -> Hosts:
    """Two host clusters of the task; more can be added."""
    return {"host-a": GroupHost("a"), "host-b": GroupHost("b")}


@pytest.fixture
def info(hosts: Hosts, connect: Any, run_module: Any) -> Run:
    """Run the module on all of them."""

    def run(**options: Any) -> Object:
        result: Object = run_module(vcluster_group_info, host_clusters=connect(**hosts), **options)
        return result

    return run


@pytest.fixture
def dev(hosts: Hosts) -> Hosts:
    """Group dev on both, with nothing in it."""
    for name, host in hosts.items():
        host.have_record(DEV, name)
    return hosts


def only(result: Object) -> Object:
    """The one group of a result."""
    assert not result.get("failed"), result["msg"]
    (group,) = result["groups"]
    found: Object = group
    return found


def by_name(items: list[Object]) -> dict[str, Object]:
    return {item["name"]: item for item in items}


# --- what is used -----------------------------------------------------------------------------------------


def test_used_with_metrics_is_what_they_say(info: Run, dev: Hosts) -> None:
    """CPU and memory are what metrics say, of all pods of the namespace; storage is what is claimed."""
    dev["host-a"].have_virtual_cluster("team-a").have_virtual_cluster("new")
    dev["host-a"].have_virtual_cluster("paused", has=["quota"])
    dev["host-a"].have_all(control_plane("paused", 0, 0, annotations={"loft.sh/paused": "true"}))
    dev["host-a"].have_all(
        pod_metrics("team-a", ("1234567n", "100Mi"), ("10m", "1024Ki")),
        pod_metrics("team-a", ("1u", "1Mi")),
        pod_metrics("paused", ("1", "1Gi")),
        pod_metrics("stranger", ("1", "1Gi")),
    )
    found = only(info())
    clusters = by_name(found["virtual_clusters"])
    assert clusters["team-a"]["used"] == {"cpu": "12m", "memory": "102Mi", "storage": "1Gi"}
    assert clusters["new"]["used"] == {"cpu": "0", "memory": "0", "storage": "1Gi"}
    assert clusters["paused"]["used"] == {"cpu": "0", "memory": "0", "storage": "1Gi"}
    first, second = found["host_clusters"]
    assert (first["used_from"], second["used_from"]) == ("metrics", "requests")
    assert first["used"] == {"cpu": "12m", "memory": "102Mi", "storage": "3Gi"}


@pytest.mark.parametrize("status", [403, 503])
def test_used_with_metrics_that_do_not_answer_is_what_is_requested(status: int, info: Run, dev: Hosts) -> None:
    host = dev["host-a"].have_virtual_cluster("team-a").have_all(pod_metrics("team-a", ("1", "1Gi")))
    host.intercept = lambda request: status if request.path == POD_METRICS else None
    result = info()
    first = only(result)["host_clusters"][0]
    assert (first["used_from"], first["used"]["cpu"], result["warnings"]) == ("requests", "250m", [])


def test_used_with_a_quota_that_counts_nothing_yet_is_nothing(info: Run, dev: Hosts) -> None:
    dev["host-a"].have_virtual_cluster("new", has=["workload"]).have_all(quota("new", None))
    assert only(info())["virtual_clusters"][0]["used"] == NOTHING


@pytest.mark.parametrize("claims", [2, 1])
def test_used_without_a_quota_is_unknown_but_for_storage(claims: int, info: Run, dev: Hosts) -> None:
    """Storage is counted by the claims, the rest is not known: neither there nor in the sums, and that is said."""
    a = dev["host-a"].have_virtual_cluster("team-a", has=["workload"])
    where = "/api/v1/namespaces/vcluster-team-a/persistentvolumeclaims"
    if claims == 2:
        a.have_virtual_cluster("team-b", has=["workload"])
        where = CLAIMS
    a.have_all(*[claim(name, "1Gi") for name in ("team-a", "team-b")[:claims]])
    result = info()
    found = only(result)
    assert found["virtual_clusters"][0]["used"] == {"cpu": None, "memory": None, "storage": "1Gi"}
    assert found["host_clusters"][0]["used"] == {"cpu": None, "memory": None, "storage": f"{claims}Gi"}
    assert found["used"] == {"cpu": None, "memory": None, "storage": f"{claims}Gi"}
    (warning,) = result["warnings"]
    names = "team-a, team-b use" if claims == 2 else "team-a uses"
    assert f"host cluster host-a: nothing counts what {names}: ResourceQuota nested-clusters-NAME" in warning
    assert a.asked[where] == 1


def test_used_without_a_quota_but_with_metrics_is_what_they_say(info: Run, dev: Hosts) -> None:
    dev["host-a"].have_virtual_cluster("team-a", has=["workload"]).have_all(pod_metrics("team-a", ("1", "1Gi")))
    result = info()
    assert only(result)["virtual_clusters"][0]["used"] == {"cpu": "1", "memory": "1Gi", "storage": "0"}
    assert result["warnings"] == []


# --- what takes no new ones -------------------------------------------------------------------------------


def test_reason_of_a_full_host_cluster_names_what_is_left(info: Run, dev: Hosts) -> None:
    dev["host-a"].have_nodes(node(unschedulable=True))
    for number in range(8):
        dev["host-b"].have_virtual_cluster(f"team-{number}", annotations={"size": json.dumps({**SIZE, "cpu": "1200m"})})
    first, second = only(info())["host_clusters"]
    assert (first["reason"], first["nodes"], first["capacity"]["cpu"]) == ("the only node is cordoned", 0, "0")
    # The smallest that the group allows has one.
    assert second["reason"] == "0 of 9600m cpu left, -12.9Gi of 19.1Gi memory left"
    assert second["available"] == {"cpu": "0", "memory": "-13743895348", "storage": None}


def test_reason_of_a_node_with_a_broken_quantity_names_it(info: Run, dev: Hosts) -> None:
    dev["host-a"].have_nodes(node(cpu="many"))
    first = only(info())["host_clusters"][0]
    assert first["reason"].startswith("node node: allocatable cpu 'many' is not a quantity")
    assert first["capacity"] == first["available"] == {"cpu": None, "memory": None, "storage": None}


def test_capacity_declared_holds_where_nodes_may_not_be_listed(info: Run, hosts: Hosts) -> None:
    """It holds also where nodes may not be listed; the rest is not known then."""
    declared = replace(A, capacity=Size.parse({"cpu": 2, "storage": "10Gi"}, "capacity", partial=True))
    hosts["host-a"].have_record(replace(DEV, members=(declared,)), "host-a").deny("list", "nodes")
    result = info()
    (host,) = only(result)["host_clusters"]
    assert host["capacity"] == {"cpu": "2", "memory": None, "storage": "10Gi"}
    assert host["available"] == {"cpu": "2400m", "memory": None, "storage": "12Gi"}
    assert (host["nodes"], host["reason"]) == (None, "")
    assert result["warnings"] == ["host cluster host-a: no permission to list nodes: the capacity may not be known"]


def test_reason_of_a_member_without_its_record_tells_so(info: Run, hosts: Hosts) -> None:
    """As an unfinished change leaves it: its numbers are known, and that it takes none."""
    hosts["host-a"].have_record(DEV, "host-a")
    hosts["host-b"].have_virtual_cluster("team-b")
    found = only(info())
    second = found["host_clusters"][1]
    assert (second["reachable"], second["allocated"], second["virtual_clusters"]) == (True, SIZE, 1)
    assert second["reason"] == "it has no record of group dev: run the group's vcluster_group task again"
    assert found["virtual_clusters"][0]["host_cluster"] == "host-b"


def test_records_that_differ_are_a_warning(info: Run, hosts: Hosts) -> None:
    hosts["host-a"].have_record(replace(DEV, description="new", generation=3), "host-a")
    hosts["host-b"].have_record(replace(DEV, description="old", generation=2), "host-b")
    result = info()
    assert only(result)["description"] == "new"
    assert result["warnings"][0].startswith("the records of group dev differ between host clusters")


# --- what cannot be read ----------------------------------------------------------------------------------


def test_host_cluster_that_does_not_answer_is_unreachable(info: Run, dev: Hosts) -> None:
    dev["host-a"].have_virtual_cluster("team-a")
    dev["host-b"].down = True
    result = info()
    found = only(result)
    reason = found["host_clusters"][1]["reason"]
    assert reason.startswith("host cluster https://b does not answer: ")
    assert found["host_clusters"][1] == {
        "name": "host-b",
        "reachable": False,
        "reason": reason,
        "nodes": None,
        "dns_pattern": "*.b.example.com",
        "virtual_clusters": None,
        "used_from": None,
        **dict.fromkeys(FIGURES),
    }
    assert found["allocated"] == SIZE
    assert result["warnings"] == [f"host cluster host-b: {reason}"]


@pytest.mark.parametrize("given", [["host-a"], ["host-a", "host-b"]])
def test_host_clusters_that_all_do_not_answer_fail(given: list[str], info: Run, hosts: Hosts) -> None:
    for name in set(hosts) - set(given):
        del hosts[name]
    for host in hosts.values():
        host.down = True
    result = info()
    assert result["failed"] is True
    reasons = [f"host cluster https://{name} does not answer: " for name in ("a", "b")]
    if len(given) == 1:
        assert result["msg"].startswith(reasons[0])
    else:
        assert result["msg"].startswith(f"host-a: {reasons[0]}")
        assert f"; host-b: {reasons[1]}" in result["msg"]


@pytest.mark.parametrize("plural", ["configmaps", "deployments", "namespaces", "statefulsets"])
def test_permission_that_is_required_and_missing_makes_unreachable(plural: str, info: Run, dev: Hosts) -> None:
    dev["host-b"].deny("list", plural)
    second = only(info())["host_clusters"][1]
    assert second["reachable"] is False
    assert f'cannot list resource "{plural}"' in second["reason"]


def test_permission_to_read_usage_missing_is_a_warning(info: Run, dev: Hosts) -> None:
    dev["host-a"].have_virtual_cluster("team-a").deny("list", "resourcequotas")
    dev["host-a"].deny("list", "persistentvolumeclaims")
    result = info()
    host = only(result)["host_clusters"][0]
    assert host["used_from"] is None
    assert host["used"] == {"cpu": None, "memory": None, "storage": None}
    assert host["allocated"] == SIZE
    assert result["warnings"] == [
        "host cluster host-a: no permission to list persistentvolumeclaims, resourcequotas: what is used may not be "
        "known"
    ]


def test_namespace_with_a_broken_size_stops_new_ones(info: Run, dev: Hosts) -> None:
    """The host cluster takes no new ones, as placing one would fail; the rest is shown."""
    dev["host-a"].have_virtual_cluster("team-a").have_virtual_cluster("broken", annotations={"size": "much"})
    result = info()
    found = only(result)
    first = found["host_clusters"][0]
    assert first["reachable"] is True
    assert "namespace vcluster-broken on host cluster host-a: annotation nested-clusters/size" in first["reason"]
    assert first["capacity"]["cpu"] == "8"
    nothing = {"cpu": None, "memory": None, "storage": None}
    assert first["allocated"] == first["used"] == first["available"] == found["allocated"] == nothing
    assert [item["name"] for item in found["virtual_clusters"]] == ["team-a"]
    assert len(result["warnings"]) == 1


def test_record_that_cannot_be_read_is_a_warning(info: Run, dev: Hosts) -> None:
    broken = group_records.config_map(replace(DEV, name="ops"), "host-a")
    broken["data"] = {}
    dev["host-a"].have_all({"kind": "ConfigMap", **broken}).have_virtual_cluster("watch", "ops")
    result = info()
    assert only(result)["name"] == "dev"
    first, second = result["warnings"]
    assert "ConfigMap nested-clusters/vcluster-group-ops does not contain a group's record" in first
    assert second == (
        "no host cluster that answers has a record of group ops, which watch belongs to: they are not shown"
    )
