# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of ownership: whose an object and a namespace are."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.deletion import ownership
from ansible_collections.nested.clusters.plugins.module_utils.listing.contents import ObjectRef
from helm_releases import NAME, NAMESPACE
from single_deletions import (
    CHART,
    HELM,
    OURS,
    thing,
)

CERTAIN = thing("statefulsets", "demo", labels=CHART)


@pytest.mark.parametrize(
    "candidate",
    [
        thing("pods", "a", labels={"vcluster.loft.sh/managed-by": "demo"}),
        thing("services", "a", labels={"vcluster.loft.sh/belongs-to": "demo"}),
        thing("statefulsets", "demo", labels=CHART),
        thing("persistentvolumeclaims", "data-demo-etcd-0", labels={"app": "vcluster-etcd", "release": "demo"}),
        thing("secrets", "vc-demo", labels={"app": "vcluster", "vcluster-name": "demo"}),
        thing("services", "a", labels={**CHART, "chart": "vcluster-0.36.1"}),
        thing("services", "a", labels={"app": "vcluster-api", "release": "demo", "chart": "vcluster-k8s-0.15.7"}),
        thing("services", "a", annotations=HELM),
        thing("secrets", "sh.helm.release.v1.demo.v1", "helm.sh/release.v1", labels={"name": "demo"}),
    ],
    ids=str,
)
def test_belongs_by_labels_or_annotations_is_true(candidate: ObjectRef) -> None:
    assert ownership.belongs(candidate, "demo")
    assert not ownership.belongs(candidate, "other")


@pytest.mark.parametrize(
    "candidate",
    [
        thing("pods", "demo-0"),
        thing("pods", "a", labels=None, annotations=None),
        thing("pods", "a", labels={"release": "demo", "app": "web"}),
        thing("pods", "a", labels={"release": "demo"}),
        thing("deployments", "a", labels={"release": "demo", "app": "vcluster-dashboard"}),
        thing("secrets", "a", labels={"vcluster-name": "demo", "app": "vcluster-dashboard"}),
        thing("services", "a", labels={**CHART, "chart": "vcluster-dashboard-1.2.3"}),
        thing("persistentvolumeclaims", "data-demo-0", labels={"app": "web"}),
        thing("services", "a", annotations={**HELM, "meta.helm.sh/release-namespace": "elsewhere"}),
        thing("secrets", "a", labels=CHART, annotations={**HELM, "meta.helm.sh/release-namespace": "elsewhere"}),
        thing("secrets", "a", "helm.sh/release.v1", labels={"name": "web", "app": "vcluster", "release": "demo"}),
        thing("secrets", "demo-certs"),
        thing("leases", "demo"),
        thing("configmaps", "demo-config-vcluster-x"),
        *(
            thing("secrets", "vc-demo", labels={"vcluster.loft.sh/managed-by": "outer", **labels}, annotations=HELM)
            for labels in (CHART, {"app": "vcluster", "vcluster-name": "demo"}, {well_known.REQUESTED: "demo"})
        ),
    ],
    ids=str,
)
def test_sort_out_of_foreign_objects_leaves_them(candidate: ObjectRef) -> None:
    assert ownership.sort_out([candidate], "demo") == ([], [candidate])


def test_sort_out_of_unlabelled_objects_takes_them_beside_certain_ones() -> None:
    candidate = dataclasses.replace(thing("secrets", "demo-certs"), written_for="demo")
    assert ownership.sort_out([candidate], "demo") == ([], [candidate])
    assert ownership.sort_out([candidate], "demo", known=True) == ([candidate], [])
    assert ownership.sort_out([candidate, CERTAIN], "demo")[1] == []
    assert ownership.sort_out([candidate], "other", known=True)[0] == []


def test_sort_out_of_owned_objects_follows_their_owners() -> None:
    def owned(name: str, *owners: str) -> ObjectRef:
        return thing("things", name, ownerReferences=[{"uid": uid} for uid in owners])

    chain = [owned("c", "b"), owned("b", "a"), owned("a", "demo"), owned("shared", "x", "a")]
    foreign = [owned("y", "x"), thing("things", "z"), ObjectRef("v1", "things", {"name": "(no permission to list)"})]
    mine, rest = ownership.sort_out([*chain, *foreign, CERTAIN], "demo")
    assert {candidate.name for candidate in mine} == {"demo", "a", "b", "c", "shared"}
    assert rest == foreign


@pytest.mark.parametrize(
    ("parts", "expected"),
    [  # What SafeConcatName of vCluster 0.36.1 (pkg/util/translate) gives.
        (("team", "x", "demo"), "team-x-demo"),
        (("n" * 58, "x", "d"), "n" * 58 + "-x-d"),
        (("n" * 60, "x", "d"), "n" * 52 + "-2e0f9fb5d3"),
        (("vcluster-" + "a" * 40, "x", "b" * 40), "vcluster-" + "a" * 40 + "-x--9a5005e8e1"),
        (("a." * 26 + "tail", "x", "demo-demo-demo"), "a." * 25 + "a-b0010da380"),
        (("a.-" * 22 + "tail",), "a-" * 17 + "a-e39d938df7"),
    ],
)
def test_safe_concat_of_long_names_is_that_of_vcluster(parts: tuple[str, ...], expected: str) -> None:
    assert well_known.safe_concat(*parts) == expected


@pytest.mark.parametrize(
    ("annotations", "namespace", "seen", "expected"),
    [
        (None, NAMESPACE, True, False),
        ({}, NAMESPACE, True, False),
        ({well_known.CREATED: "false"}, NAMESPACE, True, False),
        ({well_known.NAME_ANNOTATION: NAME}, NAMESPACE, True, False),
        (OURS, NAMESPACE, False, True),
        (OURS, "team", False, True),
        ({**OURS, well_known.NAME_ANNOTATION: "other"}, NAMESPACE, True, False),
        # The CLI's does not say for whom: the virtual cluster that is in it, or the name of the namespace.
        ({well_known.CREATED: "true"}, "team", True, True),
        ({well_known.CREATED: "true"}, NAMESPACE, False, True),
        ({well_known.CREATED: "true"}, "team", False, False),
    ],
)
def test_made_for_a_cluster_follows_from_annotations(
    annotations: dict[str, str] | None, namespace: str, seen: bool, expected: bool
) -> None:
    found = {"metadata": {"annotations": annotations}}
    assert ownership.made_for(found, NAME, namespace, seen) is expected
