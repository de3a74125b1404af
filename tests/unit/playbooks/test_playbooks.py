# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks by their full names, as they are run: up to the API server, which is not there."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forked
import pytest
import yaml
from local_play import FORK_WARNING, FORK_WARNINGS
from playing import home, log

REPOSITORY = Path(__file__).resolve().parents[3]
# What a playbook cannot do without.
NEEDED: dict[str, dict[str, Any]] = {
    "create": {"virtual_cluster": "one"},
    "delete": {"names": "one"},
    "orphans": {},
    "pause": {"names": "one"},
    "report": {},
    "resize": {"group": "dev", "names": "one", "cpu": "2"},
    "resume": {"names": "one"},
    "update": {"group": "dev"},
    "upgrade": {"group": "dev"},
}
OF_AN_ENVIRONMENT = ("environment", "teardown")
NOWHERE = {"name": "a", "host": "https://127.0.0.1:9", "api_key": "token"}
ENVIRONMENT: dict[str, Any] = {
    "group": "dev",
    "group_settings": {"endpoint": {"type": "ingress", "ingress_class": "nginx"}},
    "host_clusters": [NOWHERE],
    "host_settings": [{"name": "a", "dns_pattern": "*.a.example.com", "dns": {"provider": "none"}}],
    "virtual_clusters": [{"name": "one", "owner": "me"}],
}

Play = Callable[..., tuple[int, str]]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """``play(name, *arguments, **extra)`` runs a playbook: (exit status, what was said)."""

    def run(name: str, *arguments: str, **extra: Any) -> tuple[int, str]:
        playbook = name if "/" in name else f"nested.clusters.{name}"
        environment = {**os.environ, "ANSIBLE_HOME": home(), "ANSIBLE_NOCOLOR": "true", **FORK_WARNINGS}
        done = forked.run_playbook([playbook, "--extra-vars", json.dumps(extra), *arguments], environment, tmp_path)
        said = done.stdout + done.stderr
        assert FORK_WARNING not in said
        return done.returncode, said

    return run


def test_every_playbook_is_in_the_table_of_this_file() -> None:
    assert {path.stem for path in (REPOSITORY / "playbooks").glob("*.yml")} == {*NEEDED, *OF_AN_ENVIRONMENT}


@pytest.mark.parametrize("file", sorted((REPOSITORY / "playbooks").rglob("*.yml")), ids=lambda file: file.name)
def test_playbook_writes_nothing_into_the_collection(file: Path) -> None:
    """A relative path would start from the directory of the playbook, which is inside of the installed collection."""
    text = file.read_text()
    assert "playbook_dir" not in text
    for line in text.splitlines():
        if re.search(r"\b(path|dest)['\"]?: .*(kubeconfig|report)", line):
            assert "realpath" in line


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_playbook_without_an_environment_reaches_the_api_server(name: str, play: Play) -> None:
    status, said = play(name, "--check", host_clusters=[NOWHERE], **NEEDED[name])
    assert status != 0
    assert "host cluster https://127.0.0.1:9 does not answer" in said or "host cluster a does not answer" in said, said


@pytest.mark.parametrize(("name", "by_file"), [("environment", True), ("environment", False), ("teardown", True)])
def test_playbook_of_an_environment_reaches_the_api_server(
    name: str, by_file: bool, play: Play, tmp_path: Path
) -> None:
    (tmp_path / "dev.yml").write_text(json.dumps(ENVIRONMENT))
    status, said = play(name, "--check", **({"environment_file": "dev.yml"} if by_file else ENVIRONMENT))
    assert status != 0
    assert "host cluster https://127.0.0.1:9 does not answer" in said, said


# --- secrets ----------------------------------------------------------------------------------------------

SECRETS: dict[str, Any] = {
    **ENVIRONMENT,
    "group_settings": {},
    "host_clusters": [
        {**NOWHERE, "api_key": "canary-api-key"},
        {"name": "b", "host": "https://127.0.0.1:9", "username": "me", "password": "canary-password"},
    ],
    "host_settings": [
        {
            "name": "a",
            "dns_pattern": "*.a.example.com",
            "dns": {"provider": "rfc2136", "zone": "example.com", "server": "127.0.0.1", "addresses": ["192.0.2.1"]},
        }
    ],
    "virtual_clusters": [
        {
            "name": "one",
            "owner": "me",
            "backing_store": {"type": "external_database", "data_source": "mysql://me:canary-database@tcp(db)/one"},
            "values": {"controlPlane": {"password": "canary-values"}},
        }
    ],
    "wildcard_dns_tsig_name": "key",
    "wildcard_dns_tsig_secret": "canary-tsig",
    "wildcard_dns_port": 9,
    "metallb_values": {"password": "canary-chart"},
}


