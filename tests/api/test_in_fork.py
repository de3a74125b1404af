# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook runs the modules in forks, and what they do and return is the same as in a new Python."""

from __future__ import annotations

import json
import re
import socket
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_tools import carrying
from host_api import Host, Object
from modules import MODULE_SECONDS, OWN_PYTHON, SAME_PYTHON
from places import IDLE, Place
from waiting import eventually

HERE, ELSEWHERE = "runs in a fork of ansible-playbook", "is sent to a new Python"
PASSWORD = "swordfish-in-fork"
TIMED_OUT = re.compile("Timed out|failed to execute in the expected time frame")  # ansible-core's own, by its version
LATER = ("age", "created", "loft.sh/paused-date")  # not the same for two


def play(
    host: Host, directory: Path, here: bool, tasks: list[Object], **environment: str
) -> tuple[list[Object], str]:
    """(the tasks' results, what ansible-playbook said in detail)."""
    results = directory / "results.json"
    named = [{"register": f"task_{number}", "ignore_errors": True, **task} for number, task in enumerate(tasks)]
    keep = {
        "content": "{{ [" + ", ".join(task["register"] for task in named) + "] | to_json }}",
        "dest": str(results),
        "mode": "0600",
    }
    book = directory / "play.json"
    whole = {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": OWN_PYTHON if here else SAME_PYTHON},
        "tasks": [*named, {"ansible.builtin.copy": keep, "no_log": True}],
    }
    book.write_text(json.dumps([whole]))
    with tempfile.TemporaryDirectory(prefix="play-") as temporary:  # short: a socket of ansible-core is in it
        said = played(host, book, environment, Path(temporary))
    found: list[Object] = json.loads(results.read_text())
    results.unlink()
    return found, said


def played(host: Host, book: Path, environment: dict[str, str], temporary: Path) -> str:
    """What ansible-playbook says of a playbook; it leaves no files."""
    directory = book.parent
    settings: dict[str, Any] = {
        "ANSIBLE_HOME": str(directory / "ansible"),
        "TMPDIR": str(temporary),
        "KUBECONFIG": "/nowhere",
        **environment,
    }
    said = host.call("ansible-playbook", "-vvv", "-i", "one,", str(book), seconds=MODULE_SECONDS, **settings).stdout
    left = [path for top in (temporary, directory / "ansible" / "tmp") for path in top.rglob("*") if path.is_file()]
    assert not left, "what the modules need for a time goes with them"
    return said


def with_kubeconfig(host: Host, tasks: list[Object]) -> list[Object]:
    """The tasks, with the host cluster in their environment."""
    return [{**task, "environment": {"K8S_AUTH_KUBECONFIG": host.kubeconfig}} for task in tasks]


def left_to_the_library(file: str) -> str:
    """A value of KUBECONFIG that only the Kubernetes library reads: more than one file."""
    return f"{file}:/nowhere"


def lasting(data: Any) -> Any:
    """The same without what changes with time, and of a traceback the lines of our files."""
    if isinstance(data, dict):
        kept = {key: value for key, value in data.items() if key not in LATER}
        return {key: frames(value) if key == "exception" else lasting(value) for key, value in kept.items()}
    return [lasting(one) for one in data] if isinstance(data, list) else data


def frames(traceback: str) -> list[tuple[str, ...]] | str:
    """Return file, line and function of each frame in the collection; the text where it has no frames.

    ansible-core before 2.19 shows a traceback at -vvv. Where the files are, and whether Python marks a part of a line,
    depends on how Ansible sends a module.
    """
    if "File" not in traceback:
        return traceback
    found = re.findall(r'File ".*?/ansible_collections/nested/clusters/([^"]+)", line (\d+), in (\w+)', traceback)
    assert found, traceback
    return found


