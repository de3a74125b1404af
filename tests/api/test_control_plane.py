# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API tier runs on: it leaves nothing however it ends, and it plays what no program does there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api_host import PROGRAM, ApiHost
from modules import Module
from places import IDLE, Place
from waiting import eventually

START = f"import subprocess; subprocess.run([{sys.executable!r}, '-B', {str(PROGRAM)!r}])"


def started(*command: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Start a control plane, and return what it tells."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, json.loads(process.stdout.readline())


def runs(told: dict[str, Any]) -> list[str]:
    """Return the components that still run."""
    return [name for name, pid in told["processes"].items() if is_running(pid)]


def is_running(pid: int) -> bool:
    """Tell whether a process runs: one that has ended may wait for whoever adopts it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_killed_control_plane_leaves_no_process_and_its_state_goes_with_the_next_one() -> None:
    """Nor does one that is started by a process that is killed."""
    process, first = started(sys.executable, "-B", str(PROGRAM))
    assert sorted(runs(first)) == ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"]
    process.kill()
    process.communicate()
    eventually("the end of all", lambda: not runs(first), 10)
    read, write = os.pipe()
    worker = subprocess.Popen([sys.executable, "-c", START], stdin=read, stdout=subprocess.PIPE, text=True)
    os.close(read)
    assert worker.stdout
    second = json.loads(worker.stdout.readline())
    assert not Path(first["state"]).exists()
    os.kill(worker.pid, signal.SIGKILL)
    os.close(write)
    eventually("the end of all", lambda: not runs(second) and not Path(second["state"]).exists(), 10)
    worker.communicate()


def test_missing_binaries_are_said_in_one_sentence(tmp_path: Path) -> None:
    environment = {**os.environ, "NESTED_CLUSTERS_CACHE": str(tmp_path)}
    command = [sys.executable, "-B", str(PROGRAM)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "control plane: its binaries are not built: run tests/host_cluster/host-cluster binaries\n"


def test_virtual_cluster_becomes_ready_with_kubeconfig_volume_and_pods(
    host: ApiHost, vcluster: Module, new: Callable[..., Place]
) -> None:
    where = new("played")
    host.planes.synced[where.name] = 2
    result = vcluster(name=where.name)
    assert result["virtual_cluster"]["phase"] == "running"
    assert host.get(where.path("secrets", f"vc-{where.name}"))["data"].keys() >= {"config", "client-certificate"}
    assert host.get(where.path("persistentvolumeclaims", f"data-{where.name}-0"))["status"]["phase"] == "Bound"
    synced = f"{where.path('pods')}?labelSelector=vcluster.loft.sh%2Fmanaged-by%3D{where.name}"
    eventually("pods of a tenant", lambda: len(host.items(synced)) == 2, 10)
    vcluster(name=where.name, state="absent")
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None
    eventually("the end of the volume", lambda: not host.items("/api/v1/persistentvolumes"), 10)


def test_virtual_cluster_without_node_or_kubeconfig_is_not_ready(
    host: ApiHost, vcluster: Module, new: Callable[..., Place]
) -> None:
    idle, silent = new("idle"), new("silent")
    host.planes.writes_kubeconfig = False
    host.planes.binds_claims = False
    assert "is not ready after 3 s" in vcluster.refused(name=silent.name, wait_timeout=3)
    vcluster(name=idle.name, values=IDLE, wait=False)
    (pod,) = eventually("a pod", lambda: host.items(idle.path("pods")))
    path = idle.path("pods", pod["metadata"]["name"])
    conditions = eventually("its condition", lambda: host.get(path)["status"].get("conditions"))
    assert [one["reason"] for one in conditions] == ["Unschedulable"]


def test_api_of_a_virtual_cluster_says_what_a_test_has_it_say(
    host: ApiHost, vcluster: Module, new: Callable[..., Place]
) -> None:
    where = new("answer")
    vcluster(name=where.name)
    path = where.path("pods", f"https:{where.name}-0:8443") + "/proxy/readyz"
    assert host.get(path) == "ok"
    asked: list[str] = []

    def answer(address: str) -> str:
        asked.append(address)
        return "not yet"

    host.pods.answer = answer
    assert host.get(path) == "not yet"
    assert asked[0].endswith(":8443")
