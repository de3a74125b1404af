# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_group_info, through main(), on host clusters that are tables of objects."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_pending, group_records
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group, Member
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError, Unreachable
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import OwnerQuota
from ansible_collections.nested.clusters.plugins.modules import vcluster_group_info

Object = dict[str, Any]

RECORDS = "/api/v1/namespaces/nested-clusters/configmaps"
NAMESPACES = "/api/v1/namespaces"
NODES = "/api/v1/nodes"
QUOTAS = "/api/v1/resourcequotas"
METRICS = "/apis/metrics.k8s.io/v1beta1/pods"
STATEFUL_SETS = "/apis/apps/v1/statefulsets"
DEPLOYMENTS = "/apis/apps/v1/deployments"
PODS = "/api/v1/pods"
EVENTS = "/api/v1/events"
CLAIMS = "/api/v1/persistentvolumeclaims"
ALWAYS = {RECORDS, NAMESPACES, NODES, QUOTAS, METRICS, STATEFUL_SETS, DEPLOYMENTS}
OPTIONAL = [NODES, QUOTAS, METRICS]
FIGURES = ("capacity", "limit", "allocated", "used", "available")
SIZE = {"cpu": "2", "memory": "4Gi", "storage": "2Gi"}
NOTHING = {"cpu": "0", "memory": "0", "storage": "0"}

A, B = Member("host-a", "id-a"), Member("host-b", "id-b", dns_pattern="*.b.example.com")
MINIMUM = Size.parse({"cpu": 1, "memory": "1Gi", "storage": 0}, "minimum")
DEV = Group("dev", (A, B), minimum=MINIMUM, default=Size.parse(SIZE, "default"), generation=1)


class FakeKubernetes:
    """A host cluster that answers from a table, as sent: it does not select. Counts what was asked."""

    def __init__(self, name: str) -> None:
        self.host = f"https://{name}"
        self.objects: dict[str, list[Object]] = {NODES: [node()]}
        self.errors: dict[str, KubernetesError] = {}
        self.selectors: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def list(self, where: str, labels: str = "", fields: str = "") -> list[Object]:
        with self._lock:
            self.asked[where] += 1
            self.selectors[where] = labels
        for error in (self.errors.get(where), self.errors.get("all")):
            if error:
                raise error
        return self.objects.get(where, [])

    def add(self, where: str, *objects: Object) -> FakeKubernetes:
        self.objects.setdefault(where, []).extend(objects)
        return self

    def record(self, group: Group, own: str) -> FakeKubernetes:
        return self.add(RECORDS, group_records.config_map(group, own))

    def virtual_cluster(
        self,
        name: str,
        group: str = "dev",
        ready: int = 1,
        used: Object | None = None,
        has: Iterable[str] = ("workload", "quota"),
        annotations: Object | None = None,
        **metadata: Any,
    ) -> FakeKubernetes:
        """A namespace with its size, and what of the rest it has."""
        self.add(NAMESPACES, namespace(name, group, annotations or {}, **metadata))
        if "workload" in has:
            self.add(STATEFUL_SETS, workload(name, ready))
        if "quota" in has:
            self.add(QUOTAS, quota(name, used or {"requests.cpu": "250m", "requests.storage": "1Gi"}))
        return self


