# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the variables of a playbook to the options of its modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.nested.clusters.plugins.filter import module_options as module

module_options = module.FilterModule().filters()["module_options"]


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ({}, {}),
        ({"group": "dev", "at_once": "5"}, {"group": "dev", "at_once": "5"}),
        ({"names": "a, b,,a , c"}, {"names": ["a", "b", "c"]}),
        ({"names": ["a,b", ["c", "a"]]}, {"names": ["a", "b", "c"]}),
        ({"names": ["a", None, "None"]}, {"names": ["a"]}),
        ({"names": [7, 8]}, {"names": ["7", "8"]}),
        ({"name": "a"}, {"names": ["a"]}),
        ({"name": "a", "names": "b"}, {"names": ["a"]}),
        ({"name": ",", "names": "b"}, {"names": ["b"]}),
        ({"names": " , "}, {"names": []}),
        ({"phases": []}, {"phases": []}),
        ({"kinds": "leases,volumes", "namespaces": "x"}, {"kinds": ["leases", "volumes"], "namespaces": ["x"]}),
        ({"selector": "env in (ci,test)"}, {"label_selectors": ["env in (ci,test)"]}),
        ({"selector": ["a=b", ["c=d"]]}, {"label_selectors": ["a=b", "c=d"]}),
        ({"selector": " "}, {"label_selectors": [" "]}),
        ({"cpu": "2", "memory": "8Gi", "storage": 0}, {"size": {"cpu": "2", "memory": "8Gi"}}),
        ({"storage": 0}, {}),
    ],
)
def test_options_of_variables_are_those_of_modules(variables: dict[str, Any], options: dict[str, Any]) -> None:
    assert module_options(variables) == options


def test_options_that_are_parsed_are_added_as_they_are() -> None:
    parsed = {"host_clusters": [{"name": "a"}], "values": {"sync": {}}}
    told = {"host_clusters": "- name: a", "vcluster_values": "sync: {}", "group": "dev"}
    assert module_options(told, parsed) == {"group": "dev", **parsed}


def test_path_of_a_kubeconfig_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/alice")
    for path, wanted in (("out/v1", str(tmp_path.resolve() / "out/v1")), ("~/v1", "/home/alice/v1")):
        assert module_options({"kubeconfig_path": path}) == {"export_kubeconfig": {"path": wanted}}


@pytest.mark.parametrize("arguments", [("text",), ({}, ["list"])])
def test_variables_that_are_no_dictionary_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(AnsibleFilterError, match=r"nested\.clusters\.module_options: .* no dictionaries"):
        module_options(*arguments)
