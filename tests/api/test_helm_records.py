# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm's record of a virtual cluster is a Secret in its namespace: what a tenant writes there, Helm is not let do."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from host_api import Host, Object
from modules import Module
from places import IDLE, Place

RBAC = "/apis/rbac.authorization.k8s.io/v1"
PUBLIC = "/api/v1/namespaces/kube-public/configmaps"
NODES = {"sync": {"fromHost": {"nodes": {"enabled": True}}}}  # with cluster roles of its own


@pytest.fixture
def theirs(host: Host) -> Iterator[Callable[[str, str], str]]:
    """Makes objects that are somebody else's: below a path, of a name. Gives the path of each."""
    made: list[str] = []

    def make(below: str, name: str) -> str:
        host.create(below, {"metadata": {"name": name}})
        made.append(f"{below}/{name}")
        return made[-1]

    yield make
    for where in made:
        host.delete(where)


def forge(host: Host, where: Place, change: Callable[[Object], None]) -> None:
    """Change the newest record of a release, as whoever has ClusterRole edit in its namespace can."""
    secrets = host.items(where.path("secrets") + f"?labelSelector=owner%3Dhelm,name%3D{where.name}")
    secret = max(secrets, key=lambda one: int(one["metadata"]["labels"]["version"]))
    release = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))))
    change(release)
    packed = base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode()))).decode()
    host.patch(where.path("secrets", secret["metadata"]["name"]), {"data": {"release": packed}})


@pytest.mark.parametrize("program", ["helm", "helm3"])
def test_record_with_objects_of_others_is_refused(
    program: str,
    host: Host,
    vcluster: Module,
    new: Callable[..., Place],
    theirs: Callable[[str, str], str],
) -> None:
    """Refused by name, in check mode too, before anything is changed; put right, the same tasks go through."""
    module = vcluster.against(binary_path=host.program(program), wait=False)
    where = new("forged")
    module(name=where.name, values={**IDLE, **NODES})
    name = f"{where.name}-theirs"
    role, config = theirs(f"{RBAC}/clusterroles", name), theirs(PUBLIC, name)
    added = f"""---
apiVersion: v1
kind: List
items:
- apiVersion: rbac.authorization.k8s.io/v1
  kind: ClusterRole
  metadata: {{name: {name}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: kube-public}}
"""
    honest: list[str] = []

    def add(release: Object) -> None:
        honest.append(release["manifest"])
        release["manifest"] += added

    forge(host, where, add)
    before = host.contents(where.namespace)
    tasks: dict[str, dict[str, Any]] = {
        "deletion": {"state": "absent"},
        "change": {"values": {**IDLE, **NODES, "telemetry": {"enabled": False}}},
    }
    for task, options in tasks.items():
        for check in (True, False):
            message = module.refused(check=check, name=where.name, **options)
            assert f"ClusterRole {name} (of no Helm release)" in message, task
            assert f"ConfigMap {name} in namespace kube-public (of no Helm release)" in message, task
    assert host.get(role)
    assert host.get(config)
    assert host.contents(where.namespace) == before

    def restore(release: Object) -> None:
        release["manifest"] = honest[0]

    forge(host, where, restore)
    assert module(name=where.name, **tasks["change"])["changed"]
    assert not module(name=where.name, **tasks["change"])["changed"]
    run = module(name=where.name, state="absent", wait=True)
    assert run["steps"][0] == f"uninstall release {where.name}"
    assert not host.get(f"{RBAC}/clusterroles/vc-{where.name}-v-{where.namespace}")
    assert host.get(role)
    assert host.get(config)


@pytest.mark.parametrize("program", ["helm", "helm3"])
def test_record_with_hook_of_tenant_runs_nothing(
    program: str, host: Host, vcluster: Module, new: Callable[..., Place]
) -> None:
    """Helm would create it with the rights of whoever deletes the virtual cluster."""
    module = vcluster.against(binary_path=host.program(program), wait=False)
    where = new("hook")
    module(name=where.name, values=IDLE)
    name = f"{where.name}-hook"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "kube-public"}}
    hook = {"name": name, "kind": "ConfigMap", "path": "vcluster/templates/hook.yaml", "events": ["pre-delete"]}
    forge(host, where, lambda release: release.update(hooks=[{**hook, "manifest": json.dumps(body)}]))
    module(name=where.name, state="absent")
    there = host.get(f"{PUBLIC}/{name}")
    host.delete(f"{PUBLIC}/{name}")
    assert there is None


def test_record_of_another_release_is_refused(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
    """Helm deletes the record of the release that is named in it."""
    where = new("other")
    vcluster(name=where.name, values=IDLE, wait=False)
    forge(host, where, lambda release: release.update(name="other"))
    for check in (True, False):
        message = vcluster.refused(check=check, name=where.name, state="absent")
        assert f"contains release other in namespace {where.namespace}" in message
