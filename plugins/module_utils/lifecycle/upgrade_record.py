# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upgrade that can be taken back writes on the workload, so that the next task knows how far it got."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..common.errors import NestedClustersError
from ..common.well_known import WAY_BACK
from ..helm.release import Release
from ..virtual_cluster import phases


@dataclass(frozen=True)
class UpgradeRecord:
    """The release to roll back to, and the progress of the upgrade."""

    revision: int  # of the Helm release
    version: str  # of vCluster
    paused: bool  # whether it was paused before, and is to be paused again
    copied: bool = False
    returning: bool = False
    returned: bool = False  # data and release are back, and it has yet to be seen that it runs

    @classmethod
    def of(cls, release: Release | None, workload: dict[str, Any] | None) -> UpgradeRecord:
        """Return the record that leads back to what is deployed."""
        if release is None or workload is None:
            raise NestedClustersError("a virtual cluster without a release and a control plane cannot be rolled back")
        return cls(release.revision, release.chart_version, phases.phase(workload) == "paused")


def read_mark(workload: dict[str, Any] | None) -> UpgradeRecord | None:
    """Return the record of an interrupted upgrade, or None."""
    text = ((workload or {}).get("metadata", {}).get("annotations") or {}).get(WAY_BACK)
    if not text:
        return None
    try:
        return UpgradeRecord(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise NestedClustersError(
            f"annotation {WAY_BACK} was changed and cannot be read ({error}); remove it, and check `helm history` "
            "before the next upgrade"
        ) from error
