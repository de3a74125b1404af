# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of the module vcluster_fleet on host clusters in memory; what helm does is tested on real ones."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.admission import reservation
from ansible_collections.nested.clusters.plugins.module_utils.common import size, well_known
from ansible_collections.nested.clusters.plugins.module_utils.fleet import job as fleet_jobs
from ansible_collections.nested.clusters.plugins.module_utils.fleet import plan as fleet_plan
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_lock
from ansible_collections.nested.clusters.plugins.module_utils.helm.cli import ReleaseSpec
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import HelmError, Release
from ansible_collections.nested.clusters.plugins.module_utils.k8s import host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import request as requests
from ansible_collections.nested.clusters.plugins.modules import vcluster_fleet
from fake_helm import CHART
from group_world import World, admission_request, have_control_plane
from helm_releases import NAME
from kubeconfig_secrets import kubeconfig_secret

Object = dict[str, Any]


class Refusing:
    """A helm that says no to everything."""

    def __init__(self, *_arguments: Any) -> None:
        pass

    def __enter__(self) -> Refusing:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def render(self, spec: ReleaseSpec, **_options: Any) -> None:
        raise HelmError(f"helm upgrade: no chart for {spec.name}")


class Rendering(Refusing):
    """A helm that renders, for check mode."""

    def render(self, spec: ReleaseSpec, **_options: Any) -> Any:
        return Release(spec.name, spec.namespace, 1, "deployed", "vcluster", "0.36.1", {}, "")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    monkeypatch.setattr(host_clusters, "open_hosts", lambda module: found.host_clusters())
    monkeypatch.setattr(vcluster_fleet, "Helm", Rendering)
    return found


def run(run_module: Any, *listed: Object, **options: Any) -> Object:
    told: Object = run_module(vcluster_fleet, group="dev", virtual_clusters=list(listed), **options)
    return told


def by_name(result: Object) -> dict[str, Object]:
    return {one["name"]: one for one in result["virtual_clusters"]}


def test_check_mode_of_a_list_places_each_beside_those_before(world: World, run_module: Any) -> None:
    # 19.2 cpu and 38.4Gi on each of two: nine of 4 cpu are one too many.
    listed = [{"name": f"c{number}"} for number in range(9)]
    before = world.snapshot()
    result = run(run_module, *listed, check_mode=True)
    found = by_name(result)
    where = [found[f"c{number}"]["host_cluster"] for number in range(8)]
    assert sorted(where) == ["a"] * 4 + ["b"] * 4
    assert "no host cluster has room" in found["c8"]["msg"]
    assert result["failed"]
    assert result["msg"].startswith("failed for 1 of 9 virtual clusters: c8: ")
    assert found["c0"]["steps"][0] == "create namespace vcluster-c0"
    assert (found["c0"]["before"], found["c0"]["after"]) == ("absent", "running")
    assert (world.snapshot(), world.written()) == (before, {})


def test_new_cluster_with_state_paused_starts_first(world: World, run_module: Any) -> None:
    (one,) = run(run_module, {"name": "c", "state": "paused"}, check_mode=True)["virtual_clusters"]
    assert (one["after"], one["steps"][-1]) == ("paused", "pause it when it has started")


def test_cluster_that_helm_refuses_leaves_nothing(
    world: World, run_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vcluster_fleet, "Helm", Refusing)
    world.hosts["a"].have("Namespace", "mine")
    before = set(world.hosts["a"].paths()) | set(world.hosts["b"].paths())
    listed = [{"name": "new"}, {"name": "old", "namespace": "mine", "host_cluster": "a"}]
    result = run(run_module, *listed)
    found = by_name(result)
    assert found["new"]["msg"] == "helm upgrade: no chart for new"
    assert result["changed"] is False
    # The namespace that was there before stays.
    assert before == (set(world.hosts["a"].paths()) | set(world.hosts["b"].paths()))


