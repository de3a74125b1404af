# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the API server in memory: the contract, and what only it can do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.k8s import client
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import Unreachable
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from contract_base import refused
from contract_reads import Permissions, Reading
from contract_writes import Creating, Deleting, Patching
from fake_api import ANSWER_LOST, DROPPED, GATEWAY_API, STALLED, FakeCluster, Request, refusal
from fake_api.kinds import custom as custom_kind
from fake_api.messages import Fault


class TestFakeApi(Reading, Permissions, Creating, Patching, Deleting):
    """The API server in memory does what a real one does."""

    @pytest.fixture
    def cluster(self) -> FakeCluster:
        return FakeCluster()

    @pytest.fixture
    def api(self, cluster: FakeCluster) -> Kubernetes:
        return cluster.client()

    @pytest.fixture
    def limited(self, cluster: FakeCluster, space: str) -> Iterator[Kubernetes]:
        """All requests are those of one user, so this is for tests that use no other client."""
        cluster.deny("*", "*", allowed_in=[space])
        for plural in ("secrets", "statefulsets"):
            cluster.deny("*", plural)
        yield cluster.client()
        cluster.permit()

    @pytest.fixture
    def custom(self, cluster: FakeCluster) -> str:
        cluster.serve(custom_kind("contract.example.com/v1", "Box", "boxes"))
        return "contract.example.com/v1"


CONFIG_MAPS = path("v1", "configmaps", "default")


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def api(cluster: FakeCluster) -> Kubernetes:
    return cluster.client()


@pytest.mark.parametrize(
    ("status", "reason"), [(409, "Conflict"), (410, "Expired"), (429, "TooManyRequests"), (503, "ServiceUnavailable")]
)
def test_interceptor_with_a_status_answers_it(
    status: int, reason: str, cluster: FakeCluster, api: Kubernetes
) -> None:
    cluster.intercept = lambda request: status if request.method == "POST" else None
    error = refused(lambda: api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}))
    assert (error.status, error.reason) == (status, reason)
    assert api.list(CONFIG_MAPS) == []
    assert [request.status for request in cluster.requests] == [status, 200]


def test_interceptor_with_an_answer_sends_it(cluster: FakeCluster, api: Kubernetes) -> None:
    cluster.intercept = lambda request: refusal(403, "exceeded quota: small", "Forbidden")
    assert "exceeded quota: small" in str(refused(lambda: api.get(f"{CONFIG_MAPS}/a")))


@pytest.mark.parametrize("fault", [DROPPED, ANSWER_LOST])
def test_connection_dropped_once_is_no_matter_to_a_read(
    fault: Fault, cluster: FakeCluster, api: Kubernetes
) -> None:
    cluster.have("ConfigMap", "a")
    cluster.intercept = lambda request: fault if len(cluster.requests) == 1 else None
    assert api.get(f"{CONFIG_MAPS}/a")
    assert (len(cluster.requests), api.requests) == (2, 1)


@pytest.mark.parametrize(("fault", "done"), [(DROPPED, []), (ANSWER_LOST, ["a"])])
def test_connection_dropped_in_a_creation_is_an_error(
    fault: Fault, done: list[str], cluster: FakeCluster, api: Kubernetes
) -> None:
    cluster.intercept = lambda request: fault
    error = refused(lambda: api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}))
    assert isinstance(error, Unreachable)
    assert "does not answer: Remote end closed connection" in str(error)
    assert cluster.names("ConfigMap") == done
    assert len(cluster.requests) == 1


def test_server_that_stalls_is_waited_for_as_long_as_the_client_says() -> None:
    waited: list[float] = []
    cluster = FakeCluster(stalled=waited.append)
    cluster.intercept = lambda request: STALLED
    error = refused(lambda: cluster.client().text("/readyz", seconds=3))
    assert "Read timed out. (read timeout=3)" in str(error)
    assert waited == [3, 3]  # a read is tried once more


def test_server_that_is_down_refuses_connections(cluster: FakeCluster, api: Kubernetes) -> None:
    cluster.down = True
    assert "Connection refused" in str(refused(lambda: api.list(CONFIG_MAPS)))
    assert cluster.requests == []
    cluster.down = False
    assert api.list(CONFIG_MAPS) == []


