# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a virtual cluster's Helm release has outside of its namespace: labels and annotations alone do not say.

Whoever copies an object copies these too. So outside of the namespace only that is the release's which its newest
record names, and what the chart makes under a name that holds the release and its namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from itertools import chain
from typing import Any

from ..common.well_known import RELEASE_NAMESPACE, SYNCED_LABEL
from ..helm import records
from ..helm.release import HelmError, revisions
from ..k8s.client import Kubernetes, list_allowed, parallel
from ..k8s.objects import path
from ..listing.contents import ObjectRef
from ..listing.observed import ClusterKey
from ..listing.outside import CHART_CLUSTER_KINDS
from ..listing.selection import NAMES_AT_ONCE

_SHOWN = 5  # names of objects that stay


def chart_names(name: str) -> set[str]:
    """Return names of what the chart makes in the namespace (source: chart/templates of 0.20 to 0.36)."""
    plain = {name, f"{name}-headless", f"{name}-etcd", f"{name}-etcd-headless"}
    kinds = ("vc", "vc-config", "vc-workload", "vc-work", "vc-cp", "vc-kube-dns", "vc-snapshot", "vc-coredns")
    return plain | {f"{kind}-{name}" for kind in kinds}


def is_cluster_role(ref: ObjectRef, name: str, namespace: str) -> bool:
    """Return whether it is a cluster role, or its binding, of the chart: no copy of one can have its name."""
    names = {f"{kind}-{name}-v-{namespace}"[:63].removesuffix("-") for kind in ("vc", "vc-mn")}
    return (ref.api_version, ref.plural) in CHART_CLUSTER_KINDS and ref.name in names


def is_copy(ref: ObjectRef) -> bool:
    """Return whether an object is in another namespace than the release that made it, by what Helm wrote on it.

    On what is synced that is what Helm wrote inside a virtual cluster.
    """
    told = ref.annotations.get(RELEASE_NAMESPACE)
    return told not in (None, ref.namespace) and SYNCED_LABEL not in ref.labels


class Records:
    """The newest Helm records of releases, read in one LIST for every fifty that an object needs."""

    def __init__(self, kubernetes: Kubernetes, refs: Mapping[ClusterKey, Iterable[ObjectRef]]) -> None:
        """``refs`` are what labels and annotations take for a release's outside of its namespace, by release."""
        self._kubernetes = kubernetes
        asked = {
            (namespace, name)
            for (namespace, name), found in refs.items()
            if any(not _is_certain(ref, name, namespace) for ref in found)
        }
        self._named = {key: self._objects(key, secrets) for key, secrets in self._read(asked).items()}

    def sort_out(self, refs: Iterable[ObjectRef], key: ClusterKey) -> tuple[list[ObjectRef], list[ObjectRef]]:
        """Return (what is of this release, what only says so) of what is outside of its namespace."""
        refs = list(refs)
        named = self._named.get(key, set())
        own = [
            ref
            for ref in refs
            if _is_certain(ref, key[1], key[0])
            or (_where(ref) in named and records.is_of_release(ref.meta, key[1], key[0]))
        ]
        return own, [ref for ref in refs if ref not in own]

    def _read(self, asked: set[ClusterKey]) -> dict[ClusterKey, list[dict[str, Any]]]:
        found: dict[ClusterKey, list[dict[str, Any]]] = {key: [] for key in asked}
        if not asked:
            return {}
        spaces = {namespace for namespace, _name in asked}
        where = path("v1", "secrets", spaces.pop() if len(spaces) == 1 else None)
        names = sorted({name for _namespace, name in asked})
        selectors = [
            f"owner=helm,status!=superseded,name in ({','.join(names[at : at + NAMES_AT_ONCE])}),!{SYNCED_LABEL}"
            for at in range(0, len(names), NAMES_AT_ONCE)
        ]
        questions = [partial(list_allowed, self._kubernetes, where, labels=one) for one in selectors]
        for secret in chain(*parallel(questions)):
            meta = secret["metadata"]
            found.get((meta["namespace"], meta["labels"]["name"]), []).append(secret)
        return found

    def _objects(self, key: ClusterKey, secrets: list[dict[str, Any]]) -> set[tuple[str, str]]:
        """Return the paths that the newest record names, without API version; none if it cannot be trusted."""
        try:
            found = revisions(secrets, key[1], key[0])
            named = records.named(found[-1]) if found else []
        except HelmError:
            return set()
        return {(ref.group, below) for ref in named if (below := _below(ref.location(self._kubernetes)[1]))}


def stayed(refs: Iterable[ObjectRef], name: str) -> str:
    """Return a note on objects that only claim to be of a release; "" for none."""
    told = sorted(f"{ref} in namespace {ref.namespace}" if ref.namespace else str(ref) for ref in refs)
    if not told:
        return ""
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return (
        f"{', '.join(told[:_SHOWN])}{more} stayed: their labels and annotations name Helm release {name}, but "
        "its record does not contain them, so they are copies or belong to others; delete them if nobody needs them"
    )


def _is_certain(ref: ObjectRef, name: str, namespace: str) -> bool:
    return SYNCED_LABEL in ref.labels or is_cluster_role(ref, name, namespace)


def _where(ref: ObjectRef) -> tuple[str, str]:
    return ref.api_version.rpartition("/")[0], _below(ref.path(ref.namespace))


def _below(where: str) -> str:
    """Return a path from the namespace or the resource on: two versions of an API have the same objects."""
    parts = where.split("/")
    return "/".join(parts[3:] if parts[1:2] == ["api"] else parts[4:])
