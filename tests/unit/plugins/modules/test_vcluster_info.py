# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_info, through main(): what it returns, what it asks for, and why a virtual cluster failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.modules import vcluster_info
from fake_api import DROPPED, GATEWAY_API, FakeCluster
from workloads import Object, event, metadata, pod, workload

STATEFUL_SETS = "/apis/apps/v1/statefulsets"
DEPLOYMENTS = "/apis/apps/v1/deployments"
SERVICES = "/api/v1/services"
INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
ROUTES = "/apis/gateway.networking.k8s.io/v1/tlsroutes"
PODS = "/api/v1/pods"
EVENTS = "/api/v1/events"
NAMESPACES = "/api/v1/namespaces"
ALWAYS = {STATEFUL_SETS, DEPLOYMENTS, SERVICES, INGRESSES, ROUTES, NAMESPACES}
Host = Callable[..., FakeCluster]


@pytest.fixture
def host(connect: Any) -> Host:
    """Make the host cluster that the module asks, with these objects."""

    def build(*objects: Object) -> FakeCluster:
        cluster = FakeCluster(objects, serves=GATEWAY_API)
        connect(cluster)
        return cluster

    return build


def asked(cluster: FakeCluster) -> dict[str, tuple[str, str]]:
    """Return the label and the field selector of each request, by path."""
    return {
        request.path: (request.query.get("labelSelector", ""), request.query.get("fieldSelector", ""))
        for request in cluster.requests
    }


# --- what is returned -------------------------------------------------------------------------------------


def test_result_without_virtual_clusters_is_empty(host: Host, run_module: Any) -> None:
    cluster = host()
    result = run_module(vcluster_info)
    assert result["virtual_clusters"] == []
    assert result["changed"] is False
    assert set(asked(cluster)) == ALWAYS


def test_result_has_every_documented_key(host: Host, run_module: Any) -> None:
    host(workload())
    found = run_module(vcluster_info, check_mode=True)["virtual_clusters"][0]
    documented = yaml.safe_load(vcluster_info.RETURN)["virtual_clusters"]["contains"]
    assert set(found) == set(documented)
    types = {"str": str, "int": int, "bool": bool, "dict": dict}
    for key, value in found.items():
        assert value is None or isinstance(value, types[documented[key]["type"]])


def test_result_with_both_kinds_is_sorted_and_has_endpoints(host: Host, run_module: Any) -> None:
    host(
        workload("b", "x"),
        workload("b", "a"),
        workload("a", "x", kind="Deployment"),
        {
            "kind": "Service",
            "metadata": metadata("b", "x"),
            "spec": {"type": "LoadBalancer", "ports": [{"name": "https", "port": 443}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}},
        },
        {"kind": "Ingress", "metadata": metadata("a", "x"), "spec": {"rules": [{"host": "a.example.com"}]}},
        {"kind": "TLSRoute", "metadata": metadata("b", "a"), "spec": {"hostnames": ["b.example.com"]}},
    )
    found = run_module(vcluster_info)["virtual_clusters"]
    assert [(item["namespace"], item["name"], item["kind"], item["endpoint"]) for item in found] == [
        ("a", "b", "StatefulSet", "https://b.example.com"),
        ("x", "a", "Deployment", "https://a.example.com"),
        ("x", "b", "StatefulSet", "https://192.0.2.7"),
    ]


# --- what is asked for ------------------------------------------------------------------------------------


def test_requests_for_many_are_as_many_as_for_one(host: Host, run_module: Any) -> None:
    cluster = host(*[workload(f"vc-{number}", f"ns-{number}", ready=number % 2) for number in range(300)])
    assert len(run_module(vcluster_info)["virtual_clusters"]) == 300
    assert set(asked(cluster)) == {*ALWAYS, PODS, EVENTS}
    assert len(cluster.requests) == len(ALWAYS) + 2


@pytest.mark.parametrize("phases", [["running"], ["paused", "sleeping", "deleting"]])
def test_requests_for_phases_that_the_workload_tells_omit_pods(
    phases: list[str], host: Host, run_module: Any
) -> None:
    cluster = host(workload(ready=0))
    assert run_module(vcluster_info, phases=phases)["virtual_clusters"] == []
    assert set(asked(cluster)) == ALWAYS


def test_requests_for_what_has_no_pods_omit_pods(host: Host, run_module: Any) -> None:
    cluster = host(workload(ready=0, replicas=0))
    assert run_module(vcluster_info)["virtual_clusters"][0]["phase"] == "pending"
    assert set(asked(cluster)) == ALWAYS


@pytest.mark.parametrize(
    ("options", "expected", "names"),
    [
        ({}, "app=vcluster,release", ["b", "c", "team-a"]),
        ({"name": "team-a"}, "app=vcluster,release=team-a", ["team-a"]),
        (
            {"label_selectors": ["env=ci", "tier in (a,b)"]},
            "app=vcluster,release,env=ci,tier in (a,b)",
            ["b"],
        ),
    ],
)
def test_requests_select_on_the_host_cluster(
    options: Object, expected: str, names: list[str], host: Host, run_module: Any
) -> None:
    cluster = host(workload(), workload("b"), workload("c", kind="Deployment"))
    labels = {"env": "ci", "tier": "b"}
    cluster.change("/apis/apps/v1/namespaces/ns/statefulsets/b", {"metadata": {"labels": labels}})
    found = run_module(vcluster_info, **options)["virtual_clusters"]
    assert [item["name"] for item in found] == names
    sent = asked(cluster)
    assert sent[STATEFUL_SETS] == sent[DEPLOYMENTS] == (expected, "")
    # Services do not carry the labels of the workload.
    without = expected.partition(",env")[0]
    assert sent[SERVICES] == (without, "spec.type=LoadBalancer")
    assert sent[INGRESSES] == (without, "")


