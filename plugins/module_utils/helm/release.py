# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm's release Secrets: find the newest of a release, decode it, and say whose it is.

Whoever may write Secrets in a namespace can write such a record as well. So nobody believes one before it was decoded
here, and only where it speaks of the release that was looked for.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from ..common.errors import NestedClustersError
from ..common.semver import Version, parse_version

_MOST_BYTES = 64 * 1024**2  # of a record; one of vCluster's chart has less than one
RELEASE_SECRET_TYPE = "helm.sh/release.v1"
RECORD_PREFIX = "sh.helm.release.v1."  # of the name of a record, whatever it is kept in
FAILED = "failed"
UNINSTALLED = "uninstalled"  # by `helm uninstall --keep-history`
# A killed helm leaves one of these, and then refuses to go on from it.
PENDING = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")

_Key = TypeVar("_Key", bound=Hashable)
_Record = TypeVar("_Record")


class HelmError(NestedClustersError):
    """helm said no; the message is helm's own."""


@dataclass(frozen=True)
class Release:
    """One revision of a Helm release, as helm stores or prints it."""

    name: str
    namespace: str
    revision: int
    status: str
    chart_name: str
    chart_version: str
    values: dict[str, Any]  # what the caller gave, without the chart's defaults
    manifest: str
    apply_method: str = ""  # "ssa" where helm 4 applies on the server, "csa" or "" elsewhere
    labels: dict[str, str] = field(default_factory=dict)

    @cached_property
    def vcluster_version(self) -> Version:
        """The version of its chart. Raises OptionError where that is no semantic version, which vCluster's is."""
        return parse_version(self.chart_version)

    @property
    def secret_name(self) -> str:
        return f"{RECORD_PREFIX}{self.name}.v{self.revision}"

    def is_of(self, name: str, namespace: str) -> bool:
        """Return whether it is of this name and in this namespace, by what the record itself says."""
        return (self.name, self.namespace) == (name, namespace)

    @classmethod
    def from_json(cls, data: dict[str, Any], labels: dict[str, str] | None = None) -> Release:
        chart = (data.get("chart") or {}).get("metadata") or {}
        return cls(
            name=data["name"],
            namespace=data.get("namespace", ""),
            revision=int(data.get("version", 0)),
            status=(data.get("info") or {}).get("status", "unknown"),
            chart_name=chart.get("name", ""),
            chart_version=chart.get("version", ""),
            values=data.get("config") or {},
            manifest=data.get("manifest", ""),
            apply_method=data.get("apply_method") or "",
            labels=labels if labels is not None else dict(data.get("labels") or {}),
        )


# --- which records there are ------------------------------------------------------------------------------


def of_release(name: str) -> str:
    """Return the label selector by which Helm finds the records of a release, whatever else is written on them."""
    return f"owner=helm,name={name}"


def newest_of_each(
    records: Iterable[tuple[_Key, _Record]], labels: Callable[[_Record], Mapping[str, str]]
) -> dict[_Key, _Record]:
    """Return the record with the newest revision for each key, by the label that Helm sorts them by."""
    found: dict[_Key, tuple[int, _Record]] = {}
    for key, record in records:
        digits = labels(record).get("version", "")
        revision = int(digits) if digits.isdigit() else 0
        if key not in found or revision > found[key][0]:
            found[key] = revision, record
    return {key: record for key, (_revision, record) in found.items()}


