# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is deployed against what shall be: the steps that lead there, and the diff that shows them.

Pure functions. Objects are dictionaries as the API server sends them; a *key* is
``(apiVersion, kind, namespace, name)`` with an empty namespace for what lives in none.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils import documents, phase
from ansible_collections.nested.clusters.plugins.module_utils._helm import AtRest, Release
from ansible_collections.nested.clusters.plugins.module_utils.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.postrender import (
    PAUSED,
    PAUSED_DATE,
    PAUSED_REPLICAS,
    WORKLOADS,
)
from ansible_collections.nested.clusters.plugins.module_utils.size import quantity
from ansible_collections.nested.clusters.plugins.module_utils.values import masked, masked_environment

Key = tuple[str, str, str, str]

MANAGED = "nested-clusters/managed"  # annotation of the workload, and label of the Helm release: we made it
BETWEEN = "nested-clusters/between"  # label of a Helm release that is a step on the way of an upgrade
RAN = "nested-clusters/ran"  # annotation of a paused workload that helm has changed: see last_run
PROTECTED = "loft.sh/non-deletable"  # the platform's own annotation: `vcluster delete` respects it as well
KEPT = "nested-clusters/kept"  # annotation of a volume claim: it stayed because a task asked for that
CREATED = "vcluster.loft.sh/created"  # annotation of a namespace that the CLI or this collection made
CONTROL_PLANE, ETCD = "vcluster", "vcluster-etcd"  # label app of the workloads

# Below these names strings are quantities; elsewhere "1.10" and "1.1" are two different things.
QUANTITIES = {
    "limits",
    "requests",
    "hard",
    "capacity",
    "sizeLimit",
    "default",
    "defaultRequest",
    "max",
    "min",
}

# What Helm, the chart, vCluster and this collection write on the workload themselves.
RESERVED_LABELS = {"app", "chart", "release", "heritage", "app.kubernetes.io/managed-by"}
RESERVED_PREFIXES = ("meta.helm.sh/", "loft.sh/", "nested-clusters/")
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


def objects(manifest: str, namespace: str, namespaced: Callable[[str, str], bool]) -> dict[Key, dict[str, Any]]:
    """The objects of a release's manifest by key.

    ``namespace`` is where those go that do not say so themselves; ``namespaced`` tells of (apiVersion, kind)
    whether its objects live in one at all.
    """
    result = {}
    for thing in documents.load_all(manifest):
        if not thing or not thing.get("kind"):
            continue
        meta = thing.get("metadata") or {}
        where = (meta.get("namespace") or namespace) if namespaced(thing["apiVersion"], thing["kind"]) else ""
        result[(thing["apiVersion"], thing["kind"], where, meta.get("name", ""))] = _encoded(_awake(thing))
    return result


def _awake(thing: dict[str, Any]) -> dict[str, Any]:
    """A workload as the chart rendered it: helm stored it at rest if the virtual cluster was paused then."""
    annotations = thing.get("metadata", {}).get("annotations") or {}
    if thing["kind"] not in WORKLOADS or PAUSED_REPLICAS not in annotations:
        return thing
    own = {name: text for name, text in annotations.items() if name not in (PAUSED, PAUSED_REPLICAS, RAN)}
    metadata = {name: value for name, value in thing["metadata"].items() if name != "annotations"}
    return {
        **thing,
        "metadata": {**metadata, **({"annotations": own} if own else {})},
        "spec": {**thing["spec"], "replicas": int(annotations[PAUSED_REPLICAS])},
    }


def _encoded(thing: dict[str, Any]) -> dict[str, Any]:
    """A Secret as the API server stores it: stringData is for writing only."""
    if thing["kind"] != "Secret" or not thing.get("stringData"):
        return thing
    clear = {name: base64.b64encode(str(text).encode()).decode() for name, text in thing["stringData"].items()}
    rest = {name: value for name, value in thing.items() if name != "stringData"}
    return {**rest, "data": {**(thing.get("data") or {}), **clear}}


def workload_key(manifest_objects: Iterable[Key], name: str) -> Key | None:
    """The control plane among the objects of a release: a StatefulSet, or a Deployment without volume claim."""
    return next((k for k in manifest_objects if k[1] in WORKLOADS and k[3] == name), None)


