# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show what a module reports while it waits: after ten seconds, and then whenever it changes."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress

from ansible import constants
from ansible.utils.display import Display
from ansible_collections.nested.clusters.plugins.module_utils.common.progress import one_line

QUIET_SECONDS = 10

display = Display()


class ProgressDisplay:
    """Shows the lines that module_utils/common/progress.py has written to a pipe."""

    def __init__(self, host: str, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._host = host
        self._silent_until = time.monotonic() + quiet_seconds
        self._rest = b""
        self._pending: dict[str, str] = {}
        self._parent = os.getppid()

    def receive(self, data: bytes) -> None:
        """Take what was read, which may end within a line."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with suppress(TypeError, ValueError):  # whatever a module writes there: it is not what a task fails for
                subject, text = map(str, json.loads(line))
                # As long as nothing is shown, the newest is enough.
                self._pending[one_line(subject)] = one_line(text)

    def tick(self) -> None:
        """Show what is due by now."""
        if time.monotonic() < self._silent_until:
            return
        pending, self._pending = self._pending, {}
        for subject, text in pending.items():
            self._show(f"WAITING: [{self._host}]: {subject}: {text}")

    def _show(self, line: str) -> None:
        # Once ansible-playbook was killed, nobody reads what is sent to it: a full pipe would be waited for, for ever.
        # The module goes on, as without a fork.
        if os.getppid() != self._parent:
            return
        with suppress(OSError):  # it has just been killed
            # Standard output is the callback's, which may write JSON there for programs.
            display.display(line, color=constants.COLOR_VERBOSE, stderr=True)


class NoDisplay:
    """Shows nothing: what a task with ``no_log`` does is nobody's business."""

    def receive(self, data: bytes) -> None:
        """Drop what was read."""

    def tick(self) -> None:
        """Do nothing."""
