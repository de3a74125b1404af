# SPDX-License-Identifier: GPL-3.0-or-later
"""Many processes that place virtual clusters in one group at the same time: nobody oversells a host cluster."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from forked import Process
from group_values import NOWHERE, SMALL
from group_watch import watching_group
from host_api import Host, connections, remove_namespaces, spaces_of
from modules import IMPATIENT, Module

pytestmark = pytest.mark.long

GROUP = "it-race"
WRITERS = 40
ROOM = {"host-a": 13, "host-b": 12}
SPACES = "/api/v1/namespaces"


@pytest.fixture
def writer(members: dict[str, Host], vcluster: Module, vcluster_group: Module) -> Iterator[Module]:
    """The module vcluster, for a group with room for 25."""
    given = [
        {**entry, "capacity": {"cpu": str(ROOM[entry["name"]]), "memory": "100Gi"}} for entry in connections(members)
    ]
    vcluster_group(
        name=GROUP, host_clusters=given, oversubscription=100, size={"minimum": SMALL, "default": SMALL}, values=NOWHERE
    )
    yield vcluster.against(group=GROUP, host_clusters=connections(members), wait=False)
    for member in members.values():
        remove_namespaces(member, *spaces_of(member, GROUP))
    vcluster_group(name=GROUP, state="absent")


def start(writer: Module) -> list[Process]:
    """All of them at once, each a process of its own."""
    return [writer.start({"name": f"it-race-{number:02}"}) for number in range(WRITERS)]


def finish(writer: Module, running: list[Process]) -> tuple[list[str], list[str]]:
    """(names of those that got a place, messages of those that were refused)."""
    results = [writer.finish(process, 600) for process in running]
    placed = [result["virtual_cluster"]["name"] for result in results if not result.get("failed")]
    return placed, [result["msg"] for result in results if result.get("failed")]


def check_full(members: dict[str, Host], placed: list[str], refused: list[str]) -> None:
    """Exactly the room is taken, the others were told so, and nothing else is left."""
    assert (len(placed), len(refused)) == (25, WRITERS - 25), refused
    assert all("no host cluster has room" in message for message in refused), refused
    for name, member in members.items():
        assert len(spaces_of(member, GROUP)) == ROOM[name]
        assert member.items("/apis/coordination.k8s.io/v1/namespaces/nested-clusters/leases") == []
        for space in spaces_of(member, GROUP):
            assert member.get(f"/apis/apps/v1/namespaces/{space}/statefulsets")["items"], f"{space} holds nothing"
    there = {space for member in members.values() for space in spaces_of(member, GROUP)}
    assert there == {f"vcluster-{name}" for name in placed}


def test_writers_at_once_never_oversell_a_host_cluster(members: dict[str, Host], writer: Module) -> None:
    """40 at once and room for 25: 25 are placed, 15 refused, and at no moment is more allocated than there is."""
    with watching_group(members, GROUP) as watchers:
        placed, refused = finish(writer, start(writer))
    assert {name: watcher.most for name, watcher in watchers.items()} == ROOM
    check_full(members, placed, refused)


def kill_some(members: dict[str, Host], running: list[Process]) -> None:
    """Kill one of them, whatever it is at, soon after each virtual cluster that gets a place."""
    chance, placed = random.Random(7), 0
    while alive := [process for process in running if process.poll() is None]:
        there = sum(len(spaces_of(member, GROUP)) for member in members.values())
        if there > placed:
            placed = there
            time.sleep(chance.uniform(0, 0.5))
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.killpg(chance.choice(alive).pid, signal.SIGKILL)
        time.sleep(0.1)


def test_writers_that_are_killed_never_oversell_a_host_cluster(members: dict[str, Host], writer: Module) -> None:
    """Killed anywhere, they leave nothing that blocks; run again, exactly the room is taken."""
    with watching_group(members, GROUP) as watchers:
        running = start(writer)
        kill_some(members, running)
        for process in running:
            process.communicate()
        killed = [process.returncode for process in running].count(-signal.SIGKILL)
        print(f"{killed} of {WRITERS} were killed before they were done")
        assert killed >= 5, "too few were killed to mean anything"
        placed, refused = finish(writer, start(replace(writer, constants=IMPATIENT)))
    assert {name: watcher.most for name, watcher in watchers.items()} == ROOM
    check_full(members, placed, refused)
