# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The namespace of a virtual cluster: its conditions, and waiting until its name is free."""

from __future__ import annotations

import time
from typing import Any

from ..common import progress
from ..common.errors import WaitError
from ..k8s.client import Kubernetes
from ..k8s.objects import path
from . import readiness

GONE_SECONDS = 120  # how long a namespace that is being deleted may take to be gone, where no task says so


def wait_until_free(kubernetes: Kubernetes, namespace: str, timeout: float = GONE_SECONDS) -> None:
    """Wait until a namespace that is being deleted is gone. Raises WaitError after ``timeout`` seconds."""
    where = path("v1", "namespaces", None, namespace)
    deadline = time.monotonic() + timeout
    while (there := kubernetes.get(where)) and there["metadata"].get("deletionTimestamp"):
        if time.monotonic() > deadline:
            raise WaitError(
                f"namespace {namespace} is still being deleted after {timeout:g} s: {namespace_conditions(there)}; run "
                "the task again when nothing blocks its deletion"
            )
        progress.report(f"namespace {namespace}", f"it is being deleted: {namespace_conditions(there)}")
        time.sleep(readiness.POLL_SECONDS)


def namespace_conditions(namespace: dict[str, Any]) -> str:
    """Return why a namespace still exists, in the namespace controller's words."""
    conditions = (namespace.get("status") or {}).get("conditions") or []
    return "; ".join(c.get("message", "") for c in conditions if c.get("status") == "True") or "no reason given"