def everything(host: Host, where: Place) -> list[Object]:
    """A life, with errors, warnings and secrets in it."""
    given = {**where.options, "values": IDLE, "wait": False}
    if host.chart:
        given["chart_ref"] = host.chart
    silent = {"name": "silent", "host": "https://127.0.0.1:1", "api_key": PASSWORD}
    several = [{"name": "answers", "kubeconfig": host.kubeconfig}, silent]
    return [
        {"nested.clusters.vcluster": given, "check_mode": True, "diff": True},
        {"nested.clusters.vcluster": {**given, "labels": {"env": "test"}}, "diff": True},
        {"nested.clusters.vcluster": {**given, "labels": {"env": "test"}}},
        {"nested.clusters.vcluster_info": where.options},
        {"nested.clusters.vcluster_info": {**where.options, "host_clusters": several}},
        {"nested.clusters.vcluster_state": {**where.options, "state": "paused", "wait": False}},
        # Of a paused one, for which helm runs our post-renderer.
        {"nested.clusters.vcluster": {**given, "labels": {"env": "rest"}}, "diff": True},
        {"nested.clusters.vcluster": {**where.options, "state": "absent"}},
        {"nested.clusters.vcluster_info": {"nome": "typo"}, "failed_when": False},
        {"nested.clusters.vcluster": {"name": "Not_a_name"}},
        {"nested.clusters.vcluster": {"name": "Not_a_name"}, "retries": 1, "delay": 0, "until": "task_10 is success"},
        {"nested.clusters.vcluster_info": {"kubeconfig": "/nowhere", "api_key": PASSWORD}},
    ]


def test_it_is_the_same_here_and_elsewhere(host: Host, new: Callable[..., Place], tmp_path: Path) -> None:
    where = new("fork")
    tasks = with_kubeconfig(host, everything(host, where))
    here, said = play(host, tmp_path, True, tasks)
    assert said.count(HERE) == len(here) + 1, "one is tried twice"
    assert ELSEWHERE not in said
    assert "AnsiballZ_vcluster" not in said
    assert PASSWORD not in said
    there, said = play(host, tmp_path, False, tasks)
    assert said.count(ELSEWHERE) == len(there) + 1
    assert PASSWORD not in said
    for one, other in zip(here, there, strict=True):
        assert lasting(one) == lasting(other)
    assert [bool(one.get("failed")) for one in here] == [False] * 9 + [True] * 3
    assert [one["changed"] for one in here[:8]] == [True, True, False, False, False, True, True, True]
    assert "silent" in str(here[4]["warnings"])
    assert "nome" in here[8]["msg"]
    assert PASSWORD not in json.dumps(here)


@pytest.mark.parametrize("variable", ["KUBECONFIG", "K8S_AUTH_CONTEXT"])
def test_the_environment_of_one_task_is_not_that_of_the_next(host: Host, tmp_path: Path, variable: str) -> None:
    """Also where both run in one process of Ansible, as the items of a loop do."""
    good, bad = (left_to_the_library(host.kubeconfig), "/nowhere") if variable == "KUBECONFIG" else ("", "nowhere")
    common = {} if variable == "KUBECONFIG" else {"K8S_AUTH_KUBECONFIG": host.kubeconfig}
    look = {
        "nested.clusters.vcluster_info": {"name": "nobody"},
        "environment": "{{ item }}",
        "loop": [{**common, variable: bad}, {**common, variable: good}, {**common, variable: bad}],
    }
    (looked,), said = play(host, tmp_path, True, [look])
    assert said.count(HERE) == 3
    assert [bool(item.get("failed")) for item in looked["results"]] == [True, False, True]


@pytest.mark.parametrize("here", [True, False])
def test_a_credential_is_for_its_own_host_cluster(host: Host, tmp_path: Path, here: bool) -> None:
    """The Kubernetes library would add that of the connection before it."""
    server = json.loads(host.call("kubectl", "config", "view", "-o", "json").stdout)["clusters"][0]["cluster"]["server"]
    wrong = {"name": "b", "host": server, "username": "bob", "password": PASSWORD, "validate_certs": False}
    look = {
        "nested.clusters.vcluster_info": {"name": "nobody", "host_clusters": [{"name": "a"}, wrong]},
        "environment": {"KUBECONFIG": left_to_the_library(host.kubeconfig)},
    }
    (looked,), said = play(host, tmp_path, here, [look])
    assert (HERE if here else ELSEWHERE) in said
    assert looked["failed_host_clusters"] == ["b"], looked
    assert PASSWORD not in said


