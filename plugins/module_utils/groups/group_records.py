# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a cluster group: a ConfigMap on each of its host clusters, written and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..common import yaml_io
from ..common.errors import NestedClustersError, OptionError
from ..common.size import Size
from ..common.well_known import HOST_LABEL, MANAGED_BY, NAMESPACE, RECORD_LABEL
from ..scheduling.quotas import OwnerQuota
from ..values.backing_store import BackingStore
from ..values.endpoint import Endpoint
from ..values.oidc import Oidc
from .group_settings import check_form
from .model import Group, Member

PREFIX = "vcluster-group-"  # of the ConfigMap
RECORD = "group.yaml"  # the ConfigMap's key
SCHEMA = 1


# --- storing ----------------------------------------------------------------------------------------------


def record(group: Group) -> dict[str, Any]:
    """Return the group as plain data: what is stored, and what ``vcluster_group`` returns."""
    return {
        "schema": SCHEMA,
        "generation": group.generation,
        "name": group.name,
        "description": group.description,
        "tags": dict(group.tags),
        "host_clusters": [
            {
                "name": member.name,
                "id": member.id,
                "dns_pattern": member.dns_pattern,
                "capacity": member.capacity.as_dict(),
                "node_selector": dict(member.node_selector),
            }
            for member in sorted(group.members, key=lambda member: member.name)
        ],
        "endpoint": group.endpoint.as_dict(),
        "distribution": group.distribution,
        "replicas": group.replicas,
        "backing_store": group.backing_store.as_dict() if group.backing_store else {},
        "kubernetes_version": group.kubernetes_version,
        "vcluster_version": group.vcluster_version,
        "oversubscription": group.oversubscription,
        "placement": group.placement,
        "size": {
            "default": group.default.as_dict(),
            "minimum": group.minimum.as_dict(),
            "maximum": group.maximum.as_dict(),
        },
        "owner_quota": group.owner_quota.as_dict(),
        "values": dict(group.values),
        "oidc": group.oidc.as_dict() if group.oidc else {},
    }


def from_record(data: Mapping[str, Any]) -> Group:
    """Return the group in a record. Raises NestedClustersError for one that this version cannot read.

    Raises KeyError, TypeError, AttributeError, ValueError or OptionError where it is broken.
    """
    if data.get("schema") != SCHEMA:
        raise NestedClustersError(
            f"the record of group {data.get('name')} has schema {data.get('schema')}, and this collection reads "
            f"schema {SCHEMA}: use the version of nested.clusters that wrote it, or a newer one"
        )

    def bound(key: str) -> Size:
        return Size.parse(data["size"][key], f"size.{key}", partial=True)

    store, oidc = _mapping(data, "backing_store"), _mapping(data, "oidc")
    group = Group(
        name=data["name"],
        members=tuple(
            Member(
                name=host["name"],
                id=host["id"],
                dns_pattern=host["dns_pattern"],
                capacity=Size.parse(host["capacity"], "capacity", partial=True),
                node_selector=_mapping(host, "node_selector"),
            )
            for host in data["host_clusters"]
        ),
        description=data["description"],
        tags=_mapping(data, "tags"),
        endpoint=Endpoint.of(_mapping(data, "endpoint")),
        distribution=data["distribution"],
        replicas=data["replicas"],
        backing_store=BackingStore.of(store) if store else None,
        kubernetes_version=data["kubernetes_version"],
        vcluster_version=data["vcluster_version"],
        oversubscription=int(data["oversubscription"]),
        placement=data["placement"],
        default=bound("default"),
        minimum=bound("minimum"),
        maximum=bound("maximum"),
        owner_quota=OwnerQuota.parse(data["owner_quota"], "owner_quota"),
        values=_mapping(data, "values"),
        oidc=Oidc.of(oidc) if oidc else None,
        generation=int(data["generation"]),
    )
    check_form(group)
    return group


def _mapping(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    if not isinstance(data[key], dict):
        raise TypeError(f"{key} is no mapping")
    return dict(data[key])


def config_map(group: Group, host_cluster: str) -> dict[str, Any]:
    """Return the object that stores a group on one of its members."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{PREFIX}{group.name}",
            "namespace": NAMESPACE,
            "labels": {
                **MANAGED_BY,
                RECORD_LABEL: group.name,
                HOST_LABEL: host_cluster,
            },
        },
        "data": {RECORD: yaml_io.dump(record(group))},
    }


def load(stored: Mapping[str, Any]) -> Group:
    """Return the group in a ConfigMap. Raises NestedClustersError naming it when somebody broke it."""
    name = stored["metadata"]["name"]
    try:
        return from_record(yaml_io.load(stored["data"][RECORD]))
    except (yaml_io.YAMLError, KeyError, TypeError, AttributeError, ValueError, OptionError) as error:
        raise NestedClustersError(
            f"ConfigMap {NAMESPACE}/{name} does not contain a group's record ({' '.join(str(error).split())}); restore "
            "it from another member of the group, or delete it and run vcluster_group again"
        ) from error
