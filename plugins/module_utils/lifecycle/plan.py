# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan what brings a virtual cluster from its state to what a task asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..common import well_known
from ..common.errors import NestedClustersError, OptionError
from ..common.semver import Version
from ..helm import records
from ..helm.chart import is_vcluster
from ..helm.cli import Helm, OpenHelm, ReleaseSpec
from ..k8s.client import Kubernetes, list_allowed
from ..k8s.errors import KubernetesError
from ..k8s.objects import path
from ..values.endpoint import moved
from ..virtual_cluster import description, drift, manifests, provenance
from ..virtual_cluster.change import Change, ChangeKind, ChangeTarget, diff_entries
from ..virtual_cluster.cluster_state import State, is_paused
from ..virtual_cluster.manifests import Key
from ..virtual_cluster.metadata import metadata_changes, metadata_patch
from ..virtual_cluster.plan import Plan
from .apply import StageRunner, create_namespace, patch_workload
from .request import Request, RunOptions, Stage, namespace_of
from .upgrade_record import UpgradeRecord
from .upgrade_stages import plan_stages
from .validate import check_name, check_request, is_upgrade, kubernetes_named, wanted_version, way_back


def make_plan(
    kubernetes: Kubernetes,
    open_helm: OpenHelm | None,
    request: Request,
    state: State,
    run: RunOptions,
    before: Sequence[Change] = (),
) -> Plan:
    """Return what is to be done, in order. Raises OptionError for what cannot work.

    ``before`` is what was changed already. Without ``open_helm``, a plan that needs Helm is not complete: it has what
    comes before Helm, and what the namespace says in the end.
    """
    check_name(request, state)
    version = wanted_version(request, state)
    wanted_values = check_request(request, state, version)
    stages = plan_stages(request, state, version, wanted_values, run.rollback)
    creation, membership = _plan_namespace(kubernetes, request, state, run.patience)
    if not (state.recorded or creation):
        provenance.check_free(kubernetes, request.name, request.namespace)
    objects = _plan_objects(kubernetes, request, state, bool(creation))
    begin = [*before, *creation, *objects]
    mark = way_back(state, request)
    guarded = mark is not None or (run.rollback and is_upgrade(state, stages))
    release, wanted, notes = _plan_release(request, state, stages), state.manifest, list[str]()
    if release:
        notes = _check_endpoint(kubernetes, request, state, wanted_values)
    if release or guarded:
        if open_helm is None:
            return Plan([*begin, *membership], notes, complete=False)
        runner = StageRunner(kubernetes, open_helm(), request, stages if release else [], state, run.patience)
        if release and not creation:
            records.check(kubernetes, request.name, request.namespace)
        if release:
            wanted, diff = _render(kubernetes, runner.helm, request, stages, state)
            release[-1] = replace(release[-1], diff=tuple(diff))
        release = _guarded(runner, release, version.text, mark) if guarded else _staged(runner, release)
    metadata = _plan_metadata(kubernetes, request, state, wanted)
    changed = bool([*begin, *release, *metadata, *membership])
    # Last: that the namespace says so, before it that the workload is ours. Until then, the next run looks for more.
    reused = _plan_reused(kubernetes, request) if changed and not creation else []
    return Plan([*begin, *release, *reused, *metadata, *membership], notes)


def _check_endpoint(kubernetes: Kubernetes, request: Request, state: State, wanted: dict[str, Any]) -> list[str]:
    """Refuse an endpoint that something else has; returns what clients have to change because of another one."""
    from ..endpoint import conflicts

    deployed = state.release.values if state.release else {}
    conflicts.check(kubernetes, request.name, request.namespace, wanted, deployed, request.endpoint)
    return _moved(request, state, wanted)


def _staged(runner: StageRunner, release: Sequence[Change]) -> list[Change]:
    """Return the changes of a release, each with its stage: those that are not upgrades belong to the last."""
    stages = [partial(runner.run_to, number) for number in range(len(runner.stages))]
    changes, number = [], 0
    for change in release:
        changes.append(replace(change, apply=stages[number]))
        if change.kind is ChangeKind.UPGRADE and not change.details["last"]:
            number += 1
    return changes


def _guarded(
    runner: StageRunner, release: Sequence[Change], version: str, mark: UpgradeRecord | None
) -> list[Change]:
    """Return the changes of a release with those of its backup, which are carried out together or rolled back."""
    from . import upgrade_backup, upgrade_transaction

    state, name = runner.state, runner.request.name
    workload = state.workload(name)
    changes = [
        *upgrade_backup.changes_before(workload, _etcd(state), mark),
        *release,
        *upgrade_backup.changes_after(name, version, mark, is_paused(workload)),
    ]
    carry_out = partial(upgrade_transaction.carry_out, runner)
    return [replace(change, apply=carry_out) for change in changes]


