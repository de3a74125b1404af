# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What waiting for one virtual cluster and for many has in common."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

from ansible_collections.nested.clusters.plugins.module_utils import phase
from ansible_collections.nested.clusters.plugins.module_utils._kubernetes import Kubernetes, KubernetesError, path
from ansible_collections.nested.clusters.plugins.module_utils.errors import WaitError
from ansible_collections.nested.clusters.plugins.module_utils.phase import Object

POLL_SECONDS = 0.5
POLL_ONE_SECONDS = 0.2  # where each look is a GET of one object, which takes nothing from what starts meanwhile
LOOK_SECONDS = 2  # why it is not ready costs two LISTs
LOG_LINES = 15


def explain(
    kubernetes: Kubernetes, workload: Object, pods: Iterable[Object], events: Iterable[Object], elapsed: float
) -> str:
    """What a control plane that is not ready waits for, after ``elapsed`` seconds.

    Raises WaitError with the reason, and what to try, where waiting will not make it ready.
    """
    pods, events = list(pods), list(events)
    failed = phase.failure(workload, pods, events, elapsed, now=datetime.now(timezone.utc))
    if failed is None:
        return phase.progress(workload, pods, events)
    message = f"virtual cluster {phase.cluster_name(workload)} will not become ready: {failed.message}; {failed.advice}"
    if failed.pod and failed.container and failed.reason == "CrashLoopBackOff":
        namespace = workload["metadata"]["namespace"]
        message += f"\nlast lines of container {failed.container}:\n" + _last_lines(kubernetes, namespace, failed)
    raise WaitError(message, phase="failed", reason=failed.reason)


def _last_lines(kubernetes: Kubernetes, namespace: str, failed: phase.Failure) -> str:
    url = path("v1", "pods", namespace, failed.pod) + "/log"
    for previous in ("true", "false"):  # the container may be between two starts
        try:
            log = kubernetes.text(url, container=failed.container, previous=previous, tailLines=LOG_LINES)
        except KubernetesError:
            continue
        if not log.startswith("unable to retrieve container logs"):  # the kubelet says so with status 200
            return log
    return "(no log)"
