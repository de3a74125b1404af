# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of Helm's records that somebody else has written: Helm is not let loose on what they name."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError
from ansible_collections.nested.clusters.plugins.module_utils.helm import records
from ansible_collections.nested.clusters.plugins.module_utils.helm.records import ManifestObject
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import HelmError, Release
from fake_api import FakeCluster
from helm_releases import NAME, NAMESPACE, raw_secret, release_json, release_secret

RBAC = "rbac.authorization.k8s.io/v1"
MADE: dict[str, Any] = {
    "labels": dict(well_known.MANAGED_BY_HELM),
    "annotations": {well_known.RELEASE_NAME: NAME, well_known.RELEASE_NAMESPACE: NAMESPACE},
}


class Host(FakeCluster):
    """A host cluster with what is not a tenant's."""

    def __init__(self) -> None:
        super().__init__()
        self.have("ClusterRole", "view")
        self.have("ConfigMap", "coredns", namespace="kube-system", labels={"app.kubernetes.io/managed-by": "addons"})
        self.have("ResourceQuota", f"nested-clusters-{NAME}", namespace=NAMESPACE)
        of_other = {**MADE["annotations"], well_known.RELEASE_NAME: "other"}
        self.have("Role", "audit", **{**MADE, "annotations": of_other}, namespace=NAMESPACE)

    def record(
        self, manifest: str, revision: int = 1, status: str = "deployed", labels: dict[str, str] | None = None
    ) -> None:
        """Have a record with this manifest."""
        secret = release_secret(revision, manifest=manifest, info={"status": status})
        secret["metadata"]["labels"].update({"status": status, **(labels or {})})
        self.store(secret)

    def store(self, secret: dict[str, Any]) -> None:
        """Have a Secret."""
        self.add({"apiVersion": "v1", "kind": "Secret", **secret})


@pytest.fixture
def host() -> Host:
    return Host()


def check(host: Host, rollback_to: int | None = None) -> None:
    records.check(host.client(), NAME, NAMESPACE, rollback_to)


def document(api_version: str, kind: str, name: str, namespace: str = "") -> str:
    where = f", namespace: {namespace}" if namespace else ""
    return f"---\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}{where}}}\n"


