# SPDX-License-Identifier: GPL-3.0-or-later
"""Pause, resume and restart on a real host cluster: data survives, the CLI understands, nothing wakes by itself."""

from __future__ import annotations

import json
import os
import signal
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from host_api import Host
from modules import Module, diff_text
from places import IDLE, Place, place
from proxy import Proxy, serve_proxy
from waiting import eventually

Cli = Callable[..., str]
MARKS = ("loft.sh/paused", "loft.sh/paused-replicas", "loft.sh/paused-date")
SYNCED = "labelSelector=vcluster.loft.sh/managed-by"
ETCD = {"controlPlane": {"backingStore": {"etcd": {"deploy": {"enabled": True}}}}}
THREE = {"controlPlane": {"statefulSet": {"highAvailability": {"replicas": 3}}}}
INGRESSES = {"sync": {"toHost": {"ingresses": {"enabled": True}}}}
NODES = {"sync": {"fromHost": {"nodes": {"enabled": True}}}}


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    """Values of several layers."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def stateful_set(**values: Any) -> dict[str, Any]:
    """Values of the control plane's workload."""
    return {"controlPlane": {"statefulSet": values}}


@pytest.fixture(scope="module")
def state(host: Host, vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_state."""
    return Module(host, vcluster.directory, "vcluster_state")


def only(result: dict[str, Any]) -> dict[str, Any]:
    """The one virtual cluster of a result."""
    (found,) = result["virtual_clusters"]
    return dict(found)


def checked(task: Module, **options: Any) -> dict[str, Any]:
    """Check mode, the run, which does the same, and a second one, which does nothing; the one virtual cluster."""
    foreseen, done = task(check=True, **options), task(**options)
    assert foreseen["virtual_clusters"] == done["virtual_clusters"]
    assert foreseen["diff"] == done["diff"]
    again = task(**options)
    assert (again["changed"], again["diff"]) == (False, [])
    return only(done)


def workload(host: Host, where: Place, name: str | None = None) -> dict[str, Any]:
    """The control plane, or the workload of another name."""
    for plural in ("statefulsets", "deployments"):
        found = host.get(where.path(plural, name or where.name, "apps/v1"))
        if found:
            return dict(found)
    pytest.fail(f"{where.name} has no workload {name or where.name}")


def replicas(host: Host, where: Place) -> dict[str, int]:
    """Replicas that are asked for, by the name of the workload."""
    items = [*host.items(where.path("statefulsets", version="apps/v1"))]
    items += host.items(where.path("deployments", version="apps/v1"))
    return {item["metadata"]["name"]: item["spec"]["replicas"] for item in items}


def marks(host: Host, where: Place, name: str | None = None) -> dict[str, str]:
    """The annotations of a pause on a workload."""
    annotations = workload(host, where, name)["metadata"].get("annotations") or {}
    return {mark: annotations[mark] for mark in MARKS if mark in annotations}


@contextmanager
def pods_made(host: Host, where: Place) -> Iterator[list[str]]:
    """Names of the pods that are created in a namespace while the context lasts."""
    made: list[str] = []
    path, last = where.path("pods"), f"last-{uuid.uuid4().hex[:5]}"
    version = host.get(path)["metadata"]["resourceVersion"]
    answer = host.pool.request(
        "GET",
        f"{host.configuration.host}{path}?watch=true&resourceVersion={version}&timeoutSeconds=300",
        headers=host.headers,
        preload_content=False,
    )

    def read() -> None:
        for line in answer:
            event = json.loads(line)
            name = event["object"]["metadata"]["name"]
            if name == last:
                return
            if event["type"] == "ADDED":
                made.append(name)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield made
        # The watch is not behind: a pod that is made now is seen.
        spec = {"nodeName": "no-such-node", "containers": [{"name": "x", "image": "x"}]}
        host.create(path, {"metadata": {"name": last}, "spec": spec})
        eventually("the end of the watch", lambda: not thread.is_alive())
        host.request("DELETE", f"{path}/{last}", {"gracePeriodSeconds": 0})
    finally:
        answer.close()


def releases(host: Host, where: Place) -> list[tuple[str, str]]:
    """(revision, status) of the releases in a namespace, as helm lists them."""
    listed = json.loads(host.call("helm", "list", "-n", where.namespace, "--output", "json").stdout)
    return [(one["revision"], one["status"]) for one in listed]


# --- a virtual cluster that is used -----------------------------------------------------------------------

USE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: note}
data: {text: written before the pause}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: notes}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: writer}
spec:
  selector: {matchLabels: {app: writer}}
  template:
    metadata: {labels: {app: writer}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{name: notes, persistentVolumeClaim: {claimName: notes}}]
      containers:
        - name: writer
          image: docker.io/library/busybox:stable
          imagePullPolicy: IfNotPresent
          command: [sh, -c, "test -e /notes/first || cat /proc/sys/kernel/random/uuid > /notes/first; exec sleep 3600"]
          volumeMounts: [{name: notes, mountPath: /notes}]
"""


@pytest.fixture(scope="module")
def used(host: Host, vcluster: Module, cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A virtual cluster with a user's objects, pod and volume."""
    file = tmp_path_factory.mktemp("use") / "use.yaml"
    file.write_text(USE)
    with place(host, "used") as where:
        vcluster(name=where.name)
        inside(cli, where, "apply", "-f", str(file))
        yield where


def inside(cli: Cli, where: Place, *arguments: str) -> str:
    """kubectl in a virtual cluster."""
    return cli("connect", where.name, "-n", where.namespace, "--background-proxy=false", "--", "kubectl", *arguments)


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


@pytest.mark.xdist_group("state-used")
def test_data_survives(host: Host, vcluster: Module, state: Module, cli: Cli, used: Place) -> None:
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


@pytest.mark.xdist_group("state-used")
def test_cli_both_ways(host: Host, state: Module, cli: Cli, used: Place) -> None:
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


@pytest.mark.xdist_group("state-used")
def test_restart(host: Host, state: Module, used: Place) -> None:
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


@pytest.mark.xdist_group("state-used")
def test_helm_that_woke_it(host: Host, vcluster: Module, state: Module, used: Place, tmp_path: Path) -> None:
    """`helm upgrade` by hand, with Helm 3: it runs, and is marked as paused. Both states mend that."""
    chart = [host.chart] if host.chart else ["vcluster", "--repo", "https://charts.loft.sh", "--version", "0.36.1"]
    for wanted in ("paused", "running"):
        state(name=used.name, state="paused")
        values = tmp_path / "values.yaml"
        values.write_text(host.call("helm", "get", "values", used.name, "-n", used.namespace, "-o", "yaml").stdout)
        host.call("helm3", "upgrade", used.name, *chart, "-n", used.namespace, "-f", str(values))
        assert replicas(host, used) == {used.name: 1}
        told = checked(state, name=used.name, state=wanted)
        assert "is marked as paused, but has 1 replica" in told["note"]
        assert (told["after"], bool(marks(host, used))) == (wanted, wanted == "paused")
    assert vcluster(name=used.name)["steps"] == []


# --- several replicas, and etcd ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(host: Host, vcluster: Module) -> Iterator[Place]:
    """Two replicas of a StatefulSet, and etcd beside it, which the CLI does not think of."""
    claim = {"persistence": {"volumeClaim": {"enabled": True}}}
    values = merged(ETCD, stateful_set(highAvailability={"replicas": 2}, **claim))
    with place(host, "large") as where:
        vcluster(name=where.name, values=values)
        yield where


def names_of(where: Place) -> tuple[str, str]:
    return where.name, f"{where.name}-etcd"


@pytest.mark.xdist_group("state-large")
def test_several_replicas_with_etcd(host: Host, vcluster: Module, state: Module, cli: Cli, large: Place) -> None:
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
def test_restart_of_several_replicas(host: Host, state: Module, large: Place) -> None:
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
def test_cli_leaves_etcd(host: Host, vcluster: Module, state: Module, cli: Cli, large: Place) -> None:
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
    assert told["steps"] == [f"take the mark of a pause from etcd StatefulSet {etcd}"]


# --- changes while it is paused ---------------------------------------------------------------------------


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_changes_while_paused(
    host: Host, vcluster: Module, state: Module, cli: Cli, new: Callable[..., Place], helm: str
) -> None:
    """Values, labels and drift: the release is good, check mode foresees it, and no pod is ever made."""
    where = new("asleep")
    task = vcluster.against(name=where.name, binary_path=helm, wait=False)
    task(values=IDLE)
    state(name=where.name, state="paused")
    with pods_made(host, where) as made:
        for values in (merged(IDLE, INGRESSES, NODES), merged(IDLE, INGRESSES)):
            check, run = task(check=True, values=values), task(values=values, wait=True)
            assert run["steps"] == check["steps"] == [f"change values of release {where.name}"]
            assert run["virtual_cluster"]["phase"] == check["virtual_cluster"]["phase"] == "paused"
            assert task(values=values)["steps"] == []
        assert task(labels={"env": "test"}, protected=True)["changed"]
        host.delete(where.path("services", where.name))
        assert task()["steps"] == [f"restore Service {where.name}"]
        host.patch(where.workload, {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 99}}}})
        assert task()["steps"] == [f"repair StatefulSet {where.name}"]
    assert made == []
    assert releases(host, where) == [("5", "deployed")]
    assert replicas(host, where) == {where.name: 0}
    assert marks(host, where)["loft.sh/paused-replicas"] == "1"
    cli("resume", where.name, "-n", where.namespace)
    assert (replicas(host, where), marks(host, where)) == ({where.name: 1}, {})
    assert task(values=merged(IDLE, INGRESSES))["steps"] == []
    assert task(values=IDLE)["steps"] == [f"change values of release {where.name}"]
    assert replicas(host, where) == {where.name: 1}


