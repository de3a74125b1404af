# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The phase of a virtual cluster. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ..common.well_known import PAUSED, SLEEP_MODE_LABEL, SLEEPING_SINCE
from ..k8s.objects import Object
from . import diagnosis, workloads
from .diagnosis import Failure
from .workloads import workload_ready

PHASES = ("running", "paused", "pending", "failed", "sleeping", "deleting")


def phase(
    workload: Object,
    pods: Iterable[Object] = (),
    namespace: Object | None = None,
    events: Iterable[Object] = (),
    now: datetime | None = None,
) -> str:
    """Return one of PHASES; the first that applies, in this order.

    ``deleting``: the workload or its namespace is. ``paused``: scaled to 0 by a pause, as its annotation says
    (annotated but scaled up again, it is what its pods make it). ``sleeping``: put to sleep by the vCluster
    platform; one whose workloads alone sleep has a control plane that runs, and is ``running``. ``running``:
    every replica is ready. ``failed``: it will not become ready as declared, although replicas of before may
    still serve. ``pending``: anything else, also scaled to 0 by hand or for a restore.
    """
    return phase_and_failure(workload, pods, namespace, events, now)[0]


def phase_and_failure(
    workload: Object,
    pods: Iterable[Object],
    namespace: Object | None,
    events: Iterable[Object],
    now: datetime | None,
) -> tuple[str, Failure | None]:
    metadata = workload["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if any(item.get("deletionTimestamp") for item in (metadata, (namespace or {}).get("metadata") or {})):
        return "deleting", None
    if workloads.replicas(workload) == 0:
        if labels.get(SLEEP_MODE_LABEL) == "true" or annotations.get(SLEEPING_SINCE):
            return "sleeping", None
        if annotations.get(PAUSED) == "true":
            return "paused", None
        return "pending", None
    if workload_ready(workload):
        return "running", None
    why = diagnosis.failure(workload, pods, events, now=now)
    return ("failed" if why else "pending"), why
