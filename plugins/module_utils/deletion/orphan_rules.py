# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as left over in the namespaces of a host cluster, each with the reason why.

What belongs to a virtual cluster that is not there is sorted out as its deletion would have done, so both know the same
of labels, owners and names. Judging is pure: it sees what was read, and the time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from ..common import well_known
from ..common.errors import NestedClustersError
from ..common.well_known import CREATED
from ..helm.release import RELEASE_SECRET_TYPE
from ..k8s.objects import Object
from ..listing.contents import ObjectRef
from ..listing.observed import marker
from ..virtual_cluster import membership, namespaces
from . import orphan_rules_outside, ownership, release_records
from .orphan_rules_outside import Groups, Search, as_ref
from .orphan_view import View, suspects
from .orphans import (
    DELETE,
    FREE,
    NO_ACTION,
    PATCH,
    STATE_HELD,
    STATE_IN_USE,
    STATE_KEPT,
    STATE_ORPHAN,
    Criteria,
    Leftover,
)


def judge(view: View, known: Groups, criteria: Criteria, now: datetime) -> list[Leftover]:
    """Return the orphans on one host cluster. ``known`` are the groups that all host clusters know."""
    search = Search(view, criteria, now)
    recorded = ownership.recorded(view.held)
    gone = sorted((suspects(view.held, view.homes, view.there) | recorded) - view.there)
    by_space: dict[str, list[str]] = defaultdict(list)
    for namespace, name in gone:
        by_space[namespace].append(name)
    found: list[Leftover] = []
    for namespace, names in by_space.items():
        namespace_object = view.held.namespaces.get(namespace)
        if namespace_object is None or namespace_object["metadata"].get("deletionTimestamp"):
            continue
        here = [ref for ref in view.held.of(namespace) if not _speaks_of_elsewhere(view, ref)]
        rest = _without(here, [name for space, name in view.there if space == namespace])
        for name in names:
            found += _left_in(search, namespace_object, rest, name, (namespace, name) in recorded)
    found += _left_records_elsewhere(search)
    found += _stuck(search)
    found += orphan_rules_outside.judge(search, gone, known)
    return [one for one in found if criteria.fit(one)]


def _speaks_of_elsewhere(view: View, ref: ObjectRef) -> bool:
    """Return whether an object is the record of a release that lives in another namespace."""
    key = ref.namespace or "", ref.labels.get("name", "")
    return release_records.is_record_of(ref, key[1]) and view.homes.get(key, key) != key


def _left_records_elsewhere(search: Search) -> Iterator[Leftover]:
    """Return records of releases in another namespace without one; they prove nothing about their own namespace."""
    view = search.view
    for (namespace, name), home in view.homes.items():
        namespace_object = view.held.namespaces.get(namespace)
        if namespace_object is None or namespace_object["metadata"].get("deletionTimestamp"):
            continue
        if home == (namespace, name) or {home, (namespace, name)} & view.there:
            continue
        refs = [one for one in view.held.inside.get(namespace, ()) if release_records.is_record_of(one, name)]
        if search.is_young([ref.meta for ref in refs]):
            continue
        status = release_records.newest(view.held)[namespace, name].labels.get("status", "unknown")
        why = f"which has no control plane there, and whose Helm release is {status}"
        for ref in refs:
            yield Leftover("releases", ref, home[1], f"of virtual cluster {home[1]} in namespace {home[0]}, {why}")


def _without(refs: list[ObjectRef], names: Iterable[str]) -> list[ObjectRef]:
    """Return the contents without those of these virtual clusters."""
    for name in names:
        _mine, refs = ownership.sort_out(refs, name, known=True)
    return refs


def _left_in(
    search: Search, namespace_object: Object, rest: list[ObjectRef], name: str, recorded: bool
) -> list[Leftover]:
    """Return what a deleted virtual cluster left in its namespace."""
    namespace = namespace_object["metadata"]["name"]
    own, _others = ownership.sort_out(rest, name, recorded)
    if search.is_young([namespace_object["metadata"], *(ref.meta for ref in own)]):
        return []  # a task may be at work
    why = _why_gone(search.view, namespace, name)
    kept_share = _has_kept_share(namespace_object)
    found = [_left_thing(search, ref, name, why, kept_share) for ref in own]
    staying = [one for one in found if not (one.action and search.criteria.fit(one))]
    foreign = [ref for ref in search.view.held.of(namespace) if ref not in own]
    meant = ownership.made_for(namespace_object, name, namespace, recorded or bool(own))
    if meant and not foreign and not staying:
        reason = f"made for virtual cluster {name}, {why}, and nothing else is in it"
        found.append(Leftover("namespaces", as_ref("namespaces", namespace_object), name, reason))
    else:
        found += _left_share(namespace_object, name, why, bool(staying), kept_share)
    return found


