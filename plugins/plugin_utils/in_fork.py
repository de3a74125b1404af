# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module in a fork of ansible-playbook, where the task is local and for this very Python.

Otherwise Ansible packs a module and all that it imports as source, writes that to a file together with the options,
secrets among them, and starts a Python which compiles it: most of the time of a task that changes nothing. A fork has
all that in memory. It is a process of its own like any module's: what it reads, prints and leaves behind is its own.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.text.converters import to_text
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.release import __version__
from ansible.utils.display import Display

from .forked_module import PROFILE, ForkedModule, Listener, encoded
from .progress_display import QUIET_SECONDS, NoDisplay, ProgressDisplay

try:  # since ansible-core 2.19
    from ansible.executor.module_common import _BuiltModule
except ImportError:
    _BuiltModule = None

display = Display()

# Those whose way to hand over options and results is known from tests: it is internal, and differs between them.
TESTED = ("2.16", "2.17", "2.18", "2.19", "2.20", "2.21")
SWITCH = "nested_clusters_fork"  # a variable; in capitals, an environment variable of ansible-playbook
INTERPRETER = "ansible_python_interpreter"
_REMOTE_TMP = "~/.ansible/tmp"  # Ansible's default
_OF_A_START = ("PYTHON", "LD_", "OPENSSL_", "TZ")  # variables that only a new process reads


class InFork(Normal):
    """An action that runs ``module`` in a fork if it can be the same there, and as Ansible does otherwise.

    Ansible itself makes the options of a module and reads its result. Only three steps between are replaced: it
    builds no file, copies none, and instead of a command there is the fork.
    """

    module: ModuleType
    _fork: ForkedModule | None = None
    _listener: Listener
    _arguments: bytes | None = None

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the module returns."""
        variables = task_vars or {}
        environment: dict[str, Any] = {}
        self._compute_environment_string(environment)
        why_not = self._why_not(variables, environment)
        if why_not:
            display.vvv(f"{self._task.action} is sent to a new Python: {why_not}")
            return self._as_ansible_does(variables)
        display.vvv(f"{self._task.action} runs in a fork of ansible-playbook")
        return self._in_fork(variables, environment)

    def _why_not(self, variables: dict[str, Any], environment: Mapping[str, Any]) -> str:
        """Return why the task cannot run in a fork; "" if it can."""
        return self._why_not_here(variables) or self._why_not_for_this_task(variables, environment)

    def _why_not_here(self, variables: dict[str, Any]) -> str:
        if not self._is_switched_on(variables):
            return f"{SWITCH} is false"
        if not __version__.startswith(tuple(f"{version}." for version in TESTED)):
            return f"with ansible-core {__version__} a fork is not tested"
        if sys.platform != "linux":  # on macOS, system libraries may end a process that was forked
            return f"on {sys.platform} a fork is not tested"
        if _threads() != 1:  # a lookup or a strategy has started them: a fork could wait for a lock of theirs for ever
            return "a thread runs beside it, which a fork would not have"
        if constants.DEFAULT_KEEP_REMOTE_FILES:
            return "ANSIBLE_KEEP_REMOTE_FILES asks for its file"
        return ""

    def _why_not_for_this_task(self, variables: dict[str, Any], environment: Mapping[str, Any]) -> str:
        if self._connection.transport != "local":
            return f"its connection is {self._connection.transport}"
        if self._play_context.become:
            return "it becomes another user"
        if self._task.async_val:
            return "it is asynchronous"
        interpreter = self._interpreter(variables)
        if interpreter != sys.executable:
            return f"{INTERPRETER} is {interpreter or 'no variable of the host'}, and this is {sys.executable}"
        if read := [name for name in environment if name.startswith(_OF_A_START)]:
            return f"its environment sets {', '.join(read)}"
        try:
            os.makedirs(self._temporary(), mode=0o700, exist_ok=True)
        except OSError as error:
            return f"remote_tmp cannot be made: {error}"
        return ""

    def _is_switched_on(self, variables: dict[str, Any]) -> bool:
        value = self._templar.template(variables.get(SWITCH, os.environ.get(SWITCH.upper()) or True))
        try:
            return bool(boolean(value))
        except TypeError as error:
            raise AnsibleActionFail(f"{SWITCH} is {value!r}, which is no boolean. Set it to true or false.") from error

    def _interpreter(self, variables: dict[str, Any]) -> str:
        if self._task.delegate_to:
            variables = variables.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})
        return str(self._templar.template(variables.get(INTERPRETER) or ""))

    def _temporary(self) -> str:
        """Return the module's temporary directory: Ansible's own on this machine, unless the user has chosen one."""
        chosen = str(self.get_shell_option("remote_tmp", default=_REMOTE_TMP))
        if chosen == _REMOTE_TMP:
            return str(constants.DEFAULT_LOCAL_TMP)
        return os.path.expanduser(os.path.expandvars(chosen))

    def _as_ansible_does(self, variables: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = super().run(None, variables)
        return result

    def _in_fork(self, variables: dict[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
        shell = self._connection._shell
        before = shell.tmpdir
        self._listener = self._listener_of(variables)
        with tempfile.TemporaryDirectory(dir=self._temporary()) as directory:
            self._fork = ForkedModule(self.module.main, directory, self._loader.get_basedir(), environment)
            shell.tmpdir = directory  # Ansible tells the module, and removes only what it has made
            try:
                return self._as_ansible_does(variables)
            finally:
                shell.tmpdir = before
                self._fork = None

    def _listener_of(self, variables: dict[str, Any]) -> Listener:
        if self._task.no_log:
            return NoDisplay()
        host = str(variables.get("inventory_hostname", ""))
        if self._task.delegate_to:
            host += f" -> {self._task.delegate_to}"
        return ProgressDisplay(host, 0 if display.verbosity else QUIET_SECONDS)

    # --- what Ansible calls ---

    def _is_pipelining_enabled(self, module_style: str, wrap_async: bool = False) -> bool:
        """No file of the module is copied."""
        return self._fork is not None or bool(super()._is_pipelining_enabled(module_style, wrap_async))

    def _configure_module(self, module_name: str, module_args: Any, task_vars: Any) -> Any:
        """No file of the module is built; its options are kept for the fork."""
        if self._fork is not None:
            try:
                self._arguments = encoded(module_args)
            except TypeError:  # Ansible has words for it
                return super()._configure_module(module_name, module_args, task_vars)
            style, shebang, path = "new", f"#!{sys.executable}", self.module.__file__
            if _BuiltModule is None:
                return style, shebang, b"", path
            built = _BuiltModule(
                b_module_data=b"", module_style=style, shebang=shebang, serialization_profile=PROFILE
            )
            return built, path
        return super()._configure_module(module_name, module_args, task_vars)

    def _low_level_execute_command(self, *command: Any, **options: Any) -> dict[str, Any]:
        """Instead of the module's command, run the fork."""
        arguments, self._arguments = self._arguments, None
        if self._fork is None or arguments is None:
            answer: dict[str, Any] = super()._low_level_execute_command(*command, **options)
            return answer
        status, *streams = self._fork.run(arguments, self._listener)
        out, err = (to_text(stream, errors="surrogate_then_replace") for stream in streams)
        lines = {"stdout_lines": out.splitlines(), "stderr_lines": err.splitlines()}
        return {"rc": status, "stdout": out, "stderr": err, **lines}


def _threads() -> int:
    """Return the number of threads of this process, also those unknown to Python; 0 if unknown."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 0
