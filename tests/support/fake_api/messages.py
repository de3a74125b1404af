# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests as the API server gets them, answers, and faults in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass
class Request:
    """One request, decoded; ``status`` is what was answered, and 0 where nothing was."""

    method: str
    path: str  # as it was sent: names are quoted
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    body: Any = None
    status: int = 0

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Response:
    """An answer: a document, or plain text."""

    status: int
    body: bytes

    @property
    def data(self) -> bytes:
        """Its content, as urllib3 calls it."""
        return self.body

    @classmethod
    def of(cls, document: Object, status: int = 200) -> Response:
        """Return the answer that is this document."""
        return cls(status, json.dumps(document).encode())


@dataclass(frozen=True)
class Fault:
    """What goes wrong on the network. ``processed``: the API server has done the request."""

    stalls: bool = False
    processed: bool = False


DROPPED = Fault()  # the connection, before the request came
ANSWER_LOST = Fault(processed=True)  # the connection, after the request was done
STALLED = Fault(stalls=True)  # no answer until the client gives up
# What an interceptor returns: nothing, which lets the request pass, the status or the answer that is sent instead, or
# a fault.
Verdict = None | int | Response | Fault
Interceptor = Callable[[Request], Verdict]


class Refused(Exception):
    """A request that the API server refuses."""

    def __init__(self, status: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.response = refusal(status, message, reason, details)


class NotServed(Refused):
    """A request to an API that nobody serves, which is answered in plain text."""

    def __init__(self) -> None:
        super().__init__(404, "", "404 page not found")
        self.response = Response(404, b"404 page not found\n")


_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
_MESSAGES = {
    401: "Unauthorized",
    410: "The provided continue parameter is too old to display a consistent list result.",
    429: "Too many requests, please try again later.",
    503: "the server is currently unable to handle the request",
}


def refusal(status: int, message: str = "", reason: str | None = None, details: Object | None = None) -> Response:
    """Return a refusal with the API server's own words where none are given."""
    reason = _REASONS.get(status, "") if reason is None else reason
    body: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    body["message"] = message or _MESSAGES.get(status, f"an interceptor answers {status}")
    if reason:
        body["reason"] = reason
    if details is not None:
        body["details"] = details
    return Response.of({**body, "code": status}, status)
