# SPDX-License-Identifier: GPL-3.0-or-later
"""Backing stores and replicas as options: a highly available virtual cluster, and one with an etcd of its user."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from host_api import Host, open_host
from modules import Module, same
from places import Place, place
from waiting import eventually

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
HIGHLY_AVAILABLE: dict[str, Any] = {"replicas": 3, "backing_store": {"type": "deployed_etcd", "replicas": 3}}
ETCD_IMAGE = "registry.k8s.io/etcd:3.6.8-0"


def open_inside(host: Host, vcluster: Module, where: Place, directory: Path) -> Host:
    """The API of a virtual cluster, at its Service's address, which this machine reaches."""
    address = host.get(where.path("services", where.name))["spec"]["clusterIP"]
    config = directory / f"{where.name}.kubeconfig"
    vcluster(name=where.name, export_kubeconfig={"path": str(config), "server": f"https://{address}:443"})
    return open_host(str(config))


def pods(host: Host, where: Place, app: str) -> dict[str, bool]:
    """The pods of the control plane or of its etcd by name, and whether each is ready."""
    found = host.items(where.path("pods") + f"?labelSelector=app={app},release={where.name}")
    return {
        pod["metadata"]["name"]: any(
            one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions") or []
        )
        for pod in found
        if not pod["metadata"].get("deletionTimestamp")
    }


# --- high availability ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def available(host: Host, vcluster: Module) -> Iterator[Place]:
    """Three replicas of the control plane and three of etcd."""
    with place(host, "ha") as where:
        check = vcluster(check=True, name=where.name, **HIGHLY_AVAILABLE)
        run = vcluster(name=where.name, wait_timeout=600, **HIGHLY_AVAILABLE)
        same(check, run)
        yield where


class Client(threading.Thread):
    """Writes one ConfigMap after the other, each until it is there, and remembers those that were acknowledged."""

    def __init__(self, api: Host) -> None:
        super().__init__(daemon=True)
        self.api = api
        self.written: list[str] = []
        self.end = threading.Event()

    def run(self) -> None:
        headers = {**self.api.headers, "Content-Type": "application/json"}
        while not self.end.is_set():
            name = f"written-{len(self.written)}"
            body = json.dumps({"metadata": {"name": name}})
            try:
                answer = self.api.pool.request(
                    "POST", self.api.configuration.host + CONFIG_MAPS, body=body, headers=headers, timeout=2, retries=0
                )
            except urllib3.exceptions.HTTPError:
                continue
            if answer.status in (201, 409):  # one that was made, and whose answer was lost, is there already
                self.written.append(name)
            time.sleep(0.05)


@pytest.mark.long
@pytest.mark.xdist_group("available")
def test_highly_available_one_survives_the_loss_of_a_replica_and_of_an_etcd_member(
    host: Host, vcluster: Module, available: Place, tmp_path: Path
) -> None:
    """A client that writes meanwhile loses nothing that was acknowledged, and goes on before all is whole again."""
    api = open_inside(host, vcluster, available, tmp_path)
    client = Client(api)
    client.start()
    eventually("the first writes", lambda: len(client.written) > 10)
    control, etcd = pods(host, available, "vcluster"), pods(host, available, "vcluster-etcd")
    assert (list(control.values()), list(etcd.values())) == ([True] * 3, [True] * 3)
    lease = host.items(available.path("leases", version="coordination.k8s.io/v1"))
    leader = next(name for name in sorted(control) for one in lease if name in str(one["spec"].get("holderIdentity")))
    for name in (leader, sorted(etcd)[1]):
        host.request("DELETE", available.path("pods", name), {"gracePeriodSeconds": 0})
    before = len(client.written)
    eventually("writes with two of three", lambda: len(client.written) > before + 10)

    def whole() -> bool:
        now = {**pods(host, available, "vcluster"), **pods(host, available, "vcluster-etcd")}
        return len(now) == 6 and all(now.values()) and leader not in now

    eventually("six ready pods", whole, 300)
    client.end.set()
    client.join(10)
    there = {item["metadata"]["name"] for item in api.items(CONFIG_MAPS)}
    assert set(client.written) - there == set()


@pytest.mark.xdist_group("available")
def test_backing_store_of_a_running_one_is_fixed(vcluster: Module, available: Place) -> None:
    assert vcluster(name=available.name, **HIGHLY_AVAILABLE)["steps"] == []
    assert vcluster(name=available.name)["steps"] == []
    message = vcluster.refused(name=available.name, replicas=3, backing_store={"type": "deployed_etcd", "replicas": 5})
    assert "the members of an etcd are fixed when it first starts" in message
    message = vcluster.refused(name=available.name, replicas=3, backing_store={"type": "embedded_sqlite"})
    assert "backing_store.type: the virtual cluster has deployed_etcd" in message


# --- an etcd of the user ----------------------------------------------------------------------------------


