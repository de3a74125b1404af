# SPDX-License-Identifier: GPL-3.0-or-later
"""A second host cluster for the tests of groups: started by whoever needs it first, ended by the last one.

Test processes share it, also those of pytest-xdist. A lock of the operating system counts them, so that one that
was killed does not count.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from modules import REPOSITORY

HOST_CLUSTER = REPOSITORY / "tests" / "host_cluster" / "host-cluster"
LOCKS = REPOSITORY / "build" / "second-host"
IMPOSSIBLE = 2  # exit code of host-cluster where this machine cannot have one
SECONDS = 1800  # its binaries may have to be built


@contextmanager
def second_kubeconfig(first: str) -> Iterator[str | None]:
    """The kubeconfig of a host cluster beside the one of kubeconfig ``first``; None where there can be none.

    It is the one that NESTED_CLUSTERS_SECOND_KUBECONFIG names, else one of our own.
    """
    if given := os.environ.get("NESTED_CLUSTERS_SECOND_KUBECONFIG"):
        yield given
        return
    name = second_name(first)
    LOCKS.mkdir(parents=True, exist_ok=True)
    with (LOCKS / f"{name}.starting").open("w") as starting, (LOCKS / f"{name}.users").open("w") as users:
        fcntl.flock(starting, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            kubeconfig = up(name)
            fcntl.flock(starting, fcntl.LOCK_UN)
            yield kubeconfig
        finally:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if is_alone(users):
                command("down", "--name", name)


def second_name(first: str) -> str:
    """The name of our own one: two runs of the tests that have host clusters of their own do not share it."""
    state = os.environ.get("NESTED_CLUSTERS_STATE") or "/var/lib/nested-clusters"
    path = Path(first).resolve()
    ours = path.parent.parent == Path(state).resolve()
    return f"{path.parent.name[:18] if ours else 'nested-ci'}-b"


def up(name: str) -> str | None:
    """Bring a host cluster up, and give its kubeconfig; None, with a warning, where that is not possible."""
    done = command("up", "--name", name)
    if done.returncode not in (0, IMPOSSIBLE):
        done = command("up", "--name", name)  # it goes on: where many tests run, it is not ready in time at first
    if done.returncode == IMPOSSIBLE:
        warnings.warn(f"groups are tested with one host cluster only: {done.stderr.strip()}", stacklevel=2)
        return None
    assert done.returncode == 0, f"host-cluster up --name {name}: exit {done.returncode}\n{done.stderr}"
    return done.stdout.strip()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run host-cluster in a process group of its own: an interrupt of the tests leaves nothing half done."""
    return subprocess.run(
        [str(HOST_CLUSTER), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        start_new_session=True,
    )


def is_alone(users: TextIO) -> bool:
    """Whether no other process uses the host cluster; gives up the own use."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
