# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide on which host cluster a virtual cluster of a group is, and what it may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from functools import partial
from typing import Any

from ..common import well_known
from ..common.errors import NestedClustersError, OptionError
from ..common.size import Size, quantity
from ..groups import group_pending
from ..groups.group_view import GroupView, HostView
from ..groups.model import Group, Member
from ..k8s import host_clusters
from ..k8s.client import Kubernetes, parallel
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import path
from ..lifecycle.request import Request
from ..scheduling import capacities, placements, quotas
from ..scheduling.placements import Candidate, Placement
from ..virtual_cluster.membership import QUOTA_KEYS, AdmissionRequest, Allocation, object_name


@dataclass(frozen=True)
class Decision:
    """Where a virtual cluster is or will be, and what it gets there."""

    member: Member
    kubernetes: Kubernetes
    namespace: str
    owner: str
    size: Size
    current: Allocation | None
    placement: Placement | None  # None where nothing had to be placed

    def describe(self, check: bool) -> dict[str, Any]:
        """Return what a group adds to the description of a virtual cluster; with ``check``, as it is now."""
        if not check:
            return {"host_cluster": self.member.name, "owner": self.owner, "size": self.size.as_dict()}
        if self.current is None:
            return {}
        now = self.current
        return {"host_cluster": now.host_cluster, "owner": now.owner, "size": now.size.as_dict()}

    def placement_dict(self) -> dict[str, Any]:
        """Return the placement as plain data; nothing was considered where it stays where it is."""
        if self.placement:
            return self.placement.as_dict()
        return {"host": self.member.name, "strategy": None, "considered": []}

    def allocation(self, name: str, group: str, applied: Mapping[str, Any]) -> Allocation:
        """Return the allocation of the virtual cluster after this decision."""
        return Allocation(
            name, self.namespace, self.member.name, group, self.owner, self.size, dict(applied), deleting=False
        )

    @property
    def what(self) -> tuple[Member, str, str, Size]:
        """Return what a plan depends on."""
        return self.member, self.namespace, self.owner, self.size

    @property
    def takes_more(self) -> bool:
        """Return whether another task could be taking the same now."""
        return self.placement is not None


class PlanOutdated(NestedClustersError):
    """Under the lock something else was decided than what the plan was made for."""


# --- deciding ---------------------------------------------------------------------------------------------


def decide(view: GroupView, request: Request, admission: AdmissionRequest) -> Decision:
    """Return the decision on which host cluster the virtual cluster is, and with what size.

    Checked in this order, each with its own error: the owner's quota, the group's maximum, its minimum, room on a
    host cluster. What does not grow is not checked again. Raises OptionError or quotas.AdmissionDenied.
    """
    group, current = view.group, view.of(request.name)
    _check_identity(view, request, admission, current)
    if admission.oidc and not group.oidc:
        message = f"oidc needs a group with oidc settings, which group {group.name} does not have; set user: admin"
        raise OptionError("export_kubeconfig.user", "oidc", "admin", message=message)
    stays = current is not None and not (current.kept or current.deleting)  # else it is created again
    before = current.owner if current and not current.deleting else ""
    owner = admission.owner if admission.owner is not None else before
    size = admission.size.filled(_size_before(group, current))
    for resource in ("cpu", "memory"):
        if getattr(size, resource) == 0:  # what has neither counts as no virtual cluster
            message = "0 is not enough for a control plane; set more than 0"
            raise OptionError(f"size.{resource}", "0", "more than 0", message=message)
    if current and stays and (size, owner) == (current.size, current.owner):
        host_view = view.views[current.host_cluster]
        member = group.member(current.host_cluster) or Member(current.host_cluster)
        return Decision(member, host_view.host.kubernetes, current.namespace, owner, size, current, None)
    if not stays:
        _check_open(view, admission, owner)
    if current and current.kept and not (admission.force or current.deleting):
        _check_kept(current, size)
    held = current.size if current and current.owner == owner else None
    wanted = quotas.SizeRequest(owner, request.name, group.name, size, held)
    quotas.check_owner_quota(wanted, group.owner_quota, view.allocations, view.exempt)
    quotas.check_size(size, *_bounds(group, size, current))
    namespace = current.namespace if current else request.namespace
    placement = _resize(view, size, current) if current else _choose_host(view, request, admission, size)
    if placement.host is None:
        raise placement.refusal()
    host_view = view.views[placement.host]
    if current is None:
        _check_free(host_view, request)
    elif not (admission.force or current.deleting):
        check_in_use(host_view.host.kubernetes, request.name, current, size)
    chosen = next(member for member in group.members if member.name == placement.host)
    return Decision(chosen, host_view.host.kubernetes, namespace, owner, size, current, placement)


