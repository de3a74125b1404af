# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody else changed in a virtual cluster's objects is seen, shown, repaired, and then gone."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from drifts import DRIFTS, FORGED, delete_role_binding, edit_service_port
from host_api import Host
from modules import Module, diff_text, texts
from places import Place, place, secret_values


@pytest.fixture(scope="module", params=["helm", "helm3"])
def made(request: pytest.FixtureRequest, host: Host, vcluster: Module) -> Iterator[tuple[Place, Module]]:
    """A running virtual cluster of one helm, and the module that uses this helm."""
    module = vcluster.against(binary_path=host.program(request.param))
    with place(host, f"drift-{request.param}") as where:
        module(name=where.name)
        yield where, module


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_shown_without_secrets_and_repaired(host: Host, made: tuple[Place, Module], drift: str) -> None:
    """Seen in check mode, shown in the diff without secrets, repaired by the run, unchanged afterwards."""
    where, module = made
    hidden = [*secret_values(host, where), FORGED, base64.b64encode(FORGED.encode()).decode()]
    for change in DRIFTS[drift]:
        change(host, where)
    asked: dict[str, Any] = {"name": where.name, "wait": False}
    check = module(check=True, **asked)
    expected = {text.format(where.name) for text in DRIFTS[drift].values()}
    if host.get(where.workload) is None:
        expected.add(f"set annotations of virtual cluster {where.name}: nested-clusters/managed")
    assert set(check["steps"]) == expected
    if "repair Service" in str(expected):
        assert "9999" in diff_text(check, "before") or "7777" in diff_text(check, "before")
    assert diff_text(check, "before") != diff_text(check, "after")
    run = module(**asked)
    assert run["changed"]
    assert (run["steps"], run["diff"]) == (check["steps"], check["diff"])
    for result in (check, run):
        assert not [secret for secret in hidden if secret in texts(result)]
    assert module(**asked)["steps"] == []


@pytest.mark.parametrize("helm", ["helm", "helm3"])
def test_drift_of_release_of_either_helm_is_repaired_by_helm4(
    host: Host, vcluster: Module, new: Callable[..., Place], helm: str
) -> None:
    """Another helm than the one that made a release, and repaired it, repairs it again and changes its values."""
    where = new("either")
    module, other = (vcluster.against(binary_path=host.program(name)) for name in (helm, "helm"))
    module(name=where.name)
    edit_service_port(host, where)
    delete_role_binding(host, where)
    assert module(name=where.name, wait=False)["changed"]
    edit_service_port(host, where)
    delete_role_binding(host, where)
    assert set(other(name=where.name, wait=False)["steps"]) == {
        f"repair Service {where.name}",
        f"restore RoleBinding vc-{where.name}",
    }
    assert other(name=where.name, wait=False)["steps"] == []
    values = {"sync": {"toHost": {"ingresses": {"enabled": True}}}}
    assert other(name=where.name, values=values, wait=False)["changed"]
    assert other(name=where.name, values=values)["steps"] == []
