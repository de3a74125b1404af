# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of backing stores: from options to values and back, and options that contradict each other."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.values import tree
from ansible_collections.nested.clusters.plugins.module_utils.values.backing_store import (
    STORE_TYPES,
    STORES,
    BackingStore,
    enabled_store,
    store_of,
)

EXTERNAL = BackingStore.of(
    {"type": "external_etcd", "endpoint": "etcd.example.com:2379", "tls_secret": "etcd-login"}
)
VOLUMES = "controlPlane.statefulSet.persistence.addVolumes"


def store(**options: Any) -> BackingStore:
    return BackingStore.of(options)


@pytest.mark.parametrize("kind", STORE_TYPES, ids=lambda kind: str(kind.name))
def test_store_of_values_is_the_one_that_they_enable(kind: Any) -> None:
    for switch in (True, "true"):
        assert store_of(tree.at(kind.switch, switch)) == kind
    assert enabled_store(tree.at(kind.switch, True)) == kind
    assert enabled_store(tree.at(kind.switch, False)) is None


@pytest.mark.parametrize("kind", STORE_TYPES, ids=lambda kind: str(kind.name))
def test_store_type_has_a_path_for_what_it_needs(kind: Any) -> None:
    assert not kind.needed or kind.options[kind.needed].startswith(kind.switch.removesuffix(".enabled"))
    assert bool(kind.tls) == ("tls_secret" in kind.options)


def test_store_types_of_options_are_in_the_order_of_the_documentation() -> None:
    assert STORES == ("embedded_sqlite", "deployed_etcd", "external_etcd", "external_database")


@pytest.mark.parametrize(
    "option",
    [
        {"type": "embedded_sqlite"},
        {"type": "deployed_etcd", "replicas": 3},
        {"type": "external_etcd", "endpoint": "etcd:2379", "tls_secret": "login"},
        {"type": "external_database", "data_source": "mysql://x", "tls_secret": "login"},
    ],
    ids=lambda option: str(option["type"]),
)
def test_store_as_plain_data_is_what_it_was_made_of(option: dict[str, Any]) -> None:
    assert BackingStore.of(option).as_dict() == option
    unsaid = dict.fromkeys(("replicas", "endpoint", "tls_secret", "data_source"))
    assert BackingStore.of({**unsaid, **option}) == BackingStore.of(option)


def test_store_of_a_group_has_the_name_of_its_virtual_cluster() -> None:
    assert store(type="external_etcd", endpoint="etcd-*.svc:2379").named("team").endpoint == "etcd-team.svc:2379"
    assert store(type="deployed_etcd").named("team") == store(type="deployed_etcd")


def test_external_etcd_with_a_secret_is_logged_in_to_beside_other_volumes() -> None:
    own = {"name": "own", "emptyDir": {}}
    before = tree.at(VOLUMES, [own])
    result = tree.merge(before, EXTERNAL.layer(before))
    assert tree.get(result, "controlPlane.backingStore.etcd.external") == {
        "enabled": True,
        "endpoint": "etcd.example.com:2379",
        "tls": {
            "caFile": "/etc/vcluster-backing-store/ca.crt",
            "certFile": "/etc/vcluster-backing-store/tls.crt",
            "keyFile": "/etc/vcluster-backing-store/tls.key",
        },
    }
    volumes = tree.get(result, VOLUMES)
    assert volumes == [own, {"name": "backing-store-tls", "secret": {"secretName": "etcd-login"}}]
    (mount,) = tree.get(result, "controlPlane.statefulSet.persistence.addVolumeMounts")
    assert (mount["name"], mount["mountPath"]) == ("backing-store-tls", "/etc/vcluster-backing-store")


def test_external_etcd_with_another_secret_forgets_the_first() -> None:
    before = EXTERNAL.layer({})
    after = tree.merge(before, store(type="external_etcd", tls_secret="other").layer(before))
    (volume,) = tree.get(after, VOLUMES)
    assert volume["secret"] == {"secretName": "other"}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            {"type": "deployed_etcd", "replicas": 2},
            "backing_store.replicas: 2 is not usable; allowed: 1, 3, 5, 7",
        ),
        (
            {"type": "embedded_sqlite", "replicas": 1},
            "backing_store.replicas: .* for backing_store.type deployed_etcd, not embedded_sqlite",
        ),
        (
            {"type": "deployed_etcd", "endpoint": "a:1"},
            "backing_store.endpoint: .* for backing_store.type external_etcd, not deployed_etcd",
        ),
        (
            {"type": "external_etcd", "endpoint": "http://a:2379"},
            "backing_store.endpoint: 'http://a:2379' .* with TLS",
        ),
        ({"type": "external_etcd", "endpoint": "a:1,b:1"}, "backing_store.endpoint: 'a:1,b:1' .* to one address"),
        ({"type": "external_etcd", "endpoint": "etcd"}, "backing_store.endpoint: 'etcd'"),
        ({"replicas": 3}, "backing_store.type: no value is set; allowed: embedded_sqlite, deployed_etcd"),
        ({"type": "embedded_etcd"}, "backing_store.type: 'embedded_etcd' is not usable; allowed: embedded_sqlite"),
        (
            {"type": "deployed_etcd", "tls_secret": "x"},
            "backing_store.tls_secret: .* for backing_store.type external_etcd or external_database, not deployed_etcd",
        ),
    ],
)
def test_store_of_options_that_contradict_each_other_is_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        BackingStore.of(option)


def test_store_with_a_misplaced_data_source_is_refused_without_showing_it() -> None:
    with pytest.raises(OptionError) as error:
        store(type="deployed_etcd", data_source="mysql://user:hunter2@db")
    assert "hunter2" not in str(error.value)
    assert "hunter2" not in str(error.value.data)


@pytest.mark.parametrize("address", ["etcd:2379", "https://etcd.example.com:2379", "10.0.0.1:1", "[fd00::1]:2379"])
def test_store_with_an_address_of_an_etcd_is_taken(address: str) -> None:
    assert store(type="external_etcd", endpoint=address).endpoint == address
