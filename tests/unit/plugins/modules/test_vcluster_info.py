# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_info, through main(), on a host cluster that is a table of objects."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError, Unreachable
from ansible_collections.nested.clusters.plugins.modules import vcluster_info

Object = dict[str, Any]

STATEFUL_SETS = "/apis/apps/v1/statefulsets"
DEPLOYMENTS = "/apis/apps/v1/deployments"
SERVICES = "/api/v1/services"
INGRESSES = "/apis/networking.k8s.io/v1/ingresses"
ROUTES = "/apis/gateway.networking.k8s.io/v1/tlsroutes"
PODS = "/api/v1/pods"
EVENTS = "/api/v1/events"
NAMESPACES = "/api/v1/namespaces"
SYSTEM = f"{NAMESPACES}/kube-system"  # which host cluster it is, where several are asked
ALWAYS = {STATEFUL_SETS, DEPLOYMENTS, SERVICES, INGRESSES, ROUTES, NAMESPACES}


class FakeKubernetes:
    """Answers from a table, as sent: it does not select. Keeps what was asked."""

    host = "https://host-cluster"

    def __init__(self, objects: dict[str, list[Object]], errors: dict[str, KubernetesError]) -> None:
        self.objects = objects
        self.errors = errors
        self.asked: dict[str, tuple[str, str]] = {}
        self.count = 0
        self._lock = threading.Lock()

    def list(self, where: str, labels: str = "", fields: str = "") -> list[Object]:
        with self._lock:
            self.asked[where] = (labels, fields)
            self.count += 1
        if where in self.errors:
            raise self.errors[where]
        return self.objects.get(where, [])

    def get(self, where: str) -> Object | None:
        found = self.list(where)
        return found[0] if found else None


Host = Callable[..., FakeKubernetes]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    def build(
        objects: dict[str, list[Object]] | None = None, errors: dict[str, KubernetesError] | None = None
    ) -> FakeKubernetes:
        fake = FakeKubernetes(objects or {}, errors or {})
        monkeypatch.setattr(Kubernetes, "from_module", lambda _module: fake)
        return fake

    return build


def metadata(name: str, namespace: str, **parts: Any) -> Object:
    return {
        "name": name,
        "namespace": namespace,
        "creationTimestamp": "2026-11-20T12:00:00Z",
        "generation": 1,
        "labels": {"app": "vcluster", "release": name, "chart": "vcluster-0.36.1"},
        **parts,
    }


def workload(
    name: str = "team-a", namespace: str = "ns", ready: int = 1, replicas: int = 1, **parts: Any
) -> Object:
    template = {
        "containers": [{"name": "syncer", "image": "vcluster-oss:0.36.1"}],
        "initContainers": [{"name": "kubernetes", "image": "kubernetes:v1.35.4"}],
    }
    return {
        "metadata": metadata(name, namespace, **parts),
        "spec": {"replicas": replicas, "template": {"spec": template}},
        "status": {
            "observedGeneration": 1,
            "replicas": ready,
            "readyReplicas": ready,
            "updatedReplicas": replicas,
        },
    }


def pod(name: str = "team-a-0", release: str = "team-a", **status: Any) -> Object:
    found = {"metadata": metadata(name, "ns"), "spec": {}, "status": status}
    found["metadata"]["labels"]["release"] = release
    return found


def forbidden(plural: str) -> KubernetesError:
    return KubernetesError(f'cannot list resource "{plural}" at the cluster scope', 403, "Forbidden")


