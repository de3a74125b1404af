# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a URL until it answers, for a minute at most, and print what it says."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request

SECONDS = 60


def answer(url: str) -> str:
    """What the URL answers. Raises OSError where it does not within the time, or answers with an error."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return str(response.read().decode())
        except OSError:  # the ingress controller has not seen the Ingress yet
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    print(answer(sys.argv[1]), end="")
