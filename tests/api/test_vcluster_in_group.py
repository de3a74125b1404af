# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual cluster in a cluster group: placed, enforced, resized, refused, deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api_host import ApiHost
from group_values import CAPACITY, NOWHERE
from host_api import Host, connections, remove_namespaces, spaces_of
from modules import Module, diff_text, same
from places import Place, place
from proxy import Proxy
from waiting import eventually

GROUP = "it-in-group"


def pods(host: Host, where: Place) -> dict[str, str]:
    """The control plane's pods and their UIDs."""
    items = host.items(where.path("pods") + "?labelSelector=app%3Dvcluster")
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in items}


def namespace(host: Host, where: Place) -> dict[str, Any]:
    """The metadata of a virtual cluster's namespace."""
    found: dict[str, Any] = host.get(f"/api/v1/namespaces/{where.namespace}")["metadata"]
    return found


def quota(host: Host, where: Place) -> dict[str, str]:
    """What the virtual cluster's ResourceQuota allows."""
    hard: dict[str, str] = host.get(where.path("resourcequotas", f"nested-clusters-{where.name}"))["spec"]["hard"]
    return hard


# --- one of the smallest size that runs -------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_leftovers(host: Host) -> Iterator[None]:
    """What a test has made is gone before the next one: the group counts it."""
    yield
    host.wait_for_leaving()


@pytest.fixture(scope="module")
def one(host: Host, vcluster_group: Module) -> Iterator[list[dict[str, Any]]]:
    """A group of the first host cluster alone, with the sizes that every group has; its connection."""
    host.wait_for_leaving()  # what other tests had is in no group any more
    given = connections({"host-a": host})
    vcluster_group(name=GROUP, host_clusters=[{**given[0], "capacity": CAPACITY}], vcluster_version="0.36.1")
    yield given
    remove_namespaces(host, *spaces_of(host, GROUP))
    vcluster_group(name=GROUP, host_clusters=given, state="absent")


@pytest.fixture(scope="module")
def grouped(vcluster: Module, one: list[dict[str, Any]]) -> Module:
    """The module vcluster, for that group."""
    return vcluster.against(group=GROUP, host_clusters=one)


Made = tuple[Place, dict[str, Any], dict[str, Any], str]


