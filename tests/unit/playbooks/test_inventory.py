# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that an inventory gives localhost hold in every play of a playbook, and connections are not shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from playing import Playbooks

CONNECTION = {"name": "host-a", "host": "https://host-a.example.com", "api_key": "very-secret"}


@pytest.fixture
def inventory(tmp_path: Path) -> str:
    """An inventory whose localhost knows the group, its host clusters and more."""
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"localhost": None, "v2": None}}}))
    (tmp_path / "host_vars").mkdir()
    variables = {
        "ansible_connection": "local",
        "group": "dev",
        "host_clusters": [CONNECTION],
        "chart_ref": "/charts/vcluster",
        "wait_timeout": 77,
        "batch": 1,
    }
    (tmp_path / "host_vars/localhost.yml").write_text(yaml.safe_dump(variables))
    # A host of the inventory that has the name of a virtual cluster, and is none.
    others = {"group": "other", "host_clusters": [{"name": "elsewhere"}], "chart_ref": "other", "wait_timeout": 5}
    (tmp_path / "host_vars/v2.yml").write_text(yaml.safe_dump(others))
    return str(tmp_path / "hosts.yml")


def test_host_clusters_of_the_inventory_reach_every_play(tmp_path: Path, inventory: str) -> None:
    played = Playbooks(tmp_path).run("update upgrade", {"vcluster_version": "0.36.1"}, "-i", inventory, "-vvvv")
    assert played.rc == 0, played.said
    upgraded: list[dict[str, Any]] = []
    for module, options in played.options:
        assert options["host_clusters"] == [CONNECTION], module
        assert options.get("group", options["name"]) == "dev"
        if module == "vcluster":
            assert options["chart_ref"] == "/charts/vcluster"
            upgraded += [options] if "wait_timeout" in options else []
    assert [(one["name"], int(one["wait_timeout"])) for one in upgraded] == [("v1", 77), ("v2", 77)]
    assert "very-secret" not in played.said
    assert "PLAY [Upgrade the canary, then the others in batches]" in played.said


def test_variables_of_localhost_reach_the_roles(tmp_path: Path, inventory: str) -> None:
    """Those that the host clusters have in common are beside the rest of the environment, wherever that stands."""
    own = {"dns_pattern": "*.a.example.com", "pools": [{"name": "lan", "addresses": ["192.0.2.1-192.0.2.9"]}]}
    variables = yaml.safe_load((tmp_path / "host_vars/localhost.yml").read_text())
    variables |= {"host_settings": [{"name": "host-a", **own}], "virtual_clusters": [{"name": "v1"}]}
    variables["host_clusters"] = yaml.safe_dump([CONNECTION])
    variables |= {"metallb_namespace": "balancers", "metallb_values": {"speaker": {"enabled": False}}}
    (tmp_path / "host_vars/localhost.yml").write_text(yaml.safe_dump(variables))
    answers: dict[str, Any] = {"vcluster_group": {"steps": []}, "vcluster_fleet": {"virtual_clusters": []}}
    played = Playbooks(tmp_path).run("environment", {"environment_file": ""}, "-i", inventory, answers=answers)
    assert played.rc == 0, played.said
    assert played.options[0] == ("vcluster_group_info", {"name": "dev", "host_clusters": [CONNECTION]})
    role = played.only("vcluster_endpoint_info")
    assert (role["role"], role["metallb_pools"]) == ("metallb", own["pools"])
    assert (role["metallb_namespace"], role["metallb_values"]) == ("balancers", {"speaker": {"enabled": False}})
