# SPDX-License-Identifier: GPL-3.0-or-later
"""A selection of virtual clusters is deleted in one task: all that they made goes, and nobody else's."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from host_api import Host, connections, wait_gone
from modules import Module, diff_text
from places import IDLE, Place, place
from proxy import Proxy, serve_proxy
from waiting import eventually

NODES = {"sync": {"fromHost": {"nodes": {"enabled": True}}}}  # with cluster roles
# What users have the chart deploy can be anywhere.
TEMPLATE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-elsewhere", namespace: kube-public}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: "{{ .Release.Name }}-elsewhere"}
value: 1
"""
ELSEWHERE = {"experimental": {"deploy": {"host": {"manifestsTemplate": TEMPLATE}}}}
COUNT = 5


@pytest.fixture(scope="module")
def state(host: Host, vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_state, for virtual clusters that shall be absent."""
    return Module(host, vcluster.directory, "vcluster_state", {"state": "absent"})


Many = tuple[str, list[Place]]


@pytest.fixture
def many(host: Host, vcluster: Module) -> Iterator[Many]:
    """A label and the virtual clusters that have it: the first in a namespace of the user's, the last protected."""
    label = f"it-{uuid.uuid4().hex[:6]}"
    with ExitStack() as stack:
        places = [stack.enter_context(place(host, f"all{number}", number == 0)) for number in range(COUNT)]
        tasks = [
            vcluster.start(
                {
                    "name": where.name,
                    "values": {**IDLE, **NODES, **(ELSEWHERE if where is places[1] else {})},
                    "labels": {"it": label},
                    "wait": False,
                    "protected": where is places[-1],
                }
            )
            for where in places
        ]
        assert not [result["msg"] for result in map(vcluster.finish, tasks) if result.get("failed")]
        for where in places:
            for plural, name in (("persistentvolumeclaims", f"data-{where.name}-0"), ("pods", f"{where.name}-0")):
                eventually("what check mode speaks of", partial(host.get, where.path(plural, name)))
        yield label, places


def found(host: Host, *places: Place) -> list[tuple[str, str]]:
    """Objects anywhere that speak of virtual clusters, by resource and name."""
    there = host.everything()
    return sorted((key[1], key[3]) for key, text in there.items() if any(one.name in text for one in places))


def by_name(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The virtual clusters of a result."""
    return {one["name"]: one for one in result["virtual_clusters"]}


def test_absent_selection_leaves_nothing_but_what_failed(
    host: Host, vcluster: Module, state: Module, many: Many, proxy: Proxy
) -> None:
    """Refused with all that are protected; foreseen; one that fails keeps no other; then nothing is left of any."""
    label, places = many
    first, elsewhere, refused, other, safe = places
    selection: dict[str, Any] = {"label_selectors": [f"it={label}"]}
    host.create(first.path("configmaps"), {"metadata": {"name": "mine"}})
    before = found(host, *places)
    message = state.refused(**selection)
    assert f"{safe.name} (namespace {safe.namespace})" in message
    assert "1 of the selected virtual clusters is protected" in message
    vcluster(name=safe.name, protected=False, wait=False)
    check = state(check=True, **selection)
    assert len(found(host, *places)) == len(before), "refusal and check mode delete nothing"
    told = by_name(check)
    assert told.keys() == {where.name for where in places}
    assert {one["after"] for one in told.values()} == {"absent"}
    for where in (elsewhere, refused, other, safe):
        assert told[where.name]["steps"][0] == f"uninstall release {where.name}"
        assert f"delete persistentvolumeclaims/data-{where.name}-0" in told[where.name]["steps"]
        assert told[where.name]["steps"][-1] == f"delete namespace {where.namespace}"
    assert not [step for step in told[first.name]["steps"] if "namespace" in step or "mine" in step]
    shown = diff_text(check)
    assert f"clusterroles/vc-{other.name}-v-{other.namespace}" in shown
    assert "statefulsets/" + elsewhere.name in shown
    assert ("priorityclasses", f"{elsewhere.name}-elsewhere") in before
    assert ("configmaps", f"{elsewhere.name}-elsewhere") in before

    proxy.fault = lambda method, path: 403 if method == "DELETE" and refused.namespace in path else 0
    result = state.raw(**selection, **proxy.options)
    asked = [request for request in proxy.seen if request.startswith("DELETE ")]
    print(*asked, sep="\n")
    assert [one["name"] for one in result["failures"]] == [refused.name]
    assert "1 of 5 virtual clusters are not absent" in result["msg"]
    assert {name: one["steps"] for name, one in by_name(result).items() if name != refused.name} == {
        name: one["steps"] for name, one in told.items() if name != refused.name
    }
    assert host.get(refused.workload)
    gone = [where for where in places if where is not refused]
    # What names the user's namespace is the namespace itself, and what each one has.
    assert [key for key in found(host, *gone) if key[1] not in (first.namespace, "mine", "kube-root-ca.crt")] == [
        ("serviceaccounts", "default")
    ]
    again = state(**selection)
    assert {name for name, one in by_name(again).items() if one["changed"]} == {refused.name}
    assert found(host, refused) == []
    assert state(names=[where.name for where in places])["virtual_clusters"] == []


def test_absent_selection_costs_the_same_requests_for_any_number(state: Module, many: Many, proxy: Proxy) -> None:
    """Check mode asks as much for four of them as for two, however they are selected."""
    label, places = many

    def cost(number: int, **more: Any) -> int:
        proxy.seen.clear()
        found = state(check=True, names=[where.name for where in places[:number]], **more, **proxy.options)
        assert len(found["virtual_clusters"]) == number
        return len(proxy.seen)

    by_name = cost(2)
    by_label = cost(2, label_selectors=[f"it={label}"])
    assert (cost(4), cost(4, label_selectors=[f"it={label}"])) == (by_name, by_label)
    # Which workloads have the labels is for the API server to say: one LIST of StatefulSets, one of Deployments.
    assert by_label - by_name <= 2


def kill_at_deletion(host: Host, task: Module, number: int, options: dict[str, Any]) -> None:
    """Kill a task at its n-th request that deletes, which does not arrive."""
    lock, hit = threading.Lock(), threading.Event()
    deletions: list[str] = []
    with serve_proxy(host) as proxy:
        process = task.start({**options, **proxy.options})

        def fault(method: str, path: str) -> int:
            with lock:
                if method == "DELETE":
                    deletions.append(path)
                if len(deletions) >= number and not hit.is_set():
                    hit.set()
                    os.killpg(process.pid, signal.SIGKILL)
            return -1 if hit.is_set() else 0

        proxy.fault = fault
        process.communicate(timeout=120)
    assert hit.is_set(), deletions


def test_absent_selection_killed_is_finished_by_the_next(
    host: Host, vcluster: Module, state: Module, many: Many
) -> None:
    """Killed at any request that deletes, also between two of one virtual cluster, the next task finishes it."""
    _label, places = many
    vcluster(name=places[-1].name, protected=False, wait=False)
    names = [where.name for where in places]
    for number in (1, 2, 4, 9):
        kill_at_deletion(host, state, number, {"names": names})
    state(names=names)
    left = [key for key in found(host, *places) if key[1] not in (places[0].namespace, "kube-root-ca.crt", "default")]
    assert left == []


def test_absent_selection_with_keep_volumes_keeps_claims(host: Host, state: Module, vcluster: Module) -> None:
    """keep_volumes keeps the claims, marked; they go only when their virtual cluster is named."""
    with place(host, "keep") as where:
        label = {"it": where.name}
        vcluster(name=where.name, values=IDLE, labels=label, wait=False)
        claim = where.path("persistentvolumeclaims", f"data-{where.name}-0")
        eventually("claim", lambda: host.get(claim))
        selection: dict[str, Any] = {"label_selectors": [f"it={where.name}"], "keep_volumes": True}
        check, run = state(check=True, **selection), state(**selection)
        assert check["virtual_clusters"] == run["virtual_clusters"]
        assert f"mark volume claim data-{where.name}-0 as kept" in by_name(run)[where.name]["steps"]
        assert f"kept: persistentvolumeclaims/data-{where.name}-0" in diff_text(run, "after")
        assert host.get(claim)["metadata"]["annotations"]["nested-clusters/kept"] == "true"
        assert where.name not in by_name(state(check=True, phases=["pending"], all=True))
        assert not state(names=[where.name], keep_volumes=True)["changed"]
        run = state(names=[where.name])
        assert by_name(run)[where.name]["steps"][-1] == f"delete namespace {where.namespace}"
        assert found(host, where) == []


GROUP = "it-many"
SMALL = {"cpu": "1", "memory": "1Gi", "storage": "1Gi"}


def test_absent_group_is_emptied_with_its_reservations(
    members: dict[str, Host], vcluster: Module, vcluster_group: Module
) -> None:
    """On all host clusters, with what a killed task has only reserved; then the group has nothing left to count."""
    given = connections(members)
    capacity = {"cpu": "20", "memory": "40Gi", "storage": "100Gi"}
    vcluster_group(
        name=GROUP,
        host_clusters=[{**entry, "capacity": capacity} for entry in given],
        size={"minimum": SMALL, "default": SMALL},
        values={"controlPlane": {"coredns": {"enabled": False}}},
    )
    grouped = vcluster.against(group=GROUP, host_clusters=given, wait=False)
    state = Module(vcluster.host, vcluster.directory, "vcluster_state", {"host_clusters": given, "state": "absent"})
    small = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "128Mi"}}
    values = {"controlPlane": {"statefulSet": {**IDLE["controlPlane"]["statefulSet"], "resources": small}}}
    names = [f"it-many-{number}-{uuid.uuid4().hex[:4]}" for number in range(3)]
    try:
        for number, name in enumerate(names):
            place_on = list(members)[number % len(members)]
            owner = "bob" if number else "alice"
            grouped(name=name, host_cluster=place_on, owner=owner, values=values)
        reserved = f"vcluster-{names[0]}-r"
        labels, annotations = (
            {"nested-clusters/group": GROUP},
            {
                "nested-clusters/virtual-cluster": f"{names[0]}-r",
                "nested-clusters/size": '{"cpu": "1", "memory": "1Gi", "storage": "1Gi"}',
                "vcluster.loft.sh/created": "true",
            },
        )
        members["host-a"].namespace(reserved, labels=labels, annotations=annotations)
        told = state(check=True, group=GROUP, owner="bob")
        assert {one["name"] for one in told["virtual_clusters"]} == set(names[1:])
        run = state(group=GROUP, all=True)
        assert {(one["name"], one["before"]) for one in run["virtual_clusters"]} >= {(f"{names[0]}-r", "pending")}
        assert {one["group"] for one in run["virtual_clusters"]} == {GROUP}
        assert len(run["virtual_clusters"]) == 4
        for member in members.values():
            spaces = {item["metadata"]["name"] for item in member.items("/api/v1/namespaces")}
            assert not spaces & {reserved, *(f"vcluster-{name}" for name in names)}
        assert not state(group=GROUP, all=True)["changed"]
    finally:
        for member in members.values():
            for item in member.items(f"/api/v1/namespaces?labelSelector=nested-clusters%2Fgroup%3D{GROUP}"):
                member.delete(f"/api/v1/namespaces/{item['metadata']['name']}")
                wait_gone(member, f"/api/v1/namespaces/{item['metadata']['name']}")
        vcluster_group(name=GROUP, host_clusters=given, state="absent")


def test_absent_selection_leaves_copies_in_other_namespaces(
    host: Host, vcluster: Module, state: Module, new: Callable[..., Place]
) -> None:
    """Whoever copies an object copies Helm's labels and annotations; what the release has elsewhere goes."""
    where, prod = new("copied"), new("copies", made_by_user=True)
    vcluster(name=where.name, values={**IDLE, **NODES, **ELSEWHERE}, wait=False)
    for plural, name in (("persistentvolumeclaims", f"data-{where.name}-0"), ("pods", f"{where.name}-0")):
        eventually("what check mode speaks of", partial(host.get, where.path(plural, name)))
    kept = ("labels", "annotations")
    for plural, name in (("secrets", f"vc-config-{where.name}"), ("serviceaccounts", f"vc-{where.name}")):
        original = host.get(where.path(plural, name))
        meta = {"name": name, **{key: original["metadata"][key] for key in kept}}
        host.create(prod.path(plural), {"metadata": meta})
    marks = {key: original["metadata"][key] for key in kept}
    host.create(prod.path("configmaps"), {"metadata": {"name": f"{where.name}-elsewhere", **marks}})
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    host.create(
        prod.path("persistentvolumeclaims"), {"metadata": {"name": f"data-{where.name}-0", **marks}, "spec": claim}
    )
    copies = {
        ("secrets", f"vc-config-{where.name}"),
        ("serviceaccounts", f"vc-{where.name}"),
        ("configmaps", f"{where.name}-elsewhere"),
        ("persistentvolumeclaims", f"data-{where.name}-0"),
    }
    told = [state(check=check, names=[where.name]) for check in (True, False)]
    (one,) = told[0]["virtual_clusters"]
    assert told[1]["virtual_clusters"] == told[0]["virtual_clusters"]
    assert f"delete configmaps/{where.name}-elsewhere in namespace kube-public" in one["steps"]
    assert f"delete priorityclasses/{where.name}-elsewhere" in one["steps"]
    assert f"delete clusterroles/vc-{where.name}-v-{where.namespace}" in one["steps"]
    assert prod.namespace not in " ".join(one["steps"])
    assert f"configmaps/{where.name}-elsewhere in namespace {prod.namespace}" in one["note"]
    assert copies <= set(host.contents(prod.namespace))
    assert host.get(f"/api/v1/namespaces/kube-public/configmaps/{where.name}-elsewhere") is None
    assert host.get(f"/apis/scheduling.k8s.io/v1/priorityclasses/{where.name}-elsewhere") is None
    assert state(names=[where.name])["virtual_clusters"] == []
