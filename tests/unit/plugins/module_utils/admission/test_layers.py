# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of layers: what becomes of a group and a request, and where each value came from."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.admission import layers as group_layers
from ansible_collections.nested.clusters.plugins.module_utils.common import yaml_io
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_settings
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group, Member
from ansible_collections.nested.clusters.plugins.module_utils.values import accessors, tree
from hypothesis import given
from hypothesis import strategies as st

Object = dict[str, Any]
Path = tuple[str, ...]

HOST = Member("host-a", "uid-a", "*.a.example.com")
BARE = Member("host-b", "uid-b")


def group(**params: Any) -> Group:
    return group_settings.desired({"name": "dev", **params}, [params.pop("member", HOST)], None)


def merged(of: Group, asked: Object | None = None, member: Member = HOST) -> Object:
    return group_layers.merge(group_layers.layers(of, member, "team", asked or {}))


def at(path: str, value: Any) -> Object:
    return tree.at(tuple(path.split(".")), value)


def get(data: Object, path: str) -> Any:
    return tree.get(data, tuple(path.split(".")))


def size(cpu: Any = 4, memory: Any = "4Gi", storage: Any = "2Gi") -> Size:
    return Size.parse({"cpu": cpu, "memory": memory, "storage": storage}, "size")


# --- laws of layers ---------------------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers(0, 3)
LEAVES: st.SearchStrategy[Any] = st.none() | st.booleans() | NUMBERS | st.lists(NUMBERS, max_size=2) | st.just({})
TREES = st.recursive(
    st.dictionaries(KEYS, LEAVES, max_size=3), lambda inner: st.dictionaries(KEYS, LEAVES | inner, max_size=3)
)
STACKS = st.lists(st.tuples(st.sampled_from(["built-in", "group", "request"]), TREES), max_size=4)


def leaves(node: Any, path: Path = ()) -> dict[Path, Any]:
    """What stands in a tree, by path; an empty mapping stands for itself."""
    if isinstance(node, dict) and node:
        return {where: value for key in node for where, value in leaves(node[key], (*path, key)).items()}
    return {path: node} if path else {}


@given(STACKS)
def test_origins_are_those_of_all_values_and_of_nothing_else(stack: list[group_layers.Layer]) -> None:
    assert group_layers.origins(stack).keys() == leaves(group_layers.merge(stack)).keys()


@given(STACKS)
def test_each_value_is_that_of_a_layer_of_its_origin(stack: list[group_layers.Layer]) -> None:
    found = leaves(group_layers.merge(stack))
    for where, origin in group_layers.origins(stack).items():
        assert any(name == origin and leaves(layer).get(where, "nothing") == found[where] for name, layer in stack)


@given(STACKS, TREES)
def test_the_last_one_wins(stack: list[group_layers.Layer], last: Object) -> None:
    together = [*stack, ("the last", last)]
    result, origins = leaves(group_layers.merge(together)), group_layers.origins(together)
    for where, value in leaves(last).items():
        if value == {} and where not in result:
            assert any(known[: len(where)] == where for known in result)  # merged into what was there
            continue
        assert result[where] == value
        assert origins[where] == "the last" or value == {}


@given(STACKS)
def test_what_is_merged_is_not_touched(stack: list[group_layers.Layer]) -> None:
    before = copy.deepcopy(stack)
    result = group_layers.merge(stack)
    for node in [result, *[value for value in result.values() if isinstance(value, dict)]]:
        node["changed"] = True
    assert stack == before


@given(STACKS)
def test_merging_is_associative(stack: list[group_layers.Layer]) -> None:
    half = len(stack) // 2
    parts = [("x", group_layers.merge(stack[:half])), ("y", group_layers.merge(stack[half:]))]
    assert group_layers.merge(parts) == group_layers.merge(stack)


@given(STACKS)
def test_a_diff_shows_values_and_where_they_come_from(stack: list[group_layers.Layer]) -> None:
    data, origins = group_layers.merge(stack), group_layers.origins(stack)
    text = yaml_io.dump_commented(data, origins)
    assert yaml.safe_load(text) == data
    assert text.count("  # ") == len(origins)


