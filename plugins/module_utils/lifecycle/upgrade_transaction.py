# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade that is taken back where it fails: its stages, each looked into, and the way back."""

from __future__ import annotations

from dataclasses import replace

from ..common.errors import NestedClustersError
from ..helm import records
from ..helm.cli import Helm
from ..k8s.client import Kubernetes
from ..k8s.objects import path
from ..virtual_cluster import cluster_state, readiness
from . import apply, upgrade_backup
from . import request as requests
from . import validate as validation
from .upgrade_record import UpgradeRecord

_HEALTHY_SECONDS = 60  # how long one that shall be upgraded may take to be healthy: it may have started just now


def carry_out(
    kubernetes: Kubernetes,
    helm: Helm,
    request: requests.Request,
    stages: list[requests.Stage],
    state: cluster_state.State,
) -> None:
    """The stages of an upgrade, each looked into when it runs; back to what was before if one of them fails.

    Raises NestedClustersError that says why it failed, when everything is as before again.
    """
    place = upgrade_backup.UpgradeBackup(kubernetes, request.name, request.namespace, request.patience)
    mark = validation.way_back(state, request)
    if mark is None or not mark.copied:
        mark = _take(place, state, request.name, mark)
        state = cluster_state.read(kubernetes, request.name, request.namespace)
    try:
        if not stages or (state.release and state.release.revision != mark.revision):
            # An earlier task made what is deployed, and has not seen it run.
            state = _started(kubernetes, request, place)
        for number, stage in enumerate(stages, 1):
            apply.apply(kubernetes, helm, request, stage, state, between=number < len(stages))
            state = _started(kubernetes, request, place)
    except NestedClustersError as error:
        failed = f"virtual cluster {request.name} did not become healthy on its way from vCluster {mark.version}"
        try:
            go_back(kubernetes, helm, request, cluster_state.read(kubernetes, request.name, request.namespace), mark)
        except NestedClustersError as second:
            raise NestedClustersError(
                f"{failed}: {error}; and it could not be taken back: {second}; run the task again, which goes on "
                "with that",
                rolled_back=False,
            ) from second
        raise NestedClustersError(
            f"{failed}: {error}; it is on {mark.version} again, with the data that it had before", rolled_back=True
        ) from error
    place.leave(mark)


def _take(
    place: upgrade_backup.UpgradeBackup, state: cluster_state.State, name: str, mark: UpgradeRecord | None
) -> UpgradeRecord:
    """Take the way back, from a virtual cluster that is healthy; where that fails, everything is as before."""
    workload = state.workload(name)
    if not cluster_state.is_paused(workload):
        place.check_healthy(_HEALTHY_SECONDS)
    mark = mark or UpgradeRecord.of(state.release, workload)
    try:
        place.take(mark)
    except NestedClustersError:
        if not mark.paused:
            place.start()
        place.leave(mark)
        raise
    return replace(mark, copied=True)


def _started(
    kubernetes: Kubernetes, request: requests.Request, place: upgrade_backup.UpgradeBackup
) -> cluster_state.State:
    """Start what is at rest, wait until it is ready, and look into it."""
    place.start()
    state = cluster_state.read(kubernetes, request.name, request.namespace)
    state = readiness.wait_ready(kubernetes, request.name, request.namespace, state, request.patience, kubeconfig=True)
    place.check_healthy()
    return state


def go_back(
    kubernetes: Kubernetes, helm: Helm, request: requests.Request, state: cluster_state.State, mark: UpgradeRecord
) -> None:
    """Take the way back: the data, and then the Helm revision of before."""
    place = upgrade_backup.UpgradeBackup(kubernetes, request.name, request.namespace, request.patience)
    if not mark.returned:
        records.check(kubernetes, request.name, request.namespace, mark.revision)  # before anything is stopped
        mark = replace(mark, returning=True)
        place.write(mark)
        if state.pending:
            kubernetes.delete(path("v1", "secrets", request.namespace, state.pending.secret_name))
        place.stop()
        place.restore(mark)
        records.check(kubernetes, request.name, request.namespace, mark.revision)
        helm.rollback(request.name, request.namespace, mark.revision, state.release)
        mark = replace(mark, returned=True)  # not once more: Helm would forget the revision that it goes back to
        place.write(mark)
    _started(kubernetes, request, place)
    place.leave(mark)
