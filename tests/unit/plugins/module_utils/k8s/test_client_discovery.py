# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of discovery: which kinds an API server serves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.k8s import client, objects
from ansible_collections.nested.clusters.plugins.module_utils.k8s import errors as api_errors
from scripted_api import NOT_FOUND, ApiServer

pytestmark = pytest.mark.usefixtures("connection_of_nobody")


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


def test_all_resources_with_several_versions_names_each_once(server: ApiServer, api: client.Kubernetes) -> None:
    """Each once, also what is served in a version alone that is not the preferred one, or not at all just now."""
    server.answer = discovery
    assert sorted(kind for kind, namespaced in api.all_resources() if namespaced) == [
        ("down.example.com/v1", objects.UNKNOWN_KIND),
        ("example.com/v1", "boxes"),
        ("example.com/v1alpha1", "jars"),
        ("v1", "pods"),
    ]


def test_resource_of_a_known_kind_costs_no_request(server: ApiServer, api: client.Kubernetes) -> None:
    for (api_version, kind), plural in objects.PLURALS.items():
        scoped = kind in ("Namespace", "ClusterRole", "ClusterRoleBinding")
        assert api.resource(api_version, kind) == (plural, not scoped)
        assert api.namespaced(api_version, kind) is not scoped
    assert server.seen == []


def test_resource_of_another_kind_is_asked_for_once(server: ApiServer, api: client.Kubernetes) -> None:
    server.answer = discovery
    assert api.resource("example.com/v1", "Box") == ("boxes", True)
    assert api.resource("example.com/v1", "Box") == ("boxes", True)
    assert api.resource("v1", "Node") == ("nodes", False)
    assert api.namespaced("v1", "Node") is False
    assert [request.path for request in server.seen] == ["/apis/example.com/v1", "/api/v1"]


def test_resource_that_is_not_served_is_an_error(server: ApiServer, api: client.Kubernetes) -> None:
    server.answer = discovery
    with pytest.raises(api_errors.KubernetesError, match=r"does not serve Box of nowhere\.com/v1") as caught:
        api.resource("nowhere.com/v1", "Box")
    assert caught.value.status == 404
    assert api.namespaced("nowhere.com/v1", "Box") is True
