# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that ends with another process, however that one ends, and with the one that runs it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "tests/tools/run_until_end.py"
SECONDS = 20


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def sleeper(stack: ExitStack) -> subprocess.Popen[bytes]:
    """Return a process that does nothing, and is killed in the end."""
    process = stack.enter_context(subprocess.Popen(["sleep", "60"]))
    stack.callback(process.kill)
    return process


def runner(stack: ExitStack, pid: int, *command: str, seconds: float = 60) -> tuple[subprocess.Popen[bytes], int]:
    """Run a program that says its number; return what runs it, and a descriptor of the program."""
    process = stack.enter_context(
        subprocess.Popen([sys.executable, PROGRAM, str(pid), str(seconds), *command], stdout=subprocess.PIPE)
    )
    stack.callback(process.kill)
    assert process.stdout
    program = os.pidfd_open(int(process.stdout.readline()))
    stack.callback(os.close, program)
    return process, program


def has_ended(program: int, seconds: float = SECONDS) -> bool:
    return bool(select.select([program], [], [], seconds)[0])


SLEEP = ("sh", "-c", "echo $$; exec sleep 60")


def test_program_of_a_killed_run_ends(stack: ExitStack) -> None:
    followed = sleeper(stack)
    process, program = runner(stack, followed.pid, *SLEEP)
    assert not has_ended(program, 0.2)
    followed.send_signal(signal.SIGKILL)
    assert has_ended(program)
    assert process.wait(SECONDS) == 0


def test_program_of_no_run_ends_after_its_time(stack: ExitStack) -> None:
    process, program = runner(stack, 0, *SLEEP, seconds=0.3)
    assert has_ended(program)
    assert process.wait(SECONDS) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_program_ends_with_what_runs_it(stack: ExitStack, number: signal.Signals) -> None:
    process, program = runner(stack, sleeper(stack).pid, *SLEEP)
    process.send_signal(number)
    process.wait(SECONDS)
    assert has_ended(program, SECONDS if number == signal.SIGKILL else 0), "asked to end, it waits for the program"


def test_program_that_fails_passes_its_status_on(stack: ExitStack) -> None:
    process, _program = runner(stack, sleeper(stack).pid, "sh", "-c", "echo $$; sleep 0.2; exit 3")
    assert process.wait(SECONDS) == 3


def test_program_of_a_run_that_has_ended_does_not_start(stack: ExitStack) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    command = [sys.executable, str(PROGRAM), str(ended.pid), "60", "echo", "started"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (0, b"")
