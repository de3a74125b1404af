# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the values that need a license, by version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..common.semver import Minor, Version
from . import tree
from .accessors import DISTRIBUTION_ORDER, IMAGE_REPOSITORY, OPEN_SOURCE_IMAGE, distribution_of
from .backing_store import EMBEDDED_ETCD, EXTERNAL_DATABASE

# --- keys that need a license -----------------------------------------------------------------------------


@dataclass(frozen=True)
class LicensedKey:
    """A key that the open-source image cannot serve, in the versions from ``since`` until before ``until``.

    ``kind``: ``on`` (a switch), ``any`` (anything that is not empty), ``entry`` (a dict of things with
    ``enabled``; the path gets the entry's name). ``fails``: the control plane or the syncer errors;
    otherwise the key is read by nothing in the open-source image and silently has no effect.
    """

    path: str
    kind: str = "on"
    fails: bool = False
    since: Minor = (0, 20)
    until: Minor | None = None
    distributions: tuple[str, ...] = DISTRIBUTION_ORDER


# Source: what fails calls NewFeatureError (pkg/pro, pkg/controllers/resources/pods/scheduling) from
# cmd/vcluster/cmd/start.go, pkg/setup or pkg/k8s. What has no effect has no reader in pkg/ and cmd/vcluster
# but validation, and most of it is in Config.IsProFeatureEnabled (config/config.go). since and until are
# where chart/values.schema.json has the key. k3s (pkg/k3s) opened an external database by itself.
LICENSED_KEYS: tuple[LicensedKey, ...] = (
    LicensedKey(EMBEDDED_ETCD.switch, fails=True),
    LicensedKey(EXTERNAL_DATABASE.switch, fails=True, distributions=("k8s",)),
    LicensedKey("controlPlane.coredns.embedded", fails=True),
    LicensedKey("controlPlane.advanced.kubeVip.enabled", fails=True, since=(0, 30)),
    LicensedKey("privateNodes.enabled", fails=True, since=(0, 26)),
    LicensedKey("sync.toHost.namespaces.enabled", fails=True, since=(0, 26)),
    LicensedKey("sync.toHost.pods.hybridScheduling.enabled", fails=True, since=(0, 26)),
    # start.go asks for the proxy when the dict is not empty, whether its entries are enabled or not.
    LicensedKey("experimental.proxy.customResources", "any", fails=True, since=(0, 31)),
    LicensedKey("experimental.isolatedControlPlane.enabled", fails=True, until=(0, 28)),
    LicensedKey("experimental.syncSettings.rewriteKubernetesService", fails=True, until=(0, 26)),
    LicensedKey("experimental.syncSettings.disableSync", until=(0, 26)),
    LicensedKey("experimental.denyProxyRequests", "any"),
    LicensedKey("experimental.sleepMode.enabled", since=(0, 22), until=(0, 24)),
    LicensedKey("networking.resolveDNS", "any"),
    LicensedKey("policies.centralAdmission.validatingWebhooks", "any"),
    LicensedKey("policies.centralAdmission.mutatingWebhooks", "any"),
    LicensedKey("controlPlane.hostPathMapper.central"),
    LicensedKey("sync.toHost.customResources", "entry", since=(0, 21)),
    LicensedKey("sync.fromHost.customResources", "entry", since=(0, 21)),
    LicensedKey("sync.toHost.resourceClaims.enabled", since=(0, 32)),
    LicensedKey("sync.toHost.resourceClaimTemplates.enabled", since=(0, 32)),
    LicensedKey("sync.fromHost.deviceClasses.enabled", since=(0, 32)),
    LicensedKey("integrations.certManager.enabled", since=(0, 22)),
    LicensedKey("integrations.externalSecrets.enabled", since=(0, 21)),
    LicensedKey("integrations.kubeVirt.enabled", since=(0, 21)),
    LicensedKey("integrations.istio.enabled", since=(0, 25)),
    LicensedKey("integrations.netris.enabled", since=(0, 32)),
    LicensedKey("sleepMode.enabled", since=(0, 24), until=(0, 32)),
    LicensedKey("external.platform", "any", until=(0, 32)),
    LicensedKey("sleep", "any", since=(0, 32)),
    LicensedKey("snapshots", "any", since=(0, 32)),
    LicensedKey("deletion", "any", since=(0, 32)),
    LicensedKey("platform", "any", since=(0, 32)),
)
# Translate patches fail object by object in the syncer (source: pkg/pro/patches.go), from 0.21 on.
_PATCHES_SINCE: Minor = (0, 21)


def licensed_keys(values: dict[str, Any], version: Version) -> list[str]:
    """Return the dotted paths in ``values`` that need a license, in a fixed order."""
    return [use.path for use in licensed_in_use(values, version)]


class LicensedUse(NamedTuple):
    """A licensed key that values use; ``fails`` says whether it fails rather than having no effect."""

    path: str
    fails: bool


def licensed_in_use(values: Mapping[str, Any], version: Version) -> Iterator[LicensedUse]:
    """Yield each licensed key that is in use."""
    distribution = distribution_of(values)
    for key in LICENSED_KEYS:
        if version.release < key.since or (key.until is not None and version.release >= key.until):
            continue
        if distribution in key.distributions:
            for path in _in_use(values, key):
                yield LicensedUse(path, key.fails)
    if version.release >= _PATCHES_SINCE:
        for direction in ("toHost", "fromHost"):
            for path in _patches(tree.get(values, f"sync.{direction}"), f"sync.{direction}"):
                yield LicensedUse(path, True)


def _in_use(values: Mapping[str, Any], key: LicensedKey) -> Iterator[str]:
    value = tree.get(values, key.path)
    if key.kind == "entry":
        entries = value if isinstance(value, Mapping) else {}
        yield from (f"{key.path}.{name}" for name, entry in entries.items() if tree.is_on(tree.get(entry, "enabled")))
    elif bool(value) if key.kind == "any" else tree.is_on(value):
        yield key.path


def _patches(node: Any, path: str) -> Iterator[str]:
    """Yield the paths of patches below a resource that is on; custom resources are reported elsewhere."""
    if not isinstance(node, Mapping) or node.get("enabled") is False:
        return
    if node.get("patches"):
        yield f"{path}.patches"
    for key, child in node.items():
        if key not in ("patches", "customResources"):
            yield from _patches(child, f"{path}.{key}")


def needs_licence(values: dict[str, Any], path: str, version: Version, image_repository: str | None = None) -> bool:
    """Return whether ``values`` use a key that the image they name has no license for.

    The images count as in check_values.
    """
    repository = image_repository or tree.setting(values, IMAGE_REPOSITORY, OPEN_SOURCE_IMAGE)
    return is_open_source(repository) and path in licensed_keys(values, version)


def is_open_source(repository: str) -> bool:
    return str(repository).rpartition("/")[2] == OPEN_SOURCE_IMAGE.rpartition("/")[2]
