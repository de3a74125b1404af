# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program that ends when another process does, however that ends: run_until_end.py PID SECONDS COMMAND...

Scenarios of molecule start servers in the background. A run that is killed stops none of them, and the next one would
meet them at the same addresses. PID 0 stands for no process: then the program ends after so many seconds, at the
latest.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
SECONDS_TO_STOP = 5


def follow(pid: int) -> list[int]:
    """Return a descriptor that can be read once a process has ended; none for process 0.

    Raises ProcessLookupError where it has ended already.
    """
    return [os.pidfd_open(pid)] if pid else []


def end_with_parent() -> None:
    """Have the kernel end this process with the one that started it, also if that one is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def stop(program: subprocess.Popen[bytes]) -> None:
    """Ask a program to end, then make it."""
    program.terminate()
    try:
        program.wait(SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


def main() -> int:
    """Run the program of the command line, and return its exit status; 0 where it was ended."""
    pid, seconds, *command = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        followed = follow(int(pid))
    except ProcessLookupError:
        return 0
    program = subprocess.Popen(command, preexec_fn=end_with_parent)
    try:
        select.select([os.pidfd_open(program.pid), *followed], [], [], float(seconds))
    finally:
        finished = program.poll()
        stop(program)
    return finished or 0


if __name__ == "__main__":
    sys.exit(main())