def test_list_that_expires_between_pages_starts_over(
    cluster: FakeCluster, api: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        cluster.have("ConfigMap", name)
    monkeypatch.setattr(client, "PAGE", 2)

    def expire(request: Request) -> None:
        if len(cluster.requests) == 2:
            cluster.api.expire_pages()

    cluster.intercept = expire
    assert len(api.list(CONFIG_MAPS)) == 3
    assert [bool(request.query.get("continue")) for request in cluster.requests] == [False, True, False, True]
    assert [request.status for request in cluster.requests] == [200, 410, 200, 200]


def test_object_listed_again_is_not_made_again(cluster: FakeCluster, api: Kubernetes) -> None:
    """A thousand objects are made JSON once, and never copied."""
    cluster.have("ConfigMap", "a", data={"a": "b"})
    ((_key, stored),) = cluster.api.storage.collection(cluster.api.served.named("ConfigMap")).items()
    api.list(CONFIG_MAPS)
    before = stored.item
    api.list(path("v1", "configmaps"))
    assert stored.item is before


def test_object_that_a_test_has_is_its_own(cluster: FakeCluster, api: Kubernetes) -> None:
    labels = {"a": "b"}
    made = cluster.have("ConfigMap", "a", labels=labels)
    labels["a"] = made["metadata"]["labels"]["a"] = "c"
    assert cluster.at(f"{CONFIG_MAPS}/a")["metadata"]["labels"] == {"a": "b"}
    before = cluster.state()
    api.patch(f"{CONFIG_MAPS}/a", {"metadata": {"labels": {"a": "c"}}})
    assert before != cluster.state()
    assert cluster.writes() == [f"patch {CONFIG_MAPS}/a"]
    assert cluster.sent() == [f"patch {CONFIG_MAPS}/a"]


def test_object_added_in_a_namespace_has_one(cluster: FakeCluster, api: Kubernetes) -> None:
    cluster.have("Secret", "a", namespace="demo")
    assert path("v1", "namespaces", None, "demo") in cluster
    assert cluster.paths("demo") == [path("v1", "secrets", "demo", "a")]


def test_object_changed_by_somebody_else_has_a_new_version(cluster: FakeCluster, api: Kubernetes) -> None:
    where = path("apps/v1", "statefulsets", "default", "a")
    version = cluster.have("StatefulSet", "a", spec={"replicas": 1})["metadata"]["resourceVersion"]
    changed = cluster.change(where, {"status": {"readyReplicas": 1}})
    assert changed["metadata"]["generation"] == 1
    assert refused(lambda: api.patch(where, {"metadata": {"resourceVersion": version}, "spec": {}})).status == 409


def test_object_that_vanishes_minds_no_finalizer(cluster: FakeCluster) -> None:
    cluster.have("ConfigMap", "a", finalizers=["example.com/hold"])
    cluster.delete(f"{CONFIG_MAPS}/a")
    assert f"{CONFIG_MAPS}/a" in cluster
    cluster.vanish(f"{CONFIG_MAPS}/a")
    assert f"{CONFIG_MAPS}/a" not in cluster


def test_pod_answers_through_the_server_what_a_test_says(cluster: FakeCluster, api: Kubernetes) -> None:
    cluster.have("Pod", "a", spec={})
    pods = path("v1", "pods", "default")
    cluster.api.pod_answer = lambda request: request.path.rpartition("/")[2]
    assert api.text(f"{pods}/a/log", tailLines=3) == "log"
    assert api.text(f"{pods}/https:a:8443/proxy/readyz") == "readyz"
    assert refused(lambda: api.text(f"{pods}/none/log")).status == 404
    cluster.deny("get", "pods/log")
    assert 'cannot get resource "pods/log"' in str(refused(lambda: api.text(f"{pods}/a/log")))


def test_kind_that_is_not_served_is_named(cluster: FakeCluster) -> None:
    with pytest.raises(KeyError, match="Gateway"):
        cluster.have("Gateway", "a")
    cluster.serve(*GATEWAY_API)
    assert cluster.have("Gateway", "a")["apiVersion"] == "gateway.networking.k8s.io/v1"


def test_two_clusters_are_not_the_same() -> None:
    system = path("v1", "namespaces", None, "kube-system")
    first, second = (FakeCluster(host=host).at(system)["metadata"]["uid"] for host in ("https://a", "https://b"))
    assert first != second
