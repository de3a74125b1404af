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
from functools import lru_cache
from typing import Any

from ..common.errors import NestedClustersError, OptionError
from ..common.size import Size
from ..common.well_known import (
    APPLIED_ANNOTATION,
    GROUP_LABEL,
    MANAGED_BY,
    NAME_ANNOTATION,
    OWNER_ANNOTATION,
    REQUEST_TYPE,
    SIZE_ANNOTATION,
)

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


@dataclass(frozen=True)
class AdmissionRequest:
    """What a task asks for in a group, beside the request for the virtual cluster itself."""

    group: str
    owner: str | None
    size: Size  # None where the task does not say
    host_cluster: str | None = None
    force: bool = False
    oidc: bool = False  # whether the kubeconfig logs in at the group's issuer
    ahead: bool = False  # whether it may run another version than the one that the group is locked to


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
        """Return labels of the namespace."""
        return {GROUP_LABEL: self.group}

    def annotations(self, name: str) -> dict[str, str | None]:
        """Return annotations of the namespace; None removes one."""
        return {
            NAME_ANNOTATION: name,
            OWNER_ANNOTATION: self.owner or None,
            SIZE_ANNOTATION: json.dumps(self.size.as_dict()),
            APPLIED_ANNOTATION: json.dumps(dict(self.applied), sort_keys=True),
        }

    def objects(self, name: str, namespace: str) -> list[dict[str, Any]]:
        """Return the objects of the virtual cluster in its namespace beside its Helm release."""
        content = base64.b64encode(json.dumps(self.request, sort_keys=True).encode()).decode()
        items: list[dict[str, Any]] = [
            {"kind": "Secret", "type": REQUEST_TYPE, "data": {"request": content}},
            {"kind": "ResourceQuota", "spec": {"hard": hard(self.size)}},
        ]
        if self.limit_range:
            items.append({"kind": "LimitRange", "spec": {"limits": [LIMITS]}})
        labels = {"app": "vcluster", "release": name, **MANAGED_BY}
        metadata = {"name": object_name(name), "namespace": namespace, "labels": labels}
        return [{"apiVersion": "v1", **item, "metadata": metadata} for item in items]


def hard(size: Size) -> dict[str, str]:
    """Return a size as a ResourceQuota: what is asked for, and how far it may go."""
    amounts = size.as_dict()
    return {key: amount for resource, keys in QUOTA_KEYS.items() for key in keys if (amount := amounts[resource])}


def object_name(name: str) -> str:
    """Return the name of the Secret, ResourceQuota and LimitRange that a virtual cluster has because of its group."""
    return f"nested-clusters-{name}"


def stored_request(secret: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request of earlier tasks: ``values``, ``kubernetes_version``, and the options of ``control_plane``.

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
            f"Secret {where} does not contain the request of a virtual cluster; delete it, and set all values in the "
            "task"
        ) from None


@dataclass(frozen=True)
class Allocation:
    """What one virtual cluster may claim of its host cluster, running or not."""

    name: str
    namespace: str
    host_cluster: str
    group: str
    owner: str  # "" where none is recorded
    size: Size  # all three limited
    applied: dict[str, Any]
    deleting: bool

    @property
    def kept(self) -> bool:
        """Return whether only volumes are left: they count as storage, but no longer as a virtual cluster."""
        return self.size.only_storage


def allocation(namespace: dict[str, Any], host_cluster: str) -> Allocation | None:
    """Return the allocation that a Namespace object records, or None if it is in no cluster group.

    Raises NestedClustersError where the name or the size cannot be read: counting it as nothing would give away
    twice what it has.
    """
    metadata = namespace["metadata"]
    group = (metadata.get("labels") or {}).get(GROUP_LABEL)
    if not group:
        return None
    annotations = metadata.get("annotations") or {}
    return Allocation(
        name=_recorded(annotations, NAME_ANNOTATION, metadata["name"], host_cluster),
        namespace=metadata["name"],
        host_cluster=host_cluster,
        group=group,
        owner=annotations.get(OWNER_ANNOTATION) or "",
        size=_recorded_size(annotations, metadata["name"], host_cluster),
        applied=_recorded_applied(annotations),
        deleting=bool(metadata.get("deletionTimestamp")),
    )


def _recorded(annotations: Mapping[str, str], annotation: str, namespace: str, host_cluster: str) -> str:
    value = annotations.get(annotation)
    if not value:
        raise _broken(annotation, namespace, host_cluster, "is missing")
    return value


def _recorded_size(annotations: Mapping[str, str], namespace: str, host_cluster: str) -> Size:
    text = _recorded(annotations, SIZE_ANNOTATION, namespace, host_cluster)
    try:
        return _parsed_size(text)
    except (ValueError, RecursionError) as error:
        raise _broken(SIZE_ANNOTATION, namespace, host_cluster, f"is {text[:200]!r}, which is not JSON") from error
    except OptionError as error:
        what = f"is {text[:200]!r}, of which {error.data['option']} cannot be used"
        raise _broken(SIZE_ANNOTATION, namespace, host_cluster, what) from error


@lru_cache(maxsize=1024)  # a thousand virtual clusters have some ten sizes
def _parsed_size(text: str) -> Size:
    return Size.parse(json.loads(text), "size")


def _recorded_applied(annotations: Mapping[str, str]) -> dict[str, Any]:
    # What cannot be read counts as never applied: the next run applies everything and writes it again.
    try:
        applied = json.loads(annotations.get(APPLIED_ANNOTATION) or "{}")
    except (ValueError, RecursionError):
        return {}
    return applied if isinstance(applied, dict) else {}


def _broken(annotation: str, namespace: str, host_cluster: str, what: str) -> NestedClustersError:
    return NestedClustersError(
        f"namespace {namespace} on host cluster {host_cluster}: annotation {annotation} {what}, so the size of its "
        f"virtual cluster is unknown; repair the annotation, or remove label {GROUP_LABEL} if there is no virtual "
        "cluster",
        host_cluster=host_cluster,
        namespace=namespace,
        annotation=annotation,
    )
