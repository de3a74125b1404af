# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster group on two of three host clusters in memory, and the tasks that place virtual clusters in it."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.admission import admit, decision_rules
from ansible_collections.nested.clusters.plugins.module_utils.admission.decision_rules import Decision
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.deletion import removal
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_lock, group_view
from ansible_collections.nested.clusters.plugins.module_utils.groups.group_view import GroupView
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import HostCluster
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import Request, RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership, namespaces, readiness
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.membership import (
    AdmissionRequest,
    Allocation,
)
from clock import Clock
from fake_helm import CHART, NAMESPACE_PATH, FakeHelm
from group_site import Site
from helm_releases import NAME, NAMESPACE
from leases import LEASE
from lifecycle_runs import demo_request

Object = dict[str, Any]

SECRET = path("v1", "secrets", NAMESPACE, f"nested-clusters-{NAME}")
QUOTA = path("v1", "resourcequotas", NAMESPACE, f"nested-clusters-{NAME}")
LIMITS = path("v1", "limitranges", NAMESPACE, f"nested-clusters-{NAME}")
NODE = path("v1", "nodes", None, "node")
DEFAULT = {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}
LARGEST = {"cpu": "8", "memory": "16Gi", "storage": "40Gi"}


def run_world_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Replace the clocks of all that waits; for a fixture."""
    fake = Clock()
    for module in (group_lock, namespaces, reconcile, readiness, removal):
        monkeypatch.setattr(module, "time", fake)
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.1)
    yield fake
    assert fake.now < 3000, "something waits for ever"


def size(cpu: Any = None, memory: Any = None, storage: Any = None) -> Size:
    """Return a size, or a part of one."""
    return Size.parse({"cpu": cpu, "memory": memory, "storage": storage}, "size", partial=True)


def admission_request(**options: Any) -> AdmissionRequest:
    """Return what a task asks of group dev."""
    return AdmissionRequest(**{"group": "dev", "owner": None, "size": size(), **options})


class World(Site):
    """Host clusters a and b (16 cpu and 32Gi each, so 19200m and 38.4Gi to allocate) in group dev, and c in none."""

    def __init__(self) -> None:
        super().__init__()
        self.present(["a", "b"])
        self.clients = {name: host.client() for name, host in self.hosts.items()}
        self.helm = {name: FakeHelm(host) for name, host in self.hosts.items()}
        self.forget()

    def forget(self) -> None:
        """Forget the requests so far, and the runs of helm."""
        for helm in self.helm.values():
            helm.forget()

    def change(self, **params: Any) -> None:
        """Change the group."""
        self.present(["a", "b"], **params)
        self.forget()

    def host_clusters(self, names: str = "ab") -> list[HostCluster]:
        """Return host clusters as a task opens them."""
        return [HostCluster(name, self.clients[name]) for name in names]

    def reserve(self, host: str, name: str, group: str = "dev", owner: str = "", **options: Any) -> None:
        """Have the share of a virtual cluster: cpu, memory, storage, namespace, applied and deleting may be said."""
        amounts = {key: str(options.get(key, DEFAULT[key])) for key in DEFAULT}
        annotations = {
            well_known.NAME_ANNOTATION: name,
            well_known.OWNER_ANNOTATION: owner,
            well_known.SIZE_ANNOTATION: json.dumps(amounts),
            well_known.APPLIED_ANNOTATION: json.dumps(options.get("applied", {})),
        }
        more = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if options.get("deleting") else {}
        labels = {well_known.GROUP_LABEL: group}
        namespace = options.get("namespace", f"vcluster-{name}")
        self.hosts[host].have("Namespace", namespace, annotations=annotations, labels=labels, **more)

    def view(self, names: str = "ab") -> GroupView:
        """Return what the host clusters say of group dev."""
        return group_view.picture(self.host_clusters(names), "dev")

    def decide(self, names: str = "ab", request: Object | None = None, **options: Any) -> Decision:
        """Decide, and write nothing."""
        wanted = demo_request(**(request or {}))
        return decision_rules.decide(self.view(names), wanted, admission_request(**options))

    def refusal(self, names: str = "ab", request: Object | None = None, **options: Any) -> NestedClustersError:
        """Why it cannot be; nothing is written."""
        before = self.snapshot()
        with pytest.raises(NestedClustersError) as caught:
            self.decide(names, request, **options)
        assert self.snapshot() == before
        return caught.value

    def run(
        self, names: str = "ab", check: bool = False, request: Object | None = None, **options: Any
    ) -> tuple[Outcome, Decision]:
        """Run a task of module vcluster."""
        wanted = demo_request(**(request or {}))
        by_client = {id(client): self.helm[name] for name, client in self.clients.items()}
        outcome, decision, _seen = admit.present(
            self.host_clusters(names),
            lambda kubernetes: by_client[id(kubernetes)].open(),  # type: ignore[arg-type, return-value]
            wanted,
            admission_request(**options),
            RunOptions(check, 60),
        )
        return outcome, decision

    def checked(self, names: str = "ab", **options: Any) -> tuple[Outcome, Decision]:
        """Check mode, which changes nothing; the real run, which does just that; a second run, which does nothing."""
        before = self.snapshot()
        self.forget()
        foreseen, expected = self.run(names, check=True, **options)
        assert (self.snapshot(), self.written()) == (before, {})
        outcome, decision = self.run(names, **options)
        assert (foreseen.plan.steps, foreseen.plan.diff) == (outcome.plan.steps, outcome.plan.diff)
        assert expected == decision
        assert not [host for host in self.hosts.values() if LEASE in host]
        self.forget()
        for check in (False, True):
            again, _decision = self.run(names, check=check, **options)
            assert (again.plan.steps, again.plan.diff, self.written()) == ([], [], {})
        assert not self.locked()
        return outcome, decision

    def refused(self, names: str = "ab", **options: Any) -> NestedClustersError:
        """The refusal, the same in check mode, with nothing written."""
        before = self.snapshot()
        self.forget()
        messages = []
        for check in (True, False):
            with pytest.raises(NestedClustersError) as caught:
                self.run(names, check=check, **options)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
        assert (self.written(), self.snapshot()) == ({}, before)
        return caught.value

    def locked(self) -> list[str]:
        """On which host clusters somebody held the lock."""
        return [name for name, host in self.hosts.items() if f"create {group_lock.LEASES}" in host.sent()]

    def allocation(self, host: str, namespace: str = NAMESPACE) -> Allocation | None:
        """Return what a namespace has been allocated."""
        at = path("v1", "namespaces", None, namespace)
        return membership.allocation(self.hosts[host].at(at), host) if at in self.hosts[host] else None

    def request(self, host: str) -> Object:
        """What is kept of what was asked for."""
        found = json.loads(base64.b64decode(self.hosts[host].at(SECRET)["data"]["request"]))
        assert isinstance(found, dict)
        return found

    def values(self, outcome: Outcome) -> Object:
        """Return the values of the release."""
        assert outcome.state.release is not None
        return outcome.state.release.values


def made_before(world: World, host: str = "b", values: Object | None = None) -> None:
    """A virtual cluster that this collection made without a group."""
    request = Request(NAME, NAMESPACE, CHART, values=values)
    reconcile.present(world.clients[host], world.helm[host].open, request, RunOptions(wait=60))  # type: ignore[arg-type]
    world.forget()


def have_control_plane(world: World, host: str, **labels: str) -> None:
    """Have one that Helm has no record of in its namespace."""
    if NAMESPACE_PATH not in world.hosts[host]:
        world.hosts[host].have("Namespace", NAMESPACE)
    labels = {"app": "vcluster", "release": NAME, "chart": "vcluster-0.36.1", **labels}
    world.hosts[host].have("StatefulSet", NAME, namespace=NAMESPACE, labels=labels, spec={"replicas": 1})


def with_virtual_cluster(world: World) -> World:
    """Have a virtual cluster on host cluster a."""
    world.run(host_cluster="a", owner="alice", request={"values": {"own": 1}})
    world.forget()
    return world
