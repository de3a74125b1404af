# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint of a virtual cluster on its host cluster: whether it can be, where it is, and that it answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils import endpoint, fitness, phase, proof, values, waiting
from ansible_collections.nested.clusters.plugins.module_utils._kubernetes import (
    Kubernetes,
    list_allowed,
    parallel,
    path,
)
from ansible_collections.nested.clusters.plugins.module_utils.errors import OptionError, WaitError
from ansible_collections.nested.clusters.plugins.module_utils.proof import Link

Object = dict[str, Any]

_INGRESSES = ("networking.k8s.io/v1", "ingresses", "Ingress", ("controlPlane", "ingress"))
_ROUTES = (fitness.ROUTE_VERSION, "tlsroutes", "TLSRoute", ("controlPlane", "tlsRoute"))


@dataclass(frozen=True)
class Reach:
    """Where a virtual cluster is reached, None where only its host cluster reaches it, and the links to there."""

    url: str | None
    links: tuple[Link, ...]

    @property
    def broken(self) -> Link | None:
        """The link that does not hold."""
        return proof.broken(self.links)

    def as_dict(self) -> dict[str, Any]:
        return {"url": self.url, "answers": self.broken is None, "links": [link.as_dict() for link in self.links]}


def look(kubernetes: Kubernetes, name: str, namespace: str) -> Reach:
    """The endpoint as it is now. Raises KubernetesError where the host cluster does not say."""
    mine = f"app=vcluster,release={name}"
    service, secret, pods, ingresses, routes = parallel(
        [
            partial(kubernetes.get, path("v1", "services", namespace, name)),
            partial(kubernetes.get, path("v1", "secrets", namespace, f"vc-{name}")),
            partial(kubernetes.list, path("v1", "pods", namespace), labels=mine),
            partial(_optional, kubernetes, _INGRESSES, namespace, mine),
            partial(_optional, kubernetes, _ROUTES, namespace, mine),
        ]
    )
    leading = [{**item, "kind": "Ingress"} for item in ingresses] + [{**item, "kind": "TLSRoute"} for item in routes]
    url = url_of(name, namespace, service, leading, pods, None)
    return Reach(url, tuple(proof.prove(url, leading, service, secret)))


def wait(kubernetes: Kubernetes, name: str, namespace: str, seconds: float) -> Reach:
    """The endpoint once it answers. Raises WaitError that names the link that is broken after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        found = look(kubernetes, name, namespace)
        problem = found.broken
        if problem is None:
            return found
        if time.monotonic() > deadline:
            where = f" {found.url}" if found.url else ""
            raise WaitError(
                f"the endpoint{where} of virtual cluster {name} does not answer after {seconds:g} s: "
                f"{problem.name}: {problem.message}; run the task again, or with verify_endpoint: false where the "
                "endpoint is not reached from the machine that runs the task",
                endpoint=found.as_dict(),
            )
        time.sleep(waiting.POLL_SECONDS * 2)


def url_of(
    name: str,
    namespace: str,
    service: Object | None,
    routes: list[Object],
    pods: list[Object],
    given: Object | None,
) -> str | None:
    """The URL from outside of the host cluster: what leads there, else a node's port."""
    url = endpoint.endpoint(name, namespace, [service] if service else [], routes, given)
    if url or ((service or {}).get("spec") or {}).get("type") != "NodePort":
        return url
    ports = [port["nodePort"] for port in (service or {})["spec"]["ports"] if port.get("name") == "https"]
    # vCluster's certificate has the addresses of the nodes that its control plane runs on, and of no others.
    nodes = sorted(pod["status"]["hostIP"] for pod in pods if phase.pod_ready(pod) and pod["status"].get("hostIP"))
    if not (ports and nodes):
        return None
    node = f"[{nodes[0]}]" if ":" in nodes[0] else nodes[0]
    return f"https://{node}:{ports[0]}"


def check(
    kubernetes: Kubernetes, name: str, namespace: str, wanted: Object, deployed: Object, asked: Mapping[str, Any] | None
) -> None:
    """OptionError for an endpoint that cannot be on this host cluster: ``wanted`` and ``deployed`` are values.

    ``asked`` is the endpoint of a task; that of a group was held to its host clusters when they became members.
    """
    if asked and _parts(wanted) != _parts(deployed):
        problems = fitness.endpoint_problems(kubernetes, asked, wanted)
        if problems:
            allowed = "an endpoint that the host cluster can serve"
            raise OptionError("endpoint.type", asked["type"], allowed, reason="; ".join(problems))
    new = _hosts(wanted) - _hosts(deployed)
    if not new:
        return
    for kind in (_INGRESSES, _ROUTES):
        for thing in _optional(kubernetes, kind, None, ""):
            meta = thing["metadata"]
            taken = new & set(endpoint.hosts(thing["spec"]))
            if taken and (meta["name"], meta["namespace"]) != (name, namespace):
                raise OptionError(
                    "endpoint.host",
                    sorted(taken)[0],
                    "a host name that nothing else has",
                    reason=f"{kind[2]} {meta['name']} in namespace {meta['namespace']} has it",
                )


def _parts(given: Object) -> list[Any]:
    return [values.get(given, (*part, "enabled")) for _api, _plural, _kind, part in (_INGRESSES, _ROUTES)] + [
        values.get(given, ("controlPlane", "service", "spec", "type"))
    ]


def _hosts(given: Object) -> set[str]:
    parts = [values.get(given, part) or {} for _api, _plural, _kind, part in (_INGRESSES, _ROUTES)]
    return {str(part["host"]) for part in parts if part.get("enabled") is True and part.get("host")}


def _optional(kubernetes: Kubernetes, kind: tuple[Any, ...], namespace: str | None, labels: str) -> list[Object]:
    """What there is of a kind; nothing where it is not served, or may not be listed."""
    return list_allowed(kubernetes, path(kind[0], kind[1], namespace), labels=labels)
