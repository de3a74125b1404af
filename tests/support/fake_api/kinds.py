# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds that the API server serves, and discovery of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .messages import Object

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Kind:
    """A kind in one version. ``counts``: ``metadata.generation`` counts changes of its spec."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    counts: bool = False
    verbs: tuple[str, ...] = VERBS
    custom: bool = False  # items of a LIST say their kind

    @property
    def group(self) -> str:
        """The API group; empty for the core's."""
        return self.api_version.rpartition("/")[0]

    @property
    def qualified(self) -> str:
        """PLURAL.GROUP, as messages of the API server name it."""
        return f"{self.plural}.{self.group}".rstrip(".")

    @property
    def root(self) -> str:
        """The path of its version."""
        return root(self.api_version)


def root(api_version: str) -> str:
    """Return the path of an API version."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def custom(api_version: str, kind: str, plural: str = "", namespaced: bool = True) -> Kind:
    """Return the kind of a CustomResourceDefinition."""
    return Kind(api_version, kind, plural or f"{kind.lower()}s", namespaced, counts=True, custom=True)


# Those that the collection, vCluster or a test has to do with: looking at a whole namespace costs a request for each.
# API version, kind, plural; "-" stands for a kind outside of namespaces, "+" for one whose generation is counted.
_BUILT_IN = """
v1 ConfigMap configmaps
v1 Endpoints endpoints
v1 Event events
v1 LimitRange limitranges
v1 Namespace namespaces -
v1 Node nodes -
v1 PersistentVolume persistentvolumes -
v1 PersistentVolumeClaim persistentvolumeclaims
v1 Pod pods +
v1 ResourceQuota resourcequotas
v1 Secret secrets
v1 Service services
v1 ServiceAccount serviceaccounts
apps/v1 DaemonSet daemonsets +
apps/v1 Deployment deployments +
apps/v1 ReplicaSet replicasets +
apps/v1 StatefulSet statefulsets +
batch/v1 Job jobs +
coordination.k8s.io/v1 Lease leases
networking.k8s.io/v1 Ingress ingresses +
networking.k8s.io/v1 IngressClass ingressclasses -+
networking.k8s.io/v1 NetworkPolicy networkpolicies +
policy/v1 PodDisruptionBudget poddisruptionbudgets +
rbac.authorization.k8s.io/v1 ClusterRole clusterroles -
rbac.authorization.k8s.io/v1 ClusterRoleBinding clusterrolebindings -
rbac.authorization.k8s.io/v1 Role roles
rbac.authorization.k8s.io/v1 RoleBinding rolebindings
scheduling.k8s.io/v1 PriorityClass priorityclasses -+
storage.k8s.io/v1 StorageClass storageclasses -
"""


def _built_in() -> list[Kind]:
    result = []
    for line in _BUILT_IN.strip().splitlines():
        api_version, kind, plural, marks = f"{line} ".split(" ", 3)
        verbs = tuple(verb for verb in VERBS if (kind, verb) != ("Namespace", "deletecollection"))
        result.append(Kind(api_version, kind, plural, "-" not in marks, "+" in marks, verbs))
    return result


BUILT_IN = tuple(_built_in())
_REVIEWS = "authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews"
REVIEWS = Kind(*_REVIEWS, namespaced=False, verbs=("create",))
# What an API server serves only where somebody has installed it.
GATEWAY_API = (
    custom("gateway.networking.k8s.io/v1", "Gateway"),
    custom("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", namespaced=False),
    custom("gateway.networking.k8s.io/v1", "TLSRoute"),
)
METRICS = (
    Kind("metrics.k8s.io/v1beta1", "NodeMetrics", "nodes", namespaced=False, verbs=("get", "list")),
    Kind("metrics.k8s.io/v1beta1", "PodMetrics", "pods", verbs=("get", "list")),
)


class Served:
    """The kinds of one API server."""

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self._kinds: dict[tuple[str, str], Kind] = {}  # by API version and plural
        self._answers: dict[str, Object] = {}  # of discovery, by path
        self.change((*BUILT_IN, REVIEWS, *kinds))

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds.values())

    def change(self, more: Iterable[Kind] = (), without: Iterable[str] = ()) -> None:
        """Serve more kinds, and those of these names no more."""
        self._kinds.update({(kind.api_version, kind.plural): kind for kind in more})
        self._kinds = {key: kind for key, kind in self._kinds.items() if kind.kind not in set(without)}
        self._answers = self._discovery()

    def find(self, api_version: str, plural: str) -> Kind | None:
        """Return the kind of a path."""
        return self._kinds.get((api_version, plural))

    def serves(self, api_version: str) -> bool:
        """Return whether there is anything of an API version."""
        return root(api_version) in self._answers

    def named(self, kind: str, api_version: str = "") -> Kind:
        """Return the kind of this name; ``api_version`` where several have it. Raises KeyError."""
        for known in self._kinds.values():
            if known.kind == kind and api_version in ("", known.api_version):
                return known
        raise KeyError(f"{kind} of {api_version or 'any version'} is not served: name it in FakeCluster(serves=...)")

    def discovery(self, path: str) -> Object | None:
        """Return the answer about what is served; None where the path asks for something else."""
        return self._answers.get(path)

    def _discovery(self) -> dict[str, Object]:
        groups: dict[str, Object] = {}
        answers: dict[str, Object] = {"/api": {"kind": "APIVersions", "versions": ["v1"]}}
        for kind in self._kinds.values():
            head = {"kind": "APIResourceList", "groupVersion": kind.api_version}
            answers.setdefault(kind.root, {**head, "resources": []})["resources"].append(_resource(kind))
            if not kind.group:
                continue
            entry = {"groupVersion": kind.api_version, "version": kind.api_version.rpartition("/")[2]}
            group = groups.setdefault(kind.group, {"name": kind.group, "versions": [], "preferredVersion": entry})
            if entry not in group["versions"]:
                group["versions"].append(entry)
        for name, group in groups.items():
            answers[f"/apis/{name}"] = {"kind": "APIGroup", "apiVersion": "v1", **group}
        answers["/apis"] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": list(groups.values())}
        return answers


def _resource(kind: Kind) -> Object:
    return {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
