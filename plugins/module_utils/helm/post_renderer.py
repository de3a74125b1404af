# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What helm runs while it changes a paused virtual cluster: the chart's workloads, rendered at rest.

The chart renders the replicas that its values ask for, and helm would start them. Here they become 0, with the
annotations of a pause, so that what helm stores and what is in the cluster agree. The rest of the text stays as
it is to the byte: written anew it could mean something else to a parser that reads ``1e3`` or ``yes`` differently.

A copy of this file runs as a process of its own, and so it imports nothing of the collection.
"""

from __future__ import annotations

import contextlib
import copy
import json
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any

with contextlib.suppress(ImportError):  # reported by k8s/connection.py before anything is asked
    import yaml

WORKLOADS = ("StatefulSet", "Deployment")
PAUSED = "loft.sh/paused"
PAUSED_REPLICAS = "loft.sh/paused-replicas"
PAUSED_DATE = "loft.sh/paused-date"

Edit = tuple[int, int, str]  # from, to, what to put there


def at_rest(manifest: str, names: Collection[str], annotations: Mapping[str, str]) -> str:
    """A manifest in which the workloads of these names are paused, with further annotations."""
    edits: list[Edit] = []
    for document in yaml.compose_all(manifest, Loader=yaml.SafeLoader):
        edits += _edits(document, names, annotations)
    for start, end, text in sorted(edits, reverse=True):
        manifest = manifest[:start] + text + manifest[end:]
    return manifest


def main(names: Collection[str], annotations: Mapping[str, str]) -> None:
    """Read a manifest and write it with these workloads at rest; helm reports what is said on standard error."""
    manifest = sys.stdin.buffer.read().decode()
    result = at_rest(manifest, names, annotations)
    wanted = [_rest(thing, names, annotations) for thing in yaml.safe_load_all(manifest)]
    if list(yaml.safe_load_all(result)) != wanted:
        raise SystemExit(f"the replicas of {', '.join(names)} cannot be set to 0 in the manifest of this chart")
    sys.stdout.buffer.write(result.encode())


def _rest(thing: Any, names: Collection[str], annotations: Mapping[str, str]) -> Any:
    """The same on an object, to check the text by."""
    if not isinstance(thing, dict) or not _is_one(thing.get("kind"), (thing.get("metadata") or {}).get("name"), names):
        return thing
    thing = copy.deepcopy(thing)
    count = thing["spec"].get("replicas")
    thing["spec"]["replicas"] = 0
    own = thing["metadata"].get("annotations") or {}
    thing["metadata"]["annotations"] = {**own, **annotations, **_marks(1 if count is None else count)}
    return thing


def _is_one(kind: Any, name: Any, names: Collection[str]) -> bool:
    return kind in WORKLOADS and name in names


def _marks(count: Any) -> dict[str, str]:
    return {PAUSED: "true", PAUSED_REPLICAS: str(count)}


def _edits(document: Any, names: Collection[str], annotations: Mapping[str, str]) -> Iterable[Edit]:
    metadata, spec = _entry(document, "metadata"), _entry(document, "spec")
    if not (metadata and spec and _is_one(_text(document, "kind"), _text(metadata, "name"), names)):
        return
    replicas = _entry(spec, "replicas")
    count = "1" if replicas is None or replicas.value in ("", "null", "~") else replicas.value
    yield from _set(spec, "replicas", "0")
    wanted = {**annotations, **_marks(count)}
    own = _entry(metadata, "annotations")
    if isinstance(own, yaml.MappingNode) and own.value:
        for name, value in wanted.items():
            yield from _set(own, name, json.dumps(value))
    else:
        yield from _set(metadata, "annotations", json.dumps(wanted))


def _set(mapping: Any, name: str, text: str) -> Iterable[Edit]:
    """The edit that gives an entry of a mapping this text as its value; a new one goes first."""
    value = _entry(mapping, name)
    if value is not None:
        before = " " if value.start_mark.index == value.end_mark.index else ""  # `name:` without a value
        yield value.start_mark.index, value.end_mark.index, before + text
        return
    first = mapping.value[0][0].start_mark
    after = ", " if mapping.flow_style else "\n" + " " * first.column
    yield first.index, first.index, f'"{name}": {text}{after}'


def _entry(mapping: Any, name: str) -> Any:
    if not isinstance(mapping, yaml.MappingNode):
        return None
    return next((value for key, value in mapping.value if key.value == name), None)


def _text(mapping: Any, name: str) -> Any:
    value = _entry(mapping, name)
    return None if value is None else value.value


if __name__ == "__main__":
    main(*map(json.loads, sys.argv[1:]))
