# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lock the host clusters of a group, so that two tasks do not allocate the same resources.

What is allocated on a host cluster is written on the namespaces of its virtual clusters. Whoever adds to it holds
the Lease ``allocation`` of every host cluster that counts, from reading to writing. The Lease exists only while
it is held. One that a killed process left is taken away after LEASE_SECONDS; no clock but the own one is trusted.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import NamedTuple

from ..common import progress
from ..common.errors import NestedClustersError
from ..common.well_known import MANAGED_BY, NAMESPACE
from ..k8s.client import Kubernetes
from ..k8s.errors import KubernetesError
from ..k8s.objects import path

LEASE = "allocation"
LEASE_SECONDS = 10  # a Lease that does not change for so long belongs to a process that is gone
RENEW_SECONDS = 1
SAFE_SECONDS = 5  # after which its holder does not write any more: another one may soon take it away
PATIENCE_SECONDS = 300
LEASES = path("coordination.k8s.io/v1", "leases", NAMESPACE)


class LockLost(NestedClustersError):
    """The locks were held for so long that another task may have them: start over."""


class LockTarget(NamedTuple):
    """A host cluster to lock; by ``id``, everybody locks in the same order."""

    id: str
    kubernetes: Kubernetes


@dataclass(frozen=True)
class Lock:
    """Locks whose holder was last seen alive by others at ``alive`` (of the monotonic clock), or later."""

    alive: float

    def check(self) -> None:
        """Raise LockLost where it is not certain that the locks are still held."""
        if time.monotonic() - self.alive > SAFE_SECONDS:
            raise LockLost(f"the locks were held for more than {SAFE_SECONDS} s; run the task again")


@dataclass
class _Held:
    kubernetes: Kubernetes
    uid: str
    alive: float  # when the request was sent by which others saw last that the holder lives

    def renew(self) -> None:
        """Show that its holder lives. Raises LockLost where somebody took the Lease away."""
        now = time.monotonic()
        try:
            self.kubernetes.patch(f"{LEASES}/{LEASE}", {"metadata": {"uid": self.uid}, "spec": {"renewTime": _now()}})
        except KubernetesError as error:
            if error.status in (404, 409, 422):  # 422: there is one, with another UID
                raise LockLost(f"another task took the Lease of {self.kubernetes.host}; run the task again") from error
            raise
        self.alive = now

    def release(self) -> None:
        # Whatever is wrong with the host cluster now, the next one who wants the Lease takes it away.
        with contextlib.suppress(KubernetesError):
            self.kubernetes.delete(f"{LEASES}/{LEASE}", {"uid": self.uid})


@contextlib.contextmanager
def locked(hosts: Iterable[LockTarget]) -> Iterator[Lock]:
    """Hold the locks of host clusters.

    Raises NestedClustersError when one is not to be had within PATIENCE_SECONDS, LockLost when one was lost while
    waiting for another.
    """
    holder = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    held: list[_Held] = []
    with contextlib.ExitStack() as stack:
        for host in sorted(hosts, key=lambda host: host.id):  # the same order: nobody waits in a circle
            lock = _acquire(host.kubernetes, holder, deadline, held)
            stack.callback(lock.release)
            held.append(lock)
            _renew(held)
        yield Lock(min((lock.alive for lock in held), default=time.monotonic()))


def _renew(held: list[_Held]) -> None:
    for lock in held:
        if time.monotonic() - lock.alive > RENEW_SECONDS:
            lock.renew()


def _acquire(kubernetes: Kubernetes, holder: str, deadline: float, held: list[_Held]) -> _Held:
    observed: dict[str, str] = {}
    since = began = time.monotonic()
    while True:
        now = time.monotonic()
        try:
            lease = kubernetes.create(LEASES, _lease(holder))
            return _Held(kubernetes, lease["metadata"]["uid"], now)
        except KubernetesError as error:
            if error.reason != "AlreadyExists":
                raise
        existing = kubernetes.get(f"{LEASES}/{LEASE}")
        state = {key: existing["metadata"][key] for key in ("uid", "resourceVersion")} if existing else {}
        if state != observed:
            observed, since = state, time.monotonic()
        elif state and time.monotonic() - since > LEASE_SECONDS:
            kubernetes.delete(f"{LEASES}/{LEASE}", state)  # only as it was seen: another waiter may have been faster
            continue
        who = ((existing or {}).get("spec") or {}).get("holderIdentity", "an unknown task")
        if time.monotonic() > deadline:
            raise NestedClustersError(
                f"host cluster {kubernetes.host}: other tasks were allocating virtual clusters for {PATIENCE_SECONDS} "
                f"s (Lease {NAMESPACE}/{LEASE}, now held by {who}); run the task again"
            )
        _renew(held)
        text = f"another task is allocating virtual clusters (Lease {NAMESPACE}/{LEASE}, now held by {who})"
        progress.report(f"host cluster {kubernetes.host}", text)
        time.sleep(random.uniform(0.02, _longest_pause(time.monotonic() - began)))


def _longest_pause(waited: float) -> float:
    """Return the longest pause before the next try, in seconds, after a wait of so many seconds.

    A long wait means that many tasks wait, and the requests of all of them load the API server.
    """
    return min(max(0.2, waited / 10), 1.0)


def _lease(holder: str) -> dict[str, object]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE, "labels": dict(MANAGED_BY)},
        "spec": {
            "holderIdentity": holder,
            "acquireTime": _now(),
            "renewTime": _now(),
            "leaseDurationSeconds": LEASE_SECONDS,
        },
    }


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