# --- a virtual cluster's own ------------------------------------------------------------------------------


def test_what_everybody_gets() -> None:
    result = merged(group(), member=BARE)
    assert get(result, "controlPlane.statefulSet.image.repository") == accessors.OPEN_SOURCE_IMAGE
    assert get(result, "controlPlane.statefulSet.resources.limits") == {"cpu": "1", "memory": "2Gi"}
    assert get(result, "controlPlane.statefulSet.persistence.volumeClaim.size") == "1Gi"
    assert list(result) == ["controlPlane"]
    assert list(result["controlPlane"]) == ["statefulSet"]


def test_the_request_is_above_the_group_and_that_above_what_is_built_in() -> None:
    path = "controlPlane.statefulSet.resources.limits"
    of = group(values=tree.merge(at(f"{path}.memory", "3Gi"), at("sync.toHost.ingresses.enabled", False)))
    asked = at("sync.toHost.ingresses.enabled", True)
    found = group_layers.layers(of, BARE, "team", asked)
    assert group_layers.merge(found)["sync"] == asked["sync"]
    origins = group_layers.origins(found)
    assert origins[tuple(f"{path}.cpu".split("."))] == "built-in"
    assert origins[tuple(f"{path}.memory".split("."))] == "group"
    assert origins["sync", "toHost", "ingresses", "enabled"] == "request"


def test_nothing_that_is_given_is_changed() -> None:
    given_values, asked = at("a.b", [1]), at("controlPlane.proxy.extraSANs", ["x"])
    of = group(values=given_values, oidc=OIDC)
    built_in = (accessors.BUILT_IN, group_layers.BUILT_IN_CONTROL_PLANE, group_layers.BUILT_IN_ETCD)
    before = copy.deepcopy((built_in, of, asked))
    result = merged(of, asked)
    result["a"]["b"].append(2)
    get(result, "controlPlane.proxy.extraSANs").append("y")
    assert (built_in, of, asked) == before


def test_the_size_is_in_no_value() -> None:
    """A control plane restarts with its values, and shall not for a resize."""
    assert merged(group()) == merged(group(size={"default": {"cpu": "40", "memory": "80Gi", "storage": "90Gi"}}))


