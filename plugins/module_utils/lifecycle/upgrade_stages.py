# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Split an upgrade over several minor versions into stages."""

from __future__ import annotations

from typing import Any

from ..common.errors import OptionError
from ..common.semver import Version
from ..values import accessors, control_plane, immutability, tree, validation
from ..values.control_plane import ControlPlane
from ..virtual_cluster.cluster_state import State, is_paused
from . import upgrade_path
from .request import Request, Stage
from .validate import is_upgrade, last_kubernetes, way_back


def plan_stages(
    request: Request, state: State, version: Version, wanted: dict[str, Any], rollback: bool = False
) -> list[Stage]:
    """Return the stages that Helm makes one after another so that no minor version is skipped; mostly one.

    ``wanted`` are the values at the end. What runs in between has them as well, where its version takes them, else
    what it has now. With ``rollback`` a paused one is started in between. Raises OptionError where there is no way, or
    where one stage has no chart.
    """
    last = Stage(version, wanted)
    if state.release is None or not is_upgrade(state, [last]):
        return [last]
    workload = state.workload(request.name)
    versions = upgrade_path.upgrade_path(state.release.vcluster_version, version) or [version]
    steps = upgrade_path.upgrade_steps(versions, last_kubernetes(workload), wanted)
    if len(steps) > 1 and is_paused(workload) and not (rollback or way_back(state, request)):
        way = ", ".join(str(step.vcluster) for step in steps)
        raise OptionError(
            "vcluster_version",
            version.text,
            f"{steps[0].vcluster}, or a virtual cluster that runs",
            message=f"the virtual cluster is paused, and the upgrade has to run {way} one after another; resume it "
            f"first, set rollback: true, or set {steps[0].vcluster}",
        )
    stages, before = [], state.release.values
    for step in steps[:-1]:
        before = _values_between(before, wanted, step.vcluster)
        pinned = step.kubernetes.with_v() if step.kubernetes else None
        values = control_plane.desired(before, ControlPlane(), pinned, {}, ours=False) if pinned else before
        stages.append(Stage(step.vcluster.normalized, values, pinned))
    immutability.check_immutable(before, wanted, version)
    _check_charts(request, [stage.version for stage in stages], version)
    return [*stages, last]


def _values_between(before: dict[str, Any], wanted: dict[str, Any], version: Version) -> dict[str, Any]:
    """Return the values of a version on the way: those at the end, or those of before if it refuses these."""
    try:
        validation.check_values(wanted, version, tree.get(wanted, accessors.IMAGE_REPOSITORY))
        immutability.check_immutable(before, wanted, version)
    except OptionError as error:
        try:
            validation.check_values(before, version, tree.get(before, accessors.IMAGE_REPOSITORY))
        except OptionError:
            raise OptionError(
                "values",
                error.data["value"],
                str(error.data["allowed"]),
                reason=f"the upgrade passes vCluster {version}, which accepts neither these values nor the deployed "
                "ones",
            ) from error
        return before
    return wanted


def _check_charts(request: Request, between: list[Version], version: Version) -> None:
    """Raise OptionError where the charts of an upgrade are local, and one of them is not there."""
    if not request.chart.local:
        return
    texts = [one.text for one in between]
    if between and not request.chart.versioned and any(one != version for one in between):
        raise OptionError(
            "chart_ref",
            request.chart.reference,
            "a path with {version} in it, such as /srv/charts/vcluster-{version}.tgz",
            message=f"the upgrade to {version.text} passes {', '.join(texts)} and needs their charts too; set a path "
            "with {version} in it, such as /srv/charts/vcluster-{version}.tgz, or run the task once for each version "
            "with its chart",
        )
    for one in texts:
        try:
            request.chart.of(one).own_version()
        except OptionError as error:
            raise OptionError(
                "chart_ref",
                request.chart.of(one).reference,
                f"the chart of vCluster {one}; or, first, another release of its minor version as vcluster_version",
                reason=f"the upgrade to {version.text} passes {one}: {error}",
            ) from error
