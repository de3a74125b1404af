# SPDX-License-Identifier: GPL-3.0-or-later
"""A reverse proxy in front of a host cluster that counts requests, and can refuse them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from host_api import Host


@dataclass
class Proxy:
    """A reverse proxy in front of the host cluster: what goes through it is counted, and can be refused."""

    url: str
    seen: list[str] = field(default_factory=list)
    fault: Callable[[str, str], int] = lambda method, path: 0
    """For a method and a path: 0 to let it pass, an HTTP status to answer, or -1 to drop the connection."""

    @property
    def options(self) -> dict[str, Any]:
        return {"host": self.url, "api_key": "counted", "kubeconfig": os.devnull}


@contextmanager
def serve_proxy(host: Host) -> Iterator[Proxy]:
    """A counting proxy, for as long as the context lasts."""
    proxy: Proxy

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            proxy.seen.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = proxy.fault(self.command, self.path)
            if status < 0:
                self.close_connection = True
                return
            if status:
                self.answer(status, b'{"kind": "Status", "message": "made up by a test", "reason": "Test"}')
                return
            passed = ("accept", "accept-encoding", "content-type", "user-agent")
            headers = {name: value for name, value in self.headers.items() if name.lower() in passed}
            there = host.pool.request(
                self.command,
                host.configuration.host + self.path,
                headers={**headers, **host.headers},
                body=body or None,
                preload_content=False,
                decode_content=False,
            )
            self.send_response(there.status)
            for name in ("Content-Type", "Content-Encoding", "Warning"):
                if name in there.headers:
                    self.send_header(name, there.headers[name])
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in there.stream(65536, decode_content=False):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")
            there.release_conn()

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
