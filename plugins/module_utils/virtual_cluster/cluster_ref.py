# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a virtual cluster is."""

from __future__ import annotations

from dataclasses import dataclass

from ..k8s.client import Kubernetes


@dataclass(frozen=True)
class ClusterRef:
    """A virtual cluster by its host cluster, its namespace there and its name, whether it exists or not."""

    kubernetes: Kubernetes
    name: str
    namespace: str

    @property
    def key(self) -> tuple[str, str]:
        """Return namespace and name, which tell virtual clusters of one host cluster apart."""
        return self.namespace, self.name

    def __str__(self) -> str:
        return f"virtual cluster {self.name} in namespace {self.namespace}"
