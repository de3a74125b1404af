# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch what is allocated to a group on each host cluster."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from host_api import Host, spaces_of
from waiting import eventually

SPACES = "/api/v1/namespaces"


@dataclass
class Watcher:
    """Adds up what is allocated on one host cluster after each event, as the API server tells them."""

    host: Host
    group: str
    most: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    version: str = ""
    ended: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    @property
    def of_group(self) -> str:
        return f"labelSelector=nested-clusters%2Fgroup%3D{self.group}"

    def start(self) -> None:
        """Count what there is, and then every event from there on."""
        there = self.host.get(f"{SPACES}?{self.of_group}")
        for item in there["items"]:
            self.count("ADDED", item)
        self.version = there["metadata"]["resourceVersion"]
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self) -> None:
        """One watch after the other, each from where the last one ended: an open one cannot be stopped."""
        while not self.ended.is_set():
            answer = self.host.pool.request(
                "GET",
                f"{self.host.configuration.host}{SPACES}?watch=1&{self.of_group}&timeoutSeconds=2"
                f"&resourceVersion={self.version}",
                headers=self.host.headers,
            )
            for line in answer.data.splitlines():
                event = json.loads(line)
                self.count(event["type"], event["object"])
                self.version = event["object"]["metadata"]["resourceVersion"]

    def stop(self, there: set[str]) -> None:
        """End when it has seen all that there is."""
        eventually("all events seen", lambda: set(self.sizes) == there)
        self.ended.set()
        if self.thread:
            self.thread.join()

    def count(self, kind: str, item: dict[str, Any]) -> None:
        """Add one event up."""
        name = item["metadata"]["name"]
        if kind == "DELETED":
            self.sizes.pop(name, None)
        else:
            size = json.loads(item["metadata"]["annotations"]["nested-clusters/size"])
            self.sizes[name] = int(size["cpu"])
        self.most = max(self.most, sum(self.sizes.values()))


@contextmanager
def watching_group(members: dict[str, Host], group: str) -> Iterator[dict[str, Watcher]]:
    """A watcher on each host cluster; what they saw can be read afterwards."""
    watchers = {name: Watcher(member, group) for name, member in members.items()}
    for watcher in watchers.values():
        watcher.start()
    yield watchers
    for name, watcher in watchers.items():
        watcher.stop(set(spaces_of(members[name], group)))
