# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults, each for real: the task fails with a message for people or survives, and a second run finishes.

Nothing may be lost: a virtual cluster keeps its volume claim until it is deleted, and its replicas through a pause.
`make test` tries some, at random moments; `make faults` tries many, and others on a host cluster of its own, whose
components it kills. Tests of other files that are faults as well have the mark `fault`. A table sums all of them up.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from chart_versions import AFTER, BEFORE, WAY_BACK
from fault_tools import FULL, SEED, Machine, carrying, chance, later, line_to, meanwhile, own_machine
from forked import Process
from host_api import Host, open_host, root, wait_gone
from modules import OWN_PYTHON, SAME_PYTHON, Module
from places import IDLE, Place, place
from waiting import eventually

MORE: dict[str, Any] = {**IDLE, "sync": {"toHost": {"ingresses": {"enabled": True}}}}
QUICK: dict[str, Any] = {"controlPlane": {"coredns": {"enabled": False}}}
NODES: dict[str, Any] = {**IDLE, "sync": {"fromHost": {"nodes": {"enabled": True}}}}
MARK = "loft.sh/paused-replicas"
# What a task may say whose API server went away, its own words or helm's.
UNREACHABLE = re.compile(
    r"does not answer|unreachable|refused|reset|EOF|starts|50[034]|closed|timeout|broken pipe", re.I
)
ADMISSION = root("admissionregistration.k8s.io/v1")
Record = Callable[[str, object], None]


@dataclass
class Life:
    """One virtual cluster from creation to deletion, with what has to be true after each operation."""

    host: Host
    vcluster: Module
    where: Place
    record: Record
    seconds: dict[str, float] = field(default_factory=dict)  # that an operation took last
    claim: str = ""
    version: str = AFTER
    real: bool = False  # else its control plane never starts, which most operations can do without

    def task(self, operation: str) -> tuple[Module, dict[str, Any]]:
        """The module and the options of an operation. A change is made while it is paused, and runs helm."""
        name = self.where.name
        if operation == "pause":
            return self.of("vcluster_state"), {"name": name, "state": "paused"}
        if operation == "delete":
            return self.vcluster, {"name": name, "state": "absent"}
        if operation == "delete in a selection":
            return self.of("vcluster_state"), {"names": [name], "state": "absent"}
        if operation == "upgrade":
            self.version = AFTER
            return self.vcluster, {"name": name, "vcluster_version": AFTER, "rollback": True}
        values = QUICK if self.real else MORE if operation == "change" else NODES
        return self.vcluster, {"name": name, "vcluster_version": self.version, "values": values, "wait": self.real}

    def of(self, module: str) -> Module:
        """Another module on the same host cluster."""
        return Module(self.host, self.vcluster.directory, module)

    def start(self, operation: str, **options: Any) -> Process:
        """Begin an operation."""
        module, own = self.task(operation)
        return module.start({**own, **options})

    def again(self, operation: str) -> None:
        """Run it again as it was: it succeeds, and all is as it shall be."""
        module, own = self.task(operation)
        began = time.monotonic()
        module(**own)
        self.seconds[operation] = time.monotonic() - began
        self.check(operation)

    def check(self, operation: str) -> None:
        """What is there after an operation, by the API server itself, and by helm."""
        if operation.startswith("delete"):
            assert self.host.get(f"/api/v1/namespaces/{self.where.namespace}") is None
            roles = self.host.items(f"{root('rbac.authorization.k8s.io/v1')}/clusterroles")
            assert not [role for role in roles if self.where.name in role["metadata"]["name"]]
            return
        workload = self.host.get(self.where.workload)
        assert workload, "the control plane is lost"
        module, own = self.task(operation)
        assert module(**own)["changed"] is False
        listed = self.host.call("helm", "list", "-n", self.where.namespace, "--deployed", "-q").stdout.split()
        assert listed == [self.where.name]
        paused = operation in ("pause", "change")
        assert workload["spec"]["replicas"] == (0 if paused else 1)
        assert workload["metadata"]["annotations"].get(MARK) == ("1" if paused else None)
        assert WAY_BACK not in workload["metadata"]["annotations"]
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        assert container["image"].endswith(f":{self.version}")
        self.check_claim()

    def check_claim(self) -> None:
        """The volume claim is the one that was made first: with another one, the data would be lost."""
        path = self.where.path("persistentvolumeclaims", f"data-{self.where.name}-0")
        uid = eventually("claim", lambda: self.host.get(path))["metadata"]["uid"]
        self.claim = self.claim or uid
        if uid != self.claim:
            self.record("lost", f"volume claim of {self.where.name}")
        assert uid == self.claim

    def suffer(self, what: str, operation: str, fault: Callable[[], None]) -> None:
        """Try a fault in an operation; it is survived if a second run finishes with everything in its place."""
        self.record("fault", what)
        try:
            fault()
            self.again(operation)
        except BaseException as error:
            error.add_note(f"{what}, seed {SEED} (NESTED_CLUSTERS_SEED)")
            raise
        self.record("survived", what)


