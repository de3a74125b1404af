# SPDX-License-Identifier: GPL-3.0-or-later
"""The host cluster to measure on: KUBECONFIG's, or one of our own for as long as the run takes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from api import Api
from report import BenchError, stage

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "nested-bench"
SECOND_NAME = "nested-second-bench"  # nodes whose names begin with the other are removed as the benchmarks' own
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Someone asked us to stop."""


@dataclass(frozen=True)
class Host:
    """Where to measure and with what."""

    kubeconfig: str
    binaries: Path
    chart: str
    api: Api

    @property
    def env(self) -> dict[str, str]:
        """What our programs are started with: KUBECONFIG's owner's helm first, else the host cluster's."""
        own = bool(os.environ.get("KUBECONFIG"))
        parts = [os.environ["PATH"], str(self.binaries)]
        return {"KUBECONFIG": self.kubeconfig, "PATH": ":".join(parts if own else reversed(parts))}

    def run(self, *argv: str, **env: str) -> str:
        """Run a program on this host cluster. Raises BenchError when it fails."""
        done = subprocess.run(
            argv,
            env={**os.environ, **self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"{' '.join(argv[:3])}: {done.stderr.strip()[-2000:]}")
        return done.stdout


def host_cluster(*argv: str) -> str:
    """Run host-cluster and return what it prints; its progress goes to the terminal."""
    command = [str(REPOSITORY / "tests/host_cluster/host-cluster"), *argv]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BenchError(f"host-cluster {argv[0]} failed with exit status {done.returncode}")
    return done.stdout.strip()


def interrupted(number: int, _frame: FrameType | None) -> NoReturn:
    """Turn a signal into an exception, so that what was started is stopped."""
    raise Interrupted(signal.Signals(number).name)


def on_signals(action: signal.Handlers | signal._HANDLER) -> None:
    """Set what every signal that asks us to stop does."""
    for number in SIGNALS:
        signal.signal(number, action)


def connect(kubeconfig: str) -> Host:
    """The host cluster of a kubeconfig, and the tools for it."""
    binaries = Path(host_cluster("bin-dir"))
    return Host(kubeconfig, binaries, host_cluster("chart"), Api(kubeconfig))


def second_host() -> AbstractContextManager[Host]:
    """Another host cluster, for groups of two."""
    return host(SECOND_NAME, "NESTED_CLUSTERS_SECOND_KUBECONFIG")


@contextmanager
def host(name: str = NAME, variable: str = "KUBECONFIG") -> Iterator[Host]:
    """Yield the host cluster that an environment variable names, or our own of this name.

    What was made on it is removed, whatever happens.
    """
    on_signals(interrupted)
    own = os.environ.get(variable)
    try:
        if own:
            found = connect(own)
            with stage("removing what an earlier run left", "0 s, if nothing"):
                found.api.clean()
            try:
                yield found
            finally:
                on_signals(signal.SIG_IGN)
                with stage("removing what was made", "30 s"):
                    found.api.clean()
        else:
            with stage("starting a host cluster", "20 s; 15 min if it is to be built"):
                kubeconfig = host_cluster("up", "--name", name)
            yield connect(kubeconfig)
    finally:
        on_signals(signal.SIG_IGN)  # the end is not to be interrupted
        if not own:
            with stage("taking the host cluster down", "5 s"):
                host_cluster("down", "--name", name)
