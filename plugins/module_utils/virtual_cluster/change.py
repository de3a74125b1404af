# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One change of a plan, as a value: what is done to what. Its sentence is made at the end, for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..common import yaml_io
from ..values.masking import masked


class ChangeKind(Enum):
    """What a change does to its target. The comments name what ``details`` has."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    SWEEP = "sweep"  # delete an object that was found by its resource, such as configmaps
    SET_METADATA = "set metadata"  # part: labels or annotations; names: which of them
    MARK_KEPT = "mark as kept"
    REUSE = "reuse"  # take the mark of a volume claim that was kept
    WRITE = "write"  # a file on the machine of the task
    # Helm
    CLEAR = "clear"  # revision, status: of what Helm did not finish
    INSTALL = "install"  # version: of vCluster
    UPGRADE = "upgrade"  # before, after: versions of vCluster, "" where it stays; kubernetes, "" too; last: bool
    REPEAT = "repeat"  # status: of the release
    CHANGE_VALUES = "change values"
    RESTORE = "restore"  # an object of the release that somebody deleted
    REPAIR = "repair"  # one that somebody changed
    UNINSTALL = "uninstall"
    # an upgrade that can be taken back
    STOP = "stop"
    COPY = "copy"
    COPY_NOTHING = "copy nothing"
    CHECK_HEALTH = "check health"  # version: of vCluster that it has then
    PAUSE_AGAIN = "pause again"
    GO_BACK = "go back"  # version: of vCluster
    # power
    PAUSE_LATER = "pause later"
    SCALE = "scale"  # before, after: numbers of replicas
    MARK_PAUSED = "mark as paused"  # replicas: to which it is to be resumed
    UNMARK_PAUSED = "unmark as paused"
    DELETE_SYNCED = "delete synced pods"  # count; elsewhere: the namespace where it is not that of the virtual cluster


BY_HELM = frozenset(
    {
        ChangeKind.CLEAR,
        ChangeKind.INSTALL,
        ChangeKind.UPGRADE,
        ChangeKind.REPEAT,
        ChangeKind.CHANGE_VALUES,
        ChangeKind.RESTORE,
        ChangeKind.REPAIR,
        ChangeKind.UNINSTALL,
    }
)
_SENTENCES = {
    ChangeKind.CREATE: "create {target}",
    ChangeKind.CHANGE: "change {target}",
    ChangeKind.DELETE: "delete {target}",
    ChangeKind.SWEEP: "delete {target.kind}/{target.name}",
    ChangeKind.SET_METADATA: "set {part} of {target}: {names}",
    ChangeKind.MARK_KEPT: "mark {target} as kept",
    ChangeKind.REUSE: "mark {target} as used again",
    ChangeKind.WRITE: "write {target}",
    ChangeKind.CLEAR: "clear the unfinished Helm revision {revision} ({status})",
    ChangeKind.INSTALL: "install {target} with vCluster {version}",
    ChangeKind.REPEAT: "repeat {target}, which is {status}",
    ChangeKind.CHANGE_VALUES: "change values of {target}",
    ChangeKind.RESTORE: "restore {target}",
    ChangeKind.REPAIR: "repair {target}",
    ChangeKind.UNINSTALL: "uninstall {target}",
    ChangeKind.STOP: "stop the control plane of {target.name}",
    ChangeKind.COPY: "copy the data in {target}",
    ChangeKind.COPY_NOTHING: "copy no data of {target.name}, which has no volume claim of its own",
    ChangeKind.CHECK_HEALTH: "start {target.name} and check its health with vCluster {version}",
    ChangeKind.PAUSE_AGAIN: "pause {target.name} again",
    ChangeKind.GO_BACK: "roll back to vCluster {version}, as an earlier task did not finish",
    ChangeKind.PAUSE_LATER: "pause it when it has started",
    ChangeKind.UNMARK_PAUSED: "remove the pause mark from {target}",
}


@dataclass(frozen=True)
class ChangeTarget:
    """What is changed: its kind, in the words of Kubernetes or Helm, and its name."""

    kind: str
    name: str
    namespace: str = ""  # only where it is not clear from the rest of the plan

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Change:
    """One change. Two are equal when they do the same to the same target, however that was before.

    ``apply`` carries it out. Neighbors that one request or one run of Helm carries out together share it; None where
    it is done already, or where other code does it.
    """

    kind: ChangeKind
    target: ChangeTarget
    details: Mapping[str, Any] = field(default_factory=dict)
    diff: tuple[Mapping[str, str], ...] = field(default=(), compare=False)  # entries for Ansible's --diff
    apply: Callable[[], Any] | None = field(default=None, compare=False, repr=False)

    @property
    def text(self) -> str:
        """Return the change as a sentence."""
        details = self.details
        if self.kind is ChangeKind.UPGRADE:
            return _upgrade(self.target, details)
        if self.kind is ChangeKind.SCALE:
            return f"scale {self.target} from {details['before']} to {counted(details['after'])}"
        if self.kind is ChangeKind.MARK_PAUSED:
            return f"mark {self.target} as paused, with {counted(details['replicas'])} to resume to"
        if self.kind is ChangeKind.DELETE_SYNCED:
            elsewhere = f" in {details['elsewhere']}" if details["elsewhere"] else ""
            return f"delete {counted(details['count'], 'synced pod')}{elsewhere}"
        sentence = _SENTENCES[self.kind].format(target=self.target, **details)
        return f"{sentence} in namespace {self.target.namespace}" if self.target.namespace else sentence


def counted(count: int, what: str = "replica") -> str:
    """Return a number with its noun."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _upgrade(release: ChangeTarget, details: Mapping[str, Any]) -> str:
    words = [f"from vCluster {details['before']} to {details['after']}"] if details["after"] else []
    if details["kubernetes"]:
        words.append(f"{'with' if words else 'to'} Kubernetes {details['kubernetes']}")
    wait = "" if details["last"] else ", and wait until it is ready"
    return f"upgrade {release} {' '.join(words)}{wait}"


def diff_entries(before: Any, after: Any, name: str) -> list[dict[str, str]]:
    """Return an entry for Ansible's ``--diff``, or none where nothing differs. Texts go as they are, data as YAML."""
    texts = [
        entry if isinstance(entry, str) else yaml_io.dump(masked(entry)) if entry else "" for entry in (before, after)
    ]
    if texts[0] == texts[1]:
        return []
    return [{"before_header": name, "after_header": name, "before": texts[0], "after": texts[1]}]
