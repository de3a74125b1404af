# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual cluster in a module's result: its description and its URLs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..common.well_known import MANAGED, NOISE_PREFIXES, PROTECTED, RESERVED_LABELS
from ..k8s.objects import Object
from . import diagnosis, workloads
from .phases import phase_and_failure
from .workloads import chart_version, cluster_name, container_tag, kubernetes_version

ROUTE_KINDS = ("Ingress", "TLSRoute")  # kinds that lead a host name to a virtual cluster


def endpoint(
    workload_name: str,
    namespace: str,
    services: Iterable[Object],
    ingresses: Iterable[Object],
    values: Object | None = None,
) -> str | None:
    """Return the URL that reaches a virtual cluster from outside its host cluster, or None where nothing says one.

    What the values declare wins over a host name, and that over a load balancer's address. Ingresses and
    TLSRoutes may be mixed.
    """
    declared = ((values or {}).get("exportKubeConfig") or {}).get("server")
    if declared:
        return declared if "://" in declared else f"https://{declared}"
    for route in _named(ingresses, workload_name, namespace):
        for host in hosts(route["spec"]):
            if host and "*" not in host:
                return f"https://{host}"
    for service in _named(services, workload_name, namespace):
        url = _load_balancer(service)
        if url:
            return url
    return None


def in_cluster(name: str, namespace: str) -> str:
    """Return the URL for clients in the host cluster; vCluster's certificate has this name by itself."""
    return f"https://{name}.{namespace}"


def _named(items: Iterable[Object], name: str, namespace: str) -> Iterator[Object]:
    # By name, not by label: a virtual cluster inside this one has its labels on synced Services here.
    for item in items:
        if item["metadata"]["name"] == name and item["metadata"].get("namespace") == namespace:
            yield item


def hosts(spec: Object) -> Iterator[str]:
    """Yield the host names of an Ingress (rules, then TLS) or of a TLSRoute."""
    yield from (rule.get("host", "") for rule in spec.get("rules") or [])
    for entry in spec.get("tls") or []:
        yield from entry.get("hosts") or []
    yield from spec.get("hostnames") or []


def _load_balancer(service: Object) -> str | None:
    if service["spec"].get("type") != "LoadBalancer":
        return None
    for address in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []:
        host = address.get("hostname") or address.get("ip")
        if host:
            ports = service["spec"].get("ports") or []
            port = next((item["port"] for item in ports if item.get("name") == "https"), 443)
            host = f"[{host}]" if ":" in host else host
            return f"https://{host}" if port == 443 else f"https://{host}:{port}"
    return None


@dataclass(frozen=True)
class RelatedObjects:
    """What else tells of a virtual cluster.

    ``services`` and ``routes`` (Ingresses and TLSRoutes) are None where they could not be read.
    """

    pods: Iterable[Object] = ()
    services: Iterable[Object] | None = None
    routes: Iterable[Object] | None = None
    namespace: Object | None = None
    events: Iterable[Object] = ()


def describe(
    workload: Object, related: RelatedObjects, now: datetime, values: Object | None = None
) -> dict[str, Any]:
    """Return a virtual cluster as the modules return it.

    The endpoint is what can be read of it. ``values`` are those of its release, if the caller has them.
    """
    pods, events = list(related.pods), list(related.events)
    metadata = workload["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    state, why = phase_and_failure(workload, pods, related.namespace, events, now)
    name, created = cluster_name(workload), metadata["creationTimestamp"]
    return {
        "name": name,
        "namespace": metadata["namespace"],
        "phase": state,
        "message": str(why) if why else diagnosis.progress(workload, pods, events) if state == "pending" else "",
        "vcluster_version": container_tag(workload, "containers", "syncer"),
        "kubernetes_version": kubernetes_version(workload),
        "chart_version": chart_version(workload),
        "endpoint": endpoint(name, metadata["namespace"], related.services or (), related.routes or (), values),
        "created": created,
        "age": max(0, int((now - workloads.timestamp(created)).total_seconds())),
        "kind": workloads.kind(workload),
        "replicas": workloads.replicas(workload),
        "ready_replicas": (workload.get("status") or {}).get("readyReplicas", 0),
        "protected": annotations.get(PROTECTED) == "true",
        "managed": annotations.get(MANAGED) == "true",
        "labels": {key: labels[key] for key in sorted(labels) if key not in RESERVED_LABELS},
        "annotations": {key: annotations[key] for key in sorted(annotations) if not key.startswith(NOISE_PREFIXES)},
    }
