# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a virtual cluster with the module vcluster: made, left alone, labeled, exported."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from host_api import Host, Key
from modules import Module, same
from places import Place, place
from proxy import Proxy

PASSWORD = "correct-horse-battery"


Made = tuple[Place, dict[str, Any], dict[str, Any], list[Key]]


@pytest.fixture(scope="module")
def made(host: Host, vcluster: Module) -> Iterator[Made]:
    """A running virtual cluster, with what check mode and the run said, and what spoke of it in between."""
    with place(host, "life") as where:
        check = vcluster(check=True, name=where.name)
        between = [key for key, text in host.everything().items() if where.name in text]
        run = vcluster(name=where.name)
        yield where, check, run, between


@pytest.fixture
def where(made: Made) -> Place:
    """The running virtual cluster."""
    return made[0]


def test_creation_in_check_mode_equals_run(made: Made) -> None:
    """Check mode predicts steps, diff and changed of a creation exactly."""
    where, check, run, _between = made
    same(check, run)
    assert run["changed"]
    assert run["steps"][0] == f"create namespace {where.namespace}"
    assert check["virtual_cluster"] == {}
    assert run["virtual_cluster"]["phase"] == "running"
    assert run["virtual_cluster"]["managed"]
    headers = {entry["after_header"] for entry in run["diff"]}
    assert headers >= {
        f"namespace {where.namespace}",
        f"values of {where.name}",
        f"manifests of {where.name}",
    }


def test_creation_in_check_mode_changes_nothing(made: Made) -> None:
    """Check mode of a creation leaves no object that speaks of the virtual cluster."""
    _where, _check, _run, between = made
    assert between == []


def test_creation_uses_the_open_source_image(host: Host, where: Place) -> None:
    """The pro image, which is the chart's default, is not used."""
    spec = host.get(where.workload)["spec"]["template"]["spec"]
    assert "vcluster-oss" in spec["containers"][0]["image"]


def test_task_unchanged_starts_no_helm(vcluster: Module, where: Place, tmp_path: Path) -> None:
    """An unchanged virtual cluster starts no helm, neither in check mode nor in a run."""
    trap = tmp_path / "helm"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
    trap.chmod(0o755)
    for check in (True, False):
        result = vcluster(check=check, name=where.name, binary_path=str(trap))
        assert result["steps"] == []
        assert result["diff"] == []
        assert not result["changed"]
        assert result["virtual_cluster"]["phase"] == "running"
    assert not (tmp_path / "started").exists()


def test_task_unchanged_costs_few_requests(host: Host, vcluster: Module, where: Place, proxy: Proxy) -> None:
    """An unchanged run reads each kind of the release once, and nothing else: no discovery, no writes."""
    result = vcluster(name=where.name, **proxy.options)
    assert not result["changed"]
    manifest = host.call("helm", "get", "manifest", where.name, "-n", where.namespace).stdout
    kinds = {thing["kind"] for thing in yaml.safe_load_all(manifest) if thing}
    print(f"{len(proxy.seen)} requests for {len(kinds)} kinds:", *sorted(proxy.seen), sep="\n  ")
    assert len(proxy.seen) == len(kinds)
    assert all(request.startswith("GET ") for request in proxy.seen)


def test_task_that_repeats_what_is_so_changes_nothing(vcluster: Module, where: Place) -> None:
    """Saying what is so already is no change: version with v, the default values, no protection."""
    values = {"controlPlane": {"statefulSet": {"image": {"repository": "loft-sh/vcluster-oss"}}}}
    ways: list[dict[str, Any]] = [
        {"values": {}},
        {"values": values},
        {"vcluster_version": "v0.36.1"},
        {"protected": False},
    ]
    for options in ways:
        result = vcluster(check=True, name=where.name, **options)
        assert result["steps"] == [], options


def test_metadata_is_set_and_removed_without_a_restart(host: Host, vcluster: Module, where: Place) -> None:
    """Metadata is set and removed without a restart and without helm; what is not mentioned stays."""
    host.patch(where.workload, {"metadata": {"labels": {"somebody": "else"}}})
    generation = host.get(where.workload)["metadata"]["generation"]
    asked: dict[str, Any] = {
        "name": where.name,
        "labels": {"env": "prod"},
        "annotations": {"example.com/owner": "team a"},
        "protected": True,
        "binary_path": "/nonexistent",
    }
    same(vcluster(check=True, **asked), run := vcluster(**asked))
    assert run["changed"]
    assert run["virtual_cluster"]["protected"]
    assert run["virtual_cluster"]["labels"] == {"env": "prod", "somebody": "else"}
    assert not vcluster(**asked)["changed"]
    assert not vcluster(name=where.name)["changed"]
    message = vcluster.refused(name=where.name, state="absent")
    assert "protected" in message
    assert host.get(where.workload)
    less: dict[str, Any] = {"name": where.name, "labels": {"env": None, "never": None}, "protected": False}
    same(vcluster(check=True, **less), run := vcluster(**less))
    assert run["virtual_cluster"]["labels"] == {"somebody": "else"}
    assert not run["virtual_cluster"]["protected"]
    assert not vcluster(**less)["changed"]
    assert host.get(where.workload)["metadata"]["generation"] == generation


