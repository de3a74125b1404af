# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the collection: one base, a message for people and data for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .redaction import redacted, redacted_text


class NestedClustersError(Exception):
    """Something that ends a task: ``str(error)`` is the message, ``data`` goes beside it in the result.

    Neither shows a credential, wherever it came from: an option, the answer of a server, or what helm printed.
    """

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(redacted_text(message))
        self.data: dict[str, Any] = redacted(data)


class OptionError(NestedClustersError):
    """An option whose value cannot be used; raised before anything is changed.

    ``reason`` and ``allowed`` name other values only as :func:`redaction.redacted` gives them.
    """

    def __init__(self, option: str, value: object, allowed: str, *, reason: str = "") -> None:
        why = f": {reason}" if reason else ""
        shown = redacted(value, option)
        super().__init__(
            f"{option}: {shown!r} is not usable{why}; allowed: {allowed}",
            option=option,
            value=shown,
            allowed=allowed,
        )


def given_twice(one: str, other: str) -> OptionError:
    """Two names of ``host_clusters`` that mean the same host cluster."""
    reason = "both are the same host cluster (the UID of namespace kube-system is the same)"
    return OptionError("host_clusters", [one, other], "each host cluster once", reason=reason)


def refuse_empty(params: Mapping[str, Any], options: Iterable[str]) -> None:
    """Raise OptionError for an option that is given and empty: a template leaves that whose variable is empty.

    Taken for not given, it would select more than what was meant.
    """
    for option in options:
        value = params[option]
        parts = value if isinstance(value, list) else [value]
        if value is not None and not (parts and all(part.strip() for part in parts)):
            allowed = "leave it out (omit) to select by the other options"
            raise OptionError(option, value, allowed, reason="it is empty, so it selects nothing")


class WaitError(NestedClustersError):
    """What was waited for failed, or the time ran out; the message says the last state seen."""