def certificates(directory: Path, *names: str) -> dict[str, str]:
    """A CA, and one certificate of it for servers and clients, in the form of a Secret of type kubernetes.io/tls."""
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    ca, alternatives = ["-keyout", "ca.key", "-out", "ca.crt"], ",".join(f"DNS:{name}" for name in names)
    signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", "tls.key", "-out", "tls.crt", "-subj", "/CN=etcd"]
    for arguments in (
        ["-subj", "/CN=etcd-ca", "-addext", "keyUsage=critical,keyCertSign,cRLSign", *ca],
        [*signed, "-addext", f"subjectAltName={alternatives}", "-addext", "basicConstraints=critical,CA:false"],
    ):
        subprocess.run(["openssl", "req", "-x509", *new, *arguments], cwd=directory, check=True, capture_output=True)
    return {
        name: base64.b64encode((directory / name).read_bytes()).decode() for name in ("ca.crt", "tls.crt", "tls.key")
    }


def start_etcd(host: Host, where: Place, directory: Path) -> str:
    """An etcd as a user has one, outside of the release; returns its address."""
    address = f"etcd.{where.namespace}.svc"
    data = certificates(directory, address, f"{address}.cluster.local")
    host.create(where.path("secrets"), {"metadata": {"name": "etcd-login"}, "type": "kubernetes.io/tls", "data": data})
    tls = {"cert-file": "tls.crt", "key-file": "tls.key", "trusted-ca-file": "ca.crt"}
    arguments = [
        "--listen-client-urls=https://0.0.0.0:2379",
        f"--advertise-client-urls=https://{address}:2379",
        "--client-cert-auth",
        "--data-dir=/data",
        *(f"--{option}=/tls/{file}" for option, file in tls.items()),
    ]
    pod = {
        "metadata": {"name": "etcd", "labels": {"app": "users-etcd"}},
        "spec": {
            "containers": [
                {
                    "name": "etcd",
                    "image": ETCD_IMAGE,
                    "command": ["etcd", *arguments],
                    "volumeMounts": [{"name": "tls", "mountPath": "/tls"}, {"name": "data", "mountPath": "/data"}],
                    "readinessProbe": {"tcpSocket": {"port": 2379}},
                }
            ],
            "volumes": [{"name": "tls", "secret": {"secretName": "etcd-login"}}, {"name": "data", "emptyDir": {}}],
        },
    }
    host.create(where.path("pods"), pod)
    service = {"metadata": {"name": "etcd"}, "spec": {"selector": {"app": "users-etcd"}, "ports": [{"port": 2379}]}}
    host.create(where.path("services"), service)
    return f"{address}:2379"


def keys_below(host: Host, where: Place, directory: Path, prefix: str) -> int:
    """How many keys the user's etcd has that begin so."""
    address = host.get(where.path("services", "etcd"))["spec"]["clusterIP"]
    with urllib3.PoolManager(
        ca_certs=str(directory / "ca.crt"),
        cert_file=str(directory / "tls.crt"),
        key_file=str(directory / "tls.key"),
        assert_hostname=f"etcd.{where.namespace}.svc",
    ) as pool:
        start, end = prefix.encode(), prefix[:-1].encode() + bytes([ord(prefix[-1]) + 1])
        question = {"key": base64.b64encode(start).decode(), "range_end": base64.b64encode(end).decode()}
        answer = pool.request("POST", f"https://{address}:2379/v3/kv/range", json={**question, "count_only": True})
        assert answer.status == 200, answer.data
        return int(answer.json().get("count", 0))


def test_virtual_cluster_with_an_external_etcd_keeps_its_data_there(
    host: Host, vcluster: Module, new: Callable[..., Place], tmp_path: Path
) -> None:
    """The data is in the user's etcd and nowhere else; the control plane has no volume, and loses nothing."""
    where = new("external", made_by_user=True)
    endpoint = start_etcd(host, where, tmp_path)
    asked = {"type": "external_etcd", "endpoint": endpoint, "tls_secret": "etcd-login"}
    check = vcluster(check=True, name=where.name, backing_store=asked)
    same(check, vcluster(name=where.name, backing_store=asked))
    api = open_inside(host, vcluster, where, tmp_path)
    api.create(CONFIG_MAPS, {"metadata": {"name": "kept"}, "data": {"a": "b"}})
    assert keys_below(host, where, tmp_path, "/registry/configmaps/default/kept") == 1
    assert host.items(where.path("persistentvolumeclaims")) == []
    (first,) = pods(host, where, "vcluster")
    host.delete(where.path("pods", first))
    eventually("another control plane", lambda: [*pods(host, where, "vcluster").values()] == [True] and first)
    assert first not in pods(host, where, "vcluster")

    def kept() -> Any:
        try:
            return api.get(f"{CONFIG_MAPS}/kept")
        except (AssertionError, urllib3.exceptions.HTTPError):
            return None

    assert eventually("the object that was written", kept)["data"] == {"a": "b"}
    assert vcluster(name=where.name, backing_store=asked)["steps"] == []
    vcluster(name=where.name, state="absent")
    assert host.get(where.path("pods", "etcd"))
    assert host.get(where.path("secrets", "etcd-login"))
