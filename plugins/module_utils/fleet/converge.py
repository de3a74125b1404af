# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out the plans for the virtual clusters of a list.

What is there is read once for all of them, a LIST a kind on each host cluster, and each is planned for from that.
Only where something is to be done, it is done as for a single one: what they need is taken first, in the order of the
list under one hold of the locks, then some of them are worked on at once. One that fails keeps no other from its turn.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..admission import admit, reservation
from ..admission.decision_rules import PlanOutdated
from ..common import batch
from ..common.errors import NestedClustersError
from ..deletion import deletion_batch
from ..deletion.job import DeletionJob
from ..endpoint import reachability
from ..groups import group_lock, group_view
from ..groups.group_view import GroupView
from ..helm.cli import Helm
from ..k8s import host_clusters
from ..k8s.client import Kubernetes
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import path
from ..k8s.snapshot import Snapshot, live
from ..lifecycle import reconcile
from ..lifecycle.request import RunOptions
from ..listing import readers
from ..listing.selection import Selector
from ..power import power_batch
from ..virtual_cluster import cluster_state, namespaces, readiness
from ..virtual_cluster.change import Change, ChangeKind, ChangeTarget
from ..virtual_cluster.cluster_state import Outcome
from ..virtual_cluster.plan import Plan
from .job import NOWHERE, Entry, FleetJob, Order, Result
from .plan import any_kubeconfig, check_names, export_kubeconfig, plan_jobs, prefetch, to_delete

RESERVED_AT_ONCE = 50  # under one hold of the locks, for which others wait

HelmFactory = Callable[[Kubernetes], contextlib.AbstractContextManager[Helm]]


def run(given: Sequence[HostCluster], open_helm: HelmFactory, entries: Sequence[Entry], order: Order) -> Result:
    """Bring virtual clusters of a group to what is listed.

    Raises NestedClustersError before anything is changed: where the group is not known, where a name is listed twice,
    or where one to delete is protected. Errors of single virtual clusters are in the result.
    """
    check_names([entry.name for entry in entries])
    snapshots = [HostCluster(host.name, Snapshot(host.kubernetes, any_kubeconfig(entries))) for host in given]
    with readers.garbage_collection_paused():
        host_clusters.ask(snapshots, prefetch)
        seen = group_view.picture(snapshots, order.group)
        reached = [host for host in given if host.name not in seen.silent]
        work = _Work(reached, open_helm, order, seen)
        jobs, going, spared = _plan(work, entries)
    deletion = work.plan_deletion(going)  # refuses what is protected
    if order.check:
        work.preview(jobs)
    else:
        if deletion:
            deletion_batch.carry_out(deletion)
        work.carry_out(jobs, after_deletion=deletion is not None)
    gone, diff = _gone(entries, deletion.jobs if deletion else [], order)
    found = sorted([*(job.describe() for job in jobs), *gone], key=lambda item: str(item["name"]))
    diff = [part for job in jobs for part in job.diff] + diff
    silent = [f"host cluster {name} does not answer: {error}" for name, error in sorted(seen.silent.items())]
    uncounted = seen.uncounted() if any(job.takes_more for job in jobs) else []
    notes = [note for job in jobs for note in job.notes]
    return Result(found, diff, sorted({*silent, *uncounted, *notes, *spared}))


def _plan(work: _Work, entries: Sequence[Entry]) -> tuple[list[FleetJob], list[str], list[str]]:
    """Return jobs for listed virtual clusters, names of those to delete, and why some unlisted ones stay.

    None is deleted while an entry has an error, because replacing one by another would leave neither.
    """
    seen = work.seen
    absent, unlisted = to_delete(seen, entries, work.order.prune)
    jobs = work.foresee(entries, [*absent, *unlisted], with_helm=bool(unlisted))
    broken = [f"{job.name}: {job.error}" for job in jobs if job.error]
    if not (unlisted and broken):
        return jobs, sorted([*absent, *unlisted]), []
    jobs = work.foresee(entries, absent, with_helm=False)  # what those have that stay is not free
    why = f"not deleted, although not listed (prune): {', '.join(unlisted)}; first mend what is listed: "
    return jobs, absent, [why + "; ".join(broken)]


