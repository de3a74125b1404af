# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of group: what a task makes of a group, what it refuses, and that the record holds all of it."""

from __future__ import annotations

import contextlib
import copy
import json
import string
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.admission import layers as group_layers
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES, Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_pending, group_records, group_settings
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import NO_SIZE, Group, Member
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.placements import STRATEGIES
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import OwnerQuota
from ansible_collections.nested.clusters.plugins.module_utils.values.endpoint import Endpoint
from ansible_collections.nested.clusters.plugins.module_utils.values.oidc import Oidc
from hypothesis import assume, given
from hypothesis import strategies as st

Object = dict[str, Any]

A = Member("host-a", "uid-a", "*.a.example.com")
B = Member("host-b", "uid-b", "*.b.example.com")


def desired(deployed: Group | None = None, members: Any = (A, B), **params: Any) -> Group:
    return group_settings.desired({"name": "dev", **params}, members, deployed)


def refused(option: str, *words: str, deployed: Group | None = None, members: Any = (A, B), **params: Any) -> Any:
    """The value that is refused; the error has these words."""
    with pytest.raises(OptionError) as caught:
        desired(deployed, members, **params)
    assert caught.value.data["option"] == option
    assert caught.value.data["allowed"]
    for word in (option, *words):
        assert word in str(caught.value)
    return caught.value.data["value"]


# --- what a task makes of it ------------------------------------------------------------------------------


def test_a_group_of_which_little_is_said() -> None:
    group = desired()
    assert (group.name, group.members, group.generation) == ("dev", (A, B), 1)
    assert (group.distribution, group.oversubscription, group.placement) == ("k8s", 120, "spread")
    assert (group.endpoint, group.endpoint.as_dict()) == (Endpoint(), {"type": "cluster_ip"})
    assert group.default == Size.parse({"cpu": 4, "memory": "4Gi", "storage": "2Gi"}, "x")
    assert group.minimum == Size.parse({"cpu": 4, "memory": "4Gi", "storage": "2Gi"}, "x")
    assert group.maximum == Size(None, None, None)
    assert not group.owner_quota.limits
    assert not group.owner_quota.exempt
    assert (group.values, group.oidc, group.tags, group.description) == ({}, None, {}, "")
    assert (group.vcluster_version, group.kubernetes_version) == (None, None)


def test_the_least_size_depends_on_the_distribution() -> None:
    group = desired(distribution="k3s", vcluster_version="0.32.0")
    assert group.minimum == Size.parse({"cpu": 4, "memory": "3Gi", "storage": 0}, "x")
    assert group.default == Size.parse({"cpu": 4, "memory": "4Gi", "storage": "2Gi"}, "x")


EVERYTHING: Object = {
    "description": "Development teams",
    "tags": {"env": "dev", "cost": {"center": 7}},
    "endpoint": {
        "type": "ingress",
        "ingress_class": "nginx",
        "annotations": {"a/b": "c"},
        "gateway_name": None,
        "gateway_namespace": None,
    },
    "distribution": "k8s",
    "kubernetes_version": "1.35.4",
    "vcluster_version": "v0.36.1",
    "oversubscription": 150,
    "placement": "pack",
    "size": {
        "default": {"cpu": "2", "memory": "3Gi", "storage": "5Gi"},
        "minimum": {"cpu": "500m", "memory": "1Gi", "storage": "0"},
        "maximum": {"cpu": "8", "memory": "16Gi", "storage": None},
    },
    "owner_quota": {"virtual_clusters": 4, "cpu": "20", "memory": None, "storage": "60Gi", "exempt": None},
    "values": {"sync": {"toHost": {"ingresses": {"enabled": True}}}},
    "oidc": {"issuer_url": "https://id.example.com", "client_id": "kube", "groups_claim": None, "extra_scopes": []},
}


