# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A group, a member, and the values that come of both."""

from __future__ import annotations

from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.admission import group_layers
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_settings
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group, Member
from ansible_collections.nested.clusters.plugins.module_utils.values import tree

Object = dict[str, Any]
HOST = Member("host-a", "uid-a", "*.a.example.com")
BARE = Member("host-b", "uid-b")


def group(**params: Any) -> Group:
    return group_settings.desired({"name": "dev", **params}, [params.pop("member", HOST)], None)


def merged(of: Group, asked: Object | None = None, member: Member = HOST) -> Object:
    return group_layers.merge(group_layers.layers(of, member, "team", asked or {}))


def at(path: str, value: Any) -> Object:
    return tree.at(tuple(path.split(".")), value)


def get(data: Object, path: str) -> Any:
    return tree.get(data, tuple(path.split(".")))


def size(cpu: Any = 4, memory: Any = "4Gi", storage: Any = "2Gi") -> Size:
    return Size.parse({"cpu": cpu, "memory": memory, "storage": storage}, "size")
