# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host clusters in memory that module vcluster_group reaches by contexts, and what it writes on them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_lock, group_records
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import KubernetesError
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import reconcile
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import namespaces, readiness
from clock import Clock
from fake_api import FakeCluster
from group_site import new_host

Object = dict[str, Any]

RECORD = "/api/v1/namespaces/nested-clusters/configmaps/vcluster-group-dev"
HOSTS: list[Object] = [{"name": "host-a", "context": "a"}, {"name": "host-b", "context": "b"}]


def open_hosts(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeCluster]:
    """Return host clusters by context; ``a`` is the one of the connection options."""
    hosts = {name: new_host(name) for name in "abc"}

    def open_(cls: Any, options: Any, directory: str, environment: Any) -> Kubernetes:
        context = options.get("context") or "a"
        if context not in hosts:
            raise KubernetesError(f"no context {context}")
        return hosts[context].client()

    monkeypatch.setattr(Kubernetes, "open", classmethod(open_))
    for module in (group_lock, namespaces, reconcile, readiness):
        monkeypatch.setattr(module, "time", Clock())
    return hosts


def have_virtual_cluster(host: FakeCluster, name: str) -> None:
    """Have the namespace of a virtual cluster of group dev."""
    size = json.dumps({"cpu": "4", "memory": "4Gi", "storage": "2Gi"})
    annotations = {well_known.NAME_ANNOTATION: name, well_known.SIZE_ANNOTATION: size}
    host.have("Namespace", f"vcluster-{name}", labels={well_known.GROUP_LABEL: "dev"}, annotations=annotations)


def objects(hosts: dict[str, FakeCluster]) -> Object:
    """Return all objects by host cluster and path."""
    return {name: host.state() for name, host in hosts.items()}


def stored(host: FakeCluster) -> Object:
    """Return the record of group dev."""
    data: Object = yaml.safe_load(host.at(RECORD)["data"][group_records.RECORD])
    return data
