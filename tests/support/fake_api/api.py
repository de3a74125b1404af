# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""REST: from a request to what the storage does, and to the answer."""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from .kinds import REVIEWS, Kind, Served
from .messages import NotServed, Object, Refused, Request, Response
from .selectors import Match, by_fields, by_labels
from .storage import Storage, Stored, merged

MERGE_PATCH = "application/merge-patch+json"
_NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)


@dataclass(frozen=True)
class Target:
    """What a path names: a collection, an object or a part of one."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    part: str = ""  # a subresource, and what is behind it

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


@dataclass(frozen=True)
class Rule:
    """What the user may not do; ``allowed_in`` names the namespaces in which a role permits it."""

    verb: str
    plural: str
    allowed_in: frozenset[str] = frozenset()


class Api:
    """The REST API over a storage."""

    def __init__(self, storage: Storage, served: Served, host: str) -> None:
        self.storage = storage
        self.served = served
        self.host = host
        self.lock = threading.RLock()
        self.denied: list[Rule] = []
        self.pod_answer: Callable[[Request], str | Response] = lambda request: "ok"
        self._pages: dict[str, list[Stored] | None] = {}  # by token; None where they expired
        self._numbers = itertools.count(1)

    def handle(self, request: Request) -> Response:
        """Answer a request."""
        with self.lock:
            if (document := self.served.discovery(request.path)) is not None:
                return Response.of(document)
            try:
                target = self.target(request.path)
                self._authorize(request, target)
                if target.part and target.part != "status":
                    return self._part(request, target)
                return self._method(request.method, target)(request, target)
            except Refused as refused:
                return refused.response

    def target(self, path: str) -> Target:
        """Return what a path names. Raises Refused where it is not served."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        version, rest = (parts[1], parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        kind = self.served.find(version, rest[0]) if rest else None
        if kind is None or (namespace and not kind.namespaced):
            if not self.served.serves(version):
                raise NotServed
            raise Refused(404, "NotFound", "the server could not find the requested resource", {})
        return Target(kind, namespace, rest[1] if len(rest) > 1 else "", "/".join(rest[2:]))

    def allowed(self, verb: str, plural: str, namespace: str) -> bool:
        """Return whether the user may do something: to ask that is allowed to all."""
        if plural == REVIEWS.plural:
            return True
        rules = [rule for rule in self.denied if rule.verb in (verb, "*") and rule.plural in (plural, "*")]
        return all(namespace in rule.allowed_in for rule in rules)

    def _authorize(self, request: Request, target: Target) -> None:
        verb = self.verb(request.method, target)
        namespace = target.name if target.kind.qualified == _NAMESPACE.qualified else target.namespace
        resource = f"{target.kind.plural}/{target.part.partition('/')[0]}".rstrip("/")
        if self.allowed(verb, resource, namespace):
            return
        scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        kind, name = target.kind, f' "{target.name}"' if target.name else ""
        message = f'{kind.qualified}{name} is forbidden: User "tester" cannot {verb} resource "{resource}" in API '
        raise Refused(403, "Forbidden", f'{message}group "{kind.group}" {scope}', {"kind": kind.plural})

    @staticmethod
    def verb(method: str, target: Target) -> str:
        """Return the verb of a request, as roles name it."""
        if method == "GET":
            return "get" if target.name else "list"
        if method == "DELETE":
            return "delete" if target.name else "deletecollection"
        return {"POST": "create", "PUT": "update", "PATCH": "patch"}[method]

    def _method(self, method: str, target: Target) -> Callable[[Request, Target], Response]:
        methods = {"GET": self._list, "POST": self._create, "DELETE": self._delete_all}
        if target.name:
            methods = {"GET": self._get, "PUT": self._write, "PATCH": self._write, "DELETE": self._delete}
        if method not in methods or (method == "DELETE" and self.verb(method, target) not in target.kind.verbs):
            message = "the server does not allow this method on the requested resource"
            raise Refused(405, "MethodNotAllowed", message, {})
        return methods[method]

    def _part(self, request: Request, target: Target) -> Response:
        """What a pod answers: its log, or what it is asked through the API server."""
        self.storage.find(target.kind, (target.namespace, _pod_name(target.name)))
        answer = self.pod_answer(request)
        return Response(200, answer.encode()) if isinstance(answer, str) else answer

    # --- reading ---

    def _get(self, request: Request, target: Target) -> Response:
        stored = self.storage.find(target.kind, target.key)
        if "as=PartialObjectMetadata;" in request.headers.get("accept", ""):
            return Response(200, stored.partial)
        return Response(200, stored.whole(target.kind))

    def _list(self, request: Request, target: Target) -> Response:
        query = request.query
        token, limit = query.get("continue", ""), int(query.get("limit") or 0)
        items = self._page(token) if token else self._selected(target, query)
        metadata: Object = {"resourceVersion": self.storage.version}
        if limit and len(items) > limit:
            following = base64.urlsafe_b64encode(f"page {next(self._numbers)}".encode()).decode()
            self._pages[following] = items[limit:]
            metadata["continue"] = following
            if not query.get("labelSelector") and not query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(items) - limit
            items = items[:limit]
        head: Object = {"kind": f"{target.kind.kind}List", "apiVersion": target.kind.api_version}
        if "as=PartialObjectMetadataList;" in request.headers.get("accept", ""):
            head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            documents = [item.partial for item in items]
        elif target.kind.custom:
            documents = [item.whole(target.kind) for item in items]
        else:
            documents = [item.item for item in items]
        start = json.dumps({**head, "metadata": metadata}).encode()[:-1]
        return Response(200, start + b', "items": [' + b", ".join(documents) + b"]}")

    def _page(self, token: str) -> list[Stored]:
        if token not in self._pages:
            raise Refused(400, "BadRequest", "invalid continue token")
        if (items := self._pages[token]) is None:
            message = "The provided continue parameter is too old to display a consistent list result."
            raise Refused(410, "Expired", message)
        return items

    def expire_pages(self) -> None:
        """Forget the LISTs that are being read in pages, as after a compaction."""
        self._pages = dict.fromkeys(self._pages)

    def _selected(self, target: Target, query: dict[str, str]) -> list[Stored]:
        matches: list[Match] = []
        if query.get("labelSelector"):
            matches.append(by_labels(query["labelSelector"]))
        if query.get("fieldSelector"):
            matches.append(by_fields(query["fieldSelector"], target.kind))
        found = sorted(self.storage.collection(target.kind).items())  # as etcd has them: by namespace and name
        return [
            item
            for key, item in found
            if target.namespace in ("", key[0]) and all(match(item.document) for match in matches)
        ]

    # --- writing ---

    def _create(self, request: Request, target: Target) -> Response:
        kind, body = target.kind, request.body
        if kind == REVIEWS:
            return self._review(body)
        wanted = (body.get("apiVersion", kind.api_version), body.get("kind", kind.kind))
        if wanted != (kind.api_version, kind.kind):
            raise Refused(400, "BadRequest", f"{wanted[1]} in version {wanted[0]} cannot be handled as a {kind.kind}")
        metadata = dict(body.get("metadata") or {})
        if metadata.get("namespace", target.namespace) != target.namespace:
            message = "the namespace of the provided object does not match the namespace sent on the request"
            raise Refused(400, "BadRequest", message)
        if metadata.get("resourceVersion"):
            raise Refused(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName']}{next(self._numbers):05x}"
        if not metadata.get("name"):
            message = "metadata.name: Required value: name or generateName is required"
            raise Refused(422, "Invalid", f'{kind.kind} "" is invalid: {message}', {"kind": kind.kind})
        if target.namespace:
            metadata["namespace"] = target.namespace
            self._check_namespace(target, metadata["name"])
        for name in ("uid", "creationTimestamp", "deletionTimestamp", "generation"):
            metadata.pop(name, None)
        stored = self.storage.create(kind, {**body, "metadata": metadata})
        return Response(201, stored.whole(kind))

    def _check_namespace(self, target: Target, name: str) -> None:
        """What admission asks of a namespace before something is made in it."""
        namespace = self.storage.find(_NAMESPACE, ("", target.namespace))
        if namespace.metadata.get("deletionTimestamp"):
            message = f"unable to create new content in namespace {target.namespace} because it is being terminated"
            details = {"name": name, "kind": target.kind.plural}
            raise Refused(403, "Forbidden", f'{target.kind.qualified} "{name}" is forbidden: {message}', details)

    def _review(self, body: Object) -> Response:
        wanted = body["spec"]["resourceAttributes"]
        allowed = self.allowed(wanted["verb"], wanted["resource"], wanted.get("namespace", ""))
        return Response.of({**body, "status": {"allowed": allowed}}, 201)

    def _write(self, request: Request, target: Target) -> Response:
        stored = self.storage.find(target.kind, target.key)
        body: Any = request.body
        if request.method == "PATCH":
            if request.headers.get("content-type") != MERGE_PATCH:
                raise Refused(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
            body = merged(stored.document, body)
        document = {name: value for name, value in body.items() if name not in ("apiVersion", "kind")}
        if target.part == "status":
            document = {**stored.document, "status": document.get("status")}
        elif "status" in stored.document:
            document["status"] = stored.document["status"]
        else:
            document.pop("status", None)
        document.setdefault("metadata", {})
        document["metadata"] = {"name": target.name, **document["metadata"]}
        if target.namespace:
            document["metadata"]["namespace"] = target.namespace
        return Response(200, self.storage.update(stored, document).whole(target.kind))

    def _delete(self, request: Request, target: Target) -> Response:
        stored = self.storage.find(target.kind, target.key)
        left = self.storage.delete(stored, request.body or {})
        if left:
            return Response(200, left.whole(target.kind))
        details = {"name": target.name, "kind": target.kind.plural, "uid": stored.metadata["uid"]}
        return Response.of({"kind": "Status", "apiVersion": "v1", "status": "Success", "details": details})

    def _delete_all(self, request: Request, target: Target) -> Response:
        for stored in self._selected(target, request.query):
            if self.storage.collection(target.kind).get(stored.key) is stored:
                self.storage.delete(stored, request.body or {})
        return Response.of({"kind": f"{target.kind.kind}List", "apiVersion": target.kind.api_version, "items": []})


def _pod_name(name: str) -> str:
    """Return the pod of SCHEME:NAME:PORT, as a path to a proxy has it."""
    return name.split(":")[1] if ":" in name else name
