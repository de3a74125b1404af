# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of _kubernetes: requests as a server on this machine sees them, and connections."""

from __future__ import annotations

import base64
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from ansible_collections.kubernetes.core.plugins.module_utils import args_common
from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client as kubernetes_core
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.k8s import client, objects
from ansible_collections.nested.clusters.plugins.module_utils.k8s import connection as k8s_connection
from ansible_collections.nested.clusters.plugins.module_utils.k8s import errors as api_errors
from kubernetes.client import Configuration
from kubernetes.config import kube_config

SECRETS = objects.path("v1", "secrets", "demo")


class ApiServer:
    """Answers on 127.0.0.1: ``answer`` gets what came, and returns (status, body)."""

    def __init__(self) -> None:
        self.seen: list[SimpleNamespace] = []
        self.answer: Callable[[SimpleNamespace], tuple[int, Any]] = lambda request: (200, {})
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Without it, the second write of an answer waits for the acknowledgement of the first.
            wbufsize = -1
            disable_nagle_algorithm = True

            def handle_one(self) -> None:
                url = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                request = SimpleNamespace(
                    method=self.command,
                    path=url.path,
                    query={name: value for name, (value,) in parse_qs(url.query).items()},
                    headers=self.headers,
                    body=self.rfile.read(length).decode(),
                )
                server.seen.append(request)
                status, body = server.answer(request)
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_one

            def log_message(self, format: str, *args: Any) -> None:
                """Be quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answers(self, *answers: tuple[int, Any]) -> None:
        """Answer one after the other."""
        rest = iter(answers)
        self.answer = lambda request: next(rest)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    result = ApiServer()
    yield result
    result.close()


@pytest.fixture(autouse=True)
def connection_of_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Python client keeps the last configuration as everyone's default, and looks into the home directory."""
    monkeypatch.setattr(Configuration, "_default", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


def connect(**options: Any) -> client.Kubernetes:
    return client.Kubernetes.from_module(SimpleNamespace(params=options, tmpdir=None))


@pytest.fixture
def api(server: ApiServer) -> client.Kubernetes:
    return connect(host=server.url, api_key="hunter2")


def status(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "reason": reason, "message": message, "code": code}


def names(things: list[dict[str, Any]]) -> list[str]:
    return [thing["metadata"]["name"] for thing in things]


def page(*items: str, token: str = "") -> tuple[int, dict[str, Any]]:
    return 200, {"metadata": {"continue": token}, "items": [{"metadata": {"name": name}} for name in items]}


GONE = status(410, "Expired", "The provided continue parameter is too old")
NOT_FOUND = status(404, "NotFound", 'secrets "x" not found')
FORBIDDEN = status(
    403, "Forbidden", 'secrets is forbidden: User "bob" cannot list resource "secrets" in API group "" in "demo"'
)

# --- paths ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("v1", "namespaces"), "/api/v1/namespaces"),
        (("v1", "namespaces", None, "demo"), "/api/v1/namespaces/demo"),
        (("v1", "secrets", "demo"), "/api/v1/namespaces/demo/secrets"),
        (("apps/v1", "statefulsets", "demo", "db"), "/apis/apps/v1/namespaces/demo/statefulsets/db"),
        (
            ("rbac.authorization.k8s.io/v1", "clusterroles", None, "system:node/x"),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode%2Fx",
        ),
        (("v1", "secrets", "../kube-system", "a?b"), "/api/v1/namespaces/..%2Fkube-system/secrets/a%3Fb"),
    ],
)
def test_path(arguments: tuple[str, ...], expected: str) -> None:
    assert objects.path(*arguments) == expected


# --- reading ----------------------------------------------------------------------------------------------


def test_a_list_is_read_in_pages(server: ApiServer, api: client.Kubernetes) -> None:
    server.answers(page("a", "b", token="1&x"), page("c", token="2"), page("d"))
    assert names(api.list(SECRETS, labels="!a", fields="type=x")) == ["a", "b", "c", "d"]
    assert [request.query.get("continue") for request in server.seen] == [None, "1&x", "2"]
    wanted = {"limit": str(client.PAGE), "labelSelector": "!a", "fieldSelector": "type=x"}
    assert all(wanted.items() <= request.query.items() for request in server.seen)
    assert {request.path for request in server.seen} == {SECRETS}
    assert api.requests == 3


