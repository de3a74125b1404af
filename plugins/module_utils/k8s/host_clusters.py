# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several host clusters: from options to connections, and the same question to all of them at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from ansible.module_utils.basic import AnsibleModule

from ..common.errors import NestedClustersError, OptionError, given_twice
from .client import Kubernetes, parallel
from .connection import auth_argument_spec
from .errors import KubernetesError
from .objects import path

ONLY = "default"  # name of the one host cluster that the task's own connection options name
LOST = "lost"  # state of a host cluster that does not exist any more
HOSTS_AT_ONCE = 16
SYSTEM = path("v1", "namespaces", None, "kube-system")
# Of a task or its environment these say which host cluster, and who we are there: never mixed between two.
_WHERE = ("kubeconfig", "context", "host")
_WHO = (
    "api_key",
    "username",
    "password",
    "client_cert",
    "client_key",
    "ca_cert",
    "impersonate_user",
    "impersonate_groups",
    "proxy_headers",
)

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class HostCluster:
    """A host cluster by the name that the task gives it."""

    name: str
    kubernetes: Kubernetes


@dataclass
class Answers(Generic[Answer]):
    """What host clusters answered, and why others did not; both by name, in the order of the task."""

    given: dict[str, Answer] = field(default_factory=dict)
    failed: dict[str, NestedClustersError] = field(default_factory=dict)

    def reasons(self) -> str:
        """Return which ones failed and why, in one line."""
        return "; ".join(f"{name}: {error}" for name, error in self.failed.items())

    def all(self) -> dict[str, Answer]:
        """Return every answer. Raises NestedClustersError with all that failed."""
        if self.failed:
            raise NestedClustersError(self.reasons(), failed_host_clusters=sorted(self.failed))
        return self.given

    def some(self) -> dict[str, Answer]:
        """Return the answers that arrived. Raises NestedClustersError if there is none."""
        if not self.given and len(self.failed) == 1:
            raise next(iter(self.failed.values()))
        return self.given or self.all()


def host_clusters_spec(**more: Any) -> dict[str, Any]:
    """Return the option ``host_clusters``; ``more`` are a member's options beside name and connection."""
    return {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, **auth_argument_spec(), **more},
    }


def open_hosts(module: AnsibleModule) -> list[HostCluster]:
    """Return the host clusters of a task: those in ``host_clusters``, else the one of its connection options.

    An entry is completed by the task's own connection options and by the environment. But one that has a
    kubeconfig, context or host of its own takes nothing from there that leads to, or logs in at, another one. One
    that is LOST (a state in vcluster_group) is left out, as its kubeconfig may be lost as well.
    Raises OptionError where an entry cannot be used, before anything is asked.
    """
    entries = module.params.get("host_clusters")
    if entries is None:
        return [HostCluster(ONLY, Kubernetes.from_module(module))]
    check_names([entry["name"] for entry in entries])
    found = []
    for entry in entries:
        if entry.get("state") == LOST:
            continue
        options, environment = connection_options(entry, module.params, os.environ)
        try:
            found.append(HostCluster(entry["name"], Kubernetes.open(options, module.tmpdir, environment)))
        except NestedClustersError as error:
            raise NestedClustersError(f"host_clusters: {entry['name']}: {error}", **error.data) from error
    return found


def only_host(module: AnsibleModule, name: str | None) -> HostCluster:
    """Return the one host cluster of a task that is for one, ``name`` where there are several."""
    found = open_hosts(module)
    names = [host.name for host in found]
    if name is None and len(found) == 1:
        return found[0]
    if names == [ONLY]:
        message = "the task has neither host_clusters nor a group to choose from; set one of them, or omit host_cluster"
        raise OptionError("host_cluster", name, "a name of host_clusters, or a group", message=message)
    known = ", ".join(names)
    if name is None:
        message = f"the task has several host clusters and no group that chooses one; set one of {known}"
        raise OptionError("host_cluster", None, known, message=message)
    if name not in names:
        message = f"{name} is not in the host_clusters of the task; use one of {known}"
        raise OptionError("host_cluster", name, known, message=message)
    return found[names.index(name)]


def check_names(names: list[str]) -> None:
    """Raise OptionError for host clusters without a name, or two of one name."""
    if not names:
        message = "the list is empty; list at least one host cluster"
        raise OptionError("host_clusters", [], "at least one host cluster", message=message)
    for name in names:
        if not name.strip():
            message = "a host cluster has no name; give each one a name"
            raise OptionError("host_clusters", name, "a name for each host cluster", message=message)
        if names.count(name) > 1:
            message = f"{name} is listed {names.count(name)} times; list each name once"
            raise OptionError("host_clusters", names, "each name once", message=message)


def connection_options(
    entry: Mapping[str, Any], params: Mapping[str, Any], environment: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return (connection options of an entry of ``host_clusters``, the environment that completes them)."""
    given = {name: entry[name] for name in auth_argument_spec() if entry.get(name) is not None}
    foreign: tuple[str, ...] = ()
    if any(name in given for name in _WHERE):
        foreign = ("host", "context", *_WHO) if "host" not in given else ("kubeconfig", "context", *_WHO)
        if "context" in given and "kubeconfig" not in given:  # a context of the file that all of them share
            foreign = ("host", *_WHO)
    options = {
        **{name: params[name] for name in auth_argument_spec() if params.get(name) is not None and name not in foreign},
        **given,
    }
    aliases = {alias for name in foreign for alias in (name, *(auth_argument_spec()[name].get("aliases") or []))}
    hidden = {f"K8S_AUTH_{alias.upper()}" for alias in aliases}
    return options, {name: value for name, value in environment.items() if name not in hidden}


def ask(hosts: Iterable[HostCluster], question: Callable[[HostCluster], Answer]) -> Answers[Answer]:
    """Ask every host cluster the same question in parallel; one that fails does not stop the others."""
    hosts = list(hosts)
    answers: Answers[Answer] = Answers()
    if not hosts:
        return answers
    with ThreadPoolExecutor(min(HOSTS_AT_ONCE, len(hosts))) as pool:
        asked = [(host.name, pool.submit(question, host)) for host in hosts]
        for name, future in asked:
            try:
                answers.given[name] = future.result()
            except NestedClustersError as error:
                answers.failed[name] = error
    return answers


def ask_apart(hosts: Iterable[HostCluster], question: Callable[[HostCluster], Answer]) -> Answers[Answer]:
    """Ask as ``ask`` does, but only different host clusters, as what is on one would be counted twice.

    Raises OptionError where two names mean the same one. Whoever may not read its namespace kube-system is believed.
    """
    hosts = list(hosts)
    if len(hosts) < 2:
        return ask(hosts, question)
    answers = ask(hosts, lambda host: parallel([partial(_identity, host), partial(question, host)]))
    names: dict[str, str] = {}
    for name, (identity, _answer) in answers.given.items():
        if identity and names.setdefault(identity, name) != name:
            raise given_twice(names[identity], name)
    return Answers({name: answer for name, (_identity, answer) in answers.given.items()}, answers.failed)


def _identity(host: HostCluster) -> str:
    """Return the UID of namespace kube-system, which tells a host cluster from all others; "" where it is not known."""
    try:
        system = host.kubernetes.get(SYSTEM)
    except KubernetesError as error:
        if error.status != 403:
            raise
        return ""
    return str(system["metadata"]["uid"]) if system else ""
