# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a virtual cluster in which faults are tried: a second run finishes, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chart_versions import AFTER, BEFORE, WAY_BACK
from fault_tools import SEED, chance
from forked import Process
from host_api import Host, root
from modules import Module
from places import IDLE, Place, place
from waiting import eventually

MORE: dict[str, Any] = {**IDLE, "sync": {"toHost": {"ingresses": {"enabled": True}}}}
QUICK: dict[str, Any] = {"controlPlane": {"coredns": {"enabled": False}}}
NODES: dict[str, Any] = {**IDLE, "sync": {"fromHost": {"nodes": {"enabled": True}}}}
MARK = "loft.sh/paused-replicas"
# What a task may say whose API server went away, its own words or helm's.
UNREACHABLE = re.compile(
    r"does not answer|unreachable|refused|reset|EOF|starts|50[034]|closed|timeout|broken pipe", re.I
)
# Seconds that an operation takes, as long as none was measured.
LIKELY = {"create": 3.0, "upgrade": 20.0, "pause": 1.0, "change": 4.0}
DELETIONS = ("delete", "delete in a selection")
Record = Callable[[str, object], None]


@dataclass
class Life:
    """One virtual cluster from creation to deletion, with what has to be true after each operation."""

    host: Host
    vcluster: Module
    where: Place
    record: Record
    seconds: dict[str, float] = field(default_factory=dict)  # that an operation took last
    claim: str = ""
    version: str = AFTER
    real: bool = False  # else its control plane never starts, which most operations can do without

    def task(self, operation: str) -> tuple[Module, dict[str, Any]]:
        """The module and the options of an operation. A change is made while it is paused, and runs helm."""
        name = self.where.name
        if operation == "pause":
            return self.of("vcluster_state"), {"name": name, "state": "paused"}
        if operation == "delete":
            return self.vcluster, {"name": name, "state": "absent"}
        if operation == "delete in a selection":
            return self.of("vcluster_state"), {"names": [name], "state": "absent"}
        if operation == "upgrade":
            self.version = AFTER
            return self.vcluster, {"name": name, "vcluster_version": AFTER, "rollback": True}
        values = QUICK if self.real else MORE if operation == "change" else NODES
        return self.vcluster, {"name": name, "vcluster_version": self.version, "values": values, "wait": self.real}

    def of(self, module: str) -> Module:
        """Another module on the same host cluster."""
        return Module(self.host, self.vcluster.directory, module)

    def start(self, operation: str, **options: Any) -> Process:
        """Begin an operation."""
        module, own = self.task(operation)
        return module.start({**own, **options})

    def again(self, operation: str) -> None:
        """Run it again as it was: it succeeds, and all is as it shall be."""
        module, own = self.task(operation)
        began = time.monotonic()
        module(**own)
        self.seconds[operation] = time.monotonic() - began
        self.check(operation)

    def check(self, operation: str) -> None:
        """What is there after an operation, by the API server itself, and by helm."""
        if operation.startswith("delete"):
            assert self.host.get(f"/api/v1/namespaces/{self.where.namespace}") is None
            roles = self.host.items(f"{root('rbac.authorization.k8s.io/v1')}/clusterroles")
            assert not [role for role in roles if self.where.name in role["metadata"]["name"]]
            return
        workload = self.host.get(self.where.workload)
        assert workload, "the control plane is lost"
        module, own = self.task(operation)
        assert module(**own)["changed"] is False
        listed = self.host.call("helm", "list", "-n", self.where.namespace, "--deployed", "-q").stdout.split()
        assert listed == [self.where.name]
        paused = operation in ("pause", "change")
        assert workload["spec"]["replicas"] == (0 if paused else 1)
        assert workload["metadata"]["annotations"].get(MARK) == ("1" if paused else None)
        assert WAY_BACK not in workload["metadata"]["annotations"]
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        assert container["image"].endswith(f":{self.version}")
        self.check_claim()

    def check_claim(self) -> None:
        """The volume claim is the one that was made first: with another one, the data would be lost."""
        path = self.where.path("persistentvolumeclaims", f"data-{self.where.name}-0")
        uid = eventually("claim", lambda: self.host.get(path))["metadata"]["uid"]
        self.claim = self.claim or uid
        if uid != self.claim:
            self.record("lost", f"volume claim of {self.where.name}")
        assert uid == self.claim

    def suffer(self, what: str, operation: str, fault: Callable[[], None]) -> None:
        """Try a fault in an operation; it is survived if a second run finishes with everything in its place."""
        self.record("fault", what)
        try:
            fault()
            self.again(operation)
        except BaseException as error:
            error.add_note(f"{what}, seed {SEED} (NESTED_CLUSTERS_SEED)")
            raise
        self.record("survived", what)


def told(result: dict[str, Any]) -> None:
    """A task that failed says why in words for people."""
    assert "Traceback" not in json.dumps(result), result
    assert not result.get("failed") or UNREACHABLE.search(result["msg"]), result["msg"]


@contextmanager
def life(host: Host, vcluster: Module, record: Record, word: str) -> Iterator[Life]:
    with place(host, word) as where:
        yield Life(host, vcluster, where, record)


@contextmanager
def upgradable(host: Host, vcluster: Module, record: Record, word: str) -> Iterator[Life]:
    """One that runs, with the earlier version."""
    charts = {"chart_ref": host.chart.replace(AFTER, "{version}")} if host.chart else {}
    with place(host, word) as where:
        lived = Life(host, vcluster.against(**charts), where, record, version=BEFORE, real=True)
        lived.again("create")
        yield lived


@contextmanager
def survived(record: Record, what: str) -> Iterator[None]:
    """Count one fault."""
    record("fault", what)
    yield
    record("survived", what)


def moment(lived: Life, operation: str, *words: object) -> float:
    """Some time within an operation."""
    return chance(operation, *words).uniform(0.1, 1.0) * lived.seconds.get(operation, LIKELY.get(operation, 5.0))


def kill_after(lived: Life, operation: str, seconds: float) -> None:
    """kill -9 of an operation and all that it started."""
    process = lived.start(operation)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
