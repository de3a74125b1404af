# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual clusters on a host cluster in memory, with all that helm and vCluster make, labeled as they label it."""

from __future__ import annotations

from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from fake_api import FakeCluster

Object = dict[str, Any]


def have_virtual_cluster(
    cluster: FakeCluster, name: str, made: bool = True, space: Object | None = None, **options: Any
) -> str:
    """Have a virtual cluster, and return its namespace.

    ``made`` says whether its namespace was made for it; ``space`` and ``options`` are more labels and annotations, of
    the namespace and of the workload.
    """
    namespace = f"vcluster-{name}"
    _have_namespace(cluster, namespace, name if made else "", space or {})
    chart = {"app": "vcluster", "release": name, "app.kubernetes.io/managed-by": "Helm"}
    of_helm = {well_known.RELEASE_NAME: name, well_known.RELEASE_NAMESPACE: namespace}
    workload = cluster.have(
        "StatefulSet",
        name,
        namespace=namespace,
        labels={**chart, **options.get("labels", {})},
        annotations={**of_helm, **options.get("annotations", {})},
        spec={"replicas": 1, "template": {"spec": {"containers": []}}},
        status={"observedGeneration": 1, "readyReplicas": 1, "updatedReplicas": 1, "replicas": 1},
    )
    cluster.have("Service", name, namespace=namespace, labels=chart, annotations=of_helm)
    cluster.have("Secret", f"vc-config-{name}", namespace=namespace, labels=chart, annotations=of_helm)
    _have_unmanaged(cluster, name, namespace, workload)
    cluster.have("ClusterRole", f"vc-{name}-v-{namespace}", labels=chart, annotations=of_helm)
    marker = {well_known.SYNCED_LABEL: f"{namespace}-x-{name}"}
    cluster.have("PriorityClass", f"high-x-{name}", labels=marker)
    return namespace


def _have_namespace(cluster: FakeCluster, namespace: str, made_for: str, space: Object) -> None:
    ours = {well_known.CREATED: "true", "nested-clusters/virtual-cluster": made_for} if made_for else {}
    annotations = {**ours, **space.get("annotations", {})}
    cluster.have("Namespace", namespace, labels=space.get("labels", {}), annotations=annotations)


def _have_unmanaged(cluster: FakeCluster, name: str, namespace: str, workload: Object) -> None:
    """Have what is no part of the release: Helm's record, what vCluster writes, the pods and their claim."""
    inside: Object = {"namespace": namespace}
    own = {"app": "vcluster", "release": name}
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "controller": True}
    owner["uid"] = workload["metadata"]["uid"]
    record = {"owner": "helm", "name": name, "version": "1", "status": "deployed"}
    cluster.have("Secret", f"vc-{name}", labels={"app": "vcluster", "vcluster-name": name}, **inside)
    cluster.have("Secret", f"sh.helm.release.v1.{name}.v1", labels=record, type="helm.sh/release.v1", **inside)
    cluster.have("PersistentVolumeClaim", f"data-{name}-0", labels=own, **inside)
    cluster.have("Pod", f"{name}-0", labels=own, ownerReferences=[owner], spec={}, **inside)
    cluster.have("Pod", f"web-x-default-x-{name}", labels={well_known.SYNCED_LABEL: name}, spec={}, **inside)
