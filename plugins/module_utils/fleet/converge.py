# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring all virtual clusters of a list to what it says of them, in one task.

What is there is read once for all of them, a LIST a kind on each host cluster, and each is planned for from that.
Only where something is to be done, it is done as for a single one: what they need is taken first, in the order of the
list under one hold of the locks, then some of them are worked on at once. One that fails keeps no other from its turn.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils import (
    clearing,
    fleet,
    grouped,
    hosts,
    ledger,
    lifecycle,
    options,
    phase,
    reach,
    switch,
)
from ansible_collections.nested.clusters.plugins.module_utils._helm import Helm
from ansible_collections.nested.clusters.plugins.module_utils._kubernetes import Kubernetes, path
from ansible_collections.nested.clusters.plugins.module_utils.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.grouped import Decision, Picture
from ansible_collections.nested.clusters.plugins.module_utils.hosts import HostCluster
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import Outcome, Request, State
from ansible_collections.nested.clusters.plugins.module_utils.membership import Asked
from ansible_collections.nested.clusters.plugins.module_utils.plan import Plan
from ansible_collections.nested.clusters.plugins.module_utils.selection import Selector
from ansible_collections.nested.clusters.plugins.module_utils.snapshot import Snapshot, live

STATES = ("present", "running", "paused", "absent")
RESERVED_AT_ONCE = 50  # under one hold of the locks, for which others wait
NOWHERE = ("absent", "reserved")  # phases of one that has no control plane

OpenHelm = Callable[[Kubernetes], contextlib.AbstractContextManager[Helm]]


@dataclass(frozen=True)
class Entry:
    """One of the list: what it shall be, and the file for its kubeconfig ("": none), with a URL of its own or not."""

    request: Request
    asked: Asked
    state: str
    kubeconfig: str = ""
    server: str | None = None

    @property
    def name(self) -> str:
        return self.request.name


@dataclass(frozen=True)
class Order:
    """What goes for all of them; ``timeout`` is in seconds and for each."""

    group: str
    check: bool = False
    prune: bool = False
    keep_volumes: bool = False
    wait: bool = True
    verify: bool = True
    timeout: float = 300
    at_once: int = 8
    accept_data_loss: bool = False


@dataclass
class Job:
    """One virtual cluster that shall be there, on its way."""

    entry: Entry
    decision: Decision | None = None
    state: State | None = None  # as it was, or is after its turn
    full: Request | None = None
    changes: bool = False  # whether what it is differs from what it shall be
    planned: Plan = field(default_factory=Plan)  # empty also where Helm has to be asked first
    before: str = "absent"
    after: str = "absent"
    steps: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what people have to do because of it
    endpoint: str | None = None
    error: str = ""

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def where(self) -> Decision:
        """Where it is or goes. Raises NestedClustersError where that is not decided."""
        if self.decision is None:
            raise NestedClustersError(f"virtual cluster {self.name}: {self.error or 'no host cluster was chosen'}")
        return self.decision

    @property
    def kubernetes(self) -> Kubernetes:
        return live(self.where.kubernetes)

    @property
    def takes_more(self) -> bool:
        return bool(self.decision and self.decision.takes_more)

    @property
    def namespace(self) -> str:
        return self.decision.namespace if self.decision else self.entry.request.namespace

    @property
    def awake(self) -> bool:
        """Whether it shall run now: one that is paused stays so unless the list says that it runs."""
        return self.entry.state == "running" or (self.entry.state == "present" and self.before != "paused")

    @property
    def starts(self) -> bool:
        """Whether it has to be started before it can rest: it never ran."""
        return self.entry.state == "paused" and self.before in NOWHERE

    def look(self, state: State) -> None:
        """Take down what is seen of it."""
        self.state = state
        workload = state.workload(self.name)
        reserved = "reserved" if self.decision and self.decision.current else "absent"
        self.after = phase.phase(workload) if workload else reserved
        self.endpoint = options.describe(Outcome(Plan(), state), self.name).get("endpoint")

    def describe(self) -> dict[str, Any]:
        """Its part of the result."""
        found = self.decision
        return {
            "name": self.name,
            "namespace": self.namespace,
            "host_cluster": found.member.name if found else None,
            "owner": found.owner if found else None,
            "size": found.size.as_dict() if found else None,
            "before": self.before,
            "after": self.after,
            "endpoint": self.endpoint,
            "changed": bool(self.steps),
            "steps": self.steps,
            "failed": bool(self.error),
            "msg": self.error,
        }


