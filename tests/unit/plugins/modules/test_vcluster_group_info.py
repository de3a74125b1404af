# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_group_info, through main(), on host clusters in memory: what it returns, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_pending
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import OwnerQuota
from ansible_collections.nested.clusters.plugins.modules import vcluster_group_info
from group_hosts import DEV, SIZE, A, B, GroupHost, claim, control_plane, node
from workloads import Object

RECORDS = "/api/v1/namespaces/nested-clusters/configmaps"
NAMESPACES = "/api/v1/namespaces"
NODES = "/api/v1/nodes"
QUOTAS = "/api/v1/resourcequotas"
POD_METRICS = "/apis/metrics.k8s.io/v1beta1/pods"
STATEFUL_SETS = "/apis/apps/v1/statefulsets"
DEPLOYMENTS = "/apis/apps/v1/deployments"
PODS = "/api/v1/pods"
EVENTS = "/api/v1/events"
ALWAYS = {RECORDS, NAMESPACES, NODES, QUOTAS, POD_METRICS, STATEFUL_SETS, DEPLOYMENTS}
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


# --- what is returned -------------------------------------------------------------------------------------


def test_result_without_groups_is_empty(info: Run, hosts: Hosts) -> None:
    result = info()
    assert (result["groups"], result["changed"], result["warnings"]) == ([], False, [])
    assert all(set(host.asked) == ALWAYS for host in hosts.values())


def test_result_of_a_group_has_its_host_clusters_and_totals(info: Run, dev: Hosts) -> None:
    """What its record says, its host clusters by name, and the total of the two."""
    dev["host-b"].have_nodes(node("4", "8Gi"), node("4", "8Gi"), node(unschedulable=True))
    dev["host-a"].have_virtual_cluster("team-a", annotations={"owner": "alice"})
    found = only(info())
    assert (found["name"], found["oversubscription"], found["placement"]) == ("dev", 120, "spread")
    assert found["size"]["default"] == SIZE
    assert (found["owner_quota"], found["oidc"], found["endpoint"]) == (None, {}, {"type": "cluster_ip"})
    assert (found["pending_upgrade"], found["pending_upgrade_virtual_clusters"]) == (False, [])
    first, second = found["host_clusters"]
    assert first == {
        "name": "host-a",
        "reachable": True,
        "reason": "",
        "nodes": 1,
        "dns_pattern": None,
        "virtual_clusters": 1,
        "used_from": "requests",
        "capacity": {"cpu": "8", "memory": "16Gi", "storage": None},
        "limit": {"cpu": "9600m", "memory": "20615843020", "storage": None},
        "allocated": SIZE,
        "used": {"cpu": "250m", "memory": "0", "storage": "1Gi"},
        "available": {"cpu": "7600m", "memory": "16320875724", "storage": None},
    }
    assert (second["name"], second["nodes"], second["virtual_clusters"]) == ("host-b", 2, 0)
    assert (second["dns_pattern"], second["allocated"], second["used"]) == ("*.b.example.com", NOTHING, NOTHING)
    assert found["capacity"] == {"cpu": "16", "memory": "32Gi", "storage": None}
    assert found["allocated"] == SIZE
    assert found["available"] == {"cpu": "17200m", "memory": "36936718744", "storage": None}
    (cluster,) = found["virtual_clusters"]
    assert cluster.pop("age") >= 0
    assert cluster == {
        "name": "team-a",
        "namespace": "vcluster-team-a",
        "host_cluster": "host-a",
        "phase": "running",
        "message": "",
        "owner": "alice",
        "size": SIZE,
        "used": {"cpu": "250m", "memory": "0", "storage": "1Gi"},
        "created": "2026-11-20T13:00:00Z",
        "vcluster_version": "0.36.1",
        "kubernetes_version": "v1.35.4",
        "pending": [],
    }


def test_result_has_every_documented_key(info: Run, dev: Hosts) -> None:
    dev["host-a"].have_virtual_cluster("team-a")
    result = info(check_mode=True)
    documented = yaml.safe_load(vcluster_group_info.RETURN)
    assert documented.keys() == result.keys() - {"changed", "invocation", "warnings"}
    assert_documented(result["groups"], documented["groups"])


def assert_documented(value: Any, documented: Object) -> None:
    types = {"str": str, "int": int, "bool": bool, "dict": dict, "list": list}
    assert value is None or value.__class__ is types[documented["type"]], documented  # True is an int, too
    assert documented["returned"]
    assert documented["description"]
    for item in value if isinstance(value, list) else []:
        if "contains" in documented:
            assert item.keys() == documented["contains"].keys()
            for key, told in documented["contains"].items():
                assert_documented(item[key], told)


