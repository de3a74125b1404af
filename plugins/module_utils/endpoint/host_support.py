# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host cluster supports an endpoint: load balancers, ingress controllers, Gateway API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..common.well_known import DEFAULT_INGRESS_CLASS
from ..k8s.client import Kubernetes, list_allowed, parallel
from ..k8s.objects import Object, path
from ..values import tree
from ..values.endpoint import GATEWAY, INGRESS, LOAD_BALANCER, TLS_ROUTE, Endpoint, EndpointType, Route
from . import ingress_controllers

# Kinds of API that only a load balancer's implementation brings.
LOAD_BALANCER_APIS = {
    "metallb.io",
    "cilium.io",
    "kube-vip.io",
    "purelb.io",
    "loxilb.io",
    "network.harvesterhci.io",
    "elbv2.k8s.aws",
}
CLOUDS = (
    "aws",
    "azure",
    "gce",
    "digitalocean",
    "hcloud",
    "linode",
    "oci",
    "openstack",
    "ibm",
    "vultr",
    "scaleway",
    "ovh",
)
_ROUTE_VERSION_AT = f"{TLS_ROUTE.path}.apiVersion"


def endpoint_problems(
    kubernetes: Kubernetes,
    endpoint: Endpoint,
    values: dict[str, Any],
    nodes: list[Object] | None = None,
) -> list[str]:
    """Return why a host cluster cannot serve an endpoint to virtual clusters with these values, one sentence each.

    ``nodes`` are those of the host cluster, where the caller has them.
    """
    check = _PROBLEMS.get(endpoint.type)
    return check(kubernetes, endpoint, values, nodes) if check else []


def _load_balancer_problems(
    kubernetes: Kubernetes, _endpoint: Endpoint, _values: dict[str, Any], nodes: list[Object] | None
) -> list[str]:
    """Return problems, none if Services of type LoadBalancer seem to get addresses; Kubernetes has no API for it."""
    nodes = kubernetes.list(path("v1", "nodes")) if nodes is None else nodes
    if any(str((node.get("spec") or {}).get("providerID", "")).startswith(CLOUDS) for node in nodes):
        return []
    served = {item["name"] for item in (kubernetes.get("/apis") or {}).get("groups", [])}
    if served & LOAD_BALANCER_APIS:
        return []
    services = kubernetes.list(path("v1", "services"), fields="spec.type=LoadBalancer")
    if any(((item.get("status") or {}).get("loadBalancer") or {}).get("ingress") for item in services):
        return []
    return [
        "endpoint type load_balancer needs an implementation of load balancers, and none was found: no MetalLB or "
        "other API of one, no cloud provider on a node, no Service of type LoadBalancer with an address"
    ]


def _ingress_problems(
    kubernetes: Kubernetes, endpoint: Endpoint, _values: dict[str, Any], _nodes: list[Object] | None
) -> list[str]:
    wanted = endpoint.ingress_class
    classes = kubernetes.list(path("networking.k8s.io/v1", "ingressclasses"))
    names = ", ".join(sorted(item["metadata"]["name"] for item in classes)) or "none"
    if wanted:
        found = [item for item in classes if item["metadata"]["name"] == wanted]
    else:
        annotated = [(item, item["metadata"].get("annotations") or {}) for item in classes]
        found = [item for item, annotations in annotated if annotations.get(DEFAULT_INGRESS_CLASS) == "true"]
    if found:
        return _passthrough_problems(kubernetes, found[0])
    if wanted:
        return [f"it has no ingress class {wanted}; it has {names}"]
    return [f"it has no default ingress class; name one with endpoint.ingress_class: it has {names}"]


def _passthrough_problems(kubernetes: Kubernetes, ingress_class: Mapping[str, Any]) -> list[str]:
    """Return why TLS does not reach a virtual cluster through an Ingress of this class; only NGINX is known."""
    name, controller = ingress_class["metadata"]["name"], str((ingress_class.get("spec") or {}).get("controller"))
    if "nginx" not in controller:
        return []
    if controller == ingress_controllers.F5_CLASS:
        return [
            f"ingress class {name} is of F5's NGINX Ingress Controller, which passes TLS through to a TransportServer, "
            "and to no Ingress: let the values of virtual clusters make one, as the role ingress_nginx describes"
        ]
    lists = parallel(
        [partial(list_allowed, kubernetes, path("apps/v1", plural)) for plural in ingress_controllers.CONTROLLER_KINDS]
    )
    workloads = [
        {"kind": kind, **item}
        for kind, items in zip(ingress_controllers.CONTROLLER_KINDS.values(), lists, strict=True)
        for item in items
    ]
    return [
        f"{one.what}, which serves ingress class {name}, does not pass TLS through: {'; '.join(one.missing())}"
        for one in ingress_controllers.controllers(workloads)
        if one.takes(ingress_class) and one.missing()
    ]


def _gateway_problems(
    kubernetes: Kubernetes, endpoint: Endpoint, values: dict[str, Any], _nodes: list[Object] | None
) -> list[str]:
    route_version = str(tree.get(values, _ROUTE_VERSION_AT) or TLS_ROUTE.api_version)
    served = {item["name"] for item in (kubernetes.get(f"/apis/{route_version}") or {}).get("resources", [])}
    if "tlsroutes" not in served:
        return [
            f"it serves no TLSRoute of {route_version}, which vCluster's chart makes: install Gateway API 1.5 or later"
        ]
    namespace, name = endpoint.namespace_of_gateway, endpoint.gateway_name
    gateway = kubernetes.get(path(TLS_ROUTE.api_version, "gateways", namespace, name))
    if gateway is None:
        return [f"it has no Gateway {name} in namespace {namespace}"]
    passing = [
        listener
        for listener in (gateway.get("spec") or {}).get("listeners") or []
        if listener.get("protocol") == "TLS" and (listener.get("tls") or {}).get("mode") == "Passthrough"
    ]
    if not passing:
        return [f"Gateway {namespace}/{name} has no listener with protocol TLS and mode Passthrough"]
    if all(_admits(listener) == "Same" for listener in passing):
        return [
            f"Gateway {namespace}/{name} admits routes of its own namespace only, and virtual clusters have others: "
            "set allowedRoutes.namespaces.from of its TLS listener to All, or to a Selector"
        ]
    host, taken = endpoint.host, [listener.get("hostname") for listener in passing]
    if host and not any(_takes(pattern, host) for pattern in taken):
        return [
            f"Gateway {namespace}/{name} takes no name such as {host}; it takes {', '.join(sorted(map(str, taken)))}"
        ]
    return []


def _takes(pattern: str | None, host: str) -> bool:
    """Return whether a listener's host name, which may begin with ``*.``, is one of this name.

    Without any, it takes all.
    """
    return not pattern or host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def _admits(listener: Mapping[str, Any]) -> str:
    """Return the namespaces from which a listener admits routes; the Gateway API's default is its own."""
    return str(((listener.get("allowedRoutes") or {}).get("namespaces") or {}).get("from") or "Same")


_Problems = Callable[..., list[str]]  # of a client, an endpoint, values and nodes
# What each type needs of a host cluster; the others need nothing.
_PROBLEMS: Mapping[EndpointType, _Problems] = {
    LOAD_BALANCER: _load_balancer_problems,
    INGRESS: _ingress_problems,
    GATEWAY: _gateway_problems,
}


def list_routes(kubernetes: Kubernetes, route: Route, namespace: str | None = None, labels: str = "") -> list[Object]:
    """Return the objects of a kind of route; none where it is not served, or may not be listed."""
    return list_allowed(kubernetes, path(route.api_version, route.plural, namespace), labels=labels)
