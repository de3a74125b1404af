# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left over is made for real, found with its reason, and removed; a virtual cluster beside it is untouched."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from host_api import Host, connections, root, wait_gone
from modules import Module, diff_text
from orphan_checks import checked, told
from places import IDLE, Place, place
from waiting import eventually

RBAC = root("rbac.authorization.k8s.io/v1")
NODES = {"sync": {"fromHost": {"nodes": {"enabled": True}}}}  # with cluster roles


@pytest.fixture(scope="module")
def orphans(host: Host, vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_orphans. Tests beside this one make what is young, and so their own alone."""
    return Module(host, vcluster.directory, "vcluster_orphans", {"older_than": 0})


@pytest.fixture(scope="module")
def living(host: Host, vcluster: Module) -> Iterator[Place]:
    """A virtual cluster that stays, with cluster roles and a claim."""
    with place(host, "alive") as where:
        vcluster(name=where.name, values={**IDLE, **NODES}, wait=False)
        claim = where.path("persistentvolumeclaims", f"data-{where.name}-0")
        eventually("claim", lambda: host.get(claim))
        eventually("pod", lambda: host.items(where.path("pods")))
        yield where


def traces(host: Host, where: Place) -> list[tuple[str, str]]:
    """Objects anywhere that speak of a virtual cluster."""
    return sorted((key[1], key[3]) for key, text in host.everything().items() if where.name in text)


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}


def claim_of(host: Host, where: Place, name: str, **labels: str) -> None:
    """A volume claim as a StatefulSet makes it."""
    host.create(where.path("persistentvolumeclaims"), {"metadata": {"name": name, "labels": labels}, "spec": CLAIM})


def test_orphans_left_by_other_tools_are_found_and_removed(
    host: Host, vcluster: Module, orphans: Module, living: Place, new: Callable[..., Place]
) -> None:
    """After `helm uninstall`: claims of every ordinal, what vCluster wrote, snapshot requests, our own objects."""
    where, before = new("left"), host.contents(living.namespace)
    vcluster(name=where.name, values=IDLE, wait=False)
    eventually("claim", lambda: host.get(where.path("persistentvolumeclaims", f"data-{where.name}-0")))
    assert orphans(names=[where.name, living.name])["orphans"] == [], "they are there"
    host.call("helm", "uninstall", where.name, "-n", where.namespace, "--wait")
    without_pods(host, where)
    chart = {"app": "vcluster", "release": where.name}
    claim_of(host, where, f"data-{where.name}-2", **chart)
    claim_of(host, where, f"data-{where.name}-etcd-1", app="vcluster-etcd", release=where.name)
    synced = {"vcluster.loft.sh/managed-by": where.name}
    claim_of(host, where, f"notes-x-default-x-{where.name}", **synced)
    host.create(
        where.path("services"), {"metadata": {"name": "web", "labels": synced}, "spec": {"ports": [{"port": 1}]}}
    )
    written = {"app": "vcluster", "vcluster-name": where.name}
    host.create(where.path("secrets"), {"metadata": {"name": f"vc-{where.name}", "labels": written}})
    request = {
        "labels": {"vcluster.loft.sh/vcluster-name": where.name},
        "finalizers": ["vcluster.loft.sh/restore-controller"],
    }
    host.create(where.path("configmaps"), {"metadata": {"name": "request", **request}})
    ours: dict[str, Any] = {"secrets": {}, "resourcequotas": {}, "limitranges": {"spec": {"limits": []}}}
    for plural, body in ours.items():
        host.create(
            where.path(plural), {"metadata": {"name": f"nested-clusters-{where.name}", "labels": chart}, **body}
        )
    found = told(orphans(names=[where.name]))
    assert {key.split("/")[0] for key in found} == {
        "persistentvolumeclaims",
        "services",
        "secrets",
        "configmaps",
        "resourcequotas",
        "limitranges",
        "namespaces",
    }
    assert len([key for key in found if key.startswith("persistentvolumeclaims/")]) == 4
    assert (
        "no control plane and no Helm release; it holds its data"
        in found[f"persistentvolumeclaims/data-{where.name}-2"][1]
    )
    assert told(Module(host, orphans.directory, "vcluster_orphans")(names=[where.name])) == {}, "it may be a task's"
    # One that somebody uses stays, and with it the namespace.
    mounts = {"volumes": [{"name": "x", "persistentVolumeClaim": {"claimName": f"data-{where.name}-2"}}]}
    spec = {**mounts, "containers": [{"name": "x", "image": "x"}], "nodeSelector": {"no": "such-node"}}
    host.create(where.path("pods"), {"metadata": {"name": "rescue"}, "spec": spec})
    kept = checked(orphans, names=[where.name])
    assert kept[f"persistentvolumeclaims/data-{where.name}-2"][0] == "in_use"
    left = {key for key in host.contents(where.namespace) if key[0] not in ("configmaps", "serviceaccounts")}
    assert left == {("pods", "rescue"), ("persistentvolumeclaims", f"data-{where.name}-2")}
    host.delete(where.path("pods", "rescue"))
    wait_gone(host, where.path("pods", "rescue"))
    shown = orphans(check=True, state="absent", names=[where.name])
    assert f"{where.namespace}/persistentvolumeclaims/data-{where.name}-2" in diff_text(shown)
    assert f"namespaces/{where.namespace}" in checked(orphans, names=[where.name])
    wait_gone(host, f"/api/v1/namespaces/{where.namespace}")
    assert traces(host, where) == []
    assert host.contents(living.namespace).keys() == before.keys()
    assert vcluster(name=living.name, wait=False)["steps"] == []


def test_orphans_of_failed_release_and_deletion_by_hand_are_removed(
    host: Host, vcluster: Module, orphans: Module, living: Place, new: Callable[..., Place]
) -> None:
    """Records of a release that was being uninstalled, and cluster roles whose namespace is gone."""
    half, gone = new("half"), new("byhand")
    for where in (half, gone):
        vcluster(name=where.name, values={**IDLE, **NODES}, wait=False)
    host.delete(half.workload)
    without_pods(host, half)
    host.delete(half.path("secrets", f"vc-config-{half.name}"))
    record = half.path("secrets", f"sh.helm.release.v1.{half.name}.v1")
    host.patch(record, {"metadata": {"labels": {"status": "uninstalling"}}})
    host.delete(f"/api/v1/namespaces/{gone.namespace}")
    wait_gone(host, f"/api/v1/namespaces/{gone.namespace}")
    found = checked(orphans, names=[half.name, gone.name])
    assert "whose Helm release is uninstalling" in found[f"secrets/sh.helm.release.v1.{half.name}.v1"][1]
    roles = {f"{plural}/vc-{gone.name}-v-{gone.namespace}" for plural in ("clusterroles", "clusterrolebindings")}
    assert roles <= found.keys()
    assert f"of virtual cluster {gone.name} in namespace {gone.namespace}, which is gone" in found[min(roles)][1]
    for where in (half, gone):
        wait_gone(host, f"/api/v1/namespaces/{where.namespace}")
        assert traces(host, where) == []
    assert host.get(f"{RBAC}/clusterroles/vc-{living.name}-v-{living.namespace}")


def without_pods(host: Host, where: Place) -> None:
    """Wait until the garbage collector has removed the pods of a workload that is gone: one that has some is there."""
    eventually(f"the end of the pods of {where.name}", lambda: not host.items(where.path("pods")))


def test_pods_that_outlive_their_workload_are_no_orphans(
    host: Host, vcluster: Module, orphans: Module, new: Callable[..., Place]
) -> None:
    """They are a virtual cluster that is there, although nothing else says so."""
    where = new("pods")
    vcluster(name=where.name, values=IDLE, wait=False)
    pod = where.path("pods", f"{where.name}-0")
    eventually("pod", lambda: host.get(pod))
    host.delete(where.workload, "Orphan")
    record = where.path("secrets", f"sh.helm.release.v1.{where.name}.v1")
    host.patch(record, {"metadata": {"labels": {"status": "failed"}}})
    before = host.contents(where.namespace)
    assert orphans(state="absent", names=[where.name])["orphans"] == []
    assert host.contents(where.namespace) == before
    host.delete(pod)
    without_pods(host, where)
    assert f"persistentvolumeclaims/data-{where.name}-0" in checked(orphans, names=[where.name])


def test_record_that_is_kept_elsewhere_is_no_orphan(
    host: Host, vcluster: Module, orphans: Module, new: Callable[..., Place]
) -> None:
    """As Flux does with targetNamespace and storageNamespace: while its release is there, it is no failed one."""
    where, store = new("flux"), new("store", made_by_user=True)
    vcluster(name=where.name, values=IDLE, wait=False)
    eventually("pod", lambda: host.get(where.path("pods", f"{where.name}-0")))
    name = f"sh.helm.release.v1.{where.name}.v1"
    record = host.get(where.path("secrets", name))
    meta = {"name": name, "labels": {**record["metadata"]["labels"], "status": "failed"}}
    host.create(store.path("secrets"), {"metadata": meta, "type": record["type"], "data": record["data"]})
    host.delete(where.path("secrets", name))
    before = [host.contents(one.namespace) for one in (where, store)]
    assert orphans(state="absent", names=[where.name])["orphans"] == []
    for check in (True, False):
        told_why = vcluster.refused(check=check, state="absent", name=where.name, namespace=store.namespace)
        assert f"contains release {where.name} in namespace {where.namespace}" in told_why
    assert [host.contents(one.namespace) for one in (where, store)] == before
    host.delete(f"/api/v1/namespaces/{where.namespace}")
    wait_gone(host, f"/api/v1/namespaces/{where.namespace}")
    (found,) = checked(orphans, names=[where.name]).items()
    assert found[0] == f"secrets/{name}"
    assert f"in namespace {where.namespace}, which has no control plane there" in found[1][1]


def test_volumes_kept_on_purpose_are_removed_only_when_named(
    host: Host, vcluster: Module, orphans: Module, new: Callable[..., Place]
) -> None:
    """Kept on purpose: reported, and removed only in so many words. Released volumes are removed."""
    where = new("vols")
    vcluster(name=where.name, values=IDLE, wait=False)
    claim = where.path("persistentvolumeclaims", f"data-{where.name}-0")
    eventually("claim", lambda: host.get(claim))
    vcluster(name=where.name, state="absent", keep_volumes=True)
    volume = {
        "metadata": {"name": where.name},
        "spec": {
            "capacity": {"storage": "1Mi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "it-none",
            "hostPath": {"path": "/nowhere"},
            "claimRef": {"namespace": where.namespace, "name": f"data-{where.name}-7", "uid": str(uuid.uuid4())},
        },
    }
    host.create("/api/v1/persistentvolumes", volume)
    path = f"/api/v1/persistentvolumes/{where.name}"
    eventually("released", lambda: host.get(path)["status"].get("phase") == "Released")
    found = checked(orphans, names=[where.name])
    assert {key: state for key, (state, _why) in found.items()} == {
        f"persistentvolumeclaims/data-{where.name}-0": "kept",
        f"persistentvolumes/{where.name}": "orphan",
    }
    assert host.get(claim)
    assert host.get(path) is None
    checked(orphans, names=[where.name], kept_volumes=True)
    wait_gone(host, f"/api/v1/namespaces/{where.namespace}")


def test_namespace_held_by_a_finalizer_is_freed_or_named(
    host: Host, vcluster: Module, orphans: Module, new: Callable[..., Place]
) -> None:
    """Held by vCluster's own finalizer it is freed; by another one, it is named with the object, and not touched."""
    where = new("held")
    vcluster(name=where.name, values=IDLE, wait=False)
    labels = {"vcluster.loft.sh/vcluster-name": where.name}
    for name, finalizer in (("request", "vcluster.loft.sh/snapshot-controller"), ("backup", "example.com/hold")):
        body = {"metadata": {"name": name, "labels": labels, "finalizers": [finalizer]}}
        host.create(where.path("configmaps"), body)
    space = f"/api/v1/namespaces/{where.namespace}"
    host.delete(space)
    eventually("what holds it", lambda: len(host.items(where.path("configmaps"))) == 2)
    (reason,) = (why for _state, why in told(orphans(names=[where.name])).values())
    assert "configmaps/request by finalizer vcluster.loft.sh/snapshot-controller" in reason
    assert "configmaps/backup by finalizer example.com/hold" in reason
    checked(orphans, names=[where.name])
    eventually("freed", lambda: host.get(where.path("configmaps", "request")) is None)
    (state,) = (state for state, _why in told(orphans(names=[where.name])).values())
    assert state == "held"
    host.patch(where.path("configmaps", "backup"), {"metadata": {"finalizers": None}})
    wait_gone(host, space)


def test_removal_while_it_is_made_again_leaves_it_whole(
    host: Host, vcluster: Module, orphans: Module, new: Callable[..., Place]
) -> None:
    """Made again while its remains are being removed, by many rounds of both at once: it is whole in the end."""
    where = new("race")
    for _round in range(2):
        vcluster(name=where.name, values=IDLE, wait=False)
        host.call("helm", "uninstall", where.name, "-n", where.namespace)
        making = vcluster.start({"name": where.name, "values": IDLE, "wait": False})
        removing = orphans.start({"names": [where.name], "state": "absent"})
        results = [vcluster.finish(making), orphans.finish(removing)]
        assert "Traceback" not in json.dumps(results)
        vcluster(name=where.name, values=IDLE, wait=False)
        assert host.call("helm", "list", "-n", where.namespace, "--deployed", "-q").stdout.split() == [where.name]
        assert orphans(names=[where.name])["orphans"] == []


@contextmanager
def group_of_one(vcluster_group: Module, given: list[dict[str, Any]], name: str) -> Iterator[None]:
    capacity = {"cpu": "20", "memory": "40Gi", "storage": "100Gi"}
    vcluster_group(name=name, host_clusters=[{**entry, "capacity": capacity} for entry in given])
    try:
        yield
    finally:
        vcluster_group(name=name, host_clusters=given, state="absent")


def test_orphans_of_groups_are_found(members: dict[str, Host], vcluster_group: Module, orphans: Module) -> None:
    """A share that a killed task reserved, a Lease whose holder is gone, and a record that no member knows."""
    given, one = connections(members), members["host-a"]
    asked = orphans.against(host_clusters=given)
    group, name = "it-orphans", f"it-share-{uuid.uuid4().hex[:5]}"
    space = f"/api/v1/namespaces/vcluster-{name}"
    with group_of_one(vcluster_group, given[:1], group):
        size = '{"cpu": "4", "memory": "4Gi", "storage": "2Gi"}'
        annotations = {"nested-clusters/virtual-cluster": name, "nested-clusters/size": size}
        one.namespace(f"vcluster-{name}", labels={"nested-clusters/group": group}, annotations=annotations)
        try:
            found = checked(asked, names=[name])
            assert f"a share of group {group} for virtual cluster {name}" in found[f"namespaces/vcluster-{name}"][1]
            assert "nested-clusters/group" not in one.get(space)["metadata"].get("labels", {})
        finally:
            one.delete(space)
            one.leaving.append(f"vcluster-{name}")
        records = "/api/v1/namespaces/nested-clusters/configmaps"
        record = one.get(f"{records}/vcluster-group-{group}")
        if "host-b" in members:  # as one that was lost, and is back
            other = members["host-b"]
            home = "/api/v1/namespaces/nested-clusters"
            going = '"deletionTimestamp"'  # that of the last group
            eventually("a namespace that stays, or none", lambda: going not in json.dumps(other.get(home)))
            made = other.get(home) is None
            if made:
                other.namespace("nested-clusters", labels={"app.kubernetes.io/managed-by": "nested.clusters"})
            meta = {"name": record["metadata"]["name"], "labels": record["metadata"]["labels"]}
            other.create(records, {"metadata": meta, "data": record["data"]})
            found = checked(asked, kinds=["group_records"])
            assert "has no member that is this host cluster" in found[f"configmaps/vcluster-group-{group}"][1]
            assert other.get(f"{records}/vcluster-group-{group}") is None
            if made:
                other.delete(home)
                wait_gone(other, home)
        assert one.get(f"{records}/vcluster-group-{group}")
        leases = "/apis/coordination.k8s.io/v1/namespaces/nested-clusters/leases"
        spec = {"holderIdentity": "gone", "renewTime": "2026-01-01T00:00:00.000000Z"}
        one.create(leases, {"metadata": {"name": "allocation"}, "spec": spec})
        assert "held by gone" in checked(asked, kinds=["leases"])["leases/allocation"][1]
        assert one.items(leases) == []


def test_playbook_only_reports_unless_told_to_remove(
    host: Host, vcluster: Module, new: Callable[..., Place], tmp_path: Path
) -> None:
    """It only reports, unless it is told to remove."""
    where = new("book")
    vcluster(name=where.name, values=IDLE, wait=False)
    host.call("helm", "uninstall", where.name, "-n", where.namespace)
    without_pods(host, where)
    eventually("claim", lambda: host.get(where.path("persistentvolumeclaims", f"data-{where.name}-0")))

    def play(**options: Any) -> str:
        environment: dict[str, Any] = {
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        }
        told = {"names": [where.name], "older_than": 0, **options}
        return host.call("ansible-playbook", "nested.clusters.orphans", "-e", json.dumps(told), **environment).stdout

    said = play()
    assert f"{where.namespace}/persistentvolumeclaims/data-{where.name}-0 (orphan): of virtual cluster" in said
    assert "changed=0" in said
    said = play(remove=True)
    assert f"namespaces/{where.namespace} (removed)" in said
    wait_gone(host, f"/api/v1/namespaces/{where.namespace}")
    assert "Nothing is left over." in play(remove=True)
