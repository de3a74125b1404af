# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of reservation: others take room, resize or delete while a task decides."""

from __future__ import annotations

import json
import random
import threading
import time
from typing import Any

import pytest
from announcements import announced, without_repetitions
from ansible_collections.nested.clusters.plugins.module_utils.admission import admit, decision_rules, reservation
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.deletion import removal
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_lock
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import Request, RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.scheduling import capacities
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.quotas import AdmissionDenied
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import (
    Change,
    ChangeKind,
    ChangeTarget,
)
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.plan import Plan
from clock import Clock
from fake_api import FakeCluster
from fake_helm import NAMESPACE_PATH, WORKLOAD, vanish_namespace
from group_world import DEFAULT, QUOTA, SECRET, World, size
from helm_releases import NAME, NAMESPACE
from leases import LEASE, have_lease
from meanwhile import before_each, once_before

Object = dict[str, Any]


def test_reserve_room_taken_meanwhile_chooses_other_host(world: World) -> None:
    """Who loses it goes where there is still some."""
    once_before(world.hosts["a"], f"create {group_lock.LEASES}", lambda: world.reserve("a", "faster", cpu=18))
    _outcome, decision = world.run()
    assert decision.member.name == "b"
    assert (world.allocation("a"), world.allocation("b") is not None) == (None, True)


def test_reserve_last_room_taken_meanwhile_is_refused(world: World) -> None:
    world.reserve("b", "other", cpu=18)
    once_before(world.hosts["a"], f"create {group_lock.LEASES}", lambda: world.reserve("a", "faster", cpu=18))
    with pytest.raises(AdmissionDenied, match="no host cluster has room"):
        world.run()
    assert (world.allocation("a"), world.allocation("b")) == (None, None)
    assert not [host for host in world.hosts.values() if LEASE in host]


def test_reserve_quota_used_meanwhile_is_refused(world: World) -> None:
    world.change(owner_quota={"virtual_clusters": 1})
    once_before(world.hosts["b"], f"create {group_lock.LEASES}", lambda: world.reserve("b", "faster", owner="alice"))
    with pytest.raises(AdmissionDenied, match="owner quota"):
        world.run(owner="alice")
    assert world.written() == {}


def test_reserve_cluster_created_meanwhile_is_adopted(world: World) -> None:
    """It is there already, and becomes what the slower one asked for."""
    once_before(world.hosts["a"], f"create {group_lock.LEASES}", lambda: world.reserve("b", NAME, owner="bob"))
    _outcome, decision = world.run(owner="alice")
    assert decision.member.name == "b"
    found = world.allocation("b")
    assert found is not None
    assert found.owner == "alice"
    assert world.allocation("a") is None


def test_reserve_cluster_resized_meanwhile_has_both_changes(running: World) -> None:
    """What the plan was made for is not there any more: no quota of the old size is written."""

    def resize() -> None:
        larger = json.dumps({**DEFAULT, "memory": "6Gi"})
        annotations = {well_known.SIZE_ANNOTATION: larger}
        running.hosts["a"].change(NAMESPACE_PATH, {"metadata": {"annotations": annotations}})

    once_before(running.hosts["a"], f"create {group_lock.LEASES}", resize)
    running.run(size=size(6))
    found = running.allocation("a")
    assert found is not None
    assert str(found.size) == "6 cpu, 6Gi memory, 2Gi storage"
    assert running.hosts["a"].at(QUOTA)["spec"]["hard"] == membership.hard(found.size)


def test_reserve_group_changed_meanwhile_uses_new_settings(world: World) -> None:
    def change() -> None:
        world.present(["a", "b"], values={"new": 1})

    once_before(world.hosts["a"], f"create {group_lock.LEASES}", change)
    outcome, _decision = world.run()
    assert world.values(outcome)["new"] == 1


def test_reserve_expired_lock_decides_again(world: World, clock: Clock) -> None:
    """What took too long is not written, but decided once more."""
    host = world.hosts["b"]
    slow = iter([6])

    def before(method: str, where: str) -> None:
        if method == "list" and LEASE in host:
            clock.now += next(slow, 0)

    before_each(host, before)
    world.run()
    assert host.sent("create").count(f"create {group_lock.LEASES}") == 2
    assert len([line for line in world.hosts["a"].writes() if line == f"create {NAMESPACE_PATH}"]) == 1


def test_reserve_held_lock_is_waited_for(world: World, clock: Clock) -> None:
    have_lease(world.hosts["a"])
    world.run()
    assert clock.now > 1000 + group_lock.LEASE_SECONDS


def test_reserve_outdated_plan_is_retried_a_few_times(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admit, "ATTEMPTS", 3)
    attempts = []

    def reserve(*arguments: Any) -> None:
        attempts.append(1)
        raise decision_rules.PlanOutdated("x")

    monkeypatch.setattr(reservation, "reserve_one", reserve)
    with pytest.raises(NestedClustersError, match="other tasks were faster 3 times; run the task again"):
        world.run()
    assert (len(attempts), world.written()) == (3, {})


