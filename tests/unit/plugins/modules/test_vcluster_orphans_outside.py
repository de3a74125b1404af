# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of orphans outside of namespaces: cluster-scoped objects, volumes, the lock, and records of groups."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import orphan_removal
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group, Member
from clock import Clock
from fake_api import Request
from orphan_hosts import (
    BOTH_WAYS,
    CHART,
    MADE,
    SPACE,
    OrphanHost,
    change_at_the_first_deletion,
    checked,
    have_group_record,
    have_volume,
    orphan_task,
    reason,
    states_of,
)
from populated_host import member
from tasks_on_hosts import Result, Task, contents, replace_time


@pytest.fixture
def all_hosts() -> list[OrphanHost]:
    return [OrphanHost()]


@pytest.fixture
def host(all_hosts: list[OrphanHost]) -> OrphanHost:
    return all_hosts[0]


@pytest.fixture(params=BOTH_WAYS)
def task(
    all_hosts: list[OrphanHost], run_module: Task, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Task]:
    clock = Clock()
    replace_time(monkeypatch, clock, (orphan_removal,))
    yield orphan_task(request.param, all_hosts, run_module, monkeypatch)
    assert clock.now < 3000, "something waits for ever"


def test_cluster_scoped_objects_of_a_deleted_cluster_are_orphans(task: Task, host: OrphanHost) -> None:
    host.have_cluster("b")
    of_a = {"meta.helm.sh/release-name": "a", "meta.helm.sh/release-namespace": SPACE}
    host.have("ClusterRole", "vc-a", labels=CHART, annotations=of_a)
    host.have("PriorityClass", "high-x-a", labels={well_known.SYNCED_LABEL: f"{SPACE}-x-a"})
    host.have("ClusterRole", "theirs", labels={**CHART, "chart": "vcluster-dashboard-1.2.3"}, annotations=of_a)
    assert states_of(checked(task, host)) == {"clusterroles/vc-a": "orphan", "priorityclasses/high-x-a": "orphan"}
    assert "/apis/rbac.authorization.k8s.io/v1/clusterroles/vc-b-v-vcluster-b" in host


def test_copies_in_other_namespaces_are_no_orphans(task: Task, host: OrphanHost) -> None:
    """Whoever may write there can have made them. The chart has nothing with these labels in another namespace."""
    of_a = {"meta.helm.sh/release-name": "a", "meta.helm.sh/release-namespace": SPACE}
    helm = {**CHART, "app.kubernetes.io/managed-by": "Helm"}
    host.have("Namespace", "somebodys")
    for kind in ("Secret", "ConfigMap", "PersistentVolumeClaim"):
        host.have(kind, "copy", namespace="somebodys", labels=helm, annotations=of_a)
    assert checked(task, host, kinds=["cluster_objects"])["orphans"] == []


def test_marker_of_two_clusters_is_an_orphan_without_both(task: Task, host: OrphanHost) -> None:
    """It is left over only once none is there that can have it, and then nobody knows of which one."""
    host.have("PriorityClass", "high", labels={well_known.SYNCED_LABEL: "h4team-x-a-x-b"})
    host.have("Namespace", "h4team")
    host.have("StatefulSet", "a-x-b", namespace="h4team", labels={"app": "vcluster", "release": "a-x-b"})
    assert task()["orphans"] == []
    host.vanish("/apis/apps/v1/namespaces/h4team/statefulsets/a-x-b")
    assert task(names=["b"])["orphans"] == []
    (one,) = task()["orphans"]
    assert (one["name"], one["virtual_cluster"]) == ("high", None)


def test_volumes_with_reclaim_policy_retain_are_orphans(task: Task, host: OrphanHost) -> None:
    host.have_cluster("b")
    host.have("Namespace", SPACE, annotations=MADE)
    host.have("ConfigMap", "precious", namespace=SPACE)
    have_volume(host, "store", SPACE, "data-a-0")
    have_volume(host, "etcd", SPACE, "data-a-etcd-2", "Failed")
    have_volume(host, "users", SPACE, "notes-x-default-x-a")
    have_volume(host, "bound", SPACE, "data-a-1", "Bound")
    have_volume(host, "of-b", "vcluster-b", "notes-x-default-x-b")
    have_volume(host, "somebodys", SPACE, "data-postgres-0")
    result = checked(task, host)
    assert states_of(result) == {f"persistentvolumes/{name}": "orphan" for name in ("store", "etcd", "users")}
    assert "with reclaim policy Retain" in reason(result, "store")
    assert host.names("PersistentVolume") == ["bound", "of-b", "somebodys"]