def test_owner_quota_is_null_only_where_there_is_none(info: Run, hosts: Hosts) -> None:
    """Null only where there is none."""
    quotas: dict[str, Object] = {"none": {}, "exempt": {"exempt": True}, "two": {"virtual_clusters": 2}}
    for name, limits in quotas.items():
        hosts["host-a"].have_record(
            replace(DEV, name=name, members=(A,), owner_quota=OwnerQuota.parse(limits, "q")), "host-a"
        )
    found = by_name(info()["groups"])
    nothing = {"cpu": None, "memory": None, "storage": None}
    assert found["none"]["owner_quota"] is None
    assert found["exempt"]["owner_quota"] == {"virtual_clusters": None, **nothing, "exempt": True}
    assert found["two"]["owner_quota"] == {"virtual_clusters": 2, **nothing, "exempt": False}


def test_groups_that_share_host_clusters_are_not_mixed_up(info: Run, dev: Hosts) -> None:
    """Groups share their host clusters, so all count for what is allocated and used there, and none is mixed up."""
    ops = replace(DEV, name="ops", members=(A,), oversubscription=100, placement="pack")
    dev["host-a"].have_record(ops, "host-a").have_virtual_cluster("team-a").have_virtual_cluster("watch", "ops")
    found = by_name(info()["groups"])
    assert list(found) == ["dev", "ops"]
    twice = {"cpu": "4", "memory": "8Gi", "storage": "4Gi"}
    for group, name, most in ((found["dev"], "team-a", "9600m"), (found["ops"], "watch", "8")):
        host = group["host_clusters"][0]
        assert [item["name"] for item in group["virtual_clusters"]] == [name]
        assert (host["allocated"], host["virtual_clusters"], host["limit"]["cpu"]) == (twice, 1, most)
        assert host["used"] == {"cpu": "500m", "memory": "0", "storage": "2Gi"}
    assert [group["name"] for group in info(name="ops")["groups"]] == ["ops"]
    result = info(name="typo")
    assert (result["groups"], result["warnings"]) == ([], [])


def test_host_cluster_of_the_connection_options_has_its_name_in_the_group(
    dev: Hosts, connect: Any, run_module: Any
) -> None:
    """It goes by the name that the group gives it; the other member is said not to have been asked."""
    dev["host-b"].have_virtual_cluster("team-a")
    connect(dev["host-b"])
    result = run_module(vcluster_group_info)
    found = only(result)
    missing, there = found["host_clusters"]
    assert (missing["name"], missing["reachable"]) == ("host-a", False)
    assert missing["reason"] == "it is not among the task's host clusters"
    assert (there["name"], there["reachable"], there["allocated"]) == ("host-b", True, SIZE)
    assert found["virtual_clusters"][0]["host_cluster"] == "host-b"
    assert result["warnings"] == ["group dev: host-a not read, because host_clusters lacks them"]


def test_host_clusters_with_other_names_in_the_task_are_named_by_the_group(info: Run, hosts: Hosts) -> None:
    hosts["host-a"].have_record(DEV, "host-b").have_virtual_cluster("team-b")
    hosts["host-b"].have_record(DEV, "host-a")
    found = only(info())
    assert [host["virtual_clusters"] for host in found["host_clusters"]] == [0, 1]
    assert found["virtual_clusters"][0]["host_cluster"] == "host-b"


def test_host_cluster_given_twice_is_refused(info: Run, hosts: Hosts) -> None:
    for host in hosts.values():
        host.have_record(DEV, "host-a")
    result = info()
    assert result["failed"] is True
    assert "host_clusters: host-a is listed twice; list each host cluster once" in result["msg"]


# --- phases -----------------------------------------------------------------------------------------------


def test_phase_of_each_virtual_cluster_is_told(info: Run, dev: Hosts) -> None:
    a = dev["host-a"]
    a.have_virtual_cluster("runs").have_virtual_cluster("starts", ready=0).have_virtual_cluster("reserved", has=())
    a.have_virtual_cluster("goes", deletionTimestamp="2026-11-21T00:00:00Z")
    a.have_virtual_cluster("paused", has=["quota"])
    a.have_all(control_plane("paused", 0, 0, annotations={"loft.sh/paused": "true"}))
    found = by_name(only(info())["virtual_clusters"])
    assert {name: item["phase"] for name, item in found.items()} == {
        "goes": "deleting",
        "paused": "paused",
        "reserved": "reserved",
        "runs": "running",
        "starts": "pending",
    }
    assert found["reserved"]["created"] == "2026-11-20T12:00:00Z"
    assert (found["reserved"]["vcluster_version"], found["reserved"]["kubernetes_version"]) == (None, None)
    assert found["starts"]["message"].startswith("0 of 1 replicas ready")