@pytest.mark.parametrize(
    ("params", "fits"),
    # 19200m cpu on each of two host clusters; 38.4Gi of memory; two of an owner
    [({}, 8), ({"oversubscription": 50}, 4), ({"owner_quota": {"virtual_clusters": 3}}, 3)],
)
def test_reserve_parallel_tasks_never_oversell(
    params: Object, fits: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.change(**params)
    monkeypatch.setattr(group_lock, "time", time)
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.002)

    def take(kubernetes: Any, open_helm: Any, request: Request, run: RunOptions, reserve: Any) -> Outcome:
        reserve(Plan([Change(ChangeKind.CREATE, ChangeTarget("namespace", NAMESPACE))]))
        return removal.nothing()

    monkeypatch.setattr(reconcile, "present", take)
    errors: list[BaseException] = []

    def work(number: int) -> None:
        name = f"team-{number}"
        try:
            world.run(request={"name": name, "namespace": name}, owner="alice")
        except BaseException as error:  # a thread's own would be lost
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [type(error) for error in errors] == [AdmissionDenied] * (10 - fits)
    seen = world.view()
    assert len(seen.allocations) == fits
    for view in seen.views.values():
        limit = capacities.limit(size(16, "32Gi"), seen.group.oversubscription)
        assert capacities.total(view.allocations).fits_in(limit) == []


READS = {
    "the records of groups": f"list {path('v1', 'configmaps', well_known.NAMESPACE)}",
    "what is allocated": f"list {path('v1', 'namespaces')}",
    "what nodes can allocate": f"list {path('v1', 'nodes')}",
    "a release of this name that is in no group": f"list {path('v1', 'secrets', NAMESPACE)}",
    "a control plane of this name without a release": f"list {path('apps/v1', 'deployments', NAMESPACE)}",
}


def counted(requests: list[str]) -> dict[str, int]:
    return {what: requests.count(read) for what, read in READS.items()}


def before_and_under_the_lock(host: FakeCluster) -> tuple[list[str], list[str]]:
    """The requests before a host cluster was locked, and until the lock was given back."""
    sent = host.sent()
    start, end = sent.index(f"create {group_lock.LEASES}"), sent.index(f"delete {LEASE}")
    return sent[:start], sent[start + 1 : end]


def test_reserve_creation_reads_each_host_once_before_and_once_under_lock(world: World) -> None:
    once_each = dict.fromkeys(READS, 1)
    world.run(host_cluster="b")
    before, locked = before_and_under_the_lock(world.hosts["a"])
    # Host cluster a could have been chosen: that is decided from what is read before, and again under the lock.
    assert (counted(before), counted(locked)) == (once_each, once_each)
    assert {len(before), len(locked)} == {len(READS) + 2}  # and its ID, to tell it apart, and StatefulSets
    before, locked = before_and_under_the_lock(world.hosts["b"])
    # What is there of the virtual cluster is read for the plan as well.
    assert {what: count for what, count in counted(before).items() if "release" not in what} == dict.fromkeys(
        list(READS)[:3], 1
    )
    assert counted(locked) == once_each


def test_reserve_resize_reads_no_more_than_creation(running: World) -> None:
    running.run(size=size(6))
    of_group = list(READS)[:2]
    for name, host in running.hosts.items():
        if name == "c":
            assert host.requests == []
            continue
        before, locked = before_and_under_the_lock(host)
        nodes = 1 if name == "a" else 0  # where it lives
        for requests in (before, locked):
            found = counted(requests)
            assert [found[what] for what in of_group] == [1, 1]
            assert found["what nodes can allocate"] == nodes


def test_reserve_cluster_deleted_meanwhile_takes_lock(running: World) -> None:
    """What it had may be somebody else's by now."""
    host = running.hosts["a"]

    def delete() -> None:
        vanish_namespace(host, NAMESPACE)

    once_before(host, f"get {SECRET}", delete)  # after the decision
    running.forget()
    outcome, _decision = running.run()
    assert outcome.plan.steps[0] == f"create namespace {NAMESPACE}"
    assert running.locked() == ["a", "b"]


def test_reserve_host_that_answers_again_is_locked(world: World) -> None:
    """What an owner has there counts by then."""
    world.hosts["b"].down = True

    def answer_again() -> None:
        world.hosts["b"].down = False

    once_before(world.hosts["a"], f"create {group_lock.LEASES}", answer_again)
    world.run(host_cluster="a")
    assert world.locked() == ["a", "b"]


def sent(world: World) -> list[str]:
    """What was written on host cluster a, but for the lock."""
    return without_repetitions(line for line in world.helm["a"].writes() if "/leases" not in line)


def test_reserve_creation_sends_changes_in_order(world: World) -> None:
    plan = world.run(host_cluster="a")[0].plan
    assert announced(plan) == sent(world)
    assert announced(plan)[0] == f"create {NAMESPACE_PATH}"  # which is the reservation
    assert [line.split("/")[-2] for line in announced(plan)[1:4]] == ["secrets", "resourcequotas", "limitranges"]
    assert announced(plan)[4:] == ["helm apply", f"patch {WORKLOAD}"]


def test_reserve_joining_cluster_patches_namespace_last(world: World) -> None:
    host = world.hosts["a"]
    host.have("Namespace", NAMESPACE)
    plan = world.run(host_cluster="a")[0].plan
    assert announced(plan)[-1] == f"patch {NAMESPACE_PATH}"
    reservation, *rest = sent(world)
    assert reservation == f"patch {NAMESPACE_PATH}"  # under the lock
    assert rest == announced(plan)


def test_reserve_resize_patches_namespace_last(world: World) -> None:
    world.run(host_cluster="a")
    for amount, reservations in (("6", [f"patch {NAMESPACE_PATH}"]), ("4", [])):  # who takes less reserves nothing
        world.forget()
        plan = world.run(size=size(cpu=amount))[0].plan
        quota = path("v1", "resourcequotas", NAMESPACE, f"nested-clusters-{NAME}")
        assert [request for request in announced(plan) if "secrets" not in request] == [
            f"patch {quota}",
            f"patch {NAMESPACE_PATH}",
        ]
        assert sent(world) == [*reservations, *announced(plan)]
