# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring many virtual clusters to a state in rounds: read, send what is due, read again until all have it.

Host clusters are worked on side by side. On each, one look is a fixed number of LISTs for all virtual clusters
that are under way; only the last question, whether its API answers, goes to each by itself.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..common.batch import NOT_BEGUN, BatchJob, BatchOptions, BatchResult, Budget, report_progress
from ..common.errors import NestedClustersError, OptionError
from ..k8s import host_clusters
from ..k8s.client import Kubernetes, parallel
from ..k8s.connection import WORKERS
from ..k8s.errors import KubernetesError
from ..k8s.host_clusters import HostCluster
from ..k8s.objects import Object, path
from ..listing import readers, selection
from ..listing.observed import ClusterKey, ObservedCluster
from ..listing.selection import Found, Selector
from ..virtual_cluster import diagnosis, phases, readiness, workloads
from ..virtual_cluster.change import Change
from . import power_steps
from .power_steps import PowerStep
from .transition import Transition

API_SECONDS = 3  # how long a question to a virtual cluster's API may take
# After this the kubelet's word counts, which asks the same: not every host cluster's API server reaches pods.
ASK_SECONDS = 5


@dataclass
class PowerJob(BatchJob):
    """One virtual cluster on its way."""

    found: Found
    seen: ObservedCluster
    plan: list[PowerStep]
    transition: Transition
    asked: float = 0.0  # since when its API is asked

    def late(self, order: BatchOptions) -> str:
        return f"not {order.state} after {order.timeout:g} s (wait_timeout): {self.last}"

    def describe(self, order: BatchOptions) -> dict[str, Any]:
        """Return the virtual cluster's part of the result."""
        found = self.found
        steps = [change.text for change in self.changes(order)]
        return {
            "name": found.seen.name,
            "namespace": found.seen.namespace,
            "host_cluster": None if found.host.name == host_clusters.ONLY else found.host.name,
            "group": found.group,
            "owner": found.owner,
            "before": found.phase,
            "after": self._after(order, bool(steps)),
            "changed": bool(steps),
            "steps": steps,
            "note": power_steps.note(found.seen),
            "failed": bool(self.error),
            "msg": self.error if self.begun else NOT_BEGUN,
        }

    def changes(self, order: BatchOptions) -> list[Change]:
        """Return the changes that were made, or in check mode would be."""
        return [step.change for step in self.plan] if order.check and self.begun else self.transition.done

    def has_work(self, order: BatchOptions) -> bool:
        """Return whether there is anything to do or to wait for."""
        old = self.transition.old
        return bool(self.plan) or (order.wait and bool(power_steps.awaited(self.seen, order.state, old)))

    def _after(self, order: BatchOptions, changed: bool) -> str:
        if self.error or not self.begun:
            return phases.phase(self.seen.control_plane, self.seen.pods) if changed else self.found.phase
        if order.state == "paused":
            return "paused" if changed else self.found.phase
        if order.wait:
            return "running"
        return "pending" if changed else self.found.phase

    def diff(self, order: BatchOptions) -> dict[str, str]:
        """Return the changes, for ``--diff``."""
        found = self.found
        told = self.describe(order)
        on = f", host cluster {told['host_cluster']}" if told["host_cluster"] else ""
        name = f"virtual cluster {found.seen.name} (namespace {found.seen.namespace}{on})"
        pods = sorted(pod["metadata"]["name"] for pod in found.seen.synced) if order.state == "paused" else []
        before = [f"phase: {told['before']}", *(f"synced pod: {pod}" for pod in pods)]
        after = [f"phase: {told['after']}", *(f"step: {text}" for text in told["steps"])]
        return {
            "before_header": name,
            "after_header": name,
            "before": "\n".join(before) + "\n",
            "after": "\n".join(after) + "\n",
        }


