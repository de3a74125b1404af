# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of a release's manifest, and what its workload's annotations say. Pure functions."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..common import yaml_io
from ..common.well_known import CONTROL_PLANE, ETCD, PAUSED, PAUSED_DATE, PAUSED_REPLICAS, RAN
from ..helm.post_renderer import PAUSABLE_KINDS, PausedWorkloads
from ..helm.release import Release
from . import phases, workloads

Key = tuple[str, str, str, str]


def objects(manifest: str, namespace: str, namespaced: Callable[[str, str], bool]) -> dict[Key, dict[str, Any]]:
    """Return the objects of a release's manifest by key.

    ``namespace`` is where those go that do not say so themselves; ``namespaced`` tells of (apiVersion, kind)
    whether its objects live in one at all.
    """
    result = {}
    for item in yaml_io.load_all(manifest):
        if not item or not item.get("kind"):
            continue
        meta = item.get("metadata") or {}
        where = (meta.get("namespace") or namespace) if namespaced(item["apiVersion"], item["kind"]) else ""
        result[(item["apiVersion"], item["kind"], where, meta.get("name", ""))] = _encoded(_awake(item))
    return result


def _awake(item: dict[str, Any]) -> dict[str, Any]:
    """Return a workload as the chart rendered it: helm stored it with 0 replicas if the virtual cluster was paused."""
    annotations = item.get("metadata", {}).get("annotations") or {}
    if item["kind"] not in PAUSABLE_KINDS or PAUSED_REPLICAS not in annotations:
        return item
    own = {name: text for name, text in annotations.items() if name not in (PAUSED, PAUSED_REPLICAS, RAN)}
    metadata = {name: value for name, value in item["metadata"].items() if name != "annotations"}
    return {
        **item,
        "metadata": {**metadata, **({"annotations": own} if own else {})},
        "spec": {**item["spec"], "replicas": int(annotations[PAUSED_REPLICAS])},
    }


def _encoded(item: dict[str, Any]) -> dict[str, Any]:
    """Return a Secret as the API server stores it: stringData is for writing only."""
    if item["kind"] != "Secret" or not item.get("stringData"):
        return item
    clear = {name: base64.b64encode(str(text).encode()).decode() for name, text in item["stringData"].items()}
    rest = {name: value for name, value in item.items() if name != "stringData"}
    return {**rest, "data": {**(item.get("data") or {}), **clear}}


def workload_key(manifest_objects: Iterable[Key], name: str, namespace: str | None = None) -> Key | None:
    """Return the control plane among the objects of a release: a StatefulSet, or a Deployment without volume claim.

    With ``namespace``, none of another one, which a manifest can name as well.
    """
    found = (k for k in manifest_objects if k[1] in PAUSABLE_KINDS and k[3] == name and namespace in (None, k[2]))
    return next(found, None)


def at_rest(
    release: Release | None, live: Mapping[Key, dict[str, Any]], manifest: Iterable[Key]
) -> PausedWorkloads | None:
    """Return the workloads that helm must leave without replicas, because the virtual cluster is paused; else None.

    A deployed etcd that still runs, as the CLI leaves it, goes on.
    """
    keys = list(manifest)
    if release is None or not is_any_paused(keys, live):
        return None
    where = workload_key(live, release.name, release.namespace)
    workload = live[where] if where else {}
    ran = last_run(workload) or (release.chart_version, workloads.kubernetes_version(workload) or "")
    etcd = [live[k] for k in keys if k in live and runs(k, live[k], ETCD)]
    names = [release.name] if any(map(workloads.replicas, etcd)) else [release.name, f"{release.name}-etcd"]
    return PausedWorkloads(names, {RAN: " ".join((*ran, _annotation(workload, PAUSED_DATE)))})


def last_run(workload: dict[str, Any]) -> tuple[str, str] | None:
    """Return (vCluster version, Kubernetes version or "") that ran last, if helm changed them during this pause."""
    words = _annotation(workload, RAN).split(" ")
    return (words[0], words[1]) if len(words) == 3 and words[2] == _annotation(workload, PAUSED_DATE) else None


def _annotation(item: dict[str, Any], name: str) -> str:
    return str((item["metadata"].get("annotations") or {}).get(name, ""))


def is_any_paused(manifest_objects: Iterable[Key], live: Mapping[Key, dict[str, Any]]) -> bool:
    found = [live[k] for k in manifest_objects if k in live and runs(k, live[k], CONTROL_PLANE)]
    return any(phases.phase(workload) == "paused" for workload in found)


def runs(k: Key, item: dict[str, Any], app: str) -> bool:
    """Return whether an object is a workload of a virtual cluster: its CONTROL_PLANE or its ETCD."""
    return k[1] in PAUSABLE_KINDS and (item["metadata"].get("labels") or {}).get("app") == app
