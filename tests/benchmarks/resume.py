# SPDX-License-Identifier: GPL-3.0-or-later
"""How long it takes from resuming a paused virtual cluster until its API answers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable

from api import PREFIX
from create import Readiness, Times, with_helm
from host import Host
from playbook import run, task
from report import BenchError, Result, stage

NAME = "resume"
NAMESPACE = PREFIX + NAME
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SAMPLES = 5
PAUSE_SECONDS = 120


def by_cli(host: Host, verb: str) -> Times:
    """The command-line tool, from its start to its end."""
    with tempfile.TemporaryDirectory() as home:  # it writes there
        start = time.time()
        host.run("vcluster", verb, NAME, "--namespace", NAMESPACE, "--config", f"{home}/config.json", HOME=home)
        return start, time.time()


def with_ours(host: Host) -> Times:
    """The task of the collection, from its start to its result."""
    options = {"kubeconfig": host.kubeconfig, "name": NAME, "namespace": NAMESPACE, "state": "running"}
    noop = task("ansible.builtin.ping", {})
    # A playbook's first task starts more than itself, so it does not count.
    _first, resumed = run([noop, task("nested.clusters.vcluster_state", options)], host.env)
    if not resumed.changed:
        raise BenchError("vcluster_state had nothing to resume")
    return resumed.start, resumed.end


def with_cli(host: Host) -> Times:
    """The command-line tool, which does not wait for the API."""
    return by_cli(host, "resume")


def pause(host: Host) -> None:
    """Pause it in the same way for both, and wait until nothing of it runs."""
    by_cli(host, "pause")
    deadline = time.monotonic() + PAUSE_SECONDS
    while host.api.get(PODS)["items"]:
        if time.monotonic() > deadline:
            raise BenchError(f"pods in {NAMESPACE} have not ended {PAUSE_SECONDS} s after `vcluster pause`")
        time.sleep(0.5)


def sample(host: Host, resume: Callable[[Host], Times]) -> float:
    """Seconds until both the resumer is done and the API answers."""
    pause(host)
    readiness = Readiness(host.api, NAME)
    start, end = resume(host)
    return max(end, readiness.wait()) - start


def measure(host: Host) -> list[Result]:
    """Our task and the command-line tool in turn; who goes first changes with every round."""
    seconds: dict[str, list[float]] = {"vcluster_state": [], "vcluster resume": []}
    resumers = [("vcluster_state", with_ours), ("vcluster resume", with_cli)]
    with stage("resume: one virtual cluster", "30 s"):
        with_helm(host, NAME)
    for number in range(SAMPLES):
        for name, resume in resumers if number % 2 == 0 else reversed(resumers):
            with stage(f"resume with {name}, {number + 1} of {SAMPLES}", "25 s"):
                seconds[name].append(sample(host, resume))
    with stage("resume: removing it", "15 s"):
        host.api.clean()
    return [
        Result(
            "resume until ready against `vcluster resume` and the same probe",
            seconds["vcluster_state"],
            seconds["vcluster resume"],
            1.1,
        )
    ]
