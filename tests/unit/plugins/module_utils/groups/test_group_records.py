# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of what is stored: records, fingerprints and requests that earlier versions wrote are written the same today.

Every byte counts. A record that differs is a change of its group on every host cluster, and a fingerprint that differs
makes every virtual cluster of the group pending.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.admission import group_layers
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_pending, group_records, group_settings
from ansible_collections.nested.clusters.plugins.module_utils.groups.group_pending import applied
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group, Member
from ansible_collections.nested.clusters.plugins.module_utils.values.control_plane import ControlPlane
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership
from group_builders import EVERYTHING, Object, desired
from group_strategies import groups
from hypothesis import given

MEMBER = Member("host-a", "uid-a", "*.a.example.com", node_selector={"pool": "vc"})
# Options as Ansible hands them over: all that the argument spec knows, None where the task does not say.
ENDPOINT = dict.fromkeys(("type", "ingress_class", "gateway_name", "gateway_namespace", "annotations"))
STORE = dict.fromkeys(("type", "replicas", "endpoint", "tls_secret"))
OIDC = dict.fromkeys(
    (
        "issuer_url",
        "client_id",
        "username_claim",
        "username_prefix",
        "groups_claim",
        "groups_prefix",
        "extra_scopes",
    )
)
OPTIONS: dict[str, Object] = {
    "nothing": {},
    "ingress": {
        "endpoint": {**ENDPOINT, "type": "ingress", "ingress_class": "nginx", "annotations": {"b/c": "d", "a": "1"}},
        "backing_store": {**STORE, "type": "deployed_etcd", "replicas": 3},
        "replicas": 3,
        "kubernetes_version": "1.36.0",
        "vcluster_version": "v0.36.1",
        "oidc": {
            **OIDC,
            "issuer_url": "https://id.example.com",
            "client_id": "kube",
            "groups_claim": "groups",
            "groups_prefix": "",
            "extra_scopes": ["email", "groups"],
        },
    },
    "gateway": {
        "endpoint": {**ENDPOINT, "type": "gateway", "gateway_name": "public", "gateway_namespace": "net"},
        "backing_store": {
            **STORE,
            "type": "external_etcd",
            "endpoint": "etcd-*.stores.svc:2379",
            "tls_secret": "etcd-login",
        },
        "oidc": {**OIDC, "issuer_url": "https://id.example.com", "client_id": "kube", "extra_scopes": []},
    },
    "load balancer": {
        "endpoint": {**ENDPOINT, "type": "load_balancer", "ingress_class": "", "annotations": {}},
        "backing_store": {**STORE, "type": "embedded_sqlite"},
        "distribution": "k3s",
        "vcluster_version": "0.32.0",
        "oidc": {},
    },
}
RECORDS = Path(__file__).parent / "records"  # as version 0.1 wrote them
# What a virtual cluster keeps of its group beside what is not hashed.
FINGERPRINTS: dict[str, Object] = {
    "nothing": {"endpoint": "8d858a7e5729", "oidc": "44136fa355b3", "replicas": None},
    "ingress": {"endpoint": "f4cfaf2fc3be", "oidc": "14d84d8f39f1", "replicas": 3},
    "gateway": {"endpoint": "964e296fcebd", "oidc": "f16487c17dbe", "replicas": None},
    "load balancer": {"endpoint": "07b76e74d4bd", "oidc": "44136fa355b3", "replicas": None},
}
ALL_STORE_OPTIONS = {**STORE, "data_source": None}
REQUESTS: dict[str, tuple[Object, str]] = {
    "nothing": ({"backing_store": None}, '{"kubernetes_version": null, "values": {"a": 1}}'),
    "everything": (
        {
            "distribution": "k3s",
            "replicas": 2,
            "backing_store": {**ALL_STORE_OPTIONS, "type": "deployed_etcd", "replicas": 3},
        },
        '{"backing_store": {"replicas": 3, "type": "deployed_etcd"}, "distribution": "k3s", '
        '"kubernetes_version": null, "replicas": 2, "values": {"a": 1}}',
    ),
    "a database": (
        {
            "backing_store": {
                **ALL_STORE_OPTIONS,
                "type": "external_database",
                "data_source": "mysql://x",
                "tls_secret": "login",
            }
        },
        '{"backing_store": {"data_source": "mysql://x", "tls_secret": "login", "type": "external_database"}, '
        '"kubernetes_version": null, "values": {"a": 1}}',
    ),
}


