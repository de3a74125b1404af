# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample of tests that runs on an ansible-core beside the default one."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sampling

REPOSITORY = Path(__file__).resolve().parents[3]
KEPT = [f"{sampling.ALWAYS[0]}[{number}]" for number in range(3)]


def sample(monkeypatch: pytest.MonkeyPatch, size: str, seed: str) -> tuple[list[str], list[str]]:
    """Return what is run, and what is left out, of 100 tests beside those that are always run."""
    monkeypatch.setenv(sampling.SAMPLE, size)
    monkeypatch.setenv(sampling.SEED, seed)
    items: list[Any] = [SimpleNamespace(nodeid=name) for name in (*map(str, range(100)), *KEPT)]
    left_out: list[str] = []
    hook = SimpleNamespace(pytest_deselected=lambda items: left_out.extend(item.nodeid for item in items))
    config: Any = SimpleNamespace(hook=hook)
    sampling.pytest_collection_modifyitems(config, items)
    return [item.nodeid for item in items], left_out


def test_sample_with_the_same_seed_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    run, left_out = sample(monkeypatch, "10", "1")
    assert len(run) == 13
    assert set(run) >= set(KEPT)
    assert sorted([*run, *left_out]) == sorted([*map(str, range(100)), *KEPT])
    assert sample(monkeypatch, "10", "1") == (run, left_out)
    assert sample(monkeypatch, "10", "2") != (run, left_out)
    assert "NESTED_CLUSTERS_SAMPLE=10 NESTED_CLUSTERS_SEED=2" in sampling.pytest_report_header()[0]


@pytest.mark.parametrize("size", ["", "0", "200"])
def test_sample_without_a_size_or_with_a_large_one_is_everything(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    run, left_out = sample(monkeypatch, size, "1")
    assert run == [*map(str, range(100)), *KEPT]
    assert left_out == []


@pytest.mark.parametrize("name", sampling.ALWAYS)
def test_sample_always_has_tests_that_exist(name: str) -> None:
    file, _separator, function = name.partition("::")
    assert re.search(rf"^def {function}\(" if function else "^def test_", (REPOSITORY / file).read_text(), re.MULTILINE)
