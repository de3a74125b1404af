# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm's records with a manifest of a test's choice, on host clusters in memory."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from ansible_collections.nested.clusters.plugins.module_utils.common import well_known
from helm_releases import raw_secret, release_json
from populated_host import PopulatedHost
from tasks_on_hosts import Result


def have_manifest(
    host: PopulatedHost, name: str, *documents: dict[str, Any], changes: dict[str, Any] | None = None
) -> None:
    """Have the manifest of a release name these objects, and nothing else."""
    namespace = f"vcluster-{name}"
    manifest = "---\n".join(json.dumps(document) + "\n" for document in documents)
    parts = {"name": name, "namespace": namespace, "manifest": manifest, **(changes or {})}
    payload = base64.b64encode(gzip.compress(json.dumps(release_json(1, **parts)).encode()))
    path = f"/api/v1/namespaces/{namespace}/secrets/sh.helm.release.v1.{name}.v1"
    host.change(path, {"data": raw_secret(payload)["data"]})


def marked(name: str) -> dict[str, Any]:
    """Labels and annotations of what Helm made for a virtual cluster, or of a copy of that."""
    chart = {"app": "vcluster", "release": name, **well_known.MANAGED_BY_HELM}
    of_helm = {well_known.RELEASE_NAME: name, well_known.RELEASE_NAMESPACE: f"vcluster-{name}"}
    return {"labels": chart, "annotations": of_helm}


COPIES = [("Secret", "vc-config-a"), ("ConfigMap", "elsewhere"), ("PersistentVolumeClaim", "data-a-0")]


def nginx(namespace: str) -> Result:
    return release_json(1, name="a", namespace=namespace, chart={"metadata": {"name": "nginx", "version": "1.0.0"}})
