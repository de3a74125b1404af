# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write and delete the record of a cluster group on its host clusters."""

from __future__ import annotations

from typing import Any

from ..common import well_known
from ..common.errors import NestedClustersError
from ..k8s.client import Kubernetes
from ..k8s.errors import KubernetesError
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import path
from ..listing import contents
from ..virtual_cluster import namespaces
from ..virtual_cluster.metadata import metadata_patch
from . import group_records
from .model import Group
from .record_reader import CONFIG_MAPS, NAMESPACE_PATH, StoredRecord, record_path


def labels_patch(record: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the patch of a stored record's metadata that brings its labels back; {} where they are right."""
    return metadata_patch(record, wanted["metadata"]["labels"], {})


def write(kubernetes: Kubernetes, group: Group, host: str, stored: StoredRecord) -> None:
    """Write the record of a group on member ``host``, onto what was read there.

    Raises NestedClustersError if another task has changed it meanwhile.
    """
    wanted = group_records.config_map(group, host)
    if stored.record is None:
        if not stored.namespace:
            namespaces.wait_until_free(kubernetes, well_known.NAMESPACE)
            _create(kubernetes, path("v1", "namespaces"), _namespace())
        _create(kubernetes, CONFIG_MAPS, wanted)
        return
    # Only onto what was read: two administrators at once must notice each other.
    metadata = {"resourceVersion": stored.record["metadata"]["resourceVersion"], **labels_patch(stored.record, wanted)}
    try:
        kubernetes.patch(record_path(group.name), {"metadata": metadata, "data": wanted["data"]})
    except KubernetesError as error:
        if error.status == 409:
            raise NestedClustersError("another task changed the record meanwhile") from error
        raise


def _create(kubernetes: Kubernetes, where: str, live: dict[str, Any]) -> None:
    try:
        kubernetes.create(where, live)
    except KubernetesError as error:
        if error.reason != "AlreadyExists" or live["kind"] != "Namespace":
            raise


def _namespace() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": well_known.NAMESPACE, "labels": well_known.MANAGED_BY},
    }


def delete(host: HostCluster, name: str) -> None:
    """Delete the record of group ``name`` on a host cluster."""
    host.kubernetes.delete(record_path(name))


def delete_empty_namespace(host: HostCluster) -> None:
    """Delete namespace nested-clusters where this collection made it and nothing is in it any more."""
    namespace = host.kubernetes.get(NAMESPACE_PATH)
    labels = (namespace["metadata"].get("labels") or {}) if namespace else {}
    ours = well_known.MANAGED_BY.items() <= labels.items()
    if not ours:
        return
    if not contents.list_objects(host.kubernetes, well_known.NAMESPACE):  # of whatever kind: it may be somebody's
        host.kubernetes.delete(NAMESPACE_PATH)
