# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_group_info: what there is, and what is allocated and used."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator

import pytest
from api_host import ApiHost
from group_info_tools import CLAIMED, GROUP_LABEL, SIZE, Dev, amount, by_name, group_of_two
from host_api import Host, connections
from modules import Module
from places import IDLE, Place
from proxy import serve_proxy
from waiting import eventually

KINDS = 7  # ConfigMaps, Namespaces, Nodes, ResourceQuotas, metrics, StatefulSets, Deployments
METRICS = "/apis/metrics.k8s.io/v1beta1"


@pytest.fixture(scope="module")
def dev(host: ApiHost, members: dict[str, Host], vcluster: Module) -> Iterator[Dev]:
    host.wait_for_leaving()  # what other tests had counts no more
    name = f"it-{uuid.uuid4().hex[:5]}"
    host.planes.synced[f"{name}-first"] = 2
    with group_of_two(members, vcluster, name) as found:
        eventually("pods of a tenant", lambda: len(host.items(found.first.path("pods"))) == 3)
        claim = found.second.path("persistentvolumeclaims", f"data-{found.second.name}-0")
        eventually("a claim", lambda: members[found.last].get(claim))
        yield found


def test_group_with_two_virtual_clusters_is_shown(dev: Dev) -> None:
    """Its settings, its host clusters by what their nodes say, and its virtual clusters."""
    found = dev()
    assert (found["name"], found["tags"], found["oversubscription"]) == (dev.name, {"cost": "4711"}, 10000)
    assert found["size"]["default"] == SIZE
    assert found["pending_upgrade"] is False
    assert list(by_name(found["host_clusters"])) == sorted(dev.members)
    for host in found["host_clusters"]:
        (node,) = dev.members[host["name"]].items("/api/v1/nodes")
        assert (host["reachable"], host["reason"], host["nodes"]) == (True, "", 1)
        assert host["capacity"]["cpu"] == node["status"]["allocatable"]["cpu"]
        assert host["limit"]["cpu"] == str(int(host["capacity"]["cpu"]) * 100)
        assert (host["capacity"]["storage"], host["available"]["storage"]) == (None, None)
    clusters = by_name(found["virtual_clusters"])
    assert set(clusters) == {dev.first.name, dev.second.name}
    first, second = clusters[dev.first.name], clusters[dev.second.name]
    assert (first["host_cluster"], first["phase"], first["owner"], first["size"]) == (
        "host-a",
        "running",
        "alice",
        SIZE,
    )
    assert first["vcluster_version"] == "0.36.1"
    assert first["pending"] == []
    assert (second["host_cluster"], second["owner"]) == (dev.last, "")
    assert second["phase"] in ("pending", "failed")


def test_group_info_in_check_mode_reads_the_same(dev: Dev) -> None:
    """It only reads."""
    assert dev.info(check=True, name=dev.name)["groups"][0]["host_clusters"][0]["name"] == "host-a"


def test_allocated_resources_are_those_of_all_namespaces(dev: Dev) -> None:
    """What all namespaces of a host cluster say, whatever their group."""
    found = dev()
    for host in found["host_clusters"]:
        spaces = dev.members[host["name"]].items(f"/api/v1/namespaces?labelSelector={GROUP_LABEL}")
        sizes = [json.loads(space["metadata"]["annotations"]["nested-clusters/size"]) for space in spaces]
        allocated = host["allocated"]
        assert amount(allocated["cpu"]) == sum(amount(size["cpu"]) for size in sizes)
        assert amount(allocated["memory"]) == sum(amount(size["memory"]) for size in sizes)
        assert amount(host["available"]["cpu"]) == amount(host["limit"]["cpu"]) - amount(allocated["cpu"])
    for figure in ("capacity", "limit", "allocated"):
        assert amount(found[figure]["cpu"]) == sum(amount(host[figure]["cpu"]) for host in found["host_clusters"])


def test_used_resources_are_those_that_pods_request(dev: Dev) -> None:
    """What the pods of its namespace request, and what is claimed there; on its host cluster at least that."""
    host = dev.members["host-a"]
    requests = [
        container["resources"]["requests"]
        for pod in host.items(dev.first.path("pods"))
        for container in pod["spec"]["containers"]
    ]
    used = dev.one(dev.first)["used"]
    assert amount(used["cpu"]) == round(sum(amount(one["cpu"]) for one in requests), 3) > 0
    assert amount(used["memory"]) == sum(amount(one["memory"]) for one in requests)
    assert used["storage"] == CLAIMED
    found = by_name(dev()["host_clusters"])["host-a"]
    assert found["used_from"] == "requests"
    assert amount(found["used"]["cpu"]) >= amount(used["cpu"])