# --- doing ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Work:
    """What the steps of the work have in common."""

    given: Sequence[HostCluster]
    open_helm: HelmFactory
    order: Order
    seen: GroupView

    def foresee(self, entries: Iterable[Entry], going: Sequence[str], with_helm: bool) -> list[FleetJob]:
        """Plan for the listed ones as if those to delete were gone; ``with_helm`` also what only Helm can refuse."""
        jobs = plan_jobs(self.seen.without(going), [entry for entry in entries if entry.state != "absent"])
        if with_helm:
            self._each(self._ask_helm, [job for job in jobs if job.differs])
        return jobs

    def plan_deletion(self, names: Sequence[str]) -> deletion_batch.DeletionPlan | None:
        """Plan the deletion of those of these names. Raises NestedClustersError for protected ones."""
        if not names:
            return None
        selector = Selector(names=tuple(names), group=self.order.group)
        return deletion_batch.plan(self.given, selector, self._switch("absent"))

    def preview(self, jobs: Sequence[FleetJob]) -> None:
        """Plan once more, with all that is there and with Helm, where something is to be done."""
        self._each(self._preview, [job for job in jobs if job.differs])
        for job in jobs:
            if job.starts and not job.error:
                job.done.append(Change(ChangeKind.PAUSE_LATER, ChangeTarget("virtual cluster", job.name)))
                job.after = "paused"
        self._switch_all(jobs)

    def carry_out(self, jobs: Sequence[FleetJob], after_deletion: bool) -> None:
        """Do what was planned, from what was read before, or as it is under the locks where these are needed."""
        changing = [job for job in jobs if job.differs and not job.error]
        if changing:
            new, view = self._reserve(changing)
            if view is None and after_deletion:  # which may have taken minutes
                view = group_view.picture(self.given, self.order.group)
            self._each(partial(self._apply, view or reservation.with_live_hosts(self.seen), new), changing)
        self._switch_all(jobs, starting=True)
        self._each(self._finish, [job for job in jobs if job.differs or job.done])
        self._switch_all(jobs)

    def _ask_helm(self, job: FleetJob) -> Outcome | None:
        """Return what would be done, planned with Helm; None if nothing was read."""
        kubernetes = job.where.kubernetes
        if job.foreseen is None and isinstance(kubernetes, Snapshot) and job.full:
            kubernetes.look_again(job.namespace)
            with contextlib.ExitStack() as stack:
                job.foreseen = reconcile.present(
                    kubernetes,
                    lambda: stack.enter_context(self.open_helm(job.kubernetes)),
                    job.full,
                    RunOptions(check=True, patience=self.order.timeout),
                )
        return job.foreseen

    def _preview(self, job: FleetJob) -> None:
        outcome = self._ask_helm(job)
        if outcome:
            job.done, job.diff, job.notes = list(outcome.plan.changes), outcome.plan.diff, outcome.plan.notes
        if job.entry.kubeconfig:
            job.done += export_kubeconfig(self.seen, job, check=True)
        if job.before in NOWHERE:
            job.after = "running"

    def _reserve(self, jobs: Sequence[FleetJob]) -> tuple[set[str], GroupView | None]:
        """Take what they need; returns the names of those that had nothing before, and the group as it is then.

        None where nothing had to be taken.
        """
        asking = [job for job in jobs if job.where.takes_more]
        timeout = self.order.timeout
        self._each(lambda job: namespaces.wait_until_free(job.kubernetes, job.namespace, timeout), asking)
        new: set[str] = set()
        view: GroupView | None = None
        lost = False
        queue = [job for job in asking if not job.error]
        while queue:
            turn, queue = queue[:RESERVED_AT_ONCE], queue[RESERVED_AT_ONCE:]
            wanted = [(job.entry.request, job.entry.asked) for job in turn]
            try:
                done = reservation.reserve(self.given, self.seen, wanted)
            except (group_lock.LockLost, PlanOutdated):  # each by itself then, as it would be without the others
                lost = True
                continue
            new, view = new | done.new, done.view
            for job in turn:
                if job.name in done.refused:
                    job.error = str(done.refused[job.name])
        return new, group_view.picture(self.given, self.order.group) if lost else view

    def _apply(self, first: GroupView, new: set[str], job: FleetJob) -> None:
        """Create or change one, without waiting for it."""
        taken = job.takes_more
        with contextlib.ExitStack() as stack:
            try:
                outcome, job.decision, _seen = admit.present(
                    list(self.given),
                    lambda kubernetes: stack.enter_context(self.open_helm(kubernetes)),
                    job.entry.request,
                    job.entry.asked,
                    RunOptions(patience=self.order.timeout),
                    first,
                )
            except NestedClustersError:
                if job.name in new:
                    _give_back(first, job)
                raise
        job.look(outcome.state)
        job.done += self._changes(job, outcome.plan, job.name in new) if taken else outcome.plan.changes
        job.diff, job.notes = outcome.plan.diff or job.planned.diff, outcome.plan.notes

    @staticmethod
    def _changes(job: FleetJob, done: Plan, is_new: bool) -> list[Change]:
        """Return what was done for one, with what the reservation did of its plan: the namespace, or what it says."""
        created = Change(ChangeKind.CREATE, ChangeTarget("namespace", job.namespace))
        first = [created] if is_new and created not in done.changes else []
        of_namespace = [change for change in job.planned.changes if change.target == created.target]
        return [*first, *done.changes, *(change for change in of_namespace if change not in (created, *done.changes))]

    def _finish(self, job: FleetJob) -> None:
        """Check that its endpoint answers, and write its kubeconfig."""
        group, kubernetes = self.seen.group, job.kubernetes
        if job.state is None:
            return
        state, wait = job.state, self.order.wait
        verify = wait and self.order.verify and job.after == "running" and group.endpoint.type.external
        if verify:
            reachability.wait(kubernetes, job.name, job.namespace, self.order.timeout)
        if verify or job.entry.kubeconfig:
            state = cluster_state.read(kubernetes, job.name, job.namespace)  # its address may be new
        if wait and job.entry.kubeconfig:
            patience = self.order.timeout
            state = readiness.wait_ready(kubernetes, job.name, job.namespace, state, patience, kubeconfig=True)
        if state is not job.state:
            job.look(state)
        if job.entry.kubeconfig:
            job.done += export_kubeconfig(self.seen, job, check=False)

    def _switch_all(self, jobs: Sequence[FleetJob], starting: bool = False) -> None:
        """Wait for those that are to run, and resume paused ones; with ``starting`` also those to pause later.

        Without it, bring the others to rest.
        """
        able = [job for job in jobs if not job.error]
        check = self.order.check
        if starting or check:
            waiting = [job for job in able if job.before not in NOWHERE or not check]
            rises = [job for job in waiting if (job.awake or job.starts) and job.after != "running"]
            wanted = rises if self.order.wait and not check else [job for job in rises if job.before == "paused"]
            self._switch_to("running", wanted)
        if not starting:
            rests = [job for job in able if job.entry.state == "paused" and job.after != "paused"]
            self._switch_to("paused", rests)

    def _switch_to(self, state: str, jobs: Sequence[FleetJob]) -> None:
        if not jobs:
            return
        asked = self._switch(state)
        selector = Selector(names=tuple(job.name for job in jobs), group=self.order.group)
        try:
            outcome = power_batch.run(self.given, selector, asked)
        except NestedClustersError as error:
            for job in jobs:
                job.error = str(error)
            return
        parts = [part for part in outcome.jobs if isinstance(part, power_batch.PowerJob)]
        found = {part.found.seen.name: part for part in parts}
        for job in jobs:
            if job.name not in found:
                job.error = "its control plane was deleted meanwhile; run the task again"
                continue
            part = found[job.name]
            told = part.describe(asked)
            job.after, job.error = told["after"], told["msg"]
            job.done += part.changes(asked)
            if told["changed"]:
                job.diff.append(part.diff(asked))

    def _switch(self, state: str) -> batch.BatchOptions:
        order = self.order
        return batch.BatchOptions(
            state,
            order.check,
            order.wait,
            order.timeout,
            accept_data_loss=order.accept_data_loss,
            keep_volumes=order.keep_volumes,
            trust_kubelet=True,  # whose probe asks the same API, and which nested.clusters.vcluster waits for as well
        )

    def _each(self, do: Callable[[FleetJob], object], jobs: Sequence[FleetJob]) -> None:
        """Do something for some of the jobs at a time; what fails is in the job."""

        def one(job: FleetJob) -> None:
            try:
                do(job)
            except NestedClustersError as error:
                job.error = str(error)

        able = [job for job in jobs if not job.error]
        if not able:
            return
        with ThreadPoolExecutor(min(self.order.at_once, len(able))) as pool:
            list(pool.map(one, able))


