# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a host cluster up, take it down, tell what is there."""

from __future__ import annotations

import json
import os
import platform
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import binaries
import cgroups
import components
import config
import images
import inotify
import pki
from common import HERE, HostClusterError, locked, run, stage, write
from packages import ensure_packages, search_path

READY = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'


def check_machine() -> None:
    """Say in one sentence what is missing, before anything is changed."""
    check_root()
    if not binaries.bundle_root().exists():
        binaries.check_go()


def check_root() -> None:
    """Say in one sentence that this is no place for it."""
    if platform.system() != "Linux":
        raise HostClusterError(f"needs Linux, and this is {platform.system()}", 2)
    if os.geteuid() != 0:
        raise HostClusterError("needs root: it makes namespaces, mounts and network devices", 2)


def is_init(pid: int, state: Path) -> bool:
    """Tell whether a process is a node.py of this state directory. The process itself is asked: a
    recorded number may belong to a stranger by now."""
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return len(argv) >= 3 and argv[-2] == str(state) and Path(argv[-3]).name == "node.py"


def inits(state: Path) -> list[int]:
    """Find the processes that hold a cluster: one, or more while it is starting."""
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in numbers if is_init(pid, state)]


def first_process(state: Path) -> int | None:
    """Find the first process of a cluster's PID namespace."""
    for pid in inits(state):
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        except OSError:
            continue
        numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
        if len(numbers) > 1 and numbers[-1] == "1":
            return pid
    return None


def used_indexes() -> list[int]:
    """List the indexes that are taken: by a recorded cluster, or by an address on this machine."""
    said = run(["ip", "-o", "address", "show"]) + run(["ip", "route", "show"])
    found = [int(number) for number in re.findall(r"\b10\.201\.(\d+)\.", said)]
    return found + [cluster.index for cluster in config.known()]


def log_tail(cluster: config.Cluster) -> str:
    """Give the last words of the first process."""
    try:
        return (cluster.logs / "init.log").read_text(encoding="utf-8").strip()[-800:]
    except OSError:
        return "no log"


def until(what: str, check: Callable[[], bool], cluster: config.Cluster, timeout: float = 300) -> None:
    """Wait; stop early when the cluster is gone, and say where its logs are."""
    deadline = time.monotonic() + timeout
    while not check():
        if first_process(cluster.state) is None:
            raise HostClusterError(f"{cluster.name} ended while waiting for {what}: {log_tail(cluster)}")
        if time.monotonic() > deadline:
            raise HostClusterError(f"no {what} within {timeout:.0f} s; see the logs in {cluster.logs}")
        time.sleep(0.2)


def kubectl(cluster: config.Cluster, *argv: str, text_in: str | None = None, timeout: float = 60) -> str:
    """Run kubectl as administrator; nothing of the caller's own configuration is read or written."""
    options = [f"--kubeconfig={cluster.kubeconfig}", f"--cache-dir={cluster.state}/kubectl"]
    command = [str(binaries.bin_dir() / "kubectl"), *options, *argv]
    return run(command, text_in=text_in, timeout=timeout)


def works(action: Callable[[], object]) -> Callable[[], bool]:
    """Turn an action into a question: does it work yet?"""

    def check() -> bool:
        try:
            action()
        except HostClusterError:
            return False
        return True

    return check


def containerd_socket(cluster: config.Cluster) -> Path:
    """Reach into the cluster's tree from the machine."""
    return Path(f"/proc/{first_process(cluster.state) or 0}/root{components.CONTAINERD_SOCKET}")


def configure(cluster: config.Cluster) -> None:
    """Write certificates and configuration."""
    pki.make(cluster)
    for path, content in components.files(cluster, "/usr/lib/cni").items():
        write(path, content)
    cluster.logs.mkdir(exist_ok=True)


def spawn(cluster: config.Cluster) -> None:
    """Start the first process, detached: it outlives this command."""
    command = [sys.executable, "-B", str(HERE / "node.py"), str(cluster.state)]
    env = {"PATH": search_path(), "NESTED_CLUSTERS_CACHE": str(binaries.cache_root()), "LANG": "C.UTF-8"}
    with (cluster.logs / "init.log").open("ab") as log:
        code = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=env,
            cwd="/",
            start_new_session=True,
            check=False,
        ).returncode
    if code:
        raise HostClusterError(f"the first process did not start: {log_tail(cluster)}")


