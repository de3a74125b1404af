# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What owners and cluster groups allow: sizes, counts and sums."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..common.errors import NestedClustersError, OptionError
from ..common.size import RESOURCES, Amount, Size
from ..k8s.objects import Object
from ..virtual_cluster.membership import Allocation
from . import capacities

_LISTED = 5  # virtual clusters in a sentence


class AdmissionDenied(NestedClustersError):
    """A request that a quota, a size limit or the room there is does not allow.

    ``data`` has ``check`` (``owner_quota``, ``maximum``, ``minimum``, ``capacity`` or ``in_use``), ``resource`` (of
    RESOURCES or ``virtual_clusters``), ``asked``, ``allowed`` and ``in_use`` (quantities, or numbers of virtual
    clusters; None where there is none), and ``by``: the names of the virtual clusters that use it, the largest first.
    ``capacity`` has no single resource: ``asked`` is a whole size, and ``placement`` says what each host cluster has.
    """

    def __init__(self, message: str, *, check: str, **data: Any) -> None:
        unsaid: dict[str, Any] = {"resource": None, "asked": None, "allowed": None, "in_use": None, "by": []}
        super().__init__(message, check=check, **{**unsaid, **data})


@dataclass(frozen=True)
class OwnerQuota:
    """The most that one owner may have; None is no limit. A group that is exempt neither limits nor counts."""

    virtual_clusters: int | None
    size: Size
    exempt: bool

    @classmethod
    def parse(cls, mapping: Mapping[str, Any] | None, option: str) -> OwnerQuota:
        """Parse ``{virtual_clusters: 4, cpu: 20, memory: 32Gi, storage: 60Gi}`` or ``{exempt: true}``, or a part of it.

        Raises OptionError.
        """
        if not isinstance(mapping, (Mapping, type(None))):
            raise OptionError(option, mapping, f"a mapping with virtual_clusters, {', '.join(RESOURCES)}, exempt")
        rest = dict(mapping or {})
        count, exempt = rest.pop("virtual_clusters", None), rest.pop("exempt", None)
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
            raise OptionError(f"{option}.virtual_clusters", count, "a whole number, 0 or more")
        if exempt is not None and not isinstance(exempt, bool):
            raise OptionError(f"{option}.exempt", exempt, "true or false")
        for key in rest:
            if key not in RESOURCES:
                known = f"virtual_clusters, {', '.join(RESOURCES)}, exempt"
                raise OptionError(f"{option}.{key}", rest[key], known, reason="there is no such key")
        quota = cls(count, Size.parse(rest, option, partial=True), bool(exempt))
        if quota.exempt and quota.limits:
            message = "an exempt owner has no limits; remove the limits, or set exempt: false"
            raise OptionError(f"{option}.exempt", exempt, "false, or no limit beside it", message=message)
        return quota

    @property
    def limits(self) -> bool:
        """Return whether anything is limited."""
        return self.virtual_clusters is not None or any(amount is not None for _resource, amount in self.size.items())

    def as_dict(self) -> Object:
        """Return plain data, which ``parse`` reads."""
        return {"virtual_clusters": self.virtual_clusters, **self.size.as_dict(), "exempt": self.exempt}


@dataclass(frozen=True)
class SizeRequest:
    """The size that virtual cluster ``name`` of ``group`` is to have, and its owner.

    ``current`` is what it has now, None for a new one (or one from another owner).
    """

    owner: str
    name: str
    group: str
    size: Size
    current: Size | None = None


def check_owner_quota(
    request: SizeRequest, quota: OwnerQuota, allocations: Iterable[Allocation], exempt_groups: Collection[str] = ()
) -> None:
    """Raise AdmissionDenied where a virtual cluster would give its owner more than the quota.

    Counted over ``allocations`` of the owner in every group that is not exempt, also those being deleted, without
    the virtual cluster itself. What does not grow is never refused, also where the owner has too much already. Virtual
    clusters without an owner count together.
    """
    if quota.exempt or request.group in exempt_groups or not quota.limits:
        return
    others = [
        item
        for item in allocations
        if item.owner == request.owner
        and item.group not in exempt_groups
        and (item.name, item.group) != (request.name, request.group)
    ]
    _check_count(request, quota, others)
    held = request.current or Size.zero()
    in_use = capacities.total(others)
    for resource in RESOURCES:
        allowed, wanted, taken = (getattr(size, resource) for size in (quota.size, request.size, in_use))
        if (
            _grows(wanted, getattr(held, resource))
            and allowed is not None
            and (wanted is None or wanted + taken > allowed)
        ):
            raise _over_quota(request, resource, quota.size, others)


