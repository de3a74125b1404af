# SPDX-License-Identifier: GPL-3.0-or-later
"""How long it takes from asking for a virtual cluster until its API answers."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import urllib3

from api import PREFIX, Api
from host import Host
from playbook import run, task
from report import BenchError, Result, stage

NAME = "create"
NAMESPACE = PREFIX + NAME
SAMPLES = 5
# The chart's startup probe asks every 6 s, by which both sides would be rounded up at random.
VALUES = {
    "controlPlane": {
        "statefulSet": {
            "image": {"repository": "loft-sh/vcluster-oss"},
            "probes": {"startupProbe": {"periodSeconds": 1}},
        }
    }
}
POLL_SECONDS = 0.1
READY_SECONDS = 300

Times = tuple[float, float]  # wall clock: asked, answered


class Readiness:
    """Asks the virtual cluster's own /readyz, through its Service, until it says ok."""

    def __init__(self, api: Api, name: str) -> None:
        self.api = api
        self._path = f"/api/v1/namespaces/{PREFIX}{name}/services/https:{name}:443/proxy/readyz"
        self.at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                if self.api.request("GET", self._path).data == b"ok":
                    self.at = time.time()
                    return
            except urllib3.exceptions.HTTPError:
                pass  # the host cluster is busy; ask again
            time.sleep(POLL_SECONDS)

    def wait(self) -> float:
        """When it first said ok."""
        self._thread.join(READY_SECONDS)
        self._stop.set()
        if not self.at:
            raise BenchError(f"/readyz of the virtual cluster does not answer within {READY_SECONDS} s")
        return self.at


def with_ours(host: Host) -> Times:
    """The task of the collection, from its start to its result."""
    options = {
        "kubeconfig": host.kubeconfig,
        "name": NAME,
        "namespace": NAMESPACE,
        "chart_ref": host.chart,
        "values": VALUES,
    }
    (made,) = run([task("nested.clusters.vcluster", options)], host.env)
    return made.start, made.end


def with_helm(host: Host, name: str = NAME) -> Times:
    """helm as its manual says."""
    with tempfile.TemporaryDirectory() as directory:
        values = Path(directory, "values.json")
        values.write_text(json.dumps(VALUES), encoding="utf-8")
        options = ["--namespace", PREFIX + name, "--create-namespace", "--values", str(values), "--wait"]
        start = time.time()
        host.run("helm", "upgrade", "--install", name, host.chart, *options)
        return start, time.time()


def sample(host: Host, make: Callable[[Host], Times]) -> float:
    """Seconds until both the maker is done and the API answers; nothing is left of it."""
    readiness = Readiness(host.api, NAME)
    start, end = make(host)
    seconds = max(end, readiness.wait()) - start
    host.api.clean()
    return seconds


def measure(host: Host) -> list[Result]:
    """Our task and helm in turn; who goes first changes with every round.

    One goes ahead of them: whoever is first on a new host cluster pays for what is then in the caches.
    """
    seconds: dict[str, list[float]] = {"vcluster": [], "helm": []}
    makers = [("vcluster", with_ours), ("helm", with_helm)]
    with stage("create with helm, for the caches", "40 s"):
        sample(host, with_helm)
    for number in range(SAMPLES):
        for name, make in makers if number % 2 == 0 else reversed(makers):
            with stage(f"create with {name}, {number + 1} of {SAMPLES}", "30 s"):
                seconds[name].append(sample(host, make))
    return [Result("create until ready against helm --wait", seconds["vcluster"], seconds["helm"], 1.1)]
