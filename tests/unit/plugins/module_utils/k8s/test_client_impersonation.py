# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of whom a connection acts as."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.k8s import errors as api_errors
from ansible_collections.nested.clusters.plugins.module_utils.k8s import objects
from scripted_api import ApiServer, config, connect, parts

pytestmark = pytest.mark.usefixtures("connection_of_nobody")
SECRETS = objects.path("v1", "secrets", "demo")


def test_credentials_and_impersonation_are_sent_as_headers(server: ApiServer) -> None:
    api = connect(
        host=f"{server.url}/",
        api_key="hunter2",
        impersonate_user="system:serviceaccount:a:b",
        impersonate_groups=["one", "two", "three"],
    )
    api.get(SECRETS)
    headers = server.seen[0].headers
    assert headers.get_all("Authorization") == ["Bearer hunter2"]
    assert headers["Impersonate-User"] == "system:serviceaccount:a:b"
    groups = [group.strip() for line in headers.get_all("Impersonate-Group") for group in line.split(",")]
    assert groups == ["one", "two", "three"]
    # One line a group: the API server does not split them at commas.
    assert len(headers.get_all("Impersonate-Group")) == 3
    assert headers["User-Agent"] == "nested.clusters"
    assert server.seen[0].path == SECRETS


def test_impersonation_in_the_environment_is_sent(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K8S_AUTH_HOST", server.url)
    monkeypatch.setenv("K8S_AUTH_API_KEY", "hunter2")
    monkeypatch.setenv("K8S_AUTH_IMPERSONATE_USER", "bob")
    monkeypatch.setenv("K8S_AUTH_IMPERSONATE_GROUPS", "one,two")
    connect().get(SECRETS)
    assert server.seen[0].headers["Impersonate-User"] == "bob"
    assert server.seen[0].headers.get_all("Impersonate-Group") == ["one", "two"]


LIMITED = {
    "as": "jos\u00e9 \u5317",
    "as-uid": "0815",
    "as-groups": ["one", "two, three"],
    "as-user-extra": {"acme.com/project": ["a", "b"], "Scopes%\u00fc": ["c"]},
}
# As client-go makes them of it.
LIMITED_HEADERS = {
    "Impersonate-User": ["jos\u00e9 \u5317"],
    "Impersonate-Uid": ["0815"],
    "Impersonate-Group": ["one", "two, three"],
    "Impersonate-Extra-acme.com%2Fproject": ["a", "b"],
    "Impersonate-Extra-Scopes%25%C3%BC": ["c"],
}


def acts_as(request: SimpleNamespace) -> dict[str, list[str]]:
    """The headers by which somebody else is acted as; one line for each value, in UTF-8."""
    found: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        if name.lower().startswith("impersonate-"):
            found.setdefault(name, []).append(value.encode("latin-1").decode())
    return found


def limited(server: ApiServer, user: dict[str, Any], **more: Any) -> dict[str, Any]:
    return config({"server": server.url}, {**user, **LIMITED, **more})


# With the last one, what the library alone understands.
WAYS = {"as we read it": {"token": "hunter2"}, "by the library": {"username": "admin", "password": "hunter2"}}


@pytest.mark.parametrize("user", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("how", ["file", "dictionary", "KUBECONFIG", "two files", "home", "context"])
def test_impersonation_in_a_kubeconfig_is_sent(
    how: str, user: dict[str, Any], server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = limited(server, user)
    file = tmp_path / ".kube" / "config"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(given, allow_unicode=True))
    other = tmp_path / "other"  # as in kubectl, the first file that has a name counts
    other.write_text(yaml.safe_dump({**config({"server": server.url}, {"token": "x", "as": "other"})}))
    ways: dict[str, dict[str, Any]] = {
        "file": {"kubeconfig": str(file)},
        "dictionary": {"kubeconfig": given},
        "context": {"kubeconfig": {**given, "current-context": "b"}, "context": "a"},
    }
    if how in ("KUBECONFIG", "two files"):
        monkeypatch.setenv("KUBECONFIG", f"{file}:{other}" if how == "two files" else str(file))
    api = connect(**ways.get(how, {}))
    api.get(SECRETS)
    api.create(SECRETS, {})
    with pytest.raises(api_errors.KubernetesError, match="portforward"):
        api._forward("/api/v1/namespaces/demo/pods/a", 8443)
    assert [acts_as(request) for request in server.seen] == [LIMITED_HEADERS] * 3
    assert {key: value for key, value in parts(api)[1].items() if key.startswith("as")} == LIMITED


@pytest.mark.parametrize("user", WAYS.values(), ids=WAYS)
def test_impersonation_by_options_replaces_that_of_a_kubeconfig(
    user: dict[str, Any], server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As --as and --as-group do with kubectl: each replaces what it is for, and nothing else."""
    given = limited(server, user)
    for options, changed in (
        ({"impersonate_user": "bob"}, {"Impersonate-User": ["bob"]}),
        ({"impersonate_groups": ["four"]}, {"Impersonate-Group": ["four"]}),
        ({"impersonate_user": "", "impersonate_groups": []}, {}),
    ):
        connect(kubeconfig=given, **options).get(SECRETS)
        assert acts_as(server.seen.pop()) == {**LIMITED_HEADERS, **changed}
    monkeypatch.setenv("K8S_AUTH_IMPERSONATE_USER", "eve")
    connect(kubeconfig=given).get(SECRETS)
    assert acts_as(server.seen.pop()) == {**LIMITED_HEADERS, "Impersonate-User": ["eve"]}


def test_impersonation_with_another_token_is_sent(server: ApiServer) -> None:
    connect(kubeconfig=limited(server, {"token": "x"}), api_key="hunter2").get(SECRETS)
    assert server.seen[0].headers["Authorization"] == "Bearer hunter2"
    assert acts_as(server.seen[0]) == LIMITED_HEADERS


def test_impersonation_in_a_kubeconfig_that_does_not_count_is_not_sent(server: ApiServer) -> None:
    """A host with a credential is all that kubernetes.core looks at."""
    given = limited(server, {"token": "x"})
    for options in ({"api_key": "hunter2"}, {"username": "bob", "password": "hunter2"}):
        connect(kubeconfig=given, host=server.url, **options).get(SECRETS)
        assert acts_as(server.seen.pop()) == {}


def test_impersonation_of_nobody_is_not_sent(server: ApiServer) -> None:
    nobody: dict[str, Any] = {"as": "", "as-uid": None, "as-groups": [], "as-user-extra": {"a": []}}
    api = connect(kubeconfig=config({"server": server.url}, {"token": "x", **nobody, "as-user-extra": {}}))
    api.get(SECRETS)
    assert acts_as(server.seen[0]) == {}
    assert parts(api)[1] == {"token": "x"}


@pytest.mark.parametrize("user", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"as": ""}, "impersonation has no user"),
        ({"as": None, "as-groups": None, "as-uid": None}, "impersonation has no user"),
        ({"as": 4711}, "as of its user is not usable"),
        ({"as": ["bob"]}, "as of its user is not usable"),
        ({"as-uid": 4711}, "as-uid of its user is not usable"),
        ({"as-groups": "one"}, "as-groups of its user is not usable"),
        ({"as-groups": [1]}, "as-groups of its user is not usable"),
        ({"as-user-extra": ["one"]}, "as-user-extra of its user is not usable"),
        ({"as-user-extra": {"a": "b"}}, "as-user-extra of its user is not usable"),
        ({"as": "bob\r\nAuthorization: Bearer x"}, "control characters"),
    ],
)
def test_impersonation_that_kubectl_refuses_is_refused(
    more: dict[str, Any], words: str, user: dict[str, Any], server: ApiServer
) -> None:
    """What cannot be done as somebody else is not done as oneself."""
    with pytest.raises(NestedClustersError, match=words):
        connect(kubeconfig=limited(server, user, **more))
    assert server.seen == []


def test_impersonation_of_groups_without_a_user_is_refused(server: ApiServer) -> None:
    """helm would not be told of them, and act as oneself."""
    with pytest.raises(NestedClustersError, match="impersonate_groups without impersonate_user"):
        connect(host=server.url, api_key="hunter2", impersonate_groups=["one"])
