# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one virtual cluster to what a task asks for: read, plan, apply, wait.

Every entry point reads first and returns the plan; with ``check`` it stops there, so that check mode and a
real run cannot disagree.

What an unchanged virtual cluster does not need is imported in the functions that need it: every task compiles what
it imports.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..common import well_known
from ..endpoint import credentials
from ..helm import records
from ..helm.cli import Helm
from ..k8s.client import Kubernetes
from ..k8s.errors import KubernetesError
from ..k8s.objects import path
from ..virtual_cluster import cluster_state
from ..virtual_cluster.cluster_state import Outcome, State
from ..virtual_cluster.manifests import Key
from ..virtual_cluster.namespace import wait_until_free
from ..virtual_cluster.plan import Plan
from ..virtual_cluster.readiness import POLL_SECONDS, wait_ready
from .apply import apply, is_on_the_way, patch_workload
from .plan import prepare
from .request import Request, Stage, namespace_of
from .validate import is_upgrade, way_back

SETTLE_SECONDS = 30  # without --wait helm is done in seconds; one that is pending longer was killed


def present(
    kubernetes: Kubernetes,
    open_helm: Callable[[], Helm],
    request: Request,
    *,
    check: bool,
    wait: float | None,
    kubeconfig: bool = False,
    reserve: Callable[[Plan], None] | None = None,
) -> Outcome:
    """Bring a virtual cluster to what the request says.

    ``open_helm`` is called only if helm is needed. ``wait`` is how many seconds to wait for it to be ready, None
    for not at all, ``kubeconfig`` whether its kubeconfig is needed then; one that is there already has to be usable
    before anything is changed. ``reserve`` is called with the plan when all is known and nothing is changed yet; what
    it raises ends the task. Raises OptionError before anything is changed, HelmError, KubernetesError and WaitError
    after.
    """
    state = _read(kubernetes, request, kubeconfig)
    if state.pending and not check:
        state = _settle(kubernetes, request, state)
    plan = Plan()
    state = _unreturned(kubernetes, open_helm, request, state, plan, check)
    if check and plan.changed:  # what comes after a way back cannot be told before
        return Outcome(plan, state)
    work = prepare(kubernetes, open_helm, request, state, plan)
    if check:
        return Outcome(plan, state)
    if reserve and plan.changed:
        reserve(plan)
    if plan.create_namespace:
        _create_namespace(kubernetes, request)
    for step in plan.work:  # before Helm: a run that is interrupted there is finished from what it finds here
        step()
    if work.helm:
        _carry_out(kubernetes, work.helm, request, work.stages if plan.helm else [], state, work.guarded)
    _finish(kubernetes, request, work.wanted, plan)
    if plan.changed:
        state = cluster_state.read(kubernetes, request.name, request.namespace)
    if wait is not None:
        state = wait_ready(kubernetes, request.name, request.namespace, state, wait, kubeconfig)
    return Outcome(plan, state)


def _read(kubernetes: Kubernetes, request: Request, kubeconfig: bool) -> State:
    """What is there, with a kubeconfig that can be used where one is needed and there."""
    state = _unless_leaving(kubernetes, request, cluster_state.read(kubernetes, request.name, request.namespace))
    if kubeconfig:
        credentials.check(state.secret(f"vc-{request.name}"))
    return state


def _unless_leaving(kubernetes: Kubernetes, request: Request, state: State) -> State:
    """What is there; nothing where its namespace is being deleted, which takes along what is still in it.

    The namespace is looked at only if something is missing or going, so that an unchanged task does not pay for it.
    """
    found = [state.live.get(key) for key in state.manifest]
    whole = all(thing and not thing["metadata"].get("deletionTimestamp") for thing in found)
    if whole and not (state.pending or request.leaving):
        return state
    namespace = kubernetes.get(path("v1", "namespaces", None, request.namespace))
    if namespace and namespace["metadata"].get("deletionTimestamp"):
        return State(None, None, [], [], {}, {}, leaving=True)
    return state


def _unreturned(
    kubernetes: Kubernetes, open_helm: Callable[[], Helm], request: Request, state: State, plan: Plan, check: bool
) -> State:
    """Go back all the way where an earlier task was ended while it did."""
    mark = way_back(state, request)
    if mark is None or not mark.returning:
        return state
    plan.steps.append(f"go back to vCluster {mark.version}, which an earlier task did not finish")
    records.check(kubernetes, request.name, request.namespace, mark.revision)
    if check:
        return state
    from . import upgrade_transaction

    upgrade_transaction.go_back(kubernetes, open_helm(), request, state, mark)
    return cluster_state.read(kubernetes, request.name, request.namespace)


def _finish(kubernetes: Kubernetes, request: Request, wanted: dict[Key, dict[str, Any]], plan: Plan) -> None:
    for claim in plan.reused:  # before the workload is marked as ours: until then the next run looks for more to do
        where = path("v1", "persistentvolumeclaims", request.namespace, claim)
        kubernetes.patch(where, {"metadata": {"annotations": {well_known.KEPT: None}}})
    if plan.metadata:
        patch_workload(kubernetes, request, wanted, plan)
    if plan.namespace_metadata:  # last: it says what is done
        kubernetes.patch(path("v1", "namespaces", None, request.namespace), {"metadata": plan.namespace_metadata})


def _carry_out(
    kubernetes: Kubernetes, helm: Helm, request: Request, stages: list[Stage], state: State, with_way_back: bool
) -> None:
    """Let Helm make one stage after another; each but the last has to run before the next."""
    if with_way_back:
        from . import upgrade_transaction

        upgrade_transaction.carry_out(kubernetes, helm, request, stages, state)
        return
    if is_on_the_way(state) and is_upgrade(state, stages):  # made by a task that was ended while it waited
        state = wait_ready(kubernetes, request.name, request.namespace, state, request.patience, kubeconfig=False)
    for number, stage in enumerate(stages, 1):
        apply(kubernetes, helm, request, stage, state, between=number < len(stages))
        if number < len(stages):
            state = cluster_state.read(kubernetes, request.name, request.namespace)
            state = wait_ready(kubernetes, request.name, request.namespace, state, request.patience, kubeconfig=False)


def _create_namespace(kubernetes: Kubernetes, request: Request) -> None:
    wait_until_free(kubernetes, request.namespace, request.patience)
    try:
        kubernetes.create(path("v1", "namespaces"), namespace_of(request))
    except KubernetesError as error:
        if error.reason != "AlreadyExists":  # somebody was faster; Helm finds it all the same
            raise


def _settle(kubernetes: Kubernetes, request: Request, state: State) -> State:
    """Give a Helm operation that is under way the time to finish; one that was killed will not."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while state.pending and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS * 2)
        state = cluster_state.read(kubernetes, request.name, request.namespace)
    return state