def event(reason: str, kind: str, name: str, message: str) -> Object:
    return {
        "metadata": {"name": "e", "namespace": "ns"},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "involvedObject": {"kind": kind, "name": name},
        "lastTimestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Object]:
    """Makes option ``host_clusters`` for fake host clusters by name."""

    def build(**fakes: FakeKubernetes) -> Object:
        monkeypatch.setattr(Kubernetes, "open", lambda options, *_more: fakes[options["context"]])
        return {"host_clusters": [{"name": name, "context": name} for name in fakes]}

    return build


def namespace(name: str = "team-a", home: str = "ns", group: str = "dev", **annotations: str) -> Object:
    recorded = {
        "nested-clusters/virtual-cluster": name,
        "nested-clusters/size": '{"cpu": "4", "memory": "4096Mi", "storage": "2Gi"}',
        **{f"nested-clusters/{key}": value for key, value in annotations.items()},
    }
    return {"metadata": {"name": home, "labels": {"nested-clusters/group": group}, "annotations": recorded}}


def test_nothing(host: Host, run_module: Any) -> None:
    fake = host()
    result = run_module(vcluster_info)
    assert result["virtual_clusters"] == []
    assert result["changed"] is False
    assert set(fake.asked) == ALWAYS


def test_every_key_that_is_documented_is_returned(host: Host, run_module: Any) -> None:
    host({STATEFUL_SETS: [workload()]})
    found = run_module(vcluster_info, check_mode=True)["virtual_clusters"][0]
    documented = yaml.safe_load(vcluster_info.RETURN)["virtual_clusters"]["contains"]
    assert set(found) == set(documented)
    types = {"str": str, "int": int, "bool": bool, "dict": dict}
    for key, value in found.items():
        assert value is None or isinstance(value, types[documented[key]["type"]])


def test_both_kinds_sorted_with_their_endpoints(host: Host, run_module: Any) -> None:
    service = {
        "metadata": metadata("b", "x"),
        "spec": {"type": "LoadBalancer", "ports": [{"name": "https", "port": 443}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}},
    }
    host(
        {
            STATEFUL_SETS: [workload("b", "x"), workload("b", "a")],
            DEPLOYMENTS: [workload("a", "x")],
            SERVICES: [service],
            INGRESSES: [{"metadata": metadata("a", "x"), "spec": {"rules": [{"host": "a.example.com"}]}}],
            ROUTES: [{"metadata": metadata("b", "a"), "spec": {"hostnames": ["b.example.com"]}}],
        }
    )
    found = run_module(vcluster_info)["virtual_clusters"]
    assert [(item["namespace"], item["name"], item["kind"], item["endpoint"]) for item in found] == [
        ("a", "b", "StatefulSet", "https://b.example.com"),
        ("x", "a", "Deployment", "https://a.example.com"),
        ("x", "b", "StatefulSet", "https://192.0.2.7"),
    ]


def test_requests_do_not_grow_with_the_number(host: Host, run_module: Any) -> None:
    many = [workload(f"vc-{number}", f"ns-{number}", ready=number % 2) for number in range(300)]
    fake = host({STATEFUL_SETS: many})
    assert len(run_module(vcluster_info)["virtual_clusters"]) == 300
    assert set(fake.asked) == {*ALWAYS, PODS, EVENTS}
    assert fake.count == len(ALWAYS) + 2


@pytest.mark.parametrize("phases", [["running"], ["paused", "sleeping", "deleting"]])
def test_pods_are_not_read_for_phases_that_the_workload_tells(
    phases: list[str], host: Host, run_module: Any
) -> None:
    fake = host({STATEFUL_SETS: [workload(ready=0)]})
    assert run_module(vcluster_info, phases=phases)["virtual_clusters"] == []
    assert set(fake.asked) == ALWAYS


def test_pods_are_not_read_for_what_has_none(host: Host, run_module: Any) -> None:
    fake = host({STATEFUL_SETS: [workload(ready=0, replicas=0)]})
    assert run_module(vcluster_info)["virtual_clusters"][0]["phase"] == "pending"
    assert set(fake.asked) == ALWAYS


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "app=vcluster,release"),
        ({"name": "team-a"}, "app=vcluster,release=team-a"),
        ({"label_selectors": ["env=ci", "tier in (a,b)"]}, "app=vcluster,release,env=ci,tier in (a,b)"),
    ],
)
def test_the_host_cluster_selects(options: Object, expected: str, host: Host, run_module: Any) -> None:
    fake = host()
    run_module(vcluster_info, **options)
    assert fake.asked[STATEFUL_SETS] == fake.asked[DEPLOYMENTS] == (expected, "")
    # Services do not carry the labels of the workload.
    without = expected.partition(",env")[0]
    assert fake.asked[SERVICES] == (without, "spec.type=LoadBalancer")
    assert fake.asked[INGRESSES] == (without, "")


def test_one_namespace(host: Host, run_module: Any) -> None:
    where = "/apis/apps/v1/namespaces/ns/deployments"
    fake = host({where: [workload(ready=0)]})
    assert run_module(vcluster_info, namespace="ns")["virtual_clusters"][0]["kind"] == "Deployment"
    assert all("/namespaces/ns/" in path for path in fake.asked if path != f"{NAMESPACES}/ns")
    assert fake.count == len(ALWAYS) + 1, "and pods"


