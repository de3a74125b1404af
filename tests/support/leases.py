# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of cluster groups on a host cluster in memory."""

from __future__ import annotations

from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.common.well_known import NAMESPACE
from ansible_collections.nested.clusters.plugins.module_utils.groups import group_lock
from fake_api import FakeCluster

LEASE = f"{group_lock.LEASES}/{group_lock.LEASE}"


def have_lease(cluster: FakeCluster, holder: str = "somebody", **metadata: Any) -> None:
    """Have the lock of a holder."""
    spec = {"holderIdentity": holder, "renewTime": "1999-01-01T00:00:00Z"}
    cluster.have("Lease", group_lock.LEASE, namespace=NAMESPACE, spec=spec, **metadata)
