# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what the host cluster holds of one virtual cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..common import well_known
from ..common.well_known import NOT_SYNCED
from ..helm.chart import is_vcluster
from ..helm.records import is_of_release
from ..helm.release import PENDING, UNINSTALLED, Release, newest_releases, own_release, release_in
from ..k8s.client import Kubernetes, parallel
from ..k8s.errors import KubernetesError
from ..k8s.objects import path
from . import manifests, phases
from .manifests import Key
from .plan import Plan

NOT_SUPERSEDED = "status!=superseded"  # Helm keeps ten revisions; only the newest can matter


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
    namespace: str | None = None

    @property
    def recorded(self) -> bool:
        """Return whether Helm knows of what is deployed, or of what it began."""
        return bool(self.pending or (self.release and self.release.status != UNINSTALLED))

    @property
    def ours(self) -> bool:
        return bool(self.release and self.release.labels.get(well_known.MANAGED) == "true")

    def workload(self, name: str) -> dict[str, Any] | None:
        """Return the control plane as it is in the cluster."""
        where = manifests.workload_key(self.live, name, self.namespace)
        return self.live[where] if where else None

    def secret(self, name: str) -> dict[str, Any] | None:
        return next((secret for secret in self.secrets if secret["metadata"]["name"] == name), None)


@dataclass
class Outcome:
    """What a task did, or with ``check`` would do."""

    plan: Plan
    state: State


def read(kubernetes: Kubernetes, name: str, namespace: str) -> State:
    """Read one virtual cluster: one LIST of Secrets, then one for each other kind in the release.

    Raises NestedClustersError for a Helm record that speaks of another release or namespace than where it is.
    """
    secrets = kubernetes.list(path("v1", "secrets", namespace), labels=f"{NOT_SYNCED},{NOT_SUPERSEDED}")
    releases = newest_releases(secrets)
    newest = releases.pop(name, None)
    release = own_release(newest, name, namespace) if newest else None
    pending = None
    if release and release.status in PENDING:
        pending = release
        older = newest_releases(secret for secret in secrets if secret is not newest).get(name)
        release = own_release(older, name, namespace) if older else None
    manifest = manifests.objects(release.manifest, namespace, kubernetes.namespaced) if release else {}
    return State(
        release=release,
        pending=pending,
        neighbours=[one for one in _virtual_clusters(releases.values()) if one.namespace == namespace],
        secrets=secrets,
        manifest=manifest,
        live=_live(kubernetes, manifest, name, namespace, secrets),
        namespace=namespace,
    )


def read_one(kubernetes: Kubernetes, url: str) -> list[dict[str, Any]]:
    item = kubernetes.get(url)
    return [item] if item else []


def _own(kubernetes: Kubernetes, url: str, name: str, namespace: str) -> list[dict[str, Any]]:
    return [item for item in read_one(kubernetes, url) if is_of_release(item.get("metadata") or {}, name, namespace)]


def _virtual_clusters(secrets: Iterable[dict[str, Any]]) -> list[Release]:
    # A broken record of another release does not concern this task.
    releases = filter(None, map(release_in, secrets))
    return [release for release in releases if is_vcluster(release.chart_name)]


def is_paused(workload: dict[str, Any] | None) -> bool:
    """Return whether a control plane was scaled to nothing by a pause."""
    return workload is not None and phases.phase(workload) == "paused"


def _live(
    kubernetes: Kubernetes,
    manifest: dict[Key, dict[str, Any]],
    name: str,
    namespace: str,
    secrets: list[dict[str, Any]],
) -> dict[Key, dict[str, Any]]:
    """Read the live objects of a manifest.

    What is outside of the namespace counts as missing if the release has not made
    it: a tenant can have written it into the manifest."""
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
        if namespaced and where == namespace:
            url = path(api_version, plural, where)
            questions.append(partial(kubernetes.list, url, labels=NOT_SYNCED))
            kinds.append((api_version, kind, where))
            continue
        for one in [k[3] for k in manifest if k[:3] == (api_version, kind, where)]:  # never LIST what is others'
            url = path(api_version, plural, where or None, one)
            questions.append(partial(_own, kubernetes, url, name, namespace))
            kinds.append((api_version, kind, where))
    for (api_version, kind, where), items in zip(kinds, parallel(questions), strict=True):
        live.update({(api_version, kind, where, item["metadata"]["name"]): item for item in items})
    return live