def run(hosts: Sequence[HostCluster], selector: Selector, order: BatchOptions) -> BatchResult:
    """Bring the virtual clusters that are selected on the given host clusters to a state.

    Raises OptionError, before anything is changed, for a name that none of them has, and for too many.
    """
    with readers.garbage_collection_paused():
        answers = host_clusters.ask_apart(hosts, partial(_plan, selector, order))
    answers.some()
    unread = {name: str(error) for name, error in answers.failed.items()}
    _check_names(selector, [there for _jobs, there in answers.given.values()], unread)
    jobs = sorted(
        (job for found, _there in answers.given.values() for job in found),
        key=lambda job: (job.found.host.name, *job.found.key),
    )
    order.check_selected([job.found.seen.name for job in jobs])
    budget = Budget(order.at_once, order.max_failures, failed=len(unread) + sum(bool(job.error) for job in jobs))
    waiting_for = [job for job in jobs if not job.error and job.has_work(order)]
    if budget.spent:
        for job in waiting_for:
            job.begun = False
    if order.check:
        return BatchResult(jobs, unread, [])
    runners = {host.name: PowerRunner(host.kubernetes, selector.namespace, order, budget) for host in hosts}
    host_clusters.ask(
        hosts, lambda host: runners[host.name].run([job for job in waiting_for if job.found.host is host])
    ).all()
    return BatchResult(jobs, unread, sorted({text for runner in runners.values() for text in runner.warnings}))


def _check_names(selector: Selector, there: Iterable[set[str]], unread: dict[str, str]) -> None:
    missing = sorted(set(selector.names) - set().union(*there))
    if not missing:
        return
    where = f" in namespace {selector.namespace}" if selector.namespace else ""
    unsure = "".join(f"; host cluster {name} could not be read: {why}" for name, why in unread.items())
    raise OptionError(
        "names" if len(selector.names) > 1 else "name",
        ", ".join(missing),
        "virtual clusters that exist",
        message=f"virtual cluster {', '.join(missing)} does not exist{where} on the host clusters of the task{unsure}; "
        "check the names",
    )


def _plan(selector: Selector, order: BatchOptions, host: HostCluster) -> tuple[list[PowerJob], set[str]]:
    found, there = selection.find(selector, order.state, host)
    asked = [one for one in found if power_steps.needs_values(one.seen, order.state, order.accept_data_loss)]
    answers = parallel([partial(selection.values_of, one) for one in asked])
    known = {one.key: answer for one, answer in zip(asked, answers, strict=True)}
    return [_job(replace(one, seen=replace(one.seen, values=known.get(one.key))), order) for one in found], there


def _job(found: Found, order: BatchOptions) -> PowerJob:
    observed = found.seen
    old = frozenset(pod["metadata"]["uid"] for pod in observed.own) if order.state == "restarted" else frozenset[str]()
    error = power_steps.refusal(observed, order.state, order.accept_data_loss)
    transition = Transition(found.host.kubernetes, order.state, old)
    return PowerJob(found, observed, [] if error else transition.steps(observed), transition, error=error)


