# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Define the errors of requests to an API server."""

from __future__ import annotations

import json
import re

from ..common.errors import NestedClustersError

TERMINATED = "because it is being terminated"  # the API server's words for a namespace that is being deleted
WHEN_TERMINATED = "it is being deleted; run the task again, which waits until it is gone"
WHEN_GONE = "it was deleted meanwhile; run the task again"
# What urllib3 puts in front of an error: the connection's repr, or in newer versions its class, host and port
# (source: urllib3/exceptions.py, urllib3/connection.py).
_CONNECTION = re.compile(r"^(?:<.*?>|HTTPS?Connection(?:Pool)?\(host=[^)]*\)): ")


class KubernetesError(NestedClustersError):
    """A request that the API server refused: ``status`` is the HTTP code, ``reason`` the API's own word."""

    def __init__(self, message: str, status: int = 0, reason: str = "") -> None:
        super().__init__(message, status=status, reason=reason)
        self.status = status
        self.reason = reason

    @property
    def passing(self) -> bool:
        """Return whether waiting may help: no answer, or that of an API server that starts, stops or is overloaded."""
        return self.status in (0, 429) or self.status >= 500


class Unreachable(KubernetesError):
    """The API server did not answer."""


def root_cause(error: BaseException) -> str:
    """Return what went wrong in an error of urllib3, without the connection in front of it."""
    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, BaseException) else error
    return _CONNECTION.sub("", str(cause.args[-1] if cause.args else cause)).strip()


def refusal(method: str, where: str, status: int, data: bytes, host: str) -> KubernetesError:
    try:
        answer = json.loads(data)
        message, reason = answer.get("message", ""), answer.get("reason", "")
    except (ValueError, AttributeError):
        message, reason = data.decode(errors="replace")[:300].strip(), ""
    if status == 401:
        message = f"host cluster {host} rejects the credentials of the connection options (401 {message}); check them"
    elif status == 403 and reason == "Forbidden" and " cannot " in message:
        # The API server's own sentence names the user, the verb, the resource and the namespace.
        message = f"no permission on host cluster {host}: {message}; ask for a role with this verb and resource"
    else:
        advice = f"; {WHEN_TERMINATED}" if TERMINATED in message else ""
        if (status, reason) == (404, "NotFound") and method in ("POST", "PATCH"):
            advice = f"; {WHEN_GONE}"  # what is to be changed, or the namespace of what is to be made, was there
        message = f"{method} {where} on host cluster {host}: {status} {message}{advice}"
    return KubernetesError(message, status, reason)
