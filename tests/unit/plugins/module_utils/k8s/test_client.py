# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the client: requests as a server on this machine sees them."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.k8s import client, objects
from ansible_collections.nested.clusters.plugins.module_utils.k8s import connection as k8s_connection
from ansible_collections.nested.clusters.plugins.module_utils.k8s import errors as api_errors
from scripted_api import NOT_FOUND, ApiServer, connect, status

pytestmark = pytest.mark.usefixtures("connection_of_nobody")
SECRETS = objects.path("v1", "secrets", "demo")
GONE = status(410, "Expired", "The provided continue parameter is too old")
FORBIDDEN = status(
    403, "Forbidden", 'secrets is forbidden: User "bob" cannot list resource "secrets" in API group "" in "demo"'
)


def names(things: list[dict[str, Any]]) -> list[str]:
    return [thing["metadata"]["name"] for thing in things]


def page(*items: str, token: str = "") -> tuple[int, dict[str, Any]]:
    return 200, {"metadata": {"continue": token}, "items": [{"metadata": {"name": name}} for name in items]}

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
def test_path_quotes_names(arguments: tuple[str, ...], expected: str) -> None:
    assert objects.path(*arguments) == expected


# --- reading ----------------------------------------------------------------------------------------------


def test_list_with_pages_returns_all_of_them(server: ApiServer, api: client.Kubernetes) -> None:
    server.answers(page("a", "b", token="1&x"), page("c", token="2"), page("d"))
    assert names(api.list(SECRETS, labels="!a", fields="type=x")) == ["a", "b", "c", "d"]
    assert [request.query.get("continue") for request in server.seen] == [None, "1&x", "2"]
    wanted = {"limit": str(client.PAGE), "labelSelector": "!a", "fieldSelector": "type=x"}
    assert all(wanted.items() <= request.query.items() for request in server.seen)
    assert {request.path for request in server.seen} == {SECRETS}
    assert api.requests == 3


def test_list_that_expires_between_pages_starts_over(server: ApiServer, api: client.Kubernetes) -> None:
    server.answers(page("a", token="1"), GONE, page("b", token="2"), page("c"))
    assert names(api.list(SECRETS)) == ["b", "c"]
    assert [request.query.get("continue") for request in server.seen] == [None, "1", None, "2"]


def test_list_that_expires_at_its_first_page_fails(server: ApiServer, api: client.Kubernetes) -> None:
    server.answers(GONE)
    with pytest.raises(api_errors.KubernetesError) as caught:
        api.list(SECRETS)
    assert caught.value.status == 410


def test_list_without_selectors_sends_none(server: ApiServer, api: client.Kubernetes) -> None:
    api.list(SECRETS)
    assert server.seen[0].query == {"limit": str(client.PAGE)}


@pytest.mark.parametrize("body", [{}, {"items": None}, {"items": [], "metadata": None}])
def test_list_without_items_is_empty(body: Any, server: ApiServer, api: client.Kubernetes) -> None:
    server.answers((200, body))
    assert api.list(SECRETS) == []


def test_request_for_what_does_not_exist_is_no_error(server: ApiServer, api: client.Kubernetes) -> None:
    server.answers(NOT_FOUND, NOT_FOUND, NOT_FOUND)
    assert api.get(f"{SECRETS}/x") is None
    assert api.list(SECRETS) == []
    assert api.delete(f"{SECRETS}/x") is False
    assert [request.method for request in server.seen] == ["GET", "GET", "DELETE"]


def test_list_of_metadata_asks_for_whole_objects_as_second_choice(server: ApiServer, api: client.Kubernetes) -> None:
    """With whole objects as the second choice, which aggregated APIs may need."""
    api.list(SECRETS, metadata_only=True)
    api.list(SECRETS)
    first, *others = server.seen[0].headers["Accept"].split(",")
    assert first == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    assert others == ["application/json"]
    assert server.seen[1].headers["Accept"] == "application/json"


def test_text_is_decoded(server: ApiServer, api: client.Kubernetes) -> None:
    server.answers((200, b"gr\xc3\xbc\xc3\x9fe \xff\n"))
    assert api.text("/api/v1/namespaces/demo/pods/a/log", container="syncer", previous=None) == "grüße \ufffd\n"
    assert server.seen[0].query == {"container": "syncer"}


# --- writing ----------------------------------------------------------------------------------------------


def test_writes_send_their_body_and_its_type(server: ApiServer, api: client.Kubernetes) -> None:
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


def test_delete_of_what_is_being_deleted_is_false(server: ApiServer, api: client.Kubernetes) -> None:
    server.answers(status(409, "Conflict", "The system is ensuring all content is removed"))
    assert api.delete("/api/v1/namespaces/demo") is False


# --- refusals ---------------------------------------------------------------------------------------------


def refused(server: ApiServer, call: Callable[[], Any], *answers: tuple[int, Any]) -> api_errors.KubernetesError:
    server.answers(*answers)
    with pytest.raises(api_errors.KubernetesError) as caught:
        call()
    return caught.value


def test_refusal_for_lack_of_permission_asks_for_a_role(server: ApiServer, api: client.Kubernetes) -> None:
    error = refused(server, lambda: api.list(SECRETS), FORBIDDEN)
    assert (error.status, error.reason) == (403, "Forbidden")
    assert error.data == {"status": 403, "reason": "Forbidden"}
    words = ["no permission", server.url, '"bob"', "list", '"secrets"', "role"]
    assert [word for word in words if word not in str(error)] == []


