# SPDX-License-Identifier: GPL-3.0-or-later
"""What the integration tests share: the host cluster, the module as its own process, and clean-up.

KUBECONFIG names the host cluster, PATH has kubectl, helm, helm3 and vcluster, and NESTED_CLUSTERS_CHART
is the chart's archive or directory where the official chart repository cannot be reached.

Several tests run at once on one host cluster, each in a worker process (pytest-xdist). So a test takes its names
from the fixture ``new`` or from ``place``, and says nothing about objects that are not its own. What it lists of
the whole host cluster may hold anything else as well. Tests that share a virtual cluster are of one
``xdist_group``, so that one worker runs them and it is made once; they leave it as they found it.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3
from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config
from kubernetes.client.rest import RESTClientObject
from second_host import second_kubeconfig

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = REPOSITORY / "plugins" / "modules"
MODULE_SECONDS = 400  # longer than any task of these tests may take

# With the first as interpreter, ansible-playbook runs a module in a fork; the other it takes for another Python.
OWN_PYTHON = "{{ ansible_playbook_python }}"
SAME_PYTHON = "{{ ansible_playbook_python | dirname }}/./{{ ansible_playbook_python | basename }}"

# Values of a control plane whose pod finds no node, so that it costs nothing, for tests of the module alone.
IDLE: dict[str, Any] = {
    "controlPlane": {"statefulSet": {"scheduling": {"nodeSelector": {"no": "such-node"}}}}
}

Object = dict[str, Any]
Key = tuple[str, str, str, str]  # apiVersion, plural, namespace, name


# One seed for all processes of a run: those of pytest-xdist inherit it.
os.environ.setdefault("NESTED_CLUSTERS_SEED", str(random.SystemRandom().randrange(10**6)))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes a minute, so it is begun with, and no worker ends alone with it")
    config.addinivalue_line("markers", "fault(what, times=1): a test of faults, counted in the table of them")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if mark := item.get_closest_marker("fault"):
        what, *times = mark.args
        item.user_properties.extend([("marked", what)] * (times[0] if times else 1))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A table of the faults that were tried, by kind."""
    tried, survived, lost = Counter[str](), Counter[str](), list[str]()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, text in report.user_properties if report.when == "call" else ():
                tried[text] += name in ("fault", "marked")
                survived[text] += name == "survived" or (name == "marked" and outcome == "passed")
                lost += [text] if name == "lost" else []
    kinds = sorted(kind for kind in tried if tried[kind])
    if not kinds:
        return
    terminalreporter.section(f"faults, seed {os.environ['NESTED_CLUSTERS_SEED']}")
    for kind in [*kinds, "all"]:
        many, well = (sum(tried.values()), sum(survived.values())) if kind == "all" else (tried[kind], survived[kind])
        terminalreporter.write_line(f"{kind:<52} {many:>4} tried {well:>4} survived")
    terminalreporter.write_line(f"lost: {', '.join(lost) or 'nothing'}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def eventually(
    what: str | Callable[[], str], question: Callable[[], Any], seconds: float = 120, pause: float = 0.2
) -> Any:
    """The first true answer to a question; fails the test, saying what was missed, when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > deadline:
            pytest.fail(f"not seen within {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(pause)
    return answer


@dataclass
class Host:
    """The host cluster: its API, and the programs that a user has."""

    kubeconfig: str
    chart: str | None
    configuration: Any = field(repr=False)
    pool: urllib3.PoolManager = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    leaving: list[str] = field(default_factory=list, repr=False)
    """Namespaces that were asked to go."""

    def request(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Ask the API; None for what is not there, an AssertionError for any other refusal."""
        headers = {**self.headers, "Accept": "application/json", "Content-Type": kind}
        data = None if body is None else json.dumps(body)
        answer = self.pool.request(method, self.configuration.host + path, headers=headers, body=data)
        if answer.status in (404, 405):
            return None
        assert answer.status < 400, f"{method} {path}: {answer.status} {answer.data.decode()}"
        return answer.json() if "json" in answer.headers.get("Content-Type", "") else answer.data.decode()

    def get(self, path: str) -> Any:
        """The object or list at a path, None where there is none."""
        return self.request("GET", path)

    def items(self, path: str) -> list[Object]:
        """The objects of a list."""
        return (self.get(path) or {}).get("items") or []

    def create(self, path: str, body: Object) -> Any:
        """Create an object below a collection's path."""
        return self.request("POST", path, body)

    def patch(self, path: str, body: Any) -> Any:
        """Merge into an object; a list is a JSON patch."""
        kind = "json-patch" if isinstance(body, list) else "merge-patch"
        done = self.request("PATCH", path, body, f"application/{kind}+json")
        assert done is not None, f"there is no {path} to patch"
        return done

    def delete(self, path: str, policy: str = "Background") -> Any:
        """Delete an object; its dependants as the policy says."""
        return self.request("DELETE", path, {"propagationPolicy": policy})

    def program(self, name: str) -> str:
        """The path of a program that a test needs."""
        found = shutil.which(name)
        assert found, f"the tests need {name} on the PATH: see tests/host_cluster/host-cluster bin-dir"
        return found

    def call(
        self, *command: str, check: bool = True, seconds: float = 180, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program against the host cluster."""
        done = subprocess.run(
            [self.program(command[0]), *command[1:]],
            env={**os.environ, "KUBECONFIG": self.kubeconfig, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def namespace(self, name: str, **metadata: Any) -> None:
        """Create a namespace as a user would."""
        self.create("/api/v1/namespaces", {"metadata": {"name": name, **metadata}})

    def kinds(self) -> list[tuple[str, str, bool]]:
        """(apiVersion, plural, namespaced) of everything that can be listed."""
        groups = [group["preferredVersion"]["groupVersion"] for group in self.get("/apis")["groups"]]
        return [
            (version, served["name"], served["namespaced"])
            for version in ["v1", *groups]
            for served in (self.get(root(version)) or {}).get("resources", [])
            if "list" in served["verbs"] and "/" not in served["name"] and served["name"] != "events"
        ]

    def everything(self) -> dict[Key, str]:
        """Every object of every kind in the whole cluster but events: its key, and its text."""
        found = {}
        for version, plural, _namespaced in self.kinds():
            for item in self.items(f"{root(version)}/{plural}"):
                meta = item["metadata"]
                key = version, plural, meta.get("namespace", ""), meta.get("name", "")
                found[key] = json.dumps(item)
        return found

    def contents(self, namespace: str) -> dict[tuple[str, str], str]:
        """(plural, name) to resource version of all that one namespace holds.

        But events, heartbeats, and what controllers derive from the rest and remove some moments after it.
        """
        derived = {"leases", "endpoints", "endpointslices", "controllerrevisions"}
        found = {}
        for version, plural, namespaced in self.kinds():
            if namespaced and plural not in derived:
                for item in self.items(f"{root(version)}/namespaces/{namespace}/{plural}"):
                    found[plural, item["metadata"]["name"]] = item["metadata"].get("resourceVersion", "")
        return found

    def wait_for_leaving(self) -> None:
        """Wait until no namespace is left that was asked to go."""

        def left() -> set[str]:
            there = {item["metadata"]["name"] for item in self.items("/api/v1/namespaces")}
            return there & set(self.leaving)

        eventually(lambda: f"the end of {left()}", lambda: not left(), 240)


def root(version: str) -> str:
    """The path of an API version."""
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


@dataclass
class Place:
    """A virtual cluster's name and namespace, and the paths of what it has on the host."""

    name: str
    namespace: str

    def path(self, plural: str, name: str | None = None, version: str = "v1") -> str:
        base = f"{root(version)}/namespaces/{self.namespace}/{plural}"
        return f"{base}/{name}" if name else base

    @property
    def workload(self) -> str:
        return self.path("statefulsets", self.name, "apps/v1")

    @property
    def options(self) -> dict[str, Any]:
        return {"name": self.name, "namespace": self.namespace}


@dataclass
class Module:
    """A module of the collection, run as Ansible runs it: a process of its own with a file of arguments."""

    host: Host = field(repr=False)
    directory: Path = field(repr=False)
    name: str = "vcluster"
    defaults: dict[str, Any] = field(default_factory=dict, repr=False)
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    through: tuple[str, ...] = field(default=(), repr=False)
    """A command that runs the module, where it is not to run here."""

    def start(self, options: dict[str, Any], check: bool = False) -> subprocess.Popen[str]:
        """Start the module without waiting for it."""
        arguments = {
            **self.defaults,
            **options,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            "_ansible_remote_tmp": str(self.directory),
        }
        file = self.directory / f"args-{uuid.uuid4().hex}.json"
        file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        file.chmod(0o600)
        return subprocess.Popen(
            [*self.through, sys.executable, str(MODULES / f"{self.name}.py"), str(file)],
            env={**os.environ, "KUBECONFIG": self.host.kubeconfig, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str], seconds: float = MODULE_SECONDS) -> dict[str, Any]:
        """The parsed result of a started module; fails the test with all of its output if it is no JSON."""
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"the module still ran after {seconds:g} s:\n{out}\n{err}")
        try:
            result: dict[str, Any] = json.loads(out)
        except ValueError:
            pytest.fail(f"no JSON from the module (exit {process.returncode}):\n{out}\n{err}")
        assert not err.strip(), f"the module wrote to standard error:\n{err}"
        return result

    def raw(self, check: bool = False, **options: Any) -> dict[str, Any]:
        """The result, whatever it is."""
        return self.finish(self.start(options, check))

    def __call__(self, check: bool = False, **options: Any) -> dict[str, Any]:
        """The result of a task that succeeds."""
        result = self.raw(check, **options)
        assert not result.get("failed"), f"{result.get('msg')}\n{result.get('exception', '')}"
        return result

    def refused(self, check: bool = False, **options: Any) -> str:
        """The message of a task that fails, which is one for people and no traceback."""
        result = self.raw(check, **options)
        assert result.get("failed"), f"should have failed: {result}"
        assert "Traceback" not in json.dumps(result), result
        return str(result["msg"])

    def against(self, **defaults: Any) -> Module:
        """The same module with other defaults."""
        return Module(
            self.host, self.directory, self.name, {**self.defaults, **defaults}, self.environment, self.through
        )


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """The host cluster that KUBECONFIG names; at the end nothing that was asked to go is left on it."""
    kubeconfig = os.environ.get("KUBECONFIG", "")
    if not kubeconfig:
        pytest.fail("KUBECONFIG is not set: the integration tests need a host cluster (make test starts one)")
    cluster = open_host(kubeconfig)
    yield cluster
    cluster.wait_for_leaving()


