# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of group_change: a group on host clusters of which some fail, go away, or are somebody else's."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, WaitError
from ansible_collections.nested.clusters.plugins.module_utils.common.well_known import (
    APPLIED_ANNOTATION,
    GROUP_LABEL,
    NAME_ANNOTATION,
    NAMESPACE,
    SIZE_ANNOTATION,
)
from ansible_collections.nested.clusters.plugins.module_utils.groups import (
    eligibility,
    group_change,
    group_lock,
    group_pending,
    group_records,
)
from ansible_collections.nested.clusters.plugins.module_utils.groups.group_change import GroupChange
from ansible_collections.nested.clusters.plugins.module_utils.groups.model import Group
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import HostCluster
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import present as lifecycle
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import namespaces, readiness
from fakes import Clock
from test_lock import LEASE, Host, have_lease

Object = dict[str, Any]

PLACE = path("v1", "namespaces", None, NAMESPACE)
RECORD = path("v1", "configmaps", NAMESPACE, "vcluster-group-dev")
MEMBER = {"state": "present", "dns_pattern": None, "capacity": None, "node_selector": None}
SIZE = {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    fake = Clock()
    for module in (group_lock, namespaces, lifecycle, readiness):
        monkeypatch.setattr(module, "time", fake)
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.1)
    yield fake
    assert fake.now < 2000, "something waits for ever"


class Site:
    """Host clusters a, b and c, and an administrator who runs tasks."""

    def __init__(self) -> None:
        self.hosts = {name: Host(f"https://{name}") for name in "abc"}
        for host in self.hosts.values():
            conditions = [{"type": "Ready", "status": "True"}]
            allocatable = {"cpu": "16", "memory": "32Gi"}
            host.have("Node", "node", status={"conditions": conditions, "allocatable": allocatable})

    def entries(self, given: Any) -> list[tuple[HostCluster, Mapping[str, Any]]]:
        """From ``["a", "b"]`` or ``{"a": {"state": "absent"}}``."""
        options = given if isinstance(given, dict) else {name: {} for name in given}
        return [
            (HostCluster(name, self.hosts[name[0]]), {**MEMBER, **more})  # type: ignore[arg-type]
            for name, more in options.items()
        ]

    def present(self, given: Any = ("a", "b"), check: bool = False, lost: Any = (), **params: Any) -> GroupChange:
        return group_change.present(self.entries(given), {"name": "dev", **params}, check, lost)

    def absent(self, given: Any = ("a", "b"), check: bool = False, lost: Any = ()) -> GroupChange:
        return group_change.absent([host for host, _options in self.entries(given)], "dev", check, lost)

    def snapshot(self) -> Object:
        return copy.deepcopy({name: host.objects for name, host in self.hosts.items()})

    def forget(self) -> None:
        for host in self.hosts.values():
            host.written, host.asked = [], []

    def written(self) -> dict[str, list[str]]:
        """What was written on host clusters that were written to, but for locks."""
        found = {name: [line for line in host.written if "/leases/" not in line] for name, host in self.hosts.items()}
        return {name: lines for name, lines in found.items() if lines}

    def record(self, name: str) -> Group | None:
        stored = self.hosts[name].objects.get(RECORD)
        return group_records.load(stored) if stored else None

    def place(self, host: str, name: str, group: str = "dev", applied: Object | None = None, **more: Any) -> None:
        """Have a virtual cluster."""
        annotations = {
            NAME_ANNOTATION: name,
            SIZE_ANNOTATION: json.dumps({**SIZE, **more}),
            APPLIED_ANNOTATION: json.dumps(applied or {}),
        }
        labels = {GROUP_LABEL: group}
        self.hosts[host].have("Namespace", f"vcluster-{name}", annotations=annotations, labels=labels)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def made(site: Site) -> Site:
    """A site with group dev on a and b."""
    site.present(description="before")
    site.forget()
    return site


def checked(site: Site, work: Callable[[bool], GroupChange]) -> GroupChange:
    """Check mode, which writes nothing; the real run, which does just that; a second run, which does nothing."""
    before = site.snapshot()
    site.forget()
    foreseen = work(True)
    assert (site.snapshot(), site.written()) == (before, {})
    change = work(False)
    assert (foreseen.sentences(), foreseen.diff) == (change.sentences(), change.diff)
    assert (foreseen.before, foreseen.after, foreseen.pending) == (change.before, change.after, change.pending)
    assert set(change.steps) == set(site.written())
    site.forget()
    for check in (True, False):
        again = work(check)
        assert (again.sentences(), again.diff, site.written()) == ([], [], {})
    assert not [host for host in site.hosts.values() if LEASE in host.objects]
    return change