def test_namespace_goes_after_the_volumes_that_it_proves(task: Task, host: OrphanHost) -> None:
    """Also where the volume's deletion is refused at first, because it was changed at the same moment."""
    host.have("Namespace", SPACE, annotations=MADE)
    have_volume(host, "store", SPACE, "data-a-0")
    deleted = change_at_the_first_deletion(host, "/api/v1/persistentvolumes/store")
    result = task(state="absent")
    assert (states_of(result), result.get("msg")) == (
        {"persistentvolumes/store": "orphan", f"namespaces/{SPACE}": "orphan"},
        None,
    )
    assert [path.rsplit("/", 1)[1] for path in deleted] == ["store", "store", SPACE]


@pytest.mark.parametrize("evidence", ["none", "labels of somebody in the namespace", "a namespace of another one"])
def test_volumes_that_only_names_prove_are_held(evidence: str, task: Task, host: OrphanHost) -> None:
    """Labels are what anybody in the namespace writes, and a Retain volume outlives everything that proves more."""
    if evidence.startswith("labels"):
        host.have_left("ConfigMap", "x", labels=CHART)
    elif evidence.startswith("a namespace"):
        host.have("Namespace", SPACE, annotations={**MADE, "nested-clusters/virtual-cluster": "other"})
        host.have("ConfigMap", "precious", namespace=SPACE)
    have_volume(host, "store", SPACE, "data-a-0")
    have_volume(host, "users", SPACE, "notes-x-default-x-a")
    result = checked(task, host, kinds=["volumes"])
    assert states_of(result) == {"persistentvolumes/store": "held", "persistentvolumes/users": "held"}
    assert "nothing but names says so; delete it yourself if it was" in reason(result, "store")
    assert "/api/v1/persistentvolumes/store" in host


def test_volume_whose_claim_exists_is_no_orphan(task: Task, host: OrphanHost) -> None:
    """Whatever the phase says."""
    host.have("Namespace", SPACE, annotations=MADE)
    host.have_left("PersistentVolumeClaim", "data-a-0", annotations={well_known.KEPT: "true"}, uid="of the claim")
    have_volume(host, "store", SPACE, "data-a-0", uid="of the claim")
    assert states_of(task()) == {"persistentvolumeclaims/data-a-0": "kept"}


def test_namespace_that_is_synced_is_an_orphan_without_its_cluster(task: Task, host: OrphanHost) -> None:
    """That one takes its finalizers off by itself; once it is gone, nobody does."""
    space = host.have_cluster("b")
    mark = {well_known.SYNCED_LABEL: f"{space}-x-b"}
    host.have("Namespace", "synced", labels=mark, deletionTimestamp="2026-01-01T00:00:00Z")
    ours: Result = {"labels": {well_known.SYNCED_LABEL: "b"}, "finalizers": ["vcluster.loft.sh/x"]}
    host.have("ConfigMap", "x", namespace="synced", deletionTimestamp="2026-01-01T00:00:00Z", **ours)
    assert checked(task, host, older_than=0)["orphans"] == []
    host.vanish_with(f"/{space}/")
    assert states_of(task())["namespaces/synced"] == "orphan"


def test_lease_that_nobody_renews_is_an_orphan(task: Task, host: OrphanHost) -> None:
    host.have("Namespace", well_known.NAMESPACE)
    spec = {"holderIdentity": "laptop-42", "renewTime": "2026-01-01T00:00:00.000000Z"}
    host.have("Lease", "allocation", namespace=well_known.NAMESPACE, spec=spec)
    result = checked(task, host)
    assert "held by laptop-42, which was last seen alive at 2026-01-01" in reason(result, "allocation")
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    host.have("Lease", "allocation", namespace=well_known.NAMESPACE, spec={**spec, "renewTime": now})
    assert task(older_than=0)["orphans"] == []


