# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What virtual clusters that are gone have left on a host cluster, each with the reason why it counts as left over.

A virtual cluster is there while it has a control plane, pods of it or of its etcd, or a Helm release that is deployed.
What belongs to one that is not there is sorted out as its deletion would have done, so both know the same of labels,
owners and names.
Judging is pure: it sees what was read, and the time.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from ..common import well_known
from ..common.errors import NestedClustersError
from ..common.well_known import CREATED, NOT_SYNCED, RELEASE_NAME, RELEASE_NAMESPACE
from ..groups import lock as group_lock
from ..groups import record as group_records
from ..groups.model import Group
from ..helm.release import RELEASE_SECRET_TYPE
from ..k8s.client import Kubernetes, list_allowed, parallel
from ..k8s.errors import KubernetesError
from ..k8s.objects import Object, path
from ..listing import contents, host_contents
from ..listing.contents import Contents, Key, ObjectRef, ServedKinds
from ..listing.observed import marker
from ..listing.outside import CHART_CLUSTER_KINDS
from ..virtual_cluster import membership, workloads
from ..virtual_cluster import namespace as virtual_cluster_namespace
from ..virtual_cluster.cluster_names import readings
from . import ownership, release_records

REQUIRED = {"statefulsets", "deployments", "secrets", "pods", "persistentvolumeclaims"}
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
ORPHAN, KEPT, IN_USE, HELD = "orphan", "kept", "in_use", "held"
DELETE, FREE, PATCH, NOTHING = "delete", "free", "patch", ""

Groups = Mapping[str, Collection[Group]]  # by name

_CLAIM = re.compile(r"data-(?P<name>.+?)(-etcd)?-\d+")


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
        """Whether something was made, or asked to go, so short a time ago that a task may be at work."""
        keys = ("creationTimestamp", "deletionTimestamp") if self.first else ("creationTimestamp",)
        times = [meta[key] for meta in metas for key in keys if meta.get(key)]
        return any((now - workloads.timestamp(text)).total_seconds() < self.older_than for text in times)

    def fit(self, one: Leftover) -> bool:
        """Whether a leftover is asked for."""
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
    state: str = ORPHAN
    action: str = DELETE
    patch: Mapping[str, Any] = field(default_factory=dict)  # of its metadata
    holders: tuple[ObjectRef, ...] = ()  # objects whose finalizers hold a namespace

    @property
    def namespace(self) -> str | None:
        return self.thing.name if self.thing.plural == "namespaces" else self.thing.namespace

    @property
    def identity(self) -> tuple[str, str, str]:
        """The same in every look as long as it is the same object with the same fate."""
        return self.thing.plural, str(self.thing.meta.get("uid")), self.action

    def describe(self, host_cluster: str | None) -> dict[str, Any]:
        """Its part of the result."""
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


@dataclass(frozen=True)
class View:
    """What one host cluster says. ``mounted`` are (namespace, claim) to the names of the pods that mount it."""

    held: Contents
    there: frozenset[Key]  # virtual clusters that are there, and Helm releases of other charts that may be
    outside: tuple[ObjectRef, ...]
    volumes: tuple[Object, ...]
    lease: Object | None
    records: tuple[Object, ...]  # ConfigMaps of groups
    mounted: Mapping[Key, tuple[str, ...]]
    homes: Mapping[Key, Key]  # of releases of vCluster's chart that are not deployed: where they are, by their records
    identity: str  # UID of namespace kube-system


# --- reading ----------------------------------------------------------------------------------------------


def read(kubernetes: Kubernetes, kinds: ServedKinds) -> View:
    """Everything that judging needs: one LIST a kind, and few more where something is suspect."""
    host, chart, lease, records = parallel(
        [
            partial(host_contents.read_host, kubernetes, None, kinds),
            partial(_of_chart, kubernetes),
            partial(kubernetes.get, f"{group_lock.LEASES}/{group_lock.LEASE}"),
            partial(kubernetes.list, path("v1", "configmaps", well_known.NAMESPACE), labels=group_records.RECORD_LABEL),
        ]
    )
    held: Contents = host.inside
    unseen = {thing.plural for thing in held.unseen} & REQUIRED
    if unseen:  # or everything would seem to be left over
        raise KubernetesError(f"no permission to list {', '.join(sorted(unseen))}: what is in use is not known", 403)
    outside = {(thing.plural, thing.namespace, thing.name): thing for thing in [*host.outside, *chart]}
    there = alive(held)
    unfinished = {key: record for key, record in release_records.newest(held).items() if key not in there}
    homes, others = release_records.homes(kubernetes, unfinished)
    there |= others  # what they have may run, whatever their records say
    suspects = (_suspects(held, homes, there) | ownership.recorded(held)) - there
    there |= _elsewhere(kubernetes, held, suspects, outside.values(), there)
    spaces = sorted({namespace for namespace, _name in suspects if _has_pods_or_claims(held, namespace)})
    pods = kubernetes.list(path("v1", "pods", spaces[0] if len(spaces) == 1 else None)) if spaces else []
    return View(
        contents.examined(kubernetes, held, suspects),
        frozenset(there | _running(pods)),
        tuple(outside.values()),
        tuple(host.volumes),
        lease,
        tuple(records),
        _mounted(pods),
        homes,
        held.namespaces.get("kube-system", {}).get("metadata", {}).get("uid", ""),
    )


