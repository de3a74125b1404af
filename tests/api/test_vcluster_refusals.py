# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot work is refused with one clear error, before anything is changed."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart_repository import chart_repository
from host_api import Host
from modules import Module
from places import IDLE, Place, place
from waiting import eventually

UNUSED = "it-refused"  # no test makes a virtual cluster of this name


@pytest.fixture(scope="module")
def where(host: Host, vcluster: Module) -> Iterator[Place]:
    """A virtual cluster that need not run, to change in ways that cannot work."""
    with place(host, "refusal") as where:
        vcluster(name=where.name, values=IDLE, wait=False)
        yield where


@pytest.fixture(scope="module")
def repository(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A chart repository with the same chart as vCluster 0.34.0, 0.35.3, 0.35.9, 0.36.0, 0.36.1 and 0.38.0."""
    versions = ("0.34.0", "0.35.3", "0.35.9", "0.36.0", "0.36.1", "0.38.0")
    with chart_repository(host, tmp_path_factory.mktemp("charts"), versions) as url:
        yield url


def release_objects(host: Host, where: Place | None) -> dict[tuple[str, str], str]:
    """Names and versions of what only a task changes; a running virtual cluster changes the rest."""
    kinds = {"roles", "rolebindings", "serviceaccounts", "secrets"}
    if where is None:
        return {}
    found = host.contents(where.namespace)
    return {key: found[key] for key in found if key[0] in kinds and not key[1].startswith(f"vc-{where.name}")}


def refused(host: Host, module: Module, where: Place | None, **options: Any) -> str:
    """The message of a task that is refused in check mode and in a run, and changes nothing."""
    spaces = {item["metadata"]["name"] for item in host.items("/api/v1/namespaces")}
    before = release_objects(host, where)
    messages = [module.refused(check=check, **options) for check in (True, False)]
    assert messages[0] == messages[1]
    assert release_objects(host, where) == before
    new = {item["metadata"]["name"] for item in host.items("/api/v1/namespaces")} - spaces
    assert not [name for name in new if UNUSED in name]
    assert len(messages[0]) < 1500, messages[0]
    return messages[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "It-Refused"}, ["name: 'It-Refused'", "lowercase"]),
        ({"name": "it_refused"}, ["name: 'it_refused'", "hyphens"]),
        ({"name": "1-it-refused"}, ["name: '1-it-refused'", "a letter first"]),
        ({"name": "it-refused-" + "x" * 40}, ["name: 'it-refused-xxx", "at most 47"]),
        ({"name": UNUSED, "namespace": "No.Dots"}, ["namespace: 'No.Dots'", "at most 63"]),
        ({"name": UNUSED, "vcluster_version": "0.36"}, ["vcluster_version: '0.36'", "MAJOR.MINOR.PATCH"]),
        ({"name": UNUSED, "vcluster_version": "0.35.0"}, ["vcluster_version: '0.35.0'", "0.36.1"]),
        ({"name": UNUSED, "kubernetes_version": "1.36"}, ["kubernetes_version: '1.36'"]),
        ({"name": UNUSED, "kubernetes_version": "latest"}, ["kubernetes_version: 'latest'"]),
        (
            {"name": UNUSED, "values": {"controlPlane": {"distro": {"k3s": {"enabled": True}}}}},
            ["values", "controlPlane.distro.k3s", "0.33", "k8s"],
        ),
        (
            {"name": UNUSED, "values": {"sync": {"toHost": {"namespaces": {"enabled": True}}}}},
            ["values", "sync.toHost.namespaces", "license"],
        ),
        (
            {"name": UNUSED, "values": {"sleep": {"auto": {"afterInactivity": "1h"}}}},
            ["values", "sleep", "license"],
        ),
        (
            {
                "name": UNUSED,
                "values": {"controlPlane": {"statefulSet": {"highAvailability": {"replicas": 3}}}},
            },
            ["values", "controlPlane.statefulSet.highAvailability.replicas", "etcd"],
        ),
        (
            {"name": UNUSED, "chart_ref": "/nonexistent/vcluster.tgz"},
            ["chart_ref", "/nonexistent/vcluster.tgz"],
        ),
    ],
    ids=lambda value: None,
)
def test_task_with_bad_option_is_refused(
    host: Host, vcluster: Module, options: dict[str, Any], words: list[str]
) -> None:
    """The error names the option, its value and what is allowed."""
    chart = {"vcluster_version": "0.36.1"} if not host.chart and "chart_ref" not in options else {}
    message = refused(host, vcluster, None, **{**chart, **options})
    for word in words:
        assert word in message, message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sync": {"toHost": {"pods": {"enabled": "certainly"}}}}, ["values", "sync", "boolean"]),
        ({"nosuchkey": 1}, ["values", "nosuchkey"]),
        ({"controlPlane": "big"}, ["values", "controlPlane"]),
        ({"sync": [1, 2]}, ["values", "sync"]),
    ],
)
def test_values_against_the_schema_are_refused(
    host: Host, vcluster: Module, where: Place, values: dict[str, Any], words: list[str]
) -> None:
    """What the chart's schema rejects, with the path; for a new virtual cluster no namespace is made."""
    for options, at in (({"name": UNUSED}, None), ({"name": where.name}, where)):
        message = refused(host, vcluster, at, **options, values=values)
        for word in words:
            assert word in message, message


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"controlPlane": {"backingStore": {"etcd": {"deploy": {"enabled": True}}}}}, "backingStore"),
        ({"controlPlane": {"statefulSet": {"persistence": {"volumeClaim": {"size": "9Gi"}}}}}, "size"),
        (
            {"controlPlane": {"statefulSet": {"persistence": {"volumeClaim": {"enabled": False}}}}},
            "volumeClaim",
        ),
    ],
)
def test_change_that_loses_data_is_refused(
    host: Host, vcluster: Module, where: Place, values: dict[str, Any], word: str
) -> None:
    """A change that Kubernetes refuses or that loses the data names the key."""
    message = refused(host, vcluster, where, name=where.name, values=values)
    assert "values" in message
    assert word in message


