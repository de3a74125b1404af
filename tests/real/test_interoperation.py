# SPDX-License-Identifier: GPL-3.0-or-later
"""helm, the vcluster CLI and ansible-playbook work on the same virtual clusters as the module."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from host_api import Host
from modules import MODULE_SECONDS, REPOSITORY, Module
from places import Place, place, settled
from waiting import eventually

OPEN_SOURCE = "controlPlane.statefulSet.image.repository=loft-sh/vcluster-oss"


def pod(host: Host, where: Place) -> dict[str, Any]:
    """The control plane's pod."""
    found: dict[str, Any] = host.get(where.path("pods", f"{where.name}-0"))
    return found


def revision(host: Host, where: Place) -> int:
    """The newest revision of the Helm release."""
    releases = json.loads(host.call("helm", "list", "-n", where.namespace, "--output", "json").stdout)
    return int(next(release["revision"] for release in releases if release["name"] == where.name))


@pytest.fixture(scope="module")
def theirs(host: Host, cli: Callable[..., str]) -> Iterator[Place]:
    """A virtual cluster that the CLI made, with values of its own."""
    with place(host, "theirs") as where:
        create_with_cli(host, cli, where)
        yield where


def create_with_cli(host: Host, cli: Callable[..., str], where: Place) -> None:
    """Create a virtual cluster with the CLI, which does not wait for it to run."""
    chart = ["--local-chart-dir", host.chart] if host.chart else []
    own = ["--set", OPEN_SOURCE, "--set", "controlPlane.statefulSet.resources.requests.cpu=60m"]
    cli("create", where.name, "--connect=false", "--add=false", *chart, *own)


@pytest.mark.xdist_group("plain")
def test_helm_and_cli_list_ours(host: Host, plain: Place, cli: Callable[..., str]) -> None:
    """`helm list` has a deployed first revision, and `vcluster list` a running virtual cluster."""
    assert revision(host, plain) == 1
    said = cli("list", "--namespace", plain.namespace, "--output", "json")
    listed = json.loads(said.partition("\n{")[0] or "[]")
    found = [entry for entry in listed if entry["Name"] == plain.name]
    assert found[0]["Namespace"] == plain.namespace
    assert found[0]["Status"] == "Running"
    assert found[0]["Version"] == "0.36.1"


@pytest.mark.xdist_group("plain")
def test_cli_connects_to_ours(plain: Place, cli: Callable[..., str]) -> None:
    """`vcluster connect` runs a command in a virtual cluster that the module made."""
    said = cli("connect", plain.name, "--background-proxy=false", "--", "kubectl", "get", "namespaces")
    assert "kube-system" in said
    assert plain.namespace not in said.partition("NAME ")[2]


@pytest.mark.xdist_group("theirs")
def test_adopts_what_the_cli_made(host: Host, vcluster: Module, theirs: Place) -> None:
    """A virtual cluster of the CLI is taken as it is: no new revision, no restart, no change at all."""
    assert vcluster(name=theirs.name)["steps"] == []  # it waits, as the CLI did not
    first = revision(host, theirs)
    before = pod(host, theirs)["metadata"]["uid"]
    for check in (True, False):
        result = vcluster(check=check, name=theirs.name, binary_path="/nonexistent")
        assert result["steps"] == []
        assert not result["changed"]
    assert not result["virtual_cluster"]["managed"]
    assert revision(host, theirs) == first
    assert pod(host, theirs)["metadata"]["uid"] == before


@pytest.mark.xdist_group("theirs")
def test_change_of_an_adopted_one_keeps_its_values(host: Host, vcluster: Module, theirs: Place) -> None:
    """The task's values go over those that the CLI set."""
    asked: dict[str, Any] = {
        "name": theirs.name,
        "values": {"sync": {"toHost": {"ingresses": {"enabled": True}}}},
    }
    first = revision(host, theirs)
    check, run = vcluster(check=True, **asked), vcluster(**asked)
    assert run["steps"] == check["steps"] == [f"change values of release {theirs.name}"]
    assert revision(host, theirs) == first + 1
    values = host.call("helm", "get", "values", theirs.name, "-n", theirs.namespace, "-o", "json").stdout
    kept = json.loads(values)["controlPlane"]["statefulSet"]
    assert kept["resources"]["requests"]["cpu"] == "60m"
    assert kept["image"]["repository"] == "loft-sh/vcluster-oss"
    assert vcluster(**asked)["steps"] == []


