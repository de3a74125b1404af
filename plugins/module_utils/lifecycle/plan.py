# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of one virtual cluster: read, plan, carry out, wait.

Every entry point reads first and returns the plan; with ``check`` it stops there, so that check mode and a
real run cannot disagree.

What an unchanged virtual cluster does not need is imported in the functions that need it: every task compiles what
it imports.
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
    endpoint,
    exposure,
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
    list_allowed,
    parallel,
    path,
)
from ansible_collections.nested.clusters.plugins.module_utils.control_plane import ControlPlane
from ansible_collections.nested.clusters.plugins.module_utils.errors import (
    NestedClustersError,
    OptionError,
    WaitError,
)
from ansible_collections.nested.clusters.plugins.module_utils.membership import GROUP_LABEL, NAME_ANNOTATION, Membership
from ansible_collections.nested.clusters.plugins.module_utils.plan import Key, Plan
from ansible_collections.nested.clusters.plugins.module_utils.way_back import Mark, read_mark

NOT_SYNCED = f"!{phase.SYNCED_LABEL}"  # what a virtual cluster syncs to the host carries this label
NOT_SUPERSEDED = "status!=superseded"  # Helm keeps ten revisions; only the newest can matter
GONE_SECONDS = 120  # how long a namespace that is being deleted may take to be gone, where no task says so
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
    endpoint: Mapping[str, Any] | None = None  # of one without a group, with its host name
    membership: Membership | None = None  # of a virtual cluster in a group
    origins: Mapping[tuple[str, ...], str] | None = None  # where each of the values comes from
    rollback: bool = False  # whether an upgrade takes a way back first, and takes it when it fails
    leaving: bool = False  # whether its namespace was being deleted a moment ago, so that it has to be looked at
    patience: float = 300  # seconds for what is waited for in any case: what runs between two steps


@dataclass(frozen=True)
class Stage:
    """What Helm shall make: one release. An upgrade over several minor versions has several, in order."""

    version: str
    values: dict[str, Any]
    kubernetes: str | None = None  # pinned for this stage only


@dataclass
class State:
    """What the host cluster holds of a virtual cluster."""

    release: Release | None  # the newest revision that helm finished
    pending: Release | None  # a newer one that helm did not finish
    neighbours: list[Release]  # other virtual clusters in the namespace
    secrets: list[dict[str, Any]]
    manifest: dict[Key, dict[str, Any]]
    live: dict[Key, dict[str, Any]]
    leaving: bool = False  # whether its namespace is being deleted, and all that may still be in it counts as gone

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
    state = _unless_leaving(kubernetes, request, read(kubernetes, request.name, request.namespace))
    if state.pending and not check:
        state = _settle(kubernetes, request, state)
    plan = Plan()
    state = _unreturned(kubernetes, open_helm, request, state, plan, check)
    if check and plan.changed:  # what comes after a way back cannot be told before
        return Outcome(plan, state)
    work = _prepare(kubernetes, open_helm, request, state, plan)
    if check:
        return Outcome(plan, state)
    if reserve and plan.changed:
        reserve(plan)
    if plan.create_namespace:
        _create_namespace(kubernetes, request)
    for step in plan.work:  # before Helm: a run that is interrupted there is finished from what it finds here
        step()
    if work.helm:
        _carry_out(kubernetes, work.helm, request, work.stages if plan.helm else [], state, work.guarded)
    _finish(kubernetes, request, work.wanted, plan)
    if plan.changed:
        state = read(kubernetes, request.name, request.namespace)
    if wait is not None:
        state = wait_ready(kubernetes, request.name, request.namespace, state, wait, kubeconfig)
    return Outcome(plan, state)


def _unless_leaving(kubernetes: Kubernetes, request: Request, state: State) -> State:
    """What is there; nothing where its namespace is being deleted, which takes along what is still in it.

    The namespace is looked at only if something is missing or going, so that an unchanged task does not pay for it.
    """
    found = [state.live.get(key) for key in state.manifest]
    whole = all(thing and not thing["metadata"].get("deletionTimestamp") for thing in found)
    if whole and not (state.pending or request.leaving):
        return state
    namespace = kubernetes.get(path("v1", "namespaces", None, request.namespace))
    if namespace and namespace["metadata"].get("deletionTimestamp"):
        return State(None, None, [], [], {}, {}, leaving=True)
    return state


