# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules that the variables of a playbook lead to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from jinja2 import Undefined

_LISTS = {"name": "names", "names": "names", "kinds": "kinds", "namespaces": "namespaces", "phases": "phases"}
_SIZES = ("cpu", "memory", "storage")
_NULLS = (None, "None", "null")  # what Ansible's filter flatten drops


def module_options(variables: Any, parsed: Any = None) -> dict[str, Any]:
    """Return the options of modules, by name. Raises AnsibleFilterError for what is no dictionary.

    variables: those that are set, by name. parsed: options whose text has been read as YAML already, by name.
    """
    if isinstance(variables, Undefined):  # ansible-core before 2.19 leaves it to the filter to name the variable
        len(variables)  # which raises the error that names it
    if not (isinstance(variables, Mapping) and isinstance(parsed or {}, Mapping)):
        raise AnsibleFilterError("nested.clusters.module_options: variables and parsed options are no dictionaries")
    options: dict[str, Any] = {}
    size: dict[str, Any] = {}
    for name, value in variables.items():
        if name in _LISTS:
            # A list that is set and empty stays, to be refused: left out, it would not narrow the selection.
            options[_LISTS[name]] = options.get(_LISTS[name]) or _items(value)
        elif name == "selector":
            # A text is one label selector, because a comma may be within a term, as in env in (ci,test).
            options["label_selectors"] = list(_flat(value))
        elif name in _SIZES:
            size.update({name: value} if value else {})
        elif name == "kubeconfig_path":
            # Ansible itself would start from the playbook's directory, which is inside the collection.
            options["export_kubeconfig"] = {"path": os.path.realpath(os.path.expanduser(value))}
        elif name not in ("host_clusters", "vcluster_values"):
            options[name] = value
    return {**options, **(parsed or {}), **({"size": size} if size else {})}


def _items(value: Any) -> list[str]:
    """Return the items of a list, or of a text that separates them by commas: each once, and none that is blank."""
    texts = (text.strip() for one in _flat(value) for text in str(one).split(","))
    return list(dict.fromkeys(filter(None, texts)))


def _flat(value: Any) -> Iterator[Any]:
    """Yield what is in a list and in the lists in it; a value that is no list is one item."""
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _flat(one)
    elif value not in _NULLS:
        yield value


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by its name."""
        return {"module_options": module_options}
