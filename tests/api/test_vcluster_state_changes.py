# SPDX-License-Identifier: GPL-3.0-or-later
"""A paused virtual cluster is changed, upgraded and meddled with, and nothing wakes it but state running."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from host_api import Host
from modules import Module
from pausing import (
    ETCD,
    INGRESSES,
    NODES,
    checked,
    marks,
    merged,
    only,
    pods_made,
    releases,
    replicas,
    resumed,
    stateful_set,
)
from places import IDLE, Place


@pytest.fixture(scope="module")
def state(host: Host, vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_state."""
    return Module(host, vcluster.directory, "vcluster_state")


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_changes_while_paused_make_no_pod(
    host: Host, vcluster: Module, state: Module, new: Callable[..., Place], helm: str
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
    resumed(state, where)
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
def test_upgrade_while_paused_makes_no_pod(
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
    assert "the virtual cluster is paused and last ran 0.35.9" in message
    assert only(state(check=True, name=where.name, state="running"))["steps"] == [
        f"scale etcd StatefulSet {where.name}-etcd from 0 to 1 replica",
        f"scale Deployment {where.name} from 0 to 3 replicas",
    ]


def test_changes_while_paused_in_a_playbook_make_no_pod(host: Host, new: Callable[..., Place], tmp_path: Path) -> None:
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


def test_pause_undone_by_helm_upgrade_is_mended_by_both_states(
    host: Host, vcluster: Module, state: Module, new: Callable[..., Place], tmp_path: Path
) -> None:
    """`helm upgrade` by hand, with Helm 3: it runs, and is marked as paused. Both states mend that."""
    used = new("woken")
    vcluster(name=used.name)
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
