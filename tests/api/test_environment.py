# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole environments from one file of variables, and a playbook for each verb."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from group_values import SMALL
from host_api import Host, connections, remove_namespaces, spaces_of
from modules import Module

GROUP = "it-environment"
STATEFUL_SET = {
    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "128Mi"}},
    "persistence": {"volumeClaim": {"enabled": False}},
}
NAMES = ("it-env-a", "it-env-b", "it-env-c")
Object = dict[str, Any]


@dataclass
class Environment:
    """An environment's file, and the playbooks for it."""

    members: dict[str, Host]
    file: Path
    told: Object = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def given(self) -> list[Object]:
        return connections(self.members)

    def play(self, name: str, *arguments: str, **extra: Any) -> tuple[int, str]:
        """(exit code, what was said)."""
        host = next(iter(self.members.values()))
        self.file.write_text(json.dumps(self.told))
        done = host.call(
            *("ansible-playbook", f"nested.clusters.{name}", "--extra-vars", json.dumps(extra), *arguments),
            check=False,
            seconds=300,
            ANSIBLE_HOME=str(self.file.parent / "ansible"),
            ANSIBLE_LOCALHOST_WARNING="false",
            ANSIBLE_INVENTORY_UNPARSED_WARNING="false",
            ANSIBLE_NOCOLOR="true",
            **self.variables,
        )
        return done.returncode, done.stdout + done.stderr

    def changed(self, name: str, *arguments: str, **extra: Any) -> tuple[int, str]:
        """(how many tasks changed something, what was said) of a playbook that succeeds."""
        code, said = self.play(name, *arguments, **extra)
        assert code == 0, said
        return sum(map(int, re.findall(r"changed=(\d+)", said))), said

    def environment(self, *arguments: str) -> tuple[int, str]:
        return self.changed("environment", *arguments, environment_file=str(self.file))

    def verb(self, name: str, *arguments: str, **extra: str) -> tuple[int, str]:
        """A verb, with everything as text, as a survey gives it."""
        told = {"host_clusters": json.dumps(self.given), "owner": "", "accept_data_loss": "true", **extra}
        return self.changed(name, *arguments, **told)

    def replicas(self) -> dict[str, int]:
        """How many replicas each virtual cluster has."""
        found = {}
        for host in self.members.values():
            for space in spaces_of(host, GROUP):
                # The chart makes a Deployment of what has no volume claim.
                for item in host.items(f"/apis/apps/v1/namespaces/{space}/deployments"):
                    found[item["metadata"]["name"]] = item["spec"]["replicas"]
        return found

    def quota(self, name: str) -> str:
        where = f"/api/v1/namespaces/vcluster-{name}/resourcequotas/nested-clusters-{name}"
        found = [host.get(where) for host in self.members.values()]
        return str(next(quota["spec"]["hard"]["limits.memory"] for quota in found if quota))

    def everything(self) -> list[str]:
        """What the environment has on its host clusters."""
        spaces = [space for host in self.members.values() for space in spaces_of(host, GROUP)]
        where = f"/api/v1/namespaces/nested-clusters/configmaps/vcluster-group-{GROUP}"
        return spaces + [name for name, host in self.members.items() if host.get(where)]


@pytest.fixture
def here(members: dict[str, Host], vcluster_group: Module, tmp_path: Path) -> Iterator[Environment]:
    found = Environment(members, tmp_path / "environment.json")
    capacity = {"cpu": "20", "memory": "40Gi", "storage": "100Gi"}
    found.told = {
        "group": GROUP,
        "group_settings": {
            "size": {"minimum": SMALL, "default": SMALL},
            "values": {
                "controlPlane": {"statefulSet": STATEFUL_SET, "coredns": {"enabled": False}},
            },
        },
        "host_clusters": found.given,
        "accept_data_loss": True,  # they have no volumes
        "host_settings": [{"name": name, "capacity": capacity} for name in members],
        "virtual_clusters": [
            {"name": NAMES[0], "owner": "alice", "labels": {"env": "ci"}},
            {"name": NAMES[1], "state": "paused"},
            {"name": NAMES[2], "labels": {"env": "ci"}},
        ],
        **({"chart_ref": found.members["host-a"].chart} if found.members["host-a"].chart else {}),
    }
    try:
        yield found
    finally:
        for host in members.values():
            remove_namespaces(host, *spaces_of(host, GROUP))
        vcluster_group(name=GROUP, host_clusters=found.given, state="absent")