@dataclass
class Result:
    """What became of all of them, sorted by name."""

    virtual_clusters: list[dict[str, Any]]
    diff: list[dict[str, str]]
    warnings: list[str]


class _HelmIsNeeded(Exception):
    """A plan goes on with Helm, which is not started before it is its turn."""


def run(given: Sequence[HostCluster], open_helm: OpenHelm, entries: Sequence[Entry], order: Order) -> Result:
    """Bring virtual clusters of a group to what is listed.

    Raises NestedClustersError before anything is changed: where the group is not known, where a name is listed twice,
    or where one that shall go is protected. What keeps one from becoming what it shall be is in the result.
    """
    check_names([entry.name for entry in entries])
    snapshots = [HostCluster(host.name, Snapshot(host.kubernetes, _writes(entries))) for host in given]
    with fleet.garbage_collection_paused():
        hosts.ask(snapshots, _prefetch)
        seen = grouped.picture(snapshots, order.group)
        going = _going(seen, entries, order.prune)
        jobs = [Job(entry) for entry in entries if entry.state != "absent"]
        _plan(seen.without(going), jobs)
    reached = [host for host in given if host.name not in seen.silent]
    work = _Work(reached, open_helm, order, seen)
    cleared = work.clear(going, check=True)  # refuses what is protected
    if order.check:
        work.preview(jobs)
    else:
        if going:
            cleared = work.clear(going, check=False)
        work.carry_out(jobs)
    gone, diff = _gone(entries, cleared, order)
    found = sorted([*(job.describe() for job in jobs), *gone], key=lambda item: str(item["name"]))
    diff = [part for job in jobs for part in job.diff] + diff
    silent = [f"host cluster {name} does not answer: {error}" for name, error in sorted(seen.silent.items())]
    uncounted = seen.uncounted() if any(job.takes_more for job in jobs) else []
    notes = [note for job in jobs for note in job.notes]
    return Result(found, diff, sorted({*silent, *uncounted, *notes}))


def check_names(names: Sequence[str]) -> None:
    """OptionError for a name that is listed twice."""
    for name in names:
        if names.count(name) > 1:
            many = f"it is listed {names.count(name)} times"
            raise OptionError("virtual_clusters.name", name, "each name once", reason=many)


def _writes(entries: Iterable[Entry]) -> bool:
    return any(entry.kubeconfig for entry in entries)


def _prefetch(host: HostCluster) -> None:
    if isinstance(host.kubernetes, Snapshot):
        host.kubernetes.prefetch()


# --- planning ---------------------------------------------------------------------------------------------


def _going(seen: Picture, entries: Iterable[Entry], prune: bool) -> list[str]:
    """Names of what is there and shall not be: listed as absent, or with ``prune`` not listed."""
    listed = {entry.name: entry.state for entry in entries}
    mine = [item for item in seen.allocations if item.group == seen.group.name]
    absent = {item.name for item in mine if listed.get(item.name) == "absent"}
    unlisted = {item.name for item in mine if prune and item.name not in listed and not item.kept}
    return sorted(absent | unlisted)


def _plan(seen: Picture, jobs: Iterable[Job]) -> None:
    """Plan for each in the order of the list, as if those before it had what they ask for."""
    for job in jobs:
        request, asked = job.entry.request, job.entry.asked
        try:
            job.decision = found = grouped.decide(seen, request, asked)
            job.full = grouped.complete(request, seen.group, found, asked.ahead)
            try:
                outcome = lifecycle.present(found.kubernetes, _no_helm, job.full, check=True, wait=None)
                job.planned, job.changes, state = outcome.plan, outcome.plan.changed, outcome.state
            except _HelmIsNeeded:
                job.changes, state = True, lifecycle.read(found.kubernetes, job.name, found.namespace)
            job.look(state)
            job.before = job.after
            if job.entry.kubeconfig and not job.changes:
                missing = state.secret(f"vc-{job.name}") is None
                job.changes = missing or bool(_export(seen, job, check=True))
        except NestedClustersError as error:
            job.error = str(error)
            continue
        if job.takes_more and job.full.membership:
            seen = seen.having(job.name, found, job.full.membership.applied)


