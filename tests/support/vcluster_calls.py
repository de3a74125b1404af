# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands for the work of module vcluster, and what that returns."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.helm.release import Release
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import (
    Change,
    ChangeKind,
    ChangeTarget,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_ref import ClusterRef
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome, State
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.plan import Plan
from kubeconfig_secrets import kubeconfig_secret

Object = dict[str, Any]
NAMESPACE = "vcluster-demo"

WORKLOAD: Object = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {
        "name": "demo",
        "namespace": NAMESPACE,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": "vcluster", "release": "demo"},
        "generation": 1,
    },
    "spec": {
        "replicas": 1,
        "serviceName": "demo-headless",
        "template": {"spec": {"containers": [{"name": "syncer", "image": "x/vcluster-oss:0.36.1"}]}},
    },
    "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1},
}
# What vCluster writes.
SECRET: Object = kubeconfig_secret("demo", NAMESPACE)
VALUES: Object = {"exportKubeConfig": {"server": "https://demo.example.com"}}
RELEASE = Release("demo", NAMESPACE, 1, "deployed", "vcluster", "0.36.1", VALUES, "")
DIFF = [{"before_header": "x", "after_header": "x", "before": "a", "after": "b"}]


INSTALL = "install release demo with vCluster 0.36.1"


def outcome(*steps: str, running: bool = True, secret: bool = True) -> Outcome:
    live = {("apps/v1", "StatefulSet", NAMESPACE, "demo"): copy.deepcopy(WORKLOAD)} if running else {}
    secrets = [copy.deepcopy(SECRET)] if secret else []
    state = State(RELEASE if running else None, None, [], secrets, {}, live)
    kinds = {INSTALL: ChangeKind.INSTALL, "uninstall release demo": ChangeKind.UNINSTALL}
    release = ChangeTarget("release", "demo")
    return Outcome(
        Plan([Change(kinds[step], release, {"version": "0.36.1"}, tuple(DIFF)) for step in steps]), state
    )


class Calls:
    """Stands for the work: keeps what it was asked for; ``answer`` is returned, or raised."""

    def __init__(self) -> None:
        self.seen: list[SimpleNamespace] = []
        self.answer: Outcome = outcome(INSTALL)
        self.error: Exception | None = None
        self.then: Callable[[Any], None] = lambda open_helm: None

    def __call__(self, where: Any, open_helm: Any, *asked: Any, **options: Any) -> Outcome:
        for run in [one for one in asked if isinstance(one, RunOptions)]:
            options.update(vars(run))
        wanted = tuple(one for one in asked if not isinstance(one, RunOptions))
        if isinstance(where, ClusterRef):
            wanted = (where.name, where.namespace, *wanted)
        self.seen.append(SimpleNamespace(asked=wanted, **options))
        self.then(open_helm)
        if self.error is not None:
            raise self.error
        return self.answer
