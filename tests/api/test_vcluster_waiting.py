# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting ends early, with the reason, what to try, and the way on with the same virtual cluster."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from host_api import Host
from modules import Module
from places import Place
from proxy import Proxy
from troubles import TROUBLES, check_corrected, check_fails_early

pytestmark = pytest.mark.fault("what cannot become ready, and an API server that restarts")


@pytest.mark.parametrize("word", ["node", "quota"])
def test_task_corrected_after_early_failure_goes_on(
    host: Host, vcluster: Module, new: Callable[..., Place], word: str
) -> None:
    """Waiting ends early; with the cause removed, the same virtual cluster becomes ready, and stays unchanged."""
    where = new(word)
    check_fails_early(host, vcluster, where, TROUBLES[word])
    check_corrected(host, vcluster, where, TROUBLES[word])


def test_wait_for_claim_without_storage_class_fails_early(
    host: Host, vcluster: Module, new: Callable[..., Place]
) -> None:
    """The same with a storage class that is not there; a StatefulSet's claim cannot be corrected."""
    check_fails_early(host, vcluster, new("claim"), TROUBLES["claim"])


def test_wait_timeout_names_the_last_state(vcluster: Module, new: Callable[..., Place]) -> None:
    """Too little time is no failure of the virtual cluster: the message says what was seen."""
    where = new("late")
    values = TROUBLES["node"].values
    message = vcluster.refused(**where.options, values=values, wait_timeout=1)
    assert "not ready after 1 s (wait_timeout)" in message
    assert "0 of 1 replicas ready" in message


def test_wait_outlasts_restart_of_api_server(vcluster: Module, new: Callable[..., Place], proxy: Proxy) -> None:
    """Dropped connections and the answers of an API server that starts are waited out, not an error."""
    where = new("restart")
    vcluster(**where.options, wait=False)
    answers = [-1, 503, 429, 500]
    first: list[float] = []

    def fault(_method: str, path: str) -> int:
        # What is read before the plan goes through; the waiting meets six seconds of a restarting API server.
        if not first and f"/statefulsets/{where.name}" in path:
            first.append(time.monotonic())
        elapsed = time.monotonic() - first[0] if first else 0
        return answers[int(elapsed * 2) % len(answers)] if first and elapsed < 6 else 0

    proxy.fault = fault
    result = vcluster(**where.options, **proxy.options)
    assert first, "nothing was waited for"
    assert result["virtual_cluster"]["phase"] == "running"


def test_deletion_outlasts_restart_of_api_server(
    vcluster: Module, new: Callable[..., Place], proxy: Proxy
) -> None:
    """The same while the deletion is waited for."""
    where = new("ending")
    vcluster(**where.options, values=TROUBLES["node"].values, wait=False)
    answers = [503, -1, 429, 500]
    deleted: list[float] = []

    def fault(method: str, path: str) -> int:
        elapsed = time.monotonic() - deleted[0] if deleted else 0
        if not deleted and method == "DELETE" and path.endswith(f"/namespaces/{where.namespace}"):
            deleted.append(time.monotonic())
        return answers[int(elapsed * 2) % len(answers)] if 0 < elapsed < 4 else 0

    proxy.fault = fault
    run = vcluster(**where.options, state="absent", **proxy.options)
    assert deleted
    assert run["virtual_cluster"] == {}
