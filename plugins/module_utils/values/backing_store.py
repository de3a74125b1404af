# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backing stores: their types as a table, and from the option of a task or a group to vcluster.yaml. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from ..common.errors import OptionError
from ..common.semver import Minor
from . import tree

STORE_PATH = "controlPlane.backingStore"

# --- types of backing stores ------------------------------------------------------------------------------


@dataclass(frozen=True)
class StoreType:
    """A type of backing store: a row of the table.

    ``switch`` is the path of what enables it in values. ``options`` are those of BackingStore that belong to it, each
    with its path in values; ``needed`` is the one that it cannot do without. Below ``tls`` it reads the names of files.
    """

    name: str
    switch: str
    options: Mapping[str, str]
    needed: str = ""
    tls: str = ""
    since: Minor = (0, 20)  # the first vCluster that has it
    embedded: bool = False  # whether the control plane itself keeps the data

    @property
    def vcluster_name(self) -> str:
        """Return what vCluster calls it."""
        return self.name.replace("_", "-")


_ETCD, _DATABASE = f"{STORE_PATH}.etcd", f"{STORE_PATH}.database"
EMBEDDED_ETCD = StoreType("embedded_etcd", f"{_ETCD}.embedded.enabled", {}, embedded=True)
EXTERNAL_ETCD = StoreType(
    "external_etcd",
    f"{_ETCD}.external.enabled",
    {"endpoint": f"{_ETCD}.external.endpoint", "tls_secret": ""},
    needed="endpoint",
    tls=f"{_ETCD}.external.tls",
    since=(0, 25),
)
DEPLOYED_ETCD = StoreType(
    "deployed_etcd",
    f"{_ETCD}.deploy.enabled",
    {"replicas": f"{_ETCD}.deploy.statefulSet.highAvailability.replicas"},
)
EMBEDDED_SQLITE = StoreType("embedded_sqlite", f"{_DATABASE}.embedded.enabled", {}, embedded=True)
EXTERNAL_DATABASE = StoreType(
    "external_database",
    f"{_DATABASE}.external.enabled",
    {"data_source": f"{_DATABASE}.external.dataSource", "tls_secret": ""},
    needed="data_source",
    tls=f"{_DATABASE}.external",
)
# In the order in which vCluster decides (source: config/config.go, BackingStoreType).
STORE_TYPES = (EMBEDDED_ETCD, EXTERNAL_ETCD, DEPLOYED_ETCD, EMBEDDED_SQLITE, EXTERNAL_DATABASE)
# Those that options name. An embedded etcd needs a license.
_OFFERED = {kind.name: kind for kind in (EMBEDDED_SQLITE, DEPLOYED_ETCD, EXTERNAL_ETCD, EXTERNAL_DATABASE)}
STORES = tuple(_OFFERED)


def store_of(values: Mapping[str, Any]) -> StoreType:
    """Return the backing store that values enable; EMBEDDED_SQLITE is the default."""
    return next((kind for kind in STORE_TYPES if tree.is_on(tree.get(values, kind.switch))), EMBEDDED_SQLITE)


def enabled_store(values: Mapping[str, Any]) -> StoreType | None:
    """Return the backing store that values name themselves; None where they leave it to the default."""
    kind = store_of(values)
    return kind if kind != EMBEDDED_SQLITE or tree.get(values, kind.switch) is True else None


# --- a backing store --------------------------------------------------------------------------------------

_ADDRESS_EXAMPLES = {
    "endpoint": "the address of the etcd, such as etcd.example.com:2379",
    "data_source": "how to reach the database, such as mysql://user:password@tcp(db.example.com:3306)/name",
}
_ETCD_MEMBERS = (1, 3, 5, 7)  # with an even number, one more fails than the quorum can spare
_ADDRESS = re.compile(r"(https://)?([a-z0-9*.-]+|\[[0-9a-f:.]+\]):[0-9]{1,5}", re.IGNORECASE)
_PERSISTENCE = "controlPlane.statefulSet.persistence"
_TLS_VOLUME = "backing-store-tls"
_TLS_DIRECTORY = "/etc/vcluster-backing-store"
# The keys of a Secret of type kubernetes.io/tls, as cert-manager makes them.
_TLS_FILES = {"caFile": "ca.crt", "certFile": "tls.crt", "keyFile": "tls.key"}


