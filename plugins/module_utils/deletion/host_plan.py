# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the deletion of many virtual clusters on one host cluster: which they are, and what goes with each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from ..common.batch import BatchOptions
from ..common.well_known import CONTROL_PLANE, KEPT
from ..k8s.client import Kubernetes, parallel
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import Kinds, Object
from ..listing import contents, host_contents, outside, readers, selection
from ..listing.contents import Contents, ObjectRef, ServedKinds
from ..listing.host_contents import HostContents
from ..listing.selection import Lists, Selector
from ..virtual_cluster.change import Change, ChangeTarget
from ..virtual_cluster.metadata import metadata_changes
from ..virtual_cluster.provenance import manager
from . import ownership, release_records
from .job import DeletionJob, Target, scope_of
from .of_release import Records, stayed
from .ownership import control_planes, with_values

REMAINS = "it has no control plane: what an earlier task left of it is removed"


@dataclass(frozen=True)
class HostPlan:
    """What goes on one host cluster, and the (apiVersion, plural) to look at while it goes."""

    jobs: list[DeletionJob]
    kinds: Kinds


def plan(selector: Selector, order: BatchOptions, host: HostCluster) -> HostPlan:
    """Plan for one host cluster, from one LIST a kind and a few requests for what labels do not tell.

    Raises KubernetesError where what the selector asks for may not be read.
    """
    kubernetes = host.kubernetes
    kinds = contents.served_kinds(kubernetes)
    control_planes_read, read = _read(kubernetes, selector, kinds)
    held = read.inside
    lists = Lists(control_planes_read, {}, {}, [])
    found = selection.choose(selector, host, lists, held.namespaces)
    targets = [Target(host, one.seen.namespace, one.seen.name, one.phase, one.group, one.owner, True) for one in found]
    remains = _without_others(kubernetes, _remains(selector, order.keep_volumes, host, held), held)
    held = contents.examined(kubernetes, held, [target.key for target in [*targets, *remains]])
    read = replace(read, inside=held)
    jobs = _with_managers(kubernetes, [_job(target, read, order) for target in targets])
    left = [_job(target, read, order) for target in remains]
    sorted_out = _without_copies(kubernetes, [*jobs, *left])
    left = [job for job in sorted_out[len(jobs) :] if job.changes or job.scope.going]
    return HostPlan(sorted_out[: len(jobs)] + left, kinds.namespaced)


def _read(kubernetes: Kubernetes, selector: Selector, kinds: ServedKinds) -> tuple[list[Object], HostContents]:
    """Return (control planes in full, all that there is)."""
    reader = readers.Reader(kubernetes, selector.namespace)
    if selector.label_selectors:  # only the API server knows what a label selector means: two LISTs more
        by_labels = partial(selection.look, reader, selector.names, "absent", selector.label_selectors, pods=False)
        everything = partial(host_contents.read_host, kubernetes, selector.namespace, kinds)
        lists, read = parallel([by_labels, everything])
        return lists.control_planes, read
    known = readers.WORKLOAD_KINDS
    stateful_sets, deployments, read = parallel(
        [
            *(partial(reader.required, *kind) for kind in known),
            partial(host_contents.read_host, kubernetes, selector.namespace, kinds, known),
        ]
    )
    workloads = [
        ObjectRef(*kind, one["metadata"])
        for kind, found in zip(known, (stateful_sets, deployments), strict=True)
        for one in found
    ]
    held = read.inside.with_objects(workloads)
    elsewhere = list(read.outside)
    if selector.namespace is None:  # else those of all namespaces were read by Helm's label
        elsewhere += filter(outside.may_be_outside, workloads)
    control_planes_read = [one for one in readers.of_lists(stateful_sets, deployments) if _is_control_plane(one)]
    return control_planes_read, replace(read, inside=held, outside=elsewhere)


def _is_control_plane(workload: Object) -> bool:
    labels = workload["metadata"].get("labels") or {}
    return labels.get("app") == CONTROL_PLANE and "release" in labels


