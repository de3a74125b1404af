# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete one virtual cluster: everything it made, and nothing of others.

`helm uninstall` leaves volume claims, the Secrets and ConfigMaps that vCluster writes at run time, and what it
synced. Everything in the namespace is looked at, of whatever kind, and sorted by labels, names and owners.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ..common import progress, well_known
from ..common.errors import NestedClustersError, OptionError, WaitError
from ..common.well_known import NOT_SYNCED, RELEASE_NAMESPACE
from ..helm import records
from ..helm.chart import is_vcluster
from ..helm.cli import Helm
from ..helm.release import HelmError, Release, of_release
from ..k8s.client import Kubernetes, list_allowed, parallel
from ..k8s.errors import KubernetesError
from ..k8s.objects import path
from ..listing.contents import ObjectRef, list_objects, look_into
from ..listing.host_contents import list_volumes
from ..listing.observed import marker
from ..listing.outside import CHART_CLUSTER_KINDS, SYNCED_CLUSTER_KINDS, certain, marked
from ..virtual_cluster import cluster_state, drift, namespaces, provenance, readiness
from ..virtual_cluster.change import Change, ChangeKind, ChangeTarget, diff_entries
from ..virtual_cluster.cluster_ref import ClusterRef
from ..virtual_cluster.cluster_state import Outcome, State
from ..virtual_cluster.metadata import metadata_changes
from ..virtual_cluster.plan import Plan
from . import ownership
from .of_release import is_cluster_role
from .ownership import deleted_with, made_for, sort_out, to_mark
from .preparation import mark_kept, release_hold
from .removal_changes import mark_changes, namespace_change, object_changes, uninstall_change


def absent(
    cluster: ClusterRef, open_helm: Callable[[], Helm], *, check: bool, keep_volumes: bool, wait: float | None
) -> Outcome:
    """Remove a virtual cluster and all it made. One that is not there changes nothing.

    Raises NestedClustersError when it is protected, OptionError when the release is no virtual cluster's,
    WaitError when something is still there after ``wait`` seconds.
    """
    kubernetes, name, namespace = cluster.kubernetes, cluster.name, cluster.namespace
    namespace_object = kubernetes.get(path("v1", "namespaces", None, namespace))
    synced, unclear = cluster_scoped(cluster)
    if namespace_object is None:
        plan = Plan(_shown(_plan_cluster_scoped(cluster, synced), name))
        if not check:
            plan.carry_out()
        return Outcome(plan, nothing().state)
    state = cluster_state.read(kubernetes, name, namespace)
    release = state.release or state.pending
    removal = Removal(cluster, keep_volumes, known=release is not None)
    own, others = removal.look()
    going = bool(namespace_object["metadata"].get("deletionTimestamp"))  # somebody deletes it already: only wait
    _refuse(cluster, release, own)
    _refuse_managed(cluster, state, [] if going else own)
    by_helm = [] if going or release is None else _outside(cluster)
    whole = not others and made_for(namespace_object, name, namespace, bool(release or own))
    outside = _plan_cluster_scoped(cluster, synced)
    leaving: list[Change] = []
    if going:
        first, swept = _shown(outside, name), list[Change]()
    else:
        uninstall = _plan_uninstall(cluster, open_helm, state, by_helm)
        # What is in no namespace can be both Helm's and found by labels.
        by_helm_only = [change for change in uninstall if change not in outside]
        first = [*_plan_marks(kubernetes, removal.kept), *by_helm_only, *outside]
        swept = _plan_sweep(cluster, bool(release), own, whole)
        shown = _shown([*first, *swept], name)
        first, swept = shown[: len(first)], shown[len(first) :]
        patch = {} if whole else ownership.leaving(namespace_object, name, keep_volumes)
        leaving = _plan_leaving(cluster, patch, namespace_object)
    changes = [*first, *swept, *leaving]
    plan = Plan(changes, ownership.unclear_notes(unclear, name, namespace) if changes else [])
    if check:
        return Outcome(plan, state)
    volumes = removal.volumes(own)
    Plan(first).carry_out()
    if plan.changed and not going:
        removal.sweep(whole)  # what is there now, after Helm
    if wait is not None and (plan.changed or going):
        removal.wait_gone(whole, volumes, wait)
    Plan(leaving).carry_out()  # last: until here it has its share of the host cluster
    return Outcome(plan, state)


def nothing() -> Outcome:
    """Return the outcome where there is no virtual cluster, and nothing to do."""
    return Outcome(Plan(), State(None, None, [], [], {}, {}))


def _plan_leaving(cluster: ClusterRef, patch: dict[str, Any], namespace_object: dict[str, Any]) -> list[Change]:
    where = path("v1", "namespaces", None, cluster.namespace)
    apply = partial(cluster.kubernetes.patch, where, {"metadata": patch})
    return metadata_changes(ChangeTarget("namespace", cluster.namespace), namespace_object, patch, apply)


