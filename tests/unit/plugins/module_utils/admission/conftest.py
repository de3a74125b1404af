# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster group on host clusters in memory, without and with a virtual cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clock import Clock
from group_world import World, run_world_clock, with_virtual_cluster


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    yield from run_world_clock(monkeypatch)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def running(world: World) -> World:
    """A world with a virtual cluster on host cluster a."""
    return with_virtual_cluster(world)
