# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of vcluster_state with state absent, on host clusters in memory that delete as Kubernetes does."""

from __future__ import annotations

import base64
import contextlib
import copy
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import batch, well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import batch as deletion_batch
from ansible_collections.nested.clusters.plugins.module_utils.deletion import host_plan
from ansible_collections.nested.clusters.plugins.module_utils.k8s import host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError, Unreachable
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import HostCluster
from ansible_collections.nested.clusters.plugins.module_utils.power import batch as power_batch
from ansible_collections.nested.clusters.plugins.modules import vcluster_state
from clock import Clock
from helm_releases import raw_secret, release_json
from populated import Host, member

Result = dict[str, Any]
Task = Callable[..., Result]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    fake = Clock()
    for module in (deletion_batch, power_batch, batch):
        monkeypatch.setattr(module, "time", fake)
    yield fake
    assert fake.now < 3000, "something waits for ever"


@pytest.fixture
def all_hosts(clock: Clock) -> list[Host]:
    return [Host()]


@pytest.fixture
def host(all_hosts: list[Host]) -> Host:
    return all_hosts[0]


@pytest.fixture
def task(all_hosts: list[Host], run_module: Task, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Run the module on all hosts, the first called default and others h1, h2 ..."""

    def open_hosts(_module: object) -> list[HostCluster]:
        names = [host_clusters.ONLY, *(f"h{number}" for number in range(1, len(all_hosts)))]
        return [HostCluster(name, one) for name, one in zip(names, all_hosts, strict=True)]

    monkeypatch.setattr(host_clusters, "open_hosts", open_hosts)
    return lambda **options: run_module(vcluster_state, **{"state": "absent", **options})


def of(result: Result, name: str) -> Result:
    return next(cluster for cluster in result["virtual_clusters"] if cluster["name"] == name)


def checked(task: Task, *of_hosts: Host, **options: Any) -> Result:
    """Check mode, which changes nothing; the real run, which does just that; and again, which does nothing."""
    before = [copy.deepcopy(one.objects) for one in of_hosts]
    foreseen = task(check_mode=True, diff=True, **options)
    assert [one.objects for one in of_hosts] == before
    result = task(diff=True, **options)
    assert foreseen == result
    again = task(diff=True, **options)
    assert (again["changed"], again["diff"]) == (False, [])
    assert not result.get("failed"), result["msg"]
    return result


def test_everything_of_a_selection_goes(task: Task, host: Host) -> None:
    for name in "abc":
        host.cluster(name, labels={"env": "ci" if name != "c" else "prod"})
    others = {at: thing for at, thing in host.objects.items() if "vcluster-c" in at or at.endswith("-x-c")}
    result = checked(task, host, label_selectors=["env=ci"])
    assert [one["name"] for one in result["virtual_clusters"]] == ["a", "b"]
    assert of(result, "a") == {
        "name": "a",
        "namespace": "vcluster-a",
        "host_cluster": None,
        "group": None,
        "owner": None,
        "before": "running",
        "after": "absent",
        "changed": True,
        "steps": [
            "uninstall release a",
            "delete clusterroles/vc-a-v-vcluster-a",
            "delete persistentvolumeclaims/data-a-0",
            "delete pods/web-x-default-x-a",
            "delete priorityclasses/high-x-a",
            "delete secrets/vc-a",
            "delete namespace vcluster-a",
        ],
        "note": "",
        "failed": False,
        "msg": "",
    }
    assert "clusterroles/vc-a-v-vcluster-a" in result["diff"][0]["before"]
    of_every = [f"/api/v1/namespaces/{name}" for name in ("default", "kube-node-lease", "kube-public", "kube-system")]
    assert {at: thing for at, thing in host.objects.items() if at not in of_every} == others


def test_a_virtual_cluster_of_this_name_inside_another_stays(task: Task, host: Host) -> None:
    """It is in a namespace of the same name as well, inside the other one, and synced with Helm's annotations."""
    for name in "ab":
        host.cluster(name)
    copies = host.nested("a", "vcluster-a", of="b")
    result = checked(task, host, names=["a"])
    assert not [step for step in of(result, "a")["steps"] if "-x-b" in step]
    assert set(copies) <= host.objects.keys()


def test_what_vcluster_wrote_without_labels(task: Task, host: Host) -> None:
    """It is told by what is in it; nobody looks into what others have that is called so."""
    for name in "abc":
        space, keys = host.cluster(name), ("ca.crt", "ca.key", "apiserver.crt", "apiserver.key")
        host.have("Secret", f"{name}-certs", namespace=space, type="Opaque", data=dict.fromkeys(keys, ""))
    host.have("Secret", "b-certs", namespace="vcluster-b", type="kubernetes.io/tls", data={"tls.crt": ""})
    opened = []
    host.fault = lambda request: opened.append(request) if "GET" in request and "-certs" in request else None
    result = checked(task, host, names=["a", "b"])
    assert "delete secrets/a-certs" in of(result, "a")["steps"]
    assert host.names("vcluster-b") == {"secrets/b-certs"}
    assert host.names("vcluster-a") == set()
    assert "secrets/c-certs" in host.names("vcluster-c")
    assert opened
    assert not [request for request in opened if "vcluster-c" in request]


def test_what_may_be_anothers_stays(task: Task, host: Host) -> None:
    """The marker of x-b in vcluster-x-b is also that of b in vcluster-x-b-x."""
    host.cluster("x-b")
    result = checked(task, host, names=["x-b"])
    assert "priorityclasses" not in str(of(result, "x-b")["steps"])
    assert of(result, "x-b")["note"].startswith("priorityclasses/high-x-x-b stayed: the label")
    assert "or b in namespace vcluster-x-b-x, and nothing else says whose it is" in of(result, "x-b")["note"]
    assert "/apis/scheduling.k8s.io/v1/priorityclasses/high-x-x-b" in host.objects


def record(host: Host, name: str, *documents: dict[str, Any], changes: dict[str, Any] | None = None) -> None:
    """Have the manifest of a release name these objects, and nothing else."""
    namespace = f"vcluster-{name}"
    manifest = "---\n".join(json.dumps(document) + "\n" for document in documents)
    told = {"name": name, "namespace": namespace, "manifest": manifest, **(changes or {})}
    payload = base64.b64encode(gzip.compress(json.dumps(release_json(1, **told)).encode()))
    there = host.objects[f"/api/v1/namespaces/{namespace}/secrets/sh.helm.release.v1.{name}.v1"]
    there["data"] = raw_secret(payload)["data"]


def marked(name: str) -> dict[str, Any]:
    """Labels and annotations of what Helm made for a virtual cluster, or of a copy of that."""
    chart = {"app": "vcluster", "release": name, **well_known.MANAGED_BY_HELM}
    of_helm = {well_known.RELEASE_NAME: name, well_known.RELEASE_NAMESPACE: f"vcluster-{name}"}
    return {"labels": chart, "annotations": of_helm}


COPIES = [("Secret", "vc-config-a"), ("ConfigMap", "elsewhere"), ("PersistentVolumeClaim", "data-a-0")]


def test_a_copy_in_somebodys_namespace_stays(task: Task, host: Host) -> None:
    """Whoever copies an object copies its labels and annotations."""
    host.cluster("a")
    host.cluster("b")
    host.have("Namespace", "prod")
    for kind, name in COPIES:
        host.have(kind, name, namespace="prod", **marked("a"))
    host.have("ClusterRole", "a-copy", **marked("a"))
    record(host, "a", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "elsewhere"}})
    record(host, "b", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "prod"}})
    result = checked(task, host, names=["a", "b"])
    assert "prod" not in str(of(result, "a")["steps"]) + str(result["diff"])
    assert [(one["name"], one["namespace"]) for one in result["virtual_clusters"]] == [
        ("a", "vcluster-a"),
        ("b", "vcluster-b"),
    ]
    assert of(result, "a")["note"].startswith(
        "clusterroles/a-copy, configmaps/elsewhere in namespace prod, persistentvolumeclaims/data-a-0 in namespace "
        "prod, secrets/vc-config-a in namespace prod stayed: labels and annotations say that Helm release a made this"
    )
    assert of(result, "b")["note"] == ""
    assert host.names("prod") == {"secrets/vc-config-a", "configmaps/elsewhere", "persistentvolumeclaims/data-a-0"}
    assert "/apis/rbac.authorization.k8s.io/v1/clusterroles/a-copy" in host.objects


