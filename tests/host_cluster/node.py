# SPDX-License-Identifier: GPL-3.0-or-later
"""The first process of a host cluster: `node.py STATE`.

The cluster lives in PID, mount, network, UTS and IPC namespaces of its own and this process is their
first one. When it ends, however it ends, the kernel ends every other process in there and takes the
mounts, the network devices (both ends of a veth pair go together) and the iptables rules with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import binaries
import cgroups
import components
import config
from common import HostClusterError, run, write
from packages import search_path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
DEVICES = ["null", "zero", "full", "random", "urandom", "tty", "kmsg", "fuse", "net/tun"]
DIRECTORIES = ["dev", "etc", "mnt", "old", "opt", "proc", "root", "run", "sys", "tmp", "usr"]
DIRECTORIES += ["var/cache", "var/lib", "var/log", "var/tmp"]
# The kubelet insists on these values, and they are the machine's: it is shown a file instead.
KUBELET_SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def unshare(flags: int) -> None:
    """Leave namespaces; Python has this itself from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(source: str | Path, target: Path, *options: str) -> None:
    """Mount without leaving a note in the machine's /run (-n)."""
    run(["mount", "-n", *options, source, target])


def bind(source: Path, root: Path, *, read_only: bool = True) -> None:
    """Show a directory or file of the machine at the same path inside."""
    target = root / source.relative_to("/")
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(source, target, "--bind")
    if read_only:
        mount(source, target, "-o", "remount,bind,ro")


def make_dev(dev: Path) -> None:
    """A /dev of its own: the few devices that are needed, terminals and shared memory."""
    mount("tmpfs", dev, "-t", "tmpfs", "-o", "mode=755,size=64k")
    for name in DEVICES:
        if Path("/dev", name).exists():
            (dev / name).parent.mkdir(exist_ok=True)
            (dev / name).touch()
            mount(Path("/dev", name), dev / name, "--bind")
    for name in ("pts", "shm", "mqueue"):
        (dev / name).mkdir()
    mount("devpts", dev / "pts", "-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=620,gid=5")
    mount("tmpfs", dev / "shm", "-t", "tmpfs", "-o", "mode=1777,size=64m")
    mount("mqueue", dev / "mqueue", "-t", "mqueue")
    (dev / "ptmx").symlink_to("pts/ptmx")
    for name, target in {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (dev / name).symlink_to(target)


def make_sys(root: Path) -> None:
    """A /sys that shows the new network's devices, with the machine's cgroups in it."""
    mount("sysfs", root / "sys", "-t", "sysfs")
    mount("/sys/fs/cgroup", root / "sys/fs/cgroup", "--rbind")


def hide_sysctls(root: Path) -> None:
    """Put files in front of the sysctls that the kubelet would change on the whole machine."""
    for name, value in KUBELET_SYSCTLS.items():
        if (root / "proc/sys" / name).exists():
            shown = write(root / "run/sysctl" / name.replace("/", "."), value + "\n")
            mount(shown, root / "proc/sys" / name, "--bind")


def make_root(cluster: config.Cluster) -> None:
    """Build the tree that the cluster sees as /. The machine's programs are in it read-only, its /etc
    below an overlay; everything that is written goes to the cluster's directory or to memory."""
    root = cluster.root
    root.mkdir(parents=True, exist_ok=True)
    mount(root, root, "--bind")
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        link = Path("/", name)
        if link.is_symlink():
            (root / name).symlink_to(os.readlink(link))
        elif link.is_dir():
            bind(link, root)
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "var/run").symlink_to("/run")
    bind(Path("/usr"), root)
    for name in ("upper", "work"):
        (cluster.state / "etc" / name).mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir=/etc,upperdir={cluster.state}/etc/upper,workdir={cluster.state}/etc/work"
    mount("overlay", root / "etc", "-t", "overlay", "-o", layers)
    mount("proc", root / "proc", "-t", "proc")
    make_sys(root)
    make_dev(root / "dev")
    for name in ("run", "tmp"):
        mount("tmpfs", root / name, "-t", "tmpfs", "-o", "mode=1777" if name == "tmp" else "mode=755")
    hide_sysctls(root)
    for path in dict.fromkeys((Path(sys.base_prefix), Path(sys.prefix), binaries.cache_root())):
        if not path.is_relative_to("/usr"):
            bind(path, root)
    bind(cluster.state, root, read_only=False)
    if Path("/lib/modules").is_dir() and not Path("/lib").is_symlink():
        bind(Path("/lib/modules"), root)


def enter_root(cluster: config.Cluster) -> None:
    """Make the new tree the root; mounts are shared inside, as the kubelet needs it."""
    os.chdir(cluster.root)
    run(["pivot_root", ".", "old"])
    os.chdir("/")
    run(["umount", "-n", "-l", "/old"])
    run(["mount", "-n", "--make-rshared", "/"])
    os.rmdir("/old")


