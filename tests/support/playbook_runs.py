# SPDX-License-Identifier: GPL-3.0-or-later
"""Run playbooks of the collection by their full names, in check mode and for real, and say what they changed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from host_api import Host, Key

# Kinds that heartbeats and controllers write all the time, or some moments after what they follow.
RESTLESS = {"leases", "events", "endpoints", "endpointslices", "persistentvolumes"}
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)(.*)$", re.MULTILINE)


def objects(host: Host) -> dict[Key, dict[str, Any]]:
    """Return every object of a host cluster as it was asked for: without its status, and what writing it leaves.

    What is being deleted is left out: an earlier test may have asked for that.
    """
    everything = {key: json.loads(text) for key, text in host.everything().items() if key[1] not in RESTLESS}
    going = {key for key, item in everything.items() if item["metadata"].get("deletionTimestamp")}
    spaces = {name for _version, plural, _namespace, name in going if plural == "namespaces"}
    found = {key: item for key, item in everything.items() if key not in going and key[2] not in spaces}
    for item in found.values():
        item.pop("status", None)
        for name in ("resourceVersion", "managedFields"):
            item["metadata"].pop(name, None)
    return found


@dataclass(frozen=True)
class Played:
    """What a playbook has said, and how many tasks changed something, by host; hosts without changes are left out."""

    output: str
    changed: dict[str, int]


@dataclass
class PlaybookRunner:
    """Runs playbooks against a host cluster, in a directory for what ansible-playbook keeps."""

    host: Host
    directory: Path

    def run(self, playbook: str, *arguments: str, **variables: Any) -> Played:
        """Run a playbook that succeeds: no task of it fails, not even one whose failure is ignored or rescued."""
        command = ("ansible-playbook", playbook, "--extra-vars", json.dumps(variables), *arguments)
        done = self.host.call(
            *command,
            check=False,
            seconds=600,
            ANSIBLE_HOME=str(self.directory / "ansible"),
            ANSIBLE_LOCALHOST_WARNING="false",
            ANSIBLE_INVENTORY_UNPARSED_WARNING="false",
            ANSIBLE_NOCOLOR="true",
            KUBECONFIG="/nowhere",  # a playbook gets its connections from variables
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, f"{' '.join(command)}\n{output}"
        recap = RECAP.findall(output)
        assert recap, output
        for _host, ok, _changed, unreachable, failed, rest in recap:
            assert int(ok), output
            assert (unreachable, failed) == ("0", "0"), output
            assert "rescued=0" in rest, output
            assert "ignored=0" in rest, output
        changed = {name: int(count) for name, _ok, count, *_rest in recap if int(count)}
        return Played(output, changed)

    def checked(self, name: str, *arguments: str, **variables: Any) -> Played:
        """Run a playbook of the collection in check mode, in which no object of the host cluster may change."""
        before = objects(self.host)
        played = self.run(f"nested.clusters.{name}", "--check", "--diff", *arguments, **variables)
        assert objects(self.host) == before
        return played

    def both(self, name: str, changed: dict[str, int], **variables: Any) -> tuple[str, str]:
        """Run a playbook in check mode, then for real; both have to change that many tasks. Return what each said."""
        checked = self.checked(name, **variables)
        assert checked.changed == changed, checked.output
        played = self.run(f"nested.clusters.{name}", **variables)
        assert played.changed == changed, played.output
        return checked.output, played.output
