# SPDX-License-Identifier: GPL-3.0-or-later
"""A random sample of the tests, for an ansible-core on which not all of them run each time.

NESTED_CLUSTERS_SAMPLE: how many tests are chosen; all run without it. NESTED_CLUSTERS_SEED: what chooses them, so that
the same sample can be run again. What ALWAYS names is run beside those.
"""

from __future__ import annotations

import os
import random

import pytest

SAMPLE, SEED = "NESTED_CLUSTERS_SAMPLE", "NESTED_CLUSTERS_SEED"
# What differs from one ansible-core to the next: how modules get their options, and give their results.
ALWAYS = (
    "tests/unit/plugins/plugin_utils/test_fork_comparison.py::test_result_in_fork_equals_that_of_a_new_python",
    "tests/unit/plugins/plugin_utils/test_in_fork.py",
    "tests/api/test_every_module.py",
)

# One seed for all processes of a run: those of pytest-xdist inherit it.
os.environ.setdefault(SEED, str(random.SystemRandom().randrange(10**6)))


def pytest_report_header() -> list[str]:
    """Say how the sample can be run again."""
    wanted = os.environ.get(SAMPLE)
    return [f"a sample of {wanted} tests: {SAMPLE}={wanted} {SEED}={os.environ[SEED]}"] if wanted else []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the sample does not have."""
    if not (wanted := int(os.environ.get(SAMPLE) or 0)):
        return
    others = [item.nodeid for item in items if not item.nodeid.startswith(ALWAYS)]
    left_out = set(others).difference(random.Random(os.environ[SEED]).sample(others, min(wanted, len(others))))
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]
