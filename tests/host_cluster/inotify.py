# SPDX-License-Identifier: GPL-3.0-or-later
"""How many inotify instances this user may still make: kubelet, controllers and virtual clusters watch files."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from common import HostClusterError

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
NEEDED = 30  # 15 for a host cluster, and 14 for the first virtual cluster on it


def init() -> int:
    """Make an instance and give its descriptor. Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    handle = int(library.inotify_init1(os.O_CLOEXEC))
    if handle < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return handle


def left(wanted: int) -> int:
    """Count how many can be made, up to the number wanted; none of them stays."""
    handles: list[int] = []
    try:
        while len(handles) < wanted:
            handles.append(init())
    except OSError as error:
        if error.errno != errno.EMFILE:  # then nothing is known, and a cluster that misses them says so later
            return wanted
    finally:
        for handle in handles:
            os.close(handle)
    return len(handles)


def check() -> None:
    """Say in one sentence that a host cluster would not get ready, and what helps."""
    free = left(NEEDED)
    if free < NEEDED:
        raise HostClusterError(
            f"only {free} inotify instances are left of {LIMIT.read_text(encoding='utf-8').strip()}, and a host "
            f"cluster needs {NEEDED}: raise the limit with `sysctl -w fs.inotify.max_user_instances=1024`, or take "
            "another host cluster down"
        )
