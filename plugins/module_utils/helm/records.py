# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Helm's records of a release name, and whether that is the release's own.

A record is a Secret in the namespace of the virtual cluster, which all who may edit there can write. Helm deletes what
a record names and the next one does not, wherever that is, before 4.3 without a look at whose it is. So the records
are read as Helm reads them, before Helm does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ..common import yaml_io
from ..common.errors import NestedClustersError
from ..common.well_known import MANAGED_BY_HELM, MANAGED_BY_LABEL, RELEASE_NAME, RELEASE_NAMESPACE
from ..k8s.client import Kubernetes, parallel
from ..k8s.errors import KubernetesError
from ..k8s.objects import path
from ..k8s.snapshot import live
from .release import ADVICE, HelmError, Release, of_release, revisions

# What the chart makes in the namespace by kind; everyone who may write the records may delete these as well.
_TENANTS = {
    ("", "ConfigMap"),
    ("", "PersistentVolumeClaim"),
    ("", "Secret"),
    ("", "Service"),
    ("", "ServiceAccount"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("gateway.networking.k8s.io", "TLSRoute"),
    ("monitoring.coreos.com", "ServiceMonitor"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
}
# What it makes under this name, and a tenant may not delete: others of these kinds can be there to hold him.
_OPERATORS = {
    ("", "LimitRange"),
    ("", "ResourceQuota"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
}

# Helm begins a document at each line that starts so, whatever follows, and YAML only where nothing does.
_BEGINS = re.compile(r"^---(?![ \t\r]*(#.*)?$)", re.MULTILINE)


@dataclass(frozen=True, order=True)
class ManifestObject:
    """An object that a release's manifest names. ``namespace`` is that of the release where it names none."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    def location(self, kubernetes: Kubernetes) -> tuple[str, str]:
        """Return (plural, path) on a host cluster.

        "" for both where that does not serve its kind, or it has no name.
        """
        try:
            plural, namespaced = kubernetes.resource(self.api_version, self.kind)
        except KubernetesError as error:
            if error.status != 404:
                raise
            return "", ""
        if not self.name:
            return "", ""
        return plural, path(self.api_version, plural, self.namespace if namespaced else None, self.name)


class NamedObject(NamedTuple):
    """An object that a manifest names, as it is on the host cluster."""

    target: ManifestObject
    plural: str
    meta: dict[str, Any]


def check(kubernetes: Kubernetes, name: str, namespace: str, rollback_to: int | None = None) -> list[NamedObject]:
    """Check that Helm, when it changes or removes a release, deletes no object of others.

    Called for the plan, and once more right before Helm runs. ``rollback_to`` is the revision that it is to bring
    back. Returns what the newest revision has outside of the namespace, or of another kind than the chart's. Raises
    NestedClustersError with all that is not the release's own, HelmError for a record that is not Helm's.
    """
    kubernetes = live(kubernetes)  # a snapshot holds only what has the chart's labels
    secrets: dict[ManifestObject, str] = {}
    records = kubernetes.list(path("v1", "secrets", namespace), labels=of_release(name))
    acting = _acting(revisions(records, name, namespace), rollback_to)
    for release in acting:
        unusual = {target for target in named(release) if not _is_usual(target, name, namespace)}
        secrets.update(dict.fromkeys(unusual, release.secret_name))
    answers = parallel([partial(_look, kubernetes, target) for target in sorted(secrets)])
    existing = [found for found in answers if found]
    foreign = [found for found in existing if not is_of_release(found.meta, name, namespace)]
    if foreign:
        _refuse(name, namespace, foreign, sorted({secrets[found.target] for found in foreign}))
    return [found for found in existing if secrets[found.target] == acting[-1].secret_name]


def is_of_release(meta: dict[str, Any], name: str, namespace: str) -> bool:
    """Return whether an object has the marks of this release, which Helm writes on each and checks to adopt one."""
    told = meta.get("annotations") or {}
    by_helm = MANAGED_BY_HELM.items() <= (meta.get("labels") or {}).items()
    return by_helm and (told.get(RELEASE_NAME), told.get(RELEASE_NAMESPACE)) == (name, namespace)


def named(release: Release) -> list[ManifestObject]:
    """Return every object that the manifest of a release names.

    Raises HelmError for one that could be read in two ways.
    """
    try:
        if _BEGINS.search(release.manifest.strip()):
            raise ValueError("a line begins with ---, and goes on")
        return [
            target
            for document in yaml_io.compose_all(release.manifest)
            for target in _objects(document, release.namespace)
        ]
    except (yaml_io.YAMLError, ValueError) as error:
        raise HelmError(
            f"Secret {release.namespace}/{release.secret_name} has a manifest that Helm did not write: "
            f"{' '.join(str(error).split())}; {ADVICE}"
        ) from error


def _acting(releases: list[Release], rollback_to: int | None) -> list[Release]:
    """Return those whose manifest Helm may act on: the last, deployed ones, and the one to roll back to."""
    last = releases[-1].revision if releases else None
    return [
        release
        for release in releases
        if release.revision in (last, rollback_to) or release.labels.get("status") == "deployed"
    ]


def _is_usual(target: ManifestObject, name: str, namespace: str) -> bool:
    kind = (target.group, target.kind)
    return target.namespace == namespace and (kind in _TENANTS or (kind in _OPERATORS and target.name == f"vc-{name}"))


def _look(kubernetes: Kubernetes, target: ManifestObject) -> NamedObject | None:
    plural, where = target.location(kubernetes)
    existing = kubernetes.get(where) if where else None
    return NamedObject(target, plural, existing.get("metadata") or {}) if existing is not None else None


def _objects(
    node: Any, namespace: str, api_version: str = "", kind: str = "", of_list: bool = False
) -> Iterator[ManifestObject]:
    """Yield the object of a document, or those of a list, as text: no parser turns 22:30 into a number."""
    if not yaml_io.is_mapping(node):
        return
    entries = yaml_io.entries(node)
    api_version = yaml_io.scalar(entries.get("apiVersion")) or api_version
    kind = yaml_io.scalar(entries.get("kind")) or kind
    if "items" in entries:  # a list, whatever its kind is called
        if of_list:
            raise ValueError("a list is in a list")
        for item in yaml_io.items(entries["items"]):
            yield from _objects(item, namespace, api_version, kind.removesuffix("List"), of_list=True)
    elif kind:
        meta = entries.get("metadata")
        told = yaml_io.entries(meta) if yaml_io.is_mapping(meta) else {}
        where = _namespace(told.get("namespace"), namespace)
        yield ManifestObject(api_version, kind, where, yaml_io.scalar(told.get("name")))


def _namespace(node: Any, namespace: str) -> str:
    """Return the namespace that an object names. Where that is no text to Helm, Helm takes the release's own."""
    text = yaml_io.scalar(node)
    if text in ("", namespace) or yaml_io.is_text(node):
        return text or namespace
    if text in ("~", "null"):
        return namespace
    raise ValueError(f"namespace {text} is not text")


def _refuse(name: str, namespace: str, foreign: list[NamedObject], secrets: list[str]) -> None:
    shown = "; ".join(_told(found.target, found.meta) for found in foreign)
    raise NestedClustersError(
        f"virtual cluster {name} in namespace {namespace}: its Helm record (Secret {', '.join(secrets)}) names objects "
        f"of others, which Helm would delete or overwrite: {shown}. Helm was not run. The objects of this virtual "
        f"cluster have label {MANAGED_BY_LABEL}=Helm and annotations {RELEASE_NAME}={name} and "
        f"{RELEASE_NAMESPACE}={namespace}. Everyone who may write Secrets in the namespace can have changed the "
        "record: find out who did, and restore the Secret from a backup. If the record is right, add that label and "
        "these annotations to the object"
    )


def _told(target: ManifestObject, meta: dict[str, Any]) -> str:
    """Return an object, and whose it is."""
    location = f" in namespace {meta['namespace']}" if meta.get("namespace") else ""
    notes, labels = meta.get("annotations") or {}, meta.get("labels") or {}
    manager = labels.get(MANAGED_BY_LABEL)
    if RELEASE_NAME in notes:
        whose = f"of Helm release {notes[RELEASE_NAME]} in namespace {notes.get(RELEASE_NAMESPACE)}"
    elif manager and manager != "Helm":
        whose = f"managed by {manager}"
    else:
        whose = "of no Helm release"
    return f"{target.kind} {target.name}{location} ({whose})"
