# SPDX-License-Identifier: GPL-3.0-or-later
"""Start modules and ansible-playbook in forks of servers that have imported what they import; see fork_server.py."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

MODULES, PLAYBOOKS = (Path(__file__).with_name(f"{name}_server.py") for name in ("module", "playbook"))
MOST_BYTES = 65536
# What neither Ansible nor Python reads when it starts.
OF_A_RUN = frozenset(("ANSWERS", "KUBECONFIG", "NESTED_CLUSTERS_FORK", "PLAYED", "PYTEST_CURRENT_TEST", "TMPDIR"))


class Process(Protocol):
    """A program that runs: of subprocess.Popen, what the tests use."""

    @property
    def pid(self) -> int:
        ...

    @property
    def returncode(self) -> int | None:
        ...

    def poll(self) -> int | None:
        ...

    def wait(self, timeout: float | None = None) -> int:
        ...

    def communicate(self, input: None = None, timeout: float | None = None) -> tuple[str, str]:
        ...


class ForkedProcess:
    """A program in a fork; its number, its exit status and its output as subprocess.Popen has them."""

    def __init__(self, arguments: list[str], pid: int, output: dict[int, bytearray], status: int) -> None:
        self.args = arguments
        self.pid = pid
        self.returncode: int | None = None
        self._output = output
        self._open = set(output)
        self._status = status

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status when it has ended. Raises subprocess.TimeoutExpired."""
        status = self._wait(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def communicate(self, input: None = None, timeout: float | None = None) -> tuple[str, str]:
        """Return standard output and standard error when both have ended. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._open:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            readable, _none, _nothing = select.select(list(self._open), [], [], left)
            if not readable:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            for descriptor in readable:
                data = os.read(descriptor, MOST_BYTES)
                self._output[descriptor] += data
                if not data:
                    os.close(descriptor)
                    self._open.discard(descriptor)
        self.wait(None if deadline is None else max(deadline - time.monotonic(), 0))
        out, err = (data.decode() for data in self._output.values())
        return out, err

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            told = os.read(self._status, MOST_BYTES)
            os.close(self._status)
            if not told:
                raise ChildProcessError(f"the server of {self.args[0]} has ended, and with it the exit status")
            self.returncode = int(told)
        return self.returncode


class ForkServer:
    """The other side of a server; it ends with this process, however that ends."""

    def __init__(self, program: Path, environment: Mapping[str, str]) -> None:
        self.program = program
        self.lock = threading.Lock()
        self.requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, str(program)],
                env=environment,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt is for the tests
            )

    def start(
        self, arguments: list[str], environment: Mapping[str, str], directory: str, **more: object
    ) -> ForkedProcess:
        """Start the program that the first argument names, in a fork, with exactly this environment.

        ``more``: what else the program of the server reads from a request.
        """
        pipes = [os.pipe() for _what in ("output", "errors", "status")]
        request = {"arguments": arguments, "environment": dict(environment), "directory": directory, **more}
        try:
            with self.lock:
                socket.send_fds(self.requests, [json.dumps(request).encode()], [write for _read, write in pipes])
                pid = int(self.requests.recv(MOST_BYTES) or 0)
        finally:
            for _read, write in pipes:
                os.close(write)
        if not pid:
            raise ChildProcessError(f"{self.program.name} has ended with {self.process.wait()}")
        out, err, status = (read for read, _write in pipes)
        return ForkedProcess(arguments, pid, {out: bytearray(), err: bytearray()}, status)

    def close(self) -> None:
        """End it and wait for its end, so that its CPU time and that of its children count as this process's."""
        self.requests.close()
        with suppress(subprocess.TimeoutExpired):  # a program may run that a test has left
            self.process.wait(5)


_servers: dict[tuple[object, ...], ForkServer] = {}
_lock = threading.Lock()


def _server(program: Path, environment: Mapping[str, str], *kind: object) -> ForkServer:
    """Return this process's server of a kind, which the first call starts."""
    key = (os.getpid(), program, *kind)
    with _lock:
        if key not in _servers:
            _servers[key] = ForkServer(program, environment)
        return _servers[key]


@atexit.register
def close() -> None:
    """End the servers of this process."""
    for key in [key for key in _servers if key[0] == os.getpid()]:
        _servers.pop(key).close()


def start(
    arguments: list[str], environment: dict[str, str], constants: Mapping[str, float] | None = None
) -> ForkedProcess:
    """Start the module whose file is the first argument, in a fork, with exactly this environment.

    ``constants``: values of constants of module_utils, by name, that differ from what they are.
    """
    return _server(MODULES, os.environ).start(arguments, environment, os.getcwd(), constants=dict(constants or {}))


def start_playbook(
    arguments: list[str], environment: Mapping[str, str], directory: Path | None = None
) -> ForkedProcess:
    """Start ansible-playbook in a fork, with these arguments, exactly this environment, and a working directory.

    Its server is of the same environment but for OF_A_RUN, so it is worth its start where many runs have one.
    """
    lasting = {name: value for name, value in environment.items() if name not in OF_A_RUN}
    program = str(Path(sys.prefix) / "bin/ansible-playbook")
    server = _server(PLAYBOOKS, lasting, *sorted(lasting.items()))
    return server.start([program, *arguments], environment, str(directory or Path.cwd()))


def run_playbook(
    arguments: list[str], environment: Mapping[str, str], directory: Path | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook in a fork to its end, as start_playbook starts it. Raises subprocess.TimeoutExpired."""
    process = start_playbook(arguments, environment, directory)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)
