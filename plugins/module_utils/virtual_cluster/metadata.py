# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels and annotations: check what is asked for, and plan their change."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..common.errors import OptionError
from ..common.redaction import redacted
from ..common.well_known import RESERVED_LABELS, RESERVED_PREFIXES
from .change import Change, ChangeKind, ChangeTarget, diff_entries

_QUALIFIED_NAME = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


def check_metadata(option: str, wanted: Mapping[str, Any], in_values: Mapping[str, Any]) -> None:
    """Raise OptionError where labels or annotations (``option`` says which) cannot be set, or would be fought over."""
    for name, value in wanted.items():
        shown = {name: value}
        if not isinstance(name, str) or not _QUALIFIED_NAME.fullmatch(name):
            raise OptionError(option, shown, "names such as env or example.com/env", reason="the name is not valid")
        if name in RESERVED_LABELS or name.startswith(RESERVED_PREFIXES):
            raise OptionError(option, shown, "names of your own", reason="Helm, vCluster or this collection sets it")
        if name in in_values and in_values[name] != value:
            in_use = repr(redacted(in_values[name], name))
            raise OptionError(option, shown, in_use, reason=f"values set {name} on the StatefulSet")
        if value is not None and not isinstance(value, str):
            raise OptionError(option, shown, "strings (quote it), or null to remove it", reason="it is not a string")
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
    """Return the merge patch that brings labels and annotations to these values (None removes one).

    {} if all are right.
    """
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
    """Return the changes that a patch from :func:`metadata_patch` makes: one for labels, one for annotations."""
    meta = (live or {}).get("metadata") or {}
    changes = []
    for part, wanted in patch.items():
        have = meta.get(part) or {}
        before = {name: have[name] for name in wanted if name in have}
        after = {name: value for name, value in wanted.items() if value is not None}
        details = {"part": part, "names": ", ".join(sorted(wanted))}
        shown = tuple(diff_entries(before, after, f"{part} of {target}"))
        changes.append(Change(ChangeKind.SET_METADATA, target, details, shown, apply))
    return changes
