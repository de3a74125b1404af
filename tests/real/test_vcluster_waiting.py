# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting ends early, with the reason, what to try, and the way on with the same virtual cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from host_api import Host
from modules import Module
from places import Place
from proxy import Proxy

pytestmark = pytest.mark.fault("what cannot become ready, and an API server that restarts")

WAIT = 360  # seconds that each of these tasks may wait; they end well before
EARLY = 180


@dataclass(frozen=True)
class Trouble:
    """Values with which a control plane cannot start, and what the message says then."""

    values: dict[str, Any]
    words: tuple[str, ...]
    quota: bool = False


def set_stateful_set(**setting: Any) -> dict[str, Any]:
    """Values that change the control plane's StatefulSet."""
    return {"controlPlane": {"statefulSet": setting}}


TROUBLES = {
    "image": Trouble(
        # Where nothing listens, so that the node is told at once; a registry out of reach takes it a minute.
        set_stateful_set(image={"registry": "127.0.0.1:1", "tag": "0.36.999"}),
        ("vcluster-oss:0.36.999", "check the image's name and tag"),
    ),
    "crash": Trouble(
        set_stateful_set(command=["/vcluster"], args=["no-such-command"]),
        ("keeps ending (exit code 1", "last lines of container syncer", "unknown command"),
    ),
    "node": Trouble(
        set_stateful_set(scheduling={"nodeSelector": {"no": "such-node"}}), ("node", "scheduling")
    ),
    "claim": Trouble(
        set_stateful_set(persistence={"volumeClaim": {"storageClass": "no-such-class"}}),
        ("data-it-claim-", "no-such-class", "storage class"),
    ),
    "quota": Trouble({}, ("exceeded quota: small", "raise the ResourceQuota"), quota=True),
}


def come_to_grief(host: Host, vcluster: Module, where: Place, trouble: Trouble) -> None:
    """A task that waits for what cannot become ready fails well before its time, with the cause and what to try."""
    if trouble.quota:
        host.namespace(where.namespace)
        hard = {"limits.memory": "10Mi", "requests.cpu": "10m"}
        host.create(where.path("resourcequotas"), {"metadata": {"name": "small"}, "spec": {"hard": hard}})
    started = time.monotonic()
    message = vcluster.refused(**where.options, values=trouble.values, wait_timeout=WAIT)
    seconds = time.monotonic() - started
    assert f"virtual cluster {where.name} will not become ready" in message
    for part in trouble.words:
        assert part in message
    assert seconds < EARLY


@pytest.mark.long
@pytest.mark.parametrize("word", ["image", "crash", "node", "quota"])
def test_corrected_task_goes_on(host: Host, vcluster: Module, new: Callable[..., Place], word: str) -> None:
    """Waiting ends early; with the cause removed, the same virtual cluster becomes ready, and stays unchanged."""
    where, trouble = new(word), TROUBLES[word]
    come_to_grief(host, vcluster, where, trouble)
    if trouble.quota:
        host.delete(where.path("resourcequotas", "small"))
    first, second = (vcluster(**where.options, values={}) for _twice in range(2))
    assert first["steps"] == ([f"change values of release {where.name}"] if trouble.values else [])
    assert first["virtual_cluster"]["phase"] == "running"
    assert second["steps"] == []


def test_claim_that_cannot_be_bound(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
    """The same with a storage class that is not there; a StatefulSet's claim cannot be corrected."""
    come_to_grief(host, vcluster, new("claim"), TROUBLES["claim"])


def test_timeout_says_the_last_state(vcluster: Module, new: Callable[..., Place]) -> None:
    """Too little time is no failure of the virtual cluster: the message says what was seen."""
    where = new("late")
    values = TROUBLES["node"].values
    message = vcluster.refused(**where.options, values=values, wait_timeout=1)
    assert "not ready after 1 s (wait_timeout)" in message
    assert "0 of 1 replicas ready" in message


def test_api_server_restarts_while_waiting(vcluster: Module, new: Callable[..., Place], proxy: Proxy) -> None:
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


def test_api_server_restarts_while_deleting(
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
