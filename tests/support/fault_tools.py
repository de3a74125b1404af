# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fault tests break things with: a line that can be cut, and the processes of a host cluster of their own."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from host_api import Host
from modules import REPOSITORY

FULL = os.environ.get("NESTED_CLUSTERS_FAULTS") == "full"
SEED = int(os.environ["NESTED_CLUSTERS_SEED"])  # hooks.py sets it, once for all processes
OWN = "nested-faults"
SECONDS_TO_BUILD = 1800  # its binaries may have to be built


def chance(*words: object) -> random.Random:
    """Random numbers that are the same whenever the seed is, whatever order tests run in."""
    return random.Random(f"{SEED} {words}")


@dataclass
class Line:
    """A TCP proxy that passes everything on, as it comes, until it is cut."""

    target: tuple[str, int]
    server: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    open: set[socket.socket] = field(default_factory=set)
    is_cut: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def port(self) -> int:
        return int(self.server.getsockname()[1])

    def serve(self) -> None:
        """Take connections until the server is closed."""
        while True:
            try:
                near, _address = self.server.accept()
            except OSError:
                return
            if self.is_cut:
                near.close()
                continue
            with contextlib.suppress(OSError):
                far = socket.create_connection(self.target, 5)
                with self.lock:
                    self.open |= {near, far}
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self.pump, args=pair, daemon=True).start()

    def pump(self, source: socket.socket, target: socket.socket) -> None:
        """Pass on what comes from one side until it ends."""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        self.close(source, target)

    def close(self, *ends: socket.socket) -> None:
        """End connections in the middle, whatever is under way."""
        with self.lock:
            self.open -= set(ends)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut(self) -> None:
        """No byte passes any more."""
        self.is_cut = True
        with self.lock:
            ends = list(self.open)
        self.close(*ends)

    def restore(self) -> None:
        """New connections pass."""
        self.is_cut = False


@contextmanager
def line_to(host: Host, directory: Path) -> Iterator[tuple[Line, str]]:
    """A line to a host cluster's API server, and a kubeconfig that goes through it."""
    config = json.loads(host.call("kubectl", "config", "view", "--raw", "--flatten", "--minify", "-o", "json").stdout)
    cluster = config["clusters"][0]["cluster"]
    there = urlsplit(cluster["server"])
    line = Line((there.hostname or "", there.port or 443))
    cluster.update({"server": f"https://127.0.0.1:{line.port}", "tls-server-name": there.hostname})
    kubeconfig = directory / f"line-{line.port}"
    kubeconfig.write_text(json.dumps(config))
    kubeconfig.chmod(0o600)
    threading.Thread(target=line.serve, daemon=True).start()
    try:
        yield line, str(kubeconfig)
    finally:
        line.cut()
        line.server.close()


def carrying(mark: str) -> dict[int, str]:
    """Command lines of the processes, by number, that have a text in their environment."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            if mark.encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
    return found


@dataclass(frozen=True)
class Machine:
    """A host cluster of the tests' own, whose components may be killed."""

    kubeconfig: str
    state: Path

    def process(self, component: str) -> int:
        """The process of a component, as the machine numbers it; its own cluster numbers it otherwise."""
        inside = json.loads((self.state / "components.json").read_text()).get(component)
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
                numbers = lines.get("NSpid", "").split()
                if len(numbers) > 1 and numbers[-1] == str(inside) and self._is_ours(status.parent):
                    return int(numbers[0])
        raise ProcessLookupError(f"{component} does not run")

    def _is_ours(self, process: Path) -> bool:
        """Whether a process is in the cgroup of this host cluster."""
        return f"nested-clusters-{self.state.name}" in (process / "cgroup").read_text()

    def signal(self, component: str, number: int) -> None:
        """Send a signal to a component."""
        os.kill(self.process(component), number)

    @contextmanager
    def stopped(self, component: str) -> Iterator[None]:
        """Have a component that hangs."""
        self.signal(component, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(component, signal.SIGCONT)

    def short_lived(self, directory: Path, seconds: float) -> str:
        """A kubeconfig of an administrator whose certificate expires after this time, to the next full second."""
        signer = x509.load_pem_x509_certificate((self.state / "pki/ca.crt").read_bytes())
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
        names = {NameOID.ORGANIZATION_NAME: "system:masters", NameOID.COMMON_NAME: "short-lived"}
        subject = x509.Name([x509.NameAttribute(kind, text) for kind, text in names.items()])
        builder = x509.CertificateBuilder(signer.subject, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(minutes=1))
        builder = builder.not_valid_after((now + timedelta(seconds=seconds + 1)).replace(microsecond=0))
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        authority: Any = load_pem_private_key((self.state / "pki/ca.key").read_bytes(), None)
        certificate = builder.add_extension(usage, critical=False).sign(authority, hashes.SHA256())
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        config = json.loads(Path(self.kubeconfig).read_text())
        config["users"][0]["user"] = {
            "client-certificate-data": base64.b64encode(certificate.public_bytes(Encoding.PEM)).decode(),
            "client-key-data": base64.b64encode(secret).decode(),
        }
        kubeconfig = directory / f"short-lived-{certificate.serial_number}"
        kubeconfig.touch(0o600)
        kubeconfig.write_text(json.dumps(config))
        return str(kubeconfig)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run host-cluster in a process group of its own: an interrupt of the tests leaves nothing half done."""
    return subprocess.run(
        [str(REPOSITORY / "tests/host_cluster/host-cluster"), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_BUILD,
        check=False,
        start_new_session=True,
    )


@contextmanager
def own_machine() -> Iterator[Machine]:
    """A host cluster that nobody else uses; it is taken down at the end."""
    try:
        done = command("up", "--name", OWN)
        assert done.returncode == 0, done.stderr
        kubeconfig = done.stdout.strip()
        yield Machine(kubeconfig, Path(kubeconfig).parent)
    finally:
        command("down", "--name", OWN)


@contextmanager
def meanwhile(action: Callable[[], object], pause: float = 0.05) -> Iterator[None]:
    """Do something again and again in the background."""
    end = threading.Event()

    def work() -> None:
        while not end.wait(pause):
            with contextlib.suppress(AssertionError):  # what is to be changed may be gone
                action()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def later(seconds: float, action: Callable[[], object]) -> threading.Thread:
    """Do something after some seconds, beside what the test does."""

    def work() -> None:
        time.sleep(seconds)
        action()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
