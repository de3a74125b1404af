# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check values against what a vCluster version knows."""

# Pure functions over plain data: no I/O. Every refusal is an OptionError that names the option, the value
# and what is allowed, raised before anything is changed. What the chart's JSON schema says well is left to
# helm; here is what it does not say, or says without the version or the replacement.
#
# "Source" in the comments of this package is the tree of github.com/loft-sh/vcluster at the tags v0.20.0 to
# v0.37.0-rc.1, "documentation" is github.com/loft-sh/vcluster-docs of 2026-08-21. A pre-release counts as its minor.
#
# Where ``values`` are asked for, they are the user-supplied vcluster.yaml as a dict, not merged with the
# chart's own values.yaml: the defaults that matter are known here.

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..common.errors import OptionError
from ..common.semver import Minor, Version
from . import tree
from .accessors import DISTRIBUTION_ORDER, IMAGE_REPOSITORY, OPEN_SOURCE_IMAGE, REPLICAS_PATH
from .backing_store import EMBEDDED_SQLITE, EXTERNAL_ETCD, STORE_PATH, STORE_TYPES, store_of
from .licensed_features import is_open_source, licensed_in_use

# --- checking values --------------------------------------------------------------------------------------

# Source: chart/values.schema.json of each minor; the schema says only "additional properties not allowed".
# The volume snapshot keys are still in the schema of 0.36 and refused by chart/templates/_validate.tpl.
_REMOVED_KEYS: tuple[tuple[str, Minor, str], ...] = (
    ("experimental.syncSettings.syncLabels", (0, 21), ""),
    (f"{STORE_PATH}.etcd.deploy.headlessService.enabled", (0, 22), ""),
    ("experimental.sleepMode", (0, 24), ""),
    ("experimental.reuseNamespace", (0, 25), ""),
    ("controlPlane.distro.k8s.apiServer.image", (0, 25), "controlPlane.distro.k8s.image"),
    ("controlPlane.distro.k8s.apiServer.imagePullPolicy", (0, 25), "controlPlane.distro.k8s.imagePullPolicy"),
    ("controlPlane.distro.k8s.controllerManager.image", (0, 25), "controlPlane.distro.k8s.image"),
    (
        "controlPlane.distro.k8s.controllerManager.imagePullPolicy",
        (0, 25),
        "controlPlane.distro.k8s.imagePullPolicy",
    ),
    ("controlPlane.distro.k8s.scheduler.image", (0, 25), "controlPlane.distro.k8s.image"),
    ("controlPlane.distro.k8s.scheduler.imagePullPolicy", (0, 25), "controlPlane.distro.k8s.imagePullPolicy"),
    ("controlPlane.distro.k0s", (0, 26), "controlPlane.distro.k8s in a new virtual cluster"),
    ("experimental.multiNamespaceMode", (0, 26), ""),
    ("experimental.syncSettings.disableSync", (0, 26), ""),
    ("experimental.syncSettings.rewriteKubernetesService", (0, 26), ""),
    ("experimental.genericSync", (0, 28), ""),
    ("experimental.isolatedControlPlane", (0, 28), ""),
    ("experimental.syncSettings.targetNamespace", (0, 29), ""),
    ("policies.networkPolicy.extraControlPlaneRules", (0, 31), "policies.networkPolicy.controlPlane"),
    ("policies.networkPolicy.extraWorkloadRules", (0, 31), "policies.networkPolicy.workload"),
    ("policies.networkPolicy.outgoingConnections", (0, 31), "policies.networkPolicy.workload.publicEgress"),
    ("external", (0, 32), "platform, sleep, snapshots or deletion"),
    ("sleepMode", (0, 32), "sleep"),
    (
        "controlPlane.distro.k3s",
        (0, 33),
        "controlPlane.distro.k8s: change to it on 0.25 to 0.32, then upgrade",
    ),
    ("deploy.volumeSnapshotController", (0, 36), ""),
    ("rbac.enableVolumeSnapshotRules", (0, 36), ""),
    ("snapshots.auto.volumes", (0, 36), ""),
    ("sync.fromHost.volumeSnapshotClasses", (0, 36), ""),
    ("sync.toHost.volumeSnapshotContents", (0, 36), ""),
    ("sync.toHost.volumeSnapshots", (0, 36), ""),
)
_ADDED_KEYS: tuple[tuple[str, Minor], ...] = (
    ("sync.fromHost.customResources", (0, 21)),
    ("sync.toHost.customResources", (0, 21)),
    (f"{STORE_PATH}.etcd.external", EXTERNAL_ETCD.since),
    ("controlPlane.distro.k8s.image", (0, 25)),
    ("privateNodes", (0, 26)),
    ("sync.toHost.namespaces", (0, 26)),
    ("sync.toHost.pods.hybridScheduling", (0, 26)),
    ("controlPlane.advanced.kubeVip", (0, 30)),
    ("experimental.proxy", (0, 31)),
    ("policies.networkPolicy.controlPlane", (0, 31)),
    ("policies.networkPolicy.workload", (0, 31)),
    ("deletion", (0, 32)),
    ("platform", (0, 32)),
    ("sleep", (0, 32)),
    ("snapshots", (0, 32)),
    ("controlPlane.tlsRoute", (0, 34)),
    ("sync.fromHost.gateways", (0, 35)),
    ("sync.toHost.gatewayApi", (0, 35)),
)


