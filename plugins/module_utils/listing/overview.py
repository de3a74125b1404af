# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the virtual clusters of a host cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from ..common import well_known
from ..common.errors import NestedClustersError
from ..k8s.client import parallel
from ..k8s.host_clusters import ONLY, HostCluster, ask_apart
from ..virtual_cluster import membership
from .observed import ClusterKey
from .readers import Reader, Selection, ask_workloads, describe_all, garbage_collection_paused, key_of, of_lists

_NO_PLACE: dict[str, Any] = {"group": None, "owner": None, "size": None}


@dataclass
class Overview:
    """What host clusters have: virtual clusters, what to warn of, and the names of host clusters that did not answer.

    A virtual cluster is as ``describe`` gives it, with its place in a group (``group``, ``owner`` and ``size``, all
    None where it is in none) and its ``host_cluster`` (None for the one of the task's connection options).
    """

    virtual_clusters: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def read(given: Iterable[HostCluster], selection: Selection, now: datetime) -> Overview:
    """Return the virtual clusters of host clusters, sorted by host cluster, namespace and name.

    Left out with a warning: a host cluster that does not answer, and a kind that the caller may not read, except the
    workloads and, where the selection needs them, namespaces. Raises NestedClustersError where no host cluster gives
    these.
    """
    with garbage_collection_paused():
        answers = ask_apart(given, lambda host: _read(host, selection, now))
    found = Overview(failed=sorted(answers.failed))
    for _name, one in sorted(answers.some().items()):
        found.virtual_clusters += one.virtual_clusters
        found.warnings += one.warnings
    found.warnings += [f"host cluster {name}: {error}" for name, error in sorted(answers.failed.items())]
    return found


def _read(host: HostCluster, selection: Selection, now: datetime) -> Overview:
    reader = Reader(host.kubernetes, selection.namespace)
    labels = selection.labels()
    *lists, services, ingresses, routes, (places, warnings) = parallel(
        [
            *ask_workloads(reader, selection),
            # A virtual cluster has two Services; only those with an address of their own are transferred.
            partial(reader.optional, "v1", "services", labels, "spec.type=LoadBalancer"),
            partial(reader.optional, "networking.k8s.io/v1", "ingresses", labels),
            partial(reader.optional, "gateway.networking.k8s.io/v1", "tlsroutes", labels),
            partial(_places, reader, selection),
        ]
    )
    workloads = of_lists(*lists)
    if selection.in_group:
        workloads = [item for item in workloads if _fits(places.get(key_of(item)), selection)]
    clusters = describe_all(reader, selection, workloads, now, services, ingresses + routes)
    own = None if host.name == ONLY else host.name
    found = [
        {"host_cluster": own, **cluster, **places.get((cluster["namespace"], cluster["name"]), _NO_PLACE)}
        for cluster in clusters
        if not selection.phases or cluster["phase"] in selection.phases
    ]
    warnings += reader.warnings()
    return Overview(
        sorted(found, key=lambda cluster: (cluster["namespace"], cluster["name"])),
        [f"host cluster {own}: {warning}" for warning in warnings] if own else warnings,
    )


def _places(reader: Reader, selection: Selection) -> tuple[dict[ClusterKey, dict[str, Any]], list[str]]:
    """Return (group, owner and size of each virtual cluster in a group; warnings of what cannot be read)."""
    label = f"{well_known.GROUP_LABEL}={selection.group}" if selection.group else well_known.GROUP_LABEL
    places, warnings = {}, []
    for namespace in reader.namespaces(label, required=selection.in_group):
        try:
            found = membership.allocation(namespace, reader.kubernetes.host)
        except NestedClustersError as error:
            warnings.append(str(error))
            continue
        if found:
            recorded = {"group": found.group, "owner": found.owner, "size": found.size.as_dict()}
            places[found.namespace, found.name] = recorded
    return places, warnings


def _fits(recorded: dict[str, Any] | None, selection: Selection) -> bool:
    if recorded is None:
        return False
    return selection.group in (None, recorded["group"]) and selection.owner in (None, recorded["owner"])
