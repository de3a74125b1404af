# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find what virtual clusters have outside of their namespaces. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from ..common import well_known
from ..common.well_known import NOT_SYNCED, RELEASE_NAME, RELEASE_NAMESPACE, SYNCED_LABEL
from ..virtual_cluster import cluster_names
from .contents import ObjectRef
from .observed import marker

# Cluster-scoped kinds that the chart can render, and that vCluster can sync to the host.
CHART_CLUSTER_KINDS = (
    ("rbac.authorization.k8s.io/v1", "clusterroles"),
    ("rbac.authorization.k8s.io/v1", "clusterrolebindings"),
)
SYNCED_CLUSTER_KINDS = (
    ("v1", "persistentvolumes"),
    ("scheduling.k8s.io/v1", "priorityclasses"),
    ("storage.k8s.io/v1", "storageclasses"),
)
OF_HELM = f"{well_known.MANAGED_BY_LABEL}=Helm,{NOT_SYNCED}"  # helm puts it on every object of a release


def may_be_outside(ref: ObjectRef) -> bool:
    """Return whether a release of another namespace or a virtual cluster may have an object, by its labels."""
    of_helm = not ref.synced and well_known.MANAGED_BY_HELM.items() <= ref.labels.items()
    if not (of_helm or (ref.synced and (ref.api_version, ref.plural) in SYNCED_CLUSTER_KINDS)):
        return False
    return ref.annotations.get(RELEASE_NAMESPACE) != (ref.namespace or "")


def outside_of(refs: list[ObjectRef], namespace: str, name: str) -> list[ObjectRef]:
    """Return the ``things`` that virtual cluster NAME of a namespace has outside of it."""
    return [ref for ref in refs if is_outside_of(ref, namespace, name)] + certain(refs, namespace, name)


def is_outside_of(ref: ObjectRef, namespace: str, name: str) -> bool:
    """Return whether a release NAME of a namespace has an object elsewhere."""
    if ref.synced:  # Helm's annotations are those of a release inside a virtual cluster
        return False
    return (ref.annotations.get(RELEASE_NAME), ref.annotations.get(RELEASE_NAMESPACE)) == (name, namespace)


def marked(refs: Iterable[ObjectRef], namespace: str, name: str) -> list[ObjectRef]:
    """Return synced objects in no namespace that have the marker of a virtual cluster."""
    its_own = marker(name, namespace)
    return [ref for ref in refs if ref.namespace is None and ref.labels.get(SYNCED_LABEL) == its_own]


def certain(refs: Iterable[ObjectRef], namespace: str, name: str) -> list[ObjectRef]:
    """Return synced objects in no namespace that are certainly this virtual cluster's.

    Where another one can have the same marker, only an annotation with the namespace on the host tells. vCluster
    writes it on objects in namespaces, and on others not (source: pkg/util/translate, addHostAnnotations).
    """
    found = marked(refs, namespace, name)
    if not cluster_names.is_ambiguous(name, namespace):
        return found
    return [ref for ref in found if ref.annotations.get(well_known.HOST_NAMESPACE) == namespace]