@pytest.mark.long
def test_environment_with_changes_by_verbs_is_set_back_and_torn_down(here: Environment) -> None:
    """From nothing, through changes by playbooks for single verbs, and back to what the file says, and to nothing."""
    # Before there is a group, here without any values.
    settings = here.told["group_settings"]
    here.told["group_settings"] = {"size": settings["size"]}
    changed, said = here.environment("--check", "--diff")
    here.told["group_settings"] = settings
    assert changed
    assert f"Group {GROUP} is not there yet" in said
    assert all(f"create virtual cluster {name}" in said for name in NAMES)
    assert here.everything() == []

    changed, said = here.environment()
    assert here.replicas() == {NAMES[0]: 1, NAMES[1]: 0, NAMES[2]: 1}
    assert changed == 2
    assert "it-env-b: paused on host-" in said
    assert here.environment()[0] == 0

    # Verbs make it another one than the file says.
    assert here.verb("pause", group=GROUP, selector="env in (ci,test)", phases="running, pending", at_once="5")[0] == 1
    assert here.replicas() == dict.fromkeys(NAMES, 0)
    assert here.verb("resume", names=f"{NAMES[0]}, {NAMES[1]}", wait_timeout="120")[0] == 1
    assert here.replicas() == {NAMES[0]: 1, NAMES[1]: 1, NAMES[2]: 0}
    chart = {"chart_ref": here.told["chart_ref"]} if "chart_ref" in here.told else {}
    assert here.verb("resize", group=GROUP, names=NAMES[0], memory="2Gi", force="false", **chart)[0] == 1
    assert here.quota(NAMES[0]) == "2Gi"
    code, said = here.play("resize", group=GROUP, names="it-env-z", memory="2Gi", host_clusters=here.given)
    assert code != 0
    why = f"there is none of this name in group {GROUP} that fits the rest; allowed: it-env-a, "
    assert f"names: it-env-z is not usable: {why}" in said

    # The file makes it what it was. One that is listed no more goes when that is allowed, and only then.
    here.told["virtual_clusters"] = here.told["virtual_clusters"][:2]
    changed, said = here.environment()
    assert changed == 1
    assert here.replicas() == {NAMES[0]: 1, NAMES[1]: 0, NAMES[2]: 0}
    here.told["prune"] = True
    assert here.environment("--check", "--diff")[0] == 1
    assert set(here.replicas()) == set(NAMES)
    assert here.environment()[0] == 1
    assert set(here.replicas()) == set(NAMES[:2])
    assert here.verb("delete", group=GROUP, names=NAMES[1])[0] == 1

    changed, said = here.changed("teardown", "--check", environment_file=str(here.file))
    assert changed == 2
    assert set(here.replicas()) == {NAMES[0]}
    assert here.changed("teardown", environment_file=str(here.file))[0] == 2
    assert here.everything() == []
    assert here.changed("teardown", environment_file=str(here.file))[0] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prnue": True}, "The environment cannot be: prnue is not known; allowed: accept_data_loss, "),
        (
            {"wildcard_dns_ttl": "long"},
            "argument 'wildcard_dns_ttl' is of type str and we were unable to convert to int",
        ),
        ({"virtual_clusters": [{"name": "a", "nmae": "b"}]}, "virtual_clusters.nmae is not known"),
        ({"virtual_clusters": [{"name": "a"}, {"name": "a"}]}, "virtual_clusters has a 2 times"),
        ({"virtual_clusters": [{"name": "a", "host_cluster": "z"}]}, "virtual cluster a is for host cluster z"),
    ],
)
def test_environment_with_a_bad_variable_is_refused_first(
    change: Object, message: str, host: Host, tmp_path: Path
) -> None:
    """Without a question to any host cluster: none of these exists."""
    here = Environment({"host-a": host}, tmp_path / "environment.json")
    nowhere = [{"name": "host-a", "host": "https://127.0.0.1:1"}]
    here.told = {"group": GROUP, "host_clusters": nowhere, "virtual_clusters": [], **change}
    code, said = here.play("environment", environment_file=str(here.file))
    assert code != 0
    assert message in said
    assert "127.0.0.1" not in said.partition("PLAY RECAP")[0].replace(str(here.told), "")


def test_create_with_what_awx_gives_takes_text_and_a_token(host: Host, tmp_path: Path) -> None:
    """The verb create, in check mode: everything is text, and the connection that of AWX's own credential type."""
    here = Environment({"host-a": host}, tmp_path / "none.json")
    file = tmp_path / "kubeconfig"
    told = {
        "virtual_cluster": "it-env-new",
        "vcluster_values": "sync: {toHost: {ingresses: {enabled: true}}}",
        "kubeconfig_path": str(file),
        "wait_timeout": "200",
        "protected": "false",
        **({"chart_ref": host.chart} if host.chart else {}),
    }
    with bearer_token(host) as token:
        here.variables = credential(host, token, tmp_path)
        changed, said = here.changed("create", "--check", **told)
        assert "No virtual cluster is selected." in here.changed("pause", names="", all="true", group="it-env-none")[1]
        here.variables["K8S_AUTH_API_KEY"] = "wrong"
        code, refused = here.play("create", "--check", **told)
    assert changed == 1
    assert token not in said
    assert not file.exists()
    assert code != 0
    assert "Unauthorized" in refused


@contextmanager
def bearer_token(host: Host) -> Iterator[str]:
    """The token of an administrator's ServiceAccount."""
    name = f"it-awx-{uuid.uuid4().hex[:5]}"
    account = f"/api/v1/namespaces/{name}/serviceaccounts/awx"
    binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    host.namespace(name)
    try:
        host.create(account.rpartition("/")[0], {"metadata": {"name": "awx"}})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        subject = {"kind": "ServiceAccount", "name": "awx", "namespace": name}
        host.create(binding, {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]})
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        yield str(host.create(f"{account}/token", asked)["status"]["token"])
    finally:
        host.delete(f"{binding}/{name}")
        host.delete(f"/api/v1/namespaces/{name}")
        host.leaving.append(name)


def credential(host: Host, token: str, directory: Path) -> dict[str, str]:
    """What AWX sets for a credential of the type "OpenShift or Kubernetes API Bearer Token"; no kubeconfig."""
    authority = directory / "ca.crt"
    authority.write_bytes(Path(host.configuration.ssl_ca_cert).read_bytes())
    return {
        "KUBECONFIG": os.devnull,
        "K8S_AUTH_HOST": host.configuration.host,
        "K8S_AUTH_API_KEY": token,
        "K8S_AUTH_VERIFY_SSL": "True",
        "K8S_AUTH_SSL_CA_CERT": str(authority),
    }
