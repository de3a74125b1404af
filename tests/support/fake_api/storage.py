# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects, and what the API server and its controllers do when they are written and deleted.

Documents are never changed in place: each write makes a new one, which shares what stays. So a LIST in pages is
consistent, and an object is made JSON once, however often it is listed.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime

from .kinds import Kind
from .messages import Object, Refused

Key = tuple[str, str]  # namespace and name
Position = tuple[tuple[str, str], Key]  # group and plural, and the key
_NO_CHANGE = "the object has been modified; please apply your changes to the latest version and try again"


class Stored:
    """One object at one version."""

    __slots__ = ("_item", "_metadata", "document", "kind")

    def __init__(self, kind: Kind, document: Object) -> None:
        self.kind = kind
        self.document = document  # without apiVersion and kind
        self._item: bytes | None = None
        self._metadata: bytes | None = None

    @property
    def metadata(self) -> Object:
        metadata: Object = self.document["metadata"]
        return metadata

    @property
    def key(self) -> Key:
        return self.metadata.get("namespace", ""), self.metadata["name"]

    @property
    def position(self) -> Position:
        return (self.kind.group, self.kind.plural), self.key

    @property
    def owners(self) -> list[Object]:
        owners: list[Object] = self.metadata.get("ownerReferences") or []
        return owners

    @property
    def item(self) -> bytes:
        """The object as JSON without its kind, as a LIST has it."""
        if self._item is None:
            self._item = json.dumps(self.document).encode()
        return self._item

    def whole(self, kind: Kind) -> bytes:
        """Return the object as JSON, in a version in which it is served."""
        return json.dumps({"kind": kind.kind, "apiVersion": kind.api_version}).encode()[:-1] + b", " + self.item[1:]

    @property
    def partial(self) -> bytes:
        """Its metadata as JSON."""
        if self._metadata is None:
            document = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": self.metadata}
            self._metadata = json.dumps(document).encode()
        return self._metadata


