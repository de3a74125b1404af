# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_group, through main(), on host clusters in memory. What it does in detail is tested in module_utils."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.nested.clusters.plugins.doc_fragments import host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.common.size import RESOURCES
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_settings
from ansible_collections.nested.clusters.plugins.module_utils.groups import model as group_model
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import auth_argument_spec
from ansible_collections.nested.clusters.plugins.modules import vcluster_group
from documentation_checks import OF_ANSIBLE, assert_documented
from fake_api import FakeCluster
from group_contexts import HOSTS, RECORD, have_virtual_cluster, objects, open_hosts, stored

Object = dict[str, Any]
Run = Callable[..., Object]


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeCluster]:
    return open_hosts(monkeypatch)


@pytest.fixture
def run(run_module: Run, hosts: dict[str, FakeCluster]) -> Run:
    def call(**options: Any) -> Object:
        return run_module(vcluster_group, **{"name": "dev", "host_clusters": copy.deepcopy(HOSTS), **options})

    return call


# --- documentation ----------------------------------------------------------------------------------------

DOCUMENTATION = yaml.safe_load(vcluster_group.DOCUMENTATION)
FRAGMENT = yaml.safe_load(host_clusters.ModuleDocFragment.MEMBERS)


def test_vcluster_group_options_are_documented() -> None:
    spec = vcluster_group.argument_spec()
    assert DOCUMENTATION["options"].keys().isdisjoint(FRAGMENT["options"])
    own = {name: option for name, option in spec.items() if name not in auth_argument_spec()}
    assert_documented(own, {**DOCUMENTATION["options"], **FRAGMENT["options"]})
    fragments = DOCUMENTATION["extends_documentation_fragment"]
    assert {"nested.clusters.connection", "nested.clusters.host_clusters.members"} <= set(fragments)
    assert auth_argument_spec().items() <= spec.items()


def test_vcluster_group_defaults_are_documented() -> None:
    """They are those of a new group, so no default of the option says them."""
    options = DOCUMENTATION["options"]

    def text(option: Object) -> str:
        return " ".join(option["description"])

    new = group_settings.desired({"name": "dev"}, [group_model.Member("a")], None)
    assert f"V({new.oversubscription})" in text(options["oversubscription"])
    assert f"The default is V({new.placement})" in text(options["placement"])
    assert f"The default is V({new.distribution})" in text(options["distribution"])
    assert "V(cluster_ip)" in text(options["endpoint"]["suboptions"]["type"])
    sizes = options["size"]["suboptions"]
    assert str(new.default) == "4 cpu, 4Gi memory, 2Gi storage"
    assert "4 cores, 4Gi of memory and 2Gi of storage" in text(sizes["default"])
    assert new.minimum == new.default
    minimum = "4 cores, 4Gi of memory and 2Gi of storage, or with V(k3s) 4 cores, 3Gi of memory and no storage"
    assert minimum in text(sizes["minimum"])
    assert group_model.MINIMUM_SIZE["k3s"] == {"cpu": "4", "memory": "3Gi", "storage": "0"}


def test_vcluster_group_examples_are_valid_tasks() -> None:
    tasks = yaml.safe_load(vcluster_group.EXAMPLES)
    validator = ArgumentSpecValidator(vcluster_group.argument_spec())
    assert len(tasks) >= 3
    for task in tasks:
        assert task["name"]
        assert validator.validate(task["nested.clusters.vcluster_group"]).error_messages == []


def test_vcluster_group_examples_create_groups(run: Run, hosts: dict[str, FakeCluster]) -> None:
    for name in "ab":
        hosts[name].have("IngressClass", "nginx")
    for task in yaml.safe_load(vcluster_group.EXAMPLES):
        options = task["nested.clusters.vcluster_group"]
        result = run(**{"host_clusters": None, **options})
        assert not result.get("failed"), result
        assert result["changed"]


def test_vcluster_group_results_are_documented(run: Run, hosts: dict[str, FakeCluster]) -> None:
    documented = yaml.safe_load(vcluster_group.RETURN)
    result = run()
    assert {name for name, told in documented.items() if told["returned"] == "success"} == result.keys() - OF_ANSIBLE
    assert documented["group"]["sample"].keys() <= result["group"].keys()
    hosts["b"].down = True
    failed = run(description="x")
    assert {name for name, told in documented.items() if told["returned"] != "success"} <= failed.keys()


# --- what comes back --------------------------------------------------------------------------------------