def node(cpu: str = "8", memory: str = "16Gi", **spec: Any) -> Object:
    return {
        "metadata": {"name": "node"},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": cpu, "memory": memory},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def namespace(name: str, group: str, annotations: Object, **metadata: Any) -> Object:
    recorded = {
        "nested-clusters/virtual-cluster": name,
        "nested-clusters/size": json.dumps(SIZE),
        "nested-clusters/applied": json.dumps(group_pending.applied(DEV, A)),
        **{f"nested-clusters/{key}": value for key, value in annotations.items()},
    }
    return {
        "metadata": {
            "name": f"vcluster-{name}",
            "creationTimestamp": "2026-11-20T12:00:00Z",
            "labels": {"nested-clusters/group": group},
            "annotations": recorded,
            **metadata,
        }
    }


def workload(name: str, ready: int = 1, replicas: int = 1, **metadata: Any) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": f"vcluster-{name}",
            "creationTimestamp": "2026-11-20T13:00:00Z",
            "generation": 1,
            "labels": {"app": "vcluster", "release": name, "chart": "vcluster-0.36.1"},
            **metadata,
        },
        "spec": {
            "replicas": replicas,
            "template": {
                "spec": {
                    "containers": [{"name": "syncer", "image": "vcluster-oss:0.36.1"}],
                    "initContainers": [{"name": "kubernetes", "image": "kubernetes:v1.35.4"}],
                }
            },
        },
        "status": {
            "observedGeneration": 1,
            "replicas": ready,
            "readyReplicas": ready,
            "updatedReplicas": replicas,
        },
    }


def quota(name: str, used: Object | None) -> Object:
    return {
        "metadata": {"name": f"nested-clusters-{name}", "namespace": f"vcluster-{name}"},
        "status": {} if used is None else {"used": used},
    }


def pod_metrics(name: str, *usages: tuple[str, str]) -> Object:
    containers = [{"name": "c", "usage": {"cpu": cpu, "memory": memory}} for cpu, memory in usages]
    return {"metadata": {"name": "pod", "namespace": f"vcluster-{name}"}, "containers": containers}


def claim(name: str, storage: str) -> Object:
    return {
        "metadata": {"name": "data", "namespace": f"vcluster-{name}"},
        "spec": {"resources": {"requests": {"storage": storage}}},
    }


def forbidden(what: str) -> KubernetesError:
    return KubernetesError(f"cannot list {what}", 403, "Forbidden")


Hosts = dict[str, FakeKubernetes]
Run = Callable[..., Object]


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    """Two host clusters of the task; more can be added."""
    found = {"host-a": FakeKubernetes("a"), "host-b": FakeKubernetes("b")}
    monkeypatch.setattr(Kubernetes, "open", lambda options, *_more: found[options["context"]])
    return found


@pytest.fixture
def info(fakes: Hosts, run_module: Any) -> Run:
    """Run the module on all of them."""

    def run(**options: Any) -> Object:
        entries = [{"name": name, "context": name} for name in fakes]
        result: Object = run_module(vcluster_group_info, host_clusters=entries, **options)
        return result

    return run


@pytest.fixture
def dev(fakes: Hosts) -> Hosts:
    """Group dev on both, with nothing in it."""
    for name, fake in fakes.items():
        fake.record(DEV, name)
    return fakes


def only(result: Object) -> Object:
    """The one group of a result."""
    assert not result.get("failed"), result["msg"]
    (group,) = result["groups"]
    found: Object = group
    return found


def by_name(items: list[Object]) -> dict[str, Object]:
    return {item["name"]: item for item in items}


# --- what is returned -------------------------------------------------------------------------------------


def test_nothing(info: Run, fakes: Hosts) -> None:
    result = info()
    assert (result["groups"], result["changed"], result["warnings"]) == ([], False, [])
    assert all(set(fake.asked) == ALWAYS for fake in fakes.values())


def test_a_group(info: Run, dev: Hosts) -> None:
    """What its record says, its host clusters by name, and the total of the two."""
    dev["host-b"].objects[NODES] = [node("4", "8Gi"), node("4", "8Gi"), node(unschedulable=True)]
    dev["host-a"].virtual_cluster("team-a", annotations={"owner": "alice"})
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


def test_every_key_that_is_documented_is_returned(info: Run, dev: Hosts) -> None:
    dev["host-a"].virtual_cluster("team-a")
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


def test_owner_quota(info: Run, fakes: Hosts) -> None:
    """Null only where there is none."""
    quotas: dict[str, Object] = {"none": {}, "exempt": {"exempt": True}, "two": {"virtual_clusters": 2}}
    for name, limits in quotas.items():
        fakes["host-a"].record(
            replace(DEV, name=name, members=(A,), owner_quota=OwnerQuota.parse(limits, "q")), "host-a"
        )
    found = by_name(info()["groups"])
    nothing = {"cpu": None, "memory": None, "storage": None}
    assert found["none"]["owner_quota"] is None
    assert found["exempt"]["owner_quota"] == {"virtual_clusters": None, **nothing, "exempt": True}
    assert found["two"]["owner_quota"] == {"virtual_clusters": 2, **nothing, "exempt": False}


