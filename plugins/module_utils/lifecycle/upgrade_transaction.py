# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade with a rollback if it fails: run the stages, check the health after each, and roll back."""

from __future__ import annotations

from dataclasses import replace

from ..common.errors import NestedClustersError
from ..helm import records
from ..k8s.objects import path
from ..virtual_cluster import cluster_state, readiness
from . import apply, upgrade_backup
from .apply import StageRunner
from .upgrade_record import UpgradeRecord
from .validate import way_back

_HEALTHY_SECONDS = 60  # how long it may take to be healthy before its upgrade: it may have started just now


def carry_out(runner: StageRunner) -> None:
    """Carry out the stages of an upgrade, with a health check of each; roll back if one of them fails.

    Raises NestedClustersError that says why it failed, when everything is as before again.
    """
    kubernetes, request, stages, state = runner.kubernetes, runner.request, runner.stages, runner.state
    backup = upgrade_backup.UpgradeBackup(kubernetes, request.name, request.namespace, runner.patience)
    mark = way_back(state, request)
    if mark is None or not mark.copied:
        mark = _take(backup, state, request.name, mark)
        state = cluster_state.read(kubernetes, request.name, request.namespace)
    try:
        if not stages or (state.release and state.release.revision != mark.revision):
            # An earlier task made what is deployed, and has not seen it run.
            state = _started(runner, backup)
        for number, stage in enumerate(stages, 1):
            apply.apply(kubernetes, runner.helm, request, stage, state, between=number < len(stages))
            state = _started(runner, backup)
    except NestedClustersError as error:
        failed = f"virtual cluster {request.name} did not become healthy in the upgrade from vCluster {mark.version}"
        try:
            go_back(runner, cluster_state.read(kubernetes, request.name, request.namespace), mark)
        except NestedClustersError as second:
            raise NestedClustersError(
                f"{failed}: {error}; and the rollback failed: {second}; run the task again, which continues the "
                "rollback",
                rolled_back=False,
            ) from second
        raise NestedClustersError(
            f"{failed}: {error}; it was rolled back to {mark.version} with its former data", rolled_back=True
        ) from error
    backup.leave(mark)


def _take(
    backup: upgrade_backup.UpgradeBackup, state: cluster_state.State, name: str, mark: UpgradeRecord | None
) -> UpgradeRecord:
    """Make the backup of a healthy virtual cluster; if that fails, restore everything."""
    workload = state.workload(name)
    if not cluster_state.is_paused(workload):
        backup.check_healthy(_HEALTHY_SECONDS)
    mark = mark or UpgradeRecord.of(state.release, workload)
    try:
        backup.take(mark)
    except NestedClustersError:
        if not mark.paused:
            backup.start()
        backup.leave(mark)
        raise
    return replace(mark, copied=True)


def _started(runner: StageRunner, backup: upgrade_backup.UpgradeBackup) -> cluster_state.State:
    """Start what is paused, wait until it is ready, and check its health."""
    kubernetes, name, namespace = runner.kubernetes, runner.request.name, runner.request.namespace
    backup.start()
    state = cluster_state.read(kubernetes, name, namespace)
    state = readiness.wait_ready(kubernetes, name, namespace, state, runner.patience, kubeconfig=True)
    backup.check_healthy()
    return state


def go_back(runner: StageRunner, state: cluster_state.State, mark: UpgradeRecord) -> None:
    """Roll back from a state: first the data, then the Helm revision."""
    kubernetes, request = runner.kubernetes, runner.request
    backup = upgrade_backup.UpgradeBackup(kubernetes, request.name, request.namespace, runner.patience)
    if not mark.returned:
        records.check(kubernetes, request.name, request.namespace, mark.revision)  # before anything is stopped
        mark = replace(mark, returning=True)
        backup.write(mark)
        if state.pending:
            kubernetes.delete(path("v1", "secrets", request.namespace, state.pending.secret_name))
        backup.stop()
        backup.restore(mark)
        records.check(kubernetes, request.name, request.namespace, mark.revision)
        runner.helm.rollback(request.name, request.namespace, mark.revision, state.release)
        mark = replace(mark, returned=True)  # not once more: Helm would forget the revision that it goes back to
        backup.write(mark)
    _started(runner, backup)
    backup.leave(mark)
