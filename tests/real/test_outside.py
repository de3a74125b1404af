# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to virtual clusters, for a client in another network: each leads to its own, and nobody on it reads along.

Molecule's scenario endpoints runs this, on a host cluster with what it needs: MetalLB with three addresses, Traefik
behind one of them for Ingresses and a Gateway, and a DNS server where *.vc.example.com is that address. The same two
virtual clusters go through all ways, one after the other.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from host_api import Host
from modules import Module
from outside import DOMAIN, ENDPOINTS, Client, Way, fingerprint, outside
from places import Place, place
from waiting import eventually

GATEWAY = "/apis/gateway.networking.k8s.io/v1/namespaces/nested-gateway/gateways/virtual-clusters"
BEHIND_TRAEFIK = "/apis/discovery.k8s.io/v1/namespaces/traefik/endpointslices/traefik"
LINKS = ["route", "dns", "address", "certificate", "api"]


@pytest.fixture(scope="module")
def client(host: Host) -> Iterator[Client]:
    with outside(host) as found:
        yield found


@pytest.fixture(scope="module")
def places(host: Host) -> Iterator[list[Place]]:
    """Two virtual clusters to be."""
    with ExitStack() as stack:
        yield [stack.enter_context(place(host, word)) for word in ("out-a", "out-b")]


@pytest.fixture(scope="class")
def way(
    request: pytest.FixtureRequest,
    client: Client,
    vcluster: Module,
    places: list[Place],
    tmp_path_factory: pytest.TempPathFactory,
) -> Way:
    """Both on the way of this class. The tasks run where the client is: the endpoint answers there, before they end."""
    directory = tmp_path_factory.getbasetemp() / "kubeconfigs"
    directory.mkdir(exist_ok=True)
    found = Way(request.cls.kind, client, vcluster.defaults, directory, places)
    found.go()
    for where in places:  # the first way makes it
        client.kubectl(found.kubeconfig(where), "create", "namespace", f"only-in-{where.name}", check=False)
    return found


class OneWay:
    """What has to be true of every way."""

    kind = ""

    def test_it_answers(self, way: Way) -> None:
        """The module's own proof, link by link; the same task once more has nothing to do."""
        for where in way.places:
            found = way.results[where.name]["endpoint"]
            assert [link["name"] for link in found["links"] if link["ok"]] == LINKS
            seen = way.info(where)
            assert (seen["answers"], seen["url"]) == (True, found["url"])
        again = way.vcluster(**way.options(way.places[0]))
        assert (again["steps"], again["changed"]) == ([], False)

    def test_each_leads_to_its_own(self, way: Way) -> None:
        """kubectl lists what is in the virtual cluster of the kubeconfig, and not in the other."""
        for own, other in (way.places, way.places[::-1]):
            said = way.client.kubectl(way.kubeconfig(own), "get", "namespaces", "--output=name").stdout.split()
            assert f"namespace/only-in-{own.name}" in said
            assert f"namespace/only-in-{other.name}" not in said

    def test_tls_ends_at_the_control_plane(self, way: Way, tmp_path: Path) -> None:
        """The certificate outside is the one of the control plane, by its CA in the Secret; never the other's."""
        for own, other in (way.places, way.places[::-1]):
            secret = way.host.get(own.path("secrets", f"vc-{own.name}"))
            authority = tmp_path / own.name
            authority.write_bytes(base64.b64decode(secret["data"]["certificate-authority"]))
            said = way.client.tls(way.address(own), f"{own.name}.{DOMAIN}", authority)
            assert "Verify return code: 0 (ok)" in said
            shown = fingerprint(said)
            assert shown
            assert shown == way.of_its_own(own)
            assert shown != way.of_its_own(other)


class TestLoadBalancer(OneWay):
    """Services of type LoadBalancer: an address of MetalLB's pool for each."""

    kind = "load_balancer"

    def test_two_addresses(self, way: Way) -> None:
        """Of the pool; whatever name one is asked for, it shows no certificate but its own."""
        first, second = way.places
        pool = {f"{os.environ['OUTSIDE_DNS'].rpartition('.')[0]}.{number}" for number in (150, 151, 152)}
        assert {way.address(first), way.address(second)} < pool
        assert way.address(first) != way.address(second)
        said = way.client.tls(way.address(first), f"{second.name}.{DOMAIN}")
        assert fingerprint(said) == way.of_its_own(first)

    def test_the_client_is_outside(self, way: Way) -> None:
        """What is in the host cluster only is out of its reach: the ways are the only ones."""
        service = way.host.get(way.places[0].path("services", way.places[0].name))
        assert fingerprint(way.client.tls(service["spec"]["clusterIP"], "x")) is None
        assert way.of_its_own(way.places[0])  # which was asked there, from the machine

    def test_an_address_that_is_taken_away(self, way: Way) -> None:
        """MetalLB gives none that is not in its pools."""
        where = way.places[0]
        path, wish = where.path("services", where.name), "metallb.io/loadBalancerIPs"
        way.host.patch(path, {"metadata": {"annotations": {wish: "198.51.100.1"}}})
        try:
            message = way.vcluster.refused(**way.options(where), wait_timeout=3)
        finally:
            way.host.patch(path, {"metadata": {"annotations": {wish: None}}})
        assert "does not answer after 3 s: route: its Service has no address" in message
        eventually("an address", lambda: way.info(where)["answers"])


