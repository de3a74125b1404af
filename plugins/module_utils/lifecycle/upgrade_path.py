# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which vCluster and Kubernetes versions lie between two, and which changes are refused. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..common.errors import OptionError
from ..common.semver import Minor, Version, parse_kubernetes_version, parse_version
from ..values import tree
from ..values.accessors import distribution_of
from ..values.support_matrix import DEFAULT_KUBERNETES, OLDEST_VCLUSTER_VERSION, kubernetes_versions

# --- changes of version -----------------------------------------------------------------------------------

# Documentation, upgrade-version: etcd 3.6 came with 0.29 and wants etcd 3.5.20 before it, which came with
# 0.24.2 (source: the chart's etcd tags are 3.5.17-0 in 0.24.1, 3.5.21-0 in 0.24.2, 3.6.4-0 in 0.29.0).
_ETCD_36: Minor = (0, 29)
_BEFORE_ETCD_36 = Version(0, 24, 2)


# The newest release of each minor, for the steps of an upgrade that nobody names (source: tags of
# github.com/loft-sh/vcluster, 2026-08-21). A minor that is missing here can only be a target.
_NEWEST_RELEASES = (
    "0.20.6",
    "0.21.6",
    "0.22.6",
    "0.23.3",
    "0.24.2",
    "0.25.2",
    "0.26.5",
    "0.27.3",
    "0.28.2",
    "0.29.3",
    "0.30.5",
    "0.31.3",
    "0.32.3",
    "0.33.4",
    "0.34.7",
    "0.35.3",
    "0.36.1",
)


def check_change(deployed: Version, desired: Version) -> None:
    """Raise OptionError if a deployed vCluster must not become the desired one in one step.

    Documentation, upgrade-version: one minor version at a time. vCluster itself checks neither that nor a
    downgrade. Who goes minor by minor has passed 0.24.2 before 0.29; a jump over it is named in the error.
    """
    _check_direction(deployed, desired)
    between = _minors_between(deployed.release, desired.release)
    if desired.major != deployed.major or between:
        reason = f"{deployed} is deployed and an upgrade must not skip a minor version"
        if between:
            reason += f"; first {', '.join(between)}"
        if deployed < _BEFORE_ETCD_36 and desired.release >= _ETCD_36:
            reason += f" (and {_BEFORE_ETCD_36} or later before 0.29, which brings etcd 3.6)"
        allowed = f"{deployed.major}.{deployed.minor} or {deployed.major}.{deployed.minor + 1}, from {deployed} on"
        raise OptionError("vcluster_version", str(desired), allowed, reason=reason)


def _check_direction(deployed: Version, desired: Version) -> None:
    if deployed == desired:
        return
    if deployed.release < parse_version(OLDEST_VCLUSTER_VERSION).release:
        reason = f"{deployed} is deployed, which has no vcluster.yaml and needs a migration by hand"
        raise OptionError("vcluster_version", str(desired), str(deployed), reason=reason)
    if desired < deployed:
        reason = f"{deployed} is deployed and vCluster has no downgrade"
        raise OptionError("vcluster_version", str(desired), f"{deployed} or later", reason=reason)


def upgrade_path(deployed: Version, desired: Version) -> list[Version]:
    """Return the versions that a deployed vCluster has to run one after another to become the desired one.

    One minor at a time, the desired version last, [] where it is deployed. In between it is the newest release of
    each minor, which is past every stop that is required (0.24.2 before 0.29). Raises OptionError if there is no path.
    """
    _check_direction(deployed, desired)
    if deployed == desired:
        return []
    if desired.major != deployed.major:
        check_change(deployed, desired)
    known = {version.release: version for version in map(parse_version, _NEWEST_RELEASES)}
    path = []
    for minor in range(deployed.minor + 1, desired.minor):
        between = known.get((deployed.major, minor))
        if between is None:
            raise OptionError(
                "vcluster_version",
                str(desired),
                f"first a release of {deployed.major}.{minor}",
                message=f"{deployed} is deployed, an upgrade goes one minor version at a time, and this collection "
                f"knows no release of {deployed.major}.{minor}; set a release of {deployed.major}.{minor} first",
            )
        path.append(between)
    return [*path, desired]


@dataclass(frozen=True)
class UpgradeStep:
    """One step of an upgrade. ``kubernetes`` is what has to run in it, None for what values and chart say."""

    vcluster: Version
    kubernetes: Version | None = None


