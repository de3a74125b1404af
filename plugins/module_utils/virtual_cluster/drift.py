# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what is deployed with what is wanted: drift, its repair, and the diff that shows it. Pure functions.

Pure functions. Objects are dictionaries as the API server sends them; a *key* is
``(apiVersion, kind, namespace, name)`` with an empty namespace for what lives in none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..common import yaml_io
from ..common.size import quantity
from ..common.well_known import CONTROL_PLANE, ETCD
from ..helm.release import Release
from ..values.masking import masked, masked_environment
from . import manifests
from .change import Change, ChangeKind, ChangeTarget, diff_entries
from .manifests import Key, is_any_paused

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


def project(live: Any, wanted: Any, ignore: frozenset[tuple[str, ...]] = frozenset(), at: tuple[str, ...] = ()) -> Any:
    """Return ``live`` reduced to what ``wanted`` speaks of, so that both can be compared and shown side by side.

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
    """Return the objects of a release as they are in the cluster; what somebody deleted is missing."""
    paused = is_any_paused(manifest_objects, live)
    return {
        # The items of a LIST do not repeat the list's apiVersion and kind.
        k: project({"apiVersion": k[0], "kind": k[1], **live[k]}, item, _ignored(k, live[k], paused))
        for k, item in manifest_objects.items()
        if live.get(k) is not None
    }


def _ignored(k: Key, item: dict[str, Any], paused: bool) -> frozenset[tuple[str, ...]]:
    # A paused control plane and its etcd have no replicas; that is their state and not somebody's edit.
    pausable = manifests.runs(k, item, CONTROL_PLANE) or manifests.runs(k, item, ETCD)
    return frozenset({("spec", "replicas")}) if paused and pausable else frozenset()


def drift(found: Mapping[Key, dict[str, Any]], manifest_objects: Mapping[Key, dict[str, Any]]) -> list[Change]:
    """Return a change for each object that is not as the release made it."""
    return [
        Change(ChangeKind.REPAIR if k in found else ChangeKind.RESTORE, ChangeTarget(k[1], k[3]))
        for k, item in sorted(manifest_objects.items())
        if found.get(k) != item
    ]


def repair_patch(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch that makes an object, as :func:`as_found` shows it, what the release wants.

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


def show(items: Mapping[Key, dict[str, Any]], other: Mapping[Key, dict[str, Any]], side: str) -> str:
    """Return objects as YAML documents in a fixed order. What Secrets hold reads ``***``, with ``side`` where the same
    entry of ``other`` differs, as `kubectl diff` shows it."""
    return "---\n".join(yaml_io.dump(_shown(item, other.get(k) or {}, side)) for k, item in sorted(items.items()))


def release_diff(
    deployed: Release | None,
    values: Mapping[str, Any],
    found: Mapping[Key, dict[str, Any]],
    wanted: Mapping[Key, dict[str, Any]],
    name: str,
    origins: Mapping[tuple[str, ...], str] | None = None,
) -> list[dict[str, str]]:
    """Return values and manifests before and after.

    With ``origins`` each value says in a comment where it comes from.
    """
    before: Any = deployed.values if deployed else {}
    after: Any = dict(values)
    if origins:
        # A value that stays has the same comment on both sides, so that only changes show.
        known = {where: origin for where, origin in origins.items() if _at(before, where) == _at(after, where)}
        before, after = (
            yaml_io.dump_commented(masked(side), comments) if side else ""
            for side, comments in ((before, known), (after, origins))
        )
    return [
        *diff_entries(before, after, f"values of {name}"),
        *diff_entries(show(found, wanted, "before"), show(wanted, found, "after"), f"manifests of {name}"),
    ]


def _at(values: Any, where: tuple[str, ...]) -> Any:
    for key in where:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _shown(item: dict[str, Any], other: dict[str, Any], side: str) -> dict[str, Any]:
    if item.get("kind") != "Secret":
        return masked_environment(item)
    hidden = dict(item)
    for part in ("data", "stringData"):
        if isinstance(item.get(part), dict):
            there = other.get(part) or {}
            hidden[part] = {
                name: "***" if there.get(name) == value else f"*** ({side})" for name, value in item[part].items()
            }
    return hidden
