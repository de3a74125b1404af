# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether options are documented as an argument specification has them."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

FACTS: dict[str, Any] = {"type": "str", "default": None, "choices": None, "elements": None, "aliases": []}
# In every module's result.
OF_ANSIBLE = {"changed", "diff", "invocation", "warnings"}


def assert_documented(spec: Object, documented: Object) -> None:
    """Assert that options and their suboptions are documented, with what the specification says of each."""
    assert documented.keys() == spec.keys()
    for name, option in spec.items():
        described = documented[name]
        for fact, default in FACTS.items():
            assert described.get(fact, default) == option.get(fact, default), (name, fact)
        assert described.get("required", False) is option.get("required", False), name
        assert described["description"], name
        assert_documented(option.get("options", {}), described.get("suboptions", {}))
