# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contents of namespaces: every object there is, in one LIST a kind, of metadata alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from ..common import well_known
from ..common.well_known import NOT_SYNCED
from ..helm.release import RELEASE_SECRET_TYPE
from ..k8s.client import Kubernetes, list_allowed, parallel
from ..k8s.errors import KubernetesError
from ..k8s.objects import UNKNOWN_KIND, Kinds, Object, path
from ..virtual_cluster.unlabelled import unlabelled
from .observed import ClusterKey

# Kinds that every namespace has, or that controllers derive from others and remove with them.
DERIVED = {
    "bindings",
    "endpoints",
    "endpointslices",
    "events",
    "localsubjectaccessreviews",
    "controllerrevisions",
}
OF_EVERY_NAMESPACE = {("configmaps", "kube-root-ca.crt"), ("serviceaccounts", "default")}


@dataclass(frozen=True)
class ObjectRef:
    """An object in the namespace: where it is, and the metadata that tells whose it is."""

    api_version: str
    plural: str
    meta: dict[str, Any]
    secret_type: str = ""
    written_for: str = ""  # the virtual cluster whose unlabelled object it is, by its name and what is in it

    @property
    def name(self) -> str:
        return str(self.meta["name"])

    @property
    def labels(self) -> dict[str, str]:
        return self.meta.get("labels") or {}

    @property
    def annotations(self) -> dict[str, str]:
        return self.meta.get("annotations") or {}

    @property
    def namespace(self) -> str | None:
        return self.meta.get("namespace")

    @property
    def synced(self) -> bool:
        """Return whether a virtual cluster copied it to its host cluster: a tenant wrote all its other metadata."""
        return well_known.SYNCED_LABEL in self.labels

    def path(self, namespace: str | None) -> str:
        return path(self.api_version, self.plural, namespace, self.name)

    def __str__(self) -> str:
        return f"{self.plural}/{self.name}"


def list_objects(kubernetes: Kubernetes, namespace: str | None, kinds: Kinds | None = None) -> list[ObjectRef]:
    """Return everything in a namespace, or in all, but what each one has: one LIST a kind, of metadata alone.

    ``kinds`` are those to look at, where they are known from an earlier look.
    """

    def ask(api_version: str, plural: str) -> list[ObjectRef]:
        if plural == UNKNOWN_KIND:
            return [ObjectRef(api_version, plural, {"name": "(unknown)"})]
        try:
            listed = kubernetes.list(path(api_version, plural, namespace), metadata_only=True)
        except KubernetesError as error:
            if error.status != 403:
                raise
            # What may not be seen may be somebody's: the namespace stays.
            return [ObjectRef(api_version, plural, {"name": "(no permission to list)"})]
        found = [ObjectRef(api_version, plural, one["metadata"]) for one in listed]
        return [ref for ref in found if (plural, ref.name) not in OF_EVERY_NAMESPACE]

    if kinds is None:
        kinds = namespaced_kinds(kubernetes)
    which_records = partial(_records, kubernetes, namespace) if ("v1", "secrets") in kinds else set[ObjectId]
    records, *answers = parallel([which_records, *(partial(ask, *kind) for kind in kinds)])
    refs = [ref for answer in answers for ref in answer]
    return [replace(one, secret_type=RELEASE_SECRET_TYPE) if _id(one) in records else one for one in refs]


def namespaced_kinds(kubernetes: Kubernetes) -> Kinds:
    """Return (apiVersion, plural) of what a virtual cluster can have in a namespace."""
    return served_kinds(kubernetes).namespaced


@dataclass(frozen=True)
class ServedKinds:
    """(apiVersion, plural) of what a virtual cluster can have in a namespace, and in none."""

    namespaced: Kinds
    cluster_scoped: Kinds


def served_kinds(kubernetes: Kubernetes) -> ServedKinds:
    """Return what a host cluster serves, but for what controllers derive from other objects."""
    found = [(kind, namespaced) for kind, namespaced in kubernetes.all_resources() if kind[1] not in DERIVED]
    return ServedKinds(
        [kind for kind, namespaced in found if namespaced],
        [kind for kind, namespaced in found if not namespaced],
    )


