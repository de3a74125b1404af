# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reserve what a virtual cluster needs, under the locks of all host clusters."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..common import well_known
from ..common.errors import NestedClustersError
from ..common.size import Size
from ..groups import group_lock, group_view
from ..groups.group_view import GroupView, HostView, lock_order
from ..k8s.client import Kubernetes
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import path
from ..k8s.snapshot import Snapshot, live
from ..lifecycle.request import Request, namespace_of
from ..virtual_cluster import namespaces
from ..virtual_cluster.membership import AdmissionRequest, Membership
from ..virtual_cluster.metadata import metadata_patch
from ..virtual_cluster.plan import Plan
from .complete import complete
from .decision_rules import Decision, PlanOutdated, decide


@dataclass(frozen=True)
class Proposal:
    """What was decided from a view of the group, and has to be decided again under the locks."""

    given: Sequence[HostCluster]
    request: Request
    admission: AdmissionRequest
    view: GroupView
    decision: Decision
    full: Request  # as complete() gave it
    patience: float  # seconds for a namespace that is being deleted


def reserve_one(proposal: Proposal, plan: Plan) -> None:
    """Take what the plan needs, under the locks of all host clusters, or raise what keeps it from being taken.

    Raises PlanOutdated where the proposal does not hold any more.
    """
    planned, full = proposal.decision, proposal.full
    if not planned.takes_more:
        if plan.creates_namespace:  # somebody has deleted it since, and what it had is free for others
            raise _outdated(full.name)
        return
    if plan.creates_namespace:
        namespaces.wait_until_free(planned.kubernetes, planned.namespace, proposal.patience)
    locks = lock_order(proposal.view)
    with group_lock.locked(locks) as lock:
        view = group_view.picture(proposal.given, proposal.admission.group)
        decision = decide(view, proposal.request, proposal.admission)
        is_known = _is_locked(view, locks) and view.group == proposal.view.group
        if not is_known or decision.what != planned.what:
            raise _outdated(full.name)
        lock.check()
        if full.membership:
            _write(planned.kubernetes, full, full.membership, decision)


def _outdated(name: str) -> PlanOutdated:
    return PlanOutdated(f"virtual cluster {name}: what is decided now is not what was planned")


def _is_locked(view: GroupView, locks: Sequence[tuple[str, Kubernetes]]) -> bool:
    """Return whether all host clusters that count by now are locked: one may answer again, or have become a member."""
    return {number for number, _kubernetes in lock_order(view)} <= {number for number, _kubernetes in locks}


@dataclass(frozen=True)
class Reservations:
    """What became of several: names of those with a new namespace, why others were refused, and the group after."""

    new: set[str]
    refused: dict[str, NestedClustersError]
    view: GroupView


def reserve(
    given: Sequence[HostCluster], before: GroupView, wanted: Sequence[tuple[Request, AdmissionRequest]]
) -> Reservations:
    """Take what several virtual clusters need, one after another under one hold of the locks.

    ``before`` is a view of the group that says what to lock. Raises PlanOutdated where it does not any more, and
    LockLost if another task may be writing by now: what is written stays, and the rest can be tried again.
    """
    new: set[str] = set()
    refused: dict[str, NestedClustersError] = {}
    locks = lock_order(with_live_hosts(before))
    with group_lock.locked(locks) as lock:
        # Read once under the lock: nobody else takes anything meanwhile.
        snapshots = [HostCluster(host.name, Snapshot(host.kubernetes)) for host in given]
        view = group_view.picture(snapshots, before.group.name)
        if not _is_locked(view, locks):
            raise PlanOutdated(f"group {view.group.name} has other host clusters by now")
        for request, admission in wanted:
            try:
                decision = decide(view, request, admission)
                full = complete(request, view.group, decision, admission.ahead)
                if full.membership is None or not decision.takes_more:
                    continue
                lock.check()
                if _write(live(decision.kubernetes), full, full.membership, decision):
                    new.add(request.name)
                view = view.with_allocation(decision.allocation(request.name, view.group.name, full.membership.applied))
            except group_lock.LockLost:
                raise
            except NestedClustersError as error:
                refused[request.name] = error
    return Reservations(new, refused, with_live_hosts(view))


def with_live_hosts(view: GroupView) -> GroupView:
    """Return the same view, whose host clusters can be written to."""

    def of(one: HostView) -> HostView:
        return replace(one, host=HostCluster(one.host.name, live(one.host.kubernetes)))

    views = {name: of(one) for name, one in view.views.items()}
    return replace(view, views=views, others=[of(one) for one in view.others])


def _write(kubernetes: Kubernetes, full: Request, wanted: Membership, decision: Decision) -> bool:
    """Return the reservation: a namespace, or on the one that is there the most of what it has and what it shall have.

    Returns whether the namespace is new.
    """
    where = path("v1", "namespaces", None, full.namespace)
    namespace = kubernetes.get(where)
    if namespace is None:
        kubernetes.create(path("v1", "namespaces"), namespace_of(full))
        return True
    held = decision.current.size if decision.current else Size.zero()
    annotations = wanted.annotations(full.name)
    annotations[well_known.SIZE_ANNOTATION] = json.dumps(held.maximum(decision.size).as_dict())
    if decision.current:
        annotations[well_known.APPLIED_ANNOTATION] = json.dumps(dict(decision.current.applied), sort_keys=True)
    patch = metadata_patch(namespace, wanted.labels(), annotations)
    if patch:
        kubernetes.patch(where, {"metadata": patch})
    return False
