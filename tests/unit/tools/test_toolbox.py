# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ansible-core and which Python the tests run on, and what is said where one of them is missing."""

from __future__ import annotations

import importlib.util
import re
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

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


@pytest.fixture(autouse=True)
def no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NESTED_CLUSTERS_CORE", raising=False)


def core(toolbox: ModuleType, *pythons: str) -> Any:
    return toolbox.Core("2.99.0", pythons, "99.0.0", ())


def test_cores_are_those_that_the_collection_requires(toolbox: ModuleType) -> None:
    requires = yaml.safe_load((REPOSITORY / "meta/runtime.yml").read_text())["requires_ansible"]
    match = re.fullmatch(r">=2\.(\d+)\.0,<2\.(\d+)\.0", requires)
    assert match is not None
    oldest, after = match.groups()
    tested = {core.ansible_core.rpartition(".")[0] for core in toolbox.candidates()}
    assert tested == {f"2.{minor}" for minor in range(int(oldest), int(after))}


def test_candidates_begin_with_the_default_and_then_the_newest(toolbox: ModuleType) -> None:
    minors = [core.ansible_core.rpartition(".")[0] for core in toolbox.candidates()]
    assert minors == ["2.21", "2.20", "2.19", "2.18", "2.17", "2.16"]
    core = toolbox.candidates()[0]
    assert core.requirements()[0] == f"ansible-core=={core.ansible_core}"
    assert any(line.startswith("ansible-lint==") for line in core.requirements())


def test_tools_that_refuse_a_core_are_left_out(toolbox: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NESTED_CLUSTERS_CORE", "2.17")
    names = {line.partition("==")[0] for line in toolbox.candidates()[0].requirements()}
    assert not names & {"ansible-lint", "molecule"}
    assert "pytest" in names


def test_unknown_core_is_refused(toolbox: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NESTED_CLUSTERS_CORE", "2.15")
    with pytest.raises(SystemExit, match=r"is 2\.15, and .* has 2\.16, 2\.17"):
        toolbox.candidates()


def test_core_without_its_first_python_takes_another(
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
    assert toolbox.python_for(core(toolbox, "3.99")) == str(runs)
    started: list[str] = []
    monkeypatch.setattr(toolbox, "candidates", lambda: [core(toolbox, "3.99")])
    monkeypatch.setattr(toolbox.os, "execv", lambda python, _arguments: started.append(python))
    toolbox.choose()  # which goes on in the other Python
    assert started == [str(runs)]


def test_core_without_a_python_gives_way_to_the_next(
    toolbox: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    second = core(toolbox, f"{sys.version_info.major}.{sys.version_info.minor}")
    monkeypatch.setattr(toolbox, "candidates", lambda: [core(toolbox, "3.98"), second])
    assert toolbox.choose() is second
    assert "no python3.98 on the PATH" in capsys.readouterr().err


def test_missing_python_has_an_exit_status_of_its_own(
    toolbox: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setattr(toolbox, "candidates", lambda: [core(toolbox, "3.98", "3.99")])
    with pytest.raises(SystemExit) as ended:
        toolbox.choose()
    assert ended.value.code == toolbox.NO_PYTHON == 77
    told = capsys.readouterr().err
    assert "ansible-core 2.99.0 is tested on Python 3.98 or 3.99" in told
    assert "pyenv install 3.98" in told


def test_missing_collection_is_named(
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
