# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a virtual cluster: everything it made goes, and nothing that is somebody else's.

`helm uninstall` leaves volume claims, the Secrets and ConfigMaps that vCluster writes at run time, and what it
synced. Everything in the namespace is looked at, of whatever kind, and sorted by labels, names and owners.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils import lifecycle, phase, waiting
from ansible_collections.nested.clusters.plugins.module_utils import plan as planning
from ansible_collections.nested.clusters.plugins.module_utils._helm import (
    RELEASE_SECRET_TYPE,
    Helm,
    HelmError,
    Release,
    is_vcluster,
)
from ansible_collections.nested.clusters.plugins.module_utils._kubernetes import (
    UNKNOWN,
    Kinds,
    Kubernetes,
    KubernetesError,
    list_allowed,
    parallel,
    path,
)
from ansible_collections.nested.clusters.plugins.module_utils.errors import (
    NestedClustersError,
    OptionError,
    WaitError,
)
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import Outcome, State
from ansible_collections.nested.clusters.plugins.module_utils.membership import (
    GROUP_LABEL,
    NAME_ANNOTATION,
    OF_MEMBERS,
    SIZE_ANNOTATION,
    allocation,
)
from ansible_collections.nested.clusters.plugins.module_utils.plan import Plan
from ansible_collections.nested.clusters.plugins.module_utils.size import Size

BELONGS = "vcluster.loft.sh/belongs-to"  # Services that stand for nodes
REQUESTED = "vcluster.loft.sh/vcluster-name"  # snapshots, and the credentials of their store
NAMED = "vcluster-name"  # Secrets with the certificates and the kubeconfig
FINALIZERS = "vcluster.loft.sh/"  # only a running vCluster takes these off again
# Kinds that every namespace has, or that controllers derive from others and remove with them.
DERIVED = {
    "bindings",
    "endpoints",
    "endpointslices",
    "events",
    "localsubjectaccessreviews",
    "controllerrevisions",
}
OF_EVERY_NAMESPACE = {("configmaps", "kube-root-ca.crt"), ("serviceaccounts", "default")}
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


@dataclass(frozen=True)
class Thing:
    """An object in the namespace: where it is, and the metadata that tells whose it is."""

    api_version: str
    plural: str
    meta: dict[str, Any]
    secret_type: str = ""

    @property
    def name(self) -> str:
        return str(self.meta["name"])

    @property
    def labels(self) -> dict[str, str]:
        return self.meta.get("labels") or {}

    @property
    def annotations(self) -> dict[str, str]:
        return self.meta.get("annotations") or {}

    @property
    def namespace(self) -> str | None:
        return self.meta.get("namespace")

    def path(self, namespace: str | None) -> str:
        return path(self.api_version, self.plural, namespace, self.name)

    def __str__(self) -> str:
        return f"{self.plural}/{self.name}"


def absent(
    kubernetes: Kubernetes,
    open_helm: Callable[[], Helm],
    name: str,
    namespace: str,
    *,
    check: bool,
    keep_volumes: bool,
    wait: float | None,
) -> Outcome:
    """Remove a virtual cluster and all it made. One that is not there changes nothing.

    Raises NestedClustersError when it is protected, OptionError when the release is no virtual cluster's,
    WaitError when something is still there after ``wait`` seconds.
    """
    place = kubernetes.get(path("v1", "namespaces", None, namespace))
    synced = cluster_scoped(kubernetes, namespace, name)
    if place is None:
        empty = nothing()
        empty.plan = _plan(empty.state, name, namespace, [], synced, whole=False)
        if not check:
            _delete_cluster_scoped(kubernetes, synced)
        return empty
    state = lifecycle.read(kubernetes, name, namespace)
    release = state.release or state.pending
    removal = Removal(kubernetes, name, namespace, keep_volumes, known=release is not None)
    mine, others = removal.look()
    _refuse(release, mine, name, namespace)
    whole = not others and made_for(place, name, namespace, bool(release or mine))
    going = bool(place["metadata"].get("deletionTimestamp"))  # somebody deletes it already: only wait
    if going:
        plan = _plan(nothing().state, name, namespace, [], synced, whole=False)
    else:
        plan = _plan(state, name, namespace, mine, synced, whole)
        _plan_leaving(plan, {} if whole else leaving(place, name, keep_volumes), namespace, place)
        _plan_marks(plan, removal.kept)
    if check:
        return Outcome(plan, state)
    volumes = removal.volumes(mine)
    if not going:
        mark_kept(kubernetes, to_mark(removal.kept))
        if release:
            _uninstall(kubernetes, open_helm(), name, namespace)
    _delete_cluster_scoped(kubernetes, synced)
    if plan.changed and not going:
        removal.sweep(whole)
    if wait is not None and (plan.changed or going):
        removal.wait_gone(whole, volumes, wait)
    if plan.namespace_metadata:  # last: until here it has its share of the host cluster
        kubernetes.patch(path("v1", "namespaces", None, namespace), {"metadata": plan.namespace_metadata})
    return Outcome(plan, state)


