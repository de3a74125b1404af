# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of chart: where helm finds a chart."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.helm.chart import Chart
from helm_charts import REPOSITORY


@pytest.mark.parametrize(
    ("reference", "version", "local", "arguments"),
    [
        ("vcluster", "0.36.1", False, ["vcluster", "--repo", REPOSITORY, "--version", "0.36.1"]),
        ("vcluster", None, False, ["vcluster", "--repo", REPOSITORY]),
        ("oci://ghcr.io/x/vcluster", "0.36.1", False, ["oci://ghcr.io/x/vcluster", "--version", "0.36.1"]),
        ("/charts/vcluster", "0.36.1", True, ["/charts/vcluster"]),
        ("/charts/vcluster-0.36.1.tgz", None, True, ["/charts/vcluster-0.36.1.tgz"]),
        ("vcluster-0.36.1.tgz", None, True, ["CWD/vcluster-0.36.1.tgz"]),
        ("./vcluster", None, True, ["CWD/vcluster"]),
        ("~/vcluster", None, True, ["HOME/vcluster"]),
        ("/charts/vcluster-{version}.tgz", "0.36.1", True, ["/charts/vcluster-0.36.1.tgz"]),
        ("oci://x/v{version}/vcluster", "0.36.1", False, ["oci://x/v0.36.1/vcluster", "--version", "0.36.1"]),
    ],
)
def test_chart_reference_has_arguments_for_helm(
    reference: str,
    version: str | None,
    local: bool,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "vcluster").mkdir()  # a directory that is called like the chart is not the chart
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    chart = Chart(reference, REPOSITORY, None)
    assert chart.versioned == ("{version}" in reference)
    chart = chart.of(version) if version else chart
    expected = [text.replace("CWD", str(tmp_path)).replace("HOME", "/home/somebody") for text in arguments]
    assert (chart.local, chart.arguments()) == (local, expected)