def open_host(kubeconfig: str) -> Host:
    """The host cluster of a kubeconfig."""
    configuration = kubernetes_client.Configuration()
    kubernetes_config.load_kube_config(kubeconfig, client_configuration=configuration)
    configuration.connection_pool_maxsize = 16
    pool = RESTClientObject(configuration).pool_manager
    headers = {item["key"]: item["value"] for item in configuration.auth_settings().values()}
    return Host(kubeconfig, os.environ.get("NESTED_CLUSTERS_CHART"), configuration, pool, headers)


@pytest.fixture(scope="session")
def second_host(host: Host) -> Iterator[Host | None]:
    """Another host cluster, started when the first test asks for it; None, with a warning, where none can be had."""
    with second_kubeconfig(host.kubeconfig) as kubeconfig:
        yield open_host(kubeconfig) if kubeconfig else None


@pytest.fixture(scope="session")
def members(host: Host, second_host: Host | None) -> dict[str, Host]:
    """The host clusters of a group by name: ``host-a`` and, where it can be had, ``host-b``."""
    return {"host-a": host, **({"host-b": second_host} if second_host else {})}


def connections(members: dict[str, Host]) -> list[Object]:
    """Option ``host_clusters`` for host clusters by name."""
    return [{"name": name, "kubeconfig": member.kubeconfig} for name, member in members.items()]


