# SPDX-License-Identifier: GPL-3.0-or-later
"""A module in a fork is told from one in a new Python by nothing but the time that it takes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import forked
import pytest
from host_api import Host
from modules import Module
from places import IDLE, Place

NEW_PYTHON = ("env",)  # a command that runs a module runs it in a new one


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vcluster", {"name": "it-forked", "values": IDLE}),
        ("vcluster", {"name": "It-Forked"}),
        ("vcluster", {"nosuchoption": 1}),
        ("vcluster_info", {}),
        ("vcluster_group_info", {}),
        ("vcluster_orphans", {"names": ["it-forked"]}),
    ],
)
def test_module_in_a_fork_has_the_same_result(host: Host, vcluster: Module, name: str, options: dict[str, Any]) -> None:
    """Success, refusal, wrong options and warnings."""
    module = replace(vcluster, name=name, defaults=vcluster.defaults if name == "vcluster" else {})
    assert module.raw(check=True, **options) == replace(module, through=NEW_PYTHON).raw(check=True, **options)


def program(directory: Path, text: str) -> list[str]:
    """Return the arguments for a file that stands for a module."""
    file = directory / "program.py"
    file.write_text(text)
    return [str(file), "argument"]


@pytest.mark.parametrize(
    "text",
    [
        "import sys; print(__name__, sys.argv[1:], sys.path[0]); sys.exit(3)",
        "import sys; sys.exit('text')",
        "import sys; print('out'); print('err', file=sys.stderr)",
        "import os, sys; print(os.environ['MARK'], 'HOME' in os.environ, os.getcwd(), sys.stdin.read() == '')",
        "import os; print(os.getsid(0) == os.getpid(), sorted(os.listdir('/proc/self/fd'))[:3])",
        "import atexit; atexit.register(print, 'last'); print('first')",
        "import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()",
        "from concurrent.futures import ThreadPoolExecutor; ThreadPoolExecutor().submit(print, 'pool')",
        "import os; os.kill(os.getpid(), 15)",
        "import sys, threading; print(threading.active_count(), sys.modules['__main__'].__file__ == __file__)",
    ],
)
def test_program_in_a_fork_ends_the_same_way(tmp_path: Path, text: str) -> None:
    """Exit status, output, session, environment and what is done at the end."""
    arguments, environment = program(tmp_path, text), {"MARK": "1", "PATH": os.environ["PATH"]}
    options: dict[str, Any] = {"env": environment, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    new = subprocess.run([sys.executable, *arguments], start_new_session=True, check=False, **options)
    process = forked.start(arguments, environment)
    assert (*process.communicate(timeout=10), process.returncode) == (new.stdout, new.stderr, new.returncode)


def test_exception_is_a_traceback_and_status_1(tmp_path: Path) -> None:
    process = forked.start(program(tmp_path, "def fails():\n    raise ValueError('why')\nfails()"), {})
    out, err = process.communicate(timeout=10)
    assert (out, process.returncode) == ("", 1)
    assert err.startswith("Traceback")
    assert err.endswith("ValueError: why\n")


def test_killed_group_leaves_no_program(tmp_path: Path) -> None:
    """Nor what the program started, which holds its output open; what it said before is there."""
    text = "import subprocess; print('on', flush=True); subprocess.run(['sleep', '300'])"
    process = forked.start(program(tmp_path, text), {"PATH": os.environ["PATH"]})
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=1)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    assert process.communicate(timeout=10) == ("on\n", "")
    assert process.returncode == -signal.SIGKILL


def test_module_that_is_killed_is_finished_by_the_next(vcluster: Module, new: Callable[..., Place]) -> None:
    where = new("forked")
    process = vcluster.start({"name": where.name, "values": IDLE})
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=3)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)
    result = vcluster(name=where.name, values=IDLE, wait=False)
    assert json.dumps(result)