def test_what_its_record_names_elsewhere_goes_and_is_in_the_plan(task: Task, host: Host) -> None:
    for name in "ab":
        host.cluster(name)
        host.have("ConfigMap", f"{name}-elsewhere", namespace="prod", **marked(name))
        host.have("PriorityClass", f"{name}-high", **marked(name))
        meta = {"name": f"{name}-elsewhere", "namespace": "prod"}
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
        high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": f"{name}-high"}}
        record(host, name, {"apiVersion": "v1", "kind": "List", "items": [config]}, high)
    host.lists.clear()
    result = checked(task, host, names=["a", "b"])
    for name in "ab":
        steps = of(result, name)["steps"]
        assert f"delete configmaps/{name}-elsewhere in namespace prod" in steps
        assert f"delete priorityclasses/{name}-high" in steps
        assert f"configmaps/{name}-elsewhere in namespace prod" in str(result["diff"])
    assert host.names("prod") == set()


@pytest.mark.parametrize(
    "changes",
    [{"name": "other"}, {"namespace": "prod"}, {"version": 7}, {"manifest": "kind: ["}],
    ids=["another name", "another namespace", "another revision", "broken"],
)
def test_a_record_that_cannot_be_believed_proves_nothing(changes: dict[str, Any], task: Task, host: Host) -> None:
    host.cluster("a")
    host.have("ConfigMap", "elsewhere", namespace="prod", **marked("a"))
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "elsewhere", "namespace": "prod"}}
    record(host, "a", document, changes=changes)
    assert "configmaps/elsewhere in namespace prod stayed" in of(checked(task, host, name="a"), "a")["note"]
    assert host.names("prod") == {"configmaps/elsewhere"}


