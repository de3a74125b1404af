# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the tools of `make test` once and print the directory that holds them.

The directory is a virtualenv with everything in tests/requirements.txt, plus kubernetes.core, for the roles the
collections of their modules, and awx.awx under ansible_collections/. Its name is a hash of what it is made from, so a
changed pin makes a new one.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
REQUIREMENTS = TESTS / "requirements.txt"
COLLECTIONS = TESTS / "requirements-collections.txt"
COLLECTION_PATHS = tuple(
    f"ansible_collections/{collection}/"
    for collection in (
        "kubernetes/core",
        "community/general",
        "amazon/aws",
        "azure/azcollection",
        "google/cloud",
        "awx/awx",  # whose options the examples for AWX are held to
    )
)
OLDEST_PYTHON = (3, 11)


def cache_dir() -> Path:
    """Return the directory for what is built once and used by every checkout."""
    if own := os.environ.get("NESTED_CLUSTERS_CACHE"):
        return Path(own).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "nested-clusters"


def toolbox_dir() -> Path:
    """Return where the toolbox for these requirements and this Python lies."""
    recipe = [path.read_bytes() for path in (REQUIREMENTS, COLLECTIONS, Path(__file__))]
    recipe.append(f"{sys.version} {sys.base_prefix}".encode())
    return cache_dir() / f"tools-{hashlib.sha256(b'|'.join(recipe)).hexdigest()[:12]}"


def pip(directory: Path, *arguments: str) -> None:
    """Run the toolbox's own pip, with the user's pip configuration; stdout is for the result."""
    command = [str(directory / "bin/pip"), "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def add_collections(directory: Path) -> None:
    """Take the collections out of the ansible package, which holds a hundred."""
    with tempfile.TemporaryDirectory(dir=directory) as download:
        pip(directory, "download", "--no-deps", "--dest", download, "--requirement", str(COLLECTIONS))
        (wheel,) = Path(download).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if name.startswith(COLLECTION_PATHS)]
            archive.extractall(directory, members)
    if not members:
        raise SystemExit(f"no collections in what {COLLECTIONS} names")


def build(directory: Path) -> None:
    """Build the toolbox, or do nothing where a complete one lies.

    A virtualenv cannot be moved, so it is built in place under a lock, and the marker is written last.
    """
    marker = directory / ".complete"
    directory.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{directory}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.exists():
            return
        print(f"building the tools in {directory} (once, about a minute)", file=sys.stderr, flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        venv.create(directory, with_pip=True)
        pip(directory, "install", "--requirement", str(REQUIREMENTS))
        add_collections(directory)
        marker.touch()


def main() -> None:
    """Build the toolbox and print its directory."""
    if sys.version_info < OLDEST_PYTHON:
        raise SystemExit(f"the tests need Python {'.'.join(map(str, OLDEST_PYTHON))} or later; set PYTHON=")
    if not importlib.util.find_spec("ensurepip"):
        raise SystemExit("this Python cannot make virtualenvs; on Debian: apt-get install python3-venv")
    directory = toolbox_dir()
    build(directory)
    print(directory)


if __name__ == "__main__":
    main()
