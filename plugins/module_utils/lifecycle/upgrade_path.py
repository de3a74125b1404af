# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each vCluster version can do, and what it refuses or silently ignores.

Pure functions over plain data: no I/O. Every refusal is an OptionError that names the option, the value
and what is allowed, raised before anything is changed. What the chart's JSON schema says well is left to
helm; here is what it does not say, or says without the version or the replacement.

"Source" in the comments is the tree of github.com/loft-sh/vcluster at the tags v0.20.0 to v0.37.0-rc.1,
"documentation" is github.com/loft-sh/vcluster-docs of 2026-08-21. A pre-release counts as its minor.

Where ``values`` are asked for, they are the user-supplied vcluster.yaml as a dict, not merged with the
chart's own values.yaml: the defaults that matter are known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.values import OPEN_SOURCE_IMAGE

DEFAULT_VCLUSTER_VERSION = "0.36.1"
# vcluster.yaml came with 0.20; older releases speak another values format (documentation: upgrade-version).
OLDEST_VCLUSTER_VERSION = "0.20.0"

Minor = tuple[int, int]


# --- versions ---------------------------------------------------------------------------------------------

# Written here and not taken from a library: ansible.utils.version.SemanticVersion is not shipped to the
# host that runs a module, ansible.module_utils.compat.version (LooseVersion, StrictVersion) is not semver
# ("0.37.0-rc.1" is greater than "0.37.0" or an error there), and packaging rejects "0.37.0-next.internal.9".
_NUMBER = r"(?:0|[1-9][0-9]*)"
_SEMVER = re.compile(
    rf"v?(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER})"
    rf"(?:-(?P<prerelease>(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
    rf"(?:\.(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?",
    re.ASCII,
)


def _precedence(prerelease: str) -> tuple[Any, ...]:
    """Semver 2.0.0 section 11: a release is above its pre-releases, numbers are below words."""
    if not prerelease:
        return (1,)
    parts = prerelease.split(".")
    return (0, tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts))


@dataclass(frozen=True, order=True)
class Version:
    """A semantic version, ordered by semver precedence (build metadata is kept and not compared)."""

    major: int
    minor: int
    patch: int
    precedence: tuple[Any, ...] = field(init=False, repr=False)
    prerelease: str = field(default="", compare=False)
    build: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "precedence", _precedence(self.prerelease))

    def __str__(self) -> str:
        suffix = (f"-{self.prerelease}" if self.prerelease else "") + (f"+{self.build}" if self.build else "")
        return f"{self.major}.{self.minor}.{self.patch}{suffix}"

    @property
    def release(self) -> Minor:
        """Major and minor: what compatibility is decided by."""
        return (self.major, self.minor)


def parse_version(text: str, option: str = "vcluster_version") -> Version:
    """``0.36.1``, ``v0.36.1``, ``0.37.0-rc.1``, ``0.36.1+build``; OptionError for ``0.36`` or ``latest``."""
    match = _SEMVER.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise OptionError(option, text, "MAJOR.MINOR.PATCH", reason="not a semantic version")
    return Version(
        int(match["major"]),
        int(match["minor"]),
        int(match["patch"]),
        prerelease=match["prerelease"] or "",
        build=match["build"] or "",
    )


def parse_kubernetes_version(text: str) -> Version:
    """``v1.36.3``, ``1.36.3``, ``v1.35.0-k3s1``; OptionError for anything else.

    The chart uses the text as an image tag (source: chart/templates/_init-containers.tpl,
    vcluster.k8s.image.tag), so ``1.36`` would be an image that does not exist.
    """
    version = parse_version(text, "kubernetes_version")
    if version.major != 1:
        raise OptionError("kubernetes_version", text, "1.MINOR.PATCH", reason="Kubernetes has no such major version")
    return version


def check_vcluster_version(version: str | Version) -> Version:
    """The version, parsed; OptionError where it is no version or below the oldest that is supported."""
    parsed = parse_version(version) if isinstance(version, str) else version
    if parsed < parse_version(OLDEST_VCLUSTER_VERSION):
        raise OptionError(
            "vcluster_version",
            str(version),
            f"{OLDEST_VCLUSTER_VERSION} or later",
            reason=f"vcluster.yaml does not exist before {OLDEST_VCLUSTER_VERSION}",
        )
    return parsed


# --- names ------------------------------------------------------------------------------------------------

# Services accept only RFC 1035 labels on host clusters before Kubernetes 1.36, where the feature gate
# RelaxedServiceNameValidation became true by default (Kubernetes source: pkg/features/kube_features.go),
# and the chart names a Service NAME (source: chart/templates/service.yaml). So: a letter first, everywhere.
_RFC1035_LABEL = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_RFC1123_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")

