# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the virtual clusters of a host cluster, however many they are, with a fixed number of requests."""

from __future__ import annotations

import contextlib
import gc
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils._kubernetes import (
    Kubernetes,
    KubernetesError,
    parallel,
    path,
)
from ansible_collections.nested.clusters.plugins.module_utils.phase import (
    Object,
    cluster_name,
    describe,
    open_questions,
    phase,
)

# Phases that the workload alone tells.
_TOLD_BY_WORKLOAD = {"running", "paused", "sleeping", "deleting"}

Key = tuple[str, str]  # namespace, name


@dataclass(frozen=True)
class Selection:
    """Which virtual clusters: every field that is set narrows the choice."""

    name: str | None = None
    namespace: str | None = None
    label_selectors: tuple[str, ...] = ()
    phases: frozenset[str] = frozenset()

    def labels(self, app: str = "app=vcluster") -> str:
        """A label selector for what belongs to these virtual clusters."""
        return ",".join([app, f"release={self.name}" if self.name else "release"])


def read(kubernetes: Kubernetes, selection: Selection, now: datetime) -> tuple[list[dict[str, Any]], list[str]]:
    """(virtual clusters as ``describe`` gives them, sorted by namespace and name; warnings).

    A kind that the caller may not read is left out with a warning, except the workloads themselves.
    Raises KubernetesError where those cannot be read.
    """
    with _garbage_collection_paused():
        return _read(kubernetes, selection, now)


def _read(kubernetes: Kubernetes, selection: Selection, now: datetime) -> tuple[list[dict[str, Any]], list[str]]:
    reader = _Reader(kubernetes, selection.namespace)
    workload_labels = ",".join([selection.labels(), *selection.label_selectors])
    labels = selection.labels()
    stateful_sets, deployments, services, ingresses, routes = parallel(
        [
            lambda: reader.required("apps/v1", "statefulsets", workload_labels),
            lambda: reader.required("apps/v1", "deployments", workload_labels),
            # A virtual cluster has two Services; only those with an address of their own are transferred.
            lambda: reader.optional("v1", "services", labels, "spec.type=LoadBalancer"),
            lambda: reader.optional("networking.k8s.io/v1", "ingresses", labels),
            lambda: reader.optional("gateway.networking.k8s.io/v1", "tlsroutes", labels),
        ]
    )
    for kind, items in (("StatefulSet", stateful_sets), ("Deployment", deployments)):
        for item in items:
            item["kind"] = kind  # items of a LIST do not say
    workloads = stateful_sets + deployments
    pods, events = _details(reader, selection, workloads)
    services_of, routes_of = _by_name(services), _by_name(ingresses + routes)
    found = [
        describe(
            workload,
            pods.get(key, ()),
            services_of.get(key, ()),
            routes_of.get(key, ()),
            # A namespace that is being deleted takes its workload along at once: not worth a request.
            None,
            now,
            events.get(key[0], ()),
        )
        for workload in workloads
        for key in [_key(workload)]
    ]
    if selection.phases:
        found = [cluster for cluster in found if cluster["phase"] in selection.phases]
    return sorted(found, key=lambda cluster: (cluster["namespace"], cluster["name"])), reader.warnings()


@contextlib.contextmanager
def _garbage_collection_paused() -> Iterator[None]:
    # A thousand workloads are a million small objects, and none is garbage: looking takes half of the time.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # nor later, when the result is written
        if enabled:
            gc.enable()


class _Reader:
    """LISTs in one namespace or in all of them."""

    def __init__(self, kubernetes: Kubernetes, namespace: str | None) -> None:
        self.kubernetes = kubernetes
        self.namespace = namespace
        self.refused: set[str] = set()

    def warnings(self) -> list[str]:
        """One warning for all that may not be read."""
        # The usual roles for readers do not name TLSRoutes, also where the host cluster has none.
        refused = sorted(self.refused - {"tlsroutes"})
        if not refused:
            return []
        effects = []
        if self.refused & {"pods", "events"}:
            effects.append("why one is not running")
        if self.refused & {"services", "ingresses"}:
            effects.append("an endpoint")
        return [f"no permission to list {', '.join(refused)}: {' or '.join(effects)} may not be known"]

    def required(self, api_version: str, plural: str, labels: str = "", fields: str = "") -> list[Object]:
        try:
            where = path(api_version, plural, self.namespace)
            return self.kubernetes.list(where, labels=labels, fields=fields)
        except KubernetesError as error:
            if error.status == 403 and not self.namespace:
                raise KubernetesError(
                    f"{error}; or give option namespace, to read only where it is permitted",
                    error.status,
                    error.reason,
                ) from error
            raise

    def optional(self, api_version: str, plural: str, labels: str = "", fields: str = "") -> list[Object]:
        try:
            return self.required(api_version, plural, labels, fields)
        except KubernetesError as error:
            if error.status != 403:
                raise
            self.refused.add(plural)
            return []


def _details(
    reader: _Reader, selection: Selection, workloads: list[Object]
) -> tuple[dict[Key, list[Object]], dict[str, list[Object]]]:
    """(Pods by virtual cluster, Events by namespace); not asked for while every workload tells its phase."""
    if selection.phases and selection.phases <= _TOLD_BY_WORKLOAD:
        return {}, {}
    unclear = [workload for workload in workloads if phase(workload) in ("pending", "failed")]
    unclear = [workload for workload in unclear if workload["spec"].get("replicas") != 0]
    if not unclear:
        return {}, {}
    namespaces = {workload["metadata"]["namespace"] for workload in unclear}
    if len(namespaces) == 1:
        reader.namespace = namespaces.pop()
    pods: dict[Key, list[Object]] = defaultdict(list)
    for pod in reader.optional("v1", "pods", selection.labels("app in (vcluster,vcluster-etcd)")):
        pods[_key(pod)].append(pod)
    questions = set().union(*(open_questions(item, pods.get(_key(item), ())) for item in unclear))
    asked = [partial(reader.optional, "v1", "events", fields=fields) for fields in sorted(questions)]
    events: dict[str, list[Object]] = defaultdict(list)
    for answer in parallel(asked):
        for event in answer:
            events[event["metadata"]["namespace"]].append(event)
    return pods, events


def _key(item: Object) -> Key:
    return item["metadata"]["namespace"], cluster_name(item)


def _by_name(items: Iterable[Object]) -> dict[Key, list[Object]]:
    found: dict[Key, list[Object]] = defaultdict(list)
    for item in items:
        found[item["metadata"]["namespace"], item["metadata"]["name"]].append(item)
    return found
