# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the check of galaxy-importer's result."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[2] / "tools/imported_docs.py"
DOCUMENTED = {"short_description": "Manage", "options": [{"name": "name"}]}
MODULE = {"content_type": "module", "content_name": "vcluster", "doc_strings": {"doc": DOCUMENTED}}


@pytest.fixture(scope="module")
def imported_docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("imported_docs", FILE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def result(directory: Path, *contents: dict[str, Any]) -> Path:
    file = directory / "importer_result.json"
    file.write_text(json.dumps({"docs_blob": {"contents": contents}}))
    return file


def test_result_with_all_documentation_passes(imported_docs: ModuleType, tmp_path: Path) -> None:
    role = {"content_type": "role", "content_name": "metallb", "doc_strings": None, "readme_html": "<h1>"}
    action = {"content_type": "action", "content_name": "vcluster", "doc_strings": None}
    assert imported_docs.main(result(tmp_path, MODULE, role, action)) == ""


@pytest.mark.parametrize("doc_strings", [None, {}, {"doc": {}}, {"doc": {**DOCUMENTED, "options": []}}])
def test_result_without_documentation_of_a_module_fails(
    doc_strings: Any, imported_docs: ModuleType, tmp_path: Path
) -> None:
    file = result(tmp_path, MODULE, {**MODULE, "content_name": "vcluster_info", "doc_strings": doc_strings})
    assert imported_docs.main(file) == "galaxy-importer found no documentation for: module vcluster_info"


def test_result_without_a_role_readme_fails(imported_docs: ModuleType, tmp_path: Path) -> None:
    role = {"content_type": "role", "content_name": "metallb", "doc_strings": None, "readme_html": None}
    assert "role metallb" in imported_docs.main(result(tmp_path, MODULE, role))


def test_result_without_modules_fails(imported_docs: ModuleType, tmp_path: Path) -> None:
    assert imported_docs.main(result(tmp_path)) == "galaxy-importer found no module"