def _size_before(group: Group, current: Allocation | None) -> Size:
    """Return the size for a task without one: the virtual cluster's own, or the group's default."""
    if current is None or current.deleting:
        return group.default
    if current.kept:  # its volumes are what is left of it
        return replace(group.default, storage=group.default.maximum(current.size).storage)
    return current.size


def _check_kept(current: Allocation, size: Size) -> None:
    """Refuse a smaller share of storage than that of the volumes that were kept: they would not be counted."""
    if "storage" in current.size.fits_in(size):
        had, wanted = current.size.as_dict()["storage"], size.as_dict()["storage"]
        raise OptionError(
            "size.storage",
            wanted,
            f"{had} or more, or force: true",
            message=f"the kept volumes of virtual cluster {current.name} have {had}; set at least {had}, or force: "
            "true",
        )


def _bounds(group: Group, size: Size, current: Allocation | None) -> tuple[Size, Size]:
    """Return (minimum, maximum) for what changes: what a virtual cluster has already may be outside of newer bounds."""
    if current is None or current.kept or current.deleting:
        return group.minimum, group.maximum
    same = {name for name, amount in size.items() if amount == getattr(current.size, name)}
    minimum, maximum = (
        Size(**{name: None if name in same else amount for name, amount in bound.items()})
        for bound in (group.minimum, group.maximum)
    )
    return minimum, maximum


def _check_identity(view: GroupView, request: Request, admission: AdmissionRequest, current: Allocation | None) -> None:
    """Refuse what would be another virtual cluster than the one that is there."""
    if current is None:
        same = (request.name, request.namespace)
        other = next((item for item in view.allocations if (item.name, item.namespace) == same), None)
        if other:
            raise OptionError(
                "group",
                admission.group,
                other.group,
                message=f"virtual cluster {request.name} is in group {other.group} and cannot move to another group; "
                f"set group: {other.group}",
            )
        if view.failed and admission.host_cluster is None:
            names = ", ".join(sorted(view.failed))
            reasons = "; ".join(f"{name}: {error}" for name, error in sorted(view.failed.items()))
            raise NestedClustersError(
                f"virtual cluster {request.name} is on none of the host clusters that answer, but may be on {names} "
                f"({reasons}); to create it on another one in any case, set host_cluster",
                failed_host_clusters=sorted(view.failed),
            )
        return
    check_host_cluster(admission.host_cluster, current)


def check_host_cluster(host_cluster: str | None, current: Allocation) -> None:
    """Raise OptionError for another host cluster than the one that a virtual cluster is on."""
    if host_cluster not in (None, current.host_cluster):
        raise OptionError(
            "host_cluster",
            host_cluster,
            current.host_cluster,
            message=f"virtual cluster {current.name} runs on {current.host_cluster} and cannot move to another host "
            f"cluster; set host_cluster: {current.host_cluster}, or omit it",
        )


def _check_free(host_view: HostView, request: Request) -> None:
    """Refuse a namespace in which another virtual cluster, or its volumes, have their share."""
    for item in host_view.allocations:
        if item.namespace == request.namespace:
            raise OptionError(
                "namespace",
                request.namespace,
                "a namespace without another virtual cluster",
                message=f"{request.namespace} on host cluster {item.host_cluster} already contains virtual cluster "
                f"{item.name} of group {item.group}; choose another namespace",
            )


def _check_open(view: GroupView, admission: AdmissionRequest, owner: str) -> None:
    """Refuse a new virtual cluster where the group takes none."""
    group = view.group
    if admission.host_cluster is not None and group.member(admission.host_cluster) is None:
        names = ", ".join(sorted(member.name for member in group.members))
        message = f"{admission.host_cluster} is not a member of group {group.name}; use one of {names}"
        raise OptionError("host_cluster", admission.host_cluster, names, message=message)
    if not owner and group.owner_quota.limits:
        message = f"group {group.name} has an owner quota; set the owner that the virtual cluster is for"
        raise OptionError("owner", None, "who the virtual cluster is for", message=message)
    behind = group_pending.waiting_for_upgrade(group, view.allocations)
    if behind:
        raise NestedClustersError(
            f"group {group.name} is locked to vCluster {group.vcluster_version}, and {', '.join(behind)} "
            f"{'runs' if len(behind) == 1 else 'run'} another version; upgrade them first (playbook "
            "nested.clusters.upgrade, or their vcluster tasks), or restore the former lock: until then, the group "
            "takes no new virtual clusters",
            pending_upgrade=behind,
        )