def make_network(cluster: config.Cluster, machine: int) -> None:
    """Connect the cluster with the machine by a veth pair, whose routes vanish with it."""
    outside = ["nsenter", f"--net=/proc/self/fd/{machine}"]

    def command(*argv: str) -> None:
        subprocess.run(list(argv), pass_fds=[machine], check=True, stdin=subprocess.DEVNULL)

    command("ip", "link", "set", "lo", "up")
    command("ip", "link", "add", "eth0", "type", "veth", "peer", "name", cluster.device)
    command("ip", "link", "set", cluster.device, "netns", f"/proc/self/fd/{machine}")
    command("ip", "addr", "add", f"{cluster.node_ip}/24", "dev", "eth0")
    command("ip", "link", "set", "eth0", "up")
    command("ip", "route", "add", "default", "via", cluster.gateway)
    command(*outside, "ip", "addr", "add", f"{cluster.gateway}/24", "dev", cluster.device)
    command(*outside, "ip", "link", "set", cluster.device, "up")
    for cidr in (cluster.pod_cidr, cluster.service_cidr):
        command(*outside, "ip", "route", "add", cidr, "via", cluster.node_ip, "dev", cluster.device)
    # Clusters of one machine reach each other; the setting is the device's and goes with it.
    command(*outside, "sh", "-c", f"echo 1 > /proc/sys/net/ipv4/conf/{cluster.device}/forwarding")


def set_sysctls() -> None:
    """Forward between pods, and let iptables see what crosses the bridge: without it a pod that calls
    its own Service gets answers from an address that it never asked. All of it in this network only."""
    if not Path("/proc/sys/net/bridge").exists():
        subprocess.run(["modprobe", "br_netfilter"], check=False)
    for name in ("ipv4/ip_forward", "bridge/bridge-nf-call-iptables", "ipv4/conf/all/route_localnet"):
        path = Path("/proc/sys/net", name)
        if path.exists():
            path.write_text("1", encoding="utf-8")


def answers(what: str, cluster: config.Cluster) -> bool:
    """Tell whether what a component waits for is there."""
    try:
        if what == "containerd":
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(components.CONTAINERD_SOCKET)
        elif what == "etcd":
            socket.create_connection(("127.0.0.1", 2379), 1).close()
        else:
            context = ssl.create_default_context(cafile=str(cluster.pki / "ca.crt"))
            urllib.request.urlopen("https://127.0.0.1:6443/readyz", context=context, timeout=2).close()
    except OSError:
        return False
    return True


class Supervisor:
    """Start components when what they wait for answers, and again when they end."""

    def __init__(self, cluster: config.Cluster, parts: list[components.Component]) -> None:
        self.cluster = cluster
        self.parts = parts
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.not_before: dict[str, float] = {}
        self.delay: dict[str, float] = {}
        self.stopping = False

    def start(self, part: components.Component) -> None:
        """Start one component; its output goes to its log."""
        with (self.cluster.logs / f"{part.name}.log").open("ab") as log:
            self.processes[part.name] = subprocess.Popen(
                part.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.delay[part.name] = min(self.delay.get(part.name, 0.25) * 2, 10)
        self.not_before[part.name] = time.monotonic() + self.delay[part.name]
        self.publish()

    def publish(self) -> None:
        """Write down what runs, for `status`."""
        running = {name: process.pid for name, process in self.processes.items()}
        write(self.cluster.state / "components.json", json.dumps(running))

    def step(self) -> None:
        """Collect who has ended and start who can be."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                print(f"{name} ended with {process.returncode}", flush=True)
                del self.processes[name]
                self.publish()
        for part in self.parts:
            if part.name not in self.processes and self.may_start(part):
                self.start(part)

    def may_start(self, part: components.Component) -> bool:
        """Tell whether a component is wanted, has waited long enough and has what it needs."""
        if time.monotonic() < self.not_before.get(part.name, 0):
            return False
        if part.switch is not None and not part.switch.exists():
            return False
        return all(answers(what, self.cluster) for what in part.after)

    def reap(self) -> None:
        """Collect the processes that others left behind: the first process inherits them. Components
        are left for `step`, which wants to know how they ended."""
        own = {process.pid for process in self.processes.values()}
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, 0)

    def stop(self) -> None:
        """End in the opposite order: without etcd the API server's goodbye takes a minute."""
        for part in reversed(self.parts):
            process = self.processes.get(part.name)
            if process:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()

    def run(self) -> None:
        """Supervise until told to stop."""

        def stop(_number: int, _frame: object) -> None:
            self.stopping = True

        signal.signal(signal.SIGTERM, stop)
        while not self.stopping:
            self.step()
            self.reap()
            time.sleep(0.1)
        self.stop()


def become_first(state: Path) -> int:
    """Enter the cgroup and new namespaces. The calling process ends here, the first process of the new
    PID namespace returns, with a handle on the machine's network."""
    cluster = config.load(state)
    if cluster is None:
        raise HostClusterError(f"{state} holds no host cluster")
    cgroups.enter(cluster.cgroup)
    machine = os.open("/proc/self/ns/net", os.O_RDONLY)
    unshare(CLONE_NEWPID)
    if os.fork():
        os._exit(0)
    os.setsid()
    unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)
    return machine


def main() -> None:
    """Set everything up and supervise."""
    state = Path(sys.argv[1])
    os.environ["PATH"] = os.pathsep.join([str(binaries.bin_dir()), search_path()])
    machine = become_first(state)
    cluster = config.load(state)
    assert cluster is not None
    parts = components.plan(cluster, binaries.stages_path())
    socket.sethostname(cluster.name)
    run(["mount", "-n", "--make-rprivate", "/"])
    make_network(cluster, machine)
    os.close(machine)
    make_root(cluster)
    enter_root(cluster)
    set_sysctls()
    shutil.copytree(cluster.etc / "cni", "/etc/cni/net.d", dirs_exist_ok=True)
    os.environ.update(HOME="/root", TMPDIR="/tmp")
    Supervisor(cluster, parts).run()


if __name__ == "__main__":
    main()
