# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of eligibility: what keeps a host cluster from being a member of a group, before anything is made there."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.endpoint import host_support, ingress_controllers
from ansible_collections.nested.clusters.plugins.module_utils.groups import eligibility
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.values.endpoint import GATEWAY_API, Endpoint
from fake_api import FakeCluster
from fake_api.kinds import custom as custom_kind

Object = dict[str, Any]

FROM_ALL = {"namespaces": {"from": "All"}}
PASSTHROUGH = {
    "name": "tls",
    "protocol": "TLS",
    "port": 443,
    "tls": {"mode": "Passthrough"},
    "allowedRoutes": FROM_ALL,
}


KINDS = {"gateways": "Gateway", "httproutes": "HTTPRoute", "tlsroutes": "TLSRoute"}


class Discovery(FakeCluster):
    """A host cluster that serves no custom kinds but those of ``apis``."""

    def __init__(self) -> None:
        super().__init__()
        self.apis = {}

    @property
    def apis(self) -> dict[str, list[str]]:
        """The plurals of custom kinds by group/version."""
        return self._apis

    @apis.setter
    def apis(self, apis: dict[str, list[str]]) -> None:
        self._apis = apis
        custom = [kind for kind in self.kinds() if kind.custom]
        self.serve(without=[kind.kind for kind in custom])
        for api, plurals in apis.items():
            for plural in plurals or ["others"]:  # nobody serves a group without anything in it
                self.serve(custom_kind(api, KINDS.get(plural, "Other"), plural))


@pytest.fixture
def host() -> Discovery:
    result = Discovery()
    result.have("Node", "node", status={"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]})
    return result


def problems(host: FakeCluster, name: str | None = None, **endpoint: Any) -> list[str]:
    group = Group("dev", (), endpoint=Endpoint.of({"type": "cluster_ip", **endpoint}))
    return eligibility.problems(host.client(), group, name)


@pytest.mark.parametrize("kind", ["cluster_ip", "node_port"])
def test_eligibility_ordinary_host_has_no_problem(kind: str, host: Discovery) -> None:
    assert problems(host, type=kind) == []
    assert host.writes() == []


def test_eligibility_virtual_cluster_is_refused() -> None:
    for node in (
        {"labels": {"vcluster.loft.sh/fake-node": "true"}},
        {"status": {"addresses": [{"address": "10.1.2.3"}, {"address": "node.nodes.vcluster.com"}]}},
    ):
        host = Discovery()
        host.have("Node", "real")
        host.have("Node", "node", **node)
        (problem,) = problems(host)
        assert "virtual cluster itself" in problem


def test_is_virtual_without_nodes_is_false() -> None:
    assert not eligibility.is_virtual([])
    assert not eligibility.is_virtual([{"metadata": {"name": "x"}}, {"metadata": {"labels": None}, "status": {}}])


@pytest.mark.parametrize(("verb", "group", "plural"), eligibility.NEEDED)
def test_eligibility_missing_permission_is_named(verb: str, group: str, plural: str, host: Discovery) -> None:
    host.deny(verb, plural)
    (problem,) = problems(host)
    assert problem == f"it is read-only for this connection, which may not {verb} {plural}"


def test_eligibility_many_missing_permissions_are_named(host: Discovery) -> None:
    for verb, _group, plural in eligibility.NEEDED:
        host.deny(verb, plural)
    (problem,) = problems(host, type="ingress")
    for verb, _group, plural in eligibility.NEEDED:
        assert f"{verb} {plural}" in problem


def test_eligibility_unreadable_nodes_fail(host: Discovery) -> None:
    host.deny("list", "nodes")
    with pytest.raises(KubernetesError, match="no permission"):
        problems(host)


# --- load balancers ---------------------------------------------------------------------------------------


def test_load_balancer_without_implementation_is_refused(host: Discovery) -> None:
    host.apis = {"apps/v1": [], "metrics.k8s.io/v1beta1": []}
    host.have("Service", "waiting", namespace="x", spec={"type": "LoadBalancer"}, status={"loadBalancer": {}})
    other = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}
    host.have("Service", "other", namespace="x", spec={"type": "ClusterIP"}, status=other)
    (problem,) = problems(host, type="load_balancer")
    assert "load_balancer needs an implementation" in problem


@pytest.mark.parametrize(
    "provider", ["aws:///eu-1a/i-1", "gce://p/z/n", "azure:///x", "hcloud://1", "ocid1.instance.x"]
)
def test_load_balancer_on_cloud_is_supported(provider: str, host: Discovery) -> None:
    host.have("Node", "of-a-cloud", spec={"providerID": provider})
    assert problems(host, type="load_balancer") == []


@pytest.mark.parametrize("provider", ["", "kind://docker/kind/kind", "k3s://node", "my-aws"])
def test_load_balancer_without_cloud_is_refused(provider: str, host: Discovery) -> None:
    host.have("Node", "other", spec={"providerID": provider})
    assert problems(host, type="load_balancer")


@pytest.mark.parametrize("api", sorted(host_support.LOAD_BALANCER_APIS))
def test_load_balancer_with_implementation_is_supported(api: str, host: Discovery) -> None:
    host.apis = {f"{api}/v1": []}
    assert problems(host, type="load_balancer") == []


def test_load_balancer_with_address_is_supported(host: Discovery) -> None:
    address = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}
    host.have("Service", "web", namespace="x", spec={"type": "LoadBalancer"}, status=address)
    assert problems(host, type="load_balancer") == []


