# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring virtual cluster demo to a request, and hold check mode, the real run and a second run to each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.common.semver import (
    parse_kubernetes_version,
    parse_version,
)
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.request import Request, RunOptions
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import namespaces, readiness
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.cluster_state import Outcome
from clock import Clock
from fake_api import FakeCluster
from fake_helm import CHART, FakeHelm
from helm_releases import NAME, NAMESPACE


def run_clock(monkeypatch: pytest.MonkeyPatch, more: Iterable[ModuleType] = ()) -> Iterator[Clock]:
    """Replace the clocks of all that waits; for a fixture."""
    clock = Clock()
    for module in (namespaces, reconcile, readiness, *more):
        monkeypatch.setattr(module, "time", clock)
    yield clock
    assert clock.now < 2000, "something waits for ever"


def demo_request(**options: Any) -> Request:
    """Return a request for the virtual cluster, with versions as a task writes them."""
    parse = {"vcluster_version": parse_version, "kubernetes_version": parse_kubernetes_version}
    typed: dict[str, Any] = {name: parse[name](options[name]) for name in parse if options.get(name)}
    return Request(**{"name": NAME, "namespace": NAMESPACE, "chart": CHART, **options, **typed})


def present(
    cluster: FakeCluster, helm: FakeHelm, check: bool = False, wait: float | None = 60, **options: Any
) -> Outcome:
    """Bring the virtual cluster to a request with these options; ``rollback`` and ``patience`` are those of a run."""
    of_run = {name: options.pop(name) for name in ("rollback", "patience") if name in options}
    run = RunOptions(check, wait, kubeconfig=True, **of_run)
    return reconcile.present(cluster.client(), helm.open, demo_request(**options), run)  # type: ignore[arg-type]


def checked(cluster: FakeCluster, helm: FakeHelm, **options: Any) -> Outcome:
    """Check mode, which changes nothing; the real run, which does just that; a second run, which does nothing."""
    before = cluster.state()
    helm.forget()
    foreseen = present(cluster, helm, check=True, **options)
    assert (cluster.state(), cluster.writes()) == (before, [])
    assert "apply" not in helm.runs
    outcome = present(cluster, helm, **options)
    assert foreseen.plan == outcome.plan
    assert foreseen.plan.diff == outcome.plan.diff
    helm.forget()
    for check in (False, True):
        again = present(cluster, helm, check=check, **options)
        assert (again.plan.steps, again.plan.diff, cluster.writes(), helm.runs) == ([], [], [], [])
    return outcome


def refused(cluster: FakeCluster, helm: FakeHelm, **options: Any) -> NestedClustersError:
    """Return the refusal, the same in check mode, with nothing changed."""
    before = cluster.state()
    cluster.requests.clear()
    messages = []
    for check in (True, False):
        with pytest.raises(NestedClustersError) as caught:
            present(cluster, helm, check=check, **options)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert (cluster.state(), cluster.writes()) == (before, [])
    assert "apply" not in helm.runs
    return caught.value


def run_demo(cluster: FakeCluster, helm: FakeHelm) -> FakeCluster:
    """Have the virtual cluster run, as this collection made it, of the version before the newest."""
    present(cluster, helm, vcluster_version="0.35.0", labels={"env": "prod"}, protected=True)
    helm.forget()
    return cluster
