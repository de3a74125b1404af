# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual cluster in whose objects somebody else changed whatever can be changed runs again after the repair."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from drifts import DRIFTS
from host_api import Host
from modules import Module
from places import Place, settled


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_drift_repaired_virtual_cluster_runs(
    host: Host, vcluster: Module, new: Callable[..., Place], helm: str
) -> None:
    """After all these repairs the virtual cluster becomes ready."""
    module = vcluster.against(binary_path=host.program(helm))
    where = new(f"drift-{helm}")
    module(name=where.name)
    settled(host, where)
    for changes in DRIFTS.values():
        for change in changes:
            change(host, where)
        assert module(name=where.name, wait=False)["changed"]
    assert module(name=where.name)["virtual_cluster"]["phase"] == "running"
