# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of what runs: upgrades that are killed, and a host cluster of its own, whose components are killed.

`make faults` tries all of them, and `make test` one upgrade. Most other faults are tests of the API tier:
tests/api/test_fault_*.py.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fault_life import DELETIONS, Life, Record, kill_after, life, moment, survived, told, upgradable
from fault_tools import FULL, SEED, Machine, later, own_machine
from host_api import Host, open_host, wait_gone
from modules import Module
from waiting import eventually


@pytest.mark.long
@pytest.mark.parametrize("turn", range(20 if FULL else 1))
def test_upgrade_that_is_killed_is_finished_by_a_second_run(
    host: Host, vcluster: Module, record_property: Record, turn: int
) -> None:
    """kill -9 somewhere in an upgrade: its way back is taken, or used, or was not needed any more."""
    with upgradable(host, vcluster, record_property, "up") as lived:
        after = moment(lived, "upgrade", turn)
        print(f"upgrade: killed after {after:.2f} s, seed {SEED}")
        lived.suffer("kill -9 during upgrade", "upgrade", partial(kill_after, lived, "upgrade", after))


# --- on a host cluster of its own -------------------------------------------------------------------------

if FULL:

    @pytest.fixture(scope="module")
    def machine() -> Iterator[Machine]:
        """A host cluster whose components these tests may kill."""
        with own_machine() as own:
            yield own

    @pytest.mark.xdist_group("own")
    @pytest.mark.parametrize("turn", range(2))
    def test_operation_whose_api_server_is_killed_is_finished_by_a_second_run(
        machine: Machine, vcluster: Module, record_property: Record, turn: int
    ) -> None:
        """The process of the API server is killed, and started again, somewhere in each operation."""
        host = open_host(machine.kubeconfig)
        task = Module(host, vcluster.directory, "vcluster", vcluster.defaults)
        with life(host, task, record_property, "api") as lived:
            for operation in ("create", "pause", "change", DELETIONS[turn % 2]):

                after = moment(lived, operation, "api", turn)
                kill = partial(kill_api_server, machine, lived, operation, after)
                lived.suffer(f"API server killed during {operation}", operation, kill)

    @pytest.mark.xdist_group("own")
    @pytest.mark.parametrize("turn", range(3))
    def test_upgrade_whose_api_server_is_killed_is_finished_by_a_second_run(
        machine: Machine, vcluster: Module, record_property: Record, turn: int
    ) -> None:
        """The same somewhere in an upgrade, which takes its way back where it cannot see that all is well."""
        host = open_host(machine.kubeconfig)
        task = Module(host, vcluster.directory, "vcluster", vcluster.defaults)
        with upgradable(host, task, record_property, "upapi") as lived:

            kill = partial(kill_api_server, machine, lived, "upgrade", moment(lived, "upgrade", "api", turn))
            lived.suffer("API server killed during upgrade", "upgrade", kill)

    def kill_api_server(machine: Machine, lived: Life, operation: str, seconds: float) -> None:
        """Kill its process in an operation; it is started again by itself."""
        timer = later(seconds, lambda: machine.signal("kube-apiserver", signal.SIGKILL))
        told(lived.vcluster.finish(lived.start(operation)))
        timer.join()
        eventually("API server", lambda: answers(lived.host), 90, 0.5)

    @pytest.mark.xdist_group("own")
    @pytest.mark.parametrize("turn", range(2))
    def test_operation_whose_credentials_expire_says_so(
        machine: Machine, vcluster: Module, record_property: Record, turn: int, tmp_path: Path
    ) -> None:
        """A client certificate expires somewhere in each operation: the task says so, with what helm says as well."""
        host = open_host(machine.kubeconfig)
        task = Module(host, vcluster.directory, "vcluster", vcluster.defaults)
        with life(host, task, record_property, "expired") as lived:
            for operation in ("create", "pause", "change", DELETIONS[turn % 2]):

                def expire(operation: str = operation) -> None:
                    after = moment(lived, operation, "expired", turn)
                    kubeconfig = machine.short_lived(tmp_path, after)
                    result = task.finish(lived.start(operation, kubeconfig=kubeconfig))
                    print(operation, after, result.get("msg"))
                    assert "Traceback" not in json.dumps(result), result
                    if result.get("failed"):
                        assert "rejects the credentials" in result["msg"]

                lived.suffer(f"credentials expired during {operation}", operation, expire)

    def answers(host: Host) -> bool:
        """Whether the API server is there, and has its roles."""
        try:
            return bool(host.get("/readyz"))
        except Exception:
            return False

    @pytest.mark.xdist_group("own")
    def test_operation_whose_node_stops_names_the_pods(
        machine: Machine, vcluster: Module, record_property: Record
    ) -> None:
        """The kubelet hangs: a pause and a deletion say which pod does not end; with it back, they finish."""
        host = open_host(machine.kubeconfig)
        task = Module(host, vcluster.directory, "vcluster", vcluster.defaults)
        with life(host, task, record_property, "node") as lived:
            name = lived.where.name
            task(name=name)
            state, options = lived.task("pause")
            with survived(record_property, "a node that stops, during pause"):
                with machine.stopped("kubelet"):
                    message = state.refused(**options, wait_timeout=10)
                    # With pods of its users, these are next; else its own are all that is waited for.
                    assert re.search(f"until its pods have ended|have not ended yet: {name}-0", message), message
                assert state(**options)["virtual_clusters"][0]["after"] == "paused"
            state(name=name, state="running")
            for module in (task, state):
                with survived(record_property, "a node that stops, during delete"):
                    delete: dict[str, Any] = {"name": name, "state": "absent"}
                    with machine.stopped("kubelet"):
                        message = module.refused(**delete, wait_timeout=15)
                        assert "is not gone after 15 s" in message or "not gone after 15 s" in message
                    module(**delete)
                    lived.check("delete")
                task(name=name)
            task(name=name, state="absent")
            wait_gone(host, f"/api/v1/namespaces/{lived.where.namespace}")