def told(result: dict[str, Any]) -> None:
    """A task that failed says why in words for people."""
    assert "Traceback" not in json.dumps(result), result
    assert not result.get("failed") or UNREACHABLE.search(result["msg"]), result["msg"]


@contextmanager
def life(host: Host, vcluster: Module, record: Record, word: str) -> Iterator[Life]:
    with place(host, word) as where:
        yield Life(host, vcluster, where, record)


@contextmanager
def upgradable(host: Host, vcluster: Module, record: Record, word: str) -> Iterator[Life]:
    """One that runs, with the earlier version."""
    charts = {"chart_ref": host.chart.replace(AFTER, "{version}")} if host.chart else {}
    with place(host, word) as where:
        lived = Life(host, vcluster.against(**charts), where, record, version=BEFORE, real=True)
        lived.again("create")
        yield lived


# --- killed, and cut off, at random moments ---------------------------------------------------------------

# Seconds that an operation takes, as long as none was measured.
LIKELY = {"create": 3.0, "upgrade": 20.0, "pause": 1.0, "change": 4.0}
DELETIONS = ("delete", "delete in a selection")


def moment(lived: Life, operation: str, *words: object) -> float:
    """Some time within an operation."""
    return chance(operation, *words).uniform(0.1, 1.0) * lived.seconds.get(operation, LIKELY.get(operation, 5.0))


@pytest.mark.long
@pytest.mark.parametrize("turn", range(20 if FULL else 1))
def test_killed(host: Host, vcluster: Module, record_property: Record, turn: int) -> None:
    """kill -9 of the task and all that it started, somewhere in each operation of a life."""
    with life(host, vcluster, record_property, "kill9") as lived:
        for operation in ("create", "pause", "change", DELETIONS[turn % 2]):
            after = moment(lived, operation, turn)

            print(f"{operation}: killed after {after:.2f} s, seed {SEED}")
            lived.suffer(f"kill -9 during {operation}", operation, partial(kill_after, lived, operation, after))


def kill_after(lived: Life, operation: str, seconds: float) -> None:
    """kill -9 of an operation and all that it started."""
    process = lived.start(operation)
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.long
@pytest.mark.parametrize("turn", range(6 if FULL else 1))
def test_cut_off(host: Host, vcluster: Module, record_property: Record, turn: int, tmp_path: Path) -> None:
    """The connection to the API server breaks somewhere in each operation, and comes back some seconds later."""
    with life(host, vcluster, record_property, "cut") as lived, line_to(host, tmp_path) as (line, kubeconfig):
        for operation in ("create", "pause", "change", DELETIONS[turn % 2]):
            after, lasting = moment(lived, operation, "cut", turn), chance(operation, "lasting", turn).uniform(0.1, 5)

            def cut(operation: str = operation, after: float = after, lasting: float = lasting) -> None:
                timers = [later(after, line.cut), later(after + lasting, line.restore)]
                told(vcluster.finish(lived.start(operation, kubeconfig=kubeconfig)))
                for timer in timers:
                    timer.join()

            print(f"{operation}: cut after {after:.2f} s for {lasting:.2f} s, seed {SEED}")
            lived.suffer(f"API server cut off during {operation}", operation, cut)


if FULL:

    @pytest.mark.parametrize("turn", range(20))
    def test_upgrade_killed(host: Host, vcluster: Module, record_property: Record, turn: int) -> None:
        """kill -9 somewhere in an upgrade: its way back is taken, or used, or was not needed any more."""
        with upgradable(host, vcluster, record_property, "up") as lived:
            after = moment(lived, "upgrade", turn)
            print(f"upgrade: killed after {after:.2f} s, seed {SEED}")
            lived.suffer("kill -9 during upgrade", "upgrade", partial(kill_after, lived, "upgrade", after))


