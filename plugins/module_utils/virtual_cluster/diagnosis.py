# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Diagnose why a virtual cluster fails or is not ready, from its pods and events. Pure functions.

A *workload* is the StatefulSet or the Deployment that runs a control plane. *pods* are those of one virtual
cluster: the control plane's (label ``app=vcluster``) and, where etcd is deployed beside it, etcd's
(``app=vcluster-etcd``). *events* are ``v1`` Events of the same namespace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from ..common.well_known import RESTORING
from ..k8s.objects import Object
from . import workloads
from .workloads import current_pods, is_observed, label_of, pod_ready, workload_ready

# How long a pod may have no node: a node may just be joining, or another pod leaving.
UNSCHEDULABLE_GRACE = 30
# One restart is ordinary (etcd or the storage was a little later than the control plane); two are a loop.
CRASHES = 2

_IMAGE_REASONS = {"ErrImageNeverPull", "InvalidImageName", "ImagePullBackOff", "ImageInspectError"}
# A pull that failed is tried again, and ErrImagePull stays for a quarter of a minute until ImagePullBackOff says
# so. Where the registry has answered that there is no such image, or none for this node, another one is in vain.
_FINAL_PULL = re.compile(r"not found|manifest unknown|unauthorized|access denied|authorization failed", re.IGNORECASE)
_CONFIG_REASONS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}

# (what the API server's refusal says, what to try); refusals that are none of these may pass on their own.
_REFUSALS = (
    (
        re.compile(r"exceeded quota|failed quota"),
        "raise the ResourceQuota of the namespace, or ask for a smaller size",
    ),
    (
        re.compile(r"violates PodSecurity"),
        "label the namespace for a Pod Security level that allows this pod, or set "
        "controlPlane.statefulSet.security in the values",
    ),
    (
        re.compile(r"(maximum|minimum) \S+ usage per|limit to request ratio"),
        "change the LimitRange of the namespace, or controlPlane.statefulSet.resources in the values",
    ),
    (
        re.compile(r"denied the request"),
        "change the values so that the admission policy of the host cluster allows them",
    ),
    (
        re.compile(r"is forbidden|is invalid"),
        "change the values, or what the host cluster allows in the namespace",
    ),
)
_NOT_YET = re.compile(r"being deleted|serviceaccount .* not found|error looking up service account")


@dataclass(frozen=True)
class Failure:
    """Why a control plane will not become ready.

    ``reason`` is Kubernetes' own word, ``message`` a sentence, ``advice`` what to try. ``pod`` and
    ``container`` name what to read the log of; they are empty where no container has started.
    """

    reason: str
    message: str
    advice: str
    pod: str = ""
    container: str = ""

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}"


def failure(
    workload: Object,
    pods: Iterable[Object],
    events: Iterable[Object] = (),
    elapsed_seconds: float = float("inf"),
    now: datetime | None = None,
) -> Failure | None:
    """Return why the control plane will not become ready, or None if it is or may still become ready.

    ``elapsed_seconds`` is how long the caller has been waiting (infinite for one that looks only once),
    ``now`` the time to compare the host cluster's timestamps with. Only what the current declaration has
    brought about counts: nothing while the workload's controller has not seen it, and no pod of an earlier
    declaration, or terminating.
    """
    if not is_observed(workload) or workloads.replicas(workload) < 1 or workload_ready(workload):
        return None
    pods, events = list(pods), list(events)
    current = current_pods(workload, pods)
    for pod in current:
        found = _container_failure(pod)
        if found:
            return found
    return (
        _volume_failure(current, events, elapsed_seconds, now)
        or _unschedulable(current, events, elapsed_seconds, now)
        or _create_failure(workload, current, events, elapsed_seconds, now)
    )


