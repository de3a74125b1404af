# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a cluster group, a size and a request to one vcluster.yaml, with where each value came from. Pure functions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ..common.errors import OptionError
from ..common.size import Size
from ..groups.model import Group, Member
from ..values import accessors, tree
from ..values.backing_store import DEPLOYED_ETCD, store_of
from ..values.control_plane import ControlPlane
from ..values.endpoint import certificate_names

Layer = tuple[str, dict[str, Any]]  # where it comes from, and the values

# A virtual cluster with a size has a quota, and then each container needs a limit. The chart's own limits
# (4Gi of memory and a claim of 5Gi for the control plane) would not leave the smallest size any room.
BUILT_IN_CONTROL_PLANE: dict[str, Any] = {
    "controlPlane": {
        "statefulSet": {
            "resources": {"limits": {"cpu": "1", "memory": "2Gi"}},
            "persistence": {"volumeClaim": {"size": "1Gi"}},
        }
    }
}
BUILT_IN_ETCD: dict[str, Any] = {
    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
    "persistence": {"volumeClaim": {"size": "1Gi"}},
}
NOTHING = ControlPlane()
CHART_CLAIM = "5Gi"  # the chart's own size of a claim
# The chart's limits. Not parsed: that takes the Kubernetes library, which most tasks do without.
COREDNS = Size(cpu=Decimal(1), memory=Decimal(170 * 2**20), storage=Decimal(0))

_API_ARGUMENTS = ("controlPlane", "distro", "k8s", "apiServer", "extraArgs")
_STATEFUL_SET = ("controlPlane", "statefulSet")
_ETCD_STATEFUL_SET = ("controlPlane", "backingStore", "etcd", "deploy", "statefulSet")


def layers(
    group: Group, member: Member, name: str, requested: dict[str, Any], options: ControlPlane = NOTHING
) -> list[Layer]:
    """Return the values of a virtual cluster on a member of its group, from the bottom to the top.

    ``asked`` are the task's own values, ``options`` what it says of the control plane beside them. The size is in
    none: the control plane restarts with every change of its values, and must not for a quota. Raises OptionError
    where the task's values and the group's oidc settings conflict.
    """
    found: list[Layer] = [
        ("built-in", accessors.BUILT_IN),
        ("built-in", BUILT_IN_CONTROL_PLANE),
        ("group", _of_group(group, member, name)),
        ("group", dict(group.values)),
        ("request", requested),
    ]
    for origin, said in (("group", group.control_plane.without(options)), ("request", options)):
        layer = said.layer(merge(found))
        if layer:
            found.append((origin, layer))
    merged = merge(found)
    if store_of(merged) == DEPLOYED_ETCD:
        found.insert(1, ("built-in", tree.at(_ETCD_STATEFUL_SET, BUILT_IN_ETCD)))
        merged = merge(found)
    group.endpoint_of(name, member).check_host("host_clusters.dns_pattern")
    additions = certificate_names(merged, member.host_name(name))
    if group.oidc:
        if accessors.distribution_of(merged) != "k8s":
            raise OptionError(
                "distribution",
                accessors.distribution_of(merged),
                "k8s",
                reason=f"the oidc settings of group {group.name} need distribution k8s",
            )
        arguments = _oidc_arguments(group, merged)
        additions = tree.merge(additions, _appended(merged, _API_ARGUMENTS, arguments))
    return [*found, ("group", additions)] if additions else found


def merge(found: list[Layer]) -> dict[str, Any]:
    """Return all layers in one."""
    result: dict[str, Any] = {}
    for _origin, layer in found:
        result = tree.merge(result, layer)
    return result


def origins(found: list[Layer]) -> dict[tuple[str, ...], str]:
    """Return the origin of each value of :func:`merge` by its path: the uppermost layer that sets it."""
    merged: dict[str, Any] = {}
    result: dict[tuple[str, ...], str] = {}
    for origin, layer in found:
        for where in _leaves(layer, ()):
            if tree.get(layer, where) == {} and isinstance(tree.get(merged, where), dict):
                continue  # merged into what is there, it says nothing
            # Over a mapping, its values go; within what was none, that goes.
            result = {
                known: value
                for known, value in result.items()
                if known[: len(where)] != where and where[: len(known)] != known
            }
            result[where] = origin
        merged = tree.merge(merged, layer)
    return result


def _leaves(node: Any, at: tuple[str, ...]) -> list[tuple[str, ...]]:
    if isinstance(node, dict) and (node or not at):
        return [leaf for key, value in node.items() for leaf in _leaves(value, (*at, str(key)))]
    return [at]


