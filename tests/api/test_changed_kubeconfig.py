# SPDX-License-Identifier: GPL-3.0-or-later
"""A tenant rewrites the Secret with the kubeconfig of a virtual cluster: kubectl of the operator gets nothing of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from host_api import Host
from modules import Module
from places import IDLE, Place, place

Object = dict[str, Any]
NAME = "my-vcluster"


@pytest.fixture(scope="module")
def where(host: Host, vcluster: Module) -> Iterator[Place]:
    """A virtual cluster that need not run: its Secret is written by the test."""
    with place(host, "changed") as where:
        vcluster(**where.options, values=IDLE, wait=False)
        yield where


def config(host: Host) -> Object:
    """What vCluster writes, with certificates of the host cluster."""
    own = yaml.safe_load(Path(host.kubeconfig).read_text())
    ca = own["clusters"][0]["cluster"]["certificate-authority-data"]
    user = {key: own["users"][0]["user"][key] for key in ("client-certificate-data", "client-key-data")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": {"server": host.configuration.host, "certificate-authority-data": ca}}],
        "users": [{"name": NAME, "user": user}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
    }


def write(host: Host, where: Place, content: Object) -> None:
    data = {"config": base64.b64encode(yaml.safe_dump(content).encode()).decode()}
    host.delete(where.path("secrets", f"vc-{where.name}"))
    host.create(where.path("secrets"), {"metadata": {"name": f"vc-{where.name}"}, "data": data})


def test_kubeconfig_with_command_of_tenant_runs_nothing(
    host: Host, vcluster: Module, where: Place, tmp_path: Path
) -> None:
    ran, file = tmp_path / "ran", tmp_path / "kubeconfig"
    changed = config(host)
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(ran)]}
    changed["users"][0]["user"] = {"exec": {**command, "interactiveMode": "Never"}}
    own = tmp_path / "own"
    own.write_text(yaml.safe_dump(changed))
    host.call("kubectl", "get", "namespaces", check=False, KUBECONFIG=str(own))
    assert ran.exists(), "kubectl runs what such a file says"
    write(host, where, changed)
    before = host.get(where.workload)
    values = {**IDLE, "sync": {"toHost": {"ingresses": {"enabled": True}}}}
    options: Object = {**where.options, "wait": False, "values": values}
    for check in (True, False):
        said = vcluster.refused(check, **options, export_kubeconfig={"path": str(file), "return_content": True})
        assert "users[].user.exec" in said
        assert f"Secret vc-{where.name} in namespace {where.namespace}" in said
    assert not file.exists()
    assert host.get(where.workload)["metadata"]["generation"] == before["metadata"]["generation"]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("users", "tokenFile", "/etc/passwd"),
        ("users", "client-key", "/etc/passwd"),
        ("users", "auth-provider", {"name": "oidc", "config": {}}),
        ("clusters", "proxy-url", "http://127.0.0.1:1"),
        ("clusters", "insecure-skip-tls-verify", True),
    ],
)
def test_kubeconfig_with_other_fields_of_tenant_is_refused(
    section: str, key: str, value: Any, host: Host, vcluster: Module, where: Place, tmp_path: Path
) -> None:
    changed = config(host)
    changed[section][0][section[:-1]][key] = value
    write(host, where, changed)
    file = tmp_path / "kubeconfig"
    said = vcluster.refused(**where.options, wait=False, export_kubeconfig={"path": str(file)})
    assert f"{section}[].{section[:-1]}.{key}" in said
    assert not file.exists()


def test_kubeconfig_with_server_of_tenant_is_written_without_it(
    host: Host, vcluster: Module, where: Place, tmp_path: Path
) -> None:
    changed = config(host)
    changed["clusters"][0]["cluster"]["server"] = "https://tenant.example.com"
    write(host, where, changed)
    file = tmp_path / "kubeconfig"
    vcluster(**where.options, wait=False, export_kubeconfig={"path": str(file)})
    written = yaml.safe_load(file.read_text())
    assert written["clusters"][0]["cluster"]["server"] == "https://localhost:8443"
    assert written["users"][0]["user"] == changed["users"][0]["user"]
    # With an address that the operator says, kubectl takes the certificates as they are.
    file.unlink()
    vcluster(**where.options, wait=False, export_kubeconfig={"path": str(file), "server": host.configuration.host})
    assert "kube-system" in host.call("kubectl", "get", "namespaces", KUBECONFIG=str(file)).stdout
