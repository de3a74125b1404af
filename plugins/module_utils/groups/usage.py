# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What virtual clusters use: what is measured, else what their pods request, and the storage that they claim. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from ..common.size import Amount, Size, quantity
from ..k8s.objects import Object
from ..scheduling.capacities import THOUSANDTH
from ..virtual_cluster import membership
from ..virtual_cluster.membership import Allocation

RESERVED = "reserved"  # phase of a virtual cluster without a workload, beside those of ``phases.PHASES``
REQUESTS, METRICS = "requests", "metrics"  # where what is used is known from
NOT_KNOWN = Size(None, None, None)


@dataclass(frozen=True)
class AllocatedCluster:
    """What has a share of a host cluster: a virtual cluster of any group, or the volumes that one left.

    ``workload`` is the virtual cluster as ``description.describe`` gives it, None where none runs yet.
    """

    allocation: Allocation
    workload: Mapping[str, Any] | None
    created: str  # the namespace
    used: Size

    @property
    def phase(self) -> str:
        """Return its phase; RESERVED where it has no control plane yet."""
        if self.allocation.deleting:
            return "deleting"
        return self.workload["phase"] if self.workload else RESERVED


@dataclass(frozen=True)
class Counts:
    """What tells how much is used on a host cluster, by namespace; None is what may not be read, or nobody measures."""

    quotas: Mapping[tuple[str, str], Object]  # by namespace and name
    measured: Mapping[str, Size] | None
    claims: Mapping[str, Decimal] | None  # of namespaces without a quota

    def cluster(self, item: Allocation, workload: Mapping[str, Any] | None, created: str) -> AllocatedCluster:
        """Return a virtual cluster with what it uses; ``created`` is when its namespace was."""
        found = AllocatedCluster(item, workload, created, NOT_KNOWN)
        quota = self.quotas.get((item.namespace, membership.object_name(item.name)))
        usage = None if self.measured is None else self.measured.get(item.namespace, Size.zero())
        claimed = None if self.claims is None else self.claims.get(item.namespace, Decimal(0))
        return AllocatedCluster(item, workload, created, used(found.phase, quota, usage, claimed))


def used(phase: str, quota: Object | None, usage: Size | None, claimed: Amount) -> Size:
    """Return what a virtual cluster in this phase uses: CPU and memory of its pods, and the storage that it claims.

    CPU and memory are ``usage``, what is measured, else what pods request by ``quota``. The quota counts claims;
    ``claimed`` are they where there is none. None is what nobody knows.
    """
    requested = None
    if quota:
        counts = (quota.get("status") or {}).get("used") or {}  # none: it is so new that nothing has been counted
        amounts = [quantity(counts.get(f"requests.{name}", "0")) for name in ("cpu", "memory", "storage")]
        requested = Size(*amounts)
    running = usage or requested
    if phase in ("paused", RESERVED) or (phase == "deleting" and running is None):
        running = Size.zero()
    running = running or NOT_KNOWN
    return Size(running.cpu, running.memory, requested.storage if requested else claimed)


def measured(metrics: Iterable[Object], namespaces: set[str]) -> dict[str, Size]:
    """Return CPU (to the next thousandth) and memory of all pods in namespaces."""
    cpu: dict[str, Decimal] = defaultdict(Decimal)
    memory: dict[str, Decimal] = defaultdict(Decimal)
    for pod in metrics:
        namespace = pod["metadata"]["namespace"]
        if namespace in namespaces:
            for container in pod.get("containers") or []:
                usage = container.get("usage") or {}
                cpu[namespace] += quantity(usage.get("cpu")) or 0
                memory[namespace] += quantity(usage.get("memory")) or 0
    return {
        namespace: Size(cpu[namespace].quantize(THOUSANDTH, ROUND_CEILING), memory[namespace], None)
        for namespace in cpu
    }


def without_quota(claimants: Iterable[AllocatedCluster], used_from: str | None) -> list[str]:
    """Return a warning where nothing counts what some virtual clusters use."""
    missing = sorted(item.allocation.name for item in claimants if item.used.cpu is None)
    if not missing or used_from is None:
        return []
    return [
        f"nothing counts what {', '.join(missing)} {'uses' if len(missing) == 1 else 'use'}: ResourceQuota "
        f"{membership.object_name('NAME')} of the namespace is gone; the vcluster task creates it again"
    ]
