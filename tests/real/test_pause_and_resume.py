# SPDX-License-Identifier: GPL-3.0-or-later
"""Pause, resume and restart of virtual clusters that run: data survives, the CLI understands, nothing is lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from host_api import Host
from modules import Module, diff_text
from pausing import (
    ETCD,
    INGRESSES,
    THREE,
    checked,
    marks,
    merged,
    names_of,
    only,
    pods_made,
    replicas,
    stateful_set,
    workload,
)
from places import IDLE, Place, place
from pool import SYNCED, Cli, inside
from waiting import eventually


@pytest.fixture(scope="module")
def state(host: Host, vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_state."""
    return Module(host, vcluster.directory, "vcluster_state")


# --- a virtual cluster that is used -----------------------------------------------------------------------


def written(host: Host, where: Place) -> str:
    """What the user's first pod wrote into its volume, read in the pod that there is now."""

    def read() -> str:
        for pod in host.items(where.path("pods") + f"?{SYNCED}={where.name}"):
            name, running = pod["metadata"]["name"], pod["status"].get("phase") == "Running"
            if name.startswith("writer-") and running and not pod["metadata"].get("deletionTimestamp"):
                command = ("kubectl", "exec", "-n", where.namespace, name, "--", "cat", "/notes/first")
                return host.call(*command, check=False).stdout.strip()
        return ""

    return str(eventually("what was written", read, 120))


@pytest.mark.xdist_group("used")
def test_pause_of_used_virtual_cluster_keeps_its_data(
    host: Host, vcluster: Module, state: Module, cli: Cli, used: Place
) -> None:
    """No pod is left while it is paused, everything else is; then its objects and its volume are as they were."""
    before = written(host, used)
    kept = ("persistentvolumeclaims", "services", "secrets", "resourcequotas", "configmaps")
    things = {key for key in host.contents(used.namespace) if key[0] in kept}
    foreseen = state(check=True, name=used.name, state="paused")
    assert "synced pod: writer-" in diff_text(foreseen)
    assert f"scale StatefulSet {used.name} from 1 to 0 replicas" in diff_text(foreseen, "after")
    told = only(state(name=used.name, state="paused"))
    assert told["steps"] == only(foreseen)["steps"]
    assert (told["before"], told["after"]) == ("running", "paused")
    assert host.items(used.path("pods")) == []
    assert {key for key in host.contents(used.namespace) if key[0] in kept} == things
    assert marks(host, used)["loft.sh/paused-replicas"] == "1"

    started = time.monotonic()
    result = vcluster(name=used.name)
    assert (result["steps"], result["virtual_cluster"]["phase"]) == ([], "paused")
    assert time.monotonic() - started < 20
    (info,) = Module(host, vcluster.directory, "vcluster_info")(name=used.name)["virtual_clusters"]
    assert info["phase"] == "paused"

    told = checked(state, name=used.name, state="running")
    assert told["steps"] == [f"scale StatefulSet {used.name} from 0 to 1 replica"]
    assert marks(host, used) == {}
    # Its API answers at once, and the default ServiceAccount is there.
    assert "written before the pause" in inside(cli, used, "get", "configmap/note", "serviceaccount/default", "-o=yaml")
    assert written(host, used) == before
    assert vcluster(name=used.name)["steps"] == []


@pytest.mark.xdist_group("used")
def test_cli_and_module_resume_what_the_other_paused(host: Host, state: Module, cli: Cli, used: Place) -> None:
    """`vcluster resume` wakes what the module paused, and the module what `vcluster pause` did."""
    state(name=used.name, state="paused")
    listed = json.loads(cli("list", "--output", "json").partition("\n{")[0])
    assert {one["Status"] for one in listed if one["Name"] == used.name} == {"Paused"}
    assert "already paused" in cli("pause", used.name, "-n", used.namespace)
    cli("resume", used.name, "-n", used.namespace)
    assert (marks(host, used), replicas(host, used)) == ({}, {used.name: 1})
    result = state(name=used.name, state="running")  # which waits
    assert (result["changed"], only(result)["after"]) == (False, "running")
    cli("pause", used.name, "-n", used.namespace)
    result = state(name=used.name, state="paused")  # its pods may still be ending
    assert (result["changed"], only(result)["before"]) == (False, "paused")
    assert host.items(used.path("pods")) == []
    assert only(state(name=used.name, state="running"))["after"] == "running"
    assert "note" in inside(cli, used, "get", "configmaps")


