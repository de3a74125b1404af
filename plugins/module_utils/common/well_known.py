# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels, annotations, finalizers and names that objects of virtual clusters and groups carry."""

from __future__ import annotations

import hashlib

MANAGED = "nested-clusters/managed"  # annotation of the workload, and label of the Helm release: we made it
BETWEEN = "nested-clusters/between"  # label of a Helm release that is a step on the way of an upgrade
RAN = "nested-clusters/ran"  # annotation of a paused workload that helm has changed: see last_run
PROTECTED = "loft.sh/non-deletable"  # the platform's own annotation: `vcluster delete` respects it as well
KEPT = "nested-clusters/kept"  # annotation of a volume claim: it stayed because a task asked for that
CREATED = "vcluster.loft.sh/created"  # annotation of a namespace that the CLI or this collection made
CONTROL_PLANE, ETCD = "vcluster", "vcluster-etcd"  # label app of the workloads
# Every value of label app in vCluster's charts (source: chart/templates). The last three are those of the charts for
# k8s and eks until 0.19, where each part of the control plane had a workload of its own.
APPS = frozenset({CONTROL_PLANE, ETCD, "vcluster-api", "vcluster-controller", "vcluster-scheduler"})

# What Helm, the chart, vCluster and this collection write on the workload themselves.
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
RESERVED_LABELS = {"app", "chart", "release", "heritage", MANAGED_BY_LABEL}
RESERVED_PREFIXES = ("meta.helm.sh/", "loft.sh/", "nested-clusters/")

# Annotations of a paused workload, as the vcluster CLI writes them.
PAUSED = "loft.sh/paused"
PAUSED_REPLICAS = "loft.sh/paused-replicas"
PAUSED_DATE = "loft.sh/paused-date"
RESTORING = "loft.sh/restoring"
SLEEP_MODE_LABEL = "loft.sh/sleep-mode"
SLEEPING_SINCE = "sleepmode.loft.sh/sleeping-since"
# On everything that a virtual cluster copies to its host cluster; a virtual cluster inside a virtual cluster
# has pods with app=vcluster there, and they are not this control plane's.
SYNCED_LABEL = "vcluster.loft.sh/managed-by"
HOST_NAMESPACE = "vcluster.loft.sh/object-host-namespace"  # annotation of what is synced: where it is on the host
NOT_SYNCED = f"!{SYNCED_LABEL}"  # a label selector


LABEL_LENGTH = 63  # characters of a DNS label, and of the value of a Kubernetes label


def safe_concat(*parts: str) -> str:
    """Return vCluster's name for an object on the host: joined, and shortened with a digest beyond LABEL_LENGTH."""
    whole = "-".join(parts)
    if len(whole) <= LABEL_LENGTH:
        return whole
    return f"{whole[:52]}-{hashlib.sha256(whole.encode()).hexdigest()[:10]}".replace(".-", "-")


# On the namespace of a virtual cluster.
GROUP_LABEL = "nested-clusters/group"
NAME_ANNOTATION = "nested-clusters/virtual-cluster"
OWNER_ANNOTATION = "nested-clusters/owner"
SIZE_ANNOTATION = "nested-clusters/size"  # JSON of Size.as_dict()
APPLIED_ANNOTATION = "nested-clusters/applied"  # JSON: what of the group was applied last
MANAGED_BY = {MANAGED_BY_LABEL: "nested.clusters"}
OF_MEMBERS = (NAME_ANNOTATION, OWNER_ANNOTATION, SIZE_ANNOTATION, APPLIED_ANNOTATION)

BELONGS = "vcluster.loft.sh/belongs-to"  # Services that stand for nodes
REQUESTED = "vcluster.loft.sh/vcluster-name"  # snapshots, and the credentials of their store
NAME_LABEL = "vcluster-name"  # Secrets with the certificates and the kubeconfig
# What Helm writes on everything that it makes, and asks for before it adopts something.
RELEASE_NAME, RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
MANAGED_BY_HELM = {MANAGED_BY_LABEL: "Helm"}
FINALIZERS = "vcluster.loft.sh/"  # only a running vCluster takes these off again

WAY_BACK = "nested-clusters/way-back"  # annotation of a workload that is being upgraded

NAMESPACE = "nested-clusters"
REQUEST_TYPE = "nested-clusters/request"  # type of the Secret that has what a task asked for in a group
# On the ConfigMap of a group: which group it is the record of, and which member it lies on.
RECORD_LABEL = "nested-clusters/record"
HOST_LABEL = "nested-clusters/host-cluster"

# What other tools write on what they manage.
INSTANCE_LABEL = "app.kubernetes.io/instance"
ARGO_CD_TRACKING = "argocd.argoproj.io/tracking-id"  # annotation: APPLICATION:GROUP/KIND:NAMESPACE/NAME
ARGO_CD_INSTANCE = "argocd.argoproj.io/instance"
# Flux writes NAME and NAMESPACE of its own object below these (sources: helm-controller, kustomize-controller).
FLUX_HELM, FLUX_KUSTOMIZE = "helm.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io"
CLUSTER_API_NAME = "cluster.x-k8s.io/cluster-name"
# Annotations that tools write on everything, and that say nothing of it to people.
NOISE_PREFIXES = ("meta.helm.sh/", "kubectl.kubernetes.io/", "deployment.kubernetes.io/")

DEFAULT_INGRESS_CLASS = "ingressclass.kubernetes.io/is-default-class"  # annotation of an IngressClass
FAKE_NODE = "vcluster.loft.sh/fake-node"  # label of a node that vCluster shows, and that is none
