# SPDX-License-Identifier: GPL-3.0-or-later
"""What pytest does for both tiers: order, markers, and a table of the faults that were tried."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest
import sampling
from sampling import pytest_report_header

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_report_header",
    "pytest_runtest_setup",
    "pytest_terminal_summary",
]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes long, so it is begun with, and no worker ends alone with it")
    config.addinivalue_line("markers", "fault(what, times=1): a test of faults, counted in the table of them")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if mark := item.get_closest_marker("fault"):
        what, *times = mark.args
        item.user_properties.extend([("marked", what)] * (times[0] if times else 1))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A table of the faults that were tried, by kind."""
    tried, survived, lost = Counter[str](), Counter[str](), list[str]()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, text in report.user_properties if report.when == "call" else ():
                tried[text] += name in ("fault", "marked")
                survived[text] += name == "survived" or (name == "marked" and outcome == "passed")
                lost += [text] if name == "lost" else []
    kinds = sorted(kind for kind in tried if tried[kind])
    if not kinds:
        return
    terminalreporter.section(f"faults, seed {os.environ[sampling.SEED]}")
    for kind in [*kinds, "all"]:
        many, well = (sum(tried.values()), sum(survived.values())) if kind == "all" else (tried[kind], survived[kind])
        terminalreporter.write_line(f"{kind:<52} {many:>4} tried {well:>4} survived")
    terminalreporter.write_line(f"lost: {', '.join(lost) or 'nothing'}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    sampling.pytest_collection_modifyitems(config, items)
    items.sort(key=lambda item: not is_long(item))


def is_long(item: pytest.Item) -> bool:
    """Tell whether a test is to be begun with."""
    return item.get_closest_marker("long") is not None