def merged(target: object, patch: object) -> object:
    """Return a JSON merge patch applied (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


class Storage:
    """All objects of one API server. The caller holds a lock."""

    def __init__(self, of: str, now: Callable[[], datetime]) -> None:
        self._of = of  # makes UIDs of two API servers differ
        self._now = now
        self._versions = itertools.count(1)
        self.version = "0"
        self._collections: dict[tuple[str, str], dict[Key, Stored]] = defaultdict(dict)  # by group and plural
        # Where objects of a namespace, and those of an owner by its UID, are or were.
        self._inside: dict[str, dict[Position, None]] = defaultdict(dict)
        self._owned: dict[str, dict[Position, None]] = defaultdict(dict)

    def __iter__(self) -> Iterator[Stored]:
        for collection in list(self._collections.values()):
            yield from list(collection.values())

    def _known(self, positions: dict[Position, None]) -> list[Stored]:
        found = [self._collections[collection].get(key) for collection, key in list(positions)]
        return [stored for stored in found if stored]

    def _contents(self, namespace: str) -> list[Stored]:
        return self._known(self._inside[namespace])

    def _dependents(self, uid: str) -> list[Stored]:
        found = self._known(self._owned[uid])
        return [one for one in found if uid in {owner.get("uid") for owner in one.owners}]

    def collection(self, kind: Kind) -> dict[Key, Stored]:
        """Return the objects of a kind."""
        return self._collections[(kind.group, kind.plural)]

    def find(self, kind: Kind, key: Key) -> Stored:
        """Return one object. Raises Refused where it does not exist."""
        found = self.collection(kind).get(key)
        if found is None:
            details = {"name": key[1], "group": kind.group, "kind": kind.plural}
            message = f'{kind.qualified} "{key[1]}" not found'
            raise Refused(404, "NotFound", message, {name: value for name, value in details.items() if value})
        return found

    def create(self, kind: Kind, document: Object) -> Stored:
        """Store a new object. Raises Refused where one has its name."""
        metadata = document["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        if key in self.collection(kind):
            details = {"name": key[1], "kind": kind.plural}
            raise Refused(409, "AlreadyExists", f'{kind.qualified} "{key[1]}" already exists', details)
        return self.put(kind, document)

    def put(self, kind: Kind, document: Object) -> Stored:
        """Store an object, whatever there is, with what the API server sets."""
        metadata = {key: value for key, value in document["metadata"].items() if value not in (None, {}, [])}
        version = str(next(self._versions))
        metadata.setdefault("uid", str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._of}/{version}")))
        metadata.setdefault("creationTimestamp", self._timestamp())
        if kind.counts:
            metadata.setdefault("generation", 1)
        document = {name: value for name, value in document.items() if name not in ("apiVersion", "kind")}
        if kind.qualified == "namespaces":
            metadata["labels"] = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
            document = {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}, **document}
        return self._keep(kind, {**document, "metadata": metadata}, version)

    def update(self, stored: Stored, document: Object) -> Stored:
        """Store a change of an object, and take it away where it was only held by finalizers that are gone.

        Raises Refused where it was changed meanwhile, or the change is not allowed.
        """
        before, metadata = stored.metadata, dict(document["metadata"])
        self._check(stored, metadata)
        for name in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            metadata.pop(name, None)
            if name in before:
                metadata[name] = before[name]
        metadata["resourceVersion"] = before["resourceVersion"]
        for name in ("labels", "annotations", "finalizers", "ownerReferences"):
            if not metadata.get(name):
                metadata.pop(name, None)
        document = {**document, "metadata": metadata}
        if document == stored.document:
            return stored
        if stored.kind.counts and document.get("spec") != stored.document.get("spec"):
            metadata["generation"] = before.get("generation", 0) + 1
        result = self._keep(stored.kind, document, str(next(self._versions)))
        self._release(result)
        return result

    @staticmethod
    def _check(stored: Stored, metadata: Object) -> None:
        kind, before, name = stored.kind, stored.metadata, stored.metadata["name"]
        details = {"name": name, "kind": kind.kind}
        if metadata.get("name", name) != name:
            message = f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            raise Refused(400, "BadRequest", message)
        if metadata.get("resourceVersion", before["resourceVersion"]) != before["resourceVersion"]:
            message = f'Operation cannot be fulfilled on {kind.qualified} "{name}": {_NO_CHANGE}'
            raise Refused(409, "Conflict", message, {"name": name, "kind": kind.plural})
        if metadata.get("uid", before["uid"]) != before["uid"]:
            message = f'{kind.kind} "{name}" is invalid: metadata.uid: Invalid value: "{metadata["uid"]}": '
            raise Refused(422, "Invalid", f"{message}field is immutable", details)
        new = set(metadata.get("finalizers") or ()) - set(before.get("finalizers") or ())
        if new and before.get("deletionTimestamp"):
            message = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted"
            raise Refused(422, "Invalid", f'{kind.kind} "{name}" is invalid: {message}', details)

    # --- deletion ---

    def delete(self, stored: Stored, options: Object) -> Stored | None:
        """Delete an object as DeleteOptions say. Return it where it stays for now. Raises Refused."""
        policy = options.get("propagationPolicy") or "Background"
        if policy not in ("Background", "Orphan"):
            raise NotImplementedError(f"propagationPolicy {policy}: the collection does not use it")
        for name, value in (options.get("preconditions") or {}).items():
            if (found := stored.metadata[name]) != value:
                what = {"uid": "UID", "resourceVersion": "ResourceVersion"}[name]
                message = f'Operation cannot be fulfilled on {stored.kind.kind} "{stored.key[1]}": the {what} in the '
                message += f"precondition ({value}) does not match the {what} in record ({found})"
                raise Refused(409, "Conflict", message, {"name": stored.key[1], "kind": stored.kind.kind})
        if policy == "Orphan":
            self._orphan(stored)
        grace = 0 if options.get("gracePeriodSeconds") == 0 else self._grace(stored)
        return self._mark(stored, grace)

    @staticmethod
    def _grace(stored: Stored) -> int:
        """How long a kubelet may take to end a pod: it deletes it once more, without any time."""
        spec = stored.document.get("spec") or {}
        if stored.kind.qualified != "pods" or not spec.get("nodeName"):
            return 0
        return int(spec.get("terminationGracePeriodSeconds", 30))

    def _mark(self, stored: Stored, grace: int = 0) -> Stored | None:
        if not stored.metadata.get("deletionTimestamp") or grace < _grace_left(stored):
            metadata = {**stored.metadata, "deletionGracePeriodSeconds": grace}
            metadata.setdefault("deletionTimestamp", self._timestamp())
            document = {**stored.document, "metadata": metadata}
            if stored.kind.qualified == "namespaces":
                document["status"] = {**(document.get("status") or {}), "phase": "Terminating"}
            stored = self._keep(stored.kind, document, str(next(self._versions)))
        if stored.kind.qualified == "namespaces":
            for inside in self._contents(stored.key[1]):
                self._end(inside)
        return self._release(stored)

    def _end(self, stored: Stored) -> None:
        """What the controllers of namespaces and of owners do to what goes along."""
        if self.collection(stored.kind).get(stored.key) is stored:  # and not gone with another one
            self._mark(stored, self._grace(stored))

    def _release(self, stored: Stored) -> Stored | None:
        """Take away what is being deleted and held by nothing; return what is held."""
        current = self.collection(stored.kind).get(stored.key)
        if current is not stored:  # it went along with something else
            return current
        metadata = stored.metadata
        held = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds")
        if stored.kind.qualified == "namespaces":
            held = held or self._inside.get(stored.key[1])
        if held or not metadata.get("deletionTimestamp"):
            return stored
        self.remove(stored)
        return None

    def remove(self, stored: Stored) -> None:
        """Take an object away, and with it what only it owns."""
        del self.collection(stored.kind)[stored.key]
        self.version = str(next(self._versions))
        self._inside[stored.key[0]].pop(stored.position, None)
        for other in self._dependents(stored.metadata["uid"]):
            if self._has_other_owner(other):
                self._without_owner(other, stored.metadata["uid"])
            else:
                self._end(other)
        if stored.key[0] and (around := self._collections[("", "namespaces")].get(("", stored.key[0]))):
            self._release(around)

    def _has_other_owner(self, stored: Stored) -> bool:
        known = {one.metadata["uid"] for one in self}
        return any(owner.get("uid") in known for owner in stored.owners)

    def _orphan(self, stored: Stored) -> None:
        for other in self._dependents(stored.metadata["uid"]):
            self._without_owner(other, stored.metadata["uid"])

    def _without_owner(self, stored: Stored, uid: str) -> None:
        owners = [owner for owner in stored.owners if owner.get("uid") != uid]
        self.update(stored, {**stored.document, "metadata": {**stored.metadata, "ownerReferences": owners}})

    # --- versions ---

    def _keep(self, kind: Kind, document: Object, version: str) -> Stored:
        self.version = document["metadata"]["resourceVersion"] = version
        stored = Stored(kind, document)
        self.collection(kind)[stored.key] = stored
        if stored.key[0]:
            self._inside[stored.key[0]][stored.position] = None
        for owner in stored.owners:
            self._owned[owner.get("uid", "")][stored.position] = None
        return stored

    def _timestamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _grace_left(stored: Stored) -> int:
    return int(stored.metadata.get("deletionGracePeriodSeconds") or 0)
