# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan for a virtual cluster: its changes, in the order in which they are done."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from .change import BY_HELM, Change, ChangeKind


@dataclass
class Plan:
    """What a task will do: ``changes`` in the order in which they are done; none if nothing differs."""

    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what people have to do because of it
    complete: bool = True  # False where Helm has to be asked for the rest

    @property
    def steps(self) -> list[str]:
        """Return the changes as sentences."""
        return [change.text for change in self.changes]

    @property
    def diff(self) -> list[dict[str, str]]:
        """Return the changes, for Ansible's ``--diff``."""
        return [dict(entry) for change in self.changes for entry in change.diff]

    @property
    def changed(self) -> bool:
        """Return whether there is anything to do."""
        return bool(self.changes) or not self.complete

    @property
    def creates_namespace(self) -> bool:
        """Return whether the namespace of the virtual cluster is yet to be made."""
        return any(change.kind is ChangeKind.CREATE and change.target.kind == "namespace" for change in self.changes)

    @property
    def needs_helm(self) -> bool:
        """Return whether Helm carries out a part of it."""
        return any(change.kind in BY_HELM for change in self.changes)

    def carry_out(self) -> None:
        """Do the changes in their order. What neighbors have in common is done once."""
        for apply, _together in itertools.groupby(self.changes, key=lambda change: change.apply):
            if apply is not None:
                apply()
