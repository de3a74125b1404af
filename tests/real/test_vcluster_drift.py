# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody else changed in a virtual cluster's objects is seen, shown, repaired, and then gone."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from host_api import Host
from modules import Module, diff_text, texts
from places import Place, place, secret_values, settled
from waiting import eventually

RBAC = "rbac.authorization.k8s.io/v1"
FORGED = "forged-by-somebody"


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(f"drift-{name}")) for name in ("helm", "helm3")],
)
def made(request: pytest.FixtureRequest, host: Host, vcluster: Module) -> Iterator[tuple[Place, Module]]:
    """A running virtual cluster of one helm, and the module that uses this helm."""
    module = vcluster.against(binary_path=host.program(request.param))
    with place(host, f"drift-{request.param}") as where:
        module(name=where.name)
        settled(host, where)
        yield where, module


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


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift(host: Host, made: tuple[Place, Module], drift: str) -> None:
    """Seen in check mode, shown in the diff without secrets, repaired by the run, unchanged afterwards."""
    where, module = made
    hidden = [*secret_values(host, where), FORGED, base64.b64encode(FORGED.encode()).decode()]
    for change in DRIFTS[drift]:
        change(host, where)
    asked: dict[str, Any] = {"name": where.name, "wait": False}
    check = module(check=True, **asked)
    expected = {text.format(where.name) for text in DRIFTS[drift].values()}
    if host.get(where.workload) is None:
        expected.add(f"set annotations of virtual cluster {where.name}: nested-clusters/managed")
    assert set(check["steps"]) == expected
    if "repair Service" in str(expected):
        assert "9999" in diff_text(check, "before") or "7777" in diff_text(check, "before")
    assert diff_text(check, "before") != diff_text(check, "after")
    run = module(**asked)
    assert run["changed"]
    assert (run["steps"], run["diff"]) == (check["steps"], check["diff"])
    for result in (check, run):
        assert not [secret for secret in hidden if secret in texts(result)]
    assert module(**asked)["steps"] == []


def test_repaired_virtual_cluster_runs(made: tuple[Place, Module]) -> None:
    """After all these repairs the virtual cluster becomes ready."""
    where, module = made
    assert module(name=where.name)["virtual_cluster"]["phase"] == "running"


def test_release_of_helm3_is_repaired_by_helm4(
    host: Host, vcluster: Module, made: tuple[Place, Module]
) -> None:
    """Another helm than the one that made a release repairs it and changes its values."""
    where, _module = made
    other = vcluster.against(binary_path=host.program("helm"))
    edit_service_port(host, where)
    delete_role_binding(host, where)
    assert set(other(name=where.name, wait=False)["steps"]) == {
        f"repair Service {where.name}",
        f"restore RoleBinding vc-{where.name}",
    }
    assert other(name=where.name, wait=False)["steps"] == []
    values = {"sync": {"toHost": {"ingresses": {"enabled": True}}}}
    assert other(name=where.name, values=values, wait=False)["changed"]
    assert other(name=where.name, values=values)["steps"] == []