def older_chart(host: Host, directory: Path, version: str) -> dict[str, Any]:
    """Options for a chart of another version, made from the one on this machine if there is one."""
    if not host.chart:
        return {"vcluster_version": version}
    if Path(host.chart).is_dir():
        pytest.fail("the tests need the chart as an archive")
    with tarfile.open(host.chart) as archive:
        archive.extractall(directory, filter="data")
    metadata = directory / "vcluster" / "Chart.yaml"
    content = yaml.safe_load(metadata.read_text())
    metadata.write_text(yaml.safe_dump({**content, "version": version, "appVersion": version}))
    return {"chart_ref": str(directory / "vcluster")}


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_upgrade_while_paused(
    host: Host, vcluster: Module, state: Module, new: Callable[..., Place], tmp_path: Path, helm: str
) -> None:
    """A new version, and more replicas and etcd with it, without waking it; what runs next is all of that."""
    where = new("upgrade")
    values = merged(IDLE, ETCD, stateful_set(highAvailability={"replicas": 1}))
    more = merged(values, stateful_set(highAvailability={"replicas": 3}))
    old = older_chart(host, tmp_path, "0.35.9")
    vcluster(name=where.name, values=values, wait=False, binary_path=helm, **old)
    state(name=where.name, state="paused")
    with pods_made(host, where) as made:
        asked: dict[str, Any] = {"name": where.name, "values": more, "binary_path": helm}
        check, run = vcluster(check=True, **asked), vcluster(**asked)
        assert run["steps"] == check["steps"]
        assert run["steps"][0] == f"upgrade release {where.name} from vCluster 0.35.9 to 0.36.1"
        assert vcluster(**asked)["steps"] == []
    assert made == []
    assert releases(host, where) == [("2", "deployed")]
    assert marks(host, where)["loft.sh/paused-replicas"] == "3"
    newer = older_chart(host, tmp_path / "newer", "0.37.0")
    message = vcluster.against(**newer).refused(name=where.name, values=more)
    assert "0.35.9 is what ran last" in message
    assert only(state(check=True, name=where.name, state="running"))["steps"] == [
        f"scale etcd StatefulSet {where.name}-etcd from 0 to 1 replica",
        f"scale Deployment {where.name} from 0 to 3 replicas",
    ]


