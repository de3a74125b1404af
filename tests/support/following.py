# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow the objects of a host cluster through a watch."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator

import urllib3
from host_api import Host, Object

# What a host cluster that ends, and an object that changes meanwhile, can raise.
FAILURES = (OSError, urllib3.exceptions.HTTPError, AssertionError, ValueError)


def start_following(host: Host, path: str, act: Callable[[Object], None], ended: threading.Event) -> None:
    """Act on each object of a list, and on each that changes, in a thread, until the event."""
    threading.Thread(target=_follow, args=(host, path, act, ended), daemon=True).start()


def _follow(host: Host, path: str, act: Callable[[Object], None], ended: threading.Event) -> None:
    while not ended.is_set():
        with contextlib.suppress(*FAILURES):
            for item in _changes(host, path):
                with contextlib.suppress(AssertionError):  # it has changed meanwhile, or is there, or its end came
                    act(item)
        ended.wait(0.1)


def _changes(host: Host, path: str) -> Iterator[Object]:
    """Yield every object that there is, then each that is made or changed."""
    listed = host.get(path)
    yield from listed["items"]
    query = f"watch=1&resourceVersion={listed['metadata']['resourceVersion']}"
    url = f"{host.configuration.host}{path}{'&' if '?' in path else '?'}{query}"
    answer = host.pool.request("GET", url, headers=host.headers, preload_content=False)
    try:
        for line in answer:
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            if event["type"] != "DELETED":
                yield event["object"]
    finally:
        answer.close()
