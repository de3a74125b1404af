# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse changes of values that Kubernetes or vCluster cannot carry out, or that lose data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..common.redaction import redacted
from ..common.semver import Minor, Version
from ..common.size import quantity
from . import tree
from .accessors import WORKLOAD_PATH, claim_enabled, distribution_of, is_stateful_set
from .backing_store import DEPLOYED_ETCD, EMBEDDED_ETCD, EMBEDDED_SQLITE, STORE_PATH, store_of
from .validation import Problem, raise_problems

# --- changes of values ------------------------------------------------------------------------------------

_K3S_TO_K8S: tuple[Minor, Minor] = ((0, 25), (0, 32))
_MIGRATE_ETCD = f"{STORE_PATH}.etcd.embedded.migrateFromDeployedEtcd"
_ETCD_WORKLOAD = f"{STORE_PATH}.etcd.deploy.statefulSet"
_CLAIM_DEFAULTS: dict[str, Any] = {"size": "5Gi", "storageClass": "", "accessModes": ["ReadWriteOnce"]}
# Source: config/config.go, ValidateNamespaceSyncChanges and ValidateVPNChanges.
_FIXED_BY_VCLUSTER: dict[str, Any] = {
    "sync.toHost.namespaces.enabled": False,
    "sync.toHost.namespaces.mappingsOnly": False,
    "sync.toHost.namespaces.mappings.byName": {},
    "sync.toHost.namespaces.patches": [],
    "privateNodes.vpn.enabled": False,
    "privateNodes.vpn.nodeToNode.enabled": False,
}


def check_immutable(
    deployed_values: dict[str, Any], desired_values: dict[str, Any], version: Version | None = None
) -> None:
    """Raise OptionError for a change of values that vCluster or Kubernetes refuses, or that loses the data.

    ``version`` is the desired vCluster version, if known: 0.25 to 0.32 turn k3s into k8s in place. Helm
    would apply these changes in part: a StatefulSet accepts new replicas, template, ordinals, update
    strategy and claim retention, nothing else (Kubernetes source: pkg/apis/apps/validation).
    """
    problems = [*_distribution_changes(deployed_values, desired_values, version)]
    store_changes = [*_store_changes(deployed_values, desired_values)]
    problems += store_changes
    problems += _changed(deployed_values, desired_values, _FIXED_BY_VCLUSTER, "vCluster does not allow it to change")
    if not store_changes and store_of(deployed_values) == store_of(desired_values):
        problems += _workload_changes(deployed_values, desired_values)
        problems += _etcd_changes(deployed_values, desired_values)
    raise_problems(problems)


def _change(path: str, old: Any, new: Any, reason: str) -> Problem:
    before, after = redacted(old, path), redacted(new, path)
    return Problem(path, f"{before!r} is deployed, {after!r} is asked for: {reason}", f"{path} of {before!r}")


def _changed(
    deployed: Mapping[str, Any], desired: Mapping[str, Any], defaults: Mapping[str, Any], reason: str
) -> Iterator[Problem]:
    for path, default in defaults.items():
        old, new = tree.setting(deployed, path, default), tree.setting(desired, path, default)
        if old != new:
            yield _change(path, old, new, reason)


def _distribution_changes(
    deployed: Mapping[str, Any], desired: Mapping[str, Any], version: Version | None
) -> Iterator[Problem]:
    """Source: config/config.go, ValidateDistroChanges; documentation: distro-migration."""
    old, new = distribution_of(deployed), distribution_of(desired)
    if old == new:
        return
    low, high = _K3S_TO_K8S
    if (old, new) == ("k3s", "k8s"):
        if version is not None and low <= version.release <= high:
            return
        yield _change("controlPlane.distro", old, new, "only vCluster 0.25 to 0.32 turn k3s into k8s")
    else:
        yield _change("controlPlane.distro", old, new, "the control plane's data belongs to its distribution")


