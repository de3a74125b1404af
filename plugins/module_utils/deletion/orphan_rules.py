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
    """What is left over on one host cluster. ``known`` are the groups that all host clusters know."""
    search = Search(view, criteria, now)
    recorded = ownership.recorded(view.held)
    gone = sorted((suspects(view.held, view.homes, view.there) | recorded) - view.there)
    by_space: dict[str, list[str]] = defaultdict(list)
    for namespace, name in gone:
        by_space[namespace].append(name)
    found: list[Leftover] = []
    for namespace, names in by_space.items():
        place = view.held.namespaces.get(namespace)
        if place is None or place["metadata"].get("deletionTimestamp"):
            continue
        here = [thing for thing in view.held.of(namespace) if not _speaks_of_elsewhere(view, thing)]
        rest = _without(here, [name for space, name in view.there if space == namespace])
        for name in names:
            found += _left_in(search, place, rest, name, (namespace, name) in recorded)
    found += _left_records_elsewhere(search)
    found += _stuck(search)
    found += orphan_rules_outside.judge(search, gone, known)
    return [one for one in found if criteria.fit(one)]


def _speaks_of_elsewhere(view: View, thing: ObjectRef) -> bool:
    """Whether an object is the record of a release that lives in another namespace."""
    key = thing.namespace or "", thing.labels.get("name", "")
    return release_records.is_record_of(thing, key[1]) and view.homes.get(key, key) != key


def _left_records_elsewhere(search: Search) -> Iterator[Leftover]:
    """Records of releases in another namespace, if none is there; they prove nothing of the namespace they are in."""
    view = search.view
    for (namespace, name), home in view.homes.items():
        place = view.held.namespaces.get(namespace)
        if place is None or place["metadata"].get("deletionTimestamp"):
            continue
        if home == (namespace, name) or {home, (namespace, name)} & view.there:
            continue
        things = [one for one in view.held.inside.get(namespace, ()) if release_records.is_record_of(one, name)]
        if search.is_young([thing.meta for thing in things]):
            continue
        status = release_records.newest(view.held)[namespace, name].labels.get("status", "unknown")
        why = f"which has no control plane there, and whose Helm release is {status}"
        for thing in things:
            yield Leftover("releases", thing, home[1], f"of virtual cluster {home[1]} in namespace {home[0]}, {why}")


def _without(things: list[ObjectRef], names: Iterable[str]) -> list[ObjectRef]:
    """What is left when all that these virtual clusters have is taken out."""
    for name in names:
        _mine, things = ownership.sort_out(things, name, known=True)
    return things


def _left_in(search: Search, place: Object, rest: list[ObjectRef], name: str, recorded: bool) -> list[Leftover]:
    """What a virtual cluster that is gone left in its namespace."""
    namespace = place["metadata"]["name"]
    own, _others = ownership.sort_out(rest, name, recorded)
    if search.is_young([place["metadata"], *(thing.meta for thing in own)]):
        return []  # a task may be at work
    why = _why_gone(search.view, namespace, name)
    kept_share = _has_kept_share(place)
    found = [_left_thing(search, thing, name, why, kept_share) for thing in own]
    staying = [one for one in found if not (one.action and search.criteria.fit(one))]
    foreign = [thing for thing in search.view.held.of(namespace) if thing not in own]
    meant = ownership.made_for(place, name, namespace, recorded or bool(own))
    if meant and not foreign and not staying:
        reason = f"made for virtual cluster {name}, {why}, and nothing else is in it"
        found.append(Leftover("namespaces", as_ref("namespaces", place), name, reason))
    else:
        found += _left_share(place, name, why, bool(staying), kept_share)
    return found


def _why_gone(view: View, namespace: str, name: str) -> str:
    newest = release_records.newest(view.held).get((namespace, name))
    if newest is not None and not _speaks_of_elsewhere(view, newest):
        return f"which has no control plane, and whose Helm release is {newest.labels.get('status', 'unknown')}"
    return "which has no control plane and no Helm release"


