# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of upgrade_backup: which claims are copied, the changes that a plan announces, and the scripts in pods."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import upgrade_backup
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.upgrade_record import UpgradeRecord
from simulated_host import workload

MARK = UpgradeRecord(1, "0.35.1", paused=False)


def test_claims_depend_on_workloads() -> None:
    etcd = workload("a", "vcluster-etcd", replicas=3)
    assert upgrade_backup.claims(workload("a"), None) == ["data-a-0"]
    resting = workload("a", replicas=0, annotations={"loft.sh/paused-replicas": "1"})
    expected = ["data-a-0", "data-a-etcd-0", "data-a-etcd-1", "data-a-etcd-2"]
    assert upgrade_backup.claims(resting, etcd) == expected
    assert upgrade_backup.claims(workload("a", claim=False), None) == []
    own = workload("a", kind="Deployment")
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "mine"}}]
    own["spec"]["template"]["spec"]["volumes"] = volumes
    assert upgrade_backup.claims(own, None) == ["mine"]


def steps_before(*what: Any) -> list[str]:
    return [change.text for change in upgrade_backup.changes_before(*what)]


def steps_after(name: str, version: str, mark: UpgradeRecord | None, paused: bool) -> list[str]:
    return [change.text for change in upgrade_backup.changes_after(name, version, mark, paused)]


def test_changes_depend_on_state() -> None:
    running, resting = workload("a"), workload("a", replicas=0, annotations={"loft.sh/paused": "true"})
    copy = "copy the data in volume claim data-a-0"
    assert steps_before(running, None, None) == ["stop the control plane of a", copy]
    assert steps_before(resting, None, None) == [copy]
    assert steps_before(resting, None, UpgradeRecord(1, "0.35.1", paused=False, copied=True)) == []
    nothing = steps_before(workload("a", claim=False), None, None)
    assert nothing[-1] == "copy no data of a, which has no volume claim of its own"
    look = "start a and check its health with vCluster 0.36.1"
    assert steps_after("a", "0.36.1", None, paused=False) == [look]
    assert steps_after("a", "0.36.1", None, paused=True) == [look, "pause a again"]
    # What is at rest for an upgrade that was ended was not paused by anybody.
    assert steps_after("a", "0.36.1", MARK, paused=True) == [look]


def contents(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): os.readlink(path) if path.is_symlink() else path.read_text()
        for path in directory.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def run(script: str, directory: Path) -> int:
    text = script.replace(f"cd {upgrade_backup.DATA}", f"cd '{directory}'")
    return subprocess.run(["sh", "-c", text], check=False, capture_output=True).returncode


def test_scripts_restore_what_was_copied(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "server" / "a b").mkdir(parents=True)
    (data / "lost+found").mkdir()
    (data / "state.db").write_text("one")
    (data / "server" / "a b" / "key").write_text("two")
    (data / ".hidden").write_text("three")
    (data / "link").symlink_to("nowhere")
    before = contents(data)
    assert run(upgrade_backup.RESTORE, data) != 0, "there is no copy yet"
    assert contents(data) == before
    assert run(upgrade_backup.TAKE, data) == 0
    copied = {f"{upgrade_backup.COPY}/{name}": text for name, text in before.items()}
    assert contents(data) == {**before, **copied}
    (data / "state.db").write_text("changed")
    (data / "state.db-wal").write_text("new")
    (data / ".hidden").unlink()
    for _again in range(2):
        assert run(upgrade_backup.RESTORE, data) == 0
        assert contents(data) == {**before, **copied}
    assert (data / "lost+found").is_dir()
    (data / "state.db").write_text("later")
    assert run(upgrade_backup.TAKE, data) == 0, "the next upgrade takes its own"
    assert (data / upgrade_backup.COPY / "state.db").read_text() == "later"
    assert not (data / f"{upgrade_backup.COPY}.new").exists()
    assert not (data / upgrade_backup.COPY / upgrade_backup.COPY).exists()