def manifests(cluster: config.Cluster) -> str:
    """Join what is created in a new cluster."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((HERE / "manifests").glob("*.yaml"))]
    return "\n---\n".join(texts).replace("@DNS_IP@", cluster.dns_ip)


def is_ready(cluster: config.Cluster) -> bool:
    """Tell whether the node is Ready and pods can resolve names."""
    dns_path = "jsonpath={.status.readyReplicas}"
    try:
        node = kubectl(cluster, "get", "node", cluster.name, "-o", READY, timeout=10)
        dns = kubectl(cluster, "get", "deploy", "-n", "kube-system", "coredns", "-o", dns_path, timeout=10)
    except HostClusterError:
        return False
    return node == "True" and dns == "1"


def begin(name: str) -> config.Cluster:
    """Give the cluster that runs under a name, or start a new one. What a killed `up` or a restart of
    the machine left of an older one is removed first."""
    state = config.state_root() / name
    with locked(config.state_root()):
        cluster = config.load(state)
        if cluster and first_process(state):
            return cluster
        if state.exists() or inits(state):
            remove(name)
        cluster = config.Cluster(name, config.free_index(used_indexes()), state)
        config.save(cluster)
        with stage("making certificates"):
            configure(cluster)
        spawn(cluster)
    return cluster


def prepare() -> Path:
    """Get everything that does not belong to one cluster."""
    check_machine()
    ensure_packages()
    root = binaries.build_all()
    if not images.archive_path().exists() and not images.registry_answers():
        images.assemble()
    return root


def up(name: str) -> config.Cluster:
    """Bring a host cluster up, or find it up."""
    check_machine()
    if first_process(config.state_root() / name) is None:
        inotify.check()
    ensure_packages()
    binaries.build_all()
    cluster = begin(name)
    if is_ready(cluster):
        return cluster
    text = manifests(cluster)
    with stage("starting containerd"):
        until("containerd", works(lambda: images.ctr(containerd_socket(cluster), "version")), cluster)
    images.provide(containerd_socket(cluster))
    with stage("starting the API server"):
        until("API server", works(lambda: kubectl(cluster, "get", "--raw=/readyz", timeout=5)), cluster)
    with stage("creating DNS, storage and roles"):
        until("manifests", works(lambda: kubectl(cluster, "apply", "-f", "-", text_in=text)), cluster)
    with stage("waiting for node and DNS"):
        until("ready node and DNS", lambda: is_ready(cluster), cluster)
    return cluster


def kill(state: Path) -> int:
    """Kill a cluster's first process and wait until it is gone, which it is only when everything in its
    namespaces is. The process is checked again through the handle that it is killed by."""
    killed = 0
    for pid in inits(state):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if is_init(pid, state):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                killed += 1
                if not select.select([handle], [], [], 30)[0]:
                    raise HostClusterError(f"process {pid} of the host cluster in {state} does not end")
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)
    return killed


def delete_device(device: str) -> None:
    """Delete the link. It goes with the network namespace, but connections that were cut off in the
    middle keep that one in the kernel for a minute or two."""
    if Path("/sys/class/net", device).exists():
        try:
            run(["ip", "link", "delete", device])
        except HostClusterError:
            if Path("/sys/class/net", device).exists():
                raise


def remove(name: str) -> list[str]:
    """Remove whatever there is of a cluster and tell what that was."""
    state = config.state_root() / name
    cluster = config.load(state)
    done = []
    if kill(state):
        done.append("processes, mounts, network")
    if cluster:
        delete_device(cluster.device)
    if cgroups.remove(f"nested-clusters-{name}"):
        done.append("cgroups")
    if state.exists():
        if f" {state}/" in Path("/proc/self/mountinfo").read_text(encoding="utf-8"):
            raise HostClusterError(f"something is mounted below {state}; nothing there was removed")
        shutil.rmtree(state)
        done.append(str(state))
    return done


def down(name: str) -> list[str]:
    """Take a host cluster down, whatever state it is in."""
    check_root()
    if not config.state_root().exists() and not inits(config.state_root() / name):
        return remove(name)
    with locked(config.state_root()):
        done = remove(name)
    if not any(config.state_root().iterdir()):
        config.state_root().rmdir()
    return done


def names() -> list[str]:
    """Name everything that looks like a cluster, half-made ones too."""
    check_root()
    root = config.state_root()
    return sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def status(name: str) -> dict[str, Any]:
    """Describe a host cluster."""
    check_root()
    state = config.state_root() / name
    cluster = config.load(state)
    pid = first_process(state)
    if cluster is None or pid is None:
        return {"name": name, "running": False, "ready": False}
    try:
        running = json.loads((state / "components.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        running = {}
    return {
        "name": name,
        "running": True,
        "ready": is_ready(cluster),
        "kubeconfig": str(cluster.kubeconfig),
        "server": cluster.server,
        "pid": pid,
        "components": sorted(running),
        "node_ip": cluster.node_ip,
        "gateway": cluster.gateway,
        "device": cluster.device,
        "pod_cidr": cluster.pod_cidr,
        "service_cidr": cluster.service_cidr,
        "load_balancer_range": cluster.load_balancer_range,
        "memory_mib": cgroups.memory(cluster.cgroup) // 2**20,
        "logs": str(cluster.logs),
        "containerd": str(containerd_socket(cluster)),
    }


def fake_node(number: int) -> dict[str, Any]:
    """Describe one fake node: large, tainted, and marked as kwok's."""
    name = f"fake-{number}"
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"}
    size = {"cpu": "1000", "memory": "4Ti", "ephemeral-storage": "4Ti", "pods": "4000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]},
        "status": {"capacity": size, "allocatable": size},
    }


def ready_fake_nodes(cluster: config.Cluster) -> int:
    """Count the fake nodes that are Ready."""
    path = READY.replace("{", "{.items[*]")
    return kubectl(cluster, "get", "nodes", "-l", "type=kwok", "-o", path).split().count("True")


def fake_nodes(name: str, count: int) -> None:
    """Make it so that a cluster has this many fake nodes."""
    check_root()
    cluster = config.load(config.state_root() / name)
    if cluster is None or first_process(cluster.state) is None:
        raise HostClusterError(f"{name} is not up; bring it up first: host-cluster up --name {name}")
    present = kubectl(cluster, "get", "nodes", "-l", "type=kwok", "-o", "name").split()
    wanted = {f"node/fake-{number}" for number in range(count)}
    if count:
        write(components.kwok_switch(cluster), "")
        nodes = {"apiVersion": "v1", "kind": "List", "items": [fake_node(number) for number in range(count)]}
        kubectl(cluster, "apply", "-f", "-", text_in=json.dumps(nodes))
    surplus = sorted(set(present) - wanted)
    if surplus:
        kubectl(cluster, "delete", *surplus)
    with stage(f"waiting for {count} fake nodes"):
        until(f"{count} ready fake nodes", lambda: ready_fake_nodes(cluster) == count, cluster)