def test_a_record_names_nothing_that_is_not_of_its_release(task: Task, host: Host) -> None:
    host.cluster("a")
    host.have("ConfigMap", "coredns", namespace="prod", labels=dict(well_known.MANAGED_BY_HELM))
    host.have("ClusterRole", "view")
    things = [("v1", "ConfigMap", "coredns"), ("rbac.authorization.k8s.io/v1", "ClusterRole", "view")]
    named = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "prod"}}
        for version, kind, name in things
    ]
    record(host, "a", *named)
    checked(task, host, name="a")
    assert host.names("prod") == {"configmaps/coredns"}
    assert "/apis/rbac.authorization.k8s.io/v1/clusterroles/view" in host.objects


def test_records_are_read_in_one_list(task: Task, host: Host) -> None:
    """And only where there is something that they have to speak of."""
    counts = []
    for number in range(4):
        name = f"v{number}"
        host.cluster(name, labels={"env": "ci"})
        host.have("ConfigMap", name, namespace="prod", **marked(name))
        record(host, name, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "prod"}})
        host.lists.clear()
        for one in task(check_mode=True, label_selectors=["env=ci"])["virtual_clusters"]:
            assert f"delete configmaps/{one['name']} in namespace prod" in one["steps"]
        counts.append(len(host.lists))
    assert len(set(counts)) == 1


