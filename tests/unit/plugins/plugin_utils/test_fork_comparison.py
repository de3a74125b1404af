# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook runs modules in forks, and what they do and return is the same as in a new Python."""

from __future__ import annotations

import getpass
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nested.clusters.plugins.plugin_utils import forked_module
from local_play import FORK_WARNING, OTHER_PYTHON, PASSWORD, ApiServer, Object, Playbook, connection, settle
from playing import home

HERE, ELSEWHERE = "runs in a fork of ansible-playbook", "is sent to a new Python"
LATER = ("age", "loft.sh/paused-date")  # not the same for two


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as found:
        yield found


def tasks_for(server: ApiServer) -> list[Object]:
    """Tasks with changes, refusals, warnings and secrets in them."""
    given = connection(server)
    environment = {"K8S_AUTH_HOST": server.url, "K8S_AUTH_API_KEY": "from-the-environment"}
    unread = "http://127.0.0.1:1"
    one_or_other = f"{{{{ {unread!r} if item == 'bad' else {server.url!r} }}}}"
    silent = {"name": "silent", "host": unread, "api_key": PASSWORD}
    group = {"name": "lab", "oversubscription": 150, "host_clusters": [{"name": "a", **given}]}
    pause = {"names": ["dev"], "state": "paused", "wait": False, "accept_data_loss": True}
    return [
        {"nested.clusters.vcluster_group": group, "check_mode": True, "diff": True},
        {"nested.clusters.vcluster_group": group, "diff": True},
        {"nested.clusters.vcluster_group_info": given},
        {"nested.clusters.vcluster_info": {"host_clusters": [{"name": "answers", **given}, silent]}},
        {"nested.clusters.vcluster_state": {**given, **pause}, "diff": True},
        {"nested.clusters.vcluster_endpoint_info": {"name": "dev", "namespace": "dev"}, "environment": environment},
        {"nested.clusters.vcluster_info": {"nome": "typo"}, "failed_when": False},
        {"nested.clusters.vcluster": {"name": "A_", **given}, "retries": 1, "delay": 0, "until": "task_7 is success"},
        {"nested.clusters.vcluster_info": {"kubeconfig": "/nowhere", "api_key": PASSWORD}},
        {
            "nested.clusters.vcluster_info": {"name": "{{ item }}"},
            "environment": {**environment, "K8S_AUTH_HOST": one_or_other},
            "loop": ["bad", "d\u00e9v"],
        },
        {"nested.clusters.vcluster_info": {"name": "dev", **given}, "no_log": True},
        {"nested.clusters.vcluster_info": {"name": "dev", **given}, "delegate_to": "localhost"},
    ]


RUNS = 14  # one of them is tried twice, and one has two items
FAILED = [False] * 7 + [True, True, True, False, False]
CHANGED = [True, True, False, False, True, False, False, False, False, False, False, False]


def comparable(data: Any, key: str = "") -> Any:
    """The same without what changes with time, and of a traceback the functions from the module on."""
    if isinstance(data, dict):
        return {name: comparable(value, name) for name, value in data.items() if name not in LATER}
    if isinstance(data, list):
        return [comparable(item) for item in data]
    if key == "exception" and "File" in data:
        frames = re.findall(r'File ".*?([^/"]+)", line \d+, in (\w+)', data)
        first = next(number for number, (file, _function) in enumerate(frames) if file.startswith("vcluster"))
        return frames[first:]
    return data


def test_result_in_fork_equals_that_of_a_new_python(server: ApiServer, tmp_path: Path) -> None:
    playbook, tasks = Playbook(tmp_path, home()), tasks_for(server)
    settle(server)
    fork = playbook.run(tasks)
    assert not playbook.left(), "what the modules need for a time goes with them"
    assert ELSEWHERE not in fork.said, fork.said
    assert fork.said.count(HERE) == RUNS
    assert "AnsiballZ_vcluster" not in fork.said
    settle(server)
    new = playbook.run(tasks, ansible_python_interpreter=OTHER_PYTHON)
    assert new.said.count(ELSEWHERE) == RUNS
    for number, (one, other) in enumerate(zip(fork.results, new.results, strict=True)):
        assert comparable(one) == comparable(other), tasks[number]
    assert [bool(one.get("failed")) for one in fork.results] == FAILED, fork.results
    assert [one["changed"] for one in fork.results] == CHANGED
    assert "silent" in str(fork.results[3]["warnings"])
    assert PASSWORD not in fork.said + new.said + json.dumps(fork.results)


def test_output_without_details_in_fork_equals_that_of_a_new_python(server: ApiServer, tmp_path: Path) -> None:
    """Also what is on standard error, and that of a callback which writes JSON."""
    playbook = Playbook(tmp_path, home())
    settle(server)
    tasks = [
        {"nested.clusters.vcluster_info": {"name": "dev", **connection(server), "namespace": "{{ 'dev' }}"}},
        {"nested.clusters.vcluster": {"name": "Not_a_name", **connection(server)}},
    ]
    settings = {"verbosity": "", "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml", "ANSIBLE_DISPLAY_TRACEBACK": "never"}
    fork = playbook.run(tasks, **settings)
    new = playbook.run(tasks, **settings, nested_clusters_fork=False)
    assert (fork.rc, fork.out, fork.err) == (new.rc, new.out, new.err)
    assert "Not_a_name" in fork.said


