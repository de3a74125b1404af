# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of a task to a request for a virtual cluster, and from what became of it to the task's result."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils import endpoint, phase
from ansible_collections.nested.clusters.plugins.module_utils._helm import Chart
from ansible_collections.nested.clusters.plugins.module_utils.control_plane import (
    DISTRIBUTIONS,
    STORES,
    ControlPlane,
)
from ansible_collections.nested.clusters.plugins.module_utils.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import Outcome, Request
from ansible_collections.nested.clusters.plugins.module_utils.membership import Asked
from ansible_collections.nested.clusters.plugins.module_utils.size import RESOURCES, Size


def virtual_cluster_spec() -> dict[str, Any]:
    """The options that say what a virtual cluster of a group shall be."""
    return {
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str"},
        "owner": {"type": "str"},
        "size": {"type": "dict", "options": {name: {"type": "str"} for name in RESOURCES}},
        "host_cluster": {"type": "str"},
        "force": {"type": "bool", "default": False},
        "vcluster_version": {"type": "str"},
        "kubernetes_version": {"type": "str"},
        "distribution": {"type": "str", "choices": list(DISTRIBUTIONS)},
        "replicas": {"type": "int"},
        "backing_store": {
            "type": "dict",
            "options": {
                "type": {"type": "str", "choices": list(STORES), "required": True},
                "replicas": {"type": "int"},
                "endpoint": {"type": "str"},
                "tls_secret": {"type": "str", "no_log": False},
                "data_source": {"type": "str", "no_log": True},
            },
        },
        "values": {"type": "dict"},
        "labels": {"type": "dict", "default": {}},
        "annotations": {"type": "dict", "default": {}},
        "protected": {"type": "bool"},
    }


def chart_spec() -> dict[str, Any]:
    """The options that say which chart and which helm to take."""
    return {
        "chart_ref": {"type": "str", "default": "vcluster"},
        "chart_repo_url": {"type": "str", "default": "https://charts.loft.sh"},
        "binary_path": {"type": "path"},
    }


def request(params: dict[str, Any]) -> Request:
    """The module's options as a request."""
    return Request(
        name=params["name"],
        namespace=params["namespace"] or f"vcluster-{params['name']}",
        chart=Chart(params["chart_ref"], params["chart_repo_url"], params["vcluster_version"]),
        vcluster_version=params["vcluster_version"],
        kubernetes_version=params["kubernetes_version"],
        values=params["values"],
        labels=params["labels"],
        annotations=params["annotations"],
        protected=params["protected"],
        control_plane=ControlPlane.of(params),
        endpoint=params["endpoint"],
        rollback=params["rollback"],
        patience=params["wait_timeout"],
    )


def in_group(params: dict[str, Any]) -> Asked:
    """The module's options for a group."""
    return Asked(
        group=params["group"],
        owner=params["owner"],
        size=Size.parse(params["size"], "size", partial=True),
        host_cluster=params["host_cluster"],
        force=params["force"],
        oidc=wants_oidc(params),
        ahead=params["ahead_of_group"],
    )


def wants_oidc(params: dict[str, Any]) -> bool:
    """Whether the kubeconfig shall log in at the issuer of a group."""
    return bool(params["export_kubeconfig"] and params["export_kubeconfig"]["user"] == "oidc")


def export(
    params: dict[str, Any],
    namespace: str,
    outcome: Outcome,
    check: bool,
    oidc: Mapping[str, Any],
    url: str | None = None,
) -> dict[str, Any]:
    """Write or return the kubeconfig; adds the step that writes it to the plan.

    ``oidc`` is that of its group, ``url`` where it was seen to answer.
    """
    options, name = params["export_kubeconfig"], params["name"]
    if not options:
        return {}
    secret = outcome.state.secret(f"vc-{name}")
    if secret is None:
        if not check:
            raise NestedClustersError(
                f"export_kubeconfig: Secret vc-{name} is not there yet, because virtual cluster {name} has not "
                "started; use wait: true, or run the task again when it has"
            )
        if options["path"]:  # a virtual cluster that is yet to be made has a new kubeconfig
            outcome.plan.steps.append(f"write kubeconfig {options['path']}")
        return {}
    release = outcome.state.release
    server = options["server"] or (endpoint.in_cluster(name, namespace) if options["in_cluster"] else None) or url
    server = server or endpoint.endpoint(
        name,
        namespace,
        [thing for key, thing in outcome.state.live.items() if key[1] == "Service"],
        [thing for key, thing in outcome.state.live.items() if key[1] in endpoint.ROUTES],
        release.values if release else None,
    )
    content = endpoint.kubeconfig(secret, server, options["context"] or f"vcluster_{name}_{namespace}")
    if oidc and options["user"] != "admin":
        content = endpoint.with_oidc(content, dict(oidc))
    if options["path"] and endpoint.write_kubeconfig(options["path"], content, check):
        outcome.plan.steps.append(f"write kubeconfig {options['path']}")
    return {"kubeconfig": content} if options["return_content"] else {}


def describe(outcome: Outcome, name: str) -> dict[str, Any]:
    """The virtual cluster as the task leaves it; empty where there is none."""
    workload = outcome.state.workload(name)
    if workload is None:
        return {}
    services = [thing for key, thing in outcome.state.live.items() if key[1] == "Service"]
    routes = [thing for key, thing in outcome.state.live.items() if key[1] in endpoint.ROUTES]
    release = outcome.state.release
    return phase.describe(
        workload,
        [],
        services,
        routes,
        None,
        datetime.now(timezone.utc),
        values=release.values if release else None,
    )
