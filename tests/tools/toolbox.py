# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the tools of `make test` once and print the directory that holds them.

The directory is a virtualenv with everything in tests/requirements.txt and an ansible-core of tests/cores.ini, plus
kubernetes.core, for the roles the collections of their modules, and awx.awx under ansible_collections/. Its name is a
hash of what it is made from, so a changed pin makes a new one.
"""

from __future__ import annotations

import configparser
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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
REQUIREMENTS = TESTS / "requirements.txt"
CORES = TESTS / "cores.ini"
COLLECTIONS = ("kubernetes.core", "community.general", "amazon.aws", "azure.azcollection", "google.cloud")
# The examples for AWX are held to its options. The package `ansible` has no awx.awx since version 14.
AWX, AWX_FROM = "awx.awx", "12.3.0"
# The exit status where no Python fits the core: stages.py counts the stage as not run. It is automake's for a skip.
NO_PYTHON = 77


@dataclass(frozen=True)
class Core:
    """One ansible-core, and what it is tested with: a section of tests/cores.ini."""

    ansible_core: str
    pythons: tuple[str, ...]
    collections: str
    without: tuple[str, ...]

    def requirements(self) -> list[str]:
        """Return what is installed, one package a line."""
        lines = REQUIREMENTS.read_text().splitlines()
        kept = [line for line in lines if line.partition("==")[0] not in ("", *self.without) and line[0] != "#"]
        return [f"ansible-core=={self.ansible_core}", *kept]


def candidates() -> list[Core]:
    """Return the core that NESTED_CLUSTERS_CORE names, or else all: the default one, then the newest first."""
    table = configparser.ConfigParser()
    table.read_string(CORES.read_text())
    names = table.sections()[::-1]
    names.sort(key=lambda name: not table[name].getboolean("default"))
    if named := os.environ.get("NESTED_CLUSTERS_CORE"):
        if named not in names:
            raise SystemExit(f"NESTED_CLUSTERS_CORE is {named}, and {CORES} has {', '.join(table.sections())}")
        names = [named]
    return [
        Core(
            section["ansible-core"],
            tuple(section["python"].split()),
            section["collections"],
            tuple(section["without"].split()),
        )
        for section in map(table.__getitem__, names)
    ]


def version_of(python: str) -> str:
    """Return the version of a Python, such as 3.13; "" if it does not run."""
    # pyenv's shims are on the PATH also for versions that they refuse to run.
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def installed(version: str) -> Iterator[str]:
    """Yield Pythons that ought to be of a version: on the PATH, then those of pyenv."""
    if found := shutil.which(f"python{version}"):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}")))


def python_for(core: Core) -> str:
    """Return a Python that the core is tested on, this one if it is; "" if there is none."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" in core.pythons:
        return sys.executable
    found = ((version, python) for version in core.pythons for python in installed(version))
    return next((python for version, python in found if version_of(python) == version), "")


def choose() -> Core:
    """Return the first candidate that a Python is found for, and go on in that Python if it is another one."""
    first, *others = candidates()
    for core in (first, *others):
        python = python_for(core)
        if not python:
            continue
        if python != sys.executable:
            os.execv(python, [python, __file__])
        if core is not first:
            print(f"{no_python(first)}. So ansible-core {core.ansible_core} is used", file=sys.stderr, flush=True)
        return core
    print(no_python(first), file=sys.stderr)
    raise SystemExit(NO_PYTHON)


def no_python(core: Core) -> str:
    """Return what to do about a core that no Python is found for."""
    version = core.pythons[0]
    return (
        f"ansible-core {core.ansible_core} is tested on Python {' or '.join(core.pythons)}, and {sys.executable} is "
        f"another one. There is no python{version} on the PATH or in pyenv either: install one (pyenv install "
        f"{version}, or apt-get install python{version}-venv), or set PYTHON= to where it is"
    )


def cache_dir() -> Path:
    """Return the directory for what is built once and used by every checkout."""
    if own := os.environ.get("NESTED_CLUSTERS_CACHE"):
        return Path(own).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().resolve() / "nested-clusters"


def toolbox_dir(core: Core) -> Path:
    """Return where the toolbox for this core and this Python lies."""
    recipe = [*core.requirements(), core.collections, Path(__file__).read_text(), sys.version, sys.base_prefix]
    return cache_dir() / f"tools-{hashlib.sha256('|'.join(recipe).encode()).hexdigest()[:12]}"


def pip(directory: Path, *arguments: str) -> None:
    """Run the toolbox's own pip, with the user's pip configuration; stdout is for the result."""
    command = [str(directory / "bin/pip"), "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def add_collections(directory: Path, version: str, collections: Iterable[str]) -> None:
    """Take collections out of a version of the package `ansible`, which holds a hundred."""
    with tempfile.TemporaryDirectory(dir=directory) as download:
        pip(directory, "download", "--no-deps", "--dest", download, f"ansible=={version}")
        (wheel,) = Path(download).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for collection in collections:
                path = f"ansible_collections/{collection.replace('.', '/')}/"
                members = [name for name in archive.namelist() if name.startswith(path)]
                if not members:
                    raise SystemExit(f"ansible {version} has no collection {collection}: see {CORES}")
                archive.extractall(directory, members)


def build(directory: Path, core: Core) -> None:
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
        pip(directory, "install", *core.requirements())
        wanted: dict[str, list[str]] = {core.collections: list(COLLECTIONS)}
        wanted.setdefault(AWX_FROM, []).append(AWX)
        for version, collections in wanted.items():
            add_collections(directory, version, collections)
        marker.touch()


def main() -> None:
    """Build the toolbox and print its directory."""
    core = choose()
    if not importlib.util.find_spec("ensurepip"):
        raise SystemExit("this Python cannot make virtualenvs; on Debian: apt-get install python3-venv")
    directory = toolbox_dir(core)
    build(directory, core)
    print(directory)


if __name__ == "__main__":
    main()
