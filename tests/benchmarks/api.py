# SPDX-License-Identifier: GPL-3.0-or-later
"""The host cluster's API, in bytes and dictionaries, with no code of the collection in between."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3
from kubernetes.client import Configuration
from kubernetes.client.rest import RESTClientObject
from kubernetes.config import load_kube_config

from report import BenchError

WORKERS = 16
GONE_SECONDS = 900
PREFIX = "nested-bench-"  # of every namespace and node that the benchmarks make


class Api:
    """One API server, reached as a kubeconfig says."""

    def __init__(self, kubeconfig: str) -> None:
        configuration = Configuration()
        load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        configuration.connection_pool_maxsize = WORKERS
        self.host = configuration.host.rstrip("/")
        self.pool = RESTClientObject(configuration).pool_manager
        self.headers = {item["key"]: item["value"] for item in configuration.auth_settings().values()}

    def request(self, method: str, path: str, body: Any = None) -> urllib3.BaseHTTPResponse:
        """Send one request; the caller looks at the status."""
        answer: urllib3.BaseHTTPResponse = self.pool.request(
            method,
            self.host + path,
            headers={**self.headers, "Accept": "application/json", "Content-Type": "application/json"},
            body=None if body is None else json.dumps(body),
            timeout=60,
        )
        return answer

    def get(self, path: str) -> Any:
        """Read and decode."""
        return json.loads(self.expect(self.request("GET", path), path))

    def create(self, path: str, body: dict[str, Any]) -> None:
        """Create an object below a collection path."""
        self.expect(self.request("POST", path, body), path)

    @staticmethod
    def expect(answer: urllib3.BaseHTTPResponse, path: str) -> bytes:
        """The body of a good answer. Raises BenchError on a bad one."""
        if answer.status >= 400:
            raise BenchError(f"{path}: {answer.status} {answer.data[:300].decode(errors='replace')}")
        return answer.data

    def delete(self, collection: str, name: str, **options: Any) -> None:
        """Delete, also if it is not there or being deleted already."""
        options["propagationPolicy"] = "Background"
        answer = self.request("DELETE", f"{collection}/{name}", options)
        if answer.status not in (404, 409):
            self.expect(answer, name)

    def names(self, collection: str) -> list[str]:
        """Names of what the benchmarks have made."""
        items = self.get(f"{collection}?limit=10000")["items"]
        return [name for item in items if (name := item["metadata"]["name"]).startswith(PREFIX)]

    def parallel(self, action: Callable[[Any], None], arguments: list[Any]) -> None:
        """Do something to each argument, several at once; the first error is raised."""
        with ThreadPoolExecutor(WORKERS) as workers:
            list(workers.map(action, arguments))

    def clean(self) -> None:
        """Delete every namespace and node of the benchmarks, and wait until they are gone.

        A volume outlives its namespace by moments; it is waited for as well.
        """
        deadline = time.monotonic() + GONE_SECONDS
        namespaces = self.names("/api/v1/namespaces")
        self.parallel(lambda name: self.delete("/api/v1/namespaces", name), namespaces)
        nodes = self.names("/api/v1/nodes")
        for node in nodes:
            self.parallel(self.drop_pod, self.get(f"/api/v1/pods?fieldSelector=spec.nodeName={node}")["items"])
        while self.names("/api/v1/namespaces") or self.volumes():
            if time.monotonic() > deadline:
                raise BenchError(f"namespaces {PREFIX}* or their volumes are not gone after {GONE_SECONDS} s")
            time.sleep(1)
        for node in nodes:
            self.delete("/api/v1/nodes", node)

    def drop_pod(self, pod: dict[str, Any]) -> None:
        """Delete a pod of a fake node: nobody is there who would end it."""
        where = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods"
        self.delete(where, pod["metadata"]["name"], gracePeriodSeconds=0)

    def volumes(self) -> list[str]:
        """Volumes of the benchmarks' namespaces that will be deleted."""
        return [
            item["metadata"]["name"]
            for item in self.get("/api/v1/persistentvolumes")["items"]
            if (item["spec"].get("claimRef") or {}).get("namespace", "").startswith(PREFIX)
            and item["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        ]
