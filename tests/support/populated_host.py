# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host cluster in memory with virtual clusters on it, as Helm and vCluster label what they make."""

from __future__ import annotations

import itertools
import json
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from fake_api import GATEWAY_API, FakeCluster

Result = dict[str, Any]
Names = list[str]
OF_EVERY_HOST = [
    f"/api/v1/namespaces/{name}" for name in ("default", "kube-node-lease", "kube-public", "kube-system")
]
_numbers = itertools.count()


class PopulatedHost(FakeCluster):
    """A host cluster that has virtual clusters, and what is left of some."""

    def __init__(self) -> None:
        super().__init__(host=f"https://populated-{next(_numbers)}", serves=GATEWAY_API)  # two of them differ

    def have_cluster(self, name: str, made: bool = True, space: dict[str, Any] | None = None, **options: Any) -> str:
        """Have a virtual cluster; ``made`` says whether its namespace was made for it. Return the namespace."""
        namespace = f"vcluster-{name}"
        ours = {well_known.CREATED: "true", "nested-clusters/virtual-cluster": name} if made else {}
        of_space = space or {}
        notes = {**ours, **of_space.get("annotations", {})}
        self.have("Namespace", namespace, labels=of_space.get("labels", {}), annotations=notes)
        of_helm = {well_known.RELEASE_NAME: name, well_known.RELEASE_NAMESPACE: namespace}
        chart = {"app": "vcluster", "release": name, "app.kubernetes.io/managed-by": "Helm"}
        inside: Result = {"namespace": namespace}
        workload = self.have(
            "StatefulSet",
            name,
            labels={**chart, **options.get("labels", {})},
            annotations={**of_helm, **options.get("annotations", {})},
            spec={"replicas": 1, "template": {"spec": {"containers": []}}},
            status={"observedGeneration": 1, "readyReplicas": 1, "updatedReplicas": 1, "replicas": 1},
            **inside,
        )
        owner = [{"uid": workload["metadata"]["uid"], "controller": True}]
        self.have("Service", name, labels=chart, annotations=of_helm, **inside)
        self.have("Secret", f"vc-config-{name}", labels=chart, annotations=of_helm, **inside)
        self.have("Secret", f"vc-{name}", labels={"app": "vcluster", "vcluster-name": name}, **inside)
        record = {"owner": "helm", "name": name, "version": "1", "status": "deployed"}
        self.have("Secret", f"sh.helm.release.v1.{name}.v1", labels=record, type="helm.sh/release.v1", **inside)
        self.have("PersistentVolumeClaim", f"data-{name}-0", labels={"app": "vcluster", "release": name}, **inside)
        own = {"app": "vcluster", "release": name}
        self.have("Pod", f"{name}-0", labels=own, ownerReferences=owner, spec={}, **inside)
        self.have("Pod", f"web-x-default-x-{name}", labels={well_known.SYNCED_LABEL: name}, spec={}, **inside)
        self.have("ClusterRole", f"vc-{name}-v-{namespace}", labels=chart, annotations=of_helm)
        marker = f"{namespace}-x-{name}"
        self.have("PriorityClass", f"high-x-{name}", labels={well_known.SYNCED_LABEL: marker})
        return namespace

    def have_nested(self, name: str, inside: str, of: str) -> Names:
        """Have what a tenant of virtual cluster ``of`` gets on the host for a virtual cluster in its namespace INSIDE.

        Helm made it there, and the syncer copied it: it translates the label release, and no other. Return the paths.
        """
        of_helm = {well_known.RELEASE_NAME: name, well_known.RELEASE_NAMESPACE: inside}
        copied = {well_known.SYNCED_LABEL: of, "vcluster.loft.sh/namespace": inside}
        chart = {**copied, "app": "vcluster", "chart": "vcluster-0.36.1", "app.kubernetes.io/managed-by": "Helm"}
        record = {**copied, "owner": "helm", "name": name, "version": "2", "status": "deployed"}
        copies: list[Result] = [
            {"kind": "Service", "name": name, "labels": chart, "annotations": of_helm},
            {"kind": "Secret", "name": f"vc-config-{name}", "labels": chart, "annotations": of_helm},
            {"kind": "Secret", "name": f"vc-{name}", "labels": {**copied, "app": "vcluster", "vcluster-name": name}},
            {"kind": "Secret", "name": f"sh.helm.release.v1.{name}.v1", "labels": record, "type": "helm.sh/release.v1"},
            {"kind": "PersistentVolumeClaim", "name": f"data-{name}-0", "labels": {**copied, "app": "vcluster"}},
            {"kind": "Pod", "name": f"{name}-0", "labels": {**copied, "app": "vcluster"}, "spec": {}},
        ]
        for copy in copies:
            copy["name"] = f"{copy['name']}-x-{inside}-x-{of}"
            self.have(copy.pop("kind"), copy.pop("name"), namespace=f"vcluster-{of}", **copy)
        return [path for path in self.paths() if path.endswith(f"-x-{inside}-x-{of}")]

    def paths_with(self, word: str) -> Names:
        """Return the paths that have a word in them."""
        return [path for path in self.paths() if word in path]

    def vanish_with(self, *words: str) -> None:
        """Take away all that has one of these words in its path; what another one takes along as well."""
        for path in self.paths():
            if any(word in path for word in words) and path in self:
                self.vanish(path)


def member(name: str, group: str = "dev", owner: str = "alice", cpu: str = "4") -> Result:
    """Return labels and annotations of a group member's namespace; without cpu, only its volumes are left."""
    size = json.dumps({"cpu": cpu, "memory": "4Gi" if cpu != "0" else "0", "storage": "2Gi"})
    recorded = {"owner": owner, "size": size, "virtual-cluster": name}
    annotations = {f"nested-clusters/{key}": text for key, text in recorded.items()}
    return {"labels": {"nested-clusters/group": group}, "annotations": annotations}
