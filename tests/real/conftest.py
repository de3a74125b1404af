# SPDX-License-Identifier: GPL-3.0-or-later
"""The real tier: host clusters with a kubelet, on which virtual clusters run.

KUBECONFIG names the host cluster, PATH has kubectl, helm, helm3 and vcluster, and NESTED_CLUSTERS_CHART
is the chart's archive or directory where the official chart repository cannot be reached.

Several tests run at once on one host cluster, each in a worker process (pytest-xdist). So a test takes its names
from the fixture ``new`` or from ``place``, and says nothing about objects that are not its own. What it lists of
the whole host cluster may hold anything else as well. Tests that share a virtual cluster are of one
``xdist_group``, so that one worker runs them and it is made once; they leave it as they found it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from fixtures import cli, members, new, proxy, vcluster, vcluster_group
from hooks import (
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_runtest_setup,
    pytest_terminal_summary,
)
from host_api import Host, open_host
from second_host import second_kubeconfig

__all__ = [
    "cli",
    "members",
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
def second_host(host: Host) -> Iterator[Host | None]:
    """Another host cluster, started when the first test asks for it; None, with a warning, where none can be had."""
    with second_kubeconfig(host.kubeconfig) as kubeconfig:
        yield open_host(kubeconfig) if kubeconfig else None
