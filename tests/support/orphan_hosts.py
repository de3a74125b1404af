# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host clusters in memory with what deleted virtual clusters have left, and the modules that find and remove it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_records
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group
from ansible_collections.nested.clusters.plugins.modules import vcluster_orphan, vcluster_orphan_info, vcluster_orphans
from fake_api import Request
from helm_releases import release_secret
from populated_host import PopulatedHost
from tasks_on_hosts import Result, Task, task_on

CHART = {"app": "vcluster", "release": "a"}
SPACE = "vcluster-a"
CERTIFICATES = dict.fromkeys(("ca.crt", "ca.key", "apiserver.crt", "apiserver.key"), "")
MADE = {well_known.CREATED: "true", "nested-clusters/virtual-cluster": "a"}


class OrphanHost(PopulatedHost):
    """A host cluster with what is left over."""

    def have_left(self, kind: str, name: str, **others: Any) -> None:
        """Have something of virtual cluster a, which is gone."""
        self.have(kind, name, **{"namespace": SPACE, "labels": CHART, **others})


BOTH_WAYS = ["two modules", "deprecated module"]


def orphan_task(way: str, hosts: list[OrphanHost], run_module: Task, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Return a function that runs the deprecated module on all hosts, or those that do its work.

    Of these, state absent is for the one that removes.
    """
    deprecated, removal, report = (
        task_on(hosts, module, run_module, monkeypatch)
        for module in (vcluster_orphans, vcluster_orphan, vcluster_orphan_info)
    )
    if way == BOTH_WAYS[1]:
        return deprecated
    return lambda state="reported", **options: removal(**options) if state == "absent" else report(**options)


def states_of(result: Result) -> dict[str, str]:
    """RESOURCE/NAME to the state of what was found."""
    return {f"{one['resource']}/{one['name']}": one["state"] for one in result["orphans"]}


def reason(result: Result, name: str) -> str:
    return str(next(one["reason"] for one in result["orphans"] if one["name"] == name))


def checked(task: Task, *of_hosts: OrphanHost, **options: Any) -> Result:
    """Report and check mode, which change nothing; the removal of just that; and again, which does nothing."""
    before = [one.state() for one in of_hosts]
    report = task(**options)
    foreseen = task(check_mode=True, diff=True, state="absent", **options)
    assert [one.state() for one in of_hosts] == before
    assert states_of(report) == states_of(foreseen)
    assert not report["changed"]
    result = task(diff=True, state="absent", **options)
    assert not result.get("failed"), result.get("msg")
    assert foreseen == result
    again = task(diff=True, state="absent", **options)
    assert (again["changed"], again["diff"]) == (False, [])
    return result


def recently() -> str:
    return (datetime.now(timezone.utc) - timedelta(seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")


def have_record(host: OrphanHost, stored_in: str, namespace: str, status: str, revision: int = 1) -> str:
    """Have the record of a release of virtual cluster a in one namespace, which lives in another. Gives its name."""
    secret = release_secret(revision, "a", namespace=namespace, info={"status": status})
    labels = {"owner": "helm", "name": "a", "version": str(revision), "status": status}
    secret["metadata"].update(namespace=stored_in, labels=labels)
    host.add({"apiVersion": "v1", "kind": "Secret", **secret})
    return str(secret["metadata"]["name"])


def have_pod(host: OrphanHost, name: str, **labels: str) -> str:
    """Have a pod that mounts a claim, and return its path."""
    claim = {"persistentVolumeClaim": {"claimName": f"data-{name}"}}
    host.have_left("PersistentVolumeClaim", f"data-{name}", labels=labels)
    host.have_left("Pod", name, labels=labels, spec={"volumes": [claim]}, status={"phase": "Running"})
    return f"/api/v1/namespaces/{SPACE}/pods/{name}"


def have_volume(
    host: OrphanHost, name: str, namespace: str, claim: str, phase: str = "Released", uid: str = "of a claim"
) -> None:
    """Have a PersistentVolume whose claim is gone."""
    of_claim = {"namespace": namespace, "name": claim, "uid": uid}
    spec = {"claimRef": of_claim, "persistentVolumeReclaimPolicy": "Retain"}
    host.have("PersistentVolume", name, spec=spec, status={"phase": phase})


def change_at_the_first_deletion(host: OrphanHost, path: str) -> list[str]:
    """Change an object right before the first deletion. Return where the paths of deletions are written."""
    deleted: list[str] = []

    def intercept(request: Request) -> None:
        if request.method == "DELETE":
            deleted.append(request.path)
            if len(deleted) == 1:
                host.change(path, {"metadata": {"labels": {"changed": "true"}}})

    host.intercept = intercept
    return deleted


def have_group_record(host: OrphanHost, group: Group, name: str) -> None:
    made = group_records.config_map(group, name)
    host.add({"apiVersion": "v1", "kind": "ConfigMap", **made})
