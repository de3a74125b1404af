# SPDX-License-Identifier: GPL-3.0-or-later
"""vcluster_info of virtual clusters that only a node shows: an image that it cannot pull, and a pause of the CLI."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host_api import Host
from modules import Module
from places import Place
from waiting import eventually

IMAGE = {"repository": "loft-sh/vcluster-oss"}
# Never, because a pull is given up only after a minute and a half.
NO_SUCH_IMAGE = {
    "controlPlane": {"statefulSet": {"image": {**IMAGE, "tag": "no-such-tag"}, "imagePullPolicy": "Never"}}
}


@pytest.fixture(scope="module")
def info(vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_info."""
    return Module(vcluster.host, vcluster.directory, "vcluster_info")


def one(info: Module, where: Place, **options: Any) -> dict[str, Any] | None:
    """What the module says of one virtual cluster."""
    found = info(**where.options, **options)["virtual_clusters"]
    assert len(found) <= 1
    return found[0] if found else None


def test_info_of_missing_image_is_failed(
    host: Host, info: Module, new: Callable[..., Place], tmp_path: Path
) -> None:
    """It is seen, and reported as failed with the image that cannot be pulled."""
    where = new("helm")
    values = tmp_path / "values.json"
    values.write_text(json.dumps(NO_SUCH_IMAGE), encoding="utf-8")
    chart = [host.chart] if host.chart else ["vcluster", "--repo", "https://charts.loft.sh"]
    options = ["--namespace", where.namespace, "--create-namespace", "--values", str(values)]
    host.call("helm", "install", where.name, *chart, *options)

    def failed() -> dict[str, Any] | None:
        found = one(info, where)
        return found if found and found["phase"] == "failed" else None

    found = eventually("failed", failed)
    assert "no-such-tag" in found["message"]
    assert found["managed"] is False


@pytest.mark.xdist_group("plain")
def test_info_of_paused_by_cli_is_paused(info: Module, plain: Place, cli: Callable[..., str]) -> None:
    """What `vcluster pause` did is called paused, and running again after `vcluster resume`."""
    cli("pause", plain.name, "--namespace", plain.namespace)
    found = one(info, plain)
    assert found is not None
    assert (found["phase"], found["replicas"]) == ("paused", 0)
    cli("resume", plain.name, "--namespace", plain.namespace)
    eventually("running", lambda: (one(info, plain) or {}).get("phase") == "running")