def _has_pods_or_claims(held: Contents, namespace: str) -> bool:
    return any(thing.plural in ("pods", "persistentvolumeclaims") for thing in held.of(namespace))


def _of_chart(kubernetes: Kubernetes) -> list[ObjectRef]:
    """Cluster-scoped objects of vCluster's chart, also where something else than helm applied it."""
    labels = f"app=vcluster,release,{NOT_SYNCED}"
    return [
        ObjectRef(*kind, one["metadata"])
        for kind in CHART_CLUSTER_KINDS
        for one in list_allowed(kubernetes, path(*kind), labels=labels)
    ]


def _mounted(pods: Iterable[Object]) -> dict[Key, tuple[str, ...]]:
    found: dict[Key, tuple[str, ...]] = defaultdict(tuple)
    for pod in pods:
        meta = pod["metadata"]
        if _has_ended(pod):
            continue
        for volume in pod["spec"].get("volumes") or []:
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim:
                found[meta["namespace"], claim] += (meta["name"],)
    return found


def _running(pods: Iterable[Object]) -> frozenset[Key]:
    """Virtual clusters by the pods that they run in, which may have outlived their workload.

    A pod that is being deleted makes none: its workload is gone for good, and it follows.
    """
    found = set[Key]()
    for pod in pods:
        thing = ObjectRef("v1", "pods", pod["metadata"])
        if thing.synced or thing.labels.get("app") not in well_known.APPS or thing.meta.get("deletionTimestamp"):
            continue
        if not _has_ended(pod):
            found |= {(thing.namespace or "", name) for name in ownership.named_by(thing)}
    return frozenset(found)


def _has_ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _elsewhere(
    kubernetes: Kubernetes, held: Contents, suspects: Collection[Key], outside: Iterable[ObjectRef], there: set[Key]
) -> set[Key]:
    """Suspects, and virtual clusters with objects outside of namespaces, whose deployed release is kept elsewhere."""
    speaking = {(thing.annotations.get(RELEASE_NAMESPACE), thing.annotations.get(RELEASE_NAME)) for thing in outside}
    names = {name for _namespace, name in {*suspects, *speaking} - there}
    at_home = ownership.control_planes(held)
    candidates = {
        key: record
        for key, record in release_records.newest(held).items()
        if key in there and key[1] in names and key not in at_home
    }
    return set(release_records.homes(kubernetes, candidates)[0].values())


# --- judging ----------------------------------------------------------------------------------------------


def alive(held: Contents) -> set[Key]:
    """Virtual clusters that are there: with a control plane, or with a release that is deployed and kept beside it."""
    return ownership.control_planes(held) | release_records.deployed(held)


def judge(view: View, known: Groups, criteria: Criteria, now: datetime) -> list[Leftover]:
    """What is left over on one host cluster. ``known`` are the groups that all host clusters know."""
    there = view.there
    recorded = ownership.recorded(view.held)
    found: list[Leftover] = []
    gone = sorted((_suspects(view.held, view.homes, there) | recorded) - there)
    by_space: dict[str, list[str]] = defaultdict(list)
    for namespace, name in gone:
        by_space[namespace].append(name)
    for namespace, names in by_space.items():
        place = view.held.namespaces.get(namespace)
        if place is None or place["metadata"].get("deletionTimestamp"):
            continue
        here = [thing for thing in view.held.of(namespace) if not _speaks_of_elsewhere(view, thing)]
        rest = _without(here, [name for space, name in there if space == namespace])
        for name in names:
            found += _left_in(view, place, rest, name, (namespace, name) in recorded, criteria, now)
    found += _left_records_elsewhere(view, criteria, now)
    found += _stuck(view, criteria, now)
    found += _left_outside(view, there, criteria, now)
    found += _left_volumes(view, there, gone, criteria, now)
    found += _left_lease(view, criteria, now)
    found += _left_records(view, known, criteria, now)
    return [one for one in found if criteria.fit(one)]


