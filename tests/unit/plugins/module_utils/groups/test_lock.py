# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the lock: one writer at a time, whoever is killed, slow or faster."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.common.well_known import NAMESPACE
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_lock
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError, Unreachable
from clock import Clock
from fake_api import FakeCluster
from leases import LEASE, have_lease
from meanwhile import before_each, pass_all

START = 1000.0  # of the clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(group_lock, "time", fake)
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.1)
    return fake


def ready(number: int = 0) -> FakeCluster:
    host = FakeCluster(host=f"https://host-{number}")
    host.have("Namespace", NAMESPACE)
    return host


@pytest.fixture
def host() -> FakeCluster:
    return ready()


def locked(*hosts: FakeCluster) -> Any:
    return group_lock.locked([group_lock.LockTarget(host.host, host.client()) for host in hosts])


MOMENTS = itertools.count()  # a write that changes nothing makes no new version


def touch(host: FakeCluster) -> None:
    """Renew the lease, as its holder does."""
    host.change(LEASE, {"spec": {"renewTime": f"2026-01-01T00:00:00.{next(MOMENTS):06}Z"}})


def leases(host: FakeCluster) -> list[str]:
    return [at for at in host.paths() if "/leases/" in at]


# --- one at a time ----------------------------------------------------------------------------------------


def test_lock_while_held_has_lease(host: FakeCluster, clock: Clock) -> None:
    with locked(host) as lock:
        (lease,) = [host.at(at) for at in leases(host)]
        assert lease["spec"]["leaseDurationSeconds"] == group_lock.LEASE_SECONDS
        assert lease["spec"]["holderIdentity"]
        lock.check()
    assert leases(host) == []
    assert [line.split()[0] for line in host.sent()] == ["create", "delete"]


def test_lock_of_no_host_cluster_sends_nothing(clock: Clock) -> None:
    with locked() as lock:
        lock.check()


