# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of proof, with real sockets and real certificates on this machine: each link holds, or is named."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.endpoint import probe

Object = dict[str, Any]
SERVICE: Object = {"metadata": {"name": "team"}, "spec": {"type": "NodePort"}}
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Makes a directory with a CA, and a certificate of it for a server, which serves as the client's as well."""

    def make(name: str, alternative: str) -> Path:
        directory = tmp_path_factory.mktemp(name)
        signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", "tls.key", "-out", "tls.crt", "-subj", "/CN=x"]
        for arguments in (
            ["-subj", f"/CN={name}", "-keyout", "ca.key", "-out", "ca.crt"],
            [*signed, "-addext", f"subjectAltName={alternative}", "-addext", "basicConstraints=critical,CA:false"],
        ):
            command = ["openssl", "req", "-x509", *KEY, *arguments]
            subprocess.run(command, cwd=directory, check=True, capture_output=True)
        return directory

    return make


def secret(directory: Path) -> Object:
    files = {"certificate-authority": "ca.crt", "client-certificate": "tls.crt", "client-key": "tls.key"}
    return {"data": {key: base64.b64encode((directory / file).read_bytes()).decode() for key, file in files.items()}}


@contextmanager
def serve(directory: Path, status: int = 200) -> Iterator[str]:
    """An API that lists namespaces to whoever has a certificate of the CA; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = isinstance(self.connection, ssl.SSLSocket) and self.connection.getpeercert()
            content = json.dumps({"items": [{}, {}, {}]} if known else {"message": "who are you?"}).encode()
            self.send_response(status if known else 401)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    context.load_verify_locations(directory / "ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_arguments: None  # type: ignore[method-assign]  # a client that does not trust us
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def problem(
    url: str | None, given: Object | None, routes: list[Object] | None = None, service: Object | None = None
) -> str:
    """The link that is broken and why, after those before it have held."""
    links = probe.prove(url, routes or [], service or SERVICE, given)
    assert [link.name for link in links] == list(probe.LINKS[: len(links)])
    assert all(link.ok for link in links[:-1])
    found = probe.broken(links)
    assert found is not None
    assert found is links[-1]
    return f"{found.name}: {found.message}"


def test_probe_working_endpoint_passes(authority: Callable[[str, str], Path]) -> None:
    own = authority("own", "IP:127.0.0.1")
    with serve(own) as url:
        links = probe.prove(url, [], SERVICE, secret(own))
    assert [(link.name, link.ok) for link in links] == [(name, True) for name in probe.LINKS]
    assert links[-1].message == "lists 3 namespaces"
    assert probe.broken(links) is None


def test_probe_other_certificate_fails(authority: Callable[[str, str], Path]) -> None:
    """TLS that ends on the way, or a name that leads to a neighbour, shows a certificate of another CA."""
    own, other = authority("own", "IP:127.0.0.1"), authority("other", "IP:127.0.0.1")
    with serve(other) as url:
        said = problem(url, secret(own))
    assert said.startswith("certificate: the certificate at 127.0.0.1:")
    assert "is not the virtual cluster's own" in said


def test_probe_certificate_without_name_fails(authority: Callable[[str, str], Path]) -> None:
    own = authority("named", "DNS:team.vc.example.com")
    with serve(own) as url:
        assert "certificate: the certificate is the virtual cluster's own, but not for 127.0.0.1" in problem(
            url, secret(own)
        )
        assert "not for localhost" in problem(url.replace("127.0.0.1", "localhost"), secret(own))


def test_probe_refusing_api_fails(authority: Callable[[str, str], Path]) -> None:
    own = authority("own", "IP:127.0.0.1")
    with serve(own, status=500) as url:
        assert problem(url, secret(own)).startswith("api: the API answers 500")


def test_probe_closed_connection_fails(authority: Callable[[str, str], Path]) -> None:
    """What a controller does with a name that it has no route for."""
    own = authority("own", "IP:127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            for _each in range(2):
                server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        said = problem(f"https://127.0.0.1:{server.getsockname()[1]}", secret(own))
        thread.join()
    assert said.startswith("certificate: 127.0.0.1:")
    assert "ends the TLS handshake" in said


def test_probe_closed_port_fails(authority: Callable[[str, str], Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert problem(f"https://127.0.0.1:{port}", {}).startswith(f"address: 127.0.0.1 does not answer on port {port}")


def test_probe_unresolvable_name_fails() -> None:
    said = problem("https://team.invalid", {})
    assert said.startswith("dns: team.invalid does not resolve here")


def test_probe_without_secret_fails(authority: Callable[[str, str], Path]) -> None:
    own = authority("own", "IP:127.0.0.1")
    with serve(own) as url:
        assert "its kubeconfig Secret is not there yet" in problem(url, None)


def encrypted(key: Path) -> bytes:
    command = ["openssl", "pkcs8", "-topk8", "-in", str(key), "-passout", "pass:x"]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    ("key", "make", "link"),
    [
        ("certificate-authority", lambda own: b"text", "certificate"),
        ("certificate-authority", lambda own: b"\xff\xfe", "certificate"),
        ("certificate-authority", lambda own: b"", "certificate"),
        ("client-key", lambda own: b"text", "api"),
        ("client-certificate", lambda own: b"", "api"),
        ("client-key", lambda own: encrypted(own / "tls.key"), "api"),
    ],
    ids=["text", "no text", "no CA, so those of this machine", "no key", "nothing", "a password"],
)
def test_probe_changed_secret_fails(
    key: str, make: Callable[[Path], bytes], link: str, authority: Callable[[str, str], Path]
) -> None:
    own = authority("own", "IP:127.0.0.1")
    changed = secret(own)
    changed["metadata"] = {"name": "vc-team"}
    changed["data"][key] = base64.b64encode(make(own)).decode()
    with serve(own) as url:
        said = problem(url, changed)
    assert said.startswith(f"{link}: Secret vc-team of the virtual cluster cannot be used: ")
    assert key in said
    assert "delete it and restart the virtual cluster" in said


@pytest.mark.parametrize(
    ("service", "routes", "words"),
    [
        ({"spec": {"type": "LoadBalancer"}}, [], "route: its Service has no address"),
        ({"spec": {"type": "ClusterIP"}}, [], "route: it has no endpoint outside of its host cluster"),
        (
            SERVICE,
            [{"kind": "TLSRoute", "metadata": {"name": "team"}}],
            "route: TLSRoute team is not accepted: no contr",
        ),
        (
            SERVICE,
            [
                {
                    "kind": "TLSRoute",
                    "metadata": {"name": "team"},
                    "status": {
                        "parents": [
                            {
                                "parentRef": {"name": "public"},
                                "conditions": [
                                    {"type": "Accepted", "status": "False", "reason": "NotAllowed", "message": "no"}
                                ],
                            }
                        ]
                    },
                }
            ],
            "route: TLSRoute team is not accepted by Gateway public: NotAllowed: no",
        ),
    ],
)
def test_probe_without_route_fails(service: Object, routes: list[Object], words: str) -> None:
    assert words in problem(None, {}, routes, service)
