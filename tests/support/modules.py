# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module of the collection as Ansible runs it, and compare its results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import forked
import pytest
from forked import Process
from host_api import Host

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = REPOSITORY / "plugins" / "modules"
MODULE_SECONDS = 400  # longer than any task of these tests may take


# With the first as interpreter, ansible-playbook runs a module in a fork; the other it takes for another Python.
OWN_PYTHON = "{{ ansible_playbook_python }}"
SAME_PYTHON = "{{ ansible_playbook_python | dirname }}/./{{ ansible_playbook_python | basename }}"


# For a task that follows one whose helm was killed: how long it waits until it takes it for killed, else 30 seconds.
IMPATIENT = {"lifecycle.reconcile.SETTLE_SECONDS": 2.0}


@dataclass
class Module:
    """A module of the collection, run as Ansible runs it: a process of its own with a file of arguments.

    That is a fork of a Python that has imported what modules import, but where it runs elsewhere or in another Python.
    """

    host: Host = field(repr=False)
    directory: Path = field(repr=False)
    name: str = "vcluster"
    defaults: dict[str, Any] = field(default_factory=dict, repr=False)
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    through: tuple[str, ...] = field(default=(), repr=False)
    """A command that runs the module, where it is not to run here."""
    constants: dict[str, float] = field(default_factory=dict, repr=False)
    """Values of constants of module_utils by name, where a test would only wait for what they say."""

    def start(self, options: dict[str, Any], check: bool = False) -> Process:
        """Start the module without waiting for it."""
        arguments = {
            **self.defaults,
            **options,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            "_ansible_remote_tmp": str(self.directory),
        }
        file = self.directory / f"args-{uuid.uuid4().hex}.json"
        file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        file.chmod(0o600)
        command = [str(MODULES / f"{self.name}.py"), str(file)]
        environment = {**os.environ, "KUBECONFIG": self.host.kubeconfig, **self.environment}
        if not self.through and not any(name.startswith("PYTHON") for name in self.environment):
            return forked.start(command, environment, self.constants)
        assert not self.constants, "only a fork can have other constants"
        return subprocess.Popen(
            [*self.through, sys.executable, *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: Process, seconds: float = MODULE_SECONDS) -> dict[str, Any]:
        """The parsed result of a started module; fails the test with all of its output if it is no JSON."""
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"the module still ran after {seconds:g} s:\n{out}\n{err}")
        try:
            result: dict[str, Any] = json.loads(out)
        except ValueError:
            pytest.fail(f"no JSON from the module (exit {process.returncode}):\n{out}\n{err}")
        assert not err.strip(), f"the module wrote to standard error:\n{err}"
        return result

    def raw(self, check: bool = False, **options: Any) -> dict[str, Any]:
        """The result, whatever it is."""
        return self.finish(self.start(options, check))

    def __call__(self, check: bool = False, **options: Any) -> dict[str, Any]:
        """The result of a task that succeeds."""
        result = self.raw(check, **options)
        assert not result.get("failed"), f"{result.get('msg')}\n{result.get('exception', '')}"
        return result

    def refused(self, check: bool = False, **options: Any) -> str:
        """The message of a task that fails, which is one for people and no traceback."""
        result = self.raw(check, **options)
        assert result.get("failed"), f"should have failed: {result}"
        assert "Traceback" not in json.dumps(result), result
        return str(result["msg"])

    def against(self, **defaults: Any) -> Module:
        """The same module with other defaults."""
        return replace(self, defaults={**self.defaults, **defaults})


def same(check: dict[str, Any], run: dict[str, Any]) -> None:
    """Check mode and run say the same."""
    assert check["changed"] == run["changed"]
    assert check["steps"] == run["steps"]
    assert check["diff"] == run["diff"]


def texts(result: dict[str, Any]) -> str:
    """A result as one text, without the task's own arguments."""
    return json.dumps({key: value for key, value in result.items() if key != "invocation"})


def diff_text(result: dict[str, Any], side: str = "before") -> str:
    """All of one side of a result's diff."""
    return "\n".join(entry[side] for entry in result.get("diff", []))
