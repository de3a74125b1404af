# SPDX-License-Identifier: GPL-3.0-or-later
"""A pause or a resume that is killed is finished by the next one; two at once lose no replicas."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from host_api import Host
from modules import Module
from pausing import ETCD, EXTERNAL_ETCD, THREE, marks, merged, names_of, only, replicas, resumed
from places import IDLE, Place, place
from proxy import Proxy, serve_proxy


@pytest.fixture(scope="module")
def state(host: Host, vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_state."""
    return Module(host, vcluster.directory, "vcluster_state")


@pytest.fixture(scope="module")
def idle(host: Host, vcluster: Module) -> Iterator[Place]:
    """A Deployment with three replicas, and its etcd elsewhere."""
    with place(host, "idle") as where:
        vcluster(name=where.name, values=merged(IDLE, EXTERNAL_ETCD, THREE), wait=False)
        yield where


@pytest.fixture(scope="module")
def beside(host: Host, vcluster: Module) -> Iterator[Place]:
    """A Deployment with three replicas, and its etcd beside it, which runs: a resume waits for that."""
    with place(host, "beside") as where:
        vcluster(name=where.name, values=merged(IDLE, ETCD, THREE), wait=False)
        yield where


@contextmanager
def killed_at(state: Module, proxy: Proxy, number: int, options: dict[str, Any]) -> Iterator[bool]:
    """Kill a task at its n-th request, which does not arrive; whether it came to that."""
    process = state.start({**options, **proxy.options})
    seen: list[str] = []
    hit = threading.Event()
    lock = threading.Lock()

    def fault(method: str, path: str) -> int:
        with lock:
            seen.append(f"{method} {path}")
            if len(seen) >= number and not hit.is_set():
                hit.set()
                os.killpg(process.pid, signal.SIGKILL)
        return -1 if hit.is_set() else 0

    proxy.fault = fault
    process.communicate(timeout=120)
    proxy.fault = lambda method, path: 0
    yield hit.is_set()


def test_pause_killed_at_any_request_is_finished_by_the_next(host: Host, state: Module, beside: Place) -> None:
    """Killed at whatever request, the next run finishes it, and no replicas are forgotten."""
    control, etcd = names_of(beside)
    for number in range(1, 60):
        options: dict[str, Any] = {"name": beside.name, "state": "paused"}
        with serve_proxy(host) as proxy, killed_at(state, proxy, number, options) as killed:
            assert only(state(**options))["after"] == "paused"
        assert replicas(host, beside) == {control: 0, etcd: 0}
        assert host.items(beside.path("pods")) == []
        kept = [marks(host, beside, name)["loft.sh/paused-replicas"] for name in (control, etcd)]
        assert kept == ["3", "1"]
        resumed(state, beside)
        assert replicas(host, beside) == {control: 3, etcd: 1}
        assert marks(host, beside) == marks(host, beside, etcd) == {}
        if not killed:
            break
    assert number > 10


def test_resume_killed_at_any_request_is_finished_by_the_next(host: Host, state: Module, idle: Place) -> None:
    """The same for a resume."""
    for number in range(1, 60):
        state(name=idle.name, state="paused")
        options: dict[str, Any] = {"name": idle.name, "state": "running", "wait": False}
        with serve_proxy(host) as proxy, killed_at(state, proxy, number, options) as killed:
            state(**options)
        assert (replicas(host, idle), marks(host, idle)) == ({idle.name: 3}, {})
        if not killed:
            break
    assert number > 4


def test_states_at_once_lose_no_replicas(host: Host, state: Module, idle: Place) -> None:
    """Two equal tasks both end well. Of two opposite ones, what is left is finished by another run."""
    for _round in range(3):
        both = [state.start({"name": idle.name, "state": "paused"}) for _twice in range(2)]
        results = [state.finish(process) for process in both]
        assert not [result["msg"] for result in results if result.get("failed")]
        assert (replicas(host, idle), host.items(idle.path("pods"))) == ({idle.name: 0}, [])
        assert marks(host, idle)["loft.sh/paused-replicas"] == "3"
        both = [state.start({"name": idle.name, "state": "running", "wait": False}) for _twice in range(2)]
        results = [state.finish(process) for process in both]
        assert not [result["msg"] for result in results if result.get("failed")]
        assert replicas(host, idle) == {idle.name: 3}
    both = [state.start({"name": idle.name, "state": one, "wait": False}) for one in ("paused", "running")]
    for process in both:
        assert "Traceback" not in json.dumps(state.finish(process))
    state(name=idle.name, state="paused")
    assert replicas(host, idle) == {idle.name: 0}
    resumed(state, idle)
    assert (replicas(host, idle), marks(host, idle)) == ({idle.name: 3}, {})