@pytest.mark.xdist_group("used")
def test_restart_of_used_virtual_cluster_leaves_tenant_pods_alone(host: Host, state: Module, used: Place) -> None:
    """Another pod serves; what users run is not touched, and the release is still as helm made it."""
    pod = host.get(used.path("pods", f"{used.name}-0"))["metadata"]["uid"]
    writers = written(host, used)
    synced = {one["metadata"]["uid"] for one in host.items(used.path("pods") + f"?{SYNCED}={used.name}")}
    foreseen = state(check=True, name=used.name, state="restarted")
    result = state(name=used.name, state="restarted")
    assert only(result)["steps"] == only(foreseen)["steps"] == [f"delete pod {used.name}-0"]
    assert host.get(used.path("pods", f"{used.name}-0"))["metadata"]["uid"] != pod
    assert {one["metadata"]["uid"] for one in host.items(used.path("pods") + f"?{SYNCED}={used.name}")} >= synced
    assert written(host, used) == writers
    state(name=used.name, state="paused")
    assert "it is paused: use state running" in state.refused(name=used.name, state="restarted")
    state(name=used.name, state="running")


@pytest.mark.xdist_group("used")
def test_resume_with_missing_image_fails_early(host: Host, state: Module, used: Place) -> None:
    """Waiting ends early with the reason, which is the same that a vcluster task gives."""
    state(name=used.name, state="paused")
    image = workload(host, used)["spec"]["template"]["spec"]["containers"][0]["image"]
    where = "/spec/template/spec/containers/0/image"
    # Where nothing listens, so that the node is told at once; a registry out of reach takes it a minute.
    missing = f"127.0.0.1:1/{image.partition('/')[2]}.999"
    host.patch(used.workload, [{"op": "replace", "path": where, "value": missing}])
    started = time.monotonic()
    result = state.raw(name=used.name, state="running", wait_timeout=200)
    assert time.monotonic() - started < 100
    assert "check the image's name and tag" in result["msg"]
    assert only(result)["after"] in ("failed", "pending")
    host.patch(used.workload, [{"op": "replace", "path": where, "value": image}])
    state(name=used.name, state="paused")
    assert only(state(name=used.name, state="running"))["after"] == "running"


# --- several replicas, and etcd ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(host: Host, vcluster: Module) -> Iterator[Place]:
    """Two replicas of a StatefulSet, and etcd beside it, which the CLI does not think of."""
    claim = {"persistence": {"volumeClaim": {"enabled": True}}}
    values = merged(ETCD, stateful_set(highAvailability={"replicas": 2}, **claim))
    with place(host, "large") as where:
        vcluster(name=where.name, values=values)
        yield where


@pytest.mark.xdist_group("state-large")
def test_pause_of_several_replicas_with_etcd_resumes_etcd_first(
    host: Host, vcluster: Module, state: Module, cli: Cli, large: Place
) -> None:
    """All of it stops and comes back: etcd first, and every replica."""
    control, etcd = names_of(large)
    inside(cli, large, "create", "configmap", "note", "--from-literal=text=kept")
    told = checked(state, name=large.name, state="paused")
    assert told["steps"] == [
        f"scale StatefulSet {control} from 2 to 0 replicas",
        *[step for step in told["steps"] if "synced" in step],
        f"scale etcd StatefulSet {etcd} from 1 to 0 replicas",
    ]
    assert host.items(large.path("pods")) == []
    with pods_made(host, large) as made:
        told = checked(state, name=large.name, state="running")
    assert told["steps"] == [
        f"scale etcd StatefulSet {etcd} from 0 to 1 replica",
        f"scale StatefulSet {control} from 0 to 2 replicas",
    ]
    assert made.index(f"{etcd}-0") < made.index(f"{control}-0")
    assert replicas(host, large) == {control: 2, etcd: 1}
    assert "kept" in inside(cli, large, "get", "configmap", "note", "-o", "yaml")
    assert vcluster(name=large.name)["steps"] == []


