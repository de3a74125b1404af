# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run modules as tasks on host clusters in memory, and check what they foresee and what they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.k8s import host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import HostCluster
from clock import Clock
from fake_api import FakeCluster

Result = dict[str, Any]
Task = Callable[..., Result]


def task_on(
    hosts: Sequence[FakeCluster], module: ModuleType, run_module: Task, monkeypatch: pytest.MonkeyPatch, **defaults: Any
) -> Task:
    """Return a function that runs a module on all hosts, the first of which is called default, others h1, h2 ..."""

    def open_hosts(_module: object) -> list[HostCluster]:
        names = [host_clusters.ONLY, *(f"h{number}" for number in range(1, len(hosts)))]
        return [HostCluster(name, host.client()) for name, host in zip(names, hosts, strict=True)]

    monkeypatch.setattr(host_clusters, "open_hosts", open_hosts)
    return lambda **options: run_module(module, **{**defaults, **options})


def replace_time(monkeypatch: pytest.MonkeyPatch, clock: Clock, modules: Sequence[Any]) -> None:
    """Replace the clocks of modules that wait."""
    for module in modules:
        monkeypatch.setattr(module, "time", clock)


def of(result: Result, name: str) -> Result:
    """Return what a result says of one virtual cluster."""
    found: Result = next(cluster for cluster in result["virtual_clusters"] if cluster["name"] == name)
    return found


def names(result: Result) -> list[str]:
    """Return the names of all virtual clusters of a result."""
    return [cluster["name"] for cluster in result["virtual_clusters"]]


def checked(task: Task, *of_hosts: FakeCluster, **options: Any) -> Result:
    """Return the result of a task after check mode, which has changed nothing and foreseen just that.

    Done again, the task does nothing, unless its state is one that changes something every time.
    """
    before = [host.state() for host in of_hosts]
    foreseen = task(check_mode=True, diff=True, **options)
    assert [host.state() for host in of_hosts] == before
    result = task(diff=True, **options)
    assert foreseen == result
    if options.get("state") != "restarted":
        again = task(diff=True, **options)
        assert (again["changed"], again["diff"]) == (False, [])
    assert not result.get("failed"), result["msg"]
    return result


def contents(host: FakeCluster, namespace: str) -> set[str]:
    """Return what is in a namespace, as PLURAL/NAME."""
    return {"/".join(path.rsplit("/", 2)[1:]) for path in host.paths(namespace)}
