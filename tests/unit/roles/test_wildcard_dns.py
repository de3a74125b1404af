# SPDX-License-Identifier: GPL-3.0-or-later
"""The DNS services of the role wildcard_dns: what is said to the modules of their collections."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

PROVIDERS = Path(__file__).resolve().parents[3] / "roles/wildcard_dns/tasks/providers"
COLLECTIONS = Path(sys.prefix, "ansible_collections")  # where tests/tools/toolbox.py puts them


def tasks_of(provider: str) -> list[dict[str, Any]]:
    """The tasks of a provider, also those in a block."""
    found = yaml.safe_load((PROVIDERS / f"{provider}.yml").read_text(encoding="utf-8"))
    return [task for one in found for task in one.get("block", [one])]


def options_of(module: str) -> dict[str, Any]:
    """The documented options of a module."""
    namespace, collection, name = module.split(".")
    path = COLLECTIONS / namespace / collection / f"plugins/modules/{name}.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DOCUMENTATION":
            options: dict[str, Any] = yaml.safe_load(ast.literal_eval(node.value))["options"]
            return options
    raise AssertionError(f"{path} documents nothing")


@pytest.mark.parametrize("provider", ["rfc2136", "route53", "cloudflare", "azure", "google"])
def test_arguments_of_a_provider_are_options_of_its_modules(provider: str) -> None:
    """Each module knows the arguments that it is given, and gets those that it requires."""
    calls = [
        (name, arguments)
        for task in tasks_of(provider)
        for name, arguments in task.items()
        if "." in name and not name.startswith("ansible.builtin.")
    ]
    assert calls
    for module, arguments in calls:
        options = options_of(module)
        assert set(arguments) <= set(options)
        # auth_kind of Google's comes from the environment, as all credentials.
        assert {name for name, option in options.items() if option.get("required")} - {"auth_kind"} <= set(arguments)