def test_traceback_in_fork_has_the_frames_of_a_new_python(tmp_path: Path) -> None:
    playbook, tasks = Playbook(tmp_path, home()), [{"nested.clusters.vcluster": {"name": "Not_a_name"}}]
    fork = playbook.run(tasks, ANSIBLE_DISPLAY_TRACEBACK="always")
    new = playbook.run(tasks, ANSIBLE_DISPLAY_TRACEBACK="always", nested_clusters_fork=False)
    assert HERE in fork.said
    assert HERE not in new.said
    assert "in run_module" in fork.results[0]["exception"]
    assert comparable(fork.results) == comparable(new.results)


def test_task_that_needs_a_new_python_gets_one(server: ApiServer, tmp_path: Path) -> None:
    playbook = Playbook(tmp_path, home())
    settle(server)
    look: Object = {"nested.clusters.vcluster_info": {"name": "dev", **connection(server)}}
    thread = "{{ lookup('thread') }}"
    tasks: dict[str, Object] = {
        "nested_clusters_fork is false": {**look, "vars": {"nested_clusters_fork": "{{ 'no' }}"}},
        "it is asynchronous": {**look, "async": 60, "poll": 1},
        "it becomes another user": {**look, "become": True, "become_user": getpass.getuser()},
        "its environment sets PYTHONUTF8": {**look, "environment": {"PYTHONUTF8": "1"}},
        "ansible_python_interpreter is /": {**look, "vars": {"ansible_python_interpreter": OTHER_PYTHON}},
        "a thread runs beside it": {"nested.clusters.vcluster_info": {"name": thread, **connection(server)}},
    }
    (tmp_path / "lookup_plugins").mkdir()
    (tmp_path / "lookup_plugins/thread.py").write_text(LOOKUP)
    all_tasks: list[Object] = [look, *tasks.values()]
    done = playbook.run(all_tasks)
    assert done.said.count(HERE) == 1, done.said
    for reason in tasks:
        assert f"{ELSEWHERE}: {reason}" in done.said, done.said
    for result in done.results:
        assert not result.get("failed"), result
        assert comparable(result["virtual_clusters"]) == comparable(done.results[0]["virtual_clusters"])


LOOKUP = """
import threading
import time
from ansible.plugins.lookup import LookupBase

class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        return ["dev"]
"""


def test_warning_about_a_fork_beside_a_thread_fails_a_run(tmp_path: Path) -> None:
    """Python writes it to the standard error of the process of a task, and Ansible shows that in its own way."""
    (tmp_path / "lookup_plugins").mkdir()
    (tmp_path / "lookup_plugins/warning.py").write_text(WARNING)
    words = "', '".join(FORK_WARNING.split())
    with pytest.raises(AssertionError, match="may lead to deadlocks"):
        Playbook(tmp_path, home()).run([{"ansible.builtin.debug": {"msg": f"{{{{ lookup('warning', '{words}') }}}}"}}])


WARNING = f"""
import warnings
from ansible.plugins.lookup import LookupBase

class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        warnings.warn_explicit(" ".join(terms), DeprecationWarning, "file", 1, module="{forked_module.__name__}")
        return ["warned"]
"""


def test_environment_variable_switches_the_fork_off_and_a_variable_on_again(tmp_path: Path) -> None:
    look: Object = {"nested.clusters.vcluster": {"name": "Not_a_name"}}
    wrong = {**look, "vars": {"nested_clusters_fork": "perhaps"}}
    tasks = [look, {**look, "vars": {"nested_clusters_fork": True}}, wrong]
    done = Playbook(tmp_path, home()).run(tasks, NESTED_CLUSTERS_FORK="false")
    assert done.said.count(f"{ELSEWHERE}: nested_clusters_fork is false") == 1
    assert done.said.count(HERE) == 1
    assert comparable(done.results[0]) == comparable(done.results[1])
    assert "Set it to true or false" in done.results[2]["msg"]


def test_chosen_remote_tmp_holds_the_files_of_a_module(server: ApiServer, tmp_path: Path) -> None:
    playbook = Playbook(tmp_path, home())
    helper = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", f"ls -R {tmp_path}/chosen >{tmp_path}/found; echo {PASSWORD} >&2; exit 3"],
        "interactiveMode": "Never",
    }
    config = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"exec": helper}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    look = {"nested.clusters.vcluster_info": {"kubeconfig": "config"}}
    done = playbook.run([look], ansible_remote_tmp=f"{tmp_path}/chosen")
    assert HERE in done.said
    assert tempfile.gettempprefix() in (tmp_path / "found").read_text()
    assert not list((tmp_path / "chosen").iterdir())
    # Nobody sees what a module has on standard error: a credential helper may say anything there.
    assert PASSWORD not in done.said + json.dumps(done.results)
