# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan for each virtual cluster of a list, from one look at all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..admission.complete import complete
from ..admission.decision_rules import decide
from ..common.errors import NestedClustersError, OptionError
from ..groups.group_view import GroupView
from ..k8s.host_clusters import HostCluster
from ..k8s.snapshot import Snapshot
from ..lifecycle import export, reconcile
from ..lifecycle.export import KubeconfigExport
from ..lifecycle.request import RunOptions
from ..virtual_cluster import cluster_state
from ..virtual_cluster.change import Change
from .job import Entry, FleetJob


def check_names(names: Sequence[str]) -> None:
    """Raise OptionError for a name that is listed twice."""
    for name in names:
        if names.count(name) > 1:
            message = f"{name} is listed {names.count(name)} times; list each name once"
            raise OptionError("virtual_clusters.name", name, "each name once", message=message)


def any_kubeconfig(entries: Iterable[Entry]) -> bool:
    return any(entry.kubeconfig for entry in entries)


def prefetch(host: HostCluster) -> None:
    if isinstance(host.kubernetes, Snapshot):
        host.kubernetes.prefetch()


# --- planning ---------------------------------------------------------------------------------------------


def to_delete(seen: GroupView, entries: Iterable[Entry], prune: bool) -> tuple[list[str], list[str]]:
    """Return the names to delete: (those listed as absent, with ``prune`` those not listed)."""
    listed = {entry.name: entry.state for entry in entries}
    mine = [item for item in seen.allocations if item.group == seen.group.name]
    absent = {item.name for item in mine if listed.get(item.name) == "absent"}
    unlisted = {item.name for item in mine if prune and item.name not in listed and not item.kept}
    return sorted(absent), sorted(unlisted)


def plan_jobs(seen: GroupView, entries: Iterable[Entry]) -> list[FleetJob]:
    """Plan for each in the order of the list, as if those before it had what they ask for."""
    jobs = []
    for entry in entries:
        job = _plan_job(seen, entry)
        jobs.append(job)
        if not job.error and job.takes_more and job.full and job.full.membership:
            applied = job.full.membership.applied
            seen = seen.with_allocation(job.where.allocation(job.name, seen.group.name, applied))
    return jobs


def _plan_job(seen: GroupView, entry: Entry) -> FleetJob:
    """Plan for one; what keeps it from being planned is in its error, beside what was decided before."""
    job = FleetJob(entry)
    try:
        job.decision = found = decide(seen, entry.request, entry.asked)
        job.full = complete(entry.request, seen.group, found, entry.asked.ahead)
        # Helm is not started before it is its turn, so a plan that needs it is not complete.
        needed = bool(entry.kubeconfig)
        outcome = reconcile.present(found.kubernetes, None, job.full, RunOptions(check=True, kubeconfig=needed))
        job.planned, job.differs, state = outcome.plan, outcome.plan.changed, outcome.state
        if not outcome.plan.complete:
            state = cluster_state.read(found.kubernetes, job.name, found.namespace)
        job.look(state)
        job.before = job.after
        if entry.kubeconfig and not job.differs:
            missing = state.secret(f"vc-{job.name}") is None
            job.differs = missing or bool(export_kubeconfig(seen, job, check=True))
    except NestedClustersError as error:
        job.error = str(error)
    return job


def export_kubeconfig(seen: GroupView, job: FleetJob, check: bool) -> list[Change]:
    """Write the kubeconfig of a virtual cluster as it was last seen; returns what that changes."""
    if job.state is None:
        return []
    wanted = KubeconfigExport(job.entry.kubeconfig, server=job.entry.server)
    return list(export.export(wanted, job.name, job.namespace, job.state, check, seen.group.oidc).changes)