@pytest.mark.parametrize("here", [True, False])
def test_a_relative_path_is_beside_the_playbook(host: Host, tmp_path: Path, here: bool) -> None:
    (tmp_path / "kubeconfig").write_text(Path(host.kubeconfig).read_text())
    (looked,), said = play(host, tmp_path, here, [{"nested.clusters.vcluster_info": {"kubeconfig": "kubeconfig"}}])
    assert (HERE if here else ELSEWHERE) in said
    assert "virtual_clusters" in looked, looked


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("among", [True, False], ids=["host_clusters", "the only one"])
def test_of_a_kubeconfig_its_secrets_alone_are_hidden(host: Host, tmp_path: Path, here: bool, among: bool) -> None:
    config = json.loads(host.call("kubectl", "config", "view", "--raw", "-o", "json").stdout)
    name, user = config["current-context"], config["users"][0]["user"]
    user["token"] = PASSWORD  # the certificate counts
    key = user["client-key-data"]
    given: Object = {"host_clusters": [{"name": name, "kubeconfig": config}]} if among else {"kubeconfig": config}
    wrong = {"name": name, "state": "paused", **given}  # a virtual cluster that is called like the context
    tasks = [{"nested.clusters.vcluster_group_info": given}, {"nested.clusters.vcluster_state": wrong}]
    # From ansible-core 2.21 on, what a task was called with is shown only where that is asked for.
    (looked, refused), said = play(host, tmp_path, here, tasks, ANSIBLE_INJECT_INVOCATION="true")
    assert said.count(HERE if here else ELSEWHERE) == 2
    assert not looked.get("failed"), looked
    assert f'"current-context": "{name}"' in said, "what the task was called with, at -vvv"
    assert f'"server": "{config["clusters"][0]["cluster"]["server"]}"' in said
    assert '"token": "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"' in said
    assert name in refused["msg"], refused
    for secret in (PASSWORD, key):
        assert secret not in said
        assert secret not in json.dumps([looked, refused])


@pytest.mark.parametrize("here", [True, False])
def test_what_a_module_says_on_standard_error_is_not_shown(host: Host, tmp_path: Path, here: bool) -> None:
    """A credential helper that fails may say anything there."""
    helper = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", f"echo {PASSWORD} >&2; exit 3"],
        "interactiveMode": "Never",
    }
    config = json.loads(host.call("kubectl", "config", "view", "--raw", "-o", "json").stdout)
    for user in config["users"]:
        user["user"] = {"exec": helper}
    (tmp_path / "helper").write_text(json.dumps(config))
    look = {"nested.clusters.vcluster_info": {"kubeconfig": str(tmp_path / "helper")}, "no_log": True}
    log = tmp_path / "log"
    (looked,), said = play(host, tmp_path, here, [look], ANSIBLE_LOG_PATH=str(log))
    assert looked["failed"]
    assert PASSWORD not in said
    assert PASSWORD not in log.read_text()


def test_an_asynchronous_task_has_its_own_process(host: Host, tmp_path: Path) -> None:
    look = {"nested.clusters.vcluster_info": {"name": "nobody"}, "async": 60, "poll": 1}
    (looked,), said = play(host, tmp_path, True, with_kubeconfig(host, [look]))
    assert ELSEWHERE in said
    assert looked["virtual_clusters"] == []


def test_a_timeout_of_the_task_ends_it(host: Host, tmp_path: Path) -> None:
    """Whatever its threads wait for: a host cluster that says nothing is given up after a minute."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        given = {"host": f"http://127.0.0.1:{silent.getsockname()[1]}", "api_key": PASSWORD}
        began = time.monotonic()
        (ended,), _said = play(host, tmp_path, True, [{"nested.clusters.vcluster_info": given, "timeout": 4}])
        assert time.monotonic() - began < 30
    assert ended["failed"]
    assert TIMED_OUT.search(ended["msg"]), ended


def test_what_a_timeout_has_ended_is_finished_by_the_next(
    host: Host, new: Callable[..., Place], tmp_path: Path
) -> None:
    where = new("timeout")
    given = {**where.options, "values": IDLE}
    if host.chart:
        given["chart_ref"] = host.chart
    tasks: list[Object] = [
        {"nested.clusters.vcluster": given, "timeout": 4},
        {"nested.clusters.vcluster": {**given, "wait": False}},
    ]
    mark = {"RUN": uuid.uuid4().hex}
    (ended, again), _said = play(host, tmp_path, True, with_kubeconfig(host, tasks), **mark)
    assert ended["failed"]
    assert TIMED_OUT.search(ended["msg"]), ended
    assert not again.get("failed"), again
    eventually("the end of helm, which the first had started", lambda: not carrying(mark["RUN"]), 30)
