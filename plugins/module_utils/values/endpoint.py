# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a virtual cluster is made reachable: from an endpoint, of a group or a task, to vcluster.yaml. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..common.errors import OptionError
from . import tree

TYPES = ("cluster_ip", "node_port", "load_balancer", "ingress", "gateway")
NAMED = ("ingress", "gateway")  # types that tell virtual clusters apart by host name
SANS = ("controlPlane", "proxy", "extraSANs")

_HOST_LENGTH, _LABEL_LENGTH = 253, 63
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_OF_TYPE = {"ingress_class": "ingress", "gateway_name": "gateway", "gateway_namespace": "gateway"}
_CONTROL_PLANE, _SERVICE = "controlPlane", ("controlPlane", "service")


def check_form(endpoint: Mapping[str, Any]) -> None:
    """OptionError for an endpoint whose options contradict each other."""
    kind = endpoint.get("type")
    if kind not in TYPES:
        raise OptionError("endpoint.type", kind, ", ".join(TYPES))
    for option, of in _OF_TYPE.items():
        if endpoint.get(option) and kind != of:
            reason = f"it is {kind}"
            raise OptionError(f"endpoint.{option}", endpoint[option], f"endpoint.type {of}", reason=reason)
    if kind == "gateway" and not endpoint.get("gateway_name"):
        raise OptionError("endpoint.gateway_name", None, "the name of a Gateway with a TLS passthrough listener")


def check_host(endpoint: Mapping[str, Any], host: str | None, option: str) -> None:
    """OptionError for a host name that cannot be one, or is missing; ``option`` is where it comes from."""
    if host is None:
        if endpoint["type"] in NAMED:
            reason = f"endpoint type {endpoint['type']} tells virtual clusters apart by name"
            raise OptionError(option, None, "a host name, such as team-a.vc.example.com", reason=reason)
        return
    if len(host) > _HOST_LENGTH:
        reason = f"it has {len(host)} characters"
        raise OptionError(option, host, f"a host name of at most {_HOST_LENGTH} characters", reason=reason)
    for label in host.split("."):
        if len(label) > _LABEL_LENGTH:
            reason = f"{label} has {len(label)} characters"
            raise OptionError(option, host, f"at most {_LABEL_LENGTH} characters between two dots", reason=reason)
        if not _LABEL.fullmatch(label):
            raise OptionError(option, host, "a host name of lower-case letters, digits, '-' and '.'")


def of_endpoint(endpoint: Mapping[str, Any], host: str | None) -> dict[str, Any]:
    """The values of an endpoint, without the certificate's names (see :func:`names`)."""
    kind, annotations = endpoint["type"], dict(endpoint.get("annotations") or {})
    if kind == "ingress":
        ingress: dict[str, Any] = {"enabled": True, "host": host}
        if annotations:
            ingress["annotations"] = annotations
        if endpoint.get("ingress_class"):
            ingress["spec"] = {"ingressClassName": endpoint["ingress_class"]}
        return {_CONTROL_PLANE: {"ingress": ingress}}
    if kind == "gateway":
        # Without a namespace it would be the route's own.
        parent = {"name": endpoint["gateway_name"], "namespace": gateway_namespace(endpoint)}
        route: dict[str, Any] = {"enabled": True, "host": host, "parentRefs": [parent]}
        if annotations:
            route["annotations"] = annotations
        return {_CONTROL_PLANE: {"tlsRoute": route}}
    service: dict[str, Any] = {"annotations": annotations} if annotations else {}
    if kind in ("load_balancer", "node_port"):
        service["spec"] = {"type": "LoadBalancer" if kind == "load_balancer" else "NodePort"}
    return tree.at(_SERVICE, service) if service else {}


def way(given: dict[str, Any]) -> tuple[str, str | None]:
    """(type, host name) of the endpoint that values make; only those of NAMED have a host name."""
    for kind, part in (("ingress", "ingress"), ("gateway", "tlsRoute")):
        found = tree.get(given, (_CONTROL_PLANE, part)) or {}
        if found.get("enabled") is True:
            return kind, found.get("host")
    service = tree.get(given, (*_SERVICE, "spec", "type"))
    return {"LoadBalancer": "load_balancer", "NodePort": "node_port"}.get(str(service), "cluster_ip"), None


def moved(name: str, before: dict[str, Any], after: dict[str, Any], old: str | None) -> str | None:
    """What clients have to change when values change the endpoint; None for nothing. ``old`` is its URL, if it has one.

    Whoever comes by a port of the host cluster, as to ``cluster_ip``, does so after as before.
    """
    (kind, _host), (new, host) = way(before), way(after)
    if way(before) == way(after) or kind == "cluster_ip":
        return None
    said = f"the endpoint of virtual cluster {name} changes from {kind}{f' ({old})' if old else ''} to {new}"
    if host and old == f"https://{host}":
        return f"{said}: kubeconfigs stay as they are, and {host} has to lead to the {new}'s address"
    at = f" ({f'https://{host}' if host else 'a new address'})" if new != "cluster_ip" else ""
    return f"{said}{at}: what clients have leads to the old one; give them a new kubeconfig (export_kubeconfig)"


def gateway_namespace(endpoint: Mapping[str, Any]) -> str:
    """Where the Gateway of an endpoint is."""
    return endpoint.get("gateway_namespace") or "default"


def names(merged: dict[str, Any], host: str | None) -> dict[str, Any]:
    """The values that put a host name into the server's certificate; {} where they do already."""
    there = tree.get(merged, SANS) or []
    return tree.at(SANS, [*there, host]) if host and host not in there else {}


def onto(asked: dict[str, Any], endpoint: Mapping[str, Any], host: str | None) -> dict[str, Any]:
    """Values with this endpoint, and with none of another type that they had before."""
    result = _without(asked, host)
    result = tree.merge(result, of_endpoint(endpoint, host))
    return tree.merge(result, names(result, host))


def _without(deployed: dict[str, Any], host: str | None) -> dict[str, Any]:
    """Values without an endpoint of this collection: what else a Service, an Ingress or a route has stays."""
    result = tree.merge({}, deployed)
    control_plane = result.get(_CONTROL_PLANE) or {}
    old = {tree.get(control_plane, (part, "host")) for part in ("ingress", "tlsRoute")} - {None, host}
    for part in ("ingress", "tlsRoute"):
        if isinstance(control_plane.get(part), dict):
            for key in ("enabled", "host", "parentRefs"):
                control_plane[part].pop(key, None)
            if isinstance(control_plane[part].get("spec"), dict):
                control_plane[part]["spec"].pop("ingressClassName", None)
                if not control_plane[part]["spec"]:
                    del control_plane[part]["spec"]
            if not control_plane[part]:
                del control_plane[part]
    spec = tree.get(control_plane, ("service", "spec"))
    if isinstance(spec, dict):
        spec.pop("type", None)
    kept = [name for name in tree.get(result, SANS) or [] if name not in old]
    if old and tree.get(result, SANS) is not None:
        control_plane["proxy"]["extraSANs"] = kept
    return result