@pytest.mark.xdist_group("state-large")
def test_restart_of_several_replicas_keeps_one_ready(host: Host, state: Module, large: Place) -> None:
    """One replica after the other is replaced: one is ready at every moment. etcd goes on."""
    control, etcd = names_of(large)
    before = {one["metadata"]["name"]: one["metadata"]["uid"] for one in host.items(large.path("pods"))}
    ready: list[int] = []
    end = threading.Event()

    def watch() -> None:
        while not end.wait(0.1):
            pods = host.items(large.path("pods") + "?labelSelector=app%3Dvcluster%2C%21vcluster.loft.sh/managed-by")
            ready.append(sum(is_ready(pod) for pod in pods))

    watcher = threading.Thread(target=watch)
    watcher.start()
    told = only(state(name=large.name, state="restarted"))
    end.set()
    watcher.join()
    assert told["steps"] == [f"delete pod {control}-1", f"delete pod {control}-0"]
    assert (min(ready), max(ready)) == (1, 2)
    after = {one["metadata"]["name"]: one["metadata"]["uid"] for one in host.items(large.path("pods"))}
    same = {name for name in before if after.get(name) == before[name]}
    assert f"{etcd}-0" in same
    assert not {f"{control}-0", f"{control}-1"} & same


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod is ready, and not about to end."""
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions") or []}
    return conditions.get("Ready") == "True" and not pod["metadata"].get("deletionTimestamp")


@pytest.mark.xdist_group("state-large")
def test_cli_resume_that_leaves_etcd_is_mended(
    host: Host, vcluster: Module, state: Module, cli: Cli, large: Place
) -> None:
    """`vcluster resume` of a StatefulSet does not start etcd, so that it hangs; the module names that and mends it."""
    control, etcd = names_of(large)
    state(name=large.name, state="paused")
    cli("resume", large.name, "-n", large.namespace)
    assert replicas(host, large) == {control: 2, etcd: 0}
    told = checked(state, name=large.name, state="running")
    assert "has no replicas, and the control plane waits for it" in told["note"]
    assert told["steps"] == [f"scale etcd StatefulSet {etcd} from 0 to 1 replica"]
    cli("pause", large.name, "-n", large.namespace)
    assert replicas(host, large) == {control: 0, etcd: 1}
    told = checked(state, name=large.name, state="paused")
    assert told["steps"] == [f"scale etcd StatefulSet {etcd} from 1 to 0 replicas"]
    cli("resume", large.name, "-n", large.namespace)
    assert vcluster(name=large.name)["steps"] == [f"repair StatefulSet {etcd}"]
    # What is left is the mark on etcd.
    told = checked(state, name=large.name, state="running")
    assert told["steps"] == [f"remove the pause mark from etcd StatefulSet {etcd}"]


NOWHERE = {"scheduling": {"nodeSelector": {"no": "such-node"}}}
APART = {"controlPlane": {"backingStore": {"etcd": {"deploy": {"statefulSet": NOWHERE}}}}}


@pytest.mark.parametrize("helm", ["helm", "helm3"])
@pytest.mark.parametrize("values", [IDLE, merged(IDLE, ETCD, APART, THREE)], ids=["StatefulSet", "Deployment"])
def test_cli_resumes_what_was_changed_while_paused(
    host: Host,
    vcluster: Module,
    state: Module,
    cli: Cli,
    new: Callable[..., Place],
    helm: str,
    values: dict[str, Any],
) -> None:
    """All replicas come back, of a Deployment also those of etcd; the release is still as the task says."""
    where = new("woken")
    task = vcluster.against(name=where.name, binary_path=helm, wait=False)
    task(values=values)
    before = replicas(host, where)
    state(name=where.name, state="paused")
    assert set(replicas(host, where).values()) == {0}
    assert task(values=merged(values, INGRESSES))["steps"] == [f"change values of release {where.name}"]
    cli("resume", where.name, "-n", where.namespace)
    assert replicas(host, where) == before
    assert [marks(host, where, name) for name in before] == [{}] * len(before)
    assert task(values=merged(values, INGRESSES))["steps"] == []
