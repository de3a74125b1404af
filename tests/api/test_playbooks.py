# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's playbooks for cluster groups, by their fully qualified names."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from host_api import Host, connections, remove_namespaces, spaces_of
from modules import Module
from places import Place

GROUP = "it-playbooks"


def test_report_and_update(
    host: Host, vcluster: Module, vcluster_group: Module, new: Callable[..., Place], tmp_path: Path
) -> None:
    """The report shows what there is and what is pending; the update brings it, and check mode does not.

    A group alone is nothing to delete, and a name is one of it.
    """
    given = connections({"host-a": host})
    told: dict[str, Any] = {"group": GROUP, "host_clusters": given, "report_path": str(tmp_path / "report.html")}
    if host.chart:
        told["chart_ref"] = host.chart

    def play(name: str, *arguments: str, check: bool = True) -> str:
        environment: dict[str, Any] = {
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        }
        command = ("ansible-playbook", f"nested.clusters.{name}", "--extra-vars", json.dumps(told), *arguments)
        return host.call(*command, check=check, seconds=300, **environment).stdout

    where = new("play")
    capacity = {"cpu": "20", "memory": "40Gi", "storage": "100Gi"}
    vcluster_group(name=GROUP, host_clusters=[{**given[0], "capacity": capacity}], values={})
    try:
        vcluster(name=where.name, group=GROUP, host_clusters=given, owner="<b>alice</b>")
        said = play("report")
        assert where.name in said
        assert "host-a" in said
        assert "failed=0" in said
        page = tmp_path / "report.html"
        assert stat.S_IMODE(page.stat().st_mode) == 0o600
        assert where.name in page.read_text()
        assert "<b>alice" not in page.read_text()
        vcluster_group(
            name=GROUP, host_clusters=given, values={"sync": {"toHost": {"serviceAccounts": {"enabled": True}}}}
        )
        assert "values: changed in the group" in play("report")
        assert "changed=1" in play("update", "--check")
        assert vcluster_group(name=GROUP, host_clusters=given)["pending"] == {
            where.name: ["values: changed in the group"]
        }
        assert "changed=1" in play("update")
        assert vcluster_group(name=GROUP, host_clusters=given)["pending"] == {}
        assert "changed=0" in play("update")
        assert "a group or phases alone select nothing" in play("delete", check=False)
        for selection in ("name=it-playbooks-none", "all=true"):
            said = play("delete", "--check", "-e", selection)
            assert ("running -> absent" in said) == (selection == "all=true")
        assert "paused -> running" in play("pause", "-e", "all=true") + play("resume", "-e", f"name={where.name}")
    finally:
        remove_namespaces(host, *spaces_of(host, GROUP))
        vcluster_group(name=GROUP, host_clusters=given, state="absent")
