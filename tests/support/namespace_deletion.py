# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete what is in a namespace that is being deleted, as Kubernetes' own controller does after five seconds.

That controller waits so long before it acts, and as long again where a finalizer holds an object for a moment, because
other API servers may not know of the deletion yet. There are none in the API tier.

Etcd tells which kinds there is something to delete of. To ask the API server, of each of its thirty kinds, took a
third of all requests of the tests.
"""

from __future__ import annotations

import contextlib
import threading
from http.client import HTTPException
from pathlib import Path
from types import TracebackType

from etcd_keys import plurals_in
from following import FAILURES, start_following
from host_api import Host, Object, root

NAMESPACES = "/api/v1/namespaces"
TERMINATING = f"{NAMESPACES}?fieldSelector=status.phase%3DTerminating"
POLL_SECONDS = 0.1  # as long as a namespace is left whose objects have to end first
# Deleted first, because a controller would make the rest of them anew.
OWNERS = ("deployments", "replicasets", "services", "statefulsets")


class NamespaceDeletion:
    """The controller, as threads, for as long as the context lasts. ``etcd`` is the socket of etcd."""

    def __init__(self, host: Host, etcd: Path) -> None:
        self.host = host
        self.etcd = etcd
        self.ended = threading.Event()
        self.woken = threading.Event()
        self.leaving: set[str] = set()
        self.collections: list[tuple[str, str]] = []

    def __enter__(self) -> NamespaceDeletion:
        start_following(self.host, TERMINATING, self.begin, self.ended)
        threading.Thread(target=self.work, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self.woken.set()

    def begin(self, namespace: Object) -> None:
        """Take a namespace on that is being deleted."""
        self.leaving.add(namespace["metadata"]["name"])
        self.woken.set()

    def work(self) -> None:
        """Empty namespaces until the context ends."""
        while self.woken.wait() and not self.ended.is_set():
            self.woken.clear()
            while self.leaving and not self.ended.is_set():
                for name in sorted(self.leaving):
                    self.leaving.discard(name)  # before it is looked at: it may come back while this works
                    done = False
                    with contextlib.suppress(*FAILURES, HTTPException):
                        done = self.empty(name)
                    if not done:
                        self.leaving.add(name)
                self.ended.wait(POLL_SECONDS if self.leaving else 0)

    def empty(self, name: str) -> bool:
        """Delete all that a namespace holds; the namespace too, where it holds nothing. True if no more is to do."""
        for _twice in range(2):  # most of what is deleted is gone at once
            namespace = self.host.get(f"{NAMESPACES}/{name}")
            if namespace is None or "kubernetes" not in namespace["spec"].get("finalizers", []):
                return True  # it is gone, or waits for somebody else's finalizer
            held = plurals_in(self.etcd, name)
            if not held:
                rest = [one for one in namespace["spec"]["finalizers"] if one != "kubernetes"]
                namespace["spec"]["finalizers"] = rest
                self.host.request("PUT", f"{NAMESPACES}/{name}/finalize", namespace)
                return True
            for version, plural in self.kinds(held):
                self.host.delete(f"{root(version)}/namespaces/{name}/{plural}")
        return False

    def kinds(self, plurals: set[str]) -> list[tuple[str, str]]:
        """Return apiVersion and plural of these kinds, in the order in which their objects are deleted.

        The API server is asked again where a test has defined one.
        """
        if not plurals <= {plural for _version, plural in self.collections}:
            kinds = [(version, plural) for version, plural, namespaced in self.host.kinds() if namespaced]
            self.collections = [*kinds, ("v1", "events")]
        found = [one for one in self.collections if one[1] in plurals]
        return sorted(found, key=lambda one: one[1] not in OWNERS)