def test_paused_virtual_cluster_uses_only_storage_and_keeps_its_allocation(info: Run, dev: Hosts) -> None:
    dev["host-a"].have_virtual_cluster("paused", has=["quota"])
    dev["host-a"].have_all(control_plane("paused", 0, 0, annotations={"loft.sh/paused": "true"}))
    host = only(info())["host_clusters"][0]
    assert host["used"] == {"cpu": "0", "memory": "0", "storage": "1Gi"}
    assert host["allocated"] == SIZE


def test_volumes_that_were_kept_are_used_storage(info: Run, dev: Hosts) -> None:
    """No virtual cluster, but allocated storage; nothing counts its claims, so they are listed."""
    left = json.dumps({"cpu": "0", "memory": "0", "storage": "10Gi"})
    dev["host-a"].have_virtual_cluster("left", has=(), annotations={"size": left})
    dev["host-a"].have_all(claim("left", "3Gi"), claim("left", "1Gi"))
    found = only(info())
    assert found["virtual_clusters"] == []
    host = found["host_clusters"][0]
    assert (host["virtual_clusters"], host["allocated"]) == (0, {"cpu": "0", "memory": "0", "storage": "10Gi"})
    assert host["used"] == {"cpu": "0", "memory": "0", "storage": "4Gi"}


def test_pending_changes_and_upgrades_are_told(info: Run, hosts: Hosts) -> None:
    locked = replace(DEV, vcluster_version="0.36.2", values={"policies": {}})
    hosts["host-a"].have_record(locked, "host-a").have_virtual_cluster("team-a")
    hosts["host-b"].have_record(locked, "host-b")
    hosts["host-b"].have_virtual_cluster("b", annotations={"applied": json.dumps(group_pending.applied(locked, B))})
    found = only(info())
    assert (found["pending_upgrade"], found["pending_upgrade_virtual_clusters"]) == (True, ["team-a"])
    clusters = by_name(found["virtual_clusters"])
    assert clusters["team-a"]["pending"] == [
        "vcluster_version: its own applied, 0.36.2 in the group",
        "values: changed in the group",
    ]
    assert clusters["b"]["pending"] == []


# --- what it costs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 300])
def test_requests_for_many_are_as_many_as_for_one(number: int, info: Run, dev: Hosts) -> None:
    for host in dev.values():
        for count in range(number):
            host.have_virtual_cluster(f"team-{count}")
    assert len(only(info())["virtual_clusters"]) == 2 * number
    for host in dev.values():
        assert host.asked == dict.fromkeys(ALWAYS, 1)


def test_requests_for_pods_and_events_are_made_once_where_something_is_not_running(info: Run, dev: Hosts) -> None:
    for count in range(300):
        dev["host-a"].have_virtual_cluster(f"team-{count}", ready=count % 2)
    only(info())
    assert dev["host-a"].asked == dict.fromkeys({*ALWAYS, PODS, EVENTS}, 1)
    assert dev["host-b"].asked == dict.fromkeys(ALWAYS, 1)


def test_requests_for_pods_are_omitted_where_only_others_are_not_running(info: Run, dev: Hosts) -> None:
    dev["host-a"].have_all(control_plane("stranger", 0))
    assert only(info())["virtual_clusters"] == []
    assert dev["host-a"].asked == dict.fromkeys(ALWAYS, 1)


def test_requests_select_on_the_host_cluster(info: Run, dev: Hosts) -> None:
    info()
    selectors = {request.path: request.query.get("labelSelector", "") for request in dev["host-a"].requests}
    assert selectors == {
        RECORDS: "nested-clusters/record",
        NAMESPACES: "nested-clusters/group",
        NODES: "",
        QUOTAS: "app=vcluster,app.kubernetes.io/managed-by=nested.clusters",
        POD_METRICS: "",
        STATEFUL_SETS: "app=vcluster,release",
        DEPLOYMENTS: "app=vcluster,release",
    }


# --- documentation ----------------------------------------------------------------------------------------


def test_option_is_documented() -> None:
    documented = yaml.safe_load(vcluster_group_info.DOCUMENTATION)
    own = vcluster_group_info.argument_spec().keys() - auth_argument_spec().keys()
    assert {*documented["options"], "host_clusters"} == own
    assert "nested.clusters.host_clusters" in documented["extends_documentation_fragment"]


def test_examples_are_tasks_that_the_module_takes() -> None:
    validator = ArgumentSpecValidator(vcluster_group_info.argument_spec())
    tasks = [task for task in yaml.safe_load(vcluster_group_info.EXAMPLES) if "register" in task]
    assert len(tasks) == 2
    for task in tasks:
        assert validator.validate(task["nested.clusters.vcluster_group_info"] or {}).error_messages == []


def test_import_of_the_module_loads_no_client_library() -> None:
    """Kubernetes' client takes longer to load than the task."""
    name = vcluster_group_info.__name__
    program = f"import sys, {name}; print('kubernetes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
