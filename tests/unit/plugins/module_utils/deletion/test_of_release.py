# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of what a Helm release has outside of its namespace, for the deletion of many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import batch, well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import deletion_batch
from ansible_collections.nested.clusters.plugins.module_utils.power import power_batch
from ansible_collections.nested.clusters.plugins.modules import vcluster_state
from clock import Clock
from populated_host import PopulatedHost
from release_manifests import (
    COPIES,
    have_manifest,
    marked,
)
from tasks_on_hosts import Task, checked, contents, of, replace_time, task_on


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    found = Clock()
    replace_time(monkeypatch, found, (deletion_batch, power_batch, batch))
    yield found
    assert found.now < 3000, "something waits for ever"


@pytest.fixture
def all_hosts(clock: Clock) -> list[PopulatedHost]:
    return [PopulatedHost()]


@pytest.fixture
def host(all_hosts: list[PopulatedHost]) -> PopulatedHost:
    return all_hosts[0]


@pytest.fixture
def task(all_hosts: list[PopulatedHost], run_module: Task, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Run the module on all hosts."""
    return task_on(all_hosts, vcluster_state, run_module, monkeypatch, state="absent")


def test_of_release_a_copy_in_another_namespace_stays(task: Task, host: PopulatedHost) -> None:
    """Whoever copies an object copies its labels and annotations."""
    host.have_cluster("a")
    host.have_cluster("b")
    host.have("Namespace", "prod")
    for kind, name in COPIES:
        host.have(kind, name, namespace="prod", **marked("a"))
    host.have("ClusterRole", "a-copy", **marked("a"))
    have_manifest(host, "a", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "elsewhere"}})
    have_manifest(host, "b", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "prod"}})
    result = checked(task, host, names=["a", "b"])
    assert "prod" not in str(of(result, "a")["steps"]) + str(result["diff"])
    assert [(one["name"], one["namespace"]) for one in result["virtual_clusters"]] == [
        ("a", "vcluster-a"),
        ("b", "vcluster-b"),
    ]
    assert of(result, "a")["note"].startswith(
        "clusterroles/a-copy, configmaps/elsewhere in namespace prod, persistentvolumeclaims/data-a-0 in namespace "
        "prod, secrets/vc-config-a in namespace prod stayed: their labels and annotations name Helm release a"
    )
    assert of(result, "b")["note"] == ""
    assert contents(host, "prod") == {"secrets/vc-config-a", "configmaps/elsewhere", "persistentvolumeclaims/data-a-0"}
    assert "/apis/rbac.authorization.k8s.io/v1/clusterroles/a-copy" in host


def test_of_release_what_the_record_names_elsewhere_goes(task: Task, host: PopulatedHost) -> None:
    for name in "ab":
        host.have_cluster(name)
        host.have("ConfigMap", f"{name}-elsewhere", namespace="prod", **marked(name))
        host.have("PriorityClass", f"{name}-high", **marked(name))
        meta = {"name": f"{name}-elsewhere", "namespace": "prod"}
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
        high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": f"{name}-high"}}
        have_manifest(host, name, {"apiVersion": "v1", "kind": "List", "items": [config]}, high)
    result = checked(task, host, names=["a", "b"])
    for name in "ab":
        steps = of(result, name)["steps"]
        assert f"delete configmaps/{name}-elsewhere in namespace prod" in steps
        assert f"delete priorityclasses/{name}-high" in steps
        assert f"configmaps/{name}-elsewhere in namespace prod" in str(result["diff"])
    assert contents(host, "prod") == set()


@pytest.mark.parametrize(
    "changes",
    [{"name": "other"}, {"namespace": "prod"}, {"version": 7}, {"manifest": "kind: ["}],
    ids=["another name", "another namespace", "another revision", "broken"],
)
def test_of_release_a_record_of_another_release_proves_nothing(
    changes: dict[str, Any], task: Task, host: PopulatedHost
) -> None:
    host.have_cluster("a")
    host.have("ConfigMap", "elsewhere", namespace="prod", **marked("a"))
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "elsewhere", "namespace": "prod"}}
    have_manifest(host, "a", document, changes=changes)
    assert "configmaps/elsewhere in namespace prod stayed" in of(checked(task, host, name="a"), "a")["note"]
    assert contents(host, "prod") == {"configmaps/elsewhere"}


def test_of_release_what_has_no_annotations_stays(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("a")
    host.have("ConfigMap", "coredns", namespace="prod", labels=dict(well_known.MANAGED_BY_HELM))
    host.have("ClusterRole", "view")
    things = [("v1", "ConfigMap", "coredns"), ("rbac.authorization.k8s.io/v1", "ClusterRole", "view")]
    named = [
        {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "prod"}}
        for version, kind, name in things
    ]
    have_manifest(host, "a", *named)
    checked(task, host, name="a")
    assert contents(host, "prod") == {"configmaps/coredns"}
    assert "/apis/rbac.authorization.k8s.io/v1/clusterroles/view" in host


def test_of_release_many_records_are_read_in_one_list(task: Task, host: PopulatedHost) -> None:
    """And only where there is something that they have to speak of."""
    counts = []
    for number in range(4):
        name = f"v{number}"
        host.have_cluster(name, labels={"env": "ci"})
        host.have("ConfigMap", name, namespace="prod", **marked(name))
        metadata = {"name": name, "namespace": "prod"}
        have_manifest(host, name, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        host.requests.clear()
        for one in task(check_mode=True, label_selectors=["env=ci"])["virtual_clusters"]:
            assert f"delete configmaps/{one['name']} in namespace prod" in one["steps"]
        counts.append(len(host.sent("list")))
    assert len(set(counts)) == 1


def test_of_release_many_records_are_read_with_short_addresses(task: Task, host: PopulatedHost) -> None:
    """What is between here and an API server takes some KiB."""
    for number in range(60):
        host.have_cluster(f"v{number}")
        host.have("ConfigMap", f"v{number}", namespace="prod", **marked(f"v{number}"))
    found = task(check_mode=True, all=True)["virtual_clusters"]
    assert all("its record does not contain them" in one["note"] for one in found)
    selectors = [request.query.get("labelSelector", "") for request in host.requests]
    assert 1 < max(selector.count(",v") for selector in selectors) < 50


def test_of_release_a_copy_in_its_own_namespace_goes(task: Task, host: PopulatedHost) -> None:
    """It goes with the namespace, and Helm's uninstalling would not have taken it."""
    host.have_cluster("a", made=False)
    host.have("Secret", "vc-config-a-backup", namespace="vcluster-a", **marked("a"))
    assert "delete secrets/vc-config-a-backup" in of(checked(task, host, name="a"), "a")["steps"]
