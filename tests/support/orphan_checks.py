# SPDX-License-Identifier: GPL-3.0-or-later
"""Find and remove orphans in a test, and compare what is said before with what is done."""

from __future__ import annotations

from typing import Any

from modules import Module


def told(result: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """RESOURCE/NAME to (state, reason)."""
    return {f"{one['resource']}/{one['name']}": (one["state"], one["reason"]) for one in result["orphans"]}


def checked(orphans: Module, **options: Any) -> dict[str, tuple[str, str]]:
    """Report, check mode, the removal of just that, and a second one that finds nothing to do."""
    report, check = orphans(**options), orphans(check=True, state="absent", **options)
    assert told(report) == told(check)
    assert not report["changed"]
    run = orphans(state="absent", **options)
    assert (run["orphans"], run["diff"]) == (check["orphans"], check["diff"])
    again = orphans(state="absent", **options)
    assert (again["changed"], again["diff"]) == (False, [])
    return told(run)