def test_changes_in_a_playbook(host: Host, new: Callable[..., Place], tmp_path: Path) -> None:
    """As Ansible sends modules, in an archive: what helm runs beside is found there as well."""
    where = new("book")
    own: dict[str, Any] = {"name": where.name, **({"chart_ref": host.chart} if host.chart else {})}
    tasks: list[dict[str, Any]] = [
        {"nested.clusters.vcluster": {**own, "values": IDLE, "wait": False}},
        {"nested.clusters.vcluster_state": {"name": where.name, "state": "paused"}},
        {"nested.clusters.vcluster": {**own, "values": merged(IDLE, INGRESSES)}, "register": "made"},
        {"ansible.builtin.assert": {"that": "made.virtual_cluster.phase == 'paused'"}},
    ]
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {"group/nested.clusters.all": {"kubeconfig": host.kubeconfig}},
        "tasks": [{"name": f"Task {number}", **task} for number, task in enumerate(tasks)],
    }
    book = tmp_path / "play.yml"
    book.write_text(yaml.safe_dump([play]))
    quiet: dict[str, Any] = {"ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false"}
    said = host.call("ansible-playbook", str(book), ANSIBLE_HOME=str(tmp_path / "ansible"), **quiet).stdout
    assert "changed=3" in said
    assert releases(host, where) == [("2", "deployed")]
    assert replicas(host, where) == {where.name: 0}


