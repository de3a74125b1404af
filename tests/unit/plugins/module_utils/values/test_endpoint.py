# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of exposure: endpoints as values, one after the other, and what cannot be a host name."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.values import endpoint as endpoint_values
from ansible_collections.nested.clusters.plugins.module_utils.values import tree

HOST = "team.vc.example.com"
ENDPOINTS: list[dict[str, Any]] = [
    {"type": "cluster_ip"},
    {"type": "node_port"},
    {"type": "load_balancer", "annotations": {"a": "b"}},
    {"type": "ingress", "ingress_class": "nginx"},
    {"type": "gateway", "gateway_name": "public", "gateway_namespace": "net"},
]


def get(data: dict[str, Any], path: str) -> Any:
    return tree.get(data, tuple(path.split(".")))


@pytest.mark.parametrize("second", ENDPOINTS, ids=lambda one: str(one["type"]))
@pytest.mark.parametrize("first", ENDPOINTS, ids=lambda one: str(one["type"]))
def test_one_endpoint_replaces_another(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Whatever was there before, one is there in the end; and the same once more changes nothing."""
    own = {"sync": {"toHost": {"ingresses": {"enabled": True}}}}
    result = endpoint_values.onto(endpoint_values.onto(own, first, "old.example.com"), second, HOST)
    assert get(result, "controlPlane.ingress.enabled") is (True if second["type"] == "ingress" else None)
    assert get(result, "controlPlane.tlsRoute.enabled") is (True if second["type"] == "gateway" else None)
    kinds = {"load_balancer": "LoadBalancer", "node_port": "NodePort"}
    assert get(result, "controlPlane.service.spec.type") == kinds.get(second["type"])
    assert get(result, "sync.toHost.ingresses.enabled") is True
    assert HOST in get(result, "controlPlane.proxy.extraSANs")
    assert endpoint_values.onto(result, second, HOST) == result
    if first["type"] in endpoint_values.NAMED:
        assert "old.example.com" not in str(result)


def test_values() -> None:
    ingress = endpoint_values.onto({}, ENDPOINTS[3], HOST)["controlPlane"]["ingress"]
    assert ingress == {"enabled": True, "host": HOST, "spec": {"ingressClassName": "nginx"}}
    route = endpoint_values.onto({}, ENDPOINTS[4], HOST)["controlPlane"]["tlsRoute"]
    assert route == {"enabled": True, "host": HOST, "parentRefs": [{"name": "public", "namespace": "net"}]}


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ({"type": "none"}, "endpoint.type: 'none' is not usable; allowed: cluster_ip, node_port"),
        ({"type": "ingress", "gateway_name": "x"}, "endpoint.gateway_name: 'x' .* allowed: endpoint.type gateway"),
        ({"type": "gateway"}, "endpoint.gateway_name: None"),
    ],
)
def test_endpoints_that_contradict_themselves(endpoint: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        endpoint_values.check_form(endpoint)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (None, "endpoint.host: None .* tells virtual clusters apart by name"),
        ("a" * 64 + ".example.com", "at most 63 characters between two dots"),
        (".".join(["a" * 60] * 5), "it has 304 characters; allowed: a host name of at most 253"),
        ("*.example.com", "lower-case letters"),
        ("Team.example.com", "lower-case letters"),
        ("team_a.example.com", "lower-case letters"),
        ("team..com", "lower-case letters"),
    ],
)
def test_host_names_that_cannot_be(host: str | None, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        endpoint_values.check_host({"type": "ingress"}, host, "endpoint.host")


def test_host_names_that_can_be() -> None:
    endpoint_values.check_host({"type": "load_balancer"}, None, "endpoint.host")
    endpoint_values.check_host({"type": "ingress"}, "a" * 63 + ".vc.example.com", "endpoint.host")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: str(one["type"]))
def test_which_way(endpoint: dict[str, Any]) -> None:
    """Values say which endpoint they make, also to whom did not make them."""
    host = HOST if endpoint["type"] in endpoint_values.NAMED else None
    assert endpoint_values.way(endpoint_values.onto({}, endpoint, HOST)) == (endpoint["type"], host)


def moved(first: int, second: int, old: str | None, host: str = HOST) -> str | None:
    before = endpoint_values.onto({}, ENDPOINTS[first], HOST)
    return endpoint_values.moved("team", before, endpoint_values.onto(before, ENDPOINTS[second], host), old)


def test_what_clients_have_to_change() -> None:
    given = "what clients have leads to the old one; give them a new kubeconfig (export_kubeconfig)"
    of_team = "the endpoint of virtual cluster team changes from "
    assert moved(2, 4, "https://192.0.2.1") == (
        f"{of_team}load_balancer (https://192.0.2.1) to gateway (https://{HOST}): {given}"
    )
    assert moved(1, 2, None) == f"{of_team}node_port to load_balancer (a new address): {given}"
    assert moved(3, 0, f"https://{HOST}") == f"{of_team}ingress (https://{HOST}) to cluster_ip: {given}"
    assert moved(3, 3, f"https://{HOST}", "new.example.com") == (
        f"{of_team}ingress (https://{HOST}) to ingress (https://new.example.com): {given}"
    )


def test_clients_keep_a_name_that_leads_elsewhere() -> None:
    said = moved(3, 4, f"https://{HOST}")
    assert said is not None
    assert said.endswith(f": kubeconfigs stay as they are, and {HOST} has to lead to the gateway's address")


def test_nothing_for_clients_to_change() -> None:
    assert moved(3, 3, f"https://{HOST}") is None
    assert moved(0, 4, None) is None  # it had no clients outside
