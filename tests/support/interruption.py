# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill a task at a chosen request, or leave a release as a killed helm leaves it."""

from __future__ import annotations

import base64
import gzip
import json
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from host_api import Host
from modules import Module
from places import Place
from proxy import Proxy


def kill_at(vcluster: Module, proxy: Proxy, options: dict[str, Any], moment: Callable[[str], bool]) -> None:
    """Kill a task and its helm, as the end of a machine does, at the first request that is the moment.

    The request does not reach the host cluster.
    """
    process = vcluster.start({**options, **proxy.options})
    hit = threading.Event()

    def fault(method: str, path: str) -> int:
        if not hit.is_set() and moment(f"{method} {path}"):
            hit.set()
            os.killpg(process.pid, signal.SIGKILL)
        return -1 if hit.is_set() else 0

    proxy.fault = fault
    output = process.communicate(timeout=120)
    proxy.fault = lambda method, path: 0
    assert hit.is_set(), f"the moment never came: {output}\n" + "\n".join(proxy.seen)
    assert process.returncode == -signal.SIGKILL


def request_has(*words: str, without: str = "\n") -> Callable[[str], bool]:
    """True for a request that has all of these words, and not the other."""
    return lambda request: all(word in request for word in words) and without not in request


def set_status(host: Host, where: Place, status: str) -> None:
    """Write another status into the newest revision of the release, as a killed helm leaves it."""
    prefix = f"sh.helm.release.v1.{where.name}.v"
    secrets = [s for s in host.items(where.path("secrets")) if s["metadata"]["name"].startswith(prefix)]
    newest = max(secrets, key=lambda secret: int(secret["metadata"]["labels"]["version"]))
    release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(newest["data"]["release"]))))
    release["info"]["status"] = status
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode()))).decode()
    patch = {"data": {"release": packed}, "metadata": {"labels": {"status": status}}}
    host.patch(where.path("secrets", newest["metadata"]["name"]), patch)