def refused(site: Site, work: Callable[[bool], GroupChange], *words: str) -> NestedClustersError:
    """The refusal, the same in check mode, with nothing written anywhere."""
    before = site.snapshot()
    site.forget()
    messages = []
    for check in (True, False):
        with pytest.raises(NestedClustersError) as caught:
            work(check)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert site.written() == {}
    for name, host in site.hosts.items():
        assert host.objects == before[name]
    for word in words:
        assert word in messages[0]
    return caught.value


# --- new --------------------------------------------------------------------------------------------------


def test_a_new_group(site: Site) -> None:
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
        assert host.objects[RECORD]["metadata"]["labels"][group_records.HOST_LABEL] == name
        assert host.objects[PLACE]["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "nested.clusters"}
    (entry,) = change.diff
    assert (entry["before"], "description: Development" in entry["after"]) == ("", True)
    assert "generation" not in entry["after"]


def test_a_namespace_that_is_there_stays_as_it_is(site: Site) -> None:
    site.hosts["a"].have("Namespace", NAMESPACE, labels={"team": "x"})
    change = checked(site, lambda check: site.present(["a"], check))
    assert change.sentences() == ["write the record of group dev on host cluster a"]
    assert site.hosts["a"].objects[PLACE]["metadata"]["labels"] == {"team": "x"}


def test_a_namespace_that_is_being_deleted_is_waited_for(site: Site, clock: Clock) -> None:
    host = site.hosts["a"]
    host.have("Namespace", NAMESPACE, deletionTimestamp="2026-01-01T00:00:00Z")
    clock.after(20, lambda: host.objects.pop(PLACE))
    change = site.present(["a"])
    assert change.sentences()[0] == "create namespace nested-clusters on host cluster a"
    assert site.record("a") == change.after
    assert clock.now >= 1020


def test_a_namespace_that_does_not_go_says_why(site: Site) -> None:
    conditions = [{"status": "True", "message": "Some resources are remaining: pods"}]
    where = {"deletionTimestamp": "2026-01-01T00:00:00Z", "status": {"conditions": conditions}}
    site.hosts["a"].have("Namespace", NAMESPACE, **where)
    with pytest.raises(
        NestedClustersError, match=r"done on b, not done on a: .*Some resources are remaining"
    ) as caught:
        site.present()
    assert caught.value.data == {"done_host_clusters": ["b"], "failed_host_clusters": ["a"]}
    assert isinstance(caught.value, NestedClustersError)
    assert not isinstance(caught.value, WaitError)


def test_somebody_else_makes_the_namespace_meanwhile(site: Site) -> None:
    host = site.hosts["a"]

    def faster(method: str, where: str) -> None:
        if (method, where) == ("create", path("v1", "namespaces")):
            host.before = lambda method, where: None
            host.have("Namespace", NAMESPACE)

    host.before = faster
    assert site.record("a") is None
    site.present(["a"])
    assert site.record("a")


def test_other_groups_are_not_touched(made: Site) -> None:
    before = made.hosts["a"].objects[RECORD]
    group_change.present(made.entries(["a"]), {"name": "prod"}, False)
    assert made.hosts["a"].objects[RECORD] == before
    made.present(["a", "b"], description="x")
    assert set(made.hosts["a"].names(NAMESPACE)) == {"configmaps/vcluster-group-dev", "configmaps/vcluster-group-prod"}


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
def test_what_cannot_work_changes_nothing(params: Object, option: str, exists: bool, site: Site) -> None:
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
def test_members_that_cannot_be(member: Object, option: str, site: Site) -> None:
    error = refused(site, lambda check: site.present({"a": {}, "b": member}, check))
    assert error.data["option"] == option


def test_members_are_asked_for_names_of_their_patterns(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a Gateway which takes none of them is found out."""
    asked: list[str | None] = []

    def problems(_host: Any, _group: Any, name: str | None) -> list[str]:
        asked.append(name)
        return []

    monkeypatch.setattr(eligibility, "problems", problems)
    site.present({"a": {"dns_pattern": "vc-*.example.com"}, "b": {}}, check=True)
    assert sorted(asked, key=str) == [None, "vc-team-a.example.com"]


# --- changes ----------------------------------------------------------------------------------------------


def test_a_change(made: Site) -> None:
    change = checked(made, lambda check: made.present(check=check, description="after", oversubscription=200))
    assert change.sentences() == [f"change the record of group dev on host cluster {name}" for name in "ab"]
    assert made.record("a") == made.record("b")
    assert (made.record("a").description, made.record("a").generation) == ("after", 2)  # type: ignore[union-attr]
    (entry,) = change.diff
    assert "description: before" in entry["before"]
    assert "description: after" in entry["after"]


def test_what_is_left_out_stays(made: Site) -> None:
    for entries in (["a", "b"], ["b", "a"]):
        assert made.present(entries).sentences() == []
    made.present({"b": {"dns_pattern": "*.b.example.com", "capacity": {"storage": "1Ti"}}, "a": {}})
    made.forget()
    assert made.present(["b", "a"], description="before").sentences() == []
    assert made.written() == {}
    member = made.record("a").member("b")  # type: ignore[union-attr]
    assert member is not None
    assert (member.dns_pattern, str(member.capacity)) == (
        "*.b.example.com",
        "unlimited cpu, unlimited memory, 1Ti storage",
    )


def test_the_nodes_of_a_member_are_a_whole(made: Site) -> None:
    for selector in ({"a": "b", "c": "d"}, {"a": "b"}, {}):
        made.present({"a": {"node_selector": selector}, "b": {}})
        member = made.record("a").member("a")  # type: ignore[union-attr]
        assert member is not None
        assert member.node_selector == selector


def test_a_capacity_is_said_part_by_part(made: Site) -> None:
    for part in ({"storage": "1Ti"}, {"cpu": "8", "memory": None, "storage": None}):
        made.present({"a": {"capacity": part}, "b": {}})
    member = made.record("a").member("a")  # type: ignore[union-attr]
    assert member is not None
    assert str(member.capacity) == "8 cpu, unlimited memory, 1Ti storage"


def test_a_member_more(made: Site) -> None:
    change = checked(made, lambda check: made.present(["a", "b", "c"], check))
    assert change.sentences() == [
        "change the record of group dev on host cluster a",
        "change the record of group dev on host cluster b",
        "create namespace nested-clusters on host cluster c",
        "write the record of group dev on host cluster c",
    ]
    assert made.record("a") == made.record("b") == made.record("c")


def test_a_member_less(made: Site) -> None:
    change = checked(made, lambda check: made.present({"a": {}, "b": {"state": "absent"}}, check))
    assert change.sentences() == [
        "change the record of group dev on host cluster a",
        "delete the record of group dev on host cluster b",
    ]
    assert [member.name for member in made.record("a").members] == ["a"]  # type: ignore[union-attr]
    assert PLACE not in made.hosts["b"].objects


def test_a_namespace_in_which_something_is_stays(made: Site) -> None:
    group_change.present(made.entries(["b"]), {"name": "prod"}, False)
    made.present({"a": {}, "b": {"state": "absent"}})
    assert made.hosts["b"].names(NAMESPACE) == {"configmaps/vcluster-group-prod"}


def test_a_namespace_in_which_somebody_keeps_a_secret_stays(made: Site) -> None:
    made.hosts["b"].have("Secret", "mine", namespace=NAMESPACE)
    made.present({"a": {}, "b": {"state": "absent"}})
    assert PLACE in made.hosts["b"].objects


def test_what_every_namespace_has_is_nothing(made: Site) -> None:
    made.hosts["b"].have("ConfigMap", "kube-root-ca.crt", namespace=NAMESPACE)
    made.present({"a": {}, "b": {"state": "absent"}})
    assert PLACE not in made.hosts["b"].objects


def test_a_namespace_of_somebody_else_stays(site: Site) -> None:
    site.hosts["a"].have("Namespace", NAMESPACE)
    site.present(["a"])
    site.absent(["a"])
    assert PLACE in site.hosts["a"].objects
    assert site.record("a") is None


def test_an_absent_host_cluster_that_was_no_member_is_left_alone(made: Site) -> None:
    assert made.present({"a": {}, "b": {}, "c": {"state": "absent"}}).sentences() == []
    assert made.written() == {}


def test_a_record_without_its_labels_is_still_the_groups(made: Site) -> None:
    """Nothing of the group is forgotten, and others find it again."""
    for name in "ab":
        made.hosts[name].objects[RECORD]["metadata"]["labels"] = {"team": "x"}
    change = checked(made, lambda check: made.present(check=check))
    assert change.sentences() == [f"change the record of group dev on host cluster {name}" for name in "ab"]
    assert change.after.description == "before"  # type: ignore[union-attr]
    labels = made.hosts["a"].objects[RECORD]["metadata"]["labels"]
    assert (labels[group_records.RECORD_LABEL], labels[group_records.HOST_LABEL], labels["team"]) == ("dev", "a", "x")


def test_a_record_that_somebody_deleted_is_written_again(made: Site) -> None:
    before = made.record("a")
    del made.hosts["b"].objects[RECORD]
    change = checked(made, lambda check: made.present(check=check))
    assert change.sentences() == ["write the record of group dev on host cluster b"]
    assert made.record("b") == before


def test_a_broken_record_is_named(made: Site) -> None:
    made.hosts["b"].objects[RECORD]["data"] = {"group.yaml": "{"}
    with pytest.raises(NestedClustersError, match="ConfigMap nested-clusters/vcluster-group-dev"):
        made.present()


# --- what may not be --------------------------------------------------------------------------------------


def test_a_member_that_is_left_out(made: Site) -> None:
    for entries in (["a"], ["a", "c"], {"a": {}, "c": {"state": "absent"}}):
        error = refused(made, lambda check, entries=entries: made.present(entries, check), "b with state: absent")  # type: ignore[misc]
        assert error.data["option"] == "host_clusters"
        assert "state: lost" in str(error)
        assert "b is a member of group dev" in str(error)


def test_no_member_is_left(made: Site) -> None:
    for entries, lost in (({"a": {"state": "absent"}, "b": {"state": "absent"}}, ()), ({}, ("a", "b"))):
        error = refused(made, lambda check, e=entries, lost=lost: made.present(e, check, lost), "deletes the group")  # type: ignore[misc]
        assert error.data["option"] == "host_clusters"


def test_virtual_clusters_keep_their_host_cluster(made: Site) -> None:
    for name in ("team-b", "team-a"):
        made.place("b", name)
    made.place("b", "other", group="prod")
    made.place("a", "here")
    error = refused(
        made,
        lambda check: made.present({"a": {}, "b": {"state": "absent"}}, check),
        "host cluster b was not removed from group dev",
        "virtual clusters team-a, team-b live there",
    )
    assert error.data == {"virtual_clusters": ["team-a", "team-b"]}


def test_kept_volumes_keep_their_host_cluster_too(made: Site) -> None:
    made.place("b", "team-a", cpu="0", memory="0")
    refused(made, lambda check: made.present({"a": {}, "b": {"state": "absent"}}, check), "team-a")


def test_one_host_cluster_under_two_names(site: Site) -> None:
    error = refused(site, lambda check: site.present(["a", "a2"], check), "kube-system", "['a', 'a2']")
    assert error.data["option"] == "host_clusters"


def test_a_member_under_another_name(made: Site) -> None:
    for entries in (["a", "b2"], ["a", "b", "a2"], {"a": {}, "b": {}, "a2": {"state": "absent"}}):
        error = refused(made, lambda check, entries=entries: made.present(entries, check))  # type: ignore[misc]
        assert error.data["option"] == "host_clusters.name"
        assert error.data["allowed"] == error.data["value"][0]
        assert f"member {error.data['allowed']} of group dev" in str(error)


def test_another_host_cluster_under_a_members_name(made: Site) -> None:
    """Such as one that was made anew: what was there is gone, and somebody should know."""
    made.hosts["b"] = Host("https://new")
    error = refused(made, lambda check: made.present(check=check), "another one than the group's record says")
    assert (error.data["option"], error.data["value"]) == ("host_clusters", "b")


# --- whether a host cluster can be a member ---------------------------------------------------------------


def test_what_cannot_be_a_member_is_named(site: Site) -> None:
    site.hosts["b"].denied = {("create", "statefulsets"), ("create", "leases")}
    site.hosts["c"].have("Node", "fake", labels={"vcluster.loft.sh/fake-node": "true"})
    error = refused(
        site,
        lambda check: site.present(["a", "b", "c"], check),
        "b: it is read-only for this connection, which may not create statefulsets, create leases",
        "c: it is a virtual cluster itself",
    )
    assert (error.data["option"], error.data["value"]) == ("host_clusters", ["b", "c"])


def test_members_are_asked_again_where_the_endpoint_changes(made: Site) -> None:
    def endpoint(check: bool) -> GroupChange:
        return made.present(check=check, endpoint={"type": "load_balancer"})

    error = refused(made, endpoint, "load_balancer needs an implementation")
    assert error.data["value"] == ["a", "b"]
    for name in "ab":
        made.hosts[name].objects[path("v1", "nodes", None, "node")]["spec"] = {"providerID": "aws:///x"}
    checked(made, endpoint)
    # A later change asks nobody, whatever they say by now.
    for name in "ab":
        made.hosts[name].denied = {("create", "statefulsets")}
    made.forget()
    assert made.present(description="x").sentences()
    assert not [line for host in made.hosts.values() for line in host.asked if "selfsubjectaccessreviews" in line]


def test_only_the_new_one_is_asked(made: Site) -> None:
    for name in "abc":
        made.hosts[name].denied = {("create", "secrets")}
    error = refused(made, lambda check: made.present(["a", "b", "c"], check), "c: it is read-only")
    assert error.data["value"] == ["c"]


# --- host clusters that do not answer ---------------------------------------------------------------------


def test_a_new_member_that_does_not_answer(made: Site) -> None:
    made.hosts["c"].down = True
    error = refused(
        made,
        lambda check: made.present(["a", "b", "c"], check, description="after"),
        "host cluster c is to become a member and does not answer, so nothing was changed",
        "connection refused",
    )
    assert error.data == {"failed_host_clusters": ["c"]}


def test_a_member_that_does_not_answer_is_told_and_completed_later(made: Site) -> None:
    made.hosts["b"].down = True
    for check, words in ((True, "would be done on a"), (False, "done on a")):
        with pytest.raises(NestedClustersError) as caught:
            made.present(check=check, description="after")
        message = str(caught.value)
        assert f"group dev: {words}, not done on b: " in message
        assert "run the task again when they answer" in message
        assert caught.value.data == {"done_host_clusters": ["a"], "failed_host_clusters": ["b"]}
        assert bool(made.written()) is not check
    made.hosts["b"].down = False
    assert (made.record("a").description, made.record("b").description) == ("after", "before")  # type: ignore[union-attr]
    change = checked(made, lambda check: made.present(check=check, description="after"))
    assert change.sentences() == ["change the record of group dev on host cluster b"]
    assert made.record("a") == made.record("b")


def test_the_newest_record_holds(made: Site) -> None:
    """Also for a task that says nothing of what the unfinished one changed."""
    made.hosts["a"].down = True
    with pytest.raises(NestedClustersError):
        made.present(description="after")
    made.hosts["a"].down = False
    made.present()
    for name in "ab":
        assert made.record(name).description == "after"  # type: ignore[union-attr]


def test_nobody_answers(made: Site) -> None:
    for name in "ab":
        made.hosts[name].down = True
    with pytest.raises(NestedClustersError, match="does not answer") as caught:
        made.present()
    assert "failed_host_clusters" in caught.value.data


def test_a_member_to_remove_that_does_not_answer(made: Site) -> None:
    made.hosts["b"].down = True
    refused(
        made,
        lambda check: made.present({"a": {}, "b": {"state": "absent"}}, check),
        "host cluster b is to be removed and does not answer",
        "nothing was changed",
    )


def test_a_lost_member_is_not_asked(made: Site) -> None:
    made.place("b", "team-a")
    made.hosts["b"].down = True
    change = checked(made, lambda check: made.present(["a"], check, ["b"]))
    assert change.sentences() == ["change the record of group dev on host cluster a"]
    assert [member.name for member in made.record("a").members] == ["a"]  # type: ignore[union-attr]
    assert made.hosts["b"].asked == []


def test_what_is_lost_with_a_member_is_said(made: Site) -> None:
    (warning,) = made.present(["a"], True, ["b", "c"]).warnings
    assert "host cluster b is taken off the record without being asked" in warning
    made.present(["a"], False, ["b"])
    assert made.present(["a"], False, ["b"]).warnings == []


def test_writing_fails_on_one(made: Site) -> None:
    made.hosts["b"].denied = {("patch", "vcluster-group-dev")}
    with pytest.raises(NestedClustersError, match="done on a, not done on b: no permission") as caught:
        made.present(description="after")
    assert caught.value.data == {"done_host_clusters": ["a"], "failed_host_clusters": ["b"]}
    made.hosts["b"].denied = set()
    assert made.present(description="after").sentences() == ["change the record of group dev on host cluster b"]


# --- two at once ------------------------------------------------------------------------------------------


def test_two_administrators_notice_each_other(made: Site) -> None:
    """What one wrote is not overwritten by who did not see it."""
    host = made.hosts["b"]

    def faster(method: str, where: str) -> None:
        if (method, where) == ("patch", RECORD):
            host.before = lambda method, where: None
            group_change.present(made.entries(["b"]), {"name": "dev", "description": "faster"}, False, ["a"])

    host.before = faster
    with pytest.raises(NestedClustersError, match=r"not done on b: the record was changed by somebody else") as caught:
        made.present(description="slower")
    assert caught.value.data == {"done_host_clusters": ["a"], "failed_host_clusters": ["b"]}
    assert made.record("b").description == "faster"  # type: ignore[union-attr]


def test_two_administrators_create_a_group_at_once(site: Site) -> None:
    host = site.hosts["a"]

    def faster(method: str, where: str) -> None:
        if (method, where) == ("create", path("v1", "configmaps", NAMESPACE)):
            host.before = lambda method, where: None
            site.present(["a"], description="faster")

    host.before = faster
    with pytest.raises(NestedClustersError, match="not done on a"):
        site.present(["a"], description="slower")
    assert site.record("a").description == "faster"  # type: ignore[union-attr]


@pytest.mark.parametrize("deleting", [False, True])
def test_somebody_places_a_virtual_cluster_while_its_host_cluster_is_removed(deleting: bool, made: Site) -> None:
    """Whoever places one holds the lock; who removes the host cluster looks again when it has it."""
    host = made.hosts["b"]

    def placing(method: str, where: str) -> None:
        if (method, where) == ("create", group_lock.LEASES):
            host.before = lambda method, where: None
            made.place("b", "team-a")

    host.before = placing
    with pytest.raises(NestedClustersError, match="team-a"):
        made.absent() if deleting else made.present({"a": {}, "b": {"state": "absent"}})
    assert made.record("b")
    assert LEASE not in host.objects


def test_a_removal_waits_for_its_turn(made: Site, clock: Clock) -> None:
    have_lease(made.hosts["b"])
    clock.after(5, lambda: made.hosts["b"].delete(LEASE))
    made.present({"a": {}, "b": {"state": "absent"}})
    assert clock.now >= 1005
    assert made.record("b") is None


@pytest.mark.parametrize("deleting", [False, True])
def test_a_removal_that_took_too_long_does_not_happen(deleting: bool, made: Site, clock: Clock) -> None:
    host = made.hosts["b"]

    def slow(method: str, where: str) -> None:
        if LEASE in host.objects and method == "get":
            clock.now += 2

    host.before = slow
    with pytest.raises(NestedClustersError, match="run the task again"):
        made.absent() if deleting else made.present({"a": {}, "b": {"state": "absent"}})
    assert made.record("b")


def test_an_unfinished_removal_is_finished(made: Site) -> None:
    host = made.hosts["b"]
    host.denied = {("delete", "vcluster-group-dev")}
    with pytest.raises(NestedClustersError, match="not done on b"):
        made.present({"a": {}, "b": {"state": "absent"}})
    host.denied = set()
    change = checked(made, lambda check: made.present({"a": {}, "b": {"state": "absent"}}, check))
    assert change.sentences() == ["delete the record of group dev on host cluster b"]


# --- deletion ---------------------------------------------------------------------------------------------


def test_a_group_is_deleted(made: Site) -> None:
    change = checked(made, lambda check: made.absent(check=check))
    assert change.sentences() == [f"delete the record of group dev on host cluster {name}" for name in "ab"]
    assert change.after is None
    (entry,) = change.diff
    assert ("description: before" in entry["before"], entry["after"]) == (True, "")
    for name in "ab":
        assert PLACE not in made.hosts[name].objects


def test_two_groups_of_one_name(site: Site) -> None:
    """Each on a host cluster of its own: neither a change nor the deletion takes one for the other."""
    site.present(["a"])
    site.present(["b"], description="another")
    words = ("b and a have different groups called dev", "no host cluster is a member of both")
    refused(site, lambda check: site.present(check=check), *words)
    refused(site, lambda check: site.absent(check=check), *words)
    refused(site, lambda check: site.present({"a": {}, "b": {"state": "absent"}}, check), *words)
    assert checked(site, lambda check: site.absent(["a"], check)).sentences()
    assert site.record("b")


def test_a_group_that_is_not_there(site: Site) -> None:
    assert checked(site, lambda check: site.absent(check=check)).sentences() == []


def test_a_group_that_may_be_on_a_host_cluster_that_does_not_answer(site: Site) -> None:
    site.hosts["b"].down = True
    refused(site, lambda check: site.absent(check=check), "b: host cluster https://b does not answer")


def test_a_group_in_use_is_not_deleted(made: Site) -> None:
    made.place("b", "team-a")
    error = refused(
        made, lambda check: made.absent(check=check), "group dev was not deleted (host cluster b)", "team-a"
    )
    assert error.data == {"virtual_clusters": ["team-a"]}


def test_virtual_clusters_of_other_groups_are_no_reason(made: Site) -> None:
    made.place("b", "team-a", group="prod")
    assert made.absent().sentences()


def test_a_group_is_deleted_everywhere_or_nowhere(made: Site) -> None:
    error = refused(made, lambda check: made.absent(["a"], check), "b as well")
    assert error.data["option"] == "host_clusters"
    made.hosts["b"].down = True
    refused(made, lambda check: made.absent(check=check), "b: ", "does not answer")
    # One that does not exist any more is none of them.
    assert made.absent(["a"], lost=["b"]).sentences() == ["delete the record of group dev on host cluster a"]


def test_a_member_under_another_name_is_not_deleted(made: Site) -> None:
    error = refused(made, lambda check: made.absent(["a", "b2"], check))
    assert error.data["option"] == "host_clusters.name"


def test_an_unfinished_deletion_is_finished(made: Site) -> None:
    host = made.hosts["b"]
    host.denied = {("delete", "vcluster-group-dev")}
    with pytest.raises(NestedClustersError, match="group dev: done on a, not done on b: no permission"):
        made.absent()
    assert made.record("a") is None
    assert not [one for one in made.hosts.values() if LEASE in one.objects]
    host.denied = set()
    change = checked(made, lambda check: made.absent(check=check))
    assert change.sentences() == ["delete the record of group dev on host cluster b"]


# --- what virtual clusters do not have yet ----------------------------------------------------------------


def test_what_is_pending(made: Site) -> None:
    group = made.record("a")
    assert group is not None
    has = group_pending.applied(group, group.members[0])
    made.place("a", "team-b", applied=has)
    made.place("b", "team-a", applied=group_pending.applied(group, group.members[1]))
    made.place("a", "kept", cpu="0", memory="0")
    made.place("a", "foreign", group="prod")
    assert made.present(check=True).pending == {}
    change = made.present(values={"a": 1}, vcluster_version="0.36.1")
    reasons = ["vcluster_version: its own applied, 0.36.1 in the group", "values: changed in the group"]
    assert change.pending == {"team-a": reasons, "team-b": reasons}
    assert list(change.pending) == ["team-a", "team-b"]
    assert change.pending_upgrade == ["team-a", "team-b"]
    assert made.present(vcluster_version="").pending_upgrade == []


def test_what_is_pending_of_one_host_cluster(made: Site) -> None:
    group = made.record("a")
    assert group is not None
    for host, name, member in (("a", "team-a", group.members[0]), ("b", "team-b", group.members[1])):
        made.place(host, name, applied=group_pending.applied(group, member))
    change = made.present({"a": {"node_selector": {"x": "y"}}, "b": {}})
    assert change.pending == {"team-a": ["node_selector: changed in the group"]}