def test_a_group_of_which_all_is_said() -> None:
    group = desired(**EVERYTHING)
    assert group.endpoint.as_dict() == {"type": "ingress", "ingress_class": "nginx", "annotations": {"a/b": "c"}}
    assert (group.vcluster_version, group.kubernetes_version) == ("0.36.1", "v1.35.4")
    assert str(group.default) == "2 cpu, 3Gi memory, 5Gi storage"
    assert str(group.minimum) == "500m cpu, 1Gi memory, 0 storage"
    assert str(group.maximum) == "8 cpu, 16Gi memory, unlimited storage"
    assert group.owner_quota == OwnerQuota.parse({"virtual_clusters": 4, "cpu": 20, "storage": "60Gi"}, "x")
    assert group.oidc == Oidc("https://id.example.com", "kube")


def test_what_is_left_out_stays() -> None:
    before = desired(**EVERYTHING)
    assert desired(before) == before
    assert desired(before).generation == before.generation
    null = dict.fromkeys(EVERYTHING)
    assert desired(before, **null) == before
    assert desired(before, size=dict.fromkeys(("default", "minimum", "maximum"))) == before
    assert desired(before, size={"default": dict.fromkeys(RESOURCES)}) == before


@pytest.mark.parametrize("option", EVERYTHING)
def test_each_option_changes_one_thing(option: str) -> None:
    before = desired()
    after = desired(before, **{option: EVERYTHING[option]})
    fields = {name for name in Group.__dataclass_fields__ if getattr(before, name) != getattr(after, name)} - {
        "generation"
    }
    expected = {"size": {"default", "minimum", "maximum"}, "distribution": set()}.get(option, {option})
    assert fields == expected
    assert after.generation == (2 if fields else 1)


def test_a_part_of_a_size_is_a_part() -> None:
    before = desired(**EVERYTHING)
    after = desired(before, size={"maximum": {"memory": "8Gi", "cpu": None, "storage": "1Ti"}})
    assert str(after.maximum) == "8 cpu, 8Gi memory, 1Ti storage"
    assert (after.default, after.minimum) == (before.default, before.minimum)


def test_a_quota_is_whole() -> None:
    before = desired(owner_quota={"virtual_clusters": 4, "cpu": 20})
    assert desired(before, owner_quota={"cpu": 10}).owner_quota == OwnerQuota.parse({"cpu": 10}, "x")
    assert not desired(before, owner_quota={}).owner_quota.limits


def test_what_can_be_taken_away() -> None:
    before = desired(**EVERYTHING)
    after = desired(before, vcluster_version="", kubernetes_version="", oidc={}, tags={}, description="", values={})
    assert (after.vcluster_version, after.kubernetes_version) == (None, None)
    assert (after.oidc, after.tags, after.description, after.values) == (None, {}, "", {})


def test_the_order_of_host_clusters_means_nothing() -> None:
    before = desired(members=(A, B))
    after = desired(before, members=(B, A))
    assert (after, after.generation) == (before, 1)
    assert group_records.config_map(desired(members=(B, A)), "host-a") == group_records.config_map(before, "host-a")


def test_how_a_version_is_written_means_nothing() -> None:
    before = desired(vcluster_version="0.36.1", kubernetes_version="v1.36.0")
    assert desired(before, vcluster_version="v0.36.1", kubernetes_version="1.36.0").generation == 1


def test_members() -> None:
    group = desired()
    assert group.member("host-b") == B
    assert group.member("host-c") is None
    assert A.host_name("team") == "team.a.example.com"
    assert Member("x").host_name("team") is None


# --- what cannot work -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "Dev", "dev_1", "-dev", "dev-", "dev.1", "d" * 41, "dév", "dev\n"])
def test_names_of_groups(name: str) -> None:
    assert refused("name", "at most 40", name=name) == name


@pytest.mark.parametrize("name", ["d", "0", "d" * 40, "a-b--c"])
def test_names_that_groups_can_have(name: str) -> None:
    thing = group_records.config_map(desired(name=name), "host-a")
    assert len(thing["metadata"]["name"]) <= 63


@pytest.mark.parametrize("name", ["", "Host", "host_a", "host.a", "-a", "a" * 64, " a"])
def test_names_of_host_clusters(name: str) -> None:
    assert refused("host_clusters.name", "at most 63", members=[Member(name)]) == name


