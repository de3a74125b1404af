# SPDX-License-Identifier: GPL-3.0-or-later
"""A real host cluster, from up to down. Runs only when asked, as root:

    NESTED_CLUSTERS_HOST_TESTS=1 pytest tests/host_cluster/test_host_cluster.py

Its cluster is called nested-test; others that run on the machine are not touched.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import cluster
import config

HERE = Path(__file__).resolve().parent
PROGRAM = HERE / "host-cluster"
NAME = "nested-test"
STATE = config.state_root() / NAME
FLEET = 1000
VALUES = {"controlPlane": {"statefulSet": {"image": {"repository": "loft-sh/vcluster-oss"}}}}
WORKLOAD = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: web
      image: busybox:stable
      imagePullPolicy: IfNotPresent
      command: [sh, -c, "echo hello > /data/index.html; echo started; exec httpd -f -p 8080 -h /data"]
      readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
      volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""

pytestmark = pytest.mark.skipif(
    not os.environ.get("NESTED_CLUSTERS_HOST_TESTS"),
    reason="starts a cluster; set NESTED_CLUSTERS_HOST_TESTS=1",
)
Kubectl = Callable[..., str]


def call(*argv: str | Path, text_in: str | None = None) -> str:
    """Run a program that has to work."""
    done = subprocess.run(list(argv), input=text_in, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout} {done.stderr}"
    return done.stdout.strip()


def eventually(check: Callable[[], bool], timeout: float = 60) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.2)


def kubectl_for(kubeconfig: Path) -> Kubectl:
    """Give a kubectl for one cluster."""
    program = Path(call(PROGRAM, "bin-dir")) / "kubectl"

    def kubectl(*argv: str, text_in: str | None = None) -> str:
        return call(program, f"--kubeconfig={kubeconfig}", *argv, text_in=text_in)

    return kubectl


def traces() -> list[str]:
    """Everything of the test's cluster that the machine can see."""
    found = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/nested-clusters-{NAME}")]
    found += [str(path) for path in Path("/sys/class/net").glob(f"nc*-{NAME[:10]}")]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(STATE) in line]
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            ours = f"/nested-clusters-{NAME}/" in (path / "cgroup").read_text()
            if ours and "State:\tZ" not in (path / "status").read_text():
                found.append((path / "status").read_text())
    return found + [str(path) for path in (STATE,) if path.exists()]


def machine() -> list[str]:
    """What a cluster must not change on the machine."""
    sysctls = ["net/ipv4/ip_forward", "vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"]
    files = [f"{name}={Path('/proc/sys', name).read_text()}" for name in sysctls]
    absent = [
        "/run/containerd",
        "/var/lib/cni",
        "/var/lib/kubelet",
        "/etc/cni/net.d",
        "/usr/sbin/policy-rc.d",
    ]
    return [call("iptables", "-t", "nat", "-S"), *files, *(f"{path} {Path(path).exists()}" for path in absent)]


@pytest.fixture(scope="module")
def up() -> Iterator[Kubectl]:
    """A fresh cluster, and nothing of it afterwards."""
    call(PROGRAM, "down", "--name", NAME)
    before = machine()
    kubeconfig = Path(call(PROGRAM, "up", "--name", NAME))
    yield kubectl_for(kubeconfig)
    call(PROGRAM, "down", "--name", NAME)
    assert traces() == []
    assert machine() == before


def check_workload(kubectl: Kubectl) -> None:
    """Volumes, logs, exec and names of Services work for a pod."""
    kubectl("apply", "-f", "-", text_in=WORKLOAD)
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    assert kubectl("logs", "web") == "started"

    def answers() -> bool:
        with contextlib.suppress(AssertionError):
            return kubectl("exec", "web", "--", "wget", "-qO-", "http://web.default.svc.cluster.local") == "hello"
        return False

    eventually(answers, 20)
    assert kubectl("get", "pvc", "data", "-o", "jsonpath={.status.phase}") == "Bound"


def test_up_again_is_quick(up: Kubectl) -> None:
    start = time.monotonic()
    assert call(PROGRAM, "up", "--name", NAME) == str(STATE / "kubeconfig")
    assert time.monotonic() - start < 5


def test_status(up: Kubectl) -> None:
    (status,) = json.loads(call(PROGRAM, "status", "--name", NAME, "--json"))
    assert status["ready"]
    assert status["kubeconfig"] == str(STATE / "kubeconfig")
    assert "kubelet" in status["components"]
    assert "kwok" not in status["components"]


def test_workload(up: Kubectl) -> None:
    check_workload(up)


def test_services_are_reachable_from_the_machine(up: Kubectl) -> None:
    address = up("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")

    def answers() -> bool:
        connection = http.client.HTTPConnection(address, timeout=2)
        try:
            connection.request("GET", "/index.html")
            return connection.getresponse().read() == b"hello\n"
        except OSError:
            return False

    eventually(answers, 10)


