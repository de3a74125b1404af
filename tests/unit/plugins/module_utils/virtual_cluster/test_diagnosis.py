# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of diagnosis: why a virtual cluster does not run, and when that is certain."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.well_known import (
    SYNCED_LABEL,
)
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import Object
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.diagnosis import (
    Failure,
    failure,
)
from pods_and_events import (
    NOW,
    PULL,
    ago,
    event,
    pod,
    unscheduled,
    waiting,
    workload,
)


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
def test_failure_of_a_pod_has_reason_and_advice(reason: str, words: str, states: Object) -> None:
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
def test_failure_of_a_pod_that_may_still_start_is_none(states: Object) -> None:
    # A pod of the same StatefulSet exists, so that nothing is missing.
    assert failure(workload(), [pod(**states)], now=NOW) is None


def test_failure_of_a_crash_names_the_container_with_the_log() -> None:
    found = failure(workload(), [pod(containerStatuses=[waiting("CrashLoopBackOff", restarts=2)])])
    assert found is not None
    assert (found.pod, found.container) == ("team-a-0", "syncer")


def test_failure_of_an_unschedulable_pod_counts_after_a_wait_without_new_nodes() -> None:
    pods = [pod(conditions=[unscheduled(600)])]
    assert failure(workload(), pods, elapsed_seconds=10, now=NOW) is None
    assert failure(workload(), pods, elapsed_seconds=31, now=NOW) is not None
    assert failure(workload(), pods, elapsed_seconds=31) is not None
    scaling = [event("TriggeredScaleUp", "Pod", "team-a-0")]
    assert failure(workload(), pods, scaling, 600, NOW) is None


def test_failure_of_an_old_revision_is_none() -> None:
    old = pod(labels={"controller-revision-hash": "r1"}, containerStatuses=[waiting("ImagePullBackOff")])
    assert failure(workload(status={"updateRevision": "r2"}), [old]) is None
    assert failure(workload(status={"updateRevision": "r1"}), [old]) is not None
    assert failure(workload(status={"updateRevision": "r1", "observedGeneration": 1}), [old]) is None


def test_failure_of_a_deployments_old_pods_is_none() -> None:
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


def test_failure_of_etcd_is_that_of_the_control_plane() -> None:
    etcd = pod(
        "team-a-etcd-0", "vcluster-etcd", containerStatuses=[waiting("ImagePullBackOff", container="etcd")]
    )
    found = failure(workload(status={"updateRevision": "r1"}), [etcd])
    assert found is not None
    assert "container etcd of pod team-a-etcd-0" in found.message


def test_failure_as_text_is_a_sentence_with_advice() -> None:
    assert str(Failure("X", "it broke", "mend it")) == "it broke; mend it"
