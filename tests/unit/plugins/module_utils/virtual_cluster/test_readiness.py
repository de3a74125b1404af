# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of readiness: how long a virtual cluster is waited for, and when the wait ends early."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, WaitError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import Request, RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import cluster_state, diagnosis, readiness
from clock import Clock
from fake_api import FakeCluster, Response, refusal
from fake_helm import CHART, READY, WORKLOAD, FakeHelm
from helm_releases import NAME, NAMESPACE
from lifecycle_runs import present, run_clock, run_demo


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    yield from run_clock(monkeypatch)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def helm(cluster: FakeCluster) -> FakeHelm:
    return FakeHelm(cluster)


@pytest.fixture
def running(cluster: FakeCluster, helm: FakeHelm) -> FakeCluster:
    return run_demo(cluster, helm)


def test_readiness_cluster_starts_later_is_waited_for(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(20, helm.start)
    outcome = present(cluster, helm)
    assert 1020 <= clock.now < 1022
    assert outcome.state.secret(f"vc-{NAME}") is not None
    assert (outcome.state.workload(NAME) or {})["status"] == READY


def test_readiness_without_wait_returns_at_once(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    assert present(cluster, helm, wait=None).plan.changed
    assert clock.now == 1000


def test_readiness_unchanged_cluster_is_waited_for(running: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    stop(running)
    clock.after(10, helm.start)
    assert present(running, helm).plan.steps == []
    assert clock.now >= 1010


def stop(cluster: FakeCluster) -> None:
    cluster.change(WORKLOAD, {"status": {**dict.fromkeys(READY), "observedGeneration": 1}})


def no_secret(cluster: FakeCluster) -> None:
    cluster.change(WORKLOAD, {"status": READY})


def not_ready(cluster: FakeCluster) -> None:
    cluster.change(WORKLOAD, {"status": {**dict.fromkeys(READY), "observedGeneration": 1, "replicas": 1}})


TIMEOUTS: dict[str, tuple[Callable[[FakeCluster], None], str]] = {
    "not ready": (not_ready, "0 of 1 replicas ready"),
    "no kubeconfig": (no_secret, f"Secret vc-{NAME}"),
}


@pytest.mark.parametrize(("then", "words"), TIMEOUTS.values(), ids=TIMEOUTS)
def test_readiness_timeout_names_last_state(
    then: Callable[[FakeCluster], None], words: str, cluster: FakeCluster, helm: FakeHelm, clock: Clock
) -> None:
    helm.ready = False
    clock.after(1, lambda: then(cluster))
    with pytest.raises(WaitError, match=rf"not ready after 60 s \(wait_timeout\): .*{words}") as caught:
        present(cluster, helm)
    assert caught.value.data["phase"] == "pending"
    assert 1060 <= clock.now < 1062


def test_readiness_workload_deleted_ends_wait(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(5, lambda: cluster.vanish(WORKLOAD))
    with pytest.raises(WaitError, match=f"StatefulSet {NAME} is gone"):
        present(cluster, helm)
    assert clock.now < 1010


def crash_looping() -> dict[str, Any]:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}
    status = {"name": "syncer", "restartCount": 5, "ready": False, "state": {"waiting": waiting}}
    return {"phase": "Running", "containerStatuses": [status]}


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("no such cluster: db", "no such cluster: db"),
        ("unable to retrieve container logs for containerd://1", "(no log)"),  # the kubelet's, with status 200
        (None, "(no log)"),
    ],
)
def test_readiness_crash_loop_ends_wait_with_log(
    log: str | None, words: str, cluster: FakeCluster, helm: FakeHelm, clock: Clock
) -> None:
    def answer(request: Any) -> str | Response:
        assert request.path.endswith(f"/pods/{NAME}-0/log")
        assert request.query["container"] == "syncer"
        if log is None or request.query["previous"] == "true":
            return refusal(400, "no previous container")
        return log

    cluster.api.pod_answer = answer
    helm.ready = False
    labels = {"app": "vcluster", "release": NAME}
    pod: dict[str, Any] = {"namespace": NAMESPACE, "labels": labels, "status": crash_looping()}
    clock.after(3, lambda: cluster.have("Pod", f"{NAME}-0", **pod))
    with pytest.raises(WaitError, match="will not become ready") as caught:
        present(cluster, helm)
    assert caught.value.data == {"phase": "failed", "reason": "CrashLoopBackOff"}
    assert words in str(caught.value)
    assert clock.now < 1010


def test_readiness_api_server_restarts_is_waited_for(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(5, lambda: setattr(cluster, "down", True))
    clock.after(15, lambda: setattr(cluster, "down", False))
    clock.after(20, helm.start)
    present(cluster, helm)
    assert clock.now >= 1020


def test_readiness_api_server_stays_down_fails(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(5, lambda: setattr(cluster, "down", True))
    with pytest.raises(WaitError, match="does not answer"):
        present(cluster, helm)


def test_readiness_ready_cluster_sends_no_request(running: FakeCluster, clock: Clock) -> None:
    client = running.client()
    state = cluster_state.read(client, NAME, NAMESPACE)
    running.requests.clear()
    assert readiness.wait_ready(client, NAME, NAMESPACE, state, 60, kubeconfig=True) is state
    assert (running.requests, clock.now) == ([], 1000)


def test_readiness_kubeconfig_not_needed_is_not_waited_for(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(10, lambda: no_secret(cluster))
    request = Request(name=NAME, namespace=NAMESPACE, chart=CHART)
    outcome = reconcile.present(cluster.client(), helm.open, request, RunOptions(wait=60))  # type: ignore[arg-type]
    assert 1010 <= clock.now < 1012
    assert outcome.state.secret(f"vc-{NAME}") is None


def test_readiness_diagnosis_is_read_at_intervals(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    requests: list[tuple[str, float]] = []

    def keep(request: Any) -> None:
        requests.append((str(request), round(clock.now - 1000, 6)))

    cluster.intercept = keep
    helm.ready = False
    clock.after(20, helm.start)
    present(cluster, helm)
    pods = [seconds for text, seconds in requests if text == f"GET {path('v1', 'pods', NAMESPACE)}"]
    events = [seconds for text, seconds in requests if text == f"GET {path('v1', 'events', NAMESPACE)}"]
    assert pods == [seconds for seconds in range(20) if seconds and seconds % readiness.LOOK_SECONDS == 0]
    assert events == [0, *pods]


def test_readiness_short_timeout_names_last_state(cluster: FakeCluster, helm: FakeHelm) -> None:
    helm.ready = False
    with pytest.raises(WaitError, match="0 of 1 replicas ready"):
        present(cluster, helm, wait=readiness.LOOK_SECONDS / 2)


def have_refusal(cluster: FakeCluster, uid: str = "first", **parts: Any) -> None:
    """Have the Event of a pod that a quota does not allow, just now."""
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"refusal-{uid}", "namespace": NAMESPACE, "uid": uid},
        "involvedObject": {"kind": "StatefulSet", "name": NAME},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": f'create Pod {NAME}-0 failed error: pods "{NAME}-0" is forbidden: exceeded quota: small',
        "lastTimestamp": datetime.now(timezone.utc).isoformat(),
    }
    cluster.add({**event, **parts})


AGAIN: dict[str, Callable[[FakeCluster], None]] = {
    "a higher count": lambda cluster: have_refusal(cluster, count=4),
    "a longer series": lambda cluster: have_refusal(cluster, count=3, series={"count": 2}),
    "a new event": lambda cluster: have_refusal(cluster, "second", count=3),
}


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_readiness_repeated_refusal_ends_wait(
    again: Callable[[FakeCluster], None], running: FakeCluster, helm: FakeHelm, clock: Clock
) -> None:
    stop(running)
    have_refusal(running, count=3)
    clock.after(10, lambda: again(running))
    with pytest.raises(WaitError, match="exceeded quota: small; raise the ResourceQuota") as caught:
        present(running, helm)
    assert caught.value.data == {"phase": "failed", "reason": "FailedCreate"}
    assert 1010 <= clock.now <= 1010 + readiness.LOOK_SECONDS


def test_readiness_old_refusal_ends_wait_after_grace(running: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    stop(running)
    have_refusal(running, count=3)
    with pytest.raises(WaitError, match="exceeded quota"):
        present(running, helm)
    assert diagnosis.UNSCHEDULABLE_GRACE <= clock.now - 1000 <= diagnosis.UNSCHEDULABLE_GRACE + readiness.LOOK_SECONDS


def test_readiness_corrected_refusal_is_waited_out(running: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    stop(running)
    have_refusal(running, count=3)
    clock.after(diagnosis.UNSCHEDULABLE_GRACE - 1, helm.start)
    assert present(running, helm).plan.steps == []


def test_readiness_forbidden_read_fails_at_once(cluster: FakeCluster, helm: FakeHelm, clock: Clock) -> None:
    helm.ready = False
    clock.after(5, lambda: cluster.deny("get", "statefulsets"))
    with pytest.raises(KubernetesError, match="no permission"):
        present(cluster, helm)
    assert clock.now < 1006


def test_readiness_release_without_workload_is_refused(running: FakeCluster) -> None:
    state = cluster_state.read(running.client(), NAME, NAMESPACE)
    for things in (state.live, state.manifest):
        del things["apps/v1", "StatefulSet", NAMESPACE, NAME]
    with pytest.raises(NestedClustersError, match="no StatefulSet or Deployment"):
        readiness.wait_ready(running.client(), NAME, NAMESPACE, state, 60, kubeconfig=False)