def _store_changes(deployed: dict[str, Any], desired: dict[str, Any]) -> Iterator[Problem]:
    """Documentation, migrate-etcd-backing-store: only deployed to embedded etcd, and only with its flag.

    vCluster's own check (source: config/config.go, ValidateStoreChanges) lets SQLite become etcd, where
    nothing copies the data.
    """
    old, new = store_of(deployed), store_of(desired)
    if old == new:
        path = f"{STORE_PATH}.database.embedded.dataSource"  # an address with a password: not printed
        if old == EMBEDDED_SQLITE and bool(tree.get(deployed, path)) != bool(tree.get(desired, path)):
            yield Problem(path, "set or unset after creation: the data is not copied", f"{path} as deployed")
        return
    names = old.vcluster_name, new.vcluster_name
    if (old, new) == (DEPLOYED_ETCD, EMBEDDED_ETCD):
        if tree.is_on(tree.get(desired, _MIGRATE_ETCD)):
            return
        yield _change(STORE_PATH, *names, f"without {_MIGRATE_ETCD} the virtual cluster comes up empty")
    else:
        yield _change(STORE_PATH, *names, "the data is not copied and the virtual cluster comes up empty")


def _workload_changes(deployed: dict[str, Any], desired: dict[str, Any]) -> Iterator[Problem]:
    claims = claim_enabled(deployed), claim_enabled(desired)
    if claims[0] != claims[1]:
        path = f"{WORKLOAD_PATH}.persistence.volumeClaim.enabled"
        reason = "the control plane would start without its data, as another kind of workload"
        yield _change(path, *claims, reason)
        return
    data_volume: dict[str, Any] = {f"{WORKLOAD_PATH}.persistence.dataVolume": []}
    yield from _changed(deployed, desired, data_volume, "the control plane would start without its data")
    if is_stateful_set(deployed):
        yield from _stateful_set_changes(deployed, desired, WORKLOAD_PATH, claims[0])


def _etcd_changes(deployed: dict[str, Any], desired: dict[str, Any]) -> Iterator[Problem]:
    """Source: chart/templates/etcd-statefulset.yaml; its claim is on by default."""
    if store_of(deployed) != DEPLOYED_ETCD:
        return
    enabled = f"{_ETCD_WORKLOAD}.enabled"
    claim = f"{_ETCD_WORKLOAD}.persistence.volumeClaim.enabled"
    reason = "etcd would start without its data, or not at all"
    yield from _changed(deployed, desired, {enabled: True, claim: True}, reason)
    # The chart starts every member with --initial-cluster-state=new: one that comes later finds another cluster.
    members: dict[str, Any] = {f"{_ETCD_WORKLOAD}.highAvailability.replicas": 1}
    yield from _changed(deployed, desired, members, "the members of an etcd are fixed when it first starts")
    if tree.is_on(tree.setting(deployed, enabled, True)):
        has_claim = tree.is_on(tree.setting(deployed, claim, True))
        yield from _stateful_set_changes(deployed, desired, _ETCD_WORKLOAD, has_claim)


def _stateful_set_changes(
    deployed: Mapping[str, Any], desired: Mapping[str, Any], workload: str, claim: bool
) -> Iterator[Problem]:
    """Yield changes of fields of the StatefulSet below ``workload`` that Kubernetes forbids."""
    reason = "Kubernetes does not allow this field of a StatefulSet to change"
    yield from _changed(deployed, desired, {f"{workload}.scheduling.podManagementPolicy": "Parallel"}, reason)
    templates = f"{workload}.persistence.volumeClaimTemplates"
    if tree.get(deployed, templates) or tree.get(desired, templates):
        yield from _changed(deployed, desired, {templates: []}, reason)
    elif claim:
        for key, default in _CLAIM_DEFAULTS.items():
            path = f"{workload}.persistence.volumeClaim.{key}"
            old, new = tree.setting(deployed, path, default), tree.setting(desired, path, default)
            if old != new and not (key == "size" and _same_quantity(old, new)):
                yield _change(path, old, new, reason)


def _same_quantity(left: Any, right: Any) -> bool:
    """Return whether two sizes are the same amount: Kubernetes compares StatefulSets so (1Gi is 1024Mi)."""
    amount = quantity(str(left))
    return amount is not None and amount == quantity(str(right))
