# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to look at one virtual cluster, and at a thousand."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import fleet
import state
from counting_proxy import CountingProxy
from host import Host
from playbook import run, task
from report import BenchError, Result, stage

MODULE = "nested.clusters.vcluster_info"
FLEET = 1000
ROUNDS = 5


def count_requests(host: Host, wanted: int) -> tuple[int, int]:
    """(requests of one task, how many of them ask for a further page)."""
    with tempfile.TemporaryDirectory() as directory, CountingProxy(host.api) as proxy:
        kubeconfig = proxy.kubeconfig(Path(directory, "kubeconfig"))
        (sample,) = run([task(MODULE, {"kubeconfig": str(kubeconfig)})], host.env)
    if sample.clusters < wanted:
        raise BenchError(f"vcluster_info returned {sample.clusters} of {wanted} virtual clusters")
    pages = sum("continue=" in path for _method, path in proxy.requests)
    count = len(proxy.requests)
    print(f"    {count} requests for {sample.clusters}, {pages} of them further pages", flush=True)
    return count, pages


def raw_list(host: Host) -> float:
    """Seconds to read the StatefulSets as bytes."""
    start = time.monotonic()
    host.api.expect(host.api.request("GET", fleet.STATEFUL_SETS), fleet.STATEFUL_SETS)
    return time.monotonic() - start


def whole_tasks(host: Host) -> tuple[list[float], list[float]]:
    """Seconds of (vcluster_info, a no-op task and a raw LIST), measured in turn."""
    info, noop = task(MODULE, {"kubeconfig": host.kubeconfig}), task("ansible.builtin.ping", {})
    ours, peer = [], []
    run([noop, info], host.env)  # warms caches up
    for _round in range(ROUNDS):
        # A playbook's first task starts more than itself, so it does not count.
        _first, nothing, looked = run([noop, noop, info], host.env)
        ours.append(looked.seconds)
        peer.append(nothing.seconds + raw_list(host))
    return ours, peer


def vcluster_list(host: Host, wanted: int) -> float:
    """Seconds of the vCluster command-line tool."""
    with tempfile.TemporaryDirectory() as home:  # it writes there
        start = time.monotonic()
        said = host.run("vcluster", "list", "--output", "json", "--config", f"{home}/config.json", HOME=home)
        seconds = time.monotonic() - start
    if (found := len(json.loads(said))) < wanted:
        raise BenchError(f"vcluster list returned {found} of {wanted} virtual clusters")
    return seconds


def measure(host: Host) -> list[Result]:
    """vcluster_info with 1 and with 1,000."""
    objects = fleet.render(host)
    with fleet.fake_nodes(host) as kwok:
        with stage("fleet: 1 fake virtual cluster", "10 s"):
            fleet.create(host.api, kwok, objects, range(1))
        one, _pages = count_requests(host, 1)
        with stage(f"fleet: {FLEET} fake virtual clusters", "90 s"):
            fleet.create(host.api, kwok, objects, range(1, FLEET))
        many, pages = count_requests(host, FLEET)
        with stage(f"fleet: {ROUNDS} rounds of vcluster_info with {FLEET}", "30 s"):
            ours, peer = whole_tasks(host)
        with stage(f"fleet: {ROUNDS} rounds of vcluster_state --check with {FLEET}", "20 s"):
            checks = [state.check_all(host) for _round in range(ROUNDS)]
        with stage(f"fleet: `vcluster list` with {FLEET}", "400 s: it asks for each"):
            listed = vcluster_list(host, FLEET)
    requests = "vcluster_info requests, 1000 against 1, beyond paging"
    return [
        Result(requests, [many - pages], [one], 1.0, "requests"),
        Result("vcluster_info of 1000 against a no-op task and a raw LIST", ours, peer, 2.0),
        Result("vcluster_info of 1000 against `vcluster list`", ours, [listed], 0.02),
        Result("vcluster_state --check of 1000 against `vcluster list`", checks, [listed], 0.05),
    ]
