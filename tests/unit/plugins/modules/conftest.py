# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module vcluster with other things in place of its work; files of other modules have a ``run`` of their own."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.admission import admit
from ansible_collections.nested.clusters.plugins.module_utils.admission.decision_rules import Decision
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.deletion import removal
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Member
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.scheduling import placements
from ansible_collections.nested.clusters.plugins.module_utils.scheduling.placements import Candidate
from ansible_collections.nested.clusters.plugins.module_utils.values.endpoint import Endpoint
from ansible_collections.nested.clusters.plugins.modules import vcluster
from vcluster_calls import NAMESPACE, Calls

Object = dict[str, Any]


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The work of a virtual cluster without a group."""
    calls = Calls()
    monkeypatch.setattr(reconcile, "present", calls)
    return calls


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The work of a deletion."""
    calls = Calls()
    monkeypatch.setattr(removal, "absent", calls)
    return calls


@pytest.fixture
def in_group(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The work of a virtual cluster in a group, which is on host cluster host-b."""
    calls = Calls()
    nothing = Size.zero()
    placed = placements.place(nothing, [Candidate("host-b", nothing, nothing)])
    decision = Decision(Member("host-b"), SimpleNamespace(), NAMESPACE, "alice", nothing, None, placed)  # type: ignore[arg-type]

    def work(given: Any, open_helm: Any, *asked: Any, **options: Any) -> Any:
        seen = SimpleNamespace(group=SimpleNamespace(oidc=None, endpoint=Endpoint()), uncounted=list)
        return calls(given, open_helm, *asked, **options), decision, seen

    monkeypatch.setattr(admit, "present", work)
    return calls


@pytest.fixture
def real_connection() -> None:
    """Let the connection options count."""


@pytest.fixture
def run(
    run_module: Callable[..., Object], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[..., Object]:
    """Run module vcluster; no host cluster is connected to, but with ``real_connection``."""
    if "real_connection" not in request.fixturenames:
        monkeypatch.setattr(Kubernetes, "from_module", classmethod(lambda cls, module: object()))

    def call(**options: Any) -> Object:
        return run_module(vcluster, **{"name": "demo", **options})

    return call
