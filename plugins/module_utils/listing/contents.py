# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that is on a host cluster, whoever made it: one LIST a kind, of metadata alone, however much there is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from ansible_collections.nested.clusters.plugins.module_utils import phase, removal
from ansible_collections.nested.clusters.plugins.module_utils._kubernetes import (
    UNKNOWN,
    Kinds,
    Kubernetes,
    list_allowed,
    parallel,
    path,
)
from ansible_collections.nested.clusters.plugins.module_utils.phase import Object
from ansible_collections.nested.clusters.plugins.module_utils.removal import Thing

OF_HELM = "app.kubernetes.io/managed-by=Helm"  # helm puts it on every object of a release
RELEASE_NAME, RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"

Key = tuple[str, str]  # namespace, name


@dataclass(frozen=True)
class Holdings:
    """Namespaces by name, and what is in each. ``unseen`` stands for kinds that could not be listed."""

    namespaces: Mapping[str, Object]
    inside: Mapping[str, list[Thing]]
    unseen: tuple[Thing, ...] = ()

    def of(self, namespace: str) -> list[Thing]:
        """What is in a namespace; what could not be listed may be in any."""
        return [*self.inside.get(namespace, ()), *self.unseen]


def read(kubernetes: Kubernetes, namespace: str | None, kinds: Kinds) -> Holdings:
    """What is in a namespace, or in all of them."""
    places, things = parallel(
        [
            partial(_namespaces, kubernetes, namespace),
            partial(removal.contents, kubernetes, namespace, kinds),
        ]
    )
    inside: dict[str, list[Thing]] = defaultdict(list)
    for thing in things:
        inside[thing.namespace or ""].append(thing)
    unseen = tuple(inside.pop("", ()))
    return Holdings({place["metadata"]["name"]: place for place in places}, inside, unseen)


def _namespaces(kubernetes: Kubernetes, namespace: str | None) -> list[Object]:
    if namespace is None:
        return kubernetes.list(path("v1", "namespaces"))
    there = kubernetes.get(path("v1", "namespaces", None, namespace))
    return [there] if there else []


def outside(kubernetes: Kubernetes) -> list[Thing]:
    """What releases and virtual clusters can have outside of their namespace; nothing of what may not be listed."""
    kinds = [kind for kind, _namespaced in kubernetes.all_resources() if kind[1] not in removal.DERIVED | {UNKNOWN}]
    questions = [partial(_labelled, kubernetes, kind, OF_HELM) for kind in kinds]
    questions += [partial(_labelled, kubernetes, kind, phase.SYNCED_LABEL) for kind in removal.SYNCED_CLUSTER_KINDS]
    found = {(thing.plural, thing.namespace, thing.name): thing for one in parallel(questions) for thing in one}
    return [thing for thing in found.values() if thing.annotations.get(RELEASE_NAMESPACE) != (thing.namespace or "")]


def _labelled(kubernetes: Kubernetes, kind: tuple[str, str], labels: str) -> list[Thing]:
    listed = list_allowed(kubernetes, path(*kind), labels=labels, metadata_only=True)
    return [Thing(*kind, one["metadata"]) for one in listed]


def outside_of(things: list[Thing], namespace: str, name: str) -> list[Thing]:
    """Those of ``things`` that virtual cluster NAME of a namespace has outside of it."""
    marker = phase.safe_concat(namespace, "x", name)
    return [thing for thing in things if is_outside_of(thing, namespace, name, marker)]


def is_outside_of(thing: Thing, namespace: str, name: str, marker: str) -> bool:
    """Whether a release NAME of a namespace has an object elsewhere, or a virtual cluster synced it there."""
    told = thing.annotations.get(RELEASE_NAME), thing.annotations.get(RELEASE_NAMESPACE)
    return told == (name, namespace) or (thing.namespace is None and thing.labels.get(phase.SYNCED_LABEL) == marker)