def test_one_host_cluster_under_two_names() -> None:
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
def test_patterns_that_are_none(pattern: str) -> None:
    for endpoint in ("ingress", "cluster_ip"):
        member = Member("a", "1", pattern)
        assert refused("host_clusters.dns_pattern", "'*'", members=[member], endpoint={"type": endpoint}) == pattern


@pytest.mark.parametrize("pattern", ["*.vc.example.com", "vc-*.example.com", "*-vc.example.com", "a.*.b"])
def test_patterns(pattern: str) -> None:
    group = desired(members=[Member("a", "1", pattern)], endpoint={"type": "ingress"})
    assert group.members[0].host_name("team") == pattern.replace("*", "team")


@pytest.mark.parametrize("kind", ["ingress", "gateway"])
def test_endpoints_that_need_names(kind: str) -> None:
    endpoint = {"type": kind, "gateway_name": "public" if kind == "gateway" else None}
    refused("host_clusters.dns_pattern", kind, "c has no pattern", members=[A, Member("c", "3")], endpoint=endpoint)
    same = [A, Member("c", "3", A.dns_pattern)]
    refused("host_clusters.dns_pattern", "host-a", "a pattern of its own", members=same, endpoint=endpoint)
    assert desired(members=same).members  # where nothing goes by name, nothing depends on it


@pytest.mark.parametrize(
    ("endpoint", "option", "words"),
    [
        ({"type": "magic"}, "endpoint.type", ["magic", "cluster_ip, node_port"]),
        ({"type": "gateway"}, "endpoint.gateway_name", ["TLS passthrough"]),
        ({"type": "cluster_ip", "ingress_class": "nginx"}, "endpoint.ingress_class", ["nginx", "ingress"]),
        ({"type": "ingress", "gateway_name": "x"}, "endpoint.gateway_name", ["gateway"]),
        ({"type": "ingress", "gateway_namespace": "x"}, "endpoint.gateway_namespace", ["gateway"]),
        ({"type": "ingress", "annotations": {"a": True}}, "endpoint.annotations", ["quote it"]),
    ],
)
def test_endpoints_that_cannot_be(endpoint: Object, option: str, words: list[str]) -> None:
    refused(option, *words, endpoint=endpoint)


def test_labels_of_nodes_are_strings() -> None:
    selector: Any = {"gpu": True}
    member = Member("a", "1", node_selector=selector)
    assert refused("host_clusters.node_selector", "quote it", members=[member]) == {"gpu": True}


@pytest.mark.parametrize("percent", [0, -1, -120])
def test_oversubscription(percent: int) -> None:
    assert refused("oversubscription", "at least 1", oversubscription=percent) == percent


BAD = ["much", "-1", "4 Gi", "4GiB", "1e400", "NaN", "0x10", "٤", "1_000"]


@pytest.mark.parametrize("amount", BAD)
@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("bound", ["default", "minimum", "maximum"])
def test_sizes_that_are_none(bound: str, resource: str, amount: str) -> None:
    assert refused(f"size.{bound}.{resource}", size={bound: {resource: amount}}) == amount


def test_a_default_cannot_be_taken_away() -> None:
    assert refused("size.default.cpu", size={"default": {"cpu": ""}}) == ""


@pytest.mark.parametrize("amount", [*BAD, "-5Gi"])
@pytest.mark.parametrize("resource", RESOURCES)
def test_quotas_that_are_none(resource: str, amount: str) -> None:
    assert refused(f"owner_quota.{resource}", owner_quota={resource: amount}) == amount


@pytest.mark.parametrize("count", [-1, 1.5, "4", True])
def test_numbers_of_virtual_clusters(count: Any) -> None:
    refused("owner_quota.virtual_clusters", "0 or more", owner_quota={"virtual_clusters": count})


def test_a_quota_of_an_exempt_group() -> None:
    refused("owner_quota.exempt", "there are limits", owner_quota={"exempt": True, "cpu": "4"})
    assert desired(owner_quota={"exempt": True}).owner_quota.exempt


