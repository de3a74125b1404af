# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces that a finalizer holds: Kubernetes' own controller says which, and the task passes that on."""

from __future__ import annotations

import pytest
from fault_life import DELETIONS, Record, life, survived
from fault_tools import later
from host_api import Host
from modules import Module
from waiting import eventually


@pytest.mark.parametrize("selection", [False, True], ids=["one", "selection"])
def test_deletion_held_by_a_finalizer_names_it(
    host: Host, vcluster: Module, record_property: Record, selection: bool
) -> None:
    """What holds the namespace is in the message; once it lets go, the next run finishes."""
    operation = DELETIONS[selection]
    with survived(record_property, "a finalizer that hangs"), life(host, vcluster, record_property, "hang") as lived:
        lived.again("create")
        labels = {"vcluster.loft.sh/managed-by": lived.where.name}
        body = {"metadata": {"name": "hangs", "labels": labels, "finalizers": ["example.com/hang"]}}
        host.create(lived.where.path("configmaps"), body)
        module, options = lived.task(operation)
        assert "example.com/hang" in module.refused(**options, wait_timeout=12)
        host.patch(lived.where.path("configmaps", "hangs"), {"metadata": {"finalizers": None}})
        lived.again(operation)


def test_creation_in_a_namespace_that_goes_waits_for_its_end(
    host: Host, vcluster: Module, record_property: Record
) -> None:
    """Made again while somebody deletes it: the task says what holds the namespace, or waits until it is gone.

    The release is what goes last, so that the virtual cluster looks like one that is there.
    """
    what = "a namespace that is being deleted"
    with survived(record_property, what), life(host, vcluster, record_property, "going") as lived:
        lived.again("create")
        where, (module, options) = lived.where, lived.task("create")
        release = where.path("secrets", f"sh.helm.release.v1.{where.name}.v1")
        host.patch(release, {"metadata": {"finalizers": ["example.com/hang"]}})
        free = {"metadata": {"finalizers": None}}
        try:
            host.delete(f"/api/v1/namespaces/{where.namespace}")
            eventually("the end of the workload", lambda: host.get(where.workload) is None)
            check = module(check=True, **options)
            assert "example.com/hang" in module.refused(**options, wait_timeout=3)
            timer = later(4, lambda: host.patch(release, free))
            run = module(**options)
            timer.join()
            assert run["steps"] == check["steps"]
            assert run["steps"][0] == f"create namespace {where.namespace}"
            lived.claim = ""  # whoever deletes a namespace deletes its data
            lived.check("create")
        finally:
            if (host.get(release) or {}).get("metadata", {}).get("finalizers"):
                host.patch(release, free)
