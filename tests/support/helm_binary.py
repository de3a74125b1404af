# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A helm that records how it is run, and answers what a test says."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nested.clusters.plugins.module_utils.k8s.client import Kubernetes
from ansible_collections.nested.clusters.plugins.module_utils.k8s.connection import Connection
from helm_releases import release_json

# A shell answers for the version, being started ten times faster than Python, which writes down the rest.
FAKE = """#!/bin/sh
here="${{0%/*}}"
if [ "$1" = version ]; then cat "$here/version"; exit "$(cat "$here/version_status")"; fi
exec {python} -IS "$here/record.py" "$@"
"""
RECORD = """
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
files = {}
for name in [os.environ["KUBECONFIG"], *(v for k, v in zip(sys.argv, sys.argv[1:]) if k == "--values")]:
    mode = os.stat(name).st_mode & 0o777, os.stat(os.path.dirname(name)).st_mode & 0o777
    files[name] = [*mode, json.load(open(name))]
with open(here + "/runs.jsonl", "a") as file:
    print(json.dumps([sys.argv[1:], dict(os.environ), files, os.getcwd(), sys.stdin.read()]), file=file)
stdout, stderr, status = json.load(open(here + "/script.json"))
print(stderr, file=sys.stderr)
print(stdout)
sys.exit(status)
"""


class HelmProgram:
    """A program that is run as helm: ``binary`` is where it is, ``runs`` how it was run."""

    def __init__(self, directory: Path) -> None:
        self.binary = directory / "helm"
        self._directory = directory
        self.binary.write_text(FAKE.format(python=sys.executable), encoding="utf-8")
        self.binary.chmod(0o755)
        (directory / "record.py").write_text(RECORD, encoding="utf-8")
        self.says()

    def says(
        self,
        stdout: str | None = None,
        stderr: str = "",
        status: int = 0,
        version: str = "v4.3.1",
        version_status: int = 0,
    ) -> None:
        answer = json.dumps(release_json()) if stdout is None else stdout
        (self._directory / "script.json").write_text(json.dumps([answer, stderr, status]))
        (self._directory / "version").write_text(version)
        (self._directory / "version_status").write_text(str(version_status))

    @property
    def runs(self) -> list[Any]:
        return [json.loads(line) for line in (self._directory / "runs.jsonl").read_text().splitlines()]


# As a module runs commands: that of Ansible, but for what needs the module's own options. ansible-core before
# 2.18 calls the module's signal handlers in the new process.
MODULE = SimpleNamespace(
    run_command_environ_update={}, _debug=False, log=lambda _text: None, _restore_signal_handlers=lambda: None
)
run_command = partial(AnsibleModule.run_command, MODULE)


def host() -> Kubernetes:
    """A host cluster that helm is to be let into."""
    return Kubernetes(Connection("https://host", authorization="Bearer hunter2"))


NO_VERSION = 'Error: chart "vcluster" version "9.9.9" not found in https://charts.loft.sh repository'
