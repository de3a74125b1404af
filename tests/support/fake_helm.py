# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm for a host cluster in memory: what it renders, stores and refuses, without a process."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import yaml
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.helm import post_renderer
from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart
from ansible_collections.nested.clusters.plugins.module_utils.helm.cli import ReleaseSpec
from ansible_collections.nested.clusters.plugins.module_utils.helm.post_renderer import PausedWorkloads
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import HelmError, Release
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.values import tree
from ansible_collections.nested.clusters.plugins.module_utils.values.control_plane import kubernetes_version_at
from fake_api import FakeCluster
from fake_api.storage import merged
from helm_releases import NAME, NAMESPACE, release_secret
from kubeconfig_secrets import kubeconfig_secret

Object = dict[str, Any]

CHART = Chart("vcluster", "https://charts.loft.sh", None)
WORKLOAD = path("apps/v1", "statefulsets", NAMESPACE, NAME)
SERVICE = path("v1", "services", NAMESPACE, NAME)
NAMESPACE_PATH = path("v1", "namespaces", None, NAMESPACE)
READY = {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}
OF_HELM = {  # what helm writes on everything that it makes
    "labels": well_known.MANAGED_BY_HELM,
    "annotations": {well_known.RELEASE_NAME: NAME, well_known.RELEASE_NAMESPACE: NAMESPACE},
}


def manifest(version: str, values: Object) -> str:
    """A release that is small, and has what matters: a Secret with the values, a set, an object in no namespace."""
    image = tree.get(values, kubernetes_version_at("k8s")) or "v1.36.0"
    documents = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"vc-config-{NAME}", "namespace": NAMESPACE},
            "data": {"config.yaml": base64.b64encode(json.dumps(values).encode()).decode()},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": {"ports": [{"port": 443}]}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": f"vc-{NAME}"},
            "rules": [],
        },
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {
                "name": NAME,
                "namespace": NAMESPACE,
                "labels": {"app": "vcluster", "release": NAME, "chart": f"vcluster-{version}"},
            },
            "spec": {
                "replicas": 1,
                "serviceName": f"{NAME}-headless",
                "template": {
                    "spec": {
                        "initContainers": [{"name": "kubernetes", "image": f"kubernetes:{image}"}],
                        "containers": [{"name": "syncer", "image": f"vcluster-oss:{version}"}],
                    }
                },
            },
        },
    ]
    return "---\n".join(yaml.safe_dump(document) for document in documents)


def record(revision: int) -> str:
    """Return the path of Helm's record of a revision."""
    return path("v1", "secrets", NAMESPACE, f"sh.helm.release.v1.{NAME}.v{revision}")


def have_release(cluster: FakeCluster, revision: int = 1, labels: dict[str, str] | None = None, **changes: Any) -> None:
    """Have Helm's record of a revision, with more labels."""
    secret = release_secret(revision, **changes)
    status = (changes.get("info") or {}).get("status", "deployed")
    secret["metadata"]["labels"].update({"status": status, **(labels or {})})
    cluster.add({"apiVersion": "v1", "kind": "Secret", **secret})


def documents_with_paths(cluster: FakeCluster, manifest_text: str, namespace: str) -> Iterator[tuple[str, Object]]:
    """Yield each object of a manifest with its path on a host cluster."""
    for document in yaml.safe_load_all(manifest_text):
        kind = cluster.kind(document["kind"], document["apiVersion"])
        inside = namespace if kind.namespaced else None
        yield path(kind.api_version, kind.plural, inside, document["metadata"]["name"]), document