def progress(workload: Object, pods: Iterable[Object], events: Iterable[Object] = ()) -> str:
    """Return the last state seen, in one line: replicas ready, what each pod waits for, the last warning."""
    wanted, annotations = workloads.replicas(workload), workload["metadata"].get("annotations") or {}
    if wanted < 1:
        if annotations.get(RESTORING) == "true":
            return "scaled to 0 replicas while a snapshot is restored"
        return "scaled to 0 replicas, but not by a pause"
    ready = (workload.get("status") or {}).get("readyReplicas", 0)
    parts = [f"{ready} of {wanted} replicas ready"]
    current = current_pods(workload, pods)
    parts += [f"pod {pod['metadata']['name']}: {_pod_state(pod)}" for pod in current if not pod_ready(pod)]
    names = {workload["metadata"]["name"], *(pod["metadata"]["name"] for pod in current)}
    related = [event for event in events if event["involvedObject"].get("name") in names]
    warnings = [event for event in related if event.get("type") == "Warning"]
    if warnings:
        last = max(warnings, key=_event_time)
        parts.append(f"last event: {last.get('reason', '')}: {_one_line(last.get('message', ''))}")
    return "; ".join(parts)


def open_questions(workload: Object, pods: Iterable[Object]) -> set[str]:
    """Return field selectors of the Events that ``failure`` still needs, if pods do not say why.

    A StatefulSet says only in Events why it makes no pod; a Deployment has a condition for it.
    """
    current = current_pods(workload, pods)
    questions = set()
    if workloads.kind(workload) == "StatefulSet" and _pods_missing(workload, current):
        questions.add("reason=FailedCreate,involvedObject.kind=StatefulSet")
    if any(_unscheduled(pod) for pod in current):
        questions |= {"type=Warning,involvedObject.kind=PersistentVolumeClaim", "reason=TriggeredScaleUp"}
    return questions


def _container_states(pod: Object) -> Iterator[Object]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def _container_failure(pod: Object) -> Failure | None:
    name = pod["metadata"]["name"]
    for container in _container_states(pod):
        state = container.get("state") or {}
        waiting = state.get("waiting") or {}
        reason, where = waiting.get("reason", ""), f"container {container['name']} of pod {name}"
        detail = _one_line(waiting.get("message", ""))
        if reason in _IMAGE_REASONS or (reason == "ErrImagePull" and _FINAL_PULL.search(detail)):
            return Failure(
                reason,
                f"{where} has no image {container.get('image', '')}: {detail or reason}",
                "check the image's name and tag, and that the host cluster's nodes can pull it "
                "(controlPlane.advanced.defaultImageRegistry, an image pull secret)",
            )
        if reason in _CONFIG_REASONS:
            return Failure(
                reason,
                f"{where} cannot be created: {detail or reason}",
                "check the Secrets, ConfigMaps and volumes that the values name",
            )
        crashed = state.get("terminated") or {}
        looping = reason == "CrashLoopBackOff" or bool(crashed.get("exitCode"))
        if looping and container.get("restartCount", 0) >= CRASHES:
            return _crash(container, where, name)
    return None


def _crash(container: Object, where: str, pod: str) -> Failure:
    last = _last_end(container)
    killed = last.get("reason") == "OOMKilled"
    how = "killed for lack of memory" if killed else f"exit code {last.get('exitCode', 'unknown')}"
    said = _one_line(last.get("message", ""))
    return Failure(
        "OOMKilled" if killed else "CrashLoopBackOff",
        f"{where} keeps ending ({how}, {container['restartCount']} restarts){f': {said}' if said else ''}",
        "raise controlPlane.statefulSet.resources.limits.memory in the values" if killed else "read its log",
        pod,
        container["name"],
    )


def _last_end(container: Object) -> Object:
    for key in ("state", "lastState"):
        ended = (container.get(key) or {}).get("terminated")
        if ended:
            return ended
    return {}


def _lasted(since: str | None, elapsed_seconds: float, now: datetime | None) -> float:
    """Return the seconds that a state has lasted, at most those that the caller has been watching."""
    if not since or now is None:
        return elapsed_seconds
    return min(elapsed_seconds, (now - workloads.timestamp(since)).total_seconds())


def _unscheduled(pod: Object) -> Object | None:
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return condition if condition.get("reason") == "Unschedulable" else None
    return None


def _unschedulable(
    pods: list[Object], events: list[Object], elapsed_seconds: float, now: datetime | None
) -> Failure | None:
    for pod in pods:
        name, condition = pod["metadata"]["name"], _unscheduled(pod)
        if not condition or _events_of(events, {"TriggeredScaleUp"}, "Pod", {name}):
            continue
        if _lasted(condition.get("lastTransitionTime"), elapsed_seconds, now) > UNSCHEDULABLE_GRACE:
            # The first sentence counts the nodes; what preemption could do repeats the numbers.
            message = _one_line(condition.get("message", "")).partition(". ")[0].rstrip(".")
            return Failure(
                "Unschedulable",
                f"no node of the host cluster takes pod {name}: {message}",
                "free or add capacity, or change controlPlane.statefulSet (resources, scheduling) in values",
            )
    return None


