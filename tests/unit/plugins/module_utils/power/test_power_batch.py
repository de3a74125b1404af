# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the order in which a pause and a resume are announced and sent."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import batch
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import ONLY, HostCluster
from ansible_collections.nested.clusters.plugins.module_utils.listing.selection import Selector
from ansible_collections.nested.clusters.plugins.module_utils.power import power_batch
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.change import ChangeKind
from simulated_host import SimulatedHost, Ticking


@pytest.mark.parametrize("etcd", [0, 3])
def test_pause_and_resume_send_what_they_announce(etcd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    host = SimulatedHost()
    clock = Ticking(host)
    for module in (power_batch, batch):
        monkeypatch.setattr(module, "time", clock)
    host.have_cluster("a", etcd=etcd)
    hosts = [HostCluster(ONLY, host.client())]
    for state in ("paused", "running"):
        foreseen, done = (
            power_batch.run(hosts, Selector(names=("a",)), batch.BatchOptions(state, check, trust_kubelet=True))
            for check in (True, False)
        )
        (expected,), (job,) = foreseen.jobs, done.jobs
        order = batch.BatchOptions(state)
        assert expected.describe(batch.BatchOptions(state, True))["steps"] == job.describe(order)["steps"]
        writes = host.sent("create", "patch", "delete", "deletecollection")
        where = {ChangeKind.DELETE_SYNCED: "pods", ChangeKind.SCALE: "statefulsets"}
        assert isinstance(job, power_batch.PowerJob)
        resources = [where[change.kind] for change in job.transition.done]
        assert [next(part for part in resources if f"/{part}" in line) for line in writes] == resources
        names = [change.target.name for change in job.transition.done if change.kind is ChangeKind.SCALE]
        assert [line.rsplit("/", 1)[1] for line in writes if "statefulsets" in line] == names
        host.requests.clear()
