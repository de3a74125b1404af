# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of orphans in namespaces: what is left of a release, its volumes, its namespace and its share of a group."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import orphan_removal
from clock import Clock
from helm_releases import release_secret
from orphan_hosts import (
    BOTH_WAYS,
    CERTIFICATES,
    CHART,
    MADE,
    SPACE,
    OrphanHost,
    checked,
    have_pod,
    have_record,
    orphan_task,
    reason,
    states_of,
)
from populated_host import OF_EVERY_HOST, member
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


def test_orphans_after_helm_uninstall_are_all_removed(task: Task, host: OrphanHost) -> None:
    """Claims of every ordinal, and what vCluster wrote. The namespace was made for it, and goes as well."""
    host.have("Namespace", SPACE, annotations=MADE)
    for name in ("data-a-0", "data-a-2"):
        host.have_left("PersistentVolumeClaim", name)
    host.have_left("PersistentVolumeClaim", "data-a-etcd-1", labels={"app": "vcluster-etcd", "release": "a"})
    host.have_left("Secret", "vc-a", labels={"app": "vcluster", "vcluster-name": "a"})
    host.have_left("Secret", "a-certs", labels={}, type="Opaque", data=CERTIFICATES)
    held = {"finalizers": ["vcluster.loft.sh/snapshot"]}
    host.have_left("ConfigMap", "a-snapshot", labels={well_known.REQUESTED: "a"}, **held)
    host.have_left("Service", "web-x-default-x-a", labels={well_known.SYNCED_LABEL: "a"})
    host.have_cluster("b")
    others = {path: one for path, one in host.state().items() if "-b" in path}
    result = checked(task, host)
    assert set(states_of(result).values()) == {"orphan"}
    assert len(result["orphans"]) == 8
    assert "no control plane and no Helm release; it holds its data" in reason(result, "data-a-2")
    assert "nothing else is in it" in reason(result, SPACE)
    assert {path: one for path, one in host.state().items() if path not in OF_EVERY_HOST} == others


@pytest.mark.parametrize("status", ["failed", "uninstalling", "pending-install"])
def test_release_that_was_not_finished_is_an_orphan(status: str, task: Task, host: OrphanHost) -> None:
    """Also where nothing else speaks of a virtual cluster, as helm makes its record first."""
    host.have("Namespace", SPACE)
    secret = release_secret(2, "a", info={"status": status})
    secret["metadata"].update(namespace=SPACE, labels={"owner": "helm", "name": "a", "version": "2", "status": status})
    host.add({"apiVersion": "v1", "kind": "Secret", **secret})
    result = checked(task, host)
    (one,) = result["orphans"]
    assert (one["kind"], one["virtual_cluster"]) == ("releases", "a")
    assert f"whose Helm release is {status}" in one["reason"]


FLUX = "flux-system"


@pytest.fixture
def flux(host: OrphanHost) -> OrphanHost:
    """A host cluster with a namespace in which Flux keeps records, and others keep what has names like vCluster's."""
    host.have("Namespace", FLUX)
    host.have("Secret", "a-certs", namespace=FLUX)
    host.have("Namespace", SPACE)
    return host


@pytest.mark.parametrize("alive", ["workload", "pod"])
def test_record_in_another_namespace_is_an_orphan_without_its_control_plane(
    alive: str, task: Task, flux: OrphanHost
) -> None:
    """It is left over only if its release's own namespace has no control plane."""
    record = have_record(flux, FLUX, SPACE, "failed")
    if alive == "workload":
        flux.have("StatefulSet", "a", namespace=SPACE, labels=CHART)
    else:
        have_pod(flux, "a-0", **CHART)
    assert task(older_than=0)["orphans"] == []
    flux.vanish_with(f"/{SPACE}/")
    found = checked(task, flux)
    assert states_of(found) == {f"secrets/{record}": "orphan"}
    assert found["orphans"][0]["virtual_cluster"] == "a"
    assert f"of virtual cluster a in namespace {SPACE}, which has no control plane there" in reason(found, record)
    assert contents(flux, FLUX) == {"secrets/a-certs"}


def test_orphans_of_a_cluster_recorded_elsewhere_are_none(task: Task, flux: OrphanHost) -> None:
    """Somebody deleted the control plane; Flux makes it anew, with its volume."""
    have_record(flux, FLUX, SPACE, "deployed")
    flux.have_left("PersistentVolumeClaim", "data-a-0")
    of_a = {"meta.helm.sh/release-name": "a", "meta.helm.sh/release-namespace": SPACE}
    flux.have("ClusterRole", "vc-a", labels=CHART, annotations=of_a)
    assert task(older_than=0)["orphans"] == []
    have_record(flux, FLUX, "another", "deployed")
    assert states_of(task()) == {"persistentvolumeclaims/data-a-0": "orphan", "clusterroles/vc-a": "orphan"}


def test_release_after_a_failed_upgrade_is_no_orphan(task: Task, host: OrphanHost) -> None:
    """The revision before is still the one that is deployed."""
    host.have_left("PersistentVolumeClaim", "data-a-0")
    have_record(host, SPACE, SPACE, "deployed", 1)
    have_record(host, SPACE, SPACE, "failed", 2)
    assert task()["orphans"] == []
    have_record(host, SPACE, SPACE, "uninstalling", 3)
    assert set(states_of(task()).values()) == {"orphan"}


