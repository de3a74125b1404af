# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Complete a request by what its group and size say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..common import well_known
from ..common.errors import OptionError
from ..common.semver import Version, parse_kubernetes_version, parse_version
from ..groups import group_pending
from ..groups.model import Group
from ..helm.release import decode_release, newest_releases
from ..k8s.objects import path
from ..lifecycle.request import GroupContext, Request
from ..values import accessors, tree
from ..values.control_plane import ControlPlane, kubernetes_version_at
from ..virtual_cluster.membership import Membership, object_name, stored_request
from . import group_layers
from .decision_rules import Decision


def complete(request: Request, group: Group, decision: Decision, ahead: bool = False) -> Request:
    """Return the request with all that its group and size add to it."""
    name, namespace = request.name, decision.namespace
    before = _request_before(decision, name)
    own = request.values if request.values is not None else before["values"]
    own_kubernetes = request.kubernetes_version or _kubernetes(before["kubernetes_version"])
    own_options = request.control_plane.over(ControlPlane.of(before))
    if before["made"]:  # a backing store is for life: the group's is that of new virtual clusters
        group = replace(group, backing_store=None)
    elif group.backing_store:
        group = replace(group, backing_store=group.backing_store.named(name))
    options = own_options.over(group.control_plane)
    chosen = replace(own_options, backing_store=options.backing_store)
    options.check_form()
    options.check_values(tree.merge(dict(group.values), own))
    locked = parse_version(group.vcluster_version) if group.vcluster_version else None
    if request.vcluster_version and locked and not ahead and not _is_same_chart(request.vcluster_version, locked):
        message = (
            f"group {group.name} is locked to {locked.text}, not {request.vcluster_version.text}; omit "
            "vcluster_version, or change that of the group first"
        )
        raise OptionError("vcluster_version", request.vcluster_version.text, locked.text, message=message)
    found = group_layers.layers(group, decision.member, name, own, own_options)
    merged = group_layers.merge(found)
    group_layers.check_room(merged, decision.size)
    origins = group_layers.origins(found)
    kubernetes_version = own_kubernetes or _kubernetes(group.kubernetes_version)
    if kubernetes_version:  # laid over the values
        where = kubernetes_version_at(accessors.distribution_of(merged))
        origins[where] = "request" if own_kubernetes else "group"
    kubernetes_text = own_kubernetes.text if own_kubernetes else None
    membership = Membership(
        group=group.name,
        owner=decision.owner,
        size=decision.size,
        applied=group_pending.applied(group, decision.member),
        request={"values": own, "kubernetes_version": kubernetes_text, **chosen.as_dict()},
        limit_range=not group_layers.limits_containers(merged),
    )
    return replace(
        request,
        namespace=namespace,
        vcluster_version=request.vcluster_version or locked,
        kubernetes_version=kubernetes_version,
        values=merged,
        control_plane=options,
        group=GroupContext(membership, origins, decision.current is not None and decision.current.deleting),
    )


def _request_before(decision: Decision, name: str) -> dict[str, Any]:
    """Return the request of earlier tasks, and whether it was created; without a group, all its values."""
    if decision.current and decision.current.deleting:  # what is there is deleted, and it is created again
        return {"values": {}, "kubernetes_version": None, "made": False}
    kubernetes, namespace = decision.kubernetes, decision.namespace
    stored = kubernetes.get(path("v1", "secrets", namespace, object_name(name)))
    if stored:
        return {**stored_request(stored), "made": True}
    secrets = kubernetes.list(path("v1", "secrets", namespace), labels=f"owner=helm,name={name}")
    newest = newest_releases(secrets).get(name)
    release = decode_release(newest) if newest else None
    # With the label, it has the group's values already, and nobody knows which are its own.
    without_group = release is not None and well_known.GROUP_LABEL not in release.labels
    own = group_layers.with_claims(release.values) if release and without_group else {}
    return {"values": own, "kubernetes_version": None, "made": release is not None}


def _kubernetes(text: str | None) -> Version | None:
    return parse_kubernetes_version(text) if text else None


def _is_same_chart(left: Version, right: Version) -> bool:
    """Whether it is one chart: with other build metadata it is another one, although neither is newer."""
    return (left, left.build) == (right, right.build)