@pytest.mark.parametrize("resource", ["cpu", "memory"])
def test_nobody_may_have_nothing(resource: str) -> None:
    assert refused(f"size.maximum.{resource}", "more than 0", size={"maximum": {resource: "0"}}) == "0"


@pytest.mark.parametrize("resource", ["cpu", "memory"])
def test_nobody_gets_nothing(resource: str) -> None:
    size = {"default": {resource: "0"}, "minimum": {resource: "0"}}
    assert refused(f"size.default.{resource}", "more than 0", size=size) == "0"


@pytest.mark.parametrize("resource", RESOURCES)
def test_bounds_that_contradict_each_other(resource: str) -> None:
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


def test_less_than_the_default_bounds() -> None:
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
def test_what_no_virtual_cluster_could_have(params: Object, option: str) -> None:
    refused(option, **params)


def test_only_one_distribution_takes_oidc_settings() -> None:
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
def test_credentials_are_refused_and_not_shown(values: Object, where: str) -> None:
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
def test_names_of_secrets_are_none(values: Object) -> None:
    assert desired(values=values).values == values


# --- the record -------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LABEL = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
# Of CPU in thousandths; of the rest in bytes.
AMOUNTS = {"cpu": st.integers(1, 10**6).map(lambda number: f"{number}m")}
AMOUNTS |= dict.fromkeys(("memory", "storage"), st.integers(1, 2**50).map(str))


@st.composite
def bounds(draw: Any) -> Object:
    """minimum, default and maximum in this order, any of them left out, any resource of them as well."""
    result: Object = {"minimum": {}, "default": {}, "maximum": {}}
    for resource in RESOURCES:
        unit = "m" if resource == "cpu" else ""
        least, middle, most = sorted(draw(st.lists(st.integers(1, 2**40), min_size=3, max_size=3)))
        result["minimum"][resource], result["default"][resource] = f"{least}{unit}", f"{middle}{unit}"
        if draw(st.booleans()):
            result["maximum"][resource] = f"{most}{unit}"
    return result


@st.composite
def members(draw: Any) -> list[Member]:
    names = draw(st.lists(LABEL, min_size=1, max_size=4, unique=True))
    return [
        Member(
            name,
            f"uid of {name}",
            f"*.{name}.example.com" if draw(st.booleans()) else None,
            Size.parse({r: draw(AMOUNTS[r]) for r in RESOURCES if draw(st.booleans())}, "x", partial=True),
            draw(st.dictionaries(st.text(), st.text(), max_size=2)),
        )
        for name in names
    ]


@st.composite
def groups(draw: Any) -> Group:
    """Any group that a task can make."""
    optional = {
        "description": st.text(),
        "tags": st.dictionaries(st.text(), JSON, max_size=3),
        "endpoint": st.sampled_from(["cluster_ip", "node_port", "load_balancer"]).map(lambda kind: {"type": kind}),
        "vcluster_version": st.sampled_from(["0.36.1", "v0.35.0", "0.37.0-rc.1"]),
        "kubernetes_version": st.sampled_from(["v1.35.4", "1.36.0"]),
        "oversubscription": st.integers(1, 1000),
        "placement": st.sampled_from(STRATEGIES),
        "size": bounds(),
        "owner_quota": st.fixed_dictionaries({}, optional={**AMOUNTS, "virtual_clusters": st.integers(0, 99)}),
        "values": st.fixed_dictionaries({}, optional={"a": JSON, "b": JSON}),
        "oidc": st.just({"issuer_url": "https://x", "client_id": "y", "extra_scopes": ["email"]}),
    }
    params = {option: draw(strategy) for option, strategy in optional.items() if draw(st.booleans())}
    name = draw(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True))
    try:
        return group_settings.desired({"name": name, **params}, draw(members()), None)
    except OptionError as error:  # of a name in the values that speaks of a credential
        assume(error.data["option"] != "values")
        raise