def test_versions_of_a_repository_are_used_or_refused(
    host: Host, vcluster: Module, new: Callable[..., Place], repository: str
) -> None:
    """Install, upgrade, downgrade, a jump and an unknown version, from a chart repository over HTTP."""
    module = vcluster.against(chart_ref="vcluster", chart_repo_url=repository, wait=False)
    where = new("versions")
    message = module.refused(name=where.name, vcluster_version="0.36.7")
    assert "vcluster_version: '0.36.7'" in message
    assert repository in message
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None
    assert "0.36.0" in str(module(name=where.name, vcluster_version="0.36.0", values=IDLE)["steps"])
    assert module(name=where.name)["steps"] == []
    assert module(name=where.name, vcluster_version="v0.36.0")["steps"] == []
    asked: dict[str, Any] = {"name": where.name, "vcluster_version": "0.36.1"}
    check, run = module(check=True, **asked), module(**asked)
    assert run["steps"] == check["steps"]
    assert run["steps"][0] == f"upgrade release {where.name} from vCluster 0.36.0 to 0.36.1"
    assert module(**asked)["steps"] == []
    message = refused(host, module, where, name=where.name, vcluster_version="0.36.0")
    assert "vcluster_version: '0.36.0'" in message
    assert "downgrade" in message
    message = refused(host, module, where, name=where.name, vcluster_version="0.38.0")
    assert "0.37" in message
    message = refused(host, module, where, name=where.name, vcluster_version="0.37.5")
    assert "vcluster_version: '0.37.5'" in message
    old = vcluster.against(chart_repo_url=repository, chart_ref="vcluster")
    assert "vcluster_version" in refused(host, old, where, name=where.name, vcluster_version="0.35.9")


