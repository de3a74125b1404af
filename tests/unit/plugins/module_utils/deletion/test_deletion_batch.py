# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of vcluster_state with state absent: what goes and what stays, on host clusters in memory."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import batch, well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import deletion_batch, host_plan
from ansible_collections.nested.clusters.plugins.module_utils.power import power_batch
from ansible_collections.nested.clusters.plugins.modules import vcluster_state
from clock import Clock
from helm_releases import raw_secret
from populated_host import OF_EVERY_HOST, PopulatedHost, member
from release_manifests import (
    nginx,
)
from tasks_on_hosts import Result, Task, checked, contents, of, replace_time, task_on


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


def test_deletion_of_a_selection_removes_all_of_it(task: Task, host: PopulatedHost) -> None:
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


def test_deletion_keeps_a_cluster_of_this_name_inside_another(task: Task, host: PopulatedHost) -> None:
    """It is in a namespace of the same name as well, inside the other one, and synced with Helm's annotations."""
    for name in "ab":
        host.have_cluster(name)
    copies = host.have_nested("a", "vcluster-a", of="b")
    result = checked(task, host, names=["a"])
    assert not [step for step in of(result, "a")["steps"] if "-x-b" in step]
    assert set(copies) <= set(host.paths())


def test_deletion_removes_what_vcluster_wrote_without_labels(task: Task, host: PopulatedHost) -> None:
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


def test_deletion_keeps_what_may_be_of_another_cluster(task: Task, host: PopulatedHost) -> None:
    """The marker of x-b in vcluster-x-b is also that of b in vcluster-x-b-x."""
    host.have_cluster("x-b")
    result = checked(task, host, names=["x-b"])
    assert "priorityclasses" not in str(of(result, "x-b")["steps"])
    assert of(result, "x-b")["note"].startswith("priorityclasses/high-x-x-b stayed: the label")
    assert "or b in namespace vcluster-x-b-x, and nothing else says whose it is" in of(result, "x-b")["note"]
    assert "/apis/scheduling.k8s.io/v1/priorityclasses/high-x-x-b" in host


@pytest.mark.parametrize("options", [{"all": True}, {"names": ["a"]}])
def test_deletion_keeps_a_release_of_another_chart(
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


def test_deletion_keeps_a_namespace_of_somebody_else(task: Task, host: PopulatedHost) -> None:
    space = host.have_cluster("a", made=False)
    host.have_cluster("b")
    host.have("ConfigMap", "precious", namespace="vcluster-b")
    result = checked(task, host, names=["a", "b"])
    assert not [step for one in result["virtual_clusters"] for step in one["steps"] if "delete namespace" in step]
    assert contents(host, space) == set()
    assert contents(host, "vcluster-b") == {"configmaps/precious"}


def test_deletion_removes_last_what_finds_the_cluster_again(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("a", made=False)
    host.requests.clear()
    task(name="a")
    deleted = [line.rsplit("/", 2)[1:] for line in host.writes() if line.startswith("delete ")]
    inside = [one for one in deleted if one[0] not in ("clusterroles", "priorityclasses")]
    assert deleted[:2] == [["clusterroles", "vc-a-v-vcluster-a"], ["priorityclasses", "high-x-a"]]
    assert inside[0] == ["statefulsets", "a"]
    assert inside[-2:] == [["secrets", "sh.helm.release.v1.a.v1"], ["secrets", "vc-config-a"]]


def test_deletion_with_keep_volumes_keeps_them(task: Task, host: PopulatedHost) -> None:
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


def test_deletion_of_a_group_removes_reservations_as_well(task: Task, host: PopulatedHost) -> None:
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


def test_deletion_with_keep_volumes_keeps_their_share(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("a", space=member("a"))
    task(group="dev", all=True, keep_volumes=True)
    metadata = host.at("/api/v1/namespaces/vcluster-a")["metadata"]
    assert json.loads(metadata["annotations"]["nested-clusters/size"]) == {"cpu": "0", "memory": "0", "storage": "2Gi"}
    assert task(group="dev", all=True)["virtual_clusters"] == []


def test_requests_for_many_deletions_do_not_grow(task: Task, host: PopulatedHost) -> None:
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


def test_deletion_takes_off_finalizers_of_vcluster(task: Task, host: PopulatedHost) -> None:
    for name, made in (("a", True), ("b", False)):
        host.have_cluster(name, made=made)
        hold: Result = {"finalizers": ["vcluster.loft.sh/snapshot-controller"], "labels": {well_known.REQUESTED: name}}
        host.have("ConfigMap", "request", namespace=f"vcluster-{name}", **hold)
    checked(task, host, names=["a", "b"])


def test_deletion_without_permission_to_list_keeps_the_namespace(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("a")
    host.deny("list", "leases")
    result = task(name="a")
    assert "delete namespace vcluster-a" not in of(result, "a")["steps"]
    assert contents(host, "vcluster-a") == set()


def test_deletion_of_an_unknown_name_does_nothing(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("a")
    result = task(names=["z"])
    assert (result["changed"], result["virtual_clusters"]) == (False, [])
