# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What options say of a control plane (distribution, replicas, backing store), as vcluster.yaml. Pure functions."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..common.errors import OptionError
from ..common.redaction import redacted
from ..common.semver import Version
from . import accessors, licensed_features, tree, validation
from .backing_store import (
    EMBEDDED_SQLITE,
    EXTERNAL_DATABASE,
    STORES,
    BackingStore,
    StoreSetting,
    enabled_store,
    store_of,
)

DISTRIBUTIONS = ("k8s", "k3s", "k0s")

_DISTRO = ("controlPlane", "distro")

# What the images of other distributions append to the version of Kubernetes (source: chart/values.yaml).
_TAG_SUFFIX = {"k3s": "-k3s1", "k0s": "-k0s.0"}


@dataclass(frozen=True)
class ControlPlane:
    """What a task or a group says of its control planes; None where it says nothing."""

    distribution: str | None = None
    replicas: int | None = None
    backing_store: BackingStore | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> ControlPlane:
        """Make one from a module's options, or from what was stored of them. Raises OptionError."""
        store = options.get("backing_store")
        return cls(options.get("distribution"), options.get("replicas"), BackingStore.of(store) if store else None)

    def as_dict(self) -> dict[str, Any]:
        """Return what is set, as plain data; :meth:`of` reads it."""
        store = self.backing_store.as_dict() if self.backing_store else None
        said = {"distribution": self.distribution, "replicas": self.replicas, "backing_store": store}
        return {key: value for key, value in said.items() if value is not None}

    def over(self, lower: ControlPlane) -> ControlPlane:
        """Return this, and what only ``lower`` speaks of."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        return ControlPlane(**{key: getattr(lower, key) if value is None else value for key, value in own.items()})

    def without(self, upper: ControlPlane) -> ControlPlane:
        """Return this, without what ``upper`` speaks of."""
        own = {one.name: getattr(self, one.name) for one in fields(self)}
        return ControlPlane(**{key: value if getattr(upper, key) is None else None for key, value in own.items()})

    def layer(self, merged: dict[str, Any]) -> dict[str, Any]:
        """Return the values that say so, to be laid on ``merged``."""
        result: dict[str, Any] = {}
        if self.distribution and self.distribution != accessors.distribution_of(merged):
            result = tree.at((*_DISTRO, self.distribution, "enabled"), True)
        if self.replicas is not None:
            result = tree.merge(result, tree.at(accessors.REPLICAS_PATH, self.replicas))
        return tree.merge(result, self.backing_store.layer(merged)) if self.backing_store else result

    # --- checks -------------------------------------------------------------------------------------------

    def check_given(self, requested: dict[str, Any] | None, deployed: dict[str, Any] | None) -> None:
        """Raise OptionError for options that contradict each other, the values of the task, or what is deployed."""
        self.check_form()
        self.check_values(requested or {})
        if deployed is not None:
            self._check_deployed(deployed)

    def check_form(self) -> None:
        """Raise OptionError for options that contradict each other, whatever the version."""
        if self.replicas is not None and self.replicas < 1:
            raise OptionError("replicas", self.replicas, "1 or more")

    def check_values(self, requested: dict[str, Any]) -> None:
        """Raise OptionError where the values of the same task, or the same group, say something else."""
        for option, path, value in self._settings():
            said = tree.get(requested, path)
            if said is not None and said != value:
                message = f"values set {path} to {redacted(said, path)!r}, which differs; set it in one place only"
                raise OptionError(option, value, "what values say, or values without it", message=message)
        store, enabled = self.backing_store, enabled_store(requested)
        for option, wanted, named in (
            ("distribution", self.distribution, _enabled_distribution(requested)),
            ("backing_store.type", store.type.name if store else None, enabled.name if enabled else None),
        ):
            if wanted and named and wanted != named:
                message = f"values enable {named}, not {wanted}; set {named}, or remove it from values"
                raise OptionError(option, wanted, f"{named}, or values that enable none", message=message)

    def _check_deployed(self, deployed: dict[str, Any]) -> None:
        """Raise OptionError for another backing store than the one that a virtual cluster has."""
        store, has = self.backing_store, store_of(deployed)
        if store and store.type != has:
            message = (
                f"the virtual cluster has {has.name}, and would start without data on {store.type.name}, because "
                f"nothing copies it; set {has.name}"
            )
            raise OptionError("backing_store.type", store.type.name, f"{has.name}, which is deployed", message=message)

    def _settings(self) -> Iterator[StoreSetting]:
        if self.replicas is not None:
            yield StoreSetting("replicas", accessors.REPLICAS_PATH, self.replicas)
        if self.backing_store:
            yield from self.backing_store.settings()

    def check(self, merged: dict[str, Any], version: Version, image_repository: str | None) -> None:
        """Raise OptionError for what this vCluster version cannot do; names the versions that can.

        ``merged`` are the values that the release is to have, including these options.
        """
        if self.distribution:
            validation.check_distribution(self.distribution, version)
        if self.backing_store:
            self.backing_store.check_complete(merged)
            self._check_store(merged, version, image_repository)
        if (self.replicas or 1) > 1 and store_of(merged) == EMBEDDED_SQLITE:
            raise OptionError(
                "replicas",
                self.replicas,
                "1, or a backing_store of another type",
                reason="the embedded SQLite database supports one replica",
            )

    def _check_store(self, merged: dict[str, Any], version: Version, image_repository: str | None) -> None:
        if self.backing_store is None:
            return
        kind = self.backing_store.type
        if version.release < kind.since:
            since = ".".join(map(str, kind.since))
            others = ", ".join(name for name in STORES if name != kind.name)
            raise OptionError(
                "backing_store.type",
                kind.name,
                f"{others}, or {kind.name} with a vcluster_version of {since} or later",
                reason=f"vCluster {version} has no such backing store",
            )
        if kind == EXTERNAL_DATABASE and licensed_features.needs_licence(
            merged, kind.switch, version, image_repository
        ):
            raise OptionError(
                "backing_store.type",
                kind.name,
                "embedded_sqlite, deployed_etcd, external_etcd, or values with an image that has a license "
                "(controlPlane.statefulSet.image.repository)",
                reason="the open-source image supports an external database only with distribution k3s (before "
                "vCluster 0.33) or k0s (before 0.26)",
            )


def desired(
    requested: dict[str, Any] | None,
    options: ControlPlane,
    kubernetes_version: Version | None,
    deployed: dict[str, Any] | None,
    ours: bool,
) -> dict[str, Any]:
    """Return the values that the release is to have.

    ``requested`` is None when the task does not speak of values: what is deployed stays. A release that this
    collection made has exactly the built-in values and those of the task. One of another tool keeps its
    own values under those of the task, so that taking it over restarts nothing. ``options`` lie over all of them.
    """
    if deployed is None:
        result = tree.merge(accessors.BUILT_IN, requested or {})
    elif requested is None:
        result = copy.deepcopy(deployed)
    elif ours:
        result = tree.merge(accessors.BUILT_IN, requested)
        kept_at = kubernetes_version_at(accessors.distribution_of(result))
        kept = tree.get(deployed, kept_at)
        if kept and tree.get(requested, kept_at) is None:  # leaving it out is no order to change Kubernetes
            result = tree.merge(result, tree.at(kept_at, kept))
    else:
        result = tree.merge(deployed, requested)
    if options.distribution:
        result = _without_other_distributions(result, options.distribution)
    result = tree.merge(result, options.layer(result))
    if kubernetes_version:
        distribution = accessors.distribution_of(result)
        tag = kubernetes_tag(distribution, kubernetes_version)
        result = tree.merge(result, tree.at(kubernetes_version_at(distribution), tag))
    return result


def kubernetes_version_at(distribution: str) -> tuple[str, ...]:
    """Return the path of the Kubernetes version in vcluster.yaml."""
    return (*_DISTRO, "k8s", "version") if distribution == "k8s" else (*_DISTRO, distribution, "image", "tag")


def kubernetes_tag(distribution: str, version: Version) -> str:
    """Return a version of Kubernetes as vcluster.yaml has it: ``v1.32.1-k3s1`` for ``1.32.1`` of k3s."""
    if distribution == "k8s":
        return version.text
    suffix = "" if version.prerelease or version.build else _TAG_SUFFIX[distribution]
    return f"v{version}{suffix}".replace("+", "-")  # k3s releases are v1.32.1+k3s1, their images v1.32.1-k3s1


def _without_other_distributions(deployed: dict[str, Any], distribution: str) -> dict[str, Any]:
    """Return values without what they say of other distributions: newer versions refuse even a switched-off one."""
    distro = tree.get(deployed, _DISTRO)
    if not isinstance(distro, dict):
        return deployed
    kept = {name: settings for name, settings in distro.items() if name == distribution}
    return {**deployed, _DISTRO[0]: {**deployed[_DISTRO[0]], _DISTRO[1]: kept}}


def _enabled_distribution(requested: dict[str, Any]) -> str | None:
    return next((name for name in DISTRIBUTIONS if tree.get(requested, (*_DISTRO, name, "enabled")) is True), None)
