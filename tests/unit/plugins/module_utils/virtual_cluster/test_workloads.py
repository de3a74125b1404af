# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of workloads: whether one is ready, and what its image and its chart are."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import Object
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.workloads import (
    chart_version,
    image_tag,
    workload_ready,
)
from pods_and_events import (
    SETTLED,
    workload,
)


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
def test_workload_ready_of_a_status_follows_the_controller(expected: bool, found: Object) -> None:
    assert workload_ready(found) is expected


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
def test_image_tag_of_an_image_is_its_version(expected: str | None, image: str) -> None:
    assert image_tag(image) == expected


@pytest.mark.parametrize(
    ("expected", "label"),
    [
        ("0.36.1", "vcluster-0.36.1"),
        ("0.19.5", "vcluster-k8s-0.19.5"),
        ("0.37.0-rc.1+x", "vcluster-0.37.0-rc.1_x"),
    ],
)
def test_chart_version_of_a_label_is_the_version(expected: str, label: str) -> None:
    assert chart_version(workload(labels={"chart": label})) == expected
    assert chart_version(workload(labels={})) is None
