# SPDX-License-Identifier: GPL-3.0-or-later
"""One host cluster: its name, its index, and every address and path that follows from the two."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from common import HostClusterError, write

INDEXES = range(16)


def state_root() -> Path:
    """Where the clusters of this machine keep their state."""
    return Path(os.environ.get("NESTED_CLUSTERS_STATE") or "/var/lib/nested-clusters").resolve()


@dataclass(frozen=True)
class Cluster:
    """A host cluster. The index keeps the addresses of clusters on one machine apart."""

    name: str
    index: int
    state: Path

    @property
    def device(self) -> str:
        """Machine's end of the link, at most 15 characters; no veth* name: L2 announcers ignore those."""
        return f"nc{self.index}-{self.name[:10]}".rstrip("-")

    @property
    def gateway(self) -> str:
        """Address of the machine on the link."""
        return f"10.201.{self.index}.1"

    @property
    def node_ip(self) -> str:
        """Address of the node and of the API server."""
        return f"10.201.{self.index}.2"

    @property
    def client_device(self) -> str:
        """Machine's end of the link to a client outside."""
        return f"nc{self.index}-client-out"

    @property
    def client_gateway(self) -> str:
        """Address of the machine on the link to a client outside."""
        return f"10.203.{self.index}.1"

    @property
    def client_ip(self) -> str:
        """Address of a client outside."""
        return f"10.203.{self.index}.2"

    @property
    def load_balancer_range(self) -> str:
        """Half of the link's network, left free for load balancer addresses."""
        return f"10.201.{self.index}.128/25"

    @property
    def pod_cidr(self) -> str:
        """Addresses of pods on the real node."""
        return f"10.202.{self.index * 16}.0/20"

    @property
    def service_cidr(self) -> str:
        """ClusterIPs: enough for fleets of some thousand virtual clusters."""
        return f"10.{208 + self.index}.0.0/16"

    @property
    def api_service_ip(self) -> str:
        """ClusterIP of the API server."""
        return f"10.{208 + self.index}.0.1"

    @property
    def dns_ip(self) -> str:
        """ClusterIP of kube-dns."""
        return f"10.{208 + self.index}.0.10"

    @property
    def port(self) -> int:
        """Port of the API server."""
        return 6443

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.node_ip}:{self.port}"

    @property
    def etcd(self) -> str:
        """URL of etcd: on the loopback device of the cluster's own network only."""
        return "http://127.0.0.1:2379"

    @property
    def etcd_peer(self) -> str:
        """URL of etcd for other members, of which there are none."""
        return "http://127.0.0.1:2380"

    @property
    def etcd_data(self) -> Path:
        """Where etcd keeps its data."""
        return Path("/var/lib/etcd")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def cgroup(self) -> str:
        """Name of the cgroup, below each hierarchy's root, that holds everything."""
        return f"nested-clusters-{self.name}"

    @property
    def root(self) -> Path:
        """What the cluster sees as /."""
        return self.state / "root"

    @property
    def logs(self) -> Path:
        """One log file for each component."""
        return self.state / "logs"

    @property
    def pki(self) -> Path:
        """Keys, certificates and the components' kubeconfigs."""
        return self.state / "pki"

    @property
    def etc(self) -> Path:
        """Configuration files of the components."""
        return self.state / "config"


def check_name(name: str) -> str:
    """Refuse names that cannot be a node's, a device's and a cgroup's at once."""
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?", name):
        raise HostClusterError(f"{name!r} is no valid name: up to 20 of a-z, 0-9 and -, starting with a letter", 2)
    return name


def free_index(used: Iterable[int]) -> int:
    """Pick the first index that nobody uses."""
    taken = set(used)
    for index in INDEXES:
        if index not in taken:
            return index
    raise HostClusterError(f"{len(INDEXES)} host clusters run already; take one down first")


def save(cluster: Cluster) -> None:
    """Record the cluster; this file is what makes a directory a host cluster."""
    write(cluster.state / "config.json", json.dumps({"name": cluster.name, "index": cluster.index}) + "\n")


def load(state: Path) -> Cluster | None:
    """Read a recorded cluster; None when there is none, or only half of one."""
    try:
        data = json.loads((state / "config.json").read_text(encoding="utf-8"))
        return Cluster(data["name"], data["index"], state)
    except (OSError, ValueError, KeyError):
        return None


def known() -> list[Cluster]:
    """All recorded clusters of this machine."""
    root = state_root()
    found = [load(path) for path in sorted(root.iterdir())] if root.is_dir() else []
    return [cluster for cluster in found if cluster]