def check_distribution(distribution: str, version: Version) -> None:
    """Raise OptionError for a distribution that this vCluster version does not have any more."""
    for path, gone, _replacement in _REMOVED_KEYS:
        if path == f"controlPlane.distro.{distribution}" and version.release >= gone:
            raise OptionError(
                "distribution",
                distribution,
                f"k8s, or {distribution} with a vcluster_version before {gone[0]}.{gone[1]}",
                reason=f"vCluster {version} no longer has it",
            )


@dataclass(frozen=True)
class Problem:
    path: str
    reason: str
    allowed: str


def check_values(values: dict[str, Any], version: Version, image_repository: str | None = None) -> None:
    """Raise OptionError for ``values`` that this version refuses, crashes on or silently ignores; names each path.

    Keys that need a license count only on the open-source image: that of ``image_repository``, else of the
    values, else ours. A mirror of it counts by its last name (``registry/mirror/vcluster-oss``); any other
    image may have a license. No value is printed: values can hold credentials.
    """
    repository = image_repository or tree.setting(values, IMAGE_REPOSITORY, OPEN_SOURCE_IMAGE)
    problems = [*_version_problems(values, version), *_exclusive_problems(values), *_replica_problems(values)]
    if is_open_source(repository):
        problems += _licence_problems(values, version)
    raise_problems(problems)


def raise_problems(problems: list[Problem]) -> None:
    if not problems:
        return
    paths = list(dict.fromkeys(problem.path for problem in problems))
    reasons = dict.fromkeys(f"{problem.path}: {problem.reason}" for problem in problems)
    allowed = dict.fromkeys(problem.allowed for problem in problems)
    raise OptionError("values", paths, "; ".join(allowed), reason="; ".join(reasons))


def _version_problems(values: Mapping[str, Any], version: Version) -> Iterator[Problem]:
    """Yield keys that this version has no more, or not yet; the schema refuses them even when switched off."""
    for path, gone, replacement in _REMOVED_KEYS:
        if version.release >= gone and tree.get(values, path, tree.MISSING) is not tree.MISSING:
            last = f"vCluster {gone[0]}.{gone[1] - 1} or earlier"
            instead = f", or {replacement}" if replacement else ", or without it"
            yield Problem(path, f"removed in vCluster {gone[0]}.{gone[1]}", f"{path} in {last}{instead}")
    for path, since in _ADDED_KEYS:
        if version.release < since and tree.get(values, path, tree.MISSING) is not tree.MISSING:
            first = f"vCluster {since[0]}.{since[1]}"
            yield Problem(path, f"unknown before {first}", f"{path} from {first} on")


def _exclusive_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Source: chart/templates/_backingstore.tpl and, up to 0.32, _distro.tpl: at most one is enabled."""
    stores = [kind.switch for kind in STORE_TYPES]
    distributions = [f"controlPlane.distro.{name}.enabled" for name in DISTRIBUTION_ORDER]
    for switches, what in ((stores, "backing store"), (distributions, "distribution")):
        on = [path for path in switches if tree.is_on(tree.get(values, path))]
        if len(on) > 1:
            for path in on:
                yield Problem(path, f"more than one {what} is enabled", f"one {what}")


def _replica_problems(values: dict[str, Any]) -> Iterator[Problem]:
    """Source: pkg/config/validation.go from 0.21 on, and the CLI's create before."""
    replicas = tree.setting(values, REPLICAS_PATH, 1)
    if store_of(values) == EMBEDDED_SQLITE and isinstance(replicas, int) and replicas > 1:
        reason = "the embedded SQLite database supports one replica"
        yield Problem(REPLICAS_PATH, reason, f"{REPLICAS_PATH} of 1, or an etcd backing store")


def _licence_problems(values: Mapping[str, Any], version: Version) -> Iterator[Problem]:
    for use in licensed_in_use(values, version):
        effect = "fails" if use.fails else "has no effect"
        reason = f"needs a license and {effect} on the open-source image"
        yield Problem(use.path, reason, f"keys that need no license, or another {IMAGE_REPOSITORY} with one")
