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

from ..common import progress
from ..endpoint import credentials
from ..helm import records
from ..helm.cli import Helm, OpenHelm
from ..k8s.client import Kubernetes
from ..k8s.objects import path
from ..virtual_cluster import cluster_state
from ..virtual_cluster.change import Change, ChangeKind, ChangeTarget
from ..virtual_cluster.cluster_state import Outcome, State
from ..virtual_cluster.plan import Plan
from ..virtual_cluster.readiness import POLL_SECONDS, wait_ready
from .apply import StageRunner
from .plan import make_plan
from .request import Request, RunOptions
from .validate import way_back

SETTLE_SECONDS = 30  # without --wait helm is done in seconds; one that is pending longer was killed


def present(
    kubernetes: Kubernetes,
    open_helm: OpenHelm | None,
    request: Request,
    run: RunOptions,
    reserve: Callable[[Plan], None] | None = None,
) -> Outcome:
    """Create or change a virtual cluster as requested.

    ``open_helm`` is called only if helm is needed; without it, as in check mode only, a plan for which helm is needed
    is not complete. ``reserve`` is called with the plan when all is known and nothing is changed yet; what it raises
    ends the task. Raises OptionError before anything is changed, HelmError, KubernetesError and WaitError after.
    """
    check = run.check
    state = _read(kubernetes, request, run.kubeconfig)
    if state.pending and not check:
        state = _settle(kubernetes, request, state)
    returned = _plan_return(kubernetes, request, state)
    if returned and check:  # what comes after a way back cannot be told before
        return Outcome(Plan(returned), state)
    if returned and open_helm:
        state = _go_back(kubernetes, open_helm(), request, state, run.patience)
    plan = make_plan(kubernetes, open_helm, request, state, run, returned)
    if check:
        return Outcome(plan, state)
    if reserve and plan.changed:
        reserve(plan)
    plan.carry_out()
    if plan.changed:
        state = cluster_state.read(kubernetes, request.name, request.namespace)
    if run.wait is not None:
        state = wait_ready(kubernetes, request.name, request.namespace, state, run.wait, run.kubeconfig)
    return Outcome(plan, state)


def _read(kubernetes: Kubernetes, request: Request, kubeconfig: bool) -> State:
    """Read the state, and check the kubeconfig if one is needed and exists."""
    state = _unless_leaving(kubernetes, request, cluster_state.read(kubernetes, request.name, request.namespace))
    if kubeconfig:
        credentials.check(state.secret(f"vc-{request.name}"))
    return state


def _unless_leaving(kubernetes: Kubernetes, request: Request, state: State) -> State:
    """Read the state; empty if its namespace is being deleted, which deletes what is still in it.

    The namespace is looked at only if something is missing or going, so that an unchanged task does not pay for it.
    """
    found = [state.live.get(key) for key in state.manifest]
    whole = all(live and not live["metadata"].get("deletionTimestamp") for live in found)
    if whole and not (state.pending or (request.group and request.group.leaving)):
        return state
    namespace = kubernetes.get(path("v1", "namespaces", None, request.namespace))
    if namespace and namespace["metadata"].get("deletionTimestamp"):
        return State(None, None, [], [], {}, {}, leaving=True)
    return state


def _plan_return(kubernetes: Kubernetes, request: Request, state: State) -> list[Change]:
    """Plan to go back all the way where an earlier task was ended while it did."""
    mark = way_back(state, request)
    if mark is None or not mark.returning:
        return []
    records.check(kubernetes, request.name, request.namespace, mark.revision)
    return [Change(ChangeKind.GO_BACK, ChangeTarget("virtual cluster", request.name), {"version": mark.version})]


def _go_back(kubernetes: Kubernetes, helm: Helm, request: Request, state: State, patience: float) -> State:
    """Roll back before anything else is planned, because the plan depends on what is deployed then."""
    from . import upgrade_transaction

    mark = way_back(state, request)
    if mark:
        runner = StageRunner(kubernetes, helm, request, [], state, patience)
        upgrade_transaction.go_back(runner, state, mark)
    return cluster_state.read(kubernetes, request.name, request.namespace)


def _settle(kubernetes: Kubernetes, request: Request, state: State) -> State:
    """Wait for a running Helm operation to finish; a killed one does not."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while state.pending and time.monotonic() < deadline:
        progress.report(f"virtual cluster {request.name}", "another Helm operation has not ended yet")
        time.sleep(POLL_SECONDS * 2)
        state = cluster_state.read(kubernetes, request.name, request.namespace)
    return state