@given(groups())
def test_the_record_holds_all_of_a_group(group: Group) -> None:
    for member in group.members:
        stored = json.loads(json.dumps(group_records.config_map(group, member.name)))  # as it goes to the API server
        loaded = group_records.load(stored)
        assert (loaded, loaded.generation) == (group, group.generation)
        assert group_records.config_map(loaded, member.name) == stored
        assert group_records.record(loaded) == group_records.record(group)
        assert stored["metadata"]["labels"][group_records.RECORD_LABEL] == group.name
        assert stored["metadata"]["labels"][group_records.HOST_LABEL] == member.name


@given(groups())
def test_a_second_task_changes_nothing(group: Group) -> None:
    """Neither one that says the same, nor one that says nothing."""
    record = group_records.record(group)
    said = {name: record[name] for name in record if name not in ("schema", "generation", "host_clusters", "name")}
    for params in ({}, said):
        again = group_settings.desired(
            {"name": group.name, **params},
            reversed(group.members),
            group_records.load(group_records.config_map(group, "x")),
        )
        assert (again, again.generation) == (group, group.generation)
        assert group_records.config_map(again, "x") == group_records.config_map(group, "x")


def test_a_record_can_be_read_by_people() -> None:
    text = group_records.config_map(desired(**EVERYTHING), "host-a")["data"][group_records.RECORD]
    data = yaml.safe_load(text)
    assert data["host_clusters"][0]["name"] == "host-a"
    assert data["owner_quota"] == {
        "virtual_clusters": 4,
        "cpu": "20",
        "memory": None,
        "storage": "60Gi",
        "exempt": False,
    }
    assert text.count("\n") > 40


