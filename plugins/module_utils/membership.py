# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a virtual cluster one of a cluster group: metadata of its namespace, and the request it was made from.

The namespace says what is allocated, so one LIST of namespaces shows everything. The request is a Secret in the
namespace, because values can hold credentials; it is what the next change of the group is merged with.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.capacity import (
    APPLIED_ANNOTATION,
    GROUP_LABEL,
    NAME_ANNOTATION,
    OWNER_ANNOTATION,
    SIZE_ANNOTATION,
)
from ansible_collections.nested.clusters.plugins.module_utils.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.size import Size

REQUEST_TYPE = "nested-clusters/request"
MANAGED_BY = {"app.kubernetes.io/managed-by": "nested.clusters"}
# A quota of limits refuses containers without any. With these, a dozen of them fit in the default size.
LIMITS = {
    "type": "Container",
    "default": {"cpu": "250m", "memory": "256Mi"},
    "defaultRequest": {"cpu": "50m", "memory": "64Mi"},
}
QUOTA_KEYS: dict[str, tuple[str, ...]] = {
    "cpu": ("requests.cpu", "limits.cpu"),
    "memory": ("requests.memory", "limits.memory"),
    "storage": ("requests.storage",),
}
OF_MEMBERS = (NAME_ANNOTATION, OWNER_ANNOTATION, SIZE_ANNOTATION, APPLIED_ANNOTATION)


@dataclass(frozen=True)
class Membership:
    """A virtual cluster's place in a group. ``request`` is what its task asked for, beside the group's settings."""

    group: str
    owner: str
    size: Size
    applied: Mapping[str, Any]
    request: Mapping[str, Any]
    limit_range: bool = True  # whether containers that ask for nothing get limits from us

    def labels(self) -> dict[str, str]:
        """Labels of the namespace."""
        return {GROUP_LABEL: self.group}

    def annotations(self, name: str) -> dict[str, str | None]:
        """Annotations of the namespace; None where there shall be none."""
        return {
            NAME_ANNOTATION: name,
            OWNER_ANNOTATION: self.owner or None,
            SIZE_ANNOTATION: json.dumps(self.size.as_dict()),
            APPLIED_ANNOTATION: json.dumps(dict(self.applied), sort_keys=True),
        }

    def objects(self, name: str, namespace: str) -> list[dict[str, Any]]:
        """What the virtual cluster has in its namespace beside its Helm release."""
        content = base64.b64encode(json.dumps(self.request, sort_keys=True).encode()).decode()
        things: list[dict[str, Any]] = [
            {"kind": "Secret", "type": REQUEST_TYPE, "data": {"request": content}},
            {"kind": "ResourceQuota", "spec": {"hard": hard(self.size)}},
        ]
        if self.limit_range:
            things.append({"kind": "LimitRange", "spec": {"limits": [LIMITS]}})
        labels = {"app": "vcluster", "release": name, **MANAGED_BY}
        metadata = {"name": object_name(name), "namespace": namespace, "labels": labels}
        return [{"apiVersion": "v1", **thing, "metadata": metadata} for thing in things]


def hard(size: Size) -> dict[str, str]:
    """A size as a ResourceQuota: what is asked for, and how far it may go."""
    amounts = size.as_dict()
    return {key: amount for resource, keys in QUOTA_KEYS.items() for key in keys if (amount := amounts[resource])}


def object_name(name: str) -> str:
    """The name of the Secret, ResourceQuota and LimitRange that a virtual cluster has because of its group."""
    return f"nested-clusters-{name}"


def stored_request(secret: Mapping[str, Any]) -> dict[str, Any]:
    """What earlier tasks asked for: ``values``, ``kubernetes_version``, and the options of ``control_plane``.

    Raises NestedClustersError for a Secret that somebody broke.
    """
    try:
        found = json.loads(base64.b64decode(secret["data"]["request"], validate=True))
        if not isinstance(found["values"], dict) or not isinstance(found["kubernetes_version"], (str, type(None))):
            raise ValueError("it is something else")
        return dict(found)
    except (KeyError, TypeError, ValueError):  # not quoted: it can hold credentials
        where = f"{secret['metadata'].get('namespace')}/{secret['metadata'].get('name')}"
        raise NestedClustersError(
            f"Secret {where} does not hold the request of a virtual cluster: delete it, and give the task all values"
        ) from None
