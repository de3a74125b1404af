# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_info, through main(): virtual clusters in groups, and several host clusters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.modules import vcluster_info
from fake_api import FakeCluster
from workloads import Object, workload

NAMESPACES = "/api/v1/namespaces"
SYSTEM = f"{NAMESPACES}/kube-system"  # which host cluster it is, where several are asked
Host = Callable[..., FakeCluster]


@pytest.fixture
def host(connect: Any) -> Host:
    """Make the host cluster that the module asks, with these objects."""

    def build(*objects: Object) -> FakeCluster:
        cluster = FakeCluster(objects)
        connect(cluster)
        return cluster

    return build


def namespace(name: str = "team-a", home: str = "ns", group: str = "dev", **annotations: str) -> Object:
    recorded = {
        "nested-clusters/virtual-cluster": name,
        "nested-clusters/size": '{"cpu": "4", "memory": "4096Mi", "storage": "2Gi"}',
        **{f"nested-clusters/{key}": value for key, value in annotations.items()},
    }
    metadata = {"name": home, "labels": {"nested-clusters/group": group}, "annotations": recorded}
    return {"kind": "Namespace", "metadata": metadata}


def labels_of_namespaces(cluster: FakeCluster) -> list[str]:
    return [request.query["labelSelector"] for request in cluster.requests if request.path == NAMESPACES]


def plurals(cluster: FakeCluster) -> set[str]:
    return {request.path.rpartition("/")[2] for request in cluster.requests}


ALWAYS = {"statefulsets", "deployments", "services", "ingresses", "tlsroutes", "namespaces"}


# --- groups -----------------------------------------------------------------------------------------------


def test_result_of_group_members_has_group_owner_and_size(host: Host, run_module: Any) -> None:
    """One in a group, one without an owner, one that is in the namespace of another, one in no group."""
    cluster = host(
        *(workload(), workload("b", "b"), workload("guest", "b"), workload("c", "c")),
        *(namespace(owner="alice"), namespace("b", "b", "ops")),
    )
    found = {item["name"]: item for item in run_module(vcluster_info)["virtual_clusters"]}
    size = {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}
    assert [(item["group"], item["owner"], item["size"]) for item in found.values()] == [
        ("ops", "", size),
        (None, None, None),
        (None, None, None),
        ("dev", "alice", size),
    ]
    assert list(found) == ["b", "guest", "c", "team-a"]
    assert labels_of_namespaces(cluster) == ["nested-clusters/group"]


@pytest.mark.parametrize(
    ("options", "names", "labels"),
    [
        ({"group": "dev"}, ["a", "b"], "nested-clusters/group=dev"),
        ({"owner": "alice"}, ["a", "c"], "nested-clusters/group"),
        ({"group": "dev", "owner": "alice"}, ["a"], "nested-clusters/group=dev"),
        ({"group": "dev", "owner": ""}, ["b"], "nested-clusters/group=dev"),
        ({"group": "none"}, [], "nested-clusters/group=none"),
    ],
)
def test_options_group_and_owner_select(
    options: Object, names: list[str], labels: str, host: Host, run_module: Any
) -> None:
    cluster = host(
        *(workload(name, name, ready=int(name != "d")) for name in "abcd"),
        *(namespace("a", "a", owner="alice"), namespace("b", "b"), namespace("c", "c", "ops", owner="alice")),
    )
    assert [item["name"] for item in run_module(vcluster_info, **options)["virtual_clusters"]] == names
    assert labels_of_namespaces(cluster) == [labels]
    # The one that is not ready is none of these.
    assert plurals(cluster) == ALWAYS


def test_group_of_one_namespace_is_read_by_itself(host: Host, run_module: Any) -> None:
    """As whoever may read only this one may not list."""
    host(workload(), namespace(owner="alice")).deny("list", "namespaces")
    (found,) = run_module(vcluster_info, namespace="ns")["virtual_clusters"]
    assert (found["group"], found["owner"]) == ("dev", "alice")
    assert run_module(vcluster_info, namespace="ns", owner="bob")["virtual_clusters"] == []


def test_group_without_permission_is_unknown_with_a_warning(host: Host, run_module: Any) -> None:
    host(workload(), namespace()).deny("list", "namespaces")
    result = run_module(vcluster_info)
    assert result["virtual_clusters"][0]["group"] is None
    assert result["warnings"] == ["no permission to list namespaces: a group may not be known"]
    result = run_module(vcluster_info, owner="alice")
    assert (result["failed"], result["status"]) == (True, 403)


def test_size_that_cannot_be_read_is_unknown_with_a_warning(host: Host, run_module: Any) -> None:
    host(workload(), namespace(size="broken"))
    result = run_module(vcluster_info)
    assert result["virtual_clusters"][0]["size"] is None
    (warning,) = result["warnings"]
    assert "annotation nested-clusters/size is 'broken'" in warning


# --- several host clusters --------------------------------------------------------------------------------


def test_host_clusters_are_sorted_and_named_in_warnings(connect: Any, run_module: Any) -> None:
    a = FakeCluster([workload("z", "a")], host="https://a")
    b = FakeCluster([workload("a", "a"), workload("b", "b")], host="https://b")
    a.deny("list", "ingresses")
    result = run_module(vcluster_info, host_clusters=connect(b=b, a=a))
    assert [(item["host_cluster"], item["name"]) for item in result["virtual_clusters"]] == [
        ("a", "z"),
        ("b", "a"),
        ("b", "b"),
    ]
    assert result["warnings"] == [
        "host cluster a: no permission to list ingresses: an endpoint may not be known"
    ]
    assert "failed_host_clusters" not in result
    for cluster in (a, b):
        assert plurals(cluster) == ALWAYS | {"kube-system"}
        assert f"get {SYSTEM}" in cluster.sent()


def test_host_cluster_under_two_names_is_refused(connect: Any, run_module: Any) -> None:
    """Nothing is counted twice."""
    one = FakeCluster([workload()])
    result = run_module(vcluster_info, host_clusters=connect(a=one, b=one))
    assert "host_clusters: a and b are the same host cluster" in result["msg"]


def test_host_clusters_that_cannot_be_told_apart_count_as_two(connect: Any, run_module: Any) -> None:
    one = FakeCluster([workload()])
    one.deny("get", "namespaces")
    assert len(run_module(vcluster_info, host_clusters=connect(a=one, b=one))["virtual_clusters"]) == 2


def test_host_cluster_of_several_that_does_not_answer_is_a_warning(connect: Any, run_module: Any) -> None:
    up, down = FakeCluster([workload()], host="https://up"), FakeCluster(host="https://down")
    down.down = True
    result = run_module(vcluster_info, host_clusters=connect(up=up, down=down))
    assert [item["host_cluster"] for item in result["virtual_clusters"]] == ["up"]
    (warning,) = result["warnings"]
    assert warning.startswith("host cluster down: host cluster https://down does not answer: ")
    assert result["failed_host_clusters"] == ["down"]
    documented = yaml.safe_load(vcluster_info.RETURN)
    assert documented.keys() == result.keys() - {"changed", "invocation", "warnings"}


def test_host_clusters_that_all_do_not_answer_fail(connect: Any, run_module: Any) -> None:
    down = FakeCluster()
    down.down = True
    result = run_module(vcluster_info, host_clusters=connect(a=down, b=down))
    assert result["failed"] is True
    first, second = result["msg"].split("; b: ")
    assert first.removeprefix("a: ") == second
    assert second.startswith("host cluster https://host does not answer: ")
    assert result["failed_host_clusters"] == ["a", "b"]
