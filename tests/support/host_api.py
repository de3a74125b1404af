# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of a host cluster, for tests: its API, and the programs that a user has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import Any

import pytest
import urllib3
from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config
from kubernetes.client.rest import RESTClientObject
from waiting import eventually

Object = dict[str, Any]
Key = tuple[str, str, str, str]  # apiVersion, plural, namespace, name


@dataclass
class Host:
    """The host cluster: its API, and the programs that a user has."""

    kubeconfig: str
    chart: str | None
    configuration: Any = field(repr=False)
    pool: urllib3.PoolManager = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    leaving: list[str] = field(default_factory=list, repr=False)
    """Namespaces that were asked to go."""

    def request(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Ask the API; None for what is not there, an AssertionError for any other refusal."""
        headers = {**self.headers, "Accept": "application/json", "Content-Type": kind}
        data = None if body is None else json.dumps(body)
        answer = self.pool.request(method, self.configuration.host + path, headers=headers, body=data)
        if answer.status in (404, 405):
            return None
        assert answer.status < 400, f"{method} {path}: {answer.status} {answer.data.decode()}"
        return answer.json() if "json" in answer.headers.get("Content-Type", "") else answer.data.decode()

    def get(self, path: str) -> Any:
        """The object or list at a path, None where there is none."""
        return self.request("GET", path)

    def items(self, path: str) -> list[Object]:
        """The objects of a list."""
        return (self.get(path) or {}).get("items") or []

    def create(self, path: str, body: Object) -> Any:
        """Create an object below a collection's path."""
        return self.request("POST", path, body)

    def patch(self, path: str, body: Any) -> Any:
        """Merge into an object; a list is a JSON patch."""
        kind = "json-patch" if isinstance(body, list) else "merge-patch"
        done = self.request("PATCH", path, body, f"application/{kind}+json")
        assert done is not None, f"there is no {path} to patch"
        return done

    def delete(self, path: str, policy: str = "Background") -> Any:
        """Delete an object; its dependants as the policy says."""
        return self.request("DELETE", path, {"propagationPolicy": policy})

    def program(self, name: str) -> str:
        """The path of a program that a test needs."""
        found = shutil.which(name)
        assert found, f"the tests need {name} on the PATH: see tests/host_cluster/host-cluster bin-dir"
        return found

    def call(
        self, *command: str, check: bool = True, seconds: float = 180, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program against the host cluster."""
        done = subprocess.run(
            [self.program(command[0]), *command[1:]],
            env={**os.environ, "KUBECONFIG": self.kubeconfig, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def namespace(self, name: str, **metadata: Any) -> None:
        """Create a namespace as a user would."""
        self.create("/api/v1/namespaces", {"metadata": {"name": name, **metadata}})

    def kinds(self) -> list[tuple[str, str, bool]]:
        """(apiVersion, plural, namespaced) of everything that can be listed."""
        groups = [group["preferredVersion"]["groupVersion"] for group in self.get("/apis")["groups"]]
        return [
            (version, served["name"], served["namespaced"])
            for version in ["v1", *groups]
            for served in (self.get(root(version)) or {}).get("resources", [])
            if "list" in served["verbs"] and "/" not in served["name"] and served["name"] != "events"
        ]

    def everything(self) -> dict[Key, str]:
        """Every object of every kind in the whole cluster but events: its key, and its text."""
        found = {}
        for version, plural, _namespaced in self.kinds():
            for item in self.items(f"{root(version)}/{plural}"):
                meta = item["metadata"]
                key = version, plural, meta.get("namespace", ""), meta.get("name", "")
                found[key] = json.dumps(item)
        return found

    def contents(self, namespace: str) -> dict[tuple[str, str], str]:
        """(plural, name) to resource version of all that one namespace holds.

        But events, heartbeats, and what controllers derive from the rest and remove some moments after it.
        """
        derived = {"leases", "endpoints", "endpointslices", "controllerrevisions"}
        found = {}
        for version, plural, namespaced in self.kinds():
            if namespaced and plural not in derived:
                for item in self.items(f"{root(version)}/namespaces/{namespace}/{plural}"):
                    found[plural, item["metadata"]["name"]] = item["metadata"].get("resourceVersion", "")
        return found

    def wait_for_leaving(self) -> None:
        """Wait until no namespace is left that was asked to go."""

        def left() -> set[str]:
            there = {item["metadata"]["name"] for item in self.items("/api/v1/namespaces")}
            return there & set(self.leaving)

        eventually(lambda: f"the end of {left()}", lambda: not left(), 240)


def root(version: str) -> str:
    """The path of an API version."""
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def open_host(kubeconfig: str, chart: str | None = None) -> Host:
    """The host cluster of a kubeconfig; a chart, where it is not the one that NESTED_CLUSTERS_CHART names."""
    configuration = kubernetes_client.Configuration()
    kubernetes_config.load_kube_config(kubeconfig, client_configuration=configuration)
    configuration.connection_pool_maxsize = 16
    pool = RESTClientObject(configuration).pool_manager
    headers = {item["key"]: item["value"] for item in configuration.auth_settings().values()}
    chart = chart or os.environ.get("NESTED_CLUSTERS_CHART")
    return Host(kubeconfig, chart, configuration, pool, headers)


def connections(members: dict[str, Host]) -> list[Object]:
    """Option ``host_clusters`` for host clusters by name."""
    return [{"name": name, "kubeconfig": member.kubeconfig} for name, member in members.items()]


def spaces_of(host: Host, group: str) -> list[str]:
    """The namespaces of a group's virtual clusters on a host cluster."""
    found = host.items(f"/api/v1/namespaces?labelSelector=nested-clusters%2Fgroup%3D{group}")
    return [item["metadata"]["name"] for item in found]


def remove_namespaces(host: Host, *names: str) -> None:
    """Delete namespaces and wait until they are gone."""
    for name in names:
        host.delete(f"/api/v1/namespaces/{name}")
    for name in names:
        wait_gone(host, f"/api/v1/namespaces/{name}")


def wait_gone(host: Host, path: str) -> None:
    """Wait until there is no object at a path."""
    eventually(f"{path} gone", lambda: host.get(path) is None, 180)


def is_ready(pod: Object) -> bool:
    """Whether a pod is ready."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
