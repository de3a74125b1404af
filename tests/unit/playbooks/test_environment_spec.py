# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment may say is what the modules take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.modules import vcluster_fleet, vcluster_group

REPOSITORY = Path(__file__).resolve().parents[3]
SPEC: dict[str, Any] = yaml.safe_load((REPOSITORY / "playbooks/vars/environment_spec.yml").read_text())


def resolved(spec: Any) -> Any:
    """The spec with the parts it names by a variable."""
    if isinstance(spec, str) and spec.startswith("{{"):
        return resolved(SPEC[spec.strip("{} ")])
    if isinstance(spec, dict):
        return {name: resolved(value) for name, value in spec.items()}
    return spec


def shape(spec: dict[str, Any]) -> dict[str, Any]:
    """Types, choices and suboptions; without defaults, which are the module's own."""
    return {
        name: (
            option.get("type", "str"),
            option.get("elements"),
            sorted(option.get("choices") or []),
            bool(option.get("required")),
            shape(option.get("options") or {}),
        )
        for name, option in spec.items()
    }


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (
            SPEC["environment_virtual_cluster"],
            vcluster_fleet.argument_spec()["virtual_clusters"]["options"],
        ),
        (
            SPEC["environment_group_settings"],
            {
                name: option
                for name, option in vcluster_group.argument_spec().items()
                if name in SPEC["environment_group_settings"]
            },
        ),
    ],
)
def test_it_has_the_options_of_the_module(spec: dict[str, Any], options: dict[str, Any]) -> None:
    assert shape(resolved(spec)) == shape(options)


def test_it_has_all_that_a_group_has() -> None:
    own = set(vcluster_group.argument_spec()) - set(vcluster_fleet.argument_spec()) - {"name", "state"}
    assert own == set(SPEC["environment_group_settings"])


def test_it_has_what_goes_for_the_whole_fleet() -> None:
    fleet = set(vcluster_fleet.argument_spec()) - set(vcluster_group.argument_spec())
    assert fleet - {"wait"} <= set(SPEC["environment_spec"])


def test_it_has_the_providers_of_the_role() -> None:
    role = yaml.safe_load((REPOSITORY / "roles/wildcard_dns/meta/argument_specs.yml").read_text())
    options = role["argument_specs"]["main"]["options"]
    dns = SPEC["environment_host_settings"]["dns"]["options"]
    assert dns["provider"]["choices"] == options["wildcard_dns_provider"]["choices"]


def test_what_differs_between_host_clusters_is_a_variable_of_a_role() -> None:
    known = {
        name
        for file in REPOSITORY.glob("roles/*/meta/argument_specs.yml")
        for name in yaml.safe_load(file.read_text())["argument_specs"]["main"]["options"]
    }
    own = set(SPEC["environment_own_variables"])
    assert {name for name in own - known if not name.startswith("ingress_nginx_")} == set()
    prepared = (REPOSITORY / "playbooks/tasks/prepare.yml").read_text()
    assert {name for name in own if f"{name}:" not in prepared} == set()
