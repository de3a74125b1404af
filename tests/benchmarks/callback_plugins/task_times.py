# SPDX-License-Identifier: GPL-3.0-or-later
"""Write when each task started and when its result was there, a JSON object a line."""

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
    """From the start of a task to its result, as ansible-playbook spends it."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_times"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.started = 0.0

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self.started = time.time()

    def v2_runner_on_ok(self, result: Any) -> None:
        ended = time.time()
        found = result.result
        lists = [found, *found.get("groups", ())]
        record = {
            "name": result.task.name,
            "start": self.started,
            "end": ended,
            "changed": bool(found.get("changed")),
            "clusters": sum(len(one.get("virtual_clusters", ())) for one in lists),
        }
        with open(os.environ["NESTED_BENCH_TIMES"], "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
