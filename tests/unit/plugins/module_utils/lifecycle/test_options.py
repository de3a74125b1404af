# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of options: typed objects made of a module's options, once and at the edge."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.semver import parse_version
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle import options
from ansible_collections.nested.clusters.plugins.module_utils.lifecycle.export import KubeconfigExport
from ansible_collections.nested.clusters.plugins.module_utils.values.backing_store import DEPLOYED_ETCD, BackingStore
from ansible_collections.nested.clusters.plugins.module_utils.values.endpoint import LOAD_BALANCER, Endpoint

UNSAID = dict.fromkeys(
    (
        "namespace",
        "vcluster_version",
        "kubernetes_version",
        "distribution",
        "replicas",
        "backing_store",
        "endpoint",
        "values",
        "labels",
        "annotations",
        "protected",
        "export_kubeconfig",
    )
)
PARAMS: dict[str, Any] = {
    **UNSAID,
    "name": "team-a",
    "state": "present",
    "chart_ref": "vcluster",
    "chart_repo_url": "https://charts.loft.sh",
}
KUBECONFIG = {
    "path": None,
    "context": None,
    "server": None,
    "in_cluster": False,
    "user": None,
    "return_content": True,
}


def params(**said: Any) -> dict[str, Any]:
    return {**PARAMS, **said}


def test_request_of_options_has_versions_as_they_are_written() -> None:
    written = {"vcluster_version": "v0.36.1+build", "kubernetes_version": "1.36.0"}
    request = options.request(params(**written))
    assert request.vcluster_version == parse_version("0.36.1")
    assert [getattr(request, name).text for name in written] == list(written.values())


@pytest.mark.parametrize("option", ["vcluster_version", "kubernetes_version"])
def test_request_of_options_with_a_broken_version_is_refused_but_for_a_deletion(option: str) -> None:
    with pytest.raises(OptionError, match=f"{option}: 'latest'"):
        options.request(params(**{option: "latest"}))
    assert getattr(options.request(params(**{option: "latest"}, state="absent")), option) is None


def test_request_of_options_has_typed_objects() -> None:
    request = options.request(params(endpoint={"type": "load_balancer"}, backing_store={"type": "deployed_etcd"}))
    assert request.endpoint == Endpoint(LOAD_BALANCER)
    assert request.control_plane.backing_store == BackingStore(DEPLOYED_ETCD)


def test_request_of_options_that_say_nothing_has_none() -> None:
    request = options.request(params())
    assert (request.endpoint, request.control_plane.as_dict(), request.namespace) == (None, {}, "vcluster-team-a")


@pytest.mark.parametrize(
    ("said", "option"),
    [
        ({"endpoint": {"type": "gateway"}}, "endpoint.gateway_name"),
        ({"backing_store": {"type": "deployed_etcd", "replicas": 2}}, "backing_store.replicas"),
    ],
)
def test_request_of_options_that_contradict_each_other_is_refused_but_for_a_deletion(
    said: dict[str, Any], option: str
) -> None:
    with pytest.raises(OptionError) as error:
        options.request(params(**said))
    assert error.value.data["option"] == option
    assert options.request(params(state="absent", **said)).endpoint is None


def test_kubeconfig_export_of_options_has_all_of_them() -> None:
    assert options.kubeconfig_export(params()) is None
    wanted = options.kubeconfig_export(params(export_kubeconfig=KUBECONFIG), "https://a.example.com")
    assert wanted == KubeconfigExport(return_content=True, verified_url="https://a.example.com")
    said = {**KUBECONFIG, "path": "/tmp/k", "context": "c", "server": "https://s", "in_cluster": True, "user": "oidc"}
    assert options.kubeconfig_export(params(export_kubeconfig=said)) == KubeconfigExport(
        "/tmp/k", "c", "https://s", True, "oidc", True
    )
    assert options.wants_oidc(params(export_kubeconfig=said))
    assert not options.wants_oidc(params(export_kubeconfig=KUBECONFIG))
