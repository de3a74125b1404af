# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks by their full names, as they are run: up to the API server, which is not there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
        command = ["ansible-playbook", f"nested.clusters.{name}", "--extra-vars", json.dumps(extra), *arguments]
        environment = {**os.environ, "ANSIBLE_HOME": str(tmp_path / "ansible"), "ANSIBLE_NOCOLOR": "true"}
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300, env=environment
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_each_playbook_is_tried() -> None:
    assert {path.stem for path in (REPOSITORY / "playbooks").glob("*.yml")} == {*NEEDED, *OF_AN_ENVIRONMENT}


@pytest.mark.parametrize("file", sorted((REPOSITORY / "playbooks").rglob("*.yml")), ids=lambda file: file.name)
def test_no_playbook_writes_into_the_collection(file: Path) -> None:
    """A relative path would start from the directory of the playbook, which is inside of the installed collection."""
    text = file.read_text()
    assert "playbook_dir" not in text
    for line in text.splitlines():
        if re.search(r"\b(path|dest)['\"]?: .*(kubeconfig|report)", line):
            assert "realpath" in line


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_verb_gets_as_far_as_the_api_server(name: str, play: Play) -> None:
    status, said = play(name, "--check", host_clusters=[NOWHERE], **NEEDED[name])
    assert status != 0
    assert "host cluster https://127.0.0.1:9 does not answer" in said or "host cluster a does not answer" in said, said


@pytest.mark.parametrize("name", OF_AN_ENVIRONMENT)
@pytest.mark.parametrize("by_file", [True, False], ids=["file", "variables"])
def test_an_environment_gets_as_far_as_the_api_server(name: str, by_file: bool, play: Play, tmp_path: Path) -> None:
    (tmp_path / "dev.yml").write_text(json.dumps(ENVIRONMENT))
    status, said = play(name, "--check", **({"environment_file": "dev.yml"} if by_file else ENVIRONMENT))
    assert status != 0
    assert "host cluster https://127.0.0.1:9 does not answer" in said, said
