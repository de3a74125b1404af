# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kubernetes API server in memory, below the seam of the collection's own client.

Files, each of which imports only those before it: messages (requests, answers, faults), kinds (what is served),
selectors, storage (objects and what controllers do with them), api (REST), transport (urllib3), cluster (for tests).

It holds no defaults of specs, no validation of specs, and of admission only that of namespaces. What it does hold is
compared with a real kube-apiserver by the contract test.
"""

from __future__ import annotations

from .cluster import FakeCluster
from .kinds import GATEWAY_API, METRICS, Kind
from .messages import ANSWER_LOST, DROPPED, STALLED, Request, Response, refusal

__all__ = [
    "ANSWER_LOST",
    "DROPPED",
    "GATEWAY_API",
    "METRICS",
    "STALLED",
    "FakeCluster",
    "Kind",
    "Request",
    "Response",
    "refusal",
]
