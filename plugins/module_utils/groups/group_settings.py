# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a cluster group: from a task's options to a checked group.

Every member host cluster has the same record, a ConfigMap in namespace ``nested-clusters``. It holds no
connection and no credential: those come with the task. Pure functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ..common import semver
from ..common.errors import OptionError, given_twice
from ..common.size import RESOURCES, Size
from ..scheduling.placements import STRATEGIES
from ..scheduling.quotas import OwnerQuota
from ..values import accessors, masking, tree, validation
from ..values.backing_store import BackingStore
from ..values.control_plane import DISTRIBUTIONS
from ..values.endpoint import Endpoint
from ..values.oidc import Oidc
from ..values.support_matrix import DEFAULT_VCLUSTER_VERSION, check_vcluster_version
from .model import DEFAULT_SIZE, MINIMUM_SIZE, Group, Member

_GROUP_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_NAME_LENGTH = 40  # with the ConfigMap's prefix and as a label's value it fits in 63
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


_Setting = TypeVar("_Setting")


def desired(params: Mapping[str, Any], members: Iterable[Member], deployed: Group | None) -> Group:
    """Return the group that a task asks for; what it leaves out stays as deployed, or gets the default.

    Raises OptionError that names the option, the value and what is allowed.
    """
    before = deployed or Group(params["name"], ())
    size = params.get("size") or {}
    distribution = params.get("distribution") or before.distribution

    def bound(key: str, kept: Size, default: Mapping[str, str] | None) -> Size:
        standard = Size.parse(default, f"size.{key}") if default and deployed is None else kept
        if key == "default":
            return Size.parse(size.get(key), "size.default", partial=True).filled(standard)
        positive = ("cpu", "memory") if key == "maximum" else ()
        return Size.changed(size.get(key), f"size.{key}", standard, positive=positive)

    endpoint, quota = params.get("endpoint"), params.get("owner_quota")
    group = Group(
        name=params["name"],
        members=tuple(sorted(members, key=lambda member: member.name)),  # as in the record, in whatever order given
        description=_given(params, "description", before.description),
        tags=_given(params, "tags", before.tags),
        endpoint=before.endpoint if endpoint is None else Endpoint.of(_without_none(endpoint)),
        distribution=distribution,
        replicas=_given(params, "replicas", before.replicas),
        backing_store=_typed(BackingStore.of, params.get("backing_store"), before.backing_store),
        kubernetes_version=_given(params, "kubernetes_version", before.kubernetes_version) or None,
        vcluster_version=_given(params, "vcluster_version", before.vcluster_version) or None,
        oversubscription=_given(params, "oversubscription", before.oversubscription),
        placement=_given(params, "placement", before.placement),
        minimum=bound("minimum", before.minimum, MINIMUM_SIZE[distribution]),
        default=bound("default", before.default, DEFAULT_SIZE),
        maximum=bound("maximum", before.maximum, None),
        owner_quota=before.owner_quota if quota is None else OwnerQuota.parse(quota, "owner_quota"),
        values=_given(params, "values", before.values),
        oidc=_typed(Oidc.of, params.get("oidc"), before.oidc),
    )
    check(group)
    group = _normal(group)
    return replace(group, generation=before.generation + (group != deployed))


def _given(params: Mapping[str, Any], option: str, otherwise: Any) -> Any:
    return otherwise if params.get(option) is None else params[option]


def _without_none(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, "", [])}


def _typed(
    make: Callable[[Mapping[str, Any]], _Setting], option: Mapping[str, Any] | None, before: _Setting | None
) -> _Setting | None:
    """Return the value of an option, None if it is empty; an omitted one stays as it was."""
    if option is None:
        return before
    said = _without_none(option)
    return make(said) if said else None


def _normal(group: Group) -> Group:
    # A version is stored as it is compared: without, or with, its "v".
    version, kubernetes = group.vcluster_version, group.kubernetes_version
    return replace(
        group,
        vcluster_version=str(semver.parse_version(version)) if version else None,
        kubernetes_version=f"v{semver.parse_kubernetes_version(kubernetes)}" if kubernetes else None,
    )


def check(group: Group) -> None:
    """Raise OptionError for settings that cannot work."""
    check_form(group)
    _check_versions(group)
    check_values(group.values)
    _check_oidc(group)


def check_form(group: Group) -> None:
    """Raise OptionError for what is no group in any version of this collection: a record is held to it as well."""
    check_name(group.name)
    for option, value, allowed in (
        ("distribution", group.distribution, DISTRIBUTIONS),
        ("placement", group.placement, STRATEGIES),
    ):
        if value not in allowed:
            raise OptionError(option, value, ", ".join(allowed))
    _check_endpoint(group)
    _check_members(group)
    group.control_plane.check_form()
    _check_backing_store(group)
    if group.oversubscription < 1:
        raise OptionError("oversubscription", group.oversubscription, "a percentage of at least 1, such as 120")
    _check_sizes(group)


def check_name(name: str) -> None:
    """Raise OptionError for an invalid name of a group."""
    if not _GROUP_NAME.fullmatch(name) or len(name) > _NAME_LENGTH:
        allowed = f"at most {_NAME_LENGTH} lower-case letters, digits and '-', a letter or digit first and last"
        raise OptionError("name", name, allowed)


