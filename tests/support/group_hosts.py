# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host clusters in memory that belong to cluster groups, with virtual clusters of these groups."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_pending, group_records
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group, Member
from fake_api import METRICS, FakeCluster
from workloads import Object, workload

SIZE = {"cpu": "2", "memory": "4Gi", "storage": "2Gi"}
A, B = Member("host-a", "id-a"), Member("host-b", "id-b", dns_pattern="*.b.example.com")
MINIMUM = Size.parse({"cpu": 1, "memory": "1Gi", "storage": 0}, "minimum")
DEV = Group("dev", (A, B), minimum=MINIMUM, default=Size.parse(SIZE, "default"), generation=1)
_numbers = itertools.count()


class GroupHost(FakeCluster):
    """A host cluster with one node, which measures pods where ``serve(*METRICS)`` says so."""

    def __init__(self, name: str) -> None:
        super().__init__(host=f"https://{name}")
        self.add(node())

    @property
    def asked(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(request.path for request in self.requests)

    def have_all(self, *documents: Object) -> GroupHost:
        """Have objects."""
        for document in documents:
            if document["kind"] == "PodMetrics":
                self.serve(*METRICS)
            self.add(document)
        return self

    def have_nodes(self, *nodes: Object) -> None:
        """Have these nodes and no others."""
        for old in self.names("Node"):
            self.vanish(f"/api/v1/nodes/{old}")
        for number, one in enumerate(nodes):
            self.add({**one, "metadata": {"name": f"node-{number}" if number else "node"}})

    def have_record(self, group: Group, own: str) -> GroupHost:
        """Have the record of a group in which this host cluster is called OWN."""
        return self.have_all({"kind": "ConfigMap", **group_records.config_map(group, own)})

    def have_virtual_cluster(
        self,
        name: str,
        group: str = "dev",
        ready: int = 1,
        used: Object | None = None,
        has: Iterable[str] = ("workload", "quota"),
        annotations: Object | None = None,
        **metadata: Any,
    ) -> GroupHost:
        """Have a namespace with its size, and what of the rest it has."""
        self.add(namespace(name, group, annotations or {}, **metadata))
        if "workload" in has:
            self.add(control_plane(name, ready))
        if "quota" in has:
            self.add(quota(name, used or {"requests.cpu": "250m", "requests.storage": "1Gi"}))
        return self


def node(cpu: str = "8", memory: str = "16Gi", **spec: Any) -> Object:
    """Return a ready node."""
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": "node"},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": cpu, "memory": memory},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def namespace(name: str, group: str, annotations: Object, **metadata: Any) -> Object:
    """Return the namespace of a virtual cluster in a group."""
    recorded = {
        "nested-clusters/virtual-cluster": name,
        "nested-clusters/size": json.dumps(SIZE),
        "nested-clusters/applied": json.dumps(group_pending.applied(DEV, A)),
        **{f"nested-clusters/{key}": value for key, value in annotations.items()},
    }
    return {
        "kind": "Namespace",
        "metadata": {
            "name": f"vcluster-{name}",
            "creationTimestamp": "2026-11-20T12:00:00Z",
            "labels": {"nested-clusters/group": group},
            "annotations": recorded,
            **metadata,
        },
    }


def control_plane(name: str, ready: int = 1, replicas: int = 1, **metadata: Any) -> Object:
    """Return the workload of a virtual cluster, an hour younger than its namespace."""
    created = {"creationTimestamp": "2026-11-20T13:00:00Z", **metadata}
    return workload(name, f"vcluster-{name}", ready, replicas, **created)


def quota(name: str, used: Object | None) -> Object:
    """Return the ResourceQuota of a virtual cluster; None stands for what counts nothing yet."""
    labels = {"app": "vcluster", "app.kubernetes.io/managed-by": "nested.clusters"}
    return {
        "kind": "ResourceQuota",
        "metadata": {"name": f"nested-clusters-{name}", "namespace": f"vcluster-{name}", "labels": labels},
        "status": {} if used is None else {"used": used},
    }


def pod_metrics(name: str, *usages: tuple[str, str]) -> Object:
    """Return what a pod of a virtual cluster uses, as CPU and memory of each container."""
    containers = [{"name": "c", "usage": {"cpu": cpu, "memory": memory}} for cpu, memory in usages]
    metadata = {"name": f"pod-{next(_numbers)}", "namespace": f"vcluster-{name}"}
    return {"kind": "PodMetrics", "metadata": metadata, "containers": containers}


def claim(name: str, storage: str) -> Object:
    """Return a claim of a virtual cluster."""
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"data-{next(_numbers)}", "namespace": f"vcluster-{name}"},
        "spec": {"resources": {"requests": {"storage": storage}}},
    }