@dataclass(frozen=True)
class Work:
    """What a plan leaves for Helm: nothing where ``helm`` is None. ``wanted`` are the objects in the end."""

    helm: Helm | None
    stages: list[Stage]
    wanted: dict[Key, dict[str, Any]]
    guarded: bool  # whether a way back is taken first


def _unreturned(
    kubernetes: Kubernetes, open_helm: Callable[[], Helm], request: Request, state: State, plan: Plan, check: bool
) -> State:
    """Go back all the way where an earlier task was ended while it did."""
    mark = way_back(state, request)
    if mark is None or not mark.returning:
        return state
    plan.steps.append(f"go back to vCluster {mark.version}, which an earlier task did not finish")
    if check:
        return state
    from ansible_collections.nested.clusters.plugins.module_utils import guarded

    guarded.go_back(kubernetes, open_helm(), request, state, mark)
    return read(kubernetes, request.name, request.namespace)


def way_back(state: State, request: Request) -> Mark | None:
    """The way back that an earlier task has taken, and not left."""
    workload = state.workload(request.name)
    mark = read_mark(workload) if state.release else None
    if mark and state.release and state.release.revision == mark.revision and not is_paused(workload):
        return replace(mark, copied=mark.copied and mark.returning)  # started by somebody: the copy is too old
    return mark


def _prepare(kubernetes: Kubernetes, open_helm: Callable[[], Helm], request: Request, state: State, plan: Plan) -> Work:
    """Make the plan. Raises OptionError for what cannot work."""
    version = wanted_version(request, state)
    wanted_values = check_request(request, state, version)
    stages = plan_stages(request, state, version, wanted_values)
    _plan_namespace(kubernetes, request, state, plan)
    _plan_objects(kubernetes, request, state, plan)
    helm, wanted = None, state.manifest
    mark, workload = way_back(state, request), state.workload(request.name)
    guarded = mark is not None or (request.rollback and _is_upgrade(state, stages))
    if guarded:
        from ansible_collections.nested.clusters.plugins.module_utils import rollback

        plan.steps += rollback.steps_before(workload, _etcd(state), mark)
    if _plan_release(request, state, stages, plan):
        from ansible_collections.nested.clusters.plugins.module_utils import reach

        before = state.release.values if state.release else {}
        reach.check(kubernetes, request.name, request.namespace, wanted_values, before, request.endpoint)
        plan.notes += _moved(request, state, wanted_values)
        helm = open_helm()
        wanted = _render(kubernetes, helm, request, stages, state, plan)
    if guarded:
        helm = helm or open_helm()
        plan.steps += rollback.steps_after(request.name, version, mark, is_paused(workload))
    _plan_metadata(request, state, plan)
    if plan.changed and not plan.create_namespace:
        _plan_reused(kubernetes, request, plan)
    return Work(helm, stages, wanted, guarded)


def _moved(request: Request, state: State, wanted: dict[str, Any]) -> list[str]:
    """What clients have to change because of another endpoint."""
    if state.release is None:
        return []
    before = state.release.values
    services = [thing for key, thing in state.live.items() if key[1] == "Service"]
    routes = [thing for key, thing in state.live.items() if key[1] in endpoint.ROUTES]
    old = endpoint.endpoint(request.name, request.namespace, services, routes, before)
    said = exposure.moved(request.name, before, wanted, old)
    return [said] if said else []


def _finish(kubernetes: Kubernetes, request: Request, wanted: dict[Key, dict[str, Any]], plan: Plan) -> None:
    for claim in plan.reused:  # before the workload is marked as ours: until then the next run looks for more to do
        where = path("v1", "persistentvolumeclaims", request.namespace, claim)
        kubernetes.patch(where, {"metadata": {"annotations": {planning.KEPT: None}}})
    if plan.metadata:
        _patch_workload(kubernetes, request, wanted, plan)
    if plan.namespace_metadata:  # last: it says what is done
        kubernetes.patch(path("v1", "namespaces", None, request.namespace), {"metadata": plan.namespace_metadata})


