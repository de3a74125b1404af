# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of cli: what an error of helm means, and which option caused it."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.helm import cli as helm_cli
from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import HelmError
from helm_binary import NO_VERSION
from helm_charts import REPOSITORY

SCHEMA = """Error: values don't meet the specifications of the schema(s) in the following chart(s):
vcluster:
- at '/sync/toHost/pods/enabled': got string, want boolean
- at '/controlPlane': additional properties 'nope' not allowed
"""
NO_OCI_VERSION = 'Error: failed to perform "FetchReference" on source: ghcr.io/x/vcluster:9.9.9: not found'
REFUSED = "dial tcp 127.0.0.1:1: connect: connection refused"
UNREACHABLE = (
    'Error: looks like "https://charts.loft.sh" is not a valid chart repository or cannot be reached: '
    f'Get "https://charts.loft.sh/index.yaml": {REFUSED}'
)
NO_INDEX = (
    'Error: looks like "https://charts.loft.sh" is not a valid chart repository or cannot be reached: '
    "failed to fetch https://charts.loft.sh/index.yaml : 404 File not found"
)
OCI_UNREACHABLE = (
    f'Error: failed to perform "FetchReference" on source: Get "https://ghcr.io/v2/x/manifests/9": {REFUSED}'
)
PENDING = "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress"
HELM_4_LOG = 'level=WARN msg="unable to find exact version" chart=vcluster\n'
OCI = Chart("oci://ghcr.io/x/vcluster", REPOSITORY, "9.9.9")
LOCAL = Chart("/charts/vcluster", REPOSITORY, None)
WANTED = Chart("vcluster", REPOSITORY, "9.9.9")


@pytest.mark.parametrize(
    ("text", "chart", "option", "words"),
    [
        (SCHEMA, LOCAL, "values", ["got string, want boolean", "additional properties 'nope' not allowed"]),
        (HELM_4_LOG + SCHEMA, LOCAL, "values", ["/sync/toHost/pods/enabled"]),
        (NO_VERSION, WANTED, "vcluster_version", ["9.9.9", REPOSITORY]),
        (HELM_4_LOG + NO_VERSION, WANTED, "vcluster_version", ["9.9.9", REPOSITORY]),
        (NO_OCI_VERSION, OCI, "vcluster_version", ["9.9.9", "oci://ghcr.io/x/vcluster"]),
        (UNREACHABLE, WANTED, "chart_repo_url", [REPOSITORY, REFUSED, "chart_ref"]),
        (NO_INDEX, WANTED, "chart_repo_url", [REPOSITORY, "404"]),
    ],
)
def test_explain_error_of_option_names_option(text: str, chart: Chart, option: str, words: list[str]) -> None:
    error = helm_cli.explain(text.strip(), "upgrade", chart)
    assert isinstance(error, OptionError)
    assert error.data["option"] == option
    assert [word for word in words if word not in str(error)] == []
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "chart", "words"),
    [
        (PENDING, WANTED, ["another operation", "run the task again"]),
        (OCI_UNREACHABLE, OCI, ["ghcr.io", REFUSED]),
        (
            'Error: UPGRADE FAILED: namespaces "x" not found',
            WANTED,
            ['namespaces "x" not found; it was deleted meanwhile; run the task again'],
        ),
        (
            'Error: UPGRADE FAILED: could not patch: statefulsets.apps "x" not found',
            WANTED,
            ['"x" not found; it was deleted meanwhile; run the task again'],
        ),
        ('Error: UPGRADE FAILED: secrets "x" is forbidden', LOCAL, ['secrets "x" is forbidden']),
        ("Error: uninstall: Release not loaded: demo: release: not found", None, ["Release not loaded"]),
        ("Error: UPGRADE FAILED: a webhook said: Error: no such team", LOCAL, ["UPGRADE FAILED", "no such team"]),
        (
            'Error: UPGRADE FAILED: roles is forbidden: User "bob" cannot list resource "roles"',
            LOCAL,
            ['User "bob"', "ask for a role"],
        ),
        (
            'Error: failed to create: secrets "x" is forbidden: unable to create new content in namespace demo because '
            "it is being terminated",
            LOCAL,
            ["namespace demo", "it is being deleted; run the task again, which waits until it is gone"],
        ),
        (
            "Error: kubernetes cluster unreachable: the server has asked for the client to provide credentials",
            LOCAL,
            ["rejects the credentials of the connection options"],
        ),
        ("Error: UPGRADE FAILED: could not patch: Unauthorized", LOCAL, ["rejects the credentials"]),
        ("segmentation fault", LOCAL, ["segmentation fault"]),
        ("", LOCAL, ["helm upgrade"]),
    ],
)
def test_explain_other_error_is_a_helm_error(text: str, chart: Chart | None, words: list[str]) -> None:
    error = helm_cli.explain(text, "upgrade", chart)
    assert isinstance(error, HelmError)
    assert isinstance(error, NestedClustersError)
    assert str(error).startswith("helm upgrade: ")
    assert [word for word in words if word not in str(error)] == []


def test_explain_webhook_without_service_is_no_deletion() -> None:
    error = helm_cli.explain(
        'Error: UPGRADE FAILED: failed calling webhook "a": service "x" not found', "upgrade", LOCAL
    )
    assert str(error).endswith('service "x" not found')


def test_explain_logs_of_helm_4_are_left_out() -> None:
    error = helm_cli.explain(f"{HELM_4_LOG}{PENDING}", "upgrade", LOCAL)
    assert "level=WARN" not in str(error)
    assert "level=WARN" in error.data["helm_output"]
