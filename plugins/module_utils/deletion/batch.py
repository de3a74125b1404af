# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete many virtual clusters at once.

One look is a LIST a kind, however many are under way. Helm is not started: its objects carry its labels and
annotations, what is elsewhere is in its record as well, and vCluster's chart has no hooks. What finds a virtual cluster
again, its values and its release, goes last, so that a task that was killed is finished by the next one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ..common.batch import NOT_BEGUN, BatchJob, BatchOptions, BatchResult, Budget
from ..common.errors import NestedClustersError
from ..common.well_known import KEPT
from ..helm.release import RELEASE_SECRET_TYPE
from ..k8s import host_clusters
from ..k8s.client import Kubernetes, list_allowed, parallel
from ..k8s.connection import WORKERS
from ..k8s.errors import KubernetesError
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import Kinds, Object, path
from ..listing import contents, readers, selection
from ..listing.contents import Contents, Key, ObjectRef
from ..listing.selection import Selector
from ..virtual_cluster import namespace as namespaces
from ..virtual_cluster import readiness
from ..virtual_cluster.plan import Plan
from ..virtual_cluster.provenance import DELETE_THERE, Manager, manager
from . import ownership, preparation, release_records
from .of_release import Records, stayed
from .ownership import VOLUMES, control_planes, is_values, with_values

REMAINS = "it has no control plane: what an earlier task left of it is removed"


@dataclass(frozen=True)
class Target:
    """A virtual cluster to delete, or what is left of one."""

    host: HostCluster
    namespace: str
    name: str
    phase: str
    group: str | None
    owner: str | None
    known: bool  # that there is or was one of this name is certain
    note: str = ""

    @property
    def key(self) -> Key:
        return self.namespace, self.name


@dataclass(frozen=True)
class Share:
    """What of a namespace a removal takes, as it was seen, and what it leaves."""

    place: Object | None
    mine: tuple[ObjectRef, ...] = ()
    others: tuple[ObjectRef, ...] = ()
    kept: tuple[ObjectRef, ...] = ()  # volume claims that stay because the task says so
    whole: bool = False  # whether the namespace goes as a whole

    @property
    def going(self) -> bool:
        """Whether the namespace is being deleted already."""
        return bool(self.place and self.place["metadata"].get("deletionTimestamp"))

    @property
    def uid(self) -> dict[str, str]:
        return {"uid": self.place["metadata"]["uid"]} if self.place else {}


def share(held: Contents, target: Target, keep_volumes: bool) -> Share:
    """What of the namespace of a virtual cluster goes with it."""
    place = held.namespaces.get(target.namespace)
    if place is None:
        return Share(None)
    found, others = ownership.sort_out(held.of(target.namespace), target.name, target.known)
    mine, kept = ownership.keep(found, keep_volumes)
    made_for_it = ownership.made_for(place, target.name, target.namespace, target.known or bool(found))
    return Share(place, tuple(mine), tuple(others), tuple(kept), made_for_it and not others and not kept)


@dataclass
class Job(BatchJob):
    """One removal on its way."""

    target: Target
    share: Share  # as it was planned
    outside: list[ObjectRef]
    volumes: set[str]  # names of PersistentVolumes that go with their claims
    leaving: list[str]  # what becomes of a namespace that stays, in words
    manager: Manager | None = None  # who manages it where Helm has no record of it here
    sent: bool = False
    asked: bool = False  # for the deletion of the namespace
    sent_outside: set[str] = field(default_factory=set)

    def late(self, order: BatchOptions) -> str:
        return f"not gone after {order.timeout:g} s (wait_timeout): {self.last}; run the task again"

    @property
    def steps(self) -> list[str]:
        """What there is to do, in words."""
        name, namespace = self.target.name, self.target.namespace
        if self.share.place is None or self.share.going:
            return ownership.steps(False, name, namespace, self.outside, whole=False)
        has_release = any(thing.secret_type == RELEASE_SECRET_TYPE for thing in self.share.mine)
        marks = ownership.mark_steps(ownership.to_mark(self.share.kept))
        things = [*self.share.mine, *self.outside]
        return [*ownership.steps(has_release, name, namespace, things, self.share.whole), *marks, *self.leaving]

    def describe(self, order: BatchOptions) -> dict[str, Any]:
        """The virtual cluster's part of the result."""
        target = self.target
        steps = self.steps if (order.check and self.begun) or self.sent else []
        gone = "absent" if order.check or order.wait else "deleting"
        return {
            "name": target.name,
            "namespace": target.namespace,
            "host_cluster": None if target.host.name == host_clusters.ONLY else target.host.name,
            "group": target.group,
            "owner": target.owner,
            "before": target.phase,
            "after": ("deleting" if self.sent else target.phase) if self.error or not self.begun else gone,
            "changed": bool(steps),
            "steps": steps,
            "note": target.note,
            "failed": bool(self.error),
            "msg": self.error if self.begun else NOT_BEGUN,
        }

    def diff(self, order: BatchOptions) -> dict[str, str]:
        """What goes, for ``--diff``: every object, and the namespace where that goes as well."""
        told = self.describe(order)
        on = f", host cluster {told['host_cluster']}" if told["host_cluster"] else ""
        name = f"virtual cluster {self.target.name} (namespace {self.target.namespace}{on})"
        things = [] if self.share.going else list(self.share.mine)
        whole = [f"namespaces/{self.target.namespace}"] if self.share.whole and not self.share.going else []
        going = sorted({ownership.told(thing, self.target.namespace) for thing in [*things, *self.outside]})
        before = [f"phase: {told['before']}", *going, *whole]
        kept = [f"kept: {text}" for text in sorted(str(thing) for thing in self.share.kept)]
        return {
            "before_header": name,
            "after_header": name,
            "before": "\n".join([*before, *kept]) + "\n",
            "after": "\n".join([f"phase: {told['after']}", *kept]) + "\n",
        }