def _check_count(request: SizeRequest, quota: OwnerQuota, others: Iterable[Allocation]) -> None:
    allowed = quota.virtual_clusters
    is_new = (request.current is None or request.current.only_storage) and not request.size.only_storage
    counted = sorted((item for item in others if not item.kept), key=_order)
    if allowed is None or not is_new or len(counted) < allowed:
        return
    has = f"has {len(counted)} ({_listed([_called(item) for item in counted])})" if counted else "has none"
    raise AdmissionDenied(
        f"the owner quota does not allow virtual cluster {request.name}: {_who(request.owner)} may have "
        f"{_count(allowed)} in all, and {has}; delete one, or have the quota raised",
        check="owner_quota",
        resource="virtual_clusters",
        asked=1,
        allowed=allowed,
        in_use=len(counted),
        by=[item.name for item in counted],
    )


def _over_quota(
    request: SizeRequest, resource: str, allowed: Size, others: Iterable[Allocation]
) -> AdmissionDenied:
    using = [item for item in others if getattr(item.size, resource) != 0]
    using.sort(key=lambda item: (-getattr(item.size, resource), _order(item)))
    in_use = capacities.total(using)
    by = _listed([f"{_called(item)}: {text_of(item.size, resource)}" for item in using])
    others_have = f"{text_of(in_use, resource)} in use ({by})" if using else "none in use"
    return AdmissionDenied(
        f"the owner quota does not allow virtual cluster {request.name} {text_of(request.size, resource)} {resource}: "
        f"{_who(request.owner)} may have {text_of(allowed, resource)} in all, and has {others_have}; ask for less, "
        "delete or resize another, or have the quota raised",
        check="owner_quota",
        resource=resource,
        asked=request.size.as_dict()[resource],
        allowed=allowed.as_dict()[resource],
        in_use=in_use.as_dict()[resource],
        by=[item.name for item in using],
    )


def _order(item: Allocation) -> tuple[str, str, str]:
    return item.name, item.group, item.host_cluster


def _called(item: Allocation) -> str:
    state = ", being deleted" if item.deleting else ", only volumes" if item.kept else ""
    return f"{item.name} in group {item.group}{state}"


def _listed(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return "; ".join(texts[:_LISTED]) + more


def check_size(requested: Size, minimum: Size, maximum: Size) -> None:
    """Raise AdmissionDenied where a size is more than the maximum, or less than the minimum."""
    for resource in requested.fits_in(maximum):
        raise _outside("maximum", "at most", resource, requested, maximum)
    for resource, least in minimum.items():
        amount = getattr(requested, resource)
        if least is not None and amount is not None and amount < least:
            raise _outside("minimum", "at least", resource, requested, minimum)


def _outside(check: str, bound: str, resource: str, requested: Size, allowed: Size) -> AdmissionDenied:
    return AdmissionDenied(
        f"size.{resource}: {text_of(requested, resource)} is asked for, and a virtual cluster of this group has "
        f"{bound} {text_of(allowed, resource)}",
        check=check,
        resource=resource,
        asked=requested.as_dict()[resource],
        allowed=allowed.as_dict()[resource],
    )


def text_of(size: Size, resource: str) -> str:
    """Return one amount as a sentence says it: ``4Gi``, or ``unlimited``."""
    return size.as_dict()[resource] or "unlimited"


def _grows(wanted: Amount, held: Amount) -> bool:
    return held is not None and (wanted is None or wanted > held)


def _who(owner: str) -> str:
    return f"owner {owner}" if owner else "virtual clusters without an owner"


def _count(number: int) -> str:
    return "1 virtual cluster" if number == 1 else f"{number} virtual clusters"
