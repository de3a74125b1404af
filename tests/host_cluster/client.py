# SPDX-License-Identifier: GPL-3.0-or-later
"""A client outside of a host cluster: a command with a network of its own, behind the machine as behind a router.

Nothing of it has a name in the file system. When the command ends, however it ends, the kernel removes its
namespaces, and with them both ends of the link and the machine's settings for it.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import cluster
import config
from common import HostClusterError
from node import CLONE_NEWNET, CLONE_NEWNS, unshare


def become(name: str, dns: str | None, command: Sequence[str]) -> NoReturn:
    """Turn this process into a command that reaches the link's network of a host cluster and nothing else.

    ``dns`` is the address of the DNS server that it asks; without one, no name resolves.
    """
    host = config.load(config.state_root() / name)
    if host is None or cluster.first_process(host.state) is None:
        raise HostClusterError(f"{name} does not run: bring it up first", 2)
    try:
        with open("/proc/self/ns/net", "rb") as machine:
            unshare(CLONE_NEWNET | CLONE_NEWNS)
            make_link(host, machine.fileno())
        use_dns(dns)
    except (OSError, subprocess.CalledProcessError) as error:
        raise HostClusterError(f"no client for {host.name}, which needs root: {error}") from error
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        raise HostClusterError(f"{command[0]} cannot be run: {error}") from error


def make_link(host: config.Cluster, machine: int) -> None:
    """Connect this network with the machine's. There is one client at a time: the newest has the link."""
    outside = ["nsenter", f"--net=/proc/self/fd/{machine}"]

    def command(*argv: str) -> None:
        subprocess.run(list(argv), pass_fds=[machine], check=True, stdin=subprocess.DEVNULL)

    # What a client left that has just been killed is still there for a moment.
    command(*outside, "sh", "-c", f"ip link delete {host.client_device} 2>/dev/null || true")
    command("ip", "link", "set", "lo", "up")
    command("ip", "link", "add", "eth0", "type", "veth", "peer", "name", host.client_device)
    command("ip", "link", "set", host.client_device, "netns", f"/proc/self/fd/{machine}")
    command("ip", "addr", "add", f"{host.client_ip}/30", "dev", "eth0")
    command("ip", "link", "set", "eth0", "up")
    command(*outside, "ip", "addr", "add", f"{host.client_gateway}/30", "dev", host.client_device)
    command(*outside, "ip", "link", "set", host.client_device, "up")
    # It comes in by this device alone, and the machine may forward it to the cluster's, as for other clusters.
    command(*outside, "sh", "-c", f"echo 1 > /proc/sys/net/ipv4/conf/{host.client_device}/forwarding")
    # No default route: pods, Services and the world are out of reach.
    command("ip", "route", "add", f"{host.gateway.rpartition('.')[0]}.0/24", "via", host.client_gateway)


def use_dns(server: str | None) -> None:
    """Show another /etc/resolv.conf to this process and those that it starts."""
    subprocess.run(["mount", "-n", "--make-rprivate", "/"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "resolv.conf")
        # Without any, the C library asks this very network's loopback, where nobody listens.
        file.write_text(f"nameserver {server}\n" if server else "", encoding="utf-8")
        subprocess.run(["mount", "-n", "--bind", str(file), "/etc/resolv.conf"], check=True)
