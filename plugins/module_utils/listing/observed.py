# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One virtual cluster as a look at many finds it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..common.well_known import SYNCED_LABEL, safe_concat
from ..k8s.objects import Object
from ..virtual_cluster import workloads

ClusterKey = tuple[str, str]  # namespace, name


@dataclass(frozen=True)
class ObservedCluster:
    """One virtual cluster as it was read.

    ``pods`` are those of the control plane and its etcd, ``synced`` those it made for its users; of both a pause
    needs only the metadata. ``values`` are those of its release, where they matter (see ``needs_values``).
    """

    control_plane: Object
    etcd: Object | None = None
    pods: tuple[Object, ...] = ()
    synced: tuple[Object, ...] = ()
    values: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        return workloads.cluster_name(self.control_plane)

    @property
    def namespace(self) -> str:
        return str(self.control_plane["metadata"]["namespace"])

    @property
    def own(self) -> list[Object]:
        """Return pods of the control plane."""
        return [pod for pod in self.pods if label_of(pod, "app") != "vcluster-etcd"]


def synced_by(seen: ObservedCluster, pods: Iterable[Object], namespaces: Collection[str] = ()) -> tuple[Object, ...]:
    """Return the ``pods`` that a virtual cluster synced into its namespace, or into ``namespaces`` made for it."""
    ours = {seen.namespace, *namespaces}
    return tuple(
        pod for pod in pods if pod["metadata"]["namespace"] in ours and label_of(pod, SYNCED_LABEL) == seen.name
    )


def marker(name: str, namespace: str) -> str:
    """Return the value of SYNCED_LABEL on cluster-scoped objects of a virtual cluster, and on namespaces.

    Another virtual cluster can have the same: see ``names.is_ambiguous``. Its name is another one then, and that is
    the label's value on what is in a namespace.
    """
    return safe_concat(namespace, "x", name)


def label_of(item: Object, key: str) -> str:
    return (item["metadata"].get("labels") or {}).get(key, "")