@contextmanager
def changed(host: Host, path: str, change: dict[str, Any], back: dict[str, Any]) -> Iterator[None]:
    """An object with a change, and afterwards as it was."""
    host.patch(path, change)
    try:
        yield
    finally:
        host.patch(path, back)


Trouble = Callable[[Way], AbstractContextManager[None]]


def listener(way: Way, **change: Any) -> AbstractContextManager[None]:
    """The Gateway with a listener that is another one."""
    before = way.host.get(GATEWAY)["spec"]["listeners"]
    after = [{**one, **change} for one in before]
    return changed(way.host, GATEWAY, *({"spec": {"listeners": listeners}} for listeners in (after, before)))


def closed(way: Way) -> AbstractContextManager[None]:
    """The Gateway does not admit the namespaces of virtual clusters."""
    selector = {"matchLabels": {"no": "such-label"}}
    return listener(way, allowedRoutes={"namespaces": {"from": "Selector", "selector": selector}})


@contextmanager
def without_dns(way: Way) -> Iterator[None]:
    """The client does not ask the DNS server."""
    way.dns = False
    try:
        yield
    finally:
        way.dns = True


def without_traefik(way: Way) -> AbstractContextManager[None]:
    """No backend of the Gateway's Service is there."""
    before = way.host.get(BEHIND_TRAEFIK)["endpoints"]
    return changed(way.host, BEHIND_TRAEFIK, {"endpoints": []}, {"endpoints": before})