_LABEL_LENGTH = 63  # a DNS label, and the value of a Kubernetes label
_HELM_RELEASE_LENGTH = 53
# A StatefulSet labels its pods controller-revision-hash: STATEFULSET-HASH; the hash is a 32-bit number in
# decimal, letter by letter (Kubernetes source: pkg/controller/history/controller_history.go).
_REVISION_HASH_LENGTH = len(str(2**32 - 1))
# Derived from NAME and bound to 63 characters (source: chart/templates); Secrets, ConfigMaps, Roles and
# ServiceAccounts (vc-config-NAME, vc-workload-NAME) have 253, and synced names are hashed when too long
# (source: pkg/util/translate, SafeConcatName).
_DERIVED_LENGTHS = {
    "the Helm release": _LABEL_LENGTH - _HELM_RELEASE_LENGTH,
    "Service NAME-headless": len("-headless"),
    "Service NAME-etcd-headless": len("-etcd-headless"),
    "pod label NAME-HASH": len("-") + _REVISION_HASH_LENGTH,
    "pod label NAME-etcd-HASH": len("-etcd-") + _REVISION_HASH_LENGTH,
    "the namespace vcluster-NAME": len("vcluster-"),
}
NAME_LENGTH = _LABEL_LENGTH - max(_DERIVED_LENGTHS.values())


def check_names(name: str, namespace: str) -> None:
    """OptionError where no virtual cluster can have this name, or no namespace that one.

    The longest name is 47 characters: with a deployed etcd its pods carry the label value NAME-etcd-HASH,
    with 16 characters after the name. Without etcd 52 would do; one limit for all is simpler. Ask only
    before creating: what was made elsewhere with a longer name works. vCluster reserves no
    namespace: kube-system or default are allowed here because they are there.
    """
    if not isinstance(name, str) or not _RFC1035_LABEL.fullmatch(name) or len(name) > NAME_LENGTH:
        raise OptionError(
            "name",
            name,
            f"at most {NAME_LENGTH} lowercase letters, digits and hyphens, "
            "a letter first and a letter or digit last (RFC 1035)",
            reason="Services and pod labels are named after it",
        )
    if not isinstance(namespace, str) or not _RFC1123_LABEL.fullmatch(namespace) or len(namespace) > _LABEL_LENGTH:
        raise OptionError(
            "namespace",
            namespace,
            f"at most {_LABEL_LENGTH} lowercase letters, digits and hyphens, "
            "a letter or digit first and last (RFC 1123)",
        )


# --- changes of version -----------------------------------------------------------------------------------

# Documentation, upgrade-version: etcd 3.6 came with 0.29 and wants etcd 3.5.20 before it, which came with
# 0.24.2 (source: the chart's etcd tags are 3.5.17-0 in 0.24.1, 3.5.21-0 in 0.24.2, 3.6.4-0 in 0.29.0).
_ETCD_36: Minor = (0, 29)
_BEFORE_ETCD_36 = Version(0, 24, 2)


# The newest release of each minor, for the steps of an upgrade that nobody names (source: tags of
# github.com/loft-sh/vcluster, 2026-08-21). A minor that is missing here can only be a target.
_NEWEST_RELEASES = (
    "0.20.6",
    "0.21.6",
    "0.22.6",
    "0.23.3",
    "0.24.2",
    "0.25.2",
    "0.26.5",
    "0.27.3",
    "0.28.2",
    "0.29.3",
    "0.30.5",
    "0.31.3",
    "0.32.3",
    "0.33.4",
    "0.34.7",
    "0.35.3",
    "0.36.1",
)


def check_change(deployed: Version, desired: Version) -> None:
    """OptionError where a deployed vCluster must not become the desired one in one step; equal versions always pass.

    Documentation, upgrade-version: one minor version at a time. vCluster itself checks neither that nor a
    downgrade. Who goes minor by minor has passed 0.24.2 before 0.29; a jump over it is named in the error.
    """
    _check_direction(deployed, desired)
    between = _minors_between(deployed.release, desired.release)
    if desired.major != deployed.major or between:
        reason = f"{deployed} is deployed and an upgrade must not skip a minor version"
        if between:
            reason += f"; first {', '.join(between)}"
        if deployed < _BEFORE_ETCD_36 and desired.release >= _ETCD_36:
            reason += f" (and {_BEFORE_ETCD_36} or later before 0.29, which brings etcd 3.6)"
        allowed = f"{deployed.major}.{deployed.minor} or {deployed.major}.{deployed.minor + 1}, from {deployed} on"
        raise OptionError("vcluster_version", str(desired), allowed, reason=reason)


def _check_direction(deployed: Version, desired: Version) -> None:
    if deployed == desired:
        return
    if deployed.release < parse_version(OLDEST_VCLUSTER_VERSION).release:
        reason = f"{deployed} is deployed, which has no vcluster.yaml and needs a migration by hand"
        raise OptionError("vcluster_version", str(desired), str(deployed), reason=reason)
    if desired < deployed:
        reason = f"{deployed} is deployed and vCluster has no downgrade"
        raise OptionError("vcluster_version", str(desired), f"{deployed} or later", reason=reason)


def upgrade_path(deployed: Version, desired: Version) -> list[Version]:
    """The versions that a deployed vCluster has to run one after another to become the desired one.

    One minor at a time, the desired version last, [] where it is deployed. In between it is the newest release of
    each minor, which is past every stop that is required (0.24.2 before 0.29). OptionError where there is no way.
    """
    _check_direction(deployed, desired)
    if deployed == desired:
        return []
    if desired.major != deployed.major:
        check_change(deployed, desired)
    known = {version.release: version for version in map(parse_version, _NEWEST_RELEASES)}
    path = []
    for minor in range(deployed.minor + 1, desired.minor):
        between = known.get((deployed.major, minor))
        if between is None:
            raise OptionError(
                "vcluster_version",
                str(desired),
                f"first a release of {deployed.major}.{minor}",
                reason=f"{deployed} is deployed, an upgrade goes one minor version at a time, and no release of "
                f"{deployed.major}.{minor} is known here",
            )
        path.append(between)
    return [*path, desired]


