# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of group_settings: what a task cannot make of a group."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES, Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_records
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Member
from group_builders import A, B, Object, desired, refused

# --- what cannot work -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "Dev", "dev_1", "-dev", "dev-", "dev.1", "d" * 41, "dév", "dev\n"])
def test_group_with_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    assert refused("name", "at most 40", name=name) == name


@pytest.mark.parametrize("name", ["d", "0", "d" * 40, "a-b--c"])
def test_group_with_a_name_that_can_be_one_is_taken(name: str) -> None:
    thing = group_records.config_map(desired(name=name), "host-a")
    assert len(thing["metadata"]["name"]) <= 63


@pytest.mark.parametrize("name", ["", "Host", "host_a", "host.a", "-a", "a" * 64, " a"])
def test_member_with_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    assert refused("host_clusters.name", "at most 63", members=[Member(name)]) == name


def test_member_that_is_given_twice_is_refused() -> None:
    value = refused("host_clusters", "kube-system", "each host cluster once", members=[A, B, Member("c", "uid-a")])
    assert value == ["host-a", "c"] or value == ["c", "host-a"]


@pytest.mark.parametrize(
    "pattern",
    [
        "vc.example.com",
        "*.*.example.com",
        "*.vc.example.com.",
        "*.vc_1.com",
        "https://*.x",
        "*.Vc.com",
        ".*.x",
        "-*.x",
    ],
)
def test_dns_pattern_that_cannot_be_one_is_refused(pattern: str) -> None:
    for endpoint in ("ingress", "cluster_ip"):
        member = Member("a", "1", pattern)
        assert refused("host_clusters.dns_pattern", "'*'", members=[member], endpoint={"type": endpoint}) == pattern


@pytest.mark.parametrize("pattern", ["*.vc.example.com", "vc-*.example.com", "*-vc.example.com", "a.*.b"])
def test_dns_pattern_with_a_name_is_a_host_name(pattern: str) -> None:
    group = desired(members=[Member("a", "1", pattern)], endpoint={"type": "ingress"})
    assert group.members[0].host_name("team") == pattern.replace("*", "team")


@pytest.mark.parametrize("kind", ["ingress", "gateway"])
def test_endpoint_that_needs_names_is_refused_without_a_pattern(kind: str) -> None:
    endpoint = {"type": kind, "gateway_name": "public" if kind == "gateway" else None}
    refused("host_clusters.dns_pattern", kind, "c has no pattern", members=[A, Member("c", "3")], endpoint=endpoint)
    same = [A, Member("c", "3", A.dns_pattern)]
    refused("host_clusters.dns_pattern", "host-a", "give each its own pattern", members=same, endpoint=endpoint)
    assert desired(members=same).members  # where nothing goes by name, nothing depends on it


@pytest.mark.parametrize(
    ("endpoint", "option", "words"),
    [
        ({"type": "magic"}, "endpoint.type", ["magic", "cluster_ip, node_port"]),
        ({"type": "gateway"}, "endpoint.gateway_name", ["TLS passthrough"]),
        ({"type": "cluster_ip", "ingress_class": "nginx"}, "endpoint.ingress_class", ["ingress, not cluster_ip"]),
        ({"type": "ingress", "gateway_name": "x"}, "endpoint.gateway_name", ["gateway"]),
        ({"type": "ingress", "gateway_namespace": "x"}, "endpoint.gateway_namespace", ["gateway"]),
        ({"type": "ingress", "annotations": {"a": True}}, "endpoint.annotations", ["quote it"]),
    ],
)
def test_endpoint_that_contradicts_itself_is_refused(endpoint: Object, option: str, words: list[str]) -> None:
    refused(option, *words, endpoint=endpoint)


def test_node_selector_that_is_no_text_is_refused() -> None:
    selector: Any = {"gpu": True}
    member = Member("a", "1", node_selector=selector)
    assert refused("host_clusters.node_selector", "quote it", members=[member]) == {"gpu": True}


@pytest.mark.parametrize("percent", [0, -1, -120])
def test_oversubscription_below_one_percent_is_refused(percent: int) -> None:
    assert refused("oversubscription", "at least 1", oversubscription=percent) == percent


BAD = ["much", "-1", "4 Gi", "4GiB", "1e400", "NaN", "0x10", "٤", "1_000"]


@pytest.mark.parametrize("amount", BAD)
@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("bound", ["default", "minimum", "maximum"])
def test_size_that_is_no_quantity_is_refused(bound: str, resource: str, amount: str) -> None:
    assert refused(f"size.{bound}.{resource}", size={bound: {resource: amount}}) == amount


def test_size_default_that_is_empty_is_refused() -> None:
    assert refused("size.default.cpu", size={"default": {"cpu": ""}}) == ""


@pytest.mark.parametrize("amount", [*BAD, "-5Gi"])
@pytest.mark.parametrize("resource", RESOURCES)
def test_owner_quota_that_is_no_quantity_is_refused(resource: str, amount: str) -> None:
    assert refused(f"owner_quota.{resource}", owner_quota={resource: amount}) == amount


@pytest.mark.parametrize("count", [-1, 1.5, "4", True])
def test_owner_quota_that_is_no_number_is_refused(count: Any) -> None:
    refused("owner_quota.virtual_clusters", "0 or more", owner_quota={"virtual_clusters": count})


def test_owner_quota_of_an_exempt_group_has_no_limits() -> None:
    refused("owner_quota.exempt", "an exempt owner has no limits", owner_quota={"exempt": True, "cpu": "4"})
    assert desired(owner_quota={"exempt": True}).owner_quota.exempt


@pytest.mark.parametrize("resource", ["cpu", "memory"])
def test_size_maximum_of_nothing_is_refused(resource: str) -> None:
    assert refused(f"size.maximum.{resource}", "more than 0", size={"maximum": {resource: "0"}}) == "0"


