# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a module runs, and that all modules run so.

What the fork does is in test_forked_module.py, and that it does what Ansible does in test_fork_comparison.py.
"""

from __future__ import annotations

import configparser
import importlib
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.template import Templar
from ansible_collections.nested.clusters.plugins.plugin_utils import in_fork

REPOSITORY = Path(__file__).resolve().parents[4]
PLUGINS = Path(in_fork.__file__).parents[1]
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py"))
HERE = {"ansible_python_interpreter": sys.executable}
ELSEWHERE = {"ansible_python_interpreter": "/usr/bin/env python3"}


@pytest.fixture(autouse=True)
def process_of_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decide as in ansible-playbook's process of a task: pytest has threads, and nobody's variable counts."""
    monkeypatch.setattr(in_fork, "_threads", lambda: 1)
    monkeypatch.delenv("NESTED_CLUSTERS_FORK", raising=False)


def action(
    transport: str = "local",
    become: bool = False,
    async_val: int = 0,
    delegate_to: str | None = None,
    environment: dict[str, str] | None = None,
    remote_tmp: str = "~/.ansible/tmp",
) -> in_fork.InFork:
    task = SimpleNamespace(
        action="nested.clusters.vcluster_info",
        async_val=async_val,
        delegate_to=delegate_to,
        environment=[environment or {}],
    )
    loader = DataLoader()
    options = {"remote_tmp": remote_tmp}
    shell = SimpleNamespace(env_prefix=lambda **_variables: "", get_option=options.__getitem__)
    return in_fork.InFork(
        task=task,
        connection=SimpleNamespace(transport=transport, _shell=shell),
        play_context=SimpleNamespace(become=become),
        loader=loader,
        templar=Templar(loader=loader),
        shared_loader_obj=None,
    )


def where(monkeypatch: pytest.MonkeyPatch, one: in_fork.InFork, variables: dict[str, Any]) -> Any:
    monkeypatch.setattr(Normal, "run", lambda *_arguments: "elsewhere")
    monkeypatch.setattr(in_fork.InFork, "_in_fork", lambda *_arguments: "here")
    return one.run(task_vars=variables)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_its_action(name: str) -> None:
    found = importlib.import_module(f"ansible_collections.nested.clusters.plugins.action.{name}").ActionModule
    assert issubclass(found, in_fork.InFork)
    assert found.module.__name__ == f"ansible_collections.nested.clusters.plugins.modules.{name}"


def test_every_action_has_its_module() -> None:
    assert sorted(path.stem for path in (PLUGINS / "action").glob("*.py")) == MODULES


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        pytest.param({}, HERE, id="local"),
        pytest.param({"environment": {"KUBECONFIG": "x"}}, HERE, id="with an environment"),
        pytest.param(
            {"delegate_to": "localhost"},
            {**ELSEWHERE, "ansible_delegated_vars": {"localhost": HERE}},
            id="delegated to this machine",
        ),
        pytest.param({}, {**HERE, "nested_clusters_fork": "yes"}, id="switched on"),
    ],
)
def test_task_that_is_local_runs_in_a_fork(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], variables: dict[str, Any]
) -> None:
    assert where(monkeypatch, action(**options), variables) == "here"


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        pytest.param({"transport": "ssh"}, HERE, id="another machine"),
        pytest.param({"become": True}, HERE, id="another user"),
        pytest.param({"async_val": 60}, HERE, id="asynchronous"),
        pytest.param({"environment": {"PYTHONPATH": "x"}}, HERE, id="with an environment that a start reads"),
        pytest.param({}, {}, id="interpreter not known yet"),
        pytest.param({}, {**HERE, "nested_clusters_fork": False}, id="switched off"),
        pytest.param({"remote_tmp": "/proc/nowhere"}, HERE, id="remote_tmp that cannot be made"),
        pytest.param({}, ELSEWHERE, id="another interpreter"),
        pytest.param(
            {"delegate_to": "host"},
            {**HERE, "ansible_delegated_vars": {"host": ELSEWHERE}},
            id="delegated to another interpreter",
        ),
    ],
)
def test_task_that_a_fork_does_not_fit_runs_elsewhere(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], variables: dict[str, Any]
) -> None:
    assert where(monkeypatch, action(**options), variables) == "elsewhere"


def test_task_whose_files_are_kept_runs_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_fork.constants, "DEFAULT_KEEP_REMOTE_FILES", True)
    assert where(monkeypatch, action(), HERE) == "elsewhere"


@pytest.mark.parametrize("version", ["2.15.13", "2.22.0", "2.190.0"])
def test_task_of_an_untested_ansible_runs_elsewhere(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(in_fork, "__version__", version)
    assert where(monkeypatch, action(), HERE) == "elsewhere"


def test_task_on_another_system_runs_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_fork.sys, "platform", "darwin")
    assert where(monkeypatch, action(), HERE) == "elsewhere"


@pytest.mark.parametrize(("value", "expected"), [("false", "elsewhere"), ("0", "elsewhere"), ("true", "here")])
def test_environment_variable_switches_the_fork(monkeypatch: pytest.MonkeyPatch, value: str, expected: str) -> None:
    monkeypatch.setenv("NESTED_CLUSTERS_FORK", value)
    assert where(monkeypatch, action(), HERE) == expected


def test_variable_counts_more_than_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NESTED_CLUSTERS_FORK", "false")
    assert where(monkeypatch, action(), {**HERE, "nested_clusters_fork": True}) == "here"


def test_switch_that_is_no_boolean_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnsibleActionFail, match=r"nested_clusters_fork.*maybe.*Set it to true or false"):
        where(monkeypatch, action(), {**HERE, "nested_clusters_fork": "maybe"})


def test_thread_beside_it_prevents_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    end = threading.Event()
    beside = threading.Thread(target=end.wait)
    beside.start()
    try:
        assert in_fork._threads() > 1
        assert where(monkeypatch, action(), HERE) == "elsewhere"
    finally:
        end.set()
        beside.join()


def test_each_ansible_of_the_tests_is_named_as_tested() -> None:
    cores = configparser.ConfigParser()
    cores.read(REPOSITORY / "tests/cores.ini")
    assert cores.sections() == list(in_fork.TESTED)
