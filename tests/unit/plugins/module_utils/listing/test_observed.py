# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of observed: what a virtual cluster synced to its host cluster."""

from __future__ import annotations

from ansible_collections.nested.clusters.plugins.module_utils.listing import observed
from ansible_collections.nested.clusters.plugins.module_utils.listing.observed import ObservedCluster
from observed_clusters import (
    control,
    synced,
)
from simulated_host import SYNCED


def test_synced_by_a_cluster_are_its_pods() -> None:
    seen = ObservedCluster(control())
    foreign = {"metadata": {**synced("f")["metadata"], "labels": {SYNCED: "b"}}}
    pods = [synced("x"), synced("y", "more"), synced("z", "elsewhere"), foreign]
    assert [one["metadata"]["name"] for one in observed.synced_by(seen, pods)] == ["x"]
    assert [one["metadata"]["name"] for one in observed.synced_by(seen, pods, ["more"])] == ["x", "y"]


def test_marker_of_a_long_name_is_shortened_as_vcluster_does() -> None:
    """As vCluster writes it: longer ones end in the first ten digits of a SHA-256."""
    assert observed.marker("a", "vcluster-a") == "vcluster-a-x-a"
    long = observed.marker("n" * 40, "vcluster-" + "n" * 40)
    assert long == "vcluster-" + "n" * 40 + "-x-" + "-2d824a1423"