def test_one_of_several_groups(info: Run, dev: Hosts) -> None:
    """Groups share their host clusters, so all count for what is allocated and used there, and none is mixed up."""
    ops = replace(DEV, name="ops", members=(A,), oversubscription=100, placement="pack")
    dev["host-a"].record(ops, "host-a").virtual_cluster("team-a").virtual_cluster("watch", "ops")
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


def test_the_host_cluster_of_the_connection_options(
    monkeypatch: pytest.MonkeyPatch, dev: Hosts, run_module: Any
) -> None:
    """It goes by the name that the group gives it; the other member is said not to have been asked."""
    dev["host-b"].virtual_cluster("team-a")
    monkeypatch.setattr(Kubernetes, "from_module", lambda _module: dev["host-b"])
    result = run_module(vcluster_group_info)
    found = only(result)
    missing, there = found["host_clusters"]
    assert (missing["name"], missing["reachable"]) == ("host-a", False)
    assert missing["reason"] == "it is not among the task's host clusters"
    assert (there["name"], there["reachable"], there["allocated"]) == ("host-b", True, SIZE)
    assert found["virtual_clusters"][0]["host_cluster"] == "host-b"
    assert result["warnings"] == ["group dev: host-a not asked, not being among the task's host clusters"]


def test_the_names_of_the_task_do_not_count(info: Run, fakes: Hosts) -> None:
    fakes["host-a"].record(DEV, "host-b").virtual_cluster("team-b")
    fakes["host-b"].record(DEV, "host-a")
    found = only(info())
    assert [host["virtual_clusters"] for host in found["host_clusters"]] == [0, 1]
    assert found["virtual_clusters"][0]["host_cluster"] == "host-b"


def test_a_host_cluster_that_is_given_twice(info: Run, fakes: Hosts) -> None:
    for fake in fakes.values():
        fake.record(DEV, "host-a")
    result = info()
    assert result["failed"] is True
    assert "'host-a' is not usable: it is given twice" in result["msg"]


# --- phases -----------------------------------------------------------------------------------------------


def test_phases(info: Run, dev: Hosts) -> None:
    a = dev["host-a"]
    a.virtual_cluster("runs").virtual_cluster("starts", ready=0).virtual_cluster("reserved", has=())
    a.virtual_cluster("goes", deletionTimestamp="2026-11-21T00:00:00Z")
    a.virtual_cluster("paused", has=["quota"])
    a.add(STATEFUL_SETS, workload("paused", 0, 0, annotations={"loft.sh/paused": "true"}))
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


def test_paused_uses_only_storage_and_keeps_its_share(info: Run, dev: Hosts) -> None:
    dev["host-a"].virtual_cluster("paused", has=["quota"])
    dev["host-a"].add(STATEFUL_SETS, workload("paused", 0, 0, annotations={"loft.sh/paused": "true"}))
    host = only(info())["host_clusters"][0]
    assert host["used"] == {"cpu": "0", "memory": "0", "storage": "1Gi"}
    assert host["allocated"] == SIZE


def test_volumes_that_were_kept(info: Run, dev: Hosts) -> None:
    """No virtual cluster, but allocated storage; nothing counts its claims, so they are listed."""
    left = json.dumps({"cpu": "0", "memory": "0", "storage": "10Gi"})
    dev["host-a"].virtual_cluster("left", has=(), annotations={"size": left})
    dev["host-a"].objects["/api/v1/namespaces/vcluster-left/persistentvolumeclaims"] = [
        claim("left", "3Gi"),
        claim("left", "1Gi"),
    ]
    found = only(info())
    assert found["virtual_clusters"] == []
    host = found["host_clusters"][0]
    assert (host["virtual_clusters"], host["allocated"]) == (0, {"cpu": "0", "memory": "0", "storage": "10Gi"})
    assert host["used"] == {"cpu": "0", "memory": "0", "storage": "4Gi"}


