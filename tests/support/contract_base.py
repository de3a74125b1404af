# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the contract share, which run against the API server in memory and against a real kube-apiserver.

A subclass has fixtures ``api`` (the client), ``limited`` (the client of user "tester", who may do everything with
ConfigMaps of namespace ``space``, read that namespace, and nothing else) and ``custom`` (the API version of a custom
kind Box). What controllers do takes a moment on a real one, so it is waited for.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path

Object = dict[str, Any]
FINALIZER = "example.com/hold"
SECONDS = 30  # in which the controllers of a real one do what they are for


def eventually(found: Callable[[], bool]) -> bool:
    """Return whether something becomes true."""
    end = time.monotonic() + SECONDS
    while not (result := found()) and time.monotonic() < end:
        time.sleep(0.1)
    return result


def names(items: list[Object]) -> list[str]:
    """Return the names of objects."""
    return [item["metadata"]["name"] for item in items]


def refused(call: Callable[[], Any]) -> KubernetesError:
    """Return the error of a call."""
    with pytest.raises(KubernetesError) as caught:
        call()
    return caught.value


def stateful_set(name: str, replicas: int = 0) -> Object:
    """Return a StatefulSet without pods."""
    labels = {"app": name}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "none"}]}}
    spec = {"replicas": replicas, "serviceName": name, "selector": {"matchLabels": labels}, "template": pod}
    return {"metadata": {"name": name}, "spec": spec}


def owned_by(*owners: Object) -> Object:
    """Return metadata that says who owns an object."""
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        for owner in owners
    ]
    return {"ownerReferences": references}


class Base:
    """What the tests below are made with."""

    @pytest.fixture
    def space(self, api: Kubernetes) -> Iterator[str]:
        """A namespace of one test."""
        name = f"contract-{uuid.uuid4().hex[:8]}"
        api.create(path("v1", "namespaces"), {"metadata": {"name": name}})
        yield name
        for item in api.list(path("v1", "configmaps", name), metadata_only=True):
            if item["metadata"].get("finalizers"):
                api.patch(path("v1", "configmaps", name, item["metadata"]["name"]), {"metadata": {"finalizers": None}})
        api.delete(path("v1", "namespaces", None, name))

    @pytest.fixture
    def maps(self, space: str) -> str:
        """The collection that most tests use."""
        return path("v1", "configmaps", space)

    @staticmethod
    def map(api: Kubernetes, maps: str, name: str, **metadata: Any) -> Object:
        """Create a ConfigMap."""
        return api.create(maps, {"metadata": {"name": name, **metadata}, "data": {"a": "b"}})

    @staticmethod
    def own(items: list[Object]) -> list[str]:
        """Return the names of ConfigMaps that are not Kubernetes' own."""
        return [name for name in names(items) if name != "kube-root-ca.crt"]