def _why_gone(view: View, namespace: str, name: str) -> str:
    newest = release_records.newest(view.held).get((namespace, name))
    if newest is not None and not _speaks_of_elsewhere(view, newest):
        return f"which has no control plane, and whose Helm release is {newest.labels.get('status', 'unknown')}"
    return "which has no control plane and no Helm release"


def _left_thing(search: Search, ref: ObjectRef, name: str, why: str, kept_share: bool) -> Leftover:
    if ref.plural != "persistentvolumeclaims":
        kind = "releases" if ref.secret_type == RELEASE_SECRET_TYPE else "objects"
        return Leftover(kind, ref, name, f"of virtual cluster {name}, {why}")
    users = search.view.mounted.get((ref.namespace or "", ref.name), ())
    if users:  # also by a pod that is left over itself: what it wrote last is looked at when it is gone
        reason = f"of virtual cluster {name}, {why}, but mounted by pod {', '.join(sorted(users)[:3])}"
        return Leftover("volume_claims", ref, name, reason, STATE_IN_USE, NO_ACTION)
    if well_known.KEPT in ref.annotations or kept_share:
        action = DELETE if search.criteria.kept_volumes else NO_ACTION
        reason = f"kept on purpose when virtual cluster {name} was deleted"
        return Leftover("volume_claims", ref, name, reason, STATE_KEPT, action)
    return Leftover("volume_claims", ref, name, f"of virtual cluster {name}, {why}; it holds its data")


def _left_share(namespace_object: Object, name: str, why: str, kept: bool, kept_share: bool) -> list[Leftover]:
    """Return the allocation that a namespace still has in its group."""
    patch = ownership.leaving(namespace_object, name, kept)
    if not patch or (kept and kept_share):
        return []
    group = namespace_object["metadata"]["labels"][well_known.GROUP_LABEL]
    reason = f"it has a share of group {group} for virtual cluster {name}, {why}"
    return [Leftover("shares", as_ref("namespaces", namespace_object), name, reason, STATE_ORPHAN, PATCH, patch)]


def _has_kept_share(namespace_object: Object) -> bool:
    try:
        share = membership.allocation(namespace_object, "")
    except NestedClustersError:
        return False
    return share is not None and share.kept


def _stuck(search: Search) -> Iterator[Leftover]:
    """Return namespaces of virtual clusters whose deletion is blocked, with the reason.

    One that a virtual cluster made for what it syncs is that one's to free, while it is there.
    """
    view = search.view
    markers = {marker(name, namespace) for namespace, name in view.there}
    for namespace, namespace_object in view.held.namespaces.items():
        meta = namespace_object["metadata"]
        refs = view.held.of(namespace)
        name = _name_of(namespace_object, refs)
        if name is None or not meta.get("deletionTimestamp"):
            continue
        if (meta.get("labels") or {}).get(well_known.SYNCED_LABEL) in markers or search.is_young([meta]):
            continue
        holders = tuple(ref for ref in refs if ref.meta.get("finalizers"))
        ours = [ref for ref in holders if _has_own_finalizers(ref)]
        named = "; ".join(
            f"{ref} by finalizer {', '.join(ref.meta['finalizers'])}" for ref in sorted(holders, key=str)[:10]
        )
        words = f"it is being deleted since {meta['deletionTimestamp']}, and held: "
        reason = words + (named or namespaces.namespace_conditions(namespace_object))
        if not ours and named:
            reason += "; who set these finalizers has to take them off"
        action = FREE if ours else NO_ACTION
        state = STATE_ORPHAN if ours else STATE_HELD
        ref = as_ref("namespaces", namespace_object)
        yield Leftover("namespaces", ref, name, reason, state, action, holders=tuple(ours))


def _has_own_finalizers(ref: ObjectRef) -> bool:
    return any(text.startswith(well_known.FINALIZERS) for text in ref.meta.get("finalizers") or [])


def is_held_by_us(one: Leftover) -> bool:
    """Return whether a finalizer that only a virtual cluster takes off holds it, or what is in it."""
    return any(_has_own_finalizers(ref) for ref in (one.thing, *one.holders))


def _name_of(namespace_object: Object, refs: Iterable[ObjectRef]) -> str | None:
    """Return the virtual cluster that a namespace was created for, or None."""
    meta = namespace_object["metadata"]
    annotations = meta.get("annotations") or {}
    if well_known.NAME_ANNOTATION in annotations:
        return annotations[well_known.NAME_ANNOTATION]
    names = sorted({name for ref in refs for name in ownership.named_by(ref)})
    if names:
        return names[0]
    return meta["name"].removeprefix("vcluster-") if annotations.get(CREATED) == "true" else None
