# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of an API server: lists, pages, selectors, discovery and permissions."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.k8s import client
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from contract_base import Base, Object, eventually, names, refused


class Reading(Base):
    """Lists, pages, selectors and discovery."""

    def test_list_in_pages_returns_each_object_once_in_order(
        self, api: Kubernetes, maps: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("c", "a", "e", "b", "d"):
            self.map(api, maps, name, labels={"mine": "yes"})
        monkeypatch.setattr(client, "PAGE", 2)
        before = api.requests
        assert names(api.list(maps, labels="mine")) == ["a", "b", "c", "d", "e"]
        assert api.requests - before == 3

    def test_list_page_tells_what_remains(self, api: Kubernetes, maps: str) -> None:
        for name in ("a", "b", "c"):
            self.map(api, maps, name)
        assert eventually(lambda: len(api.list(maps)) == len((api.get(maps) or {})["items"]))
        total = len(api.list(maps))
        page = api.get(f"{maps}?limit=1")
        assert page
        assert (page["kind"], page["apiVersion"]) == ("ConfigMapList", "v1")
        assert page["metadata"]["remainingItemCount"] == total - 1
        selected = api.get(f"{maps}?limit=1&labelSelector=!x")
        assert selected
        assert "remainingItemCount" not in selected["metadata"]
        assert selected["metadata"]["continue"]

    def test_list_page_shows_the_moment_of_the_first(self, api: Kubernetes, maps: str) -> None:
        for name in ("a", "b"):
            self.map(api, maps, name, labels={"mine": "yes"})
        query = f"{maps}?limit=1&labelSelector=mine"
        first = api.get(query)
        assert first
        self.map(api, maps, "c", labels={"mine": "yes"})
        api.delete(f"{maps}/b")
        second = api.get(f"{query}&continue={first['metadata']['continue']}")
        assert second
        assert (names(first["items"]), names(second["items"])) == (["a"], ["b"])
        # There may be one more page: objects without the label that come after are not looked at in advance.
        rest = second["metadata"].get("continue")
        third = api.get(f"{query}&continue={rest}") if rest else None
        assert third is None or third["items"] == []

    def test_list_page_with_unknown_token_is_refused(self, api: Kubernetes, maps: str) -> None:
        assert refused(lambda: api.get(f"{maps}?limit=1&continue=none")).status == 400

    def test_list_of_all_namespaces_is_sorted_by_namespace(self, api: Kubernetes, maps: str, space: str) -> None:
        label = {"of": space}
        self.map(api, path("v1", "configmaps", "default"), f"z-{space}", labels=label)
        self.map(api, maps, "a", labels=label)
        try:
            found = api.list(path("v1", "configmaps"), labels=f"of={space}")
        finally:
            api.delete(path("v1", "configmaps", "default", f"z-{space}"))
        spaces = [item["metadata"]["namespace"] for item in found]
        assert spaces == sorted(["default", space])

    @pytest.mark.parametrize(
        "where",
        [
            path("v1", "configmaps", "no-such-namespace"),
            path("apps/v1", "nothings", "default"),
            path("nobody.example.com/v1", "nothings"),
        ],
    )
    def test_list_of_what_does_not_exist_is_empty(self, api: Kubernetes, where: str) -> None:
        assert api.list(where) == []

    def test_list_items_do_not_say_their_kind(self, api: Kubernetes, maps: str) -> None:
        self.map(api, maps, "a")
        (item,) = api.list(maps, fields="metadata.name=a")
        assert not {"kind", "apiVersion"} & item.keys()
        found = api.get(f"{maps}/a")
        assert found
        assert (found["kind"], found["apiVersion"]) == ("ConfigMap", "v1")

    def test_list_items_of_custom_kind_say_their_kind(self, api: Kubernetes, space: str, custom: str) -> None:
        where = path(custom, "boxes", space)
        body = {"apiVersion": custom, "kind": "Box", "metadata": {"name": "a"}, "spec": {"a": 1}}
        assert eventually(lambda: self._created(api, where, body))
        (item,) = api.list(where)
        assert (item["kind"], item["apiVersion"]) == ("Box", custom)
        assert item["metadata"]["generation"] == 1

    @staticmethod
    def _created(api: Kubernetes, where: str, body: Object) -> bool:
        """A real one serves a new kind some moments after it is told of it."""
        try:
            return bool(api.create(where, body))
        except KubernetesError as error:
            if error.status != 404:
                raise
            return False

    def test_list_of_metadata_has_nothing_else(self, api: Kubernetes, maps: str) -> None:
        self.map(api, maps, "a", labels={"mine": "yes"})
        (item,) = api.list(maps, labels="mine", metadata_only=True)
        assert set(item) == {"kind", "apiVersion", "metadata"}
        assert item["kind"] == "PartialObjectMetadata"
        assert item["metadata"]["labels"] == {"mine": "yes"}

    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            ("env", ["dev", "prod"]),
            ("!env", ["none"]),
            ("env=dev", ["dev"]),
            ("env==dev", ["dev"]),
            ("env!=dev", ["none", "prod"]),
            ("env in (dev,prod)", ["dev", "prod"]),
            ("env in (dev, other)", ["dev"]),
            ("env notin (dev)", ["none", "prod"]),
            ("env,env!=prod", ["dev"]),
            ("env in (dev,prod),tier=a", ["prod"]),
            ("example.com/x=1.2_3-4", ["none"]),
            ("env=", []),
            ("tier=", ["dev"]),
        ],
    )
    def test_list_by_labels_returns_what_fits(
        self, selector: str, expected: list[str], api: Kubernetes, maps: str
    ) -> None:
        self.map(api, maps, "dev", labels={"of": "me", "env": "dev", "tier": ""})
        self.map(api, maps, "prod", labels={"of": "me", "env": "prod", "tier": "a"})
        self.map(api, maps, "none", labels={"of": "me", "example.com/x": "1.2_3-4"})
        assert names(api.list(maps, labels=f"of=me,{selector}")) == expected

    @pytest.mark.parametrize("selector", ["a b", "a=b=c", "a in b", "=a"])
    def test_list_by_labels_that_are_no_selector_is_refused(self, selector: str, api: Kubernetes, maps: str) -> None:
        error = refused(lambda: api.list(maps, labels=selector))
        assert (error.status, error.reason) == (400, "BadRequest")

    def test_list_by_fields_returns_what_fits(self, api: Kubernetes, maps: str, space: str) -> None:
        for name in ("a", "b"):
            self.map(api, maps, name)
        assert names(api.list(maps, fields="metadata.name=a")) == ["a"]
        assert "a" not in names(api.list(maps, fields="metadata.name!=a"))
        everywhere = path("v1", "configmaps")
        assert names(api.list(everywhere, fields=f"metadata.name==b,metadata.namespace={space}")) == ["b"]
        secrets = path("v1", "secrets", space)
        for name, kind in (("x", "example.com/x"), ("y", "example.com/y")):
            api.create(secrets, {"metadata": {"name": name}, "type": kind})
        assert names(api.list(secrets, fields="type=example.com/x")) == ["x"]

    def test_list_by_fields_of_kinds_returns_what_fits(self, api: Kubernetes, space: str) -> None:
        events = path("v1", "events", space)
        for name, kind in (("a", "Pod"), ("b", "StatefulSet")):
            about = {"kind": kind, "name": name, "namespace": space}
            api.create(events, {"metadata": {"name": name}, "involvedObject": about, "reason": "FailedCreate"})
        fields = "reason=FailedCreate,involvedObject.kind=StatefulSet"
        assert names(api.list(events, fields=fields)) == ["b"]
        services = path("v1", "services", space)
        for name, kind in (("a", "ClusterIP"), ("b", "NodePort")):
            api.create(services, {"metadata": {"name": name}, "spec": {"type": kind, "ports": [{"port": 1}]}})
        assert names(api.list(services, fields="spec.type=NodePort")) == ["b"]

    @pytest.mark.parametrize(
        ("plural", "words"),
        [
            ("configmaps", '"spec.none" is not a known field selector: only "metadata.name", "metadata.namespace"'),
            ("secrets", "field label not supported: spec.none"),
        ],
    )
    def test_list_by_unknown_field_is_refused(self, plural: str, words: str, api: Kubernetes, space: str) -> None:
        error = refused(lambda: api.list(path("v1", plural, space), fields="spec.none=x"))
        assert error.status == 400
        assert words in str(error)

    @pytest.mark.parametrize(
        "where",
        [
            path("v1", "configmaps", "default", "none"),
            path("v1", "configmaps", "no-such-namespace", "none"),
            path("apps/v1", "nothings", "default", "none"),
            path("nobody.example.com/v1", "nothings", None, "none"),
        ],
    )
    def test_get_of_what_does_not_exist_is_none(self, api: Kubernetes, where: str) -> None:
        assert api.get(where) is None

    def test_discovery_tells_plural_and_scope(self, api: Kubernetes, custom: str) -> None:
        assert api.resource("apps/v1", "DaemonSet") == ("daemonsets", True)
        assert api.resource("v1", "Node") == ("nodes", False)
        assert api.resource("storage.k8s.io/v1", "StorageClass") == ("storageclasses", False)
        assert eventually(lambda: api.namespaced(custom, "Box") is True)
        assert refused(lambda: api.resource("nobody.example.com/v1", "Box")).status == 404

    def test_discovery_tells_what_can_be_listed_and_deleted(self, api: Kubernetes, custom: str) -> None:
        assert eventually(lambda: ((custom, "boxes"), True) in api.all_resources())
        found = api.all_resources()
        assert {(("v1", "secrets"), True), (("apps/v1", "statefulsets"), True), (("v1", "nodes"), False)} <= set(found)
        assert "selfsubjectaccessreviews" not in [plural for (_version, plural), _namespaced in found]
        assert len(set(found)) == len(found)
        for group, versions in (("/apis/apps", ["apps/v1"]), ("/apis/batch", ["batch/v1"])):
            answer = api.get(group)
            assert answer
            assert [version["groupVersion"] for version in answer["versions"]] == versions


