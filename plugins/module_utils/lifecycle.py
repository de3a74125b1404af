# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of one virtual cluster: read, plan, carry out, wait.

Every entry point reads first and returns the plan; with ``check`` it stops there, so that check mode and a
real run cannot disagree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils import (
    compatibility,
    control_plane,
    phase,
    values,
    waiting,
)
from ansible_collections.nested.clusters.plugins.module_utils import (
    plan as planning,
)
from ansible_collections.nested.clusters.plugins.module_utils._helm import (
    PENDING,
    Chart,
    Helm,
    HelmError,
    Release,
    decode_release,
    is_vcluster,
    newest_releases,
)
from ansible_collections.nested.clusters.plugins.module_utils._kubernetes import (
    Kubernetes,
    KubernetesError,
    parallel,
    path,
)
from ansible_collections.nested.clusters.plugins.module_utils.capacity import GROUP_LABEL, NAME_ANNOTATION
from ansible_collections.nested.clusters.plugins.module_utils.control_plane import ControlPlane
from ansible_collections.nested.clusters.plugins.module_utils.errors import (
    NestedClustersError,
    OptionError,
    WaitError,
)
from ansible_collections.nested.clusters.plugins.module_utils.membership import Membership
from ansible_collections.nested.clusters.plugins.module_utils.plan import Key, Plan

NOT_SYNCED = "!vcluster.loft.sh/managed-by"  # what a virtual cluster syncs to the host carries this label
NOT_SUPERSEDED = "status!=superseded"  # Helm keeps ten revisions; only the newest can matter
SETTLE_SECONDS = 30  # without --wait helm is done in seconds; one that is pending longer was killed


@dataclass(frozen=True)
class Request:
    """What a task asks for. None means that the task does not speak of it, and what is deployed stays."""

    name: str
    namespace: str
    chart: Chart
    vcluster_version: str | None = None
    kubernetes_version: str | None = None
    values: dict[str, Any] | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    annotations: dict[str, Any] = field(default_factory=dict)
    protected: bool | None = None
    control_plane: ControlPlane = field(default_factory=ControlPlane)
    membership: Membership | None = None  # of a virtual cluster in a group
    origins: Mapping[tuple[str, ...], str] | None = None  # where each of the values comes from


@dataclass
class State:
    """What the host cluster holds of a virtual cluster."""

    release: Release | None  # the newest revision that helm finished
    pending: Release | None  # a newer one that helm did not finish
    neighbours: list[Release]  # other virtual clusters in the namespace
    secrets: list[dict[str, Any]]
    manifest: dict[Key, dict[str, Any]]
    live: dict[Key, dict[str, Any]]

    @property
    def ours(self) -> bool:
        return bool(self.release and self.release.labels.get(planning.MANAGED) == "true")

    def workload(self, name: str) -> dict[str, Any] | None:
        """The control plane as it is in the cluster."""
        where = planning.workload_key(self.live, name)
        return self.live[where] if where else None

    def secret(self, name: str) -> dict[str, Any] | None:
        return next((secret for secret in self.secrets if secret["metadata"]["name"] == name), None)


@dataclass
class Outcome:
    """What a task did, or with ``check`` would do."""

    plan: Plan
    state: State


def read(kubernetes: Kubernetes, name: str, namespace: str) -> State:
    """Everything of one virtual cluster: one LIST of Secrets, then one for each other kind in the release."""
    secrets = kubernetes.list(path("v1", "secrets", namespace), labels=f"{NOT_SYNCED},{NOT_SUPERSEDED}")
    releases = newest_releases(secrets)
    newest = releases.pop(name, None)
    release = decode_release(newest) if newest else None
    pending = None
    if release and release.status in PENDING:
        pending = release
        older = newest_releases(secret for secret in secrets if secret is not newest).get(name)
        release = decode_release(older) if older else None
    manifest = planning.objects(release.manifest, namespace, kubernetes.namespaced) if release else {}
    return State(
        release=release,
        pending=pending,
        neighbours=_virtual_clusters(releases.values()),
        secrets=secrets,
        manifest=manifest,
        live=_live(kubernetes, manifest, namespace, secrets),
    )


def _one(kubernetes: Kubernetes, url: str) -> list[dict[str, Any]]:
    thing = kubernetes.get(url)
    return [thing] if thing else []


