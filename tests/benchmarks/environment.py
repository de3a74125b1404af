# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment of a hundred virtual clusters on two host clusters, run again without a change."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fleet
from api import PREFIX
from counting_proxy import CountingProxy
from group_create import VALUES
from host import Host, second_host
from playbook import run, task
from report import BenchError, Result, stage

GROUP = "nested-bench"
FLEET = 100
ROUNDS = 3
SIZE = {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}
CAPACITY = {"cpu": "1000", "memory": "1000Gi", "storage": "1000Gi"}  # more than the real node has


def names() -> list[str]:
    return [f"env-{number:03}" for number in range(FLEET)]


def described(kubeconfigs: dict[str, str], chart: str) -> dict[str, Any]:
    """The environment's variables: half of the virtual clusters on each host cluster."""
    places = itertools.cycle(kubeconfigs)
    return {
        "group": GROUP,
        "group_settings": {"values": VALUES},
        "host_clusters": [{"name": name, "kubeconfig": file} for name, file in kubeconfigs.items()],
        "host_settings": [{"name": name, "capacity": CAPACITY} for name in kubeconfigs],
        "virtual_clusters": [
            {"name": name, "namespace": PREFIX + name, "size": SIZE, "host_cluster": next(places)} for name in names()
        ],
        "chart_ref": chart,
    }


def play(host: Host, told: dict[str, Any]) -> tuple[float, str]:
    """(seconds of the playbook as a whole, what it said)."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "environment.json")
        file.write_text(json.dumps(told), encoding="utf-8")
        command = ["ansible-playbook", "nested.clusters.environment", "-e", f"environment_file={file}"]
        start = time.monotonic()
        done = subprocess.run(
            command,
            env={**os.environ, **host.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - start
    if done.returncode:
        raise BenchError(f"ansible-playbook failed:\n{done.stdout[-3000:]}")
    return seconds, done.stdout


def unchanged(host: Host, told: dict[str, Any]) -> float:
    """Seconds of a run that changes nothing."""
    seconds, said = play(host, told)
    if any(f"changed={number}" in said for number in range(1, 10)):
        raise BenchError(f"the environment changes where nothing is to change:\n{said[-2000:]}")
    return seconds


def count_requests(hosts: dict[str, Host], told: dict[str, Any]) -> int:
    """How many requests an unchanged run sends to both host clusters."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        proxies = {name: stack.enter_context(CountingProxy(host.api)) for name, host in hosts.items()}
        files = {name: str(proxy.kubeconfig(Path(directory, name))) for name, proxy in proxies.items()}
        entries = [{"name": name, "kubeconfig": file} for name, file in files.items()]
        unchanged(next(iter(hosts.values())), {**told, "host_clusters": entries})
    return sum(len(proxy.requests) for proxy in proxies.values())


def requests_of_others(hosts: dict[str, Host], tasks: list[dict[str, Any]]) -> int:
    """How many requests their loops send: those for the first virtual cluster, times all."""
    host = next(iter(hosts.values()))
    with tempfile.TemporaryDirectory() as directory, CountingProxy(host.api) as proxy:
        file = str(proxy.kubeconfig(Path(directory, "kubeconfig")))
        run(
            [
                {**one, one["name"]: {**one[one["name"]], "kubeconfig": file}, "loop": one["loop"][:1]}
                for one in tasks[:2]  # those of the first host cluster
            ],
            host.env,
        )
        return len(proxy.requests) * FLEET


def tasks_of_others(hosts: dict[str, Host]) -> list[dict[str, Any]]:
    """The same looked at by kubernetes.core: for each virtual cluster the release, and the quota beside it."""
    found = []
    for host in hosts.values():
        quotas = host.api.get("/api/v1/resourcequotas")["items"]
        own = {item["metadata"]["namespace"].removeprefix(PREFIX): item for item in quotas}
        own = {name: item for name, item in own.items() if name in names()}
        some, quota = next(iter(own.items()))
        values = json.loads(host.run("helm", "get", "values", some, "-n", PREFIX + some, "--output", "json"))
        namespace = f"{PREFIX}{{{{ item }}}}"
        metadata = {"name": quota["metadata"]["name"].replace(some, "{{ item }}"), "namespace": namespace}
        definition = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": quota["spec"]}
        release = {
            "release_name": "{{ item }}",
            "release_namespace": namespace,
            "chart_ref": host.chart,
            "values": values,
            "binary_path": str(host.binaries / "helm3"),  # kubernetes.core 6.2 does not know Helm 4
        }
        for module, options in (
            ("kubernetes.core.helm", release),
            ("kubernetes.core.k8s", {"definition": definition}),
        ):
            found.append({**task(module, {"kubeconfig": host.kubeconfig, **options}), "loop": sorted(own)})
    return found


def by_others(tasks: list[dict[str, Any]], host: Host) -> float:
    """Seconds of a play of theirs."""
    start = time.monotonic()
    samples = run(tasks, host.env)
    seconds = time.monotonic() - start
    if any(sample.changed for sample in samples):
        raise BenchError("kubernetes.core changes where nothing is to change")
    return seconds


def measure(first: Host) -> list[Result]:
    """A hundred virtual clusters: the environment that finds them as they shall be, and loops that look at them."""
    first.api.clean()
    with second_host() as second, ExitStack() as stack:
        hosts = {"host-a": first, "host-b": second}
        told = described({name: host.kubeconfig for name, host in hosts.items()}, first.chart)
        group = {"name": GROUP, "host_clusters": told["host_clusters"], "state": "absent"}
        stack.callback(run, [task("nested.clusters.vcluster_group", group)], first.env)
        for host in hosts.values():
            host.api.clean()
            stack.callback(host.api.clean)
            stack.enter_context(fleet.fake_nodes(host))
        with stage(f"environment: {FLEET} virtual clusters created and ready", "100 s"):
            play(first, told)
        with stage(f"environment: {ROUNDS} runs without a change", "20 s"):
            ours = [unchanged(first, told) for _round in range(ROUNDS)]
        requests = count_requests(hosts, told)
        tasks = tasks_of_others(hosts)
        with stage(f"environment: {FLEET} kubernetes.core.helm and {FLEET} kubernetes.core.k8s", "120 s"):
            others = by_others(tasks, first)
        requests_there = requests_of_others(hosts, tasks)
        with stage("environment: removing them", "30 s"):
            for host in hosts.values():
                host.api.clean()
    return [
        Result(f"environment of {FLEET}, unchanged, against loops of kubernetes.core", ours, [others], 0.1),
        Result("its requests, against theirs", [requests], [requests_there], 0.1, "requests"),
    ]