class Permissions(Base):
    """What a user may not do."""

    def test_request_without_permission_is_refused_in_the_same_words(self, limited: Kubernetes, space: str) -> None:
        secrets, sets = path("v1", "secrets", space), path("apps/v1", "statefulsets", space)
        user, within = 'User "tester" cannot', f'in the namespace "{space}"'
        for call, words in (
            (lambda: limited.list(secrets), f'secrets is forbidden: {user} list resource "secrets" in API group ""'),
            (lambda: limited.get(f"{secrets}/x"), f'secrets "x" is forbidden: {user} get resource "secrets" in API'),
            (lambda: limited.delete(f"{secrets}/x"), f'"x" is forbidden: {user} delete resource "secrets"'),
            (lambda: limited.create(secrets, {"metadata": {"name": "x"}}), f'{user} create resource "secrets"'),
            (lambda: limited.list(sets), f'statefulsets.apps is forbidden: {user} list resource "statefulsets" in API'),
        ):
            error = refused(call)
            assert (error.status, error.reason) == (403, "Forbidden")
            assert words in str(error)
            assert within in str(error)
        error = refused(lambda: limited.list(path("v1", "secrets")))
        assert f'{user} list resource "secrets" in API group "" at the cluster scope' in str(error)

    def test_request_with_permission_in_one_namespace_is_done(self, limited: Kubernetes, maps: str) -> None:
        self.map(limited, maps, "a")
        assert "a" in names(limited.list(maps))
        assert refused(lambda: limited.list(path("v1", "configmaps"))).status == 403

    def test_namespace_is_read_with_permission_in_itself(self, limited: Kubernetes, space: str) -> None:
        assert limited.get(path("v1", "namespaces", None, space))
        error = refused(lambda: limited.get(path("v1", "namespaces", None, "default")))
        assert 'namespaces "default" is forbidden: User "tester" cannot get resource "namespaces"' in str(error)
        assert 'in the namespace "default"' in str(error)

    @pytest.mark.parametrize(("resource", "allowed"), [("configmaps", True), ("secrets", False)])
    def test_access_review_tells_what_is_allowed(
        self, resource: str, allowed: bool, limited: Kubernetes, space: str
    ) -> None:
        spec = {"resourceAttributes": {"verb": "list", "resource": resource, "namespace": space}}
        answer = limited.create(path("authorization.k8s.io/v1", "selfsubjectaccessreviews"), {"spec": spec})
        assert answer["status"]["allowed"] is allowed
