# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until a virtual cluster is ready, and say why it is not."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ..common import progress
from ..common.errors import NestedClustersError, WaitError
from ..common.well_known import NOT_SYNCED
from ..k8s.client import Kubernetes, parallel
from ..k8s.errors import KubernetesError
from ..k8s.objects import Object, path
from . import diagnosis, workloads
from .cluster_state import State, is_paused, read_one
from .manifests import Key, workload_key


def wait_ready(
    kubernetes: Kubernetes, name: str, namespace: str, state: State, timeout: float, kubeconfig: bool
) -> State:
    """Wait until the control plane is ready, and return the state as it is then; a paused one is left alone.

    ``kubeconfig``: wait for its Secret as well, which vCluster writes some seconds after it is ready.
    Raises WaitError as soon as it is clear that it will not become ready, with the reason and what to try.
    """
    workload = state.workload(name)
    if is_paused(workload) or _is_ready(state, name, kubeconfig):
        return state
    where = workload_key(state.manifest, name, namespace)
    if where is None:
        raise NestedClustersError(f"release {name} has no StatefulSet or Deployment of that name to wait for")
    url = path(where[0], kubernetes.resource(*where[:2])[0], namespace, name)
    started = time.monotonic()
    last, looked = "the control plane was not read yet", 0.0
    before = {_mark(event) for event in kubernetes.list(path("v1", "events", namespace))}
    while True:
        elapsed = time.monotonic() - started
        try:
            workload = _still_there(kubernetes.get(url), where)
            state = replace(state, live={**state.live, where: workload})
            if workloads.workload_ready(workload) and kubeconfig:
                secret = read_one(kubernetes, path("v1", "secrets", namespace, f"vc-{name}"))
                state = replace(state, secrets=[*state.secrets, *secret])
                last = f"Secret vc-{name} with its kubeconfig is not there yet"
            elif elapsed - looked >= LOOK_SECONDS or elapsed > timeout:
                last, looked = _fail_early(kubernetes, namespace, workload, before, elapsed), elapsed
            if _is_ready(state, name, kubeconfig):
                return state
        except KubernetesError as error:
            if not error.passing:  # an API server that restarts is no reason to give up
                raise
            last = str(error)
        if elapsed > timeout:
            raise WaitError(
                f"virtual cluster {name} is not ready after {timeout:g} s (wait_timeout): {last}; "
                f"check `kubectl -n {namespace} describe pods`, then run the task again",
                phase="pending",
            )
        progress.report(f"virtual cluster {name}", last)
        time.sleep(POLL_ONE_SECONDS)


def _is_ready(state: State, name: str, kubeconfig: bool) -> bool:
    workload = state.workload(name)
    return (
        workload is not None
        and workloads.workload_ready(workload)
        and (not kubeconfig or state.secret(f"vc-{name}") is not None)
    )


def _still_there(workload: dict[str, Any] | None, where: Key) -> dict[str, Any]:
    if workload is None or workload["metadata"].get("deletionTimestamp"):
        raise WaitError(
            f"virtual cluster {where[3]} was deleted while the task waited for it ({where[1]} {where[3]} is gone); run "
            "the task again to create it",
            phase="deleting",
        )
    return workload


def _mark(event: dict[str, Any]) -> tuple[Any, ...]:
    # An event that happens again is the same object with another count.
    return event["metadata"].get("uid"), event.get("count"), (event.get("series") or {}).get("count")


def _fail_early(
    kubernetes: Kubernetes,
    namespace: str,
    workload: dict[str, Any],
    before: set[tuple[Any, ...]],
    elapsed: float,
) -> str:
    """Return the state in words; raises WaitError with the reason where it cannot become ready by waiting."""
    pods, events = parallel(
        [
            partial(kubernetes.list, path("v1", "pods", namespace), labels=NOT_SYNCED),
            partial(kubernetes.list, path("v1", "events", namespace)),
        ]
    )
    if elapsed < diagnosis.UNSCHEDULABLE_GRACE:
        # What was refused before this task began may have been put right since; it is refused again if not.
        events = [event for event in events if _mark(event) not in before]
    return explain(kubernetes, workload, pods, events, elapsed)


POLL_SECONDS = 0.5
POLL_ONE_SECONDS = 0.2  # where each look is a GET of one object, which takes nothing from what starts meanwhile
LOOK_SECONDS = 2  # why it is not ready costs two LISTs
LOG_LINES = 15


def explain(
    kubernetes: Kubernetes, workload: Object, pods: Iterable[Object], events: Iterable[Object], elapsed: float
) -> str:
    """Return what a control plane that is not ready waits for, after ``elapsed`` seconds.

    Raises WaitError with the reason, and what to try, where waiting will not make it ready.
    """
    pods, events = list(pods), list(events)
    failed = diagnosis.failure(workload, pods, events, elapsed, now=datetime.now(timezone.utc))
    if failed is None:
        return diagnosis.progress(workload, pods, events)
    message = (
        f"virtual cluster {workloads.cluster_name(workload)} will not become ready: {failed.message}; {failed.advice}"
    )
    if failed.pod and failed.container and failed.reason == "CrashLoopBackOff":
        namespace = workload["metadata"]["namespace"]
        message += f"\nlast lines of container {failed.container}:\n" + _last_lines(kubernetes, namespace, failed)
    raise WaitError(message, phase="failed", reason=failed.reason)


def _last_lines(kubernetes: Kubernetes, namespace: str, failed: diagnosis.Failure) -> str:
    url = path("v1", "pods", namespace, failed.pod) + "/log"
    for previous in ("true", "false"):  # the container may be between two starts
        try:
            log = kubernetes.text(url, container=failed.container, previous=previous, tailLines=LOG_LINES)
        except KubernetesError:
            continue
        if not log.startswith("unable to retrieve container logs"):  # the kubelet says so with status 200
            return log
    return "(no log)"
