# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several unit tests put in place of a host cluster."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from fake_api import GATEWAY_API, FakeCluster, Request, Response, refusal
from helm_releases import NAMESPACE


class Objects(MutableMapping[str, dict[str, Any]]):
    """The objects of a host cluster by path. What a test changes in one of them is written when it is next used."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self._lent: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def __getitem__(self, path: str) -> dict[str, Any]:
        self.settle()
        found = self._cluster.at(path)
        self._lent.append((path, found, self._cluster.at(path)))
        return found

    def __setitem__(self, path: str, value: dict[str, Any]) -> None:
        self.settle()
        target = self._cluster.api.target(path)
        self._cluster.add({"apiVersion": target.kind.api_version, "kind": target.kind.kind, **value})

    def __delitem__(self, path: str) -> None:
        self.settle()
        if path not in self._cluster:
            raise KeyError(path)
        self._cluster.vanish(path)

    def __iter__(self) -> Iterator[str]:
        self.settle()
        return iter(self._cluster.state())

    def __len__(self) -> int:
        return len(self._cluster.paths())

    def __contains__(self, path: object) -> bool:
        return str(path) in self._cluster

    def __eq__(self, other: object) -> bool:
        return dict(self) == other

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        self.settle()
        return self._cluster.state()

    def settle(self) -> None:
        """Write what a test has changed meanwhile."""
        lent, self._lent = self._lent, []
        for path, found, before in lent:
            if found != before and path in self._cluster:
                self._cluster.add(found)
                before = json.loads(json.dumps(found))
            self._lent.append((path, found, before))


class FakeKubernetes(Kubernetes):
    """The real client of a host cluster in memory, with what older tests have, see and set.

    New tests take a FakeCluster and its ``client()``. ``asked`` are requests as VERB PATH, ``written`` the writes that
    were done. ``before`` is called with verb and path of each request. ``denied`` are verbs with a plural or a name
    that may not be done. ``forbidden`` and ``broken`` are plurals that may not, and cannot, be read. ``sticky`` are
    paths of what does not go.
    """

    def __init__(self, host: str = "https://host", uid: str = "") -> None:
        self.fake = FakeCluster(host=host, serves=GATEWAY_API)
        super().__init__(self.fake.client().connection)
        self.fake.intercept = self._intercept
        self._objects = Objects(self.fake)
        self.asked: list[str] = []
        self.written: list[str] = []
        self.before: Callable[[str, str], None] = lambda verb, where: None
        self.denied: set[tuple[str, str]] = set()
        self.forbidden: set[str] = set()
        self.broken: set[str] = set()
        self.sticky: set[str] = set()
        self._held: set[str] = set()
        if uid:
            self.have("Namespace", "kube-system", uid=uid)

    @property
    def down(self) -> bool:
        """Whether nobody can connect."""
        return self.fake.down

    @down.setter
    def down(self, down: bool) -> None:
        self.fake.down = down

    @property
    def objects(self) -> Objects:
        """The objects by path."""
        return self._objects

    @objects.setter
    def objects(self, objects: Mapping[str, dict[str, Any]]) -> None:
        wanted = copy.deepcopy(dict(objects))
        for path in self.fake.paths():
            if path not in wanted:
                self.fake.vanish(path)
        for path, document in wanted.items():
            if path not in self.fake or self.fake.at(path) != document:
                self._objects[path] = document

    def _intercept(self, request: Request) -> Response | int | None:
        verb, name = self.fake.verb(request), request.path.rpartition("/")[2]
        self.asked.append(f"{verb} {request.path}")
        self.before(verb, request.path)
        self._settle()
        if name == "selfsubjectaccessreviews" and self.denied:
            wanted = request.body["spec"]["resourceAttributes"]
            allowed = (wanted["verb"], wanted["resource"]) not in self.denied
            return Response.of({**request.body, "status": {"allowed": allowed}}, 201)
        if (verb, name) in self.denied or (request.method == "GET" and name in self.forbidden):
            return refusal(403, f'{name} is forbidden: User "tester" cannot {verb} resource "{name}"')
        return 500 if request.method == "GET" and name in self.broken else None

    def _request(self, method: str, where: str, *arguments: Any, **options: Any) -> bytes:
        if self.fake.down:
            self.asked.append(f"{method.lower()} {where}")
        answer = super()._request(method, where, *arguments, **options)
        verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}.get(method)
        if verb and "selfsubjectaccessreviews" not in where:
            name = f"/{options['body']['metadata']['name']}" if method == "POST" else ""
            self.written.append(f"{verb} {where}{name}")
        return answer

    def _settle(self) -> None:
        self._objects.settle()
        for path in self.sticky - self._held:
            if path in self.fake:
                meta = self.fake.at(path)["metadata"]
                self.fake.change(path, {"metadata": {"finalizers": [*meta.get("finalizers", []), "tests/sticky"]}})
                self._held.add(path)
        for path in self._held - self.sticky:
            if path in self.fake:
                meta = self.fake.at(path)["metadata"]
                left = [one for one in meta.get("finalizers", []) if one != "tests/sticky"]
                self.fake.change(path, {"metadata": {"finalizers": left}})
            self._held.discard(path)

    def put(self, thing: dict[str, Any], at: str = "") -> dict[str, Any]:
        """Have an object, as if somebody else had made it."""
        self._objects.settle()
        thing = copy.deepcopy(thing)
        if at:
            target = self.fake.api.target(at)
            thing = {"apiVersion": target.kind.api_version, "kind": target.kind.kind, **thing}
        kind = self.fake.kind(thing["kind"], thing.get("apiVersion", ""))
        if kind.namespaced:
            thing["metadata"].setdefault("namespace", NAMESPACE)
        return self.fake.add(thing)

    def have(self, kind: str, name: str, **others: Any) -> dict[str, Any]:
        """Have an object of a kind; ``others`` are its metadata, or type and spec."""
        parts = [part for part in ("type", "spec", "status", "data") if part in others]
        top: dict[str, Any] = {part: others.pop(part) for part in parts}
        return self.put({"kind": kind, "metadata": {"name": name, **others}, **top})

    def names(self, namespace: str = NAMESPACE) -> set[str]:
        """PLURAL/NAME of what is in a namespace."""
        self._objects.settle()
        return {"/".join(at.rsplit("/", 2)[1:]) for at in self.fake.paths(namespace)}


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result
