# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up and restore a virtual cluster for an upgrade: its data while nothing writes to it, and its Helm revision.

The data is copied within its own volume, by a pod that mounts the claim while the control plane is stopped. That
takes no storage elsewhere and no credential, works with every vCluster version, and gives back exactly what was
there. vCluster's own snapshots are taken while it runs, and a restore recreates every pod in it.

How far it got is an annotation of the workload, so a task that was ended is finished by the next one.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from ..common import progress
from ..common.errors import NestedClustersError, WaitError
from ..common.well_known import MANAGED_BY, PAUSED_DATE, PAUSED_REPLICAS, RAN, SYNCED_LABEL, WAY_BACK
from ..helm.release import decode_release
from ..k8s.client import Kubernetes, parallel
from ..k8s.errors import KubernetesError
from ..k8s.objects import Object, path
from ..listing import readers, selection
from ..listing.observed import ObservedCluster, label_of
from ..power import power_steps
from ..power.transition import Transition
from ..virtual_cluster import manifests, readiness, workloads
from ..virtual_cluster.change import Change, ChangeKind, ChangeTarget
from .upgrade_record import UpgradeRecord

DATA = "/data"
COPY = ".nested-clusters-before"  # directory in the volume
_ITEMS = f"""
set -eu
cd {DATA}
items() {{
  for item in * .*; do
    case "$item" in
      .|..|lost+found|{COPY}|{COPY}.new) ;;
      *) if [ -e "$item" ] || [ -L "$item" ]; then printf '%s\\n' "$item"; fi ;;
    esac
  done
}}
"""
# The copy appears under its name when it is whole. Either script may be ended at any moment and run again.
TAKE = f"""{_ITEMS}
rm -rf {COPY}.new
mkdir {COPY}.new
items | while read -r item; do cp -a "$item" {COPY}.new/; done
sync
rm -rf {COPY}
mv {COPY}.new {COPY}
sync
"""
RESTORE = f"""{_ITEMS}
test -d {COPY}
items | while read -r item; do rm -rf "$item"; done
cp -a {COPY}/. .
sync
"""


def claims(control_plane: Object, etcd: Object | None) -> list[str]:
    """Return names of the volume claims that hold the data; [] where the store is elsewhere, or has no claim."""
    found = []
    for workload in filter(None, (control_plane, etcd)):
        spec, name = workload["spec"], workload["metadata"]["name"]
        for volume in spec["template"]["spec"].get("volumes") or []:
            if volume.get("name") == "data" and "persistentVolumeClaim" in volume:
                found.append(volume["persistentVolumeClaim"]["claimName"])
        if any(template["metadata"]["name"] == "data" for template in spec.get("volumeClaimTemplates") or []):
            annotations = workload["metadata"].get("annotations") or {}
            count = workloads.replicas(workload) or int(annotations.get(PAUSED_REPLICAS) or 1)
            found += [f"data-{name}-{number}" for number in range(count)]
    return found


def changes_before(
    control_plane: Object | None, etcd: Object | None, mark: UpgradeRecord | None
) -> list[Change]:
    """Return the changes of a plan that make the backup."""
    if control_plane is None or (mark and mark.copied):
        return []
    target = ChangeTarget("virtual cluster", control_plane["metadata"]["name"])
    stop = [] if power_steps.paused(control_plane) else [Change(ChangeKind.STOP, target)]
    copies = [
        Change(ChangeKind.COPY, ChangeTarget("volume claim", claim)) for claim in claims(control_plane, etcd)
    ]
    return [*stop, *(copies or [Change(ChangeKind.COPY_NOTHING, target)])]


def changes_after(name: str, version: str, mark: UpgradeRecord | None, paused: bool) -> list[Change]:
    """Return the changes that follow the upgrade itself."""
    target = ChangeTarget("virtual cluster", name)
    again = [Change(ChangeKind.PAUSE_AGAIN, target)] if (mark.paused if mark else paused) else []
    return [Change(ChangeKind.CHECK_HEALTH, target, {"version": version}), *again]


