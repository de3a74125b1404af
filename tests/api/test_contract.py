# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of an API server on a real kube-apiserver; tests/unit/support holds the one in memory to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.objects import path
from contract_reads import Permissions, Reading
from contract_writes import Creating, Deleting, Patching

RBAC = "rbac.authorization.k8s.io/v1"
DEFINITION = path("apiextensions.k8s.io/v1", "customresourcedefinitions")


class TestKubeApiserver(Reading, Permissions, Creating, Patching, Deleting):
    """A real API server, with the controllers of namespaces and of owners."""

    @pytest.fixture
    def api(self, host: Any, tmp_path: Path) -> Kubernetes:
        return Kubernetes.open({"kubeconfig": host.kubeconfig}, str(tmp_path), {})

    @pytest.fixture
    def limited(self, host: Any, api: Kubernetes, space: str, tmp_path: Path) -> Kubernetes:
        rules = [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
        ]
        api.create(path(RBAC, "roles", space), {"metadata": {"name": "limited"}, "rules": rules})
        binding = {
            "metadata": {"name": "limited"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "limited"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tester"}],
        }
        api.create(path(RBAC, "rolebindings", space), binding)
        options = {"kubeconfig": host.kubeconfig, "impersonate_user": "tester"}
        return Kubernetes.open({**options, "impersonate_groups": ["system:authenticated"]}, str(tmp_path), {})

    @pytest.fixture
    def custom(self, api: Kubernetes) -> Iterator[str]:
        group = f"contract-{uuid.uuid4().hex[:8]}.example.com"  # one that is deleted is served for some moments
        name = f"boxes.{group}"
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        version = {"name": "v1", "served": True, "storage": True, "schema": schema}
        names = {"plural": "boxes", "singular": "box", "kind": "Box", "listKind": "BoxList"}
        spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
        api.create(DEFINITION, {"metadata": {"name": name}, "spec": spec})
        yield f"{group}/v1"
        api.delete(f"{DEFINITION}/{name}")
