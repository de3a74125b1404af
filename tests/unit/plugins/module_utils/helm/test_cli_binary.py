# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of cli: which helm is run, and which versions are refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.helm import cli as helm_cli
from ansible_collections.nested.clusters.plugins.module_utils.helm.cli import Helm
from helm_binary import HelmProgram, host, run_command


@pytest.fixture
def fake(tmp_path: Path) -> HelmProgram:
    directory = tmp_path / "bin"
    directory.mkdir()
    return HelmProgram(directory)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


@pytest.mark.parametrize(
    ("version", "expected"),
    [("v3.14.0", (3, 14)), ("v3.22.0", (3, 22)), ("v4.0.0-rc.1", (4, 0)), ("v4.3.1+gabcdef", (4, 3))],
)
def test_binary_version_supported_is_parsed(version: str, expected: tuple[int, int], fake: HelmProgram) -> None:
    fake.says(version=version)
    assert helm_cli.binary_version(str(fake.binary), run_command) == expected


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ({"version": "v3.13.3"}, "3.13"),
        ({"version": "v2.17.0"}, "2.17"),
        ({"version": "GNU bash, version 5.2"}, "does not answer as helm does"),
        ({"version": ""}, "does not answer as helm does"),
        ({"version": "v4.3.1", "version_status": 1}, "does not answer as helm does"),
    ],
)
def test_binary_version_unsupported_is_refused(
    answer: dict[str, Any], word: str, fake: HelmProgram, work: Path
) -> None:
    fake.says(**answer)
    with pytest.raises(OptionError) as caught:
        Helm(host(), run_command, str(fake.binary), str(work))
    assert word in str(caught.value)
    assert str(caught.value).startswith("binary_path: ")
    assert "helm 3.14 or later" in str(caught.value)
    assert list(work.iterdir()) == []


def test_find_binary_missing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    text = tmp_path / "text"
    text.write_text("no program")
    for binary in (None, "helm", str(tmp_path / "helm"), str(text)):
        with pytest.raises(OptionError, match=r"binary_path: there is no program .*helm\.sh"):
            helm_cli.find_binary(binary)


def test_binary_version_file_that_cannot_run_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "helm"
    binary.write_text("#!/nonexistent/interpreter\n")
    binary.chmod(0o755)
    with pytest.raises(OptionError, match="binary_path"):
        helm_cli.binary_version(helm_cli.find_binary(str(binary)), run_command)


def test_find_binary_on_path_is_found(fake: HelmProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fake.binary.parent), prepend=os.pathsep)
    assert helm_cli.find_binary(None) == str(fake.binary)
