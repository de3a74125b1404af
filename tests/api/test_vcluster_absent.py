# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletion removes what is left where a release or a namespace is gone, and nothing that is somebody else's."""

from __future__ import annotations

import json
from collections.abc import Callable

from host_api import Host
from modules import Module
from places import Place
from waiting import eventually

PRIORITIES = "/apis/scheduling.k8s.io/v1/priorityclasses"


def test_deletion_with_marker_of_two_virtual_clusters_leaves_the_object(
    host: Host, vcluster: Module, new: Callable[..., Place]
) -> None:
    """a-x-b in TEAM and b in TEAM-x-a: neither can be made any more; those that Helm made are managed, and apart."""
    place = new("two", made_by_user=True)
    first = Place("a-x-b", place.namespace)
    second = Place("b", f"{place.namespace}-x-a")
    for one, option in ((first, "name"), (second, "namespace")):
        for check in (True, False):
            told = vcluster.refused(check=check, **one.options)
            assert told.startswith(f"{option}: ")
            assert "another virtual cluster could have the same mark" in told
    assert host.get(f"/api/v1/namespaces/{second.namespace}") is None
    host.namespace(second.namespace)
    host.leaving.append(second.namespace)
    label = {"vcluster.loft.sh/managed-by": f"{first.namespace}-x-a-x-b"}
    synced = f"vcluster-high-x-{first.namespace}-x-a-x-b"
    written = {"vcluster.loft.sh/object-name": "high", "vcluster.loft.sh/object-host-name": synced}
    try:
        for one in (first, second):
            chart = [host.chart] if host.chart else ["vcluster", "--repo", "https://charts.loft.sh"]
            never = "controlPlane.statefulSet.scheduling.nodeSelector.no=such-node"
            host.call("helm", "install", one.name, *chart, "-n", one.namespace, "--set", never)
        meta = {"name": synced, "labels": label, "annotations": written}
        host.create(PRIORITIES, {"metadata": meta, "value": 1})
        assert vcluster(**first.options, labels={"team": "a"}, wait=False)["changed"]
        foreseen = vcluster(check=True, state="absent", **first.options)
        run = vcluster(state="absent", **first.options)
        assert foreseen["steps"] == run["steps"]
        assert [step for step in run["steps"] if "priorityclasses" in step] == []
        # ansible-core 2.19 gives each warning as a structure.
        (warning,) = [text for text in map(json.dumps, run["warnings"]) if synced in text]
        assert f"virtual cluster a-x-b in namespace {first.namespace} or b in namespace {second.namespace}" in warning
        assert host.get(f"{PRIORITIES}/{synced}")
        assert host.get(second.workload)
        assert host.get(first.workload) is None
    finally:
        host.delete(f"{PRIORITIES}/{synced}")
        host.delete(f"/api/v1/namespaces/{second.namespace}")


def test_deletion_after_namespace_deleted_by_hand_removes_cluster_roles(
    host: Host, vcluster: Module, new: Callable[..., Place]
) -> None:
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


def test_deletion_of_protected_without_release_is_refused(
    host: Host, vcluster: Module, new: Callable[..., Place]
) -> None:
    """Protection is on the control plane, and counts also where the Helm release is lost."""
    where = new("safe")
    vcluster(name=where.name, protected=True, wait=False)
    for secret in host.items(where.path("secrets")):
        if secret["metadata"]["name"].startswith("sh.helm.release."):
            host.delete(where.path("secrets", secret["metadata"]["name"]))
    assert "protected" in vcluster.refused(name=where.name, state="absent")
    assert host.get(where.workload)


def test_deletion_of_what_is_not_there_leaves_lookalikes(
    host: Host, vcluster: Module, new: Callable[..., Place]
) -> None:
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
