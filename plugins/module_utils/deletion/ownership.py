# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose an object is: what goes with a virtual cluster, what is kept, what is left alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Any

from ..common import well_known
from ..common.size import Size
from ..common.well_known import (
    BELONGS,
    CREATED,
    GROUP_LABEL,
    NAME_ANNOTATION,
    NAME_LABEL,
    OF_MEMBERS,
    RELEASE_NAME,
    RELEASE_NAMESPACE,
    REQUESTED,
    SIZE_ANNOTATION,
)
from ..helm.chart import is_label_of_vcluster
from ..helm.release import RELEASE_SECRET_TYPE, UNINSTALLED
from ..listing.contents import Contents, ObjectRef
from ..listing.observed import ClusterKey, marker
from ..virtual_cluster.cluster_names import readings
from ..virtual_cluster.membership import allocation
from ..virtual_cluster.metadata import metadata_patch
from ..virtual_cluster.provenance import Workload
from .of_release import is_copy


def leaving(place: dict[str, Any], name: str, keep_volumes: bool) -> dict[str, Any]:
    """The patch for a namespace that stays when its virtual cluster leaves its group; {} where it is in none.

    Volumes that are kept keep their share of the storage.
    """
    metadata = place["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if GROUP_LABEL not in labels or annotations.get(NAME_ANNOTATION) != name:
        return {}
    there = allocation(place, "") if keep_volumes else None  # else it may be broken, and goes
    if there:
        rest = Size(Decimal(0), Decimal(0), there.size.storage)
        return metadata_patch(place, {}, {SIZE_ANNOTATION: json.dumps(rest.as_dict())})
    return metadata_patch(place, {GROUP_LABEL: None}, dict.fromkeys(OF_MEMBERS))


def to_mark(claims: Iterable[ObjectRef]) -> list[ObjectRef]:
    """Volume claims that stay because the task says so, and do not say it themselves yet."""
    return [claim for claim in claims if well_known.KEPT not in claim.annotations]


def sort_out(things: Iterable[ObjectRef], name: str, known: bool = False) -> tuple[list[ObjectRef], list[ObjectRef]]:
    """(what the virtual cluster made, what is somebody else's), owners deciding for what they own.

    What vCluster wrote without a label, such as Secret NAME-certs of 0.20, goes only where it is certain that there is
    or was a virtual cluster NAME: because of ``known``, or of a label.
    """
    things = list(things)
    mine = [thing for thing in things if belongs(thing, name)]
    if mine or known:
        mine += [thing for thing in things if thing not in mine and thing.written_for == name]
    rest = [thing for thing in things if thing not in mine]
    while True:
        owners = {thing.meta.get("uid") for thing in mine}
        owned = [t for t in rest if any(o.get("uid") in owners for o in t.meta.get("ownerReferences") or [])]
        if not owned:
            return mine, rest
        mine += owned
        rest = [thing for thing in rest if thing not in owned]


def belongs(thing: ObjectRef, name: str) -> bool:
    """Whether labels or annotations say that this virtual cluster made an object."""
    labels, annotations = thing.labels, thing.annotations
    if thing.secret_type == RELEASE_SECRET_TYPE:
        return labels.get("name") == name
    if is_copy(thing):
        return False
    return name in named_by(thing) or (
        not thing.synced
        and annotations.get(RELEASE_NAME) == name
        and annotations.get(RELEASE_NAMESPACE) == thing.meta.get("namespace")
    )


def named_by(thing: ObjectRef) -> set[str]:
    """Virtual clusters that labels of an object name."""
    labels = thing.labels
    if thing.synced:
        return {labels[well_known.SYNCED_LABEL]}
    found = {labels.get(BELONGS), labels.get(REQUESTED)}
    # The chart does not label everything with its name and version, but nothing with those of another.
    if labels.get("app") in well_known.APPS and is_label_of_vcluster(labels.get("chart", "vcluster")):
        found |= {labels.get("release"), labels.get(NAME_LABEL)}
    return {name for name in found if name}


def protection(mine: Iterable[ObjectRef], name: str) -> ObjectRef | None:
    """The control plane that says that it is protected. Not the release: its record may be gone, and this is not."""
    for thing in mine:
        is_control_plane = thing.plural in ("statefulsets", "deployments") and thing.name == name
        if is_control_plane and thing.annotations.get(well_known.PROTECTED) == "true":
            return thing
    return None


def is_record(thing: ObjectRef) -> bool:
    """Whether it is Helm's record of something that is deployed, or on its way."""
    gone = thing.labels.get("status") in ("superseded", UNINSTALLED)
    return thing.secret_type == RELEASE_SECRET_TYPE and not gone


def workloads(mine: Iterable[ObjectRef]) -> list[Workload]:
    """Control planes among what a virtual cluster made."""
    kinds = {"statefulsets": "StatefulSet", "deployments": "Deployment"}
    own = [thing for thing in mine if thing.plural in kinds and well_known.SYNCED_LABEL not in thing.labels]
    return [Workload(kinds[thing.plural], thing.meta) for thing in own if thing.labels.get("app") == "vcluster"]


def keep(mine: Iterable[ObjectRef], keep_volumes: bool) -> tuple[list[ObjectRef], list[ObjectRef]]:
    """(what goes, the volume claims that stay) of what a virtual cluster made."""
    mine = list(mine)
    kept = [thing for thing in mine if keep_volumes and thing.plural == "persistentvolumeclaims"]
    return [thing for thing in mine if thing not in kept], kept


def made_for(place: dict[str, Any], name: str, namespace: str, seen: bool) -> bool:
    """Whether a namespace was made for this virtual cluster: by this collection, or by the CLI."""
    annotations = place["metadata"].get("annotations") or {}
    if annotations.get(well_known.CREATED) != "true":
        return False
    return annotations.get(NAME_ANNOTATION, name if seen or namespace == f"vcluster-{name}" else "") == name


def unclear_notes(things: Iterable[ObjectRef], name: str, namespace: str) -> list[str]:
    """What to say of synced objects that stay because they may be another virtual cluster's."""
    there = sorted(map(str, things))
    if not there:
        return []
    label = f"{well_known.SYNCED_LABEL}={marker(name, namespace)}"
    who = " or ".join(f"{other} in namespace {where}" for where, other in readings(f"{namespace}-x-{name}"))
    return [
        f"{', '.join(there)} stayed: the label {label} can be that of virtual cluster {who}, and nothing else says "
        f"whose it is; delete what {name} has left yourself"
    ]


def told(thing: ObjectRef, namespace: str) -> str:
    """An object in words; with its namespace where that is another one."""
    elsewhere = thing.namespace not in (None, namespace)
    return f"{thing} in namespace {thing.namespace}" if elsewhere else str(thing)


def deleted_with(volumes: Iterable[dict[str, Any]], namespace: str, claims: Collection[str]) -> set[str]:
    """Names of the PersistentVolumes that go with claims of a namespace, by their reclaim policy."""
    found = set()
    for volume in volumes:
        claim = volume["spec"].get("claimRef") or {}
        is_deleted = volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        if is_deleted and claim.get("namespace") == namespace and claim.get("name") in claims:
            found.add(volume["metadata"]["name"])
    return found


def control_planes(held: Contents) -> set[ClusterKey]:
    """Every virtual cluster that has a workload."""
    return {
        (namespace, thing.labels["release"])
        for namespace, things in held.inside.items()
        for thing in things
        if thing.plural in ("statefulsets", "deployments")
        and thing.labels.get("app") == "vcluster"
        and "release" in thing.labels
    }


def with_values(held: Contents) -> set[ClusterKey]:
    """Virtual clusters whose values are there."""
    return {
        (namespace, thing.labels["release"])
        for namespace, things in held.inside.items()
        for thing in things
        if is_values(thing)
    }


def recorded(held: Contents) -> set[ClusterKey]:
    """Virtual clusters by what is written on namespaces that were made for them, or that have a share of a group."""
    found = set()
    for namespace, place in held.namespaces.items():
        annotations = place["metadata"].get("annotations") or {}
        made = annotations.get(CREATED) == "true"
        # The CLI's do not say for whom they were made.
        by_cli = namespace.removeprefix("vcluster-") if made and namespace.startswith("vcluster-") else None
        name = annotations.get(well_known.NAME_ANNOTATION, by_cli)
        if name and (made or well_known.GROUP_LABEL in (place["metadata"].get("labels") or {})):
            found.add((namespace, name))
    return found


def is_values(thing: ObjectRef) -> bool:
    """Whether it is the Secret that a virtual cluster has its values from."""
    labels = thing.labels
    of_chart = labels.get("app") == "vcluster" and "release" in labels and not (thing.synced or is_copy(thing))
    return of_chart and thing.plural == "secrets" and thing.name == f"vc-config-{labels['release']}"