def test_vcluster_group_new_group_is_recorded(run: Run, hosts: dict[str, FakeCluster]) -> None:
    before = objects(hosts)
    foreseen = run(description="Development", check_mode=True, diff=True)
    assert objects(hosts) == before
    result = run(description="Development", diff=True)
    for key in ("changed", "steps", "diff", "group"):
        assert foreseen[key] == result[key]
    assert result["changed"] is True
    assert result["steps"][1] == "write the record of group dev on host cluster host-a"
    assert "description: Development" in result["diff"][0]["after"]
    assert result["group"] == stored(hosts["a"]) == stored(hosts["b"])
    assert (result["pending"], result["pending_upgrade"]) == ({}, [])
    again = run(description="Development", diff=True)
    assert (again["changed"], again["steps"], again["diff"]) == (False, [], [])


def test_vcluster_group_diff_only_in_diff_mode(run: Run) -> None:
    assert "diff" not in run()


def test_vcluster_group_connection_options_are_one_host(run: Run, hosts: dict[str, FakeCluster]) -> None:
    result = run(host_clusters=None)
    assert [member["name"] for member in result["group"]["host_clusters"]] == ["default"]
    assert RECORD in hosts["a"]
    assert run(host_clusters=None)["changed"] is False
    assert run(host_clusters=None, state="absent")["changed"] is True
    assert RECORD not in hosts["a"]


def test_vcluster_group_null_option_counts_as_omitted(run: Run) -> None:
    """Ansible itself refuses it where there are choices."""
    run(description="x", tags={"a": "b"}, size={"maximum": {"cpu": 8}}, vcluster_version="0.36.1")
    spec = vcluster_group.argument_spec()
    null = [name for name, option in spec.items() if not {"required", "default", "choices"} & option.keys()]
    null.remove("host_clusters")
    result = run(**dict.fromkeys(null))
    assert not result.get("failed"), result
    assert result["changed"] is False


def test_vcluster_group_all_options_are_used(run: Run, hosts: dict[str, FakeCluster]) -> None:
    options: Object = {
        "tags": {"team": ["a", 1]},
        "endpoint": {"type": "node_port", "annotations": {"a": "b"}},
        "distribution": "k8s",
        "kubernetes_version": "1.36.0",
        "vcluster_version": "v0.36.1",
        "oversubscription": 150,
        "placement": "pack",
        "size": {"default": {"cpu": 5}, "minimum": {"memory": "1Gi"}, "maximum": {"storage": "1Ti"}},
        "owner_quota": {"virtual_clusters": 2, "cpu": 8.5},
        "values": {"sync": {"toHost": {"ingresses": {"enabled": True}}}},
        "oidc": {"issuer_url": "https://id.example.com", "client_id": "kube", "extra_scopes": ["email"]},
        "host_clusters": [
            {**HOSTS[0], "dns_pattern": "*.a.example.com", "capacity": {"cpu": 64}, "node_selector": {"pool": "x"}}
        ],
    }
    result = run(**options)
    assert not result.get("failed"), result
    assert run(**options)["changed"] is False
    group = result["group"]
    assert group["size"]["default"] == {"cpu": "5", "memory": "4Gi", "storage": "2Gi"}
    assert group["size"]["minimum"] == {"cpu": "4", "memory": "1Gi", "storage": "2Gi"}
    assert group["size"]["maximum"] == {"cpu": None, "memory": None, "storage": "1Ti"}
    assert group["owner_quota"]["cpu"] == "8500m"
    assert group["endpoint"] == {"type": "node_port", "annotations": {"a": "b"}}
    assert (group["vcluster_version"], group["kubernetes_version"]) == ("0.36.1", "v1.36.0")
    assert group["oidc"] == options["oidc"]
    (member,) = group["host_clusters"]
    assert member == {
        "name": "host-a",
        "id": "uid of https://a",
        "dns_pattern": "*.a.example.com",
        "capacity": {"cpu": "64", "memory": None, "storage": None},
        "node_selector": {"pool": "x"},
    }


def test_vcluster_group_pending_is_returned(run: Run, hosts: dict[str, FakeCluster]) -> None:
    run()
    have_virtual_cluster(hosts["a"], "team-a")
    result = run(vcluster_version="0.36.1")
    assert "vcluster_version: its own applied, 0.36.1 in the group" in result["pending"]["team-a"]
    assert result["pending_upgrade"] == ["team-a"]


