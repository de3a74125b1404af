# SPDX-License-Identifier: GPL-3.0-or-later
"""Values with which a control plane cannot become ready, and what a task that waits for it says then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from host_api import Host
from modules import Module
from places import Place

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


def check_fails_early(host: Host, vcluster: Module, where: Place, trouble: Trouble) -> None:
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


def check_corrected(host: Host, vcluster: Module, where: Place, trouble: Trouble) -> None:
    """With the cause removed, the same virtual cluster becomes ready, and stays unchanged."""
    if trouble.quota:
        host.delete(where.path("resourcequotas", "small"))
    first, second = (vcluster(**where.options, values={}) for _twice in range(2))
    assert first["steps"] == ([f"change values of release {where.name}"] if trouble.values else [])
    assert first["virtual_cluster"]["phase"] == "running"
    assert second["steps"] == []