# --- by hand, interrupted, at once ------------------------------------------------------------------------
# The virtual clusters below find no node: what is tested is what is asked for, and no pod is waited for.


@pytest.fixture(scope="module")
def idle(host: Host, vcluster: Module) -> Iterator[Place]:
    """A Deployment with three replicas, and its etcd elsewhere."""
    external = {"enabled": True, "endpoint": "etcd.example.com:2379"}
    etcd = {"controlPlane": {"backingStore": {"etcd": {"external": external}}}}
    with place(host, "idle") as where:
        vcluster(name=where.name, values=merged(IDLE, etcd, THREE), wait=False)
        yield where


@pytest.fixture(scope="module")
def beside(host: Host, vcluster: Module) -> Iterator[Place]:
    """A Deployment with three replicas, and its etcd beside it."""
    nowhere = {"scheduling": {"nodeSelector": {"no": "such-node"}}}
    etcd = {"controlPlane": {"backingStore": {"etcd": {"deploy": {"statefulSet": nowhere}}}}}
    with place(host, "beside") as where:
        vcluster(name=where.name, values=merged(IDLE, ETCD, etcd, THREE), wait=False)
        yield where


def has_pods(host: Host, where: Place, count: int) -> bool:
    return len(host.items(where.path("pods"))) == count


def scale(host: Host, where: Place, name: str, count: int) -> None:
    """As somebody does by hand."""
    plural = "statefulsets" if name.endswith("-etcd") else "deployments"
    host.patch(where.path(plural, name, "apps/v1"), {"spec": {"replicas": count}})


def resumed(state: Module, where: Place) -> dict[str, Any]:
    """Resume without waiting for pods that never come."""
    return only(state(name=where.name, state="running", wait=False))


@pytest.mark.xdist_group("state-idle")
def test_scaled_by_hand(host: Host, state: Module, beside: Place, cli: Cli) -> None:
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
        cli("resume", beside.name, "-n", beside.namespace)  # of a Deployment, the CLI knows the etcd as well
        assert replicas(host, beside) == {control: 3, etcd: 1}


@pytest.mark.xdist_group("state-idle")
def test_scaled_by_hand_and_resumed(host: Host, state: Module, idle: Place) -> None:
    """The replicas that the values say come back."""
    scale(host, idle, idle.name, 0)
    told = resumed(state, idle)
    assert "not by a pause" in told["note"]
    assert told["steps"] == [f"scale Deployment {idle.name} from 0 to 3 replicas"]
    assert replicas(host, idle) == {idle.name: 3}


@contextmanager
def killed_at(state: Module, proxy: Proxy, number: int, options: dict[str, Any]) -> Iterator[bool]:
    """Kill a task at its n-th request, which does not arrive; whether it came to that."""
    process = state.start({**options, **proxy.options})
    seen: list[str] = []
    hit = threading.Event()
    lock = threading.Lock()

    def fault(method: str, path: str) -> int:
        with lock:
            seen.append(f"{method} {path}")
            if len(seen) >= number and not hit.is_set():
                hit.set()
                os.killpg(process.pid, signal.SIGKILL)
        return -1 if hit.is_set() else 0

    proxy.fault = fault
    process.communicate(timeout=120)
    proxy.fault = lambda method, path: 0
    yield hit.is_set()


@pytest.mark.xdist_group("state-idle")
def test_pause_that_is_killed(host: Host, state: Module, beside: Place, cli: Cli) -> None:
    """Killed at whatever request, the next run finishes it, and no replicas are forgotten."""
    control, etcd = names_of(beside)
    for number in range(1, 60):
        options: dict[str, Any] = {"name": beside.name, "state": "paused"}
        with serve_proxy(host) as proxy, killed_at(state, proxy, number, options) as killed:
            assert only(state(**options))["after"] == "paused"
        assert replicas(host, beside) == {control: 0, etcd: 0}
        assert host.items(beside.path("pods")) == []
        cli("resume", beside.name, "-n", beside.namespace)
        assert replicas(host, beside) == {control: 3, etcd: 1}
        assert marks(host, beside) == marks(host, beside, etcd) == {}
        if not killed:
            break
    assert number > 10


