# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host cluster as it was at one moment: questions about single virtual clusters, answered from one LIST a kind.

Whoever plans for one virtual cluster asks for what is in its namespace. Where many are planned for, the first
question of a kind reads that kind for all of them. An object without the chart's labels is not seen that way and
counts as missing, so a plan made from this says at most that there is more to do than there is. Whoever wants to know
what, looks again.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

from ..common.well_known import NAMESPACE, SYNCED_LABEL
from .client import Kubernetes, parallel
from .errors import KubernetesError
from .objects import Object, Objects, path

_SELECTOR = f"release,!{SYNCED_LABEL}"
# Where the chart's labels do not find what is asked for. Helm's records are needed of everybody: whose release is in
# a namespace is a question that others' answer.
_SELECTORS: dict[str, tuple[str, ...]] = {
    "namespaces": ("",),
    "nodes": ("",),
    "secrets": ("owner=helm,status!=superseded", f"app=vcluster,release,!{SYNCED_LABEL}"),
}
_KUBECONFIGS = "app=vcluster,vcluster-name"  # vCluster's own Secrets: large, because of its certificates
# What every virtual cluster of a group has.
_USUAL = (
    path("v1", "namespaces"),
    path("v1", "secrets"),
    path("v1", "serviceaccounts"),
    path("v1", "services"),
    path("v1", "resourcequotas"),
    path("v1", "limitranges"),
    path("apps/v1", "statefulsets"),
    path("rbac.authorization.k8s.io/v1", "roles"),
    path("rbac.authorization.k8s.io/v1", "rolebindings"),
)
_PATH = re.compile(
    r"(?P<root>/api/v1|/apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?"
)
_TERM = re.compile(r"(?P<no>!)?(?P<label>[A-Za-z0-9./_-]+)(?:(?P<differs>!)?=(?P<value>[A-Za-z0-9._-]*))?")


class _Collection:
    """Every object of a kind that a virtual cluster can have, by namespace ("" where it lives in none) and name."""

    def __init__(self, items: Objects) -> None:
        self.of: dict[str, dict[str, Object]] = defaultdict(dict)
        for item in items:
            metadata = item["metadata"]
            self.of[metadata.get("namespace", "")][metadata["name"]] = item


class Snapshot(Kubernetes):
    """Reads of ``live`` that are made once. It cannot write: changes go to ``live``.

    ``kubeconfigs``: whether the Secrets with kubeconfigs are asked for as well. A kind that may not be listed in all
    namespaces is asked for in each.
    """

    def __init__(self, live: Kubernetes, kubeconfigs: bool = False) -> None:
        self.live = live
        self.host = live.host
        self._secrets = _SELECTORS["secrets"] + ((_KUBECONFIGS,) if kubeconfigs else ())
        self._known: dict[str, _Collection | KubernetesError] = {}
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._looked_into: set[str] = set()

    def prefetch(self) -> None:
        """Read at once what every virtual cluster of a group has."""
        parallel([partial(self._collection, *where.rsplit("/", 1)) for where in _USUAL])

    def look_again(self, namespace: str) -> None:
        """Read a namespace again: from now on, answers about it come from the host cluster."""
        self._looked_into.add(namespace)

    def get(self, where: str) -> Object | None:
        """Return the object at a path as it was, or None where there was none."""
        asked = _PATH.fullmatch(where)
        known = self._answer(asked)
        if asked is None or known is None or not asked["name"]:
            return self.live.get(where)
        return known.of[unquote(asked["namespace"] or "")].get(unquote(asked["name"]))

    def list(self, where: str, labels: str = "", fields: str = "", metadata_only: bool = False) -> Objects:
        """Return every object of a kind as it was, in a namespace or on the host cluster."""
        asked = _PATH.fullmatch(where)
        terms = [_TERM.fullmatch(term) for term in labels.split(",") if term]
        known = None if fields or not all(terms) else self._answer(asked)
        if asked is None or known is None:
            return self.live.list(where, labels, fields, metadata_only)
        namespaces = [unquote(asked["namespace"])] if asked["namespace"] else list(known.of)
        items = [item for namespace in namespaces for item in known.of.get(namespace, {}).values()]
        return [item for item in items if all(term and _fits(item, term) for term in terms)]

    def resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        """Return the plural of a kind, and whether it lives in a namespace."""
        return self.live.resource(api_version, kind)

    def _request(self, method: str, where: str, *_more: Any, **_others: Any) -> bytes:
        raise AssertionError(f"{method} {where}: a snapshot answers reads only")

    def _answer(self, asked: re.Match[str] | None) -> _Collection | None:
        """Return the objects of a kind in the snapshot; None if the host cluster has to be asked."""
        if asked is None:
            return None
        namespace = unquote(asked["namespace"] or "")
        of_namespace = unquote(asked["name"] or "") if asked["plural"] == "namespaces" else namespace
        if namespace == NAMESPACE or of_namespace in self._looked_into:
            return None
        found = self._collection(asked["root"], asked["plural"])
        if isinstance(found, KubernetesError):
            if found.status != 403:
                raise found
            return None
        return found

    def _collection(self, root: str, plural: str) -> _Collection | KubernetesError:
        where = f"{root}/{plural}"
        with self._locks[where]:
            if where not in self._known:
                try:
                    self._known[where] = _Collection(self._read(where, plural))
                except KubernetesError as error:
                    self._known[where] = error
            return self._known[where]

    def _read(self, where: str, plural: str) -> Objects:
        selectors = self._secrets if plural == "secrets" else _SELECTORS.get(plural, (_SELECTOR,))
        answers = parallel([partial(self.live.list, where, labels=selector) for selector in selectors])
        return [item for answer in answers for item in answer]


def _fits(item: Mapping[str, Any], term: re.Match[str]) -> bool:
    """Return whether an object fits one term of a label selector: a, !a, a=b or a!=b."""
    labels = item["metadata"].get("labels") or {}
    if term["value"] is None:
        return (term["label"] in labels) != bool(term["no"])
    return (labels.get(term["label"]) == term["value"]) != bool(term["differs"])


def live(kubernetes: Kubernetes) -> Kubernetes:
    """Return the host cluster itself, also of a snapshot."""
    return kubernetes.live if isinstance(kubernetes, Snapshot) else kubernetes
