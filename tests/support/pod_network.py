# SPDX-License-Identifier: GPL-3.0-or-later
"""What an API server without nodes reaches where it expects pods: a virtual cluster's API that says "ok"."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from types import TracebackType


def ready(_address: str) -> str | None:
    """Say of each virtual cluster that it is ready."""
    return "ok"


class PodNetwork:
    """A proxy on a socket, as the API server's egress configuration names it. It answers for every pod itself.

    ``answer`` gets the address, such as ``10.204.0.3:8443``, and returns the body of the answer; None for a pod that
    cannot be reached. A test may replace it; ``reset`` undoes that.
    """

    def __init__(self, path: Path, pki: Path) -> None:
        self.answer: Callable[[str], str | None] = ready
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki / "apiserver.crt", pki / "apiserver.key")
        network = self

        class Handler(StreamRequestHandler):
            timeout = 10

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    network.serve(self)

        self.server = ThreadingUnixStreamServer(str(path), Handler)
        self.server.daemon_threads = True

    def reset(self) -> None:
        """Answer as at the beginning."""
        self.answer = ready

    def serve(self, handler: StreamRequestHandler) -> None:
        """Serve one connection."""
        address = handler.rfile.readline().split()[1].decode()
        while handler.rfile.readline().strip():
            pass
        connection: socket.socket = handler.connection
        if address.startswith(("127.", "localhost")):  # a webhook of a test
            relay(connection, address)
            return
        body = self.answer(address)
        if body is None:
            connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with self.context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65536)
            head = ("HTTP/1.1 200 OK", "Content-Type: text/plain", f"Content-Length: {len(body.encode())}", "", "")
            secured.sendall("\r\n".join(head).encode() + body.encode())

    def __enter__(self) -> PodNetwork:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()


def relay(near: socket.socket, address: str) -> None:
    """Pass everything on to an address of this machine, and back, until one side ends."""
    name, _colon, port = address.rpartition(":")
    with socket.create_connection((name, int(port)), 5) as far:
        near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        near.settimeout(None)
        back = threading.Thread(target=pump, args=(far, near), daemon=True)
        back.start()
        pump(near, far)
        back.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes from one side until it ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
