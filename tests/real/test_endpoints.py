# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints on a real host cluster: they answer before a task ends, and a broken one is named link by link."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from host_api import Host
from modules import Module, same
from places import Place, place
from waiting import eventually

# One virtual cluster for all. One test lets the host cluster look as if it had a load balancer: no test beside these
# may be about there being none.
pytestmark = pytest.mark.xdist_group("endpoints")

NODE_PORT: dict[str, Any] = {"endpoint": {"type": "node_port"}}


@pytest.fixture(scope="module")
def where(host: Host, vcluster: Module) -> Iterator[Place]:
    """A virtual cluster behind a port of its node."""
    with place(host, "end") as found:
        check = vcluster(check=True, name=found.name, **NODE_PORT)
        run = vcluster(name=found.name, **NODE_PORT)
        check["virtual_cluster"] = run["virtual_cluster"]
        same(check, run)
        yield found


@pytest.fixture(scope="module")
def info(host: Host, vcluster: Module) -> Module:
    """The module nested.clusters.vcluster_endpoint_info."""
    return Module(host, vcluster.directory, "vcluster_endpoint_info")


def links(result: dict[str, Any]) -> dict[str, bool]:
    return {link["name"]: link["ok"] for link in result["endpoint"]["links"]}


def broken(result: dict[str, Any]) -> str:
    """The link that is broken, and why; those before it hold."""
    *others, last = result["endpoint"]["links"]
    assert all(link["ok"] for link in others)
    assert (last["ok"], result["endpoint"]["answers"]) == (False, False)
    return f"{last['name']}: {last['message']}"


def service(host: Host, where: Place) -> dict[str, Any]:
    found: dict[str, Any] = host.get(where.path("services", where.name))
    return found


def test_endpoint_node_port_answers(host: Host, vcluster: Module, info: Module, where: Place) -> None:
    """Through the node, with the virtual cluster's own certificate; the kubeconfig leads there and works."""
    result = vcluster(name=where.name, **NODE_PORT, export_kubeconfig={"return_content": True})
    assert result["steps"] == []
    assert links(result) == dict.fromkeys(("route", "dns", "address", "certificate", "api"), True)
    url = result["endpoint"]["url"]
    assert url.endswith(f":{service(host, where)['spec']['ports'][0]['nodePort']}")
    assert result["kubeconfig"]["clusters"][0]["cluster"]["server"] == url
    assert info(name=where.name)["endpoint"] == result["endpoint"]


def test_kubeconfig_for_the_host_cluster_names_the_service(host: Host, vcluster: Module, where: Place) -> None:
    """For what runs there, the Service's name; vCluster's own Secret stays as it was."""
    before = host.get(where.path("secrets", f"vc-{where.name}"))["data"]
    export = {"in_cluster": True, "return_content": True}
    result = vcluster(name=where.name, export_kubeconfig=export)
    server = result["kubeconfig"]["clusters"][0]["cluster"]["server"]
    assert server == f"https://{where.name}.{where.namespace}"
    assert host.get(where.path("secrets", f"vc-{where.name}"))["data"] == before


def test_endpoint_of_another_type_answers_as_soon_as_it_has_an_address(
    host: Host, vcluster: Module, info: Module, where: Place
) -> None:
    """A load balancer that gives no address is named; when it does, the same task ends well; and back again."""
    host.create(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        {
            "metadata": {"name": "pools.purelb.io"},
            "spec": {
                "group": "purelb.io",
                "scope": "Cluster",
                "names": {"kind": "Pool", "plural": "pools"},
                "versions": [
                    {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
                ],
            },
        },
    )
    endpoint = {"type": "load_balancer", "host": f"{where.name}.example.com"}
    balanced: dict[str, Any] = {"name": where.name, "endpoint": endpoint}
    try:
        eventually("the API of a load balancer", lambda: host.get("/apis/purelb.io"))
        message = vcluster.refused(**balanced, wait_timeout=40)
        assert "does not answer after 40 s: route: its Service has no address" in message
        assert broken(info(name=where.name)).startswith("route: ")
        address = service(host, where)["spec"]["clusterIP"]
        status = {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}
        host.request("PATCH", where.path("services", where.name) + "/status", status, "application/merge-patch+json")
        result = vcluster(**balanced)
        assert result["endpoint"]["url"] == f"https://{address}"
        assert links(result)["api"]
    finally:
        host.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pools.purelb.io")
    result = vcluster(name=where.name, **NODE_PORT)
    assert result["endpoint"]["answers"]
    assert service(host, where)["spec"]["type"] == "NodePort"


def test_endpoint_without_backend_is_broken_at_its_address(host: Host, info: Module, where: Place) -> None:
    """Somebody's selector leads to no pod any more: nobody answers at the address."""
    selector = service(host, where)["spec"]["selector"]
    host.patch(where.path("services", where.name), {"spec": {"selector": {**selector, "app": "nobody"}}})
    try:
        eventually("no backend", lambda: broken_at(info, where) == "address")
    finally:
        host.patch(where.path("services", where.name), {"spec": {"selector": selector}})
    eventually("a backend", lambda: info(name=where.name)["endpoint"]["answers"])


def broken_at(info: Module, where: Place) -> str | None:
    found = info(name=where.name)["endpoint"]
    return None if found["answers"] else str(found["links"][-1]["name"])
