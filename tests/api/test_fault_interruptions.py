# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that are killed or cut off at random moments: a second run finishes, and nothing is lost.

`make test` tries some; `make faults` tries many.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from fault_life import DELETIONS, Life, Record, kill_after, life, moment, told
from fault_tools import FULL, SEED, carrying, chance, later, line_to
from host_api import Host
from modules import OWN_PYTHON, SAME_PYTHON, Module
from waiting import eventually


@pytest.fixture(scope="module")
def usual(host: Host, vcluster: Module) -> dict[str, float]:
    """Seconds that each operation takes where nothing is in its way, so that faults hit it somewhere."""
    with life(host, vcluster, lambda _what, _of: None, "usual") as lived:
        for operation in ("create", "pause", "change", DELETIONS[0], "create", DELETIONS[1]):
            lived.claim = ""  # a deletion takes it
            lived.again(operation)
        return lived.seconds


@pytest.mark.long
@pytest.mark.parametrize("turn", range(20 if FULL else 1))
def test_operation_that_is_killed_is_finished_by_a_second_run(
    host: Host, impatient: Module, usual: dict[str, float], record_property: Record, turn: int
) -> None:
    """kill -9 of the task and all that it started, somewhere in each operation of a life."""
    with life(host, impatient, record_property, "kill9") as lived:
        lived.seconds.update(usual)
        for operation in ("create", "pause", "change", DELETIONS[turn % 2]):
            after = moment(lived, operation, turn)

            print(f"{operation}: killed after {after:.2f} s, seed {SEED}")
            lived.suffer(f"kill -9 during {operation}", operation, partial(kill_after, lived, operation, after))


@pytest.mark.long
@pytest.mark.parametrize("turn", range(6 if FULL else 1))
def test_operation_that_is_cut_off_is_finished_by_a_second_run(
    host: Host, impatient: Module, usual: dict[str, float], record_property: Record, turn: int, tmp_path: Path
) -> None:
    """The connection to the API server breaks somewhere in each operation, and comes back some seconds later."""
    with life(host, impatient, record_property, "cut") as lived, line_to(host, tmp_path) as (line, kubeconfig):
        lived.seconds.update(usual)
        for operation in ("create", "pause", "change", DELETIONS[turn % 2]):
            after, lasting = moment(lived, operation, "cut", turn), chance(operation, "lasting", turn).uniform(0.1, 5)

            def cut(operation: str = operation, after: float = after, lasting: float = lasting) -> None:
                timers = [later(after, line.cut), later(after + lasting, line.restore)]
                told(impatient.finish(lived.start(operation, kubeconfig=kubeconfig)))
                for timer in timers:
                    timer.join()

            print(f"{operation}: cut after {after:.2f} s for {lasting:.2f} s, seed {SEED}")
            lived.suffer(f"API server cut off during {operation}", operation, cut)


@contextmanager
def playbook(
    lived: Life, operation: str, directory: Path, in_fork: bool
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """ansible-playbook with an operation, and what all that it starts carries in its environment."""
    module, options = lived.task(operation)
    task = {f"nested.clusters.{module.name}": {**module.defaults, **options}}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": OWN_PYTHON if in_fork else SAME_PYTHON},
        "tasks": [task],
    }
    file, mark = directory / f"{operation}.json", f"RUN={uuid.uuid4().hex}"
    file.write_text(json.dumps([play]))
    process = subprocess.Popen(
        [lived.host.program("ansible-playbook"), str(file)],
        env={
            **os.environ,
            "KUBECONFIG": lived.host.kubeconfig,
            "ANSIBLE_HOME": str(directory),
            **dict([mark.split("=")]),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process, mark
    finally:
        for orphan in carrying(mark):
            with suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
        process.wait()


@pytest.mark.long
@pytest.mark.parametrize("turn", range(6 if FULL else 1))
def test_operation_whose_playbook_is_killed_is_finished_by_a_second_run(
    host: Host, vcluster: Module, usual: dict[str, float], record_property: Record, turn: int, tmp_path: Path
) -> None:
    """kill -9 of ansible-playbook alone: its module goes on, and writes at the same time as the second run."""
    with life(host, vcluster, record_property, "play") as lived:
        lived.seconds.update(usual)
        operations = ("create", "pause", "change", DELETIONS[turn % 2]) if FULL else ("create", "delete")
        for number, operation in enumerate(operations, turn):
            after = moment(lived, operation, "play", turn)

            def kill(operation: str = operation, after: float = after, in_fork: bool = number % 2 == 0) -> None:
                with playbook(lived, operation, tmp_path, in_fork) as (process, mark):
                    if in_fork:
                        eventually("the process that it forks", lambda: len(carrying(mark)) > 1, 60)
                    else:
                        eventually("its module", lambda: "AnsiballZ_" in str(carrying(mark)), 60)
                    time.sleep(after)
                    process.kill()
                    process.wait()
                    orphans = carrying(mark)
                    module, options = lived.task(operation)
                    result = module.raw(**options)
                    assert "Traceback" not in json.dumps(result), result
                    # Two writers: the second may be told that there is another, and only where there is.
                    met = orphans and re.search("run again|somebody else", str(result.get("msg")))
                    assert met or not result.get("failed"), result
                    eventually(lambda: f"the end of {carrying(mark)}", lambda: not carrying(mark), pause=1)

            print(f"{operation}: ansible-playbook killed after {after:.2f} s, seed {SEED}")
            lived.suffer(f"kill -9 of ansible-playbook in {operation}", operation, kill)