class StoreSetting(NamedTuple):
    """One value that an option says."""

    option: str
    path: str  # in values
    value: Any


@dataclass(frozen=True)
class BackingStore:
    """Where a control plane keeps its data; None is what nobody says."""

    type: StoreType
    replicas: int | None = None
    endpoint: str | None = None  # of an etcd; in a group with a "*" for the name of the virtual cluster
    tls_secret: str | None = None
    data_source: str | None = None  # of a database, often with its password

    @classmethod
    def of(cls, option: Mapping[str, Any]) -> BackingStore:
        """Make one from a module's option, a record or a stored request. Raises OptionError where parts contradict."""
        name = option.get("type")
        if name not in STORES:
            raise OptionError("backing_store.type", name, ", ".join(STORES))
        kind = _OFFERED[name]
        parts = {one.name: option.get(one.name) for one in fields(cls) if one.name != "type"}
        for part, value in parts.items():
            if value is not None and part not in kind.options:
                of = " or ".join(other.name for other in _OFFERED.values() if part in other.options)
                message = f"the option is for backing_store.type {of}, not {name}; remove it, or change the type"
                raise OptionError(f"backing_store.{part}", value, f"backing_store.type {of}", message=message)
        store = cls(kind, **parts)
        if store.replicas is not None and store.replicas not in _ETCD_MEMBERS:
            raise OptionError("backing_store.replicas", store.replicas, ", ".join(map(str, _ETCD_MEMBERS)))
        if store.endpoint is not None and not _ADDRESS.fullmatch(store.endpoint):
            reason = "vCluster connects to one address of an etcd, with TLS"
            raise OptionError("backing_store.endpoint", store.endpoint, _ADDRESS_EXAMPLES["endpoint"], reason=reason)
        return store

    def as_dict(self) -> dict[str, Any]:
        """Return what is said, as plain data; :meth:`of` reads it."""
        said = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**{name: value for name, value in said.items() if value is not None}, "type": self.type.name}

    def named(self, name: str) -> BackingStore:
        """Return the backing store of a group for one of its virtual clusters."""
        return replace(self, endpoint=self.endpoint.replace("*", name)) if self.endpoint else self

    def settings(self) -> Iterator[StoreSetting]:
        """Yield what each option says, where that is one value."""
        for option, path in self.type.options.items():
            value = getattr(self, option)
            if path and value is not None:
                yield StoreSetting(f"backing_store.{option}", path, value)

    def layer(self, merged: dict[str, Any]) -> dict[str, Any]:
        """Return the values that say so, to be laid on ``merged``."""
        result: dict[str, Any] = {}
        if self.type != store_of(merged):
            result = tree.at(self.type.switch, True)
        for setting in self.settings():
            result = tree.merge(result, tree.at(setting.path, setting.value))
        return tree.merge(result, self._login(merged)) if self.tls_secret else result

    def _login(self, merged: dict[str, Any]) -> dict[str, Any]:
        """Return the values by which it logs in with the certificate of a Secret, beside the volumes of ``merged``."""
        files = {key: f"{_TLS_DIRECTORY}/{name}" for key, name in _TLS_FILES.items()}
        result = tree.at(self.type.tls, files)
        for key, item in (
            ("addVolumes", {"name": _TLS_VOLUME, "secret": {"secretName": self.tls_secret}}),
            ("addVolumeMounts", {"name": _TLS_VOLUME, "mountPath": _TLS_DIRECTORY, "readOnly": True}),
        ):
            volumes = tree.get(merged, f"{_PERSISTENCE}.{key}") or []
            others = [one for one in volumes if one.get("name") != _TLS_VOLUME]
            result = tree.merge(result, tree.at(f"{_PERSISTENCE}.{key}", [*others, item]))
        return result

    def check_complete(self, merged: dict[str, Any]) -> None:
        """Raise OptionError where neither the options nor the values of a release say how to reach it."""
        needed = self.type.needed
        if needed and not tree.get(merged, self.type.options[needed]):
            raise OptionError(f"backing_store.{needed}", None, _ADDRESS_EXAMPLES[needed])