@pytest.mark.parametrize("resource", ["cpu", "memory"])
def test_size_default_of_nothing_is_refused(resource: str) -> None:
    size = {"default": {resource: "0"}, "minimum": {resource: "0"}}
    assert refused(f"size.default.{resource}", "more than 0", size=size) == "0"


@pytest.mark.parametrize("resource", RESOURCES)
def test_size_bounds_that_contradict_each_other_are_refused(resource: str) -> None:
    def size(**bounds: int) -> Object:
        return {"size": {bound: {resource: f"{amount}000000"} for bound, amount in bounds.items()}}

    def amount(value: str) -> int:
        return int(getattr(Size.parse({resource: value}, "x", partial=True), resource) / 1000000)

    before = desired(**size(minimum=5000, default=6000, maximum=7000))
    assert desired(**size(minimum=5000, default=5000, maximum=5000))
    for deployed, params, option, other, value in (
        (None, size(minimum=5000, default=6000, maximum=4000), "maximum", "minimum", 4000),
        (None, size(minimum=5000, default=4000), "default", "minimum", 4000),
        (None, size(default=9000, maximum=8000), "default", "maximum", 9000),
        # Also where the other bound was said in an earlier task.
        (before, size(maximum=4000), "maximum", "minimum", 4000),
        (before, size(maximum=5500), "default", "maximum", 6000),
        (before, size(minimum=6500), "default", "minimum", 6000),
    ):
        shown = refused(f"size.{option}.{resource}", f"size.{other}.{resource}", deployed=deployed, **params)
        assert amount(shown) == value


def test_size_below_the_products_minimum_is_refused() -> None:
    """The product's own minimum is a bound too."""
    refused("size.maximum.cpu", "size.minimum.cpu, 4", size={"maximum": {"cpu": "2"}})
    refused("size.default.memory", "size.minimum.memory, 4Gi", size={"default": {"memory": "1Gi"}})


@pytest.mark.parametrize(
    ("params", "option"),
    [
        ({"vcluster_version": "latest"}, "vcluster_version"),
        ({"vcluster_version": "0.36"}, "vcluster_version"),
        ({"vcluster_version": "0.19.0"}, "vcluster_version"),
        ({"kubernetes_version": "1.36"}, "kubernetes_version"),
        ({"kubernetes_version": "2.0.0"}, "kubernetes_version"),
        ({"distribution": "k3s"}, "distribution"),
        ({"distribution": "k0s", "vcluster_version": "0.36.1"}, "distribution"),
        ({"values": {"external": {"platform": {"apiKey": {"secretName": "x"}}}}}, "values"),
        ({"oidc": {"issuer_url": "http://x", "client_id": "y"}}, "oidc.issuer_url"),
        ({"oidc": {"client_id": "y"}}, "oidc.issuer_url"),
        ({"oidc": {"issuer_url": "https://x"}}, "oidc.client_id"),
        ({"oidc": {"issuer_url": "https://x", "client_id": ""}}, "oidc.client_id"),
    ],
)
def test_group_that_no_virtual_cluster_could_have_is_refused(params: Object, option: str) -> None:
    refused(option, **params)


def test_oidc_of_another_distribution_than_k8s_is_refused() -> None:
    oidc = {"issuer_url": "https://x", "client_id": "y"}
    refused("oidc", "distribution k8s", "k3s", oidc=oidc, distribution="k3s", vcluster_version="0.32.0")


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"a": {"password": "hunter2"}}, "a.password"),
        ({"a": {"apiToken": "hunter2"}}, "a.apiToken"),
        ({"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}, "env.0.value"),
        ({"env": [{"name": "OK", "value": "x"}, {"name": "TOKEN", "value": "hunter2"}]}, "env.1.value"),
        ({"a": {"credentials": {"user": "hunter2"}}}, "a.credentials.user"),
        ({"m": "kind: Secret\ndata: {x: hunter2}"}, "m"),
        ({"database": {"external": {"dataSource": "mysql://hunter2@x"}}}, "database.external.dataSource"),
    ],
)
def test_values_with_credentials_are_refused_and_not_shown(values: Object, where: str) -> None:
    """Everybody who uses a group can read its record."""
    with pytest.raises(OptionError) as caught:
        desired(values=values)
    assert caught.value.data["option"] == "values"
    assert caught.value.data["value"] == where
    assert "hunter2" not in f"{caught.value} {caught.value.data}"


@pytest.mark.parametrize(
    "values",
    [
        {"sync": {"toHost": {"secrets": {"enabled": True, "all": True}}}},
        {"controlPlane": {"statefulSet": {"imagePullSecrets": [{"name": "registry"}]}}},
        {"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "x"}}}]},
        {"tls": {"secretName": "certificate"}},
        {"a": {"password": ""}, "b": {"token": None}, "c": {"secret": False}},
    ],
)
def test_values_with_names_of_secrets_are_taken(values: Object) -> None:
    assert desired(values=values).values == values


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"replicas": 3}, "replicas: 3 .* one replica"),
        ({"backing_store": {"replicas": 3}}, "backing_store.type: no value is set"),
        ({"backing_store": {"type": "external_etcd"}}, "backing_store.endpoint: no value is set; allowed: the address"),
        ({"backing_store": {"type": "external_etcd", "endpoint": "etcd:2379"}}, "two virtual clusters cannot share"),
        (
            {
                "backing_store": {"type": "deployed_etcd"},
                "values": {"controlPlane": {"distro": {"k3s": {"enabled": True}}}},
            },
            "distribution: values enable k3s, not k8s",
        ),
    ],
)
def test_backing_store_that_cannot_be_is_refused(params: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        desired(**params)
