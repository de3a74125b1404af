# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task asks for, and the stages that Helm makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..common.semver import Version
from ..common.well_known import CREATED, NAME_ANNOTATION
from ..helm.chart import Chart
from ..values.control_plane import ControlPlane
from ..values.endpoint import Endpoint
from ..virtual_cluster.membership import Membership


@dataclass(frozen=True)
class GroupContext:
    """What a group adds to a request: the virtual cluster's place in it, and where each of the values comes from."""

    membership: Membership
    origins: Mapping[tuple[str, ...], str]
    leaving: bool = False  # whether its namespace was being deleted a moment ago, so that it has to be looked at


@dataclass(frozen=True)
class Request:
    """What a task asks for. None means that the task does not speak of it, and what is deployed stays."""

    name: str
    namespace: str
    chart: Chart
    vcluster_version: Version | None = None
    kubernetes_version: Version | None = None
    values: dict[str, Any] | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    annotations: dict[str, Any] = field(default_factory=dict)
    protected: bool | None = None
    control_plane: ControlPlane = field(default_factory=ControlPlane)
    endpoint: Endpoint | None = None  # of one without a group, with its host name
    group: GroupContext | None = None

    @property
    def membership(self) -> Membership | None:
        """Return its membership in a group."""
        return self.group.membership if self.group else None


@dataclass(frozen=True)
class RunOptions:
    """How a task runs, whatever it asks for.

    ``wait`` is how many seconds to wait until a virtual cluster is ready, None for not at all. ``kubeconfig`` says
    whether its kubeconfig is needed then; one that is there already has to be usable before anything is changed.
    ``rollback`` says whether an upgrade makes a backup first, and restores it if it fails. ``patience`` is how many
    seconds to wait for what is waited for in any case: what runs between two steps.
    """

    check: bool = False
    wait: float | None = None
    kubeconfig: bool = False
    rollback: bool = False
    patience: float = 300


@dataclass(frozen=True)
class Stage:
    """What Helm is to make: one release. An upgrade over several minor versions has several, in order."""

    version: Version
    values: dict[str, Any]
    kubernetes: Version | None = None  # pinned for this stage only


def namespace_of(request: Request) -> dict[str, Any]:
    """Return the namespace of a virtual cluster, as this collection creates it."""
    # `vcluster delete` removes a namespace with this annotation of its own, so ours are removed by it as well.
    metadata: dict[str, Any] = {"annotations": {CREATED: "true", NAME_ANNOTATION: request.name}}
    if request.membership:
        wanted = request.membership.annotations(request.name)
        metadata["annotations"].update({name: value for name, value in wanted.items() if value is not None})
        metadata["labels"] = request.membership.labels()
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": request.namespace, **metadata}}
