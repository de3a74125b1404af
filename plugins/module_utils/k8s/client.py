# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one client for API servers: plain REST, objects as dictionaries.

Requests are plain REST, because the client library's dynamic client asks the API server what it serves before
the first question, and because a thousand objects are read three times faster as JSON than as model objects.

Objects are dictionaries as the API server sends them. Paths start with a slash
(``/api/v1/namespaces/demo/secrets``); :func:`path` builds them.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlencode

from ansible.module_utils.basic import AnsibleModule

from ..common.errors import NestedClustersError
from .connection import WORKERS, Connection, connect
from .errors import KubernetesError, Unreachable, refusal, root_cause
from .objects import CLUSTER_SCOPED, PLURALS, UNKNOWN_KIND, Objects, ScopedKinds
from .port_forward import owner_context

with contextlib.suppress(ImportError):  # reported by connect()
    import urllib3

CONNECT_SECONDS = 10
READ_SECONDS = 60
PAGE = 2500  # objects a LIST returns at once: kubectl asks for 500, but waits for each page

# An aggregated API that cannot do it answers with whole objects, which have metadata as well.
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


def list_allowed(kubernetes: Kubernetes, where: str, **options: Any) -> Objects:
    """List as ``Kubernetes.list`` does; return [] for a kind that this user may not list."""
    try:
        return kubernetes.list(where, **options)
    except KubernetesError as error:
        if error.status != 403:
            raise
        return []


def parallel(calls: Iterable[Callable[[], Any]], at_once: int = WORKERS) -> list[Any]:
    """Return answers of independent questions, asked at once, in the order given; the first error is raised.

    Each one ``at_once`` opens a connection, which takes longer than a short answer does.
    """
    calls = list(calls)
    if len(calls) < 2:
        return [call() for call in calls]
    with ThreadPoolExecutor(min(at_once, len(calls))) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


