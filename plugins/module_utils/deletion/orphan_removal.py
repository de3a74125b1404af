# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove what is left over on host clusters, never on the word of one look alone.

Before anything is sent, everything is read and judged again. What is left over in both looks goes, under the
condition that it is still the same object in the same version; what changed meanwhile is judged once more.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from ..common import progress, well_known
from ..k8s import host_clusters
from ..k8s.client import Kubernetes, parallel
from ..k8s.errors import KubernetesError
from ..k8s.host_clusters import HostCluster
from ..listing import contents, readers
from ..listing.contents import ServedKinds
from ..virtual_cluster import namespaces, readiness
from . import orphan_rules, orphan_rules_outside, orphan_view, preparation
from .orphan_rules_outside import Groups
from .orphan_view import View
from .orphans import DELETE, FREE, PATCH, Criteria, Leftover

Identity = tuple[str, str, str]


@dataclass(frozen=True)
class HostOrphans:
    """One host cluster: what was found there, and what became of it, by the identity of a leftover."""

    host: HostCluster
    kinds: ServedKinds
    view: View
    found: tuple[Leftover, ...] = ()
    sent: frozenset[Identity] = frozenset()
    errors: Mapping[Identity, str] = field(default_factory=dict)

    @property
    def name(self) -> str | None:
        return None if self.host.name == host_clusters.ONLY else self.host.name

    @property
    def due(self) -> list[Leftover]:
        """Return the orphans to remove."""
        return [one for one in self.found if one.action]

    def describe(self, check: bool, remove: bool) -> list[dict[str, Any]]:
        """Return everything that was found, with what became of it."""
        return [
            {
                **one.describe(self.name),
                "changed": remove and (bool(one.action) if check else one.identity in self.sent),
                "failed": one.identity in self.errors,
                "msg": self.errors.get(one.identity, ""),
            }
            for one in self.found
        ]


def find(given: Iterable[HostCluster], criteria: Criteria) -> tuple[list[HostOrphans], dict[str, str]]:
    """Return (the orphans on each host cluster, why others could not be read)."""
    with readers.garbage_collection_paused():
        answers = host_clusters.ask_apart(given, _read)
    hosts = list(answers.some().values())
    known = orphan_rules_outside.known_groups(host.view for host in hosts)
    found = [_judged(host, known, criteria) for host in hosts]
    return found, {name: str(error) for name, error in answers.failed.items()}


def _judged(host: HostOrphans, known: Groups, criteria: Criteria) -> HostOrphans:
    judged = orphan_rules.judge(host.view, known, criteria, datetime.now(timezone.utc))
    return replace(host, found=tuple(sorted(judged, key=lambda one: (one.namespace or "", one.kind, str(one.thing)))))


def _read(host: HostCluster) -> HostOrphans:
    kinds = contents.served_kinds(host.kubernetes)
    return HostOrphans(host, kinds, orphan_view.read(host.kubernetes, kinds))


def remove(found: Sequence[HostOrphans], criteria: Criteria, timeout: float) -> list[HostOrphans]:
    """Remove what was found, wait for it to be gone, and return what became of it.

    What is not gone is in the ``errors`` of its host cluster. ``timeout`` is in seconds.
    """
    known = orphan_rules_outside.known_groups(host.view for host in found)
    by_cluster = {id(host.host): host for host in found}

    def work(cluster: HostCluster) -> HostOrphans:
        return _remove(by_cluster[id(cluster)], known, criteria, timeout)

    removed = host_clusters.ask([host.host for host in found if host.due], work).all()
    return [removed.get(host.host.name, host) for host in found]


def _remove(host: HostOrphans, known: Groups, criteria: Criteria, timeout: float) -> HostOrphans:
    criteria = replace(criteria, first=False)
    deadline = time.monotonic() + timeout
    due = {one.identity: one for one in host.due}
    done = _Turn()
    while due:
        try:
            view = orphan_view.read(host.host.kubernetes, host.kinds)
        except KubernetesError as error:
            turn = _Turn(left=dict.fromkeys(due, str(error)))
            if not error.passing:
                turn = _Turn(errors=turn.left)
        else:
            judged = orphan_rules.judge(view, known, criteria, datetime.now(timezone.utc))
            turn = _send_due(host.host.kubernetes, view, judged, due)
        due = {identity: one for identity, one in due.items() if identity in turn.left}
        late = turn.left if due and time.monotonic() > deadline else {}
        done = _Turn(done.sent | turn.sent, errors={**done.errors, **turn.errors, **late})
        if late:
            break
        if due:
            first = next(iter(due))
            text = f"{len(due)} orphaned objects left; {due[first].thing}: {turn.left[first]}"
            progress.report(f"host cluster {host.host.name}", text)
            time.sleep(readiness.POLL_SECONDS)
    return replace(host, sent=done.sent, errors=done.errors)


