# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of secrets: what a task shows of its connection, through each module as Ansible runs it."""

from __future__ import annotations

import copy
import importlib
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible_collections.nested.clusters.plugins import modules
from ansible_collections.nested.clusters.plugins.module_utils.k8s import connection
from ansible_collections.nested.clusters.plugins.module_utils.k8s.secrets import secrets

Object = dict[str, Any]
# What each module needs beside a connection.
MODULES: dict[str, Object] = {
    "vcluster": {"name": "team"},
    "vcluster_endpoint_info": {"name": "team"},
    "vcluster_fleet": {"group": "dev", "virtual_clusters": []},
    "vcluster_group": {"name": "dev"},
    "vcluster_group_info": {},
    "vcluster_info": {},
    "vcluster_orphan": {},
    "vcluster_orphan_info": {},
    "vcluster_orphans": {},
    "vcluster_state": {"name": "team", "state": "paused"},
}
# Newer releases return what a module was called with only if they are told to, as with -vvv.
VERBOSE = {"_ansible_inject_invocation": True} if "inject_invocation" in basic.PASS_VARS else {}
# kubernetes.core 6.0 to 6.2, and later ones.
SHAPES: dict[str, Object] = {"hidden": {"type": "raw", "no_log": True}, "not hidden": {"type": "raw"}}


@pytest.fixture(params=list(SHAPES.values()), ids=list(SHAPES))
def shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection options of another release of kubernetes.core."""
    monkeypatch.setattr(connection, "AUTH_ARG_SPEC", {**connection.AUTH_ARG_SPEC, "kubeconfig": request.param})


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes into the system log."""
    found: list[str] = []

    def log(self: Any, msg: str, log_args: Any = None) -> None:
        found.append(f"{msg} {log_args}")

    monkeypatch.setattr(basic.AnsibleModule, "log", log)
    return found


def closed_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"https://127.0.0.1:{listener.getsockname()[1]}"


def kubeconfig(server: str, **user: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "prod", "cluster": {"server": server}}],
        "users": [{"name": "admin", "user": {"token": "hunter2-token", "username": "admin", **user}}],
        "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": "admin"}}],
        "current-context": "prod",
    }


def test_modules_of_these_tests_are_all_that_there_are() -> None:
    assert {file.stem for file in Path(next(iter(modules.__path__))).glob("*.py")} - {"__init__"} == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("among", [False, True], ids=["the only one", "host_clusters"])
@pytest.mark.usefixtures("shape")
def test_kubeconfig_shows_names_and_hides_tokens(name: str, among: bool, run_module: Any, logged: list[str]) -> None:
    module = importlib.import_module(f"{modules.__name__}.{name}")
    if among and "host_clusters" not in module.argument_spec():
        among = False
    server = closed_port()
    own: Object = {"kubeconfig": kubeconfig(server)}
    given = {"host_clusters": [{"name": "prod", **own}]} if among else own
    more = {"host_cluster": "prod"} if among and name == "vcluster" else {}
    result = run_module(module, **given, **MODULES[name], **more, **VERBOSE)
    assert f"host cluster {server} does not answer" in result["msg"]
    shown = result["invocation"]["module_args"]
    config = (shown["host_clusters"][0] if among else shown)["kubeconfig"]
    hidden = copy.deepcopy(kubeconfig(server))
    hidden["users"][0]["user"]["token"] = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    assert config == hidden
    assert "hunter2" not in json.dumps(result)
    assert "Invoked with" in logged[0]
    assert "hunter2" not in str(logged)


def run(run_module: Any, **options: Any) -> Object:
    found: Object = run_module(importlib.import_module(f"{modules.__name__}.vcluster_info"), **options, **VERBOSE)
    return found


@pytest.mark.usefixtures("shape")
def test_kubeconfig_as_a_path_is_shown(run_module: Any, tmp_path: Path) -> None:
    file = tmp_path / "nowhere"
    result = run(run_module, kubeconfig=str(file))
    assert result["msg"].startswith(f"kubeconfig: {file} is not usable: ")
    assert result["invocation"]["module_args"]["kubeconfig"] == str(file)