def test_release_recorded_in_config_maps_is_no_orphan(task: Task, host: OrphanHost) -> None:
    host.have_left("PersistentVolumeClaim", "data-a-0")
    labels = {"owner": "helm", "name": "a", "version": "1", "status": "deployed"}
    host.have_left("ConfigMap", "sh.helm.release.v1.a.v1", labels=labels)
    assert task()["orphans"] == []


def test_namespace_that_is_empty_is_an_orphan_if_made_for_a_cluster(task: Task, host: OrphanHost) -> None:
    host.have("Namespace", SPACE, annotations=MADE)
    host.have("Namespace", "vcluster-cli", annotations={well_known.CREATED: "true"})
    host.have("Namespace", "vcluster-mine")
    assert states_of(checked(task, host)) == {f"namespaces/{SPACE}": "orphan", "namespaces/vcluster-cli": "orphan"}
    assert "/api/v1/namespaces/vcluster-mine" in host


def test_volumes_that_were_kept_go_only_with_kept_volumes(task: Task, host: OrphanHost) -> None:
    host.have("Namespace", SPACE, annotations=MADE)
    host.have_left("PersistentVolumeClaim", "data-a-0", annotations={well_known.KEPT: "true"})
    assert states_of(checked(task, host)) == {"persistentvolumeclaims/data-a-0": "kept"}
    assert contents(host, SPACE)
    result = checked(task, host, kept_volumes=True)
    assert states_of(result) == {"persistentvolumeclaims/data-a-0": "kept", f"namespaces/{SPACE}": "orphan"}
    assert f"/api/v1/namespaces/{SPACE}" not in host


def test_share_of_a_group_without_a_cluster_is_an_orphan(task: Task, host: OrphanHost) -> None:
    """What a killed task reserved, what keeps storage on purpose, and what claims more than the volumes it has."""
    host.have("Namespace", "vcluster-r", **member("r"))
    host.have("Namespace", "vcluster-k", **member("k", cpu="0"))
    host.have("PersistentVolumeClaim", "data-k-0", namespace="vcluster-k", labels={"app": "vcluster", "release": "k"})
    host.have("Namespace", SPACE, **member("a"))
    host.have_left("PersistentVolumeClaim", "data-a-0", annotations={well_known.KEPT: "true"})
    result = checked(task, host)
    assert states_of(result) == {
        "namespaces/vcluster-r": "orphan",
        "namespaces/vcluster-a": "orphan",
        "persistentvolumeclaims/data-k-0": "kept",
        "persistentvolumeclaims/data-a-0": "kept",
    }
    assert "a share of group dev for virtual cluster r" in reason(result, "vcluster-r")
    labels = host.at("/api/v1/namespaces/vcluster-r")["metadata"]["labels"]
    assert labels == {"kubernetes.io/metadata.name": "vcluster-r"}
    size = host.at("/api/v1/namespaces/vcluster-a")["metadata"]["annotations"]["nested-clusters/size"]
    assert json.loads(size)["cpu"] == "0"


def test_kind_that_is_not_selected_keeps_the_namespace(task: Task, host: OrphanHost) -> None:
    """Deleting the namespace would delete the claims in it."""
    host.have("Namespace", SPACE, annotations=MADE)
    host.have_left("PersistentVolumeClaim", "data-a-0")
    assert checked(task, host, kinds=["namespaces", "objects"])["orphans"] == []
    assert contents(host, SPACE) == {"persistentvolumeclaims/data-a-0"}


def test_namespace_that_finalizers_hold_is_named(task: Task, host: OrphanHost) -> None:
    """By vCluster's own finalizer, which nobody else takes off, and by somebody else's."""
    gone: Result = {"deletionTimestamp": "2026-01-01T00:00:00Z", "annotations": MADE}
    host.have("Namespace", SPACE, **gone)
    hold: Result = {"deletionTimestamp": "2026-01-01T00:00:00Z", "labels": CHART}
    host.have_left("ConfigMap", "request", finalizers=["vcluster.loft.sh/snapshot-controller"], **hold)
    host.have("Namespace", "other", deletionTimestamp="2026-01-01T00:00:00Z")
    host.have("ConfigMap", "x", namespace="other", finalizers=["example.com/x"])
    result = checked(task, host)
    assert states_of(result) == {f"namespaces/{SPACE}": "orphan"}
    assert "configmaps/request by finalizer vcluster.loft.sh/snapshot-controller" in reason(result, SPACE)
    assert f"/api/v1/namespaces/{SPACE}" not in host
    host.have("Namespace", SPACE, **gone)
    host.have_left("ConfigMap", "backup", finalizers=["example.com/hold"], **hold)
    result = checked(task, host)
    assert states_of(result) == {f"namespaces/{SPACE}": "held"}
    assert "who set these finalizers has to take them off" in reason(result, SPACE)


def test_secret_of_cert_manager_is_no_orphan(task: Task, host: OrphanHost) -> None:
    """It calls the Secret of a certificate NAME-certs as vCluster 0.20 does; in a namespace that both share."""
    tls = dict.fromkeys(("tls.crt", "tls.key", "ca.crt"), "")
    host.have("Namespace", "team")
    host.have_left("PersistentVolumeClaim", "data-a-0", namespace="team")
    host.have_left("Secret", "a-certs", namespace="team", labels={}, type="kubernetes.io/tls", data=tls)
    assert states_of(checked(task, host)) == {"persistentvolumeclaims/data-a-0": "orphan"}
    assert contents(host, "team") == {"secrets/a-certs"}