def _speaks_of_elsewhere(view: View, thing: ObjectRef) -> bool:
    """Whether an object is the record of a release that lives in another namespace."""
    key = thing.namespace or "", thing.labels.get("name", "")
    return release_records.is_record_of(thing, key[1]) and view.homes.get(key, key) != key


def _left_records_elsewhere(view: View, criteria: Criteria, now: datetime) -> Iterator[Leftover]:
    """Records of releases in another namespace, if none is there; they prove nothing of the namespace they are in."""
    for (namespace, name), home in view.homes.items():
        place = view.held.namespaces.get(namespace)
        if place is None or place["metadata"].get("deletionTimestamp"):
            continue
        if home == (namespace, name) or {home, (namespace, name)} & view.there:
            continue
        things = [one for one in view.held.inside.get(namespace, ()) if release_records.is_record_of(one, name)]
        if criteria.is_young([thing.meta for thing in things], now):
            continue
        status = release_records.newest(view.held)[namespace, name].labels.get("status", "unknown")
        why = f"which has no control plane there, and whose Helm release is {status}"
        for thing in things:
            yield Leftover("releases", thing, home[1], f"of virtual cluster {home[1]} in namespace {home[0]}, {why}")


def _suspects(held: Contents, homes: Mapping[Key, Key], there: Collection[Key]) -> set[Key]:
    """Every virtual cluster that something in a namespace speaks of, but exports of one that is there elsewhere."""
    found = {key for key, home in homes.items() if key == home}
    alive = {name for _namespace, name in there}
    for namespace, things in held.inside.items():
        labels = (held.namespaces.get(namespace, {}).get("metadata") or {}).get("labels") or {}
        if well_known.SYNCED_LABEL in labels:  # a virtual cluster of another namespace made it, for what it syncs
            continue
        found |= {
            (namespace, name)
            for thing in things
            for name in ownership.named_by(thing)
            if not (name in alive and _is_export(thing))
        }
    return found


def _is_export(thing: ObjectRef) -> bool:
    """Whether it may be the kubeconfig that a virtual cluster keeps in another namespace, as its values say.

    The label with its name is all that vCluster writes on it (source: pkg/util/kubeconfig).
    """
    return thing.plural == "secrets" and well_known.NAMED in thing.labels and "release" not in thing.labels


def _without(things: list[ObjectRef], names: Iterable[str]) -> list[ObjectRef]:
    """What is left when all that these virtual clusters have is taken out."""
    for name in names:
        _mine, things = ownership.sort_out(things, name, known=True)
    return things


def _left_in(
    view: View, place: Object, rest: list[ObjectRef], name: str, recorded: bool, criteria: Criteria, now: datetime
) -> list[Leftover]:
    """What a virtual cluster that is gone left in its namespace."""
    namespace = place["metadata"]["name"]
    mine, _others = ownership.sort_out(rest, name, recorded)
    if criteria.is_young([place["metadata"], *(thing.meta for thing in mine)], now):
        return []  # a task may be at work
    why = _why_gone(view, namespace, name)
    kept_share = _has_kept_share(place)
    found = [_left_thing(view, thing, name, why, kept_share, criteria) for thing in mine]
    staying = [one for one in found if not (one.action and criteria.fit(one))]
    everything = view.held.of(namespace)
    foreign = [thing for thing in everything if thing not in mine]
    meant = ownership.made_for(place, name, namespace, recorded or bool(mine))
    if meant and not foreign and not staying:
        reason = f"made for virtual cluster {name}, {why}, and nothing else is in it"
        found.append(Leftover("namespaces", _as_thing("namespaces", place), name, reason))
    else:
        found += _left_share(place, name, why, bool(staying), kept_share)
    return found


def _why_gone(view: View, namespace: str, name: str) -> str:
    newest = release_records.newest(view.held).get((namespace, name))
    if newest is not None and not _speaks_of_elsewhere(view, newest):
        return f"which has no control plane, and whose Helm release is {newest.labels.get('status', 'unknown')}"
    return "which has no control plane and no Helm release"