def _render(
    kubernetes: Kubernetes, helm: Helm, request: Request, stages: list[Stage], state: State, plan: Plan
) -> dict[Key, dict[str, Any]]:
    """The objects that the release shall have in the end; adds what differs to the plan's diff."""
    for stage in stages:  # each, so that what the chart of one refuses is known before the first is made
        chart = request.chart.of(stage.version)
        unfinished = state.pending is not None or state.leaving
        rendered = helm.render(request.name, request.namespace, chart, stage.values, unfinished=unfinished)
        if not is_vcluster(rendered.chart_name):
            raise OptionError(
                "chart_ref", chart.reference, "vCluster's chart", reason=f"it is chart {rendered.chart_name}"
            )
    wanted = planning.objects(rendered.manifest, request.namespace, kubernetes.namespaced)
    found = planning.as_found(state.manifest, state.live)
    if state.release and len(stages) > 1:
        way = [state.release.chart_version], [stage.version for stage in stages]
        plan.diff += planning.diff(*way, f"vCluster versions of {request.name}, one after another")
    last = stages[-1].values
    plan.diff += planning.release_diff(state.release, last, found, wanted, request.name, request.origins)
    return wanted


def _carry_out(
    kubernetes: Kubernetes, helm: Helm, request: Request, stages: list[Stage], state: State, with_way_back: bool
) -> None:
    """Let Helm make one stage after another; each but the last has to run before the next."""
    if with_way_back:
        from ansible_collections.nested.clusters.plugins.module_utils import guarded

        guarded.carry_out(kubernetes, helm, request, stages, state)
        return
    if _is_on_the_way(state) and _is_upgrade(state, stages):  # made by a task that was ended while it waited
        state = wait_ready(kubernetes, request.name, request.namespace, state, request.patience, kubeconfig=False)
    for number, stage in enumerate(stages, 1):
        apply(kubernetes, helm, request, stage, state, between=number < len(stages))
        if number < len(stages):
            state = read(kubernetes, request.name, request.namespace)
            state = wait_ready(kubernetes, request.name, request.namespace, state, request.patience, kubeconfig=False)


def _is_on_the_way(state: State) -> bool:
    return bool(state.release and state.release.labels.get(planning.BETWEEN) == "true")


def _is_upgrade(state: State, stages: list[Stage]) -> bool:
    """Whether the first of the stages is another vCluster or Kubernetes than the one deployed."""
    if state.release is None or not stages:
        return False
    parse = compatibility.parse_version
    differs = parse(state.release.chart_version) != parse(stages[0].version)
    return differs or _kubernetes_asked(state.release.values) != _kubernetes_asked(stages[0].values)


def _kubernetes_asked(given: dict[str, Any]) -> Any:
    """The Kubernetes version that values name, None where they leave it to the chart."""
    return values.get(given, control_plane.kubernetes_version_at(compatibility.distribution_of(given)))


def apply(
    kubernetes: Kubernetes, helm: Helm, request: Request, stage: Stage, state: State, between: bool = False
) -> None:
    """Let Helm make a stage, and then undo what it leaves of other people's changes."""
    if state.pending:
        kubernetes.delete(path("v1", "secrets", request.namespace, state.pending.secret_name))
    labels = {planning.MANAGED: "true"} if state.release is None or state.ours else {}
    if request.membership:
        labels.update(request.membership.labels())
    if between or _is_on_the_way(state):
        labels[planning.BETWEEN] = "true" if between else "null"  # null is helm's word for removing one
    at_rest = planning.at_rest(state.release, state.live, state.manifest)
    chart = request.chart.of(stage.version)
    helm.apply(request.name, request.namespace, chart, stage.values, state.release, labels, at_rest)
    if state.release is None:
        return
    after = read(kubernetes, request.name, request.namespace)
    found = planning.as_found(after.manifest, after.live)
    for where, thing in found.items():
        patch = planning.repair_patch(thing, after.manifest[where])
        if patch:
            plural, namespaced = kubernetes.resource(*where[:2])
            kubernetes.patch(path(where[0], plural, where[2] if namespaced else None, where[3]), patch)