def test_metadata_that_is_no_string_is_refused(vcluster: Module, where: Place) -> None:
    """A label of 1 or true, which Kubernetes would refuse, is refused in check mode as well: quote it."""
    for option, entry in (
        ("labels", {"tier": 1}),
        ("labels", {"canary": True}),
        ("annotations", {"cost": 2.5}),
    ):
        messages = [
            vcluster.refused(check=check, name=where.name, **{option: entry}) for check in (True, False)
        ]
        assert messages[0] == messages[1]
        assert messages[0].startswith(f"{option}: {entry}")
        assert "quote" in messages[0]


def test_task_with_options_left_empty_changes_nothing(vcluster: Module, where: Place) -> None:
    """Options that a playbook leaves empty (`values:`) count as not given."""
    for option in ("values", "export_kubeconfig", "namespace", "protected", "vcluster_version"):
        empty: dict[str, Any] = {option: None}
        assert not vcluster(name=where.name, **empty)["changed"], option


def test_metadata_of_the_chart_is_refused(vcluster: Module, where: Place) -> None:
    """A label that the chart sets itself would be repaired and set again for ever, or orphan the pods."""
    for label in ("app", "release"):
        message = vcluster.refused(check=True, name=where.name, labels={label: "mine"})
        assert label in message


def test_kubeconfig_file_is_private_and_merged(host: Host, vcluster: Module, where: Place, tmp_path: Path) -> None:
    """The file is 0600, and keeps what others wrote."""
    file = tmp_path / "new" / "config"
    address = host.get(where.path("services", where.name))["spec"]["clusterIP"]
    export = {"path": str(file), "server": f"https://{address}:443", "context": "mine"}
    asked: dict[str, Any] = {"name": where.name, "export_kubeconfig": export}
    check = vcluster(check=True, **asked)
    assert check["steps"] == [f"write kubeconfig {file}"]
    assert not file.exists()
    run = vcluster(**asked)
    same(check, run)
    assert "kubeconfig" not in run
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not vcluster(**asked)["changed"]

    other = {"name": "old", "cluster": {"server": "https://old.example:6443"}}
    old = {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {"colors": True},
        "clusters": [other],
        "users": [{"name": "old", "user": {"token": "t"}}],
        "contexts": [{"name": "old", "context": {"cluster": "old", "user": "old"}}],
        "current-context": "old",
    }
    file.write_text(yaml.safe_dump(old))
    file.chmod(0o644)
    assert vcluster(**asked)["steps"] == [f"write kubeconfig {file}"]
    merged = yaml.safe_load(file.read_text())
    assert merged["current-context"] == "old"
    assert other in merged["clusters"]
    assert merged["preferences"] == {"colors": True}
    assert {context["name"] for context in merged["contexts"]} == {"old", "mine"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    assert vcluster(**asked)["steps"] == [f"write kubeconfig {file}"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not vcluster(**asked)["changed"]


def test_kubeconfig_content_is_returned_with_context_of_the_cli(vcluster: Module, where: Place) -> None:
    """The content comes back when asked for, with the context of the CLI's style; never else."""
    result = vcluster(name=where.name, export_kubeconfig={"return_content": True})
    assert not result["changed"]
    assert result["kubeconfig"]["current-context"] == f"vcluster_{where.name}_{where.namespace}"
    assert result["kubeconfig"]["clusters"][0]["cluster"]["server"] == "https://localhost:8443"


def test_kubeconfig_file_that_is_none_is_left_alone(vcluster: Module, where: Place, tmp_path: Path) -> None:
    """A file that is no kubeconfig is named in the error, and neither quoted nor overwritten."""
    file = tmp_path / "config"
    file.write_text(f"{PASSWORD}: [")
    message = vcluster.refused(name=where.name, export_kubeconfig={"path": str(file)})
    assert str(file) in message
    assert PASSWORD not in message
    assert file.read_text() == f"{PASSWORD}: ["


def test_end_of_module_leaves_no_private_file(vcluster: Module, where: Place, tmp_path: Path) -> None:
    """The files for helm, which hold credentials, are gone when the module ends, also when it fails."""
    module = Module(vcluster.host, tmp_path, vcluster.name, vcluster.defaults)
    module(check=True, name=where.name, values={"sync": {"toHost": {"endpoints": {"enabled": False}}}})
    module.refused(name=where.name, values={"sync": {"toHost": {"pods": {"enabled": "certainly"}}}})
    left = [file for file in tmp_path.rglob("*") if file.is_file() and not file.name.startswith("args-")]
    assert left == []