def _virtual_clusters(secrets: Iterable[dict[str, Any]]) -> list[Release]:
    found = []
    for secret in secrets:
        try:
            release = decode_release(secret)
        except HelmError:  # a broken record of somebody else's release is not this task's business
            continue
        if is_vcluster(release.chart_name):
            found.append(release)
    return found


def is_paused(workload: dict[str, Any] | None) -> bool:
    """Whether a control plane was scaled to nothing by a pause."""
    return workload is not None and phase.phase(workload) == "paused"


def _live(
    kubernetes: Kubernetes, manifest: dict[Key, dict[str, Any]], namespace: str, secrets: list[dict[str, Any]]
) -> dict[Key, dict[str, Any]]:
    live = {("v1", "Secret", namespace, secret["metadata"]["name"]): secret for secret in secrets}
    questions: list[Callable[[], list[dict[str, Any]]]] = []
    kinds: list[tuple[str, str, str]] = []
    for api_version, kind, where in sorted({k[:3] for k in manifest if k[:3] != ("v1", "Secret", namespace)}):
        try:
            plural, namespaced = kubernetes.resource(api_version, kind)
        except KubernetesError as error:
            if error.status != 404:
                raise
            continue  # its kind is gone from the host cluster, and the object with it
        if namespaced:
            url = path(api_version, plural, where)
            questions.append(partial(kubernetes.list, url, labels=NOT_SYNCED))
            kinds.append((api_version, kind, where))
            continue
        for name in [k[3] for k in manifest if k[:2] == (api_version, kind)]:  # never LIST a whole host cluster
            url = path(api_version, plural, None, name)
            questions.append(partial(_one, kubernetes, url))
            kinds.append((api_version, kind, ""))
    for (api_version, kind, where), things in zip(kinds, parallel(questions), strict=True):
        live.update({(api_version, kind, where, thing["metadata"]["name"]): thing for thing in things})
    return live


def present(
    kubernetes: Kubernetes,
    open_helm: Callable[[], Helm],
    request: Request,
    *,
    check: bool,
    wait: float | None,
    kubeconfig: bool = False,
    reserve: Callable[[Plan], None] | None = None,
) -> Outcome:
    """Bring a virtual cluster to what the request says.

    ``open_helm`` is called only if helm is needed. ``wait`` is how many seconds to wait for it to be ready, None
    for not at all, ``kubeconfig`` whether its kubeconfig is needed then. ``reserve`` is called with the plan when
    all is known and nothing is changed yet; what it raises ends the task. Raises OptionError before anything is
    changed, HelmError, KubernetesError and WaitError after.
    """
    state = read(kubernetes, request.name, request.namespace)
    if state.pending and not check:
        state = _settle(kubernetes, request, state)
    version = wanted_version(request, state)
    wanted_values = check_request(request, state, version)
    plan = Plan()
    _plan_namespace(kubernetes, request, state, plan)
    _plan_objects(kubernetes, request, state, plan)
    chart = replace(request.chart, version=version)
    helm, wanted = None, state.manifest
    if _plan_release(request, state, version, wanted_values, plan):
        helm = open_helm()
        wanted = _render(kubernetes, helm, request, chart, wanted_values, state, plan)
    _plan_metadata(request, state, plan)
    if check:
        return Outcome(plan, state)
    if reserve and plan.changed:
        reserve(plan)
    if plan.create_namespace:
        _create_namespace(kubernetes, request)
    for work in plan.work:  # before Helm: a run that is interrupted there is finished from what it finds here
        work()
    if helm:
        _apply(kubernetes, helm, request, chart, wanted_values, state)
    _finish(kubernetes, request, wanted, plan)
    if plan.changed:
        state = read(kubernetes, request.name, request.namespace)
    if wait is not None:
        state = wait_ready(kubernetes, request.name, request.namespace, state, wait, kubeconfig)
    return Outcome(plan, state)


def _finish(kubernetes: Kubernetes, request: Request, wanted: dict[Key, dict[str, Any]], plan: Plan) -> None:
    if plan.metadata:
        _patch_workload(kubernetes, request, wanted, plan)
    if plan.namespace_metadata:  # last: it says what is done
        kubernetes.patch(path("v1", "namespaces", None, request.namespace), {"metadata": plan.namespace_metadata})


