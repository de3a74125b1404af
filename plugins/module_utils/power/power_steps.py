# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pause, resume and restart as steps: pure functions over one virtual cluster as it was read.

Steps follow from what is there alone. So a task that was killed is finished by the next one, and whoever works on
the same virtual cluster at the same time does the same. The annotations are those of the vCluster CLI, on the
control plane and, beyond the CLI, on a deployed etcd: each resumes what the other paused.

The order of a pause: the control plane, then the pods it synced (it would create them again), then its etcd. The
order of a resume: etcd, then the control plane.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..common.well_known import PAUSED, PAUSED_DATE, PAUSED_REPLICAS, RESTORING, SYNCED_LABEL
from ..k8s.objects import Object, path
from ..listing.observed import ObservedCluster, label_of
from ..values import tree
from ..virtual_cluster import diagnosis, phases, workloads
from ..virtual_cluster.change import Change, ChangeKind, ChangeTarget, counted
from ..virtual_cluster.workloads import replicas

POWER_STATES = ("paused", "running", "restarted")
MARKS = (PAUSED, PAUSED_REPLICAS, PAUSED_DATE)  # annotations of a workload that a pause scaled to 0

# The control plane waits for its etcd by itself, and writes its certificates if neither has ever started.
ETCD_PATIENCE = 60

_EXTERNAL_STORES = (
    ("controlPlane", "backingStore", "database", "external", "enabled"),
    ("controlPlane", "backingStore", "etcd", "external", "enabled"),
)
_CONFIGURED_REPLICAS = ("controlPlane", "statefulSet", "highAvailability", "replicas")
_INITIAL_CLUSTER = "--initial-cluster="


@dataclass(frozen=True)
class PowerStep:
    """One request, and the change that it makes.

    ``after`` says what has to be seen before its turn comes, "" if it can be sent now; ``patience`` is after how many
    seconds it is sent all the same.
    """

    change: Change
    verb: str  # patch, delete, delete_all
    where: str
    body: Mapping[str, Any] = field(default_factory=dict)
    labels: str = ""
    after: str = ""
    patience: float = float("inf")

    @property
    def text(self) -> str:
        """Return the change as a sentence."""
        return self.change.text

    def is_due(self, elapsed: float) -> bool:
        """Return whether it can be sent ``elapsed`` seconds after the beginning."""
        return not self.after or elapsed > self.patience


def paused(workload: Object) -> bool:
    """Return whether a workload rests as a pause leaves it."""
    return replicas(workload) == 0 and _marked(workload)


def steps(observed: ObservedCluster, state: str, date: str, old: Collection[str] = ()) -> list[PowerStep]:
    """Return the remaining steps to a state of POWER_STATES, in order.

    ``date`` is the time for the annotation (RFC 3339), ``old`` the UIDs of the pods that a restart replaces.
    """
    if state == "paused":
        return _to_pause(observed, date)
    return _to_resume(observed) if state == "running" else _to_restart(observed, old)


def awaited(observed: ObservedCluster, state: str, old: Collection[str] = ()) -> str:
    """Return what has still to happen, with no step left, until the state is reached; "" if it is."""
    if state == "paused":
        left = _names([*observed.pods, *observed.synced]) if paused(observed.control_plane) else ""
        return f"pods that have not ended yet: {left}" if left else ""
    # The workload's own numbers are a moment old when a pod has just gone.
    has_old = any(pod["metadata"]["uid"] in old for pod in observed.own)
    replaced = state == "running" or (_all_ready(observed) and not has_old)
    if replaced and workloads.workload_ready(observed.control_plane):
        return ""
    return diagnosis.progress(observed.control_plane, observed.pods)


def note(observed: ObservedCluster) -> str:
    """Return what is wrong with how it is paused, which a task repairs; "" if nothing is."""
    control, etcd = observed.control_plane, observed.etcd
    kind, found = workloads.kind(control), []
    annotations = control["metadata"].get("annotations") or {}
    if replicas(control) == 0 and phases.phase(control) == "pending" and annotations.get(RESTORING) != "true":
        found.append(f"{kind} {control['metadata']['name']} was scaled to 0 replicas, but not by a pause")
    if replicas(control) > 0 and _marked(control):
        count = replicas(control)
        found.append(f"{kind} {control['metadata']['name']} is marked as paused, but has {counted(count)}")
    if etcd is not None:
        name = etcd["metadata"]["name"]
        if replicas(control) > 0 and replicas(etcd) == 0:
            found.append(f"etcd {name} has no replicas, and the control plane waits for it")
        elif replicas(control) > 0 and _marked(etcd):
            found.append(f"etcd {name} is marked as paused, but has {counted(replicas(etcd))}")
        elif paused(control) and replicas(etcd) > 0:
            found.append(f"etcd {name} still runs")
        elif paused(control) and not _marked(etcd):
            found.append(f"etcd {name} was scaled to 0 replicas, but not by a pause")
    return "; ".join(found)


