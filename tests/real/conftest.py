# SPDX-License-Identifier: GPL-3.0-or-later
"""The real tier: host clusters with a kubelet, on which virtual clusters run.

KUBECONFIG names the host cluster, PATH has kubectl, helm, helm3 and vcluster, and NESTED_CLUSTERS_CHART
is the chart's archive or directory where the official chart repository cannot be reached.

Several tests run at once on one host cluster, each in a worker process (pytest-xdist). So a test takes its names
from the fixture ``new`` or from ``place``, and says nothing about objects that are not its own. What it lists of
the whole host cluster may hold anything else as well. Tests that share a virtual cluster are of one
``xdist_group``, so that one worker runs them and it is made once; they leave it as they found it.

Tests of groups have a group and a capacity of their own: what is allocated on a host cluster counts for every group on
it, so each says how much it has, with room for those beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from fixtures import cli, new, proxy, vcluster, vcluster_group
from hooks import (
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_runtest_setup,
    pytest_terminal_summary,
)
from host_api import Host, open_host

__all__ = [
    "cli",
    "new",
    "proxy",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_setup",
    "pytest_terminal_summary",
    "vcluster",
    "vcluster_group",
]


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """The host cluster that KUBECONFIG names; at the end nothing that was asked to go is left on it."""
    kubeconfig = os.environ.get("KUBECONFIG", "")
    if not kubeconfig:
        pytest.fail("KUBECONFIG is not set: the integration tests need a host cluster (make test starts one)")
    cluster = open_host(kubeconfig)
    yield cluster
    cluster.wait_for_leaving()


@pytest.fixture(scope="session")
def members(host: Host) -> dict[str, Host]:
    """The one host cluster of the groups of this tier; those of two are tests of the API tier."""
    return {"host-a": host}