def _etcd(state: State) -> dict[str, Any] | None:
    """The deployed etcd of a virtual cluster, as it is in the cluster."""
    found = [thing for key, thing in state.live.items() if planning.runs(key, thing, planning.ETCD)]
    return next((thing for thing in found if thing["metadata"]["name"].endswith("-etcd")), None)


def wanted_version(request: Request, state: State) -> str:
    """The vCluster version to run: the one asked for, else the one deployed, else the collection's default."""
    if request.chart.local and not request.chart.versioned:
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


def plan_stages(request: Request, state: State, version: str, wanted: dict[str, Any]) -> list[Stage]:
    """What Helm has to make, one after another, so that no minor version is skipped; mostly one stage.

    ``wanted`` are the values at the end. What runs in between has them as well, where its version takes them, else
    what it has now. Raises OptionError where there is no way, or where one stage has no chart.
    """
    last = Stage(version, wanted)
    if state.release is None or not _is_upgrade(state, [last]):
        return [last]
    parse = compatibility.parse_version
    workload = state.workload(request.name)
    running = _last_run(workload)[1]
    steps = compatibility.upgrade_steps(
        compatibility.upgrade_path(parse(state.release.chart_version), parse(version)) or [parse(version)],
        compatibility.parse_kubernetes_version(running) if running else None,
        wanted,
    )
    if len(steps) > 1 and is_paused(workload) and not (request.rollback or way_back(state, request)):
        way = ", ".join(str(step.vcluster) for step in steps)
        raise OptionError(
            "vcluster_version",
            version,
            f"{steps[0].vcluster}, or a virtual cluster that runs",
            reason=f"it is paused, and has to run {way} one after another: resume it first, or use rollback",
        )
    stages, before = [], state.release.values
    for step in steps[:-1]:
        before = _values_between(before, wanted, step.vcluster)
        pinned = f"v{step.kubernetes}" if step.kubernetes else None
        given = control_plane.desired(before, ControlPlane(), pinned, {}, ours=False) if pinned else before
        stages.append(Stage(str(step.vcluster), given, pinned))
    compatibility.check_immutable(before, wanted, parse(version))
    _check_charts(request, [stage.version for stage in stages], version)
    return [*stages, last]


def _values_between(before: dict[str, Any], wanted: dict[str, Any], version: compatibility.Version) -> dict[str, Any]:
    """The values of a version on the way: those at the end, or those of before if it refuses these."""
    try:
        compatibility.check_values(wanted, version, values.get(wanted, values.IMAGE_REPOSITORY))
        compatibility.check_immutable(before, wanted, version)
    except OptionError as error:
        try:
            compatibility.check_values(before, version, values.get(before, values.IMAGE_REPOSITORY))
        except OptionError:
            raise OptionError(
                "values",
                error.data["value"],
                str(error.data["allowed"]),
                reason=f"vCluster {version} comes in between, and takes neither these values nor those deployed",
            ) from error
        return before
    return wanted


def _check_charts(request: Request, between: list[str], version: str) -> None:
    """OptionError where the charts of an upgrade are local, and one of them is not there."""
    if not request.chart.local:
        return
    if between and not request.chart.versioned and set(between) != {version}:
        raise OptionError(
            "chart_ref",
            request.chart.reference,
            "a path with {version} in it, such as /srv/charts/vcluster-{version}.tgz",
            reason=f"the way to {version} goes through {', '.join(between)}, whose charts are needed too; or run the "
            "task once for each version, with its chart",
        )
    for one in between:
        try:
            request.chart.of(one).own_version()
        except OptionError as error:
            raise OptionError(
                "chart_ref",
                request.chart.of(one).reference,
                f"the chart of vCluster {one}; or, first, another release of its minor version as vcluster_version",
                reason=f"the way to {version} goes through {one}: {error}",
            ) from error


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
    result = _with_endpoint(request, result)
    for option, given in (("labels", request.labels), ("annotations", request.annotations)):
        in_values = values.get(result, ("controlPlane", "statefulSet", option)) or {}
        if option == "annotations":
            in_values = {**(values.get(result, values.GLOBAL_ANNOTATIONS) or {}), **in_values}
        planning.check_metadata(option, given, in_values)
    compatibility.check_values(result, target, values.get(result, values.IMAGE_REPOSITORY))
    if deployed and compatibility.parse_version(deployed.chart_version) == target:
        compatibility.check_immutable(deployed.values, result, target)  # else stage by stage: see plan_stages
    if way_back(state, request) is None:  # with a way back, it is started in between
        _check_ran(_last_run(state.workload(request.name))[0], target)
    asked = _kubernetes_asked(result)
    if asked:
        compatibility.parse_kubernetes_version(str(asked))
    return result


