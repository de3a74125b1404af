# Copyright (c) 2026, nested.clusters contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What modules that find or remove orphans have in common: options, warnings and results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..common.errors import OptionError, refuse_empty
from ..k8s import host_clusters
from ..k8s.module import ModuleResult
from . import orphan_removal
from .orphan_removal import HostOrphans
from .orphans import KINDS, Criteria

_OF_REMOVAL = ("changed", "failed", "msg")  # keys of an entry that say what became of it


def selection_spec() -> dict[str, Any]:
    """Return the options that say what to look for."""
    return {
        "names": {"type": "list", "elements": "str"},
        "namespaces": {"type": "list", "elements": "str"},
        "kinds": {"type": "list", "elements": "str", "choices": list(KINDS)},
        "older_than": {"type": "int", "default": 600},
        "kept_volumes": {"type": "bool", "default": False},
    }


def removal_spec() -> dict[str, Any]:
    """Return the options that only a removal has."""
    return {"wait_timeout": {"type": "int", "default": 120}}


def find(module: AnsibleModule) -> ModuleResult:
    """Find orphans. Raises NestedClustersError for options that cannot be used, or if no host cluster answers."""
    hosts, unread = orphan_removal.find(host_clusters.open_hosts(module), _criteria(module.params))
    found = [entry for host in hosts for entry in host.describe(check=True, remove=False)]
    orphans = [{key: value for key, value in entry.items() if key not in _OF_REMOVAL} for entry in found]
    return ModuleResult({"orphans": orphans, **_failed(unread)}, warnings=_warnings(hosts, unread))


def remove(module: AnsibleModule, only_report: bool = False) -> ModuleResult:
    """Find orphans and remove them, or ``only_report`` what there is, as the deprecated module does.

    Raises NestedClustersError for options that cannot be used, or if no host cluster answers. What could not be removed
    is in the result's ``failure``.
    """
    criteria, check = _criteria(module.params), module.check_mode
    hosts, unread = orphan_removal.find(host_clusters.open_hosts(module), criteria)
    if not (only_report or check):
        hosts = orphan_removal.remove(hosts, criteria, module.params["wait_timeout"])
    found = [entry for host in hosts for entry in host.describe(check, not only_report)]
    failed = [entry for entry in found if entry["failed"]]
    reasons = "; ".join(f"{_named(entry)}: {entry['msg']}" for entry in failed)
    return ModuleResult(
        {"orphans": found, **_failed(unread)},
        changed=any(entry["changed"] for entry in found),
        diff=[_diff(host, check) for host in hosts if host.due and not only_report],
        warnings=_warnings(hosts, unread),
        failure=f"{len(failed)} of {len(found)} orphans were not removed: {reasons}" if failed else "",
    )


def _criteria(params: Mapping[str, Any]) -> Criteria:
    """Return the search criteria. Raises OptionError for invalid numbers and for empty lists."""
    refuse_empty(params, ("names", "namespaces", "kinds"))
    for option, least in (("older_than", 0), ("wait_timeout", 1)):
        if option in params and params[option] < least:
            raise OptionError(option, params[option], f"a whole number, {least} or more")
    return Criteria(
        frozenset(params["names"] or ()),
        frozenset(params["namespaces"] or ()),
        frozenset(params["kinds"] or KINDS),
        params["older_than"],
        params["kept_volumes"],
    )


def _failed(unread: Mapping[str, str]) -> dict[str, list[str]]:
    return {"failed_host_clusters": sorted(unread)} if unread else {}


def _warnings(hosts: Iterable[HostOrphans], unread: Mapping[str, str]) -> list[str]:
    """Return what is not known, one sentence for each host cluster."""
    found = [f"host cluster {name}: {why}" for name, why in sorted(unread.items())]
    for host in hosts:
        unseen = sorted({ref.plural for ref in host.view.held.unseen})
        if unseen:
            on = f"host cluster {host.name}: " if host.name else ""
            found.append(f"{on}{', '.join(unseen)} cannot be listed: what is left of them is not known")
    return found


def _named(entry: Mapping[str, Any]) -> str:
    """Return the name of an object with its namespace and host cluster."""
    return "/".join(filter(None, (entry["namespace"], entry["resource"], entry["name"])))


def _diff(host: HostOrphans, check: bool) -> dict[str, str]:
    """Return the diff of one host cluster."""
    where = f"left over on host cluster {host.name}" if host.name else "left over"

    def lines(entries: Iterable[Mapping[str, Any]]) -> str:
        return "".join(f"{_named(entry)}: {entry['reason']}\n" for entry in entries)

    found = host.describe(check, True)
    rest = [entry for entry in found if not entry["changed"]]
    return {"before_header": where, "after_header": where, "before": lines(found), "after": lines(rest)}
