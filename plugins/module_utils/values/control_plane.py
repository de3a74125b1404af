# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Distribution, replicas and backing store: from the options of a task or a group to vcluster.yaml. Pure functions."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..common.errors import OptionError
from ..common.redaction import redacted
from ..common.semver import Version, parse_kubernetes_version
from . import accessors, licensed_features, tree, validation

DISTRIBUTIONS = ("k8s", "k3s", "k0s")
STORES = ("embedded_sqlite", "deployed_etcd", "external_etcd", "external_database")

# Which of the options of a backing store belong to which type; the first is needed.
_OPTIONS = {
    "embedded_sqlite": (),
    "deployed_etcd": ("replicas",),
    "external_etcd": ("endpoint", "tls_secret"),
    "external_database": ("data_source", "tls_secret"),
}
_NEEDED = {"external_etcd": "endpoint", "external_database": "data_source"}
_EXAMPLES = {
    "endpoint": "the address of the etcd, such as etcd.example.com:2379",
    "data_source": "how to reach the database, such as mysql://user:password@tcp(db.example.com:3306)/name",
}
_ETCD_MEMBERS = (1, 3, 5, 7)  # with an even number, one more fails than the quorum can spare
_ADDRESS = re.compile(r"(https://)?([a-z0-9*.-]+|\[[0-9a-f:.]+\]):[0-9]{1,5}", re.IGNORECASE)

_CONTROL_PLANE = "controlPlane"
_STORE = (_CONTROL_PLANE, "backingStore")
_DISTRO = (_CONTROL_PLANE, "distro")
_REPLICAS = (_CONTROL_PLANE, "statefulSet", "highAvailability", "replicas")
_ETCD_REPLICAS = (*_STORE, "etcd", "deploy", "statefulSet", "highAvailability", "replicas")
_ENDPOINT = (*_STORE, "etcd", "external", "endpoint")
_DATA_SOURCE = (*_STORE, "database", "external", "dataSource")
_PERSISTENCE = (_CONTROL_PLANE, "statefulSet", "persistence")
_SWITCHES = {kind: tuple(accessors.STORE_SWITCHES[kind.replace("_", "-")].split(".")) for kind in STORES}
_TLS = {"external_etcd": (*_STORE, "etcd", "external", "tls"), "external_database": (*_STORE, "database", "external")}
_TLS_VOLUME = "backing-store-tls"
_TLS_DIRECTORY = "/etc/vcluster-backing-store"
# The keys of a Secret of type kubernetes.io/tls, as cert-manager makes them.
_TLS_FILES = {"caFile": "ca.crt", "certFile": "tls.crt", "keyFile": "tls.key"}

# What the images of other distributions append to the version of Kubernetes (source: chart/values.yaml).
_TAG_SUFFIX = {"k3s": "-k3s1", "k0s": "-k0s.0"}


