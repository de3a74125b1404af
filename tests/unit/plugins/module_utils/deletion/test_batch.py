# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of vcluster_state with state absent, on host clusters in memory that delete as Kubernetes does."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import batch, well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import batch as deletion_batch
from ansible_collections.nested.clusters.plugins.module_utils.deletion import host_plan
from ansible_collections.nested.clusters.plugins.module_utils.power import batch as power_batch
from ansible_collections.nested.clusters.plugins.modules import vcluster_state
from fake_api import Request, refusal
from fake_clock import Clock, replace_time
from populated_host import OF_EVERY_HOST, PopulatedHost, member
from release_records import raw_secret, release_json
from tasks_on_hosts import Result, Task, checked, contents, of, task_on


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    found = Clock()
    replace_time(monkeypatch, found, (deletion_batch, power_batch, batch))
    yield found
    assert found.now < 3000, "something waits for ever"


@pytest.fixture
def all_hosts(clock: Clock) -> list[PopulatedHost]:
    return [PopulatedHost()]


@pytest.fixture
def host(all_hosts: list[PopulatedHost]) -> PopulatedHost:
    return all_hosts[0]


@pytest.fixture
def task(all_hosts: list[PopulatedHost], run_module: Task, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Run the module on all hosts."""
    return task_on(all_hosts, vcluster_state, run_module, monkeypatch, state="absent")


def test_everything_of_a_selection_goes(task: Task, host: PopulatedHost) -> None:
    for name in "abc":
        host.have_cluster(name, labels={"env": "ci" if name != "c" else "prod"})
    others = {path: one for path, one in host.state().items() if "vcluster-c" in path or path.endswith("-x-c")}
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
    assert {path: one for path, one in host.state().items() if path not in OF_EVERY_HOST} == others


def test_a_virtual_cluster_of_this_name_inside_another_stays(task: Task, host: PopulatedHost) -> None:
    """It is in a namespace of the same name as well, inside the other one, and synced with Helm's annotations."""
    for name in "ab":
        host.have_cluster(name)
    copies = host.have_nested("a", "vcluster-a", of="b")
    result = checked(task, host, names=["a"])
    assert not [step for step in of(result, "a")["steps"] if "-x-b" in step]
    assert set(copies) <= set(host.paths())


def test_what_vcluster_wrote_without_labels(task: Task, host: PopulatedHost) -> None:
    """It is told by what is in it; nobody looks into what others have that is called so."""
    for name in "abc":
        space, keys = host.have_cluster(name), ("ca.crt", "ca.key", "apiserver.crt", "apiserver.key")
        host.have("Secret", f"{name}-certs", namespace=space, type="Opaque", data=dict.fromkeys(keys, ""))
    host.have("Secret", "b-certs", namespace="vcluster-b", type="kubernetes.io/tls", data={"tls.crt": ""})
    host.requests.clear()
    result = checked(task, host, names=["a", "b"])
    assert "delete secrets/a-certs" in of(result, "a")["steps"]
    assert contents(host, "vcluster-b") == {"secrets/b-certs"}
    assert contents(host, "vcluster-a") == set()
    assert "secrets/c-certs" in contents(host, "vcluster-c")
    opened = [request for request in host.sent("get") if "-certs" in request]
    assert opened
    assert not [request for request in opened if "vcluster-c" in request]


def test_what_may_be_anothers_stays(task: Task, host: PopulatedHost) -> None:
    """The marker of x-b in vcluster-x-b is also that of b in vcluster-x-b-x."""
    host.have_cluster("x-b")
    result = checked(task, host, names=["x-b"])
    assert "priorityclasses" not in str(of(result, "x-b")["steps"])
    assert of(result, "x-b")["note"].startswith("priorityclasses/high-x-x-b stayed: the label")
    assert "or b in namespace vcluster-x-b-x, and nothing else says whose it is" in of(result, "x-b")["note"]
    assert "/apis/scheduling.k8s.io/v1/priorityclasses/high-x-x-b" in host


def have_manifest(
    host: PopulatedHost, name: str, *documents: dict[str, Any], changes: dict[str, Any] | None = None
) -> None:
    """Have the manifest of a release name these objects, and nothing else."""
    namespace = f"vcluster-{name}"
    manifest = "---\n".join(json.dumps(document) + "\n" for document in documents)
    parts = {"name": name, "namespace": namespace, "manifest": manifest, **(changes or {})}
    payload = base64.b64encode(gzip.compress(json.dumps(release_json(1, **parts)).encode()))
    path = f"/api/v1/namespaces/{namespace}/secrets/sh.helm.release.v1.{name}.v1"
    host.change(path, {"data": raw_secret(payload)["data"]})


def marked(name: str) -> dict[str, Any]:
    """Labels and annotations of what Helm made for a virtual cluster, or of a copy of that."""
    chart = {"app": "vcluster", "release": name, **well_known.MANAGED_BY_HELM}
    of_helm = {well_known.RELEASE_NAME: name, well_known.RELEASE_NAMESPACE: f"vcluster-{name}"}
    return {"labels": chart, "annotations": of_helm}


COPIES = [("Secret", "vc-config-a"), ("ConfigMap", "elsewhere"), ("PersistentVolumeClaim", "data-a-0")]


def test_a_copy_in_somebodys_namespace_stays(task: Task, host: PopulatedHost) -> None:
    """Whoever copies an object copies its labels and annotations."""
    host.have_cluster("a")
    host.have_cluster("b")
    host.have("Namespace", "prod")
    for kind, name in COPIES:
        host.have(kind, name, namespace="prod", **marked("a"))
    host.have("ClusterRole", "a-copy", **marked("a"))
    have_manifest(host, "a", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "elsewhere"}})
    have_manifest(host, "b", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "prod"}})
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
    assert contents(host, "prod") == {"secrets/vc-config-a", "configmaps/elsewhere", "persistentvolumeclaims/data-a-0"}
    assert "/apis/rbac.authorization.k8s.io/v1/clusterroles/a-copy" in host


