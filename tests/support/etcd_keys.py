# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kinds a namespace holds objects of, in one question to etcd: the API server has no read across kinds."""

from __future__ import annotations

import base64
import json
import socket
from http.client import HTTPConnection
from pathlib import Path

FIRST, BEHIND = "/registry/", "/registry0"
# Where the API server keeps what is not kept under its plural; custom resources are kept under GROUP/PLURAL.
PLURALS = {
    "controllers": "replicationcontrollers",
    "ingress": "ingresses",
    "services/endpoints": "endpoints",
    "services/specs": "services",
}


class EtcdConnection(HTTPConnection):
    """A connection to etcd's own gateway from JSON, on the socket that etcd listens on."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def plurals_in(etcd: Path, namespace: str) -> set[str]:
    """Return the plurals of the kinds that a namespace holds objects of. Raises OSError and HTTPException."""
    keys = {"key": _encoded(FIRST), "range_end": _encoded(BEHIND), "keys_only": True}
    connection = EtcdConnection(etcd)
    try:
        connection.request("POST", "/v3/kv/range", json.dumps(keys))
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    found = (base64.b64decode(one["key"]).decode().split("/")[2:] for one in answer["kvs"])
    held = {"/".join(kind) for *kind, space, _name in found if space == namespace and kind}
    return {PLURALS.get(kind, kind.rpartition("/")[2]) for kind in held}


def _encoded(key: str) -> str:
    return base64.b64encode(key.encode()).decode()
