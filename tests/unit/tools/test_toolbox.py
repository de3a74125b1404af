# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ansible-core and which Python the tests run on, and what is said where one of them is missing."""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def toolbox() -> ModuleType:
    spec = importlib.util.spec_from_file_location("toolbox", REPOSITORY / "tests/tools/toolbox.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


def test_the_oldest_is_what_the_collection_requires(toolbox: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    requires = yaml.safe_load((REPOSITORY / "meta/runtime.yml").read_text())["requires_ansible"]
    monkeypatch.setenv("NESTED_CLUSTERS_CORE", requires.removeprefix(">=").removesuffix(".0"))
    assert toolbox.chosen_core().ansible_core.startswith("2.16.")


def test_one_is_the_default(toolbox: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NESTED_CLUSTERS_CORE", raising=False)
    core = toolbox.chosen_core()
    assert core.ansible_core.startswith("2.19.")
    assert core.requirements()[0] == f"ansible-core=={core.ansible_core}"
    assert any(line.startswith("ansible-lint==") for line in core.requirements())


def test_tools_that_refuse_a_core_are_left_out(toolbox: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NESTED_CLUSTERS_CORE", "2.17")
    names = {line.partition("==")[0] for line in toolbox.chosen_core().requirements()}
    assert not names & {"ansible-lint", "molecule"}
    assert "pytest" in names


def test_an_unknown_core_is_refused(toolbox: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NESTED_CLUSTERS_CORE", "2.15")
    with pytest.raises(SystemExit, match=r"is 2\.15, and .* has 2\.16, 2\.17"):
        toolbox.chosen_core()


def test_another_python_is_taken(
    toolbox: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program on the PATH that does not run, as pyenv's, is passed over."""
    refuses, runs = tmp_path / "bin/python3.99", tmp_path / "pyenv/versions/3.99.1/bin/python3.99"
    for program, text in [(refuses, "exit 127"), (runs, "echo 3.99")]:
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(refuses.parent), prepend=":")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    started: list[str] = []
    monkeypatch.setattr(toolbox.os, "execv", lambda python, _arguments: started.append(python))
    with pytest.raises(SystemExit):  # as execv came back
        toolbox.use_a_python_of(toolbox.Core("2.99.0", ("3.99",), "99.0.0", ()))
    assert started == [str(runs)]


def test_no_python_is_said(toolbox: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(SystemExit, match=r"ansible-core 2\.99\.0 is tested on Python 3\.98 or 3\.99, and .* PYTHON="):
        toolbox.use_a_python_of(toolbox.Core("2.99.0", ("3.98", "3.99"), "99.0.0", ()))


def test_a_collection_that_is_missing_is_said(
    toolbox: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def download(_directory: Path, *arguments: str) -> None:
        wheel = Path(arguments[arguments.index("--dest") + 1], "ansible-99.0.0-py3-none-any.whl")
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("ansible_collections/kubernetes/core/MANIFEST.json", "{}")

    monkeypatch.setattr(toolbox, "pip", download)
    toolbox.add_collections(tmp_path, "99.0.0", ["kubernetes.core"])
    assert (tmp_path / "ansible_collections/kubernetes/core/MANIFEST.json").exists()
    with pytest.raises(SystemExit, match=r"ansible 99\.0\.0 has no collection awx\.awx"):
        toolbox.add_collections(tmp_path, "99.0.0", ["kubernetes.core", "awx.awx"])
