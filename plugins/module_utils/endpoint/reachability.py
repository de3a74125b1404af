# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until the endpoint of a virtual cluster answers, and say where it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..common import progress
from ..common.errors import WaitError
from ..k8s.client import Kubernetes, parallel
from ..k8s.objects import Object, path
from ..values.endpoint import HOST_ROUTES, NODE_PORT
from ..virtual_cluster import description, readiness, workloads
from . import probe
from .host_support import list_routes
from .probe import ProbeStep


@dataclass(frozen=True)
class EndpointStatus:
    """Where a virtual cluster is reached, None where only its host cluster reaches it, and the links to there."""

    url: str | None
    links: tuple[ProbeStep, ...]

    @property
    def broken(self) -> ProbeStep | None:
        """Return the step that fails."""
        return probe.broken(self.links)

    def as_dict(self) -> dict[str, Any]:
        return {"url": self.url, "answers": self.broken is None, "links": [link.as_dict() for link in self.links]}


def look(kubernetes: Kubernetes, name: str, namespace: str) -> EndpointStatus:
    """Return the endpoint as it is now. Raises KubernetesError where the host cluster does not say."""
    selector = f"app=vcluster,release={name}"
    service, secret, pods, *listed = parallel(
        [
            partial(kubernetes.get, path("v1", "services", namespace, name)),
            partial(kubernetes.get, path("v1", "secrets", namespace, f"vc-{name}")),
            partial(kubernetes.list, path("v1", "pods", namespace), labels=selector),
            *(partial(list_routes, kubernetes, route, namespace, selector) for route in HOST_ROUTES),
        ]
    )
    routes = [
        {**item, "kind": route.kind} for route, items in zip(HOST_ROUTES, listed, strict=True) for item in items
    ]
    url = url_of(name, namespace, service, routes, pods)
    return EndpointStatus(url, tuple(probe.prove(url, routes, service, secret)))


def wait(kubernetes: Kubernetes, name: str, namespace: str, seconds: float) -> EndpointStatus:
    """Return the endpoint once it answers.

    Raises WaitError that names the link that is broken after so many seconds.
    """
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
                f"{problem.name}: {problem.message}; run the task again, or set verify_endpoint: false if the "
                "machine that runs the task cannot reach the endpoint",
                endpoint=found.as_dict(),
            )
        text = f"its endpoint does not answer yet: {problem.name}: {problem.message}"
        progress.report(f"virtual cluster {name}", text)
        time.sleep(readiness.POLL_SECONDS * 2)


def url_of(
    name: str,
    namespace: str,
    service: Object | None,
    routes: list[Object],
    pods: list[Object],
) -> str | None:
    """Return the URL from outside of the host cluster: what leads there, else a node's port."""
    url = description.endpoint(name, namespace, [service] if service else [], routes)
    if url or ((service or {}).get("spec") or {}).get("type") != NODE_PORT.service:
        return url
    ports = [port["nodePort"] for port in (service or {})["spec"]["ports"] if port.get("name") == "https"]
    # vCluster's certificate has the addresses of the nodes that its control plane runs on, and of no others.
    nodes = sorted(pod["status"]["hostIP"] for pod in pods if workloads.pod_ready(pod) and pod["status"].get("hostIP"))
    if not (ports and nodes):
        return None
    node = f"[{nodes[0]}]" if ":" in nodes[0] else nodes[0]
    return f"https://{node}:{ports[0]}"
