# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of backing_store: which store values choose."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.values.backing_store import store_of
from values_builders import DEPLOYED_ETCD, EMBEDDED_ETCD, EXTERNAL_DATABASE, EXTERNAL_ETCD, SQLITE, STORES, values


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], "embedded-sqlite"),
        ([SQLITE], "embedded-sqlite"),
        ([DEPLOYED_ETCD], "deployed-etcd"),
        ([EMBEDDED_ETCD], "embedded-etcd"),
        ([EXTERNAL_ETCD], "external-etcd"),
        ([EXTERNAL_DATABASE], "external-database"),
        ([(f"{STORES}.etcd.deploy.enabled", False)], "embedded-sqlite"),
        ([("controlPlane", None)], "embedded-sqlite"),
    ],
)
def test_store_of_values_is_that_of_the_chart(settings: list[tuple[str, Any]], expected: str) -> None:
    assert store_of(values(*settings)).vcluster_name == expected