@dataclass(frozen=True)
class Step:
    """One step of an upgrade. ``kubernetes`` is what has to run in it, None for what values and chart say."""

    vcluster: Version
    kubernetes: Version | None = None


def upgrade_steps(path: list[Version], running: Version | None, values: dict[str, Any]) -> list[Step]:
    """The steps on an :func:`upgrade_path`, none of which takes Kubernetes back a minor version or past one.

    ``running`` is the Kubernetes that runs, None where it is not known; ``values`` are those at the end. Where
    Kubernetes has further to go than vCluster, the last version of the path is repeated. OptionError where there is
    no way.
    """
    steps: list[Step] = []
    now = running
    for version in path:
        last = version == path[-1]
        own, goal = kubernetes_versions(version, distribution_of(values)).default, _kubernetes_of(values, version)
        natural = goal
        if last and now and natural and natural.release < now.release:
            check_kubernetes_change(now, natural)
        if not last and own and goal and own.release < goal.release:
            goal = own  # one that is newer than this vCluster's own can wait for the vCluster that knows it
        now = _within_reach(now, goal) or now
        steps.append(Step(version, None if now == natural or natural is None else now))
        while last and now and natural and now.release < natural.release:
            now = _within_reach(now, natural)
            steps.append(Step(version, None if now == natural else now))
    if distribution_of(values) != "k8s" and any(step.kubernetes for step in steps):
        check_kubernetes_change(running, _kubernetes_of(values, path[-1]))
        raise OptionError(
            "vcluster_version",
            str(path[-1]),
            str(path[0]),
            reason=f"the Kubernetes of distribution {distribution_of(values)} must not skip a minor version on the way",
        )
    return steps


def _kubernetes_of(values: Mapping[str, Any], version: Version) -> Version | None:
    """The Kubernetes version that a vCluster with these values runs; None where it is not known."""
    distribution = distribution_of(values)
    named = _get(values, "controlPlane.distro.k8s.version") if distribution == "k8s" else None
    if named:
        return parse_kubernetes_version(str(named))
    tag = _get(values, f"controlPlane.distro.{distribution}.image.tag")
    if not tag:
        return kubernetes_versions(version, distribution).default
    try:
        return parse_kubernetes_version(str(tag))
    except OptionError:  # somebody's own image
        return None


def _within_reach(now: Version | None, goal: Version | None) -> Version | None:
    """The Kubernetes version next to the one that runs, on the way to a goal."""
    if now is None or goal is None or goal.major != now.major:
        return goal
    if goal.release < now.release:
        return now
    if goal.minor <= now.minor + 1:
        return goal
    return _newest_kubernetes((now.major, now.minor + 1), goal)


def _newest_kubernetes(release: Minor, goal: Version) -> Version:
    """The newest known patch of a Kubernetes minor: one that was some chart's default, so its image exists."""
    defaults = [parse_kubernetes_version(row["k8s"]) for row in _DEFAULT_KUBERNETES.values()]
    found = [version for version in defaults if version.release == release]
    if not found:
        raise OptionError(
            "kubernetes_version",
            str(goal),
            f"first a version of {release[0]}.{release[1]}",
            reason="an API server must not skip a minor version, and none of that one is known here",
        )
    return max(found)


def check_kubernetes_change(deployed: Version | None, desired: Version | None) -> None:
    """OptionError where the virtual cluster's Kubernetes would go down or skip a minor; None is unknown.

    Kubernetes' version skew policy: API servers go up one minor at a time, and never down. Patches may go
    either way: vCluster's own defaults do (1.32.8 in 0.25.2, 1.32.1 in 0.26.0).
    """
    if deployed is None or desired is None or deployed.release == desired.release:
        return
    if desired.release < deployed.release:
        reason = f"{deployed} is deployed and an API server must not go back a minor version"
        allowed = f"{deployed.major}.{deployed.minor} or later"
        raise OptionError("kubernetes_version", str(desired), allowed, reason=reason)
    between = _minors_between(deployed.release, desired.release)
    if desired.major != deployed.major or between:
        reason = f"{deployed} is deployed and an API server must not skip a minor version"
        if between:
            reason += f"; first {', '.join(between)}"
        allowed = f"{deployed.major}.{deployed.minor} or {deployed.major}.{deployed.minor + 1}"
        raise OptionError("kubernetes_version", str(desired), allowed, reason=reason)


def _minors_between(low: Minor, high: Minor) -> list[str]:
    if low[0] != high[0]:
        return []
    return [f"{low[0]}.{minor}" for minor in range(low[1] + 1, high[1])]


