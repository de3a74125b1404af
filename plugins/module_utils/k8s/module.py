# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of every module of the collection: options, secrets, errors, warnings, diff and exit.

Nothing else calls ``exit_json`` or ``fail_json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..common.errors import NestedClustersError
from .secrets import hide_only_secrets

Diff = Sequence[Mapping[str, str]]


@dataclass
class ModuleResult:
    """What a task returns.

    ``data`` are the keys of the result beside ``changed`` and ``diff``. ``diff`` is returned in diff mode only, and
    None where the module has none. ``failure`` is the message of a task that did a part of its work: it fails, with the
    rest of the result beside the message.
    """

    data: dict[str, Any] = field(default_factory=dict)
    changed: bool = False
    diff: Diff | None = None
    warnings: Sequence[str] = ()
    failure: str = ""


def run_module(spec: dict[str, Any], run: Callable[[AnsibleModule], ModuleResult], **rules: Any) -> None:
    """Run a task: call ``run`` with its options, and leave the process with what it returns.

    ``spec`` are the options, ``rules`` how they go together, such as ``required_by``. A NestedClustersError fails the
    task, with the message and the data of the error.
    """
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True, **rules)
    hide_only_secrets(module)
    try:
        result = run(module)
    except NestedClustersError as error:
        module.fail_json(msg=str(error), **error.data)
    for warning in result.warnings:
        module.warn(warning)
    returned = {"changed": result.changed, **result.data}
    if module._diff and result.diff is not None:
        returned["diff"] = result.diff
    if result.failure:
        module.fail_json(msg=result.failure, **returned)
    module.exit_json(**returned)
