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
OF_MEMBERS = (NAME_ANNOTATION, OWNER_ANNOTATION, SIZE_ANNOTATION, APPLIED_ANNOTATION)


@dataclass(frozen=True)
class Membership:
    """A virtual cluster's place in a group. ``request`` is what its task asked for, beside the group's settings."""

    group: str
    owner: str
    size: Size
    applied: Mapping[str, Any]
    request: Mapping[str, Any]

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

    def secret(self, name: str, namespace: str) -> dict[str, Any]:
        """The object that holds the request; its labels say to which virtual cluster it belongs."""
        content = json.dumps(self.request, sort_keys=True)
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": request_name(name),
                "namespace": namespace,
                "labels": {"app": "vcluster", "release": name, "app.kubernetes.io/managed-by": "nested.clusters"},
            },
            "type": REQUEST_TYPE,
            "data": {"request": base64.b64encode(content.encode()).decode()},
        }


def request_name(name: str) -> str:
    """The name of the Secret with the request of a virtual cluster."""
    return f"nested-clusters-{name}"


def stored_request(secret: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier task asked for: ``values`` and ``kubernetes_version``.

    Raises NestedClustersError for a Secret that somebody broke.
    """
    try:
        found = json.loads(base64.b64decode(secret["data"]["request"], validate=True))
        if not isinstance(found["values"], dict):
            raise ValueError("its values are no mapping")
        return dict(found)
    except (KeyError, TypeError, ValueError):  # not quoted: it can hold credentials
        where = f"{secret['metadata'].get('namespace')}/{secret['metadata'].get('name')}"
        raise NestedClustersError(
            f"Secret {where} does not hold the request of a virtual cluster: delete it, and give the task all values"
        ) from None