@contextmanager
def terminating(way: Way) -> Iterator[None]:
    """The Gateway reads along, with a certificate of its own."""
    files = {what: way.directory / f"reader.{what}" for what in ("crt", "key")}
    made = ["-keyout", str(files["key"]), "-out", str(files["crt"]), "-subj", f"/CN={DOMAIN}"]
    way.host.call("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made)
    data = {f"tls.{what}": base64.b64encode(file.read_bytes()).decode() for what, file in files.items()}
    secrets = "/api/v1/namespaces/nested-gateway/secrets"
    way.host.create(secrets, {"metadata": {"name": "reader"}, "type": "kubernetes.io/tls", "data": data})
    try:
        with listener(way, tls={"mode": "Terminate", "certificateRefs": [{"name": "reader"}]}):
            yield
    finally:
        way.host.delete(f"{secrets}/reader")


def with_strange_credentials(way: Way) -> AbstractContextManager[None]:
    """A kubeconfig Secret with the client certificate of the other virtual cluster, which the API does not know."""
    own, other = (where.path("secrets", f"vc-{where.name}") for where in way.places)
    entries = ("client-certificate", "client-key")
    after, before = ({name: way.host.get(path)["data"][name] for name in entries} for path in (other, own))
    return changed(way.host, own, {"data": after}, {"data": before})


class TestGateway(OneWay):
    """TLSRoutes, behind the Gateway's address."""

    kind = "gateway"

    def test_what_clients_have_to_change(self, way: Way) -> None:
        """They came by a load balancer: the task says where they go now, and the old kubeconfig leads nowhere."""
        for where in way.places:
            server = f"https://{where.name}.{DOMAIN}"
            warning = json.dumps(way.results[where.name]["warnings"])
            assert f"of virtual cluster {where.name} changes from load_balancer (https://10.201." in warning
            assert f"to gateway ({server}): what clients have leads to the old one" in warning
            assert f"server: {server}\n" in way.kubeconfig(where).read_text()
        old = way.kubeconfig(way.places[0], "load_balancer")
        asked = way.client.kubectl(old, "get", "namespaces", "--request-timeout=3s", check=False)
        assert asked.returncode != 0

    def test_a_name_without_a_route(self, way: Way) -> None:
        shown = fingerprint(way.client.tls(way.address(way.places[0]), f"nobody.{DOMAIN}"))
        assert shown not in [way.of_its_own(where) for where in way.places]

    @pytest.mark.parametrize(
        ("link", "trouble", "words"),
        [
            ("route", closed, "is not accepted by Gateway virtual-clusters: NotAllowedByListeners"),
            ("dns", without_dns, "does not resolve here"),
            ("address", without_traefik, "does not answer on port 443"),
            ("certificate", terminating, "TLS is not passed through on the way"),
            ("api", with_strange_credentials, "the API answers 401 to a client with the kubeconfig"),
        ],
        ids=LINKS,
    )
    def test_a_broken_link(self, way: Way, link: str, trouble: Trouble, words: str) -> None:
        """The task that waits for the endpoint names it, and it alone is what is wrong."""
        where = way.places[0]
        with trouble(way):
            eventually(lambda: f"{link}, but {way.broken(where)}", lambda: (way.broken(where) or "").startswith(link))
            message = way.vcluster.refused(**way.options(where), wait_timeout=1)
        assert f"the endpoint https://{where.name}.{DOMAIN} of virtual cluster {where.name} does not answer" in message
        assert f" after 1 s: {link}: " in message
        assert words in message
        eventually("all as it was", lambda: way.info(where)["answers"])

    def test_the_other_one_answers(self, way: Way) -> None:
        """A name that leads to another virtual cluster is found by the certificate."""
        host, (own, other) = way.host, way.places
        path = own.path("tlsroutes", own.name, "gateway.networking.k8s.io/v1")
        grants = other.path("referencegrants", version="gateway.networking.k8s.io/v1beta1")
        from_any = {"group": "gateway.networking.k8s.io", "kind": "TLSRoute", "namespace": own.namespace}
        grant = {
            "apiVersion": "gateway.networking.k8s.io/v1beta1",
            "kind": "ReferenceGrant",
            "metadata": {"name": "all"},
            "spec": {"from": [from_any], "to": [{"group": "", "kind": "Service"}]},
        }
        host.create(grants, grant)
        before = host.get(path)["spec"]["rules"]
        after = [{"backendRefs": [{"name": other.name, "namespace": other.namespace, "port": 443}]}]
        with changed(host, path, *({"spec": {"rules": rules}} for rules in (after, before))):
            said = "is not the virtual cluster's own"
            eventually(lambda: f"{said}, but {way.broken(own)}", lambda: said in (way.broken(own) or ""))
            shown = way.client.tls(way.address(own), f"{own.name}.{DOMAIN}")
            assert fingerprint(shown) == way.of_its_own(other)
        host.delete(f"{grants}/all")
        eventually("all as it was", lambda: way.info(own)["answers"])

    def test_refused_before_anything_is_made(self, way: Way, new: Callable[..., Place]) -> None:
        """A host name that another's route has, one that no listener takes, a Gateway that would read along."""
        where, gateway, taken = new("refused"), ENDPOINTS["gateway"], f"{way.places[0].name}.{DOMAIN}"
        message = way.vcluster.refused(name=where.name, endpoint={**gateway, "host": taken})
        assert f"{taken} is used by TLSRoute {way.places[0].name} in namespace" in message
        message = way.vcluster.refused(name=where.name, endpoint={**gateway, "host": "team.example.com"})
        assert f"takes no name such as team.example.com; it takes *.{DOMAIN}" in message
        with terminating(way):
            message = way.vcluster.refused(name=where.name, endpoint={**gateway, "host": f"{where.name}.{DOMAIN}"})
        assert "has no listener with protocol TLS and mode Passthrough" in message
        assert way.host.get(f"/api/v1/namespaces/{where.namespace}") is None
        eventually("all as it was", lambda: way.info(way.places[0])["answers"])


class TestIngress(OneWay):
    """The Ingresses of vCluster's chart, behind a controller that takes ingress-nginx's annotations."""

    kind = "ingress"

    def test_what_clients_have_to_change(self, way: Way) -> None:
        """Nothing: the name stays, and it leads to the same Traefik."""
        for where in way.places:
            warning = json.dumps(way.results[where.name]["warnings"])
            assert f"to ingress: kubeconfigs stay as they are, and {where.name}.{DOMAIN} has to lead to" in warning
        old = way.kubeconfig(way.places[0], "gateway")
        assert way.client.kubectl(old, "get", "namespaces").stdout

    def test_a_name_without_an_ingress(self, way: Way) -> None:
        shown = fingerprint(way.client.tls(way.address(way.places[0]), f"nobody.{DOMAIN}"))
        assert shown not in [way.of_its_own(where) for where in way.places]

    def test_passthrough_that_is_switched_off(self, way: Way) -> None:
        """The controller answers itself then, with a certificate of its own."""
        host, where = way.host, way.places[0]
        path = where.path("ingresses", where.name, "networking.k8s.io/v1")
        switch = "nginx.ingress.kubernetes.io/ssl-passthrough"
        with changed(host, path, *({"metadata": {"annotations": {switch: on}}} for on in ("false", "true"))):
            said = "is not the virtual cluster's own"
            eventually(lambda: f"{said}, but {way.broken(where)}", lambda: said in (way.broken(where) or ""))
        eventually("all as it was", lambda: way.info(where)["answers"])

    def test_the_pattern_leads_to_the_ingress(self, way: Way) -> None:
        """The role wildcard_dns finds the address that the controller wrote on an Ingress, and that it resolves."""
        where = way.places[0]
        asked = {
            "wildcard_dns_pattern": f"*.{DOMAIN}",
            "wildcard_dns_source": {"kind": "Ingress", "namespace": where.namespace, "name": where.name},
            "wildcard_dns_resolver": os.environ["OUTSIDE_DNS"],
            "wildcard_dns_wait_timeout": 20,
        }
        role = ["-m", "ansible.builtin.include_role", "-a", "name=nested.clusters.wildcard_dns"]
        way.host.call("ansible", "localhost", *role, "--extra-vars", json.dumps(asked))