def test_a_list_that_expired_starts_over(server: ApiServer, api: client.Kubernetes) -> None:
    server.answers(page("a", token="1"), GONE, page("b", token="2"), page("c"))
    assert names(api.list(SECRETS)) == ["b", "c"]
    assert [request.query.get("continue") for request in server.seen] == [None, "1", None, "2"]


def test_a_list_that_expires_without_a_page_fails(server: ApiServer, api: client.Kubernetes) -> None:
    server.answers(GONE)
    with pytest.raises(api_errors.KubernetesError) as caught:
        api.list(SECRETS)
    assert caught.value.status == 410


def test_selectors_that_are_not_given_are_not_sent(server: ApiServer, api: client.Kubernetes) -> None:
    api.list(SECRETS)
    assert server.seen[0].query == {"limit": str(client.PAGE)}


@pytest.mark.parametrize("body", [{}, {"items": None}, {"items": [], "metadata": None}])
def test_a_list_without_items(body: Any, server: ApiServer, api: client.Kubernetes) -> None:
    server.answers((200, body))
    assert api.list(SECRETS) == []


def test_what_is_not_there(server: ApiServer, api: client.Kubernetes) -> None:
    server.answers(NOT_FOUND, NOT_FOUND, NOT_FOUND)
    assert api.get(f"{SECRETS}/x") is None
    assert api.list(SECRETS) == []
    assert api.delete(f"{SECRETS}/x") is False
    assert [request.method for request in server.seen] == ["GET", "GET", "DELETE"]


def test_metadata_alone(server: ApiServer, api: client.Kubernetes) -> None:
    """With whole objects as the second choice, which aggregated APIs may need."""
    api.list(SECRETS, metadata_only=True)
    api.list(SECRETS)
    first, *others = server.seen[0].headers["Accept"].split(",")
    assert first == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    assert others == ["application/json"]
    assert server.seen[1].headers["Accept"] == "application/json"


def test_text(server: ApiServer, api: client.Kubernetes) -> None:
    server.answers((200, b"gr\xc3\xbc\xc3\x9fe \xff\n"))
    assert api.text("/api/v1/namespaces/demo/pods/a/log", container="syncer", previous=None) == "grüße \ufffd\n"
    assert server.seen[0].query == {"container": "syncer"}


# --- writing ----------------------------------------------------------------------------------------------


def test_writing(server: ApiServer, api: client.Kubernetes) -> None:
    body = {"metadata": {"name": "ü", "labels": {"a": None}}}
    server.answer = lambda request: (200, {"came": request.body})
    assert json.loads(api.create(SECRETS, body)["came"]) == body
    assert json.loads(api.patch(f"{SECRETS}/x", body)["came"]) == body
    assert api.delete(f"{SECRETS}/x") is True
    assert [(request.method, request.path, request.headers["Content-Type"]) for request in server.seen] == [
        ("POST", SECRETS, "application/json"),
        ("PATCH", f"{SECRETS}/x", "application/merge-patch+json"),
        ("DELETE", f"{SECRETS}/x", "application/json"),
    ]
    assert json.loads(server.seen[2].body) == {"propagationPolicy": "Background"}


def test_what_is_being_deleted_already(server: ApiServer, api: client.Kubernetes) -> None:
    server.answers(status(409, "Conflict", "The system is ensuring all content is removed"))
    assert api.delete("/api/v1/namespaces/demo") is False


# --- refusals ---------------------------------------------------------------------------------------------


def refused(server: ApiServer, call: Callable[[], Any], *answers: tuple[int, Any]) -> api_errors.KubernetesError:
    server.answers(*answers)
    with pytest.raises(api_errors.KubernetesError) as caught:
        call()
    return caught.value


def test_no_permission(server: ApiServer, api: client.Kubernetes) -> None:
    error = refused(server, lambda: api.list(SECRETS), FORBIDDEN)
    assert (error.status, error.reason) == (403, "Forbidden")
    assert error.data == {"status": 403, "reason": "Forbidden"}
    words = ["no permission", server.url, '"bob"', "list", '"secrets"', "role"]
    assert [word for word in words if word not in str(error)] == []


