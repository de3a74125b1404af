# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line and configuration files of each component: pure functions of the cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import Cluster

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
PAUSE = "registry.k8s.io/pause:3.10.1"
HELPER = "docker.io/library/busybox:stable"
# The controllers' defaults are made for a quiet production cluster; fleets are created in seconds here.
QPS = ["--kube-api-qps=500", "--kube-api-burst=500"]
CONCURRENT = [
    "deployment",
    "endpoint",
    "gc",
    "namespace",
    "replicaset",
    "resource-quota",
    "service-endpoint",
    "serviceaccount-token",
    "statefulset",
]

EVICTION_SIGNALS = ["memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available"]


@dataclass(frozen=True)
class Component:
    """A process: its command, what must answer before it is started, and what switches it on."""

    name: str
    argv: list[str]
    after: tuple[str, ...] = ()
    switch: Path | None = None


def etcd(cluster: Cluster) -> list[str]:
    """Store. Its data is as short-lived as the cluster, so it does not wait for the disk."""
    return [
        "etcd",
        f"--data-dir={cluster.etcd_data}",
        f"--listen-client-urls={cluster.etcd}",
        "--advertise-client-urls=http://127.0.0.1:2379",  # for other members, of which there are none
        f"--listen-peer-urls={cluster.etcd_peer}",
        "--unsafe-no-fsync",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=5m",
        "--quota-backend-bytes=4294967296",
        "--logger=zap",
        "--log-level=warn",
    ]


def apiserver(cluster: Cluster) -> list[str]:
    """API server. InternalIP: nobody resolves the node's name for `kubectl logs`."""
    pki = cluster.pki
    return [
        "kube-apiserver",
        f"--advertise-address={cluster.node_ip}",
        f"--secure-port={cluster.port}",
        f"--etcd-servers={cluster.etcd}",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--kubelet-client-certificate={pki}/admin.crt",
        f"--kubelet-client-key={pki}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/service-account.pub",
        f"--service-account-signing-key-file={pki}/service-account.key",
        f"--service-cluster-ip-range={cluster.service_cidr}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--max-requests-inflight=1600",
        "--max-mutating-requests-inflight=800",
        "--profiling=false",
    ]


def controller_manager(cluster: Cluster) -> list[str]:
    """Controllers, with concurrency and client limits for fleets."""
    pki = cluster.pki
    return [
        "kube-controller-manager",
        f"--kubeconfig={pki}/kube-controller-manager.kubeconfig",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki}/service-account.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        "--profiling=false",
        *QPS,
        *(f"--concurrent-{kind}-syncs=50" for kind in CONCURRENT),
    ]


def scheduler(cluster: Cluster) -> list[str]:
    """Scheduler."""
    return [
        "kube-scheduler",
        f"--kubeconfig={cluster.pki}/kube-scheduler.kubeconfig",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        *QPS,
    ]


def kubelet_config(cluster: Cluster) -> dict[str, Any]:
    """Kubelet: cgroup v1 and v2 alike, no eviction (the disk is the machine's business), many pods."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{cluster.pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "address": cluster.node_ip,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cluster.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "evictionHard": dict.fromkeys(EVICTION_SIGNALS, "0%"),
        "imageGCHighThresholdPercent": 100,
        "oomScoreAdj": 0,
        "maxPods": 500,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "clusterDomain": "cluster.local",
        "clusterDNS": [cluster.dns_ip],
        "resolvConf": "",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    }


def kubelet(cluster: Cluster) -> list[str]:
    """Kubelet's command line: only what its configuration file cannot say."""
    return [
        "kubelet",
        f"--config={cluster.etc}/kubelet.json",
        f"--kubeconfig={cluster.pki}/kubelet.kubeconfig",
        f"--hostname-override={cluster.name}",
        f"--node-ip={cluster.node_ip}",
        "--root-dir=/var/lib/kubelet",
    ]


def proxy_config(cluster: Cluster) -> dict[str, Any]:
    """kube-proxy; the conntrack limits are the machine's, so they stay as they are."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": f"{cluster.pki}/kube-proxy.kubeconfig"},
        "clusterCIDR": cluster.pod_cidr,
        "hostnameOverride": cluster.name,
        "oomScoreAdj": 0,
        "iptables": {"minSyncPeriod": "200ms"},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def containerd_config(cni: str) -> str:
    """containerd: without CAP_SYS_RESOURCE no sandbox starts unless OOM scores are restricted."""
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def cni_config(cluster: Cluster) -> dict[str, Any]:
    """Pod network: a bridge; no masquerade, the machine has a route back to the pods."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": cluster.pod_cidr}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, portmap]}


def local_path_config() -> dict[str, Any]:
    """Where volumes lie on the node: inside of the cluster's own directory."""
    return {"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["/var/lib/local-path"]}]}


def helper_pod() -> dict[str, Any]:
    """The pod that makes and removes a volume's directory; it is gone at once when it is told to stop."""
    container = {"name": "helper-pod", "image": HELPER, "imagePullPolicy": "IfNotPresent"}
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "helper-pod"}, "spec": spec}


def local_path_provisioner(cluster: Cluster) -> list[str]:
    """Volume provisioner, as a plain process: lighter than a pod and there before the first claim."""
    return [
        "local-path-provisioner",
        "start",
        f"--kubeconfig={cluster.pki}/admin.kubeconfig",
        f"--config={cluster.etc}/local-path.json",
        f"--helper-pod-file={cluster.etc}/helper-pod.json",
        f"--helper-image={HELPER}",
        "--namespace=kube-system",
        "--service-account-name=default",
        "--configmap-name=local-path",
    ]


def kwok_switch(cluster: Cluster) -> Path:
    """The file that switches kwok on."""
    return cluster.state / "fake-nodes"


def kwok(cluster: Cluster, stages: Path) -> list[str]:
    """Fake nodes' kubelet."""
    return [
        "kwok",
        f"--kubeconfig={cluster.pki}/admin.kubeconfig",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--config={stages}",
        "--node-lease-duration-seconds=40",
        "--cidr=10.204.0.0/16",
        f"--node-ip={cluster.node_ip}",
    ]


def plan(cluster: Cluster, stages: Path) -> list[Component]:
    """All components, in the order they are started in; they are stopped in the opposite order."""
    api = ("api",)
    return [
        Component("containerd", ["containerd", f"--config={cluster.etc}/containerd.toml"]),
        Component("etcd", etcd(cluster)),
        Component("kube-apiserver", apiserver(cluster), ("etcd",)),
        Component("kube-controller-manager", controller_manager(cluster), api),
        Component("kube-scheduler", scheduler(cluster), api),
        Component("kubelet", kubelet(cluster), ("api", "containerd")),
        Component("kube-proxy", ["kube-proxy", f"--config={cluster.etc}/kube-proxy.json"], api),
        Component("local-path-provisioner", local_path_provisioner(cluster), api),
        Component("kwok", kwok(cluster, stages), api, kwok_switch(cluster)),
    ]


def files(cluster: Cluster, cni: str) -> dict[Path, str]:
    """Every configuration file and its content."""
    return {
        cluster.etc / "kubelet.json": json.dumps(kubelet_config(cluster), indent=2),
        cluster.etc / "kube-proxy.json": json.dumps(proxy_config(cluster), indent=2),
        cluster.etc / "containerd.toml": containerd_config(cni),
        cluster.etc / "cni" / "10-pods.conflist": json.dumps(cni_config(cluster), indent=2),
        cluster.etc / "local-path.json": json.dumps(local_path_config(), indent=2),
        cluster.etc / "helper-pod.json": json.dumps(helper_pod(), indent=2),
    }
