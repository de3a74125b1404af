# SPDX-License-Identifier: GPL-3.0-or-later
"""What every part needs: one exception, one way to run a program, one way to show progress."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


class HostClusterError(Exception):
    """What went wrong and what to try next, in one sentence."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def versions() -> dict[str, Any]:
    """Read versions.toml."""
    return tomllib.loads((HERE / "versions.toml").read_text(encoding="utf-8"))


def run(
    argv: Sequence[str | Path],
    *,
    env: dict[str, str] | None = None,
    text_in: str | None = None,
    timeout: float = 600,
    cwd: Path | None = None,
) -> str:
    """Run a program to its end and give back what it printed; say what it said when it failed."""
    command = [str(part) for part in argv]
    try:
        done = subprocess.run(
            command,
            env=env,
            input=text_in,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=cwd,
        )
    except FileNotFoundError as error:
        raise HostClusterError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise HostClusterError(f"{command[0]} did not finish within {timeout:.0f} s") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-1500:]
        raise HostClusterError(f"{' '.join(command[:4])} failed: {said or done.returncode}")
    return done.stdout


@contextlib.contextmanager
def stage(text: str) -> Iterator[None]:
    """Show what is being done and how long it took."""
    start = time.monotonic()
    print(f"  {text} ...", file=sys.stderr, flush=True)
    yield
    print(f"  {text}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on a directory: it leaves no lock file behind and ends with its holder."""
    path.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("  waiting for another host-cluster to finish ...", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write(path: Path, content: str | bytes, mode: int = 0o644) -> Path:
    """Write a file so that no reader ever sees half of it, nor a secret with loose permissions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    temporary.rename(path)
    return path
