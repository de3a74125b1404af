# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the deletion of one virtual cluster: how long it waits, and what happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import (
    WaitError,
)
from ansible_collections.nested.clusters.plugins.module_utils.deletion import removal
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import HelmError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import namespaces, readiness
from clock import Clock
from demo_host import DemoHost
from fake_api import GATEWAY_API
from helm_releases import NAME, NAMESPACE
from single_deletions import (
    DEMO_NAMESPACE,
    HELD,
    OURS,
    Uninstaller,
    absent,
    vanish,
    virtual_cluster,
)
from tasks_on_hosts import contents, replace_time


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    found = Clock()
    replace_time(monkeypatch, found, (removal, namespaces, reconcile, readiness))
    yield found
    assert found.now < 2000, "something waits for ever"


@pytest.fixture
def host() -> DemoHost:
    return DemoHost(serves=GATEWAY_API)


@pytest.fixture
def helm(host: DemoHost) -> Uninstaller:
    return Uninstaller(host)


CERTS = path("v1", "secrets", NAMESPACE, f"{NAME}-certs")


def test_absent_beside_another_deletion_succeeds(host: DemoHost, helm: Uninstaller) -> None:
    """helm fails where somebody else purges the release at the same moment; any other failure of it is one."""
    virtual_cluster(host)
    uninstall = helm.uninstall

    def beaten(name: str, namespace: str) -> None:
        uninstall(name, namespace)
        raise HelmError("helm uninstall: Failed to purge the release: release: not found")

    def broken(name: str, namespace: str) -> None:
        raise HelmError("helm uninstall: it is broken")

    helm.uninstall = broken  # type: ignore[method-assign]
    with pytest.raises(HelmError, match="it is broken"):
        absent(host, helm)
    helm.uninstall = beaten  # type: ignore[method-assign]
    absent(host, helm)
    assert contents(host, NAMESPACE) == set()


