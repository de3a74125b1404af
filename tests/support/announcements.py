# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests that carry out the changes of a plan: what is announced is sent in that order, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import BY_HELM, Change, ChangeKind
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.plan import Plan
from helm_releases import NAME, NAMESPACE

RESOURCES = {"Secret": "secrets", "ResourceQuota": "resourcequotas", "LimitRange": "limitranges"}


def without_repetitions(requests: Iterable[str]) -> list[str]:
    """Return requests without repetitions of the one before: neighbors of a plan can share one."""
    return [request for request, _same in itertools.groupby(requests)]


def request_of(change: Change) -> str:
    """Return the request that carries out a change, as VERB PATH or "helm VERB"."""
    kind, name = change.kind, change.target.name
    if kind in BY_HELM:
        return "helm uninstall" if kind is ChangeKind.UNINSTALL else "helm apply"
    if change.target.kind == "namespace":
        verbs = {ChangeKind.CREATE: "create", ChangeKind.DELETE: "delete", ChangeKind.SET_METADATA: "patch"}
        return f"{verbs[kind]} {path('v1', 'namespaces', None, name)}"
    if kind in (ChangeKind.CREATE, ChangeKind.CHANGE):
        verb = "create" if kind is ChangeKind.CREATE else "patch"
        return f"{verb} {path('v1', RESOURCES[change.target.kind], NAMESPACE, name)}"
    if change.target.kind == "volume claim":
        return f"patch {path('v1', 'persistentvolumeclaims', NAMESPACE, name)}"
    assert (kind, name) == (ChangeKind.SET_METADATA, NAME)
    return f"patch {path('apps/v1', 'statefulsets', NAMESPACE, NAME)}"


def announced(plan: Plan) -> list[str]:
    """Return the requests that carry out a plan."""
    return without_repetitions(request_of(change) for change in plan.changes)