# --- Kubernetes versions ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class KubernetesVersions:
    """``default``: what the chart deploys when none is named, None where unknown.

    ``documented``: minors the documentation calls tested or likely compatible, newest first, the default's
    minor at least. Others are not known to fail.
    """

    default: Version | None
    documented: tuple[str, ...]


# Source: chart/values.yaml, controlPlane.distro.*.image.tag at every tag from v0.20.0 to v0.37.0-rc.1;
# a row holds from its version to the next row of the same minor. One column a distribution.
_DEFAULT_KUBERNETES: dict[str, dict[str, str]] = {
    "0.20.0": {"k8s": "1.30.2", "k3s": "1.30.2", "k0s": "1.30.2"},
    "0.21.0": {"k8s": "1.31.1", "k3s": "1.31.1", "k0s": "1.30.2"},
    "0.22.0": {"k8s": "1.31.1", "k3s": "1.31.1", "k0s": "1.30.2"},
    "0.23.0": {"k8s": "1.32.1", "k3s": "1.32.1", "k0s": "1.30.2"},
    "0.24.0": {"k8s": "1.32.1", "k3s": "1.32.1", "k0s": "1.30.2"},
    "0.25.0": {"k8s": "1.32.1", "k3s": "1.32.1", "k0s": "1.30.2"},
    "0.25.2": {"k8s": "1.32.8", "k3s": "1.32.7", "k0s": "1.30.2"},
    "0.26.0": {"k8s": "1.32.1", "k3s": "1.32.1"},
    "0.26.1": {"k8s": "1.32.8", "k3s": "1.32.7"},
    "0.27.0": {"k8s": "1.33.1", "k3s": "1.33.1"},
    "0.27.1": {"k8s": "1.33.4", "k3s": "1.33.3"},
    "0.28.0": {"k8s": "1.33.4", "k3s": "1.33.3"},
    "0.29.0": {"k8s": "1.33.4", "k3s": "1.33.3"},
    "0.30.0": {"k8s": "1.34.0", "k3s": "1.34.1"},
    "0.31.0": {"k8s": "1.34.0", "k3s": "1.34.1"},
    "0.32.0": {"k8s": "1.35.0", "k3s": "1.35.0"},
    "0.33.0": {"k8s": "1.35.0"},
    "0.34.0": {"k8s": "1.35.0"},
    "0.35.0": {"k8s": "1.36.0"},
    "0.36.0": {"k8s": "1.36.0"},
    "0.37.0-rc.1": {"k8s": "1.36.0"},
}
# Documentation, static/api/k8s-compatibility.json: one matrix, for the vCluster that was newest then.
_DOCUMENTED_KUBERNETES: dict[Minor, tuple[str, ...]] = {
    (0, 36): ("1.36", "1.35", "1.34"),
    (0, 37): ("1.36", "1.35", "1.34"),
}
_QOS_ISSUE_BEFORE: Minor = (1, 34)


def kubernetes_versions(version: Version, distribution: str = "k8s") -> KubernetesVersions:
    """What is known of the Kubernetes versions that a vCluster version runs.

    vCluster enforces nothing, and its documentation lists no combination that does not work: versions out
    of upstream support "can still be used but are not guaranteed to work", newer ones are tested with the
    newest vCluster within 30 days (supported_versions). So no combination is refused.
    """
    default: Version | None = None
    for since, tags in _DEFAULT_KUBERNETES.items():
        row = parse_version(since)
        if row.release == version.release and row <= version and distribution in tags:
            default = parse_kubernetes_version(tags[distribution])
    documented = _DOCUMENTED_KUBERNETES.get(version.release, ()) if distribution == "k8s" else ()
    if not documented and default is not None:
        documented = (f"{default.major}.{default.minor}",)
    return KubernetesVersions(default, documented)


def kubernetes_known_issue(kubernetes_version: Version, host_version: Version) -> str:
    """A warning for a combination with a documented issue and no workaround, "" for the others.

    Documentation, troubleshoot/pod-stuck-ready-false-version-skew (loft-sh/vcluster issue 3578).
    """
    if kubernetes_version.release < _QOS_ISSUE_BEFORE <= host_version.release:
        return (
            f"pods of a virtual cluster with Kubernetes {kubernetes_version} can stay Ready=False "
            f"on a host cluster with {host_version}: run 1.34 or later in it "
            "(https://github.com/loft-sh/vcluster/issues/3578)"
        )
    return ""


# --- reading values ---------------------------------------------------------------------------------------

_MISSING: Any = object()


def _get(values: Mapping[str, Any], path: str, default: Any = None) -> Any:
    node: Any = values
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return default
        node = node[key]
    return node


def _setting(values: Mapping[str, Any], path: str, default: Any) -> Any:
    """As _get, but null too means the chart's default."""
    value = _get(values, path)
    return default if value is None else value


