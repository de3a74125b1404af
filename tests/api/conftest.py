# SPDX-License-Identifier: GPL-3.0-or-later
"""The API tier: host clusters without a kubelet, one for each worker of pytest-xdist, for all that needs no other.

Each worker has a control plane of its own (tests/host_cluster/control_plane.py): API server, controllers, scheduler,
and kwok, which says of each pod on its node that it is ready. It needs no root, no container, and no KUBECONFIG: where
one is set, it is not used. ``host.planes`` writes Secret ``vc-NAME`` as a virtual cluster would, ``host.pods`` answers
for its API; a test may set both otherwise, and after each test they are as before.

One test runs at a time on a host cluster, so ``host.everything()`` is exact, but for objects that an earlier test has
deleted and that still go.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import sampling
from api_host import ApiHost, api_host
from fixtures import impatient, members, new, proxy, vcluster, vcluster_group
from hooks import is_long, pytest_configure, pytest_report_header, pytest_runtest_setup, pytest_terminal_summary
from worker_parts import in_parts

__all__ = [
    "impatient",
    "members",
    "new",
    "proxy",
    "pytest_configure",
    "pytest_report_header",
    "pytest_runtest_setup",
    "pytest_terminal_summary",
    "vcluster",
    "vcluster_group",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    sampling.pytest_collection_modifyitems(config, items)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if is_long(item)]
    items[:] = in_parts(long, [item for item in items if not is_long(item)], workers)


@pytest.fixture(scope="session")
def host() -> Iterator[ApiHost]:
    """A host cluster of this worker."""
    with api_host("host-a") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def second_host() -> Iterator[ApiHost]:
    """Another host cluster of this worker, started when the first test asks for it."""
    with api_host("host-b") as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def as_before(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test, virtual clusters behave as usual."""
    yield
    for name in ("host", "second_host"):
        if name in request.fixturenames:
            request.getfixturevalue(name).reset()


@pytest.fixture(autouse=True, scope="session")
def no_connection_from_the_environment() -> Iterator[None]:
    """Keep KUBECONFIG and K8S_AUTH_* of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("K8S_AUTH_") or name == "KUBECONFIG"]:
            patch.delenv(name)
        yield