def test_record_of_a_group_without_this_member_is_an_orphan(
    task: Task, host: OrphanHost, all_hosts: list[OrphanHost]
) -> None:
    """One of a host cluster that left the group while it did not answer."""
    all_hosts.append(OrphanHost())
    for number, one in enumerate(all_hosts):
        one.have("Namespace", "kube-system", uid=f"id-{number}")
        one.have("Namespace", well_known.NAMESPACE)
    both = (Member("host-a", "id-0"), Member("host-b", "id-1"))
    have_group_record(host, Group("dev", both[:1], generation=2), "host-a")
    have_group_record(all_hosts[1], Group("dev", both, generation=1), "host-b")
    result = task()
    (one,) = result["orphans"]
    assert (one["host_cluster"], one["kind"]) == ("h1", "group_records")
    assert "no member that is this host cluster; its members are host-a" in one["reason"]
    all_hosts[1].have("Namespace", "vcluster-b", **member("b"))
    all_hosts[1].have_cluster("b", space=member("b"))
    assert states_of(task()) == {f"configmaps/{one['name']}": "in_use"}
    all_hosts[1].vanish_with("vcluster-b", "-x-b")
    checked(task, *all_hosts)
    assert all_hosts[1].names("ConfigMap") == []
    of_group = f"/api/v1/namespaces/{well_known.NAMESPACE}/configmaps/vcluster-group-dev"
    host.change(of_group, {"data": {"group.yaml": "["}})
    assert states_of(checked(task, *all_hosts)) == {"configmaps/vcluster-group-dev": "held"}


def test_record_of_another_group_of_the_same_name_is_no_orphan(task: Task, all_hosts: list[OrphanHost]) -> None:
    """On another host cluster, changed more often: the records have no member in common."""
    all_hosts.append(OrphanHost())
    for number, one in enumerate(all_hosts):
        one.have("Namespace", "kube-system", uid=f"id-{number}")
        one.have("Namespace", well_known.NAMESPACE)
    have_group_record(all_hosts[0], Group("dev", (Member("host-a", "id-0"),), generation=7), "host-a")
    have_group_record(all_hosts[1], Group("dev", (Member("host-a", "id-1"),), generation=2), "host-a")
    assert checked(task, *all_hosts)["orphans"] == []


def test_record_restored_from_a_backup_is_no_orphan(task: Task, host: OrphanHost) -> None:
    """On a new host cluster in place of its old one: no member says anything about it."""
    host.have("Namespace", "kube-system", uid="id-new")
    host.have("Namespace", well_known.NAMESPACE)
    have_group_record(host, Group("dev", (Member("host-a", "id-old"),), generation=2), "host-a")
    assert checked(task, host)["orphans"] == []


def test_removal_of_what_is_no_orphan_any_more_fails(task: Task, host: OrphanHost) -> None:
    """Made anew between the look and the deletion: nothing of it goes."""
    host.have("Namespace", SPACE, annotations=MADE)
    host.have_left("PersistentVolumeClaim", "data-a-0")
    reads = []

    def intercept(request: Request) -> None:
        if request.path == "/apis/apps/v1/statefulsets":
            reads.append(request)
            if len(reads) == 2:  # each read lists them once
                host.have("StatefulSet", "a", namespace=SPACE, labels=CHART)

    host.intercept = intercept
    result = task(state="absent")
    assert "it is no longer an orphan" in result["msg"]
    assert not result["changed"]
    assert "deletionTimestamp" not in host.at(f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims/data-a-0")["metadata"]


def test_removal_of_what_changed_meanwhile_reads_again(task: Task, host: OrphanHost) -> None:
    """Another version is another look."""
    host.have_left("PersistentVolumeClaim", "data-a-0")
    deleted = change_at_the_first_deletion(host, f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims/data-a-0")
    assert task(state="absent")["changed"]
    assert len(deleted) == 2
    assert contents(host, SPACE) == set()


def test_removal_of_what_does_not_go_fails_in_time(task: Task, host: OrphanHost) -> None:
    host.have_left("PersistentVolumeClaim", "data-a-0", finalizers=["kubernetes.io/pvc-protection"])
    result = task(state="absent", wait_timeout=5)
    assert "held by finalizer kubernetes.io/pvc-protection" in result["msg"]
    host.deny("delete", "*")
    host.have_left("Secret", "vc-config-a")
    assert "2 of 2 orphans were not removed" in task(state="absent", wait_timeout=5, older_than=0)["msg"]
