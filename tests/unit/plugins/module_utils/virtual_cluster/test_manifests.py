# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of manifests: the objects that a release names, and which of them is the workload."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known, yaml_io
from ansible_collections.nested.clusters.plugins.module_utils.helm import post_renderer
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import manifests
from release_objects import (
    NAMESPACE,
    STATEFUL_SET,
    namespaced,
    stateful_set,
)


def test_objects_of_a_manifest_stored_at_rest_are_as_rendered() -> None:
    rendered = stateful_set(3, annotations={"own": "x"})
    text = yaml_io.dump(rendered)
    stored = post_renderer.at_rest(text, ["demo"], {well_known.RAN: "x"})
    assert "replicas: 0" in stored
    for manifest in (text, stored):
        assert manifests.objects(manifest, NAMESPACE, namespaced) == {STATEFUL_SET: rendered}
    del rendered["metadata"]["annotations"]
    stored = post_renderer.at_rest(yaml_io.dump(rendered), ["demo"], {})
    assert manifests.objects(stored, NAMESPACE, namespaced) == {STATEFUL_SET: rendered}


def test_objects_of_a_manifest_have_keys_with_their_namespace() -> None:
    manifest = """---
# Source: empty
---
apiVersion: v1
kind: Service
metadata: {name: demo}
---
apiVersion: v1
kind: Service
metadata: {name: demo, namespace: elsewhere}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: vc-demo, namespace: ignored}
---
apiVersion: postgresql.cnpg.io/v1
kind: Cluster
metadata: {name: database}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
"""
    assert set(manifests.objects(manifest, NAMESPACE, namespaced)) == {
        ("v1", "Service", NAMESPACE, "demo"),
        ("v1", "Service", "elsewhere", "demo"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "", "vc-demo"),
        ("postgresql.cnpg.io/v1", "Cluster", NAMESPACE, "database"),
        ("scheduling.k8s.io/v1", "PriorityClass", "", "high"),
    }
    assert manifests.objects("", NAMESPACE, namespaced) == {}


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("StatefulSet", "demo", True),
        ("Deployment", "demo", True),
        ("StatefulSet", "demo-etcd", False),
        ("Service", "demo", False),
    ],
)
def test_workload_key_of_several_objects_is_the_set_of_that_name(kind: str, name: str, found: bool) -> None:
    where = ("apps/v1", kind, NAMESPACE, name)
    others = [("v1", "Service", NAMESPACE, "demo"), ("apps/v1", "StatefulSet", NAMESPACE, "demo-etcd")]
    assert manifests.workload_key([*others, where], "demo") == (where if found else None)
