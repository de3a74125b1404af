# SPDX-License-Identifier: GPL-3.0-or-later
"""Every playbook by its full name to its end, in check mode and for real, on a cluster group with virtual clusters.

Each test says what the host cluster holds before and after. What an API server cannot show is left to others: whether
an upgrade keeps data and is taken back where it fails, to tests/real/test_upgrade.py; MetalLB, ingress controllers,
Gateways, and DNS servers, to the scenarios of molecule. Of the roles, only wildcard_dns with ExternalDNS runs here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from api_host import ApiHost
from chart_versions import AFTER, BEFORE
from host_api import Host, remove_namespaces, spaces_of, wait_gone
from modules import REPOSITORY, Module
from playbook_runs import PlaybookRunner
from waiting import eventually

Object = dict[str, Any]
GROUP, A, B, NEW = "it-runs", "it-run-a", "it-run-b", "it-run-new"
RECORD = f"/api/v1/namespaces/nested-clusters/configmaps/vcluster-group-{GROUP}"
SIZE = {"cpu": "4", "memory": "4Gi", "storage": "4Gi"}
VIRTUAL_CLUSTERS = [{"name": A, "owner": "alice"}, {"name": B, "labels": {"env": "ci"}}]
ACCOUNTS = {"sync": {"toHost": {"serviceAccounts": {"enabled": True}}}}


def space(name: str) -> str:
    """Return the path of a virtual cluster's namespace."""
    return f"/api/v1/namespaces/vcluster-{name}"


@dataclass
class Runs:
    """The group of a test, the modules that made it, and what runs playbooks."""

    host: ApiHost
    group: Module
    fleet: Module
    runner: PlaybookRunner

    @property
    def of_group(self) -> Object:
        """The variables of a playbook for the group."""
        return {"group": GROUP, **self.connections}

    @property
    def connections(self) -> Object:
        return {"host_clusters": self.group.defaults["host_clusters"]}

    @property
    def chart(self) -> Object:
        return {"chart_ref": self.host.chart}

    def replicas(self) -> dict[str, int]:
        """Return how many replicas each virtual cluster has that exists."""
        found = {}
        for name in (A, B, NEW):
            workload = self.host.get(f"/apis/apps/v1/namespaces/vcluster-{name}/statefulsets/{name}")
            if workload:
                found[name] = workload["spec"]["replicas"]
        return found

    def revision(self, name: str) -> int:
        """Return the newest revision of a virtual cluster's Helm release."""
        secrets = self.host.items(f"{space(name)}/secrets?labelSelector=owner%3Dhelm")
        return max(int(secret["metadata"]["labels"]["version"]) for secret in secrets)

    def memory(self, name: str) -> str:
        """Return the memory that a virtual cluster may claim."""
        quota = self.host.get(f"{space(name)}/resourcequotas/nested-clusters-{name}")
        return str(quota["spec"]["hard"]["limits.memory"])

    def record(self) -> str:
        """Return the record of the group; "" where there is none."""
        found = self.host.get(RECORD)
        return json.dumps(found["data"]) if found else ""

    def create(self, lock: str | None = None, **options: Any) -> None:
        """Create the group with two virtual clusters, and wait until they have written their kubeconfigs."""
        self.group(size={"default": SIZE}, vcluster_version=lock)
        self.fleet(group=GROUP, virtual_clusters=VIRTUAL_CLUSTERS, **options)
        for name in (A, B):
            eventually(f"the kubeconfig of {name}", partial(self.host.get, f"{space(name)}/secrets/vc-{name}"))


@pytest.fixture
def runs(host: ApiHost, vcluster: Module, tmp_path: Path) -> Iterator[Runs]:
    """Nothing yet; afterwards nothing again."""
    connections = [{"name": "host-a", "kubeconfig": host.kubeconfig}]
    group = Module(host, vcluster.directory, "vcluster_group", {"name": GROUP, "host_clusters": connections})
    defaults = {"host_clusters": connections, "chart_ref": host.chart}
    fleet = Module(host, vcluster.directory, "vcluster_fleet", defaults)
    yield Runs(host, group, fleet, PlaybookRunner(host, tmp_path))
    remove_namespaces(host, *spaces_of(host, GROUP))
    group(state="absent")


@pytest.fixture
def made(runs: Runs) -> Runs:
    """The group with two running virtual clusters."""
    runs.create()
    assert runs.replicas() == {A: 1, B: 1}
    return runs


def test_every_playbook_has_a_run_in_this_file() -> None:
    playbooks = {path.stem for path in (REPOSITORY / "playbooks").glob("*.yml")}
    tested = {name.removeprefix("test_").partition("_")[0] for name in globals() if name.startswith("test_")}
    assert playbooks <= tested


