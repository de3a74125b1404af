# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's own cgroups, in whatever hierarchies the machine has (v1, v2 or both)."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from common import HostClusterError


def hierarchies(mountinfo: str) -> list[tuple[Path, bool]]:
    """List the mounted cgroup hierarchies and whether each one is v2."""
    found = []
    for line in mountinfo.splitlines():
        left, _dash, right = line.partition(" - ")
        kind = right.split(" ", 1)[0]
        if kind in ("cgroup", "cgroup2"):
            found.append((Path(left.split(" ")[4]), kind == "cgroup2"))
    return found


def here() -> list[tuple[Path, bool]]:
    """List the hierarchies of this machine that lie where everybody expects them."""
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    return [(path, v2) for path, v2 in hierarchies(text) if path.is_relative_to("/sys/fs/cgroup")]


def enable_all(group: Path) -> None:
    """Hand every controller down to the children of a v2 cgroup."""
    for controller in (group / "cgroup.controllers").read_text(encoding="utf-8").split():
        try:
            (group / "cgroup.subtree_control").write_text(f"+{controller}", encoding="utf-8")
        except OSError:
            continue  # one that cannot be handed down (cpu with real-time tasks) is no reason to stop


def enter(name: str) -> None:
    """Make the cluster's cgroup and move this process into its child `node`; pods get a sibling of it,
    because a v2 cgroup with children may hold no process of its own."""
    for root, v2 in here():
        group = root / name
        (group / "node").mkdir(parents=True, exist_ok=True)
        if v2:
            enable_all(root)
            enable_all(group)
        for child in (group, group / "node"):
            for file in ("cpuset.cpus", "cpuset.mems"):
                if not v2 and (child / file).exists():
                    (child / file).write_text((root / file).read_text(encoding="utf-8"), encoding="utf-8")
        (group / "node" / "cgroup.procs").write_text("0", encoding="utf-8")


def groups(name: str) -> list[Path]:
    """List the cgroups that belong to a cluster."""
    return [root / name for root, _v2 in here() if (root / name).is_dir()]


def memory(name: str) -> int:
    """Tell how many bytes the cluster uses; 0 where nobody counts."""
    for group in groups(name):
        for file in ("memory.current", "memory.usage_in_bytes"):
            if (group / file).exists():
                return int((group / file).read_text(encoding="utf-8")) - reclaimable(group)
    return 0


def reclaimable(group: Path) -> int:
    """Count the page cache, which the kernel takes back when somebody needs the memory."""
    fields = dict(line.split() for line in (group / "memory.stat").read_text(encoding="utf-8").splitlines())
    return sum(int(fields.get(name) or 0) for name in ("total_inactive_file", "total_active_file")) or sum(
        int(fields.get(name) or 0) for name in ("inactive_file", "active_file")
    )


def remove(name: str) -> list[Path]:
    """Remove the cluster's cgroups, from the leaves up; what is left in them dies first."""
    removed = []
    deadline = time.monotonic() + 20
    for group in groups(name):
        while group.exists():
            remove_tree(group)
            if group.exists():
                if time.monotonic() > deadline:
                    raise HostClusterError(f"the cgroup {group} is still in use")
                time.sleep(0.1)
        removed.append(group)
    return removed


def remove_tree(group: Path) -> None:
    """Try once to remove a cgroup and everything below it."""
    for directory, _children, _files in os.walk(group, topdown=False):
        try:
            for pid in (Path(directory) / "cgroup.procs").read_text(encoding="utf-8").split():
                os.kill(int(pid), signal.SIGKILL)
            os.rmdir(directory)
        except OSError:
            continue
