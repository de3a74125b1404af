# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints as options: what cannot be is refused before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from host_api import Host
from modules import Module
from places import Place


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ({"type": "ingress"}, ["endpoint.host: ", "tells virtual clusters apart by name"]),
        ({"type": "ingress", "host": "a" * 64 + ".example.com"}, ["endpoint.host", "at most 63 characters"]),
        ({"type": "ingress", "host": ".".join(["a" * 60] * 5)}, ["endpoint.host", "at most 253 characters"]),
        (
            {"type": "ingress", "host": "a.example.com", "ingress_class": "none-such"},
            ["endpoint.type: 'ingress'", "no ingress class none-such"],
        ),
        (
            {"type": "gateway", "host": "a.example.com", "gateway_name": "none-such"},
            ["endpoint.type: 'gateway'"],
        ),
        ({"type": "gateway", "host": "a.example.com"}, ["endpoint.gateway_name"]),
    ],
)
def test_endpoint_with_bad_option_is_refused(
    host: Host, vcluster: Module, new: Callable[..., Place], endpoint: dict[str, Any], words: list[str]
) -> None:
    """Before a half-made virtual cluster stands there."""
    where = new("bad")
    message = vcluster.refused(name=where.name, endpoint=endpoint)
    assert [word for word in words if word not in message] == []
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None


def test_endpoint_host_that_is_taken_is_refused(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
    where, other = new("taken"), new("first", made_by_user=True)
    taken = f"{other.name}.example.com"
    klass = {"metadata": {"name": other.name}, "spec": {"controller": "example.com/none"}}
    host.create("/apis/networking.k8s.io/v1/ingressclasses", klass)
    backend = {"service": {"name": "x", "port": {"number": 443}}}
    rule = {"host": taken, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    ingress = {"metadata": {"name": "mine"}, "spec": {"ingressClassName": other.name, "rules": [rule]}}
    host.create(other.path("ingresses", version="networking.k8s.io/v1"), ingress)
    try:
        message = vcluster.refused(
            name=where.name, endpoint={"type": "ingress", "host": taken, "ingress_class": other.name}
        )
    finally:
        host.delete(f"/apis/networking.k8s.io/v1/ingressclasses/{other.name}")
    assert f"endpoint.host: {taken} is used by Ingress mine in namespace {other.namespace}" in message
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None
