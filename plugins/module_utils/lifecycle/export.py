# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Export the kubeconfig of a virtual cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..common.errors import NestedClustersError
from ..endpoint.kubeconfig import kubeconfig, with_oidc, write_kubeconfig
from ..values.oidc import Oidc
from ..virtual_cluster import description
from ..virtual_cluster.change import Change, ChangeKind, ChangeTarget
from ..virtual_cluster.cluster_state import State


@dataclass(frozen=True)
class KubeconfigExport:
    """What a task asks for: a kubeconfig in a file, in its result, or both. None and "" are what nobody says."""

    path: str = ""
    context: str | None = None
    server: str | None = None
    in_cluster: bool = False
    user: str | None = None  # admin or oidc
    return_content: bool = False
    verified_url: str | None = None  # where the virtual cluster was seen to answer

    @classmethod
    def of(cls, option: Mapping[str, Any], verified_url: str | None = None) -> KubeconfigExport:
        """Make one from a module's option."""
        return cls(
            option["path"] or "",
            option["context"],
            option["server"],
            option["in_cluster"],
            option["user"],
            option["return_content"],
            verified_url,
        )

    def server_of(self, name: str, namespace: str, state: State) -> str | None:
        """Return the URL of the API server in it; None where nothing outside of the host cluster leads there."""
        inside = description.in_cluster(name, namespace) if self.in_cluster else None
        release = state.release
        return (
            self.server
            or inside
            or self.verified_url
            or description.endpoint(
                name,
                namespace,
                [live for key, live in state.live.items() if key[1] == "Service"],
                [live for key, live in state.live.items() if key[1] in description.ROUTE_KINDS],
                release.values if release else None,
            )
        )


@dataclass(frozen=True)
class Exported:
    """What became of an export: its changes, for the plan, and the kubeconfig, if that is for the result."""

    changes: tuple[Change, ...] = ()
    content: dict[str, Any] | None = None

    def result(self) -> dict[str, Any]:
        """Return its part of the module's result: ``kubeconfig``, or nothing."""
        return {"kubeconfig": self.content} if self.content is not None else {}


def export(
    wanted: KubeconfigExport | None, name: str, namespace: str, state: State, check: bool, oidc: Oidc | None = None
) -> Exported:
    """Write or return the kubeconfig of a virtual cluster, if one is wanted; ``oidc`` is that of its group.

    Raises NestedClustersError where it has not started, or where its kubeconfig or the file cannot be used.
    """
    if wanted is None:
        return Exported()
    writes = (Change(ChangeKind.WRITE, ChangeTarget("kubeconfig", wanted.path)),)
    secret = state.secret(f"vc-{name}")
    if secret is None:
        if not check:
            raise NestedClustersError(
                f"export_kubeconfig: Secret vc-{name} does not exist yet, because virtual cluster {name} has not "
                "started; set wait: true, or run the task again when it has"
            )
        return Exported(writes if wanted.path else ())  # one that is yet to be made has a new kubeconfig
    server = wanted.server_of(name, namespace, state)
    content = kubeconfig(secret, server, wanted.context or f"vcluster_{name}_{namespace}")
    if oidc and wanted.user != "admin":
        content = with_oidc(content, oidc)
    written = bool(wanted.path) and write_kubeconfig(wanted.path, content, check)
    return Exported(writes if written else (), content if wanted.return_content else None)