def test_why_one_failed_by_its_pod(host: Host, run_module: Any) -> None:
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}
    broken = pod(containerStatuses=[{"name": "syncer", "image": "x:1", "restartCount": 0, "state": state}])
    fake = host({STATEFUL_SETS: [workload(ready=0)], "/api/v1/namespaces/ns/pods": [broken]})
    found = run_module(vcluster_info)["virtual_clusters"][0]
    assert found["phase"] == "failed"
    assert found["message"].startswith("container syncer of pod team-a-0 has no image x:1: Back-off; ")
    # Only one namespace has one that is not ready.
    labels = "app in (vcluster,vcluster-etcd),release"
    assert fake.asked["/api/v1/namespaces/ns/pods"] == (labels, "")
    assert not any(path.endswith("events") for path in fake.asked)


def test_why_one_failed_by_an_event(host: Host, run_module: Any) -> None:
    refused = event("FailedCreate", "StatefulSet", "team-a", "exceeded quota: q")
    fake = host({STATEFUL_SETS: [workload(ready=0)], "/api/v1/namespaces/ns/events": [refused]})
    found = run_module(vcluster_info, phases=["failed"])["virtual_clusters"][0]
    assert "exceeded quota: q" in found["message"]
    fields = "reason=FailedCreate,involvedObject.kind=StatefulSet"
    assert fake.asked["/api/v1/namespaces/ns/events"] == ("", fields)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([ROUTES], []),
        ([SERVICES, ROUTES], ["no permission to list services: an endpoint may not be known"]),
        (
            [INGRESSES, "/api/v1/namespaces/ns/pods", "/api/v1/namespaces/ns/events"],
            [
                "no permission to list events, ingresses, pods: why one is not running or an endpoint may "
                "not be known"
            ],
        ),
    ],
)
def test_what_may_not_be_read_is_said(
    paths: list[str], expected: list[str], host: Host, run_module: Any
) -> None:
    host({STATEFUL_SETS: [workload(ready=0)]}, {path: forbidden(path) for path in paths})
    result = run_module(vcluster_info)
    (found,) = result["virtual_clusters"]
    assert (found["phase"], found["endpoint"]) == ("pending", None)
    assert result["warnings"] == expected


@pytest.mark.parametrize("where", [STATEFUL_SETS, DEPLOYMENTS])
def test_without_permission(where: str, host: Host, run_module: Any) -> None:
    host(errors={where: forbidden("workloads")})
    result = run_module(vcluster_info)
    assert result["failed"] is True
    assert result["msg"].startswith('cannot list resource "workloads"')
    assert result["msg"].endswith("give option namespace, to read only where it is permitted")
    assert result["status"] == 403


def test_without_permission_in_a_namespace_there_is_no_such_hint(host: Host, run_module: Any) -> None:
    host(errors={"/apis/apps/v1/namespaces/ns/statefulsets": forbidden("statefulsets")})
    result = run_module(vcluster_info, namespace="ns")
    assert result["failed"] is True
    assert "give option namespace" not in result["msg"]


def test_a_host_cluster_that_does_not_answer(host: Host, run_module: Any) -> None:
    host(errors={SERVICES: Unreachable("host cluster https://x does not answer")})
    result = run_module(vcluster_info)
    assert result["failed"] is True
    assert result["msg"] == "host cluster https://x does not answer"