USUAL = "".join(
    [
        "# Source: vcluster/templates/service.yaml\n",
        document("v1", "Service", NAME, NAMESPACE),
        document("apps/v1", "StatefulSet", NAME),
        document(RBAC, "Role", f"vc-{NAME}", NAMESPACE),
    ]
)
CLUSTER_ROLE = document(RBAC, "ClusterRole", f"vc-{NAME}-v-{NAMESPACE}")
VIEW = document(RBAC, "ClusterRole", "view")
ITEM = {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": "view"}}

FOREIGN = {
    "in no namespace": (VIEW, "ClusterRole view (of no Helm release)"),
    "in another namespace": (
        document("v1", "ConfigMap", "coredns", "kube-system"),
        "ConfigMap coredns in namespace kube-system (managed by addons)",
    ),
    "a namespace": (document("v1", "Namespace", "kube-system"), "Namespace kube-system (of no Helm release)"),
    "in a list": (
        "---\n" + json.dumps({"apiVersion": "v1", "kind": "List", "items": [ITEM]}),
        "ClusterRole view (of no Helm release)",
    ),
    "in a list of a kind": (
        f"---\napiVersion: {RBAC}\nkind: ClusterRoleList\nitems:\n- metadata: {{name: view}}\n",
        "ClusterRole view (of no Helm release)",
    ),
    "the quota that holds it": (
        document("v1", "ResourceQuota", f"nested-clusters-{NAME}"),
        f"ResourceQuota nested-clusters-{NAME} in namespace {NAMESPACE} (of no Helm release)",
    ),
    "the quota, in a namespace that is null": (
        document("v1", "ResourceQuota", f"nested-clusters-{NAME}", "~"),
        f"ResourceQuota nested-clusters-{NAME} in namespace {NAMESPACE} (of no Helm release)",
    ),
    "of another release": (
        document(RBAC, "Role", "audit"),
        f"Role audit in namespace {NAMESPACE} (of Helm release other in namespace {NAMESPACE})",
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_records_objects_of_others_are_named(what: str, host: Host) -> None:
    manifest, expected = FOREIGN[what]
    host.record(USUAL + manifest)
    with pytest.raises(NestedClustersError) as caught:
        check(host)
    message = str(caught.value)
    assert f"would delete or overwrite: {expected}. " in message
    assert f"Secret sh.helm.release.v1.{NAME}.v1" in message
    assert "restore the Secret from a backup" in message


def test_records_own_objects_elsewhere_are_allowed(host: Host) -> None:
    host.have("ClusterRole", f"vc-{NAME}-v-{NAMESPACE}", **MADE)
    host.have("ConfigMap", "elsewhere", namespace="kube-public", **MADE)
    gone = document("v1", "ConfigMap", "deleted-by-somebody", "kube-system")
    unknown = document("example.com/v1", "Thing", "of-a-kind-that-is-gone")
    host.record(USUAL + CLUSTER_ROLE + document("v1", "ConfigMap", "elsewhere", "kube-public") + gone + unknown)
    check(host)


def test_records_usual_objects_are_not_read(host: Host) -> None:
    host.have("ClusterRole", f"vc-{NAME}-v-{NAMESPACE}", **MADE)
    host.record(USUAL + CLUSTER_ROLE)
    check(host)
    assert host.sent("get") == [f"get /apis/{RBAC}/clusterroles/vc-{NAME}-v-{NAMESPACE}"]


@pytest.mark.parametrize("part", ["labels", "annotations"])
def test_records_object_needs_both_annotations(part: str, host: Host) -> None:
    host.have("ClusterRole", f"vc-{NAME}-v-{NAMESPACE}", **{**MADE, part: {}})
    host.record(CLUSTER_ROLE)
    with pytest.raises(NestedClustersError, match="names objects of others"):
        check(host)


@pytest.mark.parametrize("rest", [{}, {"namespace": ""}, {"namespace": None}])
def test_records_without_namespace_are_of_their_own(rest: dict[str, Any], host: Host) -> None:
    whole = {key: value for key, value in release_json(1, manifest=USUAL).items() if key != "namespace"}
    host.store(raw_secret(base64.b64encode(gzip.compress(json.dumps({**whole, **rest}).encode()))))
    check(host)
    assert host.sent("get") == []


def test_records_missing_are_allowed(host: Host) -> None:
    check(host)


@pytest.mark.parametrize(
    ("revision", "status", "labels"),
    [
        (2, "superseded", {}),
        (2, "failed", {}),
        (2, "pending-upgrade", {}),
        (2, "deployed", {"vcluster.loft.sh/managed-by": "x"}),
        # Helm takes an older one for what is deployed, where two say that they are.
        (1, "superseded", {"status": "deployed"}),
    ],
)
def test_records_newest_is_checked(revision: int, status: str, labels: dict[str, str], host: Host) -> None:
    """Whatever its labels say to hide it."""
    host.record(USUAL, 3 - revision)
    host.record(VIEW, revision, status, labels)
    with pytest.raises(NestedClustersError, match="ClusterRole view"):
        check(host)


def test_records_old_one_is_checked_for_rollback(host: Host) -> None:
    host.record(VIEW, 1, "superseded")
    host.record(USUAL, 2)
    check(host)
    with pytest.raises(NestedClustersError, match="ClusterRole view"):
        check(host, rollback_to=1)


@pytest.mark.parametrize(
    "changes",
    [{"name": "other"}, {"namespace": "kube-system"}, {"version": 7}],
    ids=["another name", "another namespace", "another revision"],
)
def test_records_inconsistent_are_refused(changes: dict[str, Any], host: Host) -> None:
    payload = json.dumps({**release_json(1), **changes}).encode()
    host.store(raw_secret(base64.b64encode(gzip.compress(payload))))
    with pytest.raises(HelmError, match=f"Secret {NAMESPACE}/sh.helm.release.v1.{NAME}.v1 has the labels and the name"):
        check(host)


@pytest.mark.parametrize(
    "text",
    [
        # What is in front is read here, what comes after it by Go.
        '"manifest": "", "manifest": ' + json.dumps(VIEW),
        '"manifest": "", "Manifest": ' + json.dumps(VIEW),
        '"manifest": "", "manife\u017ft": ' + json.dumps(VIEW),
        '"info": {"status": "superseded", "Status": "deployed"}',
    ],
    ids=["twice", "in capitals", "folded", "inside"],
)
def test_records_ambiguous_json_is_refused(text: str, host: Host) -> None:
    whole = json.dumps({key: value for key, value in release_json(1).items() if key not in ("manifest", "info")})
    host.store(raw_secret(base64.b64encode(gzip.compress((whole[:-1] + ", " + text + "}").encode()))))
    with pytest.raises(HelmError, match="does not contain a Helm release"):
        check(host)


@pytest.mark.parametrize(
    "manifest",
    [
        "kind: Service\nkind: ClusterRole\nmetadata: {name: view}\n",
        "kind: Service\n<<: {kind: ClusterRole}\nmetadata: {name: view}\n",
        "kind: List\nitems: [{kind: List, items: []}]\n",
        "&a {kind: List, items: [*a]}\n",
        json.dumps(ITEM) + json.dumps(ITEM),
        "kind: [\n",
        f"---kind: ClusterRole\napiVersion: {RBAC}\nmetadata: {{name: view}}\n",
        "  ---" + json.dumps(ITEM, separators=(",", ":")),
        f"# x\n--- |\n kind: ClusterRole\n apiVersion: {RBAC}\n metadata: {{name: view}}\n",
        f"? !!binary a2luZA==\n: ClusterRole\napiVersion: {RBAC}\nmetadata: {{name: view}}\n",
        document(RBAC, "ClusterRole", "!!binary dmlldw=="),
        document("v1", "ResourceQuota", f"nested-clusters-{NAME}", "5"),
        document("v1", "ResourceQuota", f"nested-clusters-{NAME}", "1e3"),
        document("v1", "ResourceQuota", f"nested-clusters-{NAME}", "yes"),
        document("v1", "ResourceQuota", f"nested-clusters-{NAME}", "!!null x"),
    ],
    ids=[
        *("twice", "merged", "a list in a list", "a list in itself", "two in one", "broken"),
        *("a separator with a key", "a separator with an object", "a separator with a text"),
        *("a key in base64", "a name in base64"),
        *("a namespace that is a number", "a fraction", "a truth value", "a tag of null"),
    ],
)
def test_records_ambiguous_manifest_is_refused(manifest: str, host: Host) -> None:
    host.record(manifest)
    with pytest.raises(HelmError, match="has a manifest that Helm did not write"):
        check(host)


def test_records_names_are_read_as_text() -> None:
    """YAML 1.1 makes numbers, dates and truth values of them; Kubernetes and Helm do not."""
    names = ("22:30", "2024-01-01", "1e3", "0o7", "on")
    manifest = "".join(document("v1", "ConfigMap", name, '"yes"') for name in names)
    release = Release.from_json(release_json(1, manifest=f"# nothing\n---\n{manifest}---\nnull\n---\n- a\n"))
    assert records.named(release) == [ManifestObject("v1", "ConfigMap", "yes", name) for name in names]