def test_a_refusal_that_is_no_lack_of_permission(server: ApiServer, api: client.Kubernetes) -> None:
    quota = status(403, "Forbidden", 'pods "a" is forbidden: exceeded quota: small')
    error = refused(server, lambda: api.create(SECRETS, {}), quota)
    assert "exceeded quota: small" in str(error)
    assert "permission" not in str(error)
    assert f"POST {SECRETS}" in str(error)


def test_a_namespace_that_is_being_deleted(server: ApiServer, api: client.Kubernetes) -> None:
    text = 'secrets "a" is forbidden: unable to create new content in namespace demo because it is being terminated'
    error = refused(server, lambda: api.create(SECRETS, {}), status(403, "Forbidden", text))
    assert str(error).endswith("run again, which waits until it is gone")


def test_what_somebody_deleted_meanwhile(server: ApiServer, api: client.Kubernetes) -> None:
    gone = status(404, "NotFound", 'statefulsets.apps "a" not found')
    error = refused(server, lambda: api.patch(f"{SECRETS}/a", {}), gone)
    assert str(error).endswith('"a" not found; somebody deleted it meanwhile: run again')
    error = refused(server, lambda: api.create(SECRETS, {}), (404, b"404 page not found"))  # no such API
    assert "meanwhile" not in str(error)


def test_credentials_that_are_not_known(server: ApiServer, api: client.Kubernetes) -> None:
    error = refused(server, lambda: api.get(SECRETS), status(401, "Unauthorized", "Unauthorized"))
    assert error.status == 401
    assert "credentials" in str(error)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((500, b"<html>oh no</html>"), ["500", "oh no", "GET"]),
        ((500, b'"text"'), ["500", "text"]),
        ((502, b""), ["502", "GET"]),
        (status(422, "Invalid", "spec.replicas: Invalid value"), ["422", "spec.replicas"]),
    ],
)
def test_other_refusals(answer: Any, words: list[str], server: ApiServer, api: client.Kubernetes) -> None:
    error = refused(server, lambda: api.get(SECRETS), answer)
    assert error.status == answer[0]
    assert [word for word in [*words, server.url] if word not in str(error)] == []


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b""])
def test_a_server_that_is_no_api_server(body: bytes, server: ApiServer, api: client.Kubernetes) -> None:
    for call in (api.get, api.list, lambda where: api.create(where, {}), lambda where: api.patch(where, {})):
        server.answers((200, body))
        with pytest.raises(api_errors.KubernetesError, match="not as a Kubernetes API server"):
            call(SECRETS)


def closed_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_is_not_there(scheme: str) -> None:
    host = f"{scheme}://{closed_port()}"
    with pytest.raises(api_errors.Unreachable) as caught:
        connect(host=host, api_key="hunter2").get(SECRETS)
    assert f"host cluster {host} does not answer" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "connection options" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "object at 0x" not in str(caught.value)


def test_a_server_that_speaks_no_tls(server: ApiServer) -> None:
    with pytest.raises(api_errors.Unreachable, match="does not answer"):
        connect(host=server.url.replace("http:", "https:"), api_key="x").get(SECRETS)


def test_a_certificate_that_is_not_there(server: ApiServer) -> None:
    with pytest.raises(NestedClustersError, match="nowhere"):
        connect(host=server.url.replace("http:", "https:"), api_key="x", ca_cert="/nowhere/ca").get(SECRETS)


@pytest.mark.parametrize(
    ("status", "passing"),
    [(0, True), (429, True), (500, True), (503, True), (400, False), (403, False), (404, False), (409, False)],
)
def test_what_may_pass_by_waiting(status: int, passing: bool) -> None:
    assert api_errors.KubernetesError("x", status).passing is passing
    assert api_errors.Unreachable("x").passing is True


def test_a_redirect_is_not_followed(server: ApiServer, api: client.Kubernetes) -> None:
    """It would carry the credentials along."""
    seen = server.seen
    server.answer = lambda request: (302, b"")
    with pytest.raises(api_errors.KubernetesError):
        api.get(SECRETS)
    assert len(seen) == 1


# --- asking for much at once ------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_questions() -> None:
    def later(number: int) -> Callable[[], int]:
        return lambda: time.sleep((5 - number) / 500) or number  # type: ignore[func-returns-value]

    assert client.parallel([later(number) for number in range(5)]) == [0, 1, 2, 3, 4]
    assert client.parallel(later(number) for number in range(1)) == [0]
    assert client.parallel([]) == []