def test_upgrade_over_two_versions_names_the_one_between(
    host: Host, vcluster: Module, new: Callable[..., Place], repository: str
) -> None:
    """An upgrade over two minor versions names the one between, also in check mode, and waits until that runs."""
    module = vcluster.against(chart_ref="vcluster", chart_repo_url=repository, wait=False, wait_timeout=2)
    where = new("between")
    module(name=where.name, vcluster_version="0.34.0", values=IDLE)
    run = module(check=True, name=where.name, vcluster_version="0.36.1")
    assert run["steps"] == [
        f"upgrade release {where.name} from vCluster 0.34.0 to 0.35.3, and wait until it is ready",
        f"upgrade release {where.name} from vCluster 0.35.3 to 0.36.1",
    ]
    assert run["diff"][0]["after"] == "- 0.35.3\n- 0.36.1\n"
    for _twice in range(2):  # it does not become ready, and so the last step is not taken
        assert "is not ready after 2 s" in module.refused(name=where.name, vcluster_version="0.36.1")
        (release,) = json.loads(host.call("helm", "list", "-n", where.namespace, "--output", "json").stdout)
        assert release["chart"] == "vcluster-0.35.3"


def test_repository_that_does_not_answer_is_named(host: Host, vcluster: Module) -> None:
    """A chart repository that is not there is named."""
    message = refused(
        host, vcluster, None, name=UNUSED, chart_ref="vcluster", chart_repo_url="http://127.0.0.1:1/charts"
    )
    assert "127.0.0.1:1" in message


def test_host_cluster_with_closed_port_is_named_at_once(vcluster: Module, tmp_path: Path) -> None:
    """A refused connection is said with the address, at once."""
    started = time.monotonic()
    options: dict[str, Any] = {"host": "https://127.0.0.1:1", "api_key": "x", "kubeconfig": "/dev/null"}
    for state in ("present", "absent"):
        message = vcluster.refused(name=UNUSED, state=state, **options)
        assert "https://127.0.0.1:1" in message
        assert "refused" in message.lower()
    assert time.monotonic() - started < 30


def test_host_cluster_that_does_not_react_is_named_soon(vcluster: Module) -> None:
    """An address that does not react does not take minutes, and the message is a sentence."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as clients:
        for _attempt in range(4):  # packets are dropped where the queue of connections is full
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        with pytest.raises(TimeoutError):
            socket.create_connection(server.getsockname(), timeout=2)
        address = f"https://127.0.0.1:{server.getsockname()[1]}"
        started = time.monotonic()
        message = vcluster.refused(name=UNUSED, host=address, api_key="nobody", kubeconfig="/dev/null")
        seconds = time.monotonic() - started
    assert address in message
    assert "timed out" in message
    assert "HTTPSConnection" not in message
    assert seconds < 60


def test_kubeconfig_or_context_that_is_none_is_named(host: Host, vcluster: Module, tmp_path: Path) -> None:
    """A kubeconfig that cannot be read, and a context that it does not have, are named."""
    broken = tmp_path / "broken"
    broken.write_text("clusters: [")
    empty = tmp_path / "empty"
    empty.write_text("")
    for file in (broken, empty, tmp_path / "missing"):
        message = refused(host, vcluster, None, name=UNUSED, kubeconfig=str(file))
        assert message.startswith(f"kubeconfig: {file} is not usable"), message
        assert "allowed: a kubeconfig that kubectl reads" in message
    message = refused(host, vcluster, None, name=UNUSED, kubeconfig=host.kubeconfig, context="elsewhere")
    assert "elsewhere" in message
    config = yaml.safe_load(Path(host.kubeconfig).read_text())
    assert "kubeconfig" in refused(host, vcluster, None, name=UNUSED, kubeconfig={"clusters": 3})
    assert not vcluster(check=True, name=UNUSED, state="absent", kubeconfig=config)["changed"]


def test_certificate_of_another_authority_is_refused(host: Host, vcluster: Module, tmp_path: Path) -> None:
    """The host cluster's certificate is verified, by the module and by its helm."""
    ca = tmp_path / "ca.crt"
    create = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    )
    host.call(*create, "-keyout", str(tmp_path / "key"), "-out", str(ca), "-days", "1", "-subj", "/CN=other")
    message = refused(host, vcluster, None, name=UNUSED, ca_cert=str(ca))
    assert "certificate" in message.lower()


def test_token_that_is_unknown_is_named(host: Host, vcluster: Module) -> None:
    """A token that the host cluster does not know is not called a lack of permission."""
    options = {
        "host": host.configuration.host,
        "api_key": "no-such-token",
        "ca_cert": host.configuration.ssl_ca_cert,
    }
    message = refused(host, vcluster.against(kubeconfig="/dev/null", **options), None, name=UNUSED)
    assert "credentials" in message
    assert "no-such-token" not in message


