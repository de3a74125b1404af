# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay the working tree out as ansible_collections/nested/clusters in a directory, beside what it is checked with.

Ansible finds a collection only under an ansible_collections directory, and ansible-test refuses a
symlinked one. Only files that differ are written, so what already uses the copy is not disturbed.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def working_tree() -> list[str]:
    """Return what a commit of everything would hold: tracked and new files, none that git ignores."""
    command = ["git", "-C", str(REPOSITORY), "ls-files", "-coz", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if name and (REPOSITORY / name).is_file()]


def all_files(directory: Path) -> list[str]:
    """Return the files below a directory, relative to it, without what Python compiles there."""
    found = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return [str(path) for path in found if "__pycache__" not in path.parts]


def mirror(source: Path, names: Iterable[str], target: Path) -> None:
    """Make target hold exactly these files of source."""
    wanted = set(names)
    for name in wanted:
        copy = target / name
        if not copy.is_file() or not filecmp.cmp(source / name, copy, shallow=False):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, copy)
    for name in set(all_files(target)) - wanted:
        (target / name).unlink()
    for directory in sorted((path for path in target.rglob("*") if path.is_dir()), reverse=True):
        if directory.name != "__pycache__" and not any(path.name != "__pycache__" for path in directory.iterdir()):
            shutil.rmtree(directory)


def main() -> None:
    """Mirror the working tree into the root, and of the toolbox what it runs on and what playbooks are linted with."""
    toolbox, root = (Path(argument) / "ansible_collections" for argument in sys.argv[1:])
    mirror(REPOSITORY, working_tree(), root / "nested/clusters")
    for name in ("kubernetes/core", "awx/awx"):
        mirror(toolbox / name, all_files(toolbox / name), root / name)


if __name__ == "__main__":
    main()
