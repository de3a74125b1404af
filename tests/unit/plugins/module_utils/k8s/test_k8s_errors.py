# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the errors of requests: what of urllib3's words is shown."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import root_cause

REFUSED = "Failed to establish a new connection: [Errno 111] Connection refused"
# As older and newer versions of urllib3 write them; 2.8 writes those with a class.
CONNECTIONS = {
    "a repr": "<urllib3.connection.HTTPSConnection object at 0x7f3a5c0d2b50>",
    "a repr with its host": "<HTTPSConnection(host='host', port=443) at 0x7f3a5c0d2b50>",
    "a class with its host": "HTTPSConnection(host='host', port=443)",
    "a class without TLS": "HTTPConnection(host='::1', port=8080)",
    "a pool": "HTTPSConnectionPool(host='host', port=443)",
}


@pytest.mark.parametrize("connection", CONNECTIONS.values(), ids=CONNECTIONS)
def test_root_cause_with_a_connection_is_without_it(connection: str) -> None:
    assert root_cause(OSError(f"{connection}: {REFUSED}")) == REFUSED


@pytest.mark.parametrize("text", [REFUSED, "", "certificate verify failed: 'a' -> 'b': unknown", "[Errno 8] x"])
def test_root_cause_without_a_connection_is_the_text(text: str) -> None:
    assert root_cause(OSError(text)) == text


def test_root_cause_with_a_reason_is_the_reason() -> None:
    error = OSError("Max retries exceeded")
    vars(error)["reason"] = OSError(f"{CONNECTIONS['a class with its host']}: {REFUSED}")
    assert root_cause(error) == REFUSED


def test_root_cause_without_words_is_the_error() -> None:
    assert root_cause(OSError()) == ""