def project(live: Any, wanted: Any, ignore: frozenset[tuple[str, ...]] = frozenset(), at: tuple[str, ...] = ()) -> Any:
    """``live`` reduced to what ``wanted`` speaks of, so that both can be compared and shown side by side.

    The API server adds defaults and status; they are no difference. Null asks for the API server's default, as
    does a node port of 0. A field that is wanted empty ("", {}, [], false) equals one that is not there.
    Quantities equal when their numbers do. Lists are compared as they are: order and length mean something.
    """
    if wanted is None or at in ignore or (at and at[-1] == "nodePort" and not wanted):
        return wanted
    if isinstance(wanted, dict) and live is None:
        return wanted if project({}, wanted, ignore, at) == wanted else None
    if isinstance(wanted, dict) and isinstance(live, dict):
        shown = {name: project(live.get(name), value, ignore, (*at, name)) for name, value in wanted.items()}
        return {name: value for name, value in shown.items() if value is not None or wanted[name] is None}
    if isinstance(wanted, list) and isinstance(live, list) and len(live) == len(wanted):
        return [project(*pair, ignore, (*at, "[]")) for pair in zip(live, wanted, strict=True)]
    if live is None and (wanted in ("", {}, [], False, 0)):
        return wanted
    if (
        live != wanted
        and QUANTITIES.intersection(at)
        and quantity(live) is not None
        and quantity(live) == quantity(wanted)
    ):
        return wanted
    return live


def as_found(
    manifest_objects: Mapping[Key, dict[str, Any]], live: Mapping[Key, dict[str, Any]]
) -> dict[Key, dict[str, Any]]:
    """The objects of a release as they are in the cluster; what somebody deleted is missing."""
    paused = _is_paused(manifest_objects, live)
    return {
        # The items of a LIST do not repeat the list's apiVersion and kind.
        k: project({"apiVersion": k[0], "kind": k[1], **live[k]}, thing, _ignored(k, live[k], paused))
        for k, thing in manifest_objects.items()
        if live.get(k) is not None
    }


def at_rest(release: Release | None, live: Mapping[Key, dict[str, Any]], manifest: Iterable[Key]) -> AtRest | None:
    """What helm has to leave without replicas, because the virtual cluster of a release is paused; else None.

    A deployed etcd that still runs, as the CLI leaves it, goes on.
    """
    keys = list(manifest)
    if release is None or not _is_paused(keys, live):
        return None
    where = workload_key(live, release.name)
    workload = live[where] if where else {}
    ran = last_run(workload) or (release.chart_version, phase.kubernetes_version(workload) or "")
    etcd = [live[k] for k in keys if k in live and runs(k, live[k], ETCD)]
    names = [release.name] if any(map(phase.replicas, etcd)) else [release.name, f"{release.name}-etcd"]
    return AtRest(names, {RAN: " ".join((*ran, _annotation(workload, PAUSED_DATE)))})


def last_run(workload: dict[str, Any]) -> tuple[str, str] | None:
    """(vCluster version, Kubernetes version or "") that ran last, where helm has changed them during this pause."""
    words = _annotation(workload, RAN).split(" ")
    return (words[0], words[1]) if len(words) == 3 and words[2] == _annotation(workload, PAUSED_DATE) else None


def _annotation(thing: dict[str, Any], name: str) -> str:
    return str((thing["metadata"].get("annotations") or {}).get(name, ""))


def _is_paused(manifest_objects: Iterable[Key], live: Mapping[Key, dict[str, Any]]) -> bool:
    found = [live[k] for k in manifest_objects if k in live and runs(k, live[k], CONTROL_PLANE)]
    return any(phase.phase(workload) == "paused" for workload in found)


def runs(k: Key, thing: dict[str, Any], app: str) -> bool:
    """Whether an object is a workload of a virtual cluster: its CONTROL_PLANE or its ETCD."""
    return k[1] in WORKLOADS and (thing["metadata"].get("labels") or {}).get("app") == app


def _ignored(k: Key, thing: dict[str, Any], paused: bool) -> frozenset[tuple[str, ...]]:
    # A paused control plane and its etcd have no replicas; that is their state and not somebody's edit.
    pausable = runs(k, thing, CONTROL_PLANE) or runs(k, thing, ETCD)
    return frozenset({("spec", "replicas")}) if paused and pausable else frozenset()