def test_virtual_cluster(up: Kubectl, tmp_path: Path) -> None:
    programs = Path(call(PROGRAM, "bin-dir"))
    options = ["--namespace=team-a", "--create-namespace", "--values=-", "--wait", "--timeout=3m"]
    options += [f"--kubeconfig={STATE}/kubeconfig"]
    chart = call(PROGRAM, "chart")
    call(programs / "helm", "upgrade", "--install", "a", chart, *options, text_in=json.dumps(VALUES))
    # Ready comes first, the kubeconfig some seconds later.
    eventually(lambda: "secret/vc-a" in up("-n", "team-a", "get", "secrets", "-o", "name"))
    secret = up("-n", "team-a", "get", "secret", "vc-a", "-o", "jsonpath={.data.config}")
    address = up("-n", "team-a", "get", "service", "a", "-o", "jsonpath={.spec.clusterIP}")
    kubeconfig = tmp_path / "kubeconfig"
    text = base64.b64decode(secret).decode().replace("localhost:8443", f"{address}:443")
    kubeconfig.write_text(text.replace("    server:", "    tls-server-name: localhost\n    server:"))
    inside = kubectl_for(kubeconfig)
    assert "namespace/kube-system" in inside("get", "namespaces", "-o", "name")
    check_workload(inside)
    assert "web-x-default-x-a" in up("-n", "team-a", "get", "pods", "-o", "name")


def test_a_component_that_dies_comes_back(up: Kubectl) -> None:
    def scheduler() -> int | None:
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                ours = f"/nested-clusters-{NAME}/" in (path / "cgroup").read_text()
                if ours and (path / "comm").read_text().strip() == "kube-scheduler":
                    return int(path.name)
        return None

    old = scheduler()
    assert old
    os.kill(old, signal.SIGKILL)
    eventually(lambda: scheduler() not in (None, old), 20)


class Api:
    """The API server over a few connections: kubectl would take a minute for a fleet."""

    def __init__(self, directory: Path) -> None:
        content = json.loads((STATE / "kubeconfig").read_text())
        server, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        files = {"ca": server["certificate-authority-data"]}
        files |= {"crt": user["client-certificate-data"], "key": user["client-key-data"]}
        for name, data in files.items():
            (directory / name).write_bytes(base64.b64decode(data))
        self.context = ssl.create_default_context(cafile=str(directory / "ca"))
        self.context.load_cert_chain(directory / "crt", directory / "key")
        self.host = server["server"].removeprefix("https://")

    def connect(self) -> http.client.HTTPSConnection:
        """Open a connection."""
        return http.client.HTTPSConnection(self.host, context=self.context)

    def post(self, requests: list[tuple[str, dict[str, Any]]]) -> None:
        """Create objects, one after the other."""
        connection = self.connect()
        for path, body in requests:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            said = response.read()
            assert response.status == 201, said

    def ready(self) -> int:
        """Count ready StatefulSets of the fleet."""
        connection = self.connect()
        connection.request("GET", "/apis/apps/v1/statefulsets?labelSelector=fleet%3Dtest")
        items = json.load(connection.getresponse())["items"]
        return sum(item["status"].get("readyReplicas") == 1 for item in items)


def stateful_set(number: int) -> tuple[str, dict[str, Any]]:
    """One member of the fleet, for fake nodes only."""
    pod = {
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
        "nodeSelector": {"type": "kwok"},
        "containers": [{"name": "c", "image": "c"}],
    }
    spec = {
        "serviceName": "x",
        "selector": {"matchLabels": {"app": "x"}},
        "template": {"metadata": {"labels": {"app": "x"}}, "spec": pod},
    }
    body = {"metadata": {"name": "x", "labels": {"fleet": "test"}}, "spec": spec}
    return f"/apis/apps/v1/namespaces/fleet-{number}/statefulsets", body


def test_fleet_on_fake_nodes(up: Kubectl, tmp_path: Path) -> None:
    call(PROGRAM, "fake-nodes", "--name", NAME, "--count", "5")
    api = Api(tmp_path)
    namespaces: list[tuple[str, dict[str, Any]]] = [
        ("/api/v1/namespaces", {"metadata": {"name": f"fleet-{number}"}}) for number in range(FLEET)
    ]
    start = time.monotonic()
    for requests in (namespaces, [stateful_set(number) for number in range(FLEET)]):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(api.post, [requests[part::8] for part in range(8)]))
    eventually(lambda: api.ready() == FLEET, 60 - (time.monotonic() - start))
    print(f"{FLEET} StatefulSets ready after {time.monotonic() - start:.1f} s")
    call(PROGRAM, "fake-nodes", "--name", NAME, "--count", "0")
    assert up("get", "nodes", "-o", "name") == f"node/{NAME}"


@pytest.mark.parametrize("delay", [0.3, 0.6, 1.5, 5])
def test_down_after_a_killed_up(delay: float) -> None:
    call(PROGRAM, "down", "--name", NAME)
    with subprocess.Popen([PROGRAM, "up", "--name", NAME], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as half:
        time.sleep(delay)
        half.kill()
    call(PROGRAM, "down", "--name", NAME)
    assert traces() == []


def test_up_after_a_killed_up_and_a_killed_cluster() -> None:
    with subprocess.Popen([PROGRAM, "up", "--name", NAME], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as half:
        time.sleep(1.5)
        half.kill()
    try:
        call(PROGRAM, "up", "--name", NAME)
        first = cluster.first_process(STATE)
        assert first
        os.kill(first, signal.SIGKILL)
        eventually(lambda: not cluster.inits(STATE), 20)
        assert call(PROGRAM, "up", "--name", NAME) == str(STATE / "kubeconfig")
    finally:
        call(PROGRAM, "down", "--name", NAME)
    assert traces() == []