@dataclass(frozen=True)
class _Turn:
    """What one turn of a removal has sent, what is left after it and why, and what failed for good."""

    sent: frozenset[Identity] = frozenset()
    left: Mapping[Identity, str] = field(default_factory=dict)
    errors: Mapping[Identity, str] = field(default_factory=dict)


def _send_due(
    kubernetes: Kubernetes, view: View, judged: Iterable[Leftover], due: Mapping[Identity, Leftover]
) -> _Turn:
    """Send what is due and still left over."""
    again = {one.identity: one for one in judged if one.identity in due}
    here = _uids(view)
    left: dict[Identity, str] = {}
    errors: dict[Identity, str] = {}
    ready: list[Leftover] = []
    for identity, one in due.items():
        meta = here.get(identity[1])
        if meta is None or (identity not in again and one.action in (PATCH, FREE)):
            continue  # done
        if meta.get("deletionTimestamp") and not (identity in again and orphan_rules.is_held_by_us(one)):
            left[identity] = _why_held(view, meta, one)
        elif identity not in again:
            errors[identity] = "it is no longer an orphan: it is in use, or a task is running"
        elif _is_last(one, due, here):
            left[identity] = "what is in it goes first"
        else:
            ready.append(again[identity])
            left[identity] = "it was asked to go"
    turn = _send_all(kubernetes, ready)
    # What failed for good is not left.
    left = {identity: why for identity, why in {**left, **turn.left}.items() if identity not in turn.errors}
    return _Turn(turn.sent, left, {**errors, **turn.errors})


def _send_all(kubernetes: Kubernetes, ready: Sequence[Leftover]) -> _Turn:
    """Send what is due at once. What was refused only for now is left."""
    answers = zip(ready, parallel([partial(_send, kubernetes, one) for one in ready]), strict=True)
    answered = {one.identity: error for one, error in answers}
    refused = {identity: error for identity, error in answered.items() if error is not None}
    passing = {key for key, error in refused.items() if error.status in (404, 409) or error.passing}
    return _Turn(
        frozenset(answered.keys() - refused.keys()),
        {identity: str(error) for identity, error in refused.items() if identity in passing},
        {identity: str(error) for identity, error in refused.items() if identity not in passing},
    )


def _is_last(one: Leftover, due: Mapping[Identity, Leftover], here: dict[str, Any]) -> bool:
    """Return whether a namespace still waits for what goes before it."""
    if one.kind != "namespaces" or one.action != DELETE:
        return False
    others = [other for other in due.values() if other is not one and other.thing.meta.get("uid") in here]
    # A namespace proves whose volumes were that its claims had.
    volumes = [other for other in others if (other.kind, other.virtual_cluster) == ("volumes", one.virtual_cluster)]
    return any(other.namespace == one.namespace for other in others) or any(
        not here[str(volume.thing.meta["uid"])].get("deletionTimestamp") for volume in volumes
    )


def _why_held(view: View, meta: dict[str, Any], one: Leftover) -> str:
    if one.thing.plural == "namespaces":
        return f"it is being deleted: {namespaces.namespace_conditions(view.held.namespaces[one.thing.name])}"
    held = ", ".join(meta.get("finalizers") or [])
    return f"its deletion was asked for, and is held by finalizer {held}" if held else "it is being deleted"


def _uids(view: View) -> dict[str, dict[str, Any]]:
    """Return the metadata of all that is there, by UID."""
    refs = [ref.meta for refs in view.held.inside.values() for ref in refs]
    refs += [namespace_object["metadata"] for namespace_object in view.held.namespaces.values()]
    refs += [volume["metadata"] for volume in view.volumes]
    refs += [ref.meta for ref in view.outside]
    return {str(meta.get("uid")): meta for meta in refs}


def _send(kubernetes: Kubernetes, one: Leftover) -> KubernetesError | None:
    """Send one request, or a few for a blocked namespace; return the error if it was refused."""
    ref, where = one.thing, one.thing.path(one.thing.namespace)
    try:
        if one.action == PATCH:
            versioned = {"resourceVersion": ref.meta["resourceVersion"], **one.patch}
            kubernetes.patch(where, {"metadata": versioned})
            return None
        for held in (ref, *one.holders):
            preparation.release_hold(kubernetes, held, held.namespace)
        if one.action == DELETE and not ref.meta.get("deletionTimestamp"):
            # Taking a finalizer off has made another version of it; the UID still says that it is the same.
            freed = any(text.startswith(well_known.FINALIZERS) for text in ref.meta.get("finalizers") or [])
            same = {"uid": ref.meta["uid"]}
            if not freed:
                same["resourceVersion"] = ref.meta["resourceVersion"]
            if not kubernetes.delete(where, same):
                return KubernetesError(f"{ref} was changed at the same moment", 409, "Conflict")
    except KubernetesError as error:
        return error
    return None