def _render(
    kubernetes: Kubernetes,
    helm: Helm,
    request: Request,
    chart: Chart,
    wanted_values: dict[str, Any],
    state: State,
    plan: Plan,
) -> dict[Key, dict[str, Any]]:
    """The objects that the release shall have; adds what differs to the plan's diff."""
    rendered = helm.render(request.name, request.namespace, chart, wanted_values, unfinished=state.pending is not None)
    if not is_vcluster(rendered.chart_name):
        raise OptionError("chart_ref", chart.reference, "vCluster's chart", reason=f"it is chart {rendered.chart_name}")
    wanted = planning.objects(rendered.manifest, request.namespace, kubernetes.namespaced)
    found = planning.as_found(state.manifest, state.live)
    plan.diff += planning.release_diff(state.release, wanted_values, found, wanted, request.name, request.origins)
    return wanted


def _apply(
    kubernetes: Kubernetes,
    helm: Helm,
    request: Request,
    chart: Chart,
    wanted_values: dict[str, Any],
    state: State,
) -> None:
    """Let Helm do its work, and then undo what it leaves of other people's changes."""
    if state.pending:
        kubernetes.delete(path("v1", "secrets", request.namespace, state.pending.secret_name))
    labels = {planning.MANAGED: "true"} if state.release is None or state.ours else {}
    if request.membership:
        labels.update(request.membership.labels())
    at_rest = planning.at_rest(state.release, state.live, state.manifest)
    helm.apply(request.name, request.namespace, chart, wanted_values, state.release, labels, at_rest)
    if state.release is None:
        return
    after = read(kubernetes, request.name, request.namespace)
    found = planning.as_found(after.manifest, after.live)
    for where, thing in found.items():
        patch = planning.repair_patch(thing, after.manifest[where])
        if patch:
            plural, namespaced = kubernetes.resource(*where[:2])
            kubernetes.patch(path(where[0], plural, where[2] if namespaced else None, where[3]), patch)


def wanted_version(request: Request, state: State) -> str:
    """The vCluster version to run: the one asked for, else the one deployed, else the collection's default."""
    if request.chart.local:
        own = request.chart.own_version()
        asked = request.vcluster_version
        if asked and compatibility.parse_version(asked) != compatibility.parse_version(own):
            raise OptionError(
                "vcluster_version", asked, own, reason=f"chart_ref {request.chart.reference} is version {own}"
            )
        return own
    if request.vcluster_version:
        return str(compatibility.parse_version(request.vcluster_version))
    return state.release.chart_version if state.release else compatibility.DEFAULT_VCLUSTER_VERSION


def check_request(request: Request, state: State, version: str) -> dict[str, Any]:
    """Refuse what cannot work, before anything is changed; returns the values the release shall have."""
    if not (state.release or state.pending):  # what was made elsewhere with a longer name works
        compatibility.check_names(request.name, request.namespace)
    if state.neighbours:
        raise OptionError(
            "namespace",
            request.namespace,
            "a namespace without another virtual cluster",
            reason=f"virtual cluster {state.neighbours[0].name} lives there, and vCluster allows one a namespace",
        )
    release = state.release or state.pending
    if release and not is_vcluster(release.chart_name):
        raise OptionError(
            "name",
            request.name,
            "the name of a virtual cluster, or one that no release has",
            reason=f"namespace {request.namespace} has a Helm release of this name from chart {release.chart_name}",
        )
    group = release.labels.get(GROUP_LABEL) if release else None
    if group and request.membership is None:
        raise OptionError("group", None, group, reason=f"virtual cluster {request.name} belongs to this group")
    target = compatibility.parse_version(version)
    compatibility.check_vcluster_version(target)
    deployed = state.release
    options = request.control_plane
    options.check_given(request.values, deployed.values if deployed else None)
    result = control_plane.desired(
        request.values, options, request.kubernetes_version, deployed.values if deployed else None, state.ours
    )
    options.check(result, target, values.get(result, values.IMAGE_REPOSITORY))
    for option, given in (("labels", request.labels), ("annotations", request.annotations)):
        in_values = values.get(result, ("controlPlane", "statefulSet", option)) or {}
        if option == "annotations":
            in_values = {**(values.get(result, values.GLOBAL_ANNOTATIONS) or {}), **in_values}
        planning.check_metadata(option, given, in_values)
    compatibility.check_values(result, target, values.get(result, values.IMAGE_REPOSITORY))
    if deployed:
        compatibility.check_change(compatibility.parse_version(deployed.chart_version), target)
        compatibility.check_immutable(deployed.values, result, target)
    vcluster_before, before = _last_run(state.workload(request.name))
    _check_ran(vcluster_before, target)
    asked = values.get(result, control_plane.kubernetes_version_at(compatibility.distribution_of(result)))
    if asked:
        wanted = compatibility.parse_kubernetes_version(str(asked))
        if before:
            compatibility.check_kubernetes_change(compatibility.parse_kubernetes_version(before), wanted)
    return result


