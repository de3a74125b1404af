# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete many virtual clusters at once.

One look is a LIST for each kind, however many are being deleted. Helm is not started: its objects carry its labels and
annotations, what is elsewhere is in its record as well, and vCluster's chart has no hooks. What finds a virtual cluster
again, its values and its release, goes last, so that a task that was killed is finished by the next one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from ..common.batch import BatchOptions, BatchResult, Budget, report_progress
from ..common.errors import NestedClustersError
from ..helm.release import RELEASE_SECRET_TYPE
from ..k8s import host_clusters
from ..k8s.client import Kubernetes, parallel
from ..k8s.connection import WORKERS
from ..k8s.errors import KubernetesError
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import Kinds, path
from ..listing import contents, host_contents, readers
from ..listing.contents import Contents, ObjectRef
from ..listing.selection import Selector
from ..virtual_cluster import namespaces, readiness
from ..virtual_cluster.provenance import DELETE_THERE
from . import host_plan, ownership, preparation
from .job import DeletionJob, DeletionScope, Target, scope_of
from .ownership import is_values


@dataclass(frozen=True)
class DeletionPlan:
    """What goes, as it was read on each host cluster; nothing was changed, and nobody is asked again to show it.

    ``kinds`` are those to look at, by the name of a host cluster. ``unread`` says why others could not be read.
    """

    options: BatchOptions
    namespace: str | None  # the one that was looked at, where the task names one
    jobs: list[DeletionJob]
    kinds: Mapping[str, Kinds]
    unread: dict[str, str]

    @property
    def result(self) -> BatchResult:
        """Return the results of all; with ``check``, as they would be."""
        return BatchResult(self.jobs, self.unread, [])


def run(hosts: Sequence[HostCluster], selector: Selector, order: BatchOptions) -> BatchResult:
    """Delete the virtual clusters that are selected on the given host clusters; with ``check`` only say so.

    A name that none of them has is absent already. Raises as ``plan`` does.
    """
    planned = plan(hosts, selector, order)
    return planned.result if order.check else carry_out(planned)


def plan(hosts: Sequence[HostCluster], selector: Selector, order: BatchOptions) -> DeletionPlan:
    """Plan the deletion of the virtual clusters that are selected, from one read of each host cluster.

    Raises NestedClustersError with the names of all that are protected, or that another tool manages, OptionError
    where more are selected than the task allows.
    """
    with readers.garbage_collection_paused():
        answers = host_clusters.ask_apart(hosts, partial(host_plan.plan, selector, order))
    answers.some()
    jobs = sorted(
        (job for planned in answers.given.values() for job in planned.jobs),
        key=lambda job: (job.target.host.name, *job.target.key),
    )
    order.check_selected([job.target.name for job in jobs])
    refuse_protected(jobs)
    refuse_managed(jobs)
    kinds = {name: planned.kinds for name, planned in answers.given.items()}
    unread = {name: str(error) for name, error in answers.failed.items()}
    planned = DeletionPlan(order, selector.namespace, jobs, kinds, unread)
    if _budget(planned).spent:
        return replace(planned, jobs=[replace(job, begun=False) for job in jobs])
    return planned


def carry_out(planned: DeletionPlan) -> BatchResult:
    """Delete what a plan says, at once as far as its options allow; what fails is in each job's ``error``.

    What is there is read again before anything is sent: what is protected, used or owned by others by then stays.
    """
    budget = _budget(planned)
    if budget.spent:
        return planned.result

    def work(host: HostCluster) -> None:
        kinds = planned.kinds[host.name]
        runner = DeletionRunner(host.kubernetes, planned.namespace, planned.options, budget, kinds)
        runner.run([job for job in planned.jobs if job.target.host is host])

    hosts = {id(job.target.host): job.target.host for job in planned.jobs}
    host_clusters.ask(list(hosts.values()), work).all()
    return planned.result


def _budget(planned: DeletionPlan) -> Budget:
    return Budget(planned.options.at_once, planned.options.max_failures, failed=len(planned.unread))


def refuse_protected(jobs: Iterable[DeletionJob]) -> None:
    """Raise NestedClustersError with all virtual clusters that are protected."""
    found = [job.target for job in jobs if ownership.protection(job.scope.own, job.target.name)]
    if not found:
        return
    places = [_located(target) for target in found]
    raise NestedClustersError(
        f"nothing was deleted, because {len(found)} of the selected virtual clusters "
        f"{'is' if len(found) == 1 else 'are'} protected: {', '.join(places)}; run the vcluster task of each with "
        "protected: false first, or select others",
        protected=[{"name": one.name, "namespace": one.namespace, "host_cluster": one.host.name} for one in found],
    )


def refuse_managed(jobs: Iterable[DeletionJob]) -> None:
    """Raise NestedClustersError with all virtual clusters that another tool manages, with its own Helm records."""
    found = [(job.target, job.manager) for job in jobs if job.manager]
    if not found:
        return
    raise NestedClustersError(
        "nothing was deleted, because other tools manage selected virtual clusters, which have no Helm record in their "
        f"namespaces: {'; '.join(f'{_located(target)} belongs to {by}' for target, by in found)}. "
        f"For each, {DELETE_THERE}; or select others",
        managed=[
            {"name": one.name, "namespace": one.namespace, "host_cluster": one.host.name, "managed_by": by.name}
            for one, by in found
        ],
    )


def _located(target: Target) -> str:
    """Return a virtual cluster and where it is, in words."""
    where = "" if target.host.name == host_clusters.ONLY else f", host cluster {target.host.name}"
    return f"{target.name} (namespace {target.namespace}{where})"


