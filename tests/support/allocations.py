# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocations of virtual clusters, and owner quotas to hold them against."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import (
    AdmissionDenied,
    OwnerQuota,
    SizeRequest,
    check_owner_quota,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.membership import Allocation
from sizes import size

NOTHING_SAID = Size(None, None, None)
NO_QUOTA = OwnerQuota(None, NOTHING_SAID, False)


def allocated(
    name: str,
    held: Size,
    owner: str = "alice",
    group: str = "dev",
    host_cluster: str = "host-a",
    deleting: bool = False,
) -> Allocation:
    return Allocation(name, f"vcluster-{name}", host_cluster, group, owner, held, {}, deleting)


QUOTA = OwnerQuota(4, size(20, "32Gi", "60Gi"), False)
MEDIUM = size(8, "12Gi", "20Gi")
SMALL = size(4, "4Gi", "2Gi")


def refusal(
    name: str,
    asked: Size,
    held: Sequence[Allocation],
    quota: OwnerQuota = QUOTA,
    exempt_groups: Sequence[str] = (),
    group: str = "dev",
    owner: str = "alice",
    current: Size | None = None,
) -> AdmissionDenied | None:
    """Why the owner's quota does not allow it, or None."""
    try:
        check_owner_quota(SizeRequest(owner, name, group, asked, current), quota, held, exempt_groups)
    except AdmissionDenied as refused:
        return refused
    return None
