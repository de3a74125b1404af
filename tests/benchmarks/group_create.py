# SPDX-License-Identifier: GPL-3.0-or-later
"""A hundred virtual clusters created in a group by one task, against a loop of helm; and where the time goes.

Each takes two runs of helm, one to see what would become of it and one to do it, so the floor is twice helm's.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import fleet
from api import PREFIX
from host import Host
from playbook import run, task
from report import BenchError, Result, stage

GROUP = "nested-bench"
FLEET = 100
AT_ONCE = 8
VALUES = {
    "controlPlane": {
        "statefulSet": {
            "image": {"repository": "loft-sh/vcluster-oss"},
            "scheduling": {
                "nodeSelector": {fleet.MARK: "fake"},
                "tolerations": [{"key": fleet.MARK, "operator": "Exists"}],
            },
            # No provisioner has a volume for a node that does not exist.
            "persistence": {"volumeClaim": {"enabled": False}},
        }
    }
}
DEPLOYMENTS = "/apis/apps/v1/deployments?labelSelector=app%3Dvcluster"  # the chart's choice without a volume claim
# Stands before helm and writes down what was run, when, and how long it took.
WRAPPER = """#!/bin/bash
start=$EPOCHREALTIME
"{helm}" "$@"
status=$?
word=$1; [[ " $* " == *" --dry-run"* ]] && word="$1 --dry-run"
echo "$word|$start|$EPOCHREALTIME" >> "{log}"
exit $status
"""


def name_of(maker: str, number: int) -> str:
    return f"{maker}-{number:03}"


def one_task(host: Host, log: Path) -> float:
    """Seconds of the play with the task that creates them."""
    helm = log.with_name("helm")
    helm.write_text(WRAPPER.format(helm=host.binaries / "helm", log=log), encoding="utf-8")
    helm.chmod(0o700)
    names = [name_of("task", number) for number in range(FLEET)]
    size = {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}
    options: dict[str, Any] = {
        "kubeconfig": host.kubeconfig,
        "group": GROUP,
        "virtual_clusters": [
            {"name": name, "namespace": PREFIX + name, "size": size, "values": VALUES} for name in names
        ],
        "chart_ref": host.chart,
        "wait": False,
        "binary_path": str(helm),
        "at_once": AT_ONCE,
    }
    start = time.monotonic()
    run([task("nested.clusters.vcluster_fleet", options)], host.env)
    seconds = time.monotonic() - start
    made = {item["metadata"]["name"] for item in host.api.get(DEPLOYMENTS)["items"]}
    if missing := set(names) - made:
        raise BenchError(f"{len(missing)} of {FLEET} virtual clusters were not created")
    return seconds


def install(host: Host, values: Path, name: str) -> None:
    """One by helm as its manual says."""
    options = ["--namespace", PREFIX + name, "--create-namespace", "--values", str(values)]
    host.run("helm", "upgrade", "--install", name, host.chart, *options)


def by_helm(host: Host, values: Path, maker: str, at_once: int) -> float:
    """Seconds of so many installations, some of them at once."""
    start = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        for _each in pool.map(lambda number: install(host, values, name_of(maker, number)), range(FLEET)):
            pass
    return time.monotonic() - start


def show_where_the_time_goes(log: Path, seconds: float, floor: float) -> None:
    """What helm took in our task, by what was asked of it."""
    spent: dict[str, list[float]] = defaultdict(list)
    for line in log.read_text(encoding="utf-8").splitlines():
        what, start, end = line.split("|")
        spent[what].append(float(end) - float(start))
    for what, each in sorted(spent.items()):
        print(f"    helm {what}: {len(each)} times, {sum(each) / len(each):.2f} s each", flush=True)
    workers = AT_ONCE * seconds
    share = sum(map(sum, spent.values())) / workers
    alone = f"{AT_ONCE} helms at once alone: {floor:.0f} s"
    print(f"    in helm: {share:.0%} of {AT_ONCE} workers' {seconds:.0f} s; {alone}")


def measure(host: Host) -> list[Result]:
    """One task, a loop of helm, and as many helms at once as the task has."""
    host.api.clean()
    group = {"name": GROUP, "host_clusters": [{"name": "host-a", "kubeconfig": host.kubeconfig}]}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        values, log = directory / "values.json", directory / "log"
        values.write_text(json.dumps(VALUES), encoding="utf-8")
        stack.enter_context(fleet.fake_nodes(host))
        run([task("nested.clusters.vcluster_group", {**group, "oversubscription": 1000000})], host.env)
        stack.callback(run, [task("nested.clusters.vcluster_group", {**group, "state": "absent"})], host.env)
        stack.callback(host.api.clean)
        with stage(f"create: {FLEET} in a group, in one task", "90 s"):
            ours = one_task(host, log)
        with stage(f"create: a loop of {FLEET} times helm", "90 s"):
            loop = by_helm(host, values, "loop", 1)
        with stage(f"create: {FLEET} times helm, {AT_ONCE} at once", "70 s"):
            floor = by_helm(host, values, "many", AT_ONCE)
        show_where_the_time_goes(log, ours, floor)
        with stage("create: removing them", "60 s"):
            host.api.clean()
    return [
        Result(f"create {FLEET} in a group in one task against a loop of helm", [ours], [loop], 1.5),
        Result(f"create {FLEET} in a group in one task against {AT_ONCE} helms at once", [ours], [floor], 2.5),
    ]