def _with_endpoint(request: Request, given: dict[str, Any]) -> dict[str, Any]:
    """Values with the endpoint that the task asks for."""
    if request.endpoint is None:
        return given
    host = request.endpoint.get("host")
    exposure.check_form(request.endpoint)
    exposure.check_host(request.endpoint, host, "endpoint.host")
    return exposure.onto(given, request.endpoint, host)


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
        if state.release:  # it was not a moment ago; see _unless_leaving
            raise NestedClustersError(
                f"virtual cluster {request.name}: namespace {request.namespace} was deleted while this task looked at "
                "it: run again, which makes it anew"
            )
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


def _plan_release(request: Request, state: State, stages: list[Stage], plan: Plan) -> bool:
    """Add what Helm has to do to the plan; False if nothing."""
    release = state.release
    last = stages[-1]
    if state.pending:
        plan.steps.append(f"clear the unfinished Helm revision {state.pending.revision} ({state.pending.status})")
    if release is None:
        plan.steps.append(f"install release {request.name} with vCluster {last.version}")
        plan.helm = True
        return True
    steps = []
    before = release.chart_version
    for stage in stages:
        words = []
        if compatibility.parse_version(before) != compatibility.parse_version(stage.version):
            words.append(f"from vCluster {before} to {stage.version}")
        if stage.kubernetes or (stage is last and len(stages) > 1 and not words):
            named = stage.kubernetes or _kubernetes_asked(stage.values)
            words.append(f"{'with' if words else 'to'} Kubernetes {named}")
        if words:
            wait = "" if stage is last else ", and wait until it is ready"
            steps.append(f"upgrade release {request.name} {' '.join(words)}{wait}")
        before = stage.version
    if not steps and release.status != "deployed":
        steps.append(f"repeat release {request.name}, which is {release.status}")
    if without_nulls(release.values) != without_nulls(last.values):
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


def _plan_reused(kubernetes: Kubernetes, request: Request, plan: Plan) -> None:
    """Take the mark off volume claims that were kept when a virtual cluster of this name was deleted.

    That is done after Helm: with a release nobody takes them for left over.
    """
    listed = list_allowed(kubernetes, path("v1", "persistentvolumeclaims", request.namespace), metadata_only=True)
    for meta in sorted((claim["metadata"] for claim in listed), key=lambda meta: str(meta["name"])):
        labels, name = meta.get("labels") or {}, meta["name"]
        its_own = request.name in (labels.get("release"), labels.get(phase.SYNCED_LABEL))
        if its_own and planning.KEPT in (meta.get("annotations") or {}):
            plan.reused.append(name)
            plan.steps.append(f"mark volume claim {name} as used again")
            plan.diff += planning.diff({planning.KEPT: "true"}, {}, f"annotations of volume claim {name}")


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
    wait_until_free(kubernetes, request.namespace, request.patience)
    try:
        kubernetes.create(path("v1", "namespaces"), namespace_of(request))
    except KubernetesError as error:
        if error.reason != "AlreadyExists":  # somebody was faster; Helm finds it all the same
            raise


def wait_until_free(kubernetes: Kubernetes, namespace: str, timeout: float = GONE_SECONDS) -> None:
    """Wait until a namespace that is being deleted is gone. Raises WaitError after ``timeout`` seconds."""
    where = path("v1", "namespaces", None, namespace)
    deadline = time.monotonic() + timeout
    while (there := kubernetes.get(where)) and there["metadata"].get("deletionTimestamp"):
        if time.monotonic() > deadline:
            raise WaitError(
                f"namespace {namespace} is being deleted and still there after {timeout:g} s: "
                f"{namespace_conditions(there)}; run the task again when nothing holds it any more"
            )
        time.sleep(waiting.POLL_SECONDS)


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
        time.sleep(waiting.POLL_ONE_SECONDS)


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
