# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm's records on a host cluster: which releases there are, and where each of them lives.

A record need not be where its release is. Flux keeps it in a HelmRelease's storageNamespace and installs into its
targetNamespace, which only the content of the record names.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ..helm.chart import is_vcluster
from ..helm.release import RECORD_PREFIX, RELEASE_SECRET_TYPE, Release, newest_of_each, release_in
from ..k8s.client import Kubernetes, parallel
from ..k8s.objects import path
from ..listing.contents import Contents, ObjectRef
from ..listing.observed import ClusterKey

# After these, an earlier revision is still the one that is deployed.
_NOT_FINISHED = ("failed", "pending-upgrade", "pending-rollback")


def newest(held: Contents) -> dict[ClusterKey, ObjectRef]:
    """Return the Secret with the newest revision of each release, by its own namespace and the release's name."""
    return newest_of_each(_records(held, "secrets"), lambda record: record.labels)


def deployed(held: Contents) -> set[ClusterKey]:
    """Return the releases with a deployed revision, also those that Helm keeps in ConfigMaps.

    A failed upgrade leaves the revision before it deployed.
    """
    last = newest(held)
    kept_in_secrets = {
        key
        for key, record in _records(held, "secrets")
        if record is last[key] or last[key].labels.get("status") in _NOT_FINISHED
        if record.labels.get("status") == "deployed"
    }
    return kept_in_secrets | {
        key for key, record in _records(held, "configmaps") if record.labels.get("status") == "deployed"
    }


def homes(
    kubernetes: Kubernetes, records: Mapping[ClusterKey, ObjectRef]
) -> tuple[dict[ClusterKey, ClusterKey], set[ClusterKey]]:
    """Return (namespace and name of releases of vCluster's chart, by where their records are; those of other charts).

    As the records say it: one request each. A record that cannot be read says nothing.
    """
    found, others = dict[ClusterKey, ClusterKey](), set[ClusterKey]()
    answers = parallel([partial(_release, kubernetes, key, record) for key, record in records.items()])
    for key, release in zip(records, answers, strict=True):
        if release is None:
            continue
        home = release.namespace, release.name
        if is_vcluster(release.chart_name):
            found[key] = home
        else:
            others.add(home)
    return found, others


def is_record_of(ref: ObjectRef, name: str) -> bool:
    """Return whether an object is a record of a release of this name."""
    return ref.secret_type == RELEASE_SECRET_TYPE and ref.labels.get("name") == name


def _release(kubernetes: Kubernetes, key: ClusterKey, record: ObjectRef) -> Release | None:
    return release_in(kubernetes.get(path("v1", "secrets", key[0], record.name)))


def _records(held: Contents, plural: str) -> list[tuple[ClusterKey, ObjectRef]]:
    return [
        ((namespace, ref.labels["name"]), ref)
        for namespace, refs in held.inside.items()
        for ref in refs
        if ref.plural == plural and not ref.synced and ref.labels.get("name") and _is_record(ref)
    ]


def _is_record(ref: ObjectRef) -> bool:
    if ref.plural == "secrets":
        return ref.secret_type == RELEASE_SECRET_TYPE
    return ref.labels.get("owner") == "helm" and ref.name.startswith(RECORD_PREFIX)
