# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of admit: a virtual cluster that is in its group, joins it, or was left half done."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_pending
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import HelmError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import Request, RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership
from fake_helm import CHART, NAMESPACE_PATH, FakeHelm
from group_world import DEFAULT, LIMITS, QUOTA, SECRET, World, made_before, size
from helm_releases import NAME, NAMESPACE
from leases import LEASE
from meanwhile import forbid, pass_all


def test_change_in_group_nothing_takes_no_lock_and_runs_no_helm(running: World) -> None:
    running.helm["a"].runs = []
    outcome, _decision = running.checked()
    assert (outcome.plan.steps, running.locked(), running.helm["a"].runs) == ([], [], [])


@pytest.mark.parametrize(
    ("amounts", "steps"),
    [
        (size(6, "8Gi"), [f"change ResourceQuota nested-clusters-{NAME}"]),
        (size(storage="9Gi"), [f"change ResourceQuota nested-clusters-{NAME}"]),
    ],
)
def test_change_in_group_resize_runs_no_helm(amounts: Size, steps: list[str], running: World) -> None:
    running.helm["a"].runs = []
    outcome, _decision = running.checked(size=amounts)
    assert outcome.plan.steps == [*steps, f"set annotations of namespace {NAMESPACE}: nested-clusters/size"]
    assert running.helm["a"].runs == []
    found = running.allocation("a")
    assert found is not None
    assert found.size == amounts.filled(size(4, "4Gi", "2Gi"))
    assert running.hosts["a"].at(QUOTA)["spec"]["hard"] == membership.hard(found.size)


@pytest.mark.parametrize(("before", "after"), [("4", "6"), ("6", "4")])
def test_change_in_group_failed_resize_keeps_larger_allocation(before: str, after: str, running: World) -> None:
    """Nobody is given what it may still be using."""
    running.run(size=size(before))
    forbid(running.hosts["a"], "patch", f"nested-clusters-{NAME}")
    with pytest.raises(KubernetesError, match="no permission"):
        running.run(size=size(after))
    found = running.allocation("a")
    assert found is not None
    assert found.size.cpu == 6
    pass_all(running.hosts["a"])
    running.checked(size=size(after))
    found = running.allocation("a")
    assert found is not None
    assert found.size.as_dict()["cpu"] == after


def test_change_in_group_owner_is_written(running: World) -> None:
    outcome, _decision = running.checked(owner="bob")
    assert outcome.plan.steps == [f"set annotations of namespace {NAMESPACE}: nested-clusters/owner"]
    found = running.allocation("a")
    assert found is not None
    assert found.owner == "bob"


def test_change_in_group_setting_of_group_comes_with_next_task(running: World) -> None:
    running.change(values={"of_group": 2})
    group = running.view().group
    found = running.allocation("a")
    assert found is not None
    assert group_pending.pending(group, group.members[0], found.applied) == ["values: changed in the group"]
    outcome, _decision = running.run(check=True)
    assert f"change values of release {NAME}" in outcome.plan.steps
    outcome, _decision = running.run()
    assert running.locked() == []  # it takes no more than it has
    running.checked()
    merged = running.values(outcome)
    assert (merged["own"], merged["of_group"]) == (1, 2)
    found = running.allocation("a")
    assert found is not None
    assert group_pending.pending(group, group.members[0], found.applied) == []


def test_change_in_group_values_are_those_of_last_task(running: World) -> None:
    outcome, _decision = running.checked(request={"values": {"other": 2}})
    assert "own" not in running.values(outcome)
    assert running.request("a")["values"] == {"other": 2}
    outcome, _decision = running.checked(request={"values": {}})
    assert "other" not in running.values(outcome)