def _left_thing(search: Search, thing: ObjectRef, name: str, why: str, kept_share: bool) -> Leftover:
    if thing.plural != "persistentvolumeclaims":
        kind = "releases" if thing.secret_type == RELEASE_SECRET_TYPE else "objects"
        return Leftover(kind, thing, name, f"of virtual cluster {name}, {why}")
    users = search.view.mounted.get((thing.namespace or "", thing.name), ())
    if users:  # also by a pod that is left over itself: what it wrote last is looked at when it is gone
        reason = f"of virtual cluster {name}, {why}, but mounted by pod {', '.join(sorted(users)[:3])}"
        return Leftover("volume_claims", thing, name, reason, STATE_IN_USE, NO_ACTION)
    if well_known.KEPT in thing.annotations or kept_share:
        action = DELETE if search.criteria.kept_volumes else NO_ACTION
        reason = f"kept on purpose when virtual cluster {name} was deleted"
        return Leftover("volume_claims", thing, name, reason, STATE_KEPT, action)
    return Leftover("volume_claims", thing, name, f"of virtual cluster {name}, {why}; it holds its data")


def _left_share(place: Object, name: str, why: str, kept: bool, kept_share: bool) -> list[Leftover]:
    """What a namespace that stays has of its group."""
    patch = ownership.leaving(place, name, kept)
    if not patch or (kept and kept_share):
        return []
    group = place["metadata"]["labels"][well_known.GROUP_LABEL]
    reason = f"it has a share of group {group} for virtual cluster {name}, {why}"
    return [Leftover("shares", as_ref("namespaces", place), name, reason, STATE_ORPHAN, PATCH, patch)]


def _has_kept_share(place: Object) -> bool:
    try:
        share = membership.allocation(place, "")
    except NestedClustersError:
        return False
    return share is not None and share.kept


def _stuck(search: Search) -> Iterator[Leftover]:
    """Namespaces of virtual clusters that do not go, with what holds them.

    One that a virtual cluster made for what it syncs is that one's to free, while it is there.
    """
    view = search.view
    markers = {marker(name, namespace) for namespace, name in view.there}
    for namespace, place in view.held.namespaces.items():
        meta = place["metadata"]
        things = view.held.of(namespace)
        name = _name_of(place, things)
        if name is None or not meta.get("deletionTimestamp"):
            continue
        if (meta.get("labels") or {}).get(well_known.SYNCED_LABEL) in markers or search.is_young([meta]):
            continue
        holders = tuple(thing for thing in things if thing.meta.get("finalizers"))
        ours = [thing for thing in holders if _has_own_finalizers(thing)]
        named = "; ".join(
            f"{thing} by finalizer {', '.join(thing.meta['finalizers'])}" for thing in sorted(holders, key=str)[:10]
        )
        words = f"it is being deleted since {meta['deletionTimestamp']}, and held: "
        reason = words + (named or namespaces.namespace_conditions(place))
        if not ours and named:
            reason += "; who set these finalizers has to take them off"
        action = FREE if ours else NO_ACTION
        state = STATE_ORPHAN if ours else STATE_HELD
        yield Leftover("namespaces", as_ref("namespaces", place), name, reason, state, action, holders=tuple(ours))


def _has_own_finalizers(thing: ObjectRef) -> bool:
    return any(text.startswith(well_known.FINALIZERS) for text in thing.meta.get("finalizers") or [])


def is_held_by_us(one: Leftover) -> bool:
    """Whether a finalizer that only a virtual cluster takes off holds it, or what is in it."""
    return any(_has_own_finalizers(thing) for thing in (one.thing, *one.holders))


def _name_of(place: Object, things: Iterable[ObjectRef]) -> str | None:
    """Which virtual cluster a namespace was for, None where it was for none."""
    meta = place["metadata"]
    annotations = meta.get("annotations") or {}
    if well_known.NAME_ANNOTATION in annotations:
        return annotations[well_known.NAME_ANNOTATION]
    names = sorted({name for thing in things for name in ownership.named_by(thing)})
    if names:
        return names[0]
    return meta["name"].removeprefix("vcluster-") if annotations.get(CREATED) == "true" else None