class PowerRunner:
    """The work on one host cluster."""

    def __init__(self, kubernetes: Kubernetes, namespace: str | None, order: BatchOptions, budget: Budget) -> None:
        self.kubernetes = kubernetes
        self.namespace = namespace
        self.order = order
        self.budget = budget
        self.warnings: set[str] = set()
        self._trusts_kubelet = order.trust_kubelet
        self._explain = False  # whether this turn tells why one is not ready
        self._explained = 0.0
        self._events: dict[str, list[Object]] = {}

    def run(self, jobs: Iterable[PowerJob]) -> None:
        """Bring every job to its end; what fails is in its ``error``."""
        queue, active, current, took = deque(jobs), list[PowerJob](), True, 0.0
        total, host = len(queue), queue[0].found.host.name if queue else ""
        with ThreadPoolExecutor(WORKERS) as pool:
            while queue or active:
                active += self.budget.begin(queue)
                ended = list(pool.map(self._advance, active)) if current else [False] * len(active)
                ends = zip(active, ended, strict=True)
                active = [job for job, end in ends if not self.budget.has_ended(job, end, self.order)]
                if queue or active:
                    report_progress(host, [(job.found.seen.name, job) for job in (*active, *queue)], total)
                    # Looking at a thousand takes its time, for the host cluster as well.
                    time.sleep(max(readiness.POLL_SECONDS, took))
                began = time.monotonic()
                current = not active or self._look(active)
                took = time.monotonic() - began

    def _look(self, active: Sequence[PowerJob]) -> bool:
        """See how the jobs are now; False where the host cluster did not say."""
        reader = self._reader(active)
        try:
            names = [job.found.seen.name for job in active]
            lists = selection.look(reader, names, self.order.state)
            observed = {readers.key_of(item): item for item in lists.control_planes}
            self._look_for_reasons(reader, lists.pods, list(observed.values()))
        except KubernetesError as error:
            for job in active:
                job.last = str(error)
                if not error.passing:  # an API server that restarts is no reason to give up
                    job.error = str(error)
            return False
        for job in active:
            control_plane = observed.get(job.found.key)
            if control_plane is None:
                job.error = "it was deleted meanwhile"
            else:
                job.seen = replace(lists.seen(control_plane, job.found.namespaces), values=job.seen.values)
        return True

    def _reader(self, active: Sequence[PowerJob]) -> readers.Reader:
        namespaces = {space for job in active for space in (job.found.seen.namespace, *job.found.namespaces)}
        return readers.Reader(self.kubernetes, namespaces.pop() if len(namespaces) == 1 else self.namespace)

    def _look_for_reasons(
        self, reader: readers.Reader, pods: Mapping[ClusterKey, list[Object]], planes: Iterable[Object]
    ) -> None:
        """List, from time to time, the events that say why one is not ready."""
        now = time.monotonic()
        self._explain = self.order.state != "paused" and now - self._explained >= readiness.LOOK_SECONDS
        if not self._explain:
            return
        self._explained = now
        unready = [item for item in planes if not workloads.workload_ready(item)]
        questions = set().union(
            *(diagnosis.open_questions(item, pods.get(readers.key_of(item), ())) for item in unready)
        )
        self._events = defaultdict(list)
        for answer in parallel([partial(reader.optional, "v1", "events", fields=text) for text in sorted(questions)]):
            for event in answer:
                self._events[event["metadata"]["namespace"]].append(event)

    def _advance(self, job: PowerJob) -> bool:
        """Send what is due; True once the job has reached its state."""
        if job.error:
            return False
        try:
            return self._steps(job)
        except KubernetesError as error:
            if error.passing:  # look again
                job.last = str(error)
            else:
                job.error = str(error)
        except NestedClustersError as error:
            job.error = str(error)
        return False

    def _steps(self, job: PowerJob) -> bool:
        elapsed = time.monotonic() - job.started
        steps = job.transition.advance(job.seen, elapsed)
        if steps is None:
            job.last = job.transition.last
            return False
        if steps:
            if not any(step.is_due(elapsed) for step in steps):
                job.last = f"{steps[0].text} waits until {steps[0].after}"
                self._explain_if_due(job, elapsed)
            return False
        if not self.order.wait:
            return True
        awaited = power_steps.awaited(job.seen, self.order.state, job.transition.old)
        if awaited:
            job.last = awaited
            self._explain_if_due(job, elapsed)
            return False
        return self.order.state == "paused" or self._answers(job)

    def _explain_if_due(self, job: PowerJob, elapsed: float) -> None:
        """Say what a control plane, or the etcd before it, waits for. Raises WaitError where it is in vain."""
        if not self._explain:
            return
        observed, events = job.seen, self._events.get(job.found.seen.namespace, ())
        etcd_first = observed.etcd is not None and workloads.replicas(observed.control_plane) == 0
        workload = observed.etcd if etcd_first and observed.etcd else observed.control_plane
        job.last = readiness.explain(self.kubernetes, workload, observed.pods, events, elapsed)

    def _answers(self, job: PowerJob) -> bool:
        """Return whether the virtual cluster's own API says that it is ready."""
        if self._trusts_kubelet:
            return True
        pod = next((pod["metadata"]["name"] for pod in job.seen.own if workloads.pod_ready(pod)), "")
        where = path("v1", "pods", job.found.seen.namespace, f"https:{pod}:{workloads.API_PORT}") + "/proxy/readyz"
        job.asked = job.asked or time.monotonic()
        job.last = "its API says that it is not ready"
        try:
            return self.kubernetes.text(where, seconds=API_SECONDS).strip() == "ok"
        except KubernetesError as error:
            allowed = error.status not in (401, 403)
            if allowed and time.monotonic() - job.asked < ASK_SECONDS:
                job.last = f"its API does not answer: {error}"
                return False
            why = "does not reach the API of" if allowed else "does not let this user (get pods/proxy) ask the API of"
            self.warnings.add(
                f"host cluster {self.kubernetes.host} {why} virtual clusters; only the kubelet reports them as ready"
            )
            self._trusts_kubelet = True
            return True