@contextmanager
def playbook(
    lived: Life, operation: str, directory: Path, in_fork: bool
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """ansible-playbook with an operation, and what all that it starts carries in its environment."""
    module, options = lived.task(operation)
    task = {f"nested.clusters.{module.name}": {**module.defaults, **options}}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": OWN_PYTHON if in_fork else SAME_PYTHON},
        "tasks": [task],
    }
    file, mark = directory / f"{operation}.json", f"RUN={uuid.uuid4().hex}"
    file.write_text(json.dumps([play]))
    process = subprocess.Popen(
        [lived.host.program("ansible-playbook"), str(file)],
        env={
            **os.environ,
            "KUBECONFIG": lived.host.kubeconfig,
            "ANSIBLE_HOME": str(directory),
            **dict([mark.split("=")]),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process, mark
    finally:
        for orphan in carrying(mark):
            with suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
        process.wait()


@pytest.mark.long
@pytest.mark.parametrize("turn", range(6 if FULL else 1))
def test_playbook_killed(host: Host, vcluster: Module, record_property: Record, turn: int, tmp_path: Path) -> None:
    """kill -9 of ansible-playbook alone: its module goes on, and writes at the same time as the second run."""
    with life(host, vcluster, record_property, "play") as lived:
        operations = ("create", "pause", "change", DELETIONS[turn % 2]) if FULL else ("create", "delete")
        for number, operation in enumerate(operations, turn):
            after = moment(lived, operation, "play", turn)

            def kill(operation: str = operation, after: float = after, in_fork: bool = number % 2 == 0) -> None:
                with playbook(lived, operation, tmp_path, in_fork) as (process, mark):
                    if in_fork:
                        eventually("the process that it forks", lambda: len(carrying(mark)) > 1, 60)
                    else:
                        eventually("its module", lambda: "AnsiballZ_" in str(carrying(mark)), 60)
                    time.sleep(after)
                    process.kill()
                    process.wait()
                    orphans = carrying(mark)
                    module, options = lived.task(operation)
                    result = module.raw(**options)
                    assert "Traceback" not in json.dumps(result), result
                    # Two writers: the second may be told that there is another, and only where there is.
                    met = orphans and re.search("run again|somebody else", str(result.get("msg")))
                    assert met or not result.get("failed"), result
                    eventually(lambda: f"the end of {carrying(mark)}", lambda: not carrying(mark), pause=1)

            print(f"{operation}: ansible-playbook killed after {after:.2f} s, seed {SEED}")
            lived.suffer(f"kill -9 of ansible-playbook in {operation}", operation, kill)


# --- what somebody else does ------------------------------------------------------------------------------


@contextmanager
def survived(record: Record, what: str) -> Iterator[None]:
    """Count one fault."""
    record("fault", what)
    yield
    record("survived", what)


def policy(name: str, namespace: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """An admission policy, and its binding, that lets no StatefulSet into a namespace."""
    rules = [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["statefulsets"]}]
    validations = [{"expression": "false", "message": "it may not be"}]
    only = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    spec = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": rules}, "validations": validations}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": only}}
    return {"metadata": {"name": name}, "spec": spec}, {"metadata": {"name": name}, "spec": binding}


def unreachable_webhook(name: str, namespace: str) -> dict[str, Any]:
    """A webhook that does not answer, and without which nothing is let into a namespace."""
    hook = {
        "name": "closed.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [
            {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["statefulsets"]}
        ],
    }
    return {"metadata": {"name": name}, "webhooks": [hook]}


