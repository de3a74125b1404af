# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host cluster can be a member of a cluster group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ..common.well_known import FAKE_NODE
from ..endpoint.host_support import endpoint_problems
from ..k8s.client import Kubernetes, parallel
from ..k8s.objects import path
from .model import Group

# What nobody can go without who makes virtual clusters: (verb, API group, plural).
NEEDED = (
    ("create", "", "namespaces"),
    ("patch", "", "namespaces"),
    ("create", "", "secrets"),
    ("create", "", "configmaps"),
    ("create", "", "resourcequotas"),
    ("create", "", "limitranges"),
    ("create", "apps", "statefulsets"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
    ("create", "coordination.k8s.io", "leases"),
)


def problems(kubernetes: Kubernetes, group: Group, host: str | None = None) -> list[str]:
    """Return why a host cluster cannot be a member of a group, one sentence each; none if it can.

    ``host`` is a host name that a virtual cluster may have there, None where they have none.
    """
    nodes = kubernetes.list(path("v1", "nodes"))
    if is_virtual(nodes):
        return ["it is a virtual cluster itself; use the cluster that it runs on"]
    missing = _not_permitted(kubernetes)
    if missing:
        return [f"it is read-only for this connection, which may not {', '.join(missing)}"]
    return endpoint_problems(kubernetes, replace(group.endpoint, host=host), dict(group.values), nodes)


def is_virtual(nodes: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether nodes are what vCluster shows: it gives each an address, or a label, that no other node has."""
    for node in nodes:
        if FAKE_NODE in (node["metadata"].get("labels") or {}):
            return True
        addresses = (node.get("status") or {}).get("addresses") or []
        if any(str(item.get("address", "")).endswith(".nodes.vcluster.com") for item in addresses):
            return True
    return False


def _not_permitted(kubernetes: Kubernetes) -> list[str]:
    reviews = path("authorization.k8s.io/v1", "selfsubjectaccessreviews")

    def ask(verb: str, api_group: str, plural: str) -> bool:
        attributes = {"verb": verb, "group": api_group, "resource": plural}
        answer = kubernetes.create(
            reviews,
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            },
        )
        return bool((answer.get("status") or {}).get("allowed"))

    answers = parallel([partial(ask, *what) for what in NEEDED])
    return [f"{what[0]} {what[2]}" for what, allowed in zip(NEEDED, answers, strict=True) if not allowed]
