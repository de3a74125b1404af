# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrades over a minor version on a real host cluster: a group by its playbook, with one that fails and one that is
paused; what was written before is there afterwards, whichever way it went."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chart_versions import AFTER, BEFORE, WAY_BACK
from host_api import Host, connections, remove_namespaces
from modules import Module
from places import Place, place
from waiting import eventually

pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("upgrade"),  # one group of virtual clusters for all
]

GROUP = "it-upgrade"

VOLUME: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "volume"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}},
}
WRITER: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "writer"},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "volume"}}],
        "containers": [
            {
                "name": "writer",
                "image": "busybox:stable",
                "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", "echo kept > /data/file; sleep 3600"],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "50m", "memory": "16Mi"}},
            }
        ],
    },
}


@dataclass
class Upgraded:
    """A group of three: the canary, one that shall fail, and one that is paused."""

    host: Host
    module: Module
    group: Module
    given: list[dict[str, Any]]
    canary: Place
    failing: Place
    resting: Place
    directory: Path

    @property
    def chart(self) -> dict[str, Any]:
        """The option that names the charts of both versions."""
        return {"chart_ref": self.module.defaults["chart_ref"]} if self.module.defaults else {}

    def play(self, *arguments: str, **told: Any) -> subprocess.CompletedProcess[str]:
        """Run the playbook."""
        known = {"group": GROUP, "host_clusters": self.given, "canary": self.canary.name, "batch": 2, **self.chart}
        variables = json.dumps({**known, **told})
        environment = {
            "ANSIBLE_HOME": str(self.directory / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        }
        command = ("ansible-playbook", "nested.clusters.upgrade", "--extra-vars", variables, *arguments)
        return self.host.call(*command, check=False, seconds=400, **environment)

    def versions(self) -> dict[str, str]:
        """The version of each, as the control planes have it."""
        found = {}
        for where in (self.canary, self.failing, self.resting):
            (container,) = self.host.get(where.workload)["spec"]["template"]["spec"]["containers"]
            found[where.name] = container["image"].rpartition(":")[2]
        return found

    def record(self, check: bool = True) -> dict[str, Any]:
        """What the module says of the group."""
        return self.group(check=check, name=GROUP, host_clusters=self.given)

    def inside(self, where: Place, *arguments: str) -> str:
        """What kubectl says in one of them."""
        command = ("vcluster", "--config", str(self.directory / "cli.json"), "connect", where.name)
        return self.host.call(*command, "-n", where.namespace, "--", "kubectl", *arguments).stdout

    def has_kept(self, where: Place) -> bool:
        """Whether what was written into one of them is there."""
        found = self.inside(where, "get", "configmap/before", "secret/before", "-o", "jsonpath={.items[*].data}")
        encoded = base64.b64encode(where.name.encode()).decode()
        return f'"text":"{where.name}"' in found and f'"text":"{encoded}"' in found


@pytest.fixture(scope="module")
def upgraded(
    host: Host, vcluster: Module, vcluster_group: Module, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upgraded]:
    """The group before its upgrade, with something in each."""
    defaults = {}
    if host.chart:
        defaults["chart_ref"] = host.chart.replace(AFTER, "{version}")
    module = Module(host, vcluster.directory, "vcluster", defaults)
    given = connections({"host-a": host})
    # With room for the groups of tests beside these.
    capacity = {"cpu": "60", "memory": "120Gi", "storage": "300Gi"}
    lock = {"vcluster_version": BEFORE}
    vcluster_group(name=GROUP, host_clusters=[{**given[0], "capacity": capacity}], **lock)
    with ExitStack() as stack:
        stack.callback(vcluster_group, name=GROUP, host_clusters=given, state="absent")
        places = [stack.enter_context(place(host, word)) for word in ("canary", "failing", "resting")]
        stack.callback(remove_namespaces, host, *(where.namespace for where in places))
        started = [
            module.start({"name": where.name, "group": GROUP, "host_clusters": given}) for where in places
        ]
        for process in started:
            assert not (result := module.finish(process)).get("failed"), result.get("msg")
        canary, failing, resting = places
        directory = tmp_path_factory.mktemp("upgrade")
        three = Upgraded(host, module, vcluster_group, given, canary, failing, resting, directory)
        write(three)
        yield three


def write(three: Upgraded) -> None:
    """Objects in all of them, and a volume's content in the canary; then the last one is paused."""
    for where in (three.canary, three.failing, three.resting):
        metadata = {"name": "before"}
        items = [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": where.name}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"text": where.name}},
            *([VOLUME, WRITER] if where is three.canary else []),
        ]
        file = three.directory / f"{where.name}.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        three.inside(where, "apply", "-f", str(file))
    three.inside(three.canary, "wait", "--for=condition=Ready", "pod/writer", "--timeout=150s")
    state = Module(three.host, three.module.directory, "vcluster_state")
    state(name=three.resting.name, namespace=three.resting.namespace, state="paused")


@pytest.fixture
def refused(host: Host, upgraded: Upgraded) -> Iterator[Callable[[], None]]:
    """The host cluster takes no pod of the new version in one namespace; until what is given is called."""
    name = upgraded.failing.name
    root = "/apis/admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    expression = f"object.spec.containers.all(container, !container.image.endsWith(':{AFTER}'))"
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": expression, "message": "not this version"}],
    }
    here = {"matchLabels": {"kubernetes.io/metadata.name": upgraded.failing.namespace}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": here}}
    kinds = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")

    def allow() -> None:
        for kind in kinds:
            host.delete(f"{root}/{kind}/{name}")

    for kind, spec in zip(kinds, (policy, binding), strict=True):
        host.create(f"{root}/{kind}", {"metadata": {"name": name}, "spec": spec})
    limits = {"limits": {"cpu": "10m", "memory": "10Mi"}}
    container = {"name": "x", "image": f"x:{AFTER}", "resources": limits}
    pod = json.dumps({"metadata": {"name": "x"}, "spec": {"containers": [container]}})
    path = f"{host.configuration.host}{upgraded.failing.path('pods')}?dryRun=All"
    headers = {**host.headers, "Content-Type": "application/json"}

    def is_refused() -> bool:
        return b"not this version" in host.pool.request("POST", path, headers=headers, body=pod).data

    try:
        eventually("the policy of the host cluster", is_refused)
        yield allow
    finally:
        allow()


def test_a_group_is_upgraded(upgraded: Upgraded, refused: Callable[[], None]) -> None:
    """A preview changes nothing. One that fails is taken back, and keeps no other from going on; then it follows."""
    canary, failing, resting = upgraded.canary, upgraded.failing, upgraded.resting
    names = [canary.name, failing.name, resting.name]
    before = upgraded.record()["group"]
    preview = upgraded.play("--check", "--diff", vcluster_version=AFTER)
    assert preview.returncode == 0, preview.stdout
    for name in names:
        assert f"upgrade release {name} from vCluster {BEFORE} to {AFTER}" in preview.stdout
    assert f"pause {resting.name} again" in preview.stdout
    assert upgraded.versions() == dict.fromkeys(names, BEFORE)
    assert upgraded.record()["group"] == before

    stopped = upgraded.play(vcluster_version=AFTER)
    assert stopped.returncode != 0
    assert f"it was rolled back to {BEFORE} with its former data" in stopped.stdout
    assert "not this version" in stopped.stdout
    assert upgraded.versions() == {canary.name: AFTER, failing.name: BEFORE, resting.name: AFTER}
    assert upgraded.record()["pending_upgrade"] == [failing.name]
    assert upgraded.has_kept(failing), "it works, and has what it had"

    refused()
    finished = upgraded.play()
    assert finished.returncode == 0, finished.stdout
    assert f"upgrade release {failing.name}" in finished.stdout
    assert f"upgrade release {canary.name}" not in finished.stdout, "it has been upgraded before"
    assert upgraded.versions() == dict.fromkeys(names, AFTER)
    assert (upgraded.record()["pending_upgrade"], upgraded.record()["pending"]) == ([], {})
    for where in (canary, failing):
        assert upgraded.has_kept(where)
    restarts = "jsonpath={.status.containerStatuses[0].restartCount}"
    assert upgraded.inside(canary, "get", "pod", "writer", "-o", restarts).endswith("0")
    assert upgraded.inside(canary, "exec", "writer", "--", "cat", "/data/file").endswith("kept\n")
    again = upgraded.play()
    assert again.returncode == 0
    assert "changed=0" in again.stdout


def test_a_paused_one_is_upgraded_and_left_paused(host: Host, upgraded: Upgraded) -> None:
    where = upgraded.resting
    workload = host.get(where.workload)
    assert workload["spec"]["replicas"] == 0
    assert workload["metadata"]["annotations"]["loft.sh/paused"] == "true"
    assert WAY_BACK not in workload["metadata"]["annotations"]
    assert host.items(where.path("pods")) == [], "it ran in between, and so did its CoreDNS"
    state = Module(host, upgraded.module.directory, "vcluster_state")
    state(name=where.name, namespace=where.namespace, state="running")
    assert upgraded.has_kept(where)


def test_a_way_back_that_was_begun_is_gone(host: Host, upgraded: Upgraded) -> None:
    """A task that was killed on its way back leaves this mark; the data is then that of before the upgrade."""
    where = upgraded.canary
    upgraded.inside(where, "create", "configmap", "after", "--from-literal=text=new")
    mark = {"revision": 1, "version": BEFORE, "paused": False, "copied": True, "returning": True}
    host.patch(where.workload, {"metadata": {"annotations": {WAY_BACK: json.dumps(mark)}}})
    task: dict[str, Any] = {"name": where.name, "group": GROUP, "host_clusters": upgraded.given}
    foreseen = upgraded.module(check=True, **task)
    assert foreseen["steps"] == [f"roll back to vCluster {BEFORE}, as an earlier task did not finish"]
    done = upgraded.module(**task)
    assert done["steps"][0] == foreseen["steps"][0]
    assert f"upgrade release {where.name} from vCluster {BEFORE} to {AFTER}" in done["steps"]
    names = upgraded.inside(where, "get", "configmaps", "-o", "name")
    assert "configmap/before" in names
    assert "configmap/after" not in names
    assert upgraded.inside(where, "exec", "writer", "--", "cat", "/data/file").endswith("kept\n")
