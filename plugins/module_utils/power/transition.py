# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send the steps of a pause, a resume or a restart of one virtual cluster, as far as it is their turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone

from ..common.errors import NestedClustersError
from ..k8s.client import Kubernetes
from ..k8s.errors import KubernetesError
from ..listing.observed import ObservedCluster
from ..virtual_cluster.change import Change
from . import power_steps
from .power_steps import PowerStep


@dataclass
class Transition:
    """One virtual cluster on its way to a power state; ``old`` are the UIDs of the pods that a restart replaces."""

    kubernetes: Kubernetes
    state: str
    old: frozenset[str] = frozenset()
    done: list[Change] = field(default_factory=list)  # that were sent
    last: str = ""  # why nothing was sent, where the API server did not take it
    _patched: set[str] = field(default_factory=set)

    def steps(self, observed: ObservedCluster) -> list[PowerStep]:
        """Return what is still to be done with a virtual cluster as it was read, in order."""
        return power_steps.steps(observed, self.state, now(), self.old)

    def advance(self, observed: ObservedCluster, elapsed: float) -> list[PowerStep] | None:
        """Send what is due ``elapsed`` seconds after the beginning; returns all that was to be done before.

        None where something has changed since it was read, or the API server is away: read again. Raises
        NestedClustersError where somebody undoes what was done.
        """
        steps = self.steps(observed)
        try:
            for step in steps:
                if step.is_due(elapsed):
                    self._send(step)
        except KubernetesError as error:
            if error.status != 409 and not error.passing:
                raise
            self.last = str(error)
            return None
        return steps

    def _send(self, step: PowerStep) -> None:
        if step.where in self._patched:
            raise NestedClustersError("another client undid the change; run the task again when it is done")
        new = step.change not in self.done
        if new:
            self.done.append(step.change)
        try:
            if step.verb == "patch":
                self.kubernetes.patch(step.where, dict(step.body))
                self._patched.add(step.where)
            elif step.verb == "delete_all":
                self.kubernetes.delete_all(step.where, step.labels)
            else:
                self.kubernetes.delete(step.where, dict(step.body))
        except KubernetesError as error:
            if new and not error.passing:  # without an answer it may have been done
                self.done.remove(step.change)
            raise


def now() -> str:
    """Return the time as the annotation of a pause has it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
