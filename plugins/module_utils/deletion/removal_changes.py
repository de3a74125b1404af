# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Return the changes of a deletion, of one virtual cluster or of many: what is marked, and what is deleted."""

from __future__ import annotations

from collections.abc import Iterable

from ..common.well_known import KEPT, RELEASE_NAME
from ..helm.release import RELEASE_SECRET_TYPE
from ..listing.contents import ObjectRef
from ..listing.observed import ClusterKey
from ..virtual_cluster.change import Change, ChangeKind, ChangeTarget, diff_entries
from .of_release import chart_names


def mark_changes(claims: Iterable[ObjectRef]) -> list[Change]:
    """Return a change for each volume claim that stays: it is marked as kept."""
    targets = [ChangeTarget("volume claim", name) for name in sorted(claim.name for claim in claims)]
    return [
        Change(
            ChangeKind.MARK_KEPT,
            target,
            diff=tuple(diff_entries({}, {KEPT: "true"}, f"annotations of {target}")),
        )
        for target in targets
    ]


def uninstall_change(name: str) -> Change:
    """Return the change that is the end of a Helm release."""
    return Change(ChangeKind.UNINSTALL, ChangeTarget("release", name))


def object_changes(cluster: ClusterKey, objects: Iterable[ObjectRef], uninstalled: bool) -> list[Change]:
    """Return a change for each object of a virtual cluster that does not go with another one.

    ``uninstalled`` says whether its Helm release goes, and takes along what the chart made. A change names the
    namespace of its object where that is not the virtual cluster's.
    """
    namespace, name = cluster
    targets = {
        ChangeTarget(one.plural, one.name, "" if one.namespace in (None, namespace) else str(one.namespace))
        for one in objects
        if not (uninstalled and one.namespace == namespace and _goes_with_another(one, name))
    }
    return sorted((Change(ChangeKind.SWEEP, target) for target in targets), key=lambda change: change.text)


def namespace_change(namespace: str) -> Change:
    """Return the change that is the end of a namespace, and of what is in it."""
    return Change(ChangeKind.DELETE, ChangeTarget("namespace", namespace))


def _goes_with_another(ref: ObjectRef, name: str) -> bool:
    """Return whether something else's deletion takes an object along: Helm's of the release, or its controller's.

    Helm's of what the chart makes; what only has its annotations is named by itself.
    """
    return (
        (not ref.synced and RELEASE_NAME in ref.annotations and ref.name in chart_names(name))
        or ref.secret_type == RELEASE_SECRET_TYPE
        or any(owner.get("controller") for owner in ref.meta.get("ownerReferences") or [])
    )
