# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which virtual clusters of a group are still to be brought to its settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..virtual_cluster.membership import Allocation
from .model import Group, Member

# --- what a virtual cluster has of its group --------------------------------------------------------------


def applied(group: Group, member: Member) -> dict[str, Any]:
    """Return the group settings to record with a virtual cluster: versions, and fingerprints of the rest."""
    return {
        "vcluster_version": group.vcluster_version,
        "kubernetes_version": group.kubernetes_version,
        "distribution": group.distribution,
        "replicas": group.replicas,
        "values": _fingerprint(group.values),
        "endpoint": _fingerprint([group.endpoint.as_dict(), member.dns_pattern]),
        "node_selector": _fingerprint(member.node_selector),
        "oidc": _fingerprint(group.oidc.as_dict() if group.oidc else {}),
    }


def _fingerprint(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=dict).encode()).hexdigest()[:12]


def pending(group: Group, member: Member, has: Mapping[str, Any]) -> list[str]:
    """Return the group settings that a virtual cluster lacks, one sentence each; ``has`` is its :func:`applied`."""
    waiting = []
    for name, wanted in applied(group, member).items():
        if has.get(name) == wanted:
            continue
        if name.endswith("version"):
            if wanted:  # a lock that was taken away changes nothing
                waiting.append(f"{name}: {has.get(name) or 'its own'} applied, {wanted} in the group")
        else:
            waiting.append(f"{name}: changed in the group")
    return waiting


def waiting_for_upgrade(group: Group, allocations: Iterable[Allocation]) -> list[str]:
    """Return the virtual clusters of a group that do not run its locked version yet."""
    if group.vcluster_version is None:
        return []
    of_group = [item for item in allocations if item.group == group.name and not item.kept and not item.deleting]
    return sorted(item.name for item in of_group if item.applied.get("vcluster_version") != group.vcluster_version)
