# SPDX-License-Identifier: GPL-3.0-or-later
"""The two versions of vCluster between which tests upgrade."""

from __future__ import annotations

import tomllib
from modules import REPOSITORY

VERSIONS = tomllib.loads((REPOSITORY / "tests/host_cluster/versions.toml").read_text())
AFTER, BEFORE = (VERSIONS["modules"][name]["version"].removeprefix("v") for name in VERSIONS["charts"]["modules"])
WAY_BACK = "nested-clusters/way-back"  # annotation of a workload that is being upgraded
