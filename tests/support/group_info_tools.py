# SPDX-License-Identifier: GPL-3.0-or-later
"""A group with two virtual clusters, and what vcluster_group_info says of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from host_api import Host, Object, connections, remove_namespaces, spaces_of
from modules import Module
from places import IDLE, Place

GROUP_LABEL = "nested-clusters/group"
SIZE = {"cpu": "2", "memory": "3Gi", "storage": "2Gi"}
CLAIMED = "1Gi"  # by the control plane


@dataclass
class Dev:
    """A group of all host clusters, with two virtual clusters."""

    name: str
    members: dict[str, Host]
    info: Module
    vcluster: Module
    first: Place  # runs on host-a, for alice
    second: Place  # is on the last of the host clusters, where no node takes its pod

    @property
    def last(self) -> str:
        return list(self.members)[-1]

    def __call__(self, **options: Any) -> Object:
        """The group, of a task that warns of nothing in it."""
        result = self.info(name=self.name, **options)
        assert result["changed"] is False
        assert not warnings(result, self.name)
        (found,) = result["groups"]
        group: Object = found
        return group

    def one(self, where: Place) -> Object:
        """A virtual cluster of the group."""
        return by_name(self()["virtual_clusters"])[where.name]


def by_name(items: list[Object]) -> dict[str, Object]:
    return {item["name"]: item for item in items}


def warnings(result: Object, word: str) -> list[str]:
    """The warnings with a word; ansible-core 2.19 gives each as a structure."""
    found = [item if isinstance(item, str) else str(item["event"]["msg"]) for item in result.get("warnings", [])]
    return [text for text in found if word in text]


def amount(text: str) -> float:
    """A quantity, as far as they are written here."""
    units = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    unit = next((unit for unit in units if text.endswith(unit)), "")
    return round(float(text.removesuffix(unit)) * units.get(unit, 1), 3)


@contextmanager
def group_of_two(members: dict[str, Host], vcluster: Module, name: str) -> Iterator[Dev]:
    """Yield a group of this name, with virtual clusters NAME-first, which runs, and NAME-second; then remove them."""
    hosts = connections(members)

    def module(which: str, **defaults: Any) -> Module:
        return Module(vcluster.host, vcluster.directory, which, {"host_clusters": hosts, **defaults})

    group = module("vcluster_group", name=name)
    make = vcluster.against(host_clusters=hosts, group=name)
    first, second = (Place(f"{name}-{word}", f"vcluster-{name}-{word}") for word in ("first", "second"))
    try:
        group(oversubscription=10000, size={"minimum": SIZE, "default": SIZE}, tags={"cost": "4711"})
        make(name=first.name, owner="alice", host_cluster="host-a")
        make(name=second.name, host_cluster=list(members)[-1], values=IDLE, wait=False)
        yield Dev(name, members, module("vcluster_group_info"), make, first, second)
    finally:
        for host in members.values():
            remove_namespaces(host, *spaces_of(host, name))
        group(state="absent")
