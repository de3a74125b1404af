# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of group_layers: the values of a virtual cluster in a group."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.admission import group_layers
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Member
from ansible_collections.nested.clusters.plugins.module_utils.values import accessors, tree
from layer_builders import BARE, Object, at, get, group, merged


def test_layers_without_settings_have_built_in_values() -> None:
    result = merged(group(), member=BARE)
    assert get(result, "controlPlane.statefulSet.image.repository") == accessors.OPEN_SOURCE_IMAGE
    assert get(result, "controlPlane.statefulSet.resources.limits") == {"cpu": "1", "memory": "2Gi"}
    assert get(result, "controlPlane.statefulSet.persistence.volumeClaim.size") == "1Gi"
    assert list(result) == ["controlPlane"]
    assert list(result["controlPlane"]) == ["statefulSet"]


def test_layers_request_is_above_group_and_built_in() -> None:
    path = "controlPlane.statefulSet.resources.limits"
    of = group(values=tree.merge(at(f"{path}.memory", "3Gi"), at("sync.toHost.ingresses.enabled", False)))
    asked = at("sync.toHost.ingresses.enabled", True)
    found = group_layers.layers(of, BARE, "team", asked)
    assert group_layers.merge(found)["sync"] == asked["sync"]
    origins = group_layers.origins(found)
    assert origins[tuple(f"{path}.cpu".split("."))] == "built-in"
    assert origins[tuple(f"{path}.memory".split("."))] == "group"
    assert origins["sync", "toHost", "ingresses", "enabled"] == "request"


def test_layers_arguments_are_not_changed() -> None:
    given_values, asked = at("a.b", [1]), at("controlPlane.proxy.extraSANs", ["x"])
    of = group(values=given_values, oidc=OIDC)
    built_in = (accessors.BUILT_IN, group_layers.BUILT_IN_CONTROL_PLANE, group_layers.BUILT_IN_ETCD)
    before = copy.deepcopy((built_in, of, asked))
    result = merged(of, asked)
    result["a"]["b"].append(2)
    get(result, "controlPlane.proxy.extraSANs").append("y")
    assert (built_in, of, asked) == before


def test_layers_size_is_in_no_value() -> None:
    """A control plane restarts with its values, and shall not for a resize."""
    assert merged(group()) == merged(group(size={"default": {"cpu": "40", "memory": "80Gi", "storage": "90Gi"}}))