def test_what_its_record_names_elsewhere_goes_and_is_in_the_plan(task: Task, host: PopulatedHost) -> None:
    for name in "ab":
        host.have_cluster(name)
        host.have("ConfigMap", f"{name}-elsewhere", namespace="prod", **marked(name))
        host.have("PriorityClass", f"{name}-high", **marked(name))
        meta = {"name": f"{name}-elsewhere", "namespace": "prod"}
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
        high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": f"{name}-high"}}
        have_manifest(host, name, {"apiVersion": "v1", "kind": "List", "items": [config]}, high)
    result = checked(task, host, names=["a", "b"])
    for name in "ab":
        steps = of(result, name)["steps"]
        assert f"delete configmaps/{name}-elsewhere in namespace prod" in steps
        assert f"delete priorityclasses/{name}-high" in steps
        assert f"configmaps/{name}-elsewhere in namespace prod" in str(result["diff"])
    assert contents(host, "prod") == set()


@pytest.mark.parametrize(
    "changes",
    [{"name": "other"}, {"namespace": "prod"}, {"version": 7}, {"manifest": "kind: ["}],
    ids=["another name", "another namespace", "another revision", "broken"],
)
def test_a_record_that_cannot_be_believed_proves_nothing(
    changes: dict[str, Any], task: Task, host: PopulatedHost
) -> None:
    host.have_cluster("a")
    host.have("ConfigMap", "elsewhere", namespace="prod", **marked("a"))
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "elsewhere", "namespace": "prod"}}
    have_manifest(host, "a", document, changes=changes)
    assert "configmaps/elsewhere in namespace prod stayed" in of(checked(task, host, name="a"), "a")["note"]
    assert contents(host, "prod") == {"configmaps/elsewhere"}


def test_a_record_names_nothing_that_is_not_of_its_release(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("a")
    host.have("ConfigMap", "coredns", namespace="prod", labels=dict(well_known.MANAGED_BY_HELM))
    host.have("ClusterRole", "view")
    things = [("v1", "ConfigMap", "coredns"), ("rbac.authorization.k8s.io/v1", "ClusterRole", "view")]
    named = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "prod"}}
        for version, kind, name in things
    ]
    have_manifest(host, "a", *named)
    checked(task, host, name="a")
    assert contents(host, "prod") == {"configmaps/coredns"}
    assert "/apis/rbac.authorization.k8s.io/v1/clusterroles/view" in host


