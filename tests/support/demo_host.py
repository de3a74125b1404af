# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host cluster in memory for virtual cluster demo in its namespace vcluster-demo."""

from __future__ import annotations

from typing import Any

from fake_api import FakeCluster
from helm_releases import NAMESPACE


class DemoHost(FakeCluster):
    """A host cluster in which what is said of no namespace is in that of the virtual cluster."""

    def have_inside(self, kind: str, name: str, **parts: Any) -> dict[str, Any]:
        """Have an object in the namespace of the virtual cluster, and return it."""
        return self.have(kind, name, **{"namespace": NAMESPACE, **parts})
