# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates that fail are found, in whatever way they fail, and their values are not in the answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import forked
import yaml
from playing import home, log

VALUES = """
fine: "{{ 1 + 1 }}"
list: [1, {a: "{{ inventory_hostname }}"}]
unsafe: !unsafe "{{ 1 / 0 }}"
zero: "canary {{ 1 / 0 }}"
deep: {a: [{b: "canary {{ 'x' | no_such_filter }}"}]}
key: {"{{ 1 / 0 }}": canary}
syntax: "canary {{ a b }}"
mandatory: "canary {{ nowhere | mandatory }}"
lookup: "canary {{ lookup('ansible.builtin.file', '/no/such/file') }}"
undefined: ["canary {{ nowhere }}"]
attribute: "canary {{ 'text'.nothing }}"
"""
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_vars: {file: "{{ values }}", name: from_file}
      no_log: true
    - ansible.builtin.copy:
        dest: "{{ out }}"
        mode: "0600"
        content: >-
          {{ {'all': query('nested.clusters.failing_variables', in_variable='from_file'),
              'two': query('nested.clusters.failing_variables', 'zero', 'fine', in_variable='from_file'),
              'own': query('nested.clusters.failing_variables', 'broken', 'out', 'no_such_variable'),
              'none': query('nested.clusters.failing_variables', in_variable='no_such_variable')} | to_json }}
      vars:
        broken: "{{ nowhere }}"
"""


def test_each_failing_variable_is_named(tmp_path: Path) -> None:
    (tmp_path / "values.yml").write_text(VALUES)
    (tmp_path / "try.yml").write_text(PLAYBOOK)
    told = {"values": str(tmp_path / "values.yml"), "out": str(tmp_path / "out.json")}
    written = log()
    settings = {"ANSIBLE_HOME": home(), "ANSIBLE_NOCOLOR": "true", "ANSIBLE_LOG_PATH": str(written)}
    arguments = [str(tmp_path / "try.yml"), "-vvvv", "--extra-vars", json.dumps(told)]
    done = forked.run_playbook(arguments, {**os.environ, **settings})
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "canary" not in said + written.read_text()
    found: dict[str, Any] = json.loads((tmp_path / "out.json").read_text())
    failing = {one["name"]: one["undefined"] for one in found["all"]}
    names = list(yaml.safe_load(VALUES.replace("!unsafe ", "")))
    assert list(failing) == names[names.index("zero") :]
    assert failing.pop("undefined") is True
    assert failing.pop("attribute") is True
    assert failing.pop("mandatory") in (True, False)  # before 2.19, it is an error of its own
    assert not any(failing.values())
    assert found["two"] == [{"name": "zero", "undefined": False}]
    assert found["own"] == [{"name": "broken", "undefined": True}]
    assert found["none"] == []
