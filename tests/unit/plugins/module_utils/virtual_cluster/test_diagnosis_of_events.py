# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of diagnosis by events: pods that are refused, volumes that are not provisioned, and what to ask for."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.diagnosis import (
    failure,
    open_questions,
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
def test_failure_of_a_refused_pod_names_who_refused_it(advice: str, message: str) -> None:
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
def test_failure_of_a_refusal_that_may_pass_counts_after_a_wait(text: str) -> None:
    events = [event("FailedCreate", "StatefulSet", "team-a", text)]
    assert failure(workload(), [], events, 10, NOW) is None
    assert failure(workload(), [], events, 31, NOW) is not None


def test_failure_of_an_old_refusal_counts_after_a_wait() -> None:
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
def test_failure_of_a_volume_names_its_claim(at_once: bool, reason: str, message: str) -> None:
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


def test_failure_of_a_workload_that_is_ready_or_at_rest_is_none() -> None:
    broken = [pod(containerStatuses=[waiting("ImagePullBackOff")])]
    assert failure(workload(status=SETTLED), broken) is None
    assert failure(workload(replicas=0), broken) is None


def test_open_questions_of_a_workload_are_the_events_to_list() -> None:
    assert open_questions(workload(), []) == {"reason=FailedCreate,involvedObject.kind=StatefulSet"}
    assert open_questions(workload("Deployment"), []) == set()
    assert open_questions(workload(), [pod()]) == set()
    assert open_questions(workload(), [pod(conditions=[unscheduled()])]) == {
        "type=Warning,involvedObject.kind=PersistentVolumeClaim",
        "reason=TriggeredScaleUp",
    }
