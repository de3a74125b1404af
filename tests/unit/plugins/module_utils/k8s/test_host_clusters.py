# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests of hosts: whose credentials go where, and several host clusters at once."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_MAP
from ansible_collections.nested.clusters.plugins.module_utils.common.errors import NestedClustersError, OptionError
from ansible_collections.nested.clusters.plugins.module_utils.k8s import connection, host_clusters
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.host_clusters import HostCluster
from hypothesis import given
from hypothesis import strategies as st

SPEC = connection.auth_argument_spec()
WHERE = {"kubeconfig", "context", "host"}
# Which of the options let somebody in, and what else belongs to one host cluster alone.
WHO = {"api_key", "username", "password", "client_cert", "client_key", "impersonate_user", "impersonate_groups"}
OWN = {*WHERE, *WHO, "ca_cert", "proxy_headers"}


def value(option: str, of: str) -> Any:
    """A value of an option that says whose it is."""
    kind = SPEC[option].get("type")
    if kind == "list":
        return [f"{option} of {of}"]
    return (
        {"basic_auth": f"{option} of {of}"}
        if kind == "dict"
        else of == "entry"
        if kind == "bool"
        else f"{option} of {of}"
    )


def values(options: set[str], of: str) -> dict[str, Any]:
    return {option: value(option, of) for option in options}


def variables(options: set[str]) -> dict[str, str]:
    """The environment with these options, under every name that is read."""
    names = {name for option in options for name in (option, *SPEC[option].get("aliases", []))}
    return {"HOME": "/", **{f"K8S_AUTH_{name.upper()}": f"{name} of environment" for name in names}}


