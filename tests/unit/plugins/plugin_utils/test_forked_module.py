# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module finds in a fork, and what becomes of its result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings as python_warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common import warnings
from ansible_collections.nested.clusters.plugins.module_utils.common import progress
from ansible_collections.nested.clusters.plugins.plugin_utils import forked_module
from local_play import FORK_WARNING

# pytest has threads of its own. That ansible-playbook's process of a task has none is in test_fork_comparison.py.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


class Kept:
    """A listener that keeps what it receives."""

    def __init__(self) -> None:
        self.data = b""

    def receive(self, data: bytes) -> None:
        self.data += data

    def tick(self) -> None:
        """Show nothing."""


def run(
    main: Callable[[], None], tmp_path: Path, listener: Any = None, **environment: str
) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of a module."""
    directory = tmp_path / "private"
    directory.mkdir()
    arguments = forked_module.encoded({"name": "x", "number": 1, "_ansible_tmpdir": str(directory)})
    fork = forked_module.ForkedModule(main, str(directory), str(tmp_path), environment)
    status, out, err = fork.run(arguments, listener or Kept())
    return status, out.decode(), err.decode()


def show() -> None:
    """A module that returns what it finds."""
    module = AnsibleModule(argument_spec={"name": {"type": "str"}, "number": {"type": "int"}})
    module.warn("mind the gap")
    print("a note", file=sys.stderr)
    with tempfile.NamedTemporaryFile(delete=False) as left:
        directory = Path(left.name).parent
    module.exit_json(
        changed=True,
        params=module.params,
        cwd=os.getcwd(),
        variable=os.environ.get("VARIABLE"),
        process=os.getpid(),
        input=sys.stdin.read(),
        is_tmpdir=str(directory) == module.tmpdir,
    )


def test_module_has_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    of_the_controller = type(warnings._global_warnings)()
    monkeypatch.setattr(warnings, "_global_warnings", of_the_controller)
    of_the_controller.append("stray") if isinstance(of_the_controller, list) else of_the_controller.update(stray=None)
    before = dict(os.environ), os.getcwd(), sys.stdout, tempfile.gettempdir(), signal.getsignal(signal.SIGTERM)
    status, out, err = run(show, tmp_path, VARIABLE="value")
    assert (status, err) == (0, "a note\n")
    result = json.loads(out)
    assert result["params"] == {"name": "x", "number": 1}
    assert result["cwd"] == str(tmp_path)
    assert result["variable"] == "value"
    assert result["process"] != os.getpid()
    assert result["input"] == ""
    assert result["is_tmpdir"]
    assert "mind the gap" in str(result["warnings"])
    assert "stray" not in str(result["warnings"])
    now = dict(os.environ), os.getcwd(), sys.stdout, tempfile.gettempdir(), signal.getsignal(signal.SIGTERM)
    assert now == before
    assert capfd.readouterr() == ("", "")


def fail() -> None:
    raise KeyError("swordfish")


def test_unexpected_error_is_told_as_ansible_does(tmp_path: Path) -> None:
    status, out, err = run(fail, tmp_path)
    assert status == 1
    if forked_module._loader is None:  # until 2.18 Ansible takes it from there
        assert "KeyError: 'swordfish'" in err
    else:
        assert "swordfish" in str(json.loads(out)["exception"])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_status_of_a_killed_module_is_its_signal(tmp_path: Path) -> None:
    assert run(die, tmp_path) == (-signal.SIGKILL, "", "")


def report() -> None:
    progress.hide({"swordfish"})
    for text in ("one", "one", "two \x1b[31m\u202e\nswordfish", "x" * 1000):
        progress.report("virtual cluster dev", text)
    subprocess.run(["sh", "-c", "ls -l /proc/self/fd >&2; env >&2"], check=True)


def test_reports_of_a_module_arrive_once_each_and_harmless(tmp_path: Path) -> None:
    listener = Kept()
    _status, _out, err = run(report, tmp_path, listener)
    texts = [json.loads(line)[1] for line in listener.data.splitlines()]
    assert texts == ["one", "two [31m ********", "x" * 297 + "..."]
    assert "pipe:" not in err, "what a module starts does not have the pipe"


def stay() -> None:
    """What helm does: it starts a process, and when it is told to end it takes its time."""
    script = "trap 'touch told; exit' TERM; touch started; while :; do sleep 0.1; done"
    process = subprocess.Popen(["sh", "-c", script])
    Path("process").write_text(str(process.pid))
    process.wait()


class Impatient(Kept):
    """A listener that has no time as soon as a file is there, as in a task that has had its time."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def tick(self) -> None:
        if self.file.exists():
            raise TimeoutError("it has had its time")


def test_module_without_time_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """And nothing else: until ansible-core 2.18, ansible-playbook itself is in the same group, as pytest is here."""
    beside = subprocess.Popen(["sleep", "60"])
    try:
        with pytest.raises(TimeoutError):
            run(stay, tmp_path, Impatient(tmp_path / "started"))
        deadline = time.monotonic() + 30
        while not (tmp_path / "told").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert beside.poll() is None
    finally:
        beside.kill()
        beside.wait()


def leave_behind() -> None:
    """A module with a child that keeps everything open."""
    if not os.fork():
        time.sleep(30)
        os._exit(0)
    sys.exit(0)


def test_end_of_a_module_is_noticed_although_something_keeps_its_pipe(tmp_path: Path) -> None:
    began = time.monotonic()
    assert run(leave_behind, tmp_path)[0] == 0
    assert time.monotonic() - began < 20


def test_warning_about_a_fork_beside_a_thread_names_this_file(tmp_path: Path) -> None:
    """So that tests which run ansible-playbook would notice one: they ask for the warnings of this file."""
    end = threading.Event()
    beside = threading.Thread(target=end.wait)
    beside.start()
    try:
        with python_warnings.catch_warnings(record=True) as seen:
            python_warnings.filterwarnings("always", category=DeprecationWarning, module=forked_module.__name__)
            run(show, tmp_path)
    finally:
        end.set()
        beside.join()
    warns = sys.version_info >= (3, 12)
    assert [FORK_WARNING in str(warning.message) for warning in seen] == [True] * warns