def newest_releases(secrets: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the Secret with the newest revision of each release among a namespace's Secrets, by release name."""
    records = [(_labels(secret).get("name"), secret) for secret in secrets if secret.get("type") == RELEASE_SECRET_TYPE]
    return newest_of_each([(name, secret) for name, secret in records if name], _labels)


def _labels(secret: dict[str, Any]) -> dict[str, str]:
    return secret["metadata"].get("labels") or {}


# --- what is in one, and whose it is ----------------------------------------------------------------------


def _unpacked(packed: bytes) -> bytes:
    """Unpack gzip up to a limit, because anyone who may write the Secret can have written it."""
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    text = unpacker.decompress(packed, _MOST_BYTES)
    if not unpacker.eof:
        raise EOFError("it is cut off, or has more than 64 MiB")
    return text


def with_status(secret: dict[str, Any], status: str) -> dict[str, Any]:
    """Return the merge patch that gives a release Secret another status, in its payload and its label."""
    data = json.loads(_text(secret))
    data["info"] = {**(data.get("info") or {}), "status": status}
    packed = base64.b64encode(gzip.compress(json.dumps(data).encode()))
    meta = {"labels": {"status": status}, "resourceVersion": secret["metadata"].get("resourceVersion")}
    return {"data": {"release": base64.b64encode(packed).decode()}, "metadata": meta}


def _text(secret: dict[str, Any]) -> bytes:
    packed = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    return _unpacked(packed) if packed[:2] == b"\x1f\x8b" else packed


def decode_release(secret: dict[str, Any]) -> Release:
    """Return the release in a Helm release Secret. Raises HelmError when it cannot be read.

    Source: helm's storage driver; the payload is base64 (helm's) of gzip of JSON, in a Secret (base64 again).
    """
    return _decoded(secret, json.loads)


def release_in(secret: dict[str, Any] | None) -> Release | None:
    """Return the release in a Secret, or None where nobody can read it: then it says nothing of anybody's release."""
    try:
        return decode_release(secret) if secret else None
    except HelmError:
        return None


def own_release(secret: dict[str, Any], name: str, namespace: str) -> Release:
    """Return the release in a Helm record, by which Helm would go: it has to be the one that is meant.

    Raises HelmError where it cannot be read, NestedClustersError where it speaks of another release or namespace.
    """
    release = decode_release(secret)
    if not release.is_of(name, namespace):
        raise NestedClustersError(
            f"virtual cluster {name} in namespace {namespace}: nothing was changed, because Secret "
            f"{namespace}/{secret['metadata']['name']} has the labels of its Helm record but contains release "
            f"{release.name} in namespace {release.namespace}. If a tool keeps its records here, such as Flux with "
            f"storageNamespace, choose a namespace other than {namespace}, and change {release.name} with that tool. "
            "Otherwise the Secret was changed: restore it from a backup"
        )
    return release


def revisions(secrets: Iterable[dict[str, Any]], name: str, namespace: str) -> list[Release]:
    """Return the revisions in records of a release, oldest first. Raises HelmError for one that is not Helm's."""
    found = [_checked(secret, name, namespace) for secret in secrets]
    return sorted(found, key=lambda release: release.revision)


def _checked(secret: dict[str, Any], name: str, namespace: str) -> Release:
    release, meta = decode_record(secret), secret["metadata"]
    told = release.secret_name, str(release.revision)
    if not release.is_of(name, namespace) or told != (meta["name"], release.labels.get("version")):
        raise HelmError(
            f"Secret {namespace}/{meta['name']} has the labels and the name of a record of Helm release {name} but "
            f"contains revision {release.revision} of release {release.name} in namespace {release.namespace}; {ADVICE}"
        )
    return release


ADVICE = (
    "everyone who may write Secrets in the namespace can have changed it: find out who did, and restore it from a "
    "backup, or delete it to let Helm fall back on the previous revision"
)


def decode_record(secret: dict[str, Any]) -> Release:
    """Decode as ``decode_release`` does, but refuse what Helm would read differently: a name that occurs twice, or in
    other letters, since Go takes the last of those."""
    return _decoded(secret, _unambiguous)


def _unambiguous(text: bytes) -> dict[str, Any]:
    def single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a name is there twice")
        return dict(pairs)

    data = json.loads(text, object_pairs_hook=single)
    for known in (data, data.get("info") or {}):
        odd = [name for name in known if name.casefold() in _FIELDS and name not in _FIELDS]
        if odd:
            raise ValueError(f"{odd[0]} is not how Helm writes that name")
    return dict(data)


_FIELDS = {"name", "namespace", "version", "info", "chart", "config", "manifest", "hooks", "apply_method", "status"}


def _decoded(secret: dict[str, Any], parse: Callable[[bytes], Any]) -> Release:
    try:
        release = Release.from_json(parse(_text(secret)), dict(secret["metadata"].get("labels") or {}))
        # Without one, Helm uses the namespace of its option, where it has searched for the record.
        return release if release.namespace else replace(release, namespace=secret["metadata"].get("namespace", ""))
    except (KeyError, TypeError, ValueError, AttributeError, OSError, EOFError, zlib.error) as error:
        meta = secret.get("metadata", {})
        raise HelmError(
            f"Secret {meta.get('namespace')}/{meta.get('name')} does not contain a Helm release: {error}; "
            "restore it from a backup, or delete it to let Helm fall back on the previous revision"
        ) from error
