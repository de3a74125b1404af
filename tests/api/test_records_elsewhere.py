# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane whose Helm record is not in its namespace is left as it is, and its manager is named."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from host_api import Host
from interruption import kill_at, request_has, set_status
from modules import Module
from places import IDLE, Place
from proxy import serve_proxy
from waiting import eventually

FLUX = {"helm.toolkit.fluxcd.io/name": "tenant", "helm.toolkit.fluxcd.io/namespace": "flux-system"}
# Without a claim it is a Deployment, which Helm would not see beside a StatefulSet of the same name.
NO_CLAIM: dict[str, Any] = {"persistence": {"volumeClaim": {"enabled": False}}}
WITHOUT_CLAIM: dict[str, Any] = {"controlPlane": {"statefulSet": {**IDLE["controlPlane"]["statefulSet"], **NO_CLAIM}}}

New = Callable[..., Place]


def install(host: Host, where: Place, values: dict[str, Any], directory: Path, driver: str = "secret") -> None:
    """Install the chart as somebody with helm does."""
    file = directory / "values.yaml"
    file.write_text(json.dumps(values))
    chart = [host.chart] if host.chart else ["vcluster", "--repo", "https://charts.loft.sh", "--version", "0.36.1"]
    more = ["--namespace", where.namespace, "--create-namespace", "--values", str(file)]
    host.call("helm", "install", where.name, *chart, *more, HELM_DRIVER=driver)


def records(host: Host, where: Place) -> list[dict[str, Any]]:
    """Helm's records of a release, which are Secrets."""
    found = host.items(where.path("secrets"))
    return [secret for secret in found if secret["metadata"]["name"].startswith(f"sh.helm.release.v1.{where.name}.")]


def lose_records(host: Host, where: Place) -> None:
    for secret in records(host, where):
        host.delete(where.path("secrets", secret["metadata"]["name"]))


def refused(host: Host, module: Module, where: Place, **options: Any) -> str:
    """The refusal, the same in check mode, with nothing changed."""
    before = host.contents(where.namespace)
    messages = [module.refused(check=check, **options) for check in (True, False)]
    assert messages[0] == messages[1]
    assert host.contents(where.namespace) == before
    return messages[0]


@pytest.fixture
def vcluster_state(vcluster: Module) -> Module:
    return replace(vcluster, name="vcluster_state", defaults={})


def test_record_in_config_map_is_named_and_nothing_changed(
    host: Host, vcluster: Module, vcluster_state: Module, new: New, tmp_path: Path
) -> None:
    """HELM_DRIVER=configmap, also in the environment of the task, whose helm keeps its records in Secrets."""
    where = new("maps")
    install(host, where, WITHOUT_CLAIM, tmp_path, "configmap")
    deployment = where.path("deployments", where.name, "apps/v1")
    eventually("its pod", lambda: host.items(where.path("pods")))
    for environment in ({}, {"HELM_DRIVER": "configmap"}):
        module = replace(vcluster, environment=environment)
        message = refused(host, module, where, name=where.name, labels={"a": "b"})
        assert f"nothing was changed, because Deployment {where.name} exists" in message
        assert f"ConfigMap sh.helm.release.v1.{where.name}.v1" in message
    assert "HELM_DRIVER=configmap" in refused(host, vcluster, where, name=where.name, state="absent")
    assert "HELM_DRIVER=configmap" in refused(host, vcluster_state, where, name=where.name, state="absent")
    assert host.get(deployment)
    host.call("helm", "uninstall", where.name, "-n", where.namespace, "--wait", HELM_DRIVER="configmap")
    # With the other control plane gone, nothing is in the way, and what helm has left is used.
    made = replace(vcluster, environment={"HELM_DRIVER": "configmap"})
    assert made(name=where.name, values=IDLE, wait=False)["changed"]
    assert len(records(host, where)) == 1
    assert made(name=where.name, values=IDLE, wait=False)["steps"] == []