def _moved(request: Request, state: State, wanted: dict[str, Any]) -> list[str]:
    """Return what clients have to change because the endpoint changes."""
    if state.release is None:
        return []
    before = state.release.values
    services = [live for key, live in state.live.items() if key[1] == "Service"]
    routes = [live for key, live in state.live.items() if key[1] in description.ROUTE_KINDS]
    old = description.endpoint(request.name, request.namespace, services, routes, before)
    said = moved(request.name, before, wanted, old)
    return [said] if said else []


def _render(
    kubernetes: Kubernetes, helm: Helm, request: Request, stages: list[Stage], state: State
) -> tuple[dict[Key, dict[str, Any]], list[dict[str, str]]]:
    """Return the objects that the release has in the end, and the differences, for ``--diff``."""
    for stage in stages:  # each, so that what the chart of one refuses is known before the first is made
        chart = request.chart.of(stage.version.text)
        unfinished = state.pending is not None or state.leaving
        spec = ReleaseSpec(request.name, request.namespace, chart, stage.values)
        rendered = helm.render(spec, unfinished=unfinished)
        if not is_vcluster(rendered.chart_name):
            raise OptionError(
                "chart_ref",
                chart.reference,
                "vCluster's chart",
                message=f"{chart.reference} is chart {rendered.chart_name}; set it to vCluster's chart",
            )
    wanted = manifests.objects(rendered.manifest, request.namespace, kubernetes.namespaced)
    found = drift.as_found(state.manifest, state.live)
    diff: list[dict[str, str]] = []
    if state.release and len(stages) > 1:
        way = [state.release.chart_version], [stage.version.text for stage in stages]
        diff += diff_entries(*way, f"vCluster versions of {request.name}, one after another")
    last = stages[-1].values
    origins = request.group.origins if request.group else None
    diff += drift.release_diff(state.release, last, found, wanted, request.name, origins)
    return wanted, diff


def _etcd(state: State) -> dict[str, Any] | None:
    """Return the deployed etcd of a virtual cluster, as it is in the cluster."""
    found = [live for key, live in state.live.items() if manifests.runs(key, live, well_known.ETCD)]
    return next((live for live in found if live["metadata"]["name"].endswith("-etcd")), None)


def _plan_namespace(
    kubernetes: Kubernetes, request: Request, state: State, patience: float
) -> tuple[list[Change], list[Change]]:
    """Return what creates the namespace, and what its labels and annotations become where it is there."""
    if state.release and request.membership is None:
        return [], []  # Helm's record of it is in there
    target = ChangeTarget("namespace", request.namespace)
    where = path("v1", "namespaces", None, request.namespace)
    namespace = kubernetes.get(where)
    if namespace is None or namespace["metadata"].get("deletionTimestamp"):
        if state.release:  # it was not a moment ago; see _unless_leaving
            raise NestedClustersError(
                f"virtual cluster {request.name}: namespace {request.namespace} was deleted while the task ran; run "
                "the task again to create it"
            )
        # One that is being deleted will be gone when it is this plan's turn; see create_namespace.
        shown = tuple(diff_entries("", namespace_of(request), str(target)))
        create = partial(create_namespace, kubernetes, request, patience)
        return [Change(ChangeKind.CREATE, target, diff=shown, apply=create)], []
    if request.membership is None:
        return [], []
    membership = request.membership
    patch = metadata_patch(namespace, membership.labels(), membership.annotations(request.name))
    apply = partial(kubernetes.patch, where, {"metadata": patch})
    return [], metadata_changes(target, namespace, patch, apply)


def _plan_objects(kubernetes: Kubernetes, request: Request, state: State, is_new: bool) -> list[Change]:
    """Plan the objects that a group adds beside the release; ``is_new``: the namespace does not exist.

    Before Helm, so that a run that is interrupted there is finished from what it finds here.
    """
    changes = []
    for wanted in request.membership.objects(request.name, request.namespace) if request.membership else ():
        plural, _namespaced = kubernetes.resource(wanted["apiVersion"], wanted["kind"])
        name, kind = wanted["metadata"]["name"], wanted["kind"]
        where = path("v1", plural, request.namespace)
        live = state.secret(name) if kind == "Secret" else kubernetes.get(f"{where}/{name}")
        if is_new:  # one that is being deleted takes it along
            live = None
        found = drift.project({"apiVersion": "v1", "kind": kind, **(live or {})}, wanted)
        if live and found == wanted:
            continue
        key = ("v1", kind, request.namespace, name)
        before, after = {key: found} if live else {}, {key: wanted}
        shown = drift.show(before, after, "before"), drift.show(after, before, "after")
        diff = tuple(diff_entries(*shown, f"{kind} {name}"))
        apply: Callable[[], Any] = partial(_create, kubernetes, where, wanted)
        if live:
            apply = partial(kubernetes.patch, f"{where}/{name}", drift.repair_patch(found, wanted))
        doing = ChangeKind.CHANGE if live else ChangeKind.CREATE
        changes.append(Change(doing, ChangeTarget(kind, name), diff=diff, apply=apply))
    return changes


