# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster group and its members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..common.size import Size
from ..scheduling.quotas import OwnerQuota
from ..values.backing_store import BackingStore
from ..values.control_plane import ControlPlane
from ..values.endpoint import Endpoint
from ..values.oidc import Oidc

OVERSUBSCRIPTION = 120  # percent
# The product's own rules, for groups that set none.
DEFAULT_SIZE = {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}
MINIMUM_SIZE = {
    "k8s": {"cpu": "4", "memory": "4Gi", "storage": "2Gi"},
    "k3s": {"cpu": "4", "memory": "3Gi", "storage": "0"},
    "k0s": {"cpu": "4", "memory": "4Gi", "storage": "2Gi"},
}
NO_SIZE = Size(None, None, None)


@dataclass(frozen=True)
class Member:
    """A host cluster of a group. ``id`` is the UID of its namespace kube-system: a host cluster has no other."""

    name: str
    id: str = ""
    dns_pattern: str | None = None
    capacity: Size = NO_SIZE
    node_selector: Mapping[str, str] = field(default_factory=dict)

    def host_name(self, name: str) -> str | None:
        """Return the host name of a virtual cluster here, or None without a pattern."""
        return self.dns_pattern.replace("*", name) if self.dns_pattern else None


@dataclass(frozen=True)
class Group:
    """A cluster group. Sizes without a bound have None."""

    name: str
    members: tuple[Member, ...]
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    endpoint: Endpoint = field(default_factory=Endpoint)  # without a host name: that is the member's
    distribution: str = "k8s"
    replicas: int | None = None  # of each control plane
    backing_store: BackingStore | None = None  # of new virtual clusters
    kubernetes_version: str | None = None
    vcluster_version: str | None = None
    oversubscription: int = OVERSUBSCRIPTION
    placement: str = "spread"
    default: Size = NO_SIZE
    minimum: Size = NO_SIZE
    maximum: Size = NO_SIZE
    owner_quota: OwnerQuota = field(default_factory=lambda: OwnerQuota.parse(None, "owner_quota"))
    values: Mapping[str, Any] = field(default_factory=dict)
    oidc: Oidc | None = None
    generation: int = field(default=0, compare=False)  # counts changes: of records that differ, the newest holds

    @property
    def control_plane(self) -> ControlPlane:
        """Return the group's settings of control planes."""
        return ControlPlane(self.distribution, self.replicas, self.backing_store)

    def endpoint_of(self, name: str, member: Member) -> Endpoint:
        """Return the endpoint of a virtual cluster on a member."""
        return replace(self.endpoint, host=member.host_name(name))

    def has_member_of(self, other: Group) -> bool:
        """Return whether a host cluster is a member of both. Two groups of one name can be strangers to each other."""
        return bool({member.id for member in self.members if member.id} & {member.id for member in other.members})

    def member(self, name: str) -> Member | None:
        return next((member for member in self.members if member.name == name), None)
