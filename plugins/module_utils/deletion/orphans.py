# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left over of virtual clusters: what to look for, and what is found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..listing.contents import ObjectRef
from ..virtual_cluster import workloads

KINDS = (
    "volume_claims",
    "volumes",
    "releases",
    "objects",
    "cluster_objects",
    "namespaces",
    "shares",
    "leases",
    "group_records",
)
# What may become of a leftover.
STATE_ORPHAN, STATE_KEPT, STATE_IN_USE, STATE_HELD = "orphan", "kept", "in_use", "held"
DELETE, FREE, PATCH, NO_ACTION = "delete", "free", "patch", ""


@dataclass(frozen=True)
class Criteria:
    """What to look for. ``older_than`` is in seconds: what is younger may be a task at work."""

    names: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset(KINDS)
    older_than: float = 600
    kept_volumes: bool = False  # whether also what was kept on purpose is meant
    first: bool = True  # later looks see what was asked to go by the task itself

    def is_young(self, metas: Iterable[Mapping[str, Any]], now: datetime) -> bool:
        """Return whether something was made, or asked to go, so short a time ago that a task may be at work."""
        keys = ("creationTimestamp", "deletionTimestamp") if self.first else ("creationTimestamp",)
        times = [meta[key] for meta in metas for key in keys if meta.get(key)]
        return any((now - workloads.timestamp(text)).total_seconds() < self.older_than for text in times)

    def fit(self, one: Leftover) -> bool:
        """Return whether a leftover is asked for."""
        return (
            one.kind in self.kinds
            and (not self.names or one.virtual_cluster in self.names)
            and (not self.namespaces or one.namespace in self.namespaces)
        )


@dataclass(frozen=True)
class Leftover:
    """One object that is left over, or was kept. ``action`` is what its removal does to it, "" for nothing."""

    kind: str
    thing: ObjectRef
    virtual_cluster: str | None
    reason: str
    state: str = STATE_ORPHAN
    action: str = DELETE
    patch: Mapping[str, Any] = field(default_factory=dict)  # of its metadata
    holders: tuple[ObjectRef, ...] = ()  # objects whose finalizers hold a namespace

    @property
    def namespace(self) -> str | None:
        return self.thing.name if self.thing.plural == "namespaces" else self.thing.namespace

    @property
    def identity(self) -> tuple[str, str, str]:
        """Return an identity that is the same in every look at the same object with the same fate."""
        return self.thing.plural, str(self.thing.meta.get("uid")), self.action

    def describe(self, host_cluster: str | None) -> dict[str, Any]:
        """Return its part of the result."""
        return {
            "host_cluster": host_cluster,
            "kind": self.kind,
            "resource": self.thing.plural,
            "api_version": self.thing.api_version,
            "namespace": self.thing.namespace,
            "name": self.thing.name,
            "virtual_cluster": self.virtual_cluster,
            "state": self.state,
            "reason": self.reason,
        }