@dataclass
class UpgradeBackup:
    """A virtual cluster to back up or restore. ``patience`` is in seconds, for each wait."""

    kubernetes: Kubernetes
    name: str
    namespace: str
    patience: float
    _found: ObservedCluster | None = None

    def take(self, mark: UpgradeRecord) -> None:
        """Stop the control plane and copy the data; nothing runs afterwards."""
        self.write(mark)
        self.stop()
        observed = self._find()
        self._run("take", TAKE, observed.control_plane, claims(observed.control_plane, observed.etcd))
        self.write(UpgradeRecord(**{**asdict(mark), "copied": True}))

    def restore(self, mark: UpgradeRecord) -> None:
        """Put the copy of the data in the place of the data; the control plane has to be stopped."""
        if not mark.copied:
            return  # then nothing else was done either
        observed = self._find()
        # The image of before: that of the new version may be what failed.
        url = path("v1", "secrets", self.namespace, f"sh.helm.release.v1.{self.name}.v{mark.revision}")
        secret = self.kubernetes.get(url)
        if secret is None:
            raise NestedClustersError(f"Helm no longer has revision {mark.revision} of release {self.name}")
        before = manifests.objects(decode_release(secret).manifest, self.namespace, self.kubernetes.namespaced)
        key = manifests.workload_key(before, self.name, self.namespace)
        template = before[key] if key else observed.control_plane
        owner = {**template, "metadata": observed.control_plane["metadata"]}
        self._run("restore", RESTORE, owner, claims(observed.control_plane, observed.etcd))

    def leave(self, mark: UpgradeRecord) -> None:
        """End the upgrade: pause again what was paused, and remove the backup."""
        # What ran last matters to a paused one; in the end it has run. Helm 3 leaves the date of a pause.
        forgotten = [WAY_BACK, RAN, *([] if mark.paused else [PAUSED_DATE])]
        if mark.paused:
            self._bring("paused", synced=True)
        self.kubernetes.patch(self._workload(), {"metadata": {"annotations": dict.fromkeys(forgotten)}})

    def write(self, mark: UpgradeRecord) -> None:
        """Keep with the workload how far the upgrade has got."""
        annotations = {WAY_BACK: json.dumps(asdict(mark))}
        self.kubernetes.patch(self._workload(), {"metadata": {"annotations": annotations}})

    def stop(self) -> None:
        """Scale the control plane and its etcd to nothing. What it synced to the host cluster goes on."""
        self._bring("paused")

    def start(self) -> None:
        """Scale them up again; does not wait for more than the order of the two."""
        self._bring("running")

    def check_healthy(self, seconds: float = float("inf")) -> None:
        """Check the health of the virtual cluster until it is healthy. Raises WaitError that says what is not."""
        seconds = min(seconds, self.patience)
        deadline = time.monotonic() + seconds
        while problem := self._problem():
            if time.monotonic() > deadline:
                raise WaitError(f"virtual cluster {self.name} is not healthy after {seconds:g} s: {problem}")
            self._report(f"not healthy yet: {problem}")
            time.sleep(readiness.POLL_SECONDS * 2)

    def _report(self, text: str) -> None:
        progress.report(f"virtual cluster {self.name}", text)

    # --- looking into it ---

    def _problem(self) -> str:
        """Return what is not healthy, in words; "" if all is."""
        listed = self.kubernetes.list(path("v1", "pods", self.namespace), labels=self._own_pods)
        pods = [pod for pod in listed if label_of(pod, "app") != "vcluster-etcd" and workloads.pod_ready(pod)]
        secret = self.kubernetes.get(path("v1", "secrets", self.namespace, f"vc-{self.name}"))
        if not pods:
            self._find()  # which says whether it was deleted
        if not pods or secret is None:
            return "no pod of its control plane is ready" if secret else f"Secret vc-{self.name} is not there yet"
        pod = path("v1", "pods", self.namespace, pods[0]["metadata"]["name"])
        try:
            with self.kubernetes.into(pod, workloads.API_PORT, secret) as ask:
                return problem_inside(ask)
        except KubernetesError as error:
            if not error.passing and error.status != 404:
                raise
            return f"its API does not answer: {error}"

    # --- stopping and starting ---

    def _find(self) -> ObservedCluster:
        """Look for its workloads, of whichever kind; from then on only those that there are are read."""
        lists = selection.look(readers.Reader(self.kubernetes, self.namespace), [self.name], "running", pods=False)
        if not lists.control_planes:
            raise WaitError(f"virtual cluster {self.name} was deleted during the upgrade", phase="deleting")
        self._found = lists.seen(lists.control_planes[0])
        return self._found

    def _workloads(self) -> ObservedCluster:
        """Read again what was found, and search for it again if it is gone."""
        found = self._found
        if found is None:
            return self._find()
        before = [found.control_plane, *([found.etcd] if found.etcd else [])]
        answers = parallel([partial(self.kubernetes.get, _path(one)) for one in before])
        now = [{**one, "kind": workloads.kind(old)} for one, old in zip(answers, before, strict=True) if one]
        if len(now) < len(before):
            return self._find()
        return ObservedCluster(now[0], now[1] if found.etcd else None)

    def _pods(self, labels: str) -> tuple[Object, ...]:
        return tuple(self.kubernetes.list(path("v1", "pods", self.namespace), labels=labels, metadata_only=True))

    @property
    def _own_pods(self) -> str:
        return f"app in (vcluster,vcluster-etcd),release in ({self.name}),!{SYNCED_LABEL}"

    def _bring(self, state: str, synced: bool = False) -> None:
        """Bring it to a state of POWER_STATES; ``synced``: also what it synced to the host cluster."""
        transition, began = Transition(self.kubernetes, state), time.monotonic()
        self._found = None  # Helm may have made it another one since
        while left := self._advance(transition, began, synced):
            if time.monotonic() - began > self.patience:
                raise WaitError(f"virtual cluster {self.name} is not {state} after {self.patience:g} s: {left}")
            self._report(f"not {state} yet: {left}")
            time.sleep(readiness.POLL_SECONDS)

    def _advance(self, transition: Transition, began: float, synced: bool) -> str:
        """Send what is due; what is still missing, in words."""
        pausing = transition.state == "paused"
        try:
            observed = self._workloads()
            if pausing:  # which waits for pods to end
                own = self._pods(self._own_pods)
                of_users = self._pods(f"{SYNCED_LABEL}={self.name}") if synced else ()
                observed = replace(observed, pods=own, synced=of_users)
        except KubernetesError as error:
            if not error.passing:  # an API server that restarts is no reason to give up
                raise
            return str(error)
        steps = transition.advance(observed, time.monotonic() - began)
        if steps is None:
            return transition.last
        if steps:
            return steps[0].text
        return power_steps.awaited(observed, transition.state) if pausing else ""

    def _workload(self) -> str:
        return _path((self._found or self._find()).control_plane)

    # --- pods that copy ---

    def _run(self, what: str, script: str, workload: Object, of: list[str]) -> None:
        """Run a script on each volume claim, and wait until all have ended well."""
        pods = {claim: copying_pod(f"{claim}-{what}", claim, script, workload) for claim in of}
        where = path("v1", "pods", self.namespace)
        for pod in pods.values():  # of a task that was ended
            self._delete(f"{where}/{pod['metadata']['name']}")
        for pod in pods.values():
            self.kubernetes.create(where, pod)
        for claim, pod in pods.items():
            self._wait(claim, f"{where}/{pod['metadata']['name']}")
        for pod in pods.values():
            self._delete(f"{where}/{pod['metadata']['name']}")

    def _delete(self, where: str) -> None:
        deadline = time.monotonic() + self.patience
        while self.kubernetes.get(where):
            self.kubernetes.delete(where)
            if time.monotonic() > deadline:
                raise WaitError(f"pod {where.rsplit('/', 1)[1]} does not end")
            time.sleep(readiness.POLL_SECONDS)

    def _wait(self, claim: str, where: str) -> None:
        deadline = time.monotonic() + self.patience
        while True:
            pod = self.kubernetes.get(where)
            state = ((pod or {}).get("status") or {}).get("phase")
            if state == "Succeeded":
                return
            if pod is None or state == "Failed":
                said = " ".join(self.kubernetes.text(f"{where}/log").split()) if pod else "it was deleted"
                raise WaitError(f"the data in volume claim {claim} could not be copied: {said[-500:]}")
            if time.monotonic() > deadline:
                raise WaitError(
                    f"the pod that copies the data in volume claim {claim} has not ended after {self.patience:g} s: "
                    f"{_state(pod)}"
                )
            self._report(f"the data in volume claim {claim} is being copied: {_state(pod)}")
            time.sleep(readiness.POLL_SECONDS)


