# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the collection: one base, a message for people and data for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .redaction import redacted, redacted_text


class NestedClustersError(Exception):
    """An error that ends a task: ``str(error)`` is the message, ``data`` stands beside it in the result.

    Neither shows a credential, wherever it came from: an option, the answer of a server, or what helm printed.
    """

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(redacted_text(message))
        self.data: dict[str, Any] = redacted(data)


class OptionError(NestedClustersError):
    """Name an option whose value cannot be used, before anything is changed.

    ``message`` says what is wrong and what to do, in words that fit the error. Without it, the value, ``reason`` and
    ``allowed`` make a sentence. All three name other values only as :func:`redaction.redacted` returns them.
    """

    def __init__(self, option: str, value: object, allowed: str, *, reason: str = "", message: str = "") -> None:
        shown = redacted(value, option)
        what = "no value is set" if value is None else f"{shown!r} is not usable"
        why = f": {reason}" if reason else ""
        text = message or f"{what}{why}; allowed: {allowed}"
        super().__init__(f"{option}: {text}", option=option, value=shown, allowed=allowed)


def given_twice(one: str, other: str) -> OptionError:
    """Return the error for two names of ``host_clusters`` that mean the same host cluster."""
    message = (
        f"{one} and {other} are the same host cluster (the UID of namespace kube-system is the same); list each host "
        "cluster once"
    )
    return OptionError("host_clusters", [one, other], "each host cluster once", message=message)


def refuse_empty(params: Mapping[str, Any], options: Iterable[str]) -> None:
    """Raise OptionError for an option that is given and empty: a template leaves that whose variable is empty.

    Taken for not given, it would select more than what was meant.
    """
    for option in options:
        value = params[option]
        parts = value if isinstance(value, list) else [value]
        if value is not None and not (parts and all(part.strip() for part in parts)):
            message = "the value is empty and selects nothing; omit the option to select by the others"
            allowed = "leave it out (omit) to select by the other options"
            raise OptionError(option, value, allowed, message=message)


class WaitError(NestedClustersError):
    """A wait failed or timed out; the message has the last state that was read."""
