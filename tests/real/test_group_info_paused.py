# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_group_info: what a virtual cluster uses that vCluster's own CLI has paused."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from group_info_tools import CLAIMED, SIZE, Dev, amount, by_name, group_of_two
from host_api import Host
from modules import Module
from places import settled
from waiting import eventually


@pytest.fixture
def dev(members: dict[str, Host], vcluster: Module) -> Iterator[Dev]:
    with group_of_two(members, vcluster, f"it-{uuid.uuid4().hex[:5]}") as found:
        settled(members["host-a"], found.first)
        yield found


def test_virtual_cluster_paused_by_the_cli_uses_nothing_but_keeps_its_share(dev: Dev, cli: Callable[..., str]) -> None:
    """Paused by the vCluster CLI: its allocation stays, its CPU and memory are free at once."""
    cli("pause", dev.first.name, "--namespace", dev.first.namespace)
    try:
        found = dev.one(dev.first)
        assert (found["phase"], found["size"]) == ("paused", SIZE)
        assert found["used"] == {"cpu": "0", "memory": "0", "storage": CLAIMED}
        assert amount(by_name(dev()["host_clusters"])["host-a"]["allocated"]["cpu"]) >= amount(SIZE["cpu"])
    finally:
        cli("resume", dev.first.name, "--namespace", dev.first.namespace)
    eventually("running again", lambda: dev.one(dev.first)["phase"] == "running")
