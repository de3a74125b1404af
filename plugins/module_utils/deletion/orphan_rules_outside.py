# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as left over outside of namespaces: cluster-scoped objects, volumes, the lock, records of groups."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..common import well_known
from ..common.errors import NestedClustersError
from ..common.well_known import RELEASE_NAME, RELEASE_NAMESPACE
from ..groups import group_lock, group_records
from ..groups.model import Group
from ..k8s.objects import Object
from ..listing.contents import ObjectRef
from ..listing.observed import ClusterKey, marker
from ..virtual_cluster.cluster_names import readings
from . import ownership
from .orphan_view import View
from .orphans import NO_ACTION, STATE_HELD, STATE_IN_USE, Criteria, Leftover

Groups = Mapping[str, Collection[Group]]  # by name

_CLAIM = re.compile(r"data-(?P<name>.+?)(-etcd)?-\d+")


@dataclass(frozen=True)
class Search:
    """What is judged: what one host cluster says, what is looked for in it, and the time."""

    view: View
    criteria: Criteria
    now: datetime

    def is_young(self, metas: Iterable[Mapping[str, Any]]) -> bool:
        """Return whether something was made, or asked to go, so short a time ago that a task may be at work."""
        return self.criteria.is_young(metas, self.now)


def judge(search: Search, gone: Collection[ClusterKey], known: Groups) -> Iterator[Leftover]:
    """Judge what is in no namespace of a virtual cluster.

    ``gone`` are virtual clusters that are not there, ``known`` the groups that all host clusters know.
    """
    yield from _left_outside(search)
    yield from _left_volumes(search, gone)
    yield from _left_lease(search)
    yield from _left_records(search, known)


def _left_outside(search: Search) -> Iterator[Leftover]:
    there = search.view.there
    markers = {marker(name, namespace) for namespace, name in there}
    for ref in search.view.outside:
        # In a namespace, who may write there can copy Helm's labels and annotations.
        if ref.namespace is not None or search.is_young([ref.meta]):
            continue
        if ref.synced:
            text = ref.labels[well_known.SYNCED_LABEL]
            if text not in markers:
                reason = f"synced by virtual cluster {text} (namespace-x-name), which is not on this host cluster"
                yield Leftover("cluster_objects", ref, _marked_as(text), reason)
            continue
        name, namespace = ref.annotations.get(RELEASE_NAME), ref.annotations.get(RELEASE_NAMESPACE)
        if not name or not namespace or name not in ownership.named_by(ref) or (namespace, name) in there:
            continue
        reason = f"of virtual cluster {name} in namespace {namespace}, which is gone"
        yield Leftover("cluster_objects", ref, name, reason)


def _marked_as(text: str) -> str | None:
    """Return the name in a marker.

    None where it can be read in several ways, or is as long as one that was shortened.
    """
    able = readings(text)
    return able[0][1] if len(able) == 1 and len(text) < well_known.LABEL_LENGTH else None


def _left_volumes(search: Search, gone: Collection[ClusterKey]) -> Iterator[Leftover]:
    """Return PersistentVolumes whose claim is gone, if it had the name of a claim of a deleted virtual cluster.

    A claim's labels go with it, and its name is nobody's alone. Only a namespace that was made for the virtual cluster
    proves whose it was. Nothing but the report is made of others.
    """
    view = search.view
    proven = ownership.recorded(view.held)
    claims = {ref.meta.get("uid") for refs in view.held.inside.values() for ref in refs}
    for volume in view.volumes:
        status, claim = volume.get("status") or {}, volume["spec"].get("claimRef") or {}
        if status.get("phase") not in ("Released", "Failed") or not claim or claim.get("uid", "") in claims:
            continue
        since = status.get("lastPhaseTransitionTime") or volume["metadata"]["creationTimestamp"]
        if search.is_young([{"creationTimestamp": since}]):
            continue
        name = _claimed_by(claim, proven) or _claimed_by(claim, gone, by_namespace=True)
        if name is None or (claim["namespace"], name) in view.there:
            continue
        ref = as_ref("persistentvolumes", volume)
        policy = volume["spec"].get("persistentVolumeReclaimPolicy")
        reason = f"{status['phase']}, with reclaim policy {policy}: its claim {claim['namespace']}/{claim['name']} "
        if (claim["namespace"], name) in proven:
            yield Leftover("volumes", ref, name, f"{reason}was of virtual cluster {name}, which is gone")
        else:
            reason += f"may have been of virtual cluster {name}, and nothing but names says so; "
            yield Leftover("volumes", ref, name, f"{reason}delete it yourself if it was", STATE_HELD, NO_ACTION)


