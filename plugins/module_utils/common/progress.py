# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report what a task waits for while it waits. The action plugin that has forked the module shows it.

A module in a process of its own has nobody to report to: Ansible reads what it prints when it has ended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress

from ansible.module_utils.common.parameters import remove_values

from .redaction import redacted_text

MAX_LENGTH = 300  # characters of a text, so that a line is below what a pipe takes as a whole (4096 bytes)


class _Reporter:
    def __init__(self) -> None:
        self.descriptor = -1
        self.hidden: Iterable[str] = ()
        self.last: dict[str, str] = {}

    def report(self, subject: str, text: str) -> None:
        if self.descriptor < 0 or self.last.get(subject) == text:
            return
        self.last[subject] = text
        shown = [one_line(redacted_text(str(remove_values(item, self.hidden)))) for item in (subject, text)]
        with suppress(OSError):  # nobody reads any more, or not fast enough: that is no reason to fail or to wait
            os.write(self.descriptor, json.dumps(shown, ensure_ascii=False).encode() + b"\n")


_reporter = _Reporter()


def send_to(descriptor: int) -> None:
    """Send what is reported from here on to a pipe, as lines of JSON: ``[subject, text]``."""
    os.set_blocking(descriptor, False)
    _reporter.descriptor = descriptor


def hide(values: Iterable[str]) -> None:
    """Replace these values in what is reported, as in a module's result. Values added to a set later count as well."""
    _reporter.hidden = values


def report(subject: str, text: str) -> None:
    """Report what a task waits for now, such as ``("virtual cluster dev", "0 of 1 replicas ready")``.

    Only a text that differs from the last one of its subject is sent, and none where nobody shows it. It may be what
    the error of the same wait would say, and nothing else.
    """
    _reporter.report(subject, text)


def one_line(text: str) -> str:
    """Return the text in one line of at most MAX_LENGTH characters, without what could control a terminal."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if len(line) <= MAX_LENGTH else line[: MAX_LENGTH - 3] + "..."