def test_questions_are_asked_at_once() -> None:
    meeting = threading.Barrier(k8s_connection.WORKERS, timeout=5)
    assert len(client.parallel([meeting.wait] * k8s_connection.WORKERS)) == k8s_connection.WORKERS


@pytest.mark.parametrize("count", [1, 3])
def test_the_first_error_is_raised(count: int) -> None:
    def fail(number: int) -> None:
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"^0$"):
        client.parallel([partial(fail, number) for number in range(count)])


def test_every_request_is_counted(server: ApiServer, api: client.Kubernetes) -> None:
    client.parallel([lambda: api.get(SECRETS)] * 40)
    server.answers(NOT_FOUND)
    api.get(SECRETS)
    assert api.requests == len(server.seen) == 41


# --- what is served ---------------------------------------------------------------------------------------


def resource(name: str, kind: str, namespaced: bool = True, verbs: str = "list delete") -> dict[str, Any]:
    return {"name": name, "kind": kind, "namespaced": namespaced, "verbs": verbs.split()}


DISCOVERY: dict[str, Any] = {
    "/apis": {
        "groups": [
            {
                "name": "example.com",
                "preferredVersion": {"groupVersion": "example.com/v1"},
                "versions": [{"groupVersion": "example.com/v1"}, {"groupVersion": "example.com/v1alpha1"}],
            },
            {
                "name": "down.example.com",
                "preferredVersion": {"groupVersion": "down.example.com/v1"},
                "versions": [{"groupVersion": "down.example.com/v1"}],
            },
        ]
    },
    "/api/v1": {
        "resources": [
            resource("pods", "Pod"),
            resource("pods/log", "Pod"),
            resource("nodes", "Node", namespaced=False),
            resource("bindings", "Binding", verbs="create"),
        ]
    },
    "/apis/example.com/v1": {"resources": [resource("boxes", "Box"), resource("boxes/status", "Box")]},
    "/apis/example.com/v1alpha1": {"resources": [resource("boxes", "Box"), resource("jars", "Jar")]},
}


def discovery(request: SimpleNamespace) -> tuple[int, Any]:
    if request.path == "/apis/down.example.com/v1":
        return 503, b"service unavailable"
    return (200, DISCOVERY[request.path]) if request.path in DISCOVERY else NOT_FOUND


def test_everything_that_lives_in_a_namespace(server: ApiServer, api: client.Kubernetes) -> None:
    """Each once, also what is served in a version alone that is not the preferred one, or not at all just now."""
    server.answer = discovery
    assert sorted(kind for kind, namespaced in api.all_resources() if namespaced) == [
        ("down.example.com/v1", objects.UNKNOWN_KIND),
        ("example.com/v1", "boxes"),
        ("example.com/v1alpha1", "jars"),
        ("v1", "pods"),
    ]


def test_known_kinds_cost_no_request(server: ApiServer, api: client.Kubernetes) -> None:
    for (api_version, kind), plural in objects.PLURALS.items():
        scoped = kind in ("Namespace", "ClusterRole", "ClusterRoleBinding")
        assert api.resource(api_version, kind) == (plural, not scoped)
        assert api.namespaced(api_version, kind) is not scoped
    assert server.seen == []


def test_other_kinds_are_asked_for_once(server: ApiServer, api: client.Kubernetes) -> None:
    server.answer = discovery
    assert api.resource("example.com/v1", "Box") == ("boxes", True)
    assert api.resource("example.com/v1", "Box") == ("boxes", True)
    assert api.resource("v1", "Node") == ("nodes", False)
    assert api.namespaced("v1", "Node") is False
    assert [request.path for request in server.seen] == ["/apis/example.com/v1", "/api/v1"]


def test_a_kind_that_is_not_served(server: ApiServer, api: client.Kubernetes) -> None:
    server.answer = discovery
    with pytest.raises(api_errors.KubernetesError, match=r"does not serve Box of nowhere\.com/v1") as caught:
        api.resource("nowhere.com/v1", "Box")
    assert caught.value.status == 404
    assert api.namespaced("nowhere.com/v1", "Box") is True


# --- who asks ---------------------------------------------------------------------------------------------


def test_credentials_and_impersonation_are_sent(server: ApiServer) -> None:
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


