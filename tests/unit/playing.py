# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's playbooks, run by ansible-playbook with modules that only write down their options.

Of ansible-playbook, only the imports are not done for each run: see tests/support/playbook_server.py. So what it reads
when it is imported, such as the path of the collections, is the same for all runs of this process.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forked
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]

# An action goes before the module of its name. It runs in the process of its task, so it costs next to nothing.
STAND_IN = '''
import json
import os
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        name = self._task.action.rpartition(".")[2]
        told = {"module": name, "options": self._task.args, "check": bool(self._task.check_mode)}
        with open(os.environ["PLAYED"], "a") as file:
            file.write(json.dumps(told) + "\\n")
        return json.loads(os.environ["ANSWERS"])[name]
'''

ONE = {"name": "v1", "before": "running", "after": "paused", "size": {"cpu": "2"}, "changed": True}
# Of a group with two virtual clusters, which are to be upgraded.
MEMBERS = [{"name": name, "pending": ["values"], "vcluster_version": "0.35.0"} for name in ("v1", "v2")]
GROUP = {"name": "dev", "vcluster_version": "0.35.0", "virtual_clusters": MEMBERS, "pending_upgrade": []}
ANSWERS: dict[str, Any] = {
    "vcluster": {"virtual_cluster": ONE, "steps": ["upgrade"], "changed": True},
    "vcluster_endpoint_info": {},
    "vcluster_fleet": {"virtual_clusters": [ONE]},
    "vcluster_group": {},
    "vcluster_group_info": {"groups": [GROUP]},
    "vcluster_info": {"virtual_clusters": MEMBERS},
    "vcluster_orphan": {"orphans": []},
    "vcluster_orphan_info": {"orphans": []},
    "vcluster_orphans": {"orphans": []},
    "vcluster_state": {"virtual_clusters": [ONE]},
}


@dataclass(frozen=True)
class Played:
    """What a run of ansible-playbook said, and the tasks of this collection that it came to."""

    rc: int
    said: str
    tasks: list[dict[str, Any]]

    @property
    def options(self) -> list[tuple[str, dict[str, Any]]]:
        """The module and the options of each task."""
        return [(task["module"], task["options"]) for task in self.tasks]

    def only(self, module: str) -> dict[str, Any]:
        """The options of the one task with a module."""
        (found,) = (options for name, options in self.options if name == module)
        return found


@functools.cache
def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a directory of this process, which goes with it."""
    return tempfile.TemporaryDirectory(prefix="playing-")


def home() -> str:
    """Return a home of Ansible that is nobody's, and the same for all tests of this process."""
    return str(Path(scratch().name) / "home")


def log() -> Path:
    """Return Ansible's log file, for ANSIBLE_LOG_PATH. It is empty, and the same for all tests of this process."""
    file = Path(scratch().name) / "log"
    file.write_text("")
    return file


@functools.cache
def collections() -> Path:
    """Return the path of a copy of the collection, in which modules and roles only write down what they are given."""
    collection = Path(scratch().name) / "ansible_collections/nested/clusters"
    (collection / "plugins/action").mkdir(parents=True)
    plugins = (f"plugins/{name}" for name in ("filter", "lookup", "modules", "module_utils", "plugin_utils"))
    for name in ("galaxy.yml", "meta", "playbooks", *plugins):
        (collection / name).symlink_to(REPOSITORY / name)
    for name in ANSWERS:
        (collection / f"plugins/action/{name}.py").write_text(STAND_IN)
    for role in REPOSITORY.glob("roles/*"):
        _stand_in(collection / "roles" / role.name, role)
    return Path(scratch().name)


def _stand_in(directory: Path, role: Path) -> None:
    """A role that only writes down its variables."""
    (directory / "tasks").mkdir(parents=True)
    (directory / "meta").symlink_to(role / "meta")
    known = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    options = {name: f"{{{{ {name} | default(omit) }}}}" for name in known}
    task = {"name": "Write down", "nested.clusters.vcluster_endpoint_info": {"role": role.name, **options}}
    (directory / "tasks/main.yml").write_text(yaml.safe_dump([task]))


class Playbooks:
    """Runs playbooks of the collection, whose modules only write down what they are given."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(
        self, playbooks: str, extra: dict[str, Any], *arguments: str, answers: dict[str, Any] | None = None
    ) -> Played:
        """Run playbooks of the collection, or files, with extra variables."""
        played = self.directory / "played"
        played.write_text("")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE", "PYTHON"))}
        environment |= {
            "ANSIBLE_COLLECTIONS_PATH": f"{collections()}:{sys.prefix}",  # there, kubernetes.core
            "ANSIBLE_HOME": home(),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "PLAYED": str(played),
            "ANSWERS": json.dumps({**ANSWERS, **(answers or {})}),
        }
        names = [name if "/" in name else f"nested.clusters.{name}" for name in playbooks.split()]
        done = forked.run_playbook([*names, "--extra-vars", json.dumps(extra), *arguments], environment)
        tasks = [json.loads(line) for line in played.read_text().splitlines()]
        return Played(done.returncode, done.stdout + done.stderr, tasks)

    def refused(self, playbooks: str, extra: dict[str, Any], *arguments: str) -> str:
        """What is said where a playbook refuses its variables; no module has run then."""
        played = self.run(playbooks, extra, *arguments)
        assert played.rc == 2, played.said
        assert played.tasks == []
        return " ".join(played.said.split())
