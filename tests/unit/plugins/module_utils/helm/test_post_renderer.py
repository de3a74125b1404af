# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of postrender: workloads come to rest, and nothing else in the manifest changes by a byte."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
import yaml
from ansible_collections.nested.clusters.plugins.module_utils.helm import post_renderer

# What parsers disagree on: written anew, some of it would be another value for helm.
OTHERS = """\
---
# Source: vcluster/templates/config-secret.yaml
apiVersion: v1
kind: Secret
metadata: {name: demo}
data: {a: 1e3, b: yes, c: 12:30:45, d: 0o17, e: 1_000}
spec: {replicas: 5}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other, annotations: {}}
spec: {replicas: 2}
"""
SET = """\
---
# Source: vcluster/templates/statefulset.yaml
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: demo
  labels:
    app: vcluster
spec:
  replicas: 3
  # a comment, and what looks like ours
  template:
    spec:
      replicas: 3
      containers: [{name: syncer, env: [{name: A, value: 1e3}]}]
"""
IN_BLOCKS = SET.replace("  labels:", '  annotations:\n    own: "yes"\n  labels:')
MORE = {"example.com/ran": 'a "quoted" text'}
EXPECTED = {**MORE, post_renderer.PAUSED: "true", post_renderer.PAUSED_REPLICAS: "3"}


def read(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize(
    ("text", "own", "count"),
    [
        pytest.param(SET, {}, "3", id="no annotations"),
        pytest.param(IN_BLOCKS, {"own": "yes"}, "3", id="annotations"),
        pytest.param(SET.replace("  labels:", "  annotations: {}\n  labels:"), {}, "3", id="empty ones"),
        pytest.param(SET.replace("  labels:", "  annotations:\n  labels:"), {}, "3", id="null"),
        pytest.param(SET.replace("  labels:", "  annotations: {a: b}\n  labels:"), {"a": "b"}, "3", id="in braces"),
        pytest.param(SET.replace("  replicas: 3\n  #", "  #"), {}, "1", id="no replicas"),
        pytest.param(SET.replace("  replicas: 3\n  #", "  replicas:\n  #"), {}, "1", id="null replicas"),
        pytest.param(SET.replace("  replicas: 3\n  #", "  replicas: 0\n  #"), {}, "0", id="0 replicas"),
        pytest.param(
            "---\nkind: Deployment\nmetadata: {name: demo}\nspec: {replicas: 3, template: {}}\n", {}, "3", id="flow"
        ),
        pytest.param(post_renderer.at_rest(SET, ["demo"], MORE), {}, "0", id="at rest already"),
    ],
)
def test_post_renderer_named_workload_has_no_replicas(text: str, own: dict[str, str], count: str) -> None:
    before = read(text)[0]
    first, second, after = read(post_renderer.at_rest(OTHERS + text, ["demo", "demo-etcd"], MORE))
    assert [first, second] == read(OTHERS)
    assert after["metadata"].pop("annotations") == {**own, **EXPECTED, post_renderer.PAUSED_REPLICAS: count}
    assert after["spec"].pop("replicas") == 0
    before["metadata"].pop("annotations", None)
    before["spec"].pop("replicas", None)
    assert after == before


@pytest.mark.parametrize("text", [SET, IN_BLOCKS])
def test_post_renderer_keeps_other_bytes(text: str) -> None:
    result = post_renderer.at_rest(OTHERS + text, ["demo"], MORE)
    assert result.startswith(OTHERS)
    kept = [line for line in result.splitlines() if "loft.sh/" not in line and "example.com/" not in line]
    assert kept == [line if line != "  replicas: 3" else "  replicas: 0" for line in (OTHERS + text).splitlines()]


def test_post_renderer_other_names_are_kept() -> None:
    assert post_renderer.at_rest(OTHERS + SET, ["demo-etcd"], MORE) == OTHERS + SET


def run(text: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, write_through=True))
    post_renderer.main(names, MORE)
    return written.getvalue().decode()


@pytest.mark.parametrize("text", [OTHERS + SET, OTHERS + IN_BLOCKS, OTHERS + "---\n# nothing\n" + SET])
def test_post_renderer_as_helm_runs_it(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(text, ["demo"], monkeypatch) == post_renderer.at_rest(text, ["demo"], MORE)


def test_post_renderer_unknown_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two equal keys the last counts, and helm would start what is said there."""
    with pytest.raises(SystemExit, match="replicas of demo cannot be set to 0"):
        run(SET.replace("  template:", "  replicas: 2\n  template:"), ["demo"], monkeypatch)
