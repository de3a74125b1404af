# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module as a task of ansible-playbook, in check mode and for real, on whichever ansible-core runs the tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host_api import Host, remove_namespaces, spaces_of
from modules import MODULES, Module
from playbook_runs import PlaybookRunner, objects

Object = dict[str, Any]
GROUP, NAME = "it-modules", "it-module"
# Each module with its options, in an order in which there is something to do, and whether it changes anything.
TASKS: tuple[tuple[str, Object, bool], ...] = (
    ("vcluster_group", {"name": GROUP}, True),
    ("vcluster_fleet", {"group": GROUP, "virtual_clusters": [{"name": NAME, "owner": "alice"}]}, True),
    ("vcluster", {"name": NAME, "group": GROUP, "labels": {"env": "ci"}}, True),
    ("vcluster_info", {"name": NAME}, False),
    ("vcluster_group_info", {"name": GROUP}, False),
    ("vcluster_endpoint_info", {"name": NAME}, False),
    ("vcluster_state", {"names": [NAME], "state": "paused"}, True),
    ("vcluster_orphan_info", {"names": [NAME], "older_than": 0}, False),
    ("vcluster_orphan", {"names": [NAME], "older_than": 0, "state": "absent"}, False),
    ("vcluster_orphans", {"names": [NAME], "older_than": 0}, False),
)
OF_ONE_HOST_CLUSTER = {"vcluster_endpoint_info"}
WITH_CHART = {"vcluster", "vcluster_fleet"}


@pytest.fixture
def group(host: Host, vcluster: Module) -> Iterator[Object]:
    """The connection to the host cluster; afterwards the group and its virtual cluster are gone."""
    connection = {"name": "host-a", "kubeconfig": host.kubeconfig}
    yield connection
    remove_namespaces(host, *spaces_of(host, GROUP))
    Module(host, vcluster.directory, "vcluster_group")(name=GROUP, host_clusters=[connection], state="absent")


def test_every_module_has_a_task_in_this_file() -> None:
    assert {path.stem for path in MODULES.glob("*.py")} == {module for module, _options, _changes in TASKS}


def test_every_module_does_as_check_mode_says(host: Host, group: Object, tmp_path: Path) -> None:
    tasks: list[Object] = []
    for module, own, _changes in TASKS:
        connection = {"kubeconfig": host.kubeconfig} if module in OF_ONE_HOST_CLUSTER else {"host_clusters": [group]}
        options = {**own, **connection, **({"chart_ref": host.chart} if module in WITH_CHART else {})}
        for check in (True, False):
            task = {f"nested.clusters.{module}": options, "check_mode": check, "register": f"task_{len(tasks)}"}
            tasks.append(task)
    file, book = tmp_path / "results.json", tmp_path / "play.json"
    content = "{{ [" + ", ".join(f"task_{number}" for number in range(len(tasks))) + "] | to_json }}"
    tasks.append({"ansible.builtin.copy": {"content": content, "dest": str(file), "mode": "0600"}})
    book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))

    before = objects(host)
    played = PlaybookRunner(host, tmp_path).run(str(book))

    results = json.loads(file.read_text())
    for number, (module, _options, changes) in enumerate(TASKS):
        check, real = results[2 * number : 2 * number + 2]
        assert (check["changed"], real["changed"]) == (changes, changes), (module, check, real)
        assert check.get("steps") == real.get("steps"), module
    found = {module: results[2 * number + 1] for number, (module, *_rest) in enumerate(TASKS)}
    assert [one["name"] for one in found["vcluster_info"]["virtual_clusters"]] == [NAME]
    assert [one["name"] for one in found["vcluster_group_info"]["groups"]] == [GROUP]
    links = found["vcluster_endpoint_info"]["endpoint"]["links"]
    assert [(link["name"], link["ok"]) for link in links] == [("route", False)]  # the group's endpoint is cluster_ip
    assert found["vcluster_orphan_info"]["orphans"] == []
    assert found["vcluster_orphans"]["orphans"] == []
    assert "Use nested.clusters.vcluster_orphan_info" in " ".join(played.output.split())
    kinds = {key[1] for key in objects(host).keys() - before.keys() if key[2] == f"vcluster-{NAME}"}
    assert {"statefulsets", "services", "secrets", "resourcequotas"} <= kinds