def _create(kubernetes: Kubernetes, where: str, body: dict[str, Any]) -> None:
    try:
        kubernetes.create(where, body)
    except KubernetesError as error:
        if error.reason != "AlreadyExists":  # somebody was faster
            raise


def _plan_release(request: Request, state: State, stages: list[Stage]) -> list[Change]:
    """Return what Helm has to do."""
    release, last, target = state.release, stages[-1], ChangeTarget("release", request.name)
    cleared = []
    if state.pending:
        unfinished = {"revision": state.pending.revision, "status": state.pending.status}
        cleared = [Change(ChangeKind.CLEAR, target, unfinished)]
    if release is None:
        return [*cleared, Change(ChangeKind.INSTALL, target, {"version": last.version.text})]
    changes = _upgrades(release.vcluster_version, stages, target)
    if not changes and release.status != "deployed":
        changes.append(Change(ChangeKind.REPEAT, target, {"status": release.status}))
    if without_nulls(release.values) != without_nulls(last.values):
        changes.append(Change(ChangeKind.CHANGE_VALUES, target))
    return [*cleared, *changes, *drift.drift(drift.as_found(state.manifest, state.live), state.manifest)]


def _upgrades(before: Version, stages: list[Stage], target: ChangeTarget) -> list[Change]:
    """Return one for each stage in which vCluster or Kubernetes becomes another one.

    ``before`` is vCluster's version.
    """
    changes = []
    for stage in stages:
        is_last = stage is stages[-1]
        differs = before != stage.version
        kubernetes = stage.kubernetes.text if stage.kubernetes else None
        if not kubernetes and is_last and len(stages) > 1 and not differs:
            kubernetes = kubernetes_named(stage.values)
        if differs or stage.kubernetes or (is_last and len(stages) > 1):
            versions = {"before": before.text, "after": stage.version.text if differs else ""}
            details = {**versions, "kubernetes": str(kubernetes or ""), "last": is_last}
            changes.append(Change(ChangeKind.UPGRADE, target, details))
        before = stage.version
    return changes


def _plan_metadata(
    kubernetes: Kubernetes, request: Request, state: State, wanted: dict[Key, dict[str, Any]]
) -> list[Change]:
    """Return what labels and annotations of the control plane become; ``wanted`` are the objects in the end."""
    annotations = dict(request.annotations)
    if request.protected is not None:
        annotations[well_known.PROTECTED] = "true" if request.protected else None
    if state.release is None or state.ours:
        annotations[well_known.MANAGED] = "true"
    workload = state.workload(request.name)
    patch = metadata_patch(workload, request.labels, annotations)
    apply = partial(patch_workload, kubernetes, request, wanted, patch)
    return metadata_changes(ChangeTarget("virtual cluster", request.name), workload, patch, apply)


def _plan_reused(kubernetes: Kubernetes, request: Request) -> list[Change]:
    """Take the mark off volume claims that were kept when a virtual cluster of this name was deleted.

    That is done after Helm: with a release nobody takes them for left over.
    """
    changes, claims = [], path("v1", "persistentvolumeclaims", request.namespace)
    listed = list_allowed(kubernetes, claims, metadata_only=True)
    for meta in sorted((claim["metadata"] for claim in listed), key=lambda meta: str(meta["name"])):
        labels, name = meta.get("labels") or {}, meta["name"]
        its_own = request.name in (labels.get("release"), labels.get(well_known.SYNCED_LABEL))
        if its_own and well_known.KEPT in (meta.get("annotations") or {}):
            target = ChangeTarget("volume claim", name)
            diff = tuple(diff_entries({well_known.KEPT: "true"}, {}, f"annotations of {target}"))
            where = path("v1", "persistentvolumeclaims", request.namespace, name)
            apply = partial(kubernetes.patch, where, {"metadata": {"annotations": {well_known.KEPT: None}}})
            changes.append(Change(ChangeKind.REUSE, target, diff=diff, apply=apply))
    return changes


def without_nulls(data: Any) -> Any:
    """Return data without null entries: in Helm values null and nothing are the same once they are stored."""
    if isinstance(data, dict):
        return {name: without_nulls(value) for name, value in data.items() if value is not None}
    return data