@pytest.mark.parametrize("verbs", [[], ["get", "list"]], ids=["nothing", "reading"])
def test_task_without_permission_names_verb_and_resource(
    host: Host, vcluster: Module, new: Callable[..., Place], verbs: list[str]
) -> None:
    """Without permission the message names the verb and the resource, and nothing is made."""
    where = new("narrow", made_by_user=True)
    eventually("default ServiceAccount", lambda: host.get(where.path("serviceaccounts", "default")))
    rbac = "rbac.authorization.k8s.io/v1"
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": verbs}] if verbs else []
    host.create(where.path("roles", version=rbac), {"metadata": {"name": "narrow"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "narrow"}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": where.namespace}
    binding = {"metadata": {"name": "narrow"}, "roleRef": reference, "subjects": [subject]}
    host.create(where.path("rolebindings", version=rbac), binding)
    space = f"system:serviceaccount:{where.namespace}:default"
    token = host.call("kubectl", "create", "token", "default", "-n", where.namespace).stdout.strip()
    before = set(host.contents(where.namespace))
    options = {"host": host.configuration.host, "api_key": token, "ca_cert": host.configuration.ssl_ca_cert}
    module = vcluster.against(kubeconfig="/dev/null", **options)
    message = module.refused(**where.options)
    assert space in message
    assert "cannot list" in message or "cannot get" in message or "cannot create" in message, message
    assert "ask for a role with this verb and resource" in message
    assert "secrets" in message or "namespaces" in message or verbs
    assert set(host.contents(where.namespace)) == before


def test_helm_that_cannot_be_used_is_named(host: Host, vcluster: Module, tmp_path: Path) -> None:
    """A helm that is missing, too old or none is named, with what is needed."""
    scripts = {"old": "echo v3.9.0", "other": "echo hello", "broken": "exit 3"}
    for name, line in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "text").write_text("no program\n")
    (tmp_path / "text").chmod(0o755)
    words = {"missing": "there is no program", "old": "3.9", "other": "helm", "broken": "helm", "text": "helm"}
    for name, word in words.items():
        message = refused(host, vcluster, None, name=UNUSED, binary_path=str(tmp_path / name))
        assert message.startswith("binary_path")
        assert str(tmp_path / name) in message
        assert word in message
        assert "3.14" in message


def test_namespace_of_another_virtual_cluster_is_refused(host: Host, vcluster: Module, where: Place) -> None:
    """vCluster allows one virtual cluster a namespace: the other one is named."""
    message = refused(host, vcluster, where, name=UNUSED, namespace=where.namespace)
    assert f"namespace: {where.namespace} already contains virtual cluster {where.name}" in message
    absent = vcluster(check=True, name=UNUSED, namespace=where.namespace, state="absent")
    assert absent["steps"] == []


def test_release_of_another_chart_is_refused(
    host: Host, vcluster: Module, new: Callable[..., Place], tmp_path: Path
) -> None:
    """A Helm release of that name from another chart is neither changed nor deleted."""
    where = new("other", made_by_user=True)
    chart = tmp_path / "shop"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}, "data": {"a": "b"}}
    (chart / "templates" / "config.yaml").write_text(yaml.safe_dump(config))
    host.call("helm", "install", where.name, str(chart), "-n", where.namespace)
    for state in ("present", "absent"):
        message = refused(host, vcluster, where, name=where.name, state=state)
        assert "shop" in message
        assert where.name in message
    host.call("helm", "uninstall", where.name, "-n", where.namespace)


def test_chart_that_is_no_vcluster_is_refused(
    host: Host, vcluster: Module, new: Callable[..., Place], tmp_path: Path
) -> None:
    """A chart of something else is refused, and not installed."""
    where = new("nochart")
    chart = tmp_path / "shop"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 1.0.0\n")
    (chart / "templates" / "config.yaml").write_text(
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: shop}\n"
    )
    message = vcluster.refused(name=where.name, chart_ref=str(chart), wait=False)
    assert "chart_ref" in message
    assert host.get(f"/api/v1/namespaces/{where.namespace}") is None