def _claimed_by(claim: Mapping[str, str], known: Collection[ClusterKey], by_namespace: bool = False) -> str | None:
    """Return the virtual cluster that a claim belonged to, by its name or that of its namespace."""
    namespace, text = claim.get("namespace", ""), claim.get("name", "")
    match = _CLAIM.fullmatch(text)
    names = {match["name"]} if match else set()
    if text.count("-x-") >= 2:  # NAME-x-NAMESPACE-x-VIRTUAL_CLUSTER
        names.add(text.rpartition("-x-")[2])
    found = {name for name in names if (namespace, name) in known or (by_namespace and namespace == f"vcluster-{name}")}
    return min(found) if found else None


def _left_lease(search: Search) -> Iterator[Leftover]:
    lease = search.view.lease
    if lease is None:
        return
    spec = lease.get("spec") or {}
    seen = spec.get("renewTime") or lease["metadata"]["creationTimestamp"]
    patient = replace(search.criteria, older_than=max(search.criteria.older_than, group_lock.LEASE_SECONDS))
    if patient.is_young([{"creationTimestamp": seen}], search.now):
        return
    who = spec.get("holderIdentity", "nobody")
    reason = f"held by {who}, which was last seen alive at {seen}; the next task in a group takes it away by itself"
    yield Leftover("leases", ObjectRef("coordination.k8s.io/v1", "leases", lease["metadata"]), None, reason)


def _left_records(search: Search, known: Groups) -> Iterator[Leftover]:
    """Return records of groups without this host cluster as a member, by the record of a member."""
    view = search.view
    for record in view.records:
        meta = record["metadata"]
        if search.is_young([meta]):
            continue
        ref = ObjectRef("v1", "configmaps", meta)
        try:
            own = group_records.load(record)
        except NestedClustersError as error:
            yield Leftover("group_records", ref, None, str(error), STATE_HELD, NO_ACTION)
            continue
        related = [group for group in known.get(own.name, ()) if own.has_member_of(group)]
        newest = max(related, key=lambda group: group.generation, default=None)
        if newest is None or any(member.id == view.identity for member in newest.members):
            continue  # or nobody knows whether it is the same group
        yield _left_record(view, ref, newest)


def _left_record(view: View, ref: ObjectRef, newest: Group) -> Leftover:
    members = ", ".join(member.name for member in newest.members)
    reason = f"group {newest.name} has no member that is this host cluster; its members are {members or 'none'}"
    living = sorted(
        namespace_object
        for namespace_object, item in view.held.namespaces.items()
        if (item["metadata"].get("labels") or {}).get(well_known.GROUP_LABEL) == newest.name
    )
    if living:
        reason += f", but namespaces {', '.join(living[:5])} have a share of it here"
        return Leftover("group_records", ref, None, reason, STATE_IN_USE, NO_ACTION)
    return Leftover("group_records", ref, None, reason)


def known_groups(views: Iterable[View]) -> dict[str, list[Group]]:
    """Return the groups by name, as recorded on their members: two groups can have the same name."""
    found: dict[str, list[Group]] = defaultdict(list)
    for view in views:
        for record in view.records:
            try:
                group = group_records.load(record)
            except NestedClustersError:
                continue
            if any(member.id == view.identity for member in group.members):
                found[group.name].append(group)
    return found


def as_ref(plural: str, item: Object) -> ObjectRef:
    """Return a core object that was read in full as a reference to it."""
    return ObjectRef("v1", plural, item["metadata"])