@pytest.fixture(scope="session")
def vcluster(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Module:
    """The module nested.clusters.vcluster, with the chart of this machine if there is one."""
    defaults = {"chart_ref": host.chart} if host.chart else {}
    return Module(host, tmp_path_factory.mktemp("module"), "vcluster", defaults)


@pytest.fixture(scope="session")
def vcluster_group(members: dict[str, Host], vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_group, with all host clusters."""
    return Module(vcluster.host, vcluster.directory, "vcluster_group", {"host_clusters": connections(members)})


@pytest.fixture(scope="session")
def cli(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The vcluster CLI, with files of its own: it writes into its configuration, and into the kubeconfig."""
    directory = tmp_path_factory.mktemp("cli")
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(host.call("kubectl", "config", "view", "--raw", "--flatten").stdout)
    kubeconfig.chmod(0o600)
    configuration = str(directory / "cli.json")

    def run(*arguments: str, check: bool = True) -> str:
        command = ("vcluster", "--config", configuration, *arguments)
        done = host.call(*command, check=check, KUBECONFIG=str(kubeconfig))
        return done.stdout + done.stderr

    return run


@contextmanager
def place(host: Host, word: str, made_by_user: bool = False, beside: Place | None = None) -> Iterator[Place]:
    """A name that nobody has, and afterwards no trace of it. ``beside`` another it begins with the other's name."""
    name = f"{beside.name}-b" if beside else f"it-{word}-{uuid.uuid4().hex[:5]}"
    where = Place(name, f"vcluster-{name}")
    if made_by_user:
        host.namespace(where.namespace)
    try:
        yield where
    finally:
        tidy(host, where)


def tidy(host: Host, where: Place) -> None:
    """Ask for the deletion of all that a virtual cluster has, whatever became of it; ``host`` waits in the end."""
    space = f"/api/v1/namespaces/{where.namespace}"
    if host.get(space):
        for thing in host.items(where.path("configmaps")):
            if thing["metadata"].get("finalizers"):
                patch = {"metadata": {"finalizers": None}}
                host.patch(where.path("configmaps", thing["metadata"]["name"]), patch)
        host.delete(space)
        host.leaving.append(where.namespace)
    for plural in ("clusterrolebindings", "clusterroles"):
        host.delete(f"/apis/rbac.authorization.k8s.io/v1/{plural}/vc-{where.name}-v-{where.namespace}")


@pytest.fixture
def new(host: Host) -> Iterator[Callable[..., Place]]:
    """Makes names, with clean-up at the end of the test."""
    with ExitStack() as stack:
        yield lambda word, **options: stack.enter_context(place(host, word, **options))


@dataclass
class Proxy:
    """A reverse proxy in front of the host cluster: what goes through it is counted, and can be refused."""

    url: str
    seen: list[str] = field(default_factory=list)
    fault: Callable[[str, str], int] = lambda method, path: 0
    """For a method and a path: 0 to let it pass, an HTTP status to answer, or -1 to drop the connection."""

    @property
    def options(self) -> dict[str, Any]:
        return {"host": self.url, "api_key": "counted", "kubeconfig": os.devnull}


@contextmanager
def serve_proxy(host: Host) -> Iterator[Proxy]:
    """A counting proxy, for as long as the context lasts."""
    proxy: Proxy

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            proxy.seen.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = proxy.fault(self.command, self.path)
            if status < 0:
                self.close_connection = True
                return
            if status:
                self.answer(status, b'{"kind": "Status", "message": "made up by a test", "reason": "Test"}')
                return
            passed = ("accept", "accept-encoding", "content-type", "user-agent")
            headers = {name: value for name, value in self.headers.items() if name.lower() in passed}
            there = host.pool.request(
                self.command,
                host.configuration.host + self.path,
                headers={**headers, **host.headers},
                body=body or None,
                preload_content=False,
                decode_content=False,
            )
            self.send_response(there.status)
            for name in ("Content-Type", "Content-Encoding", "Warning"):
                if name in there.headers:
                    self.send_header(name, there.headers[name])
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in there.stream(65536, decode_content=False):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")
            there.release_conn()

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def proxy(host: Host) -> Iterator[Proxy]:
    """A counting proxy in front of the host cluster."""
    with serve_proxy(host) as running:
        yield running


def spaces_of(host: Host, group: str) -> list[str]:
    """The namespaces of a group's virtual clusters on a host cluster."""
    found = host.items(f"/api/v1/namespaces?labelSelector=nested-clusters%2Fgroup%3D{group}")
    return [item["metadata"]["name"] for item in found]


def remove_namespaces(host: Host, *names: str) -> None:
    """Delete namespaces and wait until they are gone."""
    for name in names:
        host.delete(f"/api/v1/namespaces/{name}")
    for name in names:
        wait_gone(host, f"/api/v1/namespaces/{name}")


def wait_gone(host: Host, path: str) -> None:
    """Wait until there is no object at a path."""
    eventually(f"{path} gone", lambda: host.get(path) is None, 180)


def settled(host: Host, where: Place, real_nodes: bool = False) -> None:
    """Wait until a running virtual cluster has made on its host all that each one makes by itself.

    Ready comes some seconds before that. What compares check mode with a later run, or contents before and
    after, waits for this first: check mode speaks of what is there. ``real_nodes``: it syncs the host's nodes,
    and so makes no Service for each.
    """
    missing: list[str] = []

    def is_settled() -> bool:
        missing[:] = unsettled(host, where, real_nodes)
        return not missing

    eventually(lambda: f"{where.name} has made its {', '.join(missing)}", is_settled)


def unsettled(host: Host, where: Place, real_nodes: bool) -> list[str]:
    """What a virtual cluster has not made on its host yet of what each one makes by itself, in words."""

    def names(plural: str) -> set[str]:
        return {item["metadata"]["name"] for item in host.items(where.path(plural))}

    services, synced = names("services"), f"x-kube-system-x-{where.name}"
    made = {
        "Secret with the kubeconfig": f"vc-{where.name}" in names("secrets"),
        "ConfigMaps": {f"coredns-{synced}", f"kube-root-ca.crt-{synced}"} <= names("configmaps"),
        "Service for DNS": f"kube-dns-{synced}" in services,
        "Service for a node": real_nodes or any(name.startswith(f"{where.name}-node-") for name in services),
        "ready pod for DNS": any(
            pod["metadata"]["name"].startswith("coredns-") and is_ready(pod)
            for pod in host.items(where.path("pods"))
        ),
    }
    return [what for what, there in made.items() if not there]


def is_ready(pod: Object) -> bool:
    """Whether a pod is ready."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def secret_values(host: Host, where: Place) -> list[str]:
    """What may never be shown: each entry of the kubeconfig Secret, encoded and in clear."""
    # Ready comes first, the kubeconfig some seconds later.
    path = where.path("secrets", f"vc-{where.name}")
    secret = eventually(f"kubeconfig of {where.name}", lambda: host.get(path))
    hidden = []
    for encoded in secret["data"].values():
        hidden += [encoded, base64.b64decode(encoded).decode()]
    hidden = [text for text in hidden if text]  # there is no token in it
    assert hidden, f"virtual cluster {where.name} has no kubeconfig to keep secret"
    return hidden


def same(check: dict[str, Any], run: dict[str, Any]) -> None:
    """Check mode and run say the same."""
    assert check["changed"] == run["changed"]
    assert check["steps"] == run["steps"]
    assert check["diff"] == run["diff"]


def texts(result: dict[str, Any]) -> str:
    """A result as one text, without the task's own arguments."""
    return json.dumps({key: value for key, value in result.items() if key != "invocation"})


def diff_text(result: dict[str, Any], side: str = "before") -> str:
    """All of one side of a result's diff."""
    return "\n".join(entry[side] for entry in result.get("diff", []))
