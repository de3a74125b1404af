# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deletion of virtual cluster demo: what it has on its host cluster, a Helm that uninstalls, and checked runs."""

from __future__ import annotations

from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import removal
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.listing.contents import ObjectRef
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_ref import ClusterRef
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome
from demo_host import DemoHost
from helm_releases import NAME, NAMESPACE, release_secret


class Uninstaller:
    """helm, as far as uninstalling goes: releases and what their annotation says belongs to them."""

    def __init__(self, host: DemoHost) -> None:
        self.host = host
        self.runs = 0
        self.writes_before: list[str] = []  # those that were done before it ran
        self.elsewhere: list[str] = []  # paths of what the manifest names outside of the namespace

    def uninstall(self, name: str, namespace: str) -> None:
        self.runs += 1
        self.writes_before = self.host.writes()
        for at, found in self.host.state().items():
            meta = found["metadata"]
            note = meta.get("annotations") or {}
            if well_known.SYNCED_LABEL in (meta.get("labels") or {}):
                continue  # a copy is in no manifest of its
            of_release = (note.get("meta.helm.sh/release-name"), note.get("meta.helm.sh/release-namespace"))
            is_record = found.get("type") == "helm.sh/release.v1" and meta["labels"]["name"] == name
            in_namespace = meta.get("namespace") == namespace
            goes = at in self.elsewhere or (in_namespace and (is_record or of_release == (name, namespace)))
            if goes and at in self.host:  # it did not go with another one
                self.host.delete(at)


OURS = {well_known.CREATED: "true", well_known.NAME_ANNOTATION: NAME}
HELM = {"meta.helm.sh/release-name": NAME, "meta.helm.sh/release-namespace": NAMESPACE}
CHART = {"app": "vcluster", "release": NAME}
MANIFEST = f"""
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: {NAME}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {NAME}}}
"""


def release(host: DemoHost, revision: int = 1, **changes: Any) -> None:
    secret = release_secret(revision, **{"manifest": MANIFEST, **changes})
    host.add({"apiVersion": "v1", "kind": "Secret", **secret})


def virtual_cluster(host: DemoHost, namespace: dict[str, str] | None = None, **annotations: str) -> None:
    """What a virtual cluster that has run for a while leaves on its host cluster."""
    host.have("Namespace", NAMESPACE, annotations=OURS if namespace is None else namespace)
    host.have_inside("ConfigMap", "kube-root-ca.crt")
    release(host)
    of_workload = {"labels": CHART, "annotations": {**HELM, **annotations}}
    workload = host.have_inside("StatefulSet", NAME, spec={"replicas": 1}, **of_workload)
    owner = {"uid": workload["metadata"]["uid"], "kind": "StatefulSet", "name": NAME}
    service = host.have_inside("Service", NAME, labels=CHART, annotations=HELM)
    host.have_inside("Pod", f"{NAME}-0", labels=CHART, ownerReferences=[{**owner, "controller": True}])
    host.have_inside("PersistentVolumeClaim", f"data-{NAME}-0", labels=CHART)
    host.have_inside("Secret", f"vc-{NAME}", labels={"app": "vcluster", "vcluster-name": NAME})
    host.have_inside("Secret", f"{NAME}-certs", type="Opaque", data=CERTIFICATES)
    host.have_inside(
        "Pod",
        "web-x-default-x-demo",
        labels={well_known.SYNCED_LABEL: NAME},
        finalizers=["vcluster.loft.sh/hold"],
        ownerReferences=[{"uid": service["metadata"]["uid"], "kind": "Service", "name": NAME}],
    )
    host.have("PriorityClass", "vcluster-high-x-demo", labels={well_known.SYNCED_LABEL: f"{NAMESPACE}-x-{NAME}"})
    host.have("PriorityClass", "somebody-elses", labels={well_known.SYNCED_LABEL: f"other-x-{NAME}"})


def absent(
    host: DemoHost, helm: Uninstaller, name: str = NAME, namespace: str = NAMESPACE, **options: Any
) -> Outcome:
    arguments = {"check": False, "keep_volumes": False, "wait": 60.0, **options}
    return removal.absent(ClusterRef(host.client(), name, namespace), lambda: helm, **arguments)  # type: ignore[arg-type,return-value]


def checked(host: DemoHost, helm: Uninstaller, **options: Any) -> Outcome:
    """Check mode, which writes nothing; then the real run, which does what was said, and a second one, nothing."""
    before = host.state()
    host.requests.clear()
    foreseen = absent(host, helm, check=True, **options)
    assert (host.state(), host.writes(), helm.runs) == (before, [], 0)
    outcome = absent(host, helm, **options)
    assert (outcome.plan.steps, outcome.plan.diff) == (foreseen.plan.steps, foreseen.plan.diff)
    runs = helm.runs
    host.requests.clear()
    again = absent(host, helm, **options)
    assert (again.plan.steps, again.plan.diff, host.writes(), helm.runs) == ([], [], [], runs)
    return outcome


def thing(plural: str, name: str, secret_type: str = "", **meta: Any) -> ObjectRef:
    return ObjectRef("v1", plural, {"name": name, "namespace": NAMESPACE, "uid": name, **meta}, secret_type)


DEMO_NAMESPACE = path("v1", "namespaces", None, NAMESPACE)
HELD = {"metadata": {"finalizers": ["example.com/hold"]}}
CERTIFICATES = dict.fromkeys(("ca.crt", "ca.key", "apiserver.crt", "apiserver.key", "sa.pub"), "")


def vanish(host: DemoHost, *words: str) -> None:
    """Take away all that has one of these words in its path; what another one takes along as well."""
    for at in host.paths():
        if any(word in at for word in words) and at in host:
            host.vanish(at)
