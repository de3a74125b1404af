# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane without a node, for whoever starts this program: etcd, the API server, controllers, scheduler, kwok.

It needs no root, and changes nothing on the machine but a directory in memory. When it is ready, it prints one line of
JSON: paths, and the number of each process. It ends, and leaves nothing, when its standard input ends, as it does
however the process ends that holds the other side.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import binaries
import components
import config
import pki
from common import HostClusterError, write

PREFIX = "nested-clusters-api-"
SECONDS = 60
POLL_SECONDS = 0.05
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class ControlPlane(config.Cluster):
    """A cluster whose API server listens on the machine's own loopback device, and whose etcd on sockets."""

    free_port: int

    @property
    def node_ip(self) -> str:
        """Address of the API server."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """Port of the API server."""
        return self.free_port

    @property
    def etcd(self) -> str:
        """Socket of etcd."""
        return f"unix://{self.state}/etcd"

    @property
    def etcd_peer(self) -> str:
        """Socket of etcd for other members."""
        return f"unix://{self.state}/peer"

    @property
    def etcd_data(self) -> Path:
        """Where etcd keeps its data."""
        return self.state / "data"


def check_machine() -> None:
    """Say in one sentence what is missing."""
    if platform.system() != "Linux":
        raise HostClusterError(f"a control plane for tests needs Linux, and this is {platform.system()}", 2)
    if not binaries.bundle_root().exists():
        raise HostClusterError("its binaries are not built: run tests/host_cluster/host-cluster binaries", 2)
    if not shutil.which("openssl"):
        raise HostClusterError("openssl is not installed", 2)


def base() -> Path:
    """Return the directory for states: in memory, where there is such a one."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


@contextmanager
def new_state() -> Iterator[Path]:
    """Yield a new directory, locked as long as it is used, and remove what a killed program has left of its own."""
    for old in base().glob(f"{PREFIX}*"):
        with suppress(OSError), locked(old):
            shutil.rmtree(old)
    new = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=base()))
    with locked(new):  # it is not found by the loop above, of another program, before that
        state = new.rename(new.with_name(new.name[1:]))
        try:
            yield state
        finally:
            shutil.rmtree(state, ignore_errors=True)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a directory. Raises BlockingIOError where somebody else does."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


@contextmanager
def reserved_port() -> Iterator[int]:
    """Yield a port that nobody else gets, but that a program may share which says so."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def egress(cluster: ControlPlane) -> dict[str, object]:
    """Return the API server's configuration of the way to pods: through a socket, behind which a test answers."""
    connection = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": str(cluster.state / "pods")}}}
    return {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": connection}],
    }


def plan(cluster: ControlPlane) -> list[components.Component]:
    """Return the components; those after the API server wait for it."""
    api = ("api",)
    unserved = "--secure-port=0"
    # That one waits five seconds before it acts, for the sake of other API servers: whoever starts this does its work.
    controllers = "--controllers=*,-namespace-controller"
    server = [
        *components.apiserver(cluster),
        "--bind-address=127.0.0.1",
        "--permit-port-sharing=true",
        # There is no Service to reach it by, and an Endpoints object with a loopback address is refused.
        "--endpoint-reconciler-type=none",
        f"--egress-selector-config-file={cluster.etc}/egress.json",
    ]
    manager = [*components.controller_manager(cluster), unserved, controllers]
    return [
        components.Component("etcd", components.etcd(cluster)),
        components.Component("kube-apiserver", server),
        components.Component("kube-controller-manager", manager, api),
        components.Component("kube-scheduler", [*components.scheduler(cluster), unserved], api),
        components.Component("kwok", components.kwok(cluster, binaries.stages_path()), api),
    ]


class Processes:
    """The components that run; they die with this process, however it ends."""

    def __init__(self, cluster: ControlPlane) -> None:
        self.cluster = cluster
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, part: components.Component) -> None:
        """Start one; its output goes to its log."""
        libc = ctypes.CDLL(None)
        with (self.cluster.logs / f"{part.name}.log").open("ab") as log:
            self.running[part.name] = subprocess.Popen(
                [str(binaries.bin_dir() / part.argv[0]), *part.argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.cluster.state,
                env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.cluster.state)},
                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
            )

    def check(self) -> None:
        """Raise HostClusterError where one has ended."""
        for name, process in self.running.items():
            if process.poll() is not None:
                log = (self.cluster.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
                raise HostClusterError(f"{name} ended with {process.returncode}: {log.strip()[-800:]}")

    def kill(self) -> None:
        """End all at once: nothing of theirs is kept."""
        for process in self.running.values():
            process.kill()
        for process in self.running.values():
            process.wait()


def answers(cluster: ControlPlane, context: ssl.SSLContext) -> bool:
    """Tell whether the API server is ready."""
    with suppress(OSError), urllib.request.urlopen(f"{cluster.server}/readyz", timeout=5, context=context) as answer:
        return bool(answer.status == 200)
    return False


def start(cluster: ControlPlane, processes: Processes) -> None:
    """Start all components, and wait for the API server. Raises HostClusterError."""
    pki.make(cluster)
    write(cluster.etc / "egress.json", json.dumps(egress(cluster)))
    cluster.logs.mkdir()
    parts = plan(cluster)
    for part in parts:
        if not part.after:
            processes.start(part)
    context = ssl.create_default_context(cafile=str(cluster.pki / "ca.crt"))
    context.load_cert_chain(cluster.pki / "admin.crt", cluster.pki / "admin.key")
    deadline = time.monotonic() + SECONDS
    while not answers(cluster, context):
        processes.check()
        if time.monotonic() > deadline:
            raise HostClusterError(f"the API server is not ready after {SECONDS} s")
        time.sleep(POLL_SECONDS)
    for part in parts:
        if part.after:
            processes.start(part)


def run() -> None:
    """Run a control plane until standard input ends."""
    check_machine()
    with new_state() as state, reserved_port() as port:
        cluster = ControlPlane("api", 0, state, port)
        processes = Processes(cluster)
        try:
            start(cluster, processes)
            told = {
                "state": str(state),
                "kubeconfig": str(cluster.kubeconfig),
                "programs": str(binaries.bin_dir()),
                "chart": str(binaries.chart_path()),
                "processes": {name: process.pid for name, process in processes.running.items()},
            }
            print(json.dumps(told), flush=True)
            sys.stdin.buffer.read()
        finally:
            processes.kill()


def main() -> int:
    """Run; an error is one sentence."""
    signal.signal(signal.SIGTERM, lambda *_ignored: sys.exit(1))
    try:
        run()
    except HostClusterError as error:
        print(f"control plane: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