@pytest.mark.parametrize(
    ("listed", "options", "message"),
    [
        ([{"name": "c"}, {"name": "d"}, {"name": "c"}], {}, "virtual_clusters.name: c is listed 2 times"),
        ([{"name": "c", "size": {"cpu": "many"}}], {}, "virtual_clusters: c: size.cpu: 'many' is not usable"),
        ([{"name": "c"}], {"at_once": 0}, "at_once: 0 is not usable"),
        ([{"name": "c"}], {"wait_timeout": 0}, "wait_timeout: 0 is not usable"),
        ([{"nmae": "c"}], {}, "missing required arguments: name"),
    ],
)
def test_list_with_a_contradiction_is_refused(
    listed: list[Object], options: Object, message: str, world: World, run_module: Any
) -> None:
    result = run(run_module, *listed, **options)
    assert message in result["msg"]
    assert world.written() == {}


def test_group_that_does_not_exist_is_refused(world: World, run_module: Any) -> None:
    told = run_module(vcluster_fleet, group="dve", virtual_clusters=[])
    assert "group: 'dve' is not usable; allowed: dev" in told["msg"]


def test_list_that_is_empty_does_nothing(world: World, run_module: Any) -> None:
    world.reserve("a", "other")
    assert run(run_module)["virtual_clusters"] == []
    assert world.written() == {}


def test_list_that_is_empty_prunes_nothing(world: World, run_module: Any) -> None:
    """It is what a template leaves whose variable is empty, and would be the whole group."""
    for check_mode in (True, False):
        result = run_module(vcluster_fleet, group="dev", virtual_clusters=[], prune=True, check_mode=check_mode)
        assert result["option"] == "virtual_clusters"
        assert "the list is empty, and prune: true would delete every virtual cluster of group dev" in result["msg"]
        assert "all: true and state: absent" in result["msg"]
    assert not run_module(vcluster_fleet, group="dev", virtual_clusters=[], prune=False)["changed"]


def test_prune_removes_what_is_not_listed(world: World) -> None:
    kept: Object = {"cpu": 0, "memory": 0}
    for name, amounts in {"kept": kept, "listed": {}, "unlisted": {}, "absent": {}}.items():
        world.reserve("a", name, **amounts)
    world.reserve("b", "foreign", group="other")
    entries = [
        fleet_jobs.Entry(requests.Request(name, f"vcluster-{name}", CHART), admission_request(), state)
        for name, state in (("listed", "present"), ("absent", "absent"), ("gone", "absent"))
    ]
    assert fleet_plan.to_delete(world.view(), entries, prune=False) == (["absent"], [])
    assert fleet_plan.to_delete(world.view(), entries, prune=True) == (["absent"], ["unlisted"])