@pytest.mark.parametrize(
    "which",
    [
        pytest.param("used", marks=pytest.mark.xdist_group("used"), id="ours"),
        pytest.param("theirs", marks=pytest.mark.xdist_group("theirs")),
    ],
)
def test_paused_by_the_cli(
    host: Host, vcluster: Module, cli: Callable[..., str], request: pytest.FixtureRequest, which: str
) -> None:
    """A paused one is left paused, also by a change, and `vcluster resume` wakes it as it then is."""
    where: Place = request.getfixturevalue(which)
    cli("pause", where.name, "-n", where.namespace)
    result = vcluster(name=where.name, wait_timeout=5)  # it would fail if it waited
    assert result["steps"] == []
    assert result["virtual_cluster"]["phase"] == "paused"
    before = revision(host, where)
    asked: dict[str, Any] = {"name": where.name, "values": {"sync": {"toHost": {"endpoints": {"enabled": False}}}}}
    check, run = vcluster(check=True, **asked), vcluster(**asked)
    assert run["steps"] == check["steps"] == [f"change values of release {where.name}"]
    assert revision(host, where) == before + 1
    assert vcluster(name=where.name, labels={"asleep": "yes"})["changed"]
    assert host.get(where.workload)["spec"]["replicas"] == 0
    assert vcluster(**asked)["steps"] == []
    cli("resume", where.name, "-n", where.namespace)
    result = vcluster(**asked)
    assert result["steps"] == []
    assert result["virtual_cluster"]["phase"] == "running"


@pytest.mark.xdist_group("plain")
def test_cli_respects_protection(host: Host, vcluster: Module, plain: Place, cli: Callable[..., str]) -> None:
    """`vcluster delete` refuses what the module protected."""
    vcluster(name=plain.name, protected=True)
    said = cli("delete", plain.name, "-n", plain.namespace, check=False)
    assert host.get(plain.workload), said
    assert vcluster(name=plain.name, protected=False)["changed"]


def test_cli_deletes_ours(
    host: Host, vcluster: Module, new: Callable[..., Place], cli: Callable[..., str]
) -> None:
    """`vcluster delete` removes what the module made with its namespace; absent then has nothing to do."""
    where = new("bycli")
    vcluster(name=where.name)
    cli("delete", where.name, "-n", where.namespace, "--wait")
    space = f"/api/v1/namespaces/{where.namespace}"
    eventually("namespace gone", lambda: host.get(space) is None)
    assert vcluster(name=where.name, state="absent")["steps"] == []


def test_deletes_what_the_cli_made(
    host: Host, vcluster: Module, new: Callable[..., Place], cli: Callable[..., str]
) -> None:
    """What the CLI made goes with the namespace that it made."""
    where = new("ofcli")
    create_with_cli(host, cli, where)
    settled(host, where)
    check = vcluster(check=True, name=where.name, state="absent")
    run = vcluster(name=where.name, state="absent")
    assert run["steps"] == check["steps"]
    assert run["steps"][-1] == f"delete namespace {where.namespace}"
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None


@pytest.mark.long
def test_ansible_playbook(host: Host, new: Callable[..., Place], tmp_path: Path) -> None:
    """Check mode, run, and a second run without change through ansible-playbook, as a user writes it."""
    where = new("play")
    task: dict[str, Any] = {"name": where.name, "export_kubeconfig": {"path": str(tmp_path / "kubeconfig")}}
    if host.chart:
        task["chart_ref"] = host.chart
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {"group/nested.clusters.all": {"context": "{{ context }}"}},
        "tasks": [
            {"name": "Virtual cluster", "nested.clusters.vcluster": task},
            {
                "name": "The same, with what the group sets",
                "nested.clusters.vcluster": {**task, "labels": {"env": "test"}},
                "register": "made",
            },
        ],
    }
    book = tmp_path / "play.yml"
    book.write_text(yaml.safe_dump([play]))
    context = host.call("kubectl", "config", "current-context").stdout.strip()

    def run(*arguments: str) -> str:
        environment: dict[str, Any] = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        environment |= {
            "K8S_AUTH_KUBECONFIG": host.kubeconfig,
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        }
        command = ("ansible-playbook", "-e", f"context={context}", *arguments, str(book))
        return host.call("env", "-u", "KUBECONFIG", *command, seconds=MODULE_SECONDS, **environment).stdout

    said = run("--check", "--diff")
    assert f"+++ after: manifests of {where.name}" in said
    assert "failed=0" in said
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None
    assert "changed=2" in run()
    assert "changed=0" in run()
    assert "changed=0" in run("--check")
    assert (tmp_path / "kubeconfig").exists()
    assert str(REPOSITORY) not in (tmp_path / "kubeconfig").read_text()
