# SPDX-License-Identifier: GPL-3.0-or-later
"""Run modules in forks of a process that has imported what they import: a new Python takes a third of a second for it.

A child runs the module's file as ``__main__``. See fork_server.py.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from types import ModuleType
from typing import Any

import fork_server

COLLECTION = "ansible_collections.nested.clusters.plugins.module_utils"
WARM = ("ansible.module_utils.basic", "kubernetes.client", "kubernetes.config", "urllib3", "yaml")


def warm_up() -> None:
    """Import what modules import, from where PYTHONPATH leads to."""
    for name in WARM:
        importlib.import_module(name)
    package = importlib.import_module(COLLECTION)
    for module in pkgutil.walk_packages(package.__path__, f"{COLLECTION}."):
        importlib.import_module(module.name)


def set_constant(name: str, value: float) -> None:
    """Set a constant that module_utils have, such as ``lifecycle.reconcile.SETTLE_SECONDS``."""
    module, _dot, constant = f"{COLLECTION}.{name}".rpartition(".")
    assert hasattr(sys.modules[module], constant), name
    setattr(sys.modules[module], constant, value)


def run_module(request: dict[str, Any]) -> None:
    """Run the file that the first argument names as ``__main__``, with the constants of the request."""
    for name, value in request["constants"].items():
        set_constant(name, value)
    with open(sys.argv[0], "rb") as file:
        code = compile(file.read(), sys.argv[0], "exec")
    main = ModuleType("__main__")
    main.__dict__.update({"__file__": sys.argv[0], "__builtins__": __builtins__})
    sys.modules["__main__"] = main
    exec(code, main.__dict__)


if __name__ == "__main__":
    fork_server.serve(warm_up, run_module)
