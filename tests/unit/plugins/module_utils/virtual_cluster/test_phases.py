# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of phases: in which one of them a virtual cluster is."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.well_known import (
    PAUSED,
    SLEEP_MODE_LABEL,
)
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import Object
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.phases import phase
from pods_and_events import (
    SETTLED,
    ago,
    pod,
    waiting,
    workload,
)


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
def test_phase_of_a_workload_follows_from_its_status_and_marks(
    expected: str, found: Object, namespace: Object | None
) -> None:
    assert phase(found, [], namespace) == expected


def test_phase_of_a_workload_with_a_failed_pod_is_failed() -> None:
    assert phase(workload(), [pod(containerStatuses=[waiting("ImagePullBackOff")])]) == "failed"