def test_requests_for_one_namespace_stay_in_it(host: Host, run_module: Any) -> None:
    cluster = host(workload(ready=0, kind="Deployment"), workload("b", "other"))
    (found,) = run_module(vcluster_info, namespace="ns")["virtual_clusters"]
    assert found["kind"] == "Deployment"
    assert all("/namespaces/ns/" in path for path in asked(cluster) if path != f"{NAMESPACES}/ns")
    pods_and_events = len(cluster.requests) - len(ALWAYS)
    assert pods_and_events == len([path for path in asked(cluster) if path.endswith(("/pods", "/events"))])


# --- why one failed ---------------------------------------------------------------------------------------


def test_message_of_failed_one_names_what_its_pod_says(host: Host, run_module: Any) -> None:
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}
    statuses = [{"name": "syncer", "image": "x:1", "restartCount": 0, "state": state}]
    cluster = host(workload(ready=0), pod(containerStatuses=statuses))
    found = run_module(vcluster_info)["virtual_clusters"][0]
    assert found["phase"] == "failed"
    assert found["message"].startswith("container syncer of pod team-a-0 has no image x:1: Back-off; ")
    # Only one namespace has one that is not ready.
    labels = "app in (vcluster,vcluster-etcd),release"
    assert asked(cluster)["/api/v1/namespaces/ns/pods"] == (labels, "")
    assert not any(path.endswith("events") for path in asked(cluster))


def test_message_of_failed_one_names_what_an_event_says(host: Host, run_module: Any) -> None:
    cluster = host(workload(ready=0), event("FailedCreate", "StatefulSet", "team-a", "exceeded quota: q"))
    found = run_module(vcluster_info, phases=["failed"])["virtual_clusters"][0]
    assert "exceeded quota: q" in found["message"]
    fields = "reason=FailedCreate,involvedObject.kind=StatefulSet"
    assert asked(cluster)["/api/v1/namespaces/ns/events"] == ("", fields)


# --- permissions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plurals", "expected"),
    [
        (["tlsroutes"], []),
        (["services", "tlsroutes"], ["no permission to list services: an endpoint may not be known"]),
        (
            ["ingresses", "pods", "events"],
            [
                "no permission to list events, ingresses, pods: why one is not running or an endpoint may "
                "not be known"
            ],
        ),
    ],
)
def test_permission_that_is_optional_and_missing_is_a_warning(
    plurals: list[str], expected: list[str], host: Host, run_module: Any
) -> None:
    cluster = host(workload(ready=0))
    for plural in plurals:
        cluster.deny("list", plural)
    result = run_module(vcluster_info)
    (found,) = result["virtual_clusters"]
    assert (found["phase"], found["endpoint"]) == ("pending", None)
    assert result["warnings"] == expected


@pytest.mark.parametrize("plural", ["statefulsets", "deployments"])
def test_permission_to_list_workloads_missing_fails_with_advice(plural: str, host: Host, run_module: Any) -> None:
    host().deny("list", plural)
    result = run_module(vcluster_info)
    assert result["failed"] is True
    assert f'cannot list resource "{plural}" in API group "apps" at the cluster scope' in result["msg"]
    assert result["msg"].endswith("give option namespace, to read only where it is permitted")
    assert result["status"] == 403


def test_permission_in_a_namespace_missing_fails_without_advice(host: Host, run_module: Any) -> None:
    host().deny("list", "statefulsets")
    result = run_module(vcluster_info, namespace="ns")
    assert result["failed"] is True
    assert 'in the namespace "ns"' in result["msg"]
    assert "give option namespace" not in result["msg"]


def test_permission_in_one_namespace_alone_is_enough_there(host: Host, run_module: Any) -> None:
    """As a role and its binding in that namespace give it."""
    cluster = host(workload(), workload("b", "other"))
    cluster.deny("*", "*", allowed_in=["ns"])
    result = run_module(vcluster_info, namespace="ns")
    assert ([item["name"] for item in result["virtual_clusters"]], result["warnings"]) == (["team-a"], [])


def test_host_cluster_that_does_not_answer_fails(host: Host, run_module: Any) -> None:
    host().intercept = lambda request: DROPPED if request.path == SERVICES else None
    result = run_module(vcluster_info)
    assert result["failed"] is True
    assert result["msg"].startswith("host cluster https://host does not answer: Remote end closed connection")


# --- options ----------------------------------------------------------------------------------------------


def test_option_phases_with_an_unknown_phase_is_refused(host: Host, run_module: Any) -> None:
    host()
    result = run_module(vcluster_info, phases=["asleep"])
    assert result["failed"] is True
    assert "asleep" in result["msg"]


def test_option_is_documented() -> None:
    documented = yaml.safe_load(vcluster_info.DOCUMENTATION)["options"]
    own = vcluster_info.argument_spec().keys() - auth_argument_spec().keys()
    assert {*documented, "host_clusters"} == own  # that one is a fragment's
    for name, option in documented.items():
        spec = vcluster_info.argument_spec()[name]
        assert (option["type"], option.get("default"), option.get("choices")) == (
            spec["type"],
            spec.get("default"),
            spec.get("choices"),
        )