def test_refused_by_admission(host: Host, vcluster: Module, record_property: Record) -> None:
    """A policy that denies and a webhook that is down stop helm half-way: its words are passed on."""
    with life(host, vcluster, record_property, "deny") as lived:
        name, options = lived.where.name, lived.task("create")[1]
        rule, binding = policy(name, lived.where.namespace)
        made = [
            f"{ADMISSION}/validatingadmissionpolicies/{name}",
            f"{ADMISSION}/validatingadmissionpolicybindings/{name}",
            f"{ADMISSION}/validatingwebhookconfigurations/{name}",
        ]
        try:
            with survived(record_property, "a webhook that rejects"):
                host.create(made[0].rpartition("/")[0], rule)
                host.create(made[1].rpartition("/")[0], binding)
                host.namespace(lived.where.namespace)
                eventually("policy", lambda: "it may not be" in denied(host, lived.where), 60)
                assert "it may not be" in vcluster.refused(**options)
                host.create(made[2].rpartition("/")[0], unreachable_webhook(name, lived.where.namespace))
                host.delete(made[1])
                eventually("webhook", lambda: "closed.example.com" in vcluster.raw(**options).get("msg", ""), 30)
                host.delete(made[2])
                eventually("it is let in", lambda: not vcluster.raw(**options).get("failed"), 60, 1)
                lived.check("create")
        finally:
            for path in made:
                host.delete(path)


def denied(host: Host, where: Place) -> str:
    """What the API server says to a StatefulSet, which is not made in any case."""
    spec = {
        "selector": {"matchLabels": {"a": "b"}},
        "serviceName": "x",
        "template": {"metadata": {"labels": {"a": "b"}}},
    }
    spec["template"]["spec"] = {"containers": [{"name": "x", "image": "x"}]}  # type: ignore[index]
    path = where.path("statefulsets", version="apps/v1") + "?dryRun=All"
    try:
        host.create(path, {"metadata": {"name": "probe"}, "spec": spec})
    except AssertionError as error:
        return str(error)
    return ""


def test_a_namespace_at_its_quota(host: Host, vcluster: Module, record_property: Record) -> None:
    """Not even helm's record finds room: the message names the quota; with room, the next run finishes."""
    with survived(record_property, "a namespace at its quota"), life(host, vcluster, record_property, "full") as lived:
        host.namespace(lived.where.namespace)
        quota = lived.where.path("resourcequotas", "tiny")
        spec = {"hard": {"count/services": "1"}}
        host.create(quota.rpartition("/")[0], {"metadata": {"name": "tiny"}, "spec": spec})
        eventually("quota counts", lambda: host.get(quota).get("status", {}).get("hard"))
        assert "exceeded quota: tiny" in vcluster.refused(**lived.task("create")[1])
        host.delete(quota)
        lived.again("create")


@pytest.mark.parametrize("selection", [False, True], ids=["one", "selection"])
def test_a_finalizer_that_hangs(host: Host, vcluster: Module, record_property: Record, selection: bool) -> None:
    """What holds the namespace is in the message; once it lets go, the next run finishes."""
    operation = DELETIONS[selection]
    with survived(record_property, "a finalizer that hangs"), life(host, vcluster, record_property, "hang") as lived:
        lived.again("create")
        labels = {"vcluster.loft.sh/managed-by": lived.where.name}
        body = {"metadata": {"name": "hangs", "labels": labels, "finalizers": ["example.com/hang"]}}
        host.create(lived.where.path("configmaps"), body)
        module, options = lived.task(operation)
        assert "example.com/hang" in module.refused(**options, wait_timeout=12)
        host.patch(lived.where.path("configmaps", "hangs"), {"metadata": {"finalizers": None}})
        lived.again(operation)


def test_a_namespace_that_goes(host: Host, vcluster: Module, record_property: Record) -> None:
    """Made again while somebody deletes it: the task says what holds the namespace, or waits until it is gone.

    The release is what goes last, so that the virtual cluster looks like one that is there.
    """
    what = "a namespace that is being deleted"
    with survived(record_property, what), life(host, vcluster, record_property, "going") as lived:
        lived.again("create")
        where, (module, options) = lived.where, lived.task("create")
        release = where.path("secrets", f"sh.helm.release.v1.{where.name}.v1")
        host.patch(release, {"metadata": {"finalizers": ["example.com/hang"]}})
        free = {"metadata": {"finalizers": None}}
        try:
            host.delete(f"/api/v1/namespaces/{where.namespace}")
            eventually("the end of the workload", lambda: host.get(where.workload) is None)
            check = module(check=True, **options)
            assert "example.com/hang" in module.refused(**options, wait_timeout=3)
            timer = later(4, lambda: host.patch(release, free))
            run = module(**options)
            timer.join()
            assert run["steps"] == check["steps"]
            assert run["steps"][0] == f"create namespace {where.namespace}"
            lived.claim = ""  # whoever deletes a namespace deletes its data
            lived.check("create")
        finally:
            if (host.get(release) or {}).get("metadata", {}).get("finalizers"):
                host.patch(release, free)