@pytest.mark.xdist_group("state-idle")
def test_resume_that_is_killed(host: Host, state: Module, idle: Place) -> None:
    """The same for a resume."""
    for number in range(1, 60):
        state(name=idle.name, state="paused")
        options: dict[str, Any] = {"name": idle.name, "state": "running", "wait": False}
        with serve_proxy(host) as proxy, killed_at(state, proxy, number, options) as killed:
            state(**options)
        assert (replicas(host, idle), marks(host, idle)) == ({idle.name: 3}, {})
        if not killed:
            break
    assert number > 4


@pytest.mark.xdist_group("state-idle")
def test_two_at_once(host: Host, state: Module, idle: Place) -> None:
    """Two equal tasks both end well. Of two opposite ones, what is left is finished by another run."""
    for _round in range(3):
        both = [state.start({"name": idle.name, "state": "paused"}) for _twice in range(2)]
        results = [state.finish(process) for process in both]
        assert not [result["msg"] for result in results if result.get("failed")]
        assert (replicas(host, idle), host.items(idle.path("pods"))) == ({idle.name: 0}, [])
        assert marks(host, idle)["loft.sh/paused-replicas"] == "3"
        both = [state.start({"name": idle.name, "state": "running", "wait": False}) for _twice in range(2)]
        results = [state.finish(process) for process in both]
        assert not [result["msg"] for result in results if result.get("failed")]
        assert replicas(host, idle) == {idle.name: 3}
    both = [state.start({"name": idle.name, "state": one, "wait": False}) for one in ("paused", "running")]
    for process in both:
        assert "Traceback" not in json.dumps(state.finish(process))
    state(name=idle.name, state="paused")
    assert replicas(host, idle) == {idle.name: 0}
    resumed(state, idle)
    assert (replicas(host, idle), marks(host, idle)) == ({idle.name: 3}, {})


# --- many -------------------------------------------------------------------------------------------------

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


@pytest.mark.xdist_group("state-many")
def test_one_that_fails_among_many(host: Host, state: Module, many: list[Place]) -> None:
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


@pytest.mark.xdist_group("state-many")
def test_max_failures(host: Host, state: Module, many: list[Place], proxy: Proxy) -> None:
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


@pytest.mark.xdist_group("state-many")
def test_requests_do_not_grow(state: Module, many: list[Place], proxy: Proxy) -> None:
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


@pytest.mark.xdist_group("state-many")
def test_several_host_clusters(host: Host, state: Module, many: list[Place], proxy: Proxy) -> None:
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


# --- permissions, and what does not become ready ----------------------------------------------------------


@pytest.mark.xdist_group("state-used")
def test_permissions(host: Host, state: Module, used: Place) -> None:
    """Those that the documentation names are enough; without pods/proxy the kubelet's word is taken."""
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


@pytest.mark.xdist_group("state-used")
def test_what_cannot_become_ready(host: Host, state: Module, used: Place) -> None:
    """Waiting ends early with the reason, which is the same that a vcluster task gives."""
    state(name=used.name, state="paused")
    image = workload(host, used)["spec"]["template"]["spec"]["containers"][0]["image"]
    where = "/spec/template/spec/containers/0/image"
    host.patch(used.workload, [{"op": "replace", "path": where, "value": f"{image}.999"}])
    started = time.monotonic()
    result = state.raw(name=used.name, state="running", wait_timeout=200)
    assert time.monotonic() - started < 100
    assert "check the image's name and tag" in result["msg"]
    assert only(result)["after"] in ("failed", "pending")
    host.patch(used.workload, [{"op": "replace", "path": where, "value": image}])
    state(name=used.name, state="paused")
    assert only(state(name=used.name, state="running"))["after"] == "running"


@pytest.mark.xdist_group("state-idle")
def test_nothing_is_selected(host: Host, state: Module, idle: Place) -> None:
    """A bare task is refused, a name that does not exist is named, and labels that nothing has change nothing."""
    assert "at least one of them" in state.refused(state="paused")
    for alone in ({"namespace": idle.namespace}, {"group": "it-nothing"}, {"phases": ["running"]}):
        assert "at least one of them" in state.refused(state="paused", **alone)
    message = state.refused(names=[idle.name, "it-no-such-one"], state="paused")
    assert "'it-no-such-one' is not usable" in message
    whole = {"namespace": idle.namespace, "all": True}
    assert state(check=True, state="paused", max_selected=1, **whole)["changed"]
    nothing = {"group": "it-nothing", "all": True}
    for selection in ({"label_selectors": ["it=nothing"]}, nothing, {"owner": "it-nobody"}):
        result = state(state="paused", **selection)
        assert (result["changed"], result["virtual_clusters"]) == (False, [])
    assert replicas(host, idle)[idle.name] == 3
