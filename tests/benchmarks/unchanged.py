# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task costs that has nothing to change."""

from __future__ import annotations

from api import PREFIX
from host import Host
from playbook import rounds, run, task
from report import Result, stage

NAME = "unchanged"
NAMESPACE = PREFIX + NAME
ROUNDS = 10
VALUES = {"controlPlane": {"statefulSet": {"image": {"repository": "loft-sh/vcluster-oss"}}}}


def measure(host: Host) -> list[Result]:
    """One release, looked at in turn by our task, kubernetes.core.helm and kubernetes.core.k8s.

    kubernetes.core 6 refuses helm 4, so the release is made by its own task with helm 3.
    """
    common = {
        "kubeconfig": host.kubeconfig,
        "binary_path": str(host.binaries / "helm3"),
        "chart_ref": host.chart,
        "values": VALUES,
    }
    release = {"release_name": NAME, "release_namespace": NAMESPACE, "create_namespace": True, "wait": True}
    helm = task("kubernetes.core.helm", common | release)
    ours = task("nested.clusters.vcluster", common | {"name": NAME, "namespace": NAMESPACE})
    metadata = {"name": NAME, "namespace": NAMESPACE}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value"}}
    k8s = task("kubernetes.core.k8s", {"kubeconfig": host.kubeconfig, "definition": config_map})
    with stage("unchanged: installing the release", "20 s"):
        run([helm], host.env)
    with stage(f"unchanged: {ROUNDS} rounds of 3 tasks", "30 s"):
        seconds = rounds([ours, helm, k8s], ROUNDS, host.env)
    with stage("unchanged: removing the release", "15 s"):
        host.api.clean()
    mine = seconds[ours["name"]]
    return [
        Result("unchanged vcluster against kubernetes.core.helm", mine, seconds[helm["name"]], 0.5),
        Result("unchanged vcluster against kubernetes.core.k8s", mine, seconds[k8s["name"]], 1.3),
    ]
