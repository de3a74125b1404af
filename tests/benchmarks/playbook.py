# SPDX-License-Identifier: GPL-3.0-or-later
"""Run tasks as ansible-playbook does, and tell how long each took."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import BenchError

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Sample:
    """One task's run: times of the wall clock, and how many virtual clusters it returned."""

    name: str
    start: float
    end: float
    changed: bool
    clusters: int

    @property
    def seconds(self) -> float:
        return self.end - self.start


def task(module: str, options: dict[str, Any]) -> dict[str, Any]:
    """A task for `run`, named after its module."""
    return {"name": module, module: options}


def run(
    tasks: list[dict[str, Any]], env: dict[str, str], hosts: Sequence[str] = ("localhost",), forks: int = 1
) -> list[Sample]:
    """Run one playbook; one sample for each task and host, in order. Raises BenchError when a task fails."""
    play = {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
        "tasks": tasks,
    }
    with tempfile.TemporaryDirectory() as directory:
        playbook, times = Path(directory, "playbook.json"), Path(directory, "times")
        playbook.write_text(json.dumps([play]), encoding="utf-8")
        done = subprocess.run(
            ["ansible-playbook", "--inventory", ",".join([*hosts, ""]), f"--forks={forks}", str(playbook)],
            env={
                **os.environ,
                **env,
                "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback_plugins"),
                "ANSIBLE_CALLBACKS_ENABLED": "task_times",
                "NESTED_BENCH_TIMES": str(times),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"ansible-playbook failed:\n{done.stdout[-3000:]}")
        return [Sample(**json.loads(line)) for line in times.read_text(encoding="utf-8").splitlines()]


def rounds(tasks: list[dict[str, Any]], count: int, env: dict[str, str]) -> dict[str, list[float]]:
    """Seconds of each task by its name, run one after the other for some rounds in one playbook.

    A round ahead of them warms caches up. Raises BenchError when a task changes something after that.
    """
    samples = run(tasks * (count + 1), env)[len(tasks) :]
    if changed := [sample.name for sample in samples if sample.changed]:
        raise BenchError(f"{changed[0]} reports a change where nothing changes")
    return {one["name"]: [s.seconds for s in samples if s.name == one["name"]] for one in tasks}
