# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find variables whose templates fail, without an error that shows them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: failing_variables
short_description: Find variables whose templates fail
version_added: 0.1.0
author:
  - The nested.clusters contributors (@nested-clusters)
description:
  - Renders variables and returns the names of those whose templates fail, instead of failing itself.
  - From ansible-core 2.19 on, the error of a template shows the lines of the file around it, with C(no_log) too. A
    playbook that looks here first can report a wrong file that contains secrets without showing any of them.
  - For internal use by the playbooks of this collection.
options:
  _terms:
    description: Names of variables, or with O(in_variable) keys of that variable. Without any, all keys of it.
    type: list
    elements: str
  in_variable:
    description: The name of a dictionary whose values are rendered.
    type: str
"""

EXAMPLES = r"""
- name: Find wrong templates in a file that has been read into a variable
  ansible.builtin.debug:
    msg: "{{ query('nested.clusters.failing_variables', in_variable='from_file') }}"
"""

RETURN = r"""
_raw:
  description: The variables that fail, in the order of the terms.
  type: list
  elements: dict
  contains:
    name:
      description: The name of the variable, or the key.
      type: str
      sample: host_clusters
    undefined:
      description: Whether it fails because it refers to an undefined variable.
      type: bool
      sample: true
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleUndefinedVariable
from ansible.plugins.lookup import LookupBase


def render(templar: Any, value: Any) -> None:
    """Render a value with all that is in it. Raises what its templates raise.

    From ansible-core 2.19 on, a container renders an item when it is read, and undefined is a value that fails later.
    """
    rendered = templar.template(value)
    if isinstance(rendered, Mapping):
        for key, item in rendered.items():
            render(templar, key)
            render(templar, item)
    elif isinstance(rendered, (list, tuple, set)):
        for item in rendered:
            render(templar, item)
    else:
        str(rendered)


class LookupModule(LookupBase):
    """Render each variable, and keep the errors."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Return ``{"name", "undefined"}`` for each variable that fails. Variables that do not exist are left out."""
        self.set_options(var_options=variables, direct=kwargs)
        container = self.get_option("in_variable")
        values: Mapping[str, Any] = variables or {}
        if container:
            values = values.get(container) or {}
        return list(self._failing(terms or list(values if container else []), values))

    def _failing(self, names: list[str], values: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        for name in names:
            if name in values:
                try:
                    render(self._templar, values[name])
                except AnsibleUndefinedVariable:
                    yield {"name": name, "undefined": True}
                except Exception:  # whatever a filter, a test or a lookup raises
                    yield {"name": name, "undefined": False}
