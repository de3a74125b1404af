# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of a release as a manifest and a host cluster have them, and the merge patch that Kubernetes applies."""

from __future__ import annotations

import base64
import copy
import random
from collections.abc import Iterator
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import drift as virtual_cluster_drift

NAMESPACE = "vcluster-demo"
STATEFUL_SET = ("apps/v1", "StatefulSet", NAMESPACE, "demo")
SECRET = ("v1", "Secret", NAMESPACE, "vc-config-demo")


def namespaced(_api_version: str, kind: str) -> bool:
    return not kind.startswith("ClusterRole") and kind not in ("Namespace", "PriorityClass")


TEXTS = ("x", "demo", "1.10", "100m", "8443", "true", "", "5Gi")


def random_object(source: random.Random, depth: int = 4) -> Any:
    """JSON as a manifest has it."""
    kind = source.random()
    if depth and kind < 0.5:
        names = source.sample(["limits", "labels", "spec", "ports", "nodePort", "name", "value"], 4)
        return {name: random_object(source, depth - 1) for name in names[: source.randint(0, 4)]}
    if depth and kind < 0.65:
        return [random_object(source, depth - 1) for _each in range(source.randint(0, 3))]
    return source.choice([None, True, False, 0, 1, 443, *TEXTS])


def random_objects(count: int = 400) -> Iterator[tuple[random.Random, Any]]:
    source = random.Random(7)
    for _each in range(count):
        yield source, {"spec": random_object(source), "metadata": random_object(source)}


def stateful_set(replicas: int = 1, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "demo", "namespace": NAMESPACE, **metadata},
        "spec": {"replicas": replicas, "serviceName": "demo-headless", "template": {"spec": {}}},
    }


def from_a_list(thing: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """As an item of a LIST: without apiVersion and kind, with what the API server adds."""
    item = {name: copy.deepcopy(value) for name, value in thing.items() if name not in ("apiVersion", "kind")}
    item["metadata"] = {**item["metadata"], "uid": "1", "resourceVersion": "7"}
    return {**item, "status": {"readyReplicas": 1}, **changes}


def drift_steps(found: Any, manifest: Any) -> list[str]:
    return [change.text for change in virtual_cluster_drift.drift(found, manifest)]


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
