# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ingress controllers with NGINX among workloads, with what they lack to pass TLS through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.nested.clusters.plugins.module_utils.endpoint import ingress_controllers


def nginx_controllers(workloads: Any, classes: Any = (), definitions: Any = None) -> list[dict[str, Any]]:
    """Return each controller with the names of its IngressClasses and what it lacks. Raises AnsibleFilterError.

    workloads, classes, definitions: objects of Kubernetes. Without definitions, no kinds are looked for.
    """
    try:
        served = None if definitions is None else ingress_controllers.served(definitions)
        return [
            {
                "controller": one.product,
                "what": one.what,
                "namespace": one.namespace,
                "name": one.name,
                "image": one.image,
                "classes": sorted(item["metadata"]["name"] for item in classes if one.takes(item)),
                "missing": one.missing(served),
            }
            for one in ingress_controllers.controllers(workloads)
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"nested.clusters.nginx_controllers: {type(error).__name__}: {error}") from error


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"nginx_controllers": nginx_controllers}
