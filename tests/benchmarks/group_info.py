# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to look at a group of two host clusters with a thousand virtual clusters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.admission import group_layers
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_pending
from ansible_collections.nested.clusters.plugins.module_utils.groups import model as group_model
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership

import fleet
from api import Api
from counting_proxy import CountingProxy
from host import Host, second_host
from info import raw_list
from playbook import run, task
from report import BenchError, Result, stage

MODULE = "nested.clusters.vcluster_group_info"
GROUP = "nested-bench"
FLEET = 500  # virtual clusters of a host cluster
ROUNDS = 5
SIZE = Size.parse({"cpu": "2", "memory": "4Gi", "storage": "2Gi"}, "size")
MEMORY = 256.0  # MiB that a task may take
QUOTAS_SECONDS = 600


def objects_of(host: Host) -> list[str]:
    """What a virtual cluster of the group has on its host cluster, as JSON."""
    member = group_model.Member("any")
    place = membership.Membership(
        GROUP, "alice", SIZE, group_pending.applied(group_model.Group(GROUP, (member,)), member), {}
    )
    objects = fleet.render(host, group_layers.BUILT_IN_CONTROL_PLANE["controlPlane"]["statefulSet"]["resources"])
    namespace = json.loads(objects[0])
    namespace["metadata"] |= {"labels": place.labels(), "annotations": place.annotations(fleet.NAME)}
    own = place.objects(fleet.NAME, fleet.NAMESPACE)  # the quota and the limits go first, as pods are held to them
    return [json.dumps(namespace), *map(json.dumps, own), *objects[1:]]


def entries(kubeconfigs: dict[str, str]) -> dict[str, Any]:
    """Option ``host_clusters``."""
    return {"host_clusters": [{"name": name, "kubeconfig": file} for name, file in kubeconfigs.items()]}


def wait_for_quotas(api: Api) -> None:
    """Wait until everything that pods request has been counted: that is what is read."""
    deadline = time.monotonic() + QUOTAS_SECONDS
    while True:
        items = api.get("/api/v1/resourcequotas?labelSelector=app%3Dvcluster")["items"]
        used = [(item.get("status") or {}).get("used") or {} for item in items]
        if used and all(one.get("requests.cpu", "0") != "0" for one in used):
            return
        if time.monotonic() > deadline:
            raise BenchError(f"not every quota counts its pods after {QUOTAS_SECONDS} s")
        time.sleep(2)


def count_requests(hosts: dict[str, Host], wanted: int) -> tuple[int, int]:
    """(requests of one task to each host cluster, how many of them ask for a further page); the larger of the two."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        proxies = {name: stack.enter_context(CountingProxy(host.api)) for name, host in hosts.items()}
        files = {name: str(proxy.kubeconfig(Path(directory, name))) for name, proxy in proxies.items()}
        (sample,) = run([task(MODULE, {"name": GROUP, **entries(files)})], {})
    if sample.clusters != wanted:
        raise BenchError(f"{MODULE} returned {sample.clusters} of {wanted} virtual clusters")
    counted = {name: len(proxy.requests) for name, proxy in proxies.items()}
    pages = max(sum("continue=" in path for _method, path in proxy.requests) for proxy in proxies.values())
    print(f"    requests for {sample.clusters}: {counted}, {pages} of them further pages", flush=True)
    return max(counted.values()), pages


def whole_tasks(hosts: dict[str, Host], options: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Seconds of (vcluster_group_info, a no-op task and a raw LIST of each host cluster), measured in turn."""
    look, noop = task(MODULE, options), task("ansible.builtin.ping", {})
    ours, peer = [], []
    run([noop, look], {})  # warms caches up
    for _round in range(ROUNDS):
        _first, nothing, looked = run([noop, noop, look], {})
        ours.append(looked.seconds)
        peer.append(nothing.seconds + sum(raw_list(host) for host in hosts.values()))
    return ours, peer


def peak_memory(options: dict[str, Any]) -> float:
    """MiB that the module's process takes at most."""
    module = Path(__file__).resolve().parents[2] / "plugins/modules/vcluster_group_info.py"
    with tempfile.TemporaryDirectory() as directory:
        arguments = Path(directory, "arguments.json")
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": options}), encoding="utf-8")
        process = subprocess.Popen([sys.executable, str(module), str(arguments)], stdout=subprocess.DEVNULL)
        _pid, status, usage = os.wait4(process.pid, 0)
    if status:
        raise BenchError(f"{MODULE} ended with status {status}")
    return usage.ru_maxrss / 1024


def create(hosts: dict[str, Host], kwoks: list[fleet.Kwok], objects: list[str], numbers: range) -> None:
    """Create these virtual clusters on each host cluster, and wait until they run."""
    with ThreadPoolExecutor(len(hosts)) as pool:
        started = [
            pool.submit(fleet.create, host.api, kwok, objects, numbers)
            for host, kwok in zip(hosts.values(), kwoks, strict=True)
        ]
        for one in started:
            one.result()
    for host in hosts.values():
        wait_for_quotas(host.api)


def measure(first: Host) -> list[Result]:
    """vcluster_group_info of a group of two host clusters, with 1 and with 500 virtual clusters on each."""
    first.api.clean()
    with second_host() as second, ExitStack() as stack:
        hosts = {"host-a": first, "host-b": second}
        options = {"name": GROUP, **entries({name: host.kubeconfig for name, host in hosts.items()})}
        objects = objects_of(first)
        run([task("nested.clusters.vcluster_group", {**options, "oversubscription": 1000000})], {})
        stack.callback(run, [task("nested.clusters.vcluster_group", {**options, "state": "absent"})], {})
        for host in hosts.values():
            stack.callback(host.api.clean)
        kwoks = [stack.enter_context(fleet.fake_nodes(host)) for host in hosts.values()]
        with stage("group: a fake virtual cluster on each of two host clusters", "20 s"):
            create(hosts, kwoks, objects, range(1))
        one, _pages = count_requests(hosts, 2)
        with stage(f"group: {FLEET} fake virtual clusters on each", "150 s"):
            create(hosts, kwoks, objects, range(1, FLEET))
        many, pages = count_requests(hosts, 2 * FLEET)
        with stage(f"group: {ROUNDS} rounds of vcluster_group_info with {2 * FLEET}", "30 s"):
            ours, peer = whole_tasks(hosts, options)
        memory = [peak_memory(options) for _round in range(ROUNDS)]
    return [
        Result(
            "vcluster_group_info requests a host, 500 against 1, beyond paging", [many - pages], [one], 1.0, "requests"
        ),
        Result("vcluster_group_info of 2 x 500 against a no-op task and a raw LIST of each", ours, peer, 2.0),
        Result(f"vcluster_group_info of 2 x 500, its memory against {MEMORY:g} MiB", memory, [MEMORY], 1.0, "MiB"),
    ]
