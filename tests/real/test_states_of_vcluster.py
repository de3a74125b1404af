# SPDX-License-Identifier: GPL-3.0-or-later
"""The module vcluster with state paused, running and restarted, on a virtual cluster that runs."""

from __future__ import annotations

from typing import Any

import pytest
from host_api import Host
from modules import Module, same
from pausing import marks
from places import Place


def switched(host: Host, vcluster: Module, where: Place, state: str) -> dict[str, Any]:
    """What the run says, which is what check mode said, and that changed nothing."""
    before = host.get(where.workload)["metadata"]["generation"], pod(host, where)
    check = vcluster(check=True, name=where.name, state=state)
    assert (host.get(where.workload)["metadata"]["generation"], pod(host, where)) == before
    run = vcluster(name=where.name, state=state)
    same(check, run)
    assert run["changed"]
    return run


def unchanged(vcluster: Module, where: Place, state: str) -> None:
    """The same task again has nothing to do."""
    for check in (True, False):
        again = vcluster(check=check, name=where.name, state=state)
        assert (again["changed"], again["steps"], again["diff"]) == (False, [], [])


def pod(host: Host, where: Place) -> str | None:
    """The UID of the pod of the control plane."""
    found = host.get(where.path("pods", f"{where.name}-0"))
    return found and str(found["metadata"]["uid"])


@pytest.mark.xdist_group("plain")
def test_states_of_running_virtual_cluster_pause_resume_and_restart_it(
    host: Host, vcluster: Module, plain: Place
) -> None:
    """One task after the other, each in check mode, then for real, then again."""
    run = switched(host, vcluster, plain, "paused")
    assert f"scale StatefulSet {plain.name} from 1 to 0 replicas" in run["steps"]
    assert run["virtual_cluster"]["phase"] == "paused"
    assert host.items(plain.path("pods")) == []
    assert marks(host, plain)["loft.sh/paused-replicas"] == "1"
    unchanged(vcluster, plain, "paused")
    assert "it is paused" in vcluster.refused(name=plain.name, state="restarted")

    run = switched(host, vcluster, plain, "running")
    assert run["steps"] == [f"scale StatefulSet {plain.name} from 0 to 1 replica"]
    assert run["virtual_cluster"]["phase"] == "running"
    assert marks(host, plain) == {}
    unchanged(vcluster, plain, "running")

    first = pod(host, plain)
    run = switched(host, vcluster, plain, "restarted")
    assert run["steps"] == [f"delete pod {plain.name}-0"]
    assert run["virtual_cluster"]["phase"] == "running"
    assert pod(host, plain) not in (None, first)
    assert vcluster(check=True, name=plain.name, state="restarted")["steps"] == run["steps"], "it changes every time"