@pytest.fixture(scope="module")
def made(host: ApiHost, grouped: Module, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A running virtual cluster of the default size, what check mode and the run said, and its kubeconfig.

    Each test leaves it, and the group, as it found them.
    """
    file = str(tmp_path_factory.mktemp("in-group") / "kubeconfig")
    with place(host, "real") as where:
        asked: dict[str, Any] = {"name": where.name, "owner": "alice@example.com"}
        asked["export_kubeconfig"] = {"path": file}
        host.planes.synced[where.name] = 2
        check, run = grouped(check=True, **asked), grouped(**asked)
        synced = f"{where.path('pods')}?labelSelector=vcluster.loft.sh%2Fmanaged-by%3D{where.name}"
        eventually("pods of its tenant", lambda: len(host.items(synced)) == 2)
        yield where, check, run, file


def test_creation_in_a_group_check_mode_says_what_the_run_does(made: Made) -> None:
    """Check mode says whether it fits, where, and what is left, and the run does exactly that."""
    where, check, run, _file = made
    same(check, run)
    assert run["placement"] == check["placement"]
    assert run["placement"]["host"] == "host-a"
    (considered,) = run["placement"]["considered"]
    assert considered["left"] == {"cpu": "20", "memory": "44Gi", "storage": "118Gi"}
    cluster = run["virtual_cluster"]
    assert (cluster["host_cluster"], cluster["owner"], cluster["phase"]) == ("host-a", "alice@example.com", "running")
    assert cluster["size"] == {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}
    assert f"create namespace {where.namespace}" in run["steps"]


def test_unchanged_virtual_cluster_of_a_group_sends_few_reads_and_no_helm(
    host: Host, grouped: Module, made: Made, proxy: Proxy
) -> None:
    """An unchanged one sends reads only, and starts no helm."""
    where = made[0]
    via = [{"name": "host-a", **proxy.options}]
    result = grouped(name=where.name, host_clusters=via, binary_path="/nonexistent")
    print(*proxy.seen, sep="\n")
    assert not result["changed"]
    assert result["placement"] == {"host": "host-a", "strategy": None, "considered": []}
    assert all(request.startswith("GET ") for request in proxy.seen)
    # records and namespaces; the request and the releases, the namespace, quota and limits; each kind of the release
    assert len(proxy.seen) <= 13


def test_resize_of_a_running_virtual_cluster_restarts_nothing(host: Host, grouped: Module, made: Made) -> None:
    """Up and down, in place, without helm; capacity is checked for the difference only."""
    where = made[0]
    before = pods(host, where)
    asked: dict[str, Any] = {"name": where.name, "size": {"memory": "6Gi", "cpu": "5"}, "binary_path": "/nonexistent"}
    same(grouped(check=True, **asked), run := grouped(**asked))
    assert run["steps"] == [
        f"change ResourceQuota nested-clusters-{where.name}",
        f"set annotations of namespace {where.namespace}: nested-clusters/size",
    ]
    assert quota(host, where)["limits.memory"] == "6Gi"
    assert json.loads(namespace(host, where)["annotations"]["nested-clusters/size"])["cpu"] == "5"
    message = grouped.refused(name=where.name, size={"memory": "60Gi"})
    assert "has no room" in message
    assert "60Gi" in message
    assert quota(host, where)["limits.memory"] == "6Gi"
    grouped(name=where.name, size={"memory": "4Gi", "cpu": "4"})
    assert quota(host, where)["limits.memory"] == "4Gi"
    assert pods(host, where) == before


def test_quota_that_somebody_edits_is_set_back(host: Host, grouped: Module, made: Made) -> None:
    """More than the size allows is seen and taken back; a LimitRange that is gone comes back."""
    where = made[0]
    name = f"nested-clusters-{where.name}"
    host.patch(where.path("resourcequotas", name), {"spec": {"hard": {"limits.cpu": "400"}}})
    host.delete(where.path("limitranges", name))
    same(grouped(check=True, name=where.name), run := grouped(name=where.name))
    assert run["steps"] == [f"change ResourceQuota {name}", f"create LimitRange {name}"]
    assert quota(host, where)["limits.cpu"] == "4"


def test_resize_below_what_is_used_needs_force(
    host: Host, grouped: Module, vcluster_group: Module, one: Any, made: Made
) -> None:
    """Refused with the figures, unless forced: beside the control plane there are pods of its tenant."""
    where = made[0]
    smaller = {"minimum": {"cpu": "1", "memory": "1Gi", "storage": "1Gi"}}
    vcluster_group(name=GROUP, host_clusters=one, size=smaller)
    used = host.get(where.path("resourcequotas", f"nested-clusters-{where.name}"))["status"]["used"]["limits.memory"]
    message = grouped.refused(name=where.name, size={"memory": "2300Mi"})
    assert "2300Mi" in message
    assert used in message
    assert "force" in message
    assert quota(host, where)["limits.memory"] == "4Gi"
    assert grouped(name=where.name, size={"memory": "2300Mi"}, force=True)["changed"]
    assert quota(host, where)["limits.memory"] == "2300Mi"
    grouped(name=where.name, size={"memory": "4Gi"})
    assert "is asked for" in grouped.refused(name=where.name, size={"cpu": "500m"})
    vcluster_group(name=GROUP, host_clusters=one, size={"minimum": {"cpu": "4", "memory": "4Gi", "storage": "2Gi"}})


def test_change_of_a_group_is_pending_until_the_task_of_its_member(
    host: Host, grouped: Module, vcluster_group: Module, one: Any, made: Made
) -> None:
    """The group says what is pending; the virtual cluster's task brings it, with the origin of each value."""
    where = made[0]
    own = {"sync": {"toHost": {"ingresses": {"enabled": True}}}}
    grouped(name=where.name, values=own)
    before = pods(host, where)
    run = vcluster_group(
        name=GROUP, host_clusters=one, values={"sync": {"toHost": {"serviceAccounts": {"enabled": True}}}}
    )
    assert run["pending"] == {where.name: ["values: changed in the group"]}
    assert pods(host, where) == before
    check, run = grouped(check=True, name=where.name), grouped(name=where.name)
    same(check, run)
    shown = diff_text(run, "after")
    assert "enabled: true  # group" in shown
    assert "enabled: true  # request" in shown
    assert "repository: loft-sh/vcluster-oss  # built-in" in shown
    values = json.loads(host.call("helm", "get", "values", where.name, "-n", where.namespace, "-o", "json").stdout)
    assert values["sync"]["toHost"] == {"ingresses": {"enabled": True}, "serviceAccounts": {"enabled": True}}
    assert vcluster_group(name=GROUP, host_clusters=one)["pending"] == {}
    assert not grouped(name=where.name)["changed"]
    vcluster_group(name=GROUP, host_clusters=one, values={})
    grouped(name=where.name, values={})


def test_task_without_the_group_of_its_virtual_cluster_is_refused(vcluster: Module, made: Made) -> None:
    """One that forgets the group would take its settings away: it is refused and says which group."""
    message = vcluster.refused(name=made[0].name)
    assert "group" in message
    assert GROUP in message


def test_creation_while_an_upgrade_is_pending_is_refused(
    grouped: Module, vcluster_group: Module, one: Any, made: Made
) -> None:
    """Refused with the names of those that are behind, until the lock is set back."""
    where = made[0]
    assert vcluster_group(name=GROUP, host_clusters=one, vcluster_version="0.36.2")["pending_upgrade"] == [where.name]
    message = grouped.refused(name="it-late", check=True)
    assert where.name in message
    assert "0.36.2" in message
    vcluster_group(name=GROUP, host_clusters=one, vcluster_version="0.36.1")
    message = grouped.refused(name=where.name, vcluster_version="0.36.0")
    assert "0.36.0" in message
    assert "locked" in message
    assert grouped(name="it-late", check=True)["changed"]


def test_creation_with_oidc_of_the_group_configures_the_api_server(
    host: Host, grouped: Module, vcluster_group: Module, one: Any, new: Callable[..., Place]
) -> None:
    """The group's issuer is in the arguments of the virtual cluster's API server."""
    oidc = {"issuer_url": "https://sso.example.com", "client_id": "kubernetes", "username_claim": "email"}
    vcluster_group(name=GROUP, host_clusters=one, oidc=oidc)
    where = new("oidc")
    run = grouped(name=where.name, values=NOWHERE, wait=False)
    assert "--oidc-issuer-url=https://sso.example.com" in diff_text(run, "after")
    assert "--oidc-username-claim=email" in diff_text(run, "after")
    vcluster_group(name=GROUP, host_clusters=one, oidc={})


def test_deletion_of_a_member_leaves_nothing(host: Host, grouped: Module, new: Callable[..., Place]) -> None:
    """After absent, nothing on the host cluster speaks of the virtual cluster, and its share is free again."""
    where = new("gone")
    grouped(name=where.name, values=NOWHERE, wait=False)
    claim = where.path("persistentvolumeclaims", f"data-{where.name}-0")
    eventually("its claim, of which check mode speaks", lambda: host.get(claim))
    same(grouped(check=True, name=where.name, state="absent"), run := grouped(name=where.name, state="absent"))
    assert run["steps"][-1] == f"delete namespace {where.namespace}"
    assert [key for key, text in host.everything().items() if where.name in text] == []
    assert not grouped(name=where.name, state="absent")["changed"]


def test_deletion_that_keeps_volumes_keeps_their_share(host: Host, grouped: Module, new: Callable[..., Place]) -> None:
    """keep_volumes gives cpu and memory back and keeps the storage; made again, it takes its place again."""
    where = new("kept")
    grouped(name=where.name)
    run = grouped(name=where.name, state="absent", keep_volumes=True)
    assert f"set annotations of namespace {where.namespace}: nested-clusters/size" in run["steps"]
    rest = json.loads(namespace(host, where)["annotations"]["nested-clusters/size"])
    assert rest == {"cpu": "0", "memory": "0", "storage": "2Gi"}
    run = grouped(name=where.name, values=NOWHERE, wait=False)
    assert json.loads(namespace(host, where)["annotations"]["nested-clusters/size"])["cpu"] == "4"
    grouped(name=where.name, state="absent")
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None


def test_namespace_of_the_user_loses_the_marks_with_its_virtual_cluster(
    host: Host, grouped: Module, new: Callable[..., Place]
) -> None:
    """A namespace made beforehand gets the marks of the group, and loses them with the virtual cluster."""
    where = new("guest", made_by_user=True)
    before = namespace(host, where)
    grouped(name=where.name, values=NOWHERE, wait=False)
    assert namespace(host, where)["labels"]["nested-clusters/group"] == GROUP
    grouped(name=where.name, state="absent")
    after = namespace(host, where)
    assert (after.get("labels"), after.get("annotations")) == (before.get("labels"), before.get("annotations"))


def test_virtual_cluster_without_a_group_joins_it_with_its_own_values(
    host: Host, vcluster: Module, grouped: Module, new: Callable[..., Place]
) -> None:
    """One that was made without a group joins it where it is, and keeps its own values."""
    where = new("join")
    vcluster(name=where.name, values=NOWHERE, wait=False)
    claim = where.path("persistentvolumeclaims", f"data-{where.name}-0")
    eventually("its claim", lambda: host.get(claim))
    message = grouped.refused(name=where.name, wait=False)
    assert "size.storage" in message, "its claim is there already, and larger than the default"
    assert "5Gi" in message
    run = grouped(name=where.name, size={"storage": "6Gi"}, wait=False)
    assert f"set labels of namespace {where.namespace}: nested-clusters/group" in run["steps"]
    stateful_set = host.get(where.workload)["spec"]["template"]["spec"]
    assert stateful_set["nodeSelector"] == {"it": "nowhere"}
    assert not grouped(name=where.name, wait=False)["changed"]


def test_control_plane_larger_than_its_size_is_refused(grouped: Module) -> None:
    """A size that the control plane alone would fill is refused before anything is made."""
    values = {"controlPlane": {"statefulSet": {"resources": {"limits": {"memory": "8Gi"}}}}}
    message = grouped.refused(name="it-large", values=values)
    assert "size.memory" in message
    assert "control plane alone claims" in message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"group": "nobody"}, ["group", "nobody", GROUP]),
        ({"host_cluster": "host-z"}, ["host_cluster", "host-z", "host-a"]),
        ({"size": {"cpu": "four"}}, ["size.cpu", "'four'"]),
        ({"size": {"memory": "-4Gi"}}, ["size.memory", "-4Gi"]),
        ({"size": {"cpu": "1"}}, ["size.cpu", "at least 4"]),
        ({"size": {"cpu": "400"}}, ["400 cpu", "24"]),
    ],
)
def test_bad_option_in_a_group_is_refused(
    host: Host, grouped: Module, options: dict[str, Any], words: list[str]
) -> None:
    """One error names what was asked and what is allowed; nothing is made."""
    message = grouped.refused(name="it-bad", **options)
    assert all(word in message for word in words), message
    assert host.get("/api/v1/namespaces/vcluster-it-bad") is None
