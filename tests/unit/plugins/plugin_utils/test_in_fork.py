# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a module runs, and that all modules run so. What the fork does is in test_fork.py."""

from __future__ import annotations

import configparser
import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
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
def a_tested_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decide as with an ansible-core that a fork is tested with, whichever one runs the tests."""
    monkeypatch.setattr(in_fork, "__version__", f"{in_fork.TESTED[0]}.0")


def action(
    transport: str = "local",
    become: bool = False,
    async_val: int = 0,
    delegate_to: str | None = None,
    environment: dict[str, str] | None = None,
) -> in_fork.InFork:
    task = SimpleNamespace(
        action="nested.clusters.vcluster_info",
        async_val=async_val,
        delegate_to=delegate_to,
        environment=[environment or {}],
    )
    loader = DataLoader()
    shell = SimpleNamespace(env_prefix=lambda **_variables: "")
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
    monkeypatch.setattr(in_fork.InFork, "_run", lambda *_arguments: "here")
    return one.run(task_vars=variables)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_its_action(name: str) -> None:
    found = importlib.import_module(f"ansible_collections.nested.clusters.plugins.action.{name}").ActionModule
    assert issubclass(found, in_fork.InFork)
    assert found.module.__name__ == f"ansible_collections.nested.clusters.plugins.modules.{name}"


def test_no_action_without_its_module() -> None:
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
    ],
)
def test_here(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], variables: dict[str, Any]) -> None:
    assert where(monkeypatch, action(**options), variables) == "here"


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        pytest.param({"transport": "ssh"}, HERE, id="another machine"),
        pytest.param({"become": True}, HERE, id="another user"),
        pytest.param({"async_val": 60}, HERE, id="asynchronous"),
        pytest.param({"environment": {"PYTHONPATH": "x"}}, HERE, id="with an environment that a start reads"),
        pytest.param({}, {}, id="interpreter not known yet"),
        pytest.param({}, ELSEWHERE, id="another interpreter"),
        pytest.param(
            {"delegate_to": "host"},
            {**HERE, "ansible_delegated_vars": {"host": ELSEWHERE}},
            id="delegated to another interpreter",
        ),
    ],
)
def test_elsewhere(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], variables: dict[str, Any]) -> None:
    assert where(monkeypatch, action(**options), variables) == "elsewhere"


def test_elsewhere_where_its_file_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_fork.constants, "DEFAULT_KEEP_REMOTE_FILES", True)
    assert where(monkeypatch, action(), HERE) == "elsewhere"


@pytest.mark.parametrize("version", ["2.18.19", "2.21.5", "2.190.0"])
def test_elsewhere_with_another_ansible(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(in_fork, "__version__", version)
    assert where(monkeypatch, action(), HERE) == "elsewhere"


def test_elsewhere_on_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_fork.sys, "platform", "darwin")
    assert where(monkeypatch, action(), HERE) == "elsewhere"


def test_the_default_ansible_of_the_tests_is_named_as_tested() -> None:
    cores = configparser.ConfigParser()
    cores.read(REPOSITORY / "tests/cores.ini")
    assert [name for name in cores.sections() if cores[name].getboolean("default")] == list(in_fork.TESTED)
