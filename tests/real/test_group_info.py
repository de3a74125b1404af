# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_group_info on real host clusters: what is there, what is used, and what cannot be seen."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from host_api import Host, Object, connections, remove_namespaces, spaces_of
from modules import Module
from places import IDLE, Place, settled
from proxy import serve_proxy
from waiting import eventually

pytestmark = pytest.mark.xdist_group("groups")  # what is allocated on a host cluster counts for every group on it

GROUP_LABEL = "nested-clusters/group"
SIZE = {"cpu": "2", "memory": "3Gi", "storage": "2Gi"}
CLAIMED = "1Gi"  # by the control plane
KINDS = 7  # ConfigMaps, Namespaces, Nodes, ResourceQuotas, metrics, StatefulSets, Deployments
METRICS = "/apis/metrics.k8s.io/v1beta1"
FIGURES = ("capacity", "limit", "allocated", "used", "available")


@dataclass
class Dev:
    """A group of all host clusters, with two virtual clusters. Other tests have theirs on the same host clusters."""

    name: str
    members: dict[str, Host]
    info: Module
    vcluster: Module
    first: Place  # runs on host-a, for alice
    second: Place  # is on the last of the host clusters, where no node takes its pod

    @property
    def last(self) -> str:
        return list(self.members)[-1]

    def __call__(self, **options: Any) -> Object:
        """The group, of a task that warns of nothing in it."""
        result = self.info(name=self.name, **options)
        assert result["changed"] is False
        assert not warnings(result, self.name)
        (found,) = result["groups"]
        group: Object = found
        return group

    def one(self, where: Place) -> Object:
        """A virtual cluster of the group."""
        return by_name(self()["virtual_clusters"])[where.name]


def by_name(items: list[Object]) -> dict[str, Object]:
    return {item["name"]: item for item in items}


def warnings(result: Object, word: str) -> list[str]:
    """The warnings with a word; ansible-core 2.19 gives each as a structure."""
    found = [item if isinstance(item, str) else str(item["event"]["msg"]) for item in result.get("warnings", [])]
    return [text for text in found if word in text]


def homes(host: Host, selector: str = GROUP_LABEL) -> list[Object]:
    """The namespaces of virtual clusters in groups."""
    return host.items(f"/api/v1/namespaces?labelSelector={selector}")


@pytest.fixture(scope="module")
def dev(members: dict[str, Host], vcluster: Module) -> Iterator[Dev]:
    name = f"it-{uuid.uuid4().hex[:5]}"
    hosts = connections(members)

    def module(which: str, **defaults: Any) -> Module:
        return Module(vcluster.host, vcluster.directory, which, {"host_clusters": hosts, **defaults})

    group = module("vcluster_group", name=name)
    make = vcluster.against(host_clusters=hosts, group=name)
    first, second = (Place(f"{name}-{word}", f"vcluster-{name}-{word}") for word in ("first", "second"))
    try:
        group(oversubscription=10000, size={"minimum": SIZE, "default": SIZE}, tags={"cost": "4711"})
        make(name=first.name, owner="alice", host_cluster="host-a")
        make(name=second.name, host_cluster=list(members)[-1], values=IDLE, wait=False)
        settled(members["host-a"], first)
        yield Dev(name, members, module("vcluster_group_info"), make, first, second)
    finally:
        for host in members.values():
            remove_namespaces(host, *spaces_of(host, name))
        group(state="absent")


def test_the_group(dev: Dev) -> None:
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


def test_check_mode_is_the_same(dev: Dev) -> None:
    """It only reads."""
    assert dev.info(check=True, name=dev.name)["groups"][0]["host_clusters"][0]["name"] == "host-a"


def test_what_is_allocated(dev: Dev) -> None:
    """What all namespaces of a host cluster say, whatever their group."""

    def counted() -> dict[str, Object]:
        return {
            name: {
                space["metadata"]["name"]: json.loads(space["metadata"]["annotations"]["nested-clusters/size"])
                for space in homes(host)
            }
            for name, host in dev.members.items()
        }

    def undisturbed() -> Any:
        before, found = counted(), dev()
        return (before, found) if counted() == before else None

    sizes, found = eventually("a moment in which no other test makes one", undisturbed)
    for host in found["host_clusters"]:
        allocated, size = host["allocated"], sizes[host["name"]]
        assert amount(allocated["cpu"]) == sum(amount(one["cpu"]) for one in size.values())
        assert amount(allocated["memory"]) == sum(amount(one["memory"]) for one in size.values())
        assert amount(host["available"]["cpu"]) == amount(host["limit"]["cpu"]) - amount(allocated["cpu"])
    for figure in ("capacity", "limit", "allocated"):
        assert amount(found[figure]["cpu"]) == sum(amount(host[figure]["cpu"]) for host in found["host_clusters"])


def amount(text: str) -> float:
    """A quantity, as far as they are written here."""
    units = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    unit = next((unit for unit in units if text.endswith(unit)), "")
    return round(float(text.removesuffix(unit)) * units.get(unit, 1), 3)


