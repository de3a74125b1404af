# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of what is stored: records, fingerprints and requests that earlier versions wrote are written the same today.

Every byte counts. A record that differs is a change of its group on every host cluster, and a fingerprint that differs
makes every virtual cluster of the group pending.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_records, group_settings
from ansible_collections.nested.clusters.plugins.module_utils.groups.group_pending import applied
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Member
from ansible_collections.nested.clusters.plugins.module_utils.values.control_plane import ControlPlane
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership

Object = dict[str, Any]

A = Member("host-a", "uid-a", "*.a.example.com", node_selector={"pool": "vc"})

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
    group = group_settings.desired({"name": "dev", **OPTIONS[what]}, [A], None)
    assert group_records.config_map(group, "host-a")["data"][group_records.RECORD] == recorded(what)


@pytest.mark.parametrize("what", OPTIONS)
def test_record_of_an_earlier_version_is_written_back_unchanged(what: str) -> None:
    loaded = group_records.load({"metadata": {"name": "x"}, "data": {group_records.RECORD: recorded(what)}})
    assert group_records.config_map(loaded, "host-a")["data"][group_records.RECORD] == recorded(what)
    assert group_settings.desired({"name": "dev", **OPTIONS[what]}, [A], loaded).generation == 1


@pytest.mark.parametrize("what", OPTIONS)
def test_fingerprints_of_a_group_are_the_same_as_before(what: str) -> None:
    group = group_settings.desired({"name": "dev", **OPTIONS[what]}, [A], None)
    has = applied(group, A)
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
