# SPDX-License-Identifier: GPL-3.0-or-later
"""Random tasks of several processes in one group of two host clusters, for as long as is asked for.

What must be true is watched all the time: no host cluster is ever oversold, the group's records can be read, and no
secret is in any output. In the end nothing is left. `make test` soaks for half a minute, `make soak` for half an hour.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from fault_tools import SEED, chance
from group_watch import watching_group
from host_api import Host, connections, remove_namespaces, spaces_of
from modules import Module

SECONDS = int(os.environ.get("NESTED_CLUSTERS_SOAK_SECONDS") or 30)
GROUP = "it-soak"
WORKERS = 4
NAMES = [f"it-soak-{number}" for number in range(8)]
ROOM = {"host-a": 6, "host-b": 4}
ONE = {"cpu": "1", "memory": "1Gi", "storage": "1Gi"}
STATEFUL_SET = {
    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "128Mi"}},
    "persistence": {"volumeClaim": {"enabled": False}},
}
SECRET = f"not-to-be-shown-{SEED}"
RECORDS = "labelSelector=nested-clusters%2Frecord"
# A refusal that says that there is no place, or that somebody else is at work, is an answer.
ANSWERS = (
    "no host cluster has room",
    "has no room",
    "run the task again",
    "run again when that is done",
    "does not exist on the host clusters of the task",
    "it is being deleted",
    "because it is being terminated",  # helm's: deleted by another task while it was made
)


@dataclass
class Soak:
    """Four workers that take random tasks, each a process; ``wrong`` is whatever must not have been."""

    members: dict[str, Host]
    vcluster: Module
    given: list[dict[str, Any]]
    end: float
    done: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def task(self, luck: random.Random) -> tuple[str, Module, dict[str, Any]]:
        """What to do next."""
        name = luck.choice(NAMES)
        word = luck.choices(["create", "resize", "pause", "resume", "delete", "delete many"], [6, 3, 3, 3, 3, 1])[0]
        state = Module(self.vcluster.host, self.vcluster.directory, "vcluster_state", {"host_clusters": self.given})
        make = self.vcluster.against(group=GROUP, host_clusters=self.given, wait=False)
        if word in ("create", "resize"):
            secret = {"name": "DB_PASSWORD", "value": SECRET}
            values = {"controlPlane": {"statefulSet": {**STATEFUL_SET, "env": [secret]}}}
            size = {**ONE, "cpu": str(luck.randint(1, 3))} if word == "resize" else {}
            return word, make, {"name": name, "values": values, "owner": luck.choice("abc"), "size": size}
        if word in ("pause", "resume"):
            wanted = "paused" if word == "pause" else "running"
            return word, state, {"name": name, "state": wanted, "accept_data_loss": True, "wait": False}
        if word == "delete":
            return word, make, {"name": name, "state": "absent", "wait": luck.random() < 0.7}
        return word, state, {"names": luck.sample(NAMES, 3), "state": "absent", "wait_timeout": 120}

    def work(self, number: int) -> None:
        """One worker's tasks, one after the other."""
        luck = chance("soak", number)
        while time.monotonic() < self.end and not self.wrong:
            word, module, options = self.task(luck)
            process = module.start(options)
            out, err = process.communicate(timeout=400)
            self.judge(word, options, out, err)

    def judge(self, word: str, options: dict[str, Any], out: str, err: str) -> None:
        """Whether a result is one that may be."""
        what = f"{word} {options.get('name') or options.get('names')}"
        try:
            result = json.loads(out)
        except ValueError:
            self.wrong.append(f"{what}: no JSON: {out[-500:]} {err[-1500:]}")
            return
        result.pop("invocation", None)
        if SECRET in json.dumps(result) or err.strip():
            self.wrong.append(f"{what}: shows a secret, or writes to standard error: {err[-500:]}")
        message = str(result.get("msg", ""))
        refused = bool(result.get("failed"))
        self.done[f"{word} refused" if refused else word] += 1
        if refused:
            self.told[next((text for text in ANSWERS if text in message), message)] += 1
        if refused and not any(text in message for text in ANSWERS):
            self.wrong.append(f"{what}: {message} {str(result.get('exception', ''))[-1500:]}")

    def read_records(self) -> None:
        """The group's records can be read at every moment."""
        while time.monotonic() < self.end and not self.wrong:
            for name, member in self.members.items():
                for record in member.items(f"/api/v1/namespaces/nested-clusters/configmaps?{RECORDS}"):
                    if yaml.safe_load(record["data"]["group.yaml"]).get("name") is None:
                        self.wrong.append(f"{name}: a record without a name")
            time.sleep(0.5)


@pytest.mark.long
def test_soak(members: dict[str, Host], vcluster: Module, vcluster_group: Module) -> None:
    """Never oversold, nothing shown, and nothing left."""
    given = connections(members)
    rooms = [{**entry, "capacity": {"cpu": str(ROOM[entry["name"]]), "memory": "100Gi"}} for entry in given]
    values = {"controlPlane": {"coredns": {"enabled": False}}}
    vcluster_group(
        name=GROUP, host_clusters=rooms, oversubscription=100, size={"minimum": ONE, "default": ONE}, values=values
    )
    state = Module(vcluster.host, vcluster.directory, "vcluster_state", {"host_clusters": given})
    orphans = Module(vcluster.host, vcluster.directory, "vcluster_orphans", {"host_clusters": given, "older_than": 0})
    soak = Soak(members, vcluster, given, time.monotonic() + SECONDS)
    try:
        with watching_group(members, GROUP) as watchers:
            with ThreadPoolExecutor(WORKERS + 1) as pool:
                tasks = [pool.submit(soak.read_records), *(pool.submit(soak.work, n) for n in range(WORKERS))]
            for task in tasks:
                task.result()
        print(f"seed {SEED}, {SECONDS} s: " + ", ".join(f"{n} {word}" for word, n in sorted(soak.done.items())))
        most = {name: watcher.most for name, watcher in watchers.items()}
        print(*(f"refused {number} times: {text}" for text, number in soak.told.items()), sep="\n")
        print(f"most cpu allocated: {most} of {ROOM}")
        assert soak.wrong == []
        assert all(most[name] <= ROOM[name] for name in most)
        state(group=GROUP, all=True, state="absent")
        assert orphans(names=NAMES)["orphans"] == []
        for member in members.values():
            assert spaces_of(member, GROUP) == []
            assert member.items("/apis/coordination.k8s.io/v1/namespaces/nested-clusters/leases") == []
            roles = member.items("/apis/rbac.authorization.k8s.io/v1/clusterroles")
            assert not [role for role in roles if "it-soak" in role["metadata"]["name"]]
    finally:
        for member in members.values():
            remove_namespaces(member, *spaces_of(member, GROUP))
        vcluster_group(name=GROUP, host_clusters=given, state="absent")