def test_vcluster_group_members_are_added_and_removed(run: Run, hosts: dict[str, FakeCluster]) -> None:
    run()
    more = [*HOSTS, {"name": "host-c", "context": "c"}]
    assert run(host_clusters=more)["changed"] is True
    away = [*HOSTS, {"name": "host-c", "context": "c", "state": "absent"}]
    result = run(host_clusters=away)
    assert "delete the record of group dev on host cluster host-c" in result["steps"]
    assert RECORD not in hosts["c"]
    assert run(host_clusters=away)["changed"] is False
    # One that does not exist any more needs no connection.
    lost = [HOSTS[0], {"name": "host-b", "context": "gone", "state": "lost"}]
    result = run(host_clusters=lost)
    assert "host cluster host-b is removed without being read" in result["warnings"][0]
    assert [member["name"] for member in result["group"]["host_clusters"]] == ["host-a"]
    result = run(host_clusters=lost)
    assert (result["changed"], result["warnings"]) == (False, [])


def test_vcluster_group_absent_deletes_records(run: Run, hosts: dict[str, FakeCluster]) -> None:
    run()
    before = objects(hosts)
    assert run(state="absent", check_mode=True)["changed"] is True
    assert objects(hosts) == before
    result = run(state="absent", diff=True)
    assert (result["changed"], result["group"]) == (True, {})
    assert result["diff"][0]["after"] == ""
    assert not [at for host in hosts.values() for at in host.paths() if "nested-clusters" in at]
    assert run(state="absent")["changed"] is False


def test_vcluster_group_absent_with_lost_member_deletes_records(run: Run, hosts: dict[str, FakeCluster]) -> None:
    run()
    result = run(state="absent", host_clusters=[HOSTS[0], {"name": "host-b", "context": "gone", "state": "lost"}])
    assert (result["changed"], RECORD in hosts["a"]) == (True, False)


# --- what is refused --------------------------------------------------------------------------------------


def refused(run: Run, hosts: dict[str, FakeCluster], **options: Any) -> Object:
    """The failure, the same in check mode, with nothing written."""
    before = objects(hosts)
    results = [run(check_mode=check, **options) for check in (True, False)]
    assert [result.get("failed") for result in results] == [True, True]
    assert results[0]["msg"] == results[1]["msg"]
    assert objects(hosts) == before
    return results[0]


BAD: dict[str, tuple[Object, str, str]] = {
    f"{bound} {resource} {amount}": ({"size": {bound: {resource: amount}}}, f"size.{bound}.{resource}", str(amount))
    for bound in ("default", "minimum", "maximum")
    for resource in RESOURCES
    for amount in ("lots", "-1", -1)
}
BAD |= {
    f"quota {resource}": ({"owner_quota": {resource: "4 x"}}, f"owner_quota.{resource}", "4 x")
    for resource in RESOURCES
}
BAD |= {
    "no cpu for anybody": ({"size": {"maximum": {"cpu": 0}}}, "size.maximum.cpu", "0"),
    "nothing by default": ({"size": {"default": {"cpu": 0}, "minimum": {"cpu": 0}}}, "size.default.cpu", "0"),
    "a minimum over the maximum": (
        {"size": {"minimum": {"cpu": 9}, "default": {"cpu": 9}, "maximum": {"cpu": 8}}},
        "size.maximum.cpu",
        "size.minimum.cpu, 9",
    ),
    "a default over the maximum": (
        {"size": {"default": {"memory": "9Gi"}, "maximum": {"memory": "8Gi"}}},
        "size.default.memory",
        "size.maximum.memory, 8Gi",
    ),
    "a default under the minimum": (
        {"size": {"default": {"storage": 1}}},
        "size.default.storage",
        "size.minimum.storage",
    ),
    "a negative quota": ({"owner_quota": {"virtual_clusters": -1}}, "owner_quota.virtual_clusters", "-1"),
    "no oversubscription": ({"oversubscription": 0}, "oversubscription", "at least 1"),
    "a name": ({"name": "Dev"}, "name", "lower-case"),
    "two of one name": ({"host_clusters": [*HOSTS, HOSTS[0]]}, "host_clusters", "host-a is listed 2 times"),
    "one under two names": (
        {"host_clusters": [*HOSTS, {"name": "other", "context": "a"}]},
        "host_clusters",
        "the UID of namespace kube-system is the same",
    ),
    "no name": ({"host_clusters": [{"name": "", "context": "a"}]}, "host_clusters", "give each one a name"),
    "none": ({"host_clusters": []}, "host_clusters", "list at least one host cluster"),
    "a pattern without a wildcard": (
        {"host_clusters": [{**HOSTS[0], "dns_pattern": "vc.example.com"}]},
        "host_clusters.dns_pattern",
        "with one '*'",
    ),
    "an endpoint without a pattern": ({"endpoint": {"type": "ingress"}}, "host_clusters.dns_pattern", "host-a has no"),
    "a capacity": (
        {"host_clusters": [{**HOSTS[0], "capacity": {"storage": "2TB"}}]},
        "host_clusters.capacity.storage",
        "2TB",
    ),
    "labels that are no text": (
        {"host_clusters": [{**HOSTS[0], "node_selector": {"gpu": True}}]},
        "host_clusters.node_selector",
        "quote it",
    ),
    "a version": ({"vcluster_version": "latest"}, "vcluster_version", "MAJOR.MINOR.PATCH"),
    "a distribution": ({"distribution": "k3s"}, "distribution", "k3s"),
    "a credential": ({"values": {"token": "hunter2"}}, "values", "token contains a credential"),
    "no member": ({"host_clusters": [{**HOSTS[0], "state": "absent"}]}, "host_clusters", "one with state: present"),
}