def broken(said: str) -> str:
    """The environment with an error in it, as a file. Each error is beside a secret."""
    text: str = yaml.safe_dump(SECRETS)
    assert "canary-database" in text
    return {
        "nothing is wrong": text,
        "no YAML": text.replace("password: canary-password", "password: 'canary-password"),
        "not defined": text.replace("canary-password", "canary-password{{ nowhere }}"),
        "divided": text.replace("canary-password", "canary-password{{ 1 / 0 }}"),
        "no filter": text.replace("canary-password", "canary-password{{ name | no_such_filter }}"),
        "no template": text.replace("canary-tsig", "canary-tsig{{ 'canary-quoted' canary-syntax }}"),
        "not a list": text.replace("wildcard_dns_port: 9", "wildcard_dns_port: 9\nprepare: canary-unknown"),
        "not a number": f"{text}\nat_once: canary-number\nprune: canary-bool\n",
        "not a choice": text.replace("type: external_database", "type: canary-choice"),
        "not a dictionary": "- canary-list\n- canary-password\n",
    }[said]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("nothing is wrong", "host cluster https://127.0.0.1:9 does not answer"),
        ("no YAML", "dev.yml cannot be read: "),
        ("not defined", "nowhere' is undefined|host_clusters refers to what is not defined"),
        ("divided", "The environment cannot be read: host_clusters has a template that fails"),
        ("no filter", "The environment cannot be read: host_clusters has a template that fails"),
        ("no template", "The environment cannot be read: wildcard_dns_tsig_secret has a template that fails"),
        ("not a list", "The environment cannot be: prepare is not known; allowed: .*wildcard_dns_tsig_secret"),
        ("not a number", "argument 'at_once' is of type .* and we were unable to convert to int"),
        ("not a choice", "value of type must be one of: .* found in virtual_clusters -> backing_store"),
        ("not a dictionary", "dev.yml cannot be read: .*must be stored as a dictionary"),
    ],
)
def test_secret_in_a_broken_environment_is_not_shown(
    wrong: str, message: str, play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on the screen nor in a log file."""
    (tmp_path / "dev.yml").write_text(broken(wrong))
    written = log()
    monkeypatch.setenv("ANSIBLE_LOG_PATH", str(written))
    status, said = play("environment", "-vvvv", environment_file="dev.yml")
    assert status != 0
    assert re.search(message, said), said
    assert "TASK [" in written.read_text()
    assert sorted(set(re.findall("canary-[a-z-]+", said + written.read_text()))) == []


@pytest.mark.parametrize(
    ("name", "argument"), [("environment", "@dev.yml"), ("teardown", "environment_file=dev.yml")]
)
def test_secret_of_the_command_line_or_a_teardown_is_not_shown(
    name: str, argument: str, play: Play, tmp_path: Path
) -> None:
    (tmp_path / "dev.yml").write_text(broken("nothing is wrong"))
    _status, said = play(name, "-vvvv", "--extra-vars", argument)
    assert "host cluster https://127.0.0.1:9 does not answer" in said
    assert sorted(set(re.findall("canary-[a-z-]+", said))) == []


# --- the file and the command line ------------------------------------------------------------------------

ASKED = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_tasks: tasks/environment.yml
    - ansible.builtin.copy:
        dest: "{{ out }}"
        content: "{{ environment_config | to_json }}"
        mode: "0600"
      check_mode: false
"""
OTHERWISE: dict[str, Any] = {
    "group": "other",
    "group_settings": {"replicas": 3},
    "host_clusters": [{"name": "z"}],
    "host_settings": [{"name": "z", "dns_pattern": "*.z.example.com"}],
    "virtual_clusters": [{"name": "two", "host_cluster": "z"}],
    "prune": False,
    "keep_volumes": True,
    "accept_data_loss": True,
    "kubeconfig_directory": "/other",
    "chart_ref": "other",
    "chart_repo_url": "https://other.example.com",
    "binary_path": "/other/helm",
    "at_once": 2,
    "wait_timeout": 2,
    "verify_endpoint": False,
    "remove_roles": False,
    "ingress_nginx_controller": "f5",
}


def asked(play: Play, directory: Path, told: dict[str, Any], file: str = "dev.yml", **extra: Any) -> dict[str, Any]:
    """Return the environment that is read from a file and a command line, in check mode."""
    (directory / "playbooks").mkdir()
    for name in ("tasks", "vars"):
        (directory / "playbooks" / name).symlink_to(REPOSITORY / "playbooks" / name)
    (directory / "roles").symlink_to(REPOSITORY / "roles")
    (directory / "playbooks/asked.yml").write_text(ASKED)
    (directory / file).write_text(json.dumps(told))
    (directory / "inventory.yml").write_text(json.dumps({"all": {"hosts": {"localhost": {"prune": True}}}}))
    out = directory / "asked.json"
    arguments = ["--check", "--inventory", "inventory.yml", "--connection", "local"]
    playbook = str(directory / "playbooks/asked.yml")
    status, said = play(playbook, *arguments, environment_file=file, out=str(out), **extra)
    assert status == 0, said
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_variable_of_the_command_line_overrides_the_file(play: Play, tmp_path: Path) -> None:
    told = {**ENVIRONMENT, "prune": True, "wait_timeout": 1, "ingress_nginx_controller": "community"}
    assert asked(play, tmp_path, told, **OTHERWISE) == OTHERWISE


def test_blank_or_inventory_variable_does_not_override_the_file(play: Play, tmp_path: Path) -> None:
    """Neither what it leaves blank, nor what the inventory says."""
    told = {**ENVIRONMENT, "wait_timeout": 1, "group_settings": {"description": "{{ more }}"}}
    found = asked(play, tmp_path, told, wait_timeout="", chart_ref=None, at_once=3, more="of it")
    assert found == {**told, "group_settings": {"description": "of it"}, "at_once": 3}


PATHS: dict[str, Any] = {
    "host_clusters": [
        {"name": "a", "kubeconfig": "a/kubeconfig", "client_cert": "../tls.crt", "client_key": "/keys/tls.key"},
        {"name": "b", "host": "https://b", "ca_cert": "b.crt", "kubeconfig": ""},
        {"name": "c", "kubeconfig": {"clusters": []}, "ca_cert": "~/c.crt", "context": "c"},
    ],
    "kubeconfig_directory": "kubeconfigs",
}


def resolved(directory: Path) -> dict[str, Any]:
    """Return PATHS as they are where their relative paths start from a directory."""
    a, b, c = PATHS["host_clusters"]
    home = str(Path("~/c.crt").expanduser())
    paths = {"kubeconfig": f"{directory}/a/kubeconfig", "client_cert": f"{directory}/../tls.crt"}
    return {
        "host_clusters": [{**a, **paths}, {**b, "ca_cert": f"{directory}/b.crt"}, {**c, "ca_cert": home}],
        "kubeconfig_directory": f"{directory}/kubeconfigs",
    }


def test_relative_path_of_the_file_starts_from_its_directory(play: Play, tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    told = {**ENVIRONMENT, **PATHS}
    found = asked(play, tmp_path, told, "environments/dev.yml")
    assert found == {**ENVIRONMENT, **resolved(tmp_path / "environments")}


def test_relative_path_of_the_command_line_starts_from_the_current_directory(play: Play, tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    found = asked(play, tmp_path, ENVIRONMENT, "environments/dev.yml", **PATHS)
    assert found == {**ENVIRONMENT, **resolved(tmp_path)}


def test_every_variable_of_an_environment_is_tried_on_the_command_line() -> None:
    spec = yaml.safe_load((REPOSITORY / "playbooks/vars/environment_spec.yml").read_text())["environment_spec"]
    assert set(OTHERWISE) == {*spec, "ingress_nginx_controller"}


ROLES = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_tasks: tasks/environment.yml
- hosts: environment_host_clusters
  gather_facts: false
  tasks:
    - ansible.builtin.include_tasks: tasks/prepare.yml
"""


def test_secret_of_an_environment_is_not_shown_by_the_roles(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tasks", "vars"):
        (tmp_path / "playbooks").mkdir(exist_ok=True)
        (tmp_path / "playbooks" / name).symlink_to(REPOSITORY / "playbooks" / name)
    (tmp_path / "roles").symlink_to(REPOSITORY / "roles")
    (tmp_path / "playbooks/roles.yml").write_text(ROLES)
    (tmp_path / "dev.yml").write_text(broken("nothing is wrong"))
    # The collections of the roles are where the tools are.
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", f"{os.environ['ANSIBLE_COLLECTIONS_PATH']}:{sys.prefix}")
    status, said = play(str(tmp_path / "playbooks/roles.yml"), "-vvvv", environment_file="dev.yml")
    assert status != 0
    assert "Query the server for the zone" in said
    assert sorted(set(re.findall("canary-[a-z-]+", said))) == []