# --- ingress ----------------------------------------------------------------------------------------------

DEFAULT = {"ingressclass.kubernetes.io/is-default-class": "true"}


def test_ingress_class_by_name_is_found(host: Discovery) -> None:
    for name in ("traefik", "nginx"):
        host.have("IngressClass", name)
    assert problems(host, type="ingress", ingress_class="nginx") == []
    assert problems(host, type="ingress", ingress_class="haproxy") == [
        "it has no ingress class haproxy; it has nginx, traefik"
    ]


def test_ingress_class_missing_is_refused(host: Discovery) -> None:
    assert problems(host, type="ingress", ingress_class="nginx") == ["it has no ingress class nginx; it has none"]
    (problem,) = problems(host, type="ingress")
    assert "it has no default ingress class" in problem
    assert "endpoint.ingress_class: it has none" in problem


def test_ingress_class_default_is_used(host: Discovery) -> None:
    host.have("IngressClass", "nginx", annotations={**DEFAULT, next(iter(DEFAULT)): "false"})
    (problem,) = problems(host, type="ingress")
    assert problem.endswith("it has nginx")
    host.have("IngressClass", "traefik", annotations=DEFAULT)
    assert problems(host, type="ingress") == []


def test_ingress_class_terminating_tls_is_refused(host: Discovery) -> None:
    def controller(name: str, *flags: str) -> None:
        words = ["/nginx-ingress-controller", *flags]
        spec = {"template": {"spec": {"containers": [{"name": "x", "image": "x", "args": words}]}}}
        host.have("StatefulSet", name, namespace="edge", spec=spec)

    host.have("IngressClass", "nginx", spec={"controller": "k8s.io/ingress-nginx"})
    assert problems(host, type="ingress", ingress_class="nginx") == []  # who serves it may not be seen
    controller("other", "--controller-class=k8s.io/other")
    controller("passing", "--enable-ssl-passthrough")
    assert problems(host, type="ingress", ingress_class="nginx") == []
    controller("ending")
    assert set(problems(host, type="ingress", ingress_class="nginx")) == {
        "StatefulSet edge/ending, which serves ingress class nginx, does not pass TLS through: "
        "its flag --enable-ssl-passthrough is not set"
    }
    for plural in ingress_controllers.CONTROLLER_KINDS:
        host.deny("list", plural)
    assert problems(host, type="ingress", ingress_class="nginx") == []


def test_ingress_class_of_f5_is_refused(host: Discovery) -> None:
    host.have("IngressClass", "edge", annotations=DEFAULT, spec={"controller": "nginx.org/ingress-controller"})
    (problem,) = problems(host, type="ingress")
    assert problem.startswith("ingress class edge is of F5's NGINX Ingress Controller, which passes TLS through to")


# --- gateway ----------------------------------------------------------------------------------------------


def gateway(host: Discovery, *listeners: Object, namespace: str = "default") -> None:
    host.have("Gateway", "public", namespace=namespace, spec={"listeners": list(listeners)})


