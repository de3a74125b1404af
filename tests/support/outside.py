# SPDX-License-Identifier: GPL-3.0-or-later
"""A client outside of a host cluster, and virtual clusters that it reaches by one type of endpoint."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from host_api import Host
from modules import REPOSITORY, Module
from places import Place

HOST_CLUSTER = REPOSITORY / "tests" / "host_cluster" / "host-cluster"
DOMAIN = "vc.example.com"
ENDPOINTS: dict[str, dict[str, Any]] = {
    "load_balancer": {"type": "load_balancer"},
    "gateway": {"type": "gateway", "gateway_name": "virtual-clusters", "gateway_namespace": "nested-gateway"},
    "ingress": {"type": "ingress", "ingress_class": "nginx"},
}


@dataclass
class Client:
    """A machine outside of the host cluster: programs that run there, in its network and with its resolver."""

    host: Host = field(repr=False)
    pid: str

    def there(self, dns: bool = True) -> tuple[str, ...]:
        """What runs a command there; without ``dns`` with a resolver that knows nothing."""
        return ("nsenter", f"--target={self.pid}", "--net", *(["--mount"] if dns else []), "--")

    def call(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.host.call(*self.there(), self.host.program(command[0]), *command[1:], check=check)

    def kubectl(self, kubeconfig: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Use a virtual cluster, with its kubeconfig."""
        return self.call("kubectl", f"--kubeconfig={kubeconfig}", "--request-timeout=20s", *arguments, check=check)

    def tls(self, where: str, name: str, authority: Path | None = None) -> str:
        """What openssl says of a TLS server at an address or a name, asked for a name."""
        trust = ["-CAfile", str(authority), "-verify_hostname", name] if authority else []
        return self.call(
            "openssl", "s_client", "-connect", f"{where}:443", "-servername", name, *trust, check=False
        ).stdout


def fingerprint(said: str) -> str | None:
    """SHA-256 of the certificate that openssl was shown, None for none."""
    found = re.search("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", said, re.DOTALL)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest() if found else None


@contextmanager
def outside(host: Host) -> Iterator[Client]:
    """It goes with the process that holds its network, and this one with the tests, however they end."""
    cluster, dns = os.environ["OUTSIDE_HOST_CLUSTER"], os.environ["OUTSIDE_DNS"]
    command = [str(HOST_CLUSTER), "client", "--name", cluster, "--dns", dns, "--", "sh", "-c", "echo $$; exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        yield Client(host, holder.stdout.readline().strip())


@dataclass
class Way:
    """Two virtual clusters that have endpoints of one type, and what the tasks that made them so said."""

    kind: str
    client: Client = field(repr=False)
    defaults: dict[str, Any] = field(repr=False)
    directory: Path = field(repr=False)
    places: list[Place]
    dns: bool = True
    results: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> Host:
        return self.client.host

    @property
    def vcluster(self) -> Module:
        """The module nested.clusters.vcluster, run by the client."""
        through = self.client.there(self.dns)
        return Module(self.host, self.directory, "vcluster", self.defaults, through=through)

    def options(self, where: Place) -> dict[str, Any]:
        """The task."""
        return {
            "name": where.name,
            "endpoint": {**ENDPOINTS[self.kind], "host": f"{where.name}.{DOMAIN}"},
            "export_kubeconfig": {"path": str(self.kubeconfig(where))},
        }

    def kubeconfig(self, where: Place, kind: str = "") -> Path:
        """A file for each way, so that those of the last one are still there."""
        return self.directory / f"{kind or self.kind}-{where.name}"

    def go(self) -> None:
        """Give both this endpoint, at once."""
        started = [(where, self.vcluster.start(self.options(where))) for where in self.places]
        for where, process in started:
            self.results[where.name] = result = self.vcluster.finish(process)
            assert not result.get("failed"), f"{result.get('msg')}\n{result.get('exception', '')}"

    def address(self, where: Place) -> str:
        """Where its clients connect: a name, or the address of a load balancer."""
        return str(self.results[where.name]["endpoint"]["url"]).removeprefix("https://")

    def of_its_own(self, where: Place) -> str | None:
        """The fingerprint of a control plane's certificate, asked in the host cluster."""
        host = self.host
        address = host.get(where.path("services", where.name))["spec"]["clusterIP"]
        asked = host.call("openssl", "s_client", "-connect", f"{address}:443", "-servername", f"{where.name}.{DOMAIN}")
        return fingerprint(asked.stdout)

    def info(self, where: Place) -> dict[str, Any]:
        """What vcluster_endpoint_info says to the client."""
        through = self.client.there(self.dns)
        module = Module(self.host, self.directory, "vcluster_endpoint_info", through=through)
        found: dict[str, Any] = module(name=where.name)["endpoint"]
        return found

    def broken(self, where: Place) -> str | None:
        """The link that is broken, and why."""
        *_others, last = self.info(where)["links"]
        return None if last["ok"] else f"{last['name']}: {last['message']}"
