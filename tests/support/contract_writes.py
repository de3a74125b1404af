# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of an API server: creations, patches, deletions, and what controllers do after them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from contract_base import FINALIZER, Base, Object, eventually, names, owned_by, refused, stateful_set

MERGE_PATCH = "application/merge-patch+json"


class Creating(Base):
    """POST."""

    def test_create_sets_what_the_server_sets(self, api: Kubernetes, maps: str, space: str) -> None:
        made = self.map(api, maps, "a", labels={"x": "y"}, uid="mine", creationTimestamp="2001-01-01T00:00:00Z")
        metadata = made["metadata"]
        assert metadata["namespace"] == space
        assert metadata["uid"] not in ("", "mine")
        assert not metadata["creationTimestamp"].startswith("2001")
        assert int(metadata["resourceVersion"]) > 0
        assert "generation" not in metadata
        assert made == api.get(f"{maps}/a")

    def test_create_of_existing_name_conflicts(self, api: Kubernetes, maps: str) -> None:
        first = self.map(api, maps, "a")
        error = refused(lambda: self.map(api, maps, "a"))
        assert (error.status, error.reason) == (409, "AlreadyExists")
        assert 'configmaps "a" already exists' in str(error)
        assert api.get(f"{maps}/a") == first

    def test_create_with_generate_name_makes_names(self, api: Kubernetes, maps: str) -> None:
        made = [api.create(maps, {"metadata": {"generateName": "made-"}}) for _each in range(2)]
        assert len({item["metadata"]["name"] for item in made}) == 2
        assert all(item["metadata"]["name"].startswith("made-") for item in made)

    @pytest.mark.parametrize(
        ("body", "status", "words"),
        [
            ({"metadata": {}}, 422, "name or generateName is required"),
            ({"metadata": {"name": "a", "namespace": "other"}}, 400, "the namespace of the provided object does not"),
            ({"metadata": {"name": "a", "resourceVersion": "1"}}, 500, "resourceVersion should not be set on objects"),
            ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}, 400, "cannot be handled as a"),
        ],
    )
    def test_create_of_invalid_object_is_refused(
        self, body: Object, status: int, words: str, api: Kubernetes, maps: str
    ) -> None:
        error = refused(lambda: api.create(maps, body))
        assert error.status == status
        assert words in str(error)

    def test_create_in_missing_namespace_is_refused(self, api: Kubernetes) -> None:
        error = refused(lambda: self.map(api, path("v1", "configmaps", "no-such-namespace"), "a"))
        assert (error.status, error.reason) == (404, "NotFound")
        assert 'namespaces "no-such-namespace" not found' in str(error)

    def test_create_of_namespace_labels_it(self, api: Kubernetes, space: str) -> None:
        found = api.get(path("v1", "namespaces", None, space))
        assert found
        assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": space}
        assert (found["spec"], found["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})
        assert refused(lambda: api.create(path("v1", "namespaces"), {"metadata": {"name": space}})).status == 409


class Patching(Base):
    """PATCH: the merge patch is the only kind that the collection sends."""

    def test_patch_merges_removes_and_replaces(self, api: Kubernetes, maps: str) -> None:
        body = {"metadata": {"name": "a", "labels": {"x": "1", "y": "1"}}, "data": {"a": "1", "b": "1"}}
        first = api.create(maps, body)
        patched = api.patch(f"{maps}/a", {"metadata": {"labels": {"x": None, "z": "2"}}, "data": {"a": "2"}})
        assert patched["metadata"]["labels"] == {"y": "1", "z": "2"}
        assert patched["data"] == {"a": "2", "b": "1"}
        assert patched["metadata"]["uid"] == first["metadata"]["uid"]
        assert patched["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
        assert "labels" not in api.patch(f"{maps}/a", {"metadata": {"labels": {"y": None, "z": None}}})["metadata"]
        assert api.patch(f"{maps}/a", {"data": None}).get("data") is None

    def test_patch_that_changes_nothing_keeps_the_version(self, api: Kubernetes, maps: str) -> None:
        first = self.map(api, maps, "a", labels={"x": "y"})
        for body in ({}, {"metadata": {"labels": {"x": "y", "none": None}}}, {"data": {"a": "b"}}):
            assert api.patch(f"{maps}/a", body)["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    def test_patch_of_stale_version_conflicts(self, api: Kubernetes, maps: str) -> None:
        first = self.map(api, maps, "a")["metadata"]["resourceVersion"]
        second = api.patch(f"{maps}/a", {"metadata": {"resourceVersion": first, "labels": {"x": "1"}}})
        error = refused(lambda: api.patch(f"{maps}/a", {"metadata": {"resourceVersion": first, "labels": {"x": "2"}}}))
        assert (error.status, error.reason) == (409, "Conflict")
        assert "the object has been modified; please apply your changes to the latest version" in str(error)
        assert api.get(f"{maps}/a") == second

    @pytest.mark.parametrize(
        ("metadata", "status", "words"),
        [
            ({"uid": "other"}, 422, "field is immutable"),
            ({"name": "b"}, 400, "the name of the object (b) does not match the name on the URL (a)"),
        ],
    )
    def test_patch_of_identity_is_refused(
        self, metadata: Object, status: int, words: str, api: Kubernetes, maps: str
    ) -> None:
        first = self.map(api, maps, "a")
        error = refused(lambda: api.patch(f"{maps}/a", {"metadata": metadata}))
        assert error.status == status
        assert words in str(error)
        assert api.get(f"{maps}/a") == first

    def test_patch_of_missing_object_is_refused(self, api: Kubernetes, maps: str) -> None:
        error = refused(lambda: api.patch(f"{maps}/a", {}))
        assert (error.status, error.reason) == (404, "NotFound")
        assert 'configmaps "a" not found; it was deleted meanwhile' in str(error)

    def test_patch_of_unknown_type_is_refused(self, api: Kubernetes, maps: str) -> None:
        self.map(api, maps, "a")
        headers = {"Content-Type": "text/plain"}
        assert refused(lambda: api._request("PATCH", f"{maps}/a", body={}, headers=headers)).status == 415

    def test_patch_of_spec_counts_the_generation(self, api: Kubernetes, space: str) -> None:
        where = path("apps/v1", "statefulsets", space)
        assert api.create(where, stateful_set("a"))["metadata"]["generation"] == 1
        at = f"{where}/a"
        assert api.patch(at, {"metadata": {"labels": {"x": "y"}}})["metadata"]["generation"] == 1
        assert api.patch(at, {"spec": {"replicas": 0}})["metadata"]["generation"] == 1
        changed = api.patch(at, {"spec": {"revisionHistoryLimit": 3}, "metadata": {"generation": 7}})
        assert changed["metadata"]["generation"] == 2

    def test_patch_of_status_needs_its_subresource(self, api: Kubernetes, space: str) -> None:
        where = path("v1", "persistentvolumeclaims", space)
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": ""}
        api.create(where, {"metadata": {"name": "a"}, "spec": spec, "status": {"phase": "Bound"}})
        condition = {"type": "Resizing", "status": "True", "reason": "x", "message": "x"}
        api.patch(f"{where}/a", {"status": {"conditions": [condition]}})
        assert "conditions" not in self._status(api, f"{where}/a")
        api.patch(f"{where}/a/status", {"status": {"conditions": [condition]}, "metadata": {"labels": {"x": "y"}}})
        assert self._status(api, f"{where}/a")["conditions"][0]["type"] == "Resizing"

    @staticmethod
    def _status(api: Kubernetes, where: str) -> Object:
        return (api.get(where) or {}).get("status") or {}


class Deleting(Base):
    """DELETE, finalizers, owners and namespaces."""

    def test_delete_removes_once(self, api: Kubernetes, maps: str) -> None:
        self.map(api, maps, "a")
        assert api.delete(f"{maps}/a") is True
        assert api.get(f"{maps}/a") is None
        assert api.delete(f"{maps}/a") is False

    @pytest.mark.parametrize("name", ["uid", "resourceVersion"])
    def test_delete_minds_preconditions(self, name: str, api: Kubernetes, maps: str) -> None:
        made = self.map(api, maps, "a")
        assert api.delete(f"{maps}/a", {name: "1"}) is False
        error = refused(lambda: api._request("DELETE", f"{maps}/a", body={"preconditions": {name: "1"}}))
        assert (error.status, error.reason) == (409, "Conflict")
        assert "in the precondition (1) does not match the" in str(error)
        assert api.get(f"{maps}/a") == made
        assert api.delete(f"{maps}/a", {name: made["metadata"][name]}) is True

    def test_delete_with_finalizer_waits_for_it(self, api: Kubernetes, maps: str) -> None:
        at = f"{maps}/a"
        made = self.map(api, maps, "a", finalizers=[FINALIZER, f"{FINALIZER}-2"])
        assert api.delete(at) is True
        held = api.get(at)
        assert held
        assert held["metadata"]["deletionTimestamp"]
        assert held["metadata"]["deletionGracePeriodSeconds"] == 0
        assert held["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
        assert api.delete(at) is True
        api.patch(at, {"metadata": {"deletionTimestamp": None}})
        assert api.get(at) == held
        error = refused(lambda: api.patch(at, {"metadata": {"finalizers": [FINALIZER, "example.com/new"]}}))
        assert (error.status, error.reason) == (422, "Invalid")
        assert "no new finalizers can be added if the object is being deleted" in str(error)
        assert api.patch(at, {"metadata": {"finalizers": [FINALIZER]}})["metadata"]["finalizers"] == [FINALIZER]
        api.patch(at, {"metadata": {"finalizers": None}})
        assert api.get(at) is None

    def test_delete_of_collection_selects_by_labels(self, api: Kubernetes, maps: str) -> None:
        self.map(api, maps, "a", labels={"x": "y"})
        self.map(api, maps, "b", labels={"x": "z"})
        self.map(api, maps, "held", labels={"x": "y"}, finalizers=[FINALIZER])
        api.delete_all(maps, "x=y")
        assert self.own(api.list(maps)) == ["b", "held"]
        held = api.get(f"{maps}/held")
        assert held
        assert held["metadata"]["deletionTimestamp"]

    def test_delete_of_all_namespaces_is_refused(self, api: Kubernetes) -> None:
        assert refused(lambda: api.delete_all(path("v1", "namespaces"), "none=none")).status == 405

    def test_owner_deleted_takes_along_what_it_owns(self, api: Kubernetes, maps: str) -> None:
        owner, other = self.map(api, maps, "owner"), self.map(api, maps, "other")
        owned = self.map(api, maps, "owned", **owned_by(owner))
        self.map(api, maps, "deep", **owned_by(owned))
        self.map(api, maps, "shared", **owned_by(owner, other))
        api.delete(f"{maps}/owner")
        assert eventually(lambda: self.own(api.list(maps)) == ["other", "shared"])
        assert eventually(lambda: self._owners(api, f"{maps}/shared") == ["other"])
        api.delete(f"{maps}/other")
        assert eventually(lambda: self.own(api.list(maps)) == [])

    def test_owner_deleted_leaves_what_a_finalizer_holds(self, api: Kubernetes, maps: str) -> None:
        owner = self.map(api, maps, "owner")
        self.map(api, maps, "held", finalizers=[FINALIZER], **owned_by(owner))
        api.delete(f"{maps}/owner")
        assert eventually(lambda: "deletionTimestamp" in (api.get(f"{maps}/held") or {"metadata": {}})["metadata"])
        assert api.get(f"{maps}/owner") is None

    def test_owner_deleted_as_orphan_leaves_what_it_owns(self, api: Kubernetes, maps: str) -> None:
        owner = self.map(api, maps, "owner")
        self.map(api, maps, "owned", **owned_by(owner))
        api._request("DELETE", f"{maps}/owner", body={"propagationPolicy": "Orphan"})
        assert eventually(lambda: self.own(api.list(maps)) == ["owned"])
        assert self._owners(api, f"{maps}/owned") == []

    @staticmethod
    def _owners(api: Kubernetes, where: str) -> list[str]:
        metadata = (api.get(where) or {"metadata": {}})["metadata"]
        return [owner["name"] for owner in metadata.get("ownerReferences") or []]

    def test_namespace_deleted_takes_along_its_contents(self, api: Kubernetes, maps: str, space: str) -> None:
        self.map(api, maps, "a")
        assert api.delete(path("v1", "namespaces", None, space)) is True
        assert eventually(lambda: api.get(path("v1", "namespaces", None, space)) is None)
        assert api.list(maps) == []
        assert api.delete(path("v1", "namespaces", None, space)) is False

    def test_namespace_deleted_waits_for_finalizers_of_its_contents(
        self, api: Kubernetes, maps: str, space: str
    ) -> None:
        at = path("v1", "namespaces", None, space)
        self.map(api, maps, "a")
        self.map(api, maps, "held", finalizers=[FINALIZER])
        api.delete(at)
        assert eventually(lambda: self.own(api.list(maps)) == ["held"])
        found = api.get(at)
        assert found
        assert found["metadata"]["deletionTimestamp"]
        assert (found["spec"]["finalizers"], found["status"]["phase"]) == (["kubernetes"], "Terminating")
        assert api.delete(at) is True
        error = refused(lambda: self.map(api, maps, "new"))
        assert (error.status, error.reason) == (403, "Forbidden")
        assert f"unable to create new content in namespace {space} because it is being terminated" in str(error)
        api.patch(f"{maps}/held", {"metadata": {"finalizers": None}})
        assert eventually(lambda: api.get(at) is None)

    @pytest.mark.parametrize(("node", "left"), [("", []), ("no-such-node", ["a"])])
    def test_pod_deleted_stays_while_a_kubelet_may_end_it(
        self, node: str, left: list[str], api: Kubernetes, space: str
    ) -> None:
        pods = path("v1", "pods", space)
        spec: dict[str, Any] = {"containers": [{"name": "c", "image": "none"}], "schedulerName": "nobody"}
        if node:
            spec["nodeName"] = node
        assert eventually(lambda: self._pod_created(api, pods, spec))
        api.delete(f"{pods}/a")
        assert names(api.list(pods)) == left
        for pod in api.list(pods):
            assert pod["metadata"]["deletionTimestamp"]
            assert pod["metadata"]["deletionGracePeriodSeconds"] == 30
        if left:
            api._request("DELETE", f"{pods}/a", body={"gracePeriodSeconds": 0})
        assert api.list(pods) == []

    @staticmethod
    def _pod_created(api: Kubernetes, pods: str, spec: Object) -> bool:
        """A real one first makes a service account for them."""
        try:
            return bool(api.create(pods, {"metadata": {"name": "a"}, "spec": spec}))
        except KubernetesError as error:
            if "serviceaccount" not in str(error).replace(" ", ""):
                raise
            return False
