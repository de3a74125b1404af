# SPDX-License-Identifier: GPL-3.0-or-later
"""Start modules through module_server.py, of which each process of the tests has one."""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

PROGRAM = Path(__file__).with_name("module_server.py")
MOST_BYTES = 65536


class Process(Protocol):
    """A module that runs: of subprocess.Popen, what the tests use."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def communicate(self, input: None = None, timeout: float | None = None) -> tuple[str, str]: ...


class ForkedProcess:
    """A module in a fork; its number, its exit status and its output as subprocess.Popen has them."""

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
                raise ChildProcessError(f"the server of module {self.args[0]} has ended, and with it the exit status")
            self.returncode = int(told)
        return self.returncode


class ModuleServer:
    """The other side of module_server.py; it ends with this process, however that ends."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt is for the tests
            )

    def start(self, arguments: list[str], environment: dict[str, str], constants: dict[str, float]) -> ForkedProcess:
        """Start the module whose file is the first argument, in a fork, with exactly this environment.

        ``constants``: values of constants of module_utils, by name, that differ from what they are.
        """
        pipes = [os.pipe() for _what in ("output", "errors", "status")]
        request = {
            "arguments": arguments,
            "environment": environment,
            "constants": constants,
            "directory": os.getcwd(),
        }
        try:
            with self.lock:
                socket.send_fds(self.requests, [json.dumps(request).encode()], [write for _read, write in pipes])
                pid = int(self.requests.recv(MOST_BYTES) or 0)
        finally:
            for _read, write in pipes:
                os.close(write)
        if not pid:
            raise ChildProcessError(f"the server of modules has ended with {self.process.wait()}")
        out, err, status = (read for read, _write in pipes)
        return ForkedProcess(arguments, pid, {out: bytearray(), err: bytearray()}, status)


    def end(self) -> None:
        """End it, and wait for that: only of whom a process has waited for its CPU time is told."""
        self.requests.close()
        with suppress(subprocess.TimeoutExpired):  # a module may run that a test has left
            self.process.wait(5)


_servers: dict[int, ModuleServer] = {}
_lock = threading.Lock()


def start(
    arguments: list[str], environment: dict[str, str], constants: dict[str, float] | None = None
) -> ForkedProcess:
    """Start a module in a fork of this process's server, which the first call starts."""
    with _lock:
        server = _servers.get(os.getpid())
        if server is None:
            server = _servers[os.getpid()] = ModuleServer()
            atexit.register(server.end)
    return server.start(arguments, environment, constants or {})
