# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting ends early, with the reason, what to try, and the way on with the same virtual cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from conftest import Host, Module, Place, Proxy, eventually

WAIT = 150  # seconds that each of these tasks may take; they end well before


def fails_early(vcluster: Module, where: Place, seconds: float, **options: Any) -> str:
    """The message of a task that waits for what cannot become ready."""
    started = time.monotonic()
    message = vcluster.refused(**where.options, wait_timeout=WAIT, **options)
    took = time.monotonic() - started
    assert took < seconds, f"took {took:.0f} s: {message}"
    assert f"virtual cluster {where.name} will not become ready" in message
    return message


def set_stateful_set(**setting: Any) -> dict[str, Any]:
    """Values that change the control plane's StatefulSet."""
    return {"controlPlane": {"statefulSet": setting}}


def test_image_that_cannot_be_pulled(vcluster: Module, new: Callable[..., Place]) -> None:
    """The image is named; with the right one, the same virtual cluster becomes ready."""
    where = new("image")
    message = fails_early(vcluster, where, 90, values=set_stateful_set(image={"tag": "0.36.999"}))
    assert "vcluster-oss:0.36.999" in message
    assert "check the image's name and tag" in message
    result = vcluster(**where.options, values={})
    assert result["steps"] == [f"change values of release {where.name}"]
    assert result["virtual_cluster"]["phase"] == "running"
    assert vcluster(**where.options, values={})["steps"] == []


def test_crash_loop(vcluster: Module, new: Callable[..., Place]) -> None:
    """The last lines of the log say what the container said."""
    where = new("crash")
    message = fails_early(
        vcluster, where, 90, values=set_stateful_set(command=["/vcluster"], args=["no-such-command"])
    )
    assert "keeps ending" in message
    assert "last lines of container syncer" in message
    assert "unknown command" in message
    result = vcluster(**where.options, values={})
    assert result["virtual_cluster"]["phase"] == "running"


def test_quota(host: Host, vcluster: Module, new: Callable[..., Place]) -> None:
    """A quota that the control plane does not fit in is quoted; with more, the same task goes on."""
    where = new("quota", made_by_user=True)
    quota = {
        "metadata": {"name": "small"},
        "spec": {"hard": {"limits.memory": "10Mi", "requests.cpu": "10m"}},
    }
    host.create(where.path("resourcequotas"), quota)
    message = fails_early(vcluster, where, 60)
    assert "exceeded quota: small" in message
    assert "raise the ResourceQuota" in message
    host.delete(where.path("resourcequotas", "small"))
    result = vcluster(**where.options)
    assert result["virtual_cluster"]["phase"] == "running"


def test_no_node(vcluster: Module, new: Callable[..., Place]) -> None:
    """The scheduler's words, and where to change what it does not find."""
    where = new("node")
    message = fails_early(
        vcluster, where, 90, values=set_stateful_set(scheduling={"nodeSelector": {"no": "such-node"}})
    )
    assert "node" in message
    assert "scheduling" in message
    assert vcluster(**where.options, values={})["virtual_cluster"]["phase"] == "running"


def test_timeout_says_the_last_state(vcluster: Module, new: Callable[..., Place]) -> None:
    """Too little time is no failure of the virtual cluster: it says what was seen."""
    where = new("late")
    message = vcluster.refused(**where.options, wait_timeout=1)
    assert "not ready after 1 s (wait_timeout)" in message
    assert "0 of 1 replicas ready" in message or "nothing was seen yet" in message
    result = vcluster(**where.options)
    assert result["steps"] == []
    assert result["virtual_cluster"]["phase"] == "running"


def test_api_server_restarts_while_waiting(
    host: Host, vcluster: Module, new: Callable[..., Place], proxy: Proxy
) -> None:
    """Dropped connections and the answers of an API server that starts are waited out, not an error."""
    where = new("restart")
    vcluster(**where.options, wait=False)
    start = time.monotonic()
    answers = [-1, 503, 429, 500, -1]

    def fault(_method: str, path: str) -> int:
        # The first reading goes through; the waiting meets five seconds of a restarting API server.
        elapsed = time.monotonic() - start
        if not proxy.seen or not any("/statefulsets/" in seen for seen in proxy.seen):
            return 0
        return answers[int(elapsed) % len(answers)] if elapsed < 8 else 0

    proxy.fault = fault
    process = vcluster.start({**where.options, **proxy.options})
    result = vcluster.finish(process)
    assert not result.get("failed"), result["msg"]
    assert result["virtual_cluster"]["phase"] == "running"
    assert eventually("waited", lambda: len(proxy.seen) > 10)