def _volume_failure(
    pods: list[Object], events: list[Object], elapsed_seconds: float, now: datetime | None
) -> Failure | None:
    for pod in pods:
        condition = _unscheduled(pod)
        if not condition:
            continue  # it has a node, and so its volumes
        claims = {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"].get("volumes") or []
            if "persistentVolumeClaim" in volume
        }
        reasons = {"ProvisioningFailed", "FailedBinding"}
        for event in _events_of(events, reasons, "PersistentVolumeClaim", claims):
            message = _one_line(event.get("message", ""))
            # A provisioner retries what it could not do; nobody retries a storage class that does not exist.
            final = "storageclass" in message.lower() and "not found" in message
            waited = _lasted(condition.get("lastTransitionTime"), elapsed_seconds, now) > UNSCHEDULABLE_GRACE
            if final or waited:
                return Failure(
                    event["reason"],
                    f"volume claim {event['involvedObject']['name']} has no volume: {message}",
                    "name a storage class that the host cluster can provision from "
                    "(controlPlane.statefulSet.persistence.volumeClaim.storageClass in the values)",
                )
    return None


def _create_failure(
    workload: Object, pods: list[Object], events: list[Object], elapsed_seconds: float, now: datetime | None
) -> Failure | None:
    if not _pods_missing(workload, pods):
        return None
    for message, age in _refusals(workload, events, now):
        long_enough = elapsed_seconds > UNSCHEDULABLE_GRACE
        # What was refused before the caller began may have been put right since; it is refused again if not.
        if age > elapsed_seconds + 5 and not long_enough:
            continue
        advice = next((advice for pattern, advice in _REFUSALS if pattern.search(message)), "")
        if _NOT_YET.search(message) or not advice:
            if not long_enough:
                continue
            advice = "look at the events of the namespace"
        return Failure("FailedCreate", f"the host cluster refuses the control plane's pod: {message}", advice)
    return None


def _pods_missing(workload: Object, pods: list[Object]) -> bool:
    if workloads.kind(workload) == "StatefulSet" and (workload.get("status") or {}).get(
        "replicas", 0
    ) >= workloads.replicas(workload):
        return False  # also where the caller may not read pods
    return len([pod for pod in pods if label_of(pod, "app") != "vcluster-etcd"]) < workloads.replicas(workload)


def _refusals(workload: Object, events: list[Object], now: datetime | None) -> Iterator[tuple[str, float]]:
    """Yield (message, age in seconds) of each refusal to create a pod or its claim, the newest first."""
    for condition in (workload.get("status") or {}).get("conditions") or []:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            yield _one_line(condition.get("message", "")), 0
    name = workload["metadata"]["name"]
    for event in _events_of(events, {"FailedCreate"}, "StatefulSet", {name}):
        when = _event_time(event)
        age = (now - workloads.timestamp(when)).total_seconds() if now and when else 0
        message = _one_line(event.get("message", ""))
        yield message.partition(" failed error: ")[2] or message, age


def _events_of(events: Iterable[Object], reasons: set[str], kind_: str, names: set[str]) -> list[Object]:
    found = [
        event
        for event in events
        if event.get("reason") in reasons
        and event["involvedObject"].get("kind") == kind_
        and event["involvedObject"].get("name") in names
    ]
    return sorted(found, key=_event_time, reverse=True)


def _event_time(event: Object) -> str:
    series = (event.get("series") or {}).get("lastObservedTime")
    return series or event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or ""


def _pod_state(pod: Object) -> str:
    condition = _unscheduled(pod)
    if condition:
        return f"has no node: {_one_line(condition.get('message', ''))}"
    for container in _container_states(pod):
        state = container.get("state") or {}
        if "waiting" in state:
            return f"container {container['name']} waits: {state['waiting'].get('reason', 'unknown')}"
        if "running" in state and not container.get("ready"):
            return f"container {container['name']} runs, not ready yet"
    return (pod.get("status") or {}).get("phase", "unknown")


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
