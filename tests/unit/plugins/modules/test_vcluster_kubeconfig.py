# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster: the kubeconfig that it writes or returns."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import Release
from kubeconfig_secrets import kubeconfig_secret, pem
from vcluster_calls import INSTALL, NAMESPACE, Calls, outcome

Object = dict[str, Any]
Run = Callable[..., Object]


def test_export_kubeconfig_path_is_written(run: Run, present: Calls, tmp_path: Path) -> None:
    file = tmp_path / "config"
    present.answer = outcome()
    foreseen = run(check_mode=True, export_kubeconfig={"path": str(file)})
    assert not file.exists()
    present.answer = outcome()
    result = run(export_kubeconfig={"path": str(file)})
    assert (result["changed"], result["steps"]) == (True, [f"write kubeconfig {file}"])
    assert (foreseen["changed"], foreseen["steps"]) == (result["changed"], result["steps"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = yaml.safe_load(file.read_text())
    assert content["current-context"] == f"vcluster_demo_{NAMESPACE}"
    assert content["clusters"][0]["cluster"]["server"] == "https://demo.example.com"
    # What is written is not returned as well.
    assert content["users"][0]["user"]["client-key-data"] == pem("RSA PRIVATE KEY")
    assert pem("RSA PRIVATE KEY") not in json.dumps(result)
    present.answer = outcome()
    assert run(export_kubeconfig={"path": str(file)})["changed"] is False


def test_export_kubeconfig_return_content_is_returned(run: Run, present: Calls) -> None:
    present.answer = outcome()
    options = {"return_content": True, "server": "https://other", "context": "mine"}
    result = run(export_kubeconfig=options)
    assert result["changed"] is False
    assert result["kubeconfig"]["current-context"] == "mine"
    assert result["kubeconfig"]["clusters"][0]["cluster"]["server"] == "https://other"
    assert result["kubeconfig"]["users"][0]["user"] == {
        "client-certificate-data": pem("CERTIFICATE"),
        "client-key-data": pem("RSA PRIVATE KEY"),
    }


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("user", ["admin", "oidc"])
def test_export_kubeconfig_changed_secret_is_refused(
    user: str, check: bool, run: Run, in_group: Calls, tmp_path: Path
) -> None:
    def change(config: Object) -> None:
        config["clusters"][0]["cluster"]["proxy-url"] = "http://hunter2.example.com"

    file = tmp_path / "config"
    in_group.answer.state.secrets = [kubeconfig_secret("demo", NAMESPACE, change)]
    options = {"path": str(file), "return_content": True, "user": user}
    result = run(group="dev", export_kubeconfig=options, check_mode=check)
    assert result["failed"] is True
    assert "clusters[].cluster.proxy-url" in result["msg"]
    assert "hunter2" not in json.dumps(result)
    assert not file.exists()


def test_export_kubeconfig_not_ready_has_none(run: Run, present: Calls, tmp_path: Path) -> None:
    file = tmp_path / "config"
    present.answer = outcome(INSTALL, secret=False)
    result = run(export_kubeconfig={"path": str(file)}, wait=False)
    assert result["failed"] is True
    assert "wait: true" in result["msg"]
    present.answer = outcome(INSTALL, running=False, secret=False)
    result = run(export_kubeconfig={"path": str(file)}, check_mode=True)
    assert result["steps"] == [INSTALL, f"write kubeconfig {file}"]
    assert not file.exists()


def test_export_kubeconfig_unwritable_path_fails(run: Run, present: Calls, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run(export_kubeconfig={"path": str(tmp_path / "file" / "config")})
    assert result["failed"] is True
    assert str(tmp_path) in result["msg"]


def test_export_kubeconfig_absent_exports_nothing(run: Run, absent: Calls, tmp_path: Path) -> None:
    file = tmp_path / "config"
    absent.answer = outcome()
    assert run(state="absent", export_kubeconfig={"path": str(file)})["steps"] == []
    assert not file.exists()


def test_export_kubeconfig_gateway_host_is_server(run: Run, in_group: Calls) -> None:
    route = {
        "metadata": {"name": "demo", "namespace": NAMESPACE},
        "spec": {"hostnames": ["demo.a.example.com"], "parentRefs": [{"name": "public"}]},
    }
    done = outcome(INSTALL)
    done.state.release = Release("demo", NAMESPACE, 1, "deployed", "vcluster", "0.36.1", {}, "")
    done.state.live["gateway.networking.k8s.io/v1", "TLSRoute", NAMESPACE, "demo"] = route
    in_group.answer = done
    result = run(group="dev", export_kubeconfig={"return_content": True})
    assert result["virtual_cluster"]["endpoint"] == "https://demo.a.example.com"
    assert result["kubeconfig"]["clusters"][0]["cluster"]["server"] == "https://demo.a.example.com"
