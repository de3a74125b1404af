# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by helm while it changes a paused virtual cluster: render the chart's workloads with 0 replicas.

The chart renders the replicas that its values ask for, and helm would start them. Here they become 0, with the
annotations of a pause, so that what helm stores and what is in the cluster agree. The rest of the text stays as
it is to the byte: written again it could mean something else to a parser that reads ``1e3`` or ``yes`` differently.

Copies of this file and of those that it imports run as a process of their own: see ``sources``.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..common import well_known
from ..common.well_known import PAUSED, PAUSED_REPLICAS

with contextlib.suppress(ImportError):  # reported by k8s/connection.py before anything is asked
    import yaml

PAUSABLE_KINDS = ("StatefulSet", "Deployment")

Edit = tuple[int, int, str]  # from, to, what to put there


@dataclass(frozen=True)
class PausedWorkloads:
    """Workloads of a paused virtual cluster, by name, and annotations that they get."""

    names: list[str]
    annotations: dict[str, str]


def sources() -> dict[str, str]:
    """Return the program as source texts, by path; ``postrender.py`` is to be run.

    Source, as the collection may be in a zip, as Ansible sends it, or where only Ansible finds it. Each file keeps its
    place in a package, so that the copy imports as the original does.
    """
    start = 'import runpy\n\nrunpy.run_module("nested_clusters.helm.post_renderer", run_name="__main__")\n'
    files = (("common/well_known.py", well_known), ("helm/post_renderer.py", sys.modules[__name__]))
    return {f"nested_clusters/{where}": inspect.getsource(module) for where, module in files} | {"postrender.py": start}


def at_rest(manifest: str, names: Collection[str], annotations: Mapping[str, str]) -> str:
    """Return a manifest in which the workloads of these names are paused, with further annotations."""
    edits: list[Edit] = []
    for document in yaml.compose_all(manifest, Loader=yaml.SafeLoader):
        edits += _edits(document, names, annotations)
    for start, end, text in sorted(edits, reverse=True):
        manifest = manifest[:start] + text + manifest[end:]
    return manifest


def main(names: Collection[str], annotations: Mapping[str, str]) -> None:
    """Read a manifest and write it with 0 replicas of these workloads; helm reports standard error."""
    manifest = sys.stdin.buffer.read().decode()
    result = at_rest(manifest, names, annotations)
    wanted = [_rest(document, names, annotations) for document in yaml.safe_load_all(manifest)]
    if list(yaml.safe_load_all(result)) != wanted:
        raise SystemExit(f"the replicas of {', '.join(names)} cannot be set to 0 in the manifest of this chart")
    sys.stdout.buffer.write(result.encode())


def _rest(document: Any, names: Collection[str], annotations: Mapping[str, str]) -> Any:
    """Return the same on an object, to check the text by."""
    metadata = document.get("metadata") or {} if isinstance(document, dict) else {}
    if not isinstance(document, dict) or not _is_one(document.get("kind"), metadata.get("name"), names):
        return document
    document = copy.deepcopy(document)
    count = document["spec"].get("replicas")
    document["spec"]["replicas"] = 0
    own = document["metadata"].get("annotations") or {}
    document["metadata"]["annotations"] = {**own, **annotations, **_marks(1 if count is None else count)}
    return document


def _is_one(kind: Any, name: Any, names: Collection[str]) -> bool:
    return kind in PAUSABLE_KINDS and name in names


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
    """Yield the edit that gives an entry of a mapping this text as its value; a new one goes first."""
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
