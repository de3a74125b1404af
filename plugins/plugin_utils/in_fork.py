# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module in a fork of ansible-playbook, where the task is local and for this very Python.

Otherwise Ansible packs a module and all that it imports as source, writes that to a file together with the options,
secrets among them, and starts a Python which compiles it: most of the time of a task that changes nothing. A fork has
all that in memory. It is a process of its own like any module's: what it reads, prints and leaves behind is its own.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from types import ModuleType
from typing import IO, Any, NoReturn

from ansible import constants
from ansible.module_utils import basic
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.release import __version__
from ansible.utils.display import Display

display = Display()

# Those whose way to hand over options and results is known from tests: it is internal, and 2.21 has another.
TESTED = ("2.19",)
INTERPRETER = "ansible_python_interpreter"
_PROFILE = "legacy"  # of the JSON between Ansible and its modules
_OF_A_START = ("PYTHON", "LD_", "OPENSSL_", "TZ")  # variables that only a new process reads


class InFork(Normal):
    """An action that runs ``module`` in a fork if it can be the same there, and as Ansible does otherwise."""

    module: ModuleType

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the module returns."""
        variables = task_vars or {}
        environment: dict[str, Any] = {}
        self._compute_environment_string(environment)
        why_not = self._why_not(variables, environment)
        if why_not:
            display.vvv(f"{self._task.action} is sent to a new Python: {why_not}")
            return super().run(tmp, variables)
        display.vvv(f"{self._task.action} runs in a fork of ansible-playbook")
        return self._run(variables, environment)

    def _why_not(self, variables: dict[str, Any], environment: Mapping[str, Any]) -> str:
        """What stands against a fork; "" if nothing does."""
        if not __version__.startswith(tuple(f"{version}." for version in TESTED)):
            return f"with ansible-core {__version__} a fork is not tested"
        if sys.platform != "linux":  # on macOS, system libraries may end a process that was forked
            return f"on {sys.platform} a fork is not tested"
        if self._connection.transport != "local":
            return f"its connection is {self._connection.transport}"
        if self._play_context.become:
            return "it becomes another user"
        if self._task.async_val:
            return "it is asynchronous"
        if constants.DEFAULT_KEEP_REMOTE_FILES:
            return "ANSIBLE_KEEP_REMOTE_FILES asks for its file"
        interpreter = self._interpreter(variables)
        if interpreter != sys.executable:
            return f"{INTERPRETER} is {interpreter or 'no variable of the host'}, and this is {sys.executable}"
        if read := [name for name in environment if name.startswith(_OF_A_START)]:
            return f"its environment sets {', '.join(read)}"
        return ""

    def _interpreter(self, variables: dict[str, Any]) -> str:
        if self._task.delegate_to:
            variables = variables.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})
        return str(self._templar.template(variables.get(INTERPRETER) or ""))

    def _run(self, variables: dict[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
        from ansible.module_utils.common.json import Direction, get_module_encoder
        from ansible.vars.clean import remove_internal_keys

        options = dict(self._task.args)
        self._update_module_args(self._task.action, options, variables)
        with (
            tempfile.TemporaryDirectory(dir=constants.DEFAULT_LOCAL_TMP) as directory,
            tempfile.TemporaryFile(dir=directory) as out,  # without a name
            tempfile.TemporaryFile(dir=directory) as err,
        ):
            options["_ansible_tmpdir"] = directory
            encoder = get_module_encoder(_PROFILE, Direction.CONTROLLER_TO_MODULE)
            arguments = json.dumps({"ANSIBLE_MODULE_ARGS": options}, cls=encoder)
            # The task's timeout must not come between the fork and the wait for it.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            child = os.fork()
            if not child:
                self._be_the_module(arguments, directory, environment, out, err)
            answer = {"rc": _end_of(child), "stdout": _read(out), "stderr": _read(err)}
        result: dict[str, Any] = self._parse_returned_data(answer, _PROFILE)
        remove_internal_keys(result)
        return result

    def _be_the_module(
        self, arguments: str, directory: str, environment: Mapping[str, Any], out: IO[bytes], err: IO[bytes]
    ) -> NoReturn:
        """What a module finds in a process of its own, and its end."""
        from ansible.module_utils import _internal
        from ansible.module_utils._internal._ansiballz import _loader

        status = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for number in (signal.SIGTERM, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))  # whole lines at once
            logging.root.handlers.clear()  # Ansible's own log
            os.chdir(self._loader.get_basedir())
            os.environ.update({name: str(value) for name, value in environment.items()})
            tempfile.tempdir = directory  # a fork runs nothing of atexit, by which libraries remove their files
            # Warnings belong into the result, as this is not the controller any more.
            _internal.is_controller = False
            basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = arguments.encode(), _PROFILE
            try:
                self.module.main()
            except Exception as error:
                _loader._handle_exception(error, _PROFILE)
        except SystemExit as end:
            status = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)


def _end_of(child: int) -> int:
    """The exit status of a module. If there is no time to wait for its end, it is ended, and its helm is told so."""
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except BaseException:
        # Ansible's process of a task leads a group, which is of what it has started. helm marks its release as failed.
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)
        with suppress(ChildProcessError):
            os.waitpid(child, 0)
        raise


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="surrogateescape")
