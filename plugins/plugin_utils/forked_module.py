# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module in a fork of this process: how options go in, how the result comes out, and how it ends."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import sys
import tempfile
import traceback
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

from ansible.module_utils import basic
from ansible.module_utils.common import warnings
from ansible_collections.nested.clusters.plugins.module_utils.common import progress

try:  # since ansible-core 2.19
    from ansible.module_utils import _internal
    from ansible.module_utils._internal import _traceback
    from ansible.module_utils._internal._ansiballz import _loader
    from ansible.module_utils.common.json import Direction, get_module_encoder
except ImportError:
    _loader = None

PROFILE = "legacy"  # of the JSON between Ansible and its modules
_POLL_SECONDS = 1.0
_GRACE_SECONDS = 5  # from an interrupt on, to give back what others wait for
_ENDINGS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM}


class Listener(Protocol):
    """Shows what a module reports while it runs."""

    def receive(self, data: bytes) -> None:
        """Take what was read, which may end within a line."""

    def tick(self) -> None:
        """Show what is due by now."""


@dataclass(frozen=True)
class ForkedModule:
    """A module, and what it finds in a process of its own."""

    main: Callable[[], None]
    directory: str  # for its temporary files; its creator removes it
    working_directory: str
    environment: Mapping[str, Any] = field(default_factory=dict)

    def run(self, arguments: bytes, listener: Listener) -> tuple[int, bytes, bytes]:
        """Return its exit status, standard output and standard error, once it has ended."""
        with (
            tempfile.TemporaryFile(dir=self.directory) as out,  # without a name
            tempfile.TemporaryFile(dir=self.directory) as err,
            open(os.devnull, "rb") as nothing,
        ):
            reports, to_parent = os.pipe()  # closed in what the module starts
            try:
                # The task's timeout must not come between the fork and the wait for it.
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
                child = os.fork()
                if not child:
                    self._be_the_module(arguments, to_parent, (nothing, out, err))
                os.close(to_parent)
                to_parent = -1
                status = _end_of(child, reports, listener)
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
                for descriptor in (reports, to_parent):
                    if descriptor >= 0:
                        os.close(descriptor)
            return status, _read(out), _read(err)

    def _be_the_module(self, arguments: bytes, to_parent: int, standard: tuple[IO[bytes], ...]) -> NoReturn:
        """Set up what a module finds in a process of its own, run it, and exit."""
        status = 1
        try:
            signal.signal(signal.SIGINT, _interrupt)
            for number in (signal.SIGTERM, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
            for descriptor, file in enumerate(standard):
                os.dup2(file.fileno(), descriptor)
            sys.stdin = os.fdopen(0)
            sys.stdout, sys.stderr = (os.fdopen(one, "w", buffering=1) for one in (1, 2))  # whole lines at once
            logging.root.handlers.clear()  # Ansible's own log
            os.chdir(self.working_directory)
            os.environ.update({name: str(value) for name, value in self.environment.items()})
            tempfile.tempdir = self.directory  # a fork runs nothing of atexit, by which libraries remove their files
            progress.send_to(to_parent)
            _be_no_controller()
            basic._ANSIBLE_ARGS = arguments
            self._call_main()
        except SystemExit as end:
            status = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _call_main(self) -> None:
        try:
            self.main()
        except Exception as error:
            if _loader is None:  # 2.18 takes what is on standard error
                raise
            _loader._handle_exception(error, PROFILE)


def encoded(options: Mapping[str, Any]) -> bytes:
    """Return the options of a module as Ansible hands them over. Raises TypeError where JSON does not have a value."""
    arguments = {"ANSIBLE_MODULE_ARGS": options}
    if _loader is None:
        from ansible.module_utils.common.json import AnsibleJSONEncoder

        return json.dumps(arguments, cls=AnsibleJSONEncoder, vault_to_text=True).encode()
    return json.dumps(arguments, cls=get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE)).encode()


def _interrupt(*_arguments: object) -> None:
    """End as Python does, but also where a thread does not end: it may wait for minutes yet."""
    signal.alarm(_GRACE_SECONDS)
    signal.default_int_handler(signal.SIGINT, None)


def _be_no_controller() -> None:
    """Make warnings and tracebacks part of the result, and of this module's alone."""
    for gathered in (warnings._global_warnings, warnings._global_deprecations):
        gathered.clear()
    if _loader is not None:
        _internal.is_controller = False
        _traceback._is_traceback_enabled = _traceback._is_module_traceback_enabled
        basic._ANSIBLE_PROFILE = PROFILE


def _end_of(child: int, reports: int, listener: Listener) -> int:
    """Return the exit status of a module.

    If there is no time to wait for its end, it is ended, and its helm is signaled.
    """
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        _listen(child, reports, listener)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except BaseException:
        _end(child)
        raise


def _listen(child: int, reports: int, listener: Listener) -> None:
    """Hand on what a module reports, until it ends."""
    poll = select.poll()
    poll.register(reports, select.POLLIN)
    while True:
        if poll.poll(_POLL_SECONDS * 1000):
            data = os.read(reports, 65536)
            if not data:
                return
            listener.receive(data)
        elif os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return  # and something that it has started has kept the pipe
        listener.tick()


def _end(child: int) -> None:
    """End a module and all that it has started. helm marks its release as failed."""
    # An interrupted ansible-playbook terminates its workers. A worker that ended before it has ended the stopped module
    # would leave that stopped for good.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(child, signal.SIGSTOP)  # so that it starts nothing more
        os.waitid(os.P_PID, child, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        for process in [child, *_descendants(child)]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
        os.kill(child, signal.SIGCONT)
        os.waitpid(child, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)


def _descendants(process: int) -> list[int]:
    """Return the processes that a process has started, and what these have."""
    # Not killpg: until ansible-core 2.18, the group is that of ansible-playbook itself.
    started = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            started[int(parent)].append(int(stat.parent.name))
    found = [process]
    for one in found:  # grows meanwhile
        found += started[one]
    return found[1:]


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