def _give_back(seen: GroupView, job: FleetJob) -> None:
    """Remove what was reserved for one that could not even be begun: a namespace without a release."""
    current = seen.of(job.name)
    if current is None:
        return
    kubernetes = live(seen.views[current.host_cluster].host.kubernetes)
    with contextlib.suppress(NestedClustersError):
        releases = kubernetes.list(
            path("v1", "secrets", current.namespace), labels=f"owner=helm,name={job.name}", metadata_only=True
        )
        namespace = kubernetes.get(path("v1", "namespaces", None, current.namespace))
        if namespace and not releases:
            uid = {"uid": namespace["metadata"]["uid"]}
            kubernetes.delete(path("v1", "namespaces", None, current.namespace), uid)


def _gone(
    entries: Iterable[Entry], cleared: Iterable[DeletionJob], order: Order
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Return (the results of those to delete, their changes for ``--diff``)."""
    asked = batch.BatchOptions("absent", order.check, order.wait, order.timeout, keep_volumes=order.keep_volumes)
    keys = ("name", "namespace", "host_cluster", "owner", "before", "after", "changed", "steps", "failed", "msg")
    found, diff = [], []
    for job in cleared:
        told = job.describe(asked)
        found.append({**{key: told[key] for key in keys}, "size": None, "endpoint": None})
        if told["changed"]:
            diff.append(job.diff(asked))
    return found, diff
