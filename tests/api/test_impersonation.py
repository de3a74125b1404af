# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubeconfig whose user acts as somebody else (``as``): modules and their helm may do what kubectl may do with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from host_api import Host
from modules import Module
from places import IDLE, Place

Object = dict[str, Any]
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
USER = "it-limited"


@pytest.fixture
def limited(host: Host, tmp_path: Path) -> Callable[..., str]:
    """Writes the administrator's kubeconfig with more of its user; gives its path."""

    def write(**more: Any) -> str:
        config = yaml.safe_load(Path(host.kubeconfig).read_text())
        config["users"][0]["user"].update(more)
        file = tmp_path / "limited"
        file.write_text(yaml.safe_dump(config, allow_unicode=True))
        return str(file)

    return write


@pytest.fixture
def reader(host: Host) -> Iterator[str]:
    """A group whose members may read everything, and make namespaces."""
    name = "it-limited-readers"
    rules = [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create", "patch"]},
    ]
    api = "rbac.authorization.k8s.io"
    host.create(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    subject = {"kind": "Group", "name": name, "apiGroup": api}
    reference = {"kind": "ClusterRole", "name": name, "apiGroup": api}
    host.create(
        f"{RBAC}/clusterrolebindings", {"metadata": {"name": name}, "subjects": [subject], "roleRef": reference}
    )
    yield name
    host.delete(f"{RBAC}/clusterrolebindings/{name}")
    host.delete(f"{RBAC}/clusterroles/{name}")


def who(file: str, directory: Path) -> Object:
    """Whom the API server takes our client for."""
    kubernetes = Kubernetes.open({"kubeconfig": file}, str(directory), {})
    review = kubernetes.create(REVIEWS, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    found: Object = review["status"]["userInfo"]
    return found


def test_impersonation_is_sent_as_kubectl_sends_it(
    host: Host, limited: Callable[..., str], tmp_path: Path
) -> None:
    more = {
        "as": "josé 北",
        "as-uid": "u-0815",
        "as-groups": ["one", "two, three"],
        "as-user-extra": {"acme.com/project": ["a", "b"], "scopes%ü": ["c"]},
    }
    file = limited(**more)
    told = json.loads(host.call("kubectl", "auth", "whoami", "-o", "json", KUBECONFIG=file).stdout)
    expected = told["status"]["userInfo"]
    assert expected["username"] == more["as"]
    assert who(file, tmp_path) == expected
    # What is handed to helm.
    handed = tmp_path / "helm"
    handed.write_text(json.dumps(Kubernetes.open({"kubeconfig": file}, str(tmp_path), {}).kubeconfig()))
    told = json.loads(host.call("kubectl", "auth", "whoami", "-o", "json", KUBECONFIG=str(handed)).stdout)
    assert told["status"]["userInfo"] == expected


def test_impersonation_without_rights_lists_nothing(
    host: Host, vcluster: Module, limited: Callable[..., str], new: Callable[..., Place]
) -> None:
    where = new("limited")
    for check in (True, False):
        said = vcluster.against(kubeconfig=limited(**{"as": USER})).refused(check, **where.options, values=IDLE)
        assert f'User "{USER}" cannot list' in said
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None


def test_impersonation_holds_for_helm(
    host: Host, vcluster: Module, limited: Callable[..., str], new: Callable[..., Place], reader: str
) -> None:
    where = new("limited-helm", made_by_user=True)
    file = limited(**{"as": USER, "as-groups": [reader]})
    said = vcluster.against(kubeconfig=file).refused(**where.options, values=IDLE, wait=False)
    assert said.startswith("helm "), said
    assert f'User "{USER}" cannot' in said, said
    assert not host.items(where.path("statefulsets", version="apps/v1"))
    # The option wins, as --as does.
    more: Object = {"impersonate_user": "it-other"}
    said = vcluster.against(kubeconfig=file, **more).refused(**where.options, values=IDLE, wait=False)
    assert 'User "it-other" cannot' in said, said


def test_impersonation_with_token_gains_no_rights(
    host: Host, vcluster: Module, limited: Callable[..., str], new: Callable[..., Place]
) -> None:
    """As with --token of kubectl: it says who asks, not whom to act as."""
    where = new("limited-token", made_by_user=True)
    account = {"kind": "ServiceAccount", "name": "default", "namespace": where.namespace}
    reference = {"kind": "ClusterRole", "name": "cluster-admin", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": where.name}, "subjects": [account], "roleRef": reference}
    host.create(f"{RBAC}/clusterrolebindings", binding)
    try:
        token = host.call("kubectl", "create", "token", "default", "-n", where.namespace).stdout.strip()
        options = {"kubeconfig": limited(**{"as": USER}), "api_key": token}
        said = vcluster.against(**options).refused(True, **where.options, values=IDLE)
        assert f'User "{USER}" cannot list' in said
    finally:
        host.delete(f"{RBAC}/clusterrolebindings/{where.name}")
