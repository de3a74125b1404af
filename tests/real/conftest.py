# SPDX-License-Identifier: GPL-3.0-or-later
"""The real tier: host clusters with a kubelet, on which virtual clusters run.

KUBECONFIG names the host cluster, PATH has kubectl, helm, helm3 and vcluster, and NESTED_CLUSTERS_CHART
is the chart's archive or directory where the official chart repository cannot be reached.

Several tests run at once on one host cluster, each in a worker process (pytest-xdist). So a test takes its names
from the fixture ``new`` or from ``place``, and says nothing about objects that are not its own. What it lists of
the whole host cluster may hold anything else as well. Tests that share a virtual cluster are of one
``xdist_group``, so that one worker runs them and it is made once; they leave it as they found it.

A test that needs a virtual cluster and neither its creation nor its deletion takes ``plain`` or ``used`` (pool.py).
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
from modules import Module
from places import Place
from pool import Cli, Shared, plain_one, problems_of_release, problems_of_running, problems_of_use, used_one

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


@pytest.fixture(scope="session")
def shared_plain(host: Host, vcluster: Module) -> Iterator[Shared]:
    """A virtual cluster without options; take ``plain``, or for what was said of its creation this one too."""
    with plain_one(host, vcluster) as shared:
        yield shared


@pytest.fixture
def plain(host: Host, vcluster: Module, shared_plain: Shared, request: pytest.FixtureRequest) -> Place:
    """A virtual cluster that runs, whose release is as it was made."""

    def problems() -> list[str]:
        where = shared_plain.where
        return problems_of_release(host, where) or problems_of_running(host, vcluster, where)

    return shared_plain.hand_out(problems, request.node.name)


@pytest.fixture(scope="session")
def shared_used(
    host: Host, vcluster: Module, cli: Cli, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared]:
    """A virtual cluster with a user's objects; take ``used``."""
    with used_one(host, vcluster, cli, tmp_path_factory.mktemp("use")) as shared:
        yield shared


@pytest.fixture
def used(host: Host, vcluster: Module, shared_used: Shared, request: pytest.FixtureRequest) -> Place:
    """A virtual cluster that runs, with a user's objects, pod and volume; its values are any."""

    def problems() -> list[str]:
        where = shared_used.where
        return problems_of_use(host, where) or problems_of_running(host, vcluster, where)

    return shared_used.hand_out(problems, request.node.name)