def nothing() -> Outcome:
    """The outcome where there is no virtual cluster, and nothing to do."""
    return Outcome(Plan(), State(None, None, [], [], {}, {}))


def leaving(place: dict[str, Any], name: str, keep_volumes: bool) -> dict[str, Any]:
    """The patch for a namespace that stays when its virtual cluster leaves its group; {} where it is in none.

    Volumes that are kept keep their share of the storage.
    """
    metadata = place["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if GROUP_LABEL not in labels or annotations.get(NAME_ANNOTATION) != name:
        return {}
    there = allocation(place, "") if keep_volumes else None  # else it may be broken, and goes
    if there:
        rest = Size(Decimal(0), Decimal(0), there.size.storage)
        return planning.metadata_patch(place, {}, {SIZE_ANNOTATION: json.dumps(rest.as_dict())})
    return planning.metadata_patch(place, {GROUP_LABEL: None}, dict.fromkeys(OF_MEMBERS))


def _plan_leaving(plan: Plan, patch: dict[str, Any], namespace: str, place: dict[str, Any]) -> None:
    plan.namespace_metadata = patch
    lifecycle.plan_patch(plan, place, patch, f"namespace {namespace}")


def _uninstall(kubernetes: Kubernetes, helm: Helm, name: str, namespace: str) -> None:
    """Let helm remove its release. Somebody else who does so at the same moment is no failure."""
    try:
        helm.uninstall(name, namespace)
    except HelmError:
        if kubernetes.list(path("v1", "secrets", namespace), labels=f"owner=helm,name={name}", metadata_only=True):
            raise


def _plan_marks(plan: Plan, kept: list[Thing]) -> None:
    plan.steps += mark_steps(to_mark(kept))
    for claim in to_mark(kept):
        plan.diff += planning.diff({}, {planning.KEPT: "true"}, f"annotations of volume claim {claim.name}")


def _delete_cluster_scoped(kubernetes: Kubernetes, synced: list[Thing]) -> None:
    parallel([partial(kubernetes.delete, thing.path(None)) for thing in synced])


def contents(kubernetes: Kubernetes, namespace: str | None, kinds: Kinds | None = None) -> list[Thing]:
    """Everything in a namespace, or in all, but what each one has: one LIST a kind, of metadata alone.

    ``kinds`` are those to look at, where they are known from an earlier look.
    """

    def ask(api_version: str, plural: str) -> list[Thing]:
        if plural == UNKNOWN:
            return [Thing(api_version, plural, {"name": "(unknown)"})]
        try:
            listed = kubernetes.list(path(api_version, plural, namespace), metadata_only=True)
        except KubernetesError as error:
            if error.status != 403:
                raise
            # What may not be seen may be somebody's: the namespace stays.
            return [Thing(api_version, plural, {"name": "(no permission to list)"})]
        found = [Thing(api_version, plural, one["metadata"]) for one in listed]
        return [thing for thing in found if (plural, thing.name) not in OF_EVERY_NAMESPACE]

    asked = [partial(ask, *kind) for kind in (namespaced_kinds(kubernetes) if kinds is None else kinds)]
    records, *answers = parallel([partial(_records, kubernetes, namespace), *asked])
    things = [thing for answer in answers for thing in answer]
    return [replace(one, secret_type=RELEASE_SECRET_TYPE) if _place(one) in records else one for one in things]


def namespaced_kinds(kubernetes: Kubernetes) -> Kinds:
    """(apiVersion, plural) of what a virtual cluster can have in a namespace."""
    return [kind for kind in kubernetes.namespaced_resources() if kind[1] not in DERIVED]


def _records(kubernetes: Kubernetes, namespace: str | None) -> set[tuple[str, str | None, str]]:
    """Where Helm keeps releases: a Secret's type tells them from others, and is no metadata."""
    url, of_helm = path("v1", "secrets", namespace), f"type={RELEASE_SECRET_TYPE}"
    listed = list_allowed(kubernetes, url, fields=of_helm, metadata_only=True)
    return {_place(Thing("v1", "secrets", one["metadata"])) for one in listed}


def _place(thing: Thing) -> tuple[str, str | None, str]:
    return thing.plural, thing.namespace, thing.name


def to_mark(claims: Iterable[Thing]) -> list[Thing]:
    """Volume claims that stay because the task says so, and do not say it themselves yet."""
    return [claim for claim in claims if planning.KEPT not in claim.annotations]


def mark_steps(claims: Iterable[Thing]) -> list[str]:
    return [f"mark volume claim {name} as kept" for name in sorted(claim.name for claim in claims)]


def mark_kept(kubernetes: Kubernetes, claims: Iterable[Thing]) -> None:
    """Write on volume claims that they stay on purpose, so that nobody takes them for left over."""
    marks = {"metadata": {"annotations": {planning.KEPT: "true"}}}
    parallel([partial(kubernetes.patch, claim.path(claim.namespace), marks) for claim in claims])


def sort_out(things: Iterable[Thing], name: str, known: bool = False) -> tuple[list[Thing], list[Thing]]:
    """(what the virtual cluster made, what is somebody else's), owners deciding for what they own.

    A name alone, such as Secret NAME-certs, says something only where it is certain that there is or was a
    virtual cluster NAME: because of ``known``, or of a label.
    """
    things = list(things)
    mine = [thing for thing in things if belongs(thing, name)]
    if mine or known:
        mine += [thing for thing in things if thing not in mine and (thing.plural, thing.name) in unlabelled(name)]
    rest = [thing for thing in things if thing not in mine]
    while True:
        owners = {thing.meta.get("uid") for thing in mine}
        owned = [t for t in rest if any(o.get("uid") in owners for o in t.meta.get("ownerReferences") or [])]
        if not owned:
            return mine, rest
        mine += owned
        rest = [thing for thing in rest if thing not in owned]


def belongs(thing: Thing, name: str) -> bool:
    """Whether labels or annotations say that this virtual cluster made an object."""
    labels, annotations = thing.labels, thing.meta.get("annotations") or {}
    if thing.secret_type == RELEASE_SECRET_TYPE:
        return labels.get("name") == name
    return (
        name in (labels.get(phase.SYNCED_LABEL), labels.get(BELONGS), labels.get(REQUESTED))
        or (str(labels.get("app", "")).startswith("vcluster") and name in (labels.get("release"), labels.get(NAMED)))
        or (
            annotations.get("meta.helm.sh/release-name") == name
            and annotations.get("meta.helm.sh/release-namespace") == thing.meta.get("namespace")
        )
    )


def unlabelled(name: str) -> set[tuple[str, str]]:
    """What vCluster and its CLI write at run time and do not label, or did not in earlier versions."""
    return {
        ("secrets", f"vc-{name}"),
        ("secrets", f"vc-k3s-{name}"),
        ("secrets", f"{name}-certs"),
        ("configmaps", f"configmap-{name}"),
        ("leases", phase.safe_concat("vcluster", name, "controller")),  # with high availability
    }


def cluster_scoped(kubernetes: Kubernetes, namespace: str, name: str) -> list[Thing]:
    """What the chart and the virtual cluster made outside of its namespace; nothing where that may not be asked.

    Helm removes its part, but has nothing to go by once somebody deleted the namespace with the release in it.
    """
    of_chart, synced = f"app=vcluster,release={name}", f"{phase.SYNCED_LABEL}={phase.safe_concat(namespace, 'x', name)}"

    def ask(kind: tuple[str, str], labels: str) -> list[Thing]:
        found = list_allowed(kubernetes, path(*kind), labels=labels, metadata_only=True)
        return [Thing(*kind, one["metadata"]) for one in found]

    def ours(thing: Thing) -> bool:  # a release of this name in another namespace has the same labels
        annotations = thing.meta.get("annotations") or {}
        return (
            bool(annotations.get("meta.helm.sh/release-namespace") == namespace) or phase.SYNCED_LABEL in thing.labels
        )

    questions = [partial(ask, kind, of_chart) for kind in CHART_CLUSTER_KINDS]
    questions += [partial(ask, kind, synced) for kind in SYNCED_CLUSTER_KINDS]
    return [thing for answer in parallel(questions) for thing in answer if ours(thing)]


def _refuse(release: Release | None, mine: list[Thing], name: str, namespace: str) -> None:
    if release and not is_vcluster(release.chart_name):
        raise OptionError(
            "name",
            name,
            "the name of a virtual cluster",
            reason=f"the Helm release of this name in namespace {namespace} is of chart {release.chart_name}",
        )
    thing = protection(mine, name)
    if thing:
        raise NestedClustersError(
            f"virtual cluster {name} in namespace {namespace} is protected and was not deleted ({thing} says so); "
            "run the task with protected: false and state: present first",
            protected=True,
        )


def protection(mine: Iterable[Thing], name: str) -> Thing | None:
    """The control plane that says that it is protected. Not the release: its record may be gone, and this is not."""
    for thing in mine:
        is_control_plane = thing.plural in ("statefulsets", "deployments") and thing.name == name
        if is_control_plane and thing.annotations.get(planning.PROTECTED) == "true":
            return thing
    return None


def keep(mine: Iterable[Thing], keep_volumes: bool) -> tuple[list[Thing], list[Thing]]:
    """(what goes, the volume claims that stay) of what a virtual cluster made."""
    mine = list(mine)
    kept = [thing for thing in mine if keep_volumes and thing.plural == "persistentvolumeclaims"]
    return [thing for thing in mine if thing not in kept], kept


def release_hold(kubernetes: Kubernetes, thing: Thing, namespace: str | None) -> None:
    """Take off an object the finalizers that only a running virtual cluster would take off."""
    held = thing.meta.get("finalizers") or []
    free = [finalizer for finalizer in held if not finalizer.startswith(FINALIZERS)]
    if free != held:
        kubernetes.patch(thing.path(namespace), {"metadata": {"finalizers": free}})


def made_for(place: dict[str, Any], name: str, namespace: str, seen: bool) -> bool:
    """Whether a namespace was made for this virtual cluster: by this collection, or by the CLI."""
    annotations = place["metadata"].get("annotations") or {}
    if annotations.get(planning.CREATED) != "true":
        return False
    return annotations.get(NAME_ANNOTATION, name if seen or namespace == f"vcluster-{name}" else "") == name


def _plan(state: State, name: str, namespace: str, mine: list[Thing], synced: list[Thing], whole: bool) -> Plan:
    helm, things = bool(state.release or state.pending), [*mine, *synced]
    plan = Plan(steps(helm, name, namespace, things, whole))
    found = planning.as_found(state.manifest, state.live)
    plan.diff += planning.diff(planning.show(found, {}, "before"), "", f"manifests of {name}")
    rest = [f"namespaces/{namespace}"] if whole else []
    plan.diff += planning.diff("\n".join(_singly(helm, things) + rest), "", f"other objects of {name}")
    return plan


def steps(helm: bool, name: str, namespace: str, things: Iterable[Thing], whole: bool) -> list[str]:
    """A removal in words; ``helm`` says whether there is a release, ``whole`` whether the namespace goes as well."""
    found = [f"uninstall release {name}"] if helm else []
    found += [f"delete {text}" for text in _singly(helm, things)]
    return found + ([f"delete namespace {namespace}"] if whole else [])


def _singly(helm: bool, things: Iterable[Thing]) -> list[str]:
    return sorted({str(thing) for thing in things if not (helm and _goes_with_another(thing))})


def _goes_with_another(thing: Thing) -> bool:
    """Whether something else's deletion takes an object along: Helm's of the release, or its controller's."""
    return (
        "meta.helm.sh/release-name" in (thing.meta.get("annotations") or {})
        or thing.secret_type == RELEASE_SECRET_TYPE
        or any(owner.get("controller") for owner in thing.meta.get("ownerReferences") or [])
    )


def deleted_with(volumes: Iterable[dict[str, Any]], namespace: str, claims: Collection[str]) -> set[str]:
    """Names of the PersistentVolumes that go with claims of a namespace, by their reclaim policy."""
    found = set()
    for volume in volumes:
        claim = volume["spec"].get("claimRef") or {}
        is_deleted = volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        if is_deleted and claim.get("namespace") == namespace and claim.get("name") in claims:
            found.add(volume["metadata"]["name"])
    return found


@dataclass
class Removal:
    """The deletion of one virtual cluster. ``known``: that there is one is certain, by its release."""

    kubernetes: Kubernetes
    name: str
    namespace: str
    keep_volumes: bool
    known: bool
    kept: list[Thing] = field(default_factory=list)  # claims that stay, as of the last look

    def look(self) -> tuple[list[Thing], list[Thing]]:
        """(what is to go, what stays) of what is in the namespace now."""
        mine, others = sort_out(contents(self.kubernetes, self.namespace), self.name, self.known)
        self.known = self.known or bool(mine)
        mine, self.kept = keep(mine, self.keep_volumes)
        return mine, others + self.kept

    def sweep(self, whole: bool) -> list[str]:
        """Ask for the deletion of what is there; returns it in words.

        A namespace that was made for the virtual cluster goes as a whole, unless something else is in it by now.
        """
        mine, others = self.look()
        for thing in mine:
            release_hold(self.kubernetes, thing, self.namespace)
        if whole and not others:
            self.kubernetes.delete(path("v1", "namespaces", None, self.namespace))
            return [f"namespace {self.namespace}"]
        parallel([partial(self.kubernetes.delete, thing.path(self.namespace)) for thing in mine])
        return [str(thing) for thing in mine]

    def volumes(self, mine: list[Thing]) -> list[str]:
        """The PersistentVolumes that go with the claims, by their reclaim policy."""
        claims = {thing.name for thing in mine if thing.plural == "persistentvolumeclaims"}
        if not claims:
            return []
        there = list_allowed(self.kubernetes, path("v1", "persistentvolumes"))  # who may not, need not wait for them
        return sorted(deleted_with(there, self.namespace, claims))

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
                    f"virtual cluster {self.name} is not gone after {timeout:g} s (wait_timeout): "
                    f"{'; '.join(left)}; run the task again",
                    phase="deleting",
                )
            time.sleep(waiting.POLL_SECONDS)

    def _volumes_of(self, names: list[str]) -> list[str]:
        there = [name for name in names if self.kubernetes.get(path("v1", "persistentvolumes", None, name))]
        return [f"persistentvolumes/{name}" for name in there]

    def _left(self, whole: bool) -> list[str]:
        place = self.kubernetes.get(path("v1", "namespaces", None, self.namespace))
        if place is None:
            return []
        if place["metadata"].get("deletionTimestamp"):
            return [f"namespace {self.namespace}: {lifecycle.namespace_conditions(place)}"]
        return self.sweep(whole)