def _left_thing(
    view: View, thing: ObjectRef, name: str, why: str, kept_share: bool, criteria: Criteria
) -> Leftover:
    if thing.plural != "persistentvolumeclaims":
        kind = "releases" if thing.secret_type == RELEASE_SECRET_TYPE else "objects"
        return Leftover(kind, thing, name, f"of virtual cluster {name}, {why}")
    users = view.mounted.get((thing.namespace or "", thing.name), ())
    if users:  # also by a pod that is left over itself: what it wrote last is looked at when it is gone
        reason = f"of virtual cluster {name}, {why}, but mounted by pod {', '.join(sorted(users)[:3])}"
        return Leftover("volume_claims", thing, name, reason, IN_USE, NOTHING)
    if well_known.KEPT in thing.annotations or kept_share:
        action = DELETE if criteria.kept_volumes else NOTHING
        reason = f"kept on purpose when virtual cluster {name} was deleted"
        return Leftover("volume_claims", thing, name, reason, KEPT, action)
    return Leftover("volume_claims", thing, name, f"of virtual cluster {name}, {why}; it holds its data")


def _left_share(place: Object, name: str, why: str, kept: bool, kept_share: bool) -> list[Leftover]:
    """What a namespace that stays has of its group."""
    patch = ownership.leaving(place, name, kept)
    if not patch or (kept and kept_share):
        return []
    group = place["metadata"]["labels"][well_known.GROUP_LABEL]
    reason = f"it has a share of group {group} for virtual cluster {name}, {why}"
    return [Leftover("shares", _as_thing("namespaces", place), name, reason, ORPHAN, PATCH, patch)]


def _has_kept_share(place: Object) -> bool:
    try:
        share = membership.allocation(place, "")
    except NestedClustersError:
        return False
    return share is not None and share.kept


def _stuck(view: View, criteria: Criteria, now: datetime) -> Iterator[Leftover]:
    """Namespaces of virtual clusters that do not go, with what holds them.

    One that a virtual cluster made for what it syncs is that one's to free, while it is there.
    """
    markers = {marker(name, namespace) for namespace, name in view.there}
    for namespace, place in view.held.namespaces.items():
        meta = place["metadata"]
        things = view.held.of(namespace)
        name = _name_of(place, things)
        if name is None or not meta.get("deletionTimestamp"):
            continue
        if (meta.get("labels") or {}).get(well_known.SYNCED_LABEL) in markers or criteria.is_young([meta], now):
            continue
        holders = tuple(thing for thing in things if thing.meta.get("finalizers"))
        ours = [thing for thing in holders if _has_own_finalizers(thing)]
        named = "; ".join(
            f"{thing} by finalizer {', '.join(thing.meta['finalizers'])}" for thing in sorted(holders, key=str)[:10]
        )
        words = f"it is being deleted since {meta['deletionTimestamp']}, and held: "
        reason = words + (named or virtual_cluster_namespace.namespace_conditions(place))
        if not ours and named:
            reason += "; who set these finalizers has to take them off"
        action = FREE if ours else NOTHING
        state = ORPHAN if ours else HELD
        yield Leftover("namespaces", _as_thing("namespaces", place), name, reason, state, action, holders=tuple(ours))


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


def _left_outside(view: View, there: Collection[Key], criteria: Criteria, now: datetime) -> Iterator[Leftover]:
    markers = {marker(name, namespace) for namespace, name in there}
    for thing in view.outside:
        # In a namespace, who may write there can copy Helm's labels and annotations.
        if thing.namespace is not None or criteria.is_young([thing.meta], now):
            continue
        if thing.synced:
            text = thing.labels[well_known.SYNCED_LABEL]
            if text not in markers:
                reason = f"synced by virtual cluster {text} (namespace-x-name), which is not on this host cluster"
                yield Leftover("cluster_objects", thing, _marked_as(text), reason)
            continue
        name, namespace = thing.annotations.get(RELEASE_NAME), thing.annotations.get(RELEASE_NAMESPACE)
        if not name or not namespace or name not in ownership.named_by(thing) or (namespace, name) in there:
            continue
        reason = f"of virtual cluster {name} in namespace {namespace}, which is gone"
        yield Leftover("cluster_objects", thing, name, reason)


def _marked_as(text: str) -> str | None:
    """The name in a marker; None where it can be read in several ways, or is as long as one that was shortened."""
    able = readings(text)
    return able[0][1] if len(able) == 1 and len(text) < well_known.LONGEST else None