@pytest.mark.parametrize("in_group", [True, False])
def test_layers_deployed_etcd_has_limits(in_group: bool) -> None:
    store = at("controlPlane.backingStore.etcd.deploy.enabled", True)
    result = merged(group(values=store)) if in_group else merged(group(), store)
    etcd = get(result, "controlPlane.backingStore.etcd.deploy.statefulSet")
    assert etcd["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert etcd["persistence"]["volumeClaim"]["size"] == "1Gi"


def test_layers_distribution_of_group_is_enabled() -> None:
    of = group(distribution="k3s", vcluster_version="0.32.0")
    assert get(merged(of), "controlPlane.distro") == {"k3s": {"enabled": True}}
    assert get(merged(group()), "controlPlane.distro") is None


def test_layers_node_selector_of_member_is_used() -> None:
    member = Member("host-a", node_selector={"pool": "virtual"})
    result = merged(group(), member=member)
    assert get(result, "controlPlane.statefulSet.scheduling.nodeSelector") == {"pool": "virtual"}
    assert get(result, "sync.fromHost.nodes") == {"selector": {"labels": {"pool": "virtual"}}}


@pytest.mark.parametrize(
    ("endpoint", "where", "expected"),
    [
        ({"type": "cluster_ip"}, "controlPlane.service", None),
        ({"type": "cluster_ip", "annotations": {"a": "b"}}, "controlPlane.service", {"annotations": {"a": "b"}}),
        ({"type": "node_port"}, "controlPlane.service", {"spec": {"type": "NodePort"}}),
        (
            {"type": "load_balancer", "annotations": {"a": "b"}},
            "controlPlane.service",
            {"spec": {"type": "LoadBalancer"}, "annotations": {"a": "b"}},
        ),
        ({"type": "ingress"}, "controlPlane.ingress", {"enabled": True, "host": "team.a.example.com"}),
        (
            {"type": "ingress", "ingress_class": "nginx", "annotations": {"a": "b"}},
            "controlPlane.ingress",
            {
                "enabled": True,
                "host": "team.a.example.com",
                "spec": {"ingressClassName": "nginx"},
                "annotations": {"a": "b"},
            },
        ),
        (
            {"type": "gateway", "gateway_name": "public"},
            "controlPlane.tlsRoute",
            {
                "enabled": True,
                "host": "team.a.example.com",
                "parentRefs": [{"name": "public", "namespace": "default"}],
            },
        ),
        (
            {"type": "gateway", "gateway_name": "public", "gateway_namespace": "net", "annotations": {"a": "b"}},
            "controlPlane.tlsRoute",
            {
                "enabled": True,
                "host": "team.a.example.com",
                "parentRefs": [{"name": "public", "namespace": "net"}],
                "annotations": {"a": "b"},
            },
        ),
    ],
    ids=json.dumps,
)
def test_layers_endpoint_of_group_has_its_values(endpoint: Object, where: str, expected: Any) -> None:
    result = merged(group(endpoint=endpoint))
    assert get(result, where) == expected
    assert {"service", "ingress", "tlsRoute"} & set(result["controlPlane"]) <= {where.split(".")[1]}
    assert get(result, "controlPlane.proxy.extraSANs") == ["team.a.example.com"]


def test_layers_certificate_has_host_name_and_requested_names() -> None:
    of = group(values=at("controlPlane.proxy.extraSANs", ["everywhere"]))
    assert get(merged(of), "controlPlane.proxy.extraSANs") == ["everywhere", "team.a.example.com"]
    own = at("controlPlane.proxy.extraSANs", ["mine", "team.a.example.com"])
    assert get(merged(of, own), "controlPlane.proxy.extraSANs") == ["mine", "team.a.example.com"]
    assert get(merged(of, own, BARE), "controlPlane.proxy.extraSANs") == ["mine", "team.a.example.com"]
    assert get(merged(group(), {}, BARE), "controlPlane.proxy") is None
    assert get(merged(group(), at("controlPlane.proxy.extraSANs", None)), "controlPlane.proxy.extraSANs") == [
        "team.a.example.com"
    ]


OIDC = {
    "issuer_url": "https://id.example.com",
    "client_id": "kube",
    "groups_claim": "groups",
    "extra_scopes": ["email"],
}
ARGUMENTS = "controlPlane.distro.k8s.apiServer.extraArgs"


def test_layers_oidc_has_arguments_of_api_server() -> None:
    assert get(merged(group(oidc=OIDC)), ARGUMENTS) == [
        "--oidc-issuer-url=https://id.example.com",
        "--oidc-client-id=kube",
        "--oidc-groups-claim=groups",
    ]


def test_layers_oidc_keeps_other_arguments() -> None:
    of = group(oidc=OIDC, values=at(ARGUMENTS, ["--v=2"]))
    assert get(merged(of), ARGUMENTS)[:2] == ["--v=2", "--oidc-issuer-url=https://id.example.com"]
    assert get(merged(of, at(ARGUMENTS, ["--v=4"])), ARGUMENTS)[:2] == [
        "--v=4",
        "--oidc-issuer-url=https://id.example.com",
    ]


def test_layers_second_oidc_issuer_is_refused() -> None:
    own = at(ARGUMENTS, ["--v=2", "--oidc-issuer-url=https://hunter2.example.com"])
    with pytest.raises(OptionError) as caught:
        merged(group(oidc=OIDC), own)
    assert caught.value.data["option"] == "values"
    assert caught.value.data["value"] == f"{ARGUMENTS}: --oidc-issuer-url"
    assert f"values must not set --oidc-issuer-url in {ARGUMENTS}" in str(caught.value)
    assert "group dev has oidc settings" in str(caught.value)
    assert get(merged(group(), own), ARGUMENTS) == get(own, ARGUMENTS)


@pytest.mark.parametrize(
    ("quota", "limits", "expected"),
    [
        (None, None, False),
        (True, None, True),
        ("auto", None, False),
        ("true", "auto", True),
        (True, False, False),
        (True, "false", False),
        (False, True, True),
        (None, "true", True),
        (False, False, False),
    ],
)
def test_limits_containers_depends_on_policies(quota: Any, limits: Any, expected: bool) -> None:
    policies = {"resourceQuota": {"enabled": quota}, "limitRange": {"enabled": limits}}
    assert group_layers.limits_containers({"policies": policies}) is expected
