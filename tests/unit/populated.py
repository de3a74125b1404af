# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host cluster in memory with virtual clusters on it, as helm and vCluster label what they make."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from fake_api import Request, Response
from fakes import FakeKubernetes
from simulation import refuse

Result = dict[str, Any]
Objects = list[Result]
Names = list[str]  # inside of the class below, `list` is its method
_numbers = itertools.count()


class Host(FakeKubernetes):
    """A host cluster that keeps which LISTs came; ``fault`` may answer "LIST PATH", "GET PATH" and "DELETE PATH"."""

    def __init__(self) -> None:
        super().__init__(uid=f"uid {next(_numbers)}")  # two of them are not the same
        self.lists: list[str] = []
        self.fault: Callable[[str], KubernetesError | None] = lambda request: None

    def _intercept(self, request: Request) -> Response | int | None:
        verb = self.fake.verb(request)
        if verb in ("list", "get", "delete") and (error := self.fault(f"{verb.upper()} {request.path}")):
            refuse(error)
        if verb == "list":
            self.lists.append(request.path)
        return super()._intercept(request)

    def cluster(self, name: str, made: bool = True, space: dict[str, Any] | None = None, **options: Any) -> str:
        """Have a virtual cluster; ``made`` says whether its namespace was made for it. Gives the namespace."""
        namespace = f"vcluster-{name}"
        ours = {well_known.CREATED: "true", "nested-clusters/virtual-cluster": name} if made else {}
        there = space or {}
        self.have(
            "Namespace", namespace, labels=there.get("labels", {}), annotations={**ours, **there.get("annotations", {})}
        )
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

    def nested(self, name: str, inside: str, of: str) -> Names:
        """Have what a tenant of virtual cluster ``of`` gets on the host for a virtual cluster in its namespace INSIDE.

        Helm made it there, and the syncer copied it: it translates the label release, and no other. Gives the paths.
        """
        of_helm = {well_known.RELEASE_NAME: name, well_known.RELEASE_NAMESPACE: inside}
        copied = {well_known.SYNCED_LABEL: of, "vcluster.loft.sh/namespace": inside}
        chart = {**copied, "app": "vcluster", "chart": "vcluster-0.36.1", "app.kubernetes.io/managed-by": "Helm"}
        record = {**copied, "owner": "helm", "name": name, "version": "2", "status": "deployed"}
        things: Objects = [
            {"kind": "Service", "name": name, "labels": chart, "annotations": of_helm},
            {"kind": "Secret", "name": f"vc-config-{name}", "labels": chart, "annotations": of_helm},
            {"kind": "Secret", "name": f"vc-{name}", "labels": {**copied, "app": "vcluster", "vcluster-name": name}},
            {"kind": "Secret", "name": f"sh.helm.release.v1.{name}.v1", "labels": record, "type": "helm.sh/release.v1"},
            {"kind": "PersistentVolumeClaim", "name": f"data-{name}-0", "labels": {**copied, "app": "vcluster"}},
            {"kind": "Pod", "name": f"{name}-0", "labels": {**copied, "app": "vcluster"}, "spec": {}},
        ]
        for thing in things:
            thing["name"] = f"{thing['name']}-x-{inside}-x-{of}"
            self.have(thing.pop("kind"), thing.pop("name"), namespace=f"vcluster-{of}", **thing)
        return sorted(at for at in self.objects if at.endswith(f"-x-{inside}-x-{of}"))

    def speaking_of(self, name: str) -> Names:
        return sorted(at for at in self.objects if name in at)


def member(name: str, group: str = "dev", owner: str = "alice", cpu: str = "4") -> Result:
    """Labels and annotations of the namespace of a virtual cluster in a group; without cpu, only volumes are left."""
    size = json.dumps({"cpu": cpu, "memory": "4Gi" if cpu != "0" else "0", "storage": "2Gi"})
    told = {"owner": owner, "size": size, "virtual-cluster": name}
    annotations = {f"nested-clusters/{key}": text for key, text in told.items()}
    return {"labels": {"nested-clusters/group": group}, "annotations": annotations}
