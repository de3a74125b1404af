# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrades in tests: the versions in between, and calls of the backup."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from fake_api import FakeCluster
from fake_helm import WORKLOAD

WAY = ["0.35.3", "0.36.1"]


def marked(cluster: FakeCluster, **mark: Any) -> None:
    text = json.dumps({"revision": 1, "version": "0.34.0", "paused": False, **mark})
    cluster.change(WORKLOAD, {"metadata": {"annotations": {well_known.WAY_BACK: text}}})


def pause(cluster: FakeCluster) -> None:
    annotations = {well_known.PAUSED: "true"}
    cluster.change(WORKLOAD, {"metadata": {"annotations": annotations}, "spec": {"replicas": 0}})


def calls_of(calls: list[str]) -> list[str]:
    return [call for call in calls if call != "render"]