@pytest.mark.parametrize("text", [json.dumps(kubeconfig("https://a")), "users:\n- token: hunter2", "token: hunter2"])
@pytest.mark.usefixtures("shape")
def test_kubeconfig_as_text_is_hidden(text: str, run_module: Any, logged: list[str]) -> None:
    result = run(run_module, kubeconfig=text)
    assert result["msg"].startswith("kubeconfig: text that is no path is not usable")
    assert "from_yaml" in result["msg"]
    assert "hunter2" not in json.dumps(result)
    assert "hunter2" not in str(logged)


def test_kubeconfig_as_a_list_is_hidden(run_module: Any) -> None:
    assert "kubeconfig: a list is not usable" in run(run_module, kubeconfig=[kubeconfig("https://a")])["msg"]


def test_value_that_another_option_hides_stays_hidden(run_module: Any) -> None:
    """Also where a kubeconfig has the same word as a name."""
    server = closed_port()
    result = run(run_module, kubeconfig=kubeconfig(server), api_key="admin", proxy_headers={"basic_auth": "prod"})
    config = result["invocation"]["module_args"]["kubeconfig"]
    assert config["users"][0]["name"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    assert config["current-context"] == "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


@pytest.mark.parametrize("option", ["host", "proxy"])
def test_password_in_a_url_is_hidden(option: str, run_module: Any, logged: list[str]) -> None:
    url = closed_port().replace("//", "//bob:hunter2@")
    options = {"host": "https://127.0.0.1:1", "api_key": "x-y-z", option: url}
    result = run(run_module, **options)
    assert "hunter2" not in json.dumps(result)
    assert "bob" in json.dumps(result)
    assert "hunter2" not in str(logged)


USERS: dict[str, tuple[Object, set[str]]] = {
    "a token": ({"token": "t1"}, {"t1"}),
    "a password": ({"username": "bob", "password": "p1"}, {"p1"}),
    "a key": ({"client-certificate-data": "c1", "client-key-data": "k1"}, {"c1", "k1"}),
    "files": ({"client-certificate": "/c", "client-key": "/k", "tokenFile": "/t"}, set()),
    "somebody else": ({"as": "bob", "as-groups": ["a"], "as-uid": "1", "as-user-extra": {"scopes": ["b"]}}, set()),
    "a command": (
        {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": "aws",
                "args": ["eks", "get-token", "--cluster-name", "prod"],
                "env": [{"name": "AWS_PROFILE", "value": "dev"}, {"name": "AWS_SECRET_ACCESS_KEY", "value": "s1"}],
                "provideClusterInfo": False,
            }
        },
        {"s1"},
    ),
    "a secret of a command": (
        {
            "exec": {
                "command": "kubectl",
                "args": ["oidc-login", "--oidc-client-id=kubectl", "--oidc-client-secret=s1", "--token", "t1", "prod"],
            }
        },
        {"s1", "t1"},
    ),
    "a script": ({"exec": {"command": "sh", "args": ["-c", "curl -u a:b x"]}}, {"curl -u a:b x"}),
    "a provider": (
        {
            "auth-provider": {
                "name": "oidc",
                "config": {"client-id": "c", "client-secret": "s1", "id-token": "t1", "idp-issuer-url": "https://x"},
            }
        },
        {"s1", "t1"},
    ),
    "what nobody knows": ({"pin": 4711, "more": {"of": ["it"]}, "flag": True}, {"4711", "it"}),
}


@pytest.mark.parametrize(("user", "expected"), USERS.values(), ids=USERS)
def test_secrets_of_a_user_are_its_credentials(user: Object, expected: set[str]) -> None:
    config = kubeconfig("https://a")
    config["users"][0]["user"] = user
    assert set(secrets(config)) == expected


def test_secrets_of_a_cluster_are_in_its_urls() -> None:
    config = kubeconfig("https://a")
    config["users"] = []
    config["clusters"][0]["cluster"].update(
        {
            "proxy-url": "http://bob:p1@proxy:3128",
            "tls-server-name": "a",
            "extensions": [{"name": "x", "extension": {"provider": "minikube", "last-update": "today"}}],
        }
    )
    assert set(secrets(config)) == {"p1"}


def test_secrets_of_an_invalid_kubeconfig_are_found() -> None:
    assert set(secrets({"token": "t1", "users": [{"token": "t2"}]})) == {"t1", "t2"}
    assert set(secrets({"password": "p1"})) == {"p1"}