def test_lock_with_many_threads_admits_one(host: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_lock, "time", time)
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.001)
    inside, seen, errors = [0], [], []

    def work() -> None:
        try:
            with locked(host):
                inside[0] += 1
                seen.append(inside[0])
                time.sleep(0.005)
                inside[0] -= 1
        except BaseException as error:  # a thread's own would be lost
            errors.append(error)

    threads = [threading.Thread(target=work) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (errors, seen, leases(host)) == ([], [1] * 8, [])


def test_lock_released_is_taken_at_once(host: FakeCluster, clock: Clock) -> None:
    have_lease(host)
    clock.after(3, lambda: host.delete(LEASE))
    with locked(host):
        assert 3 <= clock.now - START < 3.5


def test_lock_of_several_hosts_is_taken_in_order(clock: Clock) -> None:
    one, two, three = hosts = [ready(number) for number in range(3)]
    taken: list[str] = []
    for host in hosts:
        before_each(host, lambda verb, where, host=host: taken.append(f"{verb} {host.host}"))  # type: ignore[misc]
    with locked(three, one, two):
        pass
    assert taken[:3] == [f"create https://host-{number}" for number in range(3)]
    assert taken[3:] == [f"delete https://host-{number}" for number in (2, 1, 0)]


def test_lock_while_waiting_holds_only_those_before(clock: Clock) -> None:
    first, second = ready(1), ready(2)
    have_lease(first)
    clock.after(2, lambda: first.delete(LEASE))
    with locked(second, first):
        assert (len(leases(first)), len(leases(second))) == (1, 1)
    assert [line for line in second.sent() if line.startswith("create")] == [f"create {group_lock.LEASES}"]


def test_pauses_between_tries_grow_with_the_time_waited(
    host: FakeCluster, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many that wait for long do not keep the API server busy."""
    pauses: list[float] = []

    def longest(_low: float, high: float) -> float:
        pauses.append(high)
        return high

    monkeypatch.setattr(random, "uniform", longest)
    have_lease(host)
    for second in range(0, 20, 2):
        clock.after(second, lambda: touch(host))
    clock.after(20, lambda: host.delete(LEASE))
    with locked(host):
        assert 20 <= clock.now - START < 21
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.2, 1.0)


# --- who was killed ---------------------------------------------------------------------------------------


def test_lock_of_dead_holder_is_taken(host: FakeCluster, clock: Clock) -> None:
    have_lease(host)
    with locked(host):
        assert group_lock.LEASE_SECONDS < clock.now - START < group_lock.LEASE_SECONDS + 1
        assert host.at(LEASE)["spec"]["holderIdentity"] != "somebody"
    assert leases(host) == []


def test_lock_of_live_holder_is_waited_for(host: FakeCluster, clock: Clock) -> None:
    have_lease(host)
    for second in range(0, 40, 2):
        clock.after(second, lambda: touch(host))
    clock.after(40, lambda: host.delete(LEASE))
    with locked(host):
        assert 40 <= clock.now - START < 41


def test_lock_times_of_others_are_ignored(host: FakeCluster, clock: Clock) -> None:
    """Clocks differ between machines."""
    have_lease(host)
    host.change(LEASE, {"spec": {"renewTime": "2999-01-01T00:00:00Z", "leaseDurationSeconds": 99999}})
    with locked(host):
        assert clock.now - START < group_lock.LEASE_SECONDS + 1


def test_lock_of_new_holder_has_full_time(host: FakeCluster, clock: Clock) -> None:
    """The seconds are those of one holder, not of the Lease's name."""
    have_lease(host, "first")

    def change_hands() -> None:
        host.delete(LEASE)
        have_lease(host, "second")

    clock.after(8, change_hands)
    with locked(host):
        assert clock.now - START > 8 + group_lock.LEASE_SECONDS


def test_lock_taken_by_faster_waiter_is_kept(host: FakeCluster, clock: Clock) -> None:
    """Between looking and taking away, another waiter was faster."""
    have_lease(host, "dead")

    def faster(method: str, where: str) -> None:
        if method == "delete":
            pass_all(host)
            host.delete(LEASE)
            have_lease(host, "faster")
            clock.after(clock.now - START + 2, lambda: host.delete(LEASE))

    before_each(host, faster)
    with locked(host):
        assert 12 < clock.now - START < 14


def test_lock_renewed_at_last_moment_is_kept(host: FakeCluster, clock: Clock) -> None:
    have_lease(host, "slow")

    def renewed(method: str, where: str) -> None:
        if method == "delete":
            pass_all(host)
            touch(host)
            clock.after(clock.now - START + 2, lambda: host.delete(LEASE))

    before_each(host, renewed)
    with locked(host):
        assert 12 < clock.now - START < 14


# --- who is slow ------------------------------------------------------------------------------------------


def test_lock_after_safe_time_is_lost(host: FakeCluster, clock: Clock) -> None:
    with locked(host) as lock:
        clock.now += group_lock.SAFE_SECONDS
        lock.check()
        clock.now += 0.1
        with pytest.raises(group_lock.LockLost):
            lock.check()


def test_lock_slow_answer_counts_from_request(host: FakeCluster, clock: Clock) -> None:
    """Others see the Lease from when it is made, not from when its maker hears of it."""

    def slow(method: str, where: str) -> None:
        if method in ("create", "patch"):
            clock.now += 3

    before_each(host, slow)
    with locked(host) as lock:
        assert lock.alive <= clock.now - 3
        clock.now += group_lock.SAFE_SECONDS - 2.9
        with pytest.raises(group_lock.LockLost):
            lock.check()


def test_lock_while_waiting_is_renewed(clock: Clock) -> None:
    first, second = ready(1), ready(2)
    have_lease(second)
    for moment in range(0, 60, 5):
        clock.after(moment, lambda: touch(second))
    clock.after(60, lambda: second.delete(LEASE))
    versions: list[str] = []
    for moment in range(2, 60, 2):
        clock.after(moment, lambda: versions.append(first.at(LEASE)["metadata"]["resourceVersion"]))
    with locked(first, second) as lock:
        lock.check()
        assert clock.now - lock.alive <= group_lock.RENEW_SECONDS + 0.1
    assert len(set(versions)) == len(versions) == 29


def test_lock_after_slow_host_is_renewed(clock: Clock) -> None:
    first, second = ready(1), ready(2)

    def slow(method: str, where: str) -> None:
        if method == "create":
            clock.now += 4

    before_each(second, slow)
    with locked(first, second) as lock:
        assert lock.alive == clock.now
    assert [line.split()[0] for line in first.sent()] == ["create", "patch", "delete"]


def test_lock_stolen_while_waiting_is_lost(clock: Clock) -> None:
    for then in (lambda host: None, lambda host: have_lease(host, "thief")):
        first, second = ready(1), ready(2)
        have_lease(second)

        def steal(first: FakeCluster = first, then: Any = then) -> None:
            first.delete(LEASE)
            then(first)

        clock.after(clock.now - START + 3, steal)
        with pytest.raises(group_lock.LockLost, match="https://host-1"), locked(first, second):
            pytest.fail("it is not held")
        # What somebody else has now stays.
        assert [lease["spec"]["holderIdentity"] for lease in map(first.at, leases(first))] in (
            [],
            ["thief"],
        )


def test_lock_never_free_fails_with_holder(host: FakeCluster, clock: Clock) -> None:
    have_lease(host, "a-machine-1234")
    for moment in range(0, 400, 5):
        clock.after(moment, lambda: touch(host))
    with pytest.raises(NestedClustersError) as caught, locked(host):
        pytest.fail("it is somebody else's")
    for word in ("https://host-0", "a-machine-1234", f"{group_lock.PATIENCE_SECONDS} s", "run the task again"):
        assert word in str(caught.value)
    assert group_lock.PATIENCE_SECONDS <= clock.now - START < group_lock.PATIENCE_SECONDS + 1
    assert host.at(LEASE)["spec"]["holderIdentity"] == "a-machine-1234"


def test_lock_patience_is_for_all_hosts_together(clock: Clock) -> None:
    first, second = ready(1), ready(2)
    for host, until in ((first, 200), (second, 400)):
        have_lease(host)
        for moment in range(0, until, 5):
            clock.after(moment, lambda host=host: touch(host) if leases(host) else None)
    clock.after(200, lambda: first.delete(LEASE))
    with pytest.raises(NestedClustersError, match="https://host-2"), locked(first, second):
        pytest.fail("it is somebody else's")
    assert clock.now - START < group_lock.PATIENCE_SECONDS + 1
    assert leases(first) == []


# --- errors -----------------------------------------------------------------------------------------------


def test_lock_forbidden_fails_at_once(host: FakeCluster, clock: Clock) -> None:
    host.deny("create", "leases")
    with pytest.raises(KubernetesError, match="no permission"), locked(host):
        pytest.fail("it may not")
    assert clock.now == START


def test_lock_with_unreachable_host_releases_others(clock: Clock) -> None:
    first, second = ready(1), ready(2)
    second.down = True
    with pytest.raises(Unreachable), locked(first, second):
        pytest.fail("one does not answer")
    assert leases(first) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, NestedClustersError])
def test_lock_after_exception_is_released(error: type[BaseException], clock: Clock) -> None:
    hosts = [ready(number) for number in range(2)]
    with pytest.raises(error), locked(*hosts):
        raise error("x")
    assert [leases(host) for host in hosts] == [[], []]


def test_lock_release_on_unreachable_host_does_not_fail(clock: Clock) -> None:
    """What was done is done; the Lease that stays is taken away by the next."""
    hosts = [ready(number) for number in range(3)]
    with locked(*hosts):
        hosts[1].down = True
    hosts[1].down = False
    assert [len(leases(host)) for host in hosts] == [0, 1, 0]
    with locked(hosts[1]):
        assert clock.now - START > group_lock.LEASE_SECONDS


def test_lock_of_other_holder_is_not_released(host: FakeCluster, clock: Clock) -> None:
    with locked(host):
        host.delete(LEASE)
        have_lease(host, "next")
    assert host.at(LEASE)["spec"]["holderIdentity"] == "next"


@pytest.fixture(autouse=True)
def no_waiting_for_ever(clock: Clock) -> Iterator[None]:
    yield
    assert clock.now < START + 1000
