# SPDX-License-Identifier: GPL-3.0-or-later
"""States of virtual clusters that a task selects: paused and resumed, alone and many, with few rights and requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from host_api import Host
from modules import Module
from pausing import ETCD, EXTERNAL_ETCD, THREE, checked, marks, merged, names_of, only, replicas, resumed, stateful_set
from places import IDLE, Place, place
from proxy import Proxy
from waiting import eventually


@pytest.fixture(scope="module")
def state(host: Host, vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_state."""
    return Module(host, vcluster.directory, "vcluster_state")


# The control planes below find no node: what is tested is what is asked for, and no pod is waited for.


@pytest.fixture(scope="module")
def idle(host: Host, vcluster: Module) -> Iterator[Place]:
    """A Deployment with three replicas, and its etcd elsewhere."""
    with place(host, "idle") as where:
        vcluster(name=where.name, values=merged(IDLE, EXTERNAL_ETCD, THREE), wait=False)
        yield where


@pytest.fixture(scope="module")
def beside(host: Host, vcluster: Module) -> Iterator[Place]:
    """A Deployment with three replicas, and its etcd beside it, which runs: a resume waits for that."""
    with place(host, "beside") as where:
        vcluster(name=where.name, values=merged(IDLE, ETCD, THREE), wait=False)
        yield where


def has_pods(host: Host, where: Place, count: int) -> bool:
    return len(host.items(where.path("pods"))) == count


def scale(host: Host, where: Place, name: str, count: int) -> None:
    """As somebody does by hand."""
    plural = "statefulsets" if name.endswith("-etcd") else "deployments"
    host.patch(where.path(plural, name, "apps/v1"), {"spec": {"replicas": count}})


def test_workload_scaled_to_0_by_hand_is_paused_with_a_note(host: Host, state: Module, beside: Place) -> None:
    """Scaled to nothing, as a whole or in part: named, and mended, with the replicas that the values say."""
    control, etcd = names_of(beside)
    for scaled, words in (
        ((control, etcd), "was scaled to 0 replicas, but not by a pause"),
        ((etcd,), f"etcd {etcd} has no replicas"),
    ):
        for name in scaled:
            scale(host, beside, name, 0)
        left = 0 if control in scaled else 3
        eventually("pods gone", partial(has_pods, host, beside, left))
        told = checked(state, name=beside.name, state="paused")
        assert told["before"] in ("pending", "failed")
        assert words in told["note"]
        assert replicas(host, beside) == {control: 0, etcd: 0}
        assert marks(host, beside)["loft.sh/paused-replicas"] == "3"
        resumed(state, beside)
        assert replicas(host, beside) == {control: 3, etcd: 1}
        assert marks(host, beside) == marks(host, beside, etcd) == {}


def test_deployment_scaled_to_0_by_hand_is_resumed_with_its_replicas(host: Host, state: Module, idle: Place) -> None:
    """The replicas that the values say come back."""
    scale(host, idle, idle.name, 0)
    told = resumed(state, idle)
    assert "not by a pause" in told["note"]
    assert told["steps"] == [f"scale Deployment {idle.name} from 0 to 3 replicas"]
    assert replicas(host, idle) == {idle.name: 3}


def test_selection_of_nothing_is_refused_or_changes_nothing(host: Host, state: Module, idle: Place) -> None:
    """A bare task is refused, a name that does not exist is named, and labels that nothing has change nothing."""
    assert "set one of these options, or all: true" in state.refused(state="paused")
    for alone in ({"namespace": idle.namespace}, {"group": "it-nothing"}, {"phases": ["running"]}):
        assert "set one of these options, or all: true" in state.refused(state="paused", **alone)
    message = state.refused(names=[idle.name, "it-no-such-one"], state="paused")
    assert "virtual cluster it-no-such-one does not exist" in message
    whole = {"namespace": idle.namespace, "all": True}
    assert state(check=True, state="paused", max_selected=1, **whole)["changed"]
    nothing = {"group": "it-nothing", "all": True}
    for selection in ({"label_selectors": ["it=nothing"]}, nothing, {"owner": "it-nobody"}):
        result = state(state="paused", **selection)
        assert (result["changed"], result["virtual_clusters"]) == (False, [])
    assert replicas(host, idle)[idle.name] == 3


MANY = 4
LABEL = {"it": "many"}
CI = ["it=many"]


@pytest.fixture(scope="module")
def many(host: Host, vcluster: Module) -> Iterator[list[Place]]:
    """Several small ones with a label, of which the last would lose its data in a pause."""
    no_claim = stateful_set(persistence={"volumeClaim": {"enabled": False}})
    with ExitStack() as stack:
        places = [stack.enter_context(place(host, f"many{number}")) for number in range(MANY)]
        for where in places:
            values = merged(IDLE, no_claim) if where is places[-1] else IDLE
            vcluster(name=where.name, values=values, labels=LABEL, wait=False)
        yield places


