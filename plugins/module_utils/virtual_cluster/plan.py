# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan for a virtual cluster: steps, diff, and the metadata of its namespace."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..common import yaml_io
from ..common.errors import OptionError
from ..common.redaction import redacted
from ..common.well_known import RESERVED_LABELS, RESERVED_PREFIXES
from ..values.masking import masked

_NAME = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


@dataclass
class Plan:
    """What a task will do. ``steps`` are sentences in the order of the work; no step means no change."""

    steps: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    create_namespace: bool = False
    helm: bool = False
    work: list[Callable[[], Any]] = field(default_factory=list)  # what is done before Helm
    reused: list[str] = field(default_factory=list)  # volume claims that were kept, and are in use again
    metadata: dict[str, Any] = field(default_factory=dict)  # merge patch for the workload's metadata
    namespace_metadata: dict[str, Any] = field(default_factory=dict)  # and for that of the namespace
    notes: list[str] = field(default_factory=list)  # what people have to do because of it

    @property
    def changed(self) -> bool:
        return bool(self.steps)


def check_metadata(option: str, wanted: Mapping[str, Any], in_values: Mapping[str, Any]) -> None:
    """OptionError where labels or annotations (``option`` says which) cannot be set, or would be fought over."""
    for name, value in wanted.items():
        shown = {name: value}
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise OptionError(option, shown, "names such as env or example.com/env", reason="the name is not valid")
        if name in RESERVED_LABELS or name.startswith(RESERVED_PREFIXES):
            raise OptionError(option, shown, "names of your own", reason="Helm, vCluster or this collection sets it")
        if name in in_values and in_values[name] != value:
            in_use = repr(redacted(in_values[name], name))
            raise OptionError(option, shown, in_use, reason=f"values set {name} on the StatefulSet")
        if value is not None and not isinstance(value, str):
            raise OptionError(option, shown, "strings (quote it), or null to remove it", reason="it is no string")
        if option == "labels" and value is not None and not _LABEL_VALUE.fullmatch(value):
            raise OptionError(
                option,
                shown,
                "at most 63 letters, digits, '-', '_' and '.', a letter or digit first and last",
            )


def metadata_patch(
    live: dict[str, Any] | None,
    labels: Mapping[str, Any],
    annotations: Mapping[str, Any],
) -> dict[str, Any]:
    """The merge patch that brings labels and annotations to these values (None removes one); {} if all are right."""
    meta = (live or {}).get("metadata") or {}
    patch = {}
    for part, wanted in (("labels", labels), ("annotations", annotations)):
        have = meta.get(part) or {}
        differing = {name: value for name, value in wanted.items() if have.get(name) != value}
        if differing:
            patch[part] = differing
    return patch


def diff(before: Any, after: Any, name: str) -> list[dict[str, str]]:
    """An entry for Ansible's ``--diff``, or none where nothing differs. Texts go as they are, data as YAML."""
    texts = [
        entry if isinstance(entry, str) else yaml_io.dump(masked(entry)) if entry else "" for entry in (before, after)
    ]
    if texts[0] == texts[1]:
        return []
    return [{"before_header": name, "after_header": name, "before": texts[0], "after": texts[1]}]
