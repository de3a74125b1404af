# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host clusters on which tests make, change and delete a cluster group."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.common.well_known import (
    APPLIED_ANNOTATION,
    GROUP_LABEL,
    NAME_ANNOTATION,
    NAMESPACE,
    SIZE_ANNOTATION,
)
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_change, group_lock, group_records
from ansible_collections.nested.clusters.plugins.module_utils.groups.group_change import GroupChange
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import HostCluster
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import namespaces, readiness
from clock import Clock
from fake_api import GATEWAY_API, FakeCluster
from leases import LEASE

Object = dict[str, Any]

NAMESPACE_PATH = path("v1", "namespaces", None, NAMESPACE)
RECORD = path("v1", "configmaps", NAMESPACE, "vcluster-group-dev")
MEMBER = {"state": "present", "dns_pattern": None, "capacity": None, "node_selector": None}
SIZE = {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}


def run_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Replace the clocks of all that waits; for a fixture."""
    fake = Clock()
    for module in (group_lock, namespaces, reconcile, readiness):
        monkeypatch.setattr(module, "time", fake)
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.1)
    yield fake
    assert fake.now < 2000, "something waits for ever"


def new_host(name: str) -> FakeCluster:
    """Return a host cluster that can be told from others by its ID."""
    result = FakeCluster(host=f"https://{name}", serves=GATEWAY_API)
    result.have("Namespace", "kube-system", uid=f"uid of {result.host}")
    return result


class Site:
    """Host clusters a, b and c, and an administrator who runs tasks."""

    def __init__(self) -> None:
        self.hosts = {name: new_host(name) for name in "abc"}
        for host in self.hosts.values():
            conditions = [{"type": "Ready", "status": "True"}]
            allocatable = {"cpu": "16", "memory": "32Gi"}
            host.have("Node", "node", status={"conditions": conditions, "allocatable": allocatable})

    def entries(self, names: Any) -> list[tuple[HostCluster, Mapping[str, Any]]]:
        """From ``["a", "b"]`` or ``{"a": {"state": "absent"}}``."""
        options = names if isinstance(names, dict) else {name: {} for name in names}
        return [
            (HostCluster(name, self.hosts[name[0]].client()), {**MEMBER, **more})
            for name, more in options.items()
        ]

    def present(self, names: Any = ("a", "b"), check: bool = False, lost: Any = (), **params: Any) -> GroupChange:
        """Create or change group dev."""
        return group_change.present(self.entries(names), {"name": "dev", **params}, check, lost)

    def absent(self, names: Any = ("a", "b"), check: bool = False, lost: Any = ()) -> GroupChange:
        """Delete group dev."""
        return group_change.absent([host for host, _options in self.entries(names)], "dev", check, lost)

    def snapshot(self) -> Object:
        """Return the objects of all host clusters."""
        return {name: host.state() for name, host in self.hosts.items()}

    def forget(self) -> None:
        """Forget the requests so far."""
        for host in self.hosts.values():
            host.requests.clear()

    def written(self) -> dict[str, list[str]]:
        """What was written on host clusters that were written to, but for locks."""
        found = {name: [line for line in host.writes() if "/leases/" not in line] for name, host in self.hosts.items()}
        return {name: lines for name, lines in found.items() if lines}

    def record(self, name: str) -> Group | None:
        """Return the group as a host cluster has it."""
        return group_records.load(self.hosts[name].at(RECORD)) if RECORD in self.hosts[name] else None

    def have_virtual_cluster(
        self, host: str, name: str, group: str = "dev", applied: Object | None = None, **more: Any
    ) -> None:
        """Have a virtual cluster."""
        annotations = {
            NAME_ANNOTATION: name,
            SIZE_ANNOTATION: json.dumps({**SIZE, **more}),
            APPLIED_ANNOTATION: json.dumps(applied or {}),
        }
        labels = {GROUP_LABEL: group}
        self.hosts[host].have("Namespace", f"vcluster-{name}", annotations=annotations, labels=labels)


def with_group(site: Site) -> Site:
    """Make group dev on host clusters a and b."""
    site.present(description="before")
    site.forget()
    return site


def checked(site: Site, work: Callable[[bool], GroupChange]) -> GroupChange:
    """Check mode, which writes nothing; the real run, which does just that; a second run, which does nothing."""
    before = site.snapshot()
    site.forget()
    foreseen = work(True)
    assert (site.snapshot(), site.written()) == (before, {})
    change = work(False)
    assert (foreseen.sentences(), foreseen.diff) == (change.sentences(), change.diff)
    assert (foreseen.before, foreseen.after, foreseen.pending) == (change.before, change.after, change.pending)
    assert set(change.steps) == set(site.written())
    site.forget()
    for check in (True, False):
        again = work(check)
        assert (again.sentences(), again.diff, site.written()) == ([], [], {})
    assert not [host for host in site.hosts.values() if LEASE in host]
    return change


def refused(site: Site, work: Callable[[bool], GroupChange], *words: str) -> NestedClustersError:
    """The refusal, the same in check mode, with nothing written anywhere."""
    before = site.snapshot()
    site.forget()
    messages = []
    for check in (True, False):
        with pytest.raises(NestedClustersError) as caught:
            work(check)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert site.written() == {}
    for name, host in site.hosts.items():
        assert host.state() == before[name]
    for word in words:
        assert word in messages[0]
    return caught.value
