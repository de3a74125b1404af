# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests use: a host cluster with an API server in memory, and the collection's own client for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import Connection

from . import transport
from .api import Api, Rule
from .kinds import Kind, Served
from .messages import Fault, Interceptor, Object, Refused, Request, Response, refusal
from .storage import Storage, Stored, merged

HOST = "https://host"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class FakeCluster:
    """One host cluster.

    ``client()`` is the real client. ``requests`` are those that came, in order. ``intercept`` is called with each of
    them before it is done, may change the cluster meanwhile, and returns what is to go wrong: None, an HTTP status, a
    Response, DROPPED, ANSWER_LOST or STALLED. While ``down`` is set, nobody can connect.
    """

    def __init__(
        self,
        objects: Iterable[Object] = (),
        host: str = HOST,
        serves: Iterable[Kind] = (),
        now: Callable[[], datetime] = lambda: START,
        stalled: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.host = host
        self.requests: list[Request] = []
        self.intercept: Interceptor = lambda request: None
        self.down = False
        self._storage = Storage(host, now)
        self._served = Served(tuple(serves))
        self.api = Api(self._storage, self._served, host)
        self._pool = transport.pool(self._answer, stalled)
        self._recording = threading.Lock()
        for name in _NAMESPACES:
            self.have("Namespace", name)
        for document in objects:
            self.add(document)

    def client(self) -> Kubernetes:
        """Return a client of this host cluster."""
        return Kubernetes(Connection(self.host, pool=self._pool))

    # --- what tests have, and see ---

    def add(self, document: Object) -> Object:
        """Have an object, as if somebody else had written it, status included. Return it as it is stored.

        One with this name is replaced, and its namespace made where it does not exist.
        """
        document = json.loads(json.dumps(document))
        kind = self._served.named(document["kind"], document.get("apiVersion", ""))
        metadata = document["metadata"]
        with self.api.lock:
            if kind.namespaced:
                self._have_namespace(metadata["namespace"])
            metadata.pop("resourceVersion", None)
            old = self._storage.collection(kind).get((metadata.get("namespace", ""), metadata["name"]))
            if old:
                metadata.setdefault("uid", old.metadata["uid"])
            return _copy(self._storage.put(kind, document))

    def _have_namespace(self, name: str) -> None:
        kind = self._served.named("Namespace")
        if ("", name) not in self._storage.collection(kind):
            self._storage.put(kind, {"metadata": {"name": name}})

    def have(self, kind: str, name: str, api_version: str = "", **parts: Any) -> Object:
        """Have an object of a kind: type, spec, status and data are parts of it, others belong to its metadata."""
        found = self._served.named(kind, api_version)
        top = {part: parts.pop(part) for part in _PARTS if part in parts}
        if found.namespaced:
            parts.setdefault("namespace", "default")
        return self.add({"apiVersion": found.api_version, "kind": kind, "metadata": {"name": name, **parts}, **top})

    def at(self, path: str) -> Object:
        """Return the object at a path. Raises KeyError where there is none."""
        found = self._find(path)
        if found is None:
            raise KeyError(path)
        return _copy(found)

    def __contains__(self, path: str) -> bool:
        return self._find(path) is not None

    def _find(self, path: str) -> Stored | None:
        target = self.api.target(path)
        return self._storage.collection(target.kind).get(target.key)

    def objects(self, kind: str, namespace: str = "", api_version: str = "") -> list[Object]:
        """Return the objects of a kind, of one namespace or of all, sorted by namespace and name."""
        with self.api.lock:
            found = sorted(self._storage.collection(self._served.named(kind, api_version)).items())
        return [_copy(stored) for key, stored in found if namespace in ("", key[0])]

    def stored(self, kind: str) -> list[Object]:
        """Return the objects of a kind as they are stored, without a copy, to read and not to change."""
        with self.api.lock:
            return [one.document for one in self._storage.collection(self._served.named(kind)).values()]

    def names(self, kind: str, namespace: str = "") -> list[str]:
        """Return the names of the objects of a kind."""
        return [item["metadata"]["name"] for item in self.objects(kind, namespace)]

    def state(self) -> dict[str, Object]:
        """Return all objects by path: two that are equal show that nothing was written."""
        with self.api.lock:
            return {self._path(stored): _copy(stored) for stored in self._storage}

    def paths(self, namespace: str = "") -> list[str]:
        """Return the paths of all objects, or of those in a namespace."""
        with self.api.lock:
            return sorted(self._path(stored) for stored in self._storage if namespace in ("", stored.key[0]))

    @staticmethod
    def _path(stored: Stored) -> str:
        namespace, name = stored.key
        inside = f"/namespaces/{namespace}" if namespace else ""
        return f"{stored.kind.root}{inside}/{stored.kind.plural}/{name}"

    def change(self, path: str, patch: Object) -> Object:
        """Merge a patch into an object, status included, as somebody else or a controller does."""
        with self.api.lock:
            stored = self._found(path)
            document = merged(stored.document, json.loads(json.dumps(patch)))
            assert isinstance(document, dict)
            return _copy(self._storage.update(stored, document))

    def delete(self, path: str, **options: Any) -> None:
        """Delete an object as somebody else does; ``gracePeriodSeconds=0`` as a kubelet ends a pod."""
        with self.api.lock:
            self._storage.delete(self._found(path), options)

    def vanish(self, path: str) -> None:
        """Take an object away, whatever holds it."""
        with self.api.lock:
            self._storage.remove(self._found(path))

    def _found(self, path: str) -> Stored:
        target = self.api.target(path)
        return self._storage.find(target.kind, target.key)

    def kind(self, kind: str, api_version: str = "") -> Kind:
        """Return the kind of this name. Raises KeyError where it is not served."""
        return self._served.named(kind, api_version)

    def kinds(self) -> list[Kind]:
        """Return the kinds that are served."""
        return list(self._served)

    # --- permissions and requests ---

    def deny(self, verb: str, plural: str, allowed_in: Iterable[str] = ()) -> None:
        """Forbid a verb on a resource, "*" for all, but in the namespaces in which a role permits it."""
        self.api.denied.append(Rule(verb, plural, frozenset(allowed_in)))

    def permit(self) -> None:
        """Forbid nothing any more."""
        self.api.denied.clear()

    def serve(self, *kinds: Kind, without: Iterable[str] = ()) -> None:
        """Serve more kinds, and those of these names no more."""
        self._served.change(kinds, without)

    def sent(self, *verbs: str) -> list[str]:
        """Return the requests so far as VERB PATH, with the verbs of roles; only some verbs where they are given."""
        found = [(self.verb(request), request.path) for request in self.requests]
        return [f"{verb} {path}" for verb, path in found if not verbs or verb in verbs]

    def writes(self) -> list[str]:
        """Return the writes that were done, as VERB PATH; a creation with the path of what it made."""
        result = []
        for request in self.requests:
            verb = self.verb(request)
            if verb in ("get", "list") or not 200 <= request.status < 300:
                continue
            if "selfsubjectaccessreviews" in request.path:  # which have no names
                continue
            name = f"/{request.body['metadata'].get('name', '')}" if verb == "create" else ""
            result.append(f"{verb} {request.path}{name}")
        return result

    def verb(self, request: Request) -> str:
        """Return the verb of a request, as roles name it."""
        if self._served.discovery(request.path) is not None:
            return "get"
        try:
            return self.api.verb(request.method, self.api.target(request.path))
        except Refused:  # it is not served
            return request.method.lower()

    def _answer(self, method: str, url: str, headers: Any, body: Any) -> Response | Fault | None:
        if self.down:
            return None
        split = urlsplit(url)
        request = Request(
            method,
            split.path,
            dict(parse_qsl(split.query)),
            {name.lower(): value for name, value in headers.items()},
            json.loads(body) if body else None,
        )
        with self._recording:
            self.requests.append(request)
        verdict = self.intercept(request)
        if isinstance(verdict, Fault) and not verdict.processed:
            return verdict
        answer = verdict if isinstance(verdict, Response) else None
        if isinstance(verdict, int):
            answer = refusal(verdict)
        answer = answer or self.api.handle(request)
        request.status = answer.status
        return verdict if isinstance(verdict, Fault) else answer


_PARTS = ("type", "spec", "status", "data", "rules", "provisioner", "involvedObject", "reason", "message", "containers")


def _copy(stored: Stored) -> Object:
    result: Object = json.loads(stored.whole(stored.kind))
    return result