def effective(options: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    """What a connection is made of, as the connection itself reads it."""
    return {
        **connection.given_options(options, environment),
        **dict(connection.impersonation(options, environment).headers()),
    }


OPTIONS = st.sets(st.sampled_from(sorted(SPEC)))


@given(OPTIONS, OPTIONS, OPTIONS)
def test_entry_with_a_host_gets_no_others_credentials(entry: set[str], task: set[str], environment: set[str]) -> None:
    own = values(entry, "entry")
    found = effective(*host_clusters.connection_options(own, values(task, "task"), variables(environment)))
    text = yaml.safe_dump(found)
    if entry & WHERE:
        for option in WHO:
            for of in ("task", "environment"):
                assert f"{option} of {of}" not in text
    # What the entry itself says always holds.
    for name, option in AUTH_ARG_MAP.items():
        if option in entry:
            assert found.get(name) == own[option] or own[option] is False


@given(OPTIONS, OPTIONS)
def test_entry_with_a_host_leads_to_it(entry: set[str], task: set[str]) -> None:
    options, environment = host_clusters.connection_options(
        values(entry, "entry"), values(task, "task"), variables(set(SPEC))
    )
    found = connection.given_options(options, environment)
    # A context is one of the kubeconfig that all of them share; everything else of another leads elsewhere.
    shared = {"kubeconfig"} if "context" in entry else set()
    if entry & WHERE:
        for option in WHERE - entry - shared:
            assert option not in found, (option, entry)


@given(OPTIONS, OPTIONS, OPTIONS)
def test_entry_without_a_host_is_completed(entry: set[str], task: set[str], environment: set[str]) -> None:
    entry -= WHERE
    options, left = host_clusters.connection_options(
        values(entry, "entry"), values(task, "task"), variables(environment)
    )
    assert options == {**values(task, "task"), **values(entry, "entry")}
    assert left == variables(environment)


@given(OPTIONS, OPTIONS)
def test_option_that_belongs_to_no_host_is_inherited(entry: set[str], task: set[str]) -> None:
    """Such as the proxy, and whether certificates are verified."""
    options, _environment = host_clusters.connection_options(values(entry, "entry"), values(task, "task"), {})
    for option in task - entry - OWN:
        assert options[option] == value(option, "task")


def test_option_that_is_null_is_not_given() -> None:
    entry = {"name": "a", "state": "present", **dict.fromkeys(SPEC), "context": "a"}
    options, _environment = host_clusters.connection_options(entry, {**dict.fromkeys(SPEC), "kubeconfig": "k"}, {})
    assert options == {"kubeconfig": "k", "context": "a"}


def test_environment_without_options_stays() -> None:
    environment = {"K8S_AUTH_API_KEY": "x", "K8S_AUTH_VERIFY_SSL": "no", "KUBECONFIG": "k", "PATH": "p"}
    _options, left = host_clusters.connection_options({"context": "a"}, {}, environment)
    assert left == {"K8S_AUTH_VERIFY_SSL": "no", "KUBECONFIG": "k", "PATH": "p"}


# --- opening ----------------------------------------------------------------------------------------------


def config(directory: Path, name: str) -> str:
    """A kubeconfig with a context and a server of this name."""
    file = directory / name
    content = {
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}"}}],
        "users": [{"name": name, "user": {"token": f"token of {name}"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    file.write_text(yaml.safe_dump(content))
    return str(file)


def module(tmp_path: Path, entries: Any, **options: Any) -> Any:
    return SimpleNamespace(params={"host_clusters": entries, **options}, tmpdir=str(tmp_path))


def entry(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, **dict.fromkeys(SPEC), **options}


def test_open_hosts_gives_each_entry_its_connection(tmp_path: Path) -> None:
    entries = [entry(name, kubeconfig=config(tmp_path, name)) for name in ("b", "a")]
    found = host_clusters.open_hosts(module(tmp_path, entries, api_key="token of the task"))
    assert [(host.name, host.kubernetes.host) for host in found] == [("b", "https://b"), ("a", "https://a")]
    assert [host.kubernetes.connection.authorization for host in found] == ["Bearer token of b", "Bearer token of a"]


def test_open_hosts_without_the_option_gives_the_tasks_own(tmp_path: Path) -> None:
    (host,) = host_clusters.open_hosts(module(tmp_path, None, kubeconfig=config(tmp_path, "a")))
    assert (host.name, host.kubernetes.host) == (host_clusters.ONLY, "https://a")


@pytest.mark.parametrize(
    ("names", "reason", "allowed"),
    [
        ([], "", "at least one host cluster"),
        (["a", "b", "a"], "a is listed 2 times", "each name once"),
        (["a", ""], "", "a name for each host cluster"),
        (["a", "  "], "", "a name for each host cluster"),
    ],
)
def test_open_hosts_with_unusable_names_is_refused(names: list[str], reason: str, allowed: str, tmp_path: Path) -> None:
    """Before any connection is made: none of these kubeconfigs exists."""
    with pytest.raises(OptionError) as caught:
        host_clusters.open_hosts(module(tmp_path, [entry(name, kubeconfig="/nowhere") for name in names]))
    assert (caught.value.data["option"], caught.value.data["allowed"]) == ("host_clusters", allowed)
    assert reason in str(caught.value)


def test_open_hosts_with_an_unusable_connection_names_it(tmp_path: Path) -> None:
    entries = [entry("a", kubeconfig=config(tmp_path, "a")), entry("b", kubeconfig=str(tmp_path / "nowhere"))]
    with pytest.raises(NestedClustersError, match=r"^host_clusters: b: kubeconfig: .*nowhere"):
        host_clusters.open_hosts(module(tmp_path, entries))


def test_open_hosts_with_a_lost_entry_needs_no_connection_to_it(tmp_path: Path) -> None:
    entries = [entry("a", kubeconfig=config(tmp_path, "a")), entry("b", state="lost", kubeconfig="/nowhere")]
    assert [host.name for host in host_clusters.open_hosts(module(tmp_path, entries))] == ["a"]
    with pytest.raises(OptionError, match="a is listed 2 times"):
        host_clusters.open_hosts(module(tmp_path, [entries[0], entry("a", state="lost")]))


def test_open_hosts_reads_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "K8S_AUTH_KUBECONFIG", config(tmp_path, "a"))
    monkeypatch.setitem(os.environ, "K8S_AUTH_API_KEY", "token of the environment")
    first, second = host_clusters.open_hosts(module(tmp_path, [entry("x"), entry("y", context="a")]))
    assert first.kubernetes.connection.authorization == "Bearer token of the environment"
    assert second.kubernetes.connection.authorization == "Bearer token of a"


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [(["a"], None, "a"), (["a"], "a", "a"), (["a", "b"], "b", "b"), (None, None, host_clusters.ONLY)],
)
def test_only_host_is_the_one_that_is_named(names: Any, wanted: Any, found: str, tmp_path: Path) -> None:
    entries = names and [entry(name, kubeconfig=config(tmp_path, name)) for name in names]
    one = host_clusters.only_host(module(tmp_path, entries, kubeconfig=config(tmp_path, "own")), wanted)
    assert (one.name, one.kubernetes.host) == (found, f"https://{found if names else 'own'}")


@pytest.mark.parametrize(("wanted", "reason"), [(None, "several host clusters"), ("c", "c is not in the")])
def test_only_host_of_several_is_refused(wanted: str | None, reason: str, tmp_path: Path) -> None:
    entries = [entry(name, kubeconfig=config(tmp_path, name)) for name in ("a", "b")]
    with pytest.raises(OptionError, match=reason) as caught:
        host_clusters.only_host(module(tmp_path, entries), wanted)
    assert caught.value.data == {"option": "host_cluster", "value": wanted, "allowed": "a, b"}


# --- asking -----------------------------------------------------------------------------------------------


def clusters(*names: str) -> list[HostCluster]:
    return [HostCluster(name, Kubernetes(connection.Connection(f"https://{name}"))) for name in names]


def test_host_that_fails_does_not_silence_the_others() -> None:
    def question(host: HostCluster) -> str:
        if host.name in ("b", "d"):
            raise NestedClustersError(f"{host.name} is down")
        return host.kubernetes.host

    answers = host_clusters.ask(clusters("c", "b", "a", "d"), question)
    assert list(answers.given.items()) == [("c", "https://c"), ("a", "https://a")]
    assert answers.reasons() == "b: b is down; d: d is down"
    with pytest.raises(NestedClustersError, match=r"^b: b is down; d: d is down$") as caught:
        answers.all()
    assert caught.value.data == {"failed_host_clusters": ["b", "d"]}


def test_hosts_are_asked_at_once() -> None:
    everybody = threading.Barrier(host_clusters.HOSTS_AT_ONCE, timeout=30)
    names = [f"h{number}" for number in range(host_clusters.HOSTS_AT_ONCE)]
    answers = host_clusters.ask(clusters(*names), lambda host: everybody.wait() >= 0)
    assert answers.all() == dict.fromkeys(names, True)


def test_hosts_that_do_not_exist_give_no_answer() -> None:
    assert host_clusters.ask([], lambda host: 1).all() == {}


def test_error_of_the_program_itself_is_raised() -> None:
    def question(host: HostCluster) -> str:
        raise ValueError(host.name)

    with pytest.raises(ValueError, match=r"^a$"):
        host_clusters.ask(clusters("a"), question)
