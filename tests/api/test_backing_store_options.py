# SPDX-License-Identifier: GPL-3.0-or-later
"""Backing stores as options: refused, or rendered by the chart of each version and held to its schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host_api import Host
from modules import Module, diff_text
from places import Place

DATABASE = {"type": "external_database", "data_source": "mysql://user:hunter2@tcp(db:3306)/one"}
LICENSED = {"controlPlane": {"statefulSet": {"image": {"repository": "example.com/loft-sh/vcluster-pro"}}}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"replicas": 3}, ["replicas: 3", "supports one replica", "backing_store of another type"]),
        ({"distribution": "k3s"}, ["distribution: 'k3s'", "before 0.33"]),
        ({"backing_store": {"type": "deployed_etcd", "replicas": 2}}, ["backing_store.replicas: 2", "1, 3, 5, 7"]),
        ({"backing_store": {"type": "external_etcd"}}, ["backing_store.endpoint", "etcd.example.com:2379"]),
        (
            {"backing_store": {"type": "external_database", "data_source": "mysql://u:hunter2@tcp(db)/x"}},
            ["backing_store.type: 'external_database'", "has a license"],
        ),
        (
            {
                "backing_store": {"type": "deployed_etcd"},
                "values": {"controlPlane": {"backingStore": {"database": {"embedded": {"enabled": True}}}}},
            },
            ["backing_store.type: ", "values enable embedded_sqlite, not deployed_etcd"],
        ),
    ],
)
def test_backing_store_with_bad_option_is_refused(
    host: Host, vcluster: Module, new: Callable[..., Place], options: dict[str, Any], words: list[str]
) -> None:
    where = new("bad")
    message = vcluster.refused(name=where.name, **options)
    assert [word for word in words if word not in message] == []
    assert "hunter2" not in message
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None


def chart_of(host: Host, version: str) -> dict[str, Any]:
    """The options that name a version's chart: beside that of this machine, or in the official repository."""
    if host.chart is None:
        return {"vcluster_version": version}
    return {"chart_ref": str(Path(host.chart).parent / f"vcluster-{version}.tgz")}


@pytest.mark.parametrize(
    ("version", "options", "there", "missing"),
    [
        (
            "0.30.0",
            {"distribution": "k3s", "kubernetes_version": "1.33.1"},
            ["rancher/k3s:v1.33.1-k3s1", "kind: StatefulSet"],
            ["loft-sh/kubernetes"],
        ),
        ("0.20.0", {"distribution": "k0s"}, ["k0sproject/k0s:v1.30.2-k0s.0"], ["kube-apiserver:"]),
        ("0.20.0", {"distribution": "k3s", "backing_store": DATABASE}, ["rancher/k3s:", "kind: Deployment"], []),
        ("0.36.1", {"backing_store": DATABASE, "values": LICENSED}, ["kind: Deployment"], ["volumeClaimTemplates"]),
        (
            "0.20.0",
            {"replicas": 3, "backing_store": {"type": "deployed_etcd", "replicas": 3}},
            ["kind: Deployment", "replicas: 3", "--initial-cluster=NAME-etcd-0=https://", ",NAME-etcd-2=https://"],
            [",NAME-etcd-3="],
        ),
        (
            "0.30.0",
            {"backing_store": {"type": "external_etcd", "endpoint": "etcd.example.com:2379", "tls_secret": "login"}},
            ["kind: Deployment", "secretName: login", "mountPath: /etc/vcluster-backing-store"],
            ["NAME-etcd"],
        ),
    ],
)
def test_backing_store_is_rendered_by_the_chart_of_its_version(
    host: Host,
    vcluster: Module,
    new: Callable[..., Place],
    version: str,
    options: dict[str, Any],
    there: list[str],
    missing: list[str],
) -> None:
    """As the chart of the version renders it, after its schema has passed the values; a password is nowhere."""
    where = new("rendered")
    result = vcluster(check=True, name=where.name, **options, **chart_of(host, version))
    text = diff_text(result, "after")
    assert [word for word in there if word.replace("NAME", where.name) not in text] == []
    assert [word for word in missing if word.replace("NAME", where.name) in text] == []
    assert "hunter2" not in json.dumps(result)


def test_backing_store_that_an_old_version_does_not_have_is_refused(
    host: Host, vcluster: Module, new: Callable[..., Place]
) -> None:
    where = new("old")
    etcd = {"type": "external_etcd", "endpoint": "etcd:2379"}
    message = vcluster.refused(name=where.name, backing_store=etcd, **chart_of(host, "0.20.0"))
    assert "external_etcd with a vcluster_version of 0.25 or later" in message