def _path(workload: Object) -> str:
    plural = "statefulsets" if workloads.kind(workload) == "StatefulSet" else "deployments"
    return path("apps/v1", plural, workload["metadata"]["namespace"], workload["metadata"]["name"])


def _state(pod: Object) -> str:
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or []:
        reason = (container.get("state") or {}).get("waiting")
        if reason:
            return f"{reason.get('reason')}: {reason.get('message', '')}"
    found = [item.get("message", "") for item in status.get("conditions") or [] if item.get("status") == "False"]
    return "; ".join(filter(None, found)) or str(status.get("phase"))


def copying_pod(name: str, claim: str, script: str, workload: Object) -> dict[str, Any]:
    """Return a pod that runs a script on the volume of a claim, with the image and the rights of the control plane.

    It belongs to the control plane, and is gone with it.
    """
    spec = workload["spec"]["template"]["spec"]
    syncer = next(container for container in spec["containers"] if container["name"] == "syncer")
    meta = workload["metadata"]
    owner = {"apiVersion": "apps/v1", "kind": workload["kind"], "name": meta["name"], "uid": meta["uid"]}
    taken = ("nodeSelector", "tolerations", "affinity", "imagePullSecrets", "securityContext", "priorityClassName")
    container = {
        "name": "copy",
        "image": syncer["image"],
        "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "data", "mountPath": DATA}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **{key: syncer[key] for key in ("imagePullPolicy", "securityContext", "resources") if syncer.get(key)},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app": "nested-clusters-copy", **MANAGED_BY},
            "ownerReferences": [owner],
        },
        "spec": {
            **{key: spec[key] for key in taken if spec.get(key)},
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 5,
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }


def problem_inside(ask: Any) -> str:
    """Return what is not healthy inside a virtual cluster, "" if all is; ``ask`` maps a path to (status, answer)."""
    status, answer = ask("/readyz")
    if status != 200:
        return f"its API is not ready: {status} {_short(answer)}"
    for what in ("nodes", "pods"):
        status, answer = ask(f"/api/v1/{what}?limit=1")
        if status != 200:
            return f"its {what} cannot be listed: {status} {_short(answer)}"
    status, answer = ask("/apis/apps/v1/namespaces/kube-system/deployments/coredns")
    if status == 404:  # it can be switched off, or be a part of the control plane
        return ""
    if status != 200:
        return f"its CoreDNS cannot be read: {status} {_short(answer)}"
    deployment = json.loads(answer)
    observed = (deployment.get("status") or {}).get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    runs = observed and (deployment.get("status") or {}).get("availableReplicas", 0) > 0
    return "" if runs or workloads.replicas(deployment) == 0 else "its CoreDNS does not run"


def _short(answer: bytes) -> str:
    return " ".join(answer.decode(errors="replace").split())[:200]
