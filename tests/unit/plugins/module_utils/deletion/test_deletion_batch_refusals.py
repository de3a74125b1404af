# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of what refuses the deletion of many as a whole: limits, protection, and other tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import batch, well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import deletion_batch
from ansible_collections.nested.clusters.plugins.module_utils.power import power_batch
from ansible_collections.nested.clusters.plugins.modules import vcluster_state
from clock import Clock
from populated_host import PopulatedHost, member
from tasks_on_hosts import Task, checked, replace_time, task_on


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


def test_deletion_of_more_than_max_selected_is_refused(task: Task, host: PopulatedHost) -> None:
    """What a task that was killed left counts as well."""
    host.have_cluster("a", annotations={well_known.PROTECTED: "true"})
    host.have_cluster("b")
    reserved = member("r")
    reserved["annotations"][well_known.CREATED] = "true"
    host.have("Namespace", "vcluster-r", **reserved)
    before = host.state()
    for check_mode in (True, False):
        result = task(all=True, max_selected=2, check_mode=check_mode)
        assert result["failed"]
        assert "max_selected: 2 is not usable: 3 virtual clusters are selected, and none was changed: a, b, r" in (
            result["msg"]
        )
    assert host.state() == before
    assert len(checked(task, host, names=["b", "r"], max_selected=2)["virtual_clusters"]) == 2


def test_deletion_of_protected_clusters_names_them_all(
    task: Task, host: PopulatedHost, all_hosts: list[PopulatedHost]
) -> None:
    all_hosts.append(PopulatedHost())
    for one in all_hosts:
        one.have_cluster("safe", annotations={well_known.PROTECTED: "true"})
        one.have_cluster("other")
    before = [one.state() for one in all_hosts]
    for check_mode in (True, False):
        result = task(names=["safe", "other"], check_mode=check_mode)
        assert result["failed"]
        assert "because 2 of the selected virtual clusters are protected: " in result["msg"]
        assert ": safe (namespace vcluster-safe), safe (namespace vcluster-safe, host cluster h1); " in result["msg"]
        assert [one["host_cluster"] for one in result["protected"]] == ["default", "h1"]
    assert [one.state() for one in all_hosts] == before


FLUX = {"helm.toolkit.fluxcd.io/name": "tenant", "helm.toolkit.fluxcd.io/namespace": "flux-system"}


def lose_record(host: PopulatedHost, name: str) -> Any:
    """Take Helm's record away, and return it."""
    path = f"/api/v1/namespaces/vcluster-{name}/secrets/sh.helm.release.v1.{name}.v1"
    record = host.at(path)
    host.vanish(path)
    return record


def test_deletion_of_clusters_of_other_tools_names_them_all(
    task: Task, host: PopulatedHost, all_hosts: list[PopulatedHost]
) -> None:
    """With their records elsewhere; those that have one here are as any other."""
    all_hosts.append(PopulatedHost())
    for one in all_hosts:
        one.have_cluster("theirs", labels=FLUX)
        lose_record(one, "theirs")
        one.have_cluster("other", labels=FLUX)
    before = [one.state() for one in all_hosts]
    for check_mode in (True, False):
        result = task(names=["theirs", "other"], check_mode=check_mode)
        assert result["failed"]
        assert "theirs (namespace vcluster-theirs) belongs to Flux's HelmRelease flux-system/tenant" in result["msg"]
        assert "theirs (namespace vcluster-theirs, host cluster h1) belongs to" in result["msg"]
        assert "delete it there" in result["msg"]
        assert [one["host_cluster"] for one in result["managed"]] == ["default", "h1"]
    assert [one.state() for one in all_hosts] == before
    assert not task(names=["other"]).get("failed")


def test_deletion_of_a_cluster_with_a_record_in_a_config_map_is_refused(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("theirs")
    record = lose_record(host, "theirs")
    labels = record["metadata"]["labels"]
    host.have("ConfigMap", record["metadata"]["name"], labels=labels, namespace="vcluster-theirs")
    assert "HELM_DRIVER=configmap" in task(names=["theirs"])["msg"]


def test_deletion_of_a_cluster_with_a_lost_record_removes_it(task: Task, host: PopulatedHost) -> None:
    host.have_cluster("ours")
    lose_record(host, "ours")
    assert checked(task, host, names=["ours"])["changed"]
    assert host.paths_with("ours") == []


def test_requests_for_managers_are_sent_only_without_records(task: Task, host: PopulatedHost) -> None:
    for name in "abc":
        host.have_cluster(name, labels=FLUX)
    host.requests.clear()
    task(names=["a", "b", "c"], check_mode=True)
    before = host.sent("list")
    host.requests.clear()
    lose_record(host, "a")
    task(names=["a", "b", "c"], check_mode=True)
    assert len(host.sent("list")) == len(before) + 2
