# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of kubeconfigs: as helm gets one, and those that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.k8s import connection as k8s_connection
from scripted_api import CERTIFICATE, KEY, connect, encoded, parts

pytestmark = pytest.mark.usefixtures("connection_of_nobody")


# --- the connection as a kubeconfig, for helm -------------------------------------------------------------


def test_kubeconfig_for_helm_has_the_token() -> None:
    cluster, user = parts(connect(host="https://127.0.0.1:6443", api_key="hunter2"))
    assert cluster == {"server": "https://127.0.0.1:6443"}
    assert user == {"token": "hunter2"}


def test_kubeconfig_for_helm_skips_verification_as_the_connection_does() -> None:
    cluster, _user = parts(connect(host="https://127.0.0.1:6443", api_key="x", validate_certs=False))
    assert cluster == {"server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": True}


def test_kubeconfig_for_helm_has_the_certificates(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    certificate.write_text(CERTIFICATE)
    key.write_text(KEY)
    cluster, user = parts(
        connect(
            host="https://127.0.0.1:6443",
            ca_cert=str(certificate),
            client_cert=str(certificate),
            client_key=str(key),
        )
    )
    assert cluster["certificate-authority-data"] == encoded(CERTIFICATE)
    assert user == {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)}


def test_kubeconfig_for_helm_has_impersonation_and_proxy() -> None:
    api = connect(
        host="https://127.0.0.1:6443",
        api_key="hunter2",
        proxy="http://proxy:3128",
        impersonate_user="bob",
        impersonate_groups=["one", "two"],
    )
    cluster, user = parts(api)
    assert cluster["proxy-url"] == "http://proxy:3128"
    assert user == {"token": "hunter2", "as": "bob", "as-groups": ["one", "two"]}


def kubeconfig(user: dict[str, str]) -> dict[str, Any]:
    cluster = {
        "server": "https://127.0.0.1:6443",
        "certificate-authority-data": encoded(CERTIFICATE),
        "tls-server-name": "kubernetes",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": cluster}],
        "users": [{"name": "a", "user": user}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }


@pytest.mark.parametrize("as_file", [True, False])
@pytest.mark.parametrize(
    "user",
    [
        {"token": "hunter2"},
        {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)},
    ],
    ids=["token", "certificate"],
)
def test_kubeconfig_for_helm_is_that_of_the_task(user: dict[str, str], as_file: bool, tmp_path: Path) -> None:
    given = kubeconfig(user)
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(given))
    cluster, found = parts(connect(kubeconfig=str(file) if as_file else given))
    assert found == user
    assert cluster == given["clusters"][0]["cluster"]


# --- kubeconfigs that cannot be used ----------------------------------------------------------------------


GOOD = yaml.safe_dump(
    {
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:6443"}}],
        "users": [{"name": "a", "user": {"token": "hunter2"}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
)


@pytest.mark.parametrize(
    ("text", "context"),
    [
        pytest.param("", None, id="empty"),
        pytest.param("hunter2", None, id="text"),
        pytest.param("- hunter2", None, id="a list"),
        pytest.param("users:\n- user: {token: 'hunter2' x: [\n", None, id="not YAML"),
        pytest.param("users:\n- user:\n    token: hunter2: x\n", None, id="not YAML either"),
        pytest.param("\x00hunter2", None, id="binary"),
        pytest.param("current-context: a\n", None, id="without contexts"),
        pytest.param(GOOD.replace("current-context: a", ""), None, id="no current context"),
        pytest.param(GOOD.replace("cluster: a", "cluster: b"), None, id="no such cluster"),
        pytest.param(GOOD, "other", id="no such context"),
        pytest.param(GOOD.replace("user:\n    token", "token"), None, id="a token that is not below user"),
    ],
)
def test_kubeconfig_that_cannot_be_used_shows_no_secret(text: str, context: str | None, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    with pytest.raises(NestedClustersError) as caught:
        connect(kubeconfig=str(file), context=context)
    message = str(caught.value)
    assert message.startswith(f"kubeconfig: {file} is not usable: ")
    assert (context or "current context") in message
    assert "hunter2" not in message
    assert "\n" not in message


def test_kubeconfig_that_does_not_exist_is_named(tmp_path: Path) -> None:
    for name in (tmp_path / "none", tmp_path):
        with pytest.raises(NestedClustersError, match=rf"^kubeconfig: {name} is not usable"):
            connect(kubeconfig=str(name))


def test_kubeconfig_that_is_not_given_is_the_default() -> None:
    with pytest.raises(NestedClustersError, match=r"^kubeconfig: the default kubeconfig is not usable"):
        connect()


def test_kubeconfig_as_a_dictionary_is_not_shown() -> None:
    with pytest.raises(NestedClustersError, match="a dictionary") as caught:
        connect(kubeconfig={"users": [{"token": "hunter2"}]})
    assert "hunter2" not in str(caught.value)


def test_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k8s_connection, "IMPORT_ERROR", "Traceback: No module named 'kubernetes'")
    with pytest.raises(NestedClustersError, match="kubernetes") as caught:
        connect(host="https://127.0.0.1:6443", api_key="x")
    assert "Traceback" in caught.value.data["exception"]