def _uninstall(cluster: ClusterRef, helm: Helm) -> None:
    """Let helm remove its release. Somebody else who does so at the same moment is no failure."""
    records.check(cluster.kubernetes, cluster.name, cluster.namespace)
    try:
        helm.uninstall(cluster.name, cluster.namespace)
    except HelmError:
        where, labels = path("v1", "secrets", cluster.namespace), f"{of_release(cluster.name)},{NOT_SYNCED}"
        if cluster.kubernetes.list(where, labels=labels, metadata_only=True):
            raise


def _plan_marks(kubernetes: Kubernetes, kept: list[ObjectRef]) -> list[Change]:
    """Plan the marks on volume claims that stay: before anything goes, so that nobody takes them for left over."""
    apply = partial(mark_kept, kubernetes, to_mark(kept))
    return [replace(change, apply=apply) for change in mark_changes(to_mark(kept))]


def _plan_cluster_scoped(cluster: ClusterRef, synced: list[ObjectRef]) -> list[Change]:
    """Plan to delete what a virtual cluster has in no namespace."""
    apply = partial(_delete_cluster_scoped, cluster.kubernetes, synced)
    return [replace(change, apply=apply) for change in object_changes(cluster.key, synced, uninstalled=False)]


def _delete_cluster_scoped(kubernetes: Kubernetes, synced: list[ObjectRef]) -> None:
    parallel([partial(kubernetes.delete, ref.path(None)) for ref in synced])


def _plan_uninstall(
    cluster: ClusterRef, open_helm: Callable[[], Helm], state: State, by_helm: list[ObjectRef]
) -> list[Change]:
    """Plan what Helm removes: its release, and outside of the namespace ``by_helm``."""
    if not (state.release or state.pending):
        return []
    found = drift.as_found(state.manifest, state.live)
    diff = tuple(diff_entries(drift.show(found, {}, "before"), "", f"manifests of {cluster.name}"))

    def apply() -> None:
        _uninstall(cluster, open_helm())

    uninstall = replace(uninstall_change(cluster.name), diff=diff, apply=apply)
    outside = [replace(change, apply=apply) for change in object_changes(cluster.key, by_helm, uninstalled=True)]
    return [uninstall, *outside]


def _plan_sweep(cluster: ClusterRef, helm: bool, own: list[ObjectRef], whole: bool) -> list[Change]:
    """Plan the deletion of what is in the namespace, which :meth:`Removal.sweep` carries out.

    ``helm`` says whether there is a release, ``whole`` whether the namespace goes as well.
    """
    last = [namespace_change(cluster.namespace)] if whole else []
    return [*object_changes(cluster.key, own, uninstalled=helm), *last]


def _shown(changes: list[Change], name: str) -> list[Change]:
    """Return the same changes, with all objects to name by themselves in the diff of the last one."""
    texts, last = list[str](), -1
    for number, change in enumerate(changes):
        if change.kind is ChangeKind.SWEEP:
            texts.append(change.text.removeprefix("delete "))
        elif change.kind is ChangeKind.DELETE:
            texts.append(f"namespaces/{change.target.name}")
        else:
            continue
        last = number
    entry = tuple(diff_entries("\n".join(texts), "", f"other objects of {name}"))
    return [replace(change, diff=entry) if number == last else change for number, change in enumerate(changes)]


def cluster_scoped(cluster: ClusterRef) -> tuple[list[ObjectRef], list[ObjectRef]]:
    """Return (What the chart and the virtual cluster made outside of its namespace, what it or another one synced).

    Nothing where that may not be asked. Helm removes its part, but has nothing to go by once somebody deleted the
    namespace with the release in it.
    """
    name, namespace = cluster.name, cluster.namespace
    of_chart, synced = (
        f"app=vcluster,release={name},{NOT_SYNCED}",
        f"{well_known.SYNCED_LABEL}={marker(name, namespace)}",
    )

    def ask(kind: tuple[str, str], labels: str) -> list[ObjectRef]:
        found = list_allowed(cluster.kubernetes, path(*kind), labels=labels, metadata_only=True)
        return [ObjectRef(*kind, one["metadata"]) for one in found]

    def ours(ref: ObjectRef) -> bool:  # a release of this name in another namespace has the same labels
        by_helm = not ref.synced and ref.annotations.get(RELEASE_NAMESPACE) == namespace
        return by_helm and is_cluster_role(ref, name, namespace)

    questions = [partial(ask, kind, of_chart) for kind in CHART_CLUSTER_KINDS]
    questions += [partial(ask, kind, synced) for kind in SYNCED_CLUSTER_KINDS]
    found = [ref for answer in parallel(questions) for ref in answer]
    its_own = certain(found, namespace, name)
    unclear = [ref for ref in marked(found, namespace, name) if ref not in its_own]
    return [ref for ref in found if ours(ref)] + its_own, unclear


