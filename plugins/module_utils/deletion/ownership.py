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


def leaving(namespace_object: dict[str, Any], name: str, keep_volumes: bool) -> dict[str, Any]:
    """Return the patch for a namespace that stays when its virtual cluster leaves its group; {} where it is in none.

    Volumes that are kept keep their share of the storage.
    """
    metadata = namespace_object["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if GROUP_LABEL not in labels or annotations.get(NAME_ANNOTATION) != name:
        return {}
    there = allocation(namespace_object, "") if keep_volumes else None  # else it may be broken, and goes
    if there:
        rest = Size(Decimal(0), Decimal(0), there.size.storage)
        return metadata_patch(namespace_object, {}, {SIZE_ANNOTATION: json.dumps(rest.as_dict())})
    return metadata_patch(namespace_object, {GROUP_LABEL: None}, dict.fromkeys(OF_MEMBERS))


def to_mark(claims: Iterable[ObjectRef]) -> list[ObjectRef]:
    """Return the volume claims that the task keeps and that are not marked as kept yet."""
    return [claim for claim in claims if well_known.KEPT not in claim.annotations]


def sort_out(refs: Iterable[ObjectRef], name: str, known: bool = False) -> tuple[list[ObjectRef], list[ObjectRef]]:
    """Return (objects of the virtual cluster, objects of others); owners decide about what they own.

    What vCluster wrote without a label, such as Secret NAME-certs of 0.20, goes only where it is certain that there is
    or was a virtual cluster NAME: because of ``known``, or of a label.
    """
    refs = list(refs)
    own = [ref for ref in refs if belongs(ref, name)]
    if own or known:
        own += [ref for ref in refs if ref not in own and ref.written_for == name]
    rest = [ref for ref in refs if ref not in own]
    while True:
        owners = {ref.meta.get("uid") for ref in own}
        owned = [t for t in rest if any(o.get("uid") in owners for o in t.meta.get("ownerReferences") or [])]
        if not owned:
            return own, rest
        own += owned
        rest = [ref for ref in rest if ref not in owned]


def belongs(ref: ObjectRef, name: str) -> bool:
    """Return whether labels or annotations say that this virtual cluster made an object."""
    labels, annotations = ref.labels, ref.annotations
    if ref.secret_type == RELEASE_SECRET_TYPE:
        return labels.get("name") == name
    if is_copy(ref):
        return False
    return name in named_by(ref) or (
        not ref.synced
        and annotations.get(RELEASE_NAME) == name
        and annotations.get(RELEASE_NAMESPACE) == ref.meta.get("namespace")
    )


def named_by(ref: ObjectRef) -> set[str]:
    """Return the virtual clusters that the labels of an object name."""
    labels = ref.labels
    if ref.synced:
        return {labels[well_known.SYNCED_LABEL]}
    found = {labels.get(BELONGS), labels.get(REQUESTED)}
    # The chart does not label everything with its name and version, but nothing with those of another.
    if labels.get("app") in well_known.APPS and is_label_of_vcluster(labels.get("chart", "vcluster")):
        found |= {labels.get("release"), labels.get(NAME_LABEL)}
    return {name for name in found if name}


def protection(own: Iterable[ObjectRef], name: str) -> ObjectRef | None:
    """Return the control plane that says that it is protected.

    Not the release: its record may be gone, and this is not.
    """
    for ref in own:
        is_control_plane = ref.plural in ("statefulsets", "deployments") and ref.name == name
        if is_control_plane and ref.annotations.get(well_known.PROTECTED) == "true":
            return ref
    return None


def is_record(ref: ObjectRef) -> bool:
    """Return whether it is Helm's record of something that is deployed, or on its way."""
    gone = ref.labels.get("status") in ("superseded", UNINSTALLED)
    return ref.secret_type == RELEASE_SECRET_TYPE and not gone


def workloads(mine: Iterable[ObjectRef]) -> list[Workload]:
    """Return the control planes among the objects of a virtual cluster."""
    kinds = {"statefulsets": "StatefulSet", "deployments": "Deployment"}
    own = [ref for ref in mine if ref.plural in kinds and well_known.SYNCED_LABEL not in ref.labels]
    return [Workload(kinds[ref.plural], ref.meta) for ref in own if ref.labels.get("app") == "vcluster"]


def keep(own: Iterable[ObjectRef], keep_volumes: bool) -> tuple[list[ObjectRef], list[ObjectRef]]:
    """Return (what goes, the volume claims that stay) of what a virtual cluster made."""
    own = list(own)
    kept = [ref for ref in own if keep_volumes and ref.plural == "persistentvolumeclaims"]
    return [ref for ref in own if ref not in kept], kept


def made_for(namespace_object: dict[str, Any], name: str, namespace: str, seen: bool) -> bool:
    """Return whether a namespace was made for this virtual cluster: by this collection, or by the CLI."""
    annotations = namespace_object["metadata"].get("annotations") or {}
    if annotations.get(well_known.CREATED) != "true":
        return False
    return annotations.get(NAME_ANNOTATION, name if seen or namespace == f"vcluster-{name}" else "") == name


def unclear_notes(refs: Iterable[ObjectRef], name: str, namespace: str) -> list[str]:
    """Return notes on synced objects that stay because they may belong to another virtual cluster."""
    there = sorted(map(str, refs))
    if not there:
        return []
    label = f"{well_known.SYNCED_LABEL}={marker(name, namespace)}"
    who = " or ".join(f"{other} in namespace {where}" for where, other in readings(f"{namespace}-x-{name}"))
    return [
        f"{', '.join(there)} stayed: the label {label} can be that of virtual cluster {who}, and nothing else says "
        f"whose it is; delete what {name} has left yourself"
    ]


def told(ref: ObjectRef, namespace: str) -> str:
    """Return an object in words; with its namespace where that is another one."""
    elsewhere = ref.namespace not in (None, namespace)
    return f"{ref} in namespace {ref.namespace}" if elsewhere else str(ref)


def deleted_with(volumes: Iterable[dict[str, Any]], namespace: str, claims: Collection[str]) -> set[str]:
    """Return names of the PersistentVolumes that go with claims of a namespace, by their reclaim policy."""
    found = set()
    for volume in volumes:
        claim = volume["spec"].get("claimRef") or {}
        is_deleted = volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        if is_deleted and claim.get("namespace") == namespace and claim.get("name") in claims:
            found.add(volume["metadata"]["name"])
    return found


def control_planes(held: Contents) -> set[ClusterKey]:
    """Return every virtual cluster that has a workload."""
    return {
        (namespace, ref.labels["release"])
        for namespace, refs in held.inside.items()
        for ref in refs
        if ref.plural in ("statefulsets", "deployments")
        and ref.labels.get("app") == "vcluster"
        and "release" in ref.labels
    }


def with_values(held: Contents) -> set[ClusterKey]:
    """Return the virtual clusters whose values exist."""
    return {
        (namespace, ref.labels["release"])
        for namespace, refs in held.inside.items()
        for ref in refs
        if is_values(ref)
    }


def recorded(held: Contents) -> set[ClusterKey]:
    """Return the virtual clusters named by namespaces that were created for them, or that are allocated in a group."""
    found = set()
    for namespace, namespace_object in held.namespaces.items():
        annotations = namespace_object["metadata"].get("annotations") or {}
        made = annotations.get(CREATED) == "true"
        # The CLI's do not say for whom they were made.
        by_cli = namespace.removeprefix("vcluster-") if made and namespace.startswith("vcluster-") else None
        name = annotations.get(well_known.NAME_ANNOTATION, by_cli)
        if name and (made or well_known.GROUP_LABEL in (namespace_object["metadata"].get("labels") or {})):
            found.add((namespace, name))
    return found


def is_values(ref: ObjectRef) -> bool:
    """Return whether it is the Secret that a virtual cluster has its values from."""
    labels = ref.labels
    of_chart = labels.get("app") == "vcluster" and "release" in labels and not (ref.synced or is_copy(ref))
    return of_chart and ref.plural == "secrets" and ref.name == f"vc-config-{labels['release']}"