def run(given: Sequence[HostCluster], selector: Selector, order: BatchOptions) -> BatchResult:
    """Delete the virtual clusters that are selected on the given host clusters.

    A name that none of them has is absent already. Raises NestedClustersError, before anything is changed, with the
    names of all that are protected, or where more are selected than the task allows.
    """
    with readers.garbage_collection_paused():
        answers = host_clusters.ask_apart(given, partial(_plan, selector, order))
    answers.some()
    unread = {name: str(error) for name, error in answers.failed.items()}
    jobs = sorted(
        (job for found, _kinds in answers.given.values() for job in found),
        key=lambda job: (job.target.host.name, *job.target.key),
    )
    order.check_selected([job.target.name for job in jobs])
    refuse_protected(jobs)
    refuse_managed(jobs)
    budget = Budget(order.at_once, order.max_failures, failed=len(unread))
    if budget.spent:
        for job in jobs:
            job.begun = False
    if order.check or budget.spent:
        return BatchResult(jobs, unread, [])
    runners = {
        host.name: Runner(host.kubernetes, selector.namespace, order, budget, answers.given[host.name][1])
        for host in given
        if host.name in answers.given
    }

    def work(host: HostCluster) -> None:
        runners[host.name].run([job for job in jobs if job.target.host is host])

    host_clusters.ask([host for host in given if host.name in runners], work).all()
    return BatchResult(jobs, unread, [])


def refuse_protected(jobs: Iterable[Job]) -> None:
    """Raise NestedClustersError with all virtual clusters that are protected."""
    found = [job.target for job in jobs if ownership.protection(job.share.mine, job.target.name)]
    if not found:
        return
    places = [_located(target) for target in found]
    raise NestedClustersError(
        f"nothing was deleted, because of the virtual clusters that are selected {len(found)} "
        f"{'is' if len(found) == 1 else 'are'} protected: {', '.join(places)}; run the vcluster task of each with "
        "protected: false first, or select others",
        protected=[{"name": one.name, "namespace": one.namespace, "host_cluster": one.host.name} for one in found],
    )


def refuse_managed(jobs: Iterable[Job]) -> None:
    """Raise NestedClustersError with all virtual clusters that another tool manages, with its own Helm records."""
    found = [(job.target, job.manager) for job in jobs if job.manager]
    if not found:
        return
    raise NestedClustersError(
        "nothing was deleted, because no Helm record in their namespaces speaks of virtual clusters that are selected, "
        f"and other tools manage them: {'; '.join(f'{_located(target)} belongs to {by}' for target, by in found)}. "
        f"For each, {DELETE_THERE}; or select others",
        managed=[
            {"name": one.name, "namespace": one.namespace, "host_cluster": one.host.name, "managed_by": by.name}
            for one, by in found
        ],
    )


def _located(target: Target) -> str:
    """A virtual cluster and where it is, in words."""
    where = "" if target.host.name == host_clusters.ONLY else f", host cluster {target.host.name}"
    return f"{target.name} (namespace {target.namespace}{where})"


# --- what is meant ----------------------------------------------------------------------------------------


