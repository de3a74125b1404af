# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of new groups: their records, their namespaces, and whether host clusters can be their members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, WaitError
from ansible_collections.nested.clusters.plugins.module_utils.common.well_known import NAMESPACE
from ansible_collections.nested.clusters.plugins.module_utils.groups import eligibility, group_change, group_records
from ansible_collections.nested.clusters.plugins.module_utils.groups.group_change import GroupChange
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from clock import Clock
from group_site import NAMESPACE_PATH, RECORD, Object, Site, checked, refused, run_clock, with_group
from meanwhile import before_each, pass_all


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    yield from run_clock(monkeypatch)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def made(site: Site) -> Site:
    return with_group(site)


# --- new --------------------------------------------------------------------------------------------------


def test_group_that_is_new_has_a_record_on_each_member(site: Site) -> None:
    change = checked(site, lambda check: site.present(check=check, description="Development"))
    assert change.sentences() == [
        "create namespace nested-clusters on host cluster a",
        "write the record of group dev on host cluster a",
        "create namespace nested-clusters on host cluster b",
        "write the record of group dev on host cluster b",
    ]
    assert site.record("a") == site.record("b") == change.after
    assert site.record("c") is None
    assert [(member.name, member.id) for member in change.after.members] == [  # type: ignore[union-attr]
        ("a", "uid of https://a"),
        ("b", "uid of https://b"),
    ]
    for name in "ab":
        host = site.hosts[name]
        assert host.at(RECORD)["metadata"]["labels"][group_records.HOST_LABEL] == name
        of_every = {"kubernetes.io/metadata.name": NAMESPACE}
        ours = {"app.kubernetes.io/managed-by": "nested.clusters"}
        assert host.at(NAMESPACE_PATH)["metadata"]["labels"] == {**of_every, **ours}
    (entry,) = change.diff
    assert (entry["before"], "description: Development" in entry["after"]) == ("", True)
    assert "generation" not in entry["after"]


def test_namespace_that_exists_is_not_changed(site: Site) -> None:
    site.hosts["a"].have("Namespace", NAMESPACE, labels={"team": "x"})
    change = checked(site, lambda check: site.present(["a"], check))
    assert change.sentences() == ["write the record of group dev on host cluster a"]
    labels = {"kubernetes.io/metadata.name": NAMESPACE, "team": "x"}
    assert site.hosts["a"].at(NAMESPACE_PATH)["metadata"]["labels"] == labels


def test_namespace_that_is_being_deleted_is_waited_for(site: Site, clock: Clock) -> None:
    host = site.hosts["a"]
    host.have("Namespace", NAMESPACE, deletionTimestamp="2026-01-01T00:00:00Z")
    clock.after(20, lambda: host.vanish(NAMESPACE_PATH))
    change = site.present(["a"])
    assert change.sentences()[0] == "create namespace nested-clusters on host cluster a"
    assert site.record("a") == change.after
    assert clock.now >= 1020


def test_namespace_that_does_not_go_is_an_error_with_the_reason(site: Site) -> None:
    conditions = [{"status": "True", "message": "Some resources are remaining: pods"}]
    where: Object = {"deletionTimestamp": "2026-01-01T00:00:00Z", "status": {"conditions": conditions}}
    site.hosts["a"].have("Namespace", NAMESPACE, **where)
    with pytest.raises(
        NestedClustersError, match=r"done on b, not done on a: .*Some resources are remaining"
    ) as caught:
        site.present()
    assert caught.value.data == {"done_host_clusters": ["b"], "failed_host_clusters": ["a"]}
    assert isinstance(caught.value, NestedClustersError)
    assert not isinstance(caught.value, WaitError)


def test_namespace_that_another_task_creates_meanwhile_is_used(site: Site) -> None:
    host = site.hosts["a"]

    def faster(method: str, where: str) -> None:
        if (method, where) == ("create", path("v1", "namespaces")):
            pass_all(host)
            host.have("Namespace", NAMESPACE)

    before_each(host, faster)
    assert site.record("a") is None
    site.present(["a"])
    assert site.record("a")


