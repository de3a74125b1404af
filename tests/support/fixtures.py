# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of both tiers; each has its own ``host``, and takes these into its conftest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from host_api import Host, connections
from modules import IMPATIENT, Module
from places import Place, place
from proxy import Proxy, serve_proxy


@pytest.fixture(scope="session")
def members(host: Host, second_host: Host) -> dict[str, Host]:
    """The host clusters of a group by name: ``host-a`` and ``host-b``."""
    return {"host-a": host, "host-b": second_host}


@pytest.fixture(scope="session")
def vcluster(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Module:
    """The module nested.clusters.vcluster, with the chart of this machine if there is one."""
    defaults = {"chart_ref": host.chart} if host.chart else {}
    return Module(host, tmp_path_factory.mktemp("module"), "vcluster", defaults)


@pytest.fixture(scope="session")
def impatient(vcluster: Module) -> Module:
    """The same module, for tests that have killed helm: it waits for its end for two seconds, and not for thirty."""
    return replace(vcluster, constants=IMPATIENT)


@pytest.fixture(scope="session")
def vcluster_group(members: dict[str, Host], vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_group, with all host clusters."""
    return Module(vcluster.host, vcluster.directory, "vcluster_group", {"host_clusters": connections(members)})


@pytest.fixture(scope="session")
def cli(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The vcluster CLI, with files of its own: it writes into its configuration, and into the kubeconfig."""
    directory = tmp_path_factory.mktemp("cli")
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(host.call("kubectl", "config", "view", "--raw", "--flatten").stdout)
    kubeconfig.chmod(0o600)
    configuration = str(directory / "cli.json")

    def run(*arguments: str, check: bool = True) -> str:
        command = ("vcluster", "--config", configuration, *arguments)
        done = host.call(*command, check=check, KUBECONFIG=str(kubeconfig))
        return done.stdout + done.stderr

    return run


@pytest.fixture
def new(host: Host) -> Iterator[Callable[..., Place]]:
    """Makes names, with clean-up at the end of the test."""
    with ExitStack() as stack:
        yield lambda word, **options: stack.enter_context(place(host, word, **options))


@pytest.fixture
def proxy(host: Host) -> Iterator[Proxy]:
    """A counting proxy in front of the host cluster."""
    with serve_proxy(host) as running:
        yield running
