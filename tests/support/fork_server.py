# SPDX-License-Identifier: GPL-3.0-or-later
"""What module_server.py and playbook_server.py have in common: run a program in forks of a warm process.

Importing what a program imports takes most of its time. A server, started by forked.py, does it once, and then makes a
child for each request on the socket that is its standard input. It has one thread and no connection, so a fork copies
nothing that works. A child is a process of its own like any other: it leads a session, has standard streams, an
environment, arguments and a directory of its own, and ends with an exit status.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from typing import Any

DESCRIPTORS = 3  # standard output, standard error, and where the exit status is written
MOST_BYTES = 1 << 20


def receive(server: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next request and its descriptors; None at the end of the requests."""
    data, descriptors, _flags, _address = socket.recv_fds(server, MOST_BYTES, DESCRIPTORS)
    return (json.loads(data), descriptors) if data else None


def open_descriptors() -> set[int]:
    """Return the file descriptors that are open in this process."""
    with os.scandir("/proc/self/fd") as found:
        listed = {int(entry.name) for entry in found}
    return {descriptor for descriptor in listed if is_open(descriptor)}


def is_open(descriptor: int) -> bool:
    """Return whether a file descriptor is open."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def become(request: dict[str, Any], descriptors: list[int], kept: set[int]) -> None:
    """Be in a child what a new Python would be that runs a program: its session, files, environment and arguments.

    What the imports have opened, such as a log file, stays open.
    """
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    silence = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((silence, 0), (descriptors[0], 1), (descriptors[1], 2)):
        os.dup2(source, target)
    for descriptor in open_descriptors() - kept - {0, 1, 2}:
        os.close(descriptor)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    sys.path[0] = os.path.dirname(sys.argv[0])
    tempfile.tempdir = None  # TMPDIR may say another one


class Exit:
    """Leave out the end of an interpreter that frees what was imported: it takes as long as most modules.

    What is registered first with atexit is called last: when threads have ended, and after what a program registers.
    """

    def __init__(self) -> None:
        self.status = 0
        atexit.register(self.leave)

    def after(self, run: Callable[[], None]) -> None:
        """Run something, and keep the exit status that Python gives it."""
        try:
            run()
        except SystemExit as end:
            self.status = end.code if isinstance(end.code, int) else int(end.code is not None)
            raise
        except BaseException:
            self.status = 1
            raise

    def leave(self) -> None:
        """End this process."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.status & 0xFF)


class Server:
    """The parent: it forks, and tells how each child has ended."""

    def __init__(self) -> None:
        self.kept = open_descriptors()
        # Not on 0 any more, which is a child's standard input.
        self.requests = socket.socket(fileno=os.dup(0))
        self.ended: dict[int, int] = {}  # process to where its status is written
        self.woken, waking = os.pipe()
        os.set_blocking(waking, False)
        os.set_blocking(self.woken, False)
        signal.set_wakeup_fd(waking)
        signal.signal(signal.SIGCHLD, lambda *_ignored: None)

    def serve(self) -> dict[str, Any] | None:
        """Serve until there are no more requests. A child returns its request, which says what to run."""
        while True:
            readable, _none, _nothing = select.select([self.requests.fileno(), self.woken], [], [])
            if self.woken in readable:
                os.read(self.woken, 4096)
                self.reap()
            if self.requests.fileno() in readable:
                received = receive(self.requests)
                if received is None:
                    return None
                if self.fork(*received):
                    return received[0]

    def fork(self, request: dict[str, Any], descriptors: list[int]) -> bool:
        """Make a child and tell its number. True in the child."""
        child = os.fork()
        if not child:
            become(request, descriptors, self.kept)
            return True
        *files, status = descriptors
        for descriptor in files:
            os.close(descriptor)
        self.ended[child] = status
        self.requests.sendall(str(child).encode())
        return False

    def reap(self) -> None:
        """Tell the exit status of each child that has ended."""
        for child in list(self.ended):
            number, status = os.waitpid(child, os.WNOHANG)
            if number:
                told = self.ended.pop(child)
                with contextlib.suppress(OSError):  # nobody may wait for it
                    os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
                os.close(told)


def serve(warm_up: Callable[[], None], run: Callable[[dict[str, Any]], None]) -> None:
    """Warm up and serve. A child leaves the loop, runs what ``sys.argv`` says, and ends as that does."""
    end = Exit()
    warm_up()
    gc.collect()
    gc.freeze()  # collections in children do not touch, and so copy, what is shared
    if request := Server().serve():
        end.after(lambda: run(request))