def test_records_are_read_in_one_list(task: Task, host: PopulatedHost) -> None:
    """And only where there is something that they have to speak of."""
    counts = []
    for number in range(4):
        name = f"v{number}"
        host.have_cluster(name, labels={"env": "ci"})
        host.have("ConfigMap", name, namespace="prod", **marked(name))
        metadata = {"name": name, "namespace": "prod"}
        have_manifest(host, name, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        host.requests.clear()
        for one in task(check_mode=True, label_selectors=["env=ci"])["virtual_clusters"]:
            assert f"delete configmaps/{one['name']} in namespace prod" in one["steps"]
        counts.append(len(host.sent("list")))
    assert len(set(counts)) == 1


def test_addresses_do_not_grow_with_records(task: Task, host: PopulatedHost) -> None:
    """What is between here and an API server takes some KiB."""
    for number in range(60):
        host.have_cluster(f"v{number}")
        host.have("ConfigMap", f"v{number}", namespace="prod", **marked(f"v{number}"))
    found = task(check_mode=True, all=True)["virtual_clusters"]
    assert all("its record does not name it" in one["note"] for one in found)
    selectors = [request.query.get("labelSelector", "") for request in host.requests]
    assert 1 < max(selector.count(",v") for selector in selectors) < 50


def test_a_copy_in_its_own_namespace_is_in_the_plan(task: Task, host: PopulatedHost) -> None:
    """It goes with the namespace, and Helm's uninstalling would not have taken it."""
    host.have_cluster("a", made=False)
    host.have("Secret", "vc-config-a-backup", namespace="vcluster-a", **marked("a"))
    assert "delete secrets/vc-config-a-backup" in of(checked(task, host, name="a"), "a")["steps"]


@pytest.mark.parametrize("options", [{"all": True}, {"names": ["a"]}])
def test_a_release_of_another_chart_in_a_namespace_that_stayed(
    options: Result, task: Task, host: PopulatedHost
) -> None:
    """Somebody used the namespace of a virtual cluster that is gone, and its name, for something else."""
    space = host.have_cluster("a")
    host.vanish_with(f"/{space}/")
    record = raw_secret(base64.b64encode(gzip.compress(json.dumps(nginx(space)).encode())), "a")
    record["metadata"].update(namespace=space, labels={**record["metadata"]["labels"], "status": "deployed"})
    host.add({"apiVersion": "v1", "kind": "Secret", **record})
    made = {well_known.RELEASE_NAME: "a", well_known.RELEASE_NAMESPACE: space}
    host.have("Deployment", "a-nginx", namespace=space, labels=well_known.MANAGED_BY_HELM, annotations=made)
    before = contents(host, space)
    task(**options)
    assert contents(host, space) == before


def nginx(namespace: str) -> Result:
    return release_json(1, name="a", namespace=namespace, chart={"metadata": {"name": "nginx", "version": "1.0.0"}})


def test_no_more_are_deleted_than_the_task_allows(task: Task, host: PopulatedHost) -> None:
    """What a task that was killed left counts as well."""
    host.have_cluster("a", annotations={well_known.PROTECTED: "true"})
    host.have_cluster("b")
    reserved = member("r")
    reserved["annotations"][well_known.CREATED] = "true"
    host.have("Namespace", "vcluster-r", **reserved)
    before = host.state()
    for check_mode in (True, False):
        result = task(all=True, max_selected=2, check_mode=check_mode)
        assert result["failed"]
        assert "max_selected: 2 is not usable: 3 virtual clusters are selected, and none was changed: a, b, r" in (
            result["msg"]
        )
    assert host.state() == before
    assert len(checked(task, host, names=["b", "r"], max_selected=2)["virtual_clusters"]) == 2


def test_all_that_are_protected_are_named(task: Task, host: PopulatedHost, all_hosts: list[PopulatedHost]) -> None:
    all_hosts.append(PopulatedHost())
    for one in all_hosts:
        one.have_cluster("safe", annotations={well_known.PROTECTED: "true"})
        one.have_cluster("other")
    before = [one.state() for one in all_hosts]
    for check_mode in (True, False):
        result = task(names=["safe", "other"], check_mode=check_mode)
        assert result["failed"]
        assert "2 are protected: safe (namespace vcluster-safe), safe (namespace vcluster-safe, host cluster h1)" in (
            result["msg"]
        )
        assert [one["host_cluster"] for one in result["protected"]] == ["default", "h1"]
    assert [one.state() for one in all_hosts] == before


def test_one_that_is_protected_meanwhile_stays(task: Task, host: PopulatedHost) -> None:
    """Of many, the later ones are begun some time after the look that the plan was made from."""
    host.have_cluster("a")
    host.have_cluster("b")

    def protect(request: Request) -> None:
        if str(request) == "DELETE /api/v1/namespaces/vcluster-a":
            protected = {"metadata": {"annotations": {well_known.PROTECTED: "true"}}}
            host.change("/apis/apps/v1/namespaces/vcluster-b/statefulsets/b", protected)

    host.intercept = protect
    result = task(names=["a", "b"], at_once=1)
    assert of(result, "b")["msg"] == "it was protected by somebody else meanwhile"
    assert (of(result, "a")["after"], of(result, "b")["changed"]) == ("absent", False)
    assert "/api/v1/namespaces/vcluster-b/persistentvolumeclaims/data-b-0" in host


def test_one_that_fails_keeps_no_other(task: Task, host: PopulatedHost) -> None:
    for name in "abc":
        host.have_cluster(name)
    refused = "DELETE /api/v1/namespaces/vcluster-b"
    host.intercept = lambda request: refusal(403, "no") if str(request) == refused else None
    result = task(names=["a", "b", "c"])
    message = f"{refused} on host cluster {host.host}: 403 no"
    assert of(result, "b")["msg"].startswith(message)
    assert result["msg"] == f"1 of 3 virtual clusters are not absent: b: {of(result, 'b')['msg']}"
    assert host.paths_with("vcluster-a") == host.paths_with("vcluster-c") == []
    assert of(result, "b")["after"] == "deleting"


def test_no_more_are_begun(task: Task, host: PopulatedHost) -> None:
    for name in "abc":
        host.have_cluster(name)
    host.deny("delete", "*")
    result = task(names=["a", "b", "c"], at_once=1, max_failures=1)
    assert [one["failed"] for one in result["virtual_clusters"]] == [True, False, False]
    assert "(2 more were not begun)" in result["msg"]


def test_a_namespace_of_somebody_stays(task: Task, host: PopulatedHost) -> None:
    space = host.have_cluster("a", made=False)
    host.have_cluster("b")
    host.have("ConfigMap", "precious", namespace="vcluster-b")
    result = checked(task, host, names=["a", "b"])
    assert not [step for one in result["virtual_clusters"] for step in one["steps"] if "delete namespace" in step]
    assert contents(host, space) == set()
    assert contents(host, "vcluster-b") == {"configmaps/precious"}


def test_what_finds_it_again_goes_last(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("a", made=False)
    host.requests.clear()
    task(name="a")
    deleted = [line.rsplit("/", 2)[1:] for line in host.writes() if line.startswith("delete ")]
    inside = [one for one in deleted if one[0] not in ("clusterroles", "priorityclasses")]
    assert deleted[:2] == [["clusterroles", "vc-a-v-vcluster-a"], ["priorityclasses", "high-x-a"]]
    assert inside[0] == ["statefulsets", "a"]
    assert inside[-2:] == [["secrets", "sh.helm.release.v1.a.v1"], ["secrets", "vc-config-a"]]


@pytest.mark.parametrize("number", range(1, 16))
def test_killed_at_any_request(number: int, task: Task, host: PopulatedHost) -> None:
    """The next task finds what is left, also in a namespace of somebody's, and removes it."""
    host.have_cluster("a", made=False)
    host.have_cluster("b")
    deletions = []

    class Killed(BaseException):
        pass

    def kill(request: Request) -> None:
        if request.method == "DELETE":
            deletions.append(request)
            if len(deletions) == number:
                raise Killed

    host.intercept = kill
    with contextlib.suppress(Killed):
        task(names=["a", "b"], at_once=1)
    host.intercept = lambda request: None
    task(names=["a", "b"])
    assert [path for path in host.paths() if "/vcluster-a/" in path or "vcluster-b" in path or "-x-a" in path] == []


def test_volumes_are_kept(task: Task, host: PopulatedHost) -> None:
    space = host.have_cluster("a")
    result = checked(task, host, phases=["running"], all=True, keep_volumes=True)
    assert of(result, "a")["steps"][0] == "mark volume claim data-a-0 as kept"
    assert contents(host, space) == {"persistentvolumeclaims/data-a-0"}
    claim = host.at(f"/api/v1/namespaces/{space}/persistentvolumeclaims/data-a-0")
    assert claim["metadata"]["annotations"] == {well_known.KEPT: "true"}
    for selection in ({"phases": ["pending"], "all": True}, {"name": "a", "keep_volumes": True}):
        assert task(**selection)["virtual_clusters"] == []
    assert of(checked(task, host, name="a"), "a")["note"] == host_plan.REMAINS
    assert host.paths_with("vcluster-a") == []


def test_a_group(task: Task, host: PopulatedHost) -> None:
    """Also what a task that was killed has only reserved. A namespace of somebody's leaves the group."""
    host.have_cluster("a", space=member("a"))
    host.have_cluster("b", space=member("b", owner="bob"), made=False)
    host.have_cluster("c", space=member("c", group="other"))
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
    labels = host.at("/api/v1/namespaces/vcluster-b")["metadata"]["labels"]
    assert labels == {"kubernetes.io/metadata.name": "vcluster-b"}
    assert host.paths_with("vcluster-a") == host.paths_with("vcluster-r") == []
    assert host.paths_with("vcluster-c")


def test_kept_volumes_keep_their_share(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("a", space=member("a"))
    task(group="dev", all=True, keep_volumes=True)
    metadata = host.at("/api/v1/namespaces/vcluster-a")["metadata"]
    assert json.loads(metadata["annotations"]["nested-clusters/size"]) == {"cpu": "0", "memory": "0", "storage": "2Gi"}
    assert task(group="dev", all=True)["virtual_clusters"] == []


def test_requests_do_not_grow(task: Task, host: PopulatedHost) -> None:
    """One LIST a kind for all; beside them, a deletion or a few for each."""
    counts = []
    for number in range(6):
        host.have_cluster(f"v{number}", labels={"env": "ci"})
        host.requests.clear()
        task(check_mode=True, label_selectors=["env=ci"])
        counts.append(len(host.sent("list")))
    assert len(set(counts)) == 1
    host.requests.clear()
    task(label_selectors=["env=ci"])
    assert len(host.sent("list")) < 3 * counts[0]
    assert len(host.writes()) == 3 * 6  # its cluster role, what it synced outside, its namespace


def test_a_namespace_that_does_not_go(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("a")
    host.have_cluster("b")
    why = {"conditions": [{"status": "True", "message": "Some content has finalizers"}]}
    held = {"metadata": {"finalizers": ["example.com/hold"]}, "status": why}
    host.change("/api/v1/namespaces/vcluster-a", held)
    result = task(names=["a", "b"], wait_timeout=20)
    assert of(result, "b")["after"] == "absent"
    assert of(result, "a")["msg"] == (
        "not gone after 20 s (wait_timeout): namespace vcluster-a: Some content has finalizers; run the task again"
    )
    assert of(task(names=["a"], wait=False), "a")["failed"] is False


def test_finalizers_that_nobody_takes_off(task: Task, host: PopulatedHost) -> None:
    for name, made in (("a", True), ("b", False)):
        host.have_cluster(name, made=made)
        hold = {"finalizers": ["vcluster.loft.sh/snapshot-controller"], "labels": {well_known.REQUESTED: name}}
        host.have("ConfigMap", "request", namespace=f"vcluster-{name}", **hold)
    checked(task, host, names=["a", "b"])


def test_not_waiting(task: Task, host: PopulatedHost, clock: Clock) -> None:
    for name, made in (("a", True), ("b", False)):
        host.have_cluster(name, made=made)
    result = task(names=["a", "b"], wait=False)
    assert {one["after"] for one in result["virtual_clusters"]} == {"deleting"}
    assert clock.now == 1000


def test_volumes_are_waited_for(task: Task, host: PopulatedHost, clock: Clock) -> None:
    host.have_cluster("a")
    spec = {"claimRef": {"namespace": "vcluster-a", "name": "data-a-0"}, "persistentVolumeReclaimPolicy": "Delete"}
    host.have("PersistentVolume", "ours", spec=spec)
    clock.after(20, lambda: host.vanish("/api/v1/persistentvolumes/ours"))
    task(name="a")
    assert 1020 <= clock.now < 1025


def test_what_may_not_be_listed_may_be_somebodys(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("a")
    host.deny("list", "leases")
    result = task(name="a")
    assert "delete namespace vcluster-a" not in of(result, "a")["steps"]
    assert contents(host, "vcluster-a") == set()


def test_a_host_cluster_that_does_not_answer(task: Task, host: PopulatedHost, all_hosts: list[PopulatedHost]) -> None:
    all_hosts.append(PopulatedHost())
    host.have_cluster("a")
    all_hosts[1].down = True
    result = task(name="a")
    (failure,) = result["failures"]
    assert failure["msg"].startswith(f"host cluster {all_hosts[1].host} does not answer: ")
    assert result["msg"] == f"1 of 1 virtual clusters are not absent: host cluster h1: {failure['msg']}"
    assert host.paths_with("vcluster-a") == []


def test_an_api_server_that_restarts(task: Task, host: PopulatedHost, clock: Clock) -> None:
    host.have_cluster("a")
    began = []

    def restart(request: Request) -> int | None:
        if request.method == "DELETE":
            began.append(clock.now)
        return 503 if began and clock.now - began[0] < 10 else None

    host.intercept = restart
    assert of(task(name="a"), "a")["after"] == "absent"
    assert clock.now >= 1010


def test_what_is_being_deleted_is_waited_for(task: Task, host: PopulatedHost, clock: Clock) -> None:
    host.have_cluster("a")
    namespace = host.at("/api/v1/namespaces/vcluster-a")
    namespace["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    host.add(namespace)
    clock.after(10, lambda: host.vanish_with("/vcluster-a"))
    result = task(name="a")
    assert of(result, "a")["before"] == "deleting"
    assert of(result, "a")["steps"] == ["delete clusterroles/vc-a-v-vcluster-a", "delete priorityclasses/high-x-a"]
    assert clock.now >= 1010


def test_another_one_of_the_same_name_is_not_deleted(task: Task, host: PopulatedHost, clock: Clock) -> None:
    """Made again as soon as the namespace was gone."""
    host.have_cluster("a")
    host.change("/api/v1/namespaces/vcluster-a", {"metadata": {"finalizers": ["example.com/hold"]}})

    def again() -> None:
        host.vanish_with("vcluster-a")
        host.have_cluster("a")

    clock.after(5, again)
    assert of(task(name="a"), "a")["after"] == "absent"
    assert "deletionTimestamp" not in host.at("/api/v1/namespaces/vcluster-a")["metadata"]


def test_a_name_that_does_not_exist(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("a")
    result = task(names=["z"])
    assert (result["changed"], result["virtual_clusters"]) == (False, [])


# --- without a Helm record --------------------------------------------------------------------------------

FLUX = {"helm.toolkit.fluxcd.io/name": "tenant", "helm.toolkit.fluxcd.io/namespace": "flux-system"}


def lose_record(host: PopulatedHost, name: str) -> Any:
    """Take Helm's record away, and return it."""
    path = f"/api/v1/namespaces/vcluster-{name}/secrets/sh.helm.release.v1.{name}.v1"
    record = host.at(path)
    host.vanish(path)
    return record


def test_all_that_other_tools_manage_are_named(task: Task, host: PopulatedHost, all_hosts: list[PopulatedHost]) -> None:
    """With their records elsewhere; those that have one here are as any other."""
    all_hosts.append(PopulatedHost())
    for one in all_hosts:
        one.have_cluster("theirs", labels=FLUX)
        lose_record(one, "theirs")
        one.have_cluster("other", labels=FLUX)
    before = [one.state() for one in all_hosts]
    for check_mode in (True, False):
        result = task(names=["theirs", "other"], check_mode=check_mode)
        assert result["failed"]
        assert "theirs (namespace vcluster-theirs) belongs to Flux's HelmRelease flux-system/tenant" in result["msg"]
        assert "theirs (namespace vcluster-theirs, host cluster h1) belongs to" in result["msg"]
        assert "delete it there" in result["msg"]
        assert [one["host_cluster"] for one in result["managed"]] == ["default", "h1"]
    assert [one.state() for one in all_hosts] == before
    assert not task(names=["other"]).get("failed")


def test_a_record_in_a_config_map_is_another_tools(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("theirs")
    record = lose_record(host, "theirs")
    labels = record["metadata"]["labels"]
    host.have("ConfigMap", record["metadata"]["name"], labels=labels, namespace="vcluster-theirs")
    assert "HELM_DRIVER=configmap" in task(names=["theirs"])["msg"]


def test_one_whose_record_was_lost_is_deleted(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("ours")
    lose_record(host, "ours")
    assert checked(task, host, names=["ours"])["changed"]
    assert host.paths_with("ours") == []


def test_a_look_for_managers_costs_nothing_where_helm_has_its_records(task: Task, host: PopulatedHost) -> None:
    for name in "abc":
        host.have_cluster(name, labels=FLUX)
    host.requests.clear()
    task(names=["a", "b", "c"], check_mode=True)
    before = host.sent("list")
    host.requests.clear()
    lose_record(host, "a")
    task(names=["a", "b", "c"], check_mode=True)
    assert len(host.sent("list")) == len(before) + 2