def test_what_is_used(dev: Dev) -> None:
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

    def known() -> Any:  # it is not while another test makes one that has no quota yet
        found = by_name(dev()["host_clusters"])["host-a"]
        assert found["used_from"] == "requests"
        return found["used"] if found["used"]["cpu"] else None

    assert amount(eventually("what is used on host-a", known)["cpu"]) >= amount(used["cpu"])


def test_a_paused_one_uses_nothing_but_keeps_its_share(dev: Dev, cli: Callable[..., str]) -> None:
    """Paused by the vCluster CLI: its allocation stays, its CPU and memory are free at once."""
    cli("pause", dev.first.name, "--namespace", dev.first.namespace)
    try:
        found = dev.one(dev.first)
        assert (found["phase"], found["size"]) == ("paused", SIZE)
        assert found["used"] == {"cpu": "0", "memory": "0", "storage": CLAIMED}
        assert amount(by_name(dev()["host_clusters"])["host-a"]["allocated"]["cpu"]) >= amount(SIZE["cpu"])
    finally:
        cli("resume", dev.first.name, "--namespace", dev.first.namespace)
    eventually("running again", lambda: dev.one(dev.first)["phase"] == "running")


def test_what_an_interrupted_run_reserved(dev: Dev, host: Host) -> None:
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


def test_volumes_that_were_kept(dev: Dev, host: Host) -> None:
    """They are no virtual cluster any more, but their storage stays allocated, and what they claim used."""
    where = Place(f"{dev.name}-kept", f"vcluster-{dev.name}-kept")
    dev.vcluster(name=where.name, host_cluster="host-a", values=IDLE, wait=False)
    claim = where.path("persistentvolumeclaims", f"data-{where.name}-0")
    eventually("its claim", lambda: host.get(claim))
    dev.vcluster(name=where.name, state="absent", keep_volumes=True)
    try:
        assert where.name not in by_name(dev()["virtual_clusters"])
        found = by_name(dev()["host_clusters"])["host-a"]
        assert found["virtual_clusters"] == (1 if len(dev.members) > 1 else 2)
        assert amount(found["allocated"]["storage"]) >= 2 * amount(SIZE["storage"])
        assert amount(found["used"]["storage"]) >= 2 * amount(CLAIMED)
    finally:
        host.delete(f"/api/v1/namespaces/{where.namespace}")
        eventually("gone", lambda: host.get(f"/api/v1/namespaces/{where.namespace}") is None)


def test_one_that_is_being_deleted(dev: Dev) -> None:
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


def test_pending_changes(dev: Dev) -> None:
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


def test_a_host_cluster_that_does_not_answer(dev: Dev) -> None:
    """It is shown as such, with a warning, and the others as they are; only where none answers the task fails."""
    entries = connections(dev.members)
    silent = {"host": "https://127.0.0.1:9", "api_key": "unused", "kubeconfig": os.devnull}
    gone = [{**silent, "name": entry["name"]} for entry in entries]
    assert "does not answer" in dev.info.refused(name=dev.name, host_clusters=gone)
    if len(entries) == 1:
        return
    result = dev.info(name=dev.name, host_clusters=[entries[0], gone[1]])
    assert warnings(result, "host cluster host-b: host cluster https://127.0.0.1:9 does not answer")
    found = result["groups"][0]
    there, missing = found["host_clusters"]
    assert there["reachable"] is True
    assert (missing["reachable"], [missing[figure] for figure in FIGURES]) == (False, [None] * len(FIGURES))
    assert missing["reason"].startswith("host cluster https://127.0.0.1:9 does not answer: ")
    assert list(by_name(found["virtual_clusters"])) == [dev.first.name]
    assert found["allocated"] == there["allocated"]


def test_requests_do_not_grow(dev: Dev, host: Host) -> None:
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


def test_what_is_measured(dev: Dev, measured: Callable[[Place, str, str], None]) -> None:
    """Where pods are measured, that is what is used."""
    assert by_name(dev()["host_clusters"])[dev.last]["used_from"] == "requests", "nothing was measured yet"
    measured(dev.second, "1234567n", "10Mi")
    measured(dev.second, "2m", "512Ki")
    assert dev.one(dev.second)["used"] == {"cpu": "4m", "memory": "10752Ki", "storage": CLAIMED}
    found = by_name(dev()["host_clusters"])
    assert found[dev.last]["used_from"] == "metrics"
    assert len(found) == 1 or found["host-a"]["used_from"] == "requests"


def test_a_quota_that_is_gone(dev: Dev) -> None:
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


def test_what_may_not_be_listed(dev: Dev, reader: Callable[..., list[Object]]) -> None:
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


def test_what_must_be_permitted(dev: Dev, reader: Callable[..., list[Object]]) -> None:
    """Without workloads there is nothing to say; the message names who may not do what."""
    entry = reader(core=["configmaps", "namespaces"])
    message = eventually("its permissions", lambda: workloads(dev.info.refused(name=dev.name, host_clusters=entry)))
    assert f"system:serviceaccount:{dev.first.namespace}:default" in message
    assert "option namespace" not in message


def workloads(message: str) -> str | None:
    return message if "statefulsets" in message else None


def test_one_that_has_no_group(dev: Dev) -> None:
    assert dev.info(name="it-no-such-group")["groups"] == []


def test_vcluster_info_knows_the_group(dev: Dev) -> None:
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