def drift(found: Mapping[Key, dict[str, Any]], manifest_objects: Mapping[Key, dict[str, Any]]) -> list[str]:
    """One sentence for each object that is not as the release made it."""
    return [
        f"{'restore' if k not in found else 'repair'} {k[1]} {k[3]}"
        for k, thing in sorted(manifest_objects.items())
        if found.get(k) != thing
    ]


def repair_patch(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that makes an object, as :func:`as_found` shows it, what the release wants.

    For what Helm leaves: an entry that somebody added to a list with keys, such as a container's environment or
    a Service's ports, survives its merge on the server and on the client. A merge patch replaces the list.
    """
    patch: dict[str, Any] = {}
    for name, value in wanted.items():
        there = found.get(name)
        if there == value or value is None:
            continue
        both = isinstance(there, dict) and isinstance(value, dict)
        patch[name] = repair_patch(there, value) if both else value  # type: ignore[arg-type]
    return patch


def check_metadata(option: str, wanted: Mapping[str, Any], in_values: Mapping[str, Any]) -> None:
    """OptionError where labels or annotations (``option`` says which) cannot be set, or would be fought over."""
    for name, value in wanted.items():
        shown = {name: value}
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise OptionError(option, shown, "names such as env or example.com/env", reason="the name is not valid")
        if name in RESERVED_LABELS or name.startswith(RESERVED_PREFIXES):
            raise OptionError(option, shown, "names of your own", reason="Helm, vCluster or this collection sets it")
        if name in in_values and in_values[name] != value:
            raise OptionError(option, shown, repr(in_values[name]), reason=f"values set {name} on the StatefulSet")
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


def show(things: Mapping[Key, dict[str, Any]], other: Mapping[Key, dict[str, Any]], side: str) -> str:
    """Objects as YAML documents in a fixed order. What Secrets hold reads ``***``, with ``side`` where the same
    entry of ``other`` differs, as `kubectl diff` shows it."""
    return "---\n".join(documents.dump(_shown(thing, other.get(k) or {}, side)) for k, thing in sorted(things.items()))


def diff(before: Any, after: Any, name: str) -> list[dict[str, str]]:
    """An entry for Ansible's ``--diff``, or none where nothing differs. Texts go as they are, data as YAML."""
    texts = [
        entry if isinstance(entry, str) else documents.dump(masked(entry)) if entry else "" for entry in (before, after)
    ]
    if texts[0] == texts[1]:
        return []
    return [{"before_header": name, "after_header": name, "before": texts[0], "after": texts[1]}]


def release_diff(
    deployed: Release | None,
    values: Mapping[str, Any],
    found: Mapping[Key, dict[str, Any]],
    wanted: Mapping[Key, dict[str, Any]],
    name: str,
    origins: Mapping[tuple[str, ...], str] | None = None,
) -> list[dict[str, str]]:
    """Values and manifests before and after; with ``origins`` each value says in a comment where it comes from."""
    before: Any = deployed.values if deployed else {}
    after: Any = dict(values)
    if origins:
        # A value that stays has the same comment on both sides, so that only changes show.
        known = {where: origin for where, origin in origins.items() if _at(before, where) == _at(after, where)}
        before, after = (
            documents.dump_commented(masked(side), comments) if side else ""
            for side, comments in ((before, known), (after, origins))
        )
    return [
        *diff(before, after, f"values of {name}"),
        *diff(show(found, wanted, "before"), show(wanted, found, "after"), f"manifests of {name}"),
    ]


def _at(values: Any, where: tuple[str, ...]) -> Any:
    for key in where:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _shown(thing: dict[str, Any], other: dict[str, Any], side: str) -> dict[str, Any]:
    if thing.get("kind") != "Secret":
        return masked_environment(thing)
    hidden = dict(thing)
    for part in ("data", "stringData"):
        if isinstance(thing.get(part), dict):
            there = other.get(part) or {}
            hidden[part] = {
                name: "***" if there.get(name) == value else f"*** ({side})" for name, value in thing[part].items()
            }
    return hidden
