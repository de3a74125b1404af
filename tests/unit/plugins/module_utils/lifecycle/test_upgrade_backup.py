# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of upgrade_backup: backup, restore and health check on a host cluster whose controllers work."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, WaitError
from ansible_collections.nested.clusters.plugins.module_utils.helm import post_renderer
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError, Unreachable
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import upgrade_backup
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.upgrade_backup import UpgradeBackup
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.upgrade_record import UpgradeRecord, read_mark
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import phases
from clock import Clock
from fake_api import DROPPED, Request
from fake_api.messages import Interceptor, Verdict
from simulated_host import Object, SimulatedHost, Ticking, workload

NAMESPACE = "vcluster-a"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SET = f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/a"
MARK = UpgradeRecord(1, "0.35.1", paused=False)
SYNCER: Object = {"name": "syncer", "image": "vcluster-oss:0.35.1", "resources": {"limits": {"cpu": "1"}}}


class CopyingHost(SimulatedHost):
    """A host cluster where pods that copy run to their end, and ports are forwarded to what is ``inside``.

    ``copies`` are these pods, ``ends`` the phase that they get to. ``fault`` is called with each request, and may
    answer it with what goes wrong.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ends = "Succeeded"
        self.copies: list[Object] = []
        self.inside: dict[str, tuple[int, bytes]] = {}
        self.unreachable: KubernetesError | None = None
        self.fault: Interceptor = lambda request: None
        self.intercept = self._intercept

    def _intercept(self, request: Request) -> Verdict:
        verdict = self.fault(request)
        if verdict is not None or self.verb(request) != "create":
            return verdict
        assert self.workload_of("a")["spec"]["replicas"] == 0, "nothing may write to what is copied"
        self.copies.append(request.body)
        answer = self.api.handle(request)
        self.change(f"{request.path}/{request.body['metadata']['name']}", {"status": {"phase": self.ends}})
        return answer


class ForwardingClient(Kubernetes):
    """A client of a host cluster whose ports lead to what is inside."""

    def __init__(self, host: CopyingHost) -> None:
        super().__init__(host.client().connection)
        self._host = host

    @contextmanager
    def into(self, pod: str, port: int, secret: Mapping[str, Any]) -> Iterator[Any]:
        assert (pod, port, secret["data"]) == (f"{PODS}/a-0", 8443, {"client-key": "x"})
        if self._host.unreachable:
            raise self._host.unreachable
        yield lambda where: self._host.inside.get(where, (404, b""))


@pytest.fixture
def host() -> CopyingHost:
    result = CopyingHost()
    result.have_cluster("a")
    run_image(result, "vcluster-oss:0.35.1")
    result.tick()
    result.have("Secret", "vc-a", namespace=NAMESPACE, data={"client-key": "x"})
    result.inside = healthy()
    return result


@pytest.fixture(autouse=True)
def clock(host: CopyingHost, monkeypatch: pytest.MonkeyPatch) -> Clock:
    ticking = Ticking(host)
    monkeypatch.setattr(upgrade_backup, "time", ticking)
    return ticking


def run_image(host: CopyingHost, image: str) -> None:
    containers = [{**SYNCER, "image": image}]
    host.change_workload("a", {"spec": {"template": {"spec": {"containers": containers}}}})


def read_of(host: CopyingHost, request: Request) -> str:
    """A request as VERB PATH SELECTOR, "" for one that reads nothing."""
    verb = host.verb(request)
    text = f"{verb} {request.path} {request.query.get('labelSelector', '')}".strip()
    return text if verb in ("get", "list") else ""


def healthy() -> dict[str, tuple[int, bytes]]:
    coredns = {"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "availableReplicas": 1}}
    return {
        "/readyz": (200, b"ok"),
        "/api/v1/nodes?limit=1": (200, b"{}"),
        "/api/v1/pods?limit=1": (200, b"{}"),
        "/apis/apps/v1/namespaces/kube-system/deployments/coredns": (200, json.dumps(coredns).encode()),
    }


def at(host: CopyingHost) -> UpgradeBackup:
    return UpgradeBackup(ForwardingClient(host), "a", NAMESPACE, 60)


def mark(host: CopyingHost) -> UpgradeRecord | None:
    return read_mark(host.workload_of("a"))


def revision(host: CopyingHost, image: str) -> None:
    """Have the Helm revision of before."""
    spec = {"replicas": 1, "template": {"spec": {"containers": [{**SYNCER, "image": image}]}}}
    manifest = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "a"}, "spec": spec}
    release = {"name": "a", "manifest": yaml.safe_dump(manifest)}
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode()))).decode()
    host.have("Secret", "sh.helm.release.v1.a.v1", namespace=NAMESPACE, data={"release": packed})


def test_upgrade_record_is_read_as_it_was_written(host: CopyingHost) -> None:
    assert mark(host) is None
    at(host).write(MARK)
    assert mark(host) == MARK
    annotations = {"nested-clusters/ran": "0.35.1 v1.36.0 x", "loft.sh/paused-date": "x"}
    host.change_workload("a", {"metadata": {"annotations": annotations}})
    at(host).leave(MARK)
    assert "annotations" not in host.workload_of("a")["metadata"]


def test_upgrade_record_broken_is_refused(host: CopyingHost) -> None:
    host.change_workload("a", {"metadata": {"annotations": {well_known.WAY_BACK: '{"revision": 1}'}}})
    with pytest.raises(NestedClustersError, match="nested-clusters/way-back"):
        mark(host)


def test_backup_is_made_while_nothing_runs(host: CopyingHost) -> None:
    before = host.pods("a")
    at(host).take(MARK)
    assert mark(host) == UpgradeRecord(1, "0.35.1", paused=False, copied=True)
    assert phases.phase(host.workload_of("a")) == "paused"
    assert host.pods("a") == [pod for pod in before if pod.startswith("user-")], "what runs in it goes on"
    (pod,) = host.copies
    spec = pod["spec"]
    assert spec["volumes"][0]["persistentVolumeClaim"] == {"claimName": "data-a-0"}
    assert spec["containers"][0]["image"] == "vcluster-oss:0.35.1"
    assert spec["containers"][0]["resources"] == SYNCER["resources"]
    assert pod["metadata"]["ownerReferences"][0]["uid"] == host.workload_of("a")["metadata"]["uid"]
    assert not [where for where in host.paths() if where.endswith("-take")], "it is not left"


def test_backup_failed_copy_says_why(host: CopyingHost) -> None:
    host.ends = "Failed"
    host.api.pod_answer = lambda request: "cp: No space left on device\n"
    with pytest.raises(WaitError, match="data-a-0 could not be copied: cp: No space left on device"):
        at(host).take(MARK)
    assert mark(host) == MARK


def test_backup_endless_copy_says_what_it_waits_for(host: CopyingHost) -> None:
    host.ends = "Pending"
    with pytest.raises(WaitError, match="has not ended after 60 s: Pending"):
        at(host).take(MARK)


def test_backup_pod_of_ended_task_is_replaced(host: CopyingHost) -> None:
    host.have("Pod", "data-a-0-take", namespace=NAMESPACE)
    at(host).take(MARK)
    assert len(host.copies) == 1


def test_backup_conflict_is_retried(host: CopyingHost) -> None:
    refusals = [409] * 2
    host.fault = lambda request: refusals.pop() if str(request) == f"PATCH {SET}" and refusals else None
    with pytest.raises(KubernetesError):
        at(host).write(MARK)
    at(host).stop()
    assert host.workload_of("a")["spec"]["replicas"] == 0


def polls(host: CopyingHost, state: str, clock: Clock) -> list[list[str]]:
    """The reads of each poll on the way to a state, until it is reached or given up."""
    found: list[list[str]] = [[]]
    sleep = clock.sleep

    def new_poll(seconds: float) -> None:
        found.append([])
        sleep(seconds)

    clock.sleep = new_poll  # type: ignore[method-assign]

    def keep(request: Request) -> None:
        found[-1] += filter(None, [read_of(host, request)])

    host.fault = keep
    with contextlib.suppress(WaitError):
        at(host).stop() if state == "paused" else at(host).start()
    clock.sleep = sleep  # type: ignore[method-assign]
    host.fault = lambda request: None
    return found


def test_backup_polls_read_own_objects_only(host: CopyingHost, clock: Clock) -> None:
    host.stuck.add("a-0")
    first, *others = polls(host, "paused", clock)
    assert len(first) == 4  # of which kind it is, whether it has an etcd, and its pods
    assert len(others) > 50
    pods = f"list {PODS} app in (vcluster,vcluster-etcd),release in (a),!{well_known.SYNCED_LABEL}"
    assert all(poll == [f"get {SET}", pods] for poll in others)
    host.stuck.clear()
    assert [len(poll) for poll in polls(host, "running", clock)] == [3, 1]  # nothing waits for pods


def test_backup_polls_read_etcd_if_deployed(host: CopyingHost, clock: Clock) -> None:
    host.add({"apiVersion": "apps/v1", "kind": "StatefulSet", **workload("a", "vcluster-etcd", replicas=3)})
    for _moment in range(4):
        host.tick()
    for state, most in (("paused", 3), ("running", 2)):
        first, *others = polls(host, state, clock)
        assert len(first) <= 4
        assert others
        assert max(len(poll) for poll in others) == most


def test_backup_stop_undone_by_others_is_refused(host: CopyingHost) -> None:
    host.stuck.add("a-0")

    def undo(request: Request) -> None:
        if host.verb(request) == "list" and host.workload_of("a")["spec"]["replicas"] == 0:
            annotations = {post_renderer.PAUSED: None}
            host.change_workload("a", {"metadata": {"annotations": annotations}, "spec": {"replicas": 1}})

    host.fault = undo
    with pytest.raises(NestedClustersError, match="another client undid the change"):
        at(host).stop()


def test_backup_unreachable_api_server_is_waited_for(host: CopyingHost, clock: Clock) -> None:
    away = [DROPPED] * 3
    host.fault = lambda request: away.pop() if str(request) == f"GET {SET}" and away else None
    at(host).stop()
    assert (away, host.workload_of("a")["spec"]["replicas"]) == ([], 0)


def test_backup_stuck_pod_fails(host: CopyingHost) -> None:
    host.stuck.add("a-0")
    with pytest.raises(WaitError, match="not paused after 60 s"):
        at(host).stop()


def test_backup_deleted_workload_fails(host: CopyingHost) -> None:
    host.vanish(SET)
    with pytest.raises(WaitError, match="virtual cluster a was deleted during the upgrade"):
        at(host).stop()


def test_restore_uses_image_of_before(host: CopyingHost) -> None:
    revision(host, "vcluster-oss:0.35.1")
    run_image(host, "no-such-image")
    at(host).stop()
    at(host).restore(UpgradeRecord(1, "0.35.1", paused=False, copied=True))
    (pod,) = host.copies
    assert pod["spec"]["containers"][0]["image"] == "vcluster-oss:0.35.1"
    at(host).start()
    assert host.workload_of("a")["spec"]["replicas"] == 1
    assert post_renderer.PAUSED not in host.workload_of("a")["metadata"].get("annotations", {})


def test_restore_without_copy_does_nothing(host: CopyingHost) -> None:
    at(host).restore(MARK)
    assert host.copies == []


def test_restore_missing_revision_is_named(host: CopyingHost) -> None:
    with pytest.raises(NestedClustersError, match="no longer has revision 1 of release a"):
        at(host).restore(UpgradeRecord(1, "0.35.1", paused=False, copied=True))


@pytest.mark.parametrize("paused", [True, False])
def test_leave_paused_cluster_is_paused_again(paused: bool, host: CopyingHost) -> None:
    at(host).write(MARK)
    at(host).leave(UpgradeRecord(1, "0.35.1", paused=paused))
    assert mark(host) is None
    assert (host.workload_of("a")["spec"]["replicas"] == 0) == paused
    assert (host.pods("a") == []) == paused


def test_health_check_healthy_cluster_passes(host: CopyingHost, clock: Clock) -> None:
    at(host).check_healthy()
    assert clock.now == 1000


COREDNS = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
STARTING = {"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "availableReplicas": 1}}
ALONE = {"metadata": {"generation": 1}, "status": {"observedGeneration": 1}}


@pytest.mark.parametrize(
    ("where", "status", "answer", "word"),
    [
        ("/readyz", 500, b"[-]etcd failed", "not ready: 500 [-]etcd failed"),
        ("/api/v1/nodes?limit=1", 403, b"no", "nodes cannot be listed"),
        ("/api/v1/pods?limit=1", 500, b"no", "pods cannot be listed"),
        (COREDNS, 500, b"no", "CoreDNS cannot be read"),
        (COREDNS, 200, json.dumps(STARTING).encode(), "CoreDNS does not run"),
        (COREDNS, 200, json.dumps(ALONE).encode(), "CoreDNS does not run"),
    ],
)
def test_health_check_unhealthy_cluster_says_why(
    where: str, status: int, answer: bytes, word: str, host: CopyingHost
) -> None:
    host.inside[where] = (status, answer)
    with pytest.raises(WaitError) as caught:
        at(host).check_healthy()
    assert word in str(caught.value)


def test_health_check_waits_until_healthy(host: CopyingHost, clock: Clock) -> None:
    del host.inside["/readyz"]
    clock.after(30, lambda: host.inside.update(healthy()))
    at(host).check_healthy()


def test_health_check_without_coredns_passes(host: CopyingHost) -> None:
    del host.inside[COREDNS]
    at(host).check_healthy()


def test_health_check_unreachable_is_retried(host: CopyingHost, clock: Clock) -> None:
    host.unreachable = Unreachable("no route")
    with pytest.raises(WaitError, match="its API does not answer: no route"):
        at(host).check_healthy()
    assert clock.now > 1060


def test_health_check_forbidden_fails_at_once(host: CopyingHost, clock: Clock) -> None:
    host.unreachable = KubernetesError("no permission", 403, "Forbidden")
    with pytest.raises(KubernetesError, match="no permission"):
        at(host).check_healthy()
    assert clock.now == 1000
