# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Label and field selectors, as the API server reads them. Written on its own: what is tested has another."""

from __future__ import annotations

import re
from collections.abc import Callable

from .kinds import Kind
from .messages import Object, Refused

Match = Callable[[Object], bool]
_NAME = r"[A-Za-z0-9][A-Za-z0-9._/-]*"
_REQUIREMENT = re.compile(
    rf"\s*(?:(?P<absent>!)\s*(?P<no>{_NAME})"
    rf"|(?P<label>{_NAME})\s*(?:(?P<operator>==|=|!=)\s*(?P<value>[A-Za-z0-9._-]*)"
    rf"|\s(?P<among>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|$)"
)
# Beside the name and the namespace, which every kind can be selected by.
_FIELDS: dict[str, tuple[str, ...]] = {
    "events": (
        "involvedObject.kind",
        "involvedObject.name",
        "involvedObject.namespace",
        "involvedObject.uid",
        "reason",
        "type",
    ),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "pods": ("spec.nodeName", "status.phase"),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
}


def by_labels(selector: str) -> Match:
    """Return whether an object has the labels of a selector, as a function. Raises Refused."""
    requirements, position = [], 0
    while position < len(selector):
        found = _REQUIREMENT.match(selector, position)
        if not found or found.end() == position:
            raise Refused(400, "BadRequest", f"unable to parse requirement: found '{selector[position:]}'")
        requirements.append(_requirement(found))
        position = found.end()
    return lambda item: all(fits(item["metadata"].get("labels") or {}) for fits in requirements)


def _requirement(found: re.Match[str]) -> Callable[[dict[str, str]], bool]:
    name = found["label"] or found["no"]
    if found["absent"]:
        return lambda labels: name not in labels
    if found["operator"]:
        value, equal = found["value"], found["operator"] != "!="
        return lambda labels: (labels.get(name) == value) == equal
    if found["among"]:
        values, inside = {value.strip() for value in found["values"].split(",")}, found["among"] == "in"
        return lambda labels: (labels.get(name) in values) == inside
    return lambda labels: name in labels


def by_fields(selector: str, kind: Kind) -> Match:
    """Return whether an object has the fields of a selector, as a function. Raises Refused."""
    requirements = []
    for term in filter(None, selector.split(",")):
        name, operator, value = re.split(r"(!=|==|=)", term, maxsplit=1)
        if name not in ("metadata.name", "metadata.namespace", *_FIELDS.get(kind.plural, ())):
            message = f"field label not supported: {name}"
            if kind.plural not in _FIELDS:
                message = f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"'
            raise Refused(400, "BadRequest", message)
        requirements.append((name.split("."), value, operator != "!="))
    return lambda item: all((_field(item, parts) == value) == equal for parts, value, equal in requirements)


def _field(item: Object, parts: list[str]) -> str:
    found: object = item
    for part in parts:
        found = found.get(part) if isinstance(found, dict) else None
    return "" if found is None else str(found).lower() if isinstance(found, bool) else str(found)
