# SPDX-License-Identifier: GPL-3.0-or-later
"""Run modules in forks of a process that has imported what they import.

A new Python takes a third of a second to import it. This program, started by forked.py, does it once, and then makes
a child for each request on the socket that is its standard input. It has one thread and no connection, so a fork copies
nothing that works. A child is a process of its own like any other: it leads a session, has pipes and an environment of
its own, and runs the module's file as ``__main__``.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

COLLECTION = "ansible_collections.nested.clusters.plugins.module_utils"
WARM = ("ansible.module_utils.basic", "kubernetes.client", "kubernetes.config", "urllib3", "yaml")
DESCRIPTORS = 3  # standard output, standard error, and where the exit status is written
MOST_BYTES = 1 << 20


def warm_up() -> None:
    """Import what modules import, from where PYTHONPATH leads to."""
    for name in WARM:
        importlib.import_module(name)
    package = importlib.import_module(COLLECTION)
    for module in pkgutil.walk_packages(package.__path__, f"{COLLECTION}."):
        importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # collections in children do not touch, and so copy, what is shared


def receive(server: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return the next request and its descriptors; None at the end of the requests."""
    data, descriptors, _flags, _address = socket.recv_fds(server, MOST_BYTES, DESCRIPTORS)
    return (json.loads(data), descriptors) if data else None


def become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Be in a child what a new Python would be that runs a module: its session, files, environment and arguments."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    silence = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((silence, 0), (descriptors[0], 1), (descriptors[1], 2)):
        os.dup2(source, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    sys.path[0] = os.path.dirname(sys.argv[0])
    for name, value in request["constants"].items():
        set_constant(name, value)


def set_constant(name: str, value: float) -> None:
    """Set a constant that module_utils have, such as ``lifecycle.present.SETTLE_SECONDS``."""
    module, _dot, constant = f"{COLLECTION}.{name}".rpartition(".")
    assert hasattr(sys.modules[module], constant), name
    setattr(sys.modules[module], constant, value)


def run_module() -> None:
    """Run the file that the first argument names as ``__main__``."""
    with open(sys.argv[0], "rb") as file:
        code = compile(file.read(), sys.argv[0], "exec")
    main = ModuleType("__main__")
    main.__dict__.update({"__file__": sys.argv[0], "__builtins__": __builtins__})
    sys.modules["__main__"] = main
    exec(code, main.__dict__)


class Exit:
    """Leave out the end of an interpreter that frees what was imported: it takes as long as most modules.

    What is registered first with atexit is called last: when threads have ended, and after all that a module registers.
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
        # Not on 0 any more, which is a child's standard input.
        self.requests = socket.socket(fileno=os.dup(0))
        self.ended: dict[int, int] = {}  # process to where its status is written
        self.woken, waking = os.pipe()
        os.set_blocking(waking, False)
        os.set_blocking(self.woken, False)
        signal.set_wakeup_fd(waking)
        signal.signal(signal.SIGCHLD, lambda *_ignored: None)

    def serve(self) -> bool:
        """Serve until there are no more requests. True in a child, which has a module to run."""
        while True:
            readable, _none, _nothing = select.select([self.requests.fileno(), self.woken], [], [])
            if self.woken in readable:
                os.read(self.woken, 4096)
                self.reap()
            if self.requests.fileno() in readable:
                received = receive(self.requests)
                if received is None:
                    return False
                if self.fork(*received):
                    return True

    def fork(self, request: dict[str, Any], descriptors: list[int]) -> bool:
        """Make a child and tell its number. True in the child."""
        child = os.fork()
        if not child:
            become(request, descriptors)
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


def main() -> None:
    """Serve; a child leaves the loop and ends as its module does."""
    end = Exit()
    warm_up()
    if Server().serve():
        end.after(run_module)


if __name__ == "__main__":
    main()