def test_namespace_of_an_interrupted_run_is_reserved(dev: Dev, host: Host) -> None:
    """A namespace with a size and nothing in it has its share, and its phase says why."""
    there = host.get(f"/api/v1/namespaces/{dev.first.namespace}")["metadata"]
    where = Place(f"{dev.name}-third", f"vcluster-{dev.name}-third")
    annotations = {**there["annotations"], "nested-clusters/virtual-cluster": where.name}
    host.namespace(where.namespace, labels={GROUP_LABEL: dev.name}, annotations=annotations)
    try:
        found = dev.one(where)
        assert (found["phase"], found["host_cluster"], found["owner"]) == ("reserved", "host-a", "alice")
        assert found["used"] == {"cpu": "0", "memory": "0", "storage": "0"}
        assert found["created"]
        assert found["age"] < 60
    finally:
        host.delete(f"/api/v1/namespaces/{where.namespace}")
    eventually("gone", lambda: where.name not in by_name(dev()["virtual_clusters"]))


def test_volumes_that_were_kept_stay_allocated(dev: Dev, host: Host) -> None:
    """They are no virtual cluster any more, but their storage stays allocated, and what they claim used."""
    where = Place(f"{dev.name}-kept", f"vcluster-{dev.name}-kept")
    dev.vcluster(name=where.name, host_cluster="host-a", values=IDLE, wait=False)
    claim = where.path("persistentvolumeclaims", f"data-{where.name}-0")
    eventually("its claim", lambda: host.get(claim))
    dev.vcluster(name=where.name, state="absent", keep_volumes=True)
    try:
        assert where.name not in by_name(dev()["virtual_clusters"])
        found = by_name(dev()["host_clusters"])["host-a"]
        assert found["virtual_clusters"] == 1
        assert amount(found["allocated"]["storage"]) >= 2 * amount(SIZE["storage"])
        assert amount(found["used"]["storage"]) >= 2 * amount(CLAIMED)
    finally:
        host.delete(f"/api/v1/namespaces/{where.namespace}")
        eventually("gone", lambda: host.get(f"/api/v1/namespaces/{where.namespace}") is None)


def test_virtual_cluster_whose_namespace_is_held_is_deleting(dev: Dev) -> None:
    """Deleting, as long as something holds its namespace; its share is still taken."""
    host = dev.members[dev.last]
    where = Place(f"{dev.name}-goes", f"vcluster-{dev.name}-goes")
    dev.vcluster(name=where.name, host_cluster=dev.last, values=IDLE, wait=False)
    host.create(where.path("configmaps"), {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}})
    host.delete(f"/api/v1/namespaces/{where.namespace}")
    try:
        found = dev.one(where)
        assert (found["phase"], found["size"]) == ("deleting", SIZE)
    finally:
        host.patch(where.path("configmaps", "held"), {"metadata": {"finalizers": None}})
    eventually("gone", lambda: where.name not in by_name(dev()["virtual_clusters"]))


def test_change_of_the_group_is_pending_for_each_virtual_cluster(dev: Dev) -> None:
    """What the group says and a virtual cluster does not have yet, as vcluster_group says it too."""
    group = Module(dev.info.host, dev.info.directory, "vcluster_group", {**dev.info.defaults, "name": dev.name})
    changed = group(values={"policies": {"networkPolicy": {"enabled": False}}})
    try:
        found = by_name(dev()["virtual_clusters"])
        assert {name: one["pending"] for name, one in found.items()} == changed["pending"]
        assert found[dev.first.name]["pending"] == ["values: changed in the group"]
    finally:
        group(values={})
    assert dev.one(dev.first)["pending"] == []