@pytest.mark.parametrize("in_group", [True, False])
def test_a_backing_store_of_its_own_gets_limits_too(in_group: bool) -> None:
    store = at("controlPlane.backingStore.etcd.deploy.enabled", True)
    result = merged(group(values=store)) if in_group else merged(group(), store)
    etcd = get(result, "controlPlane.backingStore.etcd.deploy.statefulSet")
    assert etcd["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert etcd["persistence"]["volumeClaim"]["size"] == "1Gi"


def test_the_distribution() -> None:
    of = group(distribution="k3s", vcluster_version="0.32.0")
    assert get(merged(of), "controlPlane.distro") == {"k3s": {"enabled": True}}
    assert get(merged(group()), "controlPlane.distro") is None


def test_nodes() -> None:
    member = Member("host-a", node_selector={"pool": "virtual"})
    result = merged(group(), member=member)
    assert get(result, "controlPlane.statefulSet.scheduling.nodeSelector") == {"pool": "virtual"}
    assert get(result, "sync.fromHost.nodes") == {"selector": {"labels": {"pool": "virtual"}}}


# --- endpoints --------------------------------------------------------------------------------------------


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
def test_endpoints(endpoint: Object, where: str, expected: Any) -> None:
    result = merged(group(endpoint=endpoint))
    assert get(result, where) == expected
    assert {"service", "ingress", "tlsRoute"} & set(result["controlPlane"]) <= {where.split(".")[1]}
    assert get(result, "controlPlane.proxy.extraSANs") == ["team.a.example.com"]


def test_a_certificate_is_for_the_host_name_and_what_was_asked_for() -> None:
    of = group(values=at("controlPlane.proxy.extraSANs", ["everywhere"]))
    assert get(merged(of), "controlPlane.proxy.extraSANs") == ["everywhere", "team.a.example.com"]
    own = at("controlPlane.proxy.extraSANs", ["mine", "team.a.example.com"])
    assert get(merged(of, own), "controlPlane.proxy.extraSANs") == ["mine", "team.a.example.com"]
    assert get(merged(of, own, BARE), "controlPlane.proxy.extraSANs") == ["mine", "team.a.example.com"]
    assert get(merged(group(), {}, BARE), "controlPlane.proxy") is None
    assert get(merged(group(), at("controlPlane.proxy.extraSANs", None)), "controlPlane.proxy.extraSANs") == [
        "team.a.example.com"
    ]


# --- oidc -------------------------------------------------------------------------------------------------

OIDC = {
    "issuer_url": "https://id.example.com",
    "client_id": "kube",
    "groups_claim": "groups",
    "extra_scopes": ["email"],
}
ARGUMENTS = "controlPlane.distro.k8s.apiServer.extraArgs"


def test_the_issuer_of_users() -> None:
    assert get(merged(group(oidc=OIDC)), ARGUMENTS) == [
        "--oidc-issuer-url=https://id.example.com",
        "--oidc-client-id=kube",
        "--oidc-groups-claim=groups",
    ]


def test_other_arguments_stay() -> None:
    of = group(oidc=OIDC, values=at(ARGUMENTS, ["--v=2"]))
    assert get(merged(of), ARGUMENTS)[:2] == ["--v=2", "--oidc-issuer-url=https://id.example.com"]
    assert get(merged(of, at(ARGUMENTS, ["--v=4"])), ARGUMENTS)[:2] == [
        "--v=4",
        "--oidc-issuer-url=https://id.example.com",
    ]


def test_two_issuers_are_refused() -> None:
    own = at(ARGUMENTS, ["--v=2", "--oidc-issuer-url=https://hunter2.example.com"])
    with pytest.raises(OptionError) as caught:
        merged(group(oidc=OIDC), own)
    assert caught.value.data["option"] == "values"
    assert f"{ARGUMENTS}: --oidc-issuer-url" in str(caught.value)
    assert "group dev has oidc settings" in str(caught.value)
    assert get(merged(group(), own), ARGUMENTS) == get(own, ARGUMENTS)


# --- room for the control plane ---------------------------------------------------------------------------


def test_what_a_control_plane_claims() -> None:
    assert group_layers.own_claims(merged(group())) == size(2, 2218 * 2**20, "1Gi")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (at("controlPlane.coredns.enabled", False), size(1, "2Gi", "1Gi")),
        (at("controlPlane.statefulSet.resources.limits", {"cpu": 2, "memory": None}), size(3, "170Mi", "1Gi")),
        (at("controlPlane.statefulSet.persistence.volumeClaim.size", "20Gi"), size(2, "2218Mi", "20Gi")),
        (at("controlPlane.statefulSet.persistence.volumeClaim.enabled", False), size(2, "2218Mi", 0)),
        (at("controlPlane.backingStore.etcd.deploy.enabled", True), size(3, "3242Mi", "1Gi")),
        (at("controlPlane.statefulSet.highAvailability.replicas", 3), size(4, "6314Mi", "3Gi")),
        (
            {
                "controlPlane": {
                    "backingStore": {
                        "etcd": {
                            "deploy": {
                                "enabled": True,
                                "statefulSet": {
                                    "highAvailability": {"replicas": 3},
                                    "persistence": {"volumeClaim": {"size": "2Gi"}},
                                },
                            }
                        }
                    }
                }
            },
            size(5, "5290Mi", "6Gi"),
        ),
    ],
)
def test_what_makes_it_claim_more_or_less(asked: Object, expected: Size) -> None:
    assert group_layers.own_claims(merged(group(), asked)) == expected


