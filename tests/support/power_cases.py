# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual clusters of host clusters whose controllers work, as tests of pausing and resuming have them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

from fake_api import Request, Response, refusal
from simulated_host import SimulatedHost
from tasks_on_hosts import Result


def grouped(group: str, owner: str = "", name: str = "") -> Result:
    annotations = {"nested-clusters/owner": owner} if owner else {}
    annotations["nested-clusters/size"] = "broken"  # which is of no interest here
    if name:
        annotations["nested-clusters/virtual-cluster"] = name
    return {"labels": {"nested-clusters/group": group}, "annotations": annotations}


def have_five(host: SimulatedHost) -> SimulatedHost:
    """Five virtual clusters: two in group dev, one in prod, two in none, of which one has the name of another."""
    host.have_cluster("a", labels={"env": "ci"}, of_namespace=grouped("dev", "alice", "a"))
    host.have_cluster("b", of_namespace=grouped("dev", "bob", "b"))
    host.have_cluster("c", labels={"env": "ci"}, of_namespace=grouped("prod", "alice", "c"))
    host.have_cluster("d", namespace="other-d", labels={"env": "test"})
    host.have_cluster("a", namespace="other-a", of_namespace=grouped("prod", "carol", "x"))
    host.requests.clear()
    return host


EVERYTHING = {"vcluster-a", "vcluster-b", "vcluster-c", "other-d", "other-a"}
MARKED = {"loft.sh/paused": "true", "loft.sh/paused-replicas": "2", "loft.sh/paused-date": "x"}


class Killed(BaseException):
    """What SIGKILL is to a process."""


def kill(host: SimulatedHost, number: int, done: bool, work: Callable[[], Any]) -> bool:
    """Do something until its n-th request; whether it came to that."""
    count = itertools.count(1)
    dead = []

    def intercept(request: Request) -> None:
        now = next(count)
        if now > number or (now == number and not done):
            dead.append(request)
            raise Killed

    host.intercept = intercept
    with contextlib.suppress(Killed):
        work()
    host.intercept = lambda request: None
    return bool(dead)


def many(host: SimulatedHost, count: int = 6) -> None:
    for number in range(count):
        host.have_cluster(f"v{number}", labels={"env": "ci"})


def refuse(name: str) -> Callable[[Request], Response | None]:
    """Return an interceptor that refuses to change the workloads whose names begin with this."""
    return lambda request: (
        refusal(403, f"{name} is forbidden")
        if request.method == "PATCH" and request.path.rpartition("/")[2].startswith(name)
        else None
    )


def crash(host: SimulatedHost, name: str) -> None:
    """Have the first pod of a workload crash."""
    last = {"terminated": {"exitCode": 1}}
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    containers = [{"name": "syncer", "restartCount": 3, "state": state, "lastState": last}]
    for at in [at for at in host.paths() if at.endswith(f"/pods/{name}-0")]:
        host.change(at, {"status": {"containerStatuses": containers}})