def test_absent_of_a_namespace_that_is_being_deleted_waits(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    host.have("Namespace", NAMESPACE, annotations=OURS, deletionTimestamp="2026-01-01T00:00:00Z")
    clock.after(10, lambda: host.vanish(DEMO_NAMESPACE))
    outcome = absent(host, helm)
    assert not outcome.plan.changed
    assert clock.now >= 1010
    assert (host.writes(), helm.runs) == ([], 0)


def test_absent_without_waiting_ends_at_once(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    virtual_cluster(host)
    host.change(path("v1", "pods", NAMESPACE, f"{NAME}-0"), HELD)
    assert absent(host, helm, wait=None).plan.changed
    assert clock.now == 1000
    # It is asked for all the same.
    assert f"delete {DEMO_NAMESPACE}" in host.writes()
    assert host.at(DEMO_NAMESPACE)["metadata"]["deletionTimestamp"]


def test_absent_with_what_does_not_go_fails_and_names_it(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    virtual_cluster(host, {})
    claim = path("v1", "persistentvolumeclaims", NAMESPACE, f"data-{NAME}-0")
    host.change(claim, {"metadata": {"finalizers": ["kubernetes.io/pvc-protection"]}})
    with pytest.raises(WaitError, match=rf"after 60 s.*persistentvolumeclaims/data-{NAME}-0") as caught:
        absent(host, helm)
    assert caught.value.data["phase"] == "deleting"
    assert 1060 <= clock.now < 1065


def test_absent_with_a_namespace_that_does_not_go_says_why(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    conditions = [
        {"type": "A", "status": "False", "message": "all is well"},
        {"type": "B", "status": "True", "message": "Some content has finalizers"},
    ]
    host.change(DEMO_NAMESPACE, {**HELD, "status": {"conditions": conditions}})
    with pytest.raises(WaitError, match="Some content has finalizers") as caught:
        absent(host, helm)
    assert "all is well" not in str(caught.value)


def test_absent_waits_for_volumes_with_reclaim_policy_delete(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    def volume(name: str, policy: str, claim: str = f"data-{NAME}-0", namespace: str = NAMESPACE) -> None:
        spec = {
            "claimRef": {"namespace": namespace, "name": claim},
            "persistentVolumeReclaimPolicy": policy,
        }
        host.have("PersistentVolume", name, spec=spec)

    virtual_cluster(host)
    volume("ours", "Delete")
    volume("kept", "Retain")
    volume("others", "Delete", namespace="default")
    host.have("PersistentVolume", "unclaimed", spec={"persistentVolumeReclaimPolicy": "Delete"})
    clock.after(20, lambda: host.vanish(path("v1", "persistentvolumes", None, "ours")))
    absent(host, helm)
    assert 1020 <= clock.now < 1025


def test_absent_removes_what_a_syncer_writes_at_its_end(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    virtual_cluster(host, {})
    pod = path("v1", "pods", NAMESPACE, f"{NAME}-0")
    host.change(pod, HELD)

    def last_words() -> None:
        host.vanish(pod)
        host.have_inside("Service", "late-x-default-x-demo", labels={well_known.SYNCED_LABEL: NAME})

    clock.after(5, last_words)
    absent(host, helm)
    assert contents(host, NAMESPACE) == {"configmaps/kube-root-ca.crt"}


def test_absent_keeps_a_namespace_that_is_used_meanwhile(
    host: DemoHost, helm: Uninstaller, clock: Clock
) -> None:
    virtual_cluster(host)
    uninstall = helm.uninstall

    def slow(name: str, namespace: str) -> None:
        uninstall(name, namespace)
        host.have_inside("ConfigMap", "precious")

    helm.uninstall = slow  # type: ignore[method-assign]
    absent(host, helm)
    assert contents(host, NAMESPACE) == {"configmaps/kube-root-ca.crt", "configmaps/precious"}
    assert clock.now < 1010


def test_absent_of_a_namespace_that_is_being_deleted_runs_no_helm(
    host: DemoHost, helm: Uninstaller, clock: Clock
) -> None:
    virtual_cluster(host)
    namespace = host.at(DEMO_NAMESPACE)
    namespace["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    host.add(namespace)
    before = contents(host, NAMESPACE)
    clock.after(10, lambda: vanish(host, NAMESPACE))
    outcome = absent(host, helm)
    # What is outside of the namespace does not go with it, and is said.
    assert outcome.plan.steps == ["delete priorityclasses/vcluster-high-x-demo"]
    assert host.writes() == ["delete /apis/scheduling.k8s.io/v1/priorityclasses/vcluster-high-x-demo"]
    assert (helm.runs, bool(before)) == (0, True)
    assert clock.now >= 1010


@pytest.mark.parametrize(("code", "waits"), [(503, True), (403, False)])
def test_absent_during_a_restart_of_the_api_server_waits(
    code: int, waits: bool, host: DemoHost, helm: Uninstaller, clock: Clock
) -> None:
    virtual_cluster(host)
    host.change(DEMO_NAMESPACE, HELD)
    host.intercept = lambda request: code if 1005 <= clock.now < 1015 else None
    clock.after(20, lambda: vanish(host, NAMESPACE))
    if waits:
        absent(host, helm)
        assert clock.now >= 1020
    else:
        with pytest.raises(KubernetesError, match="403 an interceptor answers"):
            absent(host, helm)


def test_absent_removes_unlabelled_objects_after_the_rest(
    host: DemoHost, helm: Uninstaller, clock: Clock
) -> None:
    """Once it is certain that there was one, it stays certain while its traces go one by one."""
    virtual_cluster(host, {})
    host.change(CERTS, HELD)
    clock.after(10, lambda: host.change(CERTS, {"metadata": {"finalizers": None}}))
    absent(host, helm)
    assert clock.now >= 1010
    assert CERTS not in host