def _candidate(member: Member, group: Group, host_view: HostView, nodes: list[dict[str, Any]]) -> Candidate:
    usable = capacities.capacity(nodes, member.capacity, member.node_selector)
    return Candidate(
        member.name,
        capacities.limit(usable, group.oversubscription),
        capacities.total(host_view.allocations),
        capacities.why_no_nodes(nodes, member.node_selector),
    )


def _resize(view: GroupView, size: Size, current: Allocation) -> Placement:
    member = next(member for member in view.group.members if member.name == current.host_cluster)
    host_view = view.views[current.host_cluster]
    nodes = host_view.host.kubernetes.list(path("v1", "nodes"))
    return placements.room(size, current.size, _candidate(member, view.group, host_view, nodes))


def _choose_host(view: GroupView, request: Request, admission: AdmissionRequest, size: Size) -> Placement:
    """Choose among all members; one that holds this virtual cluster already, made without a group, keeps it."""
    answers = host_clusters.ask(
        [HostCluster(name, host_view.host.kubernetes) for name, host_view in view.views.items()],
        lambda host: (host.kubernetes.list(path("v1", "nodes")), _made_before(host.kubernetes, request)),
    )
    candidates = []
    failed = {**view.failed, **answers.failed}
    for member in view.group.members:
        if member.name in answers.given:
            nodes, _existing = answers.given[member.name]
            candidates.append(_candidate(member, view.group, view.views[member.name], nodes))
            continue
        why = (
            f"cannot be asked: {failed[member.name]}"
            if member.name in failed
            else "is not among the task's host clusters"
        )
        candidates.append(Candidate(member.name, Size.zero(), Size.zero(), why))
    existing = [name for name, (_nodes, made) in answers.given.items() if made]
    pinned = admission.host_cluster or (existing[0] if len(existing) == 1 else None)
    if existing and pinned not in existing:
        raise OptionError(
            "host_cluster",
            admission.host_cluster,
            ", ".join(existing),
            message=f"virtual cluster {request.name} already runs on {', '.join(existing)}, created without a group; "
            f"set host_cluster: {existing[0]}",
        )
    return placements.place(size, candidates, view.group.placement, pinned)


def _made_before(kubernetes: Kubernetes, request: Request) -> bool:
    """Return whether a virtual cluster of this name is there that is in no group.

    Without a Helm record, by its workload.
    """
    lists = [(path("v1", "secrets", request.namespace), f"owner=helm,name={request.name}")]
    workload = f"app={well_known.CONTROL_PLANE},release={request.name},!{well_known.SYNCED_LABEL}"
    lists += [(path("apps/v1", plural, request.namespace), workload) for plural in ("statefulsets", "deployments")]
    questions = [partial(kubernetes.list, where, labels=labels, metadata_only=True) for where, labels in lists]
    return any(parallel(questions))


def check_in_use(kubernetes: Kubernetes, name: str, current: Allocation, size: Size) -> None:
    """Refuse to shrink below what is in use. Raises quotas.AdmissionDenied with the figures."""
    shrinking = current.size.fits_in(size)
    if not shrinking:
        return
    used = used_by(kubernetes.get(path("v1", "resourcequotas", current.namespace, object_name(name))))
    for resource in [resource for resource in used.fits_in(size) if resource in shrinking]:
        in_use, wanted = used.as_dict()[resource], size.as_dict()[resource]
        raise quotas.AdmissionDenied(
            f"size.{resource}: {wanted} is asked for, and virtual cluster {name} uses {in_use}: make it use less, or "
            "to shrink it in any case, set force: true (running pods continue; new ones may find no room)",
            check="in_use",
            resource=resource,
            asked=wanted,
            in_use=in_use,
            by=[name],
        )


def used_by(quota: Mapping[str, Any] | None) -> Size:
    """Return what a virtual cluster's ResourceQuota counts: the larger of requests and limits; zero without a quota."""
    used = ((quota or {}).get("status") or {}).get("used") or {}
    amounts = {}
    for resource, keys in QUOTA_KEYS.items():
        counted = [quantity(used.get(key)) or Decimal(0) for key in keys]
        unit = Decimal("0.001") if resource == "cpu" else Decimal(1)
        amounts[resource] = max(counted).quantize(unit, ROUND_CEILING)  # a container may ask for a part of a byte
    return Size(**amounts)