def _refuse(cluster: ClusterRef, release: Release | None, own: list[ObjectRef]) -> None:
    if release and not is_vcluster(release.chart_name):
        raise OptionError(
            "name",
            cluster.name,
            "the name of a virtual cluster",
            message=f"Helm release {cluster.name} in namespace {cluster.namespace} is of chart {release.chart_name} "
            "and not a virtual cluster; check name and namespace",
        )
    ref = ownership.protection(own, cluster.name)
    if ref:
        raise NestedClustersError(
            f"{cluster} is protected by a mark on {ref} and was not deleted; "
            "run the task with protected: false and state: present first",
            protected=True,
        )


def _outside(cluster: ClusterRef) -> list[ObjectRef]:
    """Return what Helm will delete outside of the namespace. Raises NestedClustersError for objects of others."""
    found = records.check(cluster.kubernetes, cluster.name, cluster.namespace)
    return [ObjectRef(one.target.api_version, one.plural, one.meta) for one in found]


def _refuse_managed(cluster: ClusterRef, state: State, own: list[ObjectRef]) -> None:
    if not state.recorded:
        workloads = ownership.workloads(own)
        provenance.check_removable(cluster.kubernetes, workloads, cluster.name, cluster.namespace)


@dataclass
class Removal:
    """The deletion of one virtual cluster. ``known``: that there is one is certain, by its release."""

    cluster: ClusterRef
    keep_volumes: bool
    known: bool
    kept: list[ObjectRef] = field(default_factory=list)  # claims that stay, as of the last look

    def look(self) -> tuple[list[ObjectRef], list[ObjectRef]]:
        """Return (what is to go, what stays) of what is in the namespace now."""
        kubernetes, namespace = self.cluster.kubernetes, self.cluster.namespace
        there = {namespace: list_objects(kubernetes, namespace)}
        refs = look_into(kubernetes, there, {namespace: [self.cluster.name]})[namespace]
        own, others = sort_out(refs, self.cluster.name, self.known)
        self.known = self.known or bool(own)
        own, self.kept = ownership.keep(own, self.keep_volumes)
        return own, others + self.kept

    def sweep(self, whole: bool) -> list[str]:
        """Delete what exists, and return it in words.

        A namespace that was made for the virtual cluster goes as a whole, unless something else is in it by now.
        """
        own, others = self.look()
        for ref in own:
            release_hold(self.cluster.kubernetes, ref, self.cluster.namespace)
        if whole and not others:
            self.cluster.kubernetes.delete(path("v1", "namespaces", None, self.cluster.namespace))
            return [f"namespace {self.cluster.namespace}"]
        parallel([partial(self.cluster.kubernetes.delete, ref.path(self.cluster.namespace)) for ref in own])
        return [str(ref) for ref in own]

    def volumes(self, own: list[ObjectRef]) -> list[str]:
        """Return the PersistentVolumes that go with the claims, by their reclaim policy."""
        claims = {ref.name for ref in own if ref.plural == "persistentvolumeclaims"}
        if not claims:
            return []
        return sorted(deleted_with(list_volumes(self.cluster.kubernetes), self.cluster.namespace, claims))

    def wait_gone(self, whole: bool, volumes: list[str], timeout: float) -> None:
        """Wait until nothing is left, deleting again what a dying syncer wrote meanwhile."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                left = self._left(whole) or self._volumes_of(volumes)
            except KubernetesError as error:
                if not error.passing:
                    raise
                left = [str(error)]
            if not left:
                return
            if time.monotonic() > deadline:
                raise WaitError(
                    f"virtual cluster {self.cluster.name} is not gone after {timeout:g} s (wait_timeout): "
                    f"{'; '.join(left)}; run the task again",
                    phase="deleting",
                )
            progress.report(f"virtual cluster {self.cluster.name}", f"not gone yet: {'; '.join(left)}")
            time.sleep(readiness.POLL_SECONDS)

    def _volumes_of(self, names: list[str]) -> list[str]:
        there = [name for name in names if self.cluster.kubernetes.get(path("v1", "persistentvolumes", None, name))]
        return [f"persistentvolumes/{name}" for name in there]

    def _left(self, whole: bool) -> list[str]:
        namespace_object = self.cluster.kubernetes.get(path("v1", "namespaces", None, self.cluster.namespace))
        if namespace_object is None:
            return []
        if namespace_object["metadata"].get("deletionTimestamp"):
            return [f"namespace {self.cluster.namespace}: {namespaces.namespace_conditions(namespace_object)}"]
        return self.sweep(whole)