def _records(kubernetes: Kubernetes, namespace: str | None) -> set[ObjectId]:
    """Return the Secrets with Helm records: their type tells them, which metadata lacks.

    A copy of a record of a release inside a virtual cluster is no record of one here.
    """
    url, of_helm = path("v1", "secrets", namespace), f"type={RELEASE_SECRET_TYPE}"
    listed = list_allowed(kubernetes, url, labels=NOT_SYNCED, fields=of_helm, metadata_only=True)
    return {_id(ObjectRef("v1", "secrets", one["metadata"])) for one in listed}


def _id(ref: ObjectRef) -> ObjectId:
    return ref.plural, ref.namespace, ref.name


ObjectId: TypeAlias = "tuple[str, str | None, str]"  # plural, namespace, name


@dataclass(frozen=True)
class Contents:
    """Namespaces by name, and what is in each. ``unseen`` stands for kinds that could not be listed."""

    namespaces: Mapping[str, Object]
    inside: Mapping[str, list[ObjectRef]]
    unseen: tuple[ObjectRef, ...] = ()

    def of(self, namespace: str) -> list[ObjectRef]:
        """Return the contents of a namespace, with kinds that could not be listed."""
        return [*self.inside.get(namespace, ()), *self.unseen]

    def with_objects(self, objects: Iterable[ObjectRef]) -> Contents:
        """Return the same with further objects, such as those of a kind that was read for another reason."""
        inside = defaultdict(list, {namespace: list(found) for namespace, found in self.inside.items()})
        for one in objects:
            inside[one.namespace or ""].append(one)
        unseen = (*self.unseen, *inside.pop("", ()))
        return replace(self, inside=dict(inside), unseen=unseen)


def read(kubernetes: Kubernetes, namespace: str | None, kinds: Kinds) -> Contents:
    """Read the contents of a namespace, or of all of them."""
    namespaces, objects = parallel(
        [
            partial(_namespaces, kubernetes, namespace),
            partial(list_objects, kubernetes, namespace, kinds),
        ]
    )
    empty = Contents({one["metadata"]["name"]: one for one in namespaces}, {})
    return empty.with_objects(objects)


def examined(kubernetes: Kubernetes, held: Contents, keys: Iterable[ClusterKey]) -> Contents:
    """Return the same, looked into for what these virtual clusters wrote without labels."""
    names: dict[str, list[str]] = defaultdict(list)
    for namespace, name in sorted(keys):
        names[namespace].append(name)
    inside = {namespace: held.inside.get(namespace, []) for namespace in names}
    return replace(held, inside={**held.inside, **look_into(kubernetes, inside, names)})


def look_into(
    kubernetes: Kubernetes, inside: Mapping[str, list[ObjectRef]], names: Mapping[str, Iterable[str]]
) -> dict[str, list[ObjectRef]]:
    """Return things by namespace, with ``written_for`` if they have such names: one request for each of them."""
    written = {
        (where, *namespace_object): (name, fits)
        for where, all_names in names.items()
        for name in sorted(all_names)
        for namespace_object, fits in unlabelled(name).items()
    }
    suspects = [
        (ref, *written[key])
        for where, refs in inside.items()
        for ref in refs
        if (key := (where, ref.api_version, ref.plural, ref.name)) in written and not _is_labelled(ref)
    ]
    answers = parallel([partial(_written_for, kubernetes, *suspect) for suspect in suspects])
    known = {id(ref): answer for (ref, _name, _fits), answer in zip(suspects, answers, strict=True)}
    return {where: [known.get(id(ref), ref) for ref in refs] for where, refs in inside.items()}


def _is_labelled(ref: ObjectRef) -> bool:
    return ref.synced or bool({"release", well_known.NAME_LABEL} & ref.labels.keys())


def _written_for(kubernetes: Kubernetes, ref: ObjectRef, name: str, fits: Callable[[Object], bool]) -> ObjectRef:
    try:
        whole = kubernetes.get(ref.path(ref.namespace))
    except KubernetesError as error:
        if error.status != 403:
            raise
        return ref  # what may not be read may be somebody's
    return replace(ref, written_for=name) if whole and fits(whole) else ref


def _namespaces(kubernetes: Kubernetes, namespace: str | None) -> list[Object]:
    if namespace is None:
        return kubernetes.list(path("v1", "namespaces"))
    there = kubernetes.get(path("v1", "namespaces", None, namespace))
    return [there] if there else []
