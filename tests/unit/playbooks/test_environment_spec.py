# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment may say is what the modules take."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import forked
import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.nested.clusters.plugins.modules import vcluster_fleet, vcluster_group
from playing import home

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
def test_environment_spec_has_the_options_of_the_module(spec: dict[str, Any], options: dict[str, Any]) -> None:
    assert shape(resolved(spec)) == shape(options)


def test_group_settings_of_the_spec_are_all_options_of_a_group() -> None:
    own = set(vcluster_group.argument_spec()) - set(vcluster_fleet.argument_spec()) - {"name", "state"}
    assert own == set(SPEC["environment_group_settings"])


def test_environment_spec_has_the_options_of_the_whole_fleet() -> None:
    fleet = set(vcluster_fleet.argument_spec()) - set(vcluster_group.argument_spec())
    assert fleet - {"wait"} <= set(SPEC["environment_spec"])


def test_environment_spec_has_the_dns_providers_of_the_role() -> None:
    role = yaml.safe_load((REPOSITORY / "roles/wildcard_dns/meta/argument_specs.yml").read_text())
    options = role["argument_specs"]["main"]["options"]
    dns = SPEC["environment_host_settings"]["dns"]["options"]
    assert dns["provider"]["choices"] == options["wildcard_dns_provider"]["choices"]


def test_setting_of_one_host_cluster_is_a_variable_of_a_role() -> None:
    known = {
        name
        for file in REPOSITORY.glob("roles/*/meta/argument_specs.yml")
        for name in yaml.safe_load(file.read_text())["argument_specs"]["main"]["options"]
    }
    own = set(SPEC["environment_per_host_variables"])
    assert own - known == set()
    prepared = (REPOSITORY / "playbooks/tasks/prepare.yml").read_text()
    assert {name for name in own if f"{name}:" not in prepared} == set()


def test_example_of_an_environment_fits_the_spec() -> None:
    example = yaml.safe_load((REPOSITORY / "examples/environment.yml").read_text())
    done = ArgumentSpecValidator(resolved(SPEC["environment_spec"])).validate(example)
    assert done.error_messages == []
    assert [one.get("state") for one in example["virtual_clusters"]].count("paused") == 1


TRY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_tasks: tasks/environment.yml
- hosts: environment_host_clusters
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        dest: "{{ out }}/{{ environment_host.name }}"
        content: "{{ environment_prepare | join(' ') }}"
        mode: "0600"
"""


@pytest.mark.parametrize(
    ("endpoint", "roles"),
    [
        ({}, ["metallb", "wildcard_dns", "", "gateway_api"]),
        ({"type": "load_balancer"}, ["metallb", "wildcard_dns", "", "gateway_api"]),
        (
            {"type": "ingress", "ingress_class": "nginx"},
            ["metallb ingress_nginx", "ingress_nginx wildcard_dns", "ingress_nginx", "gateway_api"],
        ),
        (
            {"type": "gateway", "gateway_name": "g"},
            ["metallb gateway_api", "gateway_api wildcard_dns", "gateway_api", "gateway_api"],
        ),
    ],
    ids=lambda value: value.get("type", "none") if isinstance(value, dict) else "",
)
def test_endpoint_of_the_group_decides_which_roles_run(
    endpoint: dict[str, Any], roles: list[str], tmp_path: Path
) -> None:
    playbooks = tmp_path / "playbooks"
    playbooks.mkdir()
    for name in ("tasks", "vars"):
        (playbooks / name).symlink_to(REPOSITORY / "playbooks" / name)
    (tmp_path / "roles").symlink_to(REPOSITORY / "roles")
    (playbooks / "try.yml").write_text(TRY)
    settings: list[dict[str, Any]] = [
        {"pools": [{"name": "p", "addresses": ["192.0.2.0/28"]}]},
        {"dns": {"provider": "none"}},
        {},
        {"prepare": ["gateway_api"]},
    ]
    told = {
        "out": str(tmp_path),
        "group": "dev",
        "group_settings": {"endpoint": endpoint},
        "host_clusters": [{"name": f"h{number}"} for number in range(4)],
        "host_settings": [{"name": f"h{number}", **own} for number, own in enumerate(settings)],
        "virtual_clusters": [],
    }
    environment = {**os.environ, "ANSIBLE_HOME": home(), "ANSIBLE_NOCOLOR": "true"}
    done = forked.run_playbook([str(playbooks / "try.yml"), "--extra-vars", json.dumps(told)], environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(tmp_path / f"h{number}").read_text() for number in range(4)] == roles