def test_record_in_namespace_of_flux_is_named_and_nothing_changed(
    host: Host, vcluster: Module, vcluster_state: Module, new: New, tmp_path: Path
) -> None:
    """With storageNamespace and targetNamespace: Flux labels what it makes, and keeps the record beside itself."""
    where, storage = new("flux"), new("storage", made_by_user=True)
    install(host, where, IDLE, tmp_path)
    (record,) = records(host, where)
    meta = {key: record["metadata"][key] for key in ("name", "labels")}
    host.create(storage.path("secrets"), {"metadata": meta, "type": record["type"], "data": record["data"]})
    lose_records(host, where)
    host.patch(where.workload, {"metadata": {"labels": FLUX}})
    eventually("its pod", lambda: host.items(where.path("pods")))
    for asked in ({"labels": {"a": "b"}}, {"values": WITHOUT_CLAIM}, {"state": "absent"}):
        message = refused(host, vcluster, where, name=where.name, **asked)
        assert "It belongs to Flux's HelmRelease flux-system/tenant" in message or "state" in asked
        assert "belongs to Flux's HelmRelease flux-system/tenant" in message
        assert f"in namespace {storage.namespace}" in message
    assert "HelmRelease flux-system/tenant" in refused(host, vcluster_state, where, name=where.name, state="absent")
    # The record says where it belongs: neither is it changed from there, nor what it speaks of deleted.
    for asked in ({"labels": {"a": "b"}}, {"state": "absent"}):
        message = refused(host, vcluster, where, name=where.name, namespace=storage.namespace, **asked)
        assert f"contains release {where.name} in namespace {where.namespace}" in message
    # A pause needs no record, and takes nothing away.
    for state, replicas in (("paused", 0), ("running", 1)):
        vcluster_state(name=where.name, namespace=where.namespace, state=state, wait=False, accept_data_loss=True)
        assert host.get(where.workload)["spec"]["replicas"] == replicas