def test_impersonation_from_the_environment(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_a_kubeconfig_that_acts_as_somebody_else(
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
def test_options_win_over_the_impersonation_of_a_kubeconfig(
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


def test_another_token_still_acts_as_somebody_else(server: ApiServer) -> None:
    connect(kubeconfig=limited(server, {"token": "x"}), api_key="hunter2").get(SECRETS)
    assert server.seen[0].headers["Authorization"] == "Bearer hunter2"
    assert acts_as(server.seen[0]) == LIMITED_HEADERS


def test_where_the_kubeconfig_does_not_count_its_impersonation_does_not(server: ApiServer) -> None:
    """A host with a credential is all that kubernetes.core looks at."""
    given = limited(server, {"token": "x"})
    for options in ({"api_key": "hunter2"}, {"username": "bob", "password": "hunter2"}):
        connect(kubeconfig=given, host=server.url, **options).get(SECRETS)
        assert acts_as(server.seen.pop()) == {}


def test_nobody_to_act_as(server: ApiServer) -> None:
    nobody: dict[str, Any] = {"as": "", "as-uid": None, "as-groups": [], "as-user-extra": {"a": []}}
    api = connect(kubeconfig=config({"server": server.url}, {"token": "x", **nobody, "as-user-extra": {}}))
    api.get(SECRETS)
    assert acts_as(server.seen[0]) == {}
    assert parts(api)[1] == {"token": "x"}


@pytest.mark.parametrize("user", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"as": ""}, "without a user"),
        ({"as": None, "as-groups": None, "as-uid": None}, "without a user"),
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
def test_an_impersonation_that_kubectl_refuses(
    more: dict[str, Any], words: str, user: dict[str, Any], server: ApiServer
) -> None:
    """What cannot be done as somebody else is not done as oneself."""
    with pytest.raises(NestedClustersError, match=words):
        connect(kubeconfig=limited(server, user, **more))
    assert server.seen == []


def test_groups_without_a_user_are_refused(server: ApiServer) -> None:
    """helm would not be told of them, and act as oneself."""
    with pytest.raises(NestedClustersError, match="impersonate_groups without impersonate_user"):
        connect(host=server.url, api_key="hunter2", impersonate_groups=["one"])


# --- the connection as a kubeconfig, for helm -------------------------------------------------------------


def parts(api: client.Kubernetes) -> tuple[dict[str, Any], dict[str, Any]]:
    """(cluster, user) of the kubeconfig, which must hang together."""
    config = api.kubeconfig()
    (cluster,), (user,), (context,) = config["clusters"], config["users"], config["contexts"]
    assert context["name"] == config["current-context"]
    assert context["context"] == {"cluster": cluster["name"], "user": user["name"]}
    return cluster["cluster"], user["user"]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_kubeconfig_with_a_token() -> None:
    cluster, user = parts(connect(host="https://127.0.0.1:6443", api_key="hunter2"))
    assert cluster == {"server": "https://127.0.0.1:6443"}
    assert user == {"token": "hunter2"}


def test_kubeconfig_without_verification() -> None:
    cluster, _user = parts(connect(host="https://127.0.0.1:6443", api_key="x", validate_certs=False))
    assert cluster == {"server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": True}


# Files are handed on as they are; only a connection would read them.
CERTIFICATE, KEY = "a certificate\n", "a key\n"


def test_kubeconfig_with_certificates(tmp_path: Path) -> None:
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


def test_kubeconfig_with_impersonation_and_a_proxy() -> None:
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
def test_a_kubeconfig_comes_out_as_it_went_in(user: dict[str, str], as_file: bool, tmp_path: Path) -> None:
    given = kubeconfig(user)
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(given))
    cluster, found = parts(connect(kubeconfig=str(file) if as_file else given))
    assert found == user
    assert cluster == given["clusters"][0]["cluster"]


# --- both ways to a connection ----------------------------------------------------------------------------

SERVER = "https://127.0.0.1:6443"
ENTRY = {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)}
Files = dict[str, Path]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Certificates beside a kubeconfig, which names them relative to itself or not at all."""
    found = {name: tmp_path / f"{name}.pem" for name in ("ca", "certificate", "key", "other")}
    for name, file in found.items():
        file.write_text(f"content of {name}\n")
    return found


def config(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> dict[str, Any]:
    """Two clusters, of which ``a`` is the current one."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "clusters": [
            {"name": "a", "cluster": {"server": f"{SERVER}/", **(cluster or {})}},
            {"name": "b", "cluster": {"server": "https://b.example.com"}},
        ],
        "users": [
            {"name": "a", "user": {"token": "hunter2"} if user is None else user},
            {"name": "b", "user": {"token": "hunter3"}},
        ],
        "contexts": [
            {"name": "a", "context": {"cluster": "a", "user": "a", "namespace": "demo"}},
            {"name": "b", "context": {"cluster": "b", "user": "b"}},
        ],
        "current-context": "a",
    }


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
def test_what_is_read_here_is_what_kubernetes_core_reads(
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
def test_options_win_over_the_kubeconfig_as_in_kubernetes_core(
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
def test_what_is_more_is_left_to_the_library(
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


def test_the_library_takes_the_environment_of_the_task(tmp_path: Path) -> None:
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
def test_what_the_environment_makes_more(
    environment: dict[str, str], keep: Callable[[bytes], str], tmp_path: Path
) -> None:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config()))
    environment = {name: value.replace("FILE", str(file)) for name, value in environment.items()}
    assert k8s_connection.simple_connection({}, environment, keep) is None
    # Inside of a cluster, what is named explicitly is used all the same.
    if "KUBERNETES_SERVICE_HOST" in environment:
        assert k8s_connection.simple_connection({"kubeconfig": str(file)}, environment, keep) is not None


def test_what_is_empty_is_not_given() -> None:
    """Where kubernetes.core takes it for a value and fails: a variable without a value is ordinary."""
    assert k8s_connection.given_options(
        {"host": "", "context": None, "api_key": "hunter2"}, {"K8S_AUTH_CONTEXT": ""}
    ) == {"api_key": "hunter2"}


def test_kept_files_are_private(keep: Callable[[bytes], str]) -> None:
    before = os.umask(0)
    try:
        file = keep(b"hunter2")
    finally:
        os.umask(before)
    assert (Path(file).read_bytes(), Path(file).stat().st_mode & 0o777) == (b"hunter2", 0o600)


def test_a_plain_kubeconfig_costs_no_client_library(tmp_path: Path) -> None:
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
def test_a_kubeconfig_that_cannot_be_used(text: str, context: str | None, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    with pytest.raises(NestedClustersError) as caught:
        connect(kubeconfig=str(file), context=context)
    message = str(caught.value)
    assert message.startswith(f"kubeconfig: {file} is not usable: ")
    assert (context or "current context") in message
    assert "hunter2" not in message
    assert "\n" not in message


def test_a_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    for name in (tmp_path / "none", tmp_path):
        with pytest.raises(NestedClustersError, match=rf"^kubeconfig: {name} is not usable"):
            connect(kubeconfig=str(name))


def test_no_connection_is_named() -> None:
    with pytest.raises(NestedClustersError, match=r"^kubeconfig: the default kubeconfig is not usable"):
        connect()


def test_a_kubeconfig_as_a_dictionary_is_not_shown() -> None:
    with pytest.raises(NestedClustersError, match="a dictionary") as caught:
        connect(kubeconfig={"users": [{"token": "hunter2"}]})
    assert "hunter2" not in str(caught.value)


def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(k8s_connection, "IMPORT_ERROR", "Traceback: No module named 'kubernetes'")
    with pytest.raises(NestedClustersError, match="kubernetes") as caught:
        connect(host="https://127.0.0.1:6443", api_key="x")
    assert "Traceback" in caught.value.data["exception"]


# --- the contract with kubernetes.core --------------------------------------------------------------------


def test_the_private_functions_of_kubernetes_core_are_as_we_call_them() -> None:
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


def test_the_connection_options_are_those_of_kubernetes_core() -> None:
    """But for a kubeconfig, which is hidden whatever its release says."""
    expected = {**args_common.AUTH_ARG_SPEC, "kubeconfig": {"type": "raw", "no_log": True}}
    spec = k8s_connection.auth_argument_spec()
    assert spec == expected
    for secret in ("api_key", "password", "kubeconfig"):
        assert spec[secret]["no_log"] is True
    spec["host"]["type"] = "changed"
    assert k8s_connection.auth_argument_spec() == expected