def test_gateway_with_passthrough_is_supported(host: Discovery) -> None:
    host.apis = {f"{GATEWAY_API}/v1": ["gateways", "tlsroutes"]}
    gateway(host, {"protocol": "HTTP"}, PASSTHROUGH)
    assert problems(host, type="gateway", gateway_name="public") == []


def test_gateway_route_version_is_of_chart_or_values(host: Discovery) -> None:
    """An older Gateway API serves older TLSRoutes, which the chart does not make by itself."""
    older = f"{GATEWAY_API}/v1alpha2"
    host.apis = {f"{GATEWAY_API}/v1": ["gateways"], older: ["tlsroutes"]}
    gateway(host, PASSTHROUGH)
    (problem,) = problems(host, type="gateway", gateway_name="public")
    assert problem.startswith(f"it serves no TLSRoute of {GATEWAY_API}/v1, ")
    values = {"controlPlane": {"tlsRoute": {"apiVersion": older}}}
    group = Group("dev", (), endpoint=Endpoint.of({"type": "gateway", "gateway_name": "public"}), values=values)
    assert eligibility.problems(host.client(), group) == []


@pytest.mark.parametrize("allowed", [None, {}, {"namespaces": {"from": "Same"}}, {"kinds": [{"kind": "TLSRoute"}]}])
def test_gateway_for_own_namespace_is_refused(allowed: Any, host: Discovery) -> None:
    host.apis = {f"{GATEWAY_API}/v1": ["gateways", "tlsroutes"]}
    gateway(host, {**PASSTHROUGH, "allowedRoutes": allowed})
    (problem,) = problems(host, type="gateway", gateway_name="public")
    assert "admits routes of its own namespace only" in problem
    gateway(host, {**PASSTHROUGH, "allowedRoutes": {"namespaces": {"from": "Selector", "selector": {}}}})
    assert problems(host, type="gateway", gateway_name="public") == []


@pytest.mark.parametrize(
    ("listeners", "fits"),
    [
        ([None], True),
        (["*.vc.example.com"], True),
        (["team.vc.example.com"], True),
        (["*.example.com"], True),  # more than one label
        (["other.example.com", "*.vc.example.com"], True),
        (["vc.example.com"], False),
        (["*.team.vc.example.com"], False),
        (["*.c.example.com", "b.example.com"], False),
    ],
)
def test_gateway_hostnames_limit_names(listeners: list[str | None], fits: bool, host: Discovery) -> None:
    host.apis = {f"{GATEWAY_API}/v1": ["gateways", "tlsroutes"]}
    gateway(host, *({**PASSTHROUGH, **({"hostname": name} if name else {})} for name in listeners))
    found = problems(host, type="gateway", gateway_name="public", name="team.vc.example.com")
    taken = ", ".join(sorted(str(name) for name in listeners))
    said = f"Gateway default/public takes no name such as team.vc.example.com; it takes {taken}"
    assert found == ([] if fits else [said])


def test_gateway_without_api_is_refused(host: Discovery) -> None:
    for apis in ({}, {f"{GATEWAY_API}/v1": ["gateways", "httproutes"]}):
        host.apis = apis
        (problem,) = problems(host, type="gateway", gateway_name="public")
        assert "it serves no TLSRoute" in problem


def test_gateway_missing_is_refused(host: Discovery) -> None:
    host.apis = {f"{GATEWAY_API}/v1": ["gateways", "tlsroutes"]}
    gateway(host, PASSTHROUGH, namespace="net")
    assert problems(host, type="gateway", gateway_name="public") == ["it has no Gateway public in namespace default"]
    assert problems(host, type="gateway", gateway_name="public", gateway_namespace="net") == []


@pytest.mark.parametrize(
    "listeners",
    [
        [],
        [{"protocol": "HTTPS"}],
        [{**PASSTHROUGH, "tls": {"mode": "Terminate"}}],
        [{**PASSTHROUGH, "tls": None}],
        [{**PASSTHROUGH, "protocol": "HTTPS"}],
    ],
)
def test_gateway_without_passthrough_is_refused(listeners: list[Object], host: Discovery) -> None:
    host.apis = {f"{GATEWAY_API}/v1": ["gateways", "tlsroutes"]}
    gateway(host, *listeners)
    (problem,) = problems(host, type="gateway", gateway_name="public")
    assert problem == "Gateway default/public has no listener with protocol TLS and mode Passthrough"
