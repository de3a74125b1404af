# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a virtual cluster is made reachable: from the endpoint of a group or a task to vcluster.yaml. Pure functions.

What tells one type of endpoint from another is a row of ENDPOINT_TYPES.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..common.errors import OptionError
from . import tree

_HOST_LENGTH, _HOST_LABEL_LENGTH = 253, 63
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_CONTROL_PLANE = "controlPlane"
_SERVICE, _SANS = f"{_CONTROL_PLANE}.service", f"{_CONTROL_PLANE}.proxy.extraSANs"


# --- types of endpoints -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Route:
    """A kind of object that leads a host name to a virtual cluster; ``part`` of controlPlane in its values makes it."""

    api_version: str
    plural: str
    kind: str
    part: str

    @property
    def path(self) -> str:
        """Return the path of its settings in values."""
        return f"{_CONTROL_PLANE}.{self.part}"


@dataclass(frozen=True)
class EndpointType:
    """A type of endpoint: a row of the table.

    ``service`` is the type of the control plane's Service. ``route`` makes virtual clusters known by their host names;
    without it, they have none. ``options`` are those that no other type has, ``needed`` is one of them.
    """

    name: str
    service: str = "ClusterIP"
    route: Route | None = None
    options: tuple[str, ...] = ()
    needed: tuple[str, str] | None = None  # an option, and what is allowed
    external: bool = True  # whether clients outside of the host cluster reach it

    @property
    def has_host_name(self) -> bool:
        """Return whether it tells virtual clusters apart by their host names."""
        return self.route is not None


GATEWAY_API = "gateway.networking.k8s.io"
INGRESS_ROUTE = Route("networking.k8s.io/v1", "ingresses", "Ingress", "ingress")
# What vCluster's chart renders unless its values say another (source: chart/values.yaml, 0.34 to 0.36).
TLS_ROUTE = Route(f"{GATEWAY_API}/v1", "tlsroutes", "TLSRoute", "tlsRoute")
HOST_ROUTES = (INGRESS_ROUTE, TLS_ROUTE)

CLUSTER_IP = EndpointType("cluster_ip", external=False)
NODE_PORT = EndpointType("node_port", "NodePort")
LOAD_BALANCER = EndpointType("load_balancer", "LoadBalancer")
INGRESS = EndpointType("ingress", route=INGRESS_ROUTE, options=("ingress_class",))
GATEWAY = EndpointType(
    "gateway",
    route=TLS_ROUTE,
    options=("gateway_name", "gateway_namespace"),
    needed=("gateway_name", "the name of a Gateway with a TLS passthrough listener"),
)
ENDPOINT_TYPES = {kind.name: kind for kind in (CLUSTER_IP, NODE_PORT, LOAD_BALANCER, INGRESS, GATEWAY)}


