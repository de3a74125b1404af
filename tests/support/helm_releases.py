# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm's records of releases, as the Secrets that a host cluster has."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

NAME, NAMESPACE = "demo", "vcluster-demo"


def release_json(revision: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "name": "demo",
        "namespace": "vcluster-demo",
        "version": revision,
        "info": {"status": "deployed"},
        "chart": {"metadata": {"name": "vcluster", "version": "0.36.1"}},
        "config": {"sync": {}},
        "manifest": "kind: Service\n",
        **changes,
    }


def release_secret(revision: int = 1, name: str = "demo", **changes: Any) -> dict[str, Any]:
    payload = base64.b64encode(gzip.compress(json.dumps(release_json(revision, name=name, **changes)).encode()))
    return raw_secret(payload, name, revision)


def raw_secret(payload: bytes, name: str = "demo", revision: Any = 1) -> dict[str, Any]:
    return {
        "type": "helm.sh/release.v1",
        "metadata": {
            "name": f"sh.helm.release.v1.{name}.v{revision}",
            "namespace": "vcluster-demo",
            "labels": {"owner": "helm", "name": name, "version": str(revision), "mine": "yes"},
        },
        "data": {"release": base64.b64encode(payload).decode()},
    }