def test_refusal_by_a_quota_is_no_lack_of_permission(server: ApiServer, api: client.Kubernetes) -> None:
    quota = status(403, "Forbidden", 'pods "a" is forbidden: exceeded quota: small')
    error = refused(server, lambda: api.create(SECRETS, {}), quota)
    assert "exceeded quota: small" in str(error)
    assert "permission" not in str(error)
    assert f"POST {SECRETS}" in str(error)


def test_refusal_by_a_terminating_namespace_says_to_run_again(server: ApiServer, api: client.Kubernetes) -> None:
    text = 'secrets "a" is forbidden: unable to create new content in namespace demo because it is being terminated'
    error = refused(server, lambda: api.create(SECRETS, {}), status(403, "Forbidden", text))
    assert str(error).endswith("it is being deleted; run the task again, which waits until it is gone")


def test_refusal_of_what_was_deleted_meanwhile_says_to_run_again(server: ApiServer, api: client.Kubernetes) -> None:
    gone = status(404, "NotFound", 'statefulsets.apps "a" not found')
    error = refused(server, lambda: api.patch(f"{SECRETS}/a", {}), gone)
    assert str(error).endswith('"a" not found; it was deleted meanwhile; run the task again')
    error = refused(server, lambda: api.create(SECRETS, {}), (404, b"404 page not found"))  # no such API
    assert "meanwhile" not in str(error)


def test_refusal_of_unknown_credentials_does_not_show_them(server: ApiServer, api: client.Kubernetes) -> None:
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
def test_refusal_of_another_kind_shows_its_answer(
    answer: Any, words: list[str], server: ApiServer, api: client.Kubernetes
) -> None:
    error = refused(server, lambda: api.get(SECRETS), answer)
    assert error.status == answer[0]
    assert [word for word in [*words, server.url] if word not in str(error)] == []


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b""])
def test_server_that_is_no_api_server_is_named(body: bytes, server: ApiServer, api: client.Kubernetes) -> None:
    for call in (api.get, api.list, lambda where: api.create(where, {}), lambda where: api.patch(where, {})):
        server.answers((200, body))
        with pytest.raises(api_errors.KubernetesError, match="is not a Kubernetes API server"):
            call(SECRETS)


def closed_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_server_that_does_not_exist_is_unreachable(scheme: str) -> None:
    host = f"{scheme}://{closed_port()}"
    with pytest.raises(api_errors.Unreachable) as caught:
        connect(host=host, api_key="hunter2").get(SECRETS)
    assert f"host cluster {host} does not answer" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert "connection options" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "object at 0x" not in str(caught.value)
    assert "Connection(" not in str(caught.value)


def test_server_without_tls_is_unreachable(server: ApiServer) -> None:
    with pytest.raises(api_errors.Unreachable, match="does not answer"):
        connect(host=server.url.replace("http:", "https:"), api_key="x").get(SECRETS)


def test_certificate_that_does_not_exist_is_named(server: ApiServer) -> None:
    with pytest.raises(NestedClustersError, match="nowhere"):
        connect(host=server.url.replace("http:", "https:"), api_key="x", ca_cert="/nowhere/ca").get(SECRETS)


@pytest.mark.parametrize(
    ("status", "passing"),
    [(0, True), (429, True), (500, True), (503, True), (400, False), (403, False), (404, False), (409, False)],
)
def test_error_that_may_pass_by_waiting_is_passing(status: int, passing: bool) -> None:
    assert api_errors.KubernetesError("x", status).passing is passing
    assert api_errors.Unreachable("x").passing is True


def test_redirect_is_not_followed(server: ApiServer, api: client.Kubernetes) -> None:
    """It would carry the credentials along."""
    seen = server.seen
    server.answer = lambda request: (302, b"")
    with pytest.raises(api_errors.KubernetesError):
        api.get(SECRETS)
    assert len(seen) == 1


# --- asking for much at once ------------------------------------------------------------------------------


def test_parallel_answers_come_in_the_order_of_the_questions() -> None:
    def later(number: int) -> Callable[[], int]:
        return lambda: time.sleep((5 - number) / 500) or number  # type: ignore[func-returns-value]

    assert client.parallel([later(number) for number in range(5)]) == [0, 1, 2, 3, 4]
    assert client.parallel(later(number) for number in range(1)) == [0]
    assert client.parallel([]) == []


def test_parallel_questions_are_asked_at_once() -> None:
    meeting = threading.Barrier(k8s_connection.WORKERS, timeout=5)
    assert len(client.parallel([meeting.wait] * k8s_connection.WORKERS)) == k8s_connection.WORKERS


@pytest.mark.parametrize("count", [1, 3])
def test_parallel_with_errors_raises_the_first(count: int) -> None:
    def fail(number: int) -> None:
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"^0$"):
        client.parallel([partial(fail, number) for number in range(count)])


def test_requests_counts_each_request(server: ApiServer, api: client.Kubernetes) -> None:
    client.parallel([lambda: api.get(SECRETS)] * 40)
    server.answers(NOT_FOUND)
    api.get(SECRETS)
    assert api.requests == len(server.seen) == 41