def mark_deleted(cluster: FakeCluster, at: str) -> None:
    """Have an object that is being deleted, and stays for now."""
    document = cluster.at(at)
    document["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cluster.add(document)


def vanish_namespace(cluster: FakeCluster, namespace: str) -> None:
    """Take a namespace away, with all that is in it."""
    for at in [*cluster.paths(namespace), path("v1", "namespaces", None, namespace)]:
        if at in cluster:
            cluster.vanish(at)


class FakeHelm:
    """helm on a host cluster in memory, which refuses what helm refuses.

    ``runs`` are the commands so far. ``ready`` says whether the control plane starts. ``versions`` are those that were
    applied.
    """

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.runs: list[str] = []
        self.ready = True
        self.chart_name = "vcluster"
        self.versions: list[str] = []
        self._applied_after: list[int] = []  # how many writes there were before each `apply`

    def open(self) -> FakeHelm:
        """Return this, as what opens helm does."""
        return self

    def forget(self) -> None:
        """Forget the commands, and the requests on the host cluster."""
        self.cluster.requests.clear()
        self.runs.clear()
        self._applied_after.clear()

    def writes(self) -> list[str]:
        """Return the writes on the host cluster, with "helm apply" between them."""
        result = self.cluster.writes()
        for position in reversed(self._applied_after):
            result.insert(position, "helm apply")
        return result

    def render(self, spec: ReleaseSpec, unfinished: bool = False) -> Release:
        """Render a release, as `helm upgrade --dry-run` does."""
        self.runs.append("render")
        if not unfinished:  # else it is `helm install`, of which a dry run does not ask
            self._refuse_pending()
        return self._release(spec.chart, spec.values)

    def apply(
        self,
        spec: ReleaseSpec,
        deployed: Release | None,
        labels: dict[str, str],
        at_rest: PausedWorkloads | None = None,
    ) -> Release:
        """Install or upgrade a release. Raises HelmError."""
        self.runs.append("apply")
        self._applied_after.append(len(self.cluster.writes()))
        self._refuse_pending()
        if NAMESPACE_PATH not in self.cluster:
            raise HelmError(f'helm upgrade: create: failed to create: namespaces "{spec.namespace}" not found')
        release = self._release(spec.chart, spec.values)
        self.versions.append(release.chart_version)
        if at_rest:
            text = post_renderer.at_rest(release.manifest, at_rest.names, at_rest.annotations)
            release = replace(release, manifest=text)
        self._store(release, labels if deployed is None else {**deployed.labels, **labels})
        for at, document in documents_with_paths(self.cluster, release.manifest, spec.namespace):
            self._write(at, document, spec.namespace)
        if self.ready and not at_rest:
            self.start()
        elif not self.ready:
            generation = self.cluster.at(WORKLOAD)["metadata"]["generation"]
            self.cluster.add({**self.cluster.at(WORKLOAD), "status": {"observedGeneration": generation}})
        return release

    def rollback(self, name: str, namespace: str, revision: int, deployed: Release | None) -> None:
        """Go back to a revision."""
        self.runs.append(f"rollback {revision}")

    def start(self) -> None:
        """Let the control plane become ready."""
        generation = self.cluster.at(WORKLOAD)["metadata"]["generation"]
        self.cluster.change(WORKLOAD, {"status": {**READY, "observedGeneration": generation}})
        data = kubeconfig_secret(NAME, NAMESPACE)["data"]
        self.cluster.have("Secret", f"vc-{NAME}", namespace=NAMESPACE, data=data)

    def _write(self, at: str, document: Object, namespace: str) -> None:
        before = self.cluster.at(at) if at in self.cluster else {}
        defaults: Object = {"status": {}} if document["kind"] == "StatefulSet" else {"immutable": False}
        after: Any = merged(merged(before, {**document, **defaults}), {"metadata": OF_HELM})
        if self.cluster.kind(document["kind"], document["apiVersion"]).namespaced:
            after["metadata"]["namespace"] = namespace
        ports = after.get("spec", {}).get("ports")
        if ports:  # a list with keys: what somebody added to it survives
            ports += [port for port in before.get("spec", {}).get("ports", []) if port["port"] == 22]
        self.cluster.add(after)

    def _records(self) -> list[Object]:
        return [one for one in self.cluster.objects("Secret") if "sh.helm" in one["metadata"]["name"]]

    def _release(self, chart: Chart, values: Object) -> Release:
        assert chart.version is not None
        return Release(
            name=NAME,
            namespace=NAMESPACE,
            revision=len(self._records()) + 1,
            status="deployed",
            chart_name=self.chart_name,
            chart_version=chart.version,
            values=copy.deepcopy(values),
            manifest=manifest(chart.version, values),
        )

    def _store(self, release: Release, labels: dict[str, str]) -> None:
        for stored in self._records():
            if stored["metadata"]["labels"]["name"] == NAME:
                stored["metadata"]["labels"]["status"] = "superseded"
                self.cluster.add(stored)
        have_release(
            self.cluster,
            release.revision,
            labels={
                name: value
                for name, value in labels.items()
                if name not in ("name", "version", "status") and value != "null"
            },
            config=release.values,
            manifest=release.manifest,
            chart={"metadata": {"name": release.chart_name, "version": release.chart_version}},
        )

    def _refuse_pending(self) -> None:
        if any(str(one["metadata"]["labels"].get("status")).startswith("pending") for one in self._records()):
            raise HelmError("helm upgrade: UPGRADE FAILED: another operation is in progress")
