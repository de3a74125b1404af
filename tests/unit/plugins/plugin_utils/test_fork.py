# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module finds in a fork, and what becomes of its result. Only for an ansible-core that a fork is tested with.

With others, tests/unit/conftest.py leaves this file out, and test_in_fork.py says that no fork is made. The rest is
tests/real/test_in_fork.py.
"""

from __future__ import annotations

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
from ansible.template import Templar
from ansible_collections.nested.clusters.plugins.plugin_utils import in_fork


def run(
    monkeypatch: pytest.MonkeyPatch, main: Callable[[], None], tmp_path: Path, **environment: str
) -> dict[str, Any]:
    """The result of a module."""
    monkeypatch.setattr(in_fork.InFork, "_update_module_args", lambda *_arguments: None)
    monkeypatch.setattr(in_fork.constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    loader = DataLoader()
    loader.set_basedir(str(tmp_path))
    one = in_fork.InFork(
        task=SimpleNamespace(action="nested.clusters.vcluster_info", args={"name": "x", "number": 1}, async_val=0),
        connection=None,
        play_context=None,
        loader=loader,
        templar=Templar(loader=loader),
        shared_loader_obj=None,
    )
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
