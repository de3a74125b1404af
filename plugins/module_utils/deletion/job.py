# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deletion of one virtual cluster among many: what it takes, and what the result says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..common.batch import NOT_BEGUN, BatchJob, BatchOptions
from ..helm.release import RELEASE_SECRET_TYPE
from ..k8s import host_clusters
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import Object
from ..listing.contents import Contents, ObjectRef
from ..listing.observed import ClusterKey
from ..virtual_cluster.change import Change
from ..virtual_cluster.provenance import Manager
from . import ownership
from .removal_changes import mark_changes, namespace_change, object_changes, uninstall_change


@dataclass(frozen=True)
class Target:
    """A virtual cluster to delete, or what is left of one."""

    host: HostCluster
    namespace: str
    name: str
    phase: str
    group: str | None
    owner: str | None
    known: bool  # that there is or was one of this name is certain
    note: str = ""

    @property
    def key(self) -> ClusterKey:
        return self.namespace, self.name


@dataclass(frozen=True)
class DeletionScope:
    """What of a namespace a removal takes, as it was seen, and what it leaves."""

    namespace: Object | None
    own: tuple[ObjectRef, ...] = ()
    foreign: tuple[ObjectRef, ...] = ()
    kept: tuple[ObjectRef, ...] = ()  # volume claims that stay because the task says so
    whole: bool = False  # whether the namespace goes as a whole

    @property
    def going(self) -> bool:
        """Return whether the namespace is being deleted already."""
        return bool(self.namespace and self.namespace["metadata"].get("deletionTimestamp"))

    @property
    def uid(self) -> dict[str, str]:
        return {"uid": self.namespace["metadata"]["uid"]} if self.namespace else {}


def scope_of(held: Contents, target: Target, keep_volumes: bool) -> DeletionScope:
    """Return what a removal deletes in the namespace of a virtual cluster."""
    namespace_object = held.namespaces.get(target.namespace)
    if namespace_object is None:
        return DeletionScope(None)
    found, others = ownership.sort_out(held.of(target.namespace), target.name, target.known)
    own, kept = ownership.keep(found, keep_volumes)
    made_for_it = ownership.made_for(namespace_object, target.name, target.namespace, target.known or bool(found))
    whole = made_for_it and not others and not kept
    return DeletionScope(namespace_object, tuple(own), tuple(others), tuple(kept), whole)


@dataclass
class DeletionJob(BatchJob):
    """One removal on its way."""

    target: Target
    scope: DeletionScope  # as it was planned
    outside: list[ObjectRef]
    volumes: set[str]  # names of PersistentVolumes that go with their claims
    leaving: list[Change]  # what becomes of a namespace that stays
    manager: Manager | None = None  # who manages it where Helm has no record of it here
    sent: bool = False
    asked: bool = False  # for the deletion of the namespace
    sent_outside: set[str] = field(default_factory=set)

    def late(self, order: BatchOptions) -> str:
        return f"not gone after {order.timeout:g} s (wait_timeout): {self.last}; run the task again"

    @property
    def changes(self) -> list[Change]:
        """What there is to do, in the order in which the result names it."""
        if self.scope.namespace is None or self.scope.going:
            return object_changes(self.target.key, self.outside, uninstalled=False)
        has_release = any(one.secret_type == RELEASE_SECRET_TYPE for one in self.scope.own)
        return [
            *mark_changes(ownership.to_mark(self.scope.kept)),
            *([uninstall_change(self.target.name)] if has_release else []),
            *object_changes(self.target.key, [*self.scope.own, *self.outside], has_release),
            *([namespace_change(self.target.namespace)] if self.scope.whole else []),
            *self.leaving,
        ]

    def done(self, order: BatchOptions) -> list[Change]:
        """Return what was done, or in check mode would be done."""
        return self.changes if (order.check and self.begun) or self.sent else []

    def describe(self, order: BatchOptions) -> dict[str, Any]:
        """Return the virtual cluster's part of the result."""
        target = self.target
        steps = [change.text for change in self.done(order)]
        gone = "absent" if order.check or order.wait else "deleting"
        return {
            "name": target.name,
            "namespace": target.namespace,
            "host_cluster": None if target.host.name == host_clusters.ONLY else target.host.name,
            "group": target.group,
            "owner": target.owner,
            "before": target.phase,
            "after": ("deleting" if self.sent else target.phase) if self.error or not self.begun else gone,
            "changed": bool(steps),
            "steps": steps,
            "note": target.note,
            "failed": bool(self.error),
            "msg": self.error if self.begun else NOT_BEGUN,
        }

    def diff(self, order: BatchOptions) -> dict[str, str]:
        """Return what is deleted, for ``--diff``: every object, and the namespace if it is deleted too."""
        told = self.describe(order)
        on = f", host cluster {told['host_cluster']}" if told["host_cluster"] else ""
        name = f"virtual cluster {self.target.name} (namespace {self.target.namespace}{on})"
        refs = [] if self.scope.going else list(self.scope.own)
        whole = [f"namespaces/{self.target.namespace}"] if self.scope.whole and not self.scope.going else []
        going = sorted({ownership.told(ref, self.target.namespace) for ref in [*refs, *self.outside]})
        before = [f"phase: {told['before']}", *going, *whole]
        kept = [f"kept: {text}" for text in sorted(str(ref) for ref in self.scope.kept)]
        return {
            "before_header": name,
            "after_header": name,
            "before": "\n".join([*before, *kept]) + "\n",
            "after": "\n".join([f"phase: {told['after']}", *kept]) + "\n",
        }