def test_requests_for_more_virtual_clusters_do_not_grow(dev: Dev, host: Host) -> None:
    """One LIST a kind, and pods and events once where something does not run, of however many virtual clusters."""
    with serve_proxy(host) as proxy:
        entry = [{"name": "host-a", **proxy.options}]
        dev.info(host_clusters=entry)
        alone = sorted(request.partition("?")[0] for request in proxy.seen if "/events" not in request)
        proxy.seen.clear()
        places = [Place(f"{dev.name}-n{number}", f"vcluster-{dev.name}-n{number}") for number in range(2)]
        for where in places:
            dev.vcluster(name=where.name, host_cluster="host-a", values=IDLE, wait=False)
        found = dev.info(name=dev.name, host_clusters=entry)["groups"][0]
        assert {where.name for where in places} < by_name(found["virtual_clusters"]).keys()
        lists = sorted(request.partition("?")[0] for request in proxy.seen if "/events" not in request)
        assert all(request.startswith("GET ") for request in proxy.seen)
    kinds = [request for request in lists if not request.endswith(("/pods", "/persistentvolumeclaims"))]
    kinds += [request for request in lists if "metrics.k8s.io" in request]
    assert len(kinds) == len(set(kinds)) == KINDS, lists
    assert len(lists) <= len(alone) + 1 <= KINDS + 2, (alone, lists)
    for where in places:
        host.delete(f"/api/v1/namespaces/{where.namespace}")
    eventually("gone", lambda: not {where.name for where in places} & by_name(dev()["virtual_clusters"]).keys())


@pytest.fixture
def measured(dev: Dev) -> Iterator[Callable[[Place, str, str], None]]:
    """Metrics of pods on the last host cluster; returns how one more is measured.

    A kind of our own, as the real ones take a metrics server; the API server answers the same path.
    """
    host = dev.members[dev.last]
    crds, name = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "pods.metrics.k8s.io"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    host.create(
        crds,
        {
            "metadata": {"name": name, "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
            "spec": {
                "group": "metrics.k8s.io",
                "names": {"kind": "PodMetrics", "plural": "pods"},
                "scope": "Namespaced",
                "versions": [{"name": "v1beta1", "served": True, "storage": True, "schema": schema}],
            },
        },
    )
    try:
        eventually("metrics are served", lambda: host.get(f"{METRICS}/pods"))

        def measure(where: Place, cpu: str, memory: str) -> None:
            body = {
                "apiVersion": "metrics.k8s.io/v1beta1",
                "kind": "PodMetrics",
                "metadata": {"generateName": "pod-"},
                "containers": [{"name": "one", "usage": {"cpu": cpu, "memory": memory}}],
            }
            host.create(f"{METRICS}/namespaces/{where.namespace}/pods", body)

        yield measure
    finally:
        host.delete(f"{crds}/{name}")
        eventually("metrics gone", lambda: host.get(f"{METRICS}/pods") is None)


def test_used_resources_are_measured_where_there_are_metrics(
    dev: Dev, measured: Callable[[Place, str, str], None]
) -> None:
    """Where pods are measured, that is what is used."""
    assert by_name(dev()["host_clusters"])[dev.last]["used_from"] == "requests", "nothing was measured yet"
    measured(dev.second, "1234567n", "10Mi")
    measured(dev.second, "2m", "512Ki")
    assert dev.one(dev.second)["used"] == {"cpu": "4m", "memory": "10752Ki", "storage": CLAIMED}
    found = by_name(dev()["host_clusters"])
    assert found[dev.last]["used_from"] == "metrics"
    assert len(found) == 1 or found["host-a"]["used_from"] == "requests"


def test_group_that_does_not_exist_is_not_shown(dev: Dev) -> None:
    assert dev.info(name="it-no-such-group")["groups"] == []


def test_vcluster_info_with_group_or_owner_finds_its_virtual_clusters(dev: Dev) -> None:
    """The same virtual clusters, by group and by owner."""
    info = Module(dev.info.host, dev.info.directory, "vcluster_info", dev.info.defaults)
    found = by_name(info(group=dev.name)["virtual_clusters"])
    assert set(found) == {dev.first.name, dev.second.name}
    first, second = found[dev.first.name], found[dev.second.name]
    assert (first["host_cluster"], first["group"], first["owner"]) == ("host-a", dev.name, "alice")
    assert (second["host_cluster"], second["owner"], second["size"]) == (dev.last, "", SIZE)
    assert [one["name"] for one in info(group=dev.name, owner="alice")["virtual_clusters"]] == [dev.first.name]
    (alone,) = info(namespace=dev.first.namespace, host_clusters=connections(dev.members)[:1])["virtual_clusters"]
    assert alone["size"] == SIZE
