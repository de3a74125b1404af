# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Export the kubeconfig of a virtual cluster, and describe it in the module's result."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ..common.errors import NestedClustersError
from ..endpoint import kubeconfig as kubeconfigs
from ..virtual_cluster import description
from ..virtual_cluster.change import Change, ChangeKind, ChangeTarget
from ..virtual_cluster.cluster_state import Outcome


def export(
    params: dict[str, Any],
    namespace: str,
    outcome: Outcome,
    check: bool,
    oidc: Mapping[str, Any],
    url: str | None = None,
) -> dict[str, Any]:
    """Write or return the kubeconfig; adds the change that writes it to the plan.

    ``oidc`` is that of its group, ``url`` where it was seen to answer.
    """
    options, name = params["export_kubeconfig"], params["name"]
    if not options:
        return {}
    secret = outcome.state.secret(f"vc-{name}")
    if secret is None:
        if not check:
            raise NestedClustersError(
                f"export_kubeconfig: Secret vc-{name} is not there yet, because virtual cluster {name} has not "
                "started; use wait: true, or run the task again when it has"
            )
        if options["path"]:  # a virtual cluster that is yet to be made has a new kubeconfig
            outcome.plan.changes.append(_write(options["path"]))
        return {}
    release = outcome.state.release
    server = options["server"] or (description.in_cluster(name, namespace) if options["in_cluster"] else None) or url
    server = server or description.endpoint(
        name,
        namespace,
        [thing for key, thing in outcome.state.live.items() if key[1] == "Service"],
        [thing for key, thing in outcome.state.live.items() if key[1] in description.ROUTE_KINDS],
        release.values if release else None,
    )
    content = kubeconfigs.kubeconfig(secret, server, options["context"] or f"vcluster_{name}_{namespace}")
    if oidc and options["user"] != "admin":
        content = kubeconfigs.with_oidc(content, dict(oidc))
    if options["path"] and kubeconfigs.write_kubeconfig(options["path"], content, check):
        outcome.plan.changes.append(_write(options["path"]))
    return {"kubeconfig": content} if options["return_content"] else {}


def _write(file: str) -> Change:
    return Change(ChangeKind.WRITE, ChangeTarget("kubeconfig", file))


def describe(outcome: Outcome, name: str) -> dict[str, Any]:
    """The virtual cluster as the task leaves it; empty where there is none."""
    workload = outcome.state.workload(name)
    if workload is None:
        return {}
    services = [thing for key, thing in outcome.state.live.items() if key[1] == "Service"]
    routes = [thing for key, thing in outcome.state.live.items() if key[1] in description.ROUTE_KINDS]
    release = outcome.state.release
    return description.describe(
        workload,
        description.RelatedObjects(services=services, routes=routes),
        datetime.now(timezone.utc),
        values=release.values if release else None,
    )