def _is_on(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


_STORES = "controlPlane.backingStore"
# In the order in which vCluster decides (source: config/config.go, BackingStoreType).
STORE_SWITCHES = {
    "embedded-etcd": f"{_STORES}.etcd.embedded.enabled",
    "external-etcd": f"{_STORES}.etcd.external.enabled",
    "deployed-etcd": f"{_STORES}.etcd.deploy.enabled",
    "embedded-sqlite": f"{_STORES}.database.embedded.enabled",
    "external-database": f"{_STORES}.database.external.enabled",
}
_DISTRIBUTIONS = ("k3s", "k0s", "k8s")


def backing_store(values: dict[str, Any]) -> str:
    """embedded-sqlite (the default), deployed-etcd, embedded-etcd, external-etcd or external-database."""
    for store, switch in STORE_SWITCHES.items():
        if _is_on(_get(values, switch)):
            return store
    return "embedded-sqlite"


def distribution_of(values: Mapping[str, Any]) -> str:
    """k8s unless another is enabled (source: config/config.go, Distro, up to 0.32)."""
    for name in _DISTRIBUTIONS:
        if _is_on(_get(values, f"controlPlane.distro.{name}.enabled")):
            return name
    return "k8s"


# --- keys that need a licence -----------------------------------------------------------------------------


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
    distributions: tuple[str, ...] = _DISTRIBUTIONS


# Source: what fails calls NewFeatureError (pkg/pro, pkg/controllers/resources/pods/scheduling) from
# cmd/vcluster/cmd/start.go, pkg/setup or pkg/k8s. What has no effect has no reader in pkg/ and cmd/vcluster
# but validation, and most of it is in Config.IsProFeatureEnabled (config/config.go). since and until are
# where chart/values.schema.json has the key. k3s (pkg/k3s) opened an external database by itself.
LICENSED_KEYS: tuple[LicensedKey, ...] = (
    LicensedKey(f"{_STORES}.etcd.embedded.enabled", fails=True),
    LicensedKey(f"{_STORES}.database.external.enabled", fails=True, distributions=("k8s",)),
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
    """The dotted paths in ``values`` that ask for what the open-source image has not, in a fixed order."""
    return [path for path, _fails in _licensed(values, version)]


def _licensed(values: Mapping[str, Any], version: Version) -> Iterator[tuple[str, bool]]:
    """(path, whether it fails rather than having no effect) of each licensed key that is in use."""
    distribution = distribution_of(values)
    for key in LICENSED_KEYS:
        if version.release < key.since or (key.until is not None and version.release >= key.until):
            continue
        if distribution in key.distributions:
            for path in _in_use(values, key):
                yield path, key.fails
    if version.release >= _PATCHES_SINCE:
        for direction in ("toHost", "fromHost"):
            for path in _patches(_get(values, f"sync.{direction}"), f"sync.{direction}"):
                yield path, True


def _in_use(values: Mapping[str, Any], key: LicensedKey) -> Iterator[str]:
    value = _get(values, key.path)
    if key.kind == "entry":
        entries = value if isinstance(value, Mapping) else {}
        yield from (f"{key.path}.{name}" for name, entry in entries.items() if _is_on(_get(entry, "enabled")))
    elif bool(value) if key.kind == "any" else _is_on(value):
        yield key.path


def _patches(node: Any, path: str) -> Iterator[str]:
    """Paths of patches below a resource that is not switched off; custom resources are reported elsewhere."""
    if not isinstance(node, Mapping) or node.get("enabled") is False:
        return
    if node.get("patches"):
        yield f"{path}.patches"
    for key, child in node.items():
        if key not in ("patches", "customResources"):
            yield from _patches(child, f"{path}.{key}")


# --- checking values --------------------------------------------------------------------------------------

# Source: chart/values.schema.json of each minor; the schema says only "additional properties not allowed".
# The volume snapshot keys are still in the schema of 0.36 and refused by chart/templates/_validate.tpl.
_REMOVED_KEYS: tuple[tuple[str, Minor, str], ...] = (
    ("experimental.syncSettings.syncLabels", (0, 21), ""),
    (f"{_STORES}.etcd.deploy.headlessService.enabled", (0, 22), ""),
    ("experimental.sleepMode", (0, 24), ""),
    ("experimental.reuseNamespace", (0, 25), ""),
    ("controlPlane.distro.k8s.apiServer.image", (0, 25), "controlPlane.distro.k8s.image"),
    ("controlPlane.distro.k8s.apiServer.imagePullPolicy", (0, 25), "controlPlane.distro.k8s.imagePullPolicy"),
    ("controlPlane.distro.k8s.controllerManager.image", (0, 25), "controlPlane.distro.k8s.image"),
    (
        "controlPlane.distro.k8s.controllerManager.imagePullPolicy",
        (0, 25),
        "controlPlane.distro.k8s.imagePullPolicy",
    ),
    ("controlPlane.distro.k8s.scheduler.image", (0, 25), "controlPlane.distro.k8s.image"),
    ("controlPlane.distro.k8s.scheduler.imagePullPolicy", (0, 25), "controlPlane.distro.k8s.imagePullPolicy"),
    ("controlPlane.distro.k0s", (0, 26), "controlPlane.distro.k8s in a new virtual cluster"),
    ("experimental.multiNamespaceMode", (0, 26), ""),
    ("experimental.syncSettings.disableSync", (0, 26), ""),
    ("experimental.syncSettings.rewriteKubernetesService", (0, 26), ""),
    ("experimental.genericSync", (0, 28), ""),
    ("experimental.isolatedControlPlane", (0, 28), ""),
    ("experimental.syncSettings.targetNamespace", (0, 29), ""),
    ("policies.networkPolicy.extraControlPlaneRules", (0, 31), "policies.networkPolicy.controlPlane"),
    ("policies.networkPolicy.extraWorkloadRules", (0, 31), "policies.networkPolicy.workload"),
    ("policies.networkPolicy.outgoingConnections", (0, 31), "policies.networkPolicy.workload.publicEgress"),
    ("external", (0, 32), "platform, sleep, snapshots or deletion"),
    ("sleepMode", (0, 32), "sleep"),
    (
        "controlPlane.distro.k3s",
        (0, 33),
        "controlPlane.distro.k8s: change to it on 0.25 to 0.32, then upgrade",
    ),
    ("deploy.volumeSnapshotController", (0, 36), ""),
    ("rbac.enableVolumeSnapshotRules", (0, 36), ""),
    ("snapshots.auto.volumes", (0, 36), ""),
    ("sync.fromHost.volumeSnapshotClasses", (0, 36), ""),
    ("sync.toHost.volumeSnapshotContents", (0, 36), ""),
    ("sync.toHost.volumeSnapshots", (0, 36), ""),
)
EXTERNAL_ETCD_SINCE: Minor = (0, 25)
_ADDED_KEYS: tuple[tuple[str, Minor], ...] = (
    ("sync.fromHost.customResources", (0, 21)),
    ("sync.toHost.customResources", (0, 21)),
    (f"{_STORES}.etcd.external", EXTERNAL_ETCD_SINCE),
    ("controlPlane.distro.k8s.image", (0, 25)),
    ("privateNodes", (0, 26)),
    ("sync.toHost.namespaces", (0, 26)),
    ("sync.toHost.pods.hybridScheduling", (0, 26)),
    ("controlPlane.advanced.kubeVip", (0, 30)),
    ("experimental.proxy", (0, 31)),
    ("policies.networkPolicy.controlPlane", (0, 31)),
    ("policies.networkPolicy.workload", (0, 31)),
    ("deletion", (0, 32)),
    ("platform", (0, 32)),
    ("sleep", (0, 32)),
    ("snapshots", (0, 32)),
    ("controlPlane.tlsRoute", (0, 34)),
    ("sync.fromHost.gateways", (0, 35)),
    ("sync.toHost.gatewayApi", (0, 35)),
)
_REPLICAS = "controlPlane.statefulSet.highAvailability.replicas"
_IMAGE = "controlPlane.statefulSet.image.repository"


def check_distribution(distribution: str, version: Version) -> None:
    """OptionError for a distribution that this vCluster version does not have any more."""
    for path, gone, _replacement in _REMOVED_KEYS:
        if path == f"controlPlane.distro.{distribution}" and version.release >= gone:
            raise OptionError(
                "distribution",
                distribution,
                f"k8s, or {distribution} with a vcluster_version before {gone[0]}.{gone[1]}",
                reason=f"vCluster {version} does not have it any more",
            )


@dataclass(frozen=True)
class _Problem:
    path: str
    reason: str
    allowed: str


def check_values(values: dict[str, Any], version: Version, image_repository: str | None = None) -> None:
    """OptionError for ``values`` that this version refuses, crashes on or silently ignores; names each path.

    Keys that need a licence count only on the open-source image: that of ``image_repository``, else of the
    values, else ours. A mirror of it counts by its last name (``registry/mirror/vcluster-oss``); any other
    image may have a licence. No value is printed: values can hold credentials.
    """
    repository = image_repository or _setting(values, _IMAGE, OPEN_SOURCE_IMAGE)
    problems = [*_version_problems(values, version), *_exclusive_problems(values), *_replica_problems(values)]
    if _is_open_source(repository):
        problems += _licence_problems(values, version)
    _raise_problems(problems)


def needs_licence(values: dict[str, Any], path: str, version: Version, image_repository: str | None = None) -> bool:
    """Whether ``values`` use a key that the image they name has no licence for; the images count as in check_values."""
    repository = image_repository or _setting(values, _IMAGE, OPEN_SOURCE_IMAGE)
    return _is_open_source(repository) and path in licensed_keys(values, version)


def _is_open_source(repository: str) -> bool:
    return str(repository).rpartition("/")[2] == OPEN_SOURCE_IMAGE.rpartition("/")[2]


def _raise_problems(problems: list[_Problem]) -> None:
    if not problems:
        return
    paths = list(dict.fromkeys(problem.path for problem in problems))
    reasons = dict.fromkeys(f"{problem.path}: {problem.reason}" for problem in problems)
    allowed = dict.fromkeys(problem.allowed for problem in problems)
    raise OptionError("values", paths, "; ".join(allowed), reason="; ".join(reasons))


def _version_problems(values: Mapping[str, Any], version: Version) -> Iterator[_Problem]:
    """Keys that this version has no more, or not yet; the schema refuses them even when switched off."""
    for path, gone, replacement in _REMOVED_KEYS:
        if version.release >= gone and _get(values, path, _MISSING) is not _MISSING:
            last = f"vCluster {gone[0]}.{gone[1] - 1} or earlier"
            instead = f", or {replacement}" if replacement else ", or without it"
            yield _Problem(path, f"removed in vCluster {gone[0]}.{gone[1]}", f"{path} in {last}{instead}")
    for path, since in _ADDED_KEYS:
        if version.release < since and _get(values, path, _MISSING) is not _MISSING:
            first = f"vCluster {since[0]}.{since[1]}"
            yield _Problem(path, f"unknown before {first}", f"{path} from {first} on")


def _exclusive_problems(values: Mapping[str, Any]) -> Iterator[_Problem]:
    """Source: chart/templates/_backingstore.tpl and, up to 0.32, _distro.tpl: at most one is enabled."""
    stores = list(STORE_SWITCHES.values())
    distributions = [f"controlPlane.distro.{name}.enabled" for name in _DISTRIBUTIONS]
    for switches, what in ((stores, "backing store"), (distributions, "distribution")):
        on = [path for path in switches if _is_on(_get(values, path))]
        if len(on) > 1:
            for path in on:
                yield _Problem(path, f"more than one {what} is enabled", f"one {what}")


def _replica_problems(values: dict[str, Any]) -> Iterator[_Problem]:
    """Source: pkg/config/validation.go from 0.21 on, and the CLI's create before."""
    replicas = _setting(values, _REPLICAS, 1)
    if backing_store(values) == "embedded-sqlite" and isinstance(replicas, int) and replicas > 1:
        reason = "the embedded SQLite database has one writer"
        yield _Problem(_REPLICAS, reason, f"{_REPLICAS} of 1, or an etcd backing store")


def _licence_problems(values: Mapping[str, Any], version: Version) -> Iterator[_Problem]:
    for path, fails in _licensed(values, version):
        effect = "fails" if fails else "has no effect"
        reason = f"needs a licence and {effect} on the open-source image"
        yield _Problem(path, reason, f"keys without a licence, or another {_IMAGE} with one")


# --- changes of values ------------------------------------------------------------------------------------

_K3S_TO_K8S: tuple[Minor, Minor] = ((0, 25), (0, 32))
_MIGRATE_ETCD = f"{_STORES}.etcd.embedded.migrateFromDeployedEtcd"
_WORKLOAD = "controlPlane.statefulSet"
_ETCD_WORKLOAD = f"{_STORES}.etcd.deploy.statefulSet"
_CLAIM_DEFAULTS: dict[str, Any] = {"size": "5Gi", "storageClass": "", "accessModes": ["ReadWriteOnce"]}
# Source: config/config.go, ValidateNamespaceSyncChanges and ValidateVPNChanges.
_FIXED_BY_VCLUSTER: dict[str, Any] = {
    "sync.toHost.namespaces.enabled": False,
    "sync.toHost.namespaces.mappingsOnly": False,
    "sync.toHost.namespaces.mappings.byName": {},
    "sync.toHost.namespaces.patches": [],
    "privateNodes.vpn.enabled": False,
    "privateNodes.vpn.nodeToNode.enabled": False,
}


def check_immutable(
    deployed_values: dict[str, Any], desired_values: dict[str, Any], version: Version | None = None
) -> None:
    """OptionError for a change of values that vCluster or Kubernetes refuses, or that loses the data.

    ``version`` is the desired vCluster version, if known: 0.25 to 0.32 turn k3s into k8s in place. Helm
    would apply these changes in part: a StatefulSet accepts new replicas, template, ordinals, update
    strategy and claim retention, nothing else (Kubernetes source: pkg/apis/apps/validation).
    """
    problems = [*_distribution_changes(deployed_values, desired_values, version)]
    store_changes = [*_store_changes(deployed_values, desired_values)]
    problems += store_changes
    problems += _changed(deployed_values, desired_values, _FIXED_BY_VCLUSTER, "vCluster does not allow it to change")
    if not store_changes and backing_store(deployed_values) == backing_store(desired_values):
        problems += _workload_changes(deployed_values, desired_values)
        problems += _etcd_changes(deployed_values, desired_values)
    _raise_problems(problems)


def _change(path: str, old: Any, new: Any, reason: str) -> _Problem:
    return _Problem(path, f"{old!r} is deployed, {new!r} is asked for: {reason}", f"{path} of {old!r}")


def _changed(
    deployed: Mapping[str, Any], desired: Mapping[str, Any], defaults: Mapping[str, Any], reason: str
) -> Iterator[_Problem]:
    for path, default in defaults.items():
        old, new = _setting(deployed, path, default), _setting(desired, path, default)
        if old != new:
            yield _change(path, old, new, reason)


def _distribution_changes(
    deployed: Mapping[str, Any], desired: Mapping[str, Any], version: Version | None
) -> Iterator[_Problem]:
    """Source: config/config.go, ValidateDistroChanges; documentation: distro-migration."""
    old, new = distribution_of(deployed), distribution_of(desired)
    if old == new:
        return
    low, high = _K3S_TO_K8S
    if (old, new) == ("k3s", "k8s"):
        if version is not None and low <= version.release <= high:
            return
        yield _change("controlPlane.distro", old, new, "only vCluster 0.25 to 0.32 turn k3s into k8s")
    else:
        yield _change("controlPlane.distro", old, new, "the control plane's data belongs to its distribution")


def _store_changes(deployed: dict[str, Any], desired: dict[str, Any]) -> Iterator[_Problem]:
    """Documentation, migrate-etcd-backing-store: only deployed to embedded etcd, and only with its flag.

    vCluster's own check (source: config/config.go, ValidateStoreChanges) lets SQLite become etcd, where
    nothing copies the data.
    """
    old, new = backing_store(deployed), backing_store(desired)
    if old == new:
        path = f"{_STORES}.database.embedded.dataSource"  # an address with a password: not printed
        if old == "embedded-sqlite" and bool(_get(deployed, path)) != bool(_get(desired, path)):
            yield _Problem(path, "set or unset after creation: the data is not copied", f"{path} as deployed")
        return
    if (old, new) == ("deployed-etcd", "embedded-etcd"):
        if _is_on(_get(desired, _MIGRATE_ETCD)):
            return
        yield _change(_STORES, old, new, f"without {_MIGRATE_ETCD} the virtual cluster comes up empty")
    else:
        yield _change(_STORES, old, new, "the data is not copied and the virtual cluster comes up empty")


def claim_enabled(values: dict[str, Any]) -> bool:
    """Source: chart/templates/_persistence.tpl, vcluster.persistence.volumeClaim.enabled."""
    persistence = f"{_WORKLOAD}.persistence"
    if _get(values, f"{persistence}.volumeClaimTemplates"):
        return True
    enabled = _setting(values, f"{persistence}.volumeClaim.enabled", "auto")
    if str(enabled) == "auto":
        return backing_store(values) in ("embedded-sqlite", "embedded-etcd")
    return _is_on(enabled)


def _is_stateful_set(values: dict[str, Any]) -> bool:
    """Source: chart/templates/_persistence.tpl, vcluster.kind (from 0.21 on)."""
    return claim_enabled(values) or backing_store(values) == "embedded-etcd"


def _workload_changes(deployed: dict[str, Any], desired: dict[str, Any]) -> Iterator[_Problem]:
    claims = claim_enabled(deployed), claim_enabled(desired)
    if claims[0] != claims[1]:
        path = f"{_WORKLOAD}.persistence.volumeClaim.enabled"
        reason = "the control plane would start without its data, as another kind of workload"
        yield _change(path, *claims, reason)
        return
    data_volume: dict[str, Any] = {f"{_WORKLOAD}.persistence.dataVolume": []}
    yield from _changed(deployed, desired, data_volume, "the control plane would start without its data")
    if _is_stateful_set(deployed):
        yield from _stateful_set_changes(deployed, desired, _WORKLOAD, claims[0])


def _etcd_changes(deployed: dict[str, Any], desired: dict[str, Any]) -> Iterator[_Problem]:
    """Source: chart/templates/etcd-statefulset.yaml; its claim is on by default."""
    if backing_store(deployed) != "deployed-etcd":
        return
    enabled = f"{_ETCD_WORKLOAD}.enabled"
    claim = f"{_ETCD_WORKLOAD}.persistence.volumeClaim.enabled"
    reason = "etcd would start without its data, or not at all"
    yield from _changed(deployed, desired, {enabled: True, claim: True}, reason)
    # The chart starts every member with --initial-cluster-state=new: one that comes later finds another cluster.
    members: dict[str, Any] = {f"{_ETCD_WORKLOAD}.highAvailability.replicas": 1}
    yield from _changed(deployed, desired, members, "the members of an etcd are fixed when it first starts")
    if _is_on(_setting(deployed, enabled, True)):
        yield from _stateful_set_changes(deployed, desired, _ETCD_WORKLOAD, _is_on(_setting(deployed, claim, True)))


def _stateful_set_changes(
    deployed: Mapping[str, Any], desired: Mapping[str, Any], workload: str, claim: bool
) -> Iterator[_Problem]:
    """Fields of the StatefulSet below ``workload`` that Kubernetes does not let change."""
    reason = "Kubernetes does not allow this field of a StatefulSet to change"
    yield from _changed(deployed, desired, {f"{workload}.scheduling.podManagementPolicy": "Parallel"}, reason)
    templates = f"{workload}.persistence.volumeClaimTemplates"
    if _get(deployed, templates) or _get(desired, templates):
        yield from _changed(deployed, desired, {templates: []}, reason)
    elif claim:
        for key, default in _CLAIM_DEFAULTS.items():
            path = f"{workload}.persistence.volumeClaim.{key}"
            old, new = _setting(deployed, path, default), _setting(desired, path, default)
            if old != new and not (key == "size" and _same_quantity(old, new)):
                yield _change(path, old, new, reason)


_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|m|k|M|G|T|P|E)?")
_UNITS = {"": Decimal(1), "m": Decimal("0.001")}
_UNITS |= {f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)}
_UNITS |= {unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)}


def _same_quantity(left: Any, right: Any) -> bool:
    """Whether two sizes are the same amount: Kubernetes compares StatefulSets so (1Gi is 1024Mi)."""
    amounts = []
    for text in (str(left), str(right)):
        match = _QUANTITY.fullmatch(text)
        if match is None:
            return False
        amounts.append(Decimal(match[1]) * _UNITS[match[2] or ""])
    return amounts[0] == amounts[1]
