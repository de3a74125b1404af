# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual clusters that tests share: each is made once, and checked before each test that gets it.

A test takes one by a fixture of tests/real/conftest.py, is of the ``xdist_group`` of the same name, so that one worker
makes it and runs all its tests, and leaves it as the fixture promises it. What one test has broken is an error in the
setup of the next one that names both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from host_api import Host
from modules import Module
from pausing import MARKS
from places import Place, place, settled

Cli = Callable[..., str]
SECONDS_BETWEEN = 1
SECONDS_TO_SETTLE = 60  # what the test before has resumed may not have all its pods yet
PROTECTED = "loft.sh/non-deletable"
SYNCED = "labelSelector=vcluster.loft.sh/managed-by"
USE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: note}
data: {text: written before the pause}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: notes}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: writer}
spec:
  selector: {matchLabels: {app: writer}}
  template:
    metadata: {labels: {app: writer}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{name: notes, persistentVolumeClaim: {claimName: notes}}]
      containers:
        - name: writer
          image: docker.io/library/busybox:stable
          imagePullPolicy: IfNotPresent
          command: [sh, -c, "test -e /notes/first || cat /proc/sys/kernel/random/uuid > /notes/first; exec sleep 3600"]
          volumeMounts: [{name: notes, mountPath: /notes}]
"""


@dataclass
class Shared:
    """A virtual cluster of the pool.

    check, run: what check mode and the run said of its creation. user: the test that had it last.
    """

    where: Place
    check: dict[str, Any] = field(repr=False)
    run: dict[str, Any] = field(repr=False)
    user: str = "nobody"

    def hand_out(self, look: Callable[[], list[str]], test: str) -> Place:
        """Return it to a test, which fails in its setup where ``look`` goes on finding problems."""
        deadline = time.monotonic() + SECONDS_TO_SETTLE
        while (problems := look()) and time.monotonic() < deadline:
            time.sleep(SECONDS_BETWEEN)
        if problems:
            found = "; ".join(problems)
            pytest.fail(f"{self.where.name} of the pool, which {self.user} had before: {found}", pytrace=False)
        self.user = test
        return self.where


def made(host: Host, vcluster: Module, where: Place) -> Shared:
    """Make a virtual cluster with the module, as check mode foresees it, and wait until all of it is there."""
    check, run = (vcluster(check=check, name=where.name) for check in (True, False))
    settled(host, where)
    return Shared(where, check, run)


@contextmanager
def plain_one(host: Host, vcluster: Module) -> Iterator[Shared]:
    """Yield a virtual cluster without options, whose release stays as it was made."""
    with place(host, "plain") as where:
        yield made(host, vcluster, where)


@contextmanager
def used_one(host: Host, vcluster: Module, cli: Cli, directory: Path) -> Iterator[Shared]:
    """Yield a virtual cluster with a user's objects, pod and volume."""
    file = directory / "use.yaml"
    file.write_text(USE)
    with place(host, "used") as where:
        shared = made(host, vcluster, where)
        inside(cli, where, "apply", "-f", str(file))
        yield shared


def inside(cli: Cli, where: Place, *arguments: str) -> str:
    """Run kubectl in a virtual cluster."""
    return cli("connect", where.name, "-n", where.namespace, "--background-proxy=false", "--", "kubectl", *arguments)


def problems_of_running(host: Host, vcluster: Module, where: Place) -> list[str]:
    """Return what keeps a virtual cluster from being one that runs, with one replica, unprotected and unchanged."""
    workload = host.get(where.workload)
    if not workload:
        return ["it has no control plane"]
    annotations, status = workload["metadata"].get("annotations") or {}, workload["status"]
    marks = [mark for mark in (*MARKS, PROTECTED) if mark in annotations]
    found = [f"its control plane has {mark}" for mark in marks]
    if (workload["spec"]["replicas"], status.get("readyReplicas")) != (1, 1):
        found.append(f"{status.get('readyReplicas', 0)} of {workload['spec']['replicas']} replicas are ready")
    if status.get("observedGeneration") != workload["metadata"]["generation"]:
        found.append("its control plane is being changed")
    result = vcluster.raw(check=True, name=where.name)
    if result.get("failed") or result["steps"]:
        found.append(f"a task without options does not leave it as it is: {result.get('msg') or result['steps']}")
    elif result["virtual_cluster"]["phase"] != "running":
        found.append(f"its phase is {result['virtual_cluster']['phase']}")
    return found


def problems_of_release(host: Host, where: Place) -> list[str]:
    """Return what keeps a release from being as it was made."""
    names = [one["metadata"]["name"] for one in host.items(where.path("secrets") + "?labelSelector=owner=helm")]
    first = [f"sh.helm.release.v1.{where.name}.v1"]
    return [] if names == first else [f"its release was changed: {', '.join(sorted(names))}"]


def problems_of_use(host: Host, where: Place) -> list[str]:
    """Return what is missing of a user's objects on the host cluster."""
    pods = host.items(where.path("pods") + f"?{SYNCED}={where.name}")
    return [] if any(pod["metadata"]["name"].startswith("writer-") for pod in pods) else ["its user's pod is gone"]
