# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a module runs, that all modules run so, and the fork. The rest is tests/integration/test_in_fork.py."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.release import __version__
from ansible.template import Templar
from ansible_collections.nested.clusters.plugins.plugin_utils import in_fork

PLUGINS = Path(in_fork.__file__).parents[1]
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py"))
HERE = {"ansible_python_interpreter": sys.executable}
ELSEWHERE = {"ansible_python_interpreter": "/usr/bin/env python3"}


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


def test_the_ansible_of_the_tests_is_named_as_tested() -> None:
    assert __version__.rpartition(".")[0] in in_fork.TESTED


# --- the fork ---------------------------------------------------------------------------------------------


def run(
    monkeypatch: pytest.MonkeyPatch, main: Callable[[], None], tmp_path: Path, **environment: str
) -> dict[str, Any]:
    """The result of a module."""
    monkeypatch.setattr(in_fork.InFork, "_update_module_args", lambda *_arguments: None)
    monkeypatch.setattr(in_fork.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    one = action()
    one._task.args = {"name": "x", "number": 1}
    one._loader.set_basedir(str(tmp_path))
    one.module = SimpleNamespace(main=main)  # type: ignore[assignment]
    result: dict[str, Any] = one._run({}, environment)
    assert not list(tmp_path.iterdir())
    return result


def show() -> None:
    """A module that returns what it finds."""
    module = AnsibleModule(argument_spec={"name": {"type": "str"}, "number": {"type": "int"}})
    module.warn("mind the gap")
    print("this goes to the log of nobody", file=sys.stderr)
    (Path(module.tmpdir) / "left").touch()
    with tempfile.NamedTemporaryFile(delete=False) as left:
        place = Path(left.name).parent
    module.exit_json(
        changed=True,
        params=module.params,
        cwd=os.getcwd(),
        variable=os.environ.get("VARIABLE"),
        process=os.getpid(),
        both_in_one_place=str(place) == module.tmpdir,
    )


def test_a_module_has_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = dict(os.environ), os.getcwd(), sys.stdout, tempfile.gettempdir(), signal.getsignal(signal.SIGTERM)
    result = run(monkeypatch, show, tmp_path, VARIABLE="value")
    assert result["params"] == {"name": "x", "number": 1}
    assert result["cwd"] == str(tmp_path)
    assert result["variable"] == "value"
    assert result["process"] != os.getpid()
    assert result["both_in_one_place"]
    assert "mind the gap" in str(result["warnings"])
    now = dict(os.environ), os.getcwd(), sys.stdout, tempfile.gettempdir(), signal.getsignal(signal.SIGTERM)
    assert now == before
    assert capfd.readouterr() == ("", "")


def fail() -> None:
    raise KeyError("swordfish")


def test_an_error_that_nobody_expects_is_told_as_ansible_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = run(monkeypatch, fail, tmp_path)
    assert result["failed"]
    assert "swordfish" in str(result["exception"])
    assert "module_stderr" not in result


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_module_that_is_killed_has_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = run(monkeypatch, die, tmp_path)
    assert result["failed"]
    assert result["rc"] == -signal.SIGKILL
