# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that the endpoint of a virtual cluster answers, from where the task runs: link by link.

The links are what stands between a client and the API: the route on the host cluster, the name in DNS, the address
behind it, the certificate, and the API itself. The first that is broken is named, because the others cannot be seen.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..k8s.errors import KubernetesError
from ..k8s.objects import Object
from ..k8s.port_forward import anyone_context, owner_context
from ..values.endpoint import LOAD_BALANCER, TLS_ROUTE

LINKS = ("route", "dns", "address", "certificate", "api")
SECONDS = 5.0  # for each link
_SPACES = "/api/v1/namespaces"


@dataclass(frozen=True)
class ProbeStep:
    """One link: its name of LINKS, whether it holds, and what was seen."""

    name: str
    ok: bool
    message: str

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "message": self.message}


class Broken(Exception):
    """What is wrong with a link, and what to look at."""


def prove(url: str | None, routes: Iterable[Object], service: Object | None, secret: Object | None) -> list[ProbeStep]:
    """Return the links to a virtual cluster in order, up to the first that is broken.

    ``routes`` are its Ingresses and TLSRoutes, ``service`` is that of its control plane, ``secret`` is ``vc-NAME`` with
    the CA and the client's certificate.
    """
    target = urlsplit(url or "")
    host, port = target.hostname or "", target.port or 443
    steps: list[ProbeStep] = []
    questions: list[tuple[str, Callable[[], str]]] = [
        ("route", lambda: _route(url, routes, service)),
        ("dns", lambda: _dns(host, port)),
        ("address", lambda: _address(host, port)),
        ("certificate", lambda: _certificate(host, port, _trust(anyone_context, secret))),
        ("api", lambda: _api(host, port, _trust(owner_context, secret))),
    ]
    for name, ask in questions:
        try:
            steps.append(ProbeStep(name, True, ask()))
        except Broken as error:
            steps.append(ProbeStep(name, False, str(error)))
            break
    return steps


def broken(links: Iterable[ProbeStep]) -> ProbeStep | None:
    """Return the step that fails, None if all succeed."""
    return next((link for link in links if not link.ok), None)


# --- the links --------------------------------------------------------------------------------------------


def _route(url: str | None, routes: Iterable[Object], service: Object | None) -> str:
    """Check the route to it on the host cluster."""
    kind = ((service or {}).get("spec") or {}).get("type")
    said = []
    for route in routes:
        what = f"{route['kind']} {route['metadata']['name']}"
        if route["kind"] == TLS_ROUTE.kind:
            _check_accepted(what, route)
        said.append(what)
    if kind == LOAD_BALANCER.service and not _given(service or {}):
        raise Broken(
            "its Service has no address: the load balancer has given none; look at the events of the Service, and "
            "whether the pool has addresses left"
        )
    if not url:
        raise Broken("it has no endpoint outside of its host cluster: no load balancer, Ingress, TLSRoute or node port")
    return ", ".join(said) or f"Service of type {kind}"


def _check_accepted(what: str, route: Mapping[str, Any]) -> None:
    parents = (route.get("status") or {}).get("parents") or []
    if not parents:
        raise Broken(f"{what} is not accepted: no controller of a Gateway has looked at it; does its Gateway exist?")
    for parent in parents:
        for condition in parent.get("conditions") or []:
            if condition["type"] in ("Accepted", "ResolvedRefs") and condition["status"] == "False":
                why = f"{condition.get('reason')}: {condition.get('message')}"
                raise Broken(f"{what} is not accepted by Gateway {(parent.get('parentRef') or {}).get('name')}: {why}")


def _given(service: Mapping[str, Any]) -> list[Any]:
    return ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []


def _dns(host: str, port: int) -> str:
    """Resolve the name on this machine."""
    with contextlib.suppress(ValueError):
        return f"{ipaddress.ip_address(host)} is an address"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        text = f"{host} does not resolve here ({error}): look at the DNS record, and which servers are asked here"
        raise Broken(text) from error
    return f"{host} is {', '.join(sorted({str(item[4][0]) for item in found}))}"


def _address(host: str, port: int) -> str:
    """Return whether somebody listens there."""
    try:
        with socket.create_connection((host, port), SECONDS) as connected:
            return f"{connected.getpeername()[0]} answers on port {port}"
    except OSError as error:
        raise Broken(
            f"{host} does not answer on port {port} ({error}): look at the load balancer, ingress or gateway, and at "
            "firewalls on the way from here"
        ) from error


def _certificate(host: str, port: int, context: ssl.SSLContext) -> str:
    """Return whether the certificate there is the virtual cluster's own, and for this name."""
    try:
        with (
            socket.create_connection((host, port), SECONDS) as connected,
            context.wrap_socket(connected, server_hostname=host) as secured,
        ):
            return f"the virtual cluster's own, by {secured.version()}"
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _NAME_ERRORS:
            raise Broken(
                f"the certificate is the virtual cluster's own, but not for {host}: add the name to "
                "controlPlane.proxy.extraSANs"
            ) from error
        raise Broken(
            f"the certificate at {host}:{port} is not the virtual cluster's own ({error.verify_message}): TLS is not "
            "passed through on the way, or the name leads to another virtual cluster"
        ) from error
    except OSError as error:  # a controller that knows no such name hangs up
        raise Broken(
            f"{host}:{port} ends the TLS handshake ({error}): no route there is for this name, or its backend is gone"
        ) from error


_NAME_ERRORS = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


def _api(host: str, port: int, context: ssl.SSLContext) -> str:
    """Return whether the API lists namespaces for the user of the kubeconfig."""
    connection = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
    try:
        connection.request("GET", _SPACES, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != http.client.OK:
            raise Broken(f"the API answers {answer.status} to a client with the kubeconfig: {content[:200]!r}")
        return f"lists {len(json.loads(content)['items'])} namespaces"
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        raise Broken(f"the API does not answer: {error}; look at the pods of the control plane") from error
    finally:
        connection.close()


def _started(secret: Object | None) -> Object:
    """Return the Secret with the certificates, of a virtual cluster that has written it."""
    needed = {"certificate-authority", "client-certificate", "client-key"}
    if secret is None or not needed <= (secret.get("data") or {}).keys():
        raise Broken("its kubeconfig Secret is not there yet: it has not started")
    return secret


def _trust(make: Callable[[Object], ssl.SSLContext], secret: Object | None) -> ssl.SSLContext:
    """Return the CA to trust and the credentials to show, from the Secret."""
    try:
        return make(_started(secret))
    except KubernetesError as error:
        raise Broken(str(error)) from None