def _of_group(group: Group, member: Member, name: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if member.node_selector:
        selector = dict(member.node_selector)
        result = tree.merge(result, tree.at((*_STATEFUL_SET, "scheduling", "nodeSelector"), selector))
        # It is enforced on every pod also where nodes are not synced (source: pkg/controllers/resources/pods).
        result = tree.merge(result, tree.at(("sync", "fromHost", "nodes", "selector", "labels"), selector))
    return tree.merge(result, group.endpoint_of(name, member).values())


def _appended(merged: dict[str, Any], where: tuple[str, ...], more: list[str]) -> dict[str, Any]:
    """Return the list at a path with ``more`` at its end; {} where it has them already."""
    existing = tree.get(merged, where) or []
    missing = [item for item in more if item not in existing]
    return tree.at(where, [*existing, *missing]) if missing else {}


def _oidc_arguments(group: Group, merged: dict[str, Any]) -> list[str]:
    own = [str(item) for item in tree.get(merged, _API_ARGUMENTS) or [] if str(item).startswith("--oidc-")]
    if own:
        raise OptionError(
            "values",
            f"{'.'.join(_API_ARGUMENTS)}: {', '.join(item.partition('=')[0] for item in own)}",
            "values without --oidc- arguments",
            message=f"group {group.name} has oidc settings, so values must not set "
            f"{', '.join(item.partition('=')[0] for item in own)} in {'.'.join(_API_ARGUMENTS)}; remove them",
        )
    return group.oidc.flags() if group.oidc else []


def with_claims(deployed: dict[str, Any]) -> dict[str, Any]:
    """Return values of a virtual cluster made without a group, with the fixed sizes of its claims."""
    result = deployed
    workloads: list[tuple[str, ...]] = [_STATEFUL_SET]
    if store_of(deployed) == DEPLOYED_ETCD:
        workloads.append(_ETCD_STATEFUL_SET)
    for workload in workloads:
        where = (*workload, "persistence", "volumeClaim", "size")
        result = tree.merge(tree.at(where, CHART_CLAIM), result)
    return result


def limits_containers(merged: dict[str, Any]) -> bool:
    """Return whether the chart makes a LimitRange of its own (source: chart/templates/limitrange.yaml)."""
    quota, limits = (
        str(tree.get(merged, ("policies", kind, "enabled"))).lower() for kind in ("resourceQuota", "limitRange")
    )
    return limits == "true" or (quota == "true" and limits != "false")


# --- what the control plane needs of its size -------------------------------------------------------------


def own_claims(merged: dict[str, Any]) -> Size:
    """Return what the control plane itself claims: limits and volumes of its replicas, of etcd and of CoreDNS."""
    claims = _claims(merged, _STATEFUL_SET, accessors.claim_enabled(merged))
    if store_of(merged) == DEPLOYED_ETCD:
        enabled = tree.get(merged, (*_ETCD_STATEFUL_SET, "persistence", "volumeClaim", "enabled"))
        claims += _claims(merged, _ETCD_STATEFUL_SET, enabled is not False)
    if tree.get(merged, ("controlPlane", "coredns", "enabled")) is not False:
        claims += COREDNS
    return claims


def _claims(merged: dict[str, Any], workload: tuple[str, ...], claim: bool) -> Size:
    def setting(*where: str) -> Any:
        return tree.get(merged, (*workload, *where))

    volume = setting("persistence", "volumeClaim", "size") or CHART_CLAIM
    amounts = {name: setting("resources", "limits", name) for name in ("cpu", "memory")}
    amounts["storage"] = volume if claim else "0"
    one = Size.parse(amounts, f"values.{'.'.join(workload)}", partial=True).filled(Size.zero())
    replicas = setting("highAvailability", "replicas")
    count = replicas if isinstance(replicas, int) else 1  # what is no number, the chart's schema refuses better
    return Size(**{name: amount and amount * count for name, amount in one.items()})


def check_room(merged: dict[str, Any], size: Size) -> None:
    """Raise OptionError where the control plane alone would fill the size, and so never start."""
    claims = own_claims(merged)
    for resource in claims.fits_in(size):
        shown = claims.as_dict()[resource]
        raise OptionError(
            f"size.{resource}",
            size.as_dict()[resource],
            f"{shown} or more, or values in which the control plane claims less",
            message=f"the control plane alone claims {shown}; set {shown} or more, or values in which it claims less",
        )
