# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which virtual clusters a task is for: found on a host cluster with one LIST a kind, however many they are."""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ..common import yaml_io
from ..common.well_known import GROUP_LABEL, NAME_ANNOTATION, OWNER_ANNOTATION, SYNCED_LABEL
from ..k8s.client import Kubernetes, parallel
from ..k8s.errors import KubernetesError
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import Object, Objects, path
from ..virtual_cluster import phases, workloads
from . import observed, readers
from .observed import ClusterKey, ObservedCluster

NAMES_AT_ONCE = 50  # in one label selector; the address of a request has its limits
_RELEASE_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Selector:
    """Which virtual clusters: every field that is set narrows the choice."""

    names: tuple[str, ...] = ()
    namespace: str | None = None
    group: str | None = None
    owner: str | None = None
    label_selectors: tuple[str, ...] = ()
    phases: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Found:
    """A virtual cluster that was selected. Group and owner are None where they are not recorded, or not readable."""

    host: HostCluster
    seen: ObservedCluster
    phase: str
    group: str | None
    owner: str | None
    namespaces: tuple[str, ...]  # that it made on the host cluster for what it syncs

    @property
    def key(self) -> ClusterKey:
        return self.seen.namespace, self.seen.name


@dataclass(frozen=True)
class Lists:
    """What the LISTs for some virtual clusters returned."""

    control_planes: Objects
    etcd: dict[ClusterKey, Object]
    pods: dict[ClusterKey, Objects]
    synced: Objects

    def seen(self, control_plane: Object, namespaces: Collection[str] = ()) -> ObservedCluster:
        """Return one of the virtual clusters."""
        key = readers.key_of(control_plane)
        bare = ObservedCluster(control_plane, self.etcd.get(key), tuple(self.pods.get(key, ())))
        return replace(bare, synced=observed.synced_by(bare, self.synced, namespaces))


def look(
    reader: readers.Reader, names: Iterable[str], state: str, labels: Sequence[str] = (), pods: bool = True
) -> Lists:
    """Return the virtual clusters of these names, or all, with what matters for a state of POWER_STATES, or for absent.

    ``labels`` are further label selectors for control planes; without ``pods`` only a pause looks at pods.
    """
    which = ["release"]
    distinct = sorted(filter(_RELEASE_NAME.fullmatch, set(names)))  # no other is a name, nor fit for a selector
    if 0 < len(distinct) <= NAMES_AT_ONCE:
        which = [f"release in ({','.join(distinct)})"]
    control = ",".join(["app=vcluster", *which, *labels])
    etcd = ",".join(["app=vcluster-etcd", *which])
    own = ",".join(["app in (vcluster,vcluster-etcd)", *which, f"!{SYNCED_LABEL}"])
    pausing = state == "paused"
    list_pods = partial(reader.kubernetes.list, path("v1", "pods", reader.namespace), metadata_only=pausing)
    questions: list[Callable[[], Objects]] = [
        partial(reader.required, "apps/v1", "statefulsets", control),
        partial(reader.required, "apps/v1", "deployments", control),
        partial(reader.required, "apps/v1", "statefulsets", etcd) if state != "absent" else list,
    ]
    if pods or pausing:
        questions.append(partial(list_pods, labels=own))
    if pausing:
        questions.append(partial(list_pods, labels=which[0].replace("release", SYNCED_LABEL)))
    stateful_sets, deployments, etcds, *rest = parallel(questions)
    for kind, items in (("StatefulSet", stateful_sets), ("Deployment", deployments), ("StatefulSet", etcds)):
        for item in items:
            item["kind"] = kind  # items of a LIST do not say
    of: dict[ClusterKey, Objects] = defaultdict(list)
    for pod in rest[0] if rest else ():
        of[readers.key_of(pod)].append(pod)
    return Lists(
        stateful_sets + deployments,
        {readers.key_of(item): item for item in etcds},
        of,
        rest[1] if pausing else [],
    )


