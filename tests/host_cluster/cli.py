# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line of host-cluster."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import binaries
import client
import cluster
import config
import extras
from common import HostClusterError


def parser() -> argparse.ArgumentParser:
    """Describe the commands."""
    about = "A real Kubernetes cluster on this machine, in namespaces of its own."
    top = argparse.ArgumentParser(prog="host-cluster", description=about)
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    def named(sub: argparse.ArgumentParser, default: str | None = "nested") -> argparse.ArgumentParser:
        text = f"name of the host cluster (default: {default or 'all of them'})"
        sub.add_argument("--name", type=config.check_name, default=default, help=text)
        return sub

    named(command("up", "Bring a host cluster up and print its kubeconfig."))
    down = named(command("down", "Take a host cluster down and leave nothing."))
    down.add_argument("--all", action="store_true", help="take every host cluster of this machine down")
    status = named(command("status", "Say what is running and where its kubeconfig is."), None)
    status.add_argument("--json", action="store_true", help="print JSON")
    fake = named(command("fake-nodes", "Make the number of fake (kwok) nodes this many."))
    fake.add_argument("--count", type=int, required=True, help="number of fake nodes")
    outside = named(command("client", "Run a command with a network of its own, outside of the host cluster."))
    outside.add_argument("--dns", help="address of the DNS server that it asks (default: none)")
    outside.add_argument("argv", nargs="+", metavar="COMMAND", help="the command, after --")
    add = named(
        command("add", "Build an image that only some tests need, give it to a host cluster, and print its chart.")
    )
    add.add_argument("extra", help="its name in versions.toml")
    command("build", "Build the binaries and images only.")
    command("binaries", "Build the binaries only, without root.")
    command("bin-dir", "Print the directory of kubectl, helm, helm3 and vcluster.")
    chart = command("chart", "Print the path of the packaged vCluster chart.")
    chart.add_argument("--version", help="vCluster version (default: the newest of those built)")
    source = command("source", "Print the path of a chart or of manifests that the roles install.")
    source.add_argument("source", help="its name in versions.toml")
    return top


def show_status(found: list[dict[str, object]], as_json: bool) -> None:
    """Print what is running."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    if not found:
        print("no host cluster")
    for one in found:
        state = "ready" if one["ready"] else "running, not ready" if one["running"] else "not running"
        print(f"{one['name']}: {state}")
        for key, value in one.items():
            if key not in ("name", "running", "ready"):
                print(f"  {key}: {' '.join(value) if isinstance(value, list) else value}")


# Commands whose answer is one path.
PATHS: dict[str, Callable[[argparse.Namespace], Path]] = {
    "up": lambda args: cluster.up(args.name).kubeconfig,
    "add": lambda args: extras.give(args.extra, args.name),
    "build": lambda _args: cluster.prepare(),
    "binaries": lambda _args: binaries.build_all(),
    "bin-dir": lambda _args: binaries.bin_dir(),
    "source": lambda args: binaries.source_path(args.source),
    "chart": lambda args: binaries.chart_path(args.version),
}


def execute(args: argparse.Namespace) -> None:
    """Run one command."""
    if args.command == "down":
        for name in cluster.names() if args.all else [args.name]:
            done = cluster.down(name)
            print(f"{name}: removed {', '.join(done)}" if done else f"{name}: nothing to remove")
    elif args.command == "status":
        chosen = [args.name] if args.name else cluster.names()
        show_status([cluster.status(name) for name in chosen], args.json)
    elif args.command == "fake-nodes":
        cluster.fake_nodes(args.name, args.count)
    elif args.command == "client":
        client.become(args.name, args.dns, args.argv)
    else:
        print(PATHS[args.command](args))


def main() -> int:
    """Run a command; errors are one sentence."""
    try:
        execute(parser().parse_args())
    except HostClusterError as error:
        print(f"host-cluster: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("host-cluster: interrupted", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
