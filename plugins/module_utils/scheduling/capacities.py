# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host cluster can take, and what is allocated on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from ..common.errors import NestedClustersError
from ..common.size import Size, quantity
from ..k8s.objects import Object
from ..virtual_cluster.membership import Allocation

THOUSANDTH = Decimal("0.001")  # of a CPU
_KEEPS_OUT = ("NoSchedule", "NoExecute")


def total(allocations: Iterable[Allocation]) -> Size:
    """Return the sum of their sizes."""
    return sum((item.size for item in allocations), Size.zero())


def capacity(nodes: Iterable[Object], declared: Size, node_selector: Mapping[str, str]) -> Size:
    """Return what a host cluster can allocate: the declared capacity, else that of its usable nodes.

    Storage is only known where it is declared. A host cluster of which everything is declared still needs a node:
    see ``why_no_nodes``. Raises NestedClustersError for a node whose allocatable amounts cannot be read.
    """
    counted = usable(nodes, node_selector)
    cpu = sum((_allocatable(node, "cpu", THOUSANDTH) for node in counted), Decimal(0))
    memory = sum((_allocatable(node, "memory", Decimal(1)) for node in counted), Decimal(0))
    return declared.filled(Size(cpu, memory, None))


def usable(nodes: Iterable[Object], node_selector: Mapping[str, str]) -> list[Object]:
    """Return the nodes that count."""
    return [node for node in nodes if not _unusable(node, node_selector)]


def why_no_nodes(nodes: Iterable[Object], node_selector: Mapping[str, str]) -> str:
    """Return why no virtual cluster can run on these nodes, such as ``all 3 nodes are cordoned``; "" if one can."""
    reasons = [_unusable(node, node_selector) for node in nodes]
    if not reasons:
        return "it has no node"
    if "" in reasons:
        return ""
    selector = ",".join(f"{key}={value}" for key, value in sorted(node_selector.items()))
    counted = Counter(reason for reason in reasons if reason != "unmatched")
    if not counted:
        return f"no node matches {selector}"
    of_these = f" that matches {selector}" if node_selector else ""
    if len(counted) == 1:
        return _all_for(next(iter(counted)), counted.total(), of_these)
    parts = [f"{counted[reason]} {phrase}" for reason, phrase in _MIXED.items() if counted[reason]]
    return f"no node{of_these} can be used: {', '.join(parts)}"


_MIXED = {"cordoned": "cordoned", "not ready": "not Ready", "tainted": "with a taint"}


def _all_for(reason: str, count: int, of_these: str) -> str:
    if reason == "not ready":
        return f"no node{of_these} is Ready"
    if reason == "tainted":
        return f"every node{of_these} has a taint (NoSchedule or NoExecute)"
    if count == 1:
        return f"the only node{of_these} is cordoned"
    return f"all {count} nodes{of_these.replace('matches', 'match')} are cordoned"


def _unusable(node: Object, node_selector: Mapping[str, str]) -> str:
    """Return why a node does not count, or "".

    In the order in which an administrator would look: Kubernetes itself taints nodes that are cordoned or not ready.
    """
    labels = node["metadata"].get("labels") or {}
    spec, status = node.get("spec") or {}, node.get("status") or {}
    if any(labels.get(key) != value for key, value in node_selector.items()):
        return "unmatched"
    if spec.get("unschedulable"):
        return "cordoned"
    conditions = {item["type"]: item["status"] for item in status.get("conditions") or []}
    if conditions.get("Ready") != "True":
        return "not ready"
    if any(taint.get("effect") in _KEEPS_OUT for taint in spec.get("taints") or []):
        return "tainted"
    return ""


def _allocatable(node: Object, resource: str, unit: Decimal) -> Decimal:
    value = ((node.get("status") or {}).get("allocatable") or {}).get(resource, "0")
    amount = quantity(value)
    if amount is None or not amount.is_finite() or amount < 0:
        raise NestedClustersError(
            f"node {node['metadata']['name']}: allocatable {resource} {value!r} is not a quantity; set the "
            "capacity of its host cluster",
            node=node["metadata"]["name"],
            resource=resource,
        )
    return amount.quantize(unit, ROUND_FLOOR)


def limit(capacity: Size, oversubscription: int) -> Size:
    """Return ``oversubscription`` percent of the capacity, rounded down."""
    share = Decimal(oversubscription) / 100
    units = {"cpu": THOUSANDTH, "memory": Decimal(1), "storage": Decimal(1)}
    return Size(
        **{
            resource: None if amount is None else (amount * share).quantize(units[resource], ROUND_FLOOR)
            for resource, amount in capacity.items()
        }
    )


@dataclass(frozen=True)
class HostLoad:
    """A host cluster in numbers: ``limit`` may be allocated; None in ``allocated`` and ``used`` is not known."""

    capacity: Size
    limit: Size
    allocated: Size
    used: Size

    @classmethod
    def total(cls, loads: Sequence[HostLoad]) -> HostLoad:
        """Return several host clusters as one."""
        parts = [[getattr(load, name) for load in loads] for name in ("capacity", "limit", "allocated", "used")]
        return cls(*(sum(part, Size.zero()) for part in parts))

    @property
    def available(self) -> Size:
        """Return what is left to allocate; negative if more than the limit is allocated, None if unknown."""
        limit = Size(
            **{name: None if getattr(self.allocated, name) is None else most for name, most in self.limit.items()}
        )
        return limit - self.allocated

    def as_dict(self) -> dict[str, dict[str, str | None]]:
        """Return the five sizes as quantities."""
        return {
            "capacity": self.capacity.as_dict(),
            "limit": self.limit.as_dict(),
            "allocated": self.allocated.as_dict(),
            "used": self.used.as_dict(),
            "available": self.available.as_dict(),
        }
