# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the documentation of connection options: our words, kubernetes.core's options."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.kubernetes.core.plugins.doc_fragments import k8s_auth_options
from ansible_collections.nested.clusters.plugins.doc_fragments import connection, host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec

Options = dict[str, dict[str, Any]]
OURS: Options = yaml.safe_load(connection.ModuleDocFragment.DOCUMENTATION)["options"]
THEIRS: Options = yaml.safe_load(k8s_auth_options.ModuleDocFragment.DOCUMENTATION)["options"]
FRAGMENT = yaml.safe_load(host_clusters.ModuleDocFragment.DOCUMENTATION)
ENTRY: Options = {
    name: option for name, option in FRAGMENT["options"]["host_clusters"]["suboptions"].items() if name != "name"
}


def facts(options: Options) -> Options:
    """What a program reads of options: all but their texts."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "default": option.get("default"),
            "required": option.get("required", False),
            "choices": option.get("choices"),
            "aliases": sorted(option.get("aliases") or []),
            "options": facts(option.get("suboptions") or option.get("options") or {}),
        }
        for name, option in options.items()
    }


def test_connection_options_match_kubernetes_core() -> None:
    assert facts(OURS) == facts(THEIRS)


@pytest.mark.parametrize("documented", [OURS, ENTRY], ids=["connection", "host_clusters"])
def test_connection_options_match_the_argument_spec(documented: Options) -> None:
    assert facts(documented) == facts(auth_argument_spec())


def test_connection_options_name_the_environment_variables_of_kubernetes_core() -> None:
    def variables(options: Options) -> dict[str, set[str]]:
        return {
            name: {word.strip("(),.") for text in option["description"] for word in text.replace("E(", " ").split()}
            for name, option in {**options, **options["proxy_headers"]["suboptions"]}.items()
        }

    ours, theirs = variables(OURS), variables(THEIRS)
    for name, words in theirs.items():
        named = {word for word in words if word.startswith("K8S_AUTH_")}
        assert named <= ours[name], name
    assert all(any(word.startswith("K8S_AUTH_") for word in ours[name]) for name in ours if name != "proxy_headers")


def test_connection_options_are_in_our_own_words() -> None:
    theirs = {text for option in THEIRS.values() for text in option["description"]}
    assert not theirs & {text for option in OURS.values() for text in option["description"]}