def _plan(selector: Selector, order: BatchOptions, host: HostCluster) -> tuple[list[Job], Kinds]:
    kubernetes = host.kubernetes
    kinds = contents.namespaced_kinds(kubernetes)
    (found, _there), held, elsewhere, volumes = parallel(
        [
            partial(selection.find, selector, "absent", host),
            partial(contents.read, kubernetes, selector.namespace, kinds),
            partial(contents.outside, kubernetes),
            partial(_volumes, kubernetes),
        ]
    )
    targets = [Target(host, one.seen.namespace, one.seen.name, one.phase, one.group, one.owner, True) for one in found]
    remains = _without_others(kubernetes, _remains(selector, order.keep_volumes, host, held), held)
    held = contents.examined(kubernetes, held, [target.key for target in [*targets, *remains]])
    jobs = [_job(target, held, elsewhere, volumes, order) for target in targets]
    _look_for_managers(kubernetes, jobs)
    left = [_job(target, held, elsewhere, volumes, order) for target in remains]
    _keep_copies(kubernetes, [*jobs, *left])
    return jobs + [job for job in left if job.steps or job.share.going], kinds


def _job(target: Target, held: Contents, elsewhere: list[ObjectRef], volumes: list[Object], order: BatchOptions) -> Job:
    mine = share(held, target, order.keep_volumes)
    claims = {thing.name for thing in mine.mine if thing.plural == "persistentvolumeclaims"}
    left = Plan()
    if mine.place and not (mine.whole or mine.going):
        patch = ownership.leaving(mine.place, target.name, order.keep_volumes)
        namespaces.plan_patch(left, mine.place, patch, f"namespace {target.namespace}")
    outside = contents.outside_of(elsewhere, *target.key)
    unclear = [thing for thing in contents.marked(elsewhere, *target.key) if thing not in outside]
    notes = [*filter(None, [target.note]), *ownership.unclear_notes(unclear, target.name, target.namespace)]
    return Job(
        replace(target, note="; ".join(notes)),
        mine,
        outside,
        ownership.deleted_with(volumes, target.namespace, claims),
        left.steps,
    )


def _keep_copies(kubernetes: Kubernetes, jobs: Sequence[Job]) -> None:
    """Leave alone what is outside of the namespaces and only says that it is of one of these releases."""
    known = Records(kubernetes, {job.target.key: job.outside for job in jobs})
    for job in jobs:
        job.outside, others = known.sort_out(job.outside, job.target.key)
        notes = filter(None, (job.target.note, stayed(others, job.target.name)))
        job.target = replace(job.target, note="; ".join(notes))


def _look_for_managers(kubernetes: Kubernetes, jobs: Iterable[Job]) -> None:
    """See who manages those of which Helm has no record in their namespaces; of others nothing is asked."""
    without = [
        (job, workload)
        for job in jobs
        if not (job.share.going or any(map(ownership.is_record, job.share.mine)))
        for workload in ownership.workloads(job.share.mine)[:1]
    ]
    found = parallel([partial(manager, kubernetes, workload, job.target.namespace) for job, workload in without])
    for (job, _workload), by in zip(without, found, strict=True):
        job.manager = by


def _volumes(kubernetes: Kubernetes) -> list[Object]:
    return list_allowed(kubernetes, VOLUMES)  # who may not see them need not wait for them


def _remains(selector: Selector, keep_volumes: bool, host: HostCluster, held: Contents) -> list[Target]:
    """What a task that was killed left: a reservation without a control plane, or values without one."""
    if selector.label_selectors:  # which are those of a control plane
        return []
    there, known = control_planes(held), with_values(held)
    result = []
    for namespace, name in sorted((ownership.recorded(held) | known) - there):
        place = held.namespaces.get(namespace)
        if place is None:
            continue
        group, owner = selection.membership_of(place, name)
        phase = "deleting" if place["metadata"].get("deletionTimestamp") else "pending"
        narrowed = (selector.group not in (None, group), selector.owner not in (None, owner))
        if any(narrowed) or (selector.names and name not in selector.names):
            continue
        if selector.phases and phase not in selector.phases:
            continue
        if _is_kept(held, place, name) and (keep_volumes or name not in selector.names):
            continue  # there are only volumes, which stay unless it is named
        result.append(Target(host, namespace, name, phase, group, owner, (namespace, name) in known, REMAINS))
    return result


def _without_others(kubernetes: Kubernetes, remains: list[Target], held: Contents) -> list[Target]:
    """Remains without those whose name a Helm release of another chart has by now: all that Helm made is that one's."""
    keys = {target.key for target in remains}
    recorded = {key: record for key, record in release_records.newest(held).items() if key in keys}
    _homes, others = release_records.homes(kubernetes, recorded)
    return [target for target in remains if target.key not in others]


