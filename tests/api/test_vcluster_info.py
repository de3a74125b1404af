# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_info on a host cluster: who made them, how they are, and what it costs to ask."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from host_api import Host
from modules import Module
from places import IDLE, Place, place
from proxy import Proxy
from waiting import eventually

MANY = 4


@pytest.fixture(scope="module")
def info(vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_info."""
    return Module(vcluster.host, vcluster.directory, "vcluster_info")


def one(info: Module, where: Place, **options: Any) -> dict[str, Any] | None:
    """What the module says of one virtual cluster."""
    found = info(**where.options, **options)["virtual_clusters"]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.fixture(scope="module")
def running(host: Host, vcluster: Module) -> Iterator[Place]:
    """A running virtual cluster that the module made."""
    with place(host, "info") as where:
        vcluster(name=where.name, labels={"env": "ci"}, protected=True)
        yield where


@pytest.fixture(scope="module")
def several(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Place]]:
    """Virtual clusters that helm made, and whose pods find no node."""
    with ExitStack() as stack:
        places = [stack.enter_context(place(host, f"helm{number}")) for number in range(MANY)]
        for where in places:
            install(host, where, tmp_path_factory.mktemp("values"))
        yield places


def install(host: Host, where: Place, directory: Path) -> None:
    """Let helm make a virtual cluster whose pod finds no node."""
    values = directory / "values.json"
    values.write_text(json.dumps(IDLE), encoding="utf-8")
    chart = [host.chart] if host.chart else ["vcluster", "--repo", "https://charts.loft.sh"]
    options = ["--namespace", where.namespace, "--create-namespace", "--values", str(values)]
    host.call("helm", "install", where.name, *chart, *options)


def test_info_of_running_tells_what_its_task_said(info: Module, running: Place) -> None:
    """Phase, versions, kind, age, labels and protection of one that the module made."""
    found = one(info, running)
    assert found is not None
    assert found["phase"] == "running"
    assert found["message"] == ""
    assert found["vcluster_version"] == "0.36.1"
    assert found["kubernetes_version"].startswith("v1.36.")
    assert (found["kind"], found["replicas"], found["ready_replicas"]) == ("StatefulSet", 1, 1)
    assert found["protected"] is True
    assert found["managed"] is True
    assert found["labels"] == {"env": "ci"}
    assert 0 < found["age"] < 3600


def test_info_selects_by_labels_phases_and_namespace(info: Module, running: Place, several: list[Place]) -> None:
    """By labels, by phase and by namespace; all of them, sorted, without a selection."""
    everyone = [(found["namespace"], found["name"]) for found in info()["virtual_clusters"]]
    assert everyone == sorted(everyone)
    assert {(where.namespace, where.name) for where in [running, *several]} <= set(everyone)
    ours = [found["name"] for found in info(label_selectors=["env=ci"])["virtual_clusters"]]
    assert running.name in ours
    assert not {where.name for where in several} & set(ours)
    there = info(namespace=several[0].namespace)["virtual_clusters"]
    assert [found["name"] for found in there] == [several[0].name]
    not_running = info(phases=["pending", "failed"])["virtual_clusters"]
    assert {where.name for where in several} <= {found["name"] for found in not_running}
    assert running.name not in {found["name"] for found in not_running}


def test_info_of_many_costs_no_more_requests(info: Module, running: Place, several: list[Place], proxy: Proxy) -> None:
    """As many requests for all as for one that runs, and two more where some do not: pods and events."""
    info(**running.options, **proxy.options)
    for_one = len(proxy.seen)
    proxy.seen.clear()
    found = info(**proxy.options)["virtual_clusters"]
    print(f"{for_one} requests for one, {len(proxy.seen)} for {len(found)}")
    assert len(found) > MANY
    lists = [request.partition("?")[0] for request in proxy.seen if "/events" not in request]
    assert len(lists) == len(set(lists)), "one LIST a kind"
    assert len(lists) == for_one + 1
    assert all(request.startswith("GET ") for request in proxy.seen)


def test_info_of_held_workload_is_deleting(
    host: Host, info: Module, new: Callable[..., Place], tmp_path: Path
) -> None:
    """Deleting, as long as something holds it; then it is gone."""
    where = new("held")
    install(host, where, tmp_path)
    host.patch(where.workload, {"metadata": {"finalizers": ["example.com/hold"]}})
    host.delete(where.workload)
    assert (one(info, where) or {}).get("phase") == "deleting"
    host.patch(where.workload, {"metadata": {"finalizers": None}})
    eventually("gone", lambda: one(info, where) is None)


def test_info_without_permission_names_verb_and_resource(host: Host, info: Module, new: Callable[..., Place]) -> None:
    """The message names the verb and the resource."""
    where = new("narrow", made_by_user=True)
    eventually("default ServiceAccount", lambda: host.get(where.path("serviceaccounts", "default")))
    space = where.namespace
    token = host.call("kubectl", "create", "token", "default", "--namespace", space).stdout.strip()
    address = {"host": host.configuration.host, "ca_cert": host.configuration.ssl_ca_cert}
    message = info.refused(**address, api_key=token, kubeconfig="/dev/null")
    assert f"system:serviceaccount:{space}:default" in message
    assert "cannot list" in message
    assert "or give option namespace" in message
