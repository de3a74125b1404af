# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to pause and to resume two hundred virtual clusters."""

from __future__ import annotations

import json
import tempfile
import time

import fleet
from api import PREFIX
from host import Host
from playbook import run, task
from report import BenchError, Result, stage

MODULE = "nested.clusters.vcluster_state"
FLEET = 200
ROUNDS = 3
BY_CLI = 10  # the command-line tool goes one by one: so many are enough to know how long each takes
READY_SECONDS = 300
SELECTOR = {"label_selectors": [f"{fleet.MARK}=state"]}  # and nothing else that the host cluster has
MARKS = {"loft.sh/paused": "true", "loft.sh/paused-replicas": "1", "loft.sh/paused-date": "x"}
PODS = "/api/v1/pods?labelSelector=app%3Dvcluster"


def render(host: Host) -> list[str]:
    """The fleet's objects, with a volume that outlives pods: else a pause is refused."""
    objects = [json.loads(text) for text in fleet.render(host)]
    for thing in objects:
        if thing["kind"] == "StatefulSet":
            thing["metadata"]["labels"][fleet.MARK] = "state"
            volumes = thing["spec"]["template"]["spec"]["volumes"]
            next(volume for volume in volumes if volume["name"] == "data").update(
                emptyDir=None, hostPath={"path": "/nowhere"}
            )
    return [json.dumps(thing) for thing in objects]


def switch(host: Host, state: str) -> tuple[float, float]:
    """Seconds of (one task for all, a task that does nothing)."""
    options = {"kubeconfig": host.kubeconfig, "state": state, **SELECTOR}
    noop = task("ansible.builtin.ping", {})
    # A playbook's first task starts more than itself, so it does not count.
    _first, nothing, switched = run([noop, noop, task(MODULE, options)], host.env)
    if not switched.changed or switched.clusters < FLEET:
        raise BenchError(f"vcluster_state found {switched.clusters} of {FLEET} virtual clusters to change")
    return switched.seconds, nothing.seconds


def path(number: int) -> str:
    """The StatefulSet of one of the fleet."""
    name = f"fleet-{number:04}"
    return f"/apis/apps/v1/namespaces/{PREFIX}{name}/statefulsets/{name}"


def patch(host: Host, number: int, replicas: int) -> None:
    """Pause or resume one, as bytes."""
    body = {"metadata": {"annotations": dict.fromkeys(MARKS) if replicas else MARKS}, "spec": {"replicas": replicas}}
    answer = host.api.pool.request(
        "PATCH",
        host.api.host + path(number),
        headers={**host.api.headers, "Content-Type": "application/merge-patch+json"},
        body=json.dumps(body),
    )
    host.api.expect(answer, path(number))


def is_reached(host: Host, replicas: int) -> bool:
    """Whether all have no pod left, or all are ready."""
    if replicas:
        return fleet.count_ready(host.api) == FLEET
    return not any(pod["metadata"]["namespace"].startswith(PREFIX) for pod in host.api.get(PODS)["items"])


def bare(host: Host, replicas: int) -> float:
    """Seconds of the API calls alone, from several threads, until all are there."""
    start = time.monotonic()
    host.api.parallel(lambda number: patch(host, number, replicas), list(range(FLEET)))
    while not is_reached(host, replicas):
        if time.monotonic() - start > READY_SECONDS:
            raise BenchError(f"not all of the fleet have {replicas} replicas after {READY_SECONDS} s")
        time.sleep(0.5)
    return time.monotonic() - start


def pause_by_cli(host: Host) -> float:
    """Seconds that a loop of `vcluster pause` over the whole fleet takes, from its first turns."""
    with tempfile.TemporaryDirectory() as home:  # it writes there
        config = ["--config", f"{home}/config.json"]
        start = time.monotonic()
        for number in range(BY_CLI):
            name = f"fleet-{number:04}"
            host.run("vcluster", "pause", name, "--namespace", PREFIX + name, *config, HOME=home)
        return (time.monotonic() - start) / BY_CLI * FLEET


def check_all(host: Host) -> float:
    """Seconds of a task in check mode that would pause everything."""
    selection = {"phases": ["running"], "all": True}
    options = {"kubeconfig": host.kubeconfig, "state": "paused", "accept_data_loss": True, **selection}
    noop = task("ansible.builtin.ping", {})
    checked = run([noop, {**task(MODULE, options), "check_mode": True}], host.env)[1]
    if not checked.changed:
        raise BenchError("vcluster_state --check has nothing to do")
    return checked.seconds


def measure(host: Host) -> list[Result]:
    """Pause and resume a fleet by one task and by bare API calls; pause some by the command-line tool."""
    ours: dict[str, list[float]] = {"pause": [], "resume": []}
    peer: dict[str, list[float]] = {"pause": [], "resume": []}
    steps = {"pause": ("paused", 0), "resume": ("running", 1)}
    with fleet.fake_nodes(host) as kwok:
        with stage(f"state: {FLEET} fake virtual clusters", "40 s"):
            fleet.create(host.api, kwok, render(host), range(FLEET))
        with stage(f"state: {ROUNDS} rounds of pausing and resuming", "100 s"):
            for _round in range(ROUNDS):
                for verb, (state, _replicas) in steps.items():
                    seconds, nothing = switch(host, state)
                    ours[verb].append(seconds)
                    peer[verb].append(nothing)
                for verb, (_state, replicas) in steps.items():
                    peer[verb][-1] += 3 * bare(host, replicas)
        with stage(f"state: {BY_CLI} times `vcluster pause`", "20 s"):
            cli = [pause_by_cli(host)]
    with stage("state: removing the fleet", "40 s"):
        host.api.clean()
    return [
        Result(f"pause {FLEET} against a loop of `vcluster pause`", ours["pause"], cli, 0.05),
        *(
            Result(f"{verb} {FLEET} against a no-op task and 3 times the API calls", ours[verb], peer[verb], 1.0)
            for verb in steps
        ),
    ]
