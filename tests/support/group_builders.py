# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups as tasks make them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_settings
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group, Member

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
