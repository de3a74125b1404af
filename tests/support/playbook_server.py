# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-playbook in forks of a process that has imported it: that takes as long as a short play.

A child runs all of ansible-playbook from the parsing of its arguments on, with workers of its own, so what it says, the
modules that it runs and what they find are what they are without this. Not real is only the start: the imports, also
those of the collection's action plugins with the modules, and the configuration, which ansible-core reads when it is
imported. So a server is for one environment, as far as that has to do with Ansible and Python, and for no ansible.cfg;
forked.py starts one for each. A test about the process itself, or what /proc says of it, starts a real one.
"""

from __future__ import annotations

import atexit
import importlib
import os
import pkgutil
import sys
import warnings
from typing import Any

import fork_server
from ansible import constants
from ansible.cli.playbook import PlaybookCLI
from ansible.config.manager import cleanup_tmp_file, find_ini_config_file
from ansible.parsing.dataloader import DataLoader
from ansible.plugins import loader
from ansible.template import Templar

try:  # since ansible-core 2.19
    from ansible.template import trust_as_template
except ImportError:
    trust_as_template = str

# What every play loads, and what ours do. Anything else is loaded by the child that needs it.
ACTIONS = "ansible_collections.nested.clusters.plugins.action"
TEMPLATE = "{{ [{'a': 1}] | map('combine', {'b': 2}) | rejectattr('a', 'in', []) | list | default([], true) | length }}"
KINDS = (loader.become_loader, loader.callback_loader, loader.connection_loader, loader.shell_loader)
PLUGINS = (
    (loader.action_loader, ("add_host", "assert", "copy", "debug", "include_vars", "set_fact")),
    (loader.inventory_loader, tuple(constants.INVENTORY_ENABLED)),
    (loader.lookup_loader, ("items", "vars", "varnames")),
    (loader.strategy_loader, ("linear",)),
)


def warm_up() -> None:
    """Do what ansible-playbook does before it reads its arguments, and load plugins."""
    os.rmdir(constants.DEFAULT_LOCAL_TMP)  # each child has one of its own
    atexit.unregister(cleanup_tmp_file)
    loader.init_plugin_loader()
    for plugins in KINDS:
        list(plugins.all(class_only=True))
    for plugins, names in PLUGINS:
        for name in names:
            plugins.get(name, class_only=True)
    for module in pkgutil.iter_modules(importlib.import_module(ACTIONS).__path__):
        loader.action_loader.get(f"nested.clusters.{module.name}", class_only=True)
    loader.vars_loader.get("host_group_vars")
    Templar(loader=DataLoader()).template(trust_as_template(TEMPLATE))


def run_playbook(_request: dict[str, Any]) -> None:
    """Run ansible-playbook, with the arguments of this process."""
    if find_ini_config_file(set()):
        raise ValueError("an ansible.cfg is not read in a fork: start a real ansible-playbook")
    constants.DEFAULT_LOCAL_TMP = constants.config.get_config_value("DEFAULT_LOCAL_TMP")
    warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")  # by warm_up
    PlaybookCLI.cli_executor(sys.argv)


if __name__ == "__main__":
    fork_server.serve(warm_up, run_playbook)