def test_pending_changes_and_upgrades(info: Run, fakes: Hosts) -> None:
    locked = replace(DEV, vcluster_version="0.36.2", values={"policies": {}})
    fakes["host-a"].record(locked, "host-a").virtual_cluster("team-a")
    fakes["host-b"].record(locked, "host-b")
    fakes["host-b"].virtual_cluster("b", annotations={"applied": json.dumps(group_pending.applied(locked, B))})
    found = only(info())
    assert (found["pending_upgrade"], found["pending_upgrade_virtual_clusters"]) == (True, ["team-a"])
    clusters = by_name(found["virtual_clusters"])
    assert clusters["team-a"]["pending"] == [
        "vcluster_version: its own applied, 0.36.2 in the group",
        "values: changed in the group",
    ]
    assert clusters["b"]["pending"] == []


# --- what is used -----------------------------------------------------------------------------------------


def test_what_is_measured(info: Run, dev: Hosts) -> None:
    """CPU and memory are what metrics say, of all pods of the namespace; storage is what is claimed."""
    dev["host-a"].virtual_cluster("team-a").virtual_cluster("new")
    dev["host-a"].virtual_cluster("paused", has=["quota"])
    dev["host-a"].add(STATEFUL_SETS, workload("paused", 0, 0, annotations={"loft.sh/paused": "true"}))
    dev["host-a"].add(
        METRICS,
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
def test_metrics_that_do_not_answer(status: int, info: Run, dev: Hosts) -> None:
    dev["host-a"].virtual_cluster("team-a").errors[METRICS] = KubernetesError("no", status)
    result = info()
    host = only(result)["host_clusters"][0]
    assert (host["used_from"], host["used"]["cpu"], result["warnings"]) == ("requests", "250m", [])


def test_a_quota_that_counts_nothing_yet(info: Run, dev: Hosts) -> None:
    dev["host-a"].virtual_cluster("new", has=["workload"]).add(QUOTAS, quota("new", None))
    assert only(info())["virtual_clusters"][0]["used"] == NOTHING


@pytest.mark.parametrize("claims", [2, 1])
def test_a_quota_that_is_gone(claims: int, info: Run, dev: Hosts) -> None:
    """Storage is counted by the claims, the rest is not known: neither there nor in the sums, and that is said."""
    a = dev["host-a"].virtual_cluster("team-a", has=["workload"])
    where = "/api/v1/namespaces/vcluster-team-a/persistentvolumeclaims"
    if claims == 2:
        a.virtual_cluster("team-b", has=["workload"])
        where = CLAIMS
    a.add(where, *[claim(name, "1Gi") for name in ("team-a", "team-b")[:claims]])
    result = info()
    found = only(result)
    assert found["virtual_clusters"][0]["used"] == {"cpu": None, "memory": None, "storage": "1Gi"}
    assert found["host_clusters"][0]["used"] == {"cpu": None, "memory": None, "storage": f"{claims}Gi"}
    assert found["used"] == {"cpu": None, "memory": None, "storage": f"{claims}Gi"}
    (warning,) = result["warnings"]
    names = "team-a, team-b use" if claims == 2 else "team-a uses"
    assert f"host cluster host-a: nothing counts what {names}: ResourceQuota nested-clusters-NAME" in warning
    assert a.asked[where] == 1


def test_a_quota_that_is_gone_does_not_matter_where_it_is_measured(info: Run, dev: Hosts) -> None:
    dev["host-a"].virtual_cluster("team-a", has=["workload"]).add(METRICS, pod_metrics("team-a", ("1", "1Gi")))
    result = info()
    assert only(result)["virtual_clusters"][0]["used"] == {"cpu": "1", "memory": "1Gi", "storage": "0"}
    assert result["warnings"] == []


# --- what takes no new ones -------------------------------------------------------------------------------


def test_reasons(info: Run, dev: Hosts) -> None:
    dev["host-a"].objects[NODES] = [node(unschedulable=True)]
    for number in range(8):
        dev["host-b"].virtual_cluster(f"team-{number}", annotations={"size": json.dumps({**SIZE, "cpu": "1200m"})})
    first, second = only(info())["host_clusters"]
    assert (first["reason"], first["nodes"], first["capacity"]["cpu"]) == ("the only node is cordoned", 0, "0")
    # The smallest that the group allows has one.
    assert second["reason"] == "0 of 9600m cpu left, -12.9Gi of 19.1Gi memory left"
    assert second["available"] == {"cpu": "0", "memory": "-13743895348", "storage": None}


def test_a_node_that_says_nonsense(info: Run, dev: Hosts) -> None:
    dev["host-a"].objects[NODES] = [node(cpu="many")]
    first = only(info())["host_clusters"][0]
    assert first["reason"].startswith("node node: allocatable cpu 'many' is no quantity")
    assert first["capacity"] == first["available"] == {"cpu": None, "memory": None, "storage": None}


def test_a_declared_capacity(info: Run, fakes: Hosts) -> None:
    """It holds also where nodes may not be listed; the rest is not known then."""
    declared = replace(A, capacity=Size.parse({"cpu": 2, "storage": "10Gi"}, "capacity", partial=True))
    fakes["host-a"].record(replace(DEV, members=(declared,)), "host-a").errors[NODES] = forbidden("nodes")
    result = info()
    (host,) = only(result)["host_clusters"]
    assert host["capacity"] == {"cpu": "2", "memory": None, "storage": "10Gi"}
    assert host["available"] == {"cpu": "2400m", "memory": None, "storage": "12Gi"}
    assert (host["nodes"], host["reason"]) == (None, "")
    assert result["warnings"] == ["host cluster host-a: no permission to list nodes: the capacity may not be known"]


def test_a_member_without_its_record(info: Run, fakes: Hosts) -> None:
    """As an unfinished change leaves it: its numbers are known, and that it takes none."""
    fakes["host-a"].record(DEV, "host-a")
    fakes["host-b"].virtual_cluster("team-b")
    found = only(info())
    second = found["host_clusters"][1]
    assert (second["reachable"], second["allocated"], second["virtual_clusters"]) == (True, SIZE, 1)
    assert second["reason"] == "it has no record of group dev: run the group's vcluster_group task again"
    assert found["virtual_clusters"][0]["host_cluster"] == "host-b"


def test_records_that_differ(info: Run, fakes: Hosts) -> None:
    fakes["host-a"].record(replace(DEV, description="new", generation=3), "host-a")
    fakes["host-b"].record(replace(DEV, description="old", generation=2), "host-b")
    result = info()
    assert only(result)["description"] == "new"
    assert result["warnings"][0].startswith("the records of group dev differ between host clusters")


# --- what cannot be read ----------------------------------------------------------------------------------


def test_a_host_cluster_that_does_not_answer(info: Run, dev: Hosts) -> None:
    dev["host-a"].virtual_cluster("team-a")
    dev["host-b"].errors["all"] = Unreachable("it does not answer")
    result = info()
    found = only(result)
    assert found["host_clusters"][1] == {
        "name": "host-b",
        "reachable": False,
        "reason": "it does not answer",
        "nodes": None,
        "dns_pattern": "*.b.example.com",
        "virtual_clusters": None,
        "used_from": None,
        **dict.fromkeys(FIGURES),
    }
    assert found["allocated"] == SIZE
    assert result["warnings"] == ["host cluster host-b: it does not answer"]


@pytest.mark.parametrize("given", [["host-a"], ["host-a", "host-b"]])
def test_no_host_cluster_answers(given: list[str], info: Run, fakes: Hosts) -> None:
    for name in set(fakes) - set(given):
        del fakes[name]
    for fake in fakes.values():
        fake.errors["all"] = Unreachable("it does not answer")
    result = info()
    assert result["failed"] is True
    assert result["msg"] == (
        "it does not answer" if len(given) == 1 else "host-a: it does not answer; host-b: it does not answer"
    )


@pytest.mark.parametrize("where", sorted(ALWAYS - set(OPTIONAL)))
def test_what_must_be_permitted(where: str, info: Run, dev: Hosts) -> None:
    dev["host-b"].errors[where] = forbidden("this")
    second = only(info())["host_clusters"][1]
    assert (second["reachable"], second["reason"]) == (False, "cannot list this")


def test_what_is_used_may_not_be_read(info: Run, dev: Hosts) -> None:
    dev["host-a"].virtual_cluster("team-a").errors.update({QUOTAS: forbidden("quotas")})
    dev["host-a"].errors["/api/v1/namespaces/vcluster-team-a/persistentvolumeclaims"] = forbidden("claims")
    result = info()
    host = only(result)["host_clusters"][0]
    assert host["used_from"] is None
    assert host["used"] == {"cpu": None, "memory": None, "storage": None}
    assert host["allocated"] == SIZE
    assert result["warnings"] == [
        "host cluster host-a: no permission to list persistentvolumeclaims, resourcequotas: what is used may not be "
        "known"
    ]


def test_a_namespace_that_cannot_be_counted(info: Run, dev: Hosts) -> None:
    """The host cluster takes no new ones, as placing one would fail; the rest is shown."""
    dev["host-a"].virtual_cluster("team-a").virtual_cluster("broken", annotations={"size": "much"})
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


def test_a_record_that_cannot_be_read(info: Run, dev: Hosts) -> None:
    broken = group_records.config_map(replace(DEV, name="ops"), "host-a")
    broken["data"] = {}
    dev["host-a"].add(RECORDS, broken).virtual_cluster("watch", "ops")
    result = info()
    assert only(result)["name"] == "dev"
    first, second = result["warnings"]
    assert "ConfigMap nested-clusters/vcluster-group-ops does not hold a group's record" in first
    assert second == (
        "no host cluster that answers has a record of group ops, which watch belongs to: they are not shown"
    )


# --- what it costs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 300])
def test_requests_do_not_grow_with_the_number(number: int, info: Run, dev: Hosts) -> None:
    for fake in dev.values():
        for count in range(number):
            fake.virtual_cluster(f"team-{count}")
    assert len(only(info())["virtual_clusters"]) == 2 * number
    for fake in dev.values():
        assert fake.asked == dict.fromkeys(ALWAYS, 1)


def test_pods_and_events_are_read_once_where_something_is_not_running(info: Run, dev: Hosts) -> None:
    for count in range(300):
        dev["host-a"].virtual_cluster(f"team-{count}", ready=count % 2)
    only(info())
    assert dev["host-a"].asked == dict.fromkeys({*ALWAYS, PODS, EVENTS}, 1)
    assert dev["host-b"].asked == dict.fromkeys(ALWAYS, 1)


def test_one_in_no_group_is_nobodys_concern(info: Run, dev: Hosts) -> None:
    dev["host-a"].add(STATEFUL_SETS, workload("stranger", 0))
    assert only(info())["virtual_clusters"] == []
    assert dev["host-a"].asked == dict.fromkeys(ALWAYS, 1)


def test_the_host_cluster_selects(info: Run, dev: Hosts) -> None:
    info()
    assert dev["host-a"].selectors == {
        RECORDS: "nested-clusters/record",
        NAMESPACES: "nested-clusters/group",
        NODES: "",
        QUOTAS: "app=vcluster,app.kubernetes.io/managed-by=nested.clusters",
        METRICS: "",
        STATEFUL_SETS: "app=vcluster,release",
        DEPLOYMENTS: "app=vcluster,release",
    }


# --- documentation ----------------------------------------------------------------------------------------


def test_the_documentation_names_every_option() -> None:
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


def test_no_library_is_loaded() -> None:
    """Kubernetes' client takes longer to load than the task."""
    name = vcluster_group_info.__name__
    program = f"import sys, {name}; print('kubernetes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