def _left_volumes(
    view: View, there: Collection[Key], gone: Collection[Key], criteria: Criteria, now: datetime
) -> Iterator[Leftover]:
    """PersistentVolumes whose claim is gone, if it had the name of one of a virtual cluster that is gone as well.

    A claim's labels go with it, and its name is nobody's alone. Only a namespace that was made for the virtual cluster
    proves whose it was. Nothing but the report is made of others.
    """
    proven = ownership.recorded(view.held)
    claims = {thing.meta.get("uid") for things in view.held.inside.values() for thing in things}
    for volume in view.volumes:
        status, claim = volume.get("status") or {}, volume["spec"].get("claimRef") or {}
        if status.get("phase") not in ("Released", "Failed") or not claim or claim.get("uid", "") in claims:
            continue
        since = status.get("lastPhaseTransitionTime") or volume["metadata"]["creationTimestamp"]
        if criteria.is_young([{"creationTimestamp": since}], now):
            continue
        name = _claimed_by(claim, proven) or _claimed_by(claim, gone, by_namespace=True)
        if name is None or (claim["namespace"], name) in there:
            continue
        thing = _as_thing("persistentvolumes", volume)
        policy = volume["spec"].get("persistentVolumeReclaimPolicy")
        reason = f"{status['phase']}, with reclaim policy {policy}: its claim {claim['namespace']}/{claim['name']} "
        if (claim["namespace"], name) in proven:
            yield Leftover("volumes", thing, name, f"{reason}was of virtual cluster {name}, which is gone")
        else:
            reason += f"may have been of virtual cluster {name}, and nothing but names says so; "
            yield Leftover("volumes", thing, name, f"{reason}delete it yourself if it was", HELD, NOTHING)


def _claimed_by(claim: Mapping[str, str], known: Collection[Key], by_namespace: bool = False) -> str | None:
    """The virtual cluster that a claim was of by its name, among the known ones, or by what its namespace is called."""
    namespace, text = claim.get("namespace", ""), claim.get("name", "")
    match = _CLAIM.fullmatch(text)
    names = {match["name"]} if match else set()
    if text.count("-x-") >= 2:  # NAME-x-NAMESPACE-x-VIRTUAL_CLUSTER
        names.add(text.rpartition("-x-")[2])
    found = {name for name in names if (namespace, name) in known or (by_namespace and namespace == f"vcluster-{name}")}
    return min(found) if found else None


def _left_lease(view: View, criteria: Criteria, now: datetime) -> Iterator[Leftover]:
    if view.lease is None:
        return
    spec = view.lease.get("spec") or {}
    seen = spec.get("renewTime") or view.lease["metadata"]["creationTimestamp"]
    patient = replace(criteria, older_than=max(criteria.older_than, group_lock.LEASE_SECONDS))
    if patient.is_young([{"creationTimestamp": seen}], now):
        return
    who = spec.get("holderIdentity", "nobody")
    reason = f"held by {who}, which was last seen alive at {seen}; the next task in a group takes it away by itself"
    lease = ObjectRef("coordination.k8s.io/v1", "leases", view.lease["metadata"])
    yield Leftover("leases", lease, None, reason)


def _left_records(view: View, known: Groups, criteria: Criteria, now: datetime) -> Iterator[Leftover]:
    """Records of groups that do not count this host cluster as a member, by what a member says."""
    for record in view.records:
        meta = record["metadata"]
        if criteria.is_young([meta], now):
            continue
        thing = ObjectRef("v1", "configmaps", meta)
        try:
            own = group_records.load(record)
        except NestedClustersError as error:
            yield Leftover("group_records", thing, None, str(error), HELD, NOTHING)
            continue
        related = [group for group in known.get(own.name, ()) if own.has_member_of(group)]
        newest = max(related, key=lambda group: group.generation, default=None)
        if newest is None or any(member.id == view.identity for member in newest.members):
            continue  # or nobody knows whether it is the same group
        yield _left_record(view, thing, newest)


def _left_record(view: View, thing: ObjectRef, newest: Group) -> Leftover:
    members = ", ".join(member.name for member in newest.members)
    reason = f"group {newest.name} has no member that is this host cluster; its members are {members or 'none'}"
    living = sorted(
        place
        for place, item in view.held.namespaces.items()
        if (item["metadata"].get("labels") or {}).get(well_known.GROUP_LABEL) == newest.name
    )
    if living:
        reason += f", but namespaces {', '.join(living[:5])} have a share of it here"
        return Leftover("group_records", thing, None, reason, IN_USE, NOTHING)
    return Leftover("group_records", thing, None, reason)


def known_groups(views: Iterable[View]) -> dict[str, list[Group]]:
    """Groups by name, as the host clusters say it that are their members: two can have the same name."""
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


def _as_thing(plural: str, item: Object) -> ObjectRef:
    return ObjectRef("v1", plural, item["metadata"])