def refusal(observed: ObservedCluster, state: str, accept_data_loss: bool) -> str:
    """Return why a virtual cluster cannot be brought to a state, and what to do; "" if it can."""
    control = observed.control_plane
    now = phases.phase(control)
    if now == "deleting":
        return "it is being deleted"
    if (control["metadata"].get("annotations") or {}).get(RESTORING) == "true":
        return "a snapshot is being restored into it: run again when that is done"
    if now == "sleeping" and state != "paused":
        return "the vCluster platform put it to sleep: wake it there"
    if state == "restarted" and replicas(control) == 0:
        return f"it is {'paused' if paused(control) else 'scaled to 0 replicas'}: use state running to start it"
    lost = _lost_with_its_pods(observed, state)
    if lost and not accept_data_loss:
        return f"{lost}, and everything in it would be lost: set accept_data_loss if that may be"
    return ""


def needs_values(observed: ObservedCluster, state: str, accept_data_loss: bool) -> bool:
    """Return whether the values of its release decide what happens."""
    control = observed.control_plane
    if replicas(control) == 0:
        return _remembered(control) is None
    return state != "running" and not accept_data_loss and observed.etcd is None and not _persistent(control)


# --- steps ------------------------------------------------------------------------------------------------


def _to_pause(observed: ObservedCluster, date: str) -> list[PowerStep]:
    control, etcd = observed.control_plane, observed.etcd
    if phases.phase(control) == "sleeping":
        return []
    result = []
    if not paused(control):
        result.append(_pause(control, _count(control, observed), date))
    ending = "its pods have ended" if observed.own or result else ""
    alive = [pod for pod in observed.synced if not pod["metadata"].get("deletionTimestamp")]
    for namespace in sorted({pod["metadata"]["namespace"] for pod in alive}):
        count = sum(pod["metadata"]["namespace"] == namespace for pod in alive)
        details = {"count": count, "elsewhere": namespace if namespace != observed.namespace else ""}
        result.append(
            PowerStep(
                Change(ChangeKind.DELETE_SYNCED, ChangeTarget("virtual cluster", observed.name), details),
                "delete_all",
                path("v1", "pods", namespace),
                labels=f"{SYNCED_LABEL}={observed.name}",
                after=ending,
            )
        )
    if etcd is not None and not paused(etcd):
        result.append(_pause(etcd, _count_etcd(etcd), date, after=ending))
    return result


def _to_resume(observed: ObservedCluster) -> list[PowerStep]:
    control, etcd = observed.control_plane, observed.etcd
    result = []
    if etcd is not None and _is_to_resume(etcd):
        result.append(_resume(etcd, _count_etcd(etcd)))
    if _is_to_resume(control):
        waits = etcd is not None and replicas(control) == 0 and (bool(result) or not _has_quorum(etcd))
        result.append(_resume(control, _count(control, observed), after="etcd is ready" if waits else ""))
    return result


def _to_restart(observed: ObservedCluster, old: Collection[str]) -> list[PowerStep]:
    """Return pods one by one: what is broken first, then from the last to the first, as a rollout does."""
    alive = [pod for pod in observed.own if not pod["metadata"].get("deletionTimestamp")]
    left = [pod for pod in alive if pod["metadata"]["uid"] in old]
    left.sort(key=lambda pod: (len(pod["metadata"]["name"]), pod["metadata"]["name"]), reverse=True)
    left.sort(key=workloads.pod_ready)
    ending = any(pod["metadata"].get("deletionTimestamp") for pod in observed.own)
    result: list[PowerStep] = []
    for pod in left:
        first = not result and not ending and (_all_ready(observed) or not workloads.pod_ready(pod))
        meta = pod["metadata"]
        result.append(
            PowerStep(
                Change(ChangeKind.DELETE, ChangeTarget("pod", meta["name"])),
                "delete",
                path("v1", "pods", meta["namespace"], meta["name"]),
                {"uid": meta["uid"]},  # one that is new already is not deleted again
                after="" if first else "the other pods are ready",
            )
        )
    return result


