# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of membership: what stands on the namespace and in it because a virtual cluster is in a group."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.common.size import Size
from ansible_collections.nested.clusters.plugins.module_utils.deletion.ownership import belongs
from ansible_collections.nested.clusters.plugins.module_utils.listing.contents import ObjectRef
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import membership
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.membership import (
    Allocation,
    Membership,
    allocation,
)
from hypothesis import given
from hypothesis import strategies as st
from sizes import size, sizes

Object = dict[str, Any]

SIZE = Size.parse({"cpu": "1500m", "memory": "4Gi", "storage": "2Gi"}, "size")
APPLIED = {"vcluster_version": "0.36.1", "values": "abc"}
REQUEST = {"values": {"a": {"b": "hunter2"}}, "kubernetes_version": "v1.36.0"}


def member(**changes: Any) -> Membership:
    return Membership(
        **{"group": "dev", "owner": "alice", "size": SIZE, "applied": APPLIED, "request": REQUEST, **changes}
    )


def objects(of: Membership) -> dict[str, Object]:
    return {thing["kind"]: thing for thing in of.objects("team", "vcluster-team")}


def test_metadata_of_a_member_is_read_as_its_allocation() -> None:
    """The namespace is all there is to read for everybody else."""
    of = member()
    metadata = {"name": "vcluster-team", "labels": of.labels(), "annotations": of.annotations("team")}
    counted = membership.allocation({"metadata": metadata}, "host-a")
    assert counted == membership.Allocation(
        "team", "vcluster-team", "host-a", "dev", "alice", SIZE, APPLIED, deleting=False
    )


def test_metadata_without_an_owner_has_none() -> None:
    assert member(owner="").annotations("team")[well_known.OWNER_ANNOTATION] is None


def test_metadata_of_equal_members_is_equal() -> None:
    one = member(applied={"a": "1", "b": "2"}, request={"values": {"x": 1, "y": 2}, "kubernetes_version": None})
    two = member(applied={"b": "2", "a": "1"}, request={"kubernetes_version": None, "values": {"y": 2, "x": 1}})
    assert one.annotations("team") == two.annotations("team")
    assert one.objects("team", "x") == two.objects("team", "x")


def test_annotations_of_members_are_all_listed() -> None:
    """What leaving a group takes off again."""
    assert set(member().annotations("team")) == set(well_known.OF_MEMBERS)


def test_quota_of_a_member_is_its_size() -> None:
    quota = objects(member())["ResourceQuota"]
    assert quota["spec"]["hard"] == {
        "requests.cpu": "1500m",
        "limits.cpu": "1500m",
        "requests.memory": "4Gi",
        "limits.memory": "4Gi",
        "requests.storage": "2Gi",
    }
    assert quota["metadata"]["namespace"] == "vcluster-team"


def test_limit_range_of_a_member_sets_defaults() -> None:
    """Else the quota refuses them. A dozen fit into the default size beside the control plane."""
    (limits,) = objects(member())["LimitRange"]["spec"]["limits"]
    for resource, most in (("cpu", "4"), ("memory", "4Gi")):
        each = Size.parse({resource: limits["default"][resource]}, "x", partial=True)
        whole = Size.parse({resource: most}, "x", partial=True)
        assert 12 * getattr(each, resource) <= getattr(whole, resource)
        least = Size.parse({resource: limits["defaultRequest"][resource]}, "x", partial=True)
        assert getattr(least, resource) <= getattr(each, resource)
    assert "LimitRange" not in objects(member(limit_range=False))


def test_objects_of_a_member_carry_the_labels_of_its_cluster() -> None:
    for kind, thing in objects(member()).items():
        plural = {"Secret": "secrets", "ResourceQuota": "resourcequotas", "LimitRange": "limitranges"}[kind]
        assert thing["metadata"]["name"] == membership.object_name("team")
        assert belongs(ObjectRef("v1", plural, thing["metadata"], thing.get("type", "")), "team")
        assert not belongs(ObjectRef("v1", plural, thing["metadata"], thing.get("type", "")), "other")


# --- the request ------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), JSON, max_size=3), st.none() | st.text())
def test_stored_request_written_and_read_is_the_same(values: Object, version: str | None) -> None:
    request = {"values": values, "kubernetes_version": version}
    assert membership.stored_request(objects(member(request=request))["Secret"]) == request


def encoded(data: Any) -> str:
    return base64.b64encode(json.dumps(data).encode()).decode()


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"other": "x"},
        {"request": None},
        {"request": "hunter2"},
        {"request": base64.b64encode(b"hunter2").decode()},
        {"request": base64.b64encode(b"\xff").decode()},
        {"request": encoded("hunter2")},
        {"request": encoded(["hunter2"])},
        {"request": encoded(None)},
        {"request": encoded({"kubernetes_version": "hunter2"})},
        {"request": encoded({"values": "hunter2", "kubernetes_version": None})},
        {"request": encoded({"values": {}, "kubernetes_version": 136})},
        {"request": encoded({"values": {}})},
    ],
)
def test_stored_request_that_is_broken_is_an_error(data: Any) -> None:
    """It is named, and nothing of it shown: it can hold credentials."""
    secret = {"metadata": {"name": "nested-clusters-team", "namespace": "vcluster-team"}, "data": data}
    with pytest.raises(NestedClustersError) as caught:
        membership.stored_request(secret)
    assert "Secret vcluster-team/nested-clusters-team does not contain the request" in str(caught.value)
    assert "hunter2" not in f"{caught.value} {caught.value.data}"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


