# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find address pools that load balancers cannot have: invalid ranges, and ranges in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import combinations
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError

Claim = tuple[str, list[str]]
"""Whose addresses, in words, and the addresses."""

ALLOWED = "a network such as 192.0.2.0/28, or the first and last address such as 192.0.2.10-192.0.2.20"


@dataclass(frozen=True)
class Range:
    """The addresses from ``first`` to ``last``, of IP version ``version``; ``text`` is as the user wrote it."""

    owner: str
    text: str
    version: int
    first: int
    last: int

    def meets(self, other: Range) -> bool:
        """Return whether an address is in both."""
        return self.version == other.version and self.first <= other.last and other.first <= self.last


def parse(owner: str, text: Any, strict: bool = True) -> Range:
    """Return a network, a single address, or first-last. Raises ValueError saying what is wrong.

    strict: refuse bits of a host. 192.0.2.5/24 is a slip of the pen, but Kubernetes may say it of a node.
    """
    text = str(text).strip()
    if "-" not in text:
        network = ip_network(text, strict=strict)
        return Range(owner, text, network.version, int(network.network_address), int(network.broadcast_address))
    first, last = (ip_address(part.strip()) for part in text.split("-", 1))
    if first.version != last.version:
        raise ValueError("one of its ends is IPv4 and one is IPv6")
    if int(first) > int(last):
        raise ValueError("it ends before it begins")
    return Range(owner, text, first.version, int(first), int(last))


def parse_pools(pools: Any) -> tuple[list[Range], list[str]]:
    """Return the ranges of the pools, and what is wrong with those that are none."""
    ranges, problems = [], []
    for pool in pools:
        name = pool["name"]
        for text in pool["addresses"]:
            try:
                ranges.append(parse(f"pool {name}", text))
            except ValueError as error:
                problems.append(f"{str(text)!r} of pool {name} is not usable: {error}; allowed: {ALLOWED}")
    return ranges, problems


def doubles(pools: Any) -> Iterator[str]:
    """Yield names that are there twice."""
    names = [pool["name"] for pool in pools]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name!r} is not usable: it is the name of {names.count(name)} pools; allowed: a name for each pool"


def node_claims(node: Mapping[str, Any]) -> Iterator[Claim]:
    """Yield a node's own addresses, and those that it gives to pods."""
    name = node["metadata"]["name"]
    addresses = node.get("status", {}).get("addresses") or []
    yield f"node {name}", [one["address"] for one in addresses if one["type"] in ("InternalIP", "ExternalIP")]
    yield f"the pods of node {name}", node.get("spec", {}).get("podCIDRs") or []


def kubeadm_claims(config: Mapping[str, Any]) -> Iterator[Claim]:
    """Yield the networks that kubeadm was told."""
    text = (config.get("data") or {}).get("ClusterConfiguration") or "{}"
    networking = yaml.safe_load(text).get("networking") or {}
    for key, name in (("podSubnet", "the pod network"), ("serviceSubnet", "the service network")):
        yield name, [part for part in (networking.get(key) or "").split(",") if part]


def claims(thing: Mapping[str, Any]) -> Iterator[Claim]:
    """Return the addresses of a Kubernetes object, or of a mapping with ``name`` and ``addresses``."""
    kind, spec, status = thing.get("kind"), thing.get("spec") or {}, thing.get("status") or {}
    if kind == "Node":
        yield from node_claims(thing)
        return
    if kind == "ConfigMap":
        yield from kubeadm_claims(thing)
        return
    if kind is None:
        yield thing["name"], thing["addresses"]
        return
    name = "/".join(filter(None, (thing["metadata"].get("namespace"), thing["metadata"]["name"])))
    if kind == "ServiceCIDR":
        yield f"the service network {name}", spec.get("cidrs") or []
    elif kind == "Service":
        yield f"Service {name}", [address for address in spec.get("clusterIPs") or [] if address != "None"]
    elif kind == "Pod" and not spec.get("hostNetwork"):
        yield f"pod {name}", [one["ip"] for one in status.get("podIPs") or []]
    elif kind == "IPAddressPool":
        yield f"IPAddressPool {name}", spec.get("addresses") or []


def address_pool_problems(pools: Any, taken: Any = ()) -> list[str]:
    """Return the problems of the pools, one sentence each. Raises AnsibleFilterError.

    pools: mappings with ``name`` and ``addresses``. taken: the same, with a name in words, or objects of Kubernetes.
    """
    try:
        ranges, problems = parse_pools(pools)
        others = [
            parse(owner, text, strict=False)
            for thing in taken
            for owner, addresses in claims(thing)
            for text in addresses
        ]
        problems += doubles(pools)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"nested.clusters.address_pool_problems: {type(error).__name__}: {error}") from error
    for mine, other in [*combinations(ranges, 2), *((mine, other) for mine in ranges for other in others)]:
        if mine.meets(other):
            problems.append(
                f"{mine.text!r} of {mine.owner} is not usable: it overlaps {other.text} of {other.owner}; "
                "allowed: addresses that nothing else has"
            )
    return problems


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"address_pool_problems": address_pool_problems}
