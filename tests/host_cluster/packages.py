# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian packages: installed only when a file of theirs is missing, and never started."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from common import HostClusterError, stage, versions

# Holds services back while apt runs. The shell that owns the file outlives a killed parent (setsid),
# so the file goes away whatever happens; a file that was there before is left alone.
INSTALL = """
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\\nexit 101\\n' > "$policy" && chmod 755 "$policy"
fi
install() { apt-get install -y --no-install-recommends "$@"; }
install "$@" || { apt-get update && install "$@"; }
"""


def search_path() -> str:
    """PATH with the sbin directories, which a plain login may lack."""
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


def is_static(path: Path) -> bool:
    """Tell whether an ELF program needs no dynamic loader: it must run in an image that has none."""
    with path.open("rb") as file:
        head = file.read(65536)
    return head[:4] == b"\x7fELF" and b"/ld-linux" not in head[:4096] and b"/ld-musl" not in head[:4096]


def present(file: str) -> bool:
    """Tell whether a file of a package is there."""
    if not file.startswith("/"):
        return shutil.which(file, path=search_path()) is not None
    path = Path(file)
    return path.exists() and (path.name != "busybox" or is_static(path))


def missing(wanted: dict[str, list[str]]) -> list[str]:
    """Name the packages of which a file is missing."""
    return [package for package, files in wanted.items() if not all(present(file) for file in files)]


def ensure_packages(wanted: dict[str, list[str]] | None = None) -> None:
    """Install what is missing, or say in one sentence that it cannot be; by default, of what a host cluster needs."""
    absent = missing(versions()["debian"] if wanted is None else wanted)
    if not absent:
        return
    if not shutil.which("apt-get", path=search_path()):
        raise HostClusterError(f"missing and no apt-get to install it: {', '.join(absent)}", 2)
    with stage(f"installing {' '.join(absent)}"):
        done = subprocess.run(
            ["setsid", "--wait", "sh", "-c", INSTALL, "sh", *absent],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if done.returncode:
        raise HostClusterError(f"apt-get could not install {' '.join(absent)}: {done.stdout.strip()[-800:]}")