def _no_helm() -> Helm:
    raise _HelmIsNeeded


def _export(seen: Picture, job: Job, check: bool) -> list[str]:
    """Write the kubeconfig of a virtual cluster as it was last seen; returns what that changes, as steps."""
    if job.state is None:
        return []
    asked = {"path": job.entry.kubeconfig, "server": job.entry.server}
    unsaid = {"context": None, "in_cluster": False, "user": None, "return_content": False}
    params = {"name": job.name, "export_kubeconfig": {**asked, **unsaid}}
    done = Outcome(Plan(), job.state)
    options.export(params, job.namespace, done, check, seen.group.oidc)
    return done.plan.steps


# --- doing ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Work:
    """What the steps of the work have in common."""

    given: Sequence[HostCluster]
    open_helm: OpenHelm
    order: Order
    seen: Picture

    def clear(self, names: Sequence[str], check: bool) -> list[clearing.Job]:
        """Delete those of these names. Raises NestedClustersError, before anything is changed, for protected ones."""
        if not names:
            return []
        selector = Selector(names=tuple(names), group=self.order.group)
        outcome = clearing.run(self.given, selector, replace(self._switch("absent"), check=check))
        return [job for job in outcome.jobs if isinstance(job, clearing.Job)]

    def preview(self, jobs: Sequence[Job]) -> None:
        """Plan once more, with all that is there and with Helm, where something is to be done."""
        self._each(self._preview, [job for job in jobs if job.changes])
        for job in jobs:
            if job.starts and not job.error:
                job.steps.append("pause it when it has started")
                job.after = "paused"
        self._switch_all(jobs)

    def carry_out(self, jobs: Sequence[Job]) -> None:
        """Do what was planned."""
        changing = [job for job in jobs if job.changes and not job.error]
        new = self._reserve(changing)
        if changing:
            first = grouped.picture(self.given, self.order.group)
            self._each(partial(self._apply, first, new), changing)
        self._switch_all(jobs, starting=True)
        self._each(self._finish, [job for job in jobs if job.changes or job.steps])
        self._switch_all(jobs)

    def _preview(self, job: Job) -> None:
        found = job.where
        if isinstance(found.kubernetes, Snapshot) and job.full:
            found.kubernetes.look_again(job.namespace)
            with contextlib.ExitStack() as stack:
                outcome = lifecycle.present(
                    found.kubernetes,
                    lambda: stack.enter_context(self.open_helm(job.kubernetes)),
                    job.full,
                    check=True,
                    wait=None,
                )
            job.steps, job.diff, job.notes = list(outcome.plan.steps), outcome.plan.diff, outcome.plan.notes
        if job.entry.kubeconfig:
            job.steps += _export(self.seen, job, check=True)
        if job.before in NOWHERE:
            job.after = "running"

    def _reserve(self, jobs: Sequence[Job]) -> set[str]:
        """Take what they need; returns the names of those that had nothing before."""
        asking = [job for job in jobs if job.where.takes_more]
        timeout = self.order.timeout
        self._each(lambda job: lifecycle.wait_until_free(job.kubernetes, job.namespace, timeout), asking)
        new: set[str] = set()
        queue = [job for job in asking if not job.error]
        while queue:
            turn, queue = queue[:RESERVED_AT_ONCE], queue[RESERVED_AT_ONCE:]
            wanted = [(job.entry.request, job.entry.asked) for job in turn]
            try:
                reserved, refused = grouped.reserve(self.given, self.order.group, wanted)
            except ledger.TooLate:  # each by itself then, as it would be without the others
                continue
            new |= reserved
            for job in turn:
                if job.name in refused:
                    job.error = str(refused[job.name])
        return new

    def _apply(self, first: Picture, new: set[str], job: Job) -> None:
        """Create or change one, without waiting for it."""
        taken = job.takes_more
        with contextlib.ExitStack() as stack:
            try:
                outcome, job.decision, _seen = grouped.present(
                    list(self.given),
                    lambda kubernetes: stack.enter_context(self.open_helm(kubernetes)),
                    job.entry.request,
                    job.entry.asked,
                    check=False,
                    wait=None,
                    first=first,
                )
            except NestedClustersError:
                if job.name in new:
                    _give_back(first, job)
                raise
        job.look(outcome.state)
        done = outcome.plan
        if taken:  # and written down with what was taken
            created = [f"create namespace {job.namespace}"] if job.name in new else []
            before = dict.fromkeys([*created, *job.planned.steps])
            job.steps = [step for step in before if step not in done.steps]
        job.steps += done.steps
        job.diff, job.notes = done.diff or job.planned.diff, done.notes

    def _finish(self, job: Job) -> None:
        """See that it answers where it shall be reached, and write its kubeconfig."""
        group, kubernetes = self.seen.group, job.kubernetes
        if job.state is None:
            return
        state, wait = job.state, self.order.wait
        verify = wait and self.order.verify and job.after == "running" and group.endpoint["type"] != "cluster_ip"
        if verify:
            reach.wait(kubernetes, job.name, job.namespace, self.order.timeout)
        if verify or job.entry.kubeconfig:
            state = lifecycle.read(kubernetes, job.name, job.namespace)  # its address may be new
        if wait and job.entry.kubeconfig:
            patience = self.order.timeout
            state = lifecycle.wait_ready(kubernetes, job.name, job.namespace, state, patience, kubeconfig=True)
        if state is not job.state:
            job.look(state)
        if job.entry.kubeconfig:
            job.steps += _export(self.seen, job, check=False)

    def _switch_all(self, jobs: Sequence[Job], starting: bool = False) -> None:
        """Wait for those that shall run, and resume what is paused; with ``starting`` also those that rest later.

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

    def _switch_to(self, state: str, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        asked = self._switch(state)
        selector = Selector(names=tuple(job.name for job in jobs), group=self.order.group)
        try:
            outcome = switch.run(self.given, selector, asked)
        except NestedClustersError as error:
            for job in jobs:
                job.error = str(error)
            return
        found = {told["name"]: (told, part) for part in outcome.jobs for told in [part.describe(asked)]}
        for job in jobs:
            if job.name not in found:
                job.error = "its control plane is gone: somebody else deleted it; run the task again"
                continue
            told, part = found[job.name]
            job.after, job.error = told["after"], told["msg"]
            job.steps += told["steps"]
            if told["changed"]:
                job.diff.append(part.diff(asked))

    def _switch(self, state: str) -> switch.Order:
        order = self.order
        return switch.Order(
            state,
            order.check,
            order.wait,
            order.timeout,
            accept_data_loss=order.accept_data_loss,
            keep_volumes=order.keep_volumes,
            trust_kubelet=True,  # whose probe asks the same API, and which nested.clusters.vcluster waits for as well
        )

    def _each(self, do: Callable[[Job], None], jobs: Sequence[Job]) -> None:
        """Do something for some of the jobs at a time; what fails is in the job."""

        def one(job: Job) -> None:
            try:
                do(job)
            except NestedClustersError as error:
                job.error = str(error)

        able = [job for job in jobs if not job.error]
        if not able:
            return
        with ThreadPoolExecutor(min(self.order.at_once, len(able))) as pool:
            list(pool.map(one, able))


def _give_back(seen: Picture, job: Job) -> None:
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
    entries: Iterable[Entry], cleared: Iterable[clearing.Job], order: Order
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """(what became of those that shall not be there, what changed for ``--diff``)."""
    asked = switch.Order("absent", order.check, order.wait, order.timeout, keep_volumes=order.keep_volumes)
    keys = ("name", "namespace", "host_cluster", "owner", "before", "after", "changed", "steps", "failed", "msg")
    found, diff = [], []
    for job in cleared:
        told = job.describe(asked)
        found.append({**{key: told[key] for key in keys}, "size": None, "endpoint": None})
        if told["changed"]:
            diff.append(job.diff(asked))
    return found, diff
