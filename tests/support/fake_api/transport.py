# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam: urllib3 with everything but its sockets.

What is answered goes past urllib3, which takes most of the time of a request in memory. Once something goes wrong,
retries, timeouts and errors are urllib3's own.
"""

from __future__ import annotations

import http.client
import io
import threading
from collections.abc import Callable
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError

from .messages import Fault, Response

# From method, URL, headers and body to the answer or a fault; None stands for a server that is down.
Answer = Callable[[str, str, Any, Any], Response | Fault | None]


def pool(answer: Answer, stalled: Callable[[float], None]) -> urllib3.PoolManager:
    """Return a pool that asks a function; ``stalled`` is told how many seconds a client has waited in vain."""
    first = threading.local()  # what went wrong before urllib3 came in

    class HTTPSConnection(HTTPConnection):
        """A connection to that function, by the name that messages of urllib3 show."""

        is_closed = False  # as far as reading goes: urllib3 then says how long it waits

        def request(self, method: str, url: str, body: Any = None, headers: Any = None, **_options: Any) -> None:
            (got,) = first.__dict__.pop("fault", None) or (answer(method, url, headers or {}, body),)
            if got is None:
                problem = "Failed to establish a new connection: [Errno 111] Connection refused"
                raise NewConnectionError(self, problem)
            self._got, self._method = got, method

        def getresponse(self) -> Any:
            got = self._got
            if isinstance(got, Response):
                return urllib3.HTTPResponse(io.BytesIO(got.body), status=got.status, request_method=self._method)
            if got.stalls:
                stalled(float(self.timeout or 0))
                raise TimeoutError("timed out")
            raise http.client.RemoteDisconnected("Remote end closed connection without response")

    class HTTPSConnectionPool(urllib3.HTTPConnectionPool):
        """As the one for HTTPS, which would look at certificates."""

        ConnectionCls = HTTPSConnection

    class Manager(urllib3.PoolManager):
        """The pool of a client."""

        def request(self, method: str, url: str, *arguments: Any, **options: Any) -> Any:
            got = answer(method, url, options.get("headers") or {}, options.get("body"))
            if isinstance(got, Response):
                return got
            first.fault = (got,)
            return super().request(method, url, *arguments, **options)

    manager = Manager(maxsize=8)
    manager.pool_classes_by_scheme = {"http": HTTPSConnectionPool, "https": HTTPSConnectionPool}
    return manager