def find(selector: Selector, state: str, host: HostCluster) -> tuple[list[Found], set[str]]:
    """Return (the virtual clusters to bring to a state, which of the names exist here).

    Raises KubernetesError where what the selector asks for may not be read.
    """
    reader = readers.Reader(host.kubernetes, selector.namespace)
    read_all = partial(look, reader, selector.names, state, selector.label_selectors, pods=state == "restarted")
    lists, places = parallel([read_all, partial(_namespaces, host.kubernetes, selector)])
    there = {workloads.cluster_name(item) for item in lists.control_planes if _is_named(item, selector.names)}
    if set(selector.names) - there and selector.label_selectors:
        # One that is there, and has other labels, is no mistake.
        others = look(reader, selector.names, "running", pods=False).control_planes
        there |= {workloads.cluster_name(item) for item in others}
    return choose(selector, host, lists, places), there & set(selector.names)


def choose(selector: Selector, host: HostCluster, lists: Lists, namespaces: Mapping[str, Object]) -> list[Found]:
    """Return those that a selector means of the control planes in ``lists``, sorted by namespace and name.

    Label selectors were applied by the LISTs. Pods and events are asked for where a workload does not tell its phase.
    """
    candidates = [item for item in lists.control_planes if _is_named(item, selector.names)]
    made_for = _made_for(namespaces.values())
    narrowed = readers.Selection(
        selector.names[0] if len(selector.names) == 1 else None, selector.namespace, phases=selector.phases
    )
    pods, events = readers.details(readers.Reader(host.kubernetes, selector.namespace), narrowed, candidates)
    result = []
    for item in candidates:
        key = readers.key_of(item)
        group, owner = membership_of(namespaces.get(key[0]), key[1])
        # The group's label goes with the namespace: one that is not in the group is not meant.
        if (selector.group and group != selector.group) or (selector.owner and owner != selector.owner):
            continue
        now = phases.phase(item, pods.get(key, ()), namespaces.get(key[0]), events.get(key[0], ()))
        if selector.phases and now not in selector.phases:
            continue
        own = tuple(made_for.get(observed.marker(key[1], key[0]), ()))
        result.append(Found(host, lists.seen(item, own), now, group, owner, own))
    return sorted(result, key=lambda found: found.key)


def values_of(found: Found) -> dict[str, object] | None:
    """Return the values of a virtual cluster's release, with the chart's defaults; None where they cannot be read."""
    name = f"vc-config-{found.seen.name}"
    try:
        secret = found.host.kubernetes.get(path("v1", "secrets", found.seen.namespace, name))
        loaded = yaml_io.load(base64.b64decode((secret or {})["data"]["config.yaml"]))
    except KubernetesError as error:
        if error.status != 403:
            raise
        return None
    except (KeyError, TypeError, ValueError, yaml_io.YAMLError):
        return None
    return loaded if isinstance(loaded, dict) else None


def _namespaces(kubernetes: Kubernetes, selector: Selector) -> dict[str, Object]:
    """Return namespaces by name; none if they may not be read, unless the selector needs them."""
    try:
        if selector.namespace:
            one = kubernetes.get(path("v1", "namespaces", None, selector.namespace))
            return {selector.namespace: one} if one else {}
        listed = kubernetes.list(path("v1", "namespaces"), metadata_only=True)
    except KubernetesError as error:
        if error.status != 403 or selector.group or selector.owner:
            raise
        return {}
    return {item["metadata"]["name"]: item for item in listed}


def _made_for(namespaces: Iterable[Object]) -> dict[str, list[str]]:
    """Return names of namespaces that virtual clusters made, by the marker of the virtual cluster."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in namespaces:
        marker = (item["metadata"].get("labels") or {}).get(SYNCED_LABEL)
        if marker:
            found[marker].append(item["metadata"]["name"])
    return found


def membership_of(namespace: Object | None, name: str) -> tuple[str | None, str | None]:
    """Return (group, owner) that a namespace records for a virtual cluster; None where it records none."""
    metadata = (namespace or {}).get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    group = (metadata.get("labels") or {}).get(GROUP_LABEL)
    if not group or annotations.get(NAME_ANNOTATION, name) != name:
        return None, None
    return group, annotations.get(OWNER_ANNOTATION)


def _is_named(workload: Object, names: Collection[str]) -> bool:
    return not names or workloads.cluster_name(workload) in names
