# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting ends early, with the reason, what to try, and the way on with the same virtual cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import Host, Module, Place, Proxy, place

WAIT = 200  # seconds that each of these tasks may wait; they end well before
EARLY = 100


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
        set_stateful_set(image={"tag": "0.36.999"}),
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
FIXED_BY_VALUES = ("image", "crash", "node")


def come_to_grief(host: Host, vcluster: Module, where: Place, trouble: Trouble) -> tuple[str, float]:
    """The message of a task that waits for what cannot become ready, and the seconds it took."""
    if trouble.quota:
        host.namespace(where.namespace)
        hard = {"limits.memory": "10Mi", "requests.cpu": "10m"}
        host.create(where.path("resourcequotas"), {"metadata": {"name": "small"}, "spec": {"hard": hard}})
    started = time.monotonic()
    message = vcluster.refused(**where.options, values=trouble.values, wait_timeout=WAIT)
    return message, time.monotonic() - started


def recover(host: Host, vcluster: Module, where: Place, trouble: Trouble) -> list[dict[str, Any]]:
    """The results of the corrected task, and of the same once more."""
    if trouble.quota:
        host.delete(where.path("resourcequotas", "small"))
    return [vcluster(**where.options, values={}) for _twice in range(2)]


Stories = dict[str, Any]


@pytest.fixture(scope="module")
def stories(request: pytest.FixtureRequest, host: Host, vcluster: Module) -> Iterator[Stories]:
    """Each trouble, and what became of it, two at a time."""
    chosen = {item.callspec.params.get("word") for item in request.session.items if hasattr(item, "callspec")}

    def tell(word: str) -> tuple[Place, str, float, list[dict[str, Any]]]:
        trouble = TROUBLES[word]
        with place(host, vcluster, word) as where:
            message, seconds = come_to_grief(host, vcluster, where, trouble)
            after = recover(host, vcluster, where, trouble) if word != "claim" else []
            return where, message, seconds, after

    with ThreadPoolExecutor(2) as pool:
        yield {word: pool.submit(tell, word) for word in TROUBLES if word in chosen}


@pytest.mark.parametrize("word", TROUBLES)
def test_waiting_ends_early(stories: Stories, word: str) -> None:
    """The task fails well before its time, with the cause and what to try."""
    where, message, seconds, _after = stories[word].result()
    assert f"virtual cluster {where.name} will not become ready" in message
    for part in TROUBLES[word].words:
        assert part in message
    assert seconds < EARLY


@pytest.mark.parametrize("word", [word for word in TROUBLES if word != "claim"])
def test_corrected_task_goes_on(stories: Stories, word: str) -> None:
    """With the cause removed, the same virtual cluster becomes ready, and stays unchanged."""
    where, _message, _seconds, (first, second) = stories[word].result()
    expected = [f"change values of release {where.name}"] if TROUBLES[word].values else []
    assert first["steps"] == expected
    assert first["virtual_cluster"]["phase"] == "running"
    assert second["steps"] == []


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
