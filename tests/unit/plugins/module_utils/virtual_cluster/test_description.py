# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of description: what a module returns of a virtual cluster."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.well_known import (
    PROTECTED,
)
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import Object
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.description import (
    RelatedObjects,
    describe,
)
from pods_and_events import (
    NOW,
    SETTLED,
    event,
    pod,
    unscheduled,
    waiting,
    workload,
)


def test_describe_of_a_running_cluster_has_every_key() -> None:
    annotations = {
        "meta.helm.sh/release-name": "team-a",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "nested-clusters/managed": "true",
        PROTECTED: "true",
        "owner": "alice",
    }
    labels = {
        "app": "vcluster",
        "chart": "vcluster-0.36.1",
        "release": "team-a",
        "heritage": "Helm",
        "env": "ci",
    }
    found = workload(status=SETTLED, annotations=annotations, labels=labels)
    address = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}
    service = {
        "metadata": {"name": "team-a", "namespace": "team-a-ns"},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "https", "port": 443}]},
        "status": address,
    }
    assert describe(found, RelatedObjects(services=[service]), NOW) == {
        "name": "team-a",
        "namespace": "team-a-ns",
        "phase": "running",
        "message": "",
        "vcluster_version": "0.36.1",
        "kubernetes_version": "v1.35.4",
        "chart_version": "0.36.1",
        "endpoint": "https://192.0.2.7",
        "created": "2026-11-20T11:00:00Z",
        "age": 3600,
        "kind": "StatefulSet",
        "replicas": 1,
        "ready_replicas": 1,
        "protected": True,
        "managed": True,
        "labels": {"env": "ci"},
        "annotations": {PROTECTED: "true", "nested-clusters/managed": "true", "owner": "alice"},
    }


@pytest.mark.parametrize(
    ("words", "found", "pods", "events"),
    [
        ("0 of 1 replicas ready", workload(), [], []),
        (
            "container syncer waits: PodInitializing",
            workload(),
            [pod(containerStatuses=[waiting("PodInitializing")])],
            [],
        ),
        (
            "runs, not ready",
            workload(),
            [pod(containerStatuses=[{"name": "syncer", "state": {"running": {}}}])],
            [],
        ),
        ("last event: FailedMount: no", workload(), [pod()], [event("FailedMount", "Pod", "team-a-0", "no")]),
        ("has no node: 0/3", workload(), [pod(conditions=[unscheduled(1)])], []),
        ("not by a pause", workload(replicas=0), [], []),
        ("restored", workload(replicas=0, annotations={"loft.sh/restoring": "true"}), [], []),
    ],
)
def test_describe_of_a_pending_cluster_says_what_it_waits_for(
    words: str, found: Object, pods: list[Object], events: list[Object]
) -> None:
    described = describe(found, RelatedObjects(pods=pods, services=[], routes=[], events=events), NOW)
    assert described["phase"] == "pending"
    assert words in described["message"]


def test_describe_of_a_failed_cluster_says_why() -> None:
    described = describe(
        workload(), RelatedObjects(pods=[pod(containerStatuses=[waiting("ImagePullBackOff")])]), NOW
    )
    assert described["phase"] == "failed"
    assert "has no image" in described["message"]


@pytest.mark.parametrize(
    ("expected", "containers"),
    [
        ("v1.35.4", [("plugin", "x:v9.9.9"), ("kubernetes", "ghcr.io/loft-sh/kubernetes:v1.35.4")]),
        ("v1.35.4", [("kubernetes", "registry:5000/kubernetes:v1.35.4-full@sha256:0a")]),
        (
            "v1.30.2",
            [("kube-controller-manager", "c:v1.30.1"), ("kube-apiserver", "registry.k8s.io/a:v1.30.2")],
        ),
        ("v1.30.2", [("vcluster", "rancher/k3s:v1.30.2-k3s1")]),
        ("v1.30.2", [("vcluster", "k0sproject/k0s:v1.30.2-k0s.0")]),
        ("v1.35.4", [("kubernetes", "kubernetes:1.35.4")]),
        (None, [("kubernetes", "kubernetes:latest")]),
        (None, [("kubernetes", "kubernetes@sha256:0a")]),
        (None, [("plugin", "x:v1.2.3")]),
    ],
)
def test_describe_of_images_has_their_kubernetes_version(
    expected: str | None, containers: list[tuple[str, str]]
) -> None:
    assert describe(workload(init=containers), RelatedObjects(), NOW)["kubernetes_version"] == expected