# --- doing ------------------------------------------------------------------------------------------------


class DeletionRunner:
    """The work on one host cluster."""

    def __init__(
        self, kubernetes: Kubernetes, namespace: str | None, order: BatchOptions, budget: Budget, kinds: Kinds
    ) -> None:
        self.kubernetes = kubernetes
        self.namespace = namespace
        self.order = order
        self.budget = budget
        self.kinds = kinds

    def run(self, jobs: Iterable[DeletionJob]) -> None:
        """Bring every job to its end; what fails is in its ``error``."""
        queue, active, took = deque(jobs), list[DeletionJob](), 0.0
        total, host = len(queue), queue[0].target.host.name if queue else ""
        with ThreadPoolExecutor(WORKERS) as pool:
            while queue or active:
                active += self.budget.begin(queue)
                if not active:
                    return
                began = time.monotonic()
                seen = self._look(active)
                ended = list(pool.map(partial(self._advance, *seen), active)) if seen else [False] * len(active)
                took = time.monotonic() - began
                ends = zip(active, ended, strict=True)
                active = [job for job, end in ends if not self.budget.has_ended(job, end, self.order)]
                if active:
                    report_progress(host, [(job.target.name, job) for job in (*active, *queue)], total)
                    # Looking at all that is there takes its time, for the host cluster as well.
                    time.sleep(max(readiness.POLL_SECONDS, took))

    def _look(self, active: Sequence[DeletionJob]) -> tuple[Contents, set[str]] | None:
        """Return what exists now; None if the host cluster did not answer."""
        spaces = {job.target.namespace for job in active}
        only = spaces.pop() if len(spaces) == 1 else self.namespace
        # Where all namespaces are going, what is in them is not looked at.
        kinds = [] if all(job.asked for job in active) else self.kinds
        try:
            all_volumes = partial(host_contents.list_volumes, self.kubernetes)
            held, volumes = parallel(
                [
                    partial(contents.read, self.kubernetes, only, kinds),
                    all_volumes if any(job.volumes for job in active) else list,
                ]
            )
            held = contents.examined(self.kubernetes, held, [job.target.key for job in active])
        except KubernetesError as error:
            for job in active:
                job.last = str(error)
                if not error.passing:  # an API server that restarts is no reason to give up
                    job.error = str(error)
            return None
        return held, {volume["metadata"]["name"] for volume in volumes}

    def _advance(self, held: Contents, volumes: set[str], job: DeletionJob) -> bool:
        """Ask for the deletion of what is there; True once nothing is."""
        try:
            return self._sweep(job, scope_of(held, job.target, self.order.keep_volumes), job.volumes & volumes)
        except KubernetesError as error:
            if error.status in (404, 409) or error.passing:  # changed since it was read: read again
                job.last = str(error)
            else:
                job.error = str(error)
        return False

    def _sweep(self, job: DeletionJob, now: DeletionScope, volumes: set[str]) -> bool:
        if ownership.protection(now.own, job.target.name):
            job.error = "it was protected meanwhile"
            return False
        self._send_outside(job)
        namespace_object, namespace = now.namespace, job.target.namespace
        if namespace_object is None or now.going:
            why = namespaces.namespace_conditions(namespace_object) if namespace_object else ""
            job.last = f"namespace {namespace}: {why}" if namespace_object else _named(volumes)
            return not (self.order.wait and job.last)
        if job.asked:  # yet it is there: another one of this name, or one that was not looked into
            job.asked = False
            return now.uid != job.scope.uid
        for ref in now.own:
            preparation.release_hold(self.kubernetes, ref, namespace)
        job.sent = True
        if now.whole:
            job.asked = self.kubernetes.delete(path("v1", "namespaces", None, namespace), now.uid)
            job.last = f"namespace {namespace}: its deletion was asked for"
            return not self.order.wait
        return self._sweep_singly(job, now, volumes)

    def _send_outside(self, job: DeletionJob) -> None:
        """Delete what is outside of the namespace first, because it is found by what is inside."""
        for ref in job.outside:
            where = ref.path(ref.namespace)
            if where not in job.sent_outside:
                job.sent = True
                self.kubernetes.delete(where, {"uid": ref.meta["uid"]})
                job.sent_outside.add(where)

    def _sweep_singly(self, job: DeletionJob, now: DeletionScope, volumes: set[str]) -> bool:
        preparation.mark_kept(self.kubernetes, ownership.to_mark(now.kept))
        for ref in sorted(now.own, key=_order):
            self.kubernetes.delete(ref.path(job.target.namespace), {"uid": ref.meta["uid"]})
        job.last = "; ".join([*map(str, now.own), *filter(None, [_named(volumes)])])
        if job.last and self.order.wait:
            return False
        patch = ownership.leaving(now.namespace, job.target.name, self.order.keep_volumes) if now.namespace else {}
        if patch:  # last: until here it has its share of the host cluster
            self.kubernetes.patch(path("v1", "namespaces", None, job.target.namespace), {"metadata": patch})
        return True


def _named(volumes: Iterable[str]) -> str:
    return "; ".join(f"persistentvolumes/{name}" for name in sorted(volumes))


def _order(ref: ObjectRef) -> int:
    """Return the control plane first, which writes the others; what the virtual cluster is found by goes last."""
    if ref.plural in ("statefulsets", "deployments"):
        return 0
    if ref.secret_type == RELEASE_SECRET_TYPE:
        return 2
    return 3 if is_values(ref) else 1