def damages(data: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path into plain data."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [at] * bool(at) + [path for key, value in inner for path in damages(value, (*at, key))]


WHOLE = group_records.record(desired(**EVERYTHING))
RUBBISH: list[Any] = [None, "x", 3, -1, True, [], {}, ["x"], {"x": 1}, [[]], 1.5]


@pytest.mark.parametrize("where", damages(WHOLE), ids=lambda path: ".".join(map(str, path)))
def test_a_record_that_somebody_broke_is_named(where: tuple[Any, ...]) -> None:
    """Whatever stands in it: an error that says what to do, or a group that can be worked with."""
    for rubbish in (*RUBBISH, "gone"):
        data = copy.deepcopy(WHOLE)
        node = data
        for key in where[:-1]:
            node = node[key]
        if rubbish == "gone":
            del node[where[-1]]
        else:
            node[where[-1]] = rubbish
        broken = {"metadata": {"name": "vcluster-group-dev"}, "data": {group_records.RECORD: yaml.safe_dump(data)}}
        with contextlib.suppress(NestedClustersError):
            group = group_records.load(broken)
            group_records.record(group)
            for member in group.members:
                group_pending.applied(group, member)
                group_layers.merge(group_layers.layers(group, member, "team", {}))


@pytest.mark.parametrize("text", ["", "[]", "x", "{", "a: b: c", "schema: 1", "3", "\t"])
def test_what_is_no_record(text: str) -> None:
    broken = {"metadata": {"name": "vcluster-group-dev"}, "data": {group_records.RECORD: text}}
    with pytest.raises(NestedClustersError, match=r"ConfigMap nested-clusters/vcluster-group-dev|schema None"):
        group_records.load(broken)


@pytest.mark.parametrize("data", [None, {}, {"other": "x"}])
def test_a_config_map_without_a_record(data: Any) -> None:
    with pytest.raises(NestedClustersError, match="ConfigMap nested-clusters/vcluster-group-dev"):
        group_records.load({"metadata": {"name": "vcluster-group-dev"}, "data": data})


def test_a_record_of_another_version() -> None:
    stored = group_records.config_map(desired(), "host-a")
    stored["data"][group_records.RECORD] = stored["data"][group_records.RECORD].replace("schema: 1", "schema: 2")
    with pytest.raises(NestedClustersError, match="group dev has schema 2, and this collection reads schema 1"):
        group_records.load(stored)


# --- what virtual clusters have of it ---------------------------------------------------------------------

CHANGES: dict[str, tuple[Object, list[str]]] = {
    "a lock": ({"vcluster_version": "0.36.1"}, ["vcluster_version: its own applied, 0.36.1 in the group"]),
    "kubernetes": ({"kubernetes_version": "v1.36.0"}, ["kubernetes_version: its own applied, v1.36.0 in the group"]),
    "values": ({"values": {"a": 1}}, ["values: changed in the group"]),
    "endpoint": ({"endpoint": {"type": "node_port"}}, ["endpoint: changed in the group"]),
    "oidc": ({"oidc": {"issuer_url": "https://x", "client_id": "y"}}, ["oidc: changed in the group"]),
    "what is for new ones": ({"size": {"maximum": {"cpu": "99"}}, "placement": "pack", "oversubscription": 1}, []),
    "what is for people": ({"description": "x", "tags": {"a": "b"}}, []),
    "a quota": ({"owner_quota": {"cpu": "1"}}, []),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_a_virtual_cluster_does_not_have_yet(what: str) -> None:
    params, expected = CHANGES[what]
    before = desired()
    has = json.loads(json.dumps(group_pending.applied(before, A)))
    assert group_pending.pending(before, A, has) == []
    assert group_pending.pending(desired(before, **params), A, has) == expected


def test_a_lock_that_moves_on() -> None:
    has = group_pending.applied(desired(vcluster_version="0.35.0"), A)
    assert group_pending.pending(desired(vcluster_version="0.36.1"), A, has) == [
        "vcluster_version: 0.35.0 applied, 0.36.1 in the group"
    ]
    assert group_pending.pending(desired(), A, has) == []  # to take it away changes nothing


def test_what_its_host_cluster_has() -> None:
    group = desired()
    has = group_pending.applied(group, A)
    assert group_pending.pending(group, Member("host-a", "uid-a", "*.other.example.com"), has) == [
        "endpoint: changed in the group"
    ]
    moved = Member("host-a", "uid-a", A.dns_pattern, node_selector={"a": "b"})
    assert group_pending.pending(group, moved, has) == ["node_selector: changed in the group"]
    assert group_pending.pending(group, Member("host-a", "uid-a", A.dns_pattern, Size.zero()), has) == []


def test_nothing_is_known_of_what_was_applied() -> None:
    assert len(group_pending.pending(desired(vcluster_version="0.36.1"), A, {})) == 6


@given(groups())
def test_what_was_applied_is_not_pending(group: Group) -> None:
    for member in group.members:
        kept = json.loads(
            json.dumps(group_pending.applied(group_records.load(group_records.config_map(group, "x")), member))
        )
        assert group_pending.pending(group, member, kept) == []


# --- backing store ----------------------------------------------------------------------------------------


def test_a_backing_store_is_recorded_and_can_be_taken_away() -> None:
    before = desired(backing_store={"type": "deployed_etcd", "replicas": 3, "endpoint": None})
    assert group_records.from_record(group_records.record(before)) == before
    assert group_records.record(before)["backing_store"] == {"type": "deployed_etcd", "replicas": 3}
    assert desired(before) == before
    assert desired(before, backing_store={}).backing_store is None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"replicas": 3}, "replicas: 3 .* one writer"),
        ({"backing_store": {"replicas": 3}}, "backing_store.type: None"),
        ({"backing_store": {"type": "external_etcd"}}, "backing_store.endpoint: None"),
        ({"backing_store": {"type": "external_etcd", "endpoint": "etcd:2379"}}, "two virtual clusters cannot share"),
        (
            {
                "backing_store": {"type": "deployed_etcd"},
                "values": {"controlPlane": {"distro": {"k3s": {"enabled": True}}}},
            },
            "distribution: 'k8s' .* values have k3s",
        ),
    ],
)
def test_a_backing_store_that_cannot_be(params: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        desired(**params)


def test_a_maximum_can_be_lifted() -> None:
    nothing = {"storage": 0}
    before = desired(size={"maximum": {"cpu": 8, "storage": "0"}, "minimum": nothing, "default": nothing})
    assert before.maximum.as_dict() == {"cpu": "8", "memory": None, "storage": "0"}
    assert desired(before, size={"maximum": {"cpu": "", "storage": ""}}).maximum == NO_SIZE
