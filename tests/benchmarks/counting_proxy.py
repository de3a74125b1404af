# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy in front of an API server that remembers every request."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from api import Api

NOT_FORWARDED = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


class CountingProxy:
    """Plain HTTP on a port of this machine; use as a context manager.

    ``requests`` holds (method, path with query) of everything that was asked.
    """

    def __init__(self, api: Api) -> None:
        self.requests: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler(api, self.requests))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> CountingProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, target: Path) -> Path:
        """Write a kubeconfig that leads through the proxy."""
        server = f"http://127.0.0.1:{self._server.server_port}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": server}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "current-context": "proxy",
        }
        target.write_text(json.dumps(config), encoding="utf-8")
        return target


def forwarded(header: str) -> bool:
    """Whether a header is the message's, and not the connection's."""
    return header.lower() not in NOT_FORWARDED


def handler(api: Api, requests: list[tuple[str, str]]) -> type[BaseHTTPRequestHandler]:
    """The class that serves one connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def forward(self) -> None:
            """Pass on the request, and the answer as it comes: a watch has no end."""
            requests.append((self.command, self.path))
            headers = {name: value for name, value in self.headers.items() if forwarded(name)}
            answer = api.pool.request(
                self.command,
                api.host + self.path,
                headers={**headers, **api.headers},
                body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
                preload_content=False,
            )
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if forwarded(name):
                    self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in answer.stream(65536, decode_content=False):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
            answer.release_conn()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward

        def log_message(self, format: str, *args: object) -> None:
            """Be silent."""

    return Handler
