# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse an endpoint that its host cluster cannot serve, or that another one has."""

from __future__ import annotations

from typing import Any

from ..common.errors import OptionError
from ..k8s.client import Kubernetes
from ..k8s.objects import Object
from ..values import tree
from ..values.endpoint import HOST_ROUTES, Endpoint
from ..virtual_cluster import description
from .host_support import endpoint_problems, list_routes


def check(
    kubernetes: Kubernetes, name: str, namespace: str, wanted: Object, deployed: Object, requested: Endpoint | None
) -> None:
    """Raise OptionError for an endpoint that cannot be on this host cluster: ``wanted`` and ``deployed`` are values.

    ``asked`` is the endpoint of a task; that of a group was held to its host clusters when they became members.
    """
    if requested and _parts(wanted) != _parts(deployed):
        problems = endpoint_problems(kubernetes, requested, wanted)
        if problems:
            allowed = "an endpoint that the host cluster can serve"
            raise OptionError("endpoint.type", requested.type.name, allowed, reason="; ".join(problems))
    new = _hosts(wanted) - _hosts(deployed)
    if not new:
        return
    for route in HOST_ROUTES:
        for live in list_routes(kubernetes, route):
            meta = live["metadata"]
            taken = new & set(description.hosts(live["spec"]))
            if taken and (meta["name"], meta["namespace"]) != (name, namespace):
                raise OptionError(
                    "endpoint.host",
                    sorted(taken)[0],
                    "a host name that nothing else has",
                    message=f"{sorted(taken)[0]} is used by {route.kind} {meta['name']} in namespace "
                    f"{meta['namespace']}; choose another host name",
                )


def _parts(values: Object) -> list[Any]:
    return [tree.get(values, f"{route.path}.enabled") for route in HOST_ROUTES] + [
        tree.get(values, "controlPlane.service.spec.type")
    ]


def _hosts(values: Object) -> set[str]:
    parts = [tree.get(values, route.path) or {} for route in HOST_ROUTES]
    return {str(part["host"]) for part in parts if part.get("enabled") is True and part.get("host")}