def _check_members(group: Group) -> None:
    patterns: dict[str, str] = {}
    ids: dict[str, str] = {}
    for member in group.members:
        if not _GROUP_NAME.fullmatch(member.name) or len(member.name) > 63:
            allowed = "at most 63 lower-case letters, digits and '-', a letter or digit first and last"
            raise OptionError("host_clusters.name", member.name, allowed)
        if member.id and member.id in ids:
            raise given_twice(ids[member.id], member.name)
        ids[member.id] = member.name
        _check_strings("host_clusters.node_selector", member.node_selector)
        pattern = member.dns_pattern
        if pattern is None:
            continue
        if pattern.count("*") != 1 or not _HOST_NAME.fullmatch(pattern.replace("*", "x")):
            raise OptionError(
                "host_clusters.dns_pattern",
                pattern,
                "a host name with one '*' where the virtual cluster's name goes, such as *.vc.example.com",
            )
        if pattern in patterns and group.endpoint.type.has_host_name:
            raise OptionError(
                "host_clusters.dns_pattern",
                pattern,
                "a pattern of its own for each host cluster",
                message=f"{patterns[pattern]} and {member.name} have the same pattern {pattern}, but a host name leads "
                "to one address; give each its own pattern",
            )
        patterns[pattern] = member.name


def _check_strings(option: str, mapping: Mapping[str, Any]) -> None:
    for key, value in mapping.items():
        if not isinstance(value, str):
            raise OptionError(option, {key: value}, "strings (quote it)", reason="Kubernetes accepts only strings")


def _check_endpoint(group: Group) -> None:
    kind = group.endpoint.type
    _check_strings("endpoint.annotations", group.endpoint.annotations or {})
    for member in group.members:
        if kind.has_host_name and not member.dns_pattern:
            raise OptionError(
                "host_clusters.dns_pattern",
                None,
                "a host name with one '*', such as *.vc.example.com",
                reason=f"endpoint type {kind.name} tells virtual clusters apart by name, "
                f"and {member.name} has no pattern",
            )


def _check_backing_store(group: Group) -> None:
    """Raise OptionError if virtual clusters would share an etcd: vCluster stores all in the same place in each."""
    address = group.backing_store.endpoint if group.backing_store else None
    if address is not None and str(address).count("*") != 1:
        raise OptionError(
            "backing_store.endpoint",
            address,
            "an address with one '*' where the virtual cluster's name goes, such as etcd-*.stores.svc:2379",
            reason="two virtual clusters cannot share an etcd",
        )


def _check_sizes(group: Group) -> None:
    for name in ("cpu", "memory"):
        if getattr(group.default, name) == 0:
            message = "0 is not enough for a control plane; set more than 0"
            raise OptionError(f"size.default.{name}", "0", "more than 0", message=message)
    for option, size in (("default", group.default), ("maximum", group.maximum)):
        for name in RESOURCES:
            value, least = getattr(size, name), getattr(group.minimum, name)
            if value is not None and least is not None and value < least:
                shown = group.minimum.as_dict()[name]
                raise OptionError(
                    f"size.{option}.{name}", size.as_dict()[name], f"at least size.minimum.{name}, {shown}"
                )
    for name in RESOURCES:
        value, most = getattr(group.default, name), getattr(group.maximum, name)
        if value is not None and most is not None and value > most:
            shown = group.maximum.as_dict()[name]
            raise OptionError(
                f"size.default.{name}", group.default.as_dict()[name], f"at most size.maximum.{name}, {shown}"
            )


def _check_versions(group: Group) -> None:
    target, options = semver.parse_version(group.vcluster_version or DEFAULT_VCLUSTER_VERSION), group.control_plane
    check_vcluster_version(target)
    if group.kubernetes_version:
        semver.parse_kubernetes_version(group.kubernetes_version)
    options.check_values(dict(group.values))
    merged = tree.merge(dict(group.values), options.layer(dict(group.values)))
    options.check(merged, target, tree.get(merged, accessors.IMAGE_REPOSITORY))
    validation.check_values(merged, target)


def check_values(layer: Mapping[str, Any]) -> None:
    """Raise OptionError for values that hold credentials."""
    secret = next(_hidden(dict(layer), masking.masked(dict(layer)), ()), None)
    if secret:
        raise OptionError(
            "values",
            ".".join(secret),
            "values without credentials",
            message=f"{'.'.join(secret)} contains a credential, which everyone who may use the group can read in its "
            "record; remove it",
        )


def _hidden(node: Any, masked: Any, at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the paths that masking changed; the name of a Secret is not its content."""
    if isinstance(node, dict) and isinstance(masked, dict):
        for key, value in node.items():
            if not str(key).endswith(("Name", "Names", "Ref", "name")):
                yield from _hidden(value, masked[key], (*at, str(key)))
    elif isinstance(node, list) and isinstance(masked, list):
        for number, pair in enumerate(zip(node, masked, strict=True)):
            yield from _hidden(*pair, (*at, str(number)))
    elif node != masked:
        yield at


def _check_oidc(group: Group) -> None:
    if group.oidc is None:
        return
    if group.distribution != "k8s":
        reason = f"the distribution is {group.distribution}"
        raise OptionError("oidc", group.oidc.as_dict(), "distribution k8s", reason=reason)
    group.oidc.check()
