# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of steps: which states are odd, which are refused, and when values decide."""

from __future__ import annotations

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.listing.observed import ObservedCluster
from ansible_collections.nested.clusters.plugins.module_utils.power import power_steps
from ansible_collections.nested.clusters.plugins.module_utils.virtual_cluster import workloads
from observed_clusters import (
    MARKED,
    Object,
    control,
    etcd,
)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (ObservedCluster(control()), []),
        (ObservedCluster(control(), etcd()), []),
        (ObservedCluster(control(0, annotations=MARKED), etcd(0, annotations=MARKED)), []),
        (ObservedCluster(control(0, annotations={"loft.sh/restoring": "true"})), []),
        (ObservedCluster(control(0, labels={"loft.sh/sleep-mode": "true"})), []),
        (ObservedCluster(control(0)), ["StatefulSet a was scaled to 0 replicas, but not by a pause"]),
        (ObservedCluster(control(1, annotations=MARKED)), ["StatefulSet a is marked as paused, but has 1 replica"]),
        (ObservedCluster(control(1), etcd(0)), ["etcd a-etcd has no replicas, and the control plane waits for it"]),
        (
            ObservedCluster(control(1), etcd(3, annotations=MARKED)),
            ["etcd a-etcd is marked as paused, but has 3 replicas"],
        ),
        (ObservedCluster(control(0, annotations=MARKED), etcd(3)), ["etcd a-etcd still runs"]),
        (
            ObservedCluster(control(0, annotations=MARKED), etcd(0)),
            ["etcd a-etcd was scaled to 0 replicas, but not by a pause"],
        ),
        (
            ObservedCluster(control(2, annotations=MARKED), etcd(0, annotations=MARKED)),
            ["StatefulSet a is marked as paused, but has 2 replicas", "etcd a-etcd has no replicas"],
        ),
    ],
)
def test_note_of_an_odd_cluster_says_why(seen: ObservedCluster, words: list[str]) -> None:
    note = power_steps.note(seen)
    assert bool(note) == bool(words)
    assert all(word in note for word in words)


def deleting() -> Object:
    thing = control()
    thing["metadata"]["deletionTimestamp"] = "now"
    return thing


NO_CLAIM = control(kind="Deployment")
ON_A_DISK = control(kind="Deployment")
ON_A_DISK["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "mine"}}]
IN_MEMORY = control(claim=False)
IN_MEMORY["spec"]["template"]["spec"]["volumes"] = [{"name": "other", "hostPath": {}}, {"name": "data", "emptyDir": {}}]
DATABASE = {"controlPlane": {"backingStore": {"database": {"external": {"enabled": True}}}}}
ETCD_ELSEWHERE = {"controlPlane": {"backingStore": {"etcd": {"external": {"enabled": True}}}}}
OWN = {"controlPlane": {"backingStore": {"database": {"external": {"enabled": False}}, "etcd": None}}}
LOST = "its store has no volume claim"


@pytest.mark.parametrize(
    ("seen", "refused"),
    [
        (ObservedCluster(control()), {}),
        (ObservedCluster(deleting()), dict.fromkeys(power_steps.POWER_STATES, "being deleted")),
        (
            ObservedCluster(control(0, annotations={"loft.sh/restoring": "true"})),
            dict.fromkeys(power_steps.POWER_STATES, "snapshot is being restored"),
        ),
        (
            ObservedCluster(control(0, labels={"loft.sh/sleep-mode": "true"})),
            dict.fromkeys(("running", "restarted"), "platform put it to sleep"),
        ),
        (ObservedCluster(control(0, annotations=MARKED)), {"restarted": "it is paused: use state running"}),
        (ObservedCluster(control(0)), {"restarted": "it is scaled to 0 replicas: use state running"}),
        (ObservedCluster(NO_CLAIM), {"paused": LOST, "restarted": LOST}),
        (ObservedCluster(NO_CLAIM, values=OWN), {"paused": LOST, "restarted": LOST}),
        (ObservedCluster(IN_MEMORY), {"paused": LOST, "restarted": LOST}),
        (ObservedCluster(NO_CLAIM, values=DATABASE), {}),
        (ObservedCluster(NO_CLAIM, values=ETCD_ELSEWHERE), {}),
        (ObservedCluster(ON_A_DISK), {}),
        (ObservedCluster(NO_CLAIM, etcd()), {}),
        (ObservedCluster(NO_CLAIM, etcd(claim=False)), {"paused": "the store of etcd a-etcd has no volume claim"}),
        (ObservedCluster(control(), etcd(claim=False)), {"paused": "the store of etcd a-etcd has no volume claim"}),
        # What does not run has nothing to lose.
        (ObservedCluster(NO_CLAIM, etcd(0, claim=False)), {}),
        (ObservedCluster(control(0, kind="Deployment", annotations=MARKED)), {"restarted": "it is paused"}),
    ],
)
def test_refusal_of_a_state_says_why(seen: ObservedCluster, refused: dict[str, str]) -> None:
    for state in power_steps.POWER_STATES:
        message = power_steps.refusal(seen, state, False)
        assert bool(message) == (state in refused), (state, message)
        assert refused.get(state, "") in message
        accepted = power_steps.refusal(seen, state, True)
        assert accepted == ("" if "volume claim" in message else message)
        assert ("accept_data_loss" in message) == ("volume claim" in message)


@pytest.mark.parametrize(
    ("seen", "needed"),
    [
        (ObservedCluster(control()), ()),
        (ObservedCluster(control(0, annotations=MARKED)), ()),
        (ObservedCluster(control(0)), power_steps.POWER_STATES),
        (ObservedCluster(control(0, annotations={"loft.sh/paused": "true"})), power_steps.POWER_STATES),
        (ObservedCluster(NO_CLAIM), ("paused", "restarted")),
        (ObservedCluster(NO_CLAIM, etcd()), ()),
    ],
)
def test_needs_values_only_where_they_decide(seen: ObservedCluster, needed: tuple[str, ...]) -> None:
    assert tuple(state for state in power_steps.POWER_STATES if power_steps.needs_values(seen, state, False)) == needed
    accepted = tuple(state for state in power_steps.POWER_STATES if power_steps.needs_values(seen, state, True))
    assert accepted == (needed if workloads.replicas(seen.control_plane) == 0 else ())