# --- an endpoint ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Endpoint:
    """How a virtual cluster is reached. None is what nobody says; the host name of one in a group is its member's."""

    type: EndpointType = CLUSTER_IP
    host: str | None = None
    ingress_class: str | None = None
    gateway_name: str | None = None
    gateway_namespace: str | None = None
    annotations: Mapping[str, Any] | None = None  # of the Service, the Ingress or the TLSRoute

    @classmethod
    def of(cls, option: Mapping[str, Any]) -> Endpoint:
        """Make an endpoint from a module's option, or from a record. Raises OptionError where parts contradict."""
        name = option.get("type")
        if name not in tuple(ENDPOINT_TYPES):  # compared, not looked up: a record can hold anything
            raise OptionError("endpoint.type", name, ", ".join(ENDPOINT_TYPES))
        kind = ENDPOINT_TYPES[name]
        for other in ENDPOINT_TYPES.values():
            for one in other.options:
                if option.get(one) and other is not kind:
                    allowed = f"endpoint.type {other.name}"
                    message = f"the option is for {allowed}, not {kind.name}; remove it, or change the type"
                    raise OptionError(f"endpoint.{one}", option[one], allowed, message=message)
        if kind.needed and not option.get(kind.needed[0]):
            raise OptionError(f"endpoint.{kind.needed[0]}", None, kind.needed[1])
        return cls(kind, **{one: option.get(one) for one in _PARTS})

    @classmethod
    def of_values(cls, values: dict[str, Any]) -> Endpoint:
        """Return the endpoint that values make: its type, and its host name where the type has one."""
        kinds = ENDPOINT_TYPES.values()
        for kind in kinds:
            part = (tree.get(values, kind.route.path) or {}) if kind.route else {}
            if part.get("enabled") is True:
                return cls(kind, part.get("host"))
        service = str(tree.get(values, f"{_SERVICE}.spec.type"))
        return cls(next((kind for kind in kinds if not kind.route and kind.service == service), CLUSTER_IP))

    @property
    def namespace_of_gateway(self) -> str:
        """Return the namespace of its Gateway, which an endpoint can leave out."""
        return self.gateway_namespace or "default"

    def as_dict(self) -> dict[str, Any]:
        """Return what is said, as plain data; :meth:`of` reads it."""
        said = {one: getattr(self, one) for one in _PARTS}
        return {"type": self.type.name, **{one: value for one, value in said.items() if value is not None}}

    def check_host(self, option: str) -> None:
        """Raise OptionError for a host name that cannot be one, or is missing; ``option`` is where it comes from."""
        if self.host is None:
            if self.type.has_host_name:
                reason = f"endpoint type {self.type.name} tells virtual clusters apart by name"
                raise OptionError(option, None, "a host name, such as team-a.vc.example.com", reason=reason)
            return
        if len(self.host) > _HOST_LENGTH:
            reason = f"it has {len(self.host)} characters"
            raise OptionError(option, self.host, f"a host name of at most {_HOST_LENGTH} characters", reason=reason)
        for label in self.host.split("."):
            if len(label) > _HOST_LABEL_LENGTH:
                reason = f"{label} has {len(label)} characters"
                allowed = f"at most {_HOST_LABEL_LENGTH} characters between two dots"
                raise OptionError(option, self.host, allowed, reason=reason)
            if not _LABEL.fullmatch(label):
                raise OptionError(option, self.host, "a host name of lower-case letters, digits, '-' and '.'")

    def values(self) -> dict[str, Any]:
        """Return the values that make it, without the names of the certificate (see :func:`certificate_names`)."""
        annotations = {"annotations": dict(self.annotations)} if self.annotations else {}
        if self.type.route:
            route = {"enabled": True, "host": self.host, **annotations, **self._route_settings()}
            return tree.at(self.type.route.path, route)
        service: dict[str, Any] = annotations
        if self.type.service != CLUSTER_IP.service:
            service = {**service, "spec": {"type": self.type.service}}
        return tree.at(_SERVICE, service) if service else {}

    def _route_settings(self) -> dict[str, Any]:
        if self.gateway_name:
            # Without a namespace it would be the route's own.
            return {"parentRefs": [{"name": self.gateway_name, "namespace": self.namespace_of_gateway}]}
        return {"spec": {"ingressClassName": self.ingress_class}} if self.ingress_class else {}

    def onto(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return values with this endpoint, and with none of another type that they had before."""
        result = tree.merge(_without_endpoint(values, self.host), self.values())
        return tree.merge(result, certificate_names(result, self.host))


_PARTS = ("host", "ingress_class", "gateway_name", "gateway_namespace", "annotations")


def moved(name: str, before: dict[str, Any], after: dict[str, Any], old: str | None) -> str | None:
    """Return what clients have to change when values change the endpoint; None for nothing.

    ``old`` is its URL, if it has one. Whoever comes by a port of the host cluster, as to ``cluster_ip``, does so after
    as before.
    """
    was, new = Endpoint.of_values(before), Endpoint.of_values(after)
    if was == new or not was.type.external:
        return None
    kind, host = new.type.name, new.host
    said = f"the endpoint of virtual cluster {name} changes from {was.type.name}{f' ({old})' if old else ''} to {kind}"
    if host and old == f"https://{host}":
        return f"{said}: kubeconfigs stay as they are, and {host} has to lead to the {kind}'s address"
    at = f" ({f'https://{host}' if host else 'a new address'})" if new.type.external else ""
    return f"{said}{at}: what clients have leads to the old one; give them a new kubeconfig (export_kubeconfig)"


def certificate_names(merged: dict[str, Any], host: str | None) -> dict[str, Any]:
    """Return the values that put a host name into the server's certificate; {} where they do already."""
    names = tree.get(merged, _SANS) or []
    return tree.at(_SANS, [*names, host]) if host and host not in names else {}


def _without_endpoint(deployed: dict[str, Any], host: str | None) -> dict[str, Any]:
    """Return values without an endpoint of this collection: what else a Service, an Ingress or a route has stays."""
    result = tree.merge({}, deployed)
    control_plane = result.get(_CONTROL_PLANE) or {}
    parts = [route.part for route in HOST_ROUTES]
    old = {tree.get(control_plane, f"{part}.host") for part in parts} - {None, host}
    for part in parts:
        if isinstance(control_plane.get(part), dict):
            for key in ("enabled", "host", "parentRefs"):
                control_plane[part].pop(key, None)
            if isinstance(control_plane[part].get("spec"), dict):
                control_plane[part]["spec"].pop("ingressClassName", None)
                if not control_plane[part]["spec"]:
                    del control_plane[part]["spec"]
            if not control_plane[part]:
                del control_plane[part]
    spec = tree.get(control_plane, "service.spec")
    if isinstance(spec, dict):
        spec.pop("type", None)
    kept = [name for name in tree.get(result, _SANS) or [] if name not in old]
    if old and tree.get(result, _SANS) is not None:
        control_plane["proxy"]["extraSANs"] = kept
    return result
