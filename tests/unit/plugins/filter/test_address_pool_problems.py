# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Address pools: which ranges are none, and which are somebody else's."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.nested.clusters.plugins.filter import address_pool_problems as module
from hypothesis import given
from hypothesis import strategies as st

address_pool_problems = module.FilterModule().filters()["address_pool_problems"]

NODE = {"name": "node a", "addresses": ["192.0.2.3"]}
PODS = {"name": "the pod network", "addresses": ["10.0.0.0/16", "fd00::/64"]}


def pool(*addresses: str, name: str = "public") -> dict[str, Any]:
    return {"name": name, "addresses": list(addresses)}


@pytest.mark.parametrize(
    "addresses", ["192.0.2.16/28", "192.0.2.4-192.0.2.9", "192.0.2.4 - 192.0.2.4", "192.0.2.7", "fd01::/120"]
)
def test_usable_pool_has_no_problem(addresses: str) -> None:
    assert address_pool_problems([pool(addresses)], [NODE, PODS]) == []


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        ("192.0.2.5/24", "has host bits set"),
        ("192.0.2.0/33", "does not appear to be"),
        ("", "does not appear to be"),
        ("192.0.2.300-192.0.2.301", "does not appear to be"),
        ("192.0.2.9-192.0.2.4", "it ends before it begins"),
        ("192.0.2.9-fd00::1", "IPv4 and one is IPv6"),
        ("192.0.2.1-2-3", "does not appear to be"),
    ],
)
def test_invalid_range_is_named_with_the_allowed_forms(addresses: str, said: str) -> None:
    (problem,) = address_pool_problems([pool(addresses)])
    assert problem.startswith(f"{addresses!r} of pool public is not usable: ")
    assert said in problem
    assert problem.endswith("; allowed: " + module.ALLOWED)


@pytest.mark.parametrize(
    ("addresses", "owner"),
    [
        ("192.0.2.0/28", "192.0.2.3 of node a"),
        ("192.0.2.1-192.0.2.3", "192.0.2.3 of node a"),
        ("10.0.255.255", "10.0.0.0/16 of the pod network"),
        ("9.0.0.0-11.0.0.0", "10.0.0.0/16 of the pod network"),
        ("fd00::5-fd00::9", "fd00::/64 of the pod network"),
    ],
)
def test_range_that_is_taken_is_named(addresses: str, owner: str) -> None:
    (problem,) = address_pool_problems([pool(addresses)], [NODE, PODS])
    assert f"it overlaps {owner}; allowed: addresses that nothing else has" in problem


def test_pool_that_overlaps_another_or_itself_is_named() -> None:
    pools = [pool("192.0.2.0/28", "192.0.2.15"), pool("192.0.2.10-192.0.2.20", name="second")]
    problems = address_pool_problems(pools)
    assert len(problems) == 3
    assert "it overlaps 192.0.2.10-192.0.2.20 of pool second" in problems[1]


def test_duplicate_pool_name_is_named() -> None:
    (problem,) = address_pool_problems([pool("192.0.2.0/28"), pool("198.51.100.0/28")])
    assert problem == "'public' is not usable: it is the name of 2 pools; allowed: a name for each pool"


def named(kind: str, name: str = "a", **rest: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": rest.pop("namespace", None)}, **rest}


ADDRESSES = [{"type": "InternalIP", "address": "192.0.2.3"}, {"type": "Hostname", "address": "a"}]
KUBEADM = "networking:\n  podSubnet: 192.0.2.0/26,fd00::/64\n  serviceSubnet: 10.0.0.0/16\n"


@pytest.mark.parametrize(
    ("thing", "owner"),
    [
        (named("Node", status={"addresses": ADDRESSES}), "192.0.2.3 of node a"),
        (named("Node", spec={"podCIDRs": ["192.0.2.0/25"]}), "192.0.2.0/25 of the pods of node a"),
        (named("ServiceCIDR", spec={"cidrs": ["192.0.2.7/26"]}), "192.0.2.7/26 of the service network a"),
        (named("Service", namespace="n", spec={"clusterIPs": ["192.0.2.2"]}), "192.0.2.2 of Service n/a"),
        (named("Pod", namespace="n", status={"podIPs": [{"ip": "192.0.2.2"}]}), "192.0.2.2 of pod n/a"),
        (named("IPAddressPool", namespace="m", spec={"addresses": ["192.0.2.0-192.0.2.1"]}), "IPAddressPool m/a"),
        (named("ConfigMap", data={"ClusterConfiguration": KUBEADM}), "192.0.2.0/26 of the pod network"),
    ],
)
def test_object_of_kubernetes_takes_its_addresses(thing: dict[str, Any], owner: str) -> None:
    (problem,) = address_pool_problems([pool("192.0.2.0/28")], [thing])
    assert f"{owner}; allowed" in problem


@pytest.mark.parametrize(
    "thing",
    [
        named("Node"),
        named("Service", spec={"clusterIPs": ["None"]}),
        named("Pod", spec={"hostNetwork": True}, status={"podIPs": [{"ip": "192.0.2.2"}]}),
        named("ConfigMap", data={"other": "x"}),
        named("ServiceCIDR"),
    ],
)
def test_object_without_addresses_takes_none(thing: dict[str, Any]) -> None:
    assert address_pool_problems([pool("192.0.2.0/28")], [thing]) == []


@pytest.mark.parametrize("pools", [[{}], [{"name": "x"}], ["text"], None, 7])
def test_pools_that_are_no_list_are_an_error(pools: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=r"nested\.clusters\.address_pool_problems: \w+Error"):
        address_pool_problems(pools)


ADDRESS = st.integers(0, 40).map(lambda number: str(IPv4Address("192.0.2.0") + number))
RANGE = st.tuples(ADDRESS, ADDRESS).map(lambda ends: "-".join(sorted(ends, key=IPv4Address)))


def members(text: str) -> set[int]:
    first, last = (int(IPv4Address(end)) for end in text.split("-"))
    return set(range(first, last + 1))


@given(RANGE, RANGE)
def test_two_ranges_meet_exactly_when_an_address_is_in_both(one: str, other: str) -> None:
    problems = address_pool_problems([pool(one)], [{"name": "b", "addresses": [other]}])
    assert bool(problems) == bool(members(one) & members(other))
