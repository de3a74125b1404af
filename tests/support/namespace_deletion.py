# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete what is in a namespace that is being deleted, as Kubernetes' own controller does after five seconds.

That controller waits so long before it acts, and as long again where a finalizer holds an object for a moment, because
other API servers may not know of the deletion yet. There are none in the API tier.
"""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType

import urllib3
from host_api import Host, root

NAMESPACES = "/api/v1/namespaces"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
POLL_SECONDS = 0.1
FAILURES = (OSError, urllib3.exceptions.HTTPError, AssertionError, ValueError)


class NamespaceDeletion:
    """The controller, as a thread, for as long as the context lasts."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.ended = threading.Event()
        self.defined: list[str] | None = None
        self.collections: list[tuple[str, str]] = []

    def __enter__(self) -> NamespaceDeletion:
        threading.Thread(target=self.work, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()

    def work(self) -> None:
        """Look for namespaces to empty until the context ends."""
        terminating = f"{NAMESPACES}?fieldSelector=status.phase%3DTerminating"
        while not self.ended.wait(POLL_SECONDS):
            with contextlib.suppress(*FAILURES):
                for namespace in self.host.items(terminating):
                    with contextlib.suppress(*FAILURES):
                        self.empty(namespace["metadata"]["name"])

    def empty(self, name: str) -> None:
        """Delete all that a namespace holds; the namespace too, where it holds nothing."""
        if "kubernetes" not in self.host.get(f"{NAMESPACES}/{name}")["spec"].get("finalizers", []):
            return  # it waits for somebody else's finalizer
        held = 0
        for version, plural in self.kinds():
            found = self.host.delete(f"{root(version)}/namespaces/{name}/{plural}")
            held += len((found or {}).get("items") or [])
        if not held:
            namespace = self.host.get(f"{NAMESPACES}/{name}")
            namespace["spec"]["finalizers"] = [one for one in namespace["spec"]["finalizers"] if one != "kubernetes"]
            self.host.request("PUT", f"{NAMESPACES}/{name}/finalize", namespace)

    def kinds(self) -> list[tuple[str, str]]:
        """Return apiVersion and plural of all that a namespace may hold, anew where a test has defined a kind."""
        defined = [item["metadata"]["name"] for item in self.host.items(DEFINITIONS)]
        if defined != self.defined:
            kinds = [(version, plural) for version, plural, namespaced in self.host.kinds() if namespaced]
            self.collections, self.defined = [*kinds, ("v1", "events")], defined
        return self.collections