@pytest.mark.parametrize("what", BAD)
def test_vcluster_group_invalid_setting_is_refused(what: str, run: Run, hosts: dict[str, FakeCluster]) -> None:
    """One error, which names the option, its value and what is allowed; nothing is written."""
    options, option, word = BAD[what]
    result = refused(run, hosts, **options)
    assert result["option"] == option
    assert result["msg"].startswith(f"{option}: ")
    assert word in result["msg"]
    assert result["allowed"]
    assert "value" in result
    assert "hunter2" not in result["msg"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"state": "gone"}, "state"),
        ({"host_clusters": [{**HOSTS[0], "state": "gone"}]}, "state"),
        ({"host_clusters": [{"context": "a"}]}, "name"),
        ({"endpoint": {"type": "magic"}}, "cluster_ip"),
        ({"placement": "random"}, "spread"),
        ({"oversubscription": "much"}, "oversubscription"),
        ({"size": {"most": {}}}, "most"),
        ({"size": {"maximum": {"gpu": 1}}}, "gpu"),
        ({"values": 3}, "values"),
        ({"owner_quota": {"virtual_clusters": "many"}}, "virtual_clusters"),
        ({"nmae": "x"}, "nmae"),
    ],
)
def test_vcluster_group_unknown_option_is_refused(
    options: Object, word: str, run: Run, hosts: dict[str, FakeCluster]
) -> None:
    assert word in refused(run, hosts, **options)["msg"]


def test_vcluster_group_omitted_member_is_refused(run: Run, hosts: dict[str, FakeCluster]) -> None:
    run()
    result = refused(run, hosts, host_clusters=HOSTS[:1])
    assert (result["option"], result["value"]) == ("host_clusters", ["host-a"])
    assert "host-b" in result["allowed"]


def test_vcluster_group_with_virtual_clusters_stays(run: Run, hosts: dict[str, FakeCluster]) -> None:
    run()
    have_virtual_cluster(hosts["b"], "team-a")
    for options in ({"state": "absent"}, {"host_clusters": [HOSTS[0], {**HOSTS[1], "state": "absent"}]}):
        assert refused(run, hosts, **options)["virtual_clusters"] == ["team-a"]


def test_vcluster_group_unusable_connection_is_refused(run: Run, hosts: dict[str, FakeCluster]) -> None:
    result = refused(run, hosts, host_clusters=[HOSTS[0], {"name": "host-b", "context": "nowhere"}])
    assert result["msg"] == "host_clusters: host-b: no context nowhere"


def test_vcluster_group_unreachable_member_fails(run: Run, hosts: dict[str, FakeCluster]) -> None:
    run()
    hosts["b"].down = True
    result = run(description="x")
    assert (result["failed"], result["done_host_clusters"], result["failed_host_clusters"]) == (
        True,
        ["host-a"],
        ["host-b"],
    )
    assert "run the task again" in result["msg"]


def test_vcluster_group_secrets_are_hidden(run: Run, hosts: dict[str, FakeCluster]) -> None:
    kubeconfig = {"users": [{"name": "a", "user": {"token": "hunter4"}}]}
    entry = {"name": "host-a", "context": "a", "api_key": "hunter2", "password": "hunter3", "kubeconfig": kubeconfig}
    for options in ({}, {"oversubscription": 0}, {"description": "hunter2"}):
        result = run(host_clusters=[entry], proxy_headers={"basic_auth": "hunter5"}, **options)
        assert "hunter" not in json.dumps(result)
    assert "hunter3" not in json.dumps(objects(hosts))