class Kubernetes:
    """One host cluster's API.

    ``requests`` counts what was sent, so that a test can hold the collection to its promises.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.host = connection.host
        self.requests = 0
        self._counting = threading.Lock()
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}
        self._headers = urllib3.HTTPHeaderDict({"Accept": "application/json", "User-Agent": "nested.clusters"})
        credential = [("Authorization", connection.authorization)] if connection.authorization else []
        for name, value in [*credential, *connection.impersonation.headers()]:
            self._headers.add(name, value.encode().decode("latin-1"))  # as which headers are sent: UTF-8 goes out

    @classmethod
    def from_module(cls, module: AnsibleModule) -> Kubernetes:
        """Return the host cluster that the module's connection options name."""
        return cls.open(module.params, module.tmpdir, os.environ)

    @classmethod
    def open(cls, params: Mapping[str, Any], directory: str, environment: Mapping[str, str]) -> Kubernetes:
        """Return the host cluster that connection options name; private files go into ``directory``.

        Raises NestedClustersError when a library is missing or the kubeconfig cannot be used.
        """
        return cls(connect(params, directory, environment))

    def get(self, where: str) -> dict[str, Any] | None:
        """Return the object at a path, or None if there is none."""
        try:
            return self._json("GET", where)
        except KubernetesError as error:
            if error.status == 404:
                return None
            raise

    def text(self, where: str, seconds: float = READ_SECONDS, **query: Any) -> str:
        """Return a plain text answer, such as a log, waited for at most so many seconds."""
        return self._request("GET", where, query=query, seconds=seconds).decode(errors="replace")

    def list(self, where: str, labels: str = "", fields: str = "", metadata_only: bool = False) -> Objects:
        """Return every object of a kind, read in pages; none where the kind or the namespace does not exist."""
        query = {"limit": PAGE, "labelSelector": labels, "fieldSelector": fields}
        accept = METADATA_ONLY if metadata_only else "application/json"
        items: Objects = []
        while True:
            try:
                page = self._json("GET", where, query=query, headers={"Accept": accept})
            except KubernetesError as error:
                if error.status == 404:
                    return []
                if error.status == 410 and "continue" in query:  # the snapshot being paged expired: start over
                    items, query = [], {key: value for key, value in query.items() if key != "continue"}
                    continue
                raise
            items += page.get("items") or []
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return items
            query = {**query, "continue": token}

    def create(self, where: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create an object below a collection path."""
        return self._json("POST", where, body=body)

    def patch(self, where: str, body: dict[str, Any]) -> dict[str, Any]:
        """Merge ``body`` into the object at a path; None removes a field (RFC 7386)."""
        return self._json("PATCH", where, body=body, headers={"Content-Type": "application/merge-patch+json"})

    def delete(self, where: str, only: dict[str, str] | None = None) -> bool:
        """Delete the object at a path; False where there was none, or not one with the metadata in ``only``."""
        preconditions = {"preconditions": only} if only else {}  # uid, resourceVersion
        try:
            self._request("DELETE", where, body={"propagationPolicy": "Background", **preconditions})
        except KubernetesError as error:
            if error.status in (404, 409):  # 409: a namespace that is being deleted already
                return False
            raise
        return True

    def delete_all(self, where: str, labels: str) -> None:
        """Delete every object of a kind in a namespace that has these labels."""
        self._request("DELETE", where, query={"labelSelector": labels}, body={"propagationPolicy": "Background"})

    def resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        """Return the plural of a kind, and whether it lives in a namespace."""
        key = (api_version, kind)
        if key in PLURALS:
            return PLURALS[key], kind not in CLUSTER_SCOPED
        if key not in self._plurals:
            root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            for served in (self.get(root) or {}).get("resources", []):
                if "/" not in served["name"]:
                    self._plurals[(api_version, served["kind"])] = (served["name"], served["namespaced"])
        if key not in self._plurals:
            raise KubernetesError(f"{self.host} does not serve {kind} of {api_version}", 404, "NotFound")
        return self._plurals[key]

    def namespaced(self, api_version: str, kind: str) -> bool:
        """Return whether objects of a kind live in a namespace; what is not served any more counts as if it did."""
        try:
            return self.resource(api_version, kind)[1]
        except KubernetesError as error:
            if error.status != 404:
                raise
            return True

    def all_resources(self) -> ScopedKinds:
        """Return ((apiVersion, plural), is namespaced) of all that can be listed and deleted, each once."""
        groups = (self.get("/apis") or {}).get("groups", [])
        # The preferred version comes first in each group; a kind may be served in another one alone.
        versions = ["v1", *(version["groupVersion"] for group in groups for version in group["versions"])]
        roots = [f"/apis/{version}" if "/" in version else f"/api/{version}" for version in versions]
        answers = parallel([partial(self._served, root) for root in roots])
        found: dict[tuple[str, str], tuple[tuple[str, str], bool]] = {}
        for version, resources in zip(versions, answers, strict=True):
            group = version.rpartition("/")[0]
            for served in resources:
                if "/" not in served["name"] and {"list", "delete"} <= set(served["verbs"]):
                    found.setdefault((group, served["name"]), ((version, served["name"]), served["namespaced"]))
        return list(found.values())

    def _served(self, root: str) -> Objects:
        # An aggregated API whose backend is down answers 503. It may hold something: UNKNOWN_KIND stands for it.
        try:
            return (self.get(root) or {}).get("resources", [])
        except KubernetesError as error:
            if error.status == 503:
                return [{"name": UNKNOWN_KIND, "namespaced": True, "verbs": ["list", "delete"]}]
            raise

    @contextlib.contextmanager
    def into(self, pod: str, port: int, secret: Mapping[str, Any]) -> Iterator[Callable[[str], tuple[int, bytes]]]:
        """Yield the API of a virtual cluster, through a port of its pod, as ``kubectl port-forward`` does it.

        ``pod`` is a path, ``secret`` holds certificate-authority, client-certificate and client-key. Returns a
        function from a path in the virtual cluster to (HTTP status, answer). Raises KubernetesError.
        """
        context = owner_context(secret)
        forward = self._forward(pod, port)
        inside = http.client.HTTPSConnection("localhost", port)

        def ask(where: str) -> tuple[int, bytes]:
            inside.request("GET", where, headers={"Accept": "application/json"})
            answer = inside.getresponse()
            return answer.status, answer.read()

        try:
            # Each certificate of a virtual cluster is for localhost, which is where a forwarded port is.
            inside.sock = context.wrap_socket(forward.socket(port), server_hostname="localhost")
            inside.sock.settimeout(CONNECT_SECONDS)
            yield ask
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{pod.rsplit('/', 1)[1]} does not answer on port {port}: {error}") from error
        finally:
            inside.close()
            forward.close()

    def _forward(self, pod: str, port: int) -> Any:
        try:
            import websocket
            from kubernetes.stream.ws_client import PortForward
        except ImportError as error:
            raise NestedClustersError(f"the check needs the Python package kubernetes: {error}") from error
        via = self.connection
        options: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED if via.verify_ssl else ssl.CERT_NONE}
        known = {"ca_certs": via.ssl_ca_cert, "certfile": via.cert_file, "keyfile": via.key_file}
        known["server_hostname"] = via.tls_server_name
        options.update({name: value for name, value in known.items() if value})
        # Which this library encodes by itself.
        lines = [(name, value.encode("latin-1").decode()) for name, value in self._headers.items()]
        headers = [f"{name}: {value}" for name, value in lines if name.lower() != "accept"]
        url = f"ws{self.host.removeprefix('http')}{pod}/portforward?ports={port}"
        proxy = urllib3.util.parse_url(via.proxy) if via.proxy else None
        with self._counting:
            self.requests += 1
        try:
            connected = websocket.create_connection(
                url,
                timeout=CONNECT_SECONDS,
                sslopt=options,
                header=headers,
                subprotocols=["v4.channel.k8s.io"],
                suppress_origin=True,
                http_proxy_host=proxy.host if proxy else None,
                http_proxy_port=proxy.port if proxy else None,
            )
        except websocket.WebSocketBadStatusException as error:
            raise refusal("GET", f"{pod}/portforward", error.status_code, error.resp_body or b"", self.host) from error
        except (OSError, websocket.WebSocketException) as error:
            raise Unreachable(f"host cluster {self.host} does not forward a port of {pod}: {error}") from error
        return PortForward(connected, [port])

    def kubeconfig(self) -> dict[str, Any]:
        """Return this connection as a kubeconfig for another program; the caller keeps it in a file of mode 0600."""
        via = self.connection
        cluster: dict[str, Any] = {"server": self.host}
        if not via.verify_ssl:
            cluster["insecure-skip-tls-verify"] = True
        elif via.ssl_ca_cert:
            cluster["certificate-authority-data"] = _base64_file(via.ssl_ca_cert)
        if via.tls_server_name:
            cluster["tls-server-name"] = via.tls_server_name
        if via.proxy:
            cluster["proxy-url"] = via.proxy
        user: dict[str, Any] = {}
        if via.cert_file and via.key_file:
            user["client-certificate-data"] = _base64_file(via.cert_file)
            user["client-key-data"] = _base64_file(via.key_file)
        scheme, _space, credential = (via.authorization or "").partition(" ")
        if scheme.lower() == "bearer":
            user["token"] = credential
        elif scheme.lower() == "basic":
            name, _colon, password = base64.b64decode(credential).decode().partition(":")
            user.update(username=name, password=password)
        user.update(via.impersonation.entry())
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "host", "cluster": cluster}],
            "users": [{"name": "host", "user": user}],
            "contexts": [{"name": "host", "context": {"cluster": "host", "user": "host"}}],
            "current-context": "host",
        }

    def _json(self, method: str, where: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer = json.loads(self._request(method, where, **arguments))
        except ValueError as error:
            raise KubernetesError(
                f"{self.host} answers {method} {where}, but is not a Kubernetes API server; check the address"
            ) from error
        return answer if isinstance(answer, dict) else {}

    def _request(
        self,
        method: str,
        where: str,
        query: dict[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = READ_SECONDS,
    ) -> bytes:
        with self._counting:
            self.requests += 1
        sent = self._headers.copy()
        if body is not None:
            sent["Content-Type"] = "application/json"
        for name, text in (headers or {}).items():
            sent[name] = text
        query = {key: value for key, value in (query or {}).items() if value not in ("", None)}
        url = self.host + where + (f"?{urlencode(query)}" if query else "")
        try:
            answer = self.connection.pool.request(
                method,
                url,
                headers=sent,
                body=None if body is None else json.dumps(body),
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds),
                retries=urllib3.Retry(1, redirect=0),  # a kept-alive connection that the server closed meanwhile
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(
                f"host cluster {self.host} does not answer: {root_cause(error)}; check the address, the "
                "network and the certificates of the connection options"
            ) from error
        if answer.status >= 400:
            raise refusal(method, where, answer.status, answer.data, self.host)
        return answer.data


def _base64_file(name: str) -> str:
    with open(name, "rb") as file:
        return base64.b64encode(file.read()).decode()
