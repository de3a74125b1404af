# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reserve what a virtual cluster needs, under the locks of all host clusters."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..common import well_known
from ..common.errors import NestedClustersError
from ..common.size import Size
from ..groups import lock as group_lock
from ..groups import view as group_view
from ..groups.model import Group
from ..groups.view import lock_order
from ..k8s.client import Kubernetes
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import path
from ..k8s.snapshot import Snapshot, live
from ..lifecycle.request import Request, namespace_of
from ..virtual_cluster import namespace as namespaces
from ..virtual_cluster.membership import AdmissionRequest, Membership
from ..virtual_cluster.plan import Plan, metadata_patch
from .complete import complete
from .decide import Decision, PlanOutdated, decide


def reserve_one(
    given: list[HostCluster],
    request: Request,
    asked: AdmissionRequest,
    planned: Decision,
    full: Request,
    group: Group,
    plan: Plan,
) -> None:
    """Take what the plan needs, under the locks of all host clusters, or raise what keeps it from being taken."""
    if plan.creates_namespace:
        namespaces.wait_until_free(planned.kubernetes, planned.namespace, request.patience)
    with group_lock.locked(lock_order(group_view.picture(given, asked.group))) as lock:
        seen = group_view.picture(given, asked.group)
        decision = decide(seen, request, asked)
        if seen.group != group or decision.what != planned.what:
            raise PlanOutdated(f"virtual cluster {request.name}: what is decided now is not what was planned")
        lock.check()
        if full.membership:  # as complete() gave it
            _write(planned.kubernetes, full, full.membership, decision)


def reserve(
    given: Sequence[HostCluster], group: str, wanted: Sequence[tuple[Request, AdmissionRequest]]
) -> tuple[set[str], dict[str, NestedClustersError]]:
    """Take what several virtual clusters need, one after another under one hold of the locks.

    Returns the names of those whose namespaces were created, and why others cannot have what they ask for. Raises
    LockLost where somebody else may be writing by now: what is written stays, and the rest can be tried again.
    """
    new: set[str] = set()
    refused: dict[str, NestedClustersError] = {}
    with group_lock.locked(lock_order(group_view.picture(given, group))) as lock:
        # Read once under the lock: nobody else takes anything meanwhile.
        seen = group_view.picture([HostCluster(host.name, Snapshot(host.kubernetes)) for host in given], group)
        for request, asked in wanted:
            try:
                decision = decide(seen, request, asked)
                full = complete(request, seen.group, decision, asked.ahead)
                if full.membership is None or not decision.takes_more:
                    continue
                lock.check()
                if _write(live(decision.kubernetes), full, full.membership, decision):
                    new.add(request.name)
                seen = seen.with_allocation(decision.allocation(request.name, seen.group.name, full.membership.applied))
            except group_lock.LockLost:
                raise
            except NestedClustersError as error:
                refused[request.name] = error
    return new, refused


def _write(kubernetes: Kubernetes, full: Request, wanted: Membership, decision: Decision) -> bool:
    """The reservation: a namespace, or on the one that is there the most of what it has and what it shall have.

    Returns whether the namespace is new.
    """
    where = path("v1", "namespaces", None, full.namespace)
    there = kubernetes.get(where)
    if there is None:
        kubernetes.create(path("v1", "namespaces"), namespace_of(full))
        return True
    held = decision.current.size if decision.current else Size.zero()
    annotations = wanted.annotations(full.name)
    annotations[well_known.SIZE_ANNOTATION] = json.dumps(held.maximum(decision.size).as_dict())
    if decision.current:
        annotations[well_known.APPLIED_ANNOTATION] = json.dumps(dict(decision.current.applied), sort_keys=True)
    patch = metadata_patch(there, wanted.labels(), annotations)
    if patch:
        kubernetes.patch(where, {"metadata": patch})
    return False