@pytest.mark.parametrize("check_mode", [True, False], ids=["check mode", "real run"])
@pytest.mark.parametrize("refused", ["by its version", "for want of room", "by helm"])
def test_prune_with_an_error_in_the_list_removes_nothing(
    refused: str, check_mode: bool, world: World, run_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is listed may replace what is not: whoever misspells it shall not be left without either."""
    for name in ("old", "away"):
        world.reserve("a", name)
        created = {"metadata": {"annotations": {well_known.CREATED: "true"}}}
        world.hosts["a"].change(path("v1", "namespaces", None, f"vcluster-{name}"), created)
    if refused == "by helm":
        monkeypatch.setattr(vcluster_fleet, "Helm", Refusing)
    broken: dict[str, Object] = {
        "by its version": {"vcluster_version": "0.1.0"},
        "for want of room": {"size": {"cpu": "400"}},
        "by helm": {},
    }
    listed = [{"name": "new", **broken[refused]}, {"name": "away", "state": "absent"}]
    result = run(run_module, *listed, prune=True, check_mode=check_mode)
    assert result["failed"]
    found = by_name(result)
    assert found.keys() == {"new", "away"}
    assert found["away"]["after"] == "absent"
    (warning,) = [text for text in result["warnings"] if "prune" in text]
    assert warning.startswith("not deleted, although not listed (prune): old; first mend what is listed: new: ")
    assert path("v1", "namespaces", None, "vcluster-old") in world.hosts["a"]


def test_prune_with_an_error_in_the_list_frees_no_room(world: World, run_module: Any) -> None:
    """19.2 cpu on each of two host clusters: the big one has room only where the old ones go."""
    for host in "ab":
        world.reserve(host, f"old-{host}", cpu=16)
    big: Object = {"name": "big", "size": {"cpu": "16"}}
    assert not run(run_module, big, prune=True, check_mode=True).get("failed")
    result = run(run_module, big, {"name": "new", "vcluster_version": "0.1.0"}, prune=True, check_mode=True)
    assert "no host cluster has room" in by_name(result)["big"]["msg"]


def test_reservation_of_a_list_holds_the_locks_once(world: World) -> None:
    names = [f"c{number}" for number in range(9)]
    wanted = [(requests.Request(name, f"vcluster-{name}", CHART), admission_request()) for name in names]
    done = reservation.reserve(world.host_clusters(), world.view(), wanted)
    assert done.new == {f"c{number}" for number in range(8)}
    assert list(done.refused) == ["c8"]
    assert {item.name for item in done.view.allocations} == done.new
    for name, host in world.hosts.items():
        locks = [line for line in host.sent() if line == f"create {group_lock.LEASES}"]
        assert len(locks) == (name in "ab")
    found = [world.allocation(host, f"vcluster-c{number}") for number in range(8) for host in "ab"]
    assert len([item for item in found if item and item.size == size.Size.parse(grouped_default(), "size")]) == 8
    # Once more: they have what they ask for.
    again = reservation.reserve(world.host_clusters(), done.view, wanted[:8])
    assert (again.new, again.refused) == (set(), {})


RECORDS = f"list {path('v1', 'configmaps', well_known.NAMESPACE)}"
ALLOCATIONS = f"list {path('v1', 'namespaces')}"
NODES = f"list {path('v1', 'nodes')}"


def test_requests_of_a_list_read_each_host_once_before_and_once_under_the_lock(
    world: World, run_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vcluster_fleet, "Helm", Refusing)  # only after all is taken
    world.forget()
    result = run(run_module, *({"name": f"c{number}"} for number in range(6)), wait=False)
    assert [one["msg"] for one in by_name(result).values()] == [f"helm upgrade: no chart for c{n}" for n in range(6)]
    for name in "ab":
        sent = world.hosts[name].sent()
        lock = sent.index(f"create {group_lock.LEASES}")
        unlock = next(number for number, line in enumerate(sent) if line.startswith("delete ") and "/leases/" in line)
        for part, least in ((sent[:lock], 1), (sent[lock:unlock], 1), (sent[unlock:], 0)):
            # The records of the group, what is allocated, and what nodes can allocate.
            assert [part.count(read) for read in (RECORDS, ALLOCATIONS, NODES)] == [least] * 3


def test_requests_of_a_list_that_grows_nothing_read_each_host_once(
    world: World, run_module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vcluster_fleet, "Helm", Refusing)
    for number in range(3):
        world.reserve("a", f"c{number}")
    world.forget()
    result = run(run_module, *({"name": f"c{number}"} for number in range(3)), wait=False)
    assert len(by_name(result)) == 3
    for name in "ab":
        assert [world.hosts[name].sent().count(read) for read in (RECORDS, ALLOCATIONS)] == [1, 1]
        assert not [line for line in world.hosts[name].sent() if "leases" in line]


def test_resize_in_check_mode_is_as_it_is_done(world: World, run_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the reservation writes on the namespace is a part of the last change, as for a single one."""
    world.run(host_cluster="a")
    role = path("rbac.authorization.k8s.io/v1", "clusterroles", None, f"vc-{NAME}")
    world.hosts["a"].change(role, {"metadata": {"labels": {"release": NAME}}})
    monkeypatch.setattr(vcluster_fleet, "Helm", lambda *_arguments: contextlib.nullcontext(world.helm["a"]))
    larger: Object = {"name": NAME, "size": {"cpu": "6"}}
    foreseen, done = (
        by_name(run(run_module, larger, wait=False, check_mode=check))[NAME]["steps"] for check in (True, False)
    )
    assert foreseen == done
    assert done[-1] == f"set annotations of namespace vcluster-{NAME}: {well_known.SIZE_ANNOTATION}"
    assert f"change ResourceQuota nested-clusters-{NAME}" in done


def grouped_default() -> Object:
    return {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}


def test_kubeconfig_of_each_cluster_has_a_file_of_its_own(tmp_path: Path) -> None:
    params = {
        "group": "dev",
        "wait_timeout": 1,
        "chart_ref": "vcluster",
        "chart_repo_url": "",
        "kubeconfig_directory": str(tmp_path),
        "virtual_clusters": [],
    }
    one = dict.fromkeys(vcluster_fleet.argument_spec()["virtual_clusters"]["options"])
    one.update(name="c", state="running", labels={}, annotations={})
    (entry,) = vcluster_fleet.entries({**params, "virtual_clusters": [one]})
    assert (entry.kubeconfig, entry.state) == (str(tmp_path / "c.kubeconfig"), "running")
    assert path("v1", "namespaces", None, entry.request.namespace) == "/api/v1/namespaces/vcluster-c"


@pytest.mark.parametrize("check", [False, True])
def test_kubeconfig_that_was_changed_is_written_again(
    check: bool, world: World, run_module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its virtual cluster as it is, and no other: that one gets as far as helm."""
    monkeypatch.setattr(vcluster_fleet, "Helm", Refusing)

    def change(config: Object) -> None:
        config["users"][0]["user"]["tokenFile"] = "/etc/passwd"

    for name in ("c", "d"):
        world.reserve("a", name)
        secret = kubeconfig_secret(name, f"vcluster-{name}", change if name == "c" else None)
        labels = {"app": "vcluster", "vcluster-name": name}
        world.hosts["a"].have("Secret", f"vc-{name}", namespace=f"vcluster-{name}", labels=labels, data=secret["data"])
    result = run(
        run_module, {"name": "c"}, {"name": "d"}, kubeconfig_directory=str(tmp_path), check_mode=check, wait=False
    )
    found = by_name(result)
    assert "users[].user.tokenFile" in found["c"]["msg"]
    assert (found["c"]["changed"], found["c"]["steps"]) == (False, [])
    assert found["d"]["msg"] == "helm upgrade: no chart for d"
    assert list(tmp_path.iterdir()) == []


def test_data_loss_that_is_not_accepted_is_refused() -> None:
    given = {name: option.get("default") for name, option in vcluster_fleet.argument_spec().items()}
    assert vcluster_fleet.order(given, False).accept_data_loss is False
    assert vcluster_fleet.order({**given, "accept_data_loss": True}, False).accept_data_loss is True


@pytest.mark.parametrize("check_mode", [True, False])
def test_cluster_of_another_tool_is_refused_and_the_others_are_made(
    world: World, run_module: Any, check_mode: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vcluster_fleet, "Helm", Refusing if not check_mode else Rendering)
    have_control_plane(world, "a", **{"argocd.argoproj.io/instance": "apps"})
    before = world.snapshot()
    found = by_name(run(run_module, {"name": NAME}, {"name": "new"}, check_mode=check_mode))
    assert "It belongs to Argo CD's Application apps" in found[NAME]["msg"]
    assert (found[NAME]["changed"], found["new"]["failed"]) == (False, not check_mode)
    assert world.snapshot() == before  # and what helm refuses leaves nothing
