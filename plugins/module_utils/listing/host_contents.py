# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a host cluster has of virtual clusters, in namespaces and outside of them, with one LIST a kind."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from ..k8s.client import Kubernetes, list_allowed, parallel
from ..k8s.objects import UNKNOWN_KIND, Object, path
from . import contents
from .contents import Contents, ObjectRef, ServedKinds
from .outside import OF_HELM, SYNCED_CLUSTER_KINDS, may_be_outside

NAMESPACES = ("v1", "namespaces")
VOLUMES = ("v1", "persistentvolumes")


@dataclass(frozen=True)
class HostContents:
    """What was read of a host cluster.

    ``outside`` is what releases and virtual clusters may have outside of their namespaces, by its labels.
    """

    inside: Contents
    outside: list[ObjectRef]
    volumes: list[Object]


def read_host(
    kubernetes: Kubernetes, namespace: str | None, kinds: ServedKinds, known: Collection[tuple[str, str]] = ()
) -> HostContents:
    """Read all namespaces, or the one that is named, and what is outside of it.

    One LIST a kind of ``kinds``, of metadata alone but for namespaces and volumes, and one more that tells which
    Secrets are Helm's. Where one namespace is named, a second LIST a kind finds by Helm's label what is in others.
    Nothing is outside of what may not be listed. ``known`` are kinds that the caller reads there by itself.
    """
    inside_kinds = [kind for kind in kinds.namespaced if kind not in known]
    in_full = (NAMESPACES, VOLUMES) if namespace is None else (VOLUMES,)
    elsewhere = kinds.cluster_scoped if namespace is None else [*kinds.cluster_scoped, *kinds.namespaced]
    labels = dict.fromkeys(elsewhere, OF_HELM)
    labels.update(dict.fromkeys(SYNCED_CLUSTER_KINDS, ""))  # there are few of these, and they have one of two labels
    wanted = [kind for kind in labels if kind not in in_full and kind[1] != UNKNOWN_KIND]
    inside, volumes, *answers = parallel(
        [
            partial(contents.read, kubernetes, namespace, inside_kinds),
            partial(list_volumes, kubernetes),
            *(partial(_listed, kubernetes, kind, labels[kind]) for kind in wanted),
        ]
    )
    found = [one for answer in answers for one in answer]
    found += [ObjectRef(*VOLUMES, one["metadata"]) for one in volumes]
    if namespace is None:
        found += [ObjectRef(*NAMESPACES, one["metadata"]) for one in inside.namespaces.values()]
        found += [one for objects in inside.inside.values() for one in objects]
    return HostContents(inside, list(filter(may_be_outside, found)), volumes)


def list_volumes(kubernetes: Kubernetes) -> list[Object]:
    """Return all PersistentVolumes in full, none to who may not list them: he need not wait for them either."""
    return list_allowed(kubernetes, path(*VOLUMES))


def _listed(kubernetes: Kubernetes, kind: tuple[str, str], labels: str) -> list[ObjectRef]:
    listed = list_allowed(kubernetes, path(*kind), labels=labels, metadata_only=True)
    return [ObjectRef(*kind, one["metadata"]) for one in listed]