def test_the_place_in_a_group(host: Host, run_module: Any) -> None:
    """One in a group, one without an owner, one that is in the namespace of another, one in no group."""
    fake = host(
        {
            STATEFUL_SETS: [workload(), workload("b", "b"), workload("guest", "b"), workload("c", "c")],
            NAMESPACES: [namespace(owner="alice"), namespace("b", "b", "ops")],
        }
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
    assert fake.asked[NAMESPACES] == ("nested-clusters/group", "")


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
def test_a_group_or_an_owner(
    options: Object, names: list[str], labels: str, host: Host, run_module: Any
) -> None:
    fake = host(
        {
            STATEFUL_SETS: [workload(name, name, ready=int(name != "d")) for name in "abcd"],
            NAMESPACES: [
                namespace("a", "a", owner="alice"),
                namespace("b", "b"),
                namespace("c", "c", "ops", owner="alice"),
            ],
        }
    )
    assert [item["name"] for item in run_module(vcluster_info, **options)["virtual_clusters"]] == names
    assert fake.asked[NAMESPACES] == (labels, "")
    # The one that is not ready is none of these.
    assert set(fake.asked) == ALWAYS


def test_the_group_of_one_namespace(host: Host, run_module: Any) -> None:
    """It is read by itself, as whoever may read only this one may not list."""
    where = "/apis/apps/v1/namespaces/ns/statefulsets"
    host({where: [workload()], f"{NAMESPACES}/ns": [namespace(owner="alice")]})
    (found,) = run_module(vcluster_info, namespace="ns")["virtual_clusters"]
    assert (found["group"], found["owner"]) == ("dev", "alice")
    assert run_module(vcluster_info, namespace="ns", owner="bob")["virtual_clusters"] == []


def test_groups_that_may_not_be_read(host: Host, run_module: Any) -> None:
    host({STATEFUL_SETS: [workload()]}, {NAMESPACES: forbidden("namespaces")})
    result = run_module(vcluster_info)
    assert result["virtual_clusters"][0]["group"] is None
    assert result["warnings"] == ["no permission to list namespaces: a group may not be known"]
    result = run_module(vcluster_info, owner="alice")
    assert (result["failed"], result["status"]) == (True, 403)


def test_a_record_that_cannot_be_read(host: Host, run_module: Any) -> None:
    host({STATEFUL_SETS: [workload()], NAMESPACES: [namespace(size="broken")]})
    result = run_module(vcluster_info)
    assert result["virtual_clusters"][0]["size"] is None
    (warning,) = result["warnings"]
    assert "annotation nested-clusters/size is 'broken'" in warning


def test_several_host_clusters(several: Callable[..., Object], run_module: Any) -> None:
    """Sorted by host cluster; what is not known says where."""
    a = FakeKubernetes({STATEFUL_SETS: [workload("z", "a")]}, {INGRESSES: forbidden("ingresses")})
    b = FakeKubernetes({STATEFUL_SETS: [workload("a", "a"), workload("b", "b")]}, {})
    result = run_module(vcluster_info, **several(b=b, a=a))
    assert [(item["host_cluster"], item["name"]) for item in result["virtual_clusters"]] == [
        ("a", "z"),
        ("b", "a"),
        ("b", "b"),
    ]
    assert result["warnings"] == [
        "host cluster a: no permission to list ingresses: an endpoint may not be known"
    ]
    assert "failed_host_clusters" not in result
    assert set(a.asked) == set(b.asked) == ALWAYS | {SYSTEM}


def test_one_host_cluster_under_two_names(several: Callable[..., Object], run_module: Any) -> None:
    """Nothing is counted twice."""
    system = [{"metadata": {"name": "kube-system", "uid": "one"}}]
    both = {name: FakeKubernetes({SYSTEM: system, STATEFUL_SETS: [workload()]}, {}) for name in "ab"}
    result = run_module(vcluster_info, **several(**both))
    assert "host_clusters: ['a', 'b'] is not usable: both are the same host cluster" in result["msg"]


def test_who_may_not_tell_host_clusters_apart_is_believed(several: Callable[..., Object], run_module: Any) -> None:
    hosts = {name: FakeKubernetes({STATEFUL_SETS: [workload()]}, {SYSTEM: forbidden("namespaces")}) for name in "ab"}
    assert len(run_module(vcluster_info, **several(**hosts))["virtual_clusters"]) == 2


def test_one_of_several_does_not_answer(several: Callable[..., Object], run_module: Any) -> None:
    there = FakeKubernetes({STATEFUL_SETS: [workload()]}, {})
    gone = FakeKubernetes({}, {NAMESPACES: Unreachable("it does not answer")})
    result = run_module(vcluster_info, **several(there=there, gone=gone))
    assert [item["host_cluster"] for item in result["virtual_clusters"]] == ["there"]
    assert result["warnings"] == ["host cluster gone: it does not answer"]
    assert result["failed_host_clusters"] == ["gone"]
    documented = yaml.safe_load(vcluster_info.RETURN)
    assert documented.keys() == result.keys() - {"changed", "invocation", "warnings"}


def test_none_of_several_answers(several: Callable[..., Object], run_module: Any) -> None:
    gone = FakeKubernetes({}, {NAMESPACES: Unreachable("it does not answer")})
    result = run_module(vcluster_info, **several(a=gone, b=gone))
    assert result["failed"] is True
    assert result["msg"] == "a: it does not answer; b: it does not answer"
    assert result["failed_host_clusters"] == ["a", "b"]


def test_a_wrong_phase_is_refused(host: Host, run_module: Any) -> None:
    host()
    result = run_module(vcluster_info, phases=["asleep"])
    assert result["failed"] is True
    assert "asleep" in result["msg"]


def test_the_documentation_names_every_option() -> None:
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