def upgrade_steps(path: list[Version], running: Version | None, values: dict[str, Any]) -> list[UpgradeStep]:
    """Return the steps on an :func:`upgrade_path`, none of which takes Kubernetes back a minor version or past one.

    ``running`` is the Kubernetes that runs, None where it is not known; ``values`` are those at the end. Where
    Kubernetes has further to go than vCluster, the last version of the path is repeated. Raises OptionError if there
    is no path.
    """
    steps: list[UpgradeStep] = []
    now = running
    for version in path:
        last = version == path[-1]
        own, goal = kubernetes_versions(version, distribution_of(values)).default, _kubernetes_of(values, version)
        natural = goal
        if last and now and natural and natural.release < now.release:
            check_kubernetes_change(now, natural)
        if not last and own and goal and own.release < goal.release:
            goal = own  # one that is newer than this vCluster's own can wait for the vCluster that knows it
        now = _within_reach(now, goal) or now
        steps.append(UpgradeStep(version, None if now == natural or natural is None else now))
        while last and now and natural and now.release < natural.release:
            now = _within_reach(now, natural)
            steps.append(UpgradeStep(version, None if now == natural else now))
    if distribution_of(values) != "k8s" and any(step.kubernetes for step in steps):
        check_kubernetes_change(running, _kubernetes_of(values, path[-1]))
        raise OptionError(
            "vcluster_version",
            str(path[-1]),
            str(path[0]),
            reason=f"the Kubernetes of distribution {distribution_of(values)} would skip a minor version",
        )
    return steps


def _kubernetes_of(values: Mapping[str, Any], version: Version) -> Version | None:
    """Return the Kubernetes version that a vCluster with these values runs; None where it is not known."""
    distribution = distribution_of(values)
    named = tree.get(values, "controlPlane.distro.k8s.version") if distribution == "k8s" else None
    if named:
        return parse_kubernetes_version(str(named))
    tag = tree.get(values, f"controlPlane.distro.{distribution}.image.tag")
    if not tag:
        return kubernetes_versions(version, distribution).default
    try:
        return parse_kubernetes_version(str(tag))
    except OptionError:  # somebody's own image
        return None


def _within_reach(now: Version | None, goal: Version | None) -> Version | None:
    """Return the Kubernetes version next to the one that runs, on the way to a goal."""
    if now is None or goal is None or goal.major != now.major:
        return goal
    if goal.release < now.release:
        return now
    if goal.minor <= now.minor + 1:
        return goal
    return _newest_kubernetes((now.major, now.minor + 1), goal)


def _newest_kubernetes(release: Minor, goal: Version) -> Version:
    """Return the newest known patch of a Kubernetes minor: one that was some chart's default, so its image exists."""
    defaults = [parse_kubernetes_version(row["k8s"]) for row in DEFAULT_KUBERNETES.values()]
    found = [version for version in defaults if version.release == release]
    if not found:
        raise OptionError(
            "kubernetes_version",
            str(goal),
            f"first a version of {release[0]}.{release[1]}",
            message=f"an API server must not skip a minor version, and this collection knows no version of "
            f"{release[0]}.{release[1]}; set a version of {release[0]}.{release[1]} first",
        )
    return max(found)


def check_kubernetes_change(deployed: Version | None, desired: Version | None) -> None:
    """Raise OptionError where the virtual cluster's Kubernetes would go down or skip a minor; None is unknown.

    Kubernetes' version skew policy: API servers go up one minor at a time, and never down. Patches may go
    either way: vCluster's own defaults do (1.32.8 in 0.25.2, 1.32.1 in 0.26.0).
    """
    if deployed is None or desired is None or deployed.release == desired.release:
        return
    if desired.release < deployed.release:
        reason = f"{deployed} is deployed and an API server must not go back a minor version"
        allowed = f"{deployed.major}.{deployed.minor} or later"
        raise OptionError("kubernetes_version", str(desired), allowed, reason=reason)
    between = _minors_between(deployed.release, desired.release)
    if desired.major != deployed.major or between:
        reason = f"{deployed} is deployed and an API server must not skip a minor version"
        if between:
            reason += f"; first {', '.join(between)}"
        allowed = f"{deployed.major}.{deployed.minor} or {deployed.major}.{deployed.minor + 1}"
        raise OptionError("kubernetes_version", str(desired), allowed, reason=reason)


def _minors_between(low: Minor, high: Minor) -> list[str]:
    if low[0] != high[0]:
        return []
    return [f"{low[0]}.{minor}" for minor in range(low[1] + 1, high[1])]
