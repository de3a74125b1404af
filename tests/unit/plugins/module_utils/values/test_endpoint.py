# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of endpoints: from options to values and back, one after the other, and what cannot be a host name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.values import tree
from ansible_collections.nested.clusters.plugins.module_utils.values.endpoint import ENDPOINT_TYPES, Endpoint, moved

HOST = "team.vc.example.com"
OPTIONS: list[dict[str, Any]] = [
    {"type": "cluster_ip", "host": HOST},
    {"type": "node_port", "host": HOST},
    {"type": "load_balancer", "host": HOST, "annotations": {"a": "b"}},
    {"type": "ingress", "host": HOST, "ingress_class": "nginx"},
    {"type": "gateway", "host": HOST, "gateway_name": "public", "gateway_namespace": "net"},
]
ENDPOINTS = [Endpoint.of(option) for option in OPTIONS]


def kind_of(endpoint: Endpoint) -> str:
    return endpoint.type.name


def get(data: dict[str, Any], path: str) -> Any:
    return tree.get(data, tuple(path.split(".")))


@pytest.mark.parametrize("second", ENDPOINTS, ids=kind_of)
@pytest.mark.parametrize("first", ENDPOINTS, ids=kind_of)
def test_endpoint_onto_another_one_replaces_it(first: Endpoint, second: Endpoint) -> None:
    """Whatever was there before, one is there in the end; and the same once more changes nothing."""
    own = {"sync": {"toHost": {"ingresses": {"enabled": True}}}}
    first = replace(first, host="old.example.com")
    result = second.onto(first.onto(own))
    assert get(result, "controlPlane.ingress.enabled") is (True if kind_of(second) == "ingress" else None)
    assert get(result, "controlPlane.tlsRoute.enabled") is (True if kind_of(second) == "gateway" else None)
    kinds = {"load_balancer": "LoadBalancer", "node_port": "NodePort"}
    assert get(result, "controlPlane.service.spec.type") == kinds.get(kind_of(second))
    assert get(result, "sync.toHost.ingresses.enabled") is True
    assert HOST in get(result, "controlPlane.proxy.extraSANs")
    assert second.onto(result) == result
    if first.type.has_host_name:
        assert "old.example.com" not in str(result)


def test_endpoint_with_a_host_name_has_a_route_in_values() -> None:
    ingress = ENDPOINTS[3].onto({})["controlPlane"]["ingress"]
    assert ingress == {"enabled": True, "host": HOST, "spec": {"ingressClassName": "nginx"}}
    route = ENDPOINTS[4].onto({})["controlPlane"]["tlsRoute"]
    assert route == {"enabled": True, "host": HOST, "parentRefs": [{"name": "public", "namespace": "net"}]}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda one: str(one["type"]))
def test_endpoint_as_plain_data_is_what_it_was_made_of(option: dict[str, Any]) -> None:
    endpoint = Endpoint.of(option)
    assert endpoint.as_dict() == option
    assert Endpoint.of({**dict.fromkeys(("host", "ingress_class", "annotations")), **option}) == endpoint


def test_endpoint_types_are_the_choices_of_the_option_in_order() -> None:
    assert list(ENDPOINT_TYPES) == ["cluster_ip", "node_port", "load_balancer", "ingress", "gateway"]
    assert [name for name, kind in ENDPOINT_TYPES.items() if kind.has_host_name] == ["ingress", "gateway"]
    assert [name for name, kind in ENDPOINT_TYPES.items() if not kind.external] == ["cluster_ip"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"type": "none"}, "endpoint.type: 'none' is not usable; allowed: cluster_ip, node_port"),
        ({"type": "ingress", "gateway_name": "x"}, "endpoint.gateway_name: .* for endpoint.type gateway, not ingress"),
        ({"type": "gateway"}, "endpoint.gateway_name: no value is set"),
    ],
)
def test_endpoint_of_options_that_contradict_each_other_is_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Endpoint.of(option)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (None, "endpoint.host: no value is set: .* tells virtual clusters apart by name"),
        ("a" * 64 + ".example.com", "at most 63 characters between two dots"),
        (".".join(["a" * 60] * 5), "it has 304 characters; allowed: a host name of at most 253"),
        ("*.example.com", "lower-case letters"),
        ("Team.example.com", "lower-case letters"),
        ("team_a.example.com", "lower-case letters"),
        ("team..com", "lower-case letters"),
    ],
)
def test_host_name_that_cannot_be_one_is_refused(host: str | None, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Endpoint.of({"type": "ingress", "host": host}).check_host("endpoint.host")


def test_host_name_that_can_be_one_is_taken() -> None:
    Endpoint.of({"type": "load_balancer"}).check_host("endpoint.host")
    Endpoint.of({"type": "ingress", "host": "a" * 63 + ".vc.example.com"}).check_host("endpoint.host")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=kind_of)
def test_endpoint_of_values_has_their_type_and_host_name(endpoint: Endpoint) -> None:
    """Values say which endpoint they make, also to whom did not make them."""
    host = HOST if endpoint.type.has_host_name else None
    assert Endpoint.of_values(endpoint.onto({})) == Endpoint(endpoint.type, host)


def notice(first: int, second: int, old: str | None, host: str = HOST) -> str | None:
    before = ENDPOINTS[first].onto({})
    return moved("team", before, replace(ENDPOINTS[second], host=host).onto(before), old)


def test_clients_of_an_endpoint_that_moves_need_a_new_kubeconfig() -> None:
    given = "what clients have leads to the old one; give them a new kubeconfig (export_kubeconfig)"
    of_team = "the endpoint of virtual cluster team changes from "
    assert notice(2, 4, "https://192.0.2.1") == (
        f"{of_team}load_balancer (https://192.0.2.1) to gateway (https://{HOST}): {given}"
    )
    assert notice(1, 2, None) == f"{of_team}node_port to load_balancer (a new address): {given}"
    assert notice(3, 0, f"https://{HOST}") == f"{of_team}ingress (https://{HOST}) to cluster_ip: {given}"
    assert notice(3, 3, f"https://{HOST}", "new.example.com") == (
        f"{of_team}ingress (https://{HOST}) to ingress (https://new.example.com): {given}"
    )


def test_clients_of_a_name_that_leads_elsewhere_keep_it() -> None:
    said = notice(3, 4, f"https://{HOST}")
    assert said is not None
    assert said.endswith(f": kubeconfigs stay as they are, and {HOST} has to lead to the gateway's address")


def test_clients_of_an_endpoint_that_stays_change_nothing() -> None:
    assert notice(3, 3, f"https://{HOST}") is None
    assert notice(0, 4, None) is None  # it had no clients outside
