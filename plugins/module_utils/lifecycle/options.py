# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of a task to a request for a virtual cluster."""

from __future__ import annotations

from typing import Any

from ..common.semver import parse_kubernetes_version, parse_version
from ..common.size import RESOURCES, Size
from ..helm.chart import Chart
from ..values.backing_store import STORES
from ..values.control_plane import DISTRIBUTIONS, ControlPlane
from ..values.endpoint import Endpoint
from ..virtual_cluster.membership import AdmissionRequest
from .export import KubeconfigExport
from .request import Request


def virtual_cluster_spec() -> dict[str, Any]:
    """Return the options that describe a virtual cluster of a group."""
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
    """Return the options that say which chart and which helm to take."""
    return {
        "chart_ref": {"type": "str", "default": "vcluster"},
        "chart_repo_url": {"type": "str", "default": "https://charts.loft.sh"},
        "binary_path": {"type": "path"},
    }


def request(params: dict[str, Any]) -> Request:
    """Make a request of the module's options. Raises OptionError where they contradict each other, or mean nothing."""
    if params["state"] == "absent":  # a deletion asks for none of them
        unused = dict.fromkeys(("endpoint", "backing_store", "vcluster_version", "kubernetes_version"))
        params = {**params, **unused}
    endpoint, vcluster, kubernetes = (params[name] for name in ("endpoint", "vcluster_version", "kubernetes_version"))
    return Request(
        name=params["name"],
        namespace=params["namespace"] or f"vcluster-{params['name']}",
        chart=Chart(params["chart_ref"], params["chart_repo_url"], vcluster),
        vcluster_version=parse_version(vcluster) if vcluster else None,
        kubernetes_version=parse_kubernetes_version(kubernetes) if kubernetes else None,
        values=params["values"],
        labels=params["labels"],
        annotations=params["annotations"],
        protected=params["protected"],
        control_plane=ControlPlane.of(params),
        endpoint=Endpoint.of(endpoint) if endpoint else None,
    )


def in_group(params: dict[str, Any]) -> AdmissionRequest:
    """Return the module's options for a group."""
    return AdmissionRequest(
        group=params["group"],
        owner=params["owner"],
        size=Size.parse(params["size"], "size", partial=True),
        host_cluster=params["host_cluster"],
        force=params["force"],
        oidc=wants_oidc(params),
        ahead=params["ahead_of_group"],
    )


def kubeconfig_export(params: dict[str, Any], verified_url: str | None = None) -> KubeconfigExport | None:
    """Return what the module's options say of a kubeconfig; None where none is asked for.

    ``verified_url`` is where the virtual cluster was seen to answer.
    """
    option = params["export_kubeconfig"]
    return KubeconfigExport.of(option, verified_url) if option else None


def wants_oidc(params: dict[str, Any]) -> bool:
    """Return whether the kubeconfig logs in at the issuer of a group."""
    wanted = kubeconfig_export(params)
    return wanted is not None and wanted.user == "oidc"