def _last_run(workload: dict[str, Any] | None) -> tuple[str, str]:
    """(vCluster version, Kubernetes version) that ran last; "" where it is the deployed one, or not known."""
    if workload is None:
        return "", ""
    return planning.last_run(workload) or ("", phase.kubernetes_version(workload) or "")


def _check_ran(version: str, target: compatibility.Version) -> None:
    """OptionError for a further upgrade of one that has not run since the last; the data is still that of before."""
    try:
        if version:
            compatibility.check_change(compatibility.parse_version(version), target)
    except OptionError as error:
        reason = f"it is paused, and {version} is what ran last: resume it before the next upgrade"
        raise OptionError("vcluster_version", str(target), str(error.data["allowed"]), reason=reason) from error


def _plan_namespace(kubernetes: Kubernetes, request: Request, state: State, plan: Plan) -> None:
    if state.release and request.membership is None:
        return  # Helm's record of it is in there
    namespace = kubernetes.get(path("v1", "namespaces", None, request.namespace))
    if namespace is None or namespace["metadata"].get("deletionTimestamp"):
        # One that is being deleted will be gone when it is this plan's turn; see _create_namespace.
        plan.create_namespace = True
        plan.steps.append(f"create namespace {request.namespace}")
        plan.diff += planning.diff("", namespace_of(request), f"namespace {request.namespace}")
    if request.membership is None:
        return
    membership = request.membership
    if not plan.create_namespace:
        patch = planning.metadata_patch(namespace, membership.labels(), membership.annotations(request.name))
        plan_patch(plan, namespace, patch, f"namespace {request.namespace}")
        plan.namespace_metadata = patch


def _plan_objects(kubernetes: Kubernetes, request: Request, state: State, plan: Plan) -> None:
    """What a virtual cluster has beside its release because it is in a group."""
    if request.membership is None:
        return
    for thing in request.membership.objects(request.name, request.namespace):
        plural, _namespaced = kubernetes.resource(thing["apiVersion"], thing["kind"])
        name, kind = thing["metadata"]["name"], thing["kind"]
        where = path("v1", plural, request.namespace)
        there = state.secret(name) if kind == "Secret" else kubernetes.get(f"{where}/{name}")
        if plan.create_namespace:  # one that is being deleted takes it along
            there = None
        if there is None:
            plan.steps.append(f"create {kind} {name}")
            plan.work.append(partial(_create, kubernetes, where, thing))
        found = planning.project({"apiVersion": "v1", "kind": kind, **(there or {})}, thing)
        if there and found != thing:
            plan.steps.append(f"change {kind} {name}")
            plan.work.append(partial(kubernetes.patch, f"{where}/{name}", planning.repair_patch(found, thing)))
        key = ("v1", kind, request.namespace, name)
        before, after = {key: found} if there else {}, {key: thing}
        shown = planning.show(before, after, "before"), planning.show(after, before, "after")
        plan.diff += planning.diff(*shown, f"{kind} {name}")


def _create(kubernetes: Kubernetes, where: str, thing: dict[str, Any]) -> None:
    try:
        kubernetes.create(where, thing)
    except KubernetesError as error:
        if error.reason != "AlreadyExists":  # somebody was faster
            raise


