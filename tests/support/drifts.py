# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody else may change in the objects of a virtual cluster, and how a task says that it mends it."""

from __future__ import annotations

import base64
from collections.abc import Callable

from host_api import Host
from places import Place
from waiting import eventually

RBAC = "rbac.authorization.k8s.io/v1"
FORGED = "forged-by-somebody"


def scale(host: Host, where: Place) -> None:
    host.patch(where.workload, {"spec": {"replicas": 2}})


def edit_service_port(host: Host, where: Place) -> None:
    edit = [{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 9999}]
    host.patch(where.path("services", where.name), edit)


def edit_role(host: Host, where: Place) -> None:
    edit = [{"op": "remove", "path": "/rules/0"}]
    host.patch(where.path("roles", f"vc-{where.name}", RBAC), edit)


def edit_config(host: Host, where: Place) -> None:
    forged = {"config.yaml": base64.b64encode(FORGED.encode()).decode()}
    host.patch(where.path("secrets", f"vc-config-{where.name}"), {"data": forged})


def delete_config(host: Host, where: Place) -> None:
    host.delete(where.path("secrets", f"vc-config-{where.name}"))


def delete_service_account(host: Host, where: Place) -> None:
    host.delete(where.path("serviceaccounts", f"vc-{where.name}"))


def delete_role_binding(host: Host, where: Place) -> None:
    host.delete(where.path("rolebindings", f"vc-{where.name}", RBAC))


def delete_headless_service(host: Host, where: Place) -> None:
    host.delete(where.path("services", f"{where.name}-headless"))


def add_environment(host: Host, where: Place) -> None:
    where_to = "/spec/template/spec/containers/0/env/-"
    host.patch(where.workload, [{"op": "add", "path": where_to, "value": {"name": "EXTRA", "value": "1"}}])


def add_service_port(host: Host, where: Place) -> None:
    port = {"name": "extra", "port": 7777, "targetPort": 7777, "protocol": "TCP"}
    host.patch(where.path("services", where.name), [{"op": "add", "path": "/spec/ports/-", "value": port}])


def edit_label(host: Host, where: Place) -> None:
    labels = {"metadata": {"labels": {"app": "somebody-else"}}}
    host.patch(where.path("serviceaccounts", f"vc-{where.name}"), labels)


def delete_orphan(host: Host, where: Place) -> None:
    host.delete(where.workload, "Orphan")
    eventually("StatefulSet gone", lambda: host.get(where.workload) is None)


def delete_background(host: Host, where: Place) -> None:
    host.delete(where.workload)
    eventually("StatefulSet gone", lambda: host.get(where.workload) is None)


Drift = Callable[[Host, Place], None]

# What can be done to a virtual cluster at once: each, and how a task says it.
DRIFTS: dict[str, dict[Drift, str]] = {
    "edited": {
        scale: "repair StatefulSet {}",
        edit_service_port: "repair Service {}",
        edit_role: "repair Role vc-{}",
        edit_config: "repair Secret vc-config-{}",
        edit_label: "repair ServiceAccount vc-{}",
    },
    "deleted": {
        delete_config: "restore Secret vc-config-{}",
        delete_service_account: "restore ServiceAccount vc-{}",
        delete_role_binding: "restore RoleBinding vc-{}",
        delete_headless_service: "restore Service {}-headless",
    },
    "added": {
        add_environment: "repair StatefulSet {}",
        add_service_port: "repair Service {}",
    },
    "orphaned": {delete_orphan: "restore StatefulSet {}"},
    "deleted with its pod": {delete_background: "restore StatefulSet {}"},
}
