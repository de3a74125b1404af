# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of errors and redaction: no message shows a credential, and all else is shown as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.common.redaction import MASK, redacted, redacted_text
from ansible_collections.nested.clusters.plugins.module_utils.common.semver import parse_version
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_settings
from ansible_collections.nested.clusters.plugins.module_utils.helm import cli
from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart
from ansible_collections.nested.clusters.plugins.module_utils.k8s.errors import refusal
from ansible_collections.nested.clusters.plugins.module_utils.values import backing_store, immutability, tree
from ansible_collections.nested.clusters.plugins.module_utils.values.backing_store import BackingStore
from ansible_collections.nested.clusters.plugins.module_utils.values.control_plane import ControlPlane
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster.metadata import check_metadata

CREDENTIALS = [
    "postgres://root:hunter2@db.example.com:5432/name",
    "postgres://root:hun/ter2@db.example.com:5432/hunter2@name",
    "mysql://root:hunter2@tcp(db.example.com:3306)/name",
    "root:hunter2@tcp(db.example.com:3306)/name",
    "https://hunter2@git.example.com/charts",
    "get https://root:hunter2@charts.example.com/index.yaml: 404; https://root:hunter2@x.example.com",
    "['https://root:hunter2@charts.example.com', 'b']",
    "host=db password=hunter2 user=root",
    "https://charts.example.com/?token=hunter2&page=1",
    "--oidc-client-secret=hunter2",
    "Authorization: Bearer hunter2hunter2",
    "eyJhbGciOiJSUzI1NiJ9.eyJodW50ZXIyIjoxfQ.hunter2",
    "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nhunter2",
]
HARMLESS = [
    "https://charts.example.com:8443/stable",
    "oci://registry.example.com:5000/vcluster@sha256:0123",
    "registry.example.com:5000/vcluster:0.36.1@sha256:0123",
    "mysql://user:password@tcp(db.example.com:3306)/name",
    "env=ci,team=a",
    "somebody@example.com",
    "secrets/vc-demo",
    "ask for a bearer token of the host cluster",
]


@pytest.mark.parametrize("text", CREDENTIALS)
def test_error_with_a_credential_hides_it(text: str) -> None:
    """Neither where it is the value, nor in what is said about it, nor in the data beside the message."""
    errors = [
        NestedClustersError(f"it says {text}", helm_output=text, hosts=[{"error": text}]),
        OptionError("chart_repo_url", text, text, reason=text),
        OptionError("values", {"a": [text], "b": {"c": text}}, "others"),
    ]
    for error in errors:
        assert "hunter2" not in str(error)
        assert "hunter2" not in json.dumps(error.data)
        assert MASK in str(error)


@pytest.mark.parametrize("text", HARMLESS)
def test_error_without_a_credential_shows_all(text: str) -> None:
    assert redacted_text(text) == text
    assert repr(text) in str(OptionError("chart_ref", text, "others"))


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("backing_store.data_source", "hunter2", MASK),
        ("controlPlane.backingStore.database.external.dataSource", "hunter2", MASK),
        ("api_key", "hunter2", MASK),
        ("kubeconfig", {"users": [{"user": {"client-key-data": "hunter2", "token": "hunter2"}}]}, None),
        ("values", {"env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}, None),
        ("annotations", {"example.com/token": "hunter2"}, {"example.com/token": MASK}),
        ("backing_store.tls_secret", "etcd-client", "etcd-client"),
        ("backing_store.data_source", None, None),
        ("size", {"cpu": "4"}, {"cpu": "4"}),
        ("replicas", 3, 3),
    ],
)
def test_error_with_a_secret_name_hides_its_value(name: str, value: Any, shown: Any) -> None:
    error = OptionError(name, value, "others")
    assert "hunter2" not in str(error)
    assert "hunter2" not in json.dumps(error.data)
    if shown is not None:
        assert (redacted(value, name), error.data["value"]) == (shown, shown)


def option_errors() -> dict[str, Any]:
    """What raises an error that prints a value which somebody gave, or which is deployed."""
    url = "https://root:hunter2@db.example.com:2379/x"
    source = ("controlPlane", "backingStore", "database", "external", "dataSource")
    template = ("controlPlane", "statefulSet", "persistence", "volumeClaimTemplates")
    external = ControlPlane(backing_store=BackingStore.of({"type": "external_database", "data_source": "words"}))

    def claim(text: str) -> Any:
        return tree.at(template, [{"metadata": {"annotations": {"from": text, "token": "hunter2"}}}])

    schema = f"Error: values don't meet the specifications of the schema(s):\n- '{url}' does not match"
    return {
        "another data source in values": lambda: external.check_values(tree.at(source, url)),
        "an etcd with a password": lambda: BackingStore.of({"type": "external_etcd", "endpoint": url}),
        "a data source of another type": lambda: BackingStore.of({"type": "deployed_etcd", "data_source": "hunter2"}),
        "what is deployed": lambda: immutability.check_immutable(claim(url), claim("other"), parse_version("0.36.1")),
        "an annotation in values": lambda: check_metadata("annotations", {"token": "x"}, {"token": "hunter2"}),
        "an annotation": lambda: check_metadata("annotations", {"a b": url}, {}),
        "an endpoint of a group": lambda: group_settings.desired(
            {"name": "dev", "backing_store": {"type": "external_etcd", "endpoint": url}}, (), None
        ),
        "the schema of the chart": lambda: raise_(cli.explain(schema, "upgrade", None)),
        "a repository": lambda: raise_(
            cli.explain("Error: looks like it cannot be reached: Get x", "upgrade", Chart("vcluster", url, "0.36.1"))
        ),
        "an API server": lambda: raise_(refusal("GET", "/api", 500, f"no {url}".encode(), "https://host")),
    }


def raise_(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("what", option_errors())
def test_error_that_prints_a_value_hides_credentials(what: str) -> None:
    with pytest.raises(NestedClustersError) as caught:
        option_errors()[what]()
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in json.dumps(caught.value.data, default=str)


def test_error_with_an_example_shows_it() -> None:
    with pytest.raises(OptionError) as caught:
        BackingStore.of({"type": "external_database"}).check_complete({})
    assert backing_store._ADDRESS_EXAMPLES["data_source"] in str(caught.value)