def test_selection_with_one_refused_pauses_the_others(host: Host, state: Module, many: list[Place]) -> None:
    """The others are paused; the task fails and says which and why; data is lost only if the task says so."""
    for check in (True, False):
        result = state.raw(check=check, label_selectors=CI, state="paused")
        assert result["failed"]
        (failure,) = result["failures"]
        assert failure["name"] == many[-1].name
        assert "its store has no volume claim" in failure["msg"]
        assert "accept_data_loss" in result["msg"]
        told = {one["name"]: (one["changed"], one["after"]) for one in result["virtual_clusters"]}
        assert {told[where.name] for where in many[:-1]} == {(True, "paused")}
        assert not told[many[-1].name][0]
        assert len(result["diff"]) == MANY - 1
    assert [replicas(host, where)[where.name] for where in many] == [0] * (MANY - 1) + [1]
    assert checked(state, name=many[-1].name, state="paused", accept_data_loss=True)["after"] == "paused"
    for where in many:
        resumed(state, where)


def test_selection_at_max_failures_begins_no_more(host: Host, state: Module, many: list[Place], proxy: Proxy) -> None:
    """With one at a time, none is begun after the first that fails."""
    begun = many[:-1]
    refused = sorted(begun, key=lambda where: where.namespace)[1]
    proxy.fault = lambda method, path: 403 if (method, path.rpartition("/")[2]) == ("PATCH", refused.name) else 0
    asked: dict[str, Any] = {"names": [where.name for where in begun], "at_once": 1, "max_failures": 1}
    result = state.raw(state="paused", **asked, **proxy.options)
    assert [one["name"] for one in result["failures"]] == [refused.name]
    assert f"(1 more were not begun): {refused.name}: " in result["msg"]
    assert sorted(replicas(host, where)[where.name] for where in begun) == [0, 1, 1]
    assert not state(state="paused", **{**asked, "at_once": 2})["failures"]
    for where in begun:
        resumed(state, where)


def test_selection_unchanged_costs_the_same_requests_for_any_number(
    state: Module, many: list[Place], proxy: Proxy
) -> None:
    """As many for all that are paused as for one."""
    state(label_selectors=CI, state="paused", accept_data_loss=True)
    counts = []
    # Never by the phase alone: one that another test is pausing would be waited for, with further requests.
    for selection in ({"name": many[0].name}, {"label_selectors": CI}, {"label_selectors": CI, "phases": ["paused"]}):
        proxy.seen.clear()
        result = state(state="paused", **selection, **proxy.options)
        assert not result["changed"]
        assert len(result["virtual_clusters"]) >= (1 if "name" in selection else MANY)
        counts.append(len(proxy.seen))
    assert counts[0] == counts[1] == counts[2] <= 6
    for where in many:
        resumed(state, where)


def test_selection_with_a_host_cluster_that_does_not_answer_changes_the_others(
    host: Host, state: Module, many: list[Place], proxy: Proxy
) -> None:
    """One that does not answer keeps no other from it, and is named."""
    closed = {"host": "https://127.0.0.1:1", "api_key": "x"}
    clusters = [{"name": "one", **proxy.options}, {"name": "two", **closed}]
    result = state.raw(host_clusters=clusters, label_selectors=CI, state="paused", accept_data_loss=True)
    (failure,) = result["failures"]
    assert (failure["name"], failure["host_cluster"]) == (None, "two")
    assert "does not answer" in result["msg"]
    assert {one["host_cluster"] for one in result["virtual_clusters"]} == {"one"}
    assert all(replicas(host, where)[where.name] == 0 for where in many)
    message = state.refused(host_clusters=clusters, name="it-no-such-one", state="running")
    assert "host cluster two could not be read" in message
    for where in many:
        resumed(state, where)


def test_permissions_that_are_documented_are_enough(
    host: Host, vcluster: Module, state: Module, new: Callable[..., Place]
) -> None:
    """Those that the documentation names are enough; without pods/proxy the kubelet's word is taken."""
    used = new("narrow")
    vcluster(name=used.name)
    rbac, name = "rbac.authorization.k8s.io/v1", "narrow"
    rules = [
        {"apiGroups": ["apps"], "resources": ["statefulsets", "deployments"], "verbs": ["list", "patch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete", "deletecollection"]},
    ]
    host.create(used.path("roles", version=rbac), {"metadata": {"name": name}, "rules": rules})
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": used.namespace}],
    }
    host.create(used.path("rolebindings", version=rbac), binding)
    token = host.call("kubectl", "create", "token", "default", "-n", used.namespace).stdout.strip()
    address = {"host": host.configuration.host, "api_key": token, "ca_cert": host.configuration.ssl_ca_cert}
    narrow = state.against(kubeconfig="/dev/null", **address)
    assert "or give option namespace" in narrow.refused(name=used.name, state="paused")
    for wanted in ("paused", "running"):
        result = narrow(name=used.name, namespace=used.namespace, state=wanted)
        assert (only(result)["after"], only(result)["group"]) == (wanted, None)
    assert "pods/proxy" in json.dumps(result["warnings"])