@dataclass(frozen=True)
class ControlPlane:
    """What a task or a group says of its control planes; None where it says nothing.

    ``backing_store`` has ``type``, one of STORES, and the options that belong to it.
    """

    distribution: str | None = None
    replicas: int | None = None
    backing_store: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ControlPlane:
        """Those of a module's options, or of what was stored of them."""
        store = options.get("backing_store")
        given = {key: value for key, value in store.items() if value is not None} if store else None
        return cls(options.get("distribution"), options.get("replicas"), given)

    def as_dict(self) -> dict[str, Any]:
        """What is said, as plain data; :meth:`of` reads it."""
        said = {one.name: getattr(self, one.name) for one in fields(self)}
        return {key: value for key, value in said.items() if value is not None}

    def over(self, lower: ControlPlane) -> ControlPlane:
        """This, and what only ``lower`` speaks of."""
        mine = {one.name: getattr(self, one.name) for one in fields(self)}
        return ControlPlane(**{key: getattr(lower, key) if value is None else value for key, value in mine.items()})

    def without(self, upper: ControlPlane) -> ControlPlane:
        """This, without what ``upper`` speaks of."""
        mine = {one.name: getattr(self, one.name) for one in fields(self)}
        return ControlPlane(**{key: value if getattr(upper, key) is None else None for key, value in mine.items()})

    def layer(self, merged: dict[str, Any]) -> dict[str, Any]:
        """The values that say so, to be laid on ``merged``."""
        result: dict[str, Any] = {}
        if self.distribution and self.distribution != accessors.distribution_of(merged):
            result = tree.at((*_DISTRO, self.distribution, "enabled"), True)
        if self.replicas is not None:
            result = tree.merge(result, tree.at(_REPLICAS, self.replicas))
        return tree.merge(result, _store_layer(self.backing_store, merged)) if self.backing_store else result

    # --- checks -------------------------------------------------------------------------------------------

    def check_given(self, asked: dict[str, Any] | None, deployed: dict[str, Any] | None) -> None:
        """OptionError for options that contradict each other, the values of the task, or what is deployed."""
        self.check_form()
        self.check_values(asked or {})
        if deployed is not None:
            self._check_deployed(deployed)

    def check_form(self) -> None:
        """OptionError for options that contradict each other, whatever the version."""
        if self.replicas is not None and self.replicas < 1:
            raise OptionError("replicas", self.replicas, "1 or more")
        if self.backing_store is None:
            return
        kind, members = self.backing_store.get("type"), self.backing_store.get("replicas")
        if kind not in STORES:
            raise OptionError("backing_store.type", kind, ", ".join(STORES))
        for option in _EXAMPLES.keys() | {"replicas", "tls_secret"}:
            if self.backing_store.get(option) is not None and option not in _OPTIONS[kind]:
                of = " or ".join(name for name, options in _OPTIONS.items() if option in options)
                given = self.backing_store[option]
                raise OptionError(f"backing_store.{option}", given, f"backing_store.type {of}", reason=f"it is {kind}")
        if members is not None and members not in _ETCD_MEMBERS:
            raise OptionError("backing_store.replicas", members, ", ".join(map(str, _ETCD_MEMBERS)))
        address = self.backing_store.get("endpoint")
        if address is not None and not _ADDRESS.fullmatch(address):
            reason = "vCluster speaks to an etcd with TLS, and to one address"
            raise OptionError("backing_store.endpoint", address, _EXAMPLES["endpoint"], reason=reason)

    def check_values(self, asked: dict[str, Any]) -> None:
        """OptionError where the values of the same task, or the same group, say something else."""
        for option, where, value in self._settings():
            said = tree.get(asked, where)
            if said is not None and said != value:
                path = ".".join(where)
                reason = f"{path} is {redacted(said, path)!r}"
                raise OptionError(option, value, "what values say, or values without it", reason=reason)
        for option, wanted, said in (
            ("distribution", self.distribution, _said_distribution(asked)),
            ("backing_store.type", (self.backing_store or {}).get("type"), _said_store(asked)),
        ):
            if wanted and said and wanted != said:
                reason = f"values have {said} enabled"
                raise OptionError(option, wanted, f"{said}, or values that enable none", reason=reason)

    def _check_deployed(self, deployed: dict[str, Any]) -> None:
        """OptionError for another backing store than the one that a virtual cluster has."""
        kind, has = (self.backing_store or {}).get("type"), _store_name(accessors.backing_store(deployed))
        if kind and kind != has:
            reason = "nothing copies the data, and the virtual cluster would come up empty"
            raise OptionError("backing_store.type", kind, f"{has}, which is deployed", reason=reason)

    def _settings(self) -> Iterator[tuple[str, tuple[str, ...], Any]]:
        store = self.backing_store or {}
        if self.replicas is not None:
            yield "replicas", _REPLICAS, self.replicas
        for option, where in (("replicas", _ETCD_REPLICAS), ("endpoint", _ENDPOINT), ("data_source", _DATA_SOURCE)):
            if store.get(option) is not None:
                yield f"backing_store.{option}", where, store[option]

    def check(self, merged: dict[str, Any], version: Version, image_repository: str | None) -> None:
        """OptionError for what this vCluster version cannot do; names the versions that can.

        ``merged`` are the values that the release shall have, these options among them.
        """
        if self.distribution:
            validation.check_distribution(self.distribution, version)
        kind = (self.backing_store or {}).get("type", "")
        needed = _NEEDED.get(kind)
        if needed and not tree.get(merged, _ENDPOINT if needed == "endpoint" else _DATA_SOURCE):
            raise OptionError(f"backing_store.{needed}", None, _EXAMPLES[needed])
        if kind == "external_etcd" and version.release < validation.EXTERNAL_ETCD_SINCE:
            since = ".".join(map(str, validation.EXTERNAL_ETCD_SINCE))
            others = ", ".join(name for name in STORES if name != kind)
            raise OptionError(
                "backing_store.type",
                kind,
                f"{others}, or {kind} with a vcluster_version of {since} or later",
                reason=f"vCluster {version} has no such backing store",
            )
        if kind == "external_database" and licensed_features.needs_licence(
            merged, ".".join(_SWITCHES[kind]), version, image_repository
        ):
            raise OptionError(
                "backing_store.type",
                kind,
                "embedded_sqlite, deployed_etcd, external_etcd, or values with an image that has a licence "
                "(controlPlane.statefulSet.image.repository)",
                reason="the open-source image opens an external database only for distribution k3s or k0s, which "
                "vCluster has before 0.33 and 0.26",
            )
        store = accessors.backing_store(merged)
        if (self.replicas or 1) > 1 and store == "embedded-sqlite":
            raise OptionError(
                "replicas",
                self.replicas,
                "1, or a backing_store of another type",
                reason="the embedded SQLite database has one writer",
            )


