# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the deletion of one virtual cluster of a group: its share, and what keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import removal
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership, namespaces, readiness
from clock import Clock
from demo_host import DemoHost
from fake_api import GATEWAY_API
from helm_releases import NAME, NAMESPACE
from single_deletions import (
    DEMO_NAMESPACE,
    HELD,
    Uninstaller,
    absent,
    checked,
    virtual_cluster,
)
from tasks_on_hosts import replace_time


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    found = Clock()
    replace_time(monkeypatch, found, (removal, namespaces, reconcile, readiness))
    yield found
    assert found.now < 2000, "something waits for ever"


@pytest.fixture
def host() -> DemoHost:
    return DemoHost(serves=GATEWAY_API)


@pytest.fixture
def helm(host: DemoHost) -> Uninstaller:
    return Uninstaller(host)


SIZE = {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}


def of_group(host: DemoHost, name: str = NAME, **annotations: str) -> None:
    """Put the virtual cluster's namespace, which was not made for it, into a group."""
    recorded = {
        "team": "x",
        well_known.NAME_ANNOTATION: name,
        well_known.OWNER_ANNOTATION: "alice",
        well_known.SIZE_ANNOTATION: json.dumps(SIZE),
        well_known.APPLIED_ANNOTATION: "{}",
        **annotations,
    }
    host.have("Namespace", NAMESPACE, labels={well_known.GROUP_LABEL: "dev", "team": "x"}, annotations=recorded)


def counted(host: DemoHost) -> membership.Allocation | None:
    return membership.allocation(host.at(DEMO_NAMESPACE), "host-a")


def test_absent_with_a_namespace_that_stays_returns_the_share(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host, {})
    of_group(host)
    host.have_inside("ConfigMap", "somebody-elses")
    steps = checked(host, helm).plan.steps
    assert [step for step in steps if "namespace" in step] == [
        f"set labels of namespace {NAMESPACE}: {well_known.GROUP_LABEL}",
        f"set annotations of namespace {NAMESPACE}: " + ", ".join(sorted(well_known.OF_MEMBERS)),
    ]
    metadata = host.at(DEMO_NAMESPACE)["metadata"]
    of_every = {"kubernetes.io/metadata.name": NAMESPACE}
    assert (metadata["labels"], metadata["annotations"]) == ({"team": "x", **of_every}, {"team": "x"})
    assert counted(host) is None


def test_absent_returns_the_share_after_all_else(host: DemoHost, helm: Uninstaller, clock: Clock) -> None:
    virtual_cluster(host, {})
    of_group(host)
    claim = path("v1", "persistentvolumeclaims", NAMESPACE, f"data-{NAME}-0")
    host.change(claim, HELD)
    has_share: list[bool] = []
    clock.after(5, lambda: has_share.append(counted(host) is not None))
    clock.after(6, lambda: host.vanish(claim))
    absent(host, helm)
    assert (has_share, counted(host)) == ([True], None)


def test_absent_with_keep_volumes_keeps_the_share_of_storage(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host, {})
    of_group(host)
    checked(host, helm, keep_volumes=True)
    left = counted(host)
    assert left is not None
    assert (left.name, left.owner, left.kept) == (NAME, "alice", True)
    assert left.size.as_dict() == {"cpu": "0", "memory": "0", "storage": "2Gi"}
    helm.runs = 0
    checked(host, helm)  # until they go as well
    assert counted(host) is None


def test_absent_with_a_namespace_that_goes_does_not_change_it(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host)
    of_group(host, **{well_known.CREATED: "true"})
    outcome = checked(host, helm)
    assert f"delete namespace {NAMESPACE}" in outcome.plan.steps
    assert not [step for step in outcome.plan.steps if step.startswith("set ")]


def test_absent_keeps_the_share_of_another_cluster(host: DemoHost, helm: Uninstaller) -> None:
    """Of one whose volumes are kept there, or who is about to come."""
    virtual_cluster(host, {})
    of_group(host, "other")
    before = counted(host)
    checked(host, helm)
    assert counted(host) == before


def test_absent_with_a_broken_share_removes_it(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host, {})
    of_group(host, **{well_known.SIZE_ANNOTATION: "broken"})
    checked(host, helm)
    assert counted(host) is None


def test_absent_without_a_group_keeps_annotations(host: DemoHost, helm: Uninstaller) -> None:
    virtual_cluster(host, {"team": "x", well_known.NAME_ANNOTATION: NAME})
    before = host.at(DEMO_NAMESPACE)["metadata"]["annotations"]
    checked(host, helm, keep_volumes=True)
    assert host.at(DEMO_NAMESPACE)["metadata"]["annotations"] == before
