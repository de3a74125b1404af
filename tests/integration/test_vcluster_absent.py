# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletion removes everything that a virtual cluster made, and nothing that is somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import SYSTEM_NAMESPACES, Host, Key, Module, Place, eventually, place, settled

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


def leftovers(before: dict[Key, str], after: dict[Key, str], where: Place) -> list[Key]:
    """What is new; others may use the same host cluster, in namespaces of their own."""
    foreign = {key[3] for key in {**before, **after} if key[1] == "namespaces"}
    foreign -= SYSTEM_NAMESPACES | {where.namespace}

    def is_foreign(key: Key) -> bool:
        if key[2]:
            return key[2] in foreign
        return key[3] in foreign or any(f'"{name}"' in after[key] for name in foreign)

    mentioned = {key for key, text in after.items() if where.name in text}
    new = {key for key in after.keys() - before.keys() if not is_foreign(key)}
    return sorted(mentioned | new)


@pytest.fixture(scope="module")
def neighbour(host: Host, vcluster: Module) -> Iterator[Place]:
    """A running virtual cluster whose name starts with the name of others."""
    with place(host, vcluster, "gone") as where:
        other = Place(f"{where.name}-b", f"vcluster-{where.name}-b")
        try:
            vcluster(name=other.name, values={"sync": {"fromHost": {"nodes": {"enabled": True}}}})
            settled(host, other, real_nodes=True)
            yield other
        finally:
            vcluster(name=other.name, state="absent")


@pytest.fixture
def where(neighbour: Place) -> Place:
    """A virtual cluster to be, whose name is the beginning of its neighbour's."""
    return Place(neighbour.name[:-2], neighbour.namespace[:-2])


def test_nothing_is_left(
    host: Host, vcluster: Module, where: Place, neighbour: Place, tmp_path: Path
) -> None:
    """A used virtual cluster goes with its volumes and cluster-scoped objects, and no neighbour with it."""
    before = {
        key: text
        for key, text in host.everything().items()
        if where.name not in text.replace(neighbour.name, "")
    }
    theirs = set(host.contents(neighbour.namespace))
    roles = [key for key in before if key[1].startswith("clusterrole") and neighbour.name in key[3]]
    assert roles, "the neighbour was to have cluster-scoped objects"
    vcluster(name=where.name, values={"sync": {"fromHost": {"nodes": {"enabled": True}}}})
    settled(host, where, real_nodes=True)
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
    asked: dict[str, Any] = {"name": where.name, "state": "absent", "wait_timeout": 90}
    check = vcluster(check=True, **asked)
    run = vcluster(**asked)
    assert run["steps"] == check["steps"]
    assert f"delete persistentvolumeclaims/data-{where.name}-1" in run["steps"]
    after = {
        key: text.replace(neighbour.name, "").replace(neighbour.namespace, "")
        for key, text in host.everything().items()
    }
    assert leftovers(before, after, where) == []
    assert set(host.contents(neighbour.namespace)) >= theirs
    assert [key for key in roles if key not in after] == []
    assert (
        vcluster(check=True, name=neighbour.name)["steps"]
        == ["change values of release " + neighbour.name][:0]
    )


def test_namespace_of_the_user_stays(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
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


def test_keep_volumes(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
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
    vcluster(name=where.name, wait=False)
    assert host.get(claim)["spec"]["volumeName"] == volume
    run = vcluster(name=where.name, state="absent")
    assert run["steps"][-1] == f"delete namespace {where.namespace}"
    assert host.get(f"/api/v1/persistentvolumes/{volume}") is None


def test_namespace_deleted_by_hand(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
    """After `kubectl delete namespace`, absent removes the cluster-scoped rest that Helm has lost."""
    where = new("byhand")
    vcluster(name=where.name, wait=False, values={"sync": {"fromHost": {"nodes": {"enabled": True}}}})
    role = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/vc-{where.name}-v-{where.namespace}"
    assert host.get(role)
    host.delete(f"/api/v1/namespaces/{where.namespace}")
    eventually("namespace gone", lambda: host.get(f"/api/v1/namespaces/{where.namespace}") is None, 90)
    check, run = (vcluster(check=check, name=where.name, state="absent") for check in (True, False))
    assert run["steps"] == check["steps"]
    assert host.get(role) is None
    assert host.get(role.replace("clusterroles", "clusterrolebindings")) is None


def test_protected_without_a_release(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
    """Protection is on the control plane, and counts also where the Helm release is lost."""
    where = new("safe")
    vcluster(name=where.name, protected=True, wait=False)
    for secret in host.items(where.path("secrets")):
        if secret["metadata"]["name"].startswith("sh.helm.release."):
            host.delete(where.path("secrets", secret["metadata"]["name"]))
    assert "protected" in vcluster.refused(name=where.name, state="absent")
    assert host.get(where.workload)


def test_lookalikes_of_the_user_stay(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
    """Deleting a virtual cluster that is not there touches no claim, lease or Secret that has such a name."""
    where = new("twin", made_by_user=True)
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    metadata = {"name": f"data-{where.name}-0", "labels": {"app": "postgres"}}
    host.create(where.path("persistentvolumeclaims"), {"metadata": metadata, "spec": spec})
    host.create(where.path("secrets"), {"metadata": {"name": f"{where.name}-certs"}, "type": "Opaque"})
    lease = {"metadata": {"name": where.name}}
    host.create(where.path("leases", version="coordination.k8s.io/v1"), lease)
    result = vcluster(check=True, name=where.name, state="absent")
    assert result["steps"] == []