def _plan_release(request: Request, state: State, version: str, wanted: dict[str, Any], plan: Plan) -> bool:
    """Add what Helm has to do to the plan; False if nothing."""
    release = state.release
    if state.pending:
        plan.steps.append(f"clear the unfinished Helm revision {state.pending.revision} ({state.pending.status})")
    if release is None:
        plan.steps.append(f"install release {request.name} with vCluster {version}")
        plan.helm = True
        return True
    steps = []
    if compatibility.parse_version(release.chart_version) != compatibility.parse_version(version):
        steps.append(f"upgrade release {request.name} from vCluster {release.chart_version} to {version}")
    elif release.status != "deployed":
        steps.append(f"repeat release {request.name}, which is {release.status}")
    if without_nulls(release.values) != without_nulls(wanted):
        steps.append(f"change values of release {request.name}")
    steps += planning.drift(planning.as_found(state.manifest, state.live), state.manifest)
    plan.steps += steps
    plan.helm = bool(steps or state.pending)
    return plan.helm


def _plan_metadata(request: Request, state: State, plan: Plan) -> None:
    annotations = dict(request.annotations)
    if request.protected is not None:
        annotations[planning.PROTECTED] = "true" if request.protected else None
    if state.release is None or state.ours:
        annotations[planning.MANAGED] = "true"
    workload = state.workload(request.name)
    plan.metadata = planning.metadata_patch(workload, request.labels, annotations)
    plan_patch(plan, workload, plan.metadata, f"virtual cluster {request.name}")


def plan_patch(plan: Plan, thing: dict[str, Any] | None, patch: dict[str, Any], what: str) -> None:
    """Add a change of labels and annotations to the plan."""
    meta = (thing or {}).get("metadata") or {}
    for part, changes in patch.items():
        plan.steps.append(f"set {part} of {what}: {', '.join(sorted(changes))}")
        before = {name: (meta.get(part) or {})[name] for name in changes if name in (meta.get(part) or {})}
        after = {name: value for name, value in changes.items() if value is not None}
        plan.diff += planning.diff(before, after, f"{part} of {what}")


def namespace_of(request: Request) -> dict[str, Any]:
    """The namespace of a virtual cluster, as this collection creates it."""
    # `vcluster delete` removes a namespace with this annotation of its own, so ours are removed by it as well.
    metadata: dict[str, Any] = {"annotations": {planning.CREATED: "true", NAME_ANNOTATION: request.name}}
    if request.membership:
        wanted = request.membership.annotations(request.name)
        metadata["annotations"].update({name: value for name, value in wanted.items() if value is not None})
        metadata["labels"] = request.membership.labels()
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": request.namespace, **metadata}}


def _create_namespace(kubernetes: Kubernetes, request: Request) -> None:
    wait_until_free(kubernetes, request.namespace)
    try:
        kubernetes.create(path("v1", "namespaces"), namespace_of(request))
    except KubernetesError as error:
        if error.reason != "AlreadyExists":  # somebody was faster; Helm finds it all the same
            raise


def wait_until_free(kubernetes: Kubernetes, namespace: str) -> None:
    """Wait until a namespace that is being deleted is gone. Raises WaitError when it stays."""
    where = path("v1", "namespaces", None, namespace)
    deadline = time.monotonic() + READY_SECONDS
    while (there := kubernetes.get(where)) and there["metadata"].get("deletionTimestamp"):
        if time.monotonic() > deadline:
            raise WaitError(
                f"namespace {namespace} is being deleted and still there after {READY_SECONDS} s: "
                f"{namespace_conditions(there)}"
            )
        time.sleep(waiting.POLL_SECONDS)


READY_SECONDS = 120  # how long a namespace may take to be gone


def namespace_conditions(namespace: dict[str, Any]) -> str:
    """Why a namespace is not gone yet, in the namespace controller's words."""
    conditions = (namespace.get("status") or {}).get("conditions") or []
    return "; ".join(c.get("message", "") for c in conditions if c.get("status") == "True") or "no reason given"


def _patch_workload(kubernetes: Kubernetes, request: Request, manifest: dict[Key, dict[str, Any]], plan: Plan) -> None:
    where = planning.workload_key(manifest, request.name)
    if where is None:
        raise NestedClustersError(f"release {request.name} has no StatefulSet or Deployment of that name to label")
    plural, _namespaced = kubernetes.resource(*where[:2])
    kubernetes.patch(path(where[0], plural, where[2], where[3]), {"metadata": plan.metadata})


