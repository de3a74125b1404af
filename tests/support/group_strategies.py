# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any group that a task can make, for property tests."""

from __future__ import annotations

import string

from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES, Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_settings
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group, Member
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.placements import STRATEGIES
from group_builders import Object
from hypothesis import assume
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LABEL = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
# Of CPU in thousandths; of the rest in bytes.
AMOUNTS = {
    "cpu": st.integers(1, 10**6).map(lambda number: f"{number}m"),
    **dict.fromkeys(("memory", "storage"), st.integers(1, 2**50).map(str)),
}


@st.composite
def bounds(draw: st.DrawFn) -> Object:
    """minimum, default and maximum in this order, any of them left out, any resource of them as well."""
    result: Object = {"minimum": {}, "default": {}, "maximum": {}}
    for resource in RESOURCES:
        unit = "m" if resource == "cpu" else ""
        least, middle, most = sorted(draw(st.lists(st.integers(1, 2**40), min_size=3, max_size=3)))
        result["minimum"][resource], result["default"][resource] = f"{least}{unit}", f"{middle}{unit}"
        if draw(st.booleans()):
            result["maximum"][resource] = f"{most}{unit}"
    return result


@st.composite
def members(draw: st.DrawFn) -> list[Member]:
    names = draw(st.lists(LABEL, min_size=1, max_size=4, unique=True))
    return [
        Member(
            name,
            f"uid of {name}",
            f"*.{name}.example.com" if draw(st.booleans()) else None,
            Size.parse({r: draw(AMOUNTS[r]) for r in RESOURCES if draw(st.booleans())}, "x", partial=True),
            draw(st.dictionaries(st.text(), st.text(), max_size=2)),
        )
        for name in names
    ]


@st.composite
def groups(draw: st.DrawFn) -> Group:
    """Any group that a task can make."""
    optional = {
        "description": st.text(),
        "tags": st.dictionaries(st.text(), JSON, max_size=3),
        "endpoint": st.sampled_from(["cluster_ip", "node_port", "load_balancer"]).map(lambda kind: {"type": kind}),
        "vcluster_version": st.sampled_from(["0.36.1", "v0.35.0", "0.37.0-rc.1"]),
        "kubernetes_version": st.sampled_from(["v1.35.4", "1.36.0"]),
        "oversubscription": st.integers(1, 1000),
        "placement": st.sampled_from(STRATEGIES),
        "size": bounds(),
        "owner_quota": st.fixed_dictionaries({}, optional={**AMOUNTS, "virtual_clusters": st.integers(0, 99)}),
        "values": st.fixed_dictionaries({}, optional={"a": JSON, "b": JSON}),
        "oidc": st.just({"issuer_url": "https://x", "client_id": "y", "extra_scopes": ["email"]}),
    }
    params = {option: draw(strategy) for option, strategy in optional.items() if draw(st.booleans())}
    name = draw(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True))
    try:
        return group_settings.desired({"name": name, **params}, draw(members()), None)
    except OptionError as error:  # of a name in the values that speaks of a credential
        assume(error.data["option"] != "values")
        raise
