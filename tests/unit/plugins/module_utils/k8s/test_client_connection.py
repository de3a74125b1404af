# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of connections: what is read here is what kubernetes.core reads."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.kubernetes.core.plugins.module_utils import args_common
from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client as kubernetes_core
from ansible_collections.nested.clusters.plugins.module_utils.k8s import client
from ansible_collections.nested.clusters.plugins.module_utils.k8s import connection as k8s_connection
from kubernetes.config import kube_config
from scripted_api import CERTIFICATE, KEY, config, encoded

pytestmark = pytest.mark.usefixtures("connection_of_nobody")


# --- both ways to a connection ----------------------------------------------------------------------------


ENTRY = {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)}
Files = dict[str, Path]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Certificates beside a kubeconfig, which names them relative to itself or not at all."""
    found = {name: tmp_path / f"{name}.pem" for name in ("ca", "certificate", "key", "other")}
    for name, file in found.items():
        file.write_text(f"content of {name}\n")
    return found


def seen(connection: Any, authorization: str | None) -> tuple[Any, ...]:
    """What a connection comes to: files by their content."""

    def content(file: str | None) -> str | None:
        return Path(file).read_text() if file else None

    return (
        connection.host.rstrip("/"),
        connection.verify_ssl,
        content(connection.ssl_ca_cert),
        content(connection.cert_file),
        content(connection.key_file),
        connection.tls_server_name,
        authorization,
    )


def both_ways(options: dict[str, Any], keep: Callable[[bytes], str]) -> tuple[Any, Any]:
    """(what we read ourselves, what kubernetes.core reads) of the same options."""
    ours = k8s_connection.simple_connection(k8s_connection.given_options(options, os.environ), os.environ, keep)
    configuration = kubernetes_core._create_configuration(
        kubernetes_core._create_auth_spec(SimpleNamespace(params=options))
    )
    headers = [setting["value"] for setting in configuration.auth_settings().values()]
    return ours and seen(ours, ours.authorization), seen(configuration, headers[0] if headers else None)


@pytest.fixture
def keep(tmp_path: Path) -> Callable[[bytes], str]:
    directory = tmp_path / "kept"
    directory.mkdir()
    return lambda content: k8s_connection._private_file(str(directory), content)


CA = {"certificate-authority-data": encoded(CERTIFICATE)}
SIMPLE_CONFIGS: dict[str, dict[str, Any]] = {
    "a token": config(),
    "a CA and a certificate": config(CA, ENTRY),
    "a CA and a token": config(CA),
    "a token and a certificate": config(CA, {"token": "hunter2", **ENTRY}),
    "files beside it": config(
        {"certificate-authority": "ca.pem"}, {"client-certificate": "certificate.pem", "client-key": "key.pem"}
    ),
    "data wins over files": config({"certificate-authority": "other.pem", **CA}, {**ENTRY, "client-key": "other.pem"}),
    "nothing verified": config({"insecure-skip-tls-verify": True}),
    "verified, as it says": config({"insecure-skip-tls-verify": False}),
    "a name for TLS": config({"tls-server-name": "kubernetes"}),
    "nobody": config(user={}),
    "extensions": config({"extensions": [{"name": "x", "extension": {}}]}),
    "impersonation": config(CA, {"token": "hunter2", "as": "bob", "as-groups": ["one"], "as-uid": "1"}),
    "no TLS": config({"server": "http://127.0.0.1:8080", **CA}, {"token": "hunter2", **ENTRY}),
}


@pytest.mark.parametrize("given", SIMPLE_CONFIGS.values(), ids=SIMPLE_CONFIGS)
@pytest.mark.parametrize("how", ["option", "KUBECONFIG", "home", "dictionary", "context"])
def test_connection_of_a_plain_kubeconfig_is_that_of_kubernetes_core(
    given: dict[str, Any],
    how: str,
    files: Files,
    keep: Callable[[bytes], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / ".kube" / "config" if how == "home" else tmp_path / "config"
    file.parent.mkdir(exist_ok=True)
    for source in files.values():  # beside it, wherever that is
        (file.parent / source.name).write_text(source.read_text())
    file.write_text(yaml.safe_dump(given))
    monkeypatch.chdir(tmp_path)  # to which the paths in a dictionary are relative
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(file))  # read when it was imported
    ways: dict[str, dict[str, Any]] = {
        "option": {"kubeconfig": str(file)},
        "dictionary": {"kubeconfig": given},
        "context": {"kubeconfig": str(file), "context": "b"},
    }
    options = ways.get(how, {})
    if how == "KUBECONFIG":
        monkeypatch.setenv("KUBECONFIG", str(file))
    ours, theirs = both_ways(options, keep)
    assert ours == theirs


OVERRIDES: dict[str, dict[str, Any]] = {
    "host": {"host": "https://other:6443/"},
    "token": {"api_key": "hunter4"},
    "host and token": {"host": "https://other:6443", "api_key": "hunter4"},
    "host and certificate": {"host": "https://other", "client_cert": "FILE other", "client_key": "FILE key"},
    "certificate": {"client_cert": "FILE other", "client_key": "FILE key"},
    "CA": {"ca_cert": "FILE other"},
    "nothing verified": {"validate_certs": False},
    "verified all the same": {"validate_certs": True},
}


@pytest.mark.parametrize("overrides", OVERRIDES.values(), ids=OVERRIDES)
@pytest.mark.parametrize("from_environment", [False, True], ids=["options", "environment"])
@pytest.mark.parametrize("verified", [True, False])
def test_connection_with_options_is_that_of_kubernetes_core(
    overrides: dict[str, Any],
    from_environment: bool,
    verified: bool,
    files: Files,
    keep: Callable[[bytes], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config(CA if verified else {"insecure-skip-tls-verify": True}, ENTRY)))
    options = {
        name: str(files[value[5:]]) if str(value).startswith("FILE ") else value for name, value in overrides.items()
    }
    if from_environment:
        for name, value in options.items():
            monkeypatch.setenv(f"K8S_AUTH_{name.upper()}", str(value))
        options = {}
    ours, theirs = both_ways({"kubeconfig": str(file), **options}, keep)
    assert ours is not None
    assert ours == theirs


EXEC = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws"}}
LEFT_TO_THE_LIBRARY: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
    "exec plugin": (config(user=EXEC), {}, {}),
    "auth provider": (config(user={"auth-provider": {"name": "oidc"}}), {}, {}),
    "name and password": (config(user={"username": "bob", "password": "hunter2"}), {}, {}),
    "token in a file": (config(user={"tokenFile": "/run/token"}), {}, {}),
    "proxy in it": (config({"proxy-url": "http://proxy:3128"}), {}, {}),
    "proxy": (config(), {"proxy": "http://proxy:3128"}, {}),
    "proxy headers": (config(), {}, {"K8S_AUTH_PROXY_HEADERS_USER_AGENT": "x"}),
    "name and password as options": (config(), {"username": "bob", "password": "hunter2"}, {}),
    "changes to be kept": (config(), {"persist_config": True}, {}),
    "no such context": (config(), {"context": "c"}, {}),
    "no such cluster": ({**config(), "clusters": []}, {}, {}),
    "no such user": ({**config(), "users": None}, {}, {}),
    "no current context": ({**config(), "current-context": ""}, {}, {}),
    "no server": ({**config(), "clusters": [{"name": "a", "cluster": {}}]}, {}, {}),
    "no base64": (config({"certificate-authority-data": "A"}), {}, {}),
    "a certificate that is not there": (config({"certificate-authority": "/nowhere"}), {}, {}),
    "a list": ([config()], {}, {}),
    "text": ("hunter2", {}, {}),
    "nothing": (None, {}, {}),
}


@pytest.mark.parametrize(("given", "options", "environment"), LEFT_TO_THE_LIBRARY.values(), ids=LEFT_TO_THE_LIBRARY)
def test_connection_with_more_is_left_to_the_library(
    given: Any,
    options: dict[str, Any],
    environment: dict[str, str],
    keep: Callable[[bytes], str],
    tmp_path: Path,
) -> None:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(given))
    found = k8s_connection.given_options({"kubeconfig": str(file), **options}, environment)
    assert k8s_connection.simple_connection(found, environment, keep) is None


def test_connection_by_the_library_takes_the_environment_of_the_task(tmp_path: Path) -> None:
    """Not that of the time when somebody loaded it, nor what is left of the connection before."""
    for server in ("https://first", "https://second"):
        file = tmp_path / server.rpartition("/")[2]
        file.write_text(yaml.safe_dump(config({"server": server})))
        assert k8s_connection._library_connection({}, {"KUBECONFIG": f"{file}:/nowhere"}).host == server


@pytest.mark.parametrize(
    "environment",
    [{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {"KUBECONFIG": "FILE:FILE"}, {"KUBECONFIG": "/nowhere"}],
    ids=["inside of a cluster", "several files", "not there"],
)
def test_connection_with_more_in_the_environment_is_left_to_the_library(
    environment: dict[str, str], keep: Callable[[bytes], str], tmp_path: Path
) -> None:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config()))
    environment = {name: value.replace("FILE", str(file)) for name, value in environment.items()}
    assert k8s_connection.simple_connection({}, environment, keep) is None
    # Inside of a cluster, what is named explicitly is used all the same.
    if "KUBERNETES_SERVICE_HOST" in environment:
        assert k8s_connection.simple_connection({"kubeconfig": str(file)}, environment, keep) is not None


def test_option_that_is_empty_is_not_given() -> None:
    """Where kubernetes.core takes it for a value and fails: a variable without a value is ordinary."""
    assert k8s_connection.given_options(
        {"host": "", "context": None, "api_key": "hunter2"}, {"K8S_AUTH_CONTEXT": ""}
    ) == {"api_key": "hunter2"}


def test_file_of_a_certificate_is_private(keep: Callable[[bytes], str]) -> None:
    before = os.umask(0)
    try:
        file = keep(b"hunter2")
    finally:
        os.umask(before)
    assert (Path(file).read_bytes(), Path(file).stat().st_mode & 0o777) == (b"hunter2", 0o600)


def test_connection_of_a_plain_kubeconfig_loads_no_client_library(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config()))
    program = (
        "import sys, types\n"
        f"from {client.__name__} import Kubernetes\n"
        f"module = types.SimpleNamespace(params={{'kubeconfig': {str(file)!r}}}, tmpdir={str(tmp_path)!r})\n"
        "Kubernetes.from_module(module)\n"
        "print([name for name in ('kubernetes', 'requests') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


# --- the contract with kubernetes.core --------------------------------------------------------------------


def test_private_functions_of_kubernetes_core_are_as_we_call_them() -> None:
    """It has broken them before; 6.0 to 7 are allowed in galaxy.yml."""

    def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
        return list(inspect.signature(function).parameters.values())

    for function in (kubernetes_core._create_auth_spec, kubernetes_core._create_headers):
        first, *others = parameters(function)
        assert first.name == "module"
        assert all(other.kind is inspect.Parameter.VAR_KEYWORD for other in others)
    (auth,) = parameters(kubernetes_core._create_configuration)
    assert auth.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD

    module = SimpleNamespace(params={"host": "https://a", "api_key": "b", "impersonate_groups": ["c"]})
    spec = kubernetes_core._create_auth_spec(module)
    assert {"host": "https://a", "api_key": "b"}.items() <= spec.items()
    configuration = kubernetes_core._create_configuration(spec)
    assert configuration.host == "https://a"
    used = ("verify_ssl", "ssl_ca_cert", "cert_file", "key_file", "proxy", "username", "password")
    assert [name for name in used if not hasattr(configuration, name)] == []
    (setting,) = configuration.auth_settings().values()
    assert (setting["key"], setting["value"]) == ("authorization", "Bearer b")
    assert kubernetes_core._create_headers(module) == {"Impersonate-Group": ["c"]}


def test_argument_spec_is_that_of_kubernetes_core() -> None:
    """But for a kubeconfig, which is hidden whatever its release says."""
    expected = {**args_common.AUTH_ARG_SPEC, "kubeconfig": {"type": "raw", "no_log": True}}
    spec = k8s_connection.auth_argument_spec()
    assert spec == expected
    for secret in ("api_key", "password", "kubeconfig"):
        assert spec[secret]["no_log"] is True
    spec["host"]["type"] = "changed"
    assert k8s_connection.auth_argument_spec() == expected
