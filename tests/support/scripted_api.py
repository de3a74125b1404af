# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP server that answers what a test says, kubeconfigs for it, and connections to it.

For what is on the wire: headers, TLS, redirects, and answers that no API server gives.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ansible_collections.nested.clusters.plugins.module_utils.k8s import client

SERVER = "https://127.0.0.1:6443"
CERTIFICATE, KEY = "a certificate\n", "a key\n"  # handed on as they are; only a connection would read them


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


def connect(**options: Any) -> client.Kubernetes:
    return client.Kubernetes.from_module(SimpleNamespace(params=options, tmpdir=None))


def status(code: int, reason: str, message: str) -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "reason": reason, "message": message, "code": code}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


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


def parts(api: client.Kubernetes) -> tuple[dict[str, Any], dict[str, Any]]:
    """(cluster, user) of the kubeconfig, which must hang together."""
    config = api.kubeconfig()
    (cluster,), (user,), (context,) = config["clusters"], config["users"], config["contexts"]
    assert context["name"] == config["current-context"]
    assert context["context"] == {"cluster": cluster["name"], "user": user["name"]}
    return cluster["cluster"], user["user"]


NOT_FOUND = status(404, "NotFound", 'secrets "x" not found')
