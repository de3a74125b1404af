# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what describes virtual clusters, a LIST a kind, however many they are."""

from __future__ import annotations

import contextlib
import gc
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from ..k8s.client import Kubernetes, parallel
from ..k8s.errors import KubernetesError
from ..k8s.objects import Object, path
from ..virtual_cluster.description import RelatedObjects, describe
from ..virtual_cluster.diagnosis import open_questions
from ..virtual_cluster.phases import phase
from ..virtual_cluster.workloads import cluster_name
from .observed import ClusterKey

# Phases that the workload alone tells.
_TOLD_BY_WORKLOAD = {"running", "paused", "sleeping", "deleting"}
# What is not known where a kind may not be read. Nothing about TLSRoutes: the usual roles for readers do not name
# them, also where the host cluster has none.
_EFFECTS = {
    "pods": "why one is not running",
    "events": "why one is not running",
    "services": "an endpoint",
    "ingresses": "an endpoint",
    "namespaces": "a group",
    "nodes": "the capacity",
    "resourcequotas": "what is used",
    "persistentvolumeclaims": "what is used",
}

WORKLOAD_KINDS = (("apps/v1", "statefulsets"), ("apps/v1", "deployments"))  # of control planes
_NAMESPACE_ADVICE = "or give option namespace, to read only where it is permitted"


@dataclass(frozen=True)
class Selection:
    """Which virtual clusters: every field that is set narrows the choice."""

    name: str | None = None
    namespace: str | None = None
    label_selectors: tuple[str, ...] = ()
    phases: frozenset[str] = frozenset()
    group: str | None = None
    owner: str | None = None

    def labels(self, app: str = "app=vcluster") -> str:
        """Return a label selector for what belongs to these virtual clusters."""
        return ",".join([app, f"release={self.name}" if self.name else "release"])

    @property
    def in_group(self) -> bool:
        """Return whether only virtual clusters in a group can be meant."""
        return self.group is not None or self.owner is not None


def ask_workloads(reader: Reader, selection: Selection) -> list[Callable[[], list[Object]]]:
    """Return the questions for the workloads of the control planes: StatefulSets, and Deployments."""
    labels = ",".join([selection.labels(), *selection.label_selectors])
    return [partial(reader.required, *kind, labels) for kind in WORKLOAD_KINDS]


def of_lists(stateful_sets: list[Object], deployments: list[Object]) -> list[Object]:
    """Return the answers as one."""
    for kind, items in (("StatefulSet", stateful_sets), ("Deployment", deployments)):
        for item in items:
            item["kind"] = kind  # items of a LIST do not say
    return stateful_sets + deployments


def describe_all(
    reader: Reader,
    selection: Selection,
    workloads: list[Object],
    now: datetime,
    services: Iterable[Object] = (),
    routes: Iterable[Object] = (),
) -> list[dict[str, Any]]:
    """Return each workload's virtual cluster as ``describe`` gives it.

    Pods and Events are asked for where they are needed.
    """
    pods, events = details(reader, selection, workloads)
    services_of, routes_of = _by_name(services), _by_name(routes)
    return [
        describe(
            workload,
            RelatedObjects(
                pods=pods.get(key, ()),
                services=services_of.get(key, ()),
                routes=routes_of.get(key, ()),
                # A namespace that is being deleted takes its workload along at once: not worth a request.
                namespace=None,
                events=events.get(key[0], ()),
            ),
            now,
        )
        for workload in workloads
        for key in [key_of(workload)]
    ]


@contextlib.contextmanager
def garbage_collection_paused() -> Iterator[None]:
    # A thousand workloads are a million small objects, and none is garbage: looking takes half of the time.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor later, when the result is written
        if enabled:
            gc.enable()


class Reader:
    """LISTs in one namespace or in all of them. ``advice`` ends the refusal of a kind that is required in all."""

    def __init__(self, kubernetes: Kubernetes, namespace: str | None, advice: str = _NAMESPACE_ADVICE) -> None:
        self.kubernetes = kubernetes
        self.namespace = namespace
        self.advice = advice
        self.refused: set[str] = set()

    def within(self, namespace: str) -> Reader:
        """Return a reader of one namespace, whose warnings are those of this one."""
        result = Reader(self.kubernetes, namespace, self.advice)
        result.refused = self.refused
        return result

    def warnings(self) -> list[str]:
        """Return one warning for all that may not be read."""
        effects = dict.fromkeys(effect for plural, effect in _EFFECTS.items() if plural in self.refused)
        if not effects:
            return []
        refused = ", ".join(sorted(self.refused & _EFFECTS.keys()))
        return [f"no permission to list {refused}: {' or '.join(effects)} may not be known"]

    def namespaces(self, labels: str, required: bool) -> list[Object]:
        """Return the namespaces with these labels, or the one namespace, whatever its labels are."""
        try:
            if not self.namespace:
                return self.kubernetes.list(path("v1", "namespaces"), labels=labels)
            there = self.kubernetes.get(path("v1", "namespaces", None, self.namespace))
            return [there] if there else []
        except KubernetesError as error:
            if required or error.status != 403:
                raise
            self.refused.add("namespaces")
            return []

    def required(self, api_version: str, plural: str, labels: str = "", fields: str = "") -> list[Object]:
        try:
            where = path(api_version, plural, self.namespace)
            return self.kubernetes.list(where, labels=labels, fields=fields)
        except KubernetesError as error:
            if error.status == 403 and not self.namespace and self.advice:
                raise KubernetesError(f"{error}; {self.advice}", error.status, error.reason) from error
            raise

    def optional(self, api_version: str, plural: str, labels: str = "", fields: str = "") -> list[Object]:
        try:
            return self.required(api_version, plural, labels, fields)
        except KubernetesError as error:
            if error.status != 403:
                raise
            self.refused.add(plural)
            return []


def details(
    reader: Reader, selection: Selection, workloads: list[Object]
) -> tuple[dict[ClusterKey, list[Object]], dict[str, list[Object]]]:
    """Return (Pods by virtual cluster, Events by namespace); not asked for while every workload tells its phase."""
    if selection.phases and selection.phases <= _TOLD_BY_WORKLOAD:
        return {}, {}
    unclear = [workload for workload in workloads if phase(workload) in ("pending", "failed")]
    unclear = [workload for workload in unclear if workload["spec"].get("replicas") != 0]
    if not unclear:
        return {}, {}
    namespaces = {workload["metadata"]["namespace"] for workload in unclear}
    if len(namespaces) == 1:
        reader = reader.within(namespaces.pop())
    pods: dict[ClusterKey, list[Object]] = defaultdict(list)
    for pod in reader.optional("v1", "pods", selection.labels("app in (vcluster,vcluster-etcd)")):
        pods[key_of(pod)].append(pod)
    questions = set().union(*(open_questions(item, pods.get(key_of(item), ())) for item in unclear))
    asked = [partial(reader.optional, "v1", "events", fields=fields) for fields in sorted(questions)]
    events: dict[str, list[Object]] = defaultdict(list)
    for answer in parallel(asked):
        for event in answer:
            events[event["metadata"]["namespace"]].append(event)
    return pods, events


def key_of(item: Object) -> ClusterKey:
    return item["metadata"]["namespace"], cluster_name(item)


def _by_name(items: Iterable[Object]) -> dict[ClusterKey, list[Object]]:
    found: dict[ClusterKey, list[Object]] = defaultdict(list)
    for item in items:
        found[item["metadata"]["namespace"], item["metadata"]["name"]].append(item)
    return found
