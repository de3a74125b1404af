# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletion removes everything that a virtual cluster made, and nothing that is somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from host_api import Host, Key
from modules import Module, diff_text, same
from places import Place, settled
from waiting import eventually

CLAIM: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "store", "namespace": "default"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "worker", "namespace": "default"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "main",
                "image": "docker.io/library/busybox:stable",
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "3600"],
                "envFrom": [{"configMapRef": {"name": "setting"}}, {"secretRef": {"name": "hidden"}}],
                "volumeMounts": [{"name": "store", "mountPath": "/store"}],
            }
        ],
        "volumes": [{"name": "store", "persistentVolumeClaim": {"claimName": "store"}}],
    },
}


def thing(kind: str, name: str) -> dict[str, Any]:
    """A small object for the virtual cluster."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}}


def fill(host: Host, vcluster: Module, where: Place, directory: Path) -> None:
    """Run a pod with a volume, a ConfigMap and a Secret in the virtual cluster, all synced to the host."""
    address = host.get(where.path("services", where.name))["spec"]["clusterIP"]
    config = directory / f"{where.name}-config"
    vcluster(name=where.name, export_kubeconfig={"path": str(config), "server": f"https://{address}:443"})
    file = directory / f"{where.name}.yaml"
    setting = {**thing("ConfigMap", "setting"), "data": {"A": "1"}}
    hidden = {**thing("Secret", "hidden"), "stringData": {"B": "2"}}
    service = {**thing("Service", "web"), "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}}
    file.write_text(yaml.safe_dump_all([setting, hidden, CLAIM, service, POD]))
    account = ("kubectl", "get", "serviceaccount", "default")
    eventually(
        "default ServiceAccount",
        lambda: not host.call(*account, check=False, KUBECONFIG=str(config)).returncode,
    )
    host.call("kubectl", "apply", "-f", str(file), KUBECONFIG=str(config))
    synced = where.path("pods", f"worker-x-default-x-{where.name}")
    eventually(
        "synced pod runs", lambda: (host.get(synced) or {}).get("status", {}).get("phase") == "Running"
    )


def owned(host: Host, where: Place) -> set[str]:
    """UIDs of what a virtual cluster's namespace holds, and its own."""
    held = [
        item
        for version, plural, namespaced in host.kinds()
        if namespaced
        for item in host.items(where.path(plural, version=version))
    ]
    return {item["metadata"]["uid"] for item in [host.get(f"/api/v1/namespaces/{where.namespace}"), *held]}


def leftovers(host: Host, where: Place, neighbour: Place, uids: set[str]) -> list[Key]:
    """What speaks of a virtual cluster or of what it had, anywhere in the host cluster, and is not its neighbour's."""

    def is_left(key: Key, text: str) -> bool:
        if key[1] == "pods" and key[3].startswith("helper-pod-"):
            return False  # the storage's, which has deleted the volume's data and is about to go
        return where.name in text.replace(neighbour.name, "") or any(uid in text for uid in uids)

    return sorted(key for key, text in host.everything().items() if is_left(key, text))


