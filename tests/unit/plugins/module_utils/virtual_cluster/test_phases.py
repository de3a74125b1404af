# SPDX-License-Identifier: GPL-3.0-or-later
"""The phase of a virtual cluster, and why it is not running."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.well_known import (
    PAUSED,
    PROTECTED,
    SLEEP_MODE_LABEL,
    SYNCED_LABEL,
)
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import Object
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.description import (
    RelatedObjects,
    describe,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.diagnosis import (
    Failure,
    failure,
    open_questions,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.phases import phase
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.workloads import (
    chart_version,
    image_tag,
    workload_ready,
)

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=timezone.utc)


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def workload(
    kind: str = "StatefulSet",
    replicas: int | None = 1,
    status: Object | None = None,
    image: str = "ghcr.io/loft-sh/vcluster-oss:0.36.1",
    init: list[tuple[str, str]] | None = None,
    **metadata: Any,
) -> Object:
    template = {
        "containers": [{"name": "syncer", "image": image}],
        "initContainers": [
            {"name": name, "image": tag}
            for name, tag in init or [("kubernetes", "ghcr.io/loft-sh/kubernetes:v1.35.4")]
        ],
    }
    found: Object = {
        "kind": kind,
        "metadata": {
            "name": "team-a",
            "namespace": "team-a-ns",
            "creationTimestamp": ago(3600),
            "generation": 2,
            "labels": {
                "app": "vcluster",
                "chart": "vcluster-0.36.1",
                "release": "team-a",
                "heritage": "Helm",
            },
            **metadata,
        },
        "spec": {"replicas": replicas, "template": {"spec": template}},
        "status": {"observedGeneration": 2, **(status or {})},
    }
    if replicas is None:
        del found["spec"]["replicas"]
    return found


def pod(name: str = "team-a-0", app: str = "vcluster", labels: Object | None = None, **parts: Any) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": "team-a-ns",
            "labels": {"app": app, "release": "team-a", **(labels or {})},
            "creationTimestamp": parts.pop("created", ago(60)),
            **parts.pop("metadata", {}),
        },
        "spec": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-team-a-0"}}]},
        "status": {"phase": "Pending", **parts},
    }


def waiting(reason: str, message: str = "", restarts: int = 0, container: str = "syncer") -> Object:
    return {
        "name": container,
        "image": "loft-sh/vcluster-oss:0.36.1",
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
    }


def unscheduled(seconds: float = 60, reason: str = "Unschedulable") -> Object:
    return {
        "type": "PodScheduled",
        "status": "False",
        "reason": reason,
        "message": "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available.",
        "lastTransitionTime": ago(seconds),
    }


def event(reason: str, kind: str, name: str, message: str = "", seconds: float = 1) -> Object:
    return {
        "type": "Normal" if reason == "TriggeredScaleUp" else "Warning",
        "reason": reason,
        "message": message,
        "involvedObject": {"kind": kind, "name": name},
        "lastTimestamp": ago(seconds),
    }


PULL = 'failed to pull and unpack image "registry.example/vcluster-oss:0.36.999": failed to resolve reference'

SETTLED = {
    "replicas": 1,
    "readyReplicas": 1,
    "updatedReplicas": 1,
    "currentRevision": "r1",
    "updateRevision": "r1",
}


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (True, workload(status=SETTLED)),
        (True, workload(replicas=None, status=SETTLED)),
        (True, workload("Deployment", status={"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1})),
        (False, {**workload(), "status": {}}),
        (False, {**workload(), "status": None}),
        (False, workload(status={**SETTLED, "observedGeneration": 1})),
        (False, workload(status={**SETTLED, "readyReplicas": 0})),
        (False, workload(replicas=3, status=SETTLED)),
        (False, workload(replicas=0, status={"currentRevision": "r1", "updateRevision": "r1"})),
        # Being rolled out: ready, but not the current revision.
        (False, workload(status={**SETTLED, "updateRevision": "r2", "updatedReplicas": 0})),
        (True, workload(status={**SETTLED, "updateRevision": "r2"})),
        # The old pod serves while the new one starts.
        (False, workload("Deployment", status={"replicas": 2, "readyReplicas": 1, "updatedReplicas": 1})),
    ],
)
def test_workload_ready(expected: bool, found: Object) -> None:
    assert workload_ready(found) is expected


@pytest.mark.parametrize(
    ("reason", "words", "states"),
    [
        ("ImagePullBackOff", "no image", {"containerStatuses": [waiting("ImagePullBackOff")]}),
        (
            "ErrImageNeverPull",
            "not present",
            {"containerStatuses": [waiting("ErrImageNeverPull", "not present")]},
        ),
        *(
            ("ErrImagePull", words, {"containerStatuses": [waiting("ErrImagePull", f"{PULL}: {words}")]})
            for words in (
                "registry.example/vcluster-oss:0.36.999: not found",
                "manifest unknown",
                "401 Unauthorized",
                "pull access denied, repository does not exist or may require authorization",
                "server message: insufficient_scope: authorization failed",
            )
        ),
        ("InvalidImageName", "syncer", {"initContainerStatuses": [waiting("InvalidImageName")]}),
        (
            "CreateContainerConfigError",
            'secret "x" not found',
            {"containerStatuses": [waiting("CreateContainerConfigError", 'secret "x"\n not found')]},
        ),
        ("CrashLoopBackOff", "2 restarts", {"containerStatuses": [waiting("CrashLoopBackOff", restarts=2)]}),
        (
            "CrashLoopBackOff",
            "container kubernetes of pod team-a-0 keeps ending (exit code 1, 3 restarts)",
            {
                "initContainerStatuses": [
                    {
                        "name": "kubernetes",
                        "restartCount": 3,
                        "state": {"terminated": {"exitCode": 1, "reason": "Error"}},
                    }
                ]
            },
        ),
        (
            "OOMKilled",
            "lack of memory",
            {
                "containerStatuses": [
                    {
                        **waiting("CrashLoopBackOff", restarts=4),
                        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                    }
                ]
            },
        ),
        ("Unschedulable", "0/3 nodes are available: 3 Insufficient cpu;", {"conditions": [unscheduled()]}),
    ],
)
def test_failure_of_a_pod(reason: str, words: str, states: Object) -> None:
    found = failure(workload(), [pod(**states)], now=NOW)
    assert found is not None
    assert found.reason == reason
    assert words in str(found)
    assert found.advice


@pytest.mark.parametrize(
    "states",
    [
        {"containerStatuses": [waiting("ErrImagePull")]},
        *(
            {"containerStatuses": [waiting("ErrImagePull", f"{PULL}: failed to do request: Head: {words}")]}
            for words in (
                "dial tcp: lookup registry.example: no such host",
                "dial tcp 192.0.2.1:443: i/o timeout",
                "dial tcp 192.0.2.1:443: connect: connection refused",
                "unexpected status: 503 Service Unavailable",
                "unexpected status: 429 Too Many Requests",
            )
        ),
        {"containerStatuses": [waiting("ContainerCreating")]},
        {"containerStatuses": [waiting("CrashLoopBackOff", restarts=1)]},
        {"containerStatuses": [{"name": "syncer", "restartCount": 9, "state": {"running": {}}}]},
        {
            "initContainerStatuses": [
                {"name": "kubernetes", "restartCount": 2, "state": {"terminated": {"exitCode": 0}}}
            ]
        },
        {"conditions": [unscheduled(5)]},
        {"conditions": [unscheduled(60, "SchedulingGated")]},
        {"containerStatuses": [waiting("ImagePullBackOff")], "metadata": {"deletionTimestamp": ago(1)}},
        {"containerStatuses": [waiting("ImagePullBackOff")], "labels": {SYNCED_LABEL: "team-a"}},
        {},
    ],
)
def test_what_is_not_a_failure_yet(states: Object) -> None:
    # A pod of the same StatefulSet exists, so that nothing is missing.
    assert failure(workload(), [pod(**states)], now=NOW) is None


def test_a_crash_names_the_container_whose_log_tells() -> None:
    found = failure(workload(), [pod(containerStatuses=[waiting("CrashLoopBackOff", restarts=2)])])
    assert found is not None
    assert (found.pod, found.container) == ("team-a-0", "syncer")


def test_unschedulable_counts_neither_before_the_caller_waited_nor_while_nodes_are_added() -> None:
    pods = [pod(conditions=[unscheduled(600)])]
    assert failure(workload(), pods, elapsed_seconds=10, now=NOW) is None
    assert failure(workload(), pods, elapsed_seconds=31, now=NOW) is not None
    assert failure(workload(), pods, elapsed_seconds=31) is not None
    scaling = [event("TriggeredScaleUp", "Pod", "team-a-0")]
    assert failure(workload(), pods, scaling, 600, NOW) is None


def test_only_the_current_revision_counts() -> None:
    old = pod(labels={"controller-revision-hash": "r1"}, containerStatuses=[waiting("ImagePullBackOff")])
    assert failure(workload(status={"updateRevision": "r2"}), [old]) is None
    assert failure(workload(status={"updateRevision": "r1"}), [old]) is not None
    assert failure(workload(status={"updateRevision": "r1", "observedGeneration": 1}), [old]) is None


def test_only_a_deployments_newest_pods_count() -> None:
    old = pod(
        "a-1",
        labels={"pod-template-hash": "1"},
        containerStatuses=[waiting("ImagePullBackOff")],
        created=ago(99),
    )
    new = pod("a-2", labels={"pod-template-hash": "2"}, created=ago(9))
    changed = workload("Deployment", status={"updatedReplicas": 1})
    assert failure(changed, [old, new]) is None
    assert failure(changed, [old]) is not None
    assert failure(workload("Deployment", status={"updatedReplicas": 0}), [old]) is None


def test_a_deployed_etcd_that_fails_is_why_the_control_plane_waits() -> None:
    etcd = pod(
        "team-a-etcd-0", "vcluster-etcd", containerStatuses=[waiting("ImagePullBackOff", container="etcd")]
    )
    found = failure(workload(status={"updateRevision": "r1"}), [etcd])
    assert found is not None
    assert "container etcd of pod team-a-etcd-0" in found.message


@pytest.mark.parametrize(
    ("advice", "message"),
    [
        (
            "ResourceQuota",
            'pods "team-a-0" is forbidden: exceeded quota: q, requested: count/pods=1, used: 0',
        ),
        ("ResourceQuota", 'pods "team-a-0" is forbidden: failed quota: q: must specify limits.cpu'),
        ("Pod Security", 'pods "team-a-0" is forbidden: violates PodSecurity "restricted:latest": ...'),
        (
            "LimitRange",
            'pods "team-a-0" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
        ),
        ("admission", 'admission webhook "policy.example.com" denied the request: no'),
        ("values", 'pods "team-a-0" is forbidden: no such priority class'),
    ],
)
def test_a_pod_that_is_refused(advice: str, message: str) -> None:
    text = f"create Pod team-a-0 in StatefulSet team-a failed error: {message}"
    events = [event("FailedCreate", "StatefulSet", "team-a", text)]
    found = failure(workload(), [], events, 0, NOW)
    assert found is not None
    assert found.reason == "FailedCreate"
    assert found.message == f"the host cluster refuses the control plane's pod: {message}"
    assert advice in found.advice
    assert failure(workload(), [pod()], events, 0, NOW) is None
    assert failure(workload(status={"replicas": 1}), [], events, 0, NOW) is None
    assert failure(workload(), [], [event("FailedCreate", "StatefulSet", "other", text)], 0, NOW) is None
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    found = failure(workload("Deployment", status={"conditions": [condition]}), [], (), 0, NOW)
    assert found is not None
    assert advice in found.advice


@pytest.mark.parametrize("text", ['serviceaccount "vc-team-a" not found', "the server is busy"])
def test_a_refusal_that_may_pass_counts_after_a_while(text: str) -> None:
    events = [event("FailedCreate", "StatefulSet", "team-a", text)]
    assert failure(workload(), [], events, 10, NOW) is None
    assert failure(workload(), [], events, 31, NOW) is not None


def test_a_refusal_from_before_the_caller_began_counts_only_after_a_while() -> None:
    events = [event("FailedCreate", "StatefulSet", "team-a", "exceeded quota: q", seconds=300)]
    assert failure(workload(), [], events, 3, NOW) is None
    assert failure(workload(), [], events, 31, NOW) is not None
    assert failure(workload(), [], events, now=NOW) is not None


@pytest.mark.parametrize(
    ("at_once", "reason", "message"),
    [
        (True, "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found'),
        (False, "ProvisioningFailed", "failed to provision volume: no space left"),
        (
            False,
            "FailedBinding",
            "no persistent volumes available for this claim and no storage class is set",
        ),
    ],
)
def test_a_volume_that_cannot_be_provisioned(at_once: bool, reason: str, message: str) -> None:
    pods = [pod(conditions=[unscheduled(600)])]
    events = [event(reason, "PersistentVolumeClaim", "data-team-a-0", message)]
    assert (failure(workload(), pods, events, 5, NOW) is not None) is at_once
    found = failure(workload(), pods, events, 31, NOW)
    assert found is not None
    assert found.reason == reason
    assert message in found.message
    other = [event(reason, "PersistentVolumeClaim", "data-team-b-0", message)]
    assert failure(workload(), pods, other, 5, NOW) is None
    assert failure(workload(), [pod()], events, 31, NOW) is None


def test_nothing_fails_that_is_ready_or_not_asked_for() -> None:
    broken = [pod(containerStatuses=[waiting("ImagePullBackOff")])]
    assert failure(workload(status=SETTLED), broken) is None
    assert failure(workload(replicas=0), broken) is None


def test_open_questions() -> None:
    assert open_questions(workload(), []) == {"reason=FailedCreate,involvedObject.kind=StatefulSet"}
    assert open_questions(workload("Deployment"), []) == set()
    assert open_questions(workload(), [pod()]) == set()
    assert open_questions(workload(), [pod(conditions=[unscheduled()])]) == {
        "type=Warning,involvedObject.kind=PersistentVolumeClaim",
        "reason=TriggeredScaleUp",
    }


@pytest.mark.parametrize(
    ("expected", "found", "namespace"),
    [
        ("running", workload(status=SETTLED), None),
        ("pending", workload(), None),
        ("paused", workload(replicas=0, annotations={PAUSED: "true"}), None),
        ("pending", workload(replicas=0), None),
        ("pending", workload(replicas=0, annotations={"loft.sh/restoring": "true"}), None),
        # Annotated, but something else has scaled it up again: it runs.
        ("running", workload(status=SETTLED, annotations={PAUSED: "true"}), None),
        ("sleeping", workload(replicas=0, labels={SLEEP_MODE_LABEL: "true"}), None),
        (
            "sleeping",
            workload(replicas=0, annotations={"sleepmode.loft.sh/sleeping-since": "1700000000"}),
            None,
        ),
        ("deleting", workload(status=SETTLED, deletionTimestamp=ago(1)), None),
        ("deleting", workload(status=SETTLED), {"metadata": {"deletionTimestamp": ago(1)}}),
        ("running", workload(status=SETTLED), {"metadata": {}}),
    ],
)
def test_phase(expected: str, found: Object, namespace: Object | None) -> None:
    assert phase(found, [], namespace) == expected


def test_phase_failed() -> None:
    assert phase(workload(), [pod(containerStatuses=[waiting("ImagePullBackOff")])]) == "failed"


def test_describe() -> None:
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
def test_message_while_pending(words: str, found: Object, pods: list[Object], events: list[Object]) -> None:
    described = describe(found, RelatedObjects(pods=pods, services=[], routes=[], events=events), NOW)
    assert described["phase"] == "pending"
    assert words in described["message"]


def test_message_of_a_failure() -> None:
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
def test_kubernetes_version(expected: str | None, containers: list[tuple[str, str]]) -> None:
    assert describe(workload(init=containers), RelatedObjects(), NOW)["kubernetes_version"] == expected


@pytest.mark.parametrize(
    ("expected", "image"),
    [
        ("0.36.1", "ghcr.io/loft-sh/vcluster-oss:0.36.1"),
        ("0.36.1", "registry.example.com:5000/vcluster:0.36.1@sha256:0a"),
        (None, "registry.example.com:5000/vcluster"),
        (None, "vcluster@sha256:0a"),
        (None, ""),
    ],
)
def test_image_tag(expected: str | None, image: str) -> None:
    assert image_tag(image) == expected


@pytest.mark.parametrize(
    ("expected", "label"),
    [
        ("0.36.1", "vcluster-0.36.1"),
        ("0.19.5", "vcluster-k8s-0.19.5"),
        ("0.37.0-rc.1+x", "vcluster-0.37.0-rc.1_x"),
    ],
)
def test_chart_version(expected: str, label: str) -> None:
    assert chart_version(workload(labels={"chart": label})) == expected
    assert chart_version(workload(labels={})) is None


def test_a_failure_reads_as_a_sentence() -> None:
    assert str(Failure("X", "it broke", "mend it")) == "it broke; mend it"