def _pause(workload: Object, count: int, date: str, after: str = "") -> PowerStep:
    now = replicas(workload)
    annotations = dict(zip(MARKS, ("true", str(count), date), strict=True))
    if now:
        change = Change(ChangeKind.SCALE, _target(workload), {"before": now, "after": 0})
    else:
        change = Change(ChangeKind.MARK_PAUSED, _target(workload), {"replicas": count})
    return _patch(workload, change, annotations, 0, after)


def _resume(workload: Object, count: int, after: str = "") -> PowerStep:
    now = replicas(workload)
    if now:
        change = Change(ChangeKind.UNMARK_PAUSED, _target(workload))
    else:
        change = Change(ChangeKind.SCALE, _target(workload), {"before": 0, "after": count})
    return _patch(workload, change, dict.fromkeys(MARKS), now or count, after, ETCD_PATIENCE)


def _patch(
    workload: Object,
    change: Change,
    annotations: Mapping[str, Any],
    count: int,
    after: str,
    patience: float = float("inf"),
) -> PowerStep:
    meta = workload["metadata"]
    plural = "statefulsets" if workloads.kind(workload) == "StatefulSet" else "deployments"
    # With the version that was read, so that a pause or resume in between is not overwritten.
    metadata = {"resourceVersion": meta["resourceVersion"], "annotations": dict(annotations)}
    body = {"metadata": metadata, "spec": {"replicas": count}}
    where = path("apps/v1", plural, meta["namespace"], meta["name"])
    return PowerStep(change, "patch", where, body, after=after, patience=patience)


# --- what the objects say ---------------------------------------------------------------------------------


def _is_to_resume(workload: Object) -> bool:
    return replicas(workload) == 0 or _marked(workload)


def _marked(workload: Object) -> bool:
    return (workload["metadata"].get("annotations") or {}).get(PAUSED) == "true"


def _remembered(workload: Object) -> int | None:
    text = (workload["metadata"].get("annotations") or {}).get(PAUSED_REPLICAS, "")
    return int(text) if text.isdecimal() and int(text) else None


def _all_ready(observed: ObservedCluster) -> bool:
    """Return whether there are as many ready pods as are asked for, by the pods themselves."""
    ready = [pod for pod in observed.own if workloads.pod_ready(pod) and not pod["metadata"].get("deletionTimestamp")]
    return len(ready) >= replicas(observed.control_plane)


def _count(workload: Object, observed: ObservedCluster) -> int:
    """Return the number of replicas of a control plane when it runs."""
    configured = tree.get(dict(observed.values or {}), _CONFIGURED_REPLICAS)
    return replicas(workload) or _remembered(workload) or (configured if isinstance(configured, int) else 0) or 1


def _count_etcd(etcd: Object) -> int:
    """Return the number of replicas of a running etcd: the annotated one, else the members in its command."""
    members = 0
    for container in etcd["spec"]["template"]["spec"].get("containers") or []:
        for word in [*(container.get("command") or []), *(container.get("args") or [])]:
            if word.startswith(_INITIAL_CLUSTER):
                members = word.count("=https://")
    return replicas(etcd) or _remembered(etcd) or members or 1


def _has_quorum(etcd: Object) -> bool:
    return 2 * (etcd.get("status") or {}).get("readyReplicas", 0) > replicas(etcd) > 0


def _lost_with_its_pods(observed: ObservedCluster, state: str) -> str:
    """Return the store that would lose its data, "" if everything is stored elsewhere."""
    control, etcd = observed.control_plane, observed.etcd
    if state == "running" or replicas(control) == 0:
        return ""
    if etcd is not None:
        # A restart leaves etcd alone.
        lost = state == "paused" and replicas(etcd) > 0 and not _persistent(etcd)
        return f"the store of etcd {etcd['metadata']['name']} has no volume claim" if lost else ""
    if _persistent(control) or any(tree.get(dict(observed.values or {}), where) is True for where in _EXTERNAL_STORES):
        return ""
    return "its store has no volume claim"


def _persistent(workload: Object) -> bool:
    """Return whether what a workload keeps in its volume ``data`` outlives its pods."""
    spec = workload["spec"]
    if spec.get("volumeClaimTemplates"):
        return True
    volumes = spec["template"]["spec"].get("volumes") or []
    return any(volume.get("name") == "data" and "emptyDir" not in volume for volume in volumes)


def _target(workload: Object) -> ChangeTarget:
    etcd = "etcd " if label_of(workload, "app") == "vcluster-etcd" else ""
    return ChangeTarget(f"{etcd}{workloads.kind(workload)}", workload["metadata"]["name"])


def _names(pods: Iterable[Object]) -> str:
    names = sorted(pod["metadata"]["name"] for pod in pods)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