def test_record_lost_of_running_deployment_makes_no_second_one(
    host: Host, vcluster: Module, vcluster_state: Module, new: New, tmp_path: Path
) -> None:
    """Beside its Deployment, the StatefulSet of a second one would come up empty behind the same Service."""
    where = new("runs")
    stateful_set = {
        "image": {"repository": "loft-sh/vcluster-oss"},
        **NO_CLAIM,
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    install(host, where, {"controlPlane": {"statefulSet": stateful_set}}, tmp_path)
    lose_records(host, where)
    deployment = where.path("deployments", where.name, "apps/v1")
    host.patch(deployment, {"metadata": {"labels": FLUX}})
    eventually("a control plane that runs", lambda: (host.get(deployment).get("status") or {}).get("readyReplicas"))
    (pod,) = [pod["metadata"]["uid"] for pod in host.items(f"{where.path('pods')}?labelSelector=app=vcluster")]
    for options in ({"labels": {"a": "b"}}, {"state": "absent"}):
        messages = [vcluster.refused(check=check, name=where.name, **options) for check in (True, False)]
        assert messages[0] == messages[1]
        assert "Flux's HelmRelease flux-system/tenant" in messages[0]
    assert "HelmRelease flux-system/tenant" in vcluster_state.refused(name=where.name, state="absent")
    assert host.items(where.path("statefulsets", version="apps/v1")) == []
    (same,) = [one["metadata"]["uid"] for one in host.items(f"{where.path('pods')}?labelSelector=app=vcluster")]
    assert same == pod
    vcluster_state(name=where.name, namespace=where.namespace, state="paused", accept_data_loss=True)
    assert vcluster_state(name=where.name, namespace=where.namespace, state="running")["changed"]


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_record_lost_is_made_anew_by_what_the_message_says(
    host: Host, vcluster: Module, new: New, tmp_path: Path, helm: str
) -> None:
    """It is not guessed what the values were; what the message says makes a record from what is there."""
    where = new("lost")
    values = {**IDLE, "sync": {"toHost": {"ingresses": {"enabled": True}}}}
    vcluster(name=where.name, values=values, labels={"team": "a"}, wait=False)
    before = host.get(where.workload)
    config = host.get(where.path("secrets", f"vc-config-{where.name}"))["data"]
    lose_records(host, where)
    message = refused(host, vcluster, where, name=where.name, labels={"a": "b"})
    assert "This collection created it (annotation nested-clusters/managed of StatefulSet" in message
    read, make = re.findall(r"`((?:kubectl|helm) [^`]*)`", message)
    if host.chart:
        make = re.sub(r"vcluster --repo \S+ --version \S+", shlex.quote(host.chart), make)
    make = make.replace("helm ", f"{helm} ", 1)
    host.call("sh", "-c", f"cd {shlex.quote(str(tmp_path))} && {read} && {make}")
    after = host.get(where.workload)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert host.get(where.path("secrets", f"vc-config-{where.name}"))["data"] == config
    result = vcluster(name=where.name, labels={"a": "b"}, wait=False)
    assert result["steps"] == [f"set labels of virtual cluster {where.name}: a"]
    assert vcluster(name=where.name, labels={"a": "b"}, wait=False)["steps"] == []
    assert vcluster(name=where.name, state="absent")["steps"][-1] == f"delete namespace {where.namespace}"


def test_record_lost_with_pod_left_behind_names_the_pod(host: Host, vcluster: Module, new: New) -> None:
    """kubectl delete --cascade=orphan: the control plane goes on without a workload, and without a record."""
    where = new("orphan")
    vcluster(name=where.name, values=IDLE, wait=False)
    eventually("its pod", lambda: host.get(where.path("pods", f"{where.name}-0")))
    host.delete(where.workload, "Orphan")
    lose_records(host, where)
    eventually("the end of its workload", lambda: host.get(where.workload) is None)
    message = refused(host, vcluster, where, name=where.name, values=IDLE)
    assert f"Pod {where.name}-0 exists" in message
    assert "This collection created it" in message
    assert "delete namespace" in vcluster(name=where.name, state="absent")["steps"][-1]


def test_record_lost_of_another_in_the_namespace_is_named(
    host: Host, vcluster: Module, new: New, tmp_path: Path
) -> None:
    """As Flux calls its releases: NAMESPACE-NAME."""
    where = new("other")
    other = Place(f"{where.name}-o", where.namespace)
    install(host, other, IDLE, tmp_path)
    lose_records(host, other)
    host.patch(other.workload, {"metadata": {"labels": FLUX}})
    message = refused(host, vcluster, where, name=where.name)
    assert f"already contains virtual cluster {other.name}, which has no Helm record there" in message
    assert "HelmRelease flux-system/tenant" in message
    host.delete(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/vc-{other.name}-v-{other.namespace}")


def test_deletion_not_waited_for_is_in_nobodys_way(host: Host, vcluster: Module, new: New) -> None:
    """What is ending does not count, and what was kept is used again."""
    where = new("again", made_by_user=True)
    asked: dict[str, Any] = {"name": where.name, "values": IDLE, "wait": False}
    for _twice in range(2):
        vcluster(**asked)
        eventually("its pod", lambda: host.get(where.path("pods", f"{where.name}-0")))
        vcluster(name=where.name, state="absent", keep_volumes=True, wait=False)
    assert f"mark volume claim data-{where.name}-0 as used again" in vcluster(**asked)["steps"]
    assert vcluster(**asked)["steps"] == []


@pytest.mark.parametrize("status", ["pending-install", "uninstalling"])
def test_creation_killed_before_helm_makes_a_record_goes_on(
    host: Host, impatient: Module, new: New, status: str
) -> None:
    """It had cleared the only one, which helm had not finished: the next task goes on from what is there."""
    where = new("cleared")
    asked: dict[str, Any] = {"name": where.name, "values": IDLE, "wait": False}
    impatient(**asked)
    set_status(host, where, status)
    with serve_proxy(host) as proxy:
        kill_at(impatient, proxy, asked, request_has("POST", "/secrets"))
    assert impatient(**asked)["virtual_cluster"]["managed"]
    assert impatient(**asked)["steps"] == []
    assert host.call("helm", "list", "-n", where.namespace, "--deployed", "-q").stdout.split() == [where.name]