def _settle(kubernetes: Kubernetes, request: Request, state: State) -> State:
    """Give a Helm operation that is under way the time to finish; one that was killed will not."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while state.pending and time.monotonic() < deadline:
        time.sleep(waiting.POLL_SECONDS * 2)
        state = read(kubernetes, request.name, request.namespace)
    return state


def without_nulls(data: Any) -> Any:
    """Data without null entries: in Helm values null and nothing are the same once they are stored."""
    if isinstance(data, dict):
        return {name: without_nulls(value) for name, value in data.items() if value is not None}
    return data


def wait_ready(
    kubernetes: Kubernetes, name: str, namespace: str, state: State, timeout: float, kubeconfig: bool
) -> State:
    """Wait until the control plane is ready; a paused one is left alone.

    ``kubeconfig``: wait for its Secret as well, which vCluster writes some seconds after it is ready.
    Raises WaitError as soon as it is clear that it will not become ready, with the reason and what to try.
    """
    workload = state.workload(name)
    if is_paused(workload) or _is_ready(state, name, kubeconfig):
        return state
    where = planning.workload_key(state.manifest, name)
    if where is None:
        raise NestedClustersError(f"release {name} has no StatefulSet or Deployment of that name to wait for")
    url = path(where[0], kubernetes.resource(*where[:2])[0], namespace, name)
    started = time.monotonic()
    last, looked = "nothing was seen yet", 0.0
    before = {_mark(event) for event in kubernetes.list(path("v1", "events", namespace))}
    while True:
        elapsed = time.monotonic() - started
        try:
            state.live[where] = workload = _still_there(kubernetes.get(url), where)
            if phase.workload_ready(workload) and kubeconfig:
                state.secrets += _one(kubernetes, path("v1", "secrets", namespace, f"vc-{name}"))
                last = f"Secret vc-{name} with its kubeconfig is not there yet"
            elif elapsed - looked >= waiting.LOOK_SECONDS or elapsed > timeout:
                last, looked = _fail_early(kubernetes, namespace, workload, before, elapsed), elapsed
            if _is_ready(state, name, kubeconfig):
                return state
        except KubernetesError as error:
            if not error.passing:  # an API server that restarts is no reason to give up
                raise
            last = str(error)
        if elapsed > timeout:
            raise WaitError(
                f"virtual cluster {name} is not ready after {timeout:g} s (wait_timeout): {last}; "
                f"look at `kubectl -n {namespace} describe pods`, then run the task again",
                phase="pending",
            )
        time.sleep(waiting.POLL_SECONDS)


def _is_ready(state: State, name: str, kubeconfig: bool) -> bool:
    workload = state.workload(name)
    return (
        workload is not None
        and phase.workload_ready(workload)
        and (not kubeconfig or state.secret(f"vc-{name}") is not None)
    )


def _still_there(workload: dict[str, Any] | None, where: Key) -> dict[str, Any]:
    if workload is None or workload["metadata"].get("deletionTimestamp"):
        raise WaitError(
            f"virtual cluster {where[3]} was deleted by somebody else while it was waited for ({where[1]} {where[3]} "
            "is gone); run the task again to create it anew",
            phase="deleting",
        )
    return workload


def _mark(event: dict[str, Any]) -> tuple[Any, ...]:
    # An event that happens again is the same object with another count.
    return event["metadata"].get("uid"), event.get("count"), (event.get("series") or {}).get("count")


def _fail_early(
    kubernetes: Kubernetes,
    namespace: str,
    workload: dict[str, Any],
    before: set[tuple[Any, ...]],
    elapsed: float,
) -> str:
    """The state in words; raises WaitError with the reason where it cannot become ready by waiting."""
    pods, events = parallel(
        [
            partial(kubernetes.list, path("v1", "pods", namespace), labels=NOT_SYNCED),
            partial(kubernetes.list, path("v1", "events", namespace)),
        ]
    )
    if elapsed < phase.UNSCHEDULABLE_GRACE:
        # What was refused before this task began may have been put right since; it is refused again if not.
        events = [event for event in events if _mark(event) not in before]
    return waiting.explain(kubernetes, workload, pods, events, elapsed)
