# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of upgrades with rollback: the backup, the health checks, and the rollback."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, WaitError
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import upgrade_backup, upgrade_record
from clock import Clock
from fake_api import FakeCluster
from fake_helm import NAMESPACE_PATH, WORKLOAD, FakeHelm, mark_deleted, vanish_namespace
from helm_releases import NAME, NAMESPACE
from lifecycle_runs import present
from upgrades import calls_of, marked, pause


def leave(cluster: FakeCluster, clock: Clock, *gone: str) -> None:
    """Have the namespace of one that runs go for 30 seconds, with something in it that goes last."""
    mark_deleted(cluster, NAMESPACE_PATH)
    for at in gone:
        cluster.vanish(at)
    clock.after(30, lambda: vanish_namespace(cluster, NAMESPACE))


def test_transaction_upgrade_makes_backup_first(old: FakeCluster, helm: FakeHelm, backup: list[str]) -> None:
    outcome = present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert calls_of(backup) == ["look", "take 000", "apply", "start", "look", "apply", "start", "look", "leave 100"]
    assert outcome.plan.steps[0] == f"stop the control plane of {NAME}"
    assert outcome.plan.steps[-1] == f"start {NAME} and check its health with vCluster 0.36.1"
    again = present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert again.plan.steps == []


def test_transaction_change_without_upgrade_makes_no_backup(
    old: FakeCluster, helm: FakeHelm, backup: list[str]
) -> None:
    present(old, helm, vcluster_version="0.34.0", values={"sync": {}}, rollback=True)
    assert calls_of(backup) == ["apply"]


def test_transaction_unhealthy_cluster_is_left_unchanged(old: FakeCluster, helm: FakeHelm, backup: list[str]) -> None:
    upgrade_backup.UpgradeBackup.unhealthy.add(1)  # type: ignore[attr-defined]
    with pytest.raises(WaitError):
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert calls_of(backup) == ["look"]


def test_transaction_failed_backup_starts_cluster_again(old: FakeCluster, helm: FakeHelm, backup: list[str]) -> None:
    upgrade_backup.UpgradeBackup.failing.add("take")  # type: ignore[attr-defined]
    with pytest.raises(NestedClustersError, match="No space left"):
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert calls_of(backup) == ["look", "take 000", "start", "leave 000"]


def test_transaction_failed_backup_leaves_paused_cluster_paused(
    old: FakeCluster, helm: FakeHelm, backup: list[str]
) -> None:
    pause(old)
    assert present(old, helm, check=True, vcluster_version="0.36.1", rollback=True).plan.steps[0].startswith("copy ")
    upgrade_backup.UpgradeBackup.failing.add("take")  # type: ignore[attr-defined]
    with pytest.raises(NestedClustersError, match="No space left"):
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert calls_of(backup) == ["take 000", "leave 000"]


def test_transaction_failed_upgrade_is_rolled_back(old: FakeCluster, helm: FakeHelm, backup: list[str]) -> None:
    upgrade_backup.UpgradeBackup.unhealthy.add(3)  # type: ignore[attr-defined]
    with pytest.raises(NestedClustersError) as caught:
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert caught.value.data["rolled_back"] is True
    assert "its CoreDNS does not run; it was rolled back to 0.34.0" in str(caught.value)
    failed = calls_of(backup).index("look", 6)
    back = ["write 110", "stop", "restore 110", "rollback 1", "write 111", "start", "look", "leave 111"]
    assert calls_of(backup)[failed + 1 :] == back


def test_transaction_failed_rollback_is_reported(old: FakeCluster, helm: FakeHelm, backup: list[str]) -> None:
    upgrade_backup.UpgradeBackup.unhealthy.update((2, 3))  # type: ignore[attr-defined]
    with pytest.raises(NestedClustersError, match="the rollback failed") as caught:
        present(old, helm, vcluster_version="0.36.1", rollback=True)
    assert caught.value.data["rolled_back"] is False
    assert not [call for call in backup if call.startswith("leave")]


@pytest.mark.parametrize(
    ("mark", "resting", "expected"),
    [
        # Ended before the copy was whole; after it; after Helm.
        ({}, True, ["take 000", "apply", "start", "look", "apply", "start", "look", "leave 100"]),
        ({"copied": True}, True, ["apply", "start", "look", "apply", "start", "look", "leave 100"]),
        ({"copied": True, "revision": 0}, False, ["start", "look", "apply", "start", "look", "apply", "start", "look"]),
        # Somebody has started it since, and what it has written is not in the copy.
        ({"copied": True}, False, ["look", "take 000", "apply", "start", "look", "apply", "start", "look"]),
    ],
)
def test_transaction_interrupted_upgrade_is_continued(
    mark: dict[str, Any], resting: bool, expected: list[str], old: FakeCluster, helm: FakeHelm, backup: list[str]
) -> None:
    marked(old, **mark)
    if resting:
        pause(old)
    present(old, helm, vcluster_version="0.36.1")
    assert calls_of(backup)[: len(expected)] == expected


def test_transaction_unchecked_upgrade_is_checked(old: FakeCluster, helm: FakeHelm, backup: list[str]) -> None:
    marked(old, copied=True, revision=0, version="0.33.0")
    steps = present(old, helm, check=True).plan.steps
    assert steps == [f"start {NAME} and check its health with vCluster 0.34.0"]
    assert present(old, helm).plan.steps == steps
    assert calls_of(backup) == ["start", "look", "leave 100"]


def test_transaction_finished_rollback_is_not_repeated(old: FakeCluster, helm: FakeHelm, backup: list[str]) -> None:
    marked(old, copied=True, returning=True, returned=True)
    present(old, helm, vcluster_version="0.34.0")
    assert calls_of(backup)[:3] == ["start", "look", "leave 111"]


def test_transaction_interrupted_rollback_is_finished_first(
    old: FakeCluster, helm: FakeHelm, backup: list[str]
) -> None:
    marked(old, copied=True, returning=True)
    foreseen = present(old, helm, check=True, vcluster_version="0.35.3")
    assert foreseen.plan.steps == ["roll back to vCluster 0.34.0, as an earlier task did not finish"]
    assert calls_of(backup) == []

    def leave(_self: Any, _mark: upgrade_record.UpgradeRecord) -> None:
        old.change(WORKLOAD, {"metadata": {"annotations": {well_known.WAY_BACK: None}}})

    upgrade_backup.UpgradeBackup.leave = leave  # type: ignore[assignment, method-assign]
    outcome = present(old, helm, vcluster_version="0.35.3")
    assert outcome.plan.steps == [
        *foreseen.plan.steps,
        f"upgrade release {NAME} from vCluster 0.34.0 to 0.35.3",
    ]
    assert calls_of(backup) == [
        "write 110",
        "stop",
        "restore 110",
        "rollback 1",
        "write 111",
        "start",
        "look",
        "apply",
    ]
