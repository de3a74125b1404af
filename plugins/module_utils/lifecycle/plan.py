# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan what brings a virtual cluster from its state to what a task asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..common import semver, well_known
from ..common.errors import NestedClustersError, OptionError
from ..helm import records
from ..helm.chart import is_vcluster
from ..helm.cli import Helm, ReleaseSpec
from ..k8s.client import Kubernetes, list_allowed
from ..k8s.errors import KubernetesError
from ..k8s.objects import path
from ..values import endpoint as endpoint_values
from ..virtual_cluster import description, drift, manifests, provenance
from ..virtual_cluster import plan as planning
from ..virtual_cluster.cluster_state import State, is_paused
from ..virtual_cluster.manifests import Key
from ..virtual_cluster.namespace import plan_patch
from ..virtual_cluster.plan import Plan
from .request import Request, Stage, namespace_of
from .upgrade_stages import plan_stages
from .validate import check_request, is_upgrade, kubernetes_asked, wanted_version, way_back


@dataclass(frozen=True)
class Work:
    """What a plan leaves for Helm: nothing where ``helm`` is None. ``wanted`` are the objects in the end."""

    helm: Helm | None
    stages: list[Stage]
    wanted: dict[Key, dict[str, Any]]
    guarded: bool  # whether a way back is taken first


def prepare(kubernetes: Kubernetes, open_helm: Callable[[], Helm], request: Request, state: State, plan: Plan) -> Work:
    """Make the plan. Raises OptionError for what cannot work."""
    version = wanted_version(request, state)
    wanted_values = check_request(request, state, version)
    stages = plan_stages(request, state, version, wanted_values)
    _plan_namespace(kubernetes, request, state, plan)
    if not (state.recorded or plan.create_namespace):
        provenance.check_free(kubernetes, request.name, request.namespace)
    _plan_objects(kubernetes, request, state, plan)
    helm, wanted = None, state.manifest
    mark, workload = way_back(state, request), state.workload(request.name)
    guarded = mark is not None or (request.rollback and is_upgrade(state, stages))
    if guarded:
        from . import upgrade_backup

        plan.steps += upgrade_backup.steps_before(workload, _etcd(state), mark)
    if _plan_release(request, state, stages, plan):
        from ..endpoint import conflicts

        before = state.release.values if state.release else {}
        conflicts.check(kubernetes, request.name, request.namespace, wanted_values, before, request.endpoint)
        plan.notes += _moved(request, state, wanted_values)
        helm = open_helm()
        if not plan.create_namespace:
            records.check(kubernetes, request.name, request.namespace)
        wanted = _render(kubernetes, helm, request, stages, state, plan)
    if guarded:
        helm = helm or open_helm()
        plan.steps += upgrade_backup.steps_after(request.name, version, mark, is_paused(workload))
    _plan_metadata(request, state, plan)
    if plan.changed and not plan.create_namespace:
        _plan_reused(kubernetes, request, plan)
    return Work(helm, stages, wanted, guarded)


def _moved(request: Request, state: State, wanted: dict[str, Any]) -> list[str]:
    """What clients have to change because of another endpoint."""
    if state.release is None:
        return []
    before = state.release.values
    services = [thing for key, thing in state.live.items() if key[1] == "Service"]
    routes = [thing for key, thing in state.live.items() if key[1] in description.ROUTE_KINDS]
    old = description.endpoint(request.name, request.namespace, services, routes, before)
    said = endpoint_values.moved(request.name, before, wanted, old)
    return [said] if said else []


def _render(
    kubernetes: Kubernetes, helm: Helm, request: Request, stages: list[Stage], state: State, plan: Plan
) -> dict[Key, dict[str, Any]]:
    """The objects that the release shall have in the end; adds what differs to the plan's diff."""
    for stage in stages:  # each, so that what the chart of one refuses is known before the first is made
        chart = request.chart.of(stage.version)
        unfinished = state.pending is not None or state.leaving
        spec = ReleaseSpec(request.name, request.namespace, chart, stage.values)
        rendered = helm.render(spec, unfinished=unfinished)
        if not is_vcluster(rendered.chart_name):
            raise OptionError(
                "chart_ref", chart.reference, "vCluster's chart", reason=f"it is chart {rendered.chart_name}"
            )
    wanted = manifests.objects(rendered.manifest, request.namespace, kubernetes.namespaced)
    found = drift.as_found(state.manifest, state.live)
    if state.release and len(stages) > 1:
        way = [state.release.chart_version], [stage.version for stage in stages]
        plan.diff += planning.diff(*way, f"vCluster versions of {request.name}, one after another")
    last = stages[-1].values
    plan.diff += drift.release_diff(state.release, last, found, wanted, request.name, request.origins)
    return wanted


def _etcd(state: State) -> dict[str, Any] | None:
    """The deployed etcd of a virtual cluster, as it is in the cluster."""
    found = [thing for key, thing in state.live.items() if manifests.runs(key, thing, well_known.ETCD)]
    return next((thing for thing in found if thing["metadata"]["name"].endswith("-etcd")), None)