def _is_kept(held: Contents, place: Object, name: str) -> bool:
    mine, _others = ownership.sort_out(held.of(place["metadata"]["name"]), name)
    return bool(mine) and all(KEPT in thing.annotations for thing in mine)


# --- doing ------------------------------------------------------------------------------------------------


class Runner:
    """The work on one host cluster."""

    def __init__(
        self, kubernetes: Kubernetes, namespace: str | None, order: BatchOptions, budget: Budget, kinds: Kinds
    ) -> None:
        self.kubernetes = kubernetes
        self.namespace = namespace
        self.order = order
        self.budget = budget
        self.kinds = kinds

    def run(self, jobs: Iterable[Job]) -> None:
        """Bring every job to its end; what fails is in its ``error``."""
        queue, active, took = deque(jobs), list[Job](), 0.0
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
                    # Looking at all that is there takes its time, for the host cluster as well.
                    time.sleep(max(readiness.POLL_SECONDS, took))

    def _look(self, active: Sequence[Job]) -> tuple[Contents, set[str]] | None:
        """What is there now; None where the host cluster did not say."""
        spaces = {job.target.namespace for job in active}
        only = spaces.pop() if len(spaces) == 1 else self.namespace
        # Where all namespaces are going, what is in them is not looked at.
        kinds = [] if all(job.asked for job in active) else self.kinds
        try:
            held, volumes = parallel(
                [
                    partial(contents.read, self.kubernetes, only, kinds),
                    partial(_volumes, self.kubernetes) if any(job.volumes for job in active) else list,
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

    def _advance(self, held: Contents, volumes: set[str], job: Job) -> bool:
        """Ask for the deletion of what is there; True once nothing is."""
        try:
            return self._sweep(job, share(held, job.target, self.order.keep_volumes), job.volumes & volumes)
        except KubernetesError as error:
            if error.status in (404, 409) or error.passing:  # changed by somebody else since it was seen: look again
                job.last = str(error)
            else:
                job.error = str(error)
        return False

    def _sweep(self, job: Job, now: Share, volumes: set[str]) -> bool:
        if ownership.protection(now.mine, job.target.name):
            job.error = "it was protected by somebody else meanwhile"
            return False
        self._send_outside(job)
        place, namespace = now.place, job.target.namespace
        if place is None or now.going:
            job.last = f"namespace {namespace}: {namespaces.namespace_conditions(place)}" if place else _named(volumes)
            return not (self.order.wait and job.last)
        if job.asked:  # yet it is there: another one of this name, or one that was not looked into
            job.asked = False
            return now.uid != job.share.uid
        for thing in now.mine:
            preparation.release_hold(self.kubernetes, thing, namespace)
        job.sent = True
        if now.whole:
            job.asked = self.kubernetes.delete(path("v1", "namespaces", None, namespace), now.uid)
            job.last = f"namespace {namespace}: its deletion was asked for"
            return not self.order.wait
        return self._sweep_singly(job, now, volumes)

    def _send_outside(self, job: Job) -> None:
        """What is outside of the namespace goes first: it is found by what is inside."""
        for thing in job.outside:
            where = thing.path(thing.namespace)
            if where not in job.sent_outside:
                job.sent = True
                self.kubernetes.delete(where, {"uid": thing.meta["uid"]})
                job.sent_outside.add(where)

    def _sweep_singly(self, job: Job, now: Share, volumes: set[str]) -> bool:
        preparation.mark_kept(self.kubernetes, ownership.to_mark(now.kept))
        for thing in sorted(now.mine, key=_order):
            self.kubernetes.delete(thing.path(job.target.namespace))
        job.last = "; ".join([*map(str, now.mine), *filter(None, [_named(volumes)])])
        if job.last and self.order.wait:
            return False
        patch = ownership.leaving(now.place, job.target.name, self.order.keep_volumes) if now.place else {}
        if patch:  # last: until here it has its share of the host cluster
            self.kubernetes.patch(path("v1", "namespaces", None, job.target.namespace), {"metadata": patch})
        return True


def _named(volumes: Iterable[str]) -> str:
    return "; ".join(f"persistentvolumes/{name}" for name in sorted(volumes))


def _order(thing: ObjectRef) -> int:
    """The control plane first, which writes the others; what the virtual cluster is found by goes last."""
    if thing.plural in ("statefulsets", "deployments"):
        return 0
    if thing.secret_type == RELEASE_SECRET_TYPE:
        return 2
    return 3 if is_values(thing) else 1
