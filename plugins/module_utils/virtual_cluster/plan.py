# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan for a virtual cluster: its changes in order, and those of labels and annotations."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..common import yaml_io
from ..common.errors import OptionError
from ..common.redaction import redacted
from ..common.well_known import RESERVED_LABELS, RESERVED_PREFIXES
from ..values.masking import masked
from .change import BY_HELM, Change, ChangeKind, ChangeTarget

_NAME = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


@dataclass
class Plan:
    """What a task will do: ``changes`` in the order in which they are done; none means that all is as it shall be."""

    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what people have to do because of it
    complete: bool = True  # False where Helm has to be asked for the rest

    @property
    def steps(self) -> list[str]:
        """The changes as sentences."""
        return [change.text for change in self.changes]

    @property
    def diff(self) -> list[dict[str, str]]:
        """What changes, for Ansible's ``--diff``."""
        return [dict(entry) for change in self.changes for entry in change.diff]

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.changes) or not self.complete

    @property
    def creates_namespace(self) -> bool:
        """Whether the namespace of the virtual cluster is yet to be made."""
        return any(change.kind is ChangeKind.CREATE and change.target.kind == "namespace" for change in self.changes)

    @property
    def needs_helm(self) -> bool:
        """Whether Helm carries out a part of it."""
        return any(change.kind in BY_HELM for change in self.changes)

    def carry_out(self) -> None:
        """Do the changes in their order. What neighbors have in common is done once."""
        for apply, _together in itertools.groupby(self.changes, key=lambda change: change.apply):
            if apply is not None:
                apply()


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


def metadata_changes(
    target: ChangeTarget,
    live: Mapping[str, Any] | None,
    patch: Mapping[str, Mapping[str, Any]],
    apply: Callable[[], Any] | None = None,
) -> list[Change]:
    """The changes that a patch from :func:`metadata_patch` makes: one for labels, one for annotations."""
    meta = (live or {}).get("metadata") or {}
    changes = []
    for part, wanted in patch.items():
        have = meta.get(part) or {}
        before = {name: have[name] for name in wanted if name in have}
        after = {name: value for name, value in wanted.items() if value is not None}
        details = {"part": part, "names": ", ".join(sorted(wanted))}
        shown = tuple(diff(before, after, f"{part} of {target}"))
        changes.append(Change(ChangeKind.SET_METADATA, target, details, shown, apply))
    return changes


def diff(before: Any, after: Any, name: str) -> list[dict[str, str]]:
    """An entry for Ansible's ``--diff``, or none where nothing differs. Texts go as they are, data as YAML."""
    texts = [
        entry if isinstance(entry, str) else yaml_io.dump(masked(entry)) if entry else "" for entry in (before, after)
    ]
    if texts[0] == texts[1]:
        return []
    return [{"before_header": name, "after_header": name, "before": texts[0], "after": texts[1]}]
