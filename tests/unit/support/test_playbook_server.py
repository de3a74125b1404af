# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook in a fork, held to a new process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import forked
import pytest
from playing import home

PLAY: list[dict[str, Any]] = [
    {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.debug": {"msg": ["{{ lookup('env', 'ANSWERS') }}", "{{ lookup('pipe', 'pwd; env') }}"]}},
            {"ansible.builtin.debug": {"msg": ["{{ ansible_playbook_python }}", "{{ playbook_dir }}", "{{ told }}"]}},
            {"ansible.builtin.command": {"cmd": "sh -c 'tty || true; ls -l /proc/self/fd | wc -l'"}},
            {"ansible.builtin.copy": {"content": "{{ told }}", "dest": "{{ playbook_dir }}/copied", "mode": "0600"}},
            {"nested.clusters.vcluster": {"name": "Not_a_name"}},
        ],
    }
]
CHANGES_WITH_TIME = re.compile(r'("?(?:start|end|delta)"?: |ansible-local-|/ansible-tmp-).*')


@pytest.fixture
def environment() -> dict[str, str]:
    """An environment in which Ansible has a home of nobody's."""
    return {**os.environ, "ANSIBLE_HOME": home(), "ANSIBLE_NOCOLOR": "true", "ANSWERS": "for one run"}


def in_new_process(arguments: list[str], environment: dict[str, str], directory: Path) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of a real ansible-playbook."""
    done = subprocess.run(
        [str(Path(sys.prefix) / "bin/ansible-playbook"), *arguments],
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("settings", [{}, {"ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml", "ANSIBLE_FORCE_COLOR": "1"}])
def test_playbook_in_fork_does_what_one_in_a_new_process_does(
    settings: dict[str, str], environment: dict[str, str], tmp_path: Path
) -> None:
    """Its configuration is of its environment as well."""
    (tmp_path / "play.json").write_text(json.dumps(PLAY))
    arguments = ["play.json", "-v", "--extra-vars", "told=this"]
    new = in_new_process(arguments, environment | settings, tmp_path)
    (tmp_path / "copied").unlink()
    done = forked.run_playbook(arguments, environment | settings, tmp_path)
    results = (done.returncode, done.stdout, done.stderr), new
    one, other = ([status, *(CHANGES_WITH_TIME.sub("", text) for text in texts)] for status, *texts in results)
    assert one == other
    assert done.returncode == 2
    assert "failed=1" in done.stdout
    assert (tmp_path / "copied").read_text() == "this"
    assert list((Path(home()) / "tmp").iterdir()) == []


def test_playbook_in_fork_has_the_variables_of_its_run(environment: dict[str, str], tmp_path: Path) -> None:
    play = {**PLAY[0], "tasks": PLAY[0]["tasks"][:1]}
    (tmp_path / "play.json").write_text(json.dumps([play]))
    for text in ("one", "another"):
        done = forked.run_playbook(["play.json"], {**environment, "ANSWERS": text}, tmp_path)
        assert f'"{text}",' in done.stdout
        assert f"ANSWERS={text}" in done.stdout


def test_playbook_in_fork_with_an_ansible_cfg_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    done = forked.run_playbook(["play.json"], environment, tmp_path)
    assert done.returncode == 1
    assert "start a real ansible-playbook" in done.stderr
