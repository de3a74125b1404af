# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One entry of a list of virtual clusters, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..admission.decision_rules import Decision
from ..common.errors import NestedClustersError
from ..k8s.client import Kubernetes
from ..k8s.snapshot import live
from ..lifecycle import outcomes
from ..lifecycle.request import Request
from ..virtual_cluster import phases
from ..virtual_cluster.change import Change
from ..virtual_cluster.cluster_state import Outcome, State
from ..virtual_cluster.membership import AdmissionRequest
from ..virtual_cluster.plan import Plan

ENTRY_STATES = ("present", "running", "paused", "absent")
NOWHERE = ("absent", "reserved")  # phases of one that has no control plane


@dataclass(frozen=True)
class Entry:
    """An entry of the list: what is wanted, the file for its kubeconfig ("": none), and whether it has its own URL."""

    request: Request
    asked: AdmissionRequest
    state: str
    kubeconfig: str = ""
    server: str | None = None

    @property
    def name(self) -> str:
        return self.request.name


@dataclass(frozen=True)
class Order:
    """What goes for all of them; ``timeout`` is in seconds and for each."""

    group: str
    check: bool = False
    prune: bool = False
    keep_volumes: bool = False
    wait: bool = True
    verify: bool = True
    timeout: float = 300
    at_once: int = 8
    accept_data_loss: bool = False


@dataclass
class FleetJob:
    """The work on one listed virtual cluster."""

    entry: Entry
    decision: Decision | None = None
    state: State | None = None  # as it was, or is after its turn
    full: Request | None = None
    differs: bool = False  # whether it differs from what is wanted
    planned: Plan = field(default_factory=Plan)  # not complete where Helm has to be asked
    foreseen: Outcome | None = None  # what check mode says, once Helm was asked
    before: str = "absent"
    after: str = "absent"
    done: list[Change] = field(default_factory=list)  # or in check mode what would be done
    diff: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what people have to do because of it
    endpoint: str | None = None
    error: str = ""

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def where(self) -> Decision:
        """Return where it is or will be. Raises NestedClustersError if that is not decided."""
        if self.decision is None:
            raise NestedClustersError(f"virtual cluster {self.name}: {self.error or 'no host cluster was chosen'}")
        return self.decision

    @property
    def kubernetes(self) -> Kubernetes:
        return live(self.where.kubernetes)

    @property
    def takes_more(self) -> bool:
        return bool(self.decision and self.decision.takes_more)

    @property
    def namespace(self) -> str:
        return self.decision.namespace if self.decision else self.entry.request.namespace

    @property
    def awake(self) -> bool:
        """Return whether it is to run: a paused one stays paused unless the list says that it runs."""
        return self.entry.state == "running" or (self.entry.state == "present" and self.before != "paused")

    @property
    def starts(self) -> bool:
        """Return whether it has to be started before it can rest: it never ran."""
        return self.entry.state == "paused" and self.before in NOWHERE

    def look(self, state: State) -> None:
        """Update the job from what was read."""
        self.state = state
        workload = state.workload(self.name)
        reserved = "reserved" if self.decision and self.decision.current else "absent"
        self.after = phases.phase(workload) if workload else reserved
        self.endpoint = outcomes.describe(Outcome(Plan(), state), self.name).get("endpoint")

    def describe(self) -> dict[str, Any]:
        """Return its part of the result."""
        found = self.decision
        return {
            "name": self.name,
            "namespace": self.namespace,
            "host_cluster": found.member.name if found else None,
            "owner": found.owner if found else None,
            "size": found.size.as_dict() if found else None,
            "before": self.before,
            "after": self.after,
            "endpoint": self.endpoint,
            "changed": bool(self.done),
            "steps": [change.text for change in self.done],
            "failed": bool(self.error),
            "msg": self.error,
        }


@dataclass
class Result:
    """What became of all of them, sorted by name."""

    virtual_clusters: list[dict[str, Any]]
    diff: list[dict[str, str]]
    warnings: list[str]