def test_revoked_credentials(host: Host, vcluster: Module, record_property: Record) -> None:
    """Revoked while the task waits: it ends at once and says so; with valid ones the next run finishes."""
    what = "credentials revoked during create"
    with survived(record_property, what), life(host, vcluster, record_property, "revoked") as lived:
        where, account = lived.where, {"metadata": {"name": "runner"}}
        host.namespace(where.namespace)
        host.create(where.path("serviceaccounts"), account)
        subject = {"kind": "ServiceAccount", "name": "runner", "namespace": where.namespace}
        binding = {
            "metadata": {"name": f"vc-{where.name}-v-{where.namespace}"},  # what the clean-up removes as well
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [subject],
        }
        path = f"{root('rbac.authorization.k8s.io/v1')}/clusterrolebindings"
        host.create(path, binding)
        token = host.call("kubectl", "create", "token", "runner", "-n", where.namespace).stdout.strip()
        address = {"host": host.configuration.host, "api_key": token, "ca_cert": host.configuration.ssl_ca_cert}
        options = {"name": where.name, "values": IDLE, "kubeconfig": os.devnull, **address}
        process = vcluster.start(options)
        eventually("metadata", lambda: "nested-clusters/managed" in str(host.get(where.workload)))
        host.delete(where.path("serviceaccounts", "runner"))
        result = vcluster.finish(process)
        assert "does not know the credentials" in result["msg"]
        assert token not in json.dumps({key: value for key, value in result.items() if key != "invocation"})
        host.delete(f"{path}/{binding['metadata']['name']}")  # type: ignore[index]
        vcluster(name=where.name, values=IDLE, wait=False)
        vcluster(name=where.name, state="absent")


def test_a_second_controller(host: Host, vcluster: Module, record_property: Record) -> None:
    """Somebody sets replicas and a Service back at once: the task says so, or wins; afterwards it holds."""
    what = "a second controller on the same field"
    with survived(record_property, what), life(host, vcluster, record_property, "fight") as lived:
        lived.again("create")
        state, options = lived.task("pause")

        def wake() -> None:
            found = host.get(lived.where.workload)
            if found and found["spec"]["replicas"] == 0:
                host.patch(lived.where.workload, {"spec": {"replicas": 1}})

        with meanwhile(wake):
            result = state.raw(**options, wait_timeout=15)
        assert "Traceback" not in json.dumps(result)
        assert not result.get("failed") or re.search("somebody else undid it|not paused after", result["msg"]), result
        lived.again("pause")
        service = lived.where.path("services", lived.where.name)
        with meanwhile(lambda: host.patch(service, {"spec": {"type": "NodePort"}})):
            vcluster(**lived.task("change")[1])
        lived.again("change")
        assert host.get(service)["spec"]["type"] == "ClusterIP"


def test_a_volume_that_never_binds(host: Host, vcluster: Module, record_property: Record) -> None:
    """Its storage class exists, and nobody provides for it: the last state says what is missing."""
    what = "a volume that never binds"
    with survived(record_property, what), life(host, vcluster, record_property, "unbound") as lived:
        classes, where = root("storage.k8s.io/v1") + "/storageclasses", lived.where
        body = {"metadata": {"name": where.name}, "provisioner": "example.com/nobody", "volumeBindingMode": "Immediate"}
        host.create(classes, body)
        try:
            claim = {"persistence": {"volumeClaim": {"storageClass": where.name}}}
            values = {"controlPlane": {"statefulSet": claim}}
            message = vcluster.refused(name=where.name, values=values, wait_timeout=15 if not FULL else 120)
            assert "unbound immediate PersistentVolumeClaims" in message, message
            vcluster(name=where.name, state="absent")
            lived.check("delete")
        finally:
            host.delete(f"{classes}/{where.name}")


# --- on a host cluster of its own -------------------------------------------------------------------------

