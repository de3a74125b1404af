# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out the changes of a plan: run Helm stage by stage, and patch what Helm does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..common import well_known
from ..common.errors import NestedClustersError
from ..helm import records
from ..helm.cli import Helm, ReleaseSpec
from ..helm.release import FAILED, Release, with_status
from ..k8s.client import Kubernetes
from ..k8s.errors import KubernetesError
from ..k8s.objects import path
from ..virtual_cluster import cluster_state, drift, manifests
from ..virtual_cluster.cluster_state import State
from ..virtual_cluster.manifests import Key
from ..virtual_cluster.namespaces import wait_until_free
from ..virtual_cluster.readiness import wait_ready
from .request import Request, Stage, namespace_of
from .validate import is_upgrade


def is_on_the_way(state: State) -> bool:
    return bool(state.release and state.release.labels.get(well_known.BETWEEN) == "true")


def apply(
    kubernetes: Kubernetes, helm: Helm, request: Request, stage: Stage, state: State, between: bool = False
) -> None:
    """Let Helm make a stage, and then repair the drift that it leaves."""
    if state.pending:
        _clear(kubernetes, request.namespace, state, state.pending)
    labels = {well_known.MANAGED: "true"} if state.release is None or state.ours else {}
    if request.membership:
        labels.update(request.membership.labels())
    if between or is_on_the_way(state):
        labels[well_known.BETWEEN] = "true" if between else "null"  # null is helm's word for removing one
    at_rest = manifests.at_rest(state.release, state.live, state.manifest)
    records.check(kubernetes, request.name, request.namespace)
    spec = ReleaseSpec(request.name, request.namespace, request.chart.of(stage.version.text), stage.values)
    made = helm.apply(spec, state.release, labels, at_rest)
    if state.release is None:
        return
    # As helm says that it made them: what it has stored, others can have changed since.
    wanted = manifests.objects(made.manifest, request.namespace, kubernetes.namespaced)
    after = cluster_state.read(kubernetes, request.name, request.namespace)
    for where, live in drift.as_found(wanted, after.live).items():
        patch = drift.repair_patch(live, wanted[where])
        if patch:
            plural, namespaced = kubernetes.resource(*where[:2])
            kubernetes.patch(path(where[0], plural, where[2] if namespaced else None, where[3]), patch)


def _clear(kubernetes: Kubernetes, namespace: str, state: State, pending: Release) -> None:
    """Take a revision that Helm did not finish out of Helm's way.

    The only one is kept, as one that failed: without it, a task that is ended before Helm has made the next would leave
    a control plane of which no record speaks.
    """
    where, secret = path("v1", "secrets", namespace, pending.secret_name), state.secret(pending.secret_name)
    if state.release is None and secret is not None:
        kubernetes.patch(where, with_status(secret, FAILED))
    else:
        kubernetes.delete(where)


def patch_workload(
    kubernetes: Kubernetes, request: Request, manifest: dict[Key, dict[str, Any]], metadata: Mapping[str, Any]
) -> None:
    """Merge labels and annotations into those of the control plane, which the release's objects name."""
    where = manifests.workload_key(manifest, request.name, request.namespace)
    if where is None:
        raise NestedClustersError(f"release {request.name} has no StatefulSet or Deployment of that name to label")
    plural, _namespaced = kubernetes.resource(*where[:2])
    kubernetes.patch(path(where[0], plural, where[2], where[3]), {"metadata": dict(metadata)})


def create_namespace(kubernetes: Kubernetes, request: Request, patience: float) -> None:
    """Create the namespace of a virtual cluster, once one of its name that is being deleted is gone.

    ``patience`` is in seconds.
    """
    wait_until_free(kubernetes, request.namespace, patience)
    try:
        kubernetes.create(path("v1", "namespaces"), namespace_of(request))
    except KubernetesError as error:
        if error.reason != "AlreadyExists":  # somebody was faster; Helm finds it all the same
            raise


@dataclass
class StageRunner:
    """Lets Helm make one stage after another; each but the last has to run before the next.

    ``patience`` is how many seconds it may take each to run.
    """

    kubernetes: Kubernetes
    helm: Helm
    request: Request
    stages: list[Stage]
    state: State
    patience: float
    made: int = 0  # how many of the stages

    def run_to(self, number: int) -> None:
        """Make the stages that are not made yet up to this one; the first is number 0."""
        if not self.made and is_on_the_way(self.state) and is_upgrade(self.state, self.stages):
            self._wait_ready()  # made by a task that was ended while it waited
        while self.made <= number:
            between = self.made + 1 < len(self.stages)
            apply(self.kubernetes, self.helm, self.request, self.stages[self.made], self.state, between)
            if between:
                self.state = cluster_state.read(self.kubernetes, self.request.name, self.request.namespace)
                self._wait_ready()
            self.made += 1

    def _wait_ready(self) -> None:
        name, namespace = self.request.name, self.request.namespace
        self.state = wait_ready(self.kubernetes, name, namespace, self.state, self.patience, kubeconfig=False)
