# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tenant makes inside a virtual cluster is no orphan, whatever it is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from host_api import Host, wait_gone
from modules import Module
from orphan_checks import checked
from places import IDLE, Place
from waiting import eventually

NODES = {"sync": {"fromHost": {"nodes": {"enabled": True}}}}  # with cluster roles
ALL_SYNCED = {"sync": {"toHost": {"secrets": {"all": True}, "configMaps": {"all": True}}}}


@pytest.fixture(scope="module")
def orphans(host: Host, vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_orphans. Tests beside this one make what is young, and so their own alone."""
    return Module(host, vcluster.directory, "vcluster_orphans", {"older_than": 0})


@pytest.mark.long
def test_what_tenants_make_with_the_chart(
    host: Host, vcluster: Module, orphans: Module, new: Callable[..., Place], tmp_path: Path
) -> None:
    """A tenant installs vCluster inside his virtual cluster, under the name and namespace of another on the host.

    The other one is deleted by `kubectl delete namespace`, made again, and deleted by a task. What the syncer copied
    for the tenant is untouched, by that and by the removal of what is left over.
    """
    outer, other = new("outer"), new("twin")
    making = [vcluster.start({"name": outer.name, "values": ALL_SYNCED})]
    making.append(vcluster.start({"name": other.name, "values": {**IDLE, **NODES}, "wait": False}))
    for process in making:
        assert not vcluster.finish(process).get("failed")
    address = host.get(outer.path("services", outer.name))["spec"]["clusterIP"]
    config, idle = tmp_path / "config", tmp_path / "idle.json"
    vcluster(name=outer.name, export_kubeconfig={"path": str(config), "server": f"https://{address}:443"})
    idle.write_text(json.dumps({**IDLE, **NODES}))
    chart = [host.chart] if host.chart else ["vcluster", "--repo", "https://charts.loft.sh"]
    helm = ["helm", "install", other.name, *chart, "--namespace", other.namespace, "--create-namespace"]
    host.call(*helm, "--values", str(idle), KUBECONFIG=str(config))

    def copies() -> dict[tuple[str, str], str]:
        return {key: uid for key, uid in uids(host, outer).items() if other.name in key[1]}

    wanted = {"services", "secrets", "pods", "persistentvolumeclaims"}
    eventually(lambda: f"copies, not only {sorted(copies())}", lambda: {key[0] for key in copies()} >= wanted)
    before = copies()
    record = next(name for plural, name in before if plural == "secrets" and name.startswith("sh.helm.release"))
    assert host.get(outer.path("secrets", record))["type"] == "helm.sh/release.v1"
    assert orphans(namespaces=[outer.namespace])["orphans"] == []
    host.delete(f"/api/v1/namespaces/{other.namespace}")
    wait_gone(host, f"/api/v1/namespaces/{other.namespace}")
    found = checked(orphans, names=[other.name, outer.name])
    assert {key.split("/")[0] for key in found} == {"clusterroles", "clusterrolebindings"}
    vcluster(name=other.name, values={**IDLE, **NODES}, wait=False)
    state = Module(host, vcluster.directory, "vcluster_state", {"state": "absent"})
    (one,) = state(names=[other.name])["virtual_clusters"]
    assert [step for step in one["steps"] if outer.name in step] == []
    assert before.items() <= copies().items()


def uids(host: Host, where: Place) -> dict[tuple[str, str], str]:
    """(plural, name) to UID of what a namespace holds."""
    plurals = [(version, plural) for version, plural, namespaced in host.kinds() if namespaced]
    return {
        (plural, item["metadata"]["name"]): item["metadata"]["uid"]
        for version, plural in plurals
        for item in host.items(where.path(plural, version=version))
    }
