# SPDX-License-Identifier: GPL-3.0-or-later
"""Another commit of the collection, measured side by side with the working tree."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from host import REPOSITORY, Host
from report import BenchError, Result

Measure = Callable[[Host], list[Result]]

# Two runs of the same code differ by less than this on a quiet machine.
LIMIT = 1.1


@dataclass(frozen=True)
class Base:
    """A commit, and the root of collections in which it stands as nested.clusters."""

    commit: str
    root: Path

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let ansible-playbook take the collection from here."""
        changed = {"ANSIBLE_COLLECTIONS_PATH": str(self.root), "PYTHONPATH": str(self.root)}
        before = {name: os.environ.get(name) for name in changed}
        os.environ.update(changed)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name)
                else:
                    os.environ[name] = value

    def compare(self, measure: Measure, host: Host) -> list[Result]:
        """Measure the commit and then the working tree; return the tree's results and its ratios to the commit."""
        with self.in_use():
            before = {result.name: result for result in measure(host)}
        now = measure(host)
        return [*now, *ratios(self.commit, before, now)]


def ratios(commit: str, before: dict[str, Result], now: Sequence[Result]) -> list[Result]:
    """Return the ratio of each of our times to that of the commit; one that is in several results counts once."""
    kept: dict[tuple[float, ...], Result] = {}
    for result in now:
        if result.name in before:
            kept.setdefault(tuple(result.ours), result)
    return [
        Result(f"{one.name}: against {commit}", one.ours, before[one.name].ours, LIMIT, one.unit)
        for one in kept.values()
    ]


@contextlib.contextmanager
def checkout(commit: str) -> Iterator[Base]:
    """Yield a commit of this repository beside the installed collections. Raises BenchError for an unknown one."""
    with tempfile.TemporaryDirectory(prefix="nested-bench-") as directory:
        root = Path(directory, "ansible_collections")
        collection = root / "nested/clusters"
        archive = Path(directory, "archive.tar")
        command = ["git", "-C", str(REPOSITORY), "archive", f"--output={archive}", commit]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"{commit} is no commit of this repository: {done.stderr.strip()}")
        with tarfile.open(archive) as tar:
            tar.extractall(collection, filter="data")
        installed = Path(os.environ["ANSIBLE_COLLECTIONS_PATH"], "ansible_collections/kubernetes")
        shutil.copytree(installed, root / "kubernetes")
        yield Base(commit, root.parent)