def test_addresses_do_not_grow_with_records(task: Task, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is between here and an API server takes some KiB."""
    asked: list[str] = []
    listed = host.list

    def list_(where: str, labels: str = "", fields: str = "", metadata_only: bool = False) -> list[Result]:
        asked.append(labels)
        return listed(where, labels, fields, metadata_only)

    monkeypatch.setattr(host, "list", list_)
    for number in range(60):
        host.cluster(f"v{number}")
        host.have("ConfigMap", f"v{number}", namespace="prod", **marked(f"v{number}"))
    found = task(check_mode=True, all=True)["virtual_clusters"]
    assert all("its record does not name it" in one["note"] for one in found)
    assert max(labels.count(",v") for labels in asked) < 50


def test_a_copy_in_its_own_namespace_is_in_the_plan(task: Task, host: Host) -> None:
    """It goes with the namespace, and Helm's uninstalling would not have taken it."""
    host.cluster("a", made=False)
    host.have("Secret", "vc-config-a-backup", namespace="vcluster-a", **marked("a"))
    assert "delete secrets/vc-config-a-backup" in of(checked(task, host, name="a"), "a")["steps"]


@pytest.mark.parametrize("options", [{"all": True}, {"names": ["a"]}])
def test_a_release_of_another_chart_in_a_namespace_that_stayed(options: Result, task: Task, host: Host) -> None:
    """Somebody used the namespace of a virtual cluster that is gone, and its name, for something else."""
    space = host.cluster("a")
    for at in [at for at in host.objects if f"/{space}/" in at]:
        host.objects.pop(at, None)  # pods go with their workload
    record = raw_secret(base64.b64encode(gzip.compress(json.dumps(nginx(space)).encode())), "a")
    record["metadata"].update(namespace=space, labels={**record["metadata"]["labels"], "status": "deployed"})
    host.put({"apiVersion": "v1", "kind": "Secret", **record})
    made = {well_known.RELEASE_NAME: "a", well_known.RELEASE_NAMESPACE: space}
    host.have("Deployment", "a-nginx", namespace=space, labels=well_known.MANAGED_BY_HELM, annotations=made)
    there = host.names(space)
    task(**options)
    assert host.names(space) == there


def nginx(namespace: str) -> Result:
    return release_json(1, name="a", namespace=namespace, chart={"metadata": {"name": "nginx", "version": "1.0.0"}})


def test_no_more_are_deleted_than_the_task_allows(task: Task, host: Host) -> None:
    """What a task that was killed left counts as well."""
    host.cluster("a", annotations={well_known.PROTECTED: "true"})
    host.cluster("b")
    reserved = member("r")
    reserved["annotations"][well_known.CREATED] = "true"
    host.have("Namespace", "vcluster-r", **reserved)
    before = copy.deepcopy(host.objects)
    for check_mode in (True, False):
        result = task(all=True, max_selected=2, check_mode=check_mode)
        assert result["failed"]
        assert "max_selected: 2 is not usable: 3 virtual clusters are selected, and none was changed: a, b, r" in (
            result["msg"]
        )
    assert host.objects == before
    assert len(checked(task, host, names=["b", "r"], max_selected=2)["virtual_clusters"]) == 2


def test_all_that_are_protected_are_named(task: Task, host: Host, all_hosts: list[Host]) -> None:
    all_hosts.append(Host())
    for one in all_hosts:
        one.cluster("safe", annotations={well_known.PROTECTED: "true"})
        one.cluster("other")
    before = [copy.deepcopy(one.objects) for one in all_hosts]
    for check_mode in (True, False):
        result = task(names=["safe", "other"], check_mode=check_mode)
        assert result["failed"]
        assert "2 are protected: safe (namespace vcluster-safe), safe (namespace vcluster-safe, host cluster h1)" in (
            result["msg"]
        )
        assert [one["host_cluster"] for one in result["protected"]] == ["default", "h1"]
    assert [one.objects for one in all_hosts] == before


def test_one_that_is_protected_meanwhile_stays(task: Task, host: Host) -> None:
    """Of many, the later ones are begun some time after the look that the plan was made from."""
    host.cluster("a")
    host.cluster("b")

    def fault(request: str) -> None:
        if request == "DELETE /api/v1/namespaces/vcluster-a":
            place = "/apis/apps/v1/namespaces/vcluster-b/statefulsets/b"
            host.objects[place]["metadata"]["annotations"][well_known.PROTECTED] = "true"

    host.fault = fault
    result = task(names=["a", "b"], at_once=1)
    assert of(result, "b")["msg"] == "it was protected by somebody else meanwhile"
    assert (of(result, "a")["after"], of(result, "b")["changed"]) == ("absent", False)
    assert "/api/v1/namespaces/vcluster-b/persistentvolumeclaims/data-b-0" in host.objects


def test_one_that_fails_keeps_no_other(task: Task, host: Host) -> None:
    for name in "abc":
        host.cluster(name)
    host.fault = lambda request: (
        KubernetesError("no permission", 403, "Forbidden") if request.endswith("DELETE /api/v1/namespaces/vcluster-b")
        else None
    )
    result = task(names=["a", "b", "c"])
    assert result["msg"] == "1 of 3 virtual clusters are not absent: b: no permission"
    assert host.speaking_of("vcluster-a") == host.speaking_of("vcluster-c") == []
    assert of(result, "b")["after"] == "deleting"


def test_no_more_are_begun(task: Task, host: Host) -> None:
    for name in "abc":
        host.cluster(name)
    host.fault = lambda request: KubernetesError("no", 403, "Forbidden") if "DELETE" in request else None
    result = task(names=["a", "b", "c"], at_once=1, max_failures=1)
    assert [one["failed"] for one in result["virtual_clusters"]] == [True, False, False]
    assert "(2 more were not begun)" in result["msg"]


def test_a_namespace_of_somebody_stays(task: Task, host: Host) -> None:
    space = host.cluster("a", made=False)
    host.cluster("b")
    host.have("ConfigMap", "precious", namespace="vcluster-b")
    result = checked(task, host, names=["a", "b"])
    assert not [step for one in result["virtual_clusters"] for step in one["steps"] if "delete namespace" in step]
    assert host.names(space) == set()
    assert host.names("vcluster-b") == {"configmaps/precious"}


def test_what_finds_it_again_goes_last(task: Task, host: Host) -> None:
    host.cluster("a", made=False)
    host.written = []
    task(name="a")
    deleted = [line.rsplit("/", 2)[1:] for line in host.written if line.startswith("delete ")]
    inside = [one for one in deleted if one[0] not in ("clusterroles", "priorityclasses")]
    assert deleted[:2] == [["clusterroles", "vc-a-v-vcluster-a"], ["priorityclasses", "high-x-a"]]
    assert inside[0] == ["statefulsets", "a"]
    assert inside[-2:] == [["secrets", "sh.helm.release.v1.a.v1"], ["secrets", "vc-config-a"]]


@pytest.mark.parametrize("number", range(1, 16))
def test_killed_at_any_request(number: int, task: Task, host: Host) -> None:
    """The next task finds what is left, also in a namespace of somebody's, and removes it."""
    host.cluster("a", made=False)
    host.cluster("b")
    seen = []

    class Killed(BaseException):
        pass

    def fault(request: str) -> None:
        if request.startswith("DELETE"):
            seen.append(request)
            if len(seen) == number:
                raise Killed

    host.fault = fault
    with contextlib.suppress(Killed):
        task(names=["a", "b"], at_once=1)
    host.fault = lambda request: None
    task(names=["a", "b"])
    assert [at for at in host.objects if "/vcluster-a/" in at or "vcluster-b" in at or at.endswith("-x-a")] == []


def test_volumes_are_kept(task: Task, host: Host) -> None:
    space = host.cluster("a")
    result = checked(task, host, phases=["running"], all=True, keep_volumes=True)
    assert of(result, "a")["steps"][0] == "mark volume claim data-a-0 as kept"
    assert host.names(space) == {"persistentvolumeclaims/data-a-0"}
    claim = host.objects[f"/api/v1/namespaces/{space}/persistentvolumeclaims/data-a-0"]
    assert claim["metadata"]["annotations"] == {well_known.KEPT: "true"}
    for selection in ({"phases": ["pending"], "all": True}, {"name": "a", "keep_volumes": True}):
        assert task(**selection)["virtual_clusters"] == []
    assert of(checked(task, host, name="a"), "a")["note"] == host_plan.REMAINS
    assert host.speaking_of("vcluster-a") == []


def test_a_group(task: Task, host: Host) -> None:
    """Also what a task that was killed has only reserved. A namespace of somebody's leaves the group."""
    host.cluster("a", space=member("a"))
    host.cluster("b", space=member("b", owner="bob"), made=False)
    host.cluster("c", space=member("c", group="other"))
    reserved = member("r")
    reserved["annotations"][well_known.CREATED] = "true"
    host.have("Namespace", "vcluster-r", **reserved)
    result = checked(task, host, group="dev", all=True)
    assert [(one["name"], one["before"], one["owner"]) for one in result["virtual_clusters"]] == [
        ("a", "running", "alice"),
        ("b", "running", "bob"),
        ("r", "pending", "alice"),
    ]
    assert of(result, "b")["steps"][-2:] == [
        "set labels of namespace vcluster-b: nested-clusters/group",
        "set annotations of namespace vcluster-b: nested-clusters/owner, nested-clusters/size, "
        "nested-clusters/virtual-cluster",
    ]
    labels = host.objects["/api/v1/namespaces/vcluster-b"]["metadata"]["labels"]
    assert labels == {"kubernetes.io/metadata.name": "vcluster-b"}
    assert host.speaking_of("vcluster-a") == host.speaking_of("vcluster-r") == []
    assert host.speaking_of("vcluster-c")


def test_kept_volumes_keep_their_share(task: Task, host: Host) -> None:
    host.cluster("a", space=member("a"))
    task(group="dev", all=True, keep_volumes=True)
    place = host.objects["/api/v1/namespaces/vcluster-a"]["metadata"]
    assert json.loads(place["annotations"]["nested-clusters/size"]) == {"cpu": "0", "memory": "0", "storage": "2Gi"}
    assert task(group="dev", all=True)["virtual_clusters"] == []


def test_requests_do_not_grow(task: Task, host: Host) -> None:
    """One LIST a kind for all; beside them, a deletion or a few for each."""
    counts = []
    for number in range(6):
        host.cluster(f"v{number}", labels={"env": "ci"})
        host.lists.clear()
        task(check_mode=True, label_selectors=["env=ci"])
        counts.append(len(host.lists))
    assert len(set(counts)) == 1
    host.lists.clear()
    host.written.clear()
    task(label_selectors=["env=ci"])
    assert len(host.lists) < 3 * counts[0]
    assert len(host.written) == 3 * 6  # its cluster role, what it synced outside, its namespace


def test_a_namespace_that_does_not_go(task: Task, host: Host) -> None:
    host.cluster("a")
    host.cluster("b")
    place = "/api/v1/namespaces/vcluster-a"
    host.sticky = {place}
    host.objects[place]["status"] = {"conditions": [{"status": "True", "message": "Some content has finalizers"}]}
    result = task(names=["a", "b"], wait_timeout=20)
    assert of(result, "b")["after"] == "absent"
    assert of(result, "a")["msg"] == (
        "not gone after 20 s (wait_timeout): namespace vcluster-a: Some content has finalizers; run the task again"
    )
    assert of(task(names=["a"], wait=False), "a")["failed"] is False


def test_finalizers_that_nobody_takes_off(task: Task, host: Host) -> None:
    for name, made in (("a", True), ("b", False)):
        host.cluster(name, made=made)
        hold = {"finalizers": ["vcluster.loft.sh/snapshot-controller"], "labels": {well_known.REQUESTED: name}}
        host.have("ConfigMap", "request", namespace=f"vcluster-{name}", **hold)
    checked(task, host, names=["a", "b"])


def test_not_waiting(task: Task, host: Host, clock: Clock) -> None:
    for name, made in (("a", True), ("b", False)):
        host.cluster(name, made=made)
    result = task(names=["a", "b"], wait=False)
    assert {one["after"] for one in result["virtual_clusters"]} == {"deleting"}
    assert clock.now == 1000


def test_volumes_are_waited_for(task: Task, host: Host, clock: Clock) -> None:
    host.cluster("a")
    spec = {"claimRef": {"namespace": "vcluster-a", "name": "data-a-0"}, "persistentVolumeReclaimPolicy": "Delete"}
    host.have("PersistentVolume", "ours", spec=spec)
    clock.after(20, lambda: host.objects.pop("/api/v1/persistentvolumes/ours"))
    task(name="a")
    assert 1020 <= clock.now < 1025


def test_what_may_not_be_listed_may_be_somebodys(task: Task, host: Host) -> None:
    host.cluster("a")
    host.forbidden = {"leases"}
    result = task(name="a")
    assert "delete namespace vcluster-a" not in of(result, "a")["steps"]
    assert host.names("vcluster-a") == set()


def test_a_host_cluster_that_does_not_answer(task: Task, host: Host, all_hosts: list[Host]) -> None:
    all_hosts.append(Host())
    host.cluster("a")
    all_hosts[1].fault = lambda request: Unreachable("no route", 0)
    result = task(name="a")
    assert result["msg"] == "1 of 1 virtual clusters are not absent: host cluster h1: no route"
    assert host.speaking_of("vcluster-a") == []


def test_an_api_server_that_restarts(task: Task, host: Host, clock: Clock) -> None:
    host.cluster("a")
    began = []

    def fault(request: str) -> KubernetesError | None:
        if "DELETE" in request:
            began.append(clock.now)
        return KubernetesError("starting", 503) if began and clock.now - began[0] < 10 else None

    host.fault = fault
    assert of(task(name="a"), "a")["after"] == "absent"
    assert clock.now >= 1010


def test_what_is_being_deleted_is_waited_for(task: Task, host: Host, clock: Clock) -> None:
    host.cluster("a")
    place = "/api/v1/namespaces/vcluster-a"
    host.objects[place]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    def gone() -> None:
        host.objects = {at: thing for at, thing in host.objects.items() if "/vcluster-a" not in at}

    clock.after(10, gone)
    result = task(name="a")
    assert of(result, "a")["before"] == "deleting"
    assert of(result, "a")["steps"] == ["delete clusterroles/vc-a-v-vcluster-a", "delete priorityclasses/high-x-a"]
    assert clock.now >= 1010


def test_another_one_of_the_same_name_is_not_deleted(task: Task, host: Host, clock: Clock) -> None:
    """Made again as soon as the namespace was gone."""
    host.cluster("a")
    host.sticky = {"/api/v1/namespaces/vcluster-a"}

    def again() -> None:
        host.sticky = set()
        host.objects = {at: thing for at, thing in host.objects.items() if "vcluster-a" not in at}
        host.cluster("a")
        host.objects["/api/v1/namespaces/vcluster-a"]["metadata"]["uid"] = "another"

    clock.after(5, again)
    assert of(task(name="a"), "a")["after"] == "absent"
    assert "deletionTimestamp" not in host.objects["/api/v1/namespaces/vcluster-a"]["metadata"]


def test_a_name_that_does_not_exist(task: Task, host: Host) -> None:
    host.cluster("a")
    result = task(names=["z"])
    assert (result["changed"], result["virtual_clusters"]) == (False, [])


# --- without a Helm record --------------------------------------------------------------------------------

FLUX = {"helm.toolkit.fluxcd.io/name": "tenant", "helm.toolkit.fluxcd.io/namespace": "flux-system"}


def lose_record(host: Host, name: str) -> Any:
    return host.objects.pop(f"/api/v1/namespaces/vcluster-{name}/secrets/sh.helm.release.v1.{name}.v1")


def test_all_that_other_tools_manage_are_named(task: Task, host: Host, all_hosts: list[Host]) -> None:
    """With their records elsewhere; those that have one here are as any other."""
    all_hosts.append(Host())
    for one in all_hosts:
        one.cluster("theirs", labels=FLUX)
        lose_record(one, "theirs")
        one.cluster("other", labels=FLUX)
    before = [copy.deepcopy(one.objects) for one in all_hosts]
    for check_mode in (True, False):
        result = task(names=["theirs", "other"], check_mode=check_mode)
        assert result["failed"]
        assert "theirs (namespace vcluster-theirs) belongs to Flux's HelmRelease flux-system/tenant" in result["msg"]
        assert "theirs (namespace vcluster-theirs, host cluster h1) belongs to" in result["msg"]
        assert "delete it there" in result["msg"]
        assert [one["host_cluster"] for one in result["managed"]] == ["default", "h1"]
    assert [one.objects for one in all_hosts] == before
    assert not task(names=["other"]).get("failed")


def test_a_record_in_a_config_map_is_another_tools(task: Task, host: Host) -> None:
    host.cluster("theirs")
    record = lose_record(host, "theirs")
    labels = record["metadata"]["labels"]
    host.have("ConfigMap", record["metadata"]["name"], labels=labels, namespace="vcluster-theirs")
    assert "HELM_DRIVER=configmap" in task(names=["theirs"])["msg"]


def test_one_whose_record_was_lost_is_deleted(task: Task, host: Host) -> None:
    host.cluster("ours")
    lose_record(host, "ours")
    assert checked(task, host, names=["ours"])["changed"]
    assert host.speaking_of("ours") == []


def test_a_look_for_managers_costs_nothing_where_helm_has_its_records(task: Task, host: Host) -> None:
    for name in "abc":
        host.cluster(name, labels=FLUX)
    task(names=["a", "b", "c"], check_mode=True)
    before, host.lists = host.lists, []
    lose_record(host, "a")
    task(names=["a", "b", "c"], check_mode=True)
    assert len(host.lists) == len(before) + 2
