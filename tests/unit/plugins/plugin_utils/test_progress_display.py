# SPDX-License-Identifier: GPL-3.0-or-later
"""When what a module reports is shown, and how."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.plugin_utils import progress_display
from ansible_collections.nested.clusters.plugins.plugin_utils.progress_display import ProgressDisplay


class Clock:
    now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress_display.time, "monotonic", lambda: found.now)
    return found


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []

    def show(line: str, color: str, stderr: bool) -> None:
        assert stderr
        lines.append(line)

    monkeypatch.setattr(progress_display.display, "display", show)
    return lines


def test_progress_is_shown_after_ten_seconds_and_then_at_once(clock: Clock, shown: list[str]) -> None:
    display = ProgressDisplay("localhost")
    display.receive(b'["virtual cluster dev", "one"]\n["virtual cluster dev", "two"]\n["namespace x", "')
    clock.now += 9.9
    display.tick()
    assert not shown
    clock.now += 0.2
    display.tick()
    display.tick()
    assert shown == ["WAITING: [localhost]: virtual cluster dev: two"]
    display.receive(b'three"]\n')
    display.tick()
    assert shown[1:] == ["WAITING: [localhost]: namespace x: three"]


def test_progress_is_shown_at_once_where_nothing_is_to_be_kept_back(clock: Clock, shown: list[str]) -> None:
    display = ProgressDisplay("localhost", quiet_seconds=0)
    display.receive(b'["virtual cluster dev", "one"]\n')
    display.tick()
    assert shown == ["WAITING: [localhost]: virtual cluster dev: one"]


@pytest.mark.parametrize("line", [b"no JSON", b'["one alone"]', b'"text"', b"7", b"\xff\xfe"])
def test_anything_else_in_the_pipe_is_dropped(shown: list[str], line: bytes) -> None:
    display = ProgressDisplay("localhost", quiet_seconds=0)
    display.receive(line + b'\n["virtual cluster dev", "\\u001b[2Jone\\n"]\n')
    display.tick()
    assert shown == ["WAITING: [localhost]: virtual cluster dev: [2Jone"]


def test_module_goes_on_where_nobody_takes_what_it_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    def show(line: str, **_options: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(progress_display.display, "display", show)
    display = ProgressDisplay("localhost", quiet_seconds=0)
    display.receive(b'["virtual cluster dev", "one"]\n')
    display.tick()


def test_nothing_is_shown_once_ansible_playbook_was_killed(monkeypatch: pytest.MonkeyPatch, shown: list[str]) -> None:
    display = ProgressDisplay("localhost", quiet_seconds=0)
    monkeypatch.setattr(progress_display.os, "getppid", lambda: 1)
    display.receive(b'["virtual cluster dev", "one"]\n')
    display.tick()
    assert not shown