# --- what a namespace says ---------------------------------------------------------------------------------


def namespace(**changes: Any) -> dict[str, Any]:
    """A namespace of a virtual cluster as the API server gives it; a change that is None leaves the key out."""
    annotations = {
        "nested-clusters/virtual-cluster": "team-a",
        "nested-clusters/owner": "alice",
        "nested-clusters/size": '{"cpu": "4", "memory": "8Gi", "storage": "10Gi"}',
        "nested-clusters/applied": '{"vcluster_version": "0.30.0"}',
        **{f"nested-clusters/{key}": value for key, value in changes.items()},
    }
    return {
        "metadata": {
            "name": "vcluster-team-a",
            "labels": {"nested-clusters/group": "dev"},
            "annotations": {key: value for key, value in annotations.items() if value is not None},
        }
    }


class TestAllocation:
    def test_a_namespace_records_it(self) -> None:
        assert allocation(namespace(), "host-a") == Allocation(
            name="team-a",
            namespace="vcluster-team-a",
            host_cluster="host-a",
            group="dev",
            owner="alice",
            size=size(4, "8Gi", "10Gi"),
            applied={"vcluster_version": "0.30.0"},
            deleting=False,
        )

    @pytest.mark.parametrize("metadata", [{}, {"labels": None}, {"labels": {}}, {"labels": {"app": "vcluster"}}])
    def test_a_namespace_of_no_group_records_nothing(self, metadata: dict[str, Any]) -> None:
        annotations = namespace()["metadata"]["annotations"]
        found = {"metadata": {"name": "default", "annotations": annotations, **metadata}}
        assert allocation(found, "host-a") is None

    def test_a_namespace_that_is_being_deleted_still_counts(self) -> None:
        going = namespace()
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        found = allocation(going, "host-a")
        assert found is not None
        assert found.deleting
        assert found.size == size(4, "8Gi", "10Gi")

    def test_only_volumes_are_left(self) -> None:
        left = allocation(namespace(size='{"cpu": "0", "memory": "0", "storage": "10Gi"}'), "host-a")
        assert left is not None
        assert left.kept
        for part in ('{"cpu": "1m", "memory": "0", "storage": "0"}', '{"cpu": "0", "memory": "1", "storage": "0"}'):
            found = allocation(namespace(size=part), "host-a")
            assert found is not None
            assert not found.kept

    @pytest.mark.parametrize(
        ("broken", "why"),
        [
            (None, "is missing"),
            ("", "is missing"),
            ("{", "is '{', which is not JSON"),
            ("[" * 100_000, "which is not JSON"),
            ("null", "of which size cannot be used"),
            ("4", "of which size cannot be used"),
            ("[]", "of which size cannot be used"),
            ("{}", "of which size.cpu cannot be used"),
            ('{"cpu": "4", "memory": "8Gi"}', "of which size.storage cannot be used"),
            ('{"cpu": "4", "memory": "8Gi", "storage": null}', "of which size.storage cannot be used"),
            ('{"cpu": "-4", "memory": "8Gi", "storage": "1Gi"}', "of which size.cpu cannot be used"),
            ('{"cpu": "4", "memory": NaN, "storage": "1Gi"}', "of which size.memory cannot be used"),
            ('{"cpu": "4", "memory": "8Gi", "storage": "1Gi", "disk": "1Gi"}', "of which size.disk cannot be used"),
        ],
    )
    def test_a_size_that_cannot_be_read_is_not_taken_for_nothing(self, broken: str | None, why: str) -> None:
        with pytest.raises(NestedClustersError) as error:
            allocation(namespace(size=broken), "host-a")
        assert "namespace vcluster-team-a on host cluster host-a" in str(error.value)
        assert "annotation nested-clusters/size" in str(error.value)
        assert why in str(error.value)
        assert len(str(error.value)) < 1000
        assert error.value.data == {
            "host_cluster": "host-a",
            "namespace": "vcluster-team-a",
            "annotation": "nested-clusters/size",
        }

    def test_a_name_is_not_guessed(self) -> None:
        with pytest.raises(NestedClustersError, match="annotation nested-clusters/virtual-cluster is missing"):
            allocation(namespace(**{"virtual-cluster": None}), "host-a")

    def test_an_owner_need_not_be(self) -> None:
        found = allocation(namespace(owner=None), "host-a")
        assert found is not None
        assert found.owner == ""

    @pytest.mark.parametrize("text", [None, "", "{", "[]", '"0.30.0"', "[" * 100_000])
    def test_what_was_applied_counts_as_nothing_where_it_cannot_be_read(self, text: str | None) -> None:
        found = allocation(namespace(applied=text), "host-a")
        assert found is not None
        assert found.applied == {}

    @given(sizes(limited=True))
    def test_every_size_that_is_recorded_is_read(self, held: Size) -> None:
        found = allocation(namespace(size=json.dumps(held.as_dict())), "host-a")
        assert found is not None
        assert found.size == held