def _plan_namespace(kubernetes: Kubernetes, request: Request, state: State, plan: Plan) -> None:
    if state.release and request.membership is None:
        return  # Helm's record of it is in there
    namespace = kubernetes.get(path("v1", "namespaces", None, request.namespace))
    if namespace is None or namespace["metadata"].get("deletionTimestamp"):
        if state.release:  # it was not a moment ago; see _unless_leaving
            raise NestedClustersError(
                f"virtual cluster {request.name}: namespace {request.namespace} was deleted while this task looked at "
                "it: run again, which makes it anew"
            )
        # One that is being deleted will be gone when it is this plan's turn; see _create_namespace.
        plan.create_namespace = True
        plan.steps.append(f"create namespace {request.namespace}")
        plan.diff += planning.diff("", namespace_of(request), f"namespace {request.namespace}")
    if request.membership is None:
        return
    membership = request.membership
    if not plan.create_namespace:
        patch = planning.metadata_patch(namespace, membership.labels(), membership.annotations(request.name))
        plan_patch(plan, namespace, patch, f"namespace {request.namespace}")
        plan.namespace_metadata = patch


def _plan_objects(kubernetes: Kubernetes, request: Request, state: State, plan: Plan) -> None:
    """What a virtual cluster has beside its release because it is in a group."""
    if request.membership is None:
        return
    for thing in request.membership.objects(request.name, request.namespace):
        plural, _namespaced = kubernetes.resource(thing["apiVersion"], thing["kind"])
        name, kind = thing["metadata"]["name"], thing["kind"]
        where = path("v1", plural, request.namespace)
        there = state.secret(name) if kind == "Secret" else kubernetes.get(f"{where}/{name}")
        if plan.create_namespace:  # one that is being deleted takes it along
            there = None
        if there is None:
            plan.steps.append(f"create {kind} {name}")
            plan.work.append(partial(_create, kubernetes, where, thing))
        found = drift.project({"apiVersion": "v1", "kind": kind, **(there or {})}, thing)
        if there and found != thing:
            plan.steps.append(f"change {kind} {name}")
            plan.work.append(partial(kubernetes.patch, f"{where}/{name}", drift.repair_patch(found, thing)))
        key = ("v1", kind, request.namespace, name)
        before, after = {key: found} if there else {}, {key: thing}
        shown = drift.show(before, after, "before"), drift.show(after, before, "after")
        plan.diff += planning.diff(*shown, f"{kind} {name}")


def _create(kubernetes: Kubernetes, where: str, thing: dict[str, Any]) -> None:
    try:
        kubernetes.create(where, thing)
    except KubernetesError as error:
        if error.reason != "AlreadyExists":  # somebody was faster
            raise


def _plan_release(request: Request, state: State, stages: list[Stage], plan: Plan) -> bool:
    """Add what Helm has to do to the plan; False if nothing."""
    release = state.release
    last = stages[-1]
    if state.pending:
        plan.steps.append(f"clear the unfinished Helm revision {state.pending.revision} ({state.pending.status})")
    if release is None:
        plan.steps.append(f"install release {request.name} with vCluster {last.version}")
        plan.helm = True
        return True
    steps = []
    before = release.chart_version
    for stage in stages:
        words = []
        if semver.parse_version(before) != semver.parse_version(stage.version):
            words.append(f"from vCluster {before} to {stage.version}")
        if stage.kubernetes or (stage is last and len(stages) > 1 and not words):
            named = stage.kubernetes or kubernetes_asked(stage.values)
            words.append(f"{'with' if words else 'to'} Kubernetes {named}")
        if words:
            wait = "" if stage is last else ", and wait until it is ready"
            steps.append(f"upgrade release {request.name} {' '.join(words)}{wait}")
        before = stage.version
    if not steps and release.status != "deployed":
        steps.append(f"repeat release {request.name}, which is {release.status}")
    if without_nulls(release.values) != without_nulls(last.values):
        steps.append(f"change values of release {request.name}")
    steps += drift.drift(drift.as_found(state.manifest, state.live), state.manifest)
    plan.steps += steps
    plan.helm = bool(steps or state.pending)
    return plan.helm


def _plan_metadata(request: Request, state: State, plan: Plan) -> None:
    annotations = dict(request.annotations)
    if request.protected is not None:
        annotations[well_known.PROTECTED] = "true" if request.protected else None
    if state.release is None or state.ours:
        annotations[well_known.MANAGED] = "true"
    workload = state.workload(request.name)
    plan.metadata = planning.metadata_patch(workload, request.labels, annotations)
    plan_patch(plan, workload, plan.metadata, f"virtual cluster {request.name}")


def _plan_reused(kubernetes: Kubernetes, request: Request, plan: Plan) -> None:
    """Take the mark off volume claims that were kept when a virtual cluster of this name was deleted.

    That is done after Helm: with a release nobody takes them for left over.
    """
    listed = list_allowed(kubernetes, path("v1", "persistentvolumeclaims", request.namespace), metadata_only=True)
    for meta in sorted((claim["metadata"] for claim in listed), key=lambda meta: str(meta["name"])):
        labels, name = meta.get("labels") or {}, meta["name"]
        its_own = request.name in (labels.get("release"), labels.get(well_known.SYNCED_LABEL))
        if its_own and well_known.KEPT in (meta.get("annotations") or {}):
            plan.reused.append(name)
            plan.steps.append(f"mark volume claim {name} as used again")
            plan.diff += planning.diff({well_known.KEPT: "true"}, {}, f"annotations of volume claim {name}")


def without_nulls(data: Any) -> Any:
    """Data without null entries: in Helm values null and nothing are the same once they are stored."""
    if isinstance(data, dict):
        return {name: without_nulls(value) for name, value in data.items() if value is not None}
    return data
