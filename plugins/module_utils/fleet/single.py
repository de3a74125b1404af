# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pause, resume or restart the one virtual cluster of a task, with the engine that does it for many.

The rule for one that does not exist yet is that of a list: it is created and started before it is paused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..common.batch import BatchOptions
from ..common.errors import NestedClustersError, OptionError
from ..k8s.client import Kubernetes
from ..k8s.host_clusters import ONLY, HostCluster
from ..listing.selection import Selector
from ..power import power_batch
from ..virtual_cluster.change import Change, ChangeKind, ChangeTarget


@dataclass
class PowerChange:
    """What a pause, resume or restart does to one virtual cluster: its phases, its steps in order, and its diff."""

    before: str
    after: str
    steps: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Power:
    """The state that a task asks for beside being present. ``foreseen`` is None where there is no control plane yet."""

    name: str
    options: BatchOptions
    foreseen: PowerChange | None

    @classmethod
    def look(cls, hosts: Sequence[HostCluster], selector: Selector, options: BatchOptions) -> Power:
        """Read the virtual cluster that ``selector`` names.

        Raises NestedClustersError, before anything is changed, where it cannot be brought to the state.
        """
        (name,) = selector.names
        check = BatchOptions(options.state, check=True, accept_data_loss=options.accept_data_loss)
        return cls(name, options, _switch(hosts, selector, check))

    @property
    def starts_first(self) -> bool:
        """Return whether the virtual cluster has to be created and started before it is paused."""
        return self.foreseen is None and self.options.state == "paused"

    def apply(self, kubernetes: Kubernetes, namespace: str) -> PowerChange:
        """Bring the virtual cluster to the state, or in check mode return what that would do.

        Raises NestedClustersError where it does not get there.
        """
        if self.foreseen is None and not self.starts_first:  # it was just created, and so it runs
            return PowerChange("absent", "running")
        if self.options.check:
            later = Change(ChangeKind.PAUSE_LATER, ChangeTarget("virtual cluster", self.name))
            return self.foreseen or self._from_nothing([later.text])
        selector = Selector(names=(self.name,), namespace=namespace)
        done = _switch([HostCluster(ONLY, kubernetes)], selector, self.options)
        if done is None:
            gone = "its control plane was deleted meanwhile; run the task again"
            raise NestedClustersError(f"virtual cluster {self.name}: {gone}")
        return done if self.foreseen else self._from_nothing(done.steps)

    def _from_nothing(self, steps: list[str]) -> PowerChange:
        """Return the change of a pause for a virtual cluster that did not exist before the task."""
        name = f"virtual cluster {self.name}"
        after = "".join(f"step: {step}\n" for step in steps)
        diff = {"before": "phase: absent\n", "after": f"phase: paused\n{after}"}
        return PowerChange("absent", "paused", steps, [{"before_header": name, "after_header": name, **diff}])


def _switch(hosts: Sequence[HostCluster], selector: Selector, options: BatchOptions) -> PowerChange | None:
    """Return what is done to the virtual cluster; None where it has no control plane, or is being deleted."""
    try:
        outcome = power_batch.run(hosts, selector, options)
    except OptionError as error:
        if error.data["option"] == "name":  # there is none of this name
            return None
        raise
    told: list[dict[str, Any]] = [job.describe(options) for job in outcome.jobs]
    if len(told) != 1 or (options.check and told[0]["before"] == "deleting"):
        return None  # whether two of a name may be is decided where they are read for their group
    (one,) = told
    if one["msg"]:
        raise NestedClustersError(f"virtual cluster {one['name']} is not {options.state}: {one['msg']}")
    diff = [job.diff(options) for job in outcome.jobs] if one["changed"] else []
    return PowerChange(one["before"], one["after"], one["steps"], diff, outcome.warnings)
