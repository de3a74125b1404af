# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kubeconfig of a virtual cluster, and the file that keeps it."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..common.errors import NestedClustersError
from ..k8s.objects import Object
from ..values.oidc import Oidc
from .credentials import credentials

try:
    import yaml
except ImportError:  # reported by k8s/client.py before anything is asked
    yaml = None  # type: ignore[assignment]

PRIVATE = 0o600
FORWARDED = "https://localhost:8443"  # what vCluster itself writes, for kubectl port-forward
_SECTIONS = ("clusters", "users", "contexts")


def kubeconfig(secret: Object, server: str | None, context: str) -> Object:
    """Return a kubeconfig for the virtual cluster of Secret ``vc-NAME``, with all entries named ``context``.

    Of the Secret it has the credentials alone. Where ``server`` is not known, it leads to a port that is forwarded.
    Raises NestedClustersError where the Secret holds none, or more than credentials.
    """
    found = credentials(secret)
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {"server": server or FORWARDED, **found.cluster}}],
        "users": [{"name": context, "user": found.user}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    }


def with_oidc(config: Object, oidc: Oidc) -> Object:
    """Return a kubeconfig whose user logs in at an OpenID Connect issuer, without a credential in it."""
    return {**config, "users": [{"name": user["name"], "user": oidc.exec_user()} for user in config["users"]]}


def merge_kubeconfig(existing: Object, new: Object) -> Object:
    """Return ``existing`` with the entries of ``new`` added, or replaced where they stand; the rest is as it was.

    The current context stays, unless there was none.
    """
    merged = {"apiVersion": "v1", "kind": "Config", **copy.deepcopy(existing)}
    for section in _SECTIONS:
        entries = list(merged.get(section) or [])
        for entry in new[section]:
            positions = [position for position, old in enumerate(entries) if old["name"] == entry["name"]]
            if positions:
                entries[positions[0]] = entry
            else:
                entries.append(entry)
        merged[section] = entries
    merged["current-context"] = merged.get("current-context") or new["current-context"]
    return merged


def write_kubeconfig(path: str, new: Object, check_mode: bool) -> bool:
    """Merge ``new`` into the kubeconfig file at ``path``, for its owner only; True if that changes it.

    The file is replaced as a whole, and never held by a file that others can read. Raises NestedClustersError
    where the file is no kubeconfig, or cannot be read or written.
    """
    path = os.path.realpath(os.path.expanduser(path))  # a link stays a link
    directory = os.path.dirname(path)
    try:
        if check_mode:
            return _plan(path, new).changed
        _make_private_directory(directory)
        with _lock(directory):
            changed, content, before = _plan(path, new)
            if content is not None:
                _replace(path, content, before)
            elif changed:
                os.chmod(path, PRIVATE)
            return changed
    except OSError as error:
        raise NestedClustersError(
            f"kubeconfig file {path} cannot be read or written: {error.strerror}; set a path that the user "
            "of the task may write"
        ) from error


class _FileChange(NamedTuple):
    """Whether a file changes, its new content (None where that stays), and what the file is now."""

    changed: bool
    content: str | None
    before: os.stat_result | None


def _plan(path: str, new: Object) -> _FileChange:
    try:
        with open(path, encoding="utf-8") as file:
            text, before = file.read(), os.fstat(file.fileno())
    except FileNotFoundError:
        return _FileChange(True, _dump(merge_kubeconfig({}, new)), None)
    except UnicodeDecodeError:
        raise _unusable(path, "it is not text") from None
    existing = _parse(text, path) if text.strip() else {}
    merged = merge_kubeconfig(existing, new)
    if merged != existing:
        return _FileChange(True, _dump(merged), before)
    return _FileChange(bool(stat.S_IMODE(before.st_mode) & ~PRIVATE), None, before)


def _replace(path: str, content: str, before: os.stat_result | None) -> None:
    # mkstemp opens with O_EXCL and mode 0600, so that the key is never in a file that others can open.
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
            if before and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                # Root writes a user's file: it stays theirs.
                os.fchown(descriptor, before.st_uid, before.st_gid)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _make_private_directory(directory: str) -> None:
    missing = []
    while not os.path.isdir(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    for directory in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another task was faster
            os.mkdir(directory, 0o700)


@contextlib.contextmanager
def _lock(directory: str) -> Iterator[None]:
    # Tasks that run at once may merge into the same file; the directory, as the file itself is replaced.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _parse(text: str, where: str) -> Object:
    """Return a kubeconfig from YAML; the error says the line, not its content, which may be secret."""

    class Loader(yaml.SafeLoader):
        """Without timestamps: an unquoted token expiry would be read as a date and written differently."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        found = yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f" at line {mark.line + 1}" if mark else ""
        raise _unusable(where, f"it is not YAML{at}") from None
    if not isinstance(found, dict):
        raise _unusable(where, "it is not a mapping")
    for section in _SECTIONS:
        entries = found.get(section) or []
        if not isinstance(entries, list) or not all(_has_name(entry) for entry in entries):
            raise _unusable(where, f"{section} is not a list of named entries")
    return found


def _has_name(entry: Any) -> bool:
    return isinstance(entry, dict) and "name" in entry


def _unusable(where: str, why: str) -> NestedClustersError:
    return NestedClustersError(f"{where} is not a kubeconfig: {why}; repair it, move it, or set another path")


def _dump(config: Object) -> str:
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=2**20)