def _job(target: Target, read: HostContents, order: BatchOptions) -> DeletionJob:
    scope = scope_of(read.inside, target, order.keep_volumes)
    claims = {ref.name for ref in scope.own if ref.plural == "persistentvolumeclaims"}
    left: list[Change] = []
    if scope.namespace and not (scope.whole or scope.going):
        patch = ownership.leaving(scope.namespace, target.name, order.keep_volumes)
        left = metadata_changes(ChangeTarget("namespace", target.namespace), scope.namespace, patch)
    elsewhere = outside.outside_of(read.outside, *target.key)
    unclear = [ref for ref in outside.marked(read.outside, *target.key) if ref not in elsewhere]
    notes = [*filter(None, [target.note]), *ownership.unclear_notes(unclear, target.name, target.namespace)]
    return DeletionJob(
        replace(target, note="; ".join(notes)),
        scope,
        elsewhere,
        ownership.deleted_with(read.volumes, target.namespace, claims),
        left,
    )


def _without_copies(kubernetes: Kubernetes, jobs: Sequence[DeletionJob]) -> list[DeletionJob]:
    """Return jobs without what is outside of the namespaces and only says that it is of one of these releases."""
    known = Records(kubernetes, {job.target.key: job.outside for job in jobs})
    result = []
    for job in jobs:
        own, others = known.sort_out(job.outside, job.target.key)
        notes = filter(None, (job.target.note, stayed(others, job.target.name)))
        result.append(replace(job, outside=own, target=replace(job.target, note="; ".join(notes))))
    return result


def _with_managers(kubernetes: Kubernetes, jobs: Sequence[DeletionJob]) -> list[DeletionJob]:
    """Return jobs with who manages those of which Helm has no record here; of others nothing is asked."""
    without = [
        (number, job.target.namespace, workload)
        for number, job in enumerate(jobs)
        if not (job.scope.going or any(map(ownership.is_record, job.scope.own)))
        for workload in ownership.workloads(job.scope.own)[:1]
    ]
    found = parallel([partial(manager, kubernetes, workload, namespace) for _number, namespace, workload in without])
    managers = {number: by for (number, *_rest), by in zip(without, found, strict=True)}
    return [replace(job, manager=managers.get(number)) for number, job in enumerate(jobs)]


def _remains(selector: Selector, keep_volumes: bool, host: HostCluster, held: Contents) -> list[Target]:
    """Return what a killed task left: a reservation or values without a control plane."""
    if selector.label_selectors:  # which are those of a control plane
        return []
    there, known = control_planes(held), with_values(held)
    result = []
    for namespace, name in sorted((ownership.recorded(held) | known) - there):
        namespace_object = held.namespaces.get(namespace)
        if namespace_object is None:
            continue
        group, owner = selection.membership_of(namespace_object, name)
        phase = "deleting" if namespace_object["metadata"].get("deletionTimestamp") else "pending"
        narrowed = (selector.group not in (None, group), selector.owner not in (None, owner))
        if any(narrowed) or (selector.names and name not in selector.names):
            continue
        if selector.phases and phase not in selector.phases:
            continue
        if _is_kept(held, namespace_object, name) and (keep_volumes or name not in selector.names):
            continue  # there are only volumes, which stay unless it is named
        result.append(Target(host, namespace, name, phase, group, owner, (namespace, name) in known, REMAINS))
    return result


def _without_others(kubernetes: Kubernetes, remains: list[Target], held: Contents) -> list[Target]:
    """Return remains but those whose name a Helm release of another chart has: Helm's objects belong to that one."""
    keys = {target.key for target in remains}
    recorded = {key: record for key, record in release_records.newest(held).items() if key in keys}
    _homes, others = release_records.homes(kubernetes, recorded)
    return [target for target in remains if target.key not in others]


def _is_kept(held: Contents, namespace_object: Object, name: str) -> bool:
    own, _others = ownership.sort_out(held.of(namespace_object["metadata"]["name"]), name)
    return bool(own) and all(KEPT in ref.annotations for ref in own)