def test_change_in_group_edited_objects_are_repaired(running: World) -> None:
    host = running.hosts["a"]
    host.change(QUOTA, {"spec": {"hard": {"limits.cpu": "64"}}})
    host.vanish(LIMITS)
    host.change(NAMESPACE_PATH, {"metadata": {"annotations": {well_known.APPLIED_ANNOTATION: "broken"}}})
    outcome, _decision = running.checked()
    assert outcome.plan.steps == [
        f"change ResourceQuota nested-clusters-{NAME}",
        f"create LimitRange nested-clusters-{NAME}",
        f"set annotations of namespace {NAMESPACE}: nested-clusters/applied",
    ]


def test_change_in_group_broken_request_is_refused(running: World) -> None:
    running.hosts["a"].change(SECRET, {"data": {"request": "x"}})
    error = running.refused()
    assert f"Secret {NAMESPACE}/nested-clusters-{NAME} does not contain the request" in str(error)


def test_change_in_group_task_without_group_is_refused(running: World) -> None:
    request = Request(NAME, NAMESPACE, CHART)
    with pytest.raises(OptionError) as caught:
        reconcile.present(running.clients["a"], running.helm["a"].open, request, RunOptions(wait=60))  # type: ignore[arg-type]
    assert (caught.value.data["option"], caught.value.data["allowed"]) == ("group", "dev")


def test_join_cluster_keeps_values(world: World) -> None:
    made_before(world, "b", {"own": 1})
    outcome, decision = world.checked(owner="alice", size=size(storage="6Gi"))
    assert decision.member.name == "b"
    assert world.values(outcome)["own"] == 1
    assert world.request("b")["values"]["own"] == 1
    found = world.allocation("b")
    assert found is not None
    assert (found.owner, found.size.as_dict()) == ("alice", {**DEFAULT, "storage": "6Gi"})


def test_join_size_below_volume_is_refused(world: World) -> None:
    """It cannot be. So its size must have room for it."""
    made_before(world, "b")
    error = world.refused()
    assert (error.data["option"], error.data["value"]) == ("size.storage", "2Gi")
    assert "the control plane alone claims 5Gi" in str(error)


def test_join_interrupted_keeps_values(world: World) -> None:
    made_before(world, "b", {"own": 1})
    host = world.hosts["b"]
    host.deny("create", "secrets")
    with pytest.raises(KubernetesError):
        world.run(size=size(storage="6Gi"))
    assert world.allocation("b") is not None  # it has its place
    assert SECRET not in host
    host.permit()
    outcome, _decision = world.run(size=size(storage="6Gi"))
    assert world.values(outcome)["own"] == 1


def test_change_in_group_deleted_request_does_not_keep_group_values(running: World) -> None:
    running.change(values={"of_group": 2})
    running.run()
    running.hosts["a"].vanish(SECRET)
    outcome, _decision = running.run()
    assert running.request("a") == {"values": {}, "kubernetes_version": None}
    running.change(values={})
    outcome, _decision = running.run()
    assert "of_group" not in running.values(outcome)


def test_change_in_group_failed_creation_keeps_allocation(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> Any:
        raise HelmError("no")

    with monkeypatch.context() as patch:
        patch.setattr(FakeHelm, "apply", fail)
        with pytest.raises(HelmError):
            world.run(host_cluster="b", owner="alice")
    assert world.allocation("b") is not None
    assert not [host for host in world.hosts.values() if LEASE in host]
    outcome, decision = world.run()  # without saying again where
    assert decision.member.name == "b"
    assert outcome.state.release is not None
    assert world.checked()[0].plan.steps == []


def test_change_in_group_failed_change_stays_pending(running: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> Any:
        raise HelmError("no")

    before = running.allocation("a")
    running.change(values={"of_group": 2})
    with monkeypatch.context() as patch:
        patch.setattr(FakeHelm, "apply", fail)
        with pytest.raises(HelmError):
            running.run(size=size(6))
    found = running.allocation("a")
    assert found is not None
    assert before is not None
    assert found.size.cpu == 6
    assert found.applied == before.applied
    running.run(size=size(6))
    found = running.allocation("a")
    assert found is not None
    assert found.applied != before.applied
