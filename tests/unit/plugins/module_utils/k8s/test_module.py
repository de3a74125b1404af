# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the frame of a module: how a result, a failure and an error leave the process."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.module_utils.k8s.module import ModuleResult, run_module

Result = dict[str, Any]
Task = Callable[..., Result]
DIFF = [{"before": "a", "after": "b"}]


@pytest.fixture
def task(run_module: Task) -> Task:
    """Run a module whose work is ``work``, with the options of a module that has connection options."""

    def call(work: Callable[[Any], ModuleResult], **options: Any) -> Result:
        return run_module(SimpleNamespace(main=lambda: frame(work)), **options)

    return call


def frame(work: Callable[[Any], ModuleResult]) -> None:
    spec = {**auth_argument_spec(), "name": {"type": "str"}, "owner": {"type": "str"}}
    run_module(spec, work, required_by={"owner": "name"})


def bare(result: Result) -> Result:
    return {key: value for key, value in result.items() if key != "invocation"}


@pytest.mark.parametrize("diff", [False, True])
def test_result_is_returned_with_its_diff_only_in_diff_mode(diff: bool, task: Task) -> None:
    result = task(lambda module: ModuleResult({"steps": ["x"]}, True, DIFF, ["mind the gap"]), diff=diff)
    expected = {"changed": True, "steps": ["x"], "warnings": ["mind the gap"]}
    assert bare(result) == ({**expected, "diff": DIFF} if diff else expected)


def test_result_of_a_module_without_a_diff_has_none(task: Task) -> None:
    assert bare(task(lambda module: ModuleResult({"found": []}), diff=True)) == {
        "changed": False,
        "found": [],
        "warnings": [],
    }


def test_failure_returns_what_was_done(task: Task) -> None:
    work = ModuleResult({"steps": ["x"]}, True, DIFF, ["mind the gap"], failure="1 of 2 failed")
    assert bare(task(lambda module: work, diff=True)) == {
        "failed": True,
        "msg": "1 of 2 failed",
        "changed": True,
        "steps": ["x"],
        "diff": DIFF,
        "warnings": ["mind the gap"],
    }


def test_error_fails_with_its_data(task: Task) -> None:
    def work(_module: Any) -> ModuleResult:
        raise OptionError("name", "x", "y")

    result = task(work)
    assert result["failed"]
    assert (result["option"], result["value"], result["allowed"]) == ("name", "x", "y")
    assert result["msg"].startswith("name: 'x' is not usable")


def test_options_are_checked_together(task: Task) -> None:
    assert "owner" in task(lambda module: ModuleResult(), owner="alice")["msg"]


def test_check_mode_reaches_the_work(task: Task) -> None:
    result = task(lambda module: ModuleResult({"check": module.check_mode}), check_mode=True)
    assert result["check"] is True


def test_secrets_are_hidden_before_the_work_begins(task: Task) -> None:
    def work(module: Any) -> ModuleResult:
        raise NestedClustersError(f"{module.params['context']} does not take {module.params['api_key']}")

    result = task(work, api_key="hunter2-token", context="prod")
    assert "hunter2" not in str(result)
    assert "prod" in result["msg"]