def cluster_roles(host: Host, where: Place) -> set[str]:
    """The cluster-scoped objects that the chart makes for a virtual cluster."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    found = [*host.items(f"{rbac}/clusterroles"), *host.items(f"{rbac}/clusterrolebindings")]
    return {item["metadata"]["uid"] for item in found if item["metadata"]["name"].endswith(where.namespace)}


@pytest.mark.long
def test_deletion_of_used_virtual_cluster_leaves_nothing(
    host: Host, vcluster: Module, new: Callable[..., Place], tmp_path: Path
) -> None:
    """A used virtual cluster goes with its volumes and cluster-scoped objects, and no neighbour with it.

    The neighbour's name begins with the name of the one that goes.
    """
    where = new("gone")
    neighbour = new("gone", beside=where)
    nodes = {"sync": {"fromHost": {"nodes": {"enabled": True}}}}
    both = [vcluster.start({"name": one.name, "values": nodes}) for one in (where, neighbour)]
    assert [vcluster.finish(process)["virtual_cluster"]["phase"] for process in both] == ["running"] * 2
    for one in (where, neighbour):
        settled(host, one, real_nodes=True)
    theirs, roles = set(host.contents(neighbour.namespace)), cluster_roles(host, neighbour)
    assert len(roles) == 2, "the neighbour was to have cluster-scoped objects"
    fill(host, vcluster, where, tmp_path)
    # More replicas than one leave the claims of the other ordinals behind, which nobody owns.
    claim = host.get(where.path("persistentvolumeclaims", f"data-{where.name}-0"))
    spare = {"name": f"data-{where.name}-1", "labels": claim["metadata"]["labels"]}
    spec = {key: claim["spec"][key] for key in ("accessModes", "resources", "storageClassName")}
    host.create(where.path("persistentvolumeclaims"), {"metadata": spare, "spec": spec})
    # What a snapshot that nobody finishes holds (source: vCluster, pkg/snapshot).
    labels = {"vcluster-name": where.name, "vcluster-namespace": where.namespace, "snapshot-request": ""}
    request = {"labels": {f"vcluster.loft.sh/{key}": value for key, value in labels.items()}}
    held = {"finalizers": ["vcluster.loft.sh/snapshot-controller"]}
    name = f"{where.name}-snapshot-request-x7k2p"
    host.create(where.path("configmaps"), {"metadata": {"name": name, **request, **held}})
    host.create(where.path("secrets"), {"metadata": {"name": name, **request}})
    uids, before = owned(host, where), set(host.contents(where.namespace))
    asked: dict[str, Any] = {"name": where.name, "state": "absent", "wait_timeout": 180}
    check = vcluster(check=True, **asked)
    assert check["virtual_cluster"]["phase"] == "running"
    assert set(host.contents(where.namespace)) == before
    run = vcluster(**asked)
    same(check, run)
    assert run["steps"][0] == f"uninstall release {where.name}"
    assert f"delete persistentvolumeclaims/data-{where.name}-1" in run["steps"]
    assert run["steps"][-1] == f"delete namespace {where.namespace}"
    assert run["virtual_cluster"] == {}
    assert leftovers(host, where, neighbour, uids) == []
    for check_mode in (True, False):
        again = vcluster(check=check_mode, **asked, binary_path="/nonexistent")
        assert not again["changed"]
        assert again["steps"] == []
    assert set(host.contents(neighbour.namespace)) >= theirs
    assert cluster_roles(host, neighbour) == roles
    assert vcluster(check=True, name=neighbour.name)["steps"] == []


def test_deletion_in_namespace_of_user_leaves_the_namespace(
    host: Host, vcluster: Module, new: Callable[..., Place]
) -> None:
    """A namespace made beforehand stays with what else it holds; all of the virtual cluster's goes."""
    where = new("guest", made_by_user=True)
    mine = {"metadata": {"name": "mine"}, "data": {"keep": "me"}}
    host.create(where.path("configmaps"), mine)
    bound = {"metadata": {"name": f"data-{where.name}"}, "type": "Opaque"}
    host.create(where.path("secrets"), bound)
    eventually("default ServiceAccount", lambda: host.get(where.path("serviceaccounts", "default")))
    before = set(host.contents(where.namespace))
    assert "create namespace" not in str(vcluster(name=where.name)["steps"])
    settled(host, where)
    run = vcluster(name=where.name, state="absent")
    assert "namespace" not in " ".join(run["steps"])
    assert set(host.contents(where.namespace)) == before
    assert not vcluster(name=where.name, state="absent")["changed"]


@pytest.mark.long
def test_deletion_with_keep_volumes_keeps_data_for_the_next(
    host: Host, vcluster: Module, new: Callable[..., Place]
) -> None:
    """keep_volumes keeps the claim and so the namespace; a virtual cluster made again finds its data."""
    where = new("keep")
    vcluster(name=where.name)
    settled(host, where)
    claim = where.path("persistentvolumeclaims", f"data-{where.name}-0")
    volume = host.get(claim)["spec"]["volumeName"]
    asked: dict[str, Any] = {"name": where.name, "state": "absent", "keep_volumes": True}
    check, run = vcluster(check=True, **asked), vcluster(**asked)
    assert run["steps"] == check["steps"]
    assert not [step for step in run["steps"] if "namespace" in step or "persistentvolumeclaims" in step]
    kept = {plural for plural, _name in host.contents(where.namespace)}
    assert kept <= {"persistentvolumeclaims", "configmaps", "serviceaccounts"}
    assert not vcluster(**asked)["changed"]
    mark = "nested-clusters/kept"
    assert host.get(claim)["metadata"]["annotations"][mark] == "true"
    check, run = (vcluster(check=check, name=where.name, wait=False) for check in (True, False))
    same(check, run)
    assert f"mark volume claim data-{where.name}-0 as used again" in run["steps"]
    assert (mark in diff_text(run), mark in diff_text(run, "after")) == (True, False)
    assert host.get(claim)["spec"]["volumeName"] == volume
    assert mark not in host.get(claim)["metadata"]["annotations"]
    assert not vcluster(name=where.name, wait=False)["changed"]
    run = vcluster(name=where.name, state="absent")
    assert run["steps"][-1] == f"delete namespace {where.namespace}"
    assert host.get(f"/api/v1/persistentvolumes/{volume}") is None
