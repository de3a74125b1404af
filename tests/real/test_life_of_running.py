# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual cluster that the module vcluster makes runs, can be reached, and runs again with changed values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from host_api import Host
from modules import Module, same, texts
from places import Place, secret_values
from pool import Shared

PASSWORD = "correct-horse-battery"


@pytest.mark.xdist_group("plain")
def test_creation_becomes_ready_as_check_mode_said(vcluster: Module, plain: Place, shared_plain: Shared) -> None:
    """Check mode predicts steps, diff and changed; what the virtual cluster then makes itself changes nothing."""
    where, check, run = plain, shared_plain.check, shared_plain.run
    same(check, run)
    assert run["changed"]
    assert run["steps"][0] == f"create namespace {where.namespace}"
    assert check["virtual_cluster"] == {}
    assert run["virtual_cluster"]["phase"] == "running"
    assert run["virtual_cluster"]["managed"]
    headers = {entry["after_header"] for entry in run["diff"]}
    assert headers >= {
        f"namespace {where.namespace}",
        f"values of {where.name}",
        f"manifests of {where.name}",
    }
    for check_mode in (True, False):
        again = vcluster(check=check_mode, name=where.name)
        assert (again["changed"], again["steps"], again["diff"]) == (False, [], [])
        assert again["virtual_cluster"]["phase"] == "running"


@pytest.mark.xdist_group("plain")
def test_kubeconfig_file_reaches_the_virtual_cluster(
    host: Host, vcluster: Module, plain: Place, tmp_path: Path
) -> None:
    """And not its host cluster."""
    where, file = plain, tmp_path / "new" / "config"
    address = host.get(where.path("services", where.name))["spec"]["clusterIP"]
    export = {"path": str(file), "server": f"https://{address}:443", "context": "mine"}
    assert vcluster(name=where.name, export_kubeconfig=export)["steps"] == [f"write kubeconfig {file}"]
    spaces = host.call("kubectl", "get", "namespaces", "-o", "name", KUBECONFIG=str(file)).stdout
    assert "namespace/kube-system" in spaces
    assert f"namespace/{where.namespace}" not in spaces


@pytest.mark.xdist_group("plain")
def test_kubeconfig_content_of_running_has_the_context_of_the_cli(vcluster: Module, plain: Place) -> None:
    """What a real vCluster writes comes back when asked for; never else."""
    where = plain
    result = vcluster(name=where.name, export_kubeconfig={"return_content": True})
    assert not result["changed"]
    assert result["kubeconfig"]["current-context"] == f"vcluster_{where.name}_{where.namespace}"
    assert result["kubeconfig"]["clusters"][0]["cluster"]["server"] == "https://localhost:8443"


@pytest.mark.xdist_group("used")
def test_change_of_values_becomes_ready_without_showing_secrets(host: Host, vcluster: Module, used: Place) -> None:
    """Values change as check mode said, once, without showing a secret; leaving them out keeps them."""
    where = used
    environment = [{"name": "DB_PASSWORD", "value": PASSWORD}, {"name": "LEVEL", "value": "info"}]
    workload = {"env": environment, "resources": {"requests": {"cpu": "50m"}}}
    values = {"controlPlane": {"statefulSet": workload}, "sync": {"toHost": {"ingresses": {"enabled": True}}}}
    asked: dict[str, Any] = {"name": where.name, "values": values, "wait": True}
    check = vcluster(check=True, **asked)
    run = vcluster(**asked)
    same(check, run)
    assert run["steps"] == [f"change values of release {where.name}"]
    for hidden in [PASSWORD, *secret_values(host, where)]:
        assert hidden not in texts(check)
        assert hidden not in texts(run)
    assert run["virtual_cluster"]["phase"] == "running"
    container = host.get(where.workload)["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "DB_PASSWORD", "value": PASSWORD} in container["env"]
    assert container["resources"]["requests"]["cpu"] == "50m"
    assert not vcluster(**asked)["changed"]
    assert not vcluster(name=where.name)["changed"]
    assert vcluster(check=True, name=where.name, values={})["steps"] == [
        f"change values of release {where.name}"
    ]