def test_a_backing_store_without_a_claim() -> None:
    store = "controlPlane.backingStore.etcd.deploy"
    asked = tree.merge(
        at(f"{store}.enabled", True), at(f"{store}.statefulSet.persistence.volumeClaim.enabled", False)
    )
    assert group_layers.own_claims(merged(group(), asked)).storage == 0


def test_the_charts_own_claim_counts_where_nothing_is_said() -> None:
    assert group_layers.own_claims({}) == size(1, "170Mi", "5Gi")


@pytest.mark.parametrize(
    "where",
    [
        "controlPlane",
        "controlPlane.statefulSet",
        "controlPlane.statefulSet.resources",
        "controlPlane.statefulSet.resources.limits",
        "controlPlane.statefulSet.persistence",
        "controlPlane.statefulSet.highAvailability",
        "controlPlane.statefulSet.highAvailability.replicas",
        "controlPlane.coredns",
        "controlPlane.backingStore",
    ],
)
@pytest.mark.parametrize("rubbish", ["two", None, [], {}, True, 1.5])
def test_what_the_chart_refuses_better(where: str, rubbish: Any) -> None:
    """No crash: helm says what its schema has against it."""
    assert group_layers.own_claims(at(where, rubbish)).cpu is not None


@pytest.mark.parametrize(("resource", "amount"), [("cpu", "much"), ("memory", "-1Gi")])
def test_limits_that_are_no_quantities(resource: str, amount: str) -> None:
    with pytest.raises(OptionError, match=rf"^values\.controlPlane\.statefulSet\.{resource}: '{amount}'"):
        group_layers.own_claims(at(f"controlPlane.statefulSet.resources.limits.{resource}", amount))


@pytest.mark.parametrize(
    ("short", "resource", "needs"),
    [
        (size(cpu="1999m"), "cpu", "2"),
        (size(memory="2217Mi"), "memory", "2218Mi"),
        (size(storage="1023Mi"), "storage", "1Gi"),
        (size(storage=0), "storage", "1Gi"),
    ],
)
def test_a_size_that_the_control_plane_alone_would_fill(short: Size, resource: str, needs: str) -> None:
    with pytest.raises(OptionError) as caught:
        group_layers.check_room(merged(group()), short)
    assert caught.value.data["option"] == f"size.{resource}"
    assert caught.value.data["value"] == short.as_dict()[resource]
    assert f"the control plane alone claims {needs}" in str(caught.value)
    group_layers.check_room(merged(group()), size(2, "2218Mi", "1Gi"))


def test_the_least_sizes_have_room() -> None:
    """The product's own rules do not refuse each other."""
    group_layers.check_room(merged(group()), size())
    group_layers.check_room(merged(group(), at("controlPlane.backingStore.etcd.deploy.enabled", True)), size())
    of = group(distribution="k3s", vcluster_version="0.32.0")
    group_layers.check_room(merged(of), of.default)
    without_claim = at("controlPlane.statefulSet.persistence.volumeClaim.enabled", False)
    group_layers.check_room(merged(of, without_claim), of.minimum)


# --- the rest ---------------------------------------------------------------------------------------------


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
def test_whether_the_chart_limits_containers_itself(quota: Any, limits: Any, expected: bool) -> None:
    policies = {"resourceQuota": {"enabled": quota}, "limitRange": {"enabled": limits}}
    assert group_layers.limits_containers({"policies": policies}) is expected


def test_claims_of_one_that_joins_stay_as_they_are() -> None:
    where = "controlPlane.statefulSet.persistence.volumeClaim.size"
    assert get(group_layers.with_claims({"a": 1}), where) == "5Gi"
    assert group_layers.with_claims(at(where, "9Gi")) == at(where, "9Gi")
    etcd = group_layers.with_claims(at("controlPlane.backingStore.etcd.deploy.enabled", True))
    assert get(etcd, "controlPlane.backingStore.etcd.deploy.statefulSet.persistence.volumeClaim.size") == "5Gi"
    assert get(merged(group(), group_layers.with_claims({})), where) == "5Gi"
