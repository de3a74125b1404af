# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of vcluster_orphan, vcluster_orphan_info and vcluster_orphans: their options, and what they have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.doc_fragments import orphans as orphans_fragment
from ansible_collections.nested.clusters.plugins.module_utils.deletion import orphan_removal, orphans
from ansible_collections.nested.clusters.plugins.modules import vcluster_orphan, vcluster_orphan_info, vcluster_orphans
from clock import Clock
from fake_api import Request
from orphan_hosts import (
    BOTH_WAYS,
    OrphanHost,
    orphan_task,
    states_of,
)
from tasks_on_hosts import Result, Task, replace_time


@pytest.fixture
def all_hosts() -> list[OrphanHost]:
    return [OrphanHost()]


@pytest.fixture
def host(all_hosts: list[OrphanHost]) -> OrphanHost:
    return all_hosts[0]


@pytest.fixture(params=BOTH_WAYS)
def task(
    all_hosts: list[OrphanHost], run_module: Task, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Task]:
    clock = Clock()
    replace_time(monkeypatch, clock, (orphan_removal,))
    yield orphan_task(request.param, all_hosts, run_module, monkeypatch)
    assert clock.now < 3000, "something waits for ever"


def test_requests_for_many_records_do_not_grow(task: Task, host: OrphanHost) -> None:
    """Those of other releases are not opened, nor those beside their control planes."""
    opened = []

    def watch(request: Request) -> None:
        if request.method == "GET" and "sh.helm" in request.path:
            opened.append(request.path)

    host.intercept = watch
    host.have_left("PersistentVolumeClaim", "data-a-0")
    for name in "bcd":
        host.have_cluster(name)
        host.have("Namespace", f"apps-{name}")
        labels, of_helm = {"owner": "helm", "name": name, "status": "deployed"}, "helm.sh/release.v1"
        host.have("Secret", f"sh.helm.release.v1.{name}.v1", namespace=f"apps-{name}", labels=labels, type=of_helm)
    assert states_of(task()) == {"persistentvolumeclaims/data-a-0": "orphan"}
    assert opened == []


def test_selection_by_names_or_namespaces_finds_only_these(task: Task, host: OrphanHost) -> None:
    for name in ("a", "c"):
        space = f"vcluster-{name}"
        host.have("Namespace", space)
        labels = {"app": "vcluster", "release": name}
        host.have("PersistentVolumeClaim", f"data-{name}-0", namespace=space, labels=labels)
    assert states_of(task(names=["a"])) == {"persistentvolumeclaims/data-a-0": "orphan"}
    assert states_of(task(namespaces=["vcluster-c"])) == {"persistentvolumeclaims/data-c-0": "orphan"}
    assert len(states_of(task())) == 2


@pytest.mark.parametrize("state", ["reported", "absent"])
@pytest.mark.parametrize("empty", [{"names": []}, {"names": ""}, {"namespaces": []}, {"kinds": []}], ids=str)
def test_selection_by_an_empty_list_is_refused(empty: Result, state: str, task: Task, host: OrphanHost) -> None:
    host.have_left("PersistentVolumeClaim", "data-a-0")
    (option,) = empty
    result = task(state=state, **{"kinds": ["volume_claims"], **empty})
    assert (result["failed"], result["option"]) == (True, option)
    assert "the value is empty and selects nothing" in result["msg"]
    assert states_of(task()) == {"persistentvolumeclaims/data-a-0": "orphan"}


def test_requests_for_many_orphans_do_not_grow(task: Task, host: OrphanHost) -> None:
    counts = []
    for number in range(5):
        name = f"v{number}"
        labels = {"app": "vcluster", "release": name}
        host.have("Namespace", name)
        host.have("PersistentVolumeClaim", f"data-{name}-0", namespace=name, labels=labels)
        host.requests.clear()
        assert len(task()["orphans"]) == number + 1
        counts.append(len(host.sent("list")))
    assert len(set(counts)) == 1


def test_host_cluster_that_does_not_answer_is_a_warning(
    task: Task, host: OrphanHost, all_hosts: list[OrphanHost]
) -> None:
    all_hosts.append(OrphanHost())
    all_hosts[1].have_left("PersistentVolumeClaim", "data-a-0")
    host.down = True
    result = task()
    assert result["failed_host_clusters"] == ["default"]
    assert f"host cluster {host.host} does not answer" in result["warnings"][0]
    assert len(result["orphans"]) == 1


@pytest.mark.parametrize(("option", "value"), [("older_than", -1), ("wait_timeout", 0)])
def test_number_that_does_nothing_is_refused(option: str, value: int, task: Task) -> None:
    assert f"{option}: {value} is not usable" in task(**{option: value}, state="absent")["msg"]


def test_result_of_all_three_modules_is_the_same(task: Task, host: OrphanHost, run_module: Task) -> None:
    """The three return the same entries, and the one that only finds leaves out what becomes of them."""
    host.have_left("PersistentVolumeClaim", "data-a-0")
    host.have_left("ConfigMap", "vc-coredns-a")
    found = run_module(vcluster_orphan_info)
    deprecated = run_module(vcluster_orphans)
    assert found["changed"] is deprecated["changed"] is False
    removal = run_module(vcluster_orphan, check_mode=True)
    assert removal["orphans"] == run_module(vcluster_orphans, check_mode=True, state="absent")["orphans"]
    of_removal = {"changed", "failed", "msg"}
    for result in (deprecated, removal):
        entries = [{key: one[key] for key in one.keys() - of_removal} for one in result["orphans"]]
        assert found["orphans"] == entries
    assert run_module(vcluster_orphan_info, check_mode=True, diff=True)["orphans"] == found["orphans"]


def test_vcluster_orphan_info_with_options_of_a_removal_fails(task: Task, run_module: Task) -> None:
    assert "state" not in vcluster_orphan_info.argument_spec()
    assert "Unsupported parameters" in run_module(vcluster_orphan_info, wait_timeout=5)["msg"]


def test_kinds_of_orphans_are_documented() -> None:
    options = yaml.safe_load(orphans_fragment.ModuleDocFragment.DOCUMENTATION)["options"]
    kinds = " ".join(options["kinds"]["description"])
    assert all(f"V({kind})" in kinds for kind in orphans.KINDS)


def test_results_of_the_modules_for_orphans_are_documented(task: Task, host: OrphanHost, run_module: Task) -> None:
    host.have_left("PersistentVolumeClaim", "data-a-0")
    for module in (vcluster_orphans, vcluster_orphan, vcluster_orphan_info):
        result = run_module(module, check_mode=True)
        contents = yaml.safe_load(module.RETURN)["orphans"]["contains"]
        assert contents.keys() == result["orphans"][0].keys()


def test_results_of_the_modules_for_orphans_are_described_alike() -> None:
    """Ansible has no fragments for results: what becomes of an orphan is the only difference."""
    of_three = [yaml.safe_load(module.RETURN) for module in (vcluster_orphan, vcluster_orphans, vcluster_orphan_info)]
    states = [found["orphans"]["contains"].pop("state") for found in of_three]
    removal, deprecated, report = of_three
    assert removal == deprecated
    entry = report["orphans"]["contains"]
    assert removal["orphans"]["contains"].keys() - entry.keys() == {"changed", "failed", "msg"}
    assert entry.items() <= removal["orphans"]["contains"].items()
    assert removal["failed_host_clusters"] == report["failed_host_clusters"]
    assert len({len(state["description"]) for state in states}) == 1