if FULL:

    @pytest.fixture(scope="module")
    def machine() -> Iterator[Machine]:
        """A host cluster whose components these tests may kill."""
        with own_machine() as own:
            yield own

    @pytest.mark.xdist_group("own")
    @pytest.mark.parametrize("turn", range(2))
    def test_api_server_killed(machine: Machine, vcluster: Module, record_property: Record, turn: int) -> None:
        """The process of the API server is killed, and started again, somewhere in each operation."""
        host = open_host(machine.kubeconfig)
        task = Module(host, vcluster.directory, "vcluster", vcluster.defaults)
        with life(host, task, record_property, "api") as lived:
            for operation in ("create", "pause", "change", DELETIONS[turn % 2]):

                after = moment(lived, operation, "api", turn)
                kill = partial(kill_api_server, machine, lived, operation, after)
                lived.suffer(f"API server killed during {operation}", operation, kill)

    @pytest.mark.xdist_group("own")
    @pytest.mark.parametrize("turn", range(3))
    def test_api_server_killed_in_an_upgrade(
        machine: Machine, vcluster: Module, record_property: Record, turn: int
    ) -> None:
        """The same somewhere in an upgrade, which takes its way back where it cannot see that all is well."""
        host = open_host(machine.kubeconfig)
        task = Module(host, vcluster.directory, "vcluster", vcluster.defaults)
        with upgradable(host, task, record_property, "upapi") as lived:

            kill = partial(kill_api_server, machine, lived, "upgrade", moment(lived, "upgrade", "api", turn))
            lived.suffer("API server killed during upgrade", "upgrade", kill)

    def kill_api_server(machine: Machine, lived: Life, operation: str, seconds: float) -> None:
        """Kill its process in an operation; it is started again by itself."""
        timer = later(seconds, lambda: machine.signal("kube-apiserver", signal.SIGKILL))
        told(lived.vcluster.finish(lived.start(operation)))
        timer.join()
        eventually("API server", lambda: answers(lived.host), 90, 0.5)

    @pytest.mark.xdist_group("own")
    @pytest.mark.parametrize("turn", range(2))
    def test_expired_credentials(
        machine: Machine, vcluster: Module, record_property: Record, turn: int, tmp_path: Path
    ) -> None:
        """A client certificate expires somewhere in each operation: the task says so, with what helm says as well."""
        host = open_host(machine.kubeconfig)
        task = Module(host, vcluster.directory, "vcluster", vcluster.defaults)
        with life(host, task, record_property, "expired") as lived:
            for operation in ("create", "pause", "change", DELETIONS[turn % 2]):

                def expire(operation: str = operation) -> None:
                    after = moment(lived, operation, "expired", turn)
                    kubeconfig = machine.short_lived(tmp_path, after)
                    result = task.finish(lived.start(operation, kubeconfig=kubeconfig))
                    print(operation, after, result.get("msg"))
                    assert "Traceback" not in json.dumps(result), result
                    if result.get("failed"):
                        assert "does not know the credentials" in result["msg"]

                lived.suffer(f"credentials expired during {operation}", operation, expire)

    def answers(host: Host) -> bool:
        """Whether the API server is there, and has its roles."""
        try:
            return bool(host.get("/readyz"))
        except Exception:
            return False

    @pytest.mark.xdist_group("own")
    def test_a_node_that_stops(machine: Machine, vcluster: Module, record_property: Record) -> None:
        """The kubelet hangs: a pause and a deletion say which pod does not end; with it back, they finish."""
        host = open_host(machine.kubeconfig)
        task = Module(host, vcluster.directory, "vcluster", vcluster.defaults)
        with life(host, task, record_property, "node") as lived:
            name = lived.where.name
            task(name=name)
            state, options = lived.task("pause")
            with survived(record_property, "a node that stops, during pause"):
                with machine.stopped("kubelet"):
                    message = state.refused(**options, wait_timeout=10)
                    # With pods of its users, these are next; else its own are all that is waited for.
                    assert re.search(f"until its pods have ended|have not ended yet: {name}-0", message), message
                assert state(**options)["virtual_clusters"][0]["after"] == "paused"
            state(name=name, state="running")
            for module in (task, state):
                with survived(record_property, "a node that stops, during delete"):
                    delete: dict[str, Any] = {"name": name, "state": "absent"}
                    with machine.stopped("kubelet"):
                        message = module.refused(**delete, wait_timeout=15)
                        assert "is not gone after 15 s" in message or "not gone after 15 s" in message
                    module(**delete)
                    lived.check("delete")
                task(name=name)
            task(name=name, state="absent")
            wait_gone(host, f"/api/v1/namespaces/{lived.where.namespace}")
