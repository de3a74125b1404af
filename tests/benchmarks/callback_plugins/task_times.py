# SPDX-License-Identifier: GPL-3.0-or-later
"""Write from when to when each task took its time, a JSON object a line."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: task_times
type: aggregate
short_description: Record when tasks start and end
description: Appends to the file that the environment variable NESTED_BENCH_TIMES names.
"""


class CallbackModule(CallbackBase):
    """What a task adds: from the result before it to its own, as ansible-playbook spends it.

    Not from its start, as ansible-playbook says it: before that it loads an action plugin, and all that this imports.
    """

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_times"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.started = self.ended = 0.0

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self.ended = time.time()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self.started = self.ended

    def v2_runner_on_ok(self, result: Any) -> None:
        self.ended = time.time()
        found = result.result
        lists = [found, *found.get("groups", ())]
        record = {
            "name": result.task.name,
            "start": self.started,
            "end": self.ended,
            "changed": bool(found.get("changed")),
            "clusters": sum(len(one.get("virtual_clusters", ())) for one in lists),
        }
        with open(os.environ["NESTED_BENCH_TIMES"], "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
