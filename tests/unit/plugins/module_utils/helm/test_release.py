# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of release: Helm's records, decoded."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.helm.release import (
    HelmError,
    Release,
    decode_release,
    newest_releases,
)
from helm_releases import raw_secret, release_json, release_secret


def test_decode_release_secret_has_its_parts() -> None:
    assert decode_release(release_secret(3, apply_method="ssa")) == Release(
        name="demo",
        namespace="vcluster-demo",
        revision=3,
        status="deployed",
        chart_name="vcluster",
        chart_version="0.36.1",
        values={"sync": {}},
        manifest="kind: Service\n",
        apply_method="ssa",
        labels={"owner": "helm", "name": "demo", "version": "3", "mine": "yes"},
    )


def test_decode_release_uncompressed_is_read() -> None:
    """Helm 2 did not, and helm 3 still reads such."""
    secret = raw_secret(base64.b64encode(json.dumps(release_json()).encode()))
    assert decode_release(secret).chart_version == "0.36.1"


def test_decode_release_missing_parts_are_empty() -> None:
    secret = raw_secret(base64.b64encode(b'{"name": "demo", "config": null}'))
    release = decode_release(secret)
    assert (release.values, release.manifest, release.status) == ({}, "", "unknown")
    assert (release.chart_name, release.chart_version, release.apply_method) == ("", "", "")


PACKED = gzip.compress(json.dumps(release_json()).encode())


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(raw_secret(b""), id="empty"),
        pytest.param(raw_secret(b"%%%"), id="not base64"),
        pytest.param(raw_secret(base64.b64encode(b"hello")), id="not JSON"),
        pytest.param(raw_secret(base64.b64encode(b"[]")), id="a list"),
        pytest.param(raw_secret(base64.b64encode(b"{}")), id="without a name"),
        pytest.param(raw_secret(base64.b64encode(PACKED[:-12])), id="truncated"),
        pytest.param(raw_secret(base64.b64encode(gzip.compress(b" " * 65 * 1024**2))), id="too large"),
        pytest.param(raw_secret(base64.b64encode(PACKED[:20] + b"\xff" * 8 + PACKED[28:])), id="corrupt"),
        pytest.param({**raw_secret(b""), "data": None}, id="no data"),
        pytest.param({**raw_secret(b""), "data": {}}, id="no release"),
    ],
)
def test_decode_release_broken_secret_is_refused(secret: dict[str, Any]) -> None:
    with pytest.raises(HelmError) as caught:
        decode_release(secret)
    assert "vcluster-demo/sh.helm.release.v1.demo.v1" in str(caught.value)
    assert "restore it from a backup" in str(caught.value)


def test_newest_releases_several_revisions_has_highest_number() -> None:
    """By number: revision 10 is newer than revision 9, in whatever order they are listed."""
    secrets = [release_secret(9), release_secret(10), release_secret(2), release_secret(1, "other")]
    for listed in (secrets, secrets[::-1]):
        newest = newest_releases(listed)
        assert {name: secret["metadata"]["labels"]["version"] for name, secret in newest.items()} == {
            "demo": "10",
            "other": "1",
        }


def test_newest_releases_other_secrets_are_ignored() -> None:
    opaque = {"type": "Opaque", "metadata": {"name": "a", "labels": {"name": "demo", "version": "99"}}}
    nameless = [{"type": "helm.sh/release.v1", "metadata": {"name": name}} for name in "ab"]
    odd = raw_secret(b"", revision="x")
    newest = newest_releases([opaque, *nameless, odd, release_secret(1), odd])
    assert list(newest) == ["demo"]
    assert newest["demo"]["metadata"]["labels"]["version"] == "1"
