# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the record of one cluster group as it is stored on each of its host clusters, before it is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..common import well_known
from ..common.errors import NestedClustersError, OptionError
from ..k8s import host_clusters
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import path
from . import group_records, group_view
from .model import Group

CONFIG_MAPS = path("v1", "configmaps", well_known.NAMESPACE)
NAMESPACE_PATH = path("v1", "namespaces", None, well_known.NAMESPACE)


@dataclass(frozen=True)
class StoredRecord:
    """What one host cluster says before a group is changed."""

    view: group_view.HostView
    id: str
    record: dict[str, Any] | None  # the ConfigMap, as it is stored
    namespace: bool  # whether namespace nested-clusters is there


def read(name: str, host: HostCluster) -> StoredRecord:
    """Return what a host cluster has of group ``name``, with all that is allocated on it."""
    view = group_view.look(host)
    system = host.kubernetes.get(host_clusters.SYSTEM)
    namespace = host.kubernetes.get(NAMESPACE_PATH)
    if namespace and namespace["metadata"].get("deletionTimestamp"):
        namespace = None  # with what is in it; see record_writer.write
    record = host.kubernetes.get(record_path(name)) if namespace else None
    return StoredRecord(view, system["metadata"]["uid"] if system else "", record, namespace is not None)


def record_path(group: str) -> str:
    """Return the path of the ConfigMap that holds a group's record."""
    return f"{CONFIG_MAPS}/{group_records.PREFIX}{group}"


def newest(stored: Mapping[str, StoredRecord]) -> Group | None:
    """Return the group of the newest record; None where there is none.

    Raises OptionError where host clusters have different groups of this name.
    """
    # By the name of the ConfigMap: somebody may have taken off the labels that others find it by.
    records = {host: group_records.load(item.record) for host, item in stored.items() if item.record}
    latest = max(records, key=lambda host: records[host].generation, default=None)
    if latest is None:
        return None
    others = {host: group for host, group in records.items() if host != latest}
    strangers = sorted(host for host, group in others.items() if not group.has_member_of(records[latest]))
    if strangers:
        raise OptionError(
            "host_clusters",
            sorted(records),
            "the host clusters of one of these groups",
            message=f"{', '.join(strangers)} and {latest} have different groups called {records[latest].name}, because "
            "no host cluster is a member of both (by the UID of namespace kube-system); list the host clusters of one "
            "of them",
        )
    return records[latest]


def check_names(stored: Mapping[str, StoredRecord], name: str) -> None:
    """Raise OptionError where a host cluster is a member of the group under another name."""
    for host, item in stored.items():
        own = item.view.names.get(name)
        if own and own != host:
            raise OptionError(
                "host_clusters.name",
                host,
                own,
                message=f"{host} is member {own} of group {name}; use the name {own}",
            )


def check_empty(stored: StoredRecord, group: str, what: str) -> None:
    """Raise NestedClustersError, which begins with ``what``, where virtual clusters of the group live there."""
    living = sorted(item.name for item in stored.view.allocations if item.group == group)
    if living:
        raise NestedClustersError(
            f"{what}: it has virtual clusters {', '.join(living)}; delete them first",
            virtual_clusters=living,
        )