def test_group_beside_another_one_leaves_it_alone(made: Site) -> None:
    before = made.hosts["a"].at(RECORD)
    group_change.present(made.entries(["a"]), {"name": "prod"}, False)
    assert made.hosts["a"].at(RECORD) == before
    made.present(["a", "b"], description="x")
    assert made.hosts["a"].names("ConfigMap", NAMESPACE) == ["vcluster-group-dev", "vcluster-group-prod"]


@pytest.mark.parametrize(
    ("params", "option"),
    [
        ({"name": "Dev"}, "name"),
        ({"oversubscription": 0}, "oversubscription"),
        ({"size": {"maximum": {"cpu": "much"}}}, "size.maximum.cpu"),
        ({"size": {"maximum": {"cpu": "1"}}}, "size.maximum.cpu"),
        ({"values": {"a": {"password": "hunter2"}}}, "values"),
        ({"endpoint": {"type": "ingress"}}, "host_clusters.dns_pattern"),
        ({"vcluster_version": "newest"}, "vcluster_version"),
    ],
)
@pytest.mark.parametrize("exists", [False, True])
def test_group_that_cannot_work_changes_nothing(params: Object, option: str, exists: bool, site: Site) -> None:
    if exists:
        site.present()
    error = refused(site, lambda check: site.present(check=check, **params))
    assert (error.data["option"], "hunter2" in str(error)) == (option, False)


@pytest.mark.parametrize(
    ("member", "option"),
    [
        ({"dns_pattern": "vc.example.com"}, "host_clusters.dns_pattern"),
        ({"capacity": {"cpu": "-1"}}, "host_clusters.capacity.cpu"),
        ({"capacity": {"storage": "2 TB"}}, "host_clusters.capacity.storage"),
        ({"node_selector": {"a": 1}}, "host_clusters.node_selector"),
    ],
)
def test_member_with_options_that_cannot_work_is_refused(member: Object, option: str, site: Site) -> None:
    error = refused(site, lambda check: site.present({"a": {}, "b": member}, check))
    assert error.data["option"] == option


def test_members_are_checked_with_names_of_their_patterns(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a Gateway which takes none of them is found out."""
    asked: list[str | None] = []

    def problems(_host: Any, _group: Any, name: str | None) -> list[str]:
        asked.append(name)
        return []

    monkeypatch.setattr(eligibility, "problems", problems)
    site.present({"a": {"dns_pattern": "vc-*.example.com"}, "b": {}}, check=True)
    assert sorted(asked, key=str) == [None, "vc-team-a.example.com"]


# --- whether a host cluster can be a member ---------------------------------------------------------------


def test_host_cluster_that_cannot_be_a_member_is_named(site: Site) -> None:
    site.hosts["b"].deny("create", "statefulsets")
    site.hosts["b"].deny("create", "leases")
    site.hosts["c"].have("Node", "fake", labels={"vcluster.loft.sh/fake-node": "true"})
    error = refused(
        site,
        lambda check: site.present(["a", "b", "c"], check),
        "b: it is read-only for this connection, which may not create statefulsets, create leases",
        "c: it is a virtual cluster itself",
    )
    assert (error.data["option"], error.data["value"]) == ("host_clusters", ["b", "c"])


def test_members_are_checked_again_where_the_endpoint_changes(made: Site) -> None:
    def endpoint(check: bool) -> GroupChange:
        return made.present(check=check, endpoint={"type": "load_balancer"})

    error = refused(made, endpoint, "load_balancer needs an implementation")
    assert error.data["value"] == ["a", "b"]
    for name in "ab":
        made.hosts[name].change(path("v1", "nodes", None, "node"), {"spec": {"providerID": "aws:///x"}})
    checked(made, endpoint)
    # A later change asks nobody, whatever they say by now.
    for name in "ab":
        made.hosts[name].deny("create", "statefulsets")
    made.forget()
    assert made.present(description="x").sentences()
    assert not [line for host in made.hosts.values() for line in host.sent() if "selfsubjectaccessreviews" in line]


def test_member_that_is_new_is_the_only_one_checked(made: Site) -> None:
    for name in "abc":
        made.hosts[name].deny("create", "secrets")
    error = refused(made, lambda check: made.present(["a", "b", "c"], check), "c: it is read-only")
    assert error.data["value"] == ["c"]