def recorded(what: str) -> str:
    """The text that an earlier version stored for these options."""
    return (RECORDS / f"{what.replace(' ', '_')}.txt").read_text()


@pytest.mark.parametrize("what", OPTIONS)
def test_record_of_options_has_the_same_bytes_as_before(what: str) -> None:
    group = group_settings.desired({"name": "dev", **OPTIONS[what]}, [MEMBER], None)
    assert group_records.config_map(group, "host-a")["data"][group_records.RECORD] == recorded(what)


@pytest.mark.parametrize("what", OPTIONS)
def test_record_of_an_earlier_version_is_written_back_unchanged(what: str) -> None:
    loaded = group_records.load({"metadata": {"name": "x"}, "data": {group_records.RECORD: recorded(what)}})
    assert group_records.config_map(loaded, "host-a")["data"][group_records.RECORD] == recorded(what)
    assert group_settings.desired({"name": "dev", **OPTIONS[what]}, [MEMBER], loaded).generation == 1


@pytest.mark.parametrize("what", OPTIONS)
def test_fingerprints_of_a_group_are_the_same_as_before(what: str) -> None:
    group = group_settings.desired({"name": "dev", **OPTIONS[what]}, [MEMBER], None)
    has = applied(group, MEMBER)
    assert {name: has[name] for name in FINGERPRINTS[what]} == FINGERPRINTS[what]
    assert (has["values"], has["node_selector"]) == ("44136fa355b3", "a8a3523566f5")


@pytest.mark.parametrize("what", REQUESTS)
def test_stored_request_has_the_same_bytes_as_before(what: str) -> None:
    options, expected = REQUESTS[what]
    request = {"values": {"a": 1}, "kubernetes_version": None, **ControlPlane.of(options).as_dict()}
    secret = membership.Membership("dev", "alice", Size.zero(), {}, request).objects("team", "ns")[0]
    assert base64.b64decode(secret["data"]["request"]).decode() == expected
    stored = ControlPlane.of(membership.stored_request(secret))  # as the next task reads it
    assert stored == ControlPlane.of(options)
    assert stored.as_dict() == ControlPlane.of(options).as_dict()


@given(groups())
def test_record_of_any_group_holds_all_of_it(group: Group) -> None:
    for member in group.members:
        stored = json.loads(json.dumps(group_records.config_map(group, member.name)))  # as it goes to the API server
        loaded = group_records.load(stored)
        assert (loaded, loaded.generation) == (group, group.generation)
        assert group_records.config_map(loaded, member.name) == stored
        assert group_records.record(loaded) == group_records.record(group)
        assert stored["metadata"]["labels"][group_records.RECORD_LABEL] == group.name
        assert stored["metadata"]["labels"][group_records.HOST_LABEL] == member.name


@given(groups())
def test_record_after_a_second_task_is_the_same(group: Group) -> None:
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


def test_record_of_a_group_can_be_read_by_people() -> None:
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
def test_record_that_somebody_broke_is_named(where: tuple[Any, ...]) -> None:
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
def test_record_that_is_none_is_named(text: str) -> None:
    broken = {"metadata": {"name": "vcluster-group-dev"}, "data": {group_records.RECORD: text}}
    with pytest.raises(NestedClustersError, match=r"ConfigMap nested-clusters/vcluster-group-dev|schema None"):
        group_records.load(broken)


@pytest.mark.parametrize("data", [None, {}, {"other": "x"}])
def test_config_map_without_a_record_is_named(data: Any) -> None:
    with pytest.raises(NestedClustersError, match="ConfigMap nested-clusters/vcluster-group-dev"):
        group_records.load({"metadata": {"name": "vcluster-group-dev"}, "data": data})


def test_record_of_another_schema_is_refused() -> None:
    stored = group_records.config_map(desired(), "host-a")
    stored["data"][group_records.RECORD] = stored["data"][group_records.RECORD].replace("schema: 1", "schema: 2")
    with pytest.raises(NestedClustersError, match="group dev has schema 2, and this collection reads schema 1"):
        group_records.load(stored)


def test_backing_store_of_a_group_is_recorded_and_can_be_taken_away() -> None:
    before = desired(backing_store={"type": "deployed_etcd", "replicas": 3, "endpoint": None})
    assert group_records.from_record(group_records.record(before)) == before
    assert group_records.record(before)["backing_store"] == {"type": "deployed_etcd", "replicas": 3}
    assert desired(before) == before
    assert desired(before, backing_store={}).backing_store is None
