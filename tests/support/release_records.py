# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm's records of a release, as the Secrets that hold them."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any


def release_json(revision: int = 1, **changes: Any) -> dict[str, Any]:
    """Return what a record says, with changes."""
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
    """Return the Secret with the record of a revision."""
    payload = base64.b64encode(gzip.compress(json.dumps(release_json(revision, name=name, **changes)).encode()))
    return raw_secret(payload, name, revision)


def raw_secret(payload: bytes, name: str = "demo", revision: Any = 1) -> dict[str, Any]:
    """Return a Secret of Helm's that holds any bytes."""
    return {
        "type": "helm.sh/release.v1",
        "metadata": {
            "name": f"sh.helm.release.v1.{name}.v{revision}",
            "namespace": "vcluster-demo",
            "labels": {"owner": "helm", "name": name, "version": str(revision), "mine": "yes"},
        },
        "data": {"release": base64.b64encode(payload).decode()},
    }
