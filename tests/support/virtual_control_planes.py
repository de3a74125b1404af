# SPDX-License-Identifier: GPL-3.0-or-later
"""What a vCluster does to its host cluster, without one: it writes its kubeconfig, and syncs pods. And volumes."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path
from types import TracebackType

from following import start_following
from host_api import Host, Object, is_ready

PODS, CLAIMS, VOLUMES = "/api/v1/pods", "/api/v1/persistentvolumeclaims", "/api/v1/persistentvolumes"
SYNCED = "vcluster.loft.sh/managed-by"
NODE = "volume.kubernetes.io/selected-node"


class VirtualControlPlanes:
    """Watches for control planes whose pods are ready, and for volume claims that a pod was scheduled for.

    ``writes_kubeconfig``: whether Secret ``vc-NAME`` is written. ``synced``: by name of a virtual cluster, how many
    pods it syncs. ``binds_claims``: whether volumes are made. A test may set them; ``reset`` undoes that.
    """

    def __init__(self, host: Host, pki: Path) -> None:
        self.host = host
        self.ended = threading.Event()
        certificates = {
            "certificate-authority": pki / "ca.crt",
            "client-certificate": pki / "kube-proxy.crt",  # a user without any rights
            "client-key": pki / "kube-proxy.key",
        }
        self.data = {key: base64.b64encode(path.read_bytes()).decode() for key, path in certificates.items()}
        self.reset()

    def reset(self) -> None:
        """Do all that a virtual cluster does, with no pods of a tenant."""
        self.writes_kubeconfig, self.binds_claims = True, True
        self.synced: dict[str, int] = {}

    def __enter__(self) -> VirtualControlPlanes:
        for path, act in ((PODS, self.pod), (CLAIMS, self.claim), (VOLUMES, self.volume)):
            start_following(self.host, path, act, self.ended)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()

    def pod(self, pod: Object) -> None:
        """Do what a control plane does when it is ready."""
        meta = pod["metadata"]
        labels = meta.get("labels") or {}
        if labels.get("app") != "vcluster" or not is_ready(pod) or meta.get("deletionTimestamp"):
            return
        space, name = f"/api/v1/namespaces/{meta['namespace']}", labels["release"]
        service = self.host.get(f"{space}/services/{name}")
        if service is None:
            return
        owner = {"apiVersion": "v1", "kind": "Service", "name": name, "uid": service["metadata"]["uid"]}
        secret = f"{space}/secrets/vc-{name}"
        if self.writes_kubeconfig and self.host.get(secret) is None:
            self.host.create(f"{space}/secrets", self.kubeconfig(name, owner))
        for number in range(self.synced.get(name, 0)):
            self.host.create(f"{space}/pods", synced_pod(f"user-{number}", name, owner))

    def kubeconfig(self, name: str, owner: Object) -> Object:
        """Return Secret ``vc-NAME``, with the keys that a vCluster writes."""
        user = {f"{key}-data": self.data[key] for key in ("client-certificate", "client-key")}
        cluster = {"server": "https://localhost:8443", "certificate-authority-data": self.data["certificate-authority"]}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "my-vcluster", "cluster": cluster}],
            "users": [{"name": "my-vcluster", "user": user}],
            "contexts": [{"name": "my-vcluster", "context": {"cluster": "my-vcluster", "user": "my-vcluster"}}],
            "current-context": "my-vcluster",
        }
        labels = {"app": "vcluster", "vcluster-name": name}
        data = {**self.data, "config": base64.b64encode(json.dumps(config).encode()).decode()}
        return {"metadata": {"name": f"vc-{name}", "labels": labels, "ownerReferences": [owner]}, "data": data}

    def claim(self, claim: Object) -> None:
        """Make the volume of a claim whose pod has a node."""
        meta, spec = claim["metadata"], claim["spec"]
        if not self.binds_claims or spec.get("volumeName") or NODE not in (meta.get("annotations") or {}):
            return
        name = f"pvc-{meta['uid']}"
        reference = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": meta["uid"]}
        body = {
            "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": "rancher.io/local-path"}},
            "spec": {
                "capacity": {"storage": spec["resources"]["requests"]["storage"]},
                "accessModes": spec["accessModes"],
                "storageClassName": spec.get("storageClassName"),
                "persistentVolumeReclaimPolicy": "Delete",
                "hostPath": {"path": f"/nowhere/{name}"},
                "claimRef": {**reference, "namespace": meta["namespace"], "name": meta["name"]},
            },
        }
        self.host.create(VOLUMES, body)

    def volume(self, volume: Object) -> None:
        """Remove a volume of ours whose claim is gone."""
        policy = volume["spec"].get("persistentVolumeReclaimPolicy")
        ours = volume["metadata"]["name"].startswith("pvc-")
        if ours and policy == "Delete" and volume.get("status", {}).get("phase") == "Released":
            self.host.delete(f"{VOLUMES}/{volume['metadata']['name']}")


def synced_pod(pod: str, name: str, owner: Object) -> Object:
    """Return a pod of a tenant as a syncer makes it on the host cluster."""
    labels = {SYNCED: name, "vcluster.loft.sh/namespace": "default"}
    annotations = {"vcluster.loft.sh/object-name": pod, "vcluster.loft.sh/object-namespace": "default"}
    meta = {"name": f"{pod}-x-default-x-{name}", "labels": labels, "annotations": annotations}
    return {
        "metadata": {**meta, "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "app", "image": "busybox:stable"}]},
    }
