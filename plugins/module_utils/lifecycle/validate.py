# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a request against the state of its virtual cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..common.errors import OptionError
from ..common.semver import Version, parse_kubernetes_version, parse_version
from ..common.well_known import GROUP_LABEL
from ..helm.chart import is_vcluster
from ..values import accessors, control_plane, immutability, support_matrix, tree, validation
from ..virtual_cluster import cluster_names, manifests, workloads
from ..virtual_cluster.cluster_state import State, is_paused
from ..virtual_cluster.metadata import check_metadata
from . import upgrade_path
from .request import Request, Stage
from .upgrade_record import UpgradeRecord, read_mark


def way_back(state: State, request: Request) -> UpgradeRecord | None:
    """Return the upgrade record of an unfinished earlier task, or None."""
    workload = state.workload(request.name)
    mark = read_mark(workload) if state.release else None
    if mark and state.release and state.release.revision == mark.revision and not is_paused(workload):
        return replace(mark, copied=mark.copied and mark.returning)  # started by somebody: the copy is too old
    return mark


def is_upgrade(state: State, stages: list[Stage]) -> bool:
    """Return whether the first of the stages is another vCluster or Kubernetes than the one deployed."""
    if state.release is None or not stages:
        return False
    differs = state.release.vcluster_version != stages[0].version
    return differs or kubernetes_named(state.release.values) != kubernetes_named(stages[0].values)


def kubernetes_named(values: dict[str, Any]) -> Any:
    """Return the Kubernetes version that values name, None where they leave it to the chart."""
    return tree.get(values, control_plane.kubernetes_version_at(accessors.distribution_of(values)))


def wanted_version(request: Request, state: State) -> Version:
    """Return the vCluster version to run: the one asked for, else the one deployed, else the collection's default."""
    if request.chart.local and not request.chart.versioned:
        own, requested = parse_version(request.chart.own_version()), request.vcluster_version
        if requested and requested != own:
            reason = f"chart_ref {request.chart.reference} is version {own.text}"
            raise OptionError("vcluster_version", requested.text, own.text, reason=reason)
        return own
    if request.vcluster_version:
        return request.vcluster_version.normalized
    return state.release.vcluster_version if state.release else parse_version(support_matrix.DEFAULT_VCLUSTER_VERSION)


def check_name(request: Request, state: State) -> None:
    """Refuse a virtual cluster that cannot have this name, this namespace or no group."""
    if not (state.release or state.pending):  # what was made elsewhere with a longer name works
        cluster_names.check_names(request.name, request.namespace)
    if state.neighbours:
        raise OptionError(
            "namespace",
            request.namespace,
            "a namespace without another virtual cluster",
            message=f"{request.namespace} already contains virtual cluster {state.neighbours[0].name}, and vCluster "
            "supports one per namespace; choose another namespace",
        )
    release = state.release or state.pending
    if release and not is_vcluster(release.chart_name):
        raise OptionError(
            "name",
            request.name,
            "the name of a virtual cluster, or one that no release has",
            message=f"namespace {request.namespace} already contains Helm release {request.name} of chart "
            f"{release.chart_name}; choose another name or namespace",
        )
    group = release.labels.get(GROUP_LABEL) if release else None
    if group and request.membership is None:
        message = f"virtual cluster {request.name} belongs to group {group}; set group: {group}"
        raise OptionError("group", None, group, message=message)


def check_request(request: Request, state: State, target: Version) -> dict[str, Any]:
    """Refuse what cannot work, before anything is changed; returns the values that the release is to have."""
    support_matrix.check_vcluster_version(target)
    deployed = state.release
    options = request.control_plane
    options.check_given(request.values, deployed.values if deployed else None)
    result = control_plane.desired(
        request.values, options, request.kubernetes_version, deployed.values if deployed else None, state.ours
    )
    options.check(result, target, tree.get(result, accessors.IMAGE_REPOSITORY))
    result = _with_endpoint(request, result)
    for option, given in (("labels", request.labels), ("annotations", request.annotations)):
        in_values = tree.get(result, ("controlPlane", "statefulSet", option)) or {}
        if option == "annotations":
            in_values = {**(tree.get(result, accessors.GLOBAL_ANNOTATIONS) or {}), **in_values}
        check_metadata(option, given, in_values)
    validation.check_values(result, target, tree.get(result, accessors.IMAGE_REPOSITORY))
    if deployed and deployed.vcluster_version == target:
        immutability.check_immutable(deployed.values, result, target)  # else stage by stage: see plan_stages
    if way_back(state, request) is None:  # with a way back, it is started in between
        _check_ran(last_vcluster(state.workload(request.name)), target)
    if named := kubernetes_named(result):
        parse_kubernetes_version(str(named))
    return result


def _with_endpoint(request: Request, given: dict[str, Any]) -> dict[str, Any]:
    """Return values with the endpoint that the task asks for."""
    if request.endpoint is None:
        return given
    request.endpoint.check_host("endpoint.host")
    return request.endpoint.onto(given)


def last_vcluster(workload: dict[str, Any] | None) -> Version | None:
    """The vCluster that ran last; None where it is the deployed one, or not known."""
    ran = manifests.last_run(workload) if workload else None
    return parse_version(ran[0]) if ran and ran[0] else None


def last_kubernetes(workload: dict[str, Any] | None) -> Version | None:
    """The Kubernetes that runs, or ran last; None where it is not known."""
    if workload is None:
        return None
    ran = manifests.last_run(workload)
    text = ran[1] if ran else workloads.kubernetes_version(workload)
    return parse_kubernetes_version(text) if text else None


def _check_ran(version: Version | None, target: Version) -> None:
    """Raise OptionError for a further upgrade of one that has not run since the last.

    The data is still that of before.
    """
    if version is None:
        return
    try:
        upgrade_path.check_change(version, target)
    except OptionError as error:
        reason = f"the virtual cluster is paused and last ran {version.text}: resume it before the next upgrade"
        raise OptionError("vcluster_version", str(target), str(error.data["allowed"]), reason=reason) from error