def test_create_makes_a_virtual_cluster_and_its_kubeconfig(made: Runs, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    size = {"cpu": "6", "memory": "6Gi", "storage": "5Gi"}
    told = {"virtual_cluster": NEW, "owner": "bob", "kubeconfig_path": str(file), **size}
    checked = made.runner.checked("create", **told, **made.of_group, **made.chart)
    assert checked.changed == {"localhost": 1}
    assert not file.exists()
    played = made.runner.run("nested.clusters.create", **told, **made.of_group, **made.chart)
    assert played.changed == {"localhost": 1}
    assert made.replicas() == {A: 1, B: 1, NEW: 1}
    assert made.memory(NEW) == "6Gi"
    assert made.host.get(space(NEW))["metadata"]["labels"]["nested-clusters/group"] == GROUP
    assert file.stat().st_mode & 0o777 == 0o600
    assert NEW in file.read_text()


def test_delete_removes_the_selected_virtual_cluster_alone(made: Runs) -> None:
    checked, played = made.runner.both("delete", {"localhost": 1}, selector="env=ci", **made.of_group)
    assert "running -> absent" in checked
    assert "running -> absent" in played
    assert made.host.get(space(B)) is None
    assert made.replicas() == {A: 1}


def test_environment_makes_a_group_and_its_virtual_clusters(runs: Runs, tmp_path: Path) -> None:
    """A second run changes nothing."""
    file, directory = environment(runs, tmp_path)
    checked, played = runs.runner.both("environment", {"localhost": 2}, environment_file=file)
    assert f"create virtual cluster {B}" in checked
    assert f"{B}: running on host-a" in played
    assert GROUP in runs.record()
    assert runs.replicas() == {A: 1, B: 1}
    assert sorted(path.name for path in directory.iterdir()) == [f"{A}.kubeconfig", f"{B}.kubeconfig"]
    assert runs.runner.checked("environment", environment_file=file).changed == {}
    again = runs.runner.run("nested.clusters.environment", environment_file=file)
    assert again.changed == {}
    assert f"{B}: running on host-a" in again.output


def test_orphans_removes_what_a_virtual_cluster_has_left(made: Runs) -> None:
    """It only reports, unless it is told to remove."""
    made.host.call("helm", "uninstall", B, "--namespace", f"vcluster-{B}")
    eventually(f"the end of the pods of {B}", lambda: not made.host.items(f"{space(B)}/pods"))
    told = {"names": B, "older_than": 0, **made.connections}
    checked, played = made.runner.both("orphans", {}, **told)
    assert f"{B} (orphan): " in checked
    assert f"{B} (orphan): " in played
    assert made.host.get(space(B))
    checked, played = made.runner.both("orphans", {"localhost": 1}, remove=True, **told)
    assert f"namespaces/vcluster-{B} (removed)" in played
    wait_gone(made.host, space(B))
    assert made.replicas() == {A: 1}
    assert "Nothing is left over." in made.runner.run("nested.clusters.orphans", **told).output


def test_pause_scales_the_control_planes_to_nothing(made: Runs) -> None:
    checked, played = made.runner.both("pause", {"localhost": 1}, all=True, **made.of_group)
    assert checked.count("running -> paused") == 2
    assert played.count("running -> paused") == 2
    assert made.replicas() == {A: 0, B: 0}


def test_report_writes_a_page_and_changes_nothing(made: Runs, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    checked, played = made.runner.both("report", {"localhost": 1}, report_path=str(page), **made.of_group)
    for name in (A, B):
        assert name in checked
        assert name in played
        assert name in page.read_text()
    assert made.replicas() == {A: 1, B: 1}


def test_resize_changes_the_quota_of_the_selected_virtual_cluster(made: Runs) -> None:
    assert made.memory(B) == "4Gi"
    revision = made.revision(B)
    checked, played = made.runner.both("resize", {"localhost": 1}, names=B, memory="6Gi", **made.of_group, **made.chart)
    assert "6Gi" in checked
    assert "6Gi" in played
    assert (made.memory(A), made.memory(B)) == ("4Gi", "6Gi")
    assert made.revision(B) == revision


def test_resume_starts_the_selected_virtual_cluster_alone(made: Runs) -> None:
    Module(made.host, made.group.directory, "vcluster_state")(state="paused", group=GROUP, all=True)
    assert made.replicas() == {A: 0, B: 0}
    checked, played = made.runner.both("resume", {"localhost": 1}, selector="env=ci", **made.of_group)
    assert "paused -> running" in checked
    assert "paused -> running" in played
    assert made.replicas() == {A: 0, B: 1}


def test_teardown_removes_an_environment(made: Runs, tmp_path: Path) -> None:
    """A second run changes nothing."""
    file, directory = environment(made, tmp_path)
    kubeconfigs = [directory / f"{name}.kubeconfig" for name in (A, B)]
    for kubeconfig in kubeconfigs:
        kubeconfig.touch()
    checked = made.runner.checked("teardown", environment_file=file)
    assert "goes when its virtual clusters are gone" in checked.output
    assert checked.changed == {"localhost": 3}
    assert all(kubeconfig.exists() for kubeconfig in kubeconfigs)
    assert made.runner.run("nested.clusters.teardown", environment_file=file).changed == {"localhost": 3}
    assert [made.record(), *made.replicas(), *spaces_of(made.host, GROUP), *directory.iterdir()] == [""]
    assert made.runner.run("nested.clusters.teardown", environment_file=file).changed == {}


def test_update_applies_pending_changes_of_the_group(made: Runs) -> None:
    made.group(values=ACCOUNTS)
    before = {name: made.revision(name) for name in (A, B)}
    checked, played = made.runner.both("update", {"localhost": 1}, **made.of_group, **made.chart)
    for name in (A, B):
        assert name in checked
        assert name in played
        assert made.revision(name) == before[name] + 1
    assert made.runner.checked("update", **made.of_group, **made.chart).changed == {}


def test_upgrade_locks_the_group_and_applies_pending_changes(made: Runs) -> None:
    """In check mode there are no hosts for the play that upgrades, so what changes is the preview and the lock."""
    made.group(values=ACCOUNTS)
    before = {name: made.revision(name) for name in (A, B)}
    told = {"vcluster_version": AFTER, "canary": B, **made.of_group, **made.chart}
    assert AFTER not in made.record()
    assert made.runner.checked("upgrade", **told).changed == {"localhost": 2}
    played = made.runner.run("nested.clusters.upgrade", **told)
    assert played.changed == {"localhost": 1, A: 1, B: 1}
    assert played.output.index(f"changed: [{B} -> localhost]") < played.output.index(f"changed: [{A} -> localhost]")
    assert AFTER in made.record()
    assert {name: made.revision(name) for name in (A, B)} == {name: number + 1 for name, number in before.items()}


def test_upgrade_to_another_version_is_previewed_step_by_step(runs: Runs) -> None:
    """Only in check mode: whether a virtual cluster is healthy is seen from inside, which has no inside here."""
    assert runs.host.chart
    chart = {"chart_ref": runs.host.chart.replace(AFTER, "{version}")}
    runs.create(BEFORE, **chart)
    checked = runs.runner.checked("upgrade", vcluster_version=AFTER, **runs.of_group, **chart)
    assert checked.changed == {"localhost": 2}
    assert checked.output.count(f"from vCluster {BEFORE} to {AFTER}") >= 2


def environment(runs: Runs, directory: Path, **more: Any) -> tuple[str, Path]:
    """Write the file of an environment that is the group of these tests. Return it, and where its kubeconfigs go.

    Relative paths start from the directory of the file.
    """
    (directory / "kubeconfig").symlink_to(runs.host.kubeconfig)
    kubeconfigs = directory / "kubeconfigs"
    kubeconfigs.mkdir()
    told = {
        "group": GROUP,
        "group_settings": {"size": {"default": SIZE}},
        "host_clusters": [{"name": "host-a", "kubeconfig": "kubeconfig"}],
        "virtual_clusters": VIRTUAL_CLUSTERS,
        "kubeconfig_directory": kubeconfigs.name,
        "verify_endpoint": False,
        **runs.chart,
        **more,
    }
    file = directory / "environment.yml"
    file.write_text(json.dumps(told))
    return str(file), kubeconfigs


@pytest.fixture
def service(host: Host) -> Iterator[str]:
    """The path of a Service that a DNS record is for."""
    path = "/api/v1/namespaces/default/services/it-entry"
    body = {"metadata": {"name": "it-entry"}, "spec": {"type": "ClusterIP", "ports": [{"port": 443}]}}
    host.create("/api/v1/namespaces/default/services", body)
    yield path
    host.delete(path)


def test_environment_with_a_role_runs_it_on_its_host_cluster(runs: Runs, service: str, tmp_path: Path) -> None:
    """The play for host clusters reaches them with the connection of the environment, and a teardown undoes it."""
    source = {"kind": "Service", "namespace": "default", "name": "it-entry"}
    dns = {"provider": "external_dns", "source": source, "addresses": ["192.0.2.1"]}
    pattern = "*.vc.example.com"
    settings = {"name": "host-a", "dns_pattern": pattern, "prepare": ["wildcard_dns"], "dns": dns}
    own = {"host_settings": [settings], "wildcard_dns_wait": False, "virtual_clusters": []}
    file, _directory = environment(runs, tmp_path, **own)

    def annotation() -> str:
        annotations = runs.host.get(service)["metadata"].get("annotations") or {}
        return str(annotations.get("external-dns.alpha.kubernetes.io/hostname"))

    assert annotation() == "None"
    changed = {"localhost": 1, "environment-host-a": 1}
    runs.runner.both("environment", changed, environment_file=file)
    assert annotation() == pattern
    assert pattern in runs.record()
    assert runs.runner.run("nested.clusters.environment", environment_file=file).changed == {}
    runs.runner.both("teardown", changed, environment_file=file)
    assert annotation() == "None"
    assert runs.record() == ""
