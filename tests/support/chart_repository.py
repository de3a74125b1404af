# SPDX-License-Identifier: GPL-3.0-or-later
"""A chart repository over HTTP, with one chart under several versions."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from host_api import Host

PULL = ("helm", "pull", "vcluster", "--repo", "https://charts.loft.sh", "--version", "0.36.1", "--untar")


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def chart_repository(host: Host, directory: Path, versions: Iterable[str]) -> Iterator[str]:
    """Yield the URL of a repository that has the chart of the tests under each of these versions."""
    unpacked, served = directory / "source", directory / "served"
    unpacked.mkdir()
    served.mkdir()
    if host.chart:
        host.call("tar", "-xzf", host.chart, "-C", str(unpacked))
    else:
        host.call(*PULL, "--untardir", str(unpacked))
    for version in versions:
        package = ("helm", "package", str(unpacked / "vcluster"), "--version", version, "--app-version", "0.36.1")
        host.call(*package, "--destination", str(served))
    host.call("helm", "repo", "index", str(served))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
