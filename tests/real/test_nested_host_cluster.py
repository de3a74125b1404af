# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual cluster is no member of a cluster group."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from host_api import Host, open_host
from modules import Module
from places import Place
from waiting import eventually


@pytest.mark.xdist_group("plain")
def test_a_virtual_cluster_is_no_host_cluster(
    host: Host, vcluster: Module, plain: Place, vcluster_group: Module, tmp_path: Path
) -> None:
    """What runs on a host cluster is none itself."""
    where = plain
    file = tmp_path / "kubeconfig"
    address = f"https://{where.name}.{where.namespace}"
    vcluster(name=where.name, export_kubeconfig={"path": str(file)})
    service = host.get(where.path("services", where.name))["spec"]["clusterIP"]
    config = yaml.safe_load(file.read_text())
    config["clusters"][0]["cluster"].update({"server": f"https://{service}", "tls-server-name": address[8:]})
    file.write_text(yaml.safe_dump(config))
    inside = open_host(str(file))
    eventually("a node inside", lambda: inside.items("/api/v1/nodes"))
    message = vcluster_group.refused(name="it-inside", host_clusters=[{"name": "host-a", "kubeconfig": str(file)}])
    assert "virtual cluster itself" in message
