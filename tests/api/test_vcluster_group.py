# SPDX-License-Identifier: GPL-3.0-or-later
"""Cluster groups: made, changed, refused and deleted on real host clusters."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from host_api import Host, connections, remove_namespaces, wait_gone
from modules import Module, diff_text, same
from proxy import Proxy
from waiting import eventually

SPACE = "/api/v1/namespaces/nested-clusters"
RECORDS = "/api/v1/namespaces/nested-clusters/configmaps"
GROUP = "it-group"


@pytest.fixture(scope="module", autouse=True)
def no_leftovers(members: dict[str, Host], vcluster_group: Module) -> Iterator[None]:
    """Whatever a test leaves of its group goes."""
    yield
    remove(members, vcluster_group)


def remove(members: dict[str, Host], vcluster_group: Module) -> None:
    for member in members.values():
        remove_namespaces(member, "it-living", "it-living-b")
        member.delete(f"{RECORDS}/vcluster-group-{GROUP}")
    vcluster_group.raw(name=GROUP, state="absent")
    for member in members.values():
        eventually("namespace nested-clusters gone, or to stay", partial(stands_still, member))


def stands_still(member: Host) -> bool:
    """Whether namespace nested-clusters is not being deleted, as it is where the last group has just gone."""
    there = member.get(SPACE)
    return there is None or "deletionTimestamp" not in there["metadata"]


@pytest.fixture
def group(members: dict[str, Host], vcluster_group: Module) -> Iterator[Module]:
    """The module, for a group that is gone before and after the test."""
    remove(members, vcluster_group)
    yield vcluster_group.against(name=GROUP)
    remove(members, vcluster_group)


def record(host: Host) -> dict[str, Any] | None:
    """The record of the group on a host cluster."""
    stored = host.get(f"{RECORDS}/vcluster-group-{GROUP}")
    return yaml.safe_load(stored["data"]["group.yaml"]) if stored else None


def living(host: Host, name: str = "it-living", version: str | None = None) -> None:
    """A virtual cluster of the group, as far as the group can tell."""
    size = json.dumps({"cpu": "4", "memory": "4Gi", "storage": "2Gi"})
    annotations = {"nested-clusters/virtual-cluster": name, "nested-clusters/size": size}
    if version:
        annotations["nested-clusters/applied"] = json.dumps({"vcluster_version": version})
    host.namespace(name, labels={"nested-clusters/group": GROUP}, annotations=annotations)


def test_group_from_creation_to_deletion_does_what_check_mode_said(
    members: dict[str, Host], vcluster_group: Module
) -> None:
    """Made on all host clusters, left alone, changed and deleted; check mode and diff say before what happens."""
    remove(members, vcluster_group)
    group = vcluster_group.against(name=GROUP)
    asked: dict[str, Any] = {"description": "Development teams", "tags": {"cost": "r-and-d"}, "oversubscription": 150}
    check, run = group(check=True, **asked), group(**asked)
    same(check, run)
    assert run["changed"]
    assert run["group"]["oversubscription"] == 150
    assert run["group"]["size"]["default"] == {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}
    for name, member in members.items():
        assert f"write the record of group {GROUP} on host cluster {name}" in run["steps"]
        assert record(member) == run["group"]
    assert not group(**asked)["changed"]
    assert not group()["changed"], "what a task leaves out stays"
    bigger: dict[str, Any] = {"size": {"maximum": {"cpu": "8"}}, "placement": "pack"}
    check, run = group(check=True, **bigger), group(**bigger)
    same(check, run)
    assert "placement: spread" in diff_text(run)
    assert "placement: pack" in diff_text(run, "after")
    assert run["group"]["description"] == "Development teams"
    assert run["group"]["generation"] == 2
    check, run = (group(check=check, state="absent") for check in (True, False))
    same(check, run)
    for member in members.values():
        wait_gone(member, SPACE)
    assert not group(state="absent")["changed"]


def test_group_creation_in_check_mode_writes_nothing(members: dict[str, Host], group: Module) -> None:
    """Check mode of a creation leaves nothing on any host cluster."""
    group(check=True)
    assert all(record(member) is None for member in members.values())


def test_group_unchanged_costs_few_requests(host: Host, vcluster_group: Module, group: Module, proxy: Proxy) -> None:
    """Two LISTs and three GETs a host cluster, no writes, however many virtual clusters there are."""
    one = [{"name": "host-a", **proxy.options}]
    group(host_clusters=one)
    counts = []
    for name in ("it-living", "it-living-b"):
        living(host, name)
        proxy.seen.clear()
        assert not group(host_clusters=one)["changed"]
        counts.append(len(proxy.seen))
        assert all(request.startswith("GET ") for request in proxy.seen)
    print(*proxy.seen, sep="\n")
    assert counts == [5, 5]


def test_group_with_credentials_of_hosts_stores_none(members: dict[str, Host], group: Module) -> None:
    """Nothing that leads into a host cluster is found on any of them, in whatever object."""
    group(values={"sync": {"toHost": {"ingresses": {"enabled": True}}}})
    secrets = set()
    for member in members.values():
        config = yaml.safe_load(Path(member.kubeconfig).read_text())
        for user in config["users"]:
            for key, value in user["user"].items():
                if key in ("token", "password", "client-key-data"):
                    secrets |= {value, base64.b64encode(value.encode()).decode()}
                if key.endswith("-data"):
                    secrets.add(base64.b64decode(value).decode().strip().splitlines()[1])
    assert secrets
    for member in members.values():
        for key, text in member.everything().items():
            assert not [secret for secret in secrets if secret in text], key


def test_group_with_credentials_in_values_is_refused(members: dict[str, Host], group: Module) -> None:
    """Values with a password name the path, not the password, and nothing is written."""
    store = {"database": {"embedded": {"dataSource": "mysql://root:hunter2@db/vcluster"}}}
    message = group.refused(values={"controlPlane": {"backingStore": store}})
    assert "dataSource" in message
    assert "hunter2" not in message
    assert all(record(member) is None for member in members.values())


def test_member_that_does_not_answer_is_completed_by_the_next_task(members: dict[str, Host], group: Module) -> None:
    """The others are done and named, so is the one that is not; the same task again completes the rest."""
    if len(members) < 2:
        pytest.fail("this test needs a second host cluster")
    given = connections(members)
    group(host_clusters=given)
    dead = [given[0], {"name": "host-b", "host": "https://127.0.0.1:1", "api_key": "x"}]
    result = group.raw(host_clusters=dead, description="new")
    assert result["failed"]
    assert result["done_host_clusters"] == ["host-a"]
    assert result["failed_host_clusters"] == ["host-b"]
    assert "host-b" in result["msg"]
    assert "run the task again" in result["msg"]
    assert record(members["host-a"])["description"] == "new"  # type: ignore[index]
    assert record(members["host-b"])["description"] == ""  # type: ignore[index]
    run = group(host_clusters=given)
    assert run["steps"] == [f"change the record of group {GROUP} on host cluster host-b"]
    assert record(members["host-a"]) == record(members["host-b"])


def test_new_member_that_does_not_answer_is_refused(members: dict[str, Host], group: Module) -> None:
    """Nothing is written while a host cluster that shall become a member cannot be looked at."""
    dead = {"name": "host-c", "host": "https://127.0.0.1:1", "api_key": "x"}
    message = group.refused(host_clusters=[*connections(members), dead])
    assert "host-c" in message
    assert "nothing was changed" in message
    assert all(record(member) is None for member in members.values())


def test_member_that_leaves_is_refused_while_it_is_used(members: dict[str, Host], group: Module) -> None:
    """A host cluster joins and leaves: not while a virtual cluster lives there, and never by omission."""
    if len(members) < 2:
        pytest.fail("this test needs a second host cluster")
    first, second = connections(members)
    group(host_clusters=[first])
    run = group(host_clusters=[first, second])
    assert f"write the record of group {GROUP} on host cluster host-b" in run["steps"]
    assert "host-b" in group.refused(host_clusters=[first])
    living(members["host-b"])
    gone = [first, {**second, "state": "absent"}]
    message = group.refused(host_clusters=gone)
    assert "it-living" in message
    assert record(members["host-b"]) is not None
    assert "it-living" in group.refused(state="absent")
    remove_namespaces(members["host-b"], "it-living")
    same(group(check=True, host_clusters=gone), run := group(host_clusters=gone))
    assert f"delete the record of group {GROUP} on host cluster host-b" in run["steps"]
    assert record(members["host-b"]) is None
    assert [host["name"] for host in record(members["host-a"])["host_clusters"]] == ["host-a"]  # type: ignore[index]
    assert not members["host-b"].items("/apis/coordination.k8s.io/v1/namespaces/nested-clusters/leases")


def test_member_that_is_lost_is_taken_off_with_a_warning(members: dict[str, Host], group: Module) -> None:
    """One that does not exist any more is taken off in so many words, with a warning."""
    if len(members) < 2:
        pytest.fail("this test needs a second host cluster")
    first, second = connections(members)
    group(host_clusters=[first, second])
    run = group(host_clusters=[first, {"name": "host-b", "host": "https://127.0.0.1:1", "state": "lost"}])
    assert any("host-b" in str(warning) for warning in run["warnings"])
    assert [host["name"] for host in run["group"]["host_clusters"]] == ["host-a"]


def test_member_that_cannot_serve_the_endpoint_is_refused(host: Host, group: Module) -> None:
    """A host cluster that cannot serve the endpoint is refused with what is missing."""
    one = connections({"host-a": host})
    pattern = [{**one[0], "dns_pattern": "*.vc.example.com"}]
    message = group.refused(host_clusters=pattern, endpoint={"type": "ingress", "ingress_class": "nowhere"})
    assert "no ingress class nowhere" in message
    assert "no default ingress class" in group.refused(host_clusters=pattern, endpoint={"type": "ingress"})
    assert "serves no TLSRoute" in group.refused(
        host_clusters=pattern, endpoint={"type": "gateway", "gateway_name": "entry"}
    )
    assert "load_balancer needs" in group.refused(host_clusters=one, endpoint={"type": "load_balancer"})
    assert record(host) is None


def test_member_with_the_ingress_class_is_accepted(host: Host, group: Module) -> None:
    """With the class there, the same task works."""
    classes = "/apis/networking.k8s.io/v1/ingressclasses"
    host.create(classes, {"metadata": {"name": "it-class"}, "spec": {"controller": "example.com/it"}})
    try:
        one = [{**connections({"host-a": host})[0], "dns_pattern": "*.vc.example.com"}]
        assert group(host_clusters=one, endpoint={"type": "ingress", "ingress_class": "it-class"})["changed"]
    finally:
        host.delete(f"{classes}/it-class")


def test_member_with_read_only_connection_is_refused(host: Host, group: Module) -> None:
    """A connection that may only read is refused with what it may not do."""
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]
    host.create(role, {"metadata": {"name": "it-reader"}, "rules": rules})
    subject = {"kind": "User", "name": "it-reader", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"kind": "ClusterRole", "name": "it-reader", "apiGroup": "rbac.authorization.k8s.io"}
    host.create(binding, {"metadata": {"name": "it-reader"}, "subjects": [subject], "roleRef": reference})
    try:
        one = [{**connections({"host-a": host})[0], "impersonate_user": "it-reader"}]
        message = group.refused(host_clusters=one)
        assert "read-only" in message
        assert "create namespaces" in message
    finally:
        host.delete(f"{binding}/it-reader")
        host.delete(f"{role}/it-reader")
    assert record(host) is None


def test_group_with_another_locked_version_names_who_is_behind(host: Host, group: Module) -> None:
    """A changed lock changes nothing by itself: it says which virtual clusters wait for it."""
    one = connections({"host-a": host})
    group(host_clusters=one, vcluster_version="0.36.0")
    living(host, version="0.36.0")
    run = group(host_clusters=one, vcluster_version="0.36.1")
    assert run["pending_upgrade"] == ["it-living"]
    assert "vcluster_version: 0.36.0 applied, 0.36.1 in the group" in run["pending"]["it-living"]
    assert group(host_clusters=one, vcluster_version="0.36.0")["pending_upgrade"] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": {"default": {"cpu": "four"}}}, ["size.default.cpu", "'four'"]),
        ({"size": {"default": {"memory": "-1Gi"}}}, ["size.default.memory", "'-1Gi'"]),
        ({"size": {"maximum": {"cpu": "0"}}}, ["size.maximum.cpu", "'0'"]),
        ({"size": {"maximum": {"cpu": "2"}}}, ["size.maximum.cpu", "size.minimum.cpu"]),
        ({"size": {"default": {"cpu": "2"}}}, ["size.default.cpu", "at least", "4"]),
        ({"size": {"maximum": {"cpu": "8"}, "default": {"cpu": "9"}}}, ["size.default.cpu", "at most", "8"]),
        ({"oversubscription": 0}, ["oversubscription", "0"]),
        ({"owner_quota": {"virtual_clusters": -1}}, ["owner_quota.virtual_clusters", "-1"]),
        ({"vcluster_version": "newest"}, ["vcluster_version", "newest"]),
        ({"distribution": "k3s"}, ["distribution", "k3s", "0.33"]),
        ({"oidc": {"issuer_url": "http://sso.example.com", "client_id": "x"}}, ["oidc.issuer_url", "https"]),
        ({"name": "Dev_1"}, ["name", "Dev_1"]),
    ],
)
def test_group_with_bad_option_is_refused(
    members: dict[str, Host], group: Module, options: dict[str, Any], words: list[str]
) -> None:
    """One error names the option, the value and what is allowed; nothing is written."""
    message = group.refused(**options)
    assert all(word in message for word in words), message
    assert all(record(member) is None for member in members.values())


def test_group_with_bad_host_clusters_is_refused(host: Host, group: Module) -> None:
    """Two of one name, one under two names, a pattern without a wildcard: each is told apart."""
    one = connections({"host-a": host})[0]
    assert "2 times" in group.refused(host_clusters=[one, one])
    assert "same host cluster" in group.refused(host_clusters=[one, {**one, "name": "host-z"}])
    message = group.refused(host_clusters=[{**one, "dns_pattern": "vc.example.com"}])
    assert "dns_pattern" in message
    assert "'*'" in message
    assert "capacity.storage" in group.refused(host_clusters=[{**one, "capacity": {"storage": "much"}}])
    assert record(host) is None