def desired(
    asked: dict[str, Any] | None,
    options: ControlPlane,
    kubernetes_version: str | None,
    deployed: dict[str, Any] | None,
    ours: bool,
) -> dict[str, Any]:
    """The values that the release shall have.

    ``asked`` is None when the task does not speak of values: what is deployed stays. A release that this
    collection made has exactly the built-in values and those of the task. One that somebody else made keeps its
    own values under those of the task, so that taking it over restarts nothing. ``options`` lie over all of them.
    """
    if deployed is None:
        result = tree.merge(accessors.BUILT_IN, asked or {})
    elif asked is None:
        result = copy.deepcopy(deployed)
    elif ours:
        result = tree.merge(accessors.BUILT_IN, asked)
        kept_at = kubernetes_version_at(accessors.distribution_of(result))
        kept = tree.get(deployed, kept_at)
        if kept and tree.get(asked, kept_at) is None:  # leaving it out is no order to change Kubernetes
            result = tree.merge(result, tree.at(kept_at, kept))
    else:
        result = tree.merge(deployed, asked)
    if options.distribution:
        result = _without_other_distributions(result, options.distribution)
    result = tree.merge(result, options.layer(result))
    if kubernetes_version:
        distribution = accessors.distribution_of(result)
        tag = kubernetes_tag(distribution, kubernetes_version)
        result = tree.merge(result, tree.at(kubernetes_version_at(distribution), tag))
    return result


def kubernetes_version_at(distribution: str) -> tuple[str, ...]:
    """Where vcluster.yaml has the version of Kubernetes."""
    return (*_DISTRO, "k8s", "version") if distribution == "k8s" else (*_DISTRO, distribution, "image", "tag")


def kubernetes_tag(distribution: str, version: str) -> str:
    """A version of Kubernetes as vcluster.yaml has it: ``v1.32.1-k3s1`` for ``1.32.1`` of k3s."""
    if distribution == "k8s":
        return version
    parsed = parse_kubernetes_version(version)
    suffix = "" if parsed.prerelease or parsed.build else _TAG_SUFFIX[distribution]
    return f"v{parsed}{suffix}".replace("+", "-")  # k3s releases are v1.32.1+k3s1, their images v1.32.1-k3s1


def _without_other_distributions(deployed: dict[str, Any], distribution: str) -> dict[str, Any]:
    """Values without what they say of other distributions: newer versions refuse even a switched-off one."""
    distro = tree.get(deployed, _DISTRO)
    if not isinstance(distro, dict):
        return deployed
    kept = {name: settings for name, settings in distro.items() if name == distribution}
    return {**deployed, _CONTROL_PLANE: {**deployed[_CONTROL_PLANE], "distro": kept}}


def _store_layer(store: Mapping[str, Any], merged: dict[str, Any]) -> dict[str, Any]:
    kind = store["type"]
    result: dict[str, Any] = {}
    if kind != _store_name(accessors.backing_store(merged)):
        result = tree.at(_SWITCHES[kind], True)
    for option, where in (("replicas", _ETCD_REPLICAS), ("endpoint", _ENDPOINT), ("data_source", _DATA_SOURCE)):
        if store.get(option) is not None:
            result = tree.merge(result, tree.at(where, store[option]))
    secret = store.get("tls_secret")
    if secret:
        files = {key: f"{_TLS_DIRECTORY}/{name}" for key, name in _TLS_FILES.items()}
        result = tree.merge(result, tree.at(_TLS[kind], files))
        for key, item in (
            ("addVolumes", {"name": _TLS_VOLUME, "secret": {"secretName": secret}}),
            ("addVolumeMounts", {"name": _TLS_VOLUME, "mountPath": _TLS_DIRECTORY, "readOnly": True}),
        ):
            there = tree.get(merged, (*_PERSISTENCE, key)) or []
            others = [one for one in there if one.get("name") != _TLS_VOLUME]
            result = tree.merge(result, tree.at((*_PERSISTENCE, key), [*others, item]))
    return result


def _store_name(store: str) -> str:
    return store.replace("-", "_")


def _said_distribution(asked: dict[str, Any]) -> str | None:
    return next((name for name in DISTRIBUTIONS if tree.get(asked, (*_DISTRO, name, "enabled")) is True), None)


def _said_store(asked: dict[str, Any]) -> str | None:
    """The backing store that values enable themselves."""
    named = _store_name(accessors.backing_store(asked))
    return named if named != "embedded_sqlite" or tree.get(asked, _SWITCHES["embedded_sqlite"]) is True else None
